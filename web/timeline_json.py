"""Write a task's lanes as JSON: thousands of pieces at once, so past the models that describe them (`schemas.TimelineAnswer`).

Guarantees: what is written reads as a `TimelineAnswer`; a test holds one against the other.
"""

from collections.abc import Collection
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from hub.values import Lane, LaneGap, LaneSegment, Timeline
from protocol.identifiers import Issuer, StreamId
from protocol.instants import MILLISECOND_NS

Row = dict[str, Any]


def answer(line: Timeline, owing: Collection[str] = ()) -> Response:
    """Answer with a task's lanes."""
    return Response(timeline_json(line, owing), media_type="application/json")


def timeline_json(line: Timeline, owing: Collection[str] = ()) -> bytes:
    """Write a task's lanes; `owing` are the boxes whose newest records may still come."""
    lanes = [_lane(lane, StreamId(lane.stream).box in owing) for lane in line.lanes]
    ends = {"from_ms": line.from_ns / MILLISECOND_NS, "to_ms": line.until_ns / MILLISECOND_NS}
    return to_json({"task": line.task.task, **ends, "lanes": lanes, "detail": line.detail})


def _lane(lane: Lane, is_owed: bool) -> Row:
    issuer = str(Issuer.of_box(StreamId(lane.stream).box))
    signed = [_gap(gap, issuer) for gap in lane.gaps]
    # a journal comes in order: only behind the last piece that is here can a record be on its way
    newest = max([*(piece.wall_to for piece in lane.segments), *(hole.wall_to for hole in lane.gaps)], default=0)
    unsigned = [_unexplained(start, end, is_owed and end > newest) for start, end in lane.unexplained]
    return {
        "stream": lane.stream,
        "role": lane.role,
        "late": lane.late,
        "linked": [(start / MILLISECOND_NS, end / MILLISECOND_NS) for start, end in lane.stretches],
        "segments": [_segment(segment, issuer) for segment in lane.segments],
        "gaps": sorted([*signed, *unsigned], key=_begin),
        "coverage": {
            "period_ms": sum(part.period.length for part in lane.coverage) / MILLISECOND_NS,
            "recorded_ms": sum(part.recorded_ns for part in lane.coverage) / MILLISECOND_NS,
            "gap_ms": sum(part.gap_ns for part in lane.coverage) / MILLISECOND_NS,
            "unexplained_ms": lane.unexplained_ms,
            "percent": lane.percent,
        },
        "spans": [
            (span.start_ns / MILLISECOND_NS, span.recorded_ns / MILLISECOND_NS, span.gap_ns / MILLISECOND_NS, span.pieces)
            for span in lane.spans
        ],
        "span_ms": lane.span_ns / MILLISECOND_NS,
    }


def _begin(piece: Row) -> float:
    found: float = piece["from_ms"]
    return found


def _segment(segment: LaneSegment, issuer: str) -> Row:
    return {
        "state": segment.state,
        "from_ms": segment.wall_from / MILLISECOND_NS,
        "to_ms": segment.wall_to / MILLISECOND_NS,
        "sha256": segment.sha256.hex(),
        "size": segment.size,
        "number": segment.number,
        "run": segment.run,
        "media_from": segment.media_from,
        "recovered": segment.kind == "recovered",
        "bound": segment.bound,
        "why": segment.detail,
        "record": {"issuer": issuer, "epoch": segment.epoch, "position": segment.position},
    }


def _gap(gap: LaneGap, issuer: str) -> Row:
    place = {"issuer": issuer, "epoch": gap.epoch, "position": gap.position}
    times = {"from_ms": gap.wall_from / MILLISECOND_NS, "to_ms": gap.wall_to / MILLISECOND_NS}
    return {"state": "gap", **times, "cause": gap.cause, "detail": gap.detail, "record": place}


def _unexplained(start: int, end: int, is_owed: bool) -> Row:
    times = {"from_ms": start / MILLISECOND_NS, "to_ms": end / MILLISECOND_NS}
    return {"state": "unknown" if is_owed else "failed", **times, "cause": "unexplained", "detail": "", "record": None}
