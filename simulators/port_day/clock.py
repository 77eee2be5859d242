"""Tell the time of a simulated day: it moves only when it is told to, and never back."""

from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.instants import MILLISECOND_NS, SECOND_NS, Instant


@dataclass(slots=True)
class VirtualClock:
    """A clock in virtual time; its monotonic reading began a thousand seconds before the day."""

    begins_ns: int
    wall_ns: int = 0

    def __post_init__(self) -> None:
        self.wall_ns = self.wall_ns or self.begins_ns

    def now(self) -> Instant:
        """Read wall and monotonic time together."""
        return Instant(self.wall_ns, self.monotonic_ns(), "synced", 5)

    def monotonic_ns(self) -> int:
        """Read monotonic time."""
        return self.wall_ns - self.begins_ns + 1000 * SECOND_NS

    def now_ms(self) -> int:
        """Read wall time in ms."""
        return self.wall_ns // MILLISECOND_NS

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.set(self.wall_ns + round(seconds * SECOND_NS))

    def set(self, wall_ns: int) -> None:
        """Move to a time; raise MalformedError for one that is over."""
        if wall_ns < self.wall_ns:
            raise MalformedError("time does not go back", where="virtual clock")
        self.wall_ns = wall_ns
