"""Do by rule what needs no person: hold what was selected and what was added to it, release what is free, recall what went bad.

Guarantees: each is decided in the log, so that doing it twice changes nothing; what cannot be done yet is tried again when its declaration
moves, and from time to time; evidence that goes bad leads to a look at every release that is not out of the gate yet.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy import Connection, or_, select

from hub.core import Core
from hub.exchange.telling import listeners
from hub.inspection.releasing.releasing import NOBODY_TO_TELL, Releases
from hub.inspection.states import State
from hub.sequencer import Publication
from protocol import kinds
from protocol.conduct_kinds import Sample
from protocol.errors import PortwitnessError, RefusedError, VerificationError
from protocol.inspection_kinds import Declaration, Hold, Step
from protocol.instants import SECOND_NS
from protocol.records import Record
from protocol.work_kinds import DeviceKey, SystemNote, Work
from storage.fieldwork_schema import inspection_tasks
from storage.schema import standings

LOOK_S = 5.0
AGAIN_NS = 60 * SECOND_NS  # what was refused is tried again after this, or when it moved
_NEVER = 2**63
MOST = 500  # declarations at a look, names in a query
DIFFER, UNJUDGED = "log and tables differ", "release cannot be judged"
_WAITING = (State.SELECTED, State.DIRECT_RELEASE, State.PASSED)
_BAD = kinds.Equivocation | kinds.Rollback | kinds.Fork | kinds.Disposal
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class ByRule:
    """The worker. Use as an async context manager; it does nothing where `automatic` is off."""

    core: Core
    releases: Releases
    automatic: bool
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _tried: dict[str, tuple[int, int]] = field(default_factory=dict)
    _versions: dict[str, tuple[int, int]] = field(default_factory=dict)  # of goods on hold, with when to look again
    _looked_back_ns: int = 0
    _looked_at: str = ""  # the last declaration of the last look from time to time
    _bad: bool = True  # all releases are looked at; after a restart each is, once
    _suspects: set[str] = field(default_factory=set)  # declarations and tasks that records since then concern
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "ByRule":
        if self.automatic:
            self.core.sequencer.listeners.append(self._published)
            self._task = asyncio.create_task(self._run(), name="releases by rule")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _published(self, publication: Publication) -> None:
        bodies = [one.record.body for one in publication.records]
        self._bad = self._bad or any(is_bad(body) for body in bodies)
        self._suspects |= {name for one in publication.records if (name := _concerned(one.record)) is not None}
        if self._bad or self._suspects or any(isinstance(body, Declaration | Step) for body in bodies):
            self._woken.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.go_on()
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("releases by rule: %s", error)

    async def go_on(self) -> int:
        """Do what can be done now; give how many declarations moved."""
        now_ns = self.core.clock.now().wall_ns
        waiting, told = await self.core.database.read(_waiting)
        moved = 0
        for number, state, position in self._due(waiting, now_ns):
            if state is State.SELECTED and not told:
                await self.core.alarms.ring(NOBODY_TO_TELL, number, "no partner of role terminal is known")
                continue
            self._tried[number] = (position, now_ns)
            moved += await self._try(number, state)
        self._tried = {number: self._tried[number] for number, _, _ in waiting if number in self._tried}
        moved += await self._hold_added(told, now_ns)
        if self._bad:
            self._bad, self._looked_back_ns = False, now_ns
            moved += await self._look_back(await self.core.database.read(_released))
        elif now_ns - self._looked_back_ns >= AGAIN_NS:
            self._looked_back_ns = now_ns
            some = await self.core.database.read(lambda connection: _released(connection, self._looked_at, MOST))
            self._looked_at = some[-1] if len(some) == MOST else ""  # the next look goes on behind it
            moved += await self._look_back(some)
        elif self._suspects:
            suspects, self._suspects = self._suspects, set()
            moved += await self._look_back(await self.core.database.read(lambda connection: _released_of(connection, suspects)))
        return moved

    async def _hold_added(self, told: bool, now_ns: int) -> int:
        """Tell the port of boxes that came to goods on hold: each version once, and again after a while where that failed."""
        amended = await self.core.database.read(_amended)
        self._versions = {number: one for number, one in self._versions.items() if amended.get(number) == one[0]}
        moved = 0
        for number, version in amended.items():
            if now_ns < self._versions.get(number, (0, 0))[1]:
                continue
            self._versions[number] = (version, now_ns + AGAIN_NS)
            try:
                moved += await self.releases.hold_added(number) is not None
                self._versions[number] = (version, _NEVER)
            except RefusedError as error:
                if told:
                    _LOG.debug("releases by rule: %s", error)
                else:
                    await self.core.alarms.ring(NOBODY_TO_TELL, number, str(error)[:900])
            except PortwitnessError as error:  # one that cannot be told holds up no other
                await self._ring(number, error)
        return moved

    def _due(self, waiting: Sequence[tuple[str, State, int]], now_ns: int) -> list[tuple[str, State, int]]:
        """Give what to try now: what moved, or was not tried for a while; what waited longest since its last try first."""
        found = []
        for number, state, position in waiting:
            before = self._tried.get(number)
            if before is None or before[0] != position or now_ns - before[1] >= AGAIN_NS:
                found.append((0 if before is None else before[1], (number, state, position)))
        return [one for _, one in sorted(found, key=lambda each: each[0])[:MOST]]

    async def _try(self, number: str, state: State) -> int:
        try:
            await (self.releases.hold(number) if state is State.SELECTED else self.releases.release_by_rule(number))
        except RefusedError as error:
            _LOG.debug("releases by rule: %s", error)
            return 0
        except PortwitnessError as error:  # one that cannot be judged holds up no other
            await self._ring(number, error)
            return 0
        return 1

    async def _look_back(self, numbers: Sequence[str]) -> int:
        moved = 0
        for number in numbers:
            try:
                moved += await self.releases.look_back(number) is not None
            except RefusedError as error:
                _LOG.debug("releases by rule: %s", error)
            except PortwitnessError as error:  # one that cannot be judged keeps no other from being recalled
                await self._ring(number, error)
        return moved

    async def _ring(self, number: str, error: PortwitnessError) -> None:
        what = DIFFER if isinstance(error, VerificationError) else UNJUDGED
        await self.core.alarms.ring(what, number, str(error)[:900])


def is_bad(body: object) -> bool:
    """Tell whether a record may turn the evidence of any earlier release bad."""
    return isinstance(body, _BAD) or (isinstance(body, kinds.Enrolment | DeviceKey) and body.state == "revoked")


def _concerned(record: Record) -> str | None:
    """Give the declaration, or the task, whose evidence a record may turn bad."""
    if isinstance(record.body, Sample):
        return record.body.declaration
    return record.subject if isinstance(record.body, Hold | Work | SystemNote) else None


def _waiting(connection: Connection) -> tuple[list[tuple[str, State, int]], bool]:
    found = []
    for state in _WAITING:
        query = select(standings.c.declaration, standings.c.position).where(standings.c.state == state.value)
        rows = connection.execute(query.order_by(standings.c.lodged_ns)).all()
        found += [(row.declaration, state, row.position) for row in rows]
    return found, bool(listeners(connection))


def _amended(connection: Connection) -> dict[str, int]:
    """Give the declarations on hold that were amended, with their versions."""
    over = (State.RELEASED, State.GATE_OUT, State.FOLLOW_UP, State.ARCHIVED)
    states = [state.value for state in State if state not in over]  # named, so that the index by state serves
    query = select(standings.c.declaration, standings.c.version).where(standings.c.state.in_(states), standings.c.held.is_(True))
    return {row.declaration: row.version for row in connection.execute(query.where(standings.c.version > 1))}


def _released(connection: Connection, after: str = "", most: int | None = None) -> list[str]:
    """Give what is released and not out of the gate, by number; `after`: behind this one."""
    query = select(standings.c.declaration).where(standings.c.state == State.RELEASED.value)
    return list(connection.execute(query.where(standings.c.declaration > after).order_by(standings.c.declaration).limit(most)).scalars())


def _released_of(connection: Connection, names: set[str]) -> list[str]:
    """Give those of some declarations, or of some tasks' declarations, that are released and not out of the gate."""
    found, every = dict[str, None](), sorted(names)
    for at in range(0, len(every), MOST):
        some = every[at : at + MOST]
        of_tasks = select(inspection_tasks.c.declaration).where(inspection_tasks.c.task.in_(some))
        mine = or_(standings.c.declaration.in_(some), standings.c.declaration.in_(of_tasks))
        query = select(standings.c.declaration).where(standings.c.state == State.RELEASED.value, mine)
        found |= dict.fromkeys(connection.execute(query).scalars())
    return list(found)
