"""Gather what a bundle of a task, or of streams over a time, must hold, from whoever keeps journals, log and blobs.

The choice is made with the verifier's own rules (`protocol.reckoning`, `protocol.verdict`): a journal range ends at the first
logged seal under which every instant of the task is explained. What is missing is said before anything is exported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hub.bounding import Archive, best_seals, best_seen, covering, moments
from protocol import bundle, kinds
from protocol.certificates import Certificate
from protocol.concealing import reveal
from protocol.errors import RefusedError, UnavailableError
from protocol.examination import Exhibits, Faults, Range
from protocol.identifiers import BoxId, StreamId
from protocol.instants import SECOND_NS
from protocol.merkle import NodeReader, inclusion_proof, subtrees
from protocol.notes import SignedCheckpoint
from protocol.reckoning import Expectation, Piece, Scope, expect
from protocol.records import SignedRecord, read
from protocol.trust import Trust
from protocol.verdict import account_stream

TIME_STEP_NS = 60 * SECOND_NS  # how densely times are bounded: a seal and a checkpoint seen per minute of a box
BATCH = 2048


class Port(Archive, Protocol):
    """What is asked of a port's records; positions and indices as in `protocol.records`."""

    def task_leaves(self, task: str) -> list[int]:
        """Give the log indices of the task's opening, end, pairing orders and tickets."""

    def ticketed(self, task: str) -> frozenset[StreamId]:
        """Give the recorders that joined the task by a ticket, without an order."""

    def enrolment_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's enrolments and revocations."""

    def leaf(self, index: int) -> bytes:
        """Give a leaf of the port log."""

    def opening(self, index: int) -> bytes | None:
        """Give salt and body of a concealed leaf; None when it is none, or they were erased."""

    def hub_leaf_before(self, index: int) -> int | None:
        """Give the last `stored` record below `index`: the hub's own and the most frequent, so its time bounds others'."""

    def hub_leaf_after(self, index: int) -> int | None:
        """Give the first `stored` record above `index`."""

    def head_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's heads that were brought by hand."""

    def log_nodes(self) -> NodeReader:
        """Read the port log's tree."""

    def epochs(self, box: str) -> list[tuple[int, int]]:
        """Give (epoch, size) of a box's journals, in order."""

    def first_after(self, box: str, epoch: int, wall_ns: int) -> int | None:
        """Give the first position whose wall time is later; None when there is none."""

    def session_before(self, box: str, epoch: int, position: int) -> int | None:
        """Give the position of the newest session record below `position`."""

    def records(self, box: str, epoch: int, first: int, end: int) -> list[bytes]:
        """Give records [first, end) of a journal, as far as they are here."""

    def seals(self, box: str, epoch: int, first: int) -> list[tuple[int, int]]:
        """Give (position, log index) of the logged seals from `first` on, in order."""

    def journal_nodes(self, box: str, epoch: int) -> NodeReader:
        """Read a journal's tree."""

    def blob(self, sha256: bytes) -> Path | None:
        """Give the file of a stored blob."""

    def authorities(self) -> tuple[Certificate, Certificate]:
        """Give (site CA, root)."""

    def claims(self) -> dict[str, bytes]:
        """Give what else the hub says of itself: the witness policy, and what it has of `protocol.bundle.OPTIONAL`."""

    def custody_leaves(self, scope: Scope) -> list[int]:
        """Give the log indices of views, exports and keeping of a task, or of streams over a time."""


@dataclass(slots=True)
class Gathered:
    """All of a bundle that exists before its export record: `files` by name, `videos` by name and where their bytes are."""

    scope: Scope
    exhibits: Exhibits
    wanted: Expectation
    indices: set[int]
    missing: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    videos: dict[str, tuple[Path, Piece]] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """Give the task, or the name of an export by time."""
        return self.scope.subject

    def hashes(self) -> dict[str, bytes]:
        """Give the hashes of all evidence; a video's is its record's, checked when it was stored and again when it is copied."""
        small = {name: bundle.sha256(data) for name, data in self.files.items()}
        return small | {name: piece.body.sha256 for name, (_, piece) in self.videos.items()}

    def manifest(self) -> bytes:
        """Give data/evidence-sha256.txt."""
        return bundle.encode_manifest(self.hashes())


def gather(port: Port, about: Scope | str, trust: Trust) -> Gathered:
    """Gather the evidence of a task (given by name), or of streams over a stretch of time.

    Raises RefusedError when the task is not known or not ended.
    """
    scope = Scope(about) if isinstance(about, str) else about
    exhibits = Exhibits(trust)
    aim = _Aim(scope, scope.start, scope.end)
    indices: set[int] = set()
    if not scope.streams:
        indices |= set(port.task_leaves(scope.subject))
        _show(port, indices, exhibits)
        opened, ended = _span(scope.subject, exhibits)
        aim = _Aim(scope, _reach(exhibits, opened), ended, port.ticketed(scope.subject))
    missing: list[str] = []
    for box in sorted({stream.box for stream in aim.streams(exhibits)}):
        lacks = _take_box(port, box, aim, exhibits)
        if lacks and not _concerns(box, aim, exhibits):
            exhibits.ranges.pop(box, None)  # it was ordered to pair and never did
            continue
        indices |= set(port.enrolment_leaves(box))
        missing += lacks
    wanted = expect(exhibits, Faults(), scope)
    gathered = Gathered(scope, exhibits, wanted, indices | set(port.custody_leaves(_whole(scope, wanted))), missing)
    gathered.indices |= _bounds(port, exhibits, wanted)
    _show(port, gathered.indices, exhibits)
    _write_records(port, gathered)
    _find_videos(port, gathered)
    return gathered


def _whole(scope: Scope, wanted: Expectation) -> Scope:
    """Give what people can have watched of it: all its streams, from the first instant to the last."""
    intervals = [interval for found in wanted.linked.values() for interval in found]
    start = min((one.start for one in intervals), default=scope.start)
    return Scope(scope.subject, tuple(sorted(wanted.linked)), start, max((one.end for one in intervals), default=scope.end))


def _show(port: Port, indices: Iterable[int], exhibits: Exhibits) -> None:
    for index in indices:
        if index not in exhibits.leaves:
            signed, opening = read(port.leaf(index)), port.opening(index)
            exhibits.leaves[index] = signed if opening is None else reveal(signed, opening)


def _span(task: str, exhibits: Exhibits) -> tuple[int, int]:
    times: dict[str, int] = {}
    for _, signed in sorted(exhibits.leaves.items()):
        if isinstance(signed.record.body, kinds.Task):
            times.setdefault(signed.record.body.state, signed.record.at.wall_ns)
    if "opened" not in times:
        raise RefusedError("is not known", where=f"task {task}")
    if "ended" not in times:
        raise RefusedError("has not ended; end it first", where=f"task {task}")
    return times["opened"], times["ended"]


def _reach(exhibits: Exhibits, opened: int) -> int:
    """Give how far back the records must reach."""
    bodies = [signed.record.body for signed in exhibits.leaves.values()]
    return min([opened, *(one.late_from for one in bodies if isinstance(one, kinds.Pairing) and one.late_from is not None)])


@dataclass(frozen=True, slots=True)
class _Aim:
    """What is gathered, and the wall times that its records must reach over."""

    scope: Scope
    start: int
    end: int
    ticketed: frozenset[StreamId] = frozenset()

    def streams(self, exhibits: Exhibits) -> set[StreamId]:
        """Give the streams that it is about, by name or by the task's records."""
        bodies = [signed.record.body for signed in exhibits.leaves.values()]
        found = {StreamId(camera) for body in bodies if isinstance(body, kinds.Task) for camera in body.cameras or ()}
        found |= {StreamId(body.stream) for body in bodies if isinstance(body, kinds.Pairing)} | self.ticketed
        return found if not self.scope.streams else set(self.scope.streams)


def _take_box(port: Port, box: BoxId, aim: _Aim, exhibits: Exhibits) -> list[str]:
    """Add the ranges of a box; give what is still missing."""
    epochs = port.epochs(box)
    places = [(epoch, size, port.first_after(box, epoch, aim.start)) for epoch, size in epochs]
    later = [(epoch, size, position) for epoch, size, position in places if position is not None]
    if not later:
        return [f"the journal of {box} does not reach the task yet"]
    ranges = exhibits.ranges[box] = []
    before = [(epoch, size) for epoch, size in epochs if epoch < later[0][0] and size]
    if later[0][2] == 0 and before:  # it was off when the task began: show how the epoch before ended
        epoch, size = before[-1]
        ranges.append(Range(box, epoch, size - 1, [read(data) for data in port.records(box, epoch, size - 1, size)], b"", whole=True))
    for epoch, size, position in later:
        first = max(0, position - 1) if not ranges else 0
        range_ = Range(box, epoch, first, [], b"", whole=True)
        ranges.append(range_)
        if _fill(port, range_, size, aim, exhibits):
            return []
    last = ranges[-1]
    sealed = port.seals(box, last.epoch, last.first)
    if sealed:
        _cut(last, sealed)
    else:
        ranges.pop()
    return [f"the journal of {box} does not explain the whole task yet"]


def _concerns(box: BoxId, aim: _Aim, exhibits: Exhibits) -> bool:
    """Tell whether a box has cameras in the task, or its own records say that it paired."""
    if aim.scope.streams:
        return True
    for signed in exhibits.leaves.values():
        body = signed.record.body
        if isinstance(body, kinds.Task) and any(StreamId(camera).box == box for camera in body.cameras or ()):
            return True
    records = [signed.record for range_ in exhibits.ranges.get(box, []) for signed in range_.records]
    return any(isinstance(record.body, kinds.Pairing) and record.subject == aim.scope.subject for record in records)


def _fill(port: Port, range_: Range, size: int, aim: _Aim, exhibits: Exhibits) -> bool:
    """Read records up to the first logged seal under which the box's part of the task is explained; False when there is none."""
    sealed = port.seals(range_.box, range_.epoch, range_.first)
    for first in range(range_.first, size, BATCH):
        range_.records += [read(data) for data in port.records(range_.box, range_.epoch, first, min(first + BATCH, size))]
    _reach_back(port, range_, sealed, aim, exhibits)
    everything = range_.records
    for count, (position, _) in enumerate(sealed, 1):
        if position >= range_.end or everything[position - range_.first].record.at.wall_ns < aim.end:
            continue
        range_.records = everything[: position - range_.first + 1]
        range_.sealed = sealed[:count]
        if _explained(range_.box, aim.scope, exhibits):
            return True
        range_.records = everything
    range_.sealed = sealed
    return False


def _reach_back(port: Port, range_: Range, sealed: Sequence[tuple[int, int]], aim: _Aim, exhibits: Exhibits) -> None:
    """Show older records too, back to the last word on each stream about which the task's time is silent, or to the boot."""
    walls = ((position, range_.records[position - range_.first].record.at.wall_ns) for position, _ in sealed if position < range_.end)
    end = next((position for position, wall in walls if wall >= aim.end), range_.end)
    shown = range_.records[: end - range_.first]
    silent = {str(one) for one in aim.streams(exhibits) if one.box == range_.box}.difference(*(_named(one) for one in shown))
    older: list[SignedRecord] = []
    first = range_.first
    while silent and first > 0:
        since = max(0, first - BATCH)
        for signed in reversed([read(data) for data in port.records(range_.box, range_.epoch, since, first)]):
            older.append(signed)
            silent -= _named(signed)
            if not silent:
                break
        first = since
    range_.first -= len(older)
    range_.records = older[::-1] + range_.records


def _named(signed: SignedRecord) -> set[str]:
    """Give the streams of whose recording a record speaks."""
    body = signed.record.body
    if isinstance(body, kinds.Heartbeat):
        return {one.stream for one in body.open}
    return {signed.record.subject} if isinstance(body, kinds.Segment | kinds.Gap | kinds.Recording) else set()


def _cut(range_: Range, sealed: Sequence[tuple[int, int]]) -> None:
    range_.records = range_.records[: sealed[-1][0] - range_.first + 1]
    range_.sealed = list(sealed)


def _explained(box: BoxId, scope: Scope, exhibits: Exhibits) -> bool:
    wanted = expect(exhibits, Faults(), scope)
    mine = [stream for stream in wanted.linked if stream.box == box]
    return all(account_stream(stream, wanted, Faults()).unexplained_ns == 0 for stream in mine)


def _bounds(port: Port, exhibits: Exhibits, wanted: Expectation) -> set[int]:
    """Choose, about a minute apart, the seals and the hub's own records that bound when segments were made."""
    chosen: set[int] = set()
    for box, ranges in exhibits.ranges.items():
        revoked = _revocations(port, box)
        for range_ in ranges:
            kept = _bound_range(port, range_, exhibits, _thin(range_, revoked))
            for _position, index in kept:
                after = port.hub_leaf_after(index)
                chosen |= {index} | ({after} if after is not None else set())
            range_.sealed = kept
        heads = port.head_leaves(box)
        _show_notes(exhibits, covering(heads, moments(port.checkpoints(min(heads), max(heads) + 1))) if heads else {})
        chosen |= set(heads)
    exhibits.seen.update(_sizes(wanted))
    for size in sorted(exhibits.seen):
        before = port.hub_leaf_before(size)
        chosen |= {before} if before is not None else set()
    for index, size, root in port.tokens(min(chosen), max(chosen)) if chosen else []:
        chosen.add(index)
        exhibits.seen[size] = root
    return chosen


def _bound_range(port: Port, range_: Range, exhibits: Exhibits, kept: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Add what bounds a range most tightly: checkpoints to the exhibits, seals to those that are kept anyway."""
    sizes = {signed.record.seen.size for signed in range_.records if signed.record.seen is not None}
    sizes |= {index for _, index in range_.sealed}
    known = moments(port.checkpoints(min(sizes), max(sizes) + 1)) if sizes else []
    kept = sorted({*kept, *best_seals(range_, known)})
    seen = best_seen(range_, known)
    exhibits.seen.update(seen)
    exact = {one.size: one.note for one in known if one.size in seen}
    _show_notes(exhibits, covering((index for _, index in kept), known) | exact)
    return kept


def _show_notes(exhibits: Exhibits, notes: dict[int, bytes]) -> None:
    for size, note in notes.items():
        exhibits.notes[size] = SignedCheckpoint.parse(note)
        exhibits.seen[size] = exhibits.notes[size].checkpoint.root


def _revocations(port: Port, box: BoxId) -> list[int]:
    """Give the log indices of a box's revocations."""
    found = ((index, read(port.leaf(index)).record.body) for index in port.enrolment_leaves(box))
    return [index for index, body in found if isinstance(body, kinds.Enrolment) and body.state == "revoked"]


def _thin(range_: Range, revoked: Sequence[int]) -> list[tuple[int, int]]:
    """Keep seals about a minute apart, the last one, and the last one before each revocation: what they cover counts."""
    last = {max((index for _, index in range_.sealed if index < border), default=None) for border in (*revoked, 1 << 63)}
    out: list[tuple[int, int]] = []
    next_ns = 0
    for position, index in range_.sealed:
        wall = range_.records[position - range_.first].record.at.wall_ns
        if wall >= next_ns or index in last:
            out.append((position, index))
            next_ns = wall + TIME_STEP_NS
    return out


def _sizes(wanted: Expectation) -> dict[int, bytes]:
    """Give sizes and roots of checkpoints that boxes had seen when they signed segments, about a minute apart per box."""
    out: dict[int, bytes] = {}
    next_ns: dict[BoxId, int] = {}
    for piece in sorted(wanted.wanted.values(), key=_position):
        record = piece.signed.record
        if record.seen is not None and record.seen.size and record.at.wall_ns >= next_ns.get(piece.range.box, 0):
            out[record.seen.size] = record.seen.root
            next_ns[piece.range.box] = record.at.wall_ns + TIME_STEP_NS
    return out


def _position(piece: Piece) -> tuple[str, int, int]:
    return piece.range.box, piece.range.epoch, piece.signed.record.position


def _write_records(port: Port, gathered: Gathered) -> None:
    files = gathered.files
    site_ca, root = port.authorities()
    files[bundle.ROOT], files[bundle.SITE_CA] = root.pem(), site_ca.pem()
    files |= port.claims()
    for index in gathered.indices:
        files[bundle.leaf_name(index)] = port.leaf(index)
        opening = port.opening(index)
        if opening is not None:
            files[bundle.leaf_name(index, "opening")] = opening
    for size, signed in gathered.exhibits.notes.items():
        files[bundle.note_name(size)] = signed.note.encode()
    for box, ranges in gathered.exhibits.ranges.items():
        for range_ in ranges:
            files[bundle.journal_name(box, range_.epoch)] = bundle.encode_records(one.data for one in range_.records)
            files[bundle.journal_name(box, range_.epoch, "range")] = _place(port, range_).encode()


def _place(port: Port, range_: Range) -> bundle.JournalRange:
    nodes = port.journal_nodes(range_.box, range_.epoch)
    first = range_.first
    left = tuple(nodes(level, index) for level, index in subtrees(0, first))
    session = port.session_before(range_.box, range_.epoch, first) if first else None
    if session is None:
        return bundle.JournalRange(first, left)
    data = port.records(range_.box, range_.epoch, session, session + 1)[0]
    return bundle.JournalRange(first, left, data, tuple(inclusion_proof(session, first, nodes)))


def _find_videos(port: Port, gathered: Gathered) -> None:
    for name, piece in gathered.wanted.wanted.items():
        path = port.blob(piece.body.sha256)
        if path is None:
            gathered.missing.append(f"{piece.stream} segment {piece.body.number} has not arrived yet")
        else:
            gathered.videos[name] = (path, piece)


def check_complete(gathered: Gathered) -> None:
    """Raise UnavailableError naming what has not arrived yet."""
    if gathered.missing:
        more = f" (and {len(gathered.missing) - 3} more)" if len(gathered.missing) > 3 else ""
        raise UnavailableError("; ".join(gathered.missing[:3]) + more, where=f"export of {gathered.task}")
