"""Account for every instant of a recording period: segment, gap with a cause, or unexplained (invariant S2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.instants import MILLISECOND_NS, Interval
from protocol.linking import merge


@dataclass(frozen=True, slots=True)
class GapSpan:
    """A gap inside the period, with its cause."""

    interval: Interval
    cause: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What became of a period. Times in ns; `recorded + gaps + unexplained` is the period's length."""

    period: Interval
    recorded_ns: int
    gaps: tuple[GapSpan, ...]
    gap_ns: int
    unexplained: tuple[Interval, ...]

    @property
    def unexplained_ns(self) -> int:
        """Give the time that is in neither segment nor gap."""
        return sum(interval.length for interval in self.unexplained)

    @property
    def percent(self) -> float:
        """Give the recorded share in percent."""
        return 100.0 * self.recorded_ns / self.period.length if self.period.length else 100.0


def account(period: Interval, segments: Iterable[Interval], gaps: Iterable[GapSpan], *, slack_ns: int = MILLISECOND_NS) -> Coverage:
    """Account for `period`; holes of at most `slack_ns` between pieces count as recorded (rounding of neighbouring clocks).

    Where a segment and a gap overlap, the segment wins.
    """
    recorded = _fill(clip(merge(segments), period), slack_ns)
    spans = [GapSpan(part, gap.cause) for gap in gaps for part in clip([gap.interval], period)]
    explained = merge([*recorded, *(span.interval for span in spans)])
    gap_parts = subtract(merge(span.interval for span in spans), recorded)
    unexplained = [hole for hole in subtract([period], explained) if hole.length > slack_ns]
    lost = sum(part.length for part in gap_parts)
    unknown = sum(hole.length for hole in unexplained)
    return Coverage(period, period.length - lost - unknown, tuple(sorted(spans, key=_start)), lost, tuple(unexplained))


def _start(span: GapSpan) -> int:
    return span.interval.start


def clip(intervals: Iterable[Interval], period: Interval) -> list[Interval]:
    """Give the parts of `intervals` inside `period`."""
    return [Interval(max(part.start, period.start), min(part.end, period.end)) for part in intervals if part.overlaps(period)]


def subtract(intervals: Iterable[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """Give what is left of `intervals` outside `holes`; both in order, without overlap."""
    out: list[Interval] = []
    for interval in intervals:
        start = interval.start
        for hole in holes:
            if hole.end <= start or hole.start >= interval.end:
                continue
            if hole.start > start:
                out.append(Interval(start, hole.start))
            start = max(start, hole.end)
        if start < interval.end:
            out.append(Interval(start, interval.end))
    return out


def _fill(intervals: list[Interval], slack_ns: int) -> list[Interval]:
    out: list[Interval] = []
    for interval in intervals:
        if out and interval.start - out[-1].end <= slack_ns:
            out[-1] = Interval(out[-1].start, max(out[-1].end, interval.end))
        else:
            out.append(interval)
    return out
