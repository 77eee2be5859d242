"""Recompute from checked records what a task's bundle must hold.

Completeness is never believed: task and pairing records say which stretches of which streams belong to the task, the
contiguous journal ranges say which segments and gaps fill them, heartbeats say what was open, and every instant must be in a
segment, in a signed gap with its cause, or outside of the stream's recording period.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from protocol import bundle, kinds
from protocol.coverage import GapSpan
from protocol.errors import MalformedError, VerificationError
from protocol.examination import Exhibits, Faults, Range
from protocol.identifiers import BoxId, StreamId, TaskId
from protocol.instants import Interval, iso
from protocol.ledger import Ledger
from protocol.linking import FOREVER_NS, Bond, TaskSpan, belongs, check_late, merge, stretches
from protocol.records import Record, SignedRecord
from protocol.work_kinds import Ticket


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment record in a checked range, and the key that signed it."""

    stream: StreamId
    body: kinds.Segment
    signed: SignedRecord
    range: Range
    usage: str

    @property
    def interval(self) -> Interval:
        """Give its wall interval."""
        return Interval(self.body.wall_from, max(self.body.wall_from, self.body.wall_to))

    @property
    def name(self) -> str:
        """Give its file's name."""
        return bundle.video_name(self.stream, self.body.number)


@dataclass(slots=True)
class Stream:
    """All that checked records say of one stream."""

    pieces: list[Piece] = field(default_factory=list)
    gaps: list[GapSpan] = field(default_factory=list)
    turns: list[tuple[int, str]] = field(default_factory=list)  # (wall ns, started or stopped)
    open: dict[int, Interval] = field(default_factory=dict)  # segment number -> wall interval by its last heartbeat
    bound: dict[int, dict[int, bytes]] = field(default_factory=dict)  # segment number -> bytes -> running hash
    origin: str = "unknown"
    starts_recording: bool | None = None  # before the first turn; None: nothing was said, so it may have recorded

    def say(self, recording: bool) -> None:
        """Note what the first word about the stream tells of the time before it."""
        if self.starts_recording is None:
            self.starts_recording = recording

    def idle(self) -> list[Interval]:
        """Give the wall intervals outside of recording periods."""
        out: list[Interval] = []
        since = -FOREVER_NS if self.starts_recording is False else None
        for wall, state in self.turns:
            if state == "stopped" and since is None:
                since = wall
            elif state == "started" and since is not None:
                out.append(Interval(since, max(since, wall)))
                since = None
        if since is not None:
            out.append(Interval(since, FOREVER_NS))
        return merge(out)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a bundle is about: a task, or - with `streams` - these streams over a stretch of wall time; `subject` names either."""

    subject: str
    streams: tuple[StreamId, ...] = ()
    start: int = 0
    end: int = 0

    @classmethod
    def of(cls, record: Record) -> "Scope":
        """Read it from an export record; raise MalformedError when its streams or its times are none."""
        body = record.body
        if not isinstance(body, kinds.Export) or body.streams is None:
            return cls(record.subject)
        if not body.streams or body.start_ns is None or body.end_ns is None or body.start_ns > body.end_ns:
            raise MalformedError("names no streams or no stretch of time", where="export")
        return cls(record.subject, tuple(StreamId(one) for one in body.streams), body.start_ns, body.end_ns)


@dataclass(slots=True)
class Expectation:
    """What the bundle must hold: `wanted` by file name, and the prefixes to hash on the way."""

    task: TaskId | None
    facts: kinds.Task | None
    span: TaskSpan
    linked: dict[StreamId, list[Interval]]
    streams: dict[StreamId, Stream]
    wanted: dict[str, Piece]
    late: set[StreamId]
    export_index: int | None
    by_time: bool = False  # streams over a stretch of time, not a task

    def marks(self) -> dict[str, tuple[int, ...]]:
        """Give, per video file, the lengths of prefixes whose running hash is bound by heartbeats."""
        return {name: tuple(sorted(self.streams[piece.stream].bound.get(piece.body.number, {}))) for name, piece in self.wanted.items()}

    def rooted(self) -> set[str]:
        """Give the video files whose records have a sample root."""
        return {name for name, piece in self.wanted.items() if piece.body.sample_root is not None}

    def summary(self) -> bytes:
        """Give data/task.json: the task in short, derived from the records alone."""
        facts = self.facts
        numbers: dict[str, list[int]] = {}
        for piece in self.wanted.values():
            numbers.setdefault(piece.stream, []).append(piece.body.number)
        value = {
            "about": "streams over a time" if self.by_time else "task",
            "task": self.task,
            "title": facts.title if facts else None,
            "bay": facts.bay if facts else None,
            "inspectors": list(facts.inspectors or ()) if facts else [],
            "facts": dict(facts.facts or ()) if facts else {},
            "opened": iso(self.span.opened),
            "ended": iso(self.span.ended) if self.span.ended is not None else None,
            "segments": {stream: sorted(found) for stream, found in sorted(numbers.items())},
        }
        return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def expect(exhibits: Exhibits, faults: Faults, about: "Scope | str | None" = None) -> Expectation:
    """Work out what belongs to the task (or to the streams and the time); faults name what the records leave open.

    Without `about` it is what the export record names.
    """
    export_index = max((index for index, one in exhibits.leaves.items() if isinstance(one.record.body, kinds.Export)), default=None)
    scope = Scope(about) if isinstance(about, str) else about
    if export_index is not None and scope is None:
        with faults.of(bundle.leaf_name(export_index)):
            scope = Scope.of(exhibits.leaves[export_index].record)
    named, facts, span = _subject(scope, exhibits, faults)
    streams: dict[StreamId, Stream] = {}
    bonds: list[Bond] = []
    for box, ranges in sorted(exhibits.ranges.items()):
        usage = "live"
        for range_ in ranges:
            for signed in range_.records:
                if isinstance(signed.record.body, kinds.Session):
                    usage = signed.record.body.usage
                with faults.of(range_.file):
                    _take(range_, signed, usage, streams)
        if named is not None and not (scope and scope.streams):
            bonds += _bonds(named, box, ranges, exhibits, faults)
    linked = stretches(span, bonds)
    _check_reach(linked, exhibits, faults)
    _check_accounts(linked, exhibits, faults)
    wanted: dict[str, Piece] = {}
    for stream in sorted(linked):
        found = streams.setdefault(stream, Stream())
        if stream.box not in exhibits.ranges:
            faults.add(bundle.journal_name(stream.box, 0), f"missing: no journal of {stream.box}, whose {stream} belongs to the task")
        elif any(range_.first == 0 for range_ in exhibits.ranges[stream.box]):
            found.say(recording=False)  # the box booted and never spoke of it
        _check_numbers(stream, found, faults)
        wanted |= {piece.name: piece for piece in found.pieces if belongs(piece.interval, stream, linked)}
    late = {bond.stream for bond in bonds if bond.late_from is not None}
    return Expectation(named, facts, span, linked, streams, wanted, late, export_index, by_time=bool(scope and scope.streams))


def _check_accounts(linked: Mapping[StreamId, list[Interval]], exhibits: Exhibits, faults: Faults) -> None:
    """Name every hole and overlap between segments and gaps by the monotonic clock, which no box sets.

    The wall times of segments are a box's own word: by them alone it could stretch what it has over what it lost.
    """
    for ranges in exhibits.ranges.values():
        ledger = Ledger()
        for range_ in ranges:
            for signed in range_.records:
                found = ledger.take(signed.record)
                if found and signed.record.subject in linked:
                    for what in found:
                        faults.add(range_.file, what)


def _subject(scope: Scope | None, exhibits: Exhibits, faults: Faults) -> tuple[TaskId | None, kinds.Task | None, TaskSpan]:
    if scope is None or not scope.streams:
        return _task(scope.subject if scope is not None else None, exhibits, faults)
    named: TaskId | None = None
    with faults.of("data/log"):
        named = TaskId(scope.subject)
    return named, None, TaskSpan(scope.start, scope.end, scope.streams)


def _task(name: str | None, exhibits: Exhibits, faults: Faults) -> tuple[TaskId | None, kinds.Task | None, TaskSpan]:
    found: dict[str, tuple[int, SignedRecord, kinds.Task]] = {}
    for index, signed in sorted(exhibits.leaves.items()):
        body = signed.record.body
        if isinstance(body, kinds.Task) and signed.record.subject == name:
            if body.state in found:
                faults.add(bundle.leaf_name(index), f"the task is {body.state} twice")
            found.setdefault(body.state, (index, signed, body))
    missing = [state for state in ("opened", "ended") if state not in found]
    if missing:
        faults.add("data/log", f"missing: no record that the task was {' and '.join(missing)}")
    if "opened" not in found:
        return None, None, TaskSpan(0, 0, ())
    index, opening, facts = found["opened"]
    ended = max(opening.record.at.wall_ns, found["ended"][1].record.at.wall_ns) if "ended" in found else None
    task: TaskId | None = None
    cameras: tuple[StreamId, ...] = ()
    with faults.of(bundle.leaf_name(index)):
        task = TaskId(opening.record.subject)
        cameras = tuple(StreamId(camera) for camera in facts.cameras or ())
    return task, facts, TaskSpan(opening.record.at.wall_ns, ended, cameras)


def _take(range_: Range, signed: SignedRecord, usage: str, streams: dict[StreamId, Stream]) -> None:
    """Add what a record says to its streams; raise MalformedError when it names none, VerificationError when it names another box's."""
    record, body = signed.record, signed.record.body
    if isinstance(body, kinds.Heartbeat):
        for one in body.open:
            _take_open(_own(one.stream, range_, streams)[1], one, record.at.wall_ns - record.at.mono_ns)
    elif isinstance(body, kinds.Segment):
        name, stream = _own(record.subject, range_, streams)
        stream.say(recording=True)
        stream.pieces.append(Piece(name, body, signed, range_, usage))
    elif isinstance(body, kinds.Gap):
        _, stream = _own(record.subject, range_, streams)
        stream.say(recording=True)
        stream.gaps.append(GapSpan(Interval(body.wall_from, max(body.wall_from, body.wall_to)), body.cause))
    elif isinstance(body, kinds.Recording):
        _, stream = _own(record.subject, range_, streams)
        stream.say(recording=body.state == "stopped")
        stream.turns.append((record.at.wall_ns, body.state))
        stream.origin = body.origin


def _own(text: str, range_: Range, streams: dict[StreamId, Stream]) -> tuple[StreamId, Stream]:
    name = StreamId(text)
    if name.box != range_.box:
        raise VerificationError(f"{range_.box} speaks for {name}", where=range_.file)
    return name, streams.setdefault(name, Stream())


def _take_open(stream: Stream, one: kinds.OpenSegment, offset: int) -> None:
    stream.say(recording=True)
    stream.open[one.number] = Interval(one.mono_from + offset, max(one.mono_from, one.mono_to) + offset)
    known = stream.bound.setdefault(one.number, {}).setdefault(one.size, one.sha256)
    if known != one.sha256:
        raise VerificationError(f"two heartbeats bind different bytes of segment {one.number}", where=one.stream)


def _bonds(task: TaskId, box: BoxId, ranges: list[Range], exhibits: Exhibits, faults: Faults) -> Iterator[Bond]:
    """Give the pairings of one box; each must name an order of the hub that the port log holds, and no order counts twice.

    An end without an order is the box's answer to the end of the task: it does not shorten a bond, the task's end does.
    """
    orders = {one.leaf: one for one in exhibits.leaves.values() if isinstance(one.record.body, kinds.Pairing | Ticket)}
    began: dict[StreamId, list[tuple[int, int | None]]] = {}
    used: set[bytes] = set()
    for range_ in ranges:
        for signed in range_.records:
            body = signed.record.body
            if not isinstance(body, kinds.Pairing) or signed.record.subject != task:
                continue
            with faults.of(range_.file):
                stream = StreamId(body.stream)
                _check_order(signed, body, box, orders)
                if body.order in used:
                    raise VerificationError(
                        "its order was used before", where=f"{stream} {body.state} at position {signed.record.position}"
                    )
                used |= {body.order} if body.order is not None else set()
                if body.state == "paired":
                    began.setdefault(stream, []).append((signed.record.at.wall_ns, body.late_from))
                elif body.order is not None:
                    for start, late in began.pop(stream, []):
                        yield Bond(stream, start, max(start, signed.record.at.wall_ns), late)
    yield from (Bond(stream, start, None, late) for stream, found in began.items() for start, late in found)


def _check_order(signed: SignedRecord, body: kinds.Pairing, box: BoxId, orders: Mapping[bytes, SignedRecord]) -> None:
    where = f"{body.stream} {body.state} at position {signed.record.position}"
    if StreamId(body.stream).box != box:
        raise VerificationError(f"{box} speaks for another box", where=where)
    if body.order is None:
        if body.state == "unpaired":
            return  # the end of the task frees a recorder without an order of its own; it ends no bond
        raise VerificationError("names no order", where=where)
    order = orders.get(body.order)
    if order is None:
        raise VerificationError(f"its order (leaf {body.order.hex()[:16]}...) is missing from data/log", where=where)
    told = order.record.body
    if isinstance(told, Ticket):
        return _check_ticket(signed, body, order.record, told)
    if not isinstance(told, kinds.Pairing) or order.record.subject != signed.record.subject:
        raise VerificationError("its order is about another task", where=where)
    if told != replace(body, order=None):
        raise VerificationError("its order says something else", where=where)
    check_late(told.late_from, told.second, told.reason, told.by)


def _check_ticket(signed: SignedRecord, body: kinds.Pairing, ticket: Record, told: Ticket) -> None:
    """Check a pairing that a box took without the hub: by a ticket of its task, while that held by the box's own clock."""
    where = f"{body.stream} {body.state} at position {signed.record.position}"
    if ticket.subject != signed.record.subject:
        raise VerificationError("its ticket is for another task", where=where)
    if body.state != "paired" or body.by != told.by or body.late_from is not None:
        raise VerificationError("its ticket says something else", where=where)
    if signed.record.at.wall_ns >= told.until_ns:
        raise VerificationError("its ticket had ended", where=where)


def _check_reach(linked: Mapping[StreamId, list[Interval]], exhibits: Exhibits, faults: Faults) -> None:
    """Demand that the ranges of each box reach over what it has in the task: what stands outside of them is not known to be nothing."""
    for stream, intervals in sorted(linked.items()):
        ranges = sorted(exhibits.ranges.get(stream.box, []), key=lambda one: one.epoch)
        if not (ranges and ranges[0].records and ranges[-1].records and intervals):
            continue  # told elsewhere: no journal, or one without records
        first, last = ranges[0].records[0].record, ranges[-1].records[-1].record
        newborn = isinstance(first.body, kinds.Boot) and first.body.previous_epoch is None
        if first.at.wall_ns > intervals[0].start and not newborn:
            what = f"begins at {iso(first.at.wall_ns)}, {stream} belongs to the task from {iso(intervals[0].start)}"
            faults.add(ranges[0].file, what)
        if last.at.wall_ns < intervals[-1].end < FOREVER_NS:
            faults.add(ranges[-1].file, f"ends at {iso(last.at.wall_ns)}, {stream} belongs to the task until {iso(intervals[-1].end)}")


def _check_numbers(stream: StreamId, found: Stream, faults: Faults) -> None:
    pieces = found.pieces
    for before, after in pairwise(pieces):
        for number in range(before.body.number + 1, min(after.body.number, before.body.number + 10)):
            faults.add(bundle.video_name(stream, number), f"missing: no record of segment {number}, the next is {after.body.number}")
        if after.body.number <= before.body.number:
            faults.add(after.range.file, f"{stream}: segment {after.body.number} follows {before.body.number}")
    heads = {piece.range.file: piece.range for piece in pieces}
    for range_ in heads.values():
        _check_heads(stream, range_, faults)


def _check_heads(stream: StreamId, range_: Range, faults: Faults) -> None:
    """Compare each seal's word on the stream's last number with the records before it."""
    last: int | None = None
    for signed in range_.records:
        body = signed.record.body
        if isinstance(body, kinds.Segment) and signed.record.subject == stream:
            last = body.number
        elif isinstance(body, kinds.Seal) and last is not None:
            for head in body.streams:
                if head.stream == stream and head.number != last:
                    faults.add(range_.file, f"the seal at {signed.record.position} says {stream} ended at {head.number}, records at {last}")
