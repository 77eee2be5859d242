"""Take what phones signed: judge it, keep the signed text in a sheet, log a record that binds it, once for each act.

Guarantees: an act counts only under a key that the log certifies for the one who sends it, for a task that they are on, by the procedure
that the task began with; what is wrong is named by its path and nothing that came before is lost; sent again, an act is the same one;
a skipped or repeated number of a phone, and a clock that is wrong, are kept and named, never a reason to lose work.
"""

import asyncio
import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from hub.core import Core
from hub.inspection.catalogue import Inspector as InspectorEntry
from hub.inspection.fieldwork.keys import key_in_force, key_of
from hub.inspection.fieldwork.tables import SiteTask, acts_of, form_of, people_on, site_task
from hub.inspection.published import procedure_of
from hub.inspection.references import find
from hub.inspection.sheets import keep, said
from hub.inspection.states import State
from protocol.errors import ForbiddenError, MalformedError, RefusedError, VerificationError
from protocol.instants import SECOND_NS
from protocol.procedures.acts import MAX_BYTES, Act, Given, HandedOver, Payload, Subscribed, check_signature, read_act, read_payload
from protocol.procedures.answers import Answer
from protocol.procedures.conduct import Conduct, Entered, Link, chain_faults, clock_fault
from protocol.procedures.model import Procedure
from protocol.procedures.reading import PathError
from protocol.sheets import SALT_BYTES, Sheet, make_sheet
from protocol.work_kinds import Work
from storage.database import insert_new
from storage.fieldwork_schema import act_files, act_links, task_people, work_acts
from storage.schema import declaration_steps

SIGNATURE_BYTES = 64
_FILE = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """An act as it is sent. `sent_ms`: the phone's clock when it sent it, where it says so."""

    text: str
    key_id: str
    signature: str
    sent_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """An act that is in the log."""

    id: str
    position: int
    hub_ns: int


@dataclass(frozen=True, slots=True)
class Shown:
    """An act as the tables give it; `payload` None where its sheet was erased. `chain`: what is odd about its phone's chain."""

    id: str
    kind: str
    by: str | None
    key_id: str
    seq: int
    phone_ms: int | None
    hub_ns: int
    position: int
    ahead_ms: int | None
    payload: Any
    chain: str


class _KnownError(RefusedError):
    """The same act is in the log already."""


@dataclass(frozen=True, slots=True)
class _Read:
    act: Act
    payload: Payload
    sheet: Sheet


@dataclass(slots=True)
class Acts:
    """The signed acts of one port."""

    core: Core

    async def take(self, task: str, sent: Envelope, by: str) -> Taken:
        """Take an act of a person; give its place in the log.

        Raises PathError and MalformedError for what cannot be read, VerificationError for a signature that does not hold,
        ForbiddenError for a key or a task that is not theirs, RefusedError for what a rule says no to.
        """
        read = await self._read(task, sent, by)
        act = read.act
        ahead_ms: list[int | None] = [None]

        def decide(connection: Connection, _size: int) -> tuple[str, Work]:
            known = connection.execute(select(work_acts).where(work_acts.c.id == bytes.fromhex(act.id))).first()
            if known is not None:
                self._check_same(connection, known, sent.text)
                raise _KnownError("is in the log already", where=f"act {act.id}")
            now_ns = self.core.clock.now().wall_ns
            key_in_force(connection, sent.key_id, by, now_ns)
            found = site_task(connection, task)
            _need_on(connection, found, by)
            self._check_rules(connection, found, read, by)
            ahead_ms[0] = clock_fault(act.phone_ms, sent.sent_ms, now_ns, found.opened_ns)
            self._keep(connection, read, sent.key_id)
            key = bytes.fromhex(sent.key_id)
            return task, Work(act.kind, bytes.fromhex(act.id), key, act.seq, read.sheet.commitment, ahead_ms[0])

        try:
            signed = await self.core.sequencer.decide(decide)
        except _KnownError:
            return await self.core.database.read(lambda connection: _taken(connection, act.id))
        if ahead_ms[0] is not None:
            what = f"its clock is more than two minutes {'ahead of' if ahead_ms[0] > 0 else 'behind'} the hub's"  # one alarm, counted
            await self.core.alarms.ring("phone clock wrong", task, f"key {sent.key_id[:16]}: {what}")
        self.core.events.tell("work", task=task, act=act.id, kind=act.kind)
        return Taken(act.id, signed.record.position, signed.record.at.wall_ns)

    async def list(self, task: str, after: int = -1) -> list[Shown]:
        """Give the acts of a task in the order of the log, beyond a place."""
        return await self.core.database.read(lambda connection: shown_acts(connection, task, after))

    async def _read(self, task: str, sent: Envelope, by: str) -> _Read:
        """Read and judge all that needs no transaction, off the loop."""
        if len(sent.text) > MAX_BYTES:
            raise PathError("act", f"has {len(sent.text)} characters, at most {MAX_BYTES}")
        act = await asyncio.to_thread(read_act, sent.text)
        if act.task != task:
            raise PathError("task", f"is {act.task}, sent to {task}")
        signature = _signature(sent.signature)
        key = await self.core.database.read(lambda connection: key_of(connection, sent.key_id))
        if key is None:
            raise ForbiddenError("is not certified for you: log in on this phone again", where="key_id")
        await asyncio.to_thread(check_signature, sent.text, signature, key.spki)
        procedure = await self._procedure(task, act)
        payload = await asyncio.to_thread(read_payload, act, procedure)
        words = {"act": sent.text, "key_id": sent.key_id, "signature": base64.b64encode(signature).decode(), "by": by}
        return _Read(act, payload, await asyncio.to_thread(make_sheet, words, os.urandom(SALT_BYTES)))

    async def _procedure(self, task: str, act: Act) -> Procedure:
        def read(connection: Connection) -> tuple[SiteTask, Procedure]:
            found = site_task(connection, task)
            return found, procedure_of(connection, found.sha256)

        found, procedure = await self.core.database.read(read)
        if found.sha256.hex() != act.procedure:
            what = f"is {act.procedure[:16]}..., the task began with version {procedure.version}, {found.sha256.hex()[:16]}..."
            raise RefusedError(what, where="procedure")
        return procedure

    def _check_same(self, connection: Connection, known: Any, text: str) -> None:  # noqa: ANN401 - a row
        words = said(connection, bytes(known.sheet))
        if words is not None and words["act"] != text:
            raise RefusedError("another act has this id", where="id")

    def _check_rules(self, connection: Connection, task: SiteTask, read: _Read, by: str) -> None:
        payload = read.payload
        if isinstance(payload, Given) and any(one.replaces for one in payload.answers):
            _check_corrections(connection, task, payload, by)
        elif isinstance(payload, HandedOver):
            if by not in conduct_of(connection, task, procedure_of(connection, task.sha256)).holders().values():
                raise RefusedError("you handed this task over before", where="payload.to")
            self._check_heir(connection, task, payload, by)
        elif isinstance(payload, Subscribed) and payload.role != "owner":
            conduct = conduct_of(connection, task, procedure_of(connection, task.sha256))
            if conduct.holders().get(payload.role) != by:
                raise RefusedError(f"you are not {payload.role} of this task", where="payload.role")

    def _check_heir(self, connection: Connection, task: SiteTask, payload: HandedOver, by: str) -> None:
        """Refuse to hand over to somebody who is not qualified, stays away from these parties, is off duty, or is on it already."""
        if payload.to == by or payload.to in people_on(connection, task):
            raise RefusedError(f"{payload.to} is or was on this task", where="payload.to")
        entry = find(connection, "inspector", payload.to).value
        if not isinstance(entry, InspectorEntry):
            raise RefusedError("is not known", where="payload.to")
        day = datetime.fromtimestamp(self.core.clock.now().wall_ns // SECOND_NS, UTC).date().isoformat()
        if not entry.serves(day):
            raise RefusedError(f"{payload.to} is not on duty", where="payload.to")
        needs, parties = _wanted_of(connection, task.declaration)
        if lacking := sorted(needs - set(entry.qualifications)):
            raise RefusedError(f"{payload.to} is not qualified for {', '.join(lacking)}", where="payload.to")
        if parties & {one.enterprise for one in entry.recusals}:
            raise RefusedError(f"{payload.to} stays away from this enterprise's goods", where="payload.to")

    def _keep(self, connection: Connection, read: _Read, key_id: str) -> None:
        keep(connection, read.sheet)
        act, key = read.act, bytes.fromhex(key_id)
        link = {"act": bytes.fromhex(act.id), "key": key, "seq": act.seq, "previous": act.previous, "text_hash": act.text_hash}
        connection.execute(insert(act_links).values(link))
        if files := files_named(read.payload):
            connection.execute(insert(act_files), [{"act": link["act"], "file": bytes.fromhex(name)} for name in sorted(files)])
        if isinstance(read.payload, HandedOver):
            connection.execute(insert_new(connection, task_people), [{"task": act.task, "person": read.payload.to}])


def files_named(payload: Payload) -> frozenset[str]:
    """Give the files that an act names."""
    if isinstance(payload, Subscribed):
        return frozenset(() if payload.drawn is None else (payload.drawn,))
    return frozenset(name for one in payload.answers for name in files_of(one)) if isinstance(payload, Given) else frozenset()


def files_of(answer: Answer) -> list[str]:
    """Give the files that an answer names."""
    if isinstance(answer.value, list):
        return [one for one in answer.value if isinstance(one, str) and _FILE.fullmatch(one)]
    drawn = answer.value.get("drawn") if isinstance(answer.value, dict) else None
    return [drawn] if isinstance(drawn, str) else []


def conduct_of(connection: Connection, task: SiteTask, procedure: Procedure) -> Conduct:
    """Give a task's acts as what they amount to, in a transaction; those whose sheets were erased are left out."""
    found = []
    for row in acts_of(connection, task.task):
        words = said(connection, bytes(row.sheet))
        if words is None:
            continue
        act = read_act(words["act"])
        payload = read_payload(act, procedure)
        found.append(Entered(row.position, row.wall_ns, words["by"], bytes(row.key).hex(), act, payload, row.ahead_ms))
    return Conduct(tuple(found), task.team, task.opened_ns)


def shown_acts(connection: Connection, task: str, after: int = -1) -> list[Shown]:
    """Give the acts of a task for people to see, in the order of the log."""
    rows = acts_of(connection, task, after)
    faults = chain_faults(_links(connection, {bytes(row.key) for row in rows}))
    found = []
    for row in rows:
        words = said(connection, bytes(row.sheet))
        act = None if words is None else read_act(words["act"])
        name = bytes(row.id).hex()
        found.append(
            Shown(
                id=name,
                kind=row.act,
                by=None if words is None else words["by"],
                key_id=bytes(row.key).hex(),
                seq=row.seq,
                phone_ms=None if act is None else act.phone_ms,
                hub_ns=row.wall_ns,
                position=row.position,
                ahead_ms=row.ahead_ms,
                payload=None if act is None else act.payload,
                chain=faults.get(name, ""),
            )
        )
    return found


def _links(connection: Connection, keys: set[bytes]) -> list[Link]:
    rows = connection.execute(select(act_links).where(act_links.c.key.in_(sorted(keys)))).all() if keys else []
    return [Link(bytes(row.act).hex(), bytes(row.key).hex(), row.seq, row.previous, row.text_hash) for row in rows]


def _taken(connection: Connection, act: str) -> Taken:
    row = connection.execute(select(work_acts).where(work_acts.c.id == bytes.fromhex(act))).one()
    return Taken(act, row.position, row.wall_ns)


def _need_on(connection: Connection, task: SiteTask, by: str) -> None:
    if by not in people_on(connection, task):
        raise ForbiddenError("not your task", where=f"task {task.task}")


def _check_corrections(connection: Connection, task: SiteTask, payload: Given, by: str) -> None:
    """Refuse to correct what was signed, or what somebody else answered, without saying why."""
    covered: set[str] = set()
    known = conduct_of(connection, task, procedure_of(connection, task.sha256)).answers()
    others = {one.id for one in known if one.by != by}
    for row in acts_of(connection, task.task):
        words = said(connection, bytes(row.sheet)) if row.act == "signature" else None
        if words is not None:
            covered |= set(read_act(words["act"]).payload["covers"])
    for number, one in enumerate(payload.answers):
        if covered & set(one.replaces) and one.id not in payload.reasons:
            raise PathError(f"payload.answers[{number}].reason", "corrects an answer that was signed: say why")
        if others & set(one.replaces) and one.id not in payload.reasons:
            raise PathError(f"payload.answers[{number}].reason", "replaces what somebody else answered: say why")


def _wanted_of(connection: Connection, number: str) -> tuple[set[str], set[str]]:
    """Give what qualifications a declaration needs and which parties it names, by its newest screening and its form."""
    steps = declaration_steps
    mine = select(steps.c.sheet).where(steps.c.declaration == number, steps.c.act == State.SCREENED.value)
    sheet = connection.execute(mine.order_by(steps.c.position.desc()).limit(1)).scalar()
    words = (said(connection, bytes(sheet)) or {}) if sheet is not None else {}
    said_of_draw = words.get("draw")
    draw: Mapping[str, Any] = said_of_draw if isinstance(said_of_draw, dict) else {}
    form = form_of(connection, number)
    parties = {str(one) for one in draw.get("parties", ())} | ({form["enterprise"]} if form else set())
    return {str(one) for one in draw.get("needs", ())}, parties


def _signature(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("is not base64", where="signature") from error
    if len(found) != SIGNATURE_BYTES:
        raise VerificationError(f"signature of {len(found)} bytes, expected {SIGNATURE_BYTES}", where="signature")
    return found
