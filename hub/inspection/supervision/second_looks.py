"""Draw which finished tasks are looked at again, give each to somebody who was not there, and keep what they found.

Guarantees: each draw whose pool found finished tasks has one round, made of the log alone (`protocol.drawing.second_look`), so nobody
chooses whose work is looked at; nobody looks again at an inspection that they were on; findings ring an alarm in the transaction that
logs them.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from sqlalchemy import Connection, Row, func, select

from hub.alarms import ring
from hub.core import Core
from hub.inspection.fieldwork.tables import inspectors_of
from hub.inspection.sheets import keep, said
from hub.inspection.story.sources import declaration_of
from hub.inspection.supervision.tables import MAX_LISTED, people_of
from hub.sequencer import Publication
from protocol.drawing.second_look import DEFAULT_PARTS, judge_round, make_round
from protocol.errors import MalformedError, PortwitnessError, RefusedError
from protocol.inspection_kinds import DrawResult
from protocol.records import read_again
from protocol.sheets import SALT_BYTES, make_sheet
from protocol.supervision_kinds import SecondLook, SecondRound
from storage.fieldwork_schema import inspection_tasks
from storage.logs import port_entries
from storage.schema import declarants, draws, second_looks, second_rounds, tasks

AT_ONCE = 20
MAX_TEXT = 2000
FINDINGS = "second look findings"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """A second look as it stands; `to`, `by` and `text` are None before they are said, or where a sheet was erased.

    `declaration`, `enterprise`: of what the task inspected and whose that is, None for a task of no declaration.
    """

    task: str
    drawn_at: int
    drawn_ns: int
    assigned_at: int | None
    to: str | None
    found_at: int | None
    found_ns: int | None
    outcome: Literal["confirmed", "findings"] | None
    by: str | None
    text: str | None
    declaration: str | None = None
    enterprise: str | None = None


@dataclass(slots=True)
class SecondLooks:
    """The second looks of one port. Use as an async context manager: while it runs, rounds follow draws by themselves."""

    core: Core
    _task: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Self:
        self.core.sequencer.listeners.append(self.published)
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="second looks")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.core.sequencer.listeners.remove(self.published)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def published(self, publication: Publication) -> None:
        """Look for work when a draw is over."""
        if any(isinstance(signed.record.body, DrawResult) for signed in publication.records):
            self._wake.set()

    async def go_on(self) -> int:
        """Make the rounds that draws have left to make; give how many."""
        made = 0
        while waiting := await self.core.database.read(_without_round):
            for number in waiting:
                with suppress(_NothingError, RefusedError):
                    await self.core.sequencer.decide(lambda connection, _size, number=number: _decide(connection, number))  # type: ignore[misc]
                    made += 1
            if len(waiting) < AT_ONCE:
                break
        return made

    async def assign(self, task: str, to: str, by: str) -> Look:
        """Give a drawn second look to somebody; raise RefusedError for one who was on the inspection, or where none is drawn."""
        sheet = make_sheet({"by": by, "to": to}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, SecondLook]:
            if _open(connection, task).found_at is not None:
                raise RefusedError("was looked at again already", where=f"task {task}")
            _need_stranger(connection, task, to)
            keep(connection, sheet)
            return task, SecondLook("assigned", sheet.commitment)

        return await self._logged(decide, task)

    async def find(self, task: str, outcome: Literal["confirmed", "findings"], text: str, by: str) -> Look:
        """Keep what a second look found, said by the one to whom it was given; raise RefusedError for anybody else."""
        if not text.strip() or len(text) > MAX_TEXT:
            raise MalformedError(f"has 1 to {MAX_TEXT} characters", where="text")
        sheet = make_sheet({"by": by, "text": text.strip()}, os.urandom(SALT_BYTES))
        alarm = FINDINGS, task, "what was found stands in the record of the second look"

        def decide(connection: Connection, _size: int) -> tuple[str, SecondLook]:
            row = _open(connection, task)
            if row.found_at is not None:
                raise RefusedError("was looked at again already", where=f"task {task}")
            given = {} if row.assigned_sheet is None else said(connection, bytes(row.assigned_sheet)) or {}
            if given.get("to") != by:
                raise RefusedError("this second look is not given to you", where=f"task {task}")
            _need_stranger(connection, task, by)  # it may have been handed over since
            keep(connection, sheet)
            if outcome == "findings":
                ring(connection, alarm, self.core.clock.now().wall_ns)
            return task, SecondLook("found", sheet.commitment, outcome)

        look = await self._logged(decide, task)
        if outcome == "findings":
            self.core.events.tell("alarm", kind=FINDINGS, subject=task, detail=alarm[2])
        return look

    async def get(self, task: str) -> Look:
        """Give a task's second look; raise RefusedError when none was drawn."""
        return await self.core.database.read(lambda connection: _look(connection, _open(connection, task)))

    async def list(self, *, open_only: bool = True) -> Sequence[Look]:
        """Give second looks, newest first."""
        query = select(second_looks).order_by(second_looks.c.drawn_at.desc(), second_looks.c.task).limit(MAX_LISTED)
        if open_only:
            query = query.where(second_looks.c.found_at.is_(None))
        return await self.core.database.read(lambda connection: [_look(connection, row) for row in connection.execute(query).all()])

    async def _logged(self, decide: Any, task: str) -> Look:  # noqa: ANN401 - a Decide
        signed = await self.core.sequencer.decide(decide)
        self.core.events.tell("supervision", task=task, kind=signed.record.kind)
        return await self.get(task)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.go_on()
            except PortwitnessError as error:  # supervision: said, and tried with the next draw
                _LOG.error("second looks: %s", error)


class _NothingError(RefusedError):
    """No task ended since the draw before: there is nothing to look at again."""


def pool_at(connection: Connection, number: int) -> Sequence[str]:
    """Give a round's pool: the tasks that ended in the log between the closing of the draw before and that of this one."""
    until = connection.execute(select(draws.c.closed_at).where(draws.c.number == number)).scalar()
    since = connection.execute(select(func.max(draws.c.closed_at)).where(draws.c.number < number)).scalar()
    between = tasks.c.ended_at >= (since or 0), tasks.c.ended_at < (until or 0)
    return list(connection.execute(select(tasks.c.task).where(*between)).scalars())


def check_rounds(connection: Connection) -> Iterator[str]:
    """Recompute every round from the log's tables; name each that differs, and each draw that has none and should (S7)."""
    query = select(draws.c.number, draws.c.seed, second_rounds.c.position)
    query = query.outerjoin(second_rounds, second_rounds.c.draw == draws.c.number).where(draws.c.drawn_at.is_not(None))
    rows = connection.execute(query.order_by(draws.c.number)).all()
    for row in rows[:-1] if rows and rows[-1].position is None else rows:  # the newest may be a moment behind
        pool = pool_at(connection, row.number)
        if row.position is None:
            if pool:
                yield f"S7 draw {row.number}: {len(pool)} tasks ended before it, and no second looks were drawn"
            continue
        body = read_again(port_entries(connection, row.position, row.position + 1)[0]).record.body
        assert isinstance(body, SecondRound)
        try:
            judge_round(body, bytes(row.seed), pool)
        except PortwitnessError as error:
            yield f"S7 {error}"


def _without_round(connection: Connection) -> list[int]:
    """Give draws that are over, have no round, and saw tasks end before them."""
    made = select(second_rounds.c.draw).where(second_rounds.c.draw == draws.c.number).exists()
    over = select(draws.c.number).where(draws.c.drawn_at.is_not(None), ~made).order_by(draws.c.number.desc()).limit(AT_ONCE)
    return [number for number in connection.execute(over).scalars() if pool_at(connection, number)]


def _decide(connection: Connection, number: int) -> tuple[str, SecondRound]:
    row = connection.execute(select(draws.c.name, draws.c.seed).where(draws.c.number == number)).one()
    if connection.execute(select(second_rounds.c.draw).where(second_rounds.c.draw == number)).first() is not None:
        raise RefusedError("has its round already", where=row.name)
    pool = pool_at(connection, number)
    if not pool:
        raise _NothingError("no task ended before it", where=row.name)
    return row.name, make_round(number, bytes(row.seed), pool, DEFAULT_PARTS)


def _need_stranger(connection: Connection, task: str, person: str) -> None:
    """Refuse somebody who is or was on a task, or on another one of the same inspection."""
    number = connection.execute(select(inspection_tasks.c.declaration).where(inspection_tasks.c.task == task)).scalar()
    there = people_of(connection, task) | (frozenset() if number is None else inspectors_of(connection, number))
    if person in there:
        raise RefusedError(f"{person} was on the inspection: somebody else must look again", where=f"task {task}")


def _open(connection: Connection, task: str) -> Row[Any]:
    row = connection.execute(select(second_looks).where(second_looks.c.task == task)).first()
    if row is None:
        raise RefusedError("was not drawn for a second look", where=f"task {task[:64]}")
    return row


def _look(connection: Connection, row: Row[Any]) -> Look:
    given = {} if row.assigned_sheet is None else said(connection, bytes(row.assigned_sheet)) or {}
    found = {} if row.found_sheet is None else said(connection, bytes(row.found_sheet)) or {}
    facts = connection.execute(select(tasks.c.facts).where(tasks.c.task == row.task)).scalar()
    declaration = None if facts is None else declaration_of(connection, facts)
    whose = select(declarants.c.enterprise).where(declarants.c.declaration == declaration)
    return Look(
        task=row.task,
        drawn_at=row.drawn_at,
        drawn_ns=row.drawn_ns,
        assigned_at=row.assigned_at,
        to=given.get("to"),
        found_at=row.found_at,
        found_ns=row.found_ns,
        outcome=row.outcome,
        by=found.get("by"),
        text=found.get("text"),
        declaration=declaration,
        enterprise=None if declaration is None else connection.execute(whose).scalar(),
    )
