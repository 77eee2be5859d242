"""Let several people act side by side in virtual time: each course is a chain of acts with pauses between, and the earliest goes next.

Guarantees: nothing runs at the same time as another; the order depends on the pauses and on the order of starting alone.
"""

import heapq
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from protocol.instants import SECOND_NS
from simulators.port_day.clock import VirtualClock

Course = AsyncIterator[float]  # yields how many seconds pass before its next act


@dataclass(slots=True)
class Agenda:
    """What is to happen when."""

    clock: VirtualClock
    _due: list[tuple[int, int, Course]] = field(default_factory=list)
    _started: int = 0

    def start(self, course: Course, after_s: float = 0.0) -> None:
        """Begin a course after some seconds."""
        self._push(course, after_s)

    def _push(self, course: Course, after_s: float) -> None:
        self._started += 1
        heapq.heappush(self._due, (self.clock.wall_ns + round(after_s * SECOND_NS), self._started, course))

    async def run(self) -> None:
        """Go on until every course is over."""
        while self._due:
            at_ns, _, course = heapq.heappop(self._due)
            self.clock.set(max(at_ns, self.clock.wall_ns))
            pause_s = await anext(course, None)
            if pause_s is not None:
                self._push(course, pause_s)
