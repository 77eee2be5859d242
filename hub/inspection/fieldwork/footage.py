"""Judge what video there is of a stretch of work: recorded by any of some streams, broken for how long, and whether that is explained.

Guarantees: a segment counts when its signed record lies under a seal that is in the log; then its bytes are safe on the box, or at the
hub. Each query is an index lookup bounded by the stretch; no clock is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, and_, select

from hub.bonds import bonds_of
from hub.inspection.fieldwork.tables import SiteTask
from hub.lookups import covered_size
from hub.uploads import DISPOSED
from protocol.coverage import clip, subtract
from protocol.identifiers import Issuer, StreamId
from protocol.instants import SECOND_NS, Interval
from protocol.linking import TaskSpan, merge, stretches
from protocol.procedures.acts import Swapped
from protocol.procedures.model import Stored
from storage.schema import blobs, equivocations, gaps, segments, streams

SLACK_NS = SECOND_NS  # between pieces of one stream: rounding, and the cut itself
SKEW_NS = 3 * SECOND_NS  # between the clocks of box, hub and phone, at either end of a stretch


@dataclass(frozen=True, slots=True)
class Footage:
    """What there is of a stretch. `break_s`: its longest break in whole seconds; `explained`: every break has a cause in the log."""

    pieces: int
    break_s: int
    explained: bool
    verified: bool
    stored: Stored
    to_follow: int  # pieces whose bytes are on the box and not at the hub yet


@dataclass(slots=True)
class Film:
    """The streams that are linked to some tasks of one inspection: recorders by their pairings, cameras by the bay."""

    connection: Connection
    recorders: Mapping[StreamId, list[Interval]]
    cameras: Mapping[StreamId, list[Interval]]
    first_ns: int | None  # when the first recorder was bound
    _covered: dict[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, tasks: Sequence[SiteTask]) -> "Film":
        """Look up what is linked to the tasks of one dispatch: a recorder that is paired to one of them films for all."""
        recorders: dict[StreamId, list[Interval]] = {}
        cameras: dict[StreamId, list[Interval]] = {}
        for task in tasks:
            bonds = bonds_of(connection, task.task)
            for stream, parts in stretches(TaskSpan(task.opened_ns, task.ended_ns, ()), bonds).items():
                recorders[stream] = merge([*recorders.get(stream, ()), *parts])
            fixed = tuple(StreamId(camera) for camera in task.cameras)
            for stream, parts in stretches(TaskSpan(task.opened_ns, task.ended_ns, fixed), ()).items():
                cameras[stream] = merge([*cameras.get(stream, ()), *parts])
        starts = [part.start for parts in recorders.values() for part in parts]
        return cls(connection, recorders, cameras, min(starts, default=None))

    def judge(
        self, linked: Mapping[StreamId, list[Interval]], stretch: Interval, excused: Sequence[Interval], swaps: Sequence[Swapped]
    ) -> Footage:
        """Judge a stretch of work by some streams together. `excused`: what need not be filmed; `swaps`: of recorders."""
        rows = {stream: list(self._segments(stream, parts, stretch)) for stream, parts in linked.items()}
        pieces = {stream: merge(Interval(row.wall_from, row.wall_to) for row in found) for stream, found in rows.items()}
        recorded = _joined([piece for found in pieces.values() for piece in found])
        certain = [Interval(stretch.start + SKEW_NS, stretch.end - SKEW_NS)] if stretch.length > 2 * SKEW_NS else []
        wanted = subtract(certain, merge(excused))
        holes = [hole for hole in subtract(wanted, recorded) if hole.length > SLACK_NS]
        causes = [*self._gaps(linked, stretch), *_swapped(swaps, pieces)]
        every = [row for found in rows.values() for row in found]
        waiting = sum(row.blob != "stored" and row.blob not in DISPOSED for row in every)
        return Footage(
            pieces=len(every),
            break_s=max((-(-hole.length // SECOND_NS) for hole in holes), default=0),
            explained=not _unexplained(holes, causes),
            verified=all(row.blob != "refused" and not self._is_doubled(row) for row in every),
            stored="box" if waiting else "hub",
            to_follow=waiting,
        )

    def _segments(self, stream: StreamId, parts: Iterable[Interval], stretch: Interval) -> Iterable[Row[Any]]:
        longest = self.connection.execute(select(streams.c.longest_segment_ns).where(streams.c.stream == stream)).scalar() or 0
        inside_one = any(part.start <= stretch.start <= part.end for part in parts)
        for part in clip(parts, stretch) or ([stretch] if stretch.length == 0 and inside_one else []):
            inside = and_(
                segments.c.wall_from > part.start - longest - 1, segments.c.wall_from < max(part.end, part.start + 1),
                segments.c.wall_to > part.start,
            )  # fmt: skip
            query = select(segments, blobs.c.state.label("blob")).select_from(
                segments.outerjoin(blobs, blobs.c.sha256 == segments.c.sha256)
            )
            rows = self.connection.execute(query.where(segments.c.stream == stream, inside).order_by(segments.c.wall_from)).all()
            yield from (row for row in rows if row.position < self._covered_size(row.box, row.epoch))

    def _covered_size(self, box: str, epoch: int) -> int:
        if (box, epoch) not in self._covered:
            self._covered[box, epoch] = covered_size(self.connection, box, epoch)
        return self._covered[box, epoch]

    def _is_doubled(self, row: Row[Any]) -> bool:
        mine = and_(equivocations.c.issuer == str(Issuer.of_box(row.box)), equivocations.c.epoch == row.epoch)
        here = equivocations.c.record_position == row.position
        return self.connection.execute(select(equivocations.c.position).where(mine, here).limit(1)).first() is not None

    def _gaps(self, linked: Iterable[StreamId], stretch: Interval) -> Iterable[Interval]:
        for stream in linked:
            longest = self.connection.execute(select(streams.c.longest_gap_ns).where(streams.c.stream == stream)).scalar() or 0
            inside = and_(gaps.c.wall_from > stretch.start - longest - 1, gaps.c.wall_from < stretch.end, gaps.c.wall_to > stretch.start)
            for row in self.connection.execute(select(gaps).where(gaps.c.stream == stream, inside)):
                yield Interval(row.wall_from, max(row.wall_from, row.wall_to))


def _joined(pieces: Iterable[Interval]) -> list[Interval]:
    """Join pieces that are less than a second apart."""
    out: list[Interval] = []
    for piece in merge(pieces):
        if out and piece.start - out[-1].end <= SLACK_NS:
            out[-1] = Interval(out[-1].start, max(out[-1].end, piece.end))
        else:
            out.append(piece)
    return out


def _swapped(swaps: Iterable[Swapped], pieces: Mapping[StreamId, list[Interval]]) -> Iterable[Interval]:
    """Give what a swap explains: from the last picture of the one recorder to the next of the other."""
    for swap in swaps:
        ends = [piece.end for piece in pieces.get(StreamId(swap.from_stream), ())]
        starts = [piece.start for piece in pieces.get(StreamId(swap.to_stream), ())]
        for start in starts:
            before = [end for end in ends if end <= start]
            if before:
                yield Interval(max(before), start)


def _unexplained(holes: Iterable[Interval], causes: Iterable[Interval]) -> list[Interval]:
    known = _joined(causes)
    return [rest for hole in holes for rest in subtract([hole], known) if rest.length > SLACK_NS]
