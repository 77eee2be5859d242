"""Decide which stretches of which streams belong to a task: the rule that hub and verifier both compute.

A paired recorder's stream belongs from the box's pairing record to its unpairing record, or to the task's end; a late
pairing reaches back to the instant it names. The bay's cameras belong from the task's opening to its end. A segment or gap
belongs when it overlaps the stretch, so what was open at either edge is in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from protocol.errors import MalformedError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS, Interval

FOREVER_NS = 2**62
PLANNED_END = "planned end"  # a fact of a task


@dataclass(frozen=True, slots=True)
class Bond:
    """A pairing that took effect: instants are wall ns of the box's records; `end` None while it lasts."""

    stream: StreamId
    start: int
    end: int | None = None
    late_from: int | None = None


@dataclass(frozen=True, slots=True)
class TaskSpan:
    """A task's opening, end (None while open) and its bay's cameras."""

    opened: int
    ended: int | None
    cameras: tuple[StreamId, ...]


def stretches(span: TaskSpan, bonds: Iterable[Bond]) -> dict[StreamId, list[Interval]]:
    """Give, per stream, the wall intervals that belong to the task, merged and in order."""
    end = span.ended if span.ended is not None else FOREVER_NS
    found: dict[StreamId, list[Interval]] = {}
    for camera in span.cameras:
        found.setdefault(camera, []).append(_bounded(span.opened, end))
    for bond in bonds:
        start = bond.start if bond.late_from is None else min(bond.start, bond.late_from)
        until = min(end, bond.end if bond.end is not None else FOREVER_NS)
        found.setdefault(bond.stream, []).append(_bounded(start, until))
    return {stream: merge(intervals) for stream, intervals in found.items()}


def _bounded(start: int, end: int) -> Interval:
    return Interval(start, max(start, end))


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Join intervals that touch or overlap; give them in order."""
    out: list[Interval] = []
    for interval in sorted(intervals):
        if out and interval.start <= out[-1].end:
            out[-1] = Interval(out[-1].start, max(out[-1].end, interval.end))
        else:
            out.append(interval)
    return out


def belongs(piece: Interval, stream: StreamId, linked: Mapping[StreamId, list[Interval]]) -> bool:
    """Tell whether a segment's or gap's wall interval overlaps a stretch of its stream."""
    return any(piece.overlaps(stretch) for stretch in linked.get(stream, ()))


def planned_end(facts: Iterable[tuple[str, str]]) -> int | None:
    """Give when a task is to end (Unix ns), from its fact `planned end`: RFC 3339 with an offset; None when it has none.

    Raises MalformedError when it is no such time.
    """
    text = next((text for name, text in facts if name == PLANNED_END), None)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise MalformedError(f"{text[:40]!r} is no time with an offset (2026-03-01T17:30:00+08:00)", where=f"task.facts {PLANNED_END!r}")
    return int(at.timestamp()) * SECOND_NS


def check_late(late_from: int | None, second: str | None, reason: str | None, by: str) -> None:
    """Check that a late pairing names a second person and a reason; raise MalformedError when it does not."""
    if late_from is None:
        return
    if not second or second == by:
        raise MalformedError("a late pairing needs a second person", where="pairing.second")
    if not reason or not reason.strip():
        raise MalformedError("a late pairing needs a reason", where="pairing.reason")
