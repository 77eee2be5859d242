"""Prove a sub-clip or a single frame of a segment by the segment's sample root (样本证明): make, encode, parse, check.

A proof holds the sibling hashes that lead from a contiguous run of samples per track to the root, and where these samples stand.
What is checked comes from the clip's own bytes: samples, their times against each other, key flags, parameter sets. The root itself,
and when tracks start against each other, come from the segment's signed record. Checks raise; they never give back False.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any

from protocol import canonical
from protocol.errors import MalformedError, VerificationError
from protocol.fmp4 import MAX_SAMPLES
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.merkle import HASH_BYTES, node_hash
from protocol.mp4 import MAX_TRACKS, Data, Track, read_tracks
from protocol.samples import (
    FLICKS,
    SampleTree,
    TrackLeaves,
    contents_leaf,
    digests,
    flicks,
    head_leaf,
    levels_over,
    sample_leaf,
    tree_of,
)

MAX_PROOF_BYTES = 131_072
MAX_HASHES = 2_048
VERSION = 1
ROUNDING = 2 * FLICKS // 1000  # writers round edits to a millisecond, twice
LAST_SLACK = 2 * FLICKS  # how much longer than its record a segment's media may last: nobody binds the last sample's end
_LIMIT = 1 << 62
_IDR = 5
MAX_NALS = 256  # of a picture: an IDR slice stands before all others


@dataclass(frozen=True, slots=True)
class Shown:
    """A run of samples of one track: `place` of the track, index of the first sample, how many.

    `dts`, `pts`: of its first sample, `duration`: of its last one (0: the track's last), in flicks as the tree counts them.
    """

    place: int
    first: int
    count: int
    dts: int
    pts: int
    duration: int


@dataclass(frozen=True, slots=True)
class SampleProof:
    """Where the samples of a clip stand in a segment, and the hashes beside them, level by level from the leaves.

    `counts`: samples of each track of the segment. `key`: None for a clip that is an MP4 file; else the clip is the bare bytes of one
    sample, and this its key flag.
    """

    stream: StreamId
    number: int
    counts: tuple[int, ...]
    shown: tuple[Shown, ...]
    hashes: tuple[bytes, ...]
    key: bool | None = None

    def encode(self) -> bytes:
        """Give the `.samples` file: canonical CBOR."""
        rows = [[one.place, one.first, one.count, one.dts, one.pts, one.duration] for one in self.shown]
        joined = b"".join(self.hashes)
        return canonical.encode([VERSION, str(self.stream), self.number, list(self.counts), self.key, rows, joined])

    @classmethod
    def parse(cls, data: bytes) -> "SampleProof":
        """Read a `.samples` file; raise MalformedError when it is none, or out of bounds."""
        value = canonical.decode(data, limit=MAX_PROOF_BYTES)
        if not isinstance(value, list) or len(value) != 7 or type(value[0]) is not int or value[0] != VERSION:
            raise MalformedError("not [1, stream, number, counts, key, shown, hashes]", where="sample proof")
        _, stream, number, counts, key, rows, joined = value
        if type(stream) is not str or not _is_count(number, _LIMIT) or not (key is None or type(key) is bool):
            raise MalformedError("stream, number or key has the wrong type", where="sample proof")
        if type(joined) is not bytes or len(joined) % HASH_BYTES or len(joined) > MAX_HASHES * HASH_BYTES:
            raise MalformedError(f"not at most {MAX_HASHES} hashes", where="sample proof")
        hashes = tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES))
        found = _counts(counts)
        return cls(StreamId(stream), number, found, _rows(rows, found, key), hashes, key)


def _is_count(value: Any, limit: int) -> bool:  # noqa: ANN401
    return type(value) is int and 0 <= value <= limit


def _counts(value: Any) -> tuple[int, ...]:  # noqa: ANN401
    is_list = isinstance(value, list) and 0 < len(value) <= MAX_TRACKS
    if not is_list or not all(_is_count(one, MAX_SAMPLES) and one for one in value) or sum(value) > MAX_SAMPLES:
        raise MalformedError("counts are no numbers of samples", where="sample proof")
    return tuple(value)


def _rows(value: Any, counts: Sequence[int], key: bool | None) -> tuple[Shown, ...]:  # noqa: ANN401
    if not isinstance(value, list) or not 0 < len(value) <= len(counts):
        raise MalformedError("shows no track, or more than there are", where="sample proof")
    rows = tuple(_row(row, counts) for row in value)
    if any(later.place <= before.place for before, later in pairwise(rows)):
        raise MalformedError("tracks are not in order", where="sample proof")
    if key is not None and (len(rows) != 1 or rows[0].count != 1):
        raise MalformedError("a bare sample is one sample of one track", where="sample proof")
    return rows


def _row(value: Any, counts: Sequence[int]) -> Shown:  # noqa: ANN401
    if not isinstance(value, list) or len(value) != 6 or not all(type(one) is int and -_LIMIT < one < _LIMIT for one in value):
        raise MalformedError("a run of samples is not six numbers", where="sample proof")
    row = Shown(*value)
    if not 0 <= row.place < len(counts) or row.count < 1 or row.first < 0 or row.first + row.count > counts[row.place]:
        raise MalformedError("a run of samples lies outside of its track", where="sample proof")
    if row.dts < 0 or row.duration < 0:
        raise MalformedError("a decode time or duration is negative", where="sample proof")
    return row


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a checked clip stands in its segment: ns from the first shown picture (else sound) of the segment, and its samples."""

    stream: StreamId
    number: int
    start_ns: int
    end_ns: int
    samples: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the segment's signed record says: its sample root, when further tracks start (flicks), and how long it lasts."""

    root: bytes
    starts: tuple[int, ...]
    length_ns: int


# -------------------------------------------------------------------------------------------------------------- making


def prove(tree: SampleTree, stream: StreamId, number: int, ranges: Mapping[int, tuple[int, int]], *, bare: bool = False) -> SampleProof:
    """Make the proof for samples [first, end) of each track place in `ranges`; `bare` for the bytes of one sample alone.

    Raises MalformedError when a range is empty or outside of its track.
    """
    used = tree.used
    counts = tuple(track.count for track in used)
    shown: list[Shown] = []
    for place, (first, end) in sorted(ranges.items()):
        if not (0 <= place < len(counts) and 0 <= first < end <= counts[place]):
            raise MalformedError(f"[{first}, {end}) are no samples of track {place}", where="sample proof")
        shown.append(_show(used[place], place, first, end))
    if not shown or (bare and (len(shown) != 1 or shown[0].count != 1)):
        raise MalformedError("shows nothing, or more than a bare sample", where="sample proof")
    key = used[shown[0].place].track.syncs[shown[0].first] if bare else None
    levels = levels_over(tree.leaves())
    known = _indices(counts, shown, heads=not bare)
    return SampleProof(stream, number, counts, tuple(shown), tuple(_beside(levels, known)), key)


def _show(leaves: TrackLeaves, place: int, first: int, end: int) -> Shown:
    track = leaves.track
    scale, due, shown = track.timescale, track.dts, track.pts
    duration = flicks(due[end] - due[end - 1], scale) if end < len(due) else 0
    return Shown(place, first, end - first, flicks(due[first] - due[0], scale), flicks(shown[first] - shown[0], scale), duration)


def _bases(counts: Sequence[int]) -> list[int]:
    """Give the leaf index of each track's head."""
    bases = [1]
    for count in counts:
        bases.append(bases[-1] + 1 + count)
    return bases


def _indices(counts: Sequence[int], shown: Sequence[Shown], *, heads: bool) -> list[int]:
    """Give the leaves that whoever checks makes himself, in order: contents, then head and samples of each track shown."""
    bases, out = _bases(counts), [0]
    for one in shown:
        base = bases[one.place]
        out += [base] if heads else []
        out += range(base + 1 + one.first, base + 1 + one.first + one.count)
    return out


def _beside(levels: Sequence[Sequence[bytes]], known: Sequence[int]) -> Iterator[bytes]:
    """Give the nodes that are needed beside `known` leaves to reach the root, level by level, left to right."""
    have = list(known)
    for nodes in levels[:-1]:
        here = set(have)
        for index in have:
            if index ^ 1 not in here and index ^ 1 < len(nodes):
                yield nodes[index ^ 1]
        have = sorted({index >> 1 for index in have})


def _climb(size: int, known: dict[int, bytes], hashes: Sequence[bytes]) -> bytes:
    """Give the root that known leaves and the nodes beside them lead to; raise VerificationError when their number is wrong."""
    rest = iter(hashes)
    while size > 1:
        above: dict[int, bytes] = {}
        for index in sorted(known):
            if index >> 1 in above:
                continue
            node, beside = known[index], index ^ 1
            if beside < size:
                other = known.get(beside) or next(rest, None)
                if other is None:
                    raise VerificationError("hashes are missing", where="sample proof")
                node = node_hash(other, node) if index & 1 else node_hash(node, other)
            above[index >> 1] = node
        known, size = above, (size + 1) >> 1
    if next(rest, None) is not None:
        raise VerificationError("more hashes than it needs", where="sample proof")
    return known[0]


# ------------------------------------------------------------------------------------------------------------ checking


def roots(data: Data) -> Iterator[bytes]:
    """Give the sample root of a file, with its own key marks and then with those of its content; raise MalformedError."""
    tracks = read_tracks(data)
    yield tree_of(data, tracks).root()
    mark_by_content(data, tracks)
    yield tree_of(data, tracks).root()


def check_whole(data: Data, anchor: Anchor) -> SampleTree:
    """Check that an MP4 file, remuxed or not, holds all samples of a segment and shows its tracks as they were.

    Raises MalformedError when it is not read, VerificationError when it is not that segment.
    """
    tracks = read_tracks(data)
    tree = tree_of(data, tracks)
    if tree.root() != anchor.root:
        mark_by_content(data, tracks)
        tree = tree_of(data, tracks)
    if tree.root() != anchor.root:
        raise VerificationError("its samples, their times or their parameter sets are not those of the record", where="sample tree")
    used = [leaves.track for leaves in tree.used]
    _check_starts(used, [0, *anchor.starts])
    for track in used:
        length = flicks(track.end - track.dts[0], track.timescale)
        if length > anchor.length_ns * FLICKS // SECOND_NS + LAST_SLACK:
            raise VerificationError("its last sample is stretched: it lasts longer than the record says", where=f"track {track.id}")
    return tree


def check_clip(data: Data, proof: SampleProof, anchor: Anchor) -> Placed:
    """Check that a clip holds exactly the samples that the proof tells of, out of the segment of the record.

    Raises MalformedError when the clip is not read, VerificationError when it is not what the proof says.
    """
    if proof.key is not None:
        return _check_bare(data, proof, proof.key, anchor)
    used = [track for track in read_tracks(data) if track.dts]
    if len(used) != len(proof.shown):
        raise VerificationError(f"has {len(used)} tracks with samples, its proof tells of {len(proof.shown)}", where="clip")
    try:
        _check_root(proof, _leaves(data, used, proof), anchor)
    except VerificationError:
        mark_by_content(data, used)
        _check_root(proof, _leaves(data, used, proof), anchor)
    begun = [_start(one, anchor) for one in proof.shown]
    _check_starts(used, begun)
    start = begun[0]
    first, scale = used[0], used[0].timescale
    ends = [*(flicks(shown - first.pts[0], scale) for shown in first.pts)]
    last = proof.shown[0].duration or flicks(first.last, scale)
    return _placed(proof, start + min(ends), start + max(ends) + last, sum(one.count for one in proof.shown))


def _check_bare(data: Data, proof: SampleProof, key: bool, anchor: Anchor) -> Placed:
    one = proof.shown[0]
    leaf = sample_leaf(one.dts, one.pts, one.duration, key, sha256(data).digest())
    _check_root(proof, [contents_leaf(proof.counts), leaf], anchor)
    start = _start(one, anchor)
    return _placed(proof, start, start + one.duration, 1)


def _placed(proof: SampleProof, start: int, end: int, samples: int) -> Placed:
    return Placed(proof.stream, proof.number, start * SECOND_NS // FLICKS, end * SECOND_NS // FLICKS, samples)


def _start(one: Shown, anchor: Anchor) -> int:
    """Give when a run is first shown, against the segment's first track."""
    starts = (0, *anchor.starts)
    if one.place >= len(starts):
        raise VerificationError("the record does not say when this track starts", where=f"track {one.place}")
    return starts[one.place] + one.pts


def _leaves(data: Data, tracks: Sequence[Track], proof: SampleProof) -> list[bytes]:
    leaves = [contents_leaf(proof.counts)]
    for track, one in zip(tracks, proof.shown, strict=True):
        leaves += [head_leaf(one.place, track), *_clip_leaves(data, track, one)]
    return leaves


def mark_by_content(data: Data, tracks: Sequence[Track]) -> None:
    """Mark as key pictures those of H.264 that hold an IDR slice, which is what a box marks; writers have opinions of their own."""
    for track in tracks:
        if track.codec == "h264" and len(track.config) > 4:
            width = (track.config[4] & 3) + 1  # ISO/IEC 14496-15 5.3.3.1: bytes of a NAL unit's length
            places = zip(track.places, track.sizes, strict=True)
            track.syncs[:] = [_IDR in _kinds(data, place, place + size, width) for place, size in places]


def _kinds(data: Data, at: int, end: int, width: int) -> Iterator[int]:
    for _ in range(MAX_NALS):
        if at + width >= end:
            return
        yield data[at + width] & 0x1F
        at += width + int.from_bytes(data[at : at + width], "big")


def _clip_leaves(data: Data, track: Track, one: Shown) -> list[bytes]:
    if len(track.dts) != one.count:
        raise VerificationError(f"{len(track.dts)} samples, its proof tells of {one.count}", where=f"track {track.id}")
    scale = track.timescale
    due = [one.dts + flicks(at - track.dts[0], scale) for at in track.dts]
    shown = [one.pts + flicks(at - track.pts[0], scale) for at in track.pts]
    durations = [later - at for at, later in pairwise(due)]
    if one.duration and flicks(track.last, scale) > max([one.duration, *durations]) + ROUNDING:
        raise VerificationError("its last sample is stretched", where=f"track {track.id}")
    rows = zip(due, shown, [*durations, one.duration], track.syncs, digests(data, track), strict=True)
    return [sample_leaf(*row) for row in rows]


def _check_root(proof: SampleProof, leaves: Sequence[bytes], anchor: Anchor) -> None:
    known = dict(zip(_indices(proof.counts, proof.shown, heads=proof.key is None), leaves, strict=True))
    if _climb(_bases(proof.counts)[-1], known, proof.hashes) != anchor.root:
        what = "its samples, their times or their parameter sets do not lead to the sample root of the record"
        raise VerificationError(what, where="sample proof")


def _check_starts(tracks: Sequence[Track], begun: Sequence[int]) -> None:
    """Check when tracks are first shown against each other: to the rounding of edits, and to libav's shift of reordered pictures."""
    if len(tracks) != len(begun):
        raise VerificationError(f"{len(tracks)} tracks, the record tells of {len(begun)}", where="track starts")
    shown = [TrackLeaves(track, first=(track.dts[0], track.pts[0])).shown_from() for track in tracks]
    shifts = [_reordering(track) for track in tracks]
    for track, found, start, shift in zip(tracks, shown, begun, shifts, strict=True):
        wrong = (found - shown[0]) - (start - begun[0])
        if min(abs(wrong), abs(wrong - shift + shifts[0])) > ROUNDING:
            moved = wrong * 1000 // FLICKS
            raise VerificationError(f"starts {moved} ms from where the record has it", where=f"track {track.id}")


def _reordering(track: Track) -> int:
    """Give by how much libav shows a track later than its file says: the longest that a picture is shown before it is due."""
    lead = track.pts[0] - track.dts[0]
    return max(0, max(due - shown + lead for due, shown in zip(track.dts, track.pts, strict=True))) * FLICKS // track.timescale
