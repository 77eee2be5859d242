"""Keep who holds something open - an event stream, a live view, a playback - and end it when they may no longer.

Guarantees: what was opened under a login or token ends within seconds after that login or token ended, or its person was disabled
or given another role or party, whichever process of the hub did it; the page may then ask again, and is judged anew.
"""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

from hub.app import Hub
from protocol.errors import PortwitnessError
from web.guards import Caller

RECHECK_S = 2.0  # people are also changed by the command line, which cannot wake this process
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Guest:
    caller: Caller
    end: Callable[[], Awaitable[None]]
    is_open: Callable[[], bool]


@dataclass(slots=True)
class Presence:
    """What is held open now. One read tells how all of it stands."""

    hub: Hub
    recheck_s: float = RECHECK_S
    _guests: dict[int, _Guest] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _task: asyncio.Task[None] | None = None

    def enter(self, caller: Caller, end: Callable[[], Awaitable[None]], is_open: Callable[[], bool] = lambda: True) -> int:
        """Keep something open for a caller until `leave` or until `is_open` says no; `end` ends it. Give its number."""
        number = next(self._numbers)
        self._guests[number] = _Guest(caller, end, is_open)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="presence")
        return number

    def leave(self, number: int) -> None:
        """Say that it ended."""
        self._guests.pop(number, None)

    async def close(self) -> None:
        """Stop looking: the hub stops."""
        self._guests.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        """Look while something is open, at once when this hub changes people."""
        changed = self.hub.access.changed
        while self._guests:
            try:
                async with asyncio.timeout(self.recheck_s):
                    await changed.wait()
            except TimeoutError:
                pass
            changed.clear()
            try:
                await self._look()
            except PortwitnessError as error:  # supervision: said, and looked again
                _LOG.error("who may stay is not known: %s", error)
                await asyncio.sleep(self.recheck_s)

    async def _look(self) -> None:
        for number in [number for number, guest in self._guests.items() if not guest.is_open()]:
            self.leave(number)
        standing = await self.hub.access.holding({guest.caller.key for guest in self._guests.values()})
        for number, guest in list(self._guests.items()):
            person = standing.get(guest.caller.key)
            if person is None or (person.name, person.role, person.party) != (guest.caller.person, guest.caller.role, guest.caller.party):
                self.leave(number)
                await self._end(guest)

    async def _end(self, guest: _Guest) -> None:
        try:
            await guest.end()
        except PortwitnessError as error:
            await self.hub.alarms.ring("view not recorded", guest.caller.person, str(error))
