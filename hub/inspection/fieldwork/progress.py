"""Let declarations take the steps that work on site brings about by itself, and say when full video stays away too long.

Guarantees: `paired` follows the first recorder whose own box says that it is bound, `inspecting` the first act behind the first step of
the procedure, each by rule and once, judged by the guards where it enters the log.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy import Connection, and_, select

from hub.core import Core
from hub.inspection.declarations import Declarations
from hub.inspection.fieldwork.acts import conduct_of
from hub.inspection.fieldwork.completeness import judge_all
from hub.inspection.fieldwork.tables import SiteTask, site_task, tasks_of
from hub.inspection.fieldwork.tickets import Tickets
from hub.inspection.published import procedure_of
from hub.inspection.states import State
from hub.sequencer import Publication
from protocol import kinds
from protocol.errors import PortwitnessError, RefusedError
from protocol.identifiers import BoxId
from protocol.inspection_kinds import Step
from protocol.instants import SECOND_NS
from protocol.procedures.acts import Given, Moved
from protocol.procedures.conduct import Conduct
from protocol.procedures.model import Procedure
from protocol.records import SignedRecord
from protocol.work_kinds import Work
from storage.fieldwork_schema import inspection_tasks, work_acts
from storage.schema import bonds, standings, tasks

RULE = "fieldwork/1"
LOOK_S = 5.0  # pairings come by the boxes' journals, not by the log
OVERDUE_S = 600.0
HOUR_NS = 3600 * SECOND_NS
AT_ONCE = 200
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """What goes on by itself. Use as an async context manager."""

    core: Core
    declarations: Declarations
    tickets: Tickets
    _told: list[tuple[BoxId, tuple[SignedRecord, ...]]] = field(default_factory=list)
    _tasks: tuple[asyncio.Task[None], ...] = ()
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _rung: set[str] = field(default_factory=set)

    async def __aenter__(self) -> "Progress":
        self.core.sequencer.listeners.append(self.published)
        self._wake.set()
        self._tasks = (
            asyncio.create_task(self._run(), name="fieldwork"),
            asyncio.create_task(self._watch(), name="video overdue"),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.core.sequencer.listeners.remove(self.published)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def published(self, publication: Publication) -> None:
        """Look again when something was logged that may bring a step about."""
        if any(isinstance(signed.record.body, Step | Work | kinds.Task) for signed in publication.records):
            self._wake.set()

    def told(self, box: BoxId, pairings: tuple[SignedRecord, ...]) -> None:
        """Take note of pairings that a box told of."""
        self._told.append((box, pairings))
        self._wake.set()

    async def go_on(self) -> int:
        """Let every declaration take the step that is due; give how many did."""
        taken = 0
        async with self._busy:
            for number, to, place in await self.core.database.read(_due):
                with suppress(RefusedError):  # it was withdrawn or moved on meanwhile
                    await self.declarations.step(number, to, place, rule=RULE)
                    taken += 1
        if taken:
            self._wake.set()
        return taken

    async def ring_overdue(self) -> int:
        """Ring for tasks whose full video is still on the box when its time is over; give how many."""
        hours = self.core.settings.fieldwork.video_hours
        before_ns = self.core.clock.now().wall_ns - hours * HOUR_NS
        late = await self.core.database.read(lambda connection: _overdue(connection, before_ns))
        for task, pieces in late:
            if task not in self._rung:
                self._rung.add(task)
                await self.core.alarms.ring("video overdue", task, f"{pieces} segments are not at the hub {hours} h after the task ended")
        return len(late)

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.go_on()
                while self._told:
                    await self.tickets.noted(*self._told.pop(0))
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("fieldwork: %s", error)

    async def _watch(self) -> None:
        while True:
            try:
                await self.ring_overdue()
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("video overdue: %s", error)
            await asyncio.sleep(OVERDUE_S)


def _due(connection: Connection) -> list[tuple[str, State, dict[str, str]]]:
    waiting = (State.POSITIONED.value, State.PAIRED.value)
    query = select(standings.c.declaration, standings.c.state).where(standings.c.state.in_(waiting)).limit(AT_ONCE * 10)
    found: list[tuple[str, State, dict[str, str]]] = []
    for row in connection.execute(query).all():
        opened = tasks_of(connection, row.declaration)
        if row.state == State.POSITIONED.value:
            stream = _first_bond(connection, opened)
            found += [(row.declaration, State.PAIRED, {"recorder": stream})] if stream is not None else []
        else:
            act = next((one for one in (_first_act(connection, task) for task in opened) if one is not None), None)
            found += [(row.declaration, State.INSPECTING, {"act": act})] if act is not None else []
    return found[:AT_ONCE]


def _first_bond(connection: Connection, opened: Sequence[SiteTask]) -> str | None:
    """Give the recorder that was bound first to one of the tasks, by its own box's record."""
    names = [one.task for one in opened]
    query = select(bonds.c.stream).where(bonds.c.task.in_(names), bonds.c.state == "paired").order_by(bonds.c.wall_ns).limit(1)
    return connection.execute(query).scalar() if names else None


def _first_act(connection: Connection, task: SiteTask) -> str | None:
    """Give the first act behind the procedure's first step; of a procedure of one step, the first at all."""
    if connection.execute(select(work_acts.c.position).where(work_acts.c.task == task.task).limit(1)).first() is None:
        return None
    procedure = procedure_of(connection, task.sha256)
    return first_behind(conduct_of(connection, task, procedure), procedure)


def first_behind(conduct: Conduct, procedure: Procedure) -> str | None:
    """Give the id of the first act that belongs to a step behind the first one; pure."""
    late = {step.key for step in procedure.steps[1:]} or {procedure.steps[0].key}
    for one in conduct.acts:
        if isinstance(one.payload, Moved) and one.payload.event == "start" and one.payload.step in late:
            return one.act.id
        if isinstance(one.payload, Given) and any(procedure.items[answer.item][0].step in late for answer in one.payload.answers):
            return one.act.id
    return None


def _overdue(connection: Connection, before_ns: int) -> list[tuple[str, int]]:
    """Give the tasks that ended before then and whose video is not all at the hub."""
    ended = and_(tasks.c.state == "ended", tasks.c.ended_ns < before_ns, tasks.c.ended_ns > before_ns - 30 * 24 * HOUR_NS)
    query = select(inspection_tasks.c.task).join(tasks, tasks.c.task == inspection_tasks.c.task).where(ended).limit(AT_ONCE)
    found = []
    for name in connection.execute(query).scalars():
        later = sum(one.to_follow for one in judge_all(connection, [site_task(connection, name)]))
        found += [(str(name), later)] if later else []
    return found
