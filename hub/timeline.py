"""Lay a task out in lanes: segments with their state, signed gaps with their cause, and what neither explains.

Guarantees: a segment is *verified* when its record stands in the mirrored journal under a published seal and its blob is
stored, having hashed to the record; *pending* while one of these is missing; *failed* when the blob does not fit or two records
claim its position. Each query is an index lookup bounded by the task's stretch, whatever the history.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Row, and_, select

from hub.bonds import bonds_of, pairing_states
from hub.core import Core
from hub.lookups import covered_size
from hub.tasks import facts_of
from hub.uploads import DISPOSED, Blobs
from hub.values import Lane, LaneGap, LaneSegment, SegmentState, Timeline
from protocol.coverage import Coverage, GapSpan, account, clip
from protocol.errors import RefusedError
from protocol.identifiers import Issuer, StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS, Interval
from protocol.linking import Bond, TaskSpan, merge, stretches
from storage.schema import blobs, equivocations, gaps, recordings, segments, streams, tasks

LAG_NS = 30 * SECOND_NS  # what the newest seconds may still owe: the open segment, the way, the seal


@dataclass(frozen=True, slots=True)
class TaskTimeline:
    """The timelines of tasks."""

    core: Core
    blobs: Blobs

    async def task(self, task: str) -> Timeline:
        """Give a task's lanes; raise RefusedError when there is no such task."""
        now_ns = self.core.clock.now().wall_ns
        return await self.core.database.read(lambda connection: timeline(connection, task, now_ns))

    async def segment(self, sha256: bytes) -> Path:
        """Give the file of a stored segment; raise StorageError when it is not stored."""
        return await self.blobs.open(sha256)


def timeline(connection: Connection, task: str, now_ns: int) -> Timeline:
    """Give a task's lanes as of now."""
    row = connection.execute(select(tasks).where(tasks.c.task == task)).first()
    if row is None:
        raise RefusedError("is not known", where=f"task {task[:64]}")
    facts = facts_of(row, pairing_states(connection, task))
    bonds = bonds_of(connection, task)
    span = TaskSpan(facts.opened_ns, facts.ended_ns, tuple(StreamId(camera) for camera in facts.cameras))
    linked = stretches(span, bonds)
    reader = _Lanes(connection, now_ns, set(span.cameras), bonds)
    lanes = tuple(reader.lane(stream, linked[stream]) for stream in sorted(linked))
    starts = [stretch.start for parts in linked.values() for stretch in parts]
    return Timeline(facts, min([facts.opened_ns, *starts]), facts.ended_ns if facts.ended_ns is not None else now_ns, lanes)


@dataclass(slots=True)
class _Lanes:
    connection: Connection
    now_ns: int
    cameras: set[StreamId]
    bonds: list[Bond]

    def lane(self, stream: StreamId, parts: list[Interval]) -> Lane:
        pieces, holes = tuple(self._segments(stream, parts)), tuple(self._gaps(stream, parts))
        newest = max([piece.wall_to for piece in pieces] + [hole.wall_to for hole in holes], default=0)
        today = max(self.now_ns, newest)  # a box's clock may run ahead of the hub's
        bounded = [Interval(part.start, max(part.start, min(part.end, today))) for part in parts]
        accounts = self._coverage(stream, bounded, pieces, holes)
        recorded, total = sum(each.recorded_ns for each in accounts), sum(each.period.length for each in accounts)
        return Lane(
            stream=stream,
            role=self._role(stream),
            stretches=tuple((part.start, part.end) for part in bounded),
            late=any(bond.stream == stream and bond.late_from is not None for bond in self.bonds),
            segments=pieces,
            gaps=holes,
            unexplained=tuple((hole.start, hole.end) for each in accounts for hole in each.unexplained),
            coverage=accounts,
            percent=round(100.0 * recorded / total, 3) if total else 0.0,
            unexplained_ms=sum(each.unexplained_ns for each in accounts) // MILLISECOND_NS,
        )

    def _role(self, stream: StreamId) -> Literal["camera", "recorder"]:
        origin = self.connection.execute(select(streams.c.origin).where(streams.c.stream == stream)).scalar()
        if origin is None:
            return "camera" if stream in self.cameras else "recorder"
        return "recorder" if origin == "whip" else "camera"

    def _segments(self, stream: StreamId, parts: Iterable[Interval]) -> Iterable[LaneSegment]:
        longest = self.connection.execute(select(streams.c.longest_segment_ns).where(streams.c.stream == stream)).scalar() or 0
        covered: dict[int, int] = {}
        seen: set[tuple[int, int]] = set()
        for part in parts:
            inside = and_(segments.c.wall_from > part.start - longest - 1, segments.c.wall_from < part.end, segments.c.wall_to > part.start)
            query = select(segments, blobs.c.state.label("blob")).select_from(
                segments.outerjoin(blobs, blobs.c.sha256 == segments.c.sha256)
            )
            for row in self.connection.execute(query.where(segments.c.stream == stream, inside).order_by(segments.c.wall_from)):
                if (row.epoch, row.position) not in seen:
                    seen.add((row.epoch, row.position))
                    if row.epoch not in covered:
                        covered[row.epoch] = covered_size(self.connection, row.box, row.epoch)
                    yield self._segment(row, covered[row.epoch])

    def _segment(self, row: Row[Any], covered: int) -> LaneSegment:
        state, detail = self._state(row, covered)
        return LaneSegment(
            sha256=bytes(row.sha256),
            number=row.number,
            wall_from=row.wall_from,
            wall_to=row.wall_to,
            size=row.size,
            run=row.run,
            media_from=row.media_from,
            kind=row.state,
            state=state,
            detail=detail,
            box=row.box,
            epoch=row.epoch,
            position=row.position,
            bound=row.bound,
        )

    def _state(self, row: Row[Any], covered: int) -> tuple[SegmentState, str]:
        if row.blob == "refused":
            return "failed", "the bytes do not fit the record"
        if row.blob in DISPOSED:
            return "disposed", "its time was over; record and proof stay"
        mine = and_(equivocations.c.issuer == str(Issuer.of_box(row.box)), equivocations.c.epoch == row.epoch)
        here = equivocations.c.record_position == row.position
        if self.connection.execute(select(equivocations.c.position).where(mine, here).limit(1)).first() is not None:
            return "failed", "two signed records claim this position"
        missing = [] if row.blob == "stored" else ["bytes not here yet"]
        missing += [] if row.position < covered else ["no receipt yet"]
        return ("pending", ", ".join(missing)) if missing else ("verified", "")

    def _gaps(self, stream: StreamId, parts: Iterable[Interval]) -> Iterable[LaneGap]:
        longest = self.connection.execute(select(streams.c.longest_gap_ns).where(streams.c.stream == stream)).scalar() or 0
        seen: set[tuple[int, int]] = set()
        for part in parts:
            inside = and_(gaps.c.wall_from > part.start - longest - 1, gaps.c.wall_from < part.end, gaps.c.wall_to > part.start)
            for row in self.connection.execute(select(gaps).where(gaps.c.stream == stream, inside).order_by(gaps.c.wall_from)):
                if (row.epoch, row.position) not in seen:
                    seen.add((row.epoch, row.position))
                    yield LaneGap(row.wall_from, row.wall_to, row.cause, row.detail, row.epoch, row.position)

    def _coverage(
        self, stream: StreamId, parts: list[Interval], pieces: tuple[LaneSegment, ...], holes: tuple[LaneGap, ...]
    ) -> tuple[Coverage, ...]:
        """Account for the recording periods inside the stretches, up to what may already be known."""
        known = [Interval(piece.wall_from, piece.wall_to) for piece in pieces]
        spans = [GapSpan(Interval(hole.wall_from, max(hole.wall_from, hole.wall_to)), hole.cause) for hole in holes]
        newest = max([piece.end for piece in known] + [span.interval.end for span in spans], default=0)
        horizon = max(newest, self.now_ns - LAG_NS)
        periods = [
            period
            for part in parts
            for period in clip(self._periods(stream, part), Interval(part.start, max(part.start, min(part.end, horizon))))
        ]
        return tuple(account(period, known, spans) for period in merge(periods))

    def _periods(self, stream: StreamId, part: Interval) -> list[Interval]:
        """Give the stream's recording periods that touch a stretch, from its records."""
        mine = recordings.c.stream == stream
        before = select(recordings).where(mine, recordings.c.wall_ns <= part.start).order_by(recordings.c.wall_ns.desc()).limit(1)
        inside = select(recordings).where(mine, recordings.c.wall_ns > part.start, recordings.c.wall_ns < part.end)
        rows = [*self.connection.execute(before), *self.connection.execute(inside.order_by(recordings.c.wall_ns))]
        periods: list[Interval] = []
        begun: int | None = None
        for row in rows:
            if row.state == "started" and begun is None:
                begun = row.wall_ns
            elif row.state == "stopped" and begun is not None:
                periods.append(Interval(begun, max(begun, row.wall_ns)))
                begun = None
        if begun is not None:
            periods.append(Interval(min(begun, part.end), part.end))
        return periods
