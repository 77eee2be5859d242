"""Lay a task out in lanes: segments with their state, signed gaps with their cause, and what neither explains.

Guarantees: a segment is *verified* when its record stands in the mirrored journal under a published seal and its blob is
stored, having hashed to the record; *pending* while one of these is missing; *failed* when the blob does not fit or two records
claim its position. Each query is an index lookup bounded by the task's stretch, whatever the history; what would be more pieces than
anybody can see at once is told by the hour. As of an earlier moment only what the log then covered is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, Table, bindparam, func, select

from hub.bonds import bonds_of, pairing_states
from hub.core import Core
from hub.lookups import covered_size
from hub.stream_hours import HOUR_NS
from hub.tasks import facts_of
from hub.uploads import DISPOSED, Blobs
from hub.values import Lane, LaneGap, LaneSegment, LaneSpan, SegmentState, Timeline
from protocol.coverage import Coverage, GapSpan, account, clip
from protocol.errors import RefusedError
from protocol.identifiers import Issuer, StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS, Interval
from protocol.linking import Bond, TaskSpan, merge, stretches
from storage.schema import blobs, disposals, equivocations, gaps, recordings, segments, stream_hours, streams, tasks

LAG_NS = 30 * SECOND_NS  # what the newest seconds may still owe: the open segment, the way, the seal
MOST_PIECES = 3000  # on all lanes together; what is more is told by spans of hours
MOST_SPANS = 240  # on a lane

Detail = Literal["pieces", "spans", "none"]


@dataclass(frozen=True, slots=True)
class Wish:
    """How to lay a task out. `size`: as a log of this size held it (None: now); `within`: only this stretch.

    `detail`: pieces, spans of hours, or no more than who was linked when; None: pieces where they are few enough.
    """

    size: int | None = None
    within: Interval | None = None
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class TaskTimeline:
    """The timelines of tasks."""

    core: Core
    blobs: Blobs

    async def task(self, task: str, wish: Wish = Wish()) -> Timeline:
        """Give a task's lanes; raise RefusedError when there is no such task."""
        now_ns = self.core.clock.now().wall_ns
        return await self.core.database.read(lambda connection: timeline(connection, task, now_ns, wish))

    async def segment(self, sha256: bytes) -> Path:
        """Give the file of a stored segment; raise StorageError when it is not stored."""
        return await self.blobs.open(sha256)


def timeline(connection: Connection, task: str, now_ns: int, wish: Wish = Wish(detail="pieces")) -> Timeline:
    """Give a task's lanes as of `now_ns`."""
    row = connection.execute(select(tasks).where(tasks.c.task == task)).first()
    if row is None or (wish.size is not None and row.opened_at >= wish.size):
        raise RefusedError("is not known", where=f"task {task[:64]}")
    facts = facts_of(row, pairing_states(connection, task))
    if wish.size is not None and row.ended_at is not None and row.ended_at >= wish.size:
        facts = replace(facts, state="opened", ended_ns=None)
    bonds = bonds_of(connection, task, wish.size)
    span = TaskSpan(facts.opened_ns, facts.ended_ns, tuple(StreamId(camera) for camera in facts.cameras))
    linked = stretches(span, bonds)
    starts = [stretch.start for parts in linked.values() for stretch in parts]
    begin, end = min([facts.opened_ns, *starts]), facts.ended_ns if facts.ended_ns is not None else now_ns
    if wish.within is not None:
        linked = {stream: clip(parts, wish.within) for stream, parts in linked.items()}
    reader = _Lanes(connection, now_ns, set(span.cameras), bonds, wish, _known_streams(connection, linked))
    detail = wish.detail or reader.detail(linked)
    lanes = tuple(reader.lane(stream, linked[stream], detail) for stream in sorted(linked))
    return Timeline(facts, begin, end, lanes, detail)


@dataclass(slots=True)
class _Lanes:
    connection: Connection
    now_ns: int
    cameras: set[StreamId]
    bonds: list[Bond]
    wish: Wish
    streams: dict[str, Row[Any]]
    covered: dict[tuple[str, int], int] = field(default_factory=dict)
    doubted: dict[tuple[str, int], set[int]] = field(default_factory=dict)

    def detail(self, linked: dict[StreamId, list[Interval]]) -> Detail:
        """Tell pieces where they are few enough, else spans."""
        count = 0.0
        for stream, parts in linked.items():
            for part in parts:
                within = Interval(part.start, max(part.start, min(part.end, self.now_ns + HOUR_NS)))
                found = self.connection.execute(_PIECES, _hours(stream, within)).scalar() or 0
                whole = (within.end // HOUR_NS - within.start // HOUR_NS + 1) * HOUR_NS  # the hours that it touches
                count += int(found) * within.length / whole
        return "pieces" if count <= MOST_PIECES else "spans"

    def lane(self, stream: StreamId, parts: list[Interval], detail: Detail) -> Lane:
        pieces = tuple(self._segments(stream, parts)) if detail == "pieces" else ()
        holes = tuple(self._gaps(stream, parts)) if detail == "pieces" else ()
        newest = max([piece.wall_to for piece in pieces] + [hole.wall_to for hole in holes], default=0)
        today = max(self.now_ns, newest)  # a box's clock may run ahead of the hub's
        bounded = [Interval(part.start, max(part.start, min(part.end, today))) for part in parts]
        width = max(1, -(-sum(part.length for part in bounded) // (MOST_SPANS * HOUR_NS)))  # hours
        spans = tuple(self._by_span(stream, bounded, width)) if detail == "spans" else ()
        accounts = self._coverage(stream, bounded, pieces, holes) if detail == "pieces" else ()
        recorded, total = sum(each.recorded_ns for each in accounts), sum(each.period.length for each in accounts)
        if detail == "spans":
            recorded, total = sum(span.recorded_ns for span in spans), sum(part.end - part.start for part in bounded)
        return Lane(
            stream=stream,
            role=self._role(stream),
            stretches=tuple((part.start, part.end) for part in bounded),
            late=any(bond.stream == stream and bond.late_from is not None for bond in self.bonds),
            segments=pieces,
            gaps=holes,
            unexplained=tuple((hole.start, hole.end) for each in accounts for hole in each.unexplained),
            coverage=accounts,
            percent=round(min(100.0, 100.0 * recorded / total), 3) if total else 0.0,
            unexplained_ms=sum(each.unexplained_ns for each in accounts) // MILLISECOND_NS,
            spans=spans,
            span_ns=width * HOUR_NS if spans else 0,
        )

    def _by_span(self, stream: StreamId, parts: Iterable[Interval], width: int) -> Iterable[LaneSpan]:
        """Give what spans of `width` hours come to."""
        seen: set[int] = set()
        for part in parts:
            for hour, recorded, gap, count in self.connection.execute(_SPANS, _hours(stream, part) | {"width": width}):
                if hour not in seen:
                    seen.add(hour)
                    yield LaneSpan(hour * HOUR_NS, int(recorded), int(gap), int(count))

    def _role(self, stream: StreamId) -> Literal["camera", "recorder"]:
        if stream not in self.streams:
            return "camera" if stream in self.cameras else "recorder"
        return "recorder" if self.streams[stream].origin == "whip" else "camera"

    def _segments(self, stream: StreamId, parts: Iterable[Interval]) -> Iterable[LaneSegment]:
        if stream not in self.streams:
            return
        seen: set[tuple[int, int]] = set()
        for part in parts:
            for row in self.connection.execute(_SEGMENTS, _touching(stream, part, self.streams[stream].longest_segment_ns)).all():
                *facts, blob, at_ns = row
                place = (row.epoch, row.position)
                if place not in seen and self._is_known(row):
                    seen.add(place)
                    yield LaneSegment._make((*facts, *self._state(row.sha256, (row.box, *place), blob, at_ns)))

    def _covered(self, box: str, epoch: int) -> int:
        if (box, epoch) not in self.covered:
            self.covered[box, epoch] = covered_size(self.connection, box, epoch, self.wish.size)
        return self.covered[box, epoch]

    def _is_known(self, row: Row[Any]) -> bool:
        """Tell whether the log held a box's record at the moment that is asked for: now, what came counts without a seal too."""
        return self.wish.size is None or row.position < self._covered(row.box, row.epoch)

    def _state(self, sha256: bytes, place: tuple[str, int, int], blob: str | None, at_ns: int | None) -> tuple[SegmentState, str]:
        box, epoch, position = place
        if blob == "refused":
            return "failed", "the bytes do not fit the record"
        disposed = blob in DISPOSED
        if disposed and not self._was_later(sha256):
            return "disposed", "its time was over; record and proof stay"
        if position in self._doubted(box, epoch):
            return "failed", "two signed records claim this position"
        stored = disposed or (blob == "stored" and (self.wish.size is None or (at_ns is not None and at_ns <= self.now_ns)))
        is_sealed = position < self._covered(box, epoch)
        if stored and is_sealed:
            return "verified", ""
        missing = [] if stored else ["bytes not here yet"]
        return "pending", ", ".join(missing if is_sealed else [*missing, "no receipt yet"])

    def _was_later(self, sha256: bytes) -> bool:
        """Tell whether bytes were disposed of only after the moment that is asked for."""
        if self.wish.size is None:
            return False
        at = self.connection.execute(select(disposals.c.position).where(disposals.c.sha256 == sha256)).scalar()
        return at is not None and at >= self.wish.size

    def _doubted(self, box: str, epoch: int) -> set[int]:
        """Give the positions of an epoch that two records claim."""
        if (box, epoch) not in self.doubted:
            mine = [equivocations.c.issuer == str(Issuer.of_box(box)), equivocations.c.epoch == epoch]
            mine += [] if self.wish.size is None else [equivocations.c.position < self.wish.size]
            self.doubted[box, epoch] = set(self.connection.execute(select(equivocations.c.record_position).where(*mine)).scalars())
        return self.doubted[box, epoch]

    def _gaps(self, stream: StreamId, parts: Iterable[Interval]) -> Iterable[LaneGap]:
        longest = self.streams[stream].longest_gap_ns if stream in self.streams else 0
        seen: set[tuple[int, int]] = set()
        for part in parts:
            for row in self.connection.execute(_GAPS, _touching(stream, part, longest)):
                if (row.epoch, row.position) not in seen and self._is_known(row):
                    seen.add((row.epoch, row.position))
                    yield LaneGap(row.wall_from, row.wall_to, row.cause, row.detail, row.epoch, row.position)

    def _coverage(
        self, stream: StreamId, parts: list[Interval], pieces: tuple[LaneSegment, ...], holes: tuple[LaneGap, ...]
    ) -> tuple[Coverage, ...]:
        """Account for the recording periods inside the stretches, up to what may already be known."""
        known = [Interval(piece.wall_from, piece.wall_to) for piece in pieces]
        spans = [GapSpan(Interval(hole.wall_from, max(hole.wall_from, hole.wall_to)), hole.cause) for hole in holes]
        newest = max([piece.end for piece in known] + [span.interval.end for span in spans], default=0)
        horizon = newest if self.wish.size is not None else max(newest, self.now_ns - LAG_NS)
        periods = [
            period
            for part in parts
            for period in clip(self._periods(stream, part), Interval(part.start, max(part.start, min(part.end, horizon))))
        ]
        return tuple(account(period, known, spans) for period in merge(periods))

    def _periods(self, stream: StreamId, part: Interval) -> list[Interval]:
        """Give the stream's recording periods that touch a stretch, from its records."""
        asked = {"stream": stream, "start": part.start, "end": part.end}
        rows = [*self.connection.execute(_BEGUN_BEFORE, asked), *self.connection.execute(_BEGUN_WITHIN, asked)]
        periods: list[Interval] = []
        begun: int | None = None
        for row in rows:
            if not self._is_known(row):
                continue
            if row.state == "started" and begun is None:
                begun = row.wall_ns
            elif row.state == "stopped" and begun is not None:
                periods.append(Interval(begun, max(begun, row.wall_ns)))
                begun = None
        if begun is not None:
            periods.append(Interval(min(begun, part.end), part.end))
        return periods


def _known_streams(connection: Connection, linked: Iterable[StreamId]) -> dict[str, Row[Any]]:
    """Give what is known of these streams on the whole."""
    query: Select[Any] = select(streams.c.stream, streams.c.origin, streams.c.longest_segment_ns, streams.c.longest_gap_ns)
    return {row.stream: row for row in connection.execute(query.where(streams.c.stream.in_([str(stream) for stream in linked])))}


def _hours(stream: StreamId, part: Interval) -> dict[str, Any]:
    """Name the hours of a stream that a stretch touches."""
    return {"stream": stream, "first": part.start // HOUR_NS, "last": part.end // HOUR_NS}


def _touching(stream: StreamId, part: Interval, longest: int) -> dict[str, Any]:
    """Name the pieces of a stream that touch a stretch, none longer than `longest`."""
    return {"stream": stream, "after": part.start - longest - 1, "start": part.start, "end": part.end}


def _touched(table: Table) -> tuple[ColumnElement[bool], ...]:
    begins = (table.c.wall_from > bindparam("after"), table.c.wall_from < bindparam("end"), table.c.wall_to > bindparam("start"))
    return table.c.stream == bindparam("stream"), *begins


# built once: a task of sixteen cameras asks each of them sixteen times
_FACTS = LaneSegment._fields.index("state")  # what a row says of a segment; the rest is judged
_SEGMENTS: Select[Any] = (
    select(
        *(segments.c.state.label("kind") if name == "kind" else segments.c[name] for name in LaneSegment._fields[:_FACTS]),
        blobs.c.state.label("blob"),
        blobs.c.at_ns,
    )
    .select_from(segments.outerjoin(blobs, blobs.c.sha256 == segments.c.sha256))
    .where(*_touched(segments))
    .order_by(segments.c.wall_from)
)
_GAPS = select(gaps).where(*_touched(gaps)).order_by(gaps.c.wall_from)
_MINE = recordings.c.stream == bindparam("stream")
_BEGUN_BEFORE = select(recordings).where(_MINE, recordings.c.wall_ns <= bindparam("start")).order_by(recordings.c.wall_ns.desc()).limit(1)
_BEGUN_WITHIN = (
    select(recordings)
    .where(_MINE, recordings.c.wall_ns > bindparam("start"), recordings.c.wall_ns < bindparam("end"))
    .order_by(recordings.c.wall_ns)
)
_INSIDE = (
    stream_hours.c.stream == bindparam("stream"),
    stream_hours.c.hour >= bindparam("first"),
    stream_hours.c.hour <= bindparam("last"),
)
_PIECES = select(func.sum(stream_hours.c.pieces)).where(*_INSIDE)
_FIRST = (stream_hours.c.hour - stream_hours.c.hour % bindparam("width", type_=BigInteger)).label("first")
_SPANS = (
    select(_FIRST, func.sum(stream_hours.c.recorded_ns), func.sum(stream_hours.c.gap_ns), func.sum(stream_hours.c.pieces))
    .where(*_INSIDE)
    .group_by(_FIRST)
    .order_by(_FIRST)
)
