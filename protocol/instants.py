"""Hold instants and intervals, and what is known of the clock that read them.

Time is an interval: a wall reading is only a claim beside the monotonic one and the sync state. All quantities are integer
nanoseconds; wall time counts from the Unix epoch, monotonic time from an arbitrary point of one boot.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from protocol.errors import MalformedError

MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000

SyncState = Literal["synced", "holdover", "unsynced"]
SYNC_STATES: tuple[SyncState, ...] = ("synced", "holdover", "unsynced")


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of a clock: wall and monotonic ns, sync state and the bound on its error in ms (None: unknown)."""

    wall_ns: int
    mono_ns: int
    sync: SyncState = "unsynced"
    error_ms: int | None = None

    def iso(self) -> str:
        """Give the wall time as RFC 3339 with milliseconds, in UTC."""
        return iso(self.wall_ns)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The half-open stretch [start, end) in ns.

    Raises MalformedError when end precedes start.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise MalformedError(f"interval ends at {self.end} before it starts at {self.start}", where="interval")

    @property
    def length(self) -> int:
        """Give the length in ns."""
        return self.end - self.start

    def overlaps(self, other: "Interval") -> bool:
        """Tell whether the two share any instant."""
        return self.start < other.end and other.start < self.end


class Clock(Protocol):
    """Reads time. The one real reader is `storage.clock.SystemClock`; tests and simulators pass their own."""

    def now(self) -> Instant:
        """Read wall, monotonic and sync state together."""

    def monotonic_ns(self) -> int:
        """Read monotonic time only; cheap enough for every packet."""


def iso(wall_ns: int) -> str:
    """Format Unix ns as RFC 3339 with milliseconds, in UTC; integer arithmetic only. What is no year is given in seconds."""
    seconds, rest = divmod(wall_ns, SECOND_NS)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // MILLISECOND_NS:03d}Z"
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
