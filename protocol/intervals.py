"""Say when something happened as an interval that contains the true time, with the reasons for both ends.

What bounds an instant from outside the box:
- *not before*: a record names a checkpoint of the port log; it was signed after that checkpoint existed;
- *not after*: a checkpoint or an RFC 3161 token covers a record; it was signed before that checkpoint or token was made.

Records stand in order, so a bound on one bounds all that stand before or behind it. Inside one boot the box's monotonic clock
counts true time to within a stated drift, so that every bound, carried along it, narrows every instant of that boot. When the
bounds of a boot cannot all be true at that drift, its clock is not believed and order alone bounds; that is said. The box's wall
clock narrows nothing: it is a claim, compared with the interval. All quantities are integer ns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from protocol.instants import MILLISECOND_NS, SECOND_NS

# A quartz clock drifts by up to 100 ppm over the temperatures of a dock; what disciplines it may slew it by as much again.
DRIFT_PPM = 200
STEP_NS = 200 * MILLISECOND_NS  # a wall clock that moved by more than this against the monotonic one has stepped
ANNOUNCE_NS = 5 * SECOND_NS  # a step is a record this long after it happened, at the latest
_MILLION = 1_000_000
# UTC may repeat or leave out a second at the end of June and of December (ITU-R TF.460); nobody knows in advance whether it will.
_LEAPS = tuple(int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * SECOND_NS for year in range(1972, 2200) for month in (1, 7))


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound: the instant `mono_ns` of a boot is not before, or not after, `time_ns`."""

    mono_ns: int
    time_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the port log's time: a tree of `size` leaves, and an instant it existed after, or before."""

    size: int
    time_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class TimeInterval:
    """When an instant was, in Unix ns (None: not bounded on that side), why, and what the box's wall clock said of it."""

    earliest: int | None
    latest: int | None
    claimed: int
    reasons: tuple[str, ...] = ()

    @property
    def width(self) -> int | None:
        """Give the length; None when a side is open."""
        return None if self.earliest is None or self.latest is None else self.latest - self.earliest

    @property
    def is_inside(self) -> bool:
        """Tell whether the box's claim lies inside."""
        return self.error == 0

    @property
    def error(self) -> int:
        """Give by how much the claim is off at least: negative when the clock was behind, 0 inside."""
        if self.earliest is not None and self.claimed < self.earliest:
            return self.claimed - self.earliest
        if self.latest is not None and self.claimed > self.latest:
            return self.claimed - self.latest
        return 0


UNDATED = TimeInterval(None, None, 0)


class LogTimes:
    """What is known of when the port log had which size.

    `after`: a tree of this size, or a larger one, was made after that instant. `by`: a tree of this size existed by then.
    """

    def __init__(self, after: Iterable[Known], by: Iterable[Known]) -> None:
        lower = [replace(one, time_ns=one.time_ns - _leap_slack(one.time_ns, one.time_ns)) for one in after]
        upper = [replace(one, time_ns=one.time_ns + _leap_slack(one.time_ns, one.time_ns)) for one in by]
        self._after = _running(sorted(lower, key=lambda one: one.size), latest=True)
        self._by = _running(sorted(upper, key=lambda one: -one.size), latest=False)[::-1]
        self._after_sizes = [size for size, _ in self._after]
        self._by_sizes = [size for size, _ in self._by]

    def not_before(self, size: int) -> Known | None:
        """Give the latest instant after which a tree of `size` was made."""
        found = bisect_right(self._after_sizes, size)
        return self._after[found - 1][1] if found else None

    def not_after(self, index: int) -> Known | None:
        """Give the earliest instant by which leaf `index` was in the log."""
        found = bisect_right(self._by_sizes, index)
        return self._by[found][1] if found < len(self._by) else None


def _leap_slack(start: int, end: int) -> int:
    """Give by how much UTC may have run otherwise than evenly between two instants: a second where it may have leapt."""
    first = bisect_left(_LEAPS, min(start, end) - 2 * SECOND_NS)
    return SECOND_NS if first < len(_LEAPS) and _LEAPS[first] <= max(start, end) + 2 * SECOND_NS else 0


def _running(known: Sequence[Known], *, latest: bool) -> list[tuple[int, Known]]:
    """Give, for each place in a row, the latest (or earliest) time known up to it."""
    out: list[tuple[int, Known]] = []
    for one in known:
        best = out[-1][1] if out else one
        better = one.time_ns > best.time_ns if latest else one.time_ns < best.time_ns
        out.append((one.size, one if better else best))
    return out


class _Side:
    """The bounds of one boot on one side, with the tightest for whoever asks from behind or from before each of them.

    Bounds are carried along the clock at its slowest or fastest, whichever is safe; since all are carried alike, the one that is
    tightest at one place is so at every place further on.
    """

    def __init__(self, bounds: Iterable[Bound], drift_ppm: int, *, is_lower: bool) -> None:
        self._drift_ppm, self._is_lower = drift_ppm, is_lower
        self.bounds = sorted(bounds, key=lambda one: one.mono_ns)
        self._monos = [one.mono_ns for one in self.bounds]
        self._onwards = self._sweep(self.bounds)
        self._backwards = self._sweep(self.bounds[::-1])[::-1]
        ordered = self.bounds if is_lower else self.bounds[::-1]
        self._ordered: list[Bound] = []
        for one in ordered:
            self._ordered.append(one if not self._ordered else self._tightest((self._ordered[-1], one)))
        if not is_lower:
            self._ordered.reverse()

    def _tightest(self, bounds: Sequence[Bound]) -> Bound:
        return (max if self._is_lower else min)(bounds, key=lambda one: one.time_ns)

    def _sweep(self, bounds: Sequence[Bound]) -> list[Bound]:
        out: list[Bound] = []
        for one in bounds:
            if out and self._tightest((self.carry(out[-1], one.mono_ns), one)) is not one:
                out.append(out[-1])
            else:
                out.append(one)
        return out

    def carry(self, bound: Bound, mono_ns: int) -> Bound:
        """Give a bound as it bounds another instant of the boot."""
        length = mono_ns - bound.mono_ns
        slack = -(-abs(length) * self._drift_ppm // _MILLION) + _leap_slack(bound.time_ns, bound.time_ns + length)
        return Bound(mono_ns, bound.time_ns + length + (-slack if self._is_lower else slack), bound.reason)

    def at(self, mono_ns: int) -> Bound | None:
        """Give the tightest bound on an instant by the monotonic clock."""
        place = bisect_right(self._monos, mono_ns)
        found = [self.carry(self._onwards[place - 1], mono_ns)] if place else []
        if place < len(self._monos):
            found.append(self.carry(self._backwards[place], mono_ns))
        return self._tightest(found) if found else None

    def by_order(self, mono_ns: int) -> Bound | None:
        """Give the tightest bound on an instant by order alone: what stands before is earlier, what stands behind is later."""
        if self._is_lower:
            place = bisect_right(self._monos, mono_ns)
            return self._ordered[place - 1] if place else None
        place = bisect_left(self._monos, mono_ns)
        return self._ordered[place] if place < len(self._monos) else None


class BootTimes:
    """What bounds the instants of one boot of a box. `contradiction` says why its monotonic clock is not believed; else empty."""

    def __init__(self, lower: Iterable[Bound], upper: Iterable[Bound], *, drift_ppm: int = DRIFT_PPM) -> None:
        self._low = _Side(lower, drift_ppm, is_lower=True)
        self._high = _Side(upper, drift_ppm, is_lower=False)
        self.contradiction = self._find_contradiction()

    def _find_contradiction(self) -> str:
        for high in self._high.bounds:
            low = self._low.at(high.mono_ns)
            if low is not None and low.time_ns > high.time_ns:
                off = (low.time_ns - high.time_ns) // MILLISECOND_NS
                return f"the monotonic clock contradicts the log by {off} ms ({low.reason}; {high.reason})"
        return ""

    def at(self, mono_ns: int, claimed: int) -> TimeInterval:
        """Give the interval of an instant; `claimed` is the box's wall clock's word on it."""
        believed = not self.contradiction
        low = self._low.at(mono_ns) if believed else self._low.by_order(mono_ns)
        high = self._high.at(mono_ns) if believed else self._high.by_order(mono_ns)
        reasons = [self.contradiction] if self.contradiction else []
        reasons += [f"not before: {low.reason}"] if low else []
        reasons += [f"not after: {high.reason}"] if high else []
        earliest, latest = low.time_ns if low else None, high.time_ns if high else None
        if earliest is not None and latest is not None and earliest > latest:
            earliest, latest = latest, earliest  # nothing narrower than both is known
            reasons.append("the times of the log contradict its order")
        return TimeInterval(earliest, latest, claimed, tuple(reasons))


@dataclass(slots=True)
class WallWatch:
    """Compare the wall clock with the monotonic one, record by record: what moves without a clock-step record is a fault."""

    offset: int | None = None  # wall minus monotonic, since the last step
    since: int | None = None  # monotonic ns at which it was first seen elsewhere

    def take(self, wall_ns: int, mono_ns: int, *, is_step: bool) -> str:
        """Take a record's clocks, and whether it announces a step; say what is wrong, empty when nothing is."""
        now = wall_ns - mono_ns
        if self.offset is None or is_step:
            self.offset, self.since = now, None
        elif abs(now - self.offset) <= 2 * STEP_NS:
            self.since = None
        elif self.since is None:
            self.since = mono_ns
        elif mono_ns - self.since > ANNOUNCE_NS:
            moved = (now - self.offset) // MILLISECOND_NS
            self.offset, self.since = now, None
            return f"the wall clock moved by {moved} ms against the monotonic one, and no clock-step record says so"
        return ""
