"""Take what partners send, answer it, and show what passed: the facade of the exchange.

Guarantees: a message's record, what it changes and its answer enter the log in one transaction; the same message again gives the same
answer and changes nothing; the same reference with other content is refused and rings; what is refused is kept and shown.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, and_, func, select

from hub.core import Core
from hub.exchange import tables
from hub.exchange.effects import Effects, Letter
from hub.exchange.judging import Credit, Source, judge, no_credit, told_of
from hub.exchange.reading import PROFILES, Read, Reader, Unit
from hub.exchange.telling import interchange, minute, readdressed
from hub.inspection.catalogue import Partner
from hub.inspection.references import find, in_use
from protocol.edifact.answers import Complaint, write_complaint, write_control
from protocol.edifact.interchange import Envelope, write_interchange
from protocol.edifact.interchange import Message as Segments
from protocol.edifact.profiles import STANDARD_PROFILE
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.exchange_kinds import Delivery, MessageIn
from protocol.instants import SECOND_NS
from protocol.kinds import Body
from protocol.port_messages import SIGNATURE_HEADER, check_delivery
from protocol.records import read_again
from storage.exchange_schema import delivery_attempts, exchange_messages, port_events
from storage.logs import port_entries

MAX_LISTED = 500
CONFLICT = "message with other content"


@dataclass(frozen=True, slots=True)
class Happened:
    """What became of an event of a message."""

    event: str
    container: str
    outcome: str
    declaration: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message that came in. `units`: (reference, type, outcome); `answers`: CONTRL and APERAK, as they are."""

    position: int
    number: int
    outcome: Literal["taken", "rejected"]
    again: bool
    reference: str
    units: tuple[tuple[str, str, str], ...]
    faults: tuple[str, ...]
    events: tuple[Happened, ...]
    answers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message in or out, as it stands. `fault`: why it is not taken, while it is tried."""

    position: int
    way: str
    partner: str
    number: int
    form: str
    about: str
    reference: str
    state: str
    size: int
    attempts: int
    wall_ns: int
    done_ns: int | None
    declaration: str | None
    cause: int | None
    next_ns: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """How the exchange with a partner goes. `fault`: of the message that stands first in its queue."""

    partner: str
    name: str
    role: str
    ways: tuple[str, ...]
    address: str | None
    came: int
    rejected: int
    kept: int
    queued: int
    delivered: int
    dead: int
    last_in_ns: int | None
    last_out_ns: int | None
    fault: str


class _KnownError(RefusedError):
    """The same bytes came before; `position` is their message."""

    def __init__(self, position: int) -> None:
        super().__init__("came before", where=f"message {position}")
        self.position = position


@dataclass(slots=True)
class Exchange:
    """The messages of one port."""

    core: Core
    credit: Credit = no_credit
    woken: list[asyncio.Event] = field(default_factory=list)

    async def take(self, partner: str, raw: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Taken:
        """Take a message of a partner; sent again it is the same one.

        Raises RefusedError when the partner is not known, VerificationError when it signs and this is not signed by it.
        """
        entry = await self.partner(partner)
        self._check_signature(entry, raw, headers or {})
        settings = self.core.settings.exchange
        profile = PROFILES.get(entry.profile, STANDARD_PROFILE)
        reader = Reader(entry, settings.edifact_id, settings.utc_offset_minutes, profile)
        read = await asyncio.to_thread(reader.read, raw, content_type)
        made: list[Effects] = []

        def decide(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
            known = tables.known_message(connection, partner, hashlib.sha256(raw).digest())
            if known is not None and known["state"] == tables.TAKEN:
                raise _KnownError(known["position"])
            effects = Effects(connection, size, self.core.clock.now().wall_ns)
            made[:] = [effects]
            state = _Taking(effects, settings, (partner, entry), read, self.credit).run(raw)
            if known is not None and state == tables.REJECTED:
                raise _KnownError(known["position"])
            return effects.named

        try:
            logged = await self.core.sequencer.decide_all(decide)
        except _KnownError as error:
            return await self._taken(error.position, again=True, faults=_faults(read))
        self._tell(made[0].alarms, partner)
        return await self._taken(logged[0].record.position, again=False, faults=_faults(read))

    async def partner(self, key: str) -> Partner:
        """Give a partner's entry; raise RefusedError when it is not known."""
        kept = await self.core.database.read(lambda connection: find(connection, "partner", key))
        if not isinstance(kept.value, Partner):
            raise RefusedError("is not known: its entry was erased", where=f"partner {key}")
        return kept.value

    def _check_signature(self, partner: Partner, raw: bytes, headers: Mapping[str, str]) -> None:
        if partner.key is None or raw[:3] in (b"UNA", b"UNB"):
            return  # EDIFACT carries no header of ours; the account speaks for it
        if not any(name.lower() == SIGNATURE_HEADER.lower() for name in headers):
            raise VerificationError("this partner signs what it sends, and this is not signed", where=SIGNATURE_HEADER)
        check_delivery(bytes.fromhex(partner.key), headers, raw, self.core.clock.now().wall_ns // SECOND_NS)

    def _tell(self, alarms: Sequence[tuple[str, str, str]], partner: str) -> None:
        self.core.sequencer.wake()  # what else was staged with it
        for kind, subject, detail in alarms:
            self.core.events.tell("alarm", kind=kind, subject=subject, detail=detail)
        self.core.events.tell("exchange", partner=partner)
        for one in self.woken:
            one.set()

    async def _taken(self, position: int, *, again: bool, faults: Sequence[str] = ()) -> Taken:
        return await self.core.database.read(lambda connection: _taken(connection, position, again, tuple(faults)))

    # ------------------------------------------------------------------------------------------------------- what is shown

    async def list(
        self, *, partner: str | None = None, way: str | None = None, state: str | None = None, declaration: str | None = None,
        before: int | None = None, limit: int = 100,
    ) -> Sequence[Message]:  # fmt: skip
        """Give messages, newest first; `before`: of a lower place in the log."""
        table = exchange_messages
        wishes = {"partner": partner, "way": way, "state": state, "declaration": declaration}
        query = select(table, delivery_attempts.c.next_ns, delivery_attempts.c.fault, delivery_attempts.c.attempts.label("tries"))
        query = query.outerjoin(delivery_attempts, delivery_attempts.c.position == table.c.position)
        query = query.where(*(table.c[name] == value for name, value in wishes.items() if value is not None))
        query = query if before is None else query.where(table.c.position < before)
        query = query.order_by(table.c.position.desc()).limit(min(limit, MAX_LISTED))
        rows = await self.core.database.read(lambda connection: connection.execute(query).mappings().all())
        return [_message(row) for row in rows]

    async def get(self, position: int) -> Message:
        """Give a message; raise RefusedError when none stands there."""
        table = exchange_messages
        query = select(table, delivery_attempts.c.next_ns, delivery_attempts.c.fault, delivery_attempts.c.attempts.label("tries"))
        query = query.outerjoin(delivery_attempts, delivery_attempts.c.position == table.c.position).where(table.c.position == position)
        row = await self.core.database.read(lambda connection: connection.execute(query).mappings().first())
        if row is None:
            raise RefusedError("is not known", where=f"message {position}")
        return _message(row)

    async def raw(self, position: int) -> bytes:
        """Give a message's bytes as they came or went."""

        def read(connection: Connection) -> bytes:
            return tables.body_of(connection, bytes(tables.message_row(connection, position)["sha256"]))

        return await self.core.database.read(read)

    async def shown(self, position: int) -> Taken:
        """Give what became of a message that came in; raise RefusedError when it went out."""
        row = await self.core.database.read(lambda connection: tables.message_row(connection, position))
        if row["way"] != tables.IN:
            raise RefusedError("went out", where=f"message {position}")
        raw = await self.raw(position)
        faults: tuple[str, ...] = ()
        if row["state"] == tables.REJECTED:
            entry = await self.partner(row["partner"])
            settings, profile = self.core.settings.exchange, PROFILES.get(entry.profile, STANDARD_PROFILE)
            kind = "application/json" if row["form"] == "json" else row["form"]
            reader = Reader(entry, settings.edifact_id, settings.utc_offset_minutes, profile)
            faults = _faults(await asyncio.to_thread(reader.read, raw, kind))
        return await self._taken(position, again=False, faults=faults)

    async def health(self) -> Sequence[Health]:
        """Give how the exchange goes with each partner, by key."""
        return await self.core.database.read(_health)

    # ------------------------------------------------------------------------------------------------------- by hand, by rule

    async def send(self, partner: str, letter: Letter, cause: int) -> int:
        """Queue a message that follows from a record of the log; give its place. Raises RefusedError when the partner is not known."""
        await self.partner(partner)

        def decide(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
            effects = Effects(connection, size, self.core.clock.now().wall_ns)
            effects.send(letter, cause)
            return effects.named

        logged = await self.core.sequencer.decide_all(decide)
        self._tell((), partner)
        return logged[0].record.position

    async def resend(self, position: int, by: str, reason: str) -> Message:
        """Put a message that was given up, or taken before, into the queue again; it keeps its key. Raises RefusedError for others."""
        if not reason.strip() or len(reason) > 1000:
            raise MalformedError("a reason has 1 to 1000 characters", where="reason")

        def decide(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
            row = tables.message_row(connection, position)
            if row["state"] not in (tables.DEAD, tables.DELIVERED):
                raise RefusedError(f"is {row['state']}; what was given up or taken can be sent again", where=f"message {position}")
            effects = Effects(connection, size, self.core.clock.now().wall_ns)
            sheet = effects.sheet({"by": by, "reason": reason.strip()})
            effects.add(row["partner"], Delivery(position, "resent", row["attempts"], sheet))
            return effects.named

        logged = await self.core.sequencer.decide_all(decide)
        table = delivery_attempts
        await self.core.database.write(lambda connection: connection.execute(table.delete().where(table.c.position == position)))
        self._tell((), logged[0].record.subject)
        return await self.get(position)

    async def look_again(self, declaration: str) -> int:
        """Judge the kept events of a declaration again; give how many changed."""
        made: list[Effects] = []

        def decide(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
            effects = Effects(connection, size, self.core.clock.now().wall_ns)
            made[:] = [effects]
            tables.read_boxes_of(connection)
            for row in tables.kept_events(connection, declaration):
                _judge_again(effects, row, self.credit)
            if not effects.named:
                raise RefusedError("nothing changes", where=f"declaration {declaration}")
            return effects.named

        try:
            await self.core.sequencer.decide_all(decide)
        except RefusedError:
            return 0
        self._tell(made[0].alarms, "")
        return len(made[0].named)


@dataclass(frozen=True, slots=True)
class _Taking:
    """One message that is being taken, within its transaction."""

    effects: Effects
    settings: Any
    source: tuple[str, Partner]
    read: Read
    credit: Credit

    def run(self, raw: bytes) -> str:
        key, _ = self.source
        effects, read = self.effects, self.read
        outcomes = [self._outcome(unit) for unit in read.units]
        is_taken = read.fault is None and any(outcome != tables.REJECTED for outcome in outcomes)
        units = tuple((unit.reference, unit.type, unit.digest, outcome) for unit, outcome in zip(read.units, outcomes, strict=True))
        number = tables.next_number(effects.connection, key, tables.IN)
        name = tables.keep_body(effects.connection, raw)
        state: Literal["taken", "rejected"] = "taken" if is_taken else "rejected"
        message = effects.add(key, MessageIn(number, name, len(raw), read.form, read.reference, state, units))
        at = 0
        for unit, outcome in zip(read.units, outcomes, strict=True):
            for told in unit.told if outcome == tables.TAKEN else ():
                judge(effects, Source(key, self.source[1], message, at), told, self.credit)
                at += 1
        if read.interchange is not None:
            self._answer(message, outcomes)
        return state

    def _outcome(self, unit: Unit) -> str:
        key = self.source[0]
        if unit.fault is not None or self.read.fault is not None:
            return tables.REJECTED
        known = tables.known_unit(self.effects.connection, key, self.read.reference, unit.reference)
        if known is None:
            return tables.TAKEN
        if known == unit.digest:
            return tables.REPEATED
        self.effects.alarm(CONFLICT, key, f"reference {self.read.reference}, message {unit.reference}: {unit.type} says something else now")
        return tables.REJECTED

    def _answer(self, message: int, outcomes: Sequence[str]) -> None:
        """Answer an interchange by CONTRL, and what its messages say wrongly by APERAK."""
        key, partner = self.source
        if self.read.interchange is None or self.read.interchange.envelope.sender == "":
            return
        if any(unit.type in ("CONTRL", "APERAK") for unit in self.read.units):
            return  # an answer is not answered, or two systems would never stop
        profile = PROFILES.get(partner.profile, STANDARD_PROFILE)
        at = minute(self.effects.now_ns, self.settings)
        reference = f"{self.effects.next_out(key):014d}"
        envelope, control = write_control(self.read.interchange, reference, (at[2:8], at[8:]), charset="UNOC")
        raw = _written(readdressed(envelope, reference), control, profile.encoding)
        self.effects.send(Letter(key, "edifact", "CONTRL", raw, "answer"), message)
        for unit, outcome in zip(self.read.units, outcomes, strict=True):
            if outcome != tables.REJECTED or (unit.fault is not None and not unit.complaint):
                continue
            words = unit.fault if unit.fault is not None else "the reference was used before, for other content"
            document = f"{self.read.reference}/{unit.reference}"[:35]
            text = words.encode("ascii", "replace").decode()
            made = Complaint(f"AP{message}", document, self.settings.edifact_id, at, text=text)
            raw = interchange(self.effects, self.settings, self.source, write_complaint(made, "1"), charset="UNOC")
            self.effects.send(Letter(key, "edifact", "APERAK", raw, "answer"), message)


def _written(envelope: Envelope, control: Segments, encoding: str | None) -> bytes:
    """Write an answer: in the character set of all, or, where it repeats what that does not have, in Unicode."""
    try:
        return write_interchange(envelope, [control], encoding=encoding)
    except MalformedError:
        return write_interchange(replace(envelope, charset="UNOY"), [control])


def _judge_again(effects: Effects, row: RowMapping, credit: Credit) -> None:
    connection = effects.connection
    message = tables.message_row(connection, row["message"])
    try:
        partner = find(connection, "partner", message["partner"]).value
    except RefusedError:
        return  # it is retired: what it told stays kept
    if isinstance(partner, Partner):
        judge(effects, Source(message["partner"], partner, row["message"], row["number"]), told_of(row), credit, again=True)


def _faults(read: Read) -> tuple[str, ...]:
    found = [] if read.fault is None else [read.fault]
    found += [f"{unit.type} {unit.reference}: {unit.fault}" for unit in read.units if unit.fault is not None and unit.fault != read.fault]
    if read.interchange is not None:
        found += [text for text in map(str, read.interchange.faults) if not any(text in one for one in found)]
    return tuple(found[:100])


def _taken(connection: Connection, position: int, again: bool, faults: tuple[str, ...]) -> Taken:
    row = tables.message_row(connection, position)
    body = read_again(port_entries(connection, position, position + 1)[0]).record.body
    assert isinstance(body, MessageIn)
    answers = tuple(tables.body_of(connection, bytes(one["sha256"])) for one in tables.answers_to(connection, position))
    rows = tables.events_of(connection, position)
    events = tuple(Happened(one["event"], one["container"], one["outcome"], one["declaration"]) for one in rows)
    units = tuple((reference, kind, outcome) for reference, kind, _, outcome in body.units)
    return Taken(position, row["number"], body.outcome, again, body.reference, units, faults, events, answers)


def _message(row: RowMapping) -> Message:
    names = (
        "position",
        "way",
        "partner",
        "number",
        "form",
        "about",
        "reference",
        "state",
        "size",
        "wall_ns",
        "done_ns",
        "declaration",
        "cause",
    )
    tries = row["tries"] if row["tries"] is not None and row["state"] == tables.QUEUED else row["attempts"]
    open_fault = row["fault"] if row["state"] in (tables.QUEUED, tables.DEAD) and row["fault"] else ""
    next_ns = row["next_ns"] if row["state"] == tables.QUEUED else None
    return Message(**{name: row[name] for name in names}, attempts=tries, next_ns=next_ns, fault=open_fault)


def _health(connection: Connection) -> Sequence[Health]:
    table = exchange_messages
    columns = (table.c.partner, table.c.way, table.c.state, func.count().label("count"), func.max(table.c.wall_ns).label("last"))
    counted = connection.execute(select(*columns).group_by(table.c.partner, table.c.way, table.c.state)).mappings().all()
    kept = _kept_by_partner(connection)
    found = []
    for one in in_use(connection, "partner"):
        if not isinstance(one.value, Partner):
            continue
        rows = [row for row in counted if row["partner"] == one.key]
        mine: dict[tuple[str, str], int] = {(row["way"], row["state"]): row["count"] for row in rows}
        last = {way: max((row["last"] for row in rows if row["way"] == way), default=None) for way in ("in", "out")}
        found.append(
            Health(
                partner=one.key,
                name=one.value.name,
                role=one.value.role,
                ways=tuple(one.value.ways),
                address=one.value.address,
                came=mine.get(("in", "taken"), 0) + mine.get(("in", "rejected"), 0),
                rejected=mine.get(("in", "rejected"), 0),
                kept=kept.get(one.key, 0),
                queued=mine.get(("out", "queued"), 0),
                delivered=mine.get(("out", "delivered"), 0),
                dead=mine.get(("out", "dead"), 0),
                last_in_ns=last["in"],
                last_out_ns=last["out"],
                fault=_first_fault(connection, one.key),
            )
        )
    return found


def _kept_by_partner(connection: Connection) -> dict[str, int]:
    query = select(exchange_messages.c.partner, func.count()).join(port_events, port_events.c.message == exchange_messages.c.position)
    rows = connection.execute(query.where(port_events.c.outcome == "kept").group_by(exchange_messages.c.partner)).all()
    return {row[0]: row[1] for row in rows}


def _first_fault(connection: Connection, partner: str) -> str:
    table = exchange_messages
    query = select(delivery_attempts.c.fault).join(table, and_(table.c.position == delivery_attempts.c.position))
    query = query.where(table.c.partner == partner, table.c.state == tables.QUEUED).order_by(table.c.number).limit(1)
    return connection.execute(query).scalar() or ""
