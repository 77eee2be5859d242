"""Show the people of a task what a phone needs to work on it: procedure, declaration, acts, files, what is missing, each with its proof."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from hub.bonds import pairing_states
from hub.core import Core
from hub.files import at_hub
from hub.inspection.fieldwork.acts import Shown, files_of, shown_acts
from hub.inspection.fieldwork.completeness import Judged, judge_all, judge_task
from hub.inspection.fieldwork.opening import ToOpen, to_open
from hub.inspection.fieldwork.tables import SiteTask, form_of, people_on, site_task, tasks_of, tasks_with
from hub.inspection.sheets import keep
from hub.inspection.standings import standing_row
from hub.inspection.supervision.tables import Told, instructions_of
from hub.values import PairingState
from protocol.errors import ForbiddenError, MalformedError, RefusedError, UnavailableError
from protocol.merkle import inclusion_proof
from protocol.notes import SignedCheckpoint
from protocol.procedures.answers import in_conflict, standing
from protocol.procedures.completeness import Missing
from protocol.procedures.conduct import Entered, Signature
from protocol.procedures.reading import value_of
from protocol.sheets import SALT_BYTES, make_sheet
from protocol.work_kinds import SystemNote
from storage.fieldwork_schema import work_acts
from storage.logs import PortLog, port_entries, reader
from storage.schema import sheets

SHOWN_GOODS = 500


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as the list of a person's work shows it."""

    task: SiteTask
    declaration_state: str
    role: str
    have: int
    want: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Whole:
    """All that a phone needs of a task."""

    task: SiteTask
    role: str
    form: Mapping[str, Any]
    procedure: Mapping[str, Any]
    parts: Mapping[str, Sequence[str]]
    open: Sequence[ToOpen]
    acts: Sequence[Shown]
    files: Mapping[str, str]
    pairings: Sequence[PairingState]
    signatures: Sequence[Signature]
    missing: Sequence[Missing]
    meter: tuple[int, int]
    instructions: Sequence[Told]
    paused: Entered | None
    conflicts: Sequence[tuple[str, str, tuple[str, ...]]]
    to_follow: int
    together: Sequence[str]


@dataclass(frozen=True, slots=True)
class Proof:
    """That an act is in the log: its record, its sheet, and the path to a published checkpoint."""

    index: int
    record: bytes
    salt: bytes | None
    sheet: bytes | None
    path: Sequence[bytes]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Worksite:
    """The work on site of one port, as people see it."""

    core: Core

    async def list(self, person: str | None, viewer: str) -> Sequence[Listed]:
        """Give the open tasks of a person, or of everybody (None), newest first, with their meters."""
        return await self.core.database.read(lambda connection: _listed(connection, person, viewer))

    async def show(self, task: str, viewer: str, *, oversees: bool = False) -> Whole:
        """Give a task whole; raise RefusedError when there is none, ForbiddenError when it is not the viewer's."""
        return await self.core.database.read(lambda connection: _whole(connection, task, viewer, oversees=oversees))

    async def need(self, task: str, viewer: str, *, oversees: bool = False) -> SiteTask:
        """Give a task back; raise as `show`."""
        return await self.core.database.read(lambda connection: _need(connection, task, viewer, oversees=oversees))

    async def proof(self, task: str, act: str) -> Proof:
        """Prove that an act is in the log; raise RefusedError when it is not, UnavailableError before it is published."""
        checkpoint = self.core.sequencer.checkpoint_now()
        size = SignedCheckpoint.parse(checkpoint).checkpoint.size if checkpoint else 0
        return await self.core.database.read(lambda connection: _proof(connection, task, act, size, checkpoint))

    async def note(self, number: str, key: str, source: str, told: Any, by: str, salt: bytes) -> int:  # noqa: ANN401 - JSON
        """Keep what a system told of a declaration, as a record of W6; give its place. Raises RefusedError, MalformedError."""
        if not 0 < len(key) <= 64 or not all(one.isalnum() or one == "-" for one in key):
            raise MalformedError("is no key of small letters, digits and hyphens", where="key")
        if len(salt) != SALT_BYTES:
            raise MalformedError("is no salt", where="sheet")
        sheet = make_sheet({"source": source[:200], "told": told, "by": by}, salt)

        def decide(connection: Connection, _size: int) -> tuple[str, SystemNote]:
            standing_row(connection, number)
            keep(connection, sheet)
            return number, SystemNote(key, sheet.commitment)

        return (await self.core.sequencer.decide(decide)).record.position


def _listed(connection: Connection, person: str | None, viewer: str) -> list[Listed]:
    found = []
    for task in tasks_with(connection, person):
        together = tasks_of(connection, task.declaration)
        judged = next((one for one in judge_all(connection, together) if one.task.task == task.task), None)
        if judged is None:  # of a dispatch that another followed
            judged = judge_task(connection, task.task)
        have, want = judged.meter()
        state = standing_row(connection, task.declaration)["state"]
        found.append(Listed(task, state, _role(judged, viewer), have, want, judged.conduct.last_ns()))
    return found


def _role(judged: Judged, viewer: str) -> str:
    return next((role for role, holder in judged.conduct.holders().items() if holder == viewer), "observer")


def _need(connection: Connection, task: str, viewer: str, *, oversees: bool) -> SiteTask:
    found = site_task(connection, task)
    if not oversees and viewer not in people_on(connection, found):
        raise ForbiddenError("not your task", where=f"task {task}")
    return found


def _whole(connection: Connection, name: str, viewer: str, *, oversees: bool) -> Whole:
    _need(connection, name, viewer, oversees=oversees)
    judged = judge_task(connection, name)
    task, form = judged.task, form_of(connection, judged.task.declaration)
    answers = judged.conduct.answers()
    names = {file for one in answers for file in files_of(one)}
    names |= {one.given.drawn for one in judged.conduct.signatures() if one.given.drawn is not None}
    here = at_hub(connection, names)
    apart = [(item, at, tuple(one.id for one in given)) for (item, at), given in standing(answers).items() if in_conflict(given)]
    return Whole(
        task=task,
        role=_role(judged, viewer),
        form=form,
        procedure=value_of(judged.procedure),
        parts=judged.facts.parts or {},
        open=to_open(connection, task.declaration, form),
        acts=shown_acts(connection, name),
        files={file: "stored" if file in here else "missing" for file in sorted(names)},
        pairings=pairing_states(connection, name),
        signatures=judged.conduct.signatures(),
        missing=judged.missing(),
        meter=judged.meter(),
        instructions=instructions_of(connection, name),
        paused=judged.conduct.paused(),
        conflicts=apart,
        to_follow=judged.to_follow,
        together=[one.task for one in tasks_of(connection, task.declaration) if one.task != name],
    )


def _proof(connection: Connection, task: str, act: str, size: int, checkpoint: bytes) -> Proof:
    try:
        name = bytes.fromhex(act)
    except ValueError as error:
        raise MalformedError("is no id of 32 hex digits", where="act") from error
    row = connection.execute(work_acts.select().where(work_acts.c.id == name, work_acts.c.task == task)).first()
    if row is None:
        raise RefusedError("is not known", where=f"act {act[:32]}")
    if row.position >= size:
        raise UnavailableError("is not published yet", where=f"act {act[:32]}")
    sheet = connection.execute(sheets.select().where(sheets.c.commitment == row.sheet)).first()
    return Proof(
        index=row.position,
        record=port_entries(connection, row.position, row.position + 1)[0],
        salt=None if sheet is None else bytes(sheet.salt),
        sheet=None if sheet is None else bytes(sheet.data),
        path=inclusion_proof(row.position, size, reader(connection, PortLog())),
        checkpoint=checkpoint,
    )
