"""Stand for the samples of a segment by one Merkle root (样本树) that outlives its container.

    leaf 0            the table of contents: version, number of samples of each track
    then, per track   its head: place, kind, codec name, codec configuration; then each sample in decode order:
                      dts, pts, duration, key flag, SHA-256 of its bytes

Tree and leaf hashes are those of RFC 6962 §2.1. Times count from the track's first sample in decode order, in flicks (1/705 600 000 s),
in which every time scale in use is a whole number: copying samples into another MP4 file keeps the root, and any change of a bit,
a time, an order, a number of samples or a parameter set breaks it. A sample lasts until the next one; the last one of a track has duration
0, since writers disagree about it. Tracks without samples do not count. When tracks start against each other is a field of the
segment's record (`starts`), since writers round it to a millisecond.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from protocol import canonical
from protocol.errors import MalformedError
from protocol.merkle import HASH_BYTES, leaf_hash, node_hash
from protocol.mp4 import MAX_CONFIG_BYTES, Data, Track, read_tracks

FLICKS = 705_600_000
VERSION = 1
_HEAD_LIMIT = MAX_CONFIG_BYTES + 1024
_pack = struct.Struct(">cBqqqB32s").pack  # leaf prefix, tag, dts, pts, duration, key flag, hash
_SAMPLE_TAG = 1  # a head begins with a CBOR array, 0x80 or more
_sha256 = hashlib.sha256
_MAX_FLICKS = 1 << 62


def flicks(ticks: int, timescale: int) -> int:
    """Give a time in flicks; raise MalformedError when it is none or too far."""
    value, rest = divmod(ticks * FLICKS, timescale)
    if rest or not -_MAX_FLICKS < value < _MAX_FLICKS:
        raise MalformedError(f"{ticks}/{timescale} s is no whole number of 1/{FLICKS} s", where="sample time")
    return value


def is_exact(timescale: int) -> bool:
    """Tell whether every tick of a time scale is a whole number of flicks."""
    return timescale > 0 and FLICKS % timescale == 0


def contents_leaf(counts: Sequence[int]) -> bytes:
    """Hash the table of contents."""
    return leaf_hash(canonical.encode([VERSION, list(counts)]))


def head_leaf(place: int, track: Track) -> bytes:
    """Hash a track's head; `place` counts tracks that have samples from 0."""
    if len(track.config) > MAX_CONFIG_BYTES:
        raise MalformedError(f"configuration of {len(track.config)} bytes", where=f"track {track.id}")
    return leaf_hash(canonical.encode([place, track.kind, track.codec, track.config]))


def sample_leaf(dts: int, pts: int, duration: int, is_key: bool, digest: bytes) -> bytes:
    """Hash a sample; times in flicks, `digest` of its bytes."""
    return _sha256(_pack(b"\x00", _SAMPLE_TAG, dts, pts, duration, is_key, digest)).digest()


@dataclass(slots=True)
class TrackLeaves:
    """The leaves of one track as its samples come; the newest waits, since it lasts until the next."""

    track: Track  # its columns are not used
    leaves: bytearray = field(default_factory=bytearray)
    first: tuple[int, int] | None = None  # dts, pts in ticks
    held: tuple[int, int, bool, bytes] | None = None  # dts, pts in flicks from the first, key flag, hash

    @property
    def count(self) -> int:
        """Give the number of samples."""
        return len(self.leaves) // HASH_BYTES + (self.held is not None)

    def extend(self, dts: Sequence[int], pts: Sequence[int], syncs: Sequence[bool], digests: Iterable[bytes]) -> None:
        """Take samples in decode order, times in ticks; raise MalformedError when a time is no whole number of flicks."""
        if not dts:
            return
        if self.first is None:
            self.first = dts[0], pts[0]
        first_due, first_shown = self.first
        due = self._flicks(dts, first_due)
        shown = self._flicks(pts, first_shown)
        if self.held is not None:
            before = self.held
            self.leaves += sample_leaf(before[0], before[1], due[0] - before[0], before[2], before[3])
        hashes = list(digests)
        self.leaves += b"".join(
            [
                _sha256(_pack(b"\x00", _SAMPLE_TAG, at, show, following - at, key, digest)).digest()
                for at, show, following, key, digest in zip(due, shown, due[1:], syncs, hashes, strict=False)
            ]
        )
        self.held = due[-1], shown[-1], bool(syncs[-1]), hashes[-1]

    def _flicks(self, times: Sequence[int], first: int) -> list[int]:
        scale = self.track.timescale
        if not is_exact(scale):
            return [flicks(time - first, scale) for time in times]
        each = FLICKS // scale
        flicks(max(times) - first, scale)  # the farthest ones are not too far
        flicks(min(times) - first, scale)
        return [(time - first) * each for time in times]

    def hashes(self) -> list[bytes]:
        """Give the leaf hashes of the samples."""
        data = bytes(self.leaves)
        out = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
        if self.held is not None:
            dts, pts, is_key, digest = self.held
            out.append(sample_leaf(dts, pts, 0, is_key, digest))
        return out

    def shown_from(self) -> int:
        """Give when the first sample is shown on the movie's time line, edits applied, in flicks rounded down."""
        track, shown = self.track, self.first[1] if self.first is not None else 0
        return track.delay * FLICKS // track.delay_scale + (shown - track.media_time) * FLICKS // track.timescale

    def copy(self) -> "TrackLeaves":
        """Give an independent copy."""
        return TrackLeaves(self.track, self.leaves[:], self.first, self.held)


def root_over(leaves: Sequence[bytes]) -> bytes:
    """Give the RFC 6962 root over at least one leaf hash, level by level."""
    return levels_over(leaves)[-1][0]


def levels_over(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Give all levels of the tree over at least one leaf hash; a node without a neighbour goes up as it is (RFC 6962 splits so)."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [node_hash(left, right) for left, right in zip(below[::2], below[1::2], strict=False)]
        levels.append(above + below[len(below) & ~1 :])
    return levels


@dataclass(slots=True)
class SampleTree:
    """The sample tree of a segment while it grows, track by track."""

    tracks: list[TrackLeaves]

    @classmethod
    def of_head(cls, head: Data) -> "SampleTree":
        """Begin with the tracks of an initialisation part (`ftyp moov`); raise MalformedError when it is none."""
        return cls([TrackLeaves(track) for track in read_tracks(head)])

    @property
    def used(self) -> list[TrackLeaves]:
        """Give the tracks that have samples."""
        return [track for track in self.tracks if track.count]

    def leaves(self) -> list[bytes]:
        """Give all leaf hashes in order."""
        used = self.used
        out = [contents_leaf([track.count for track in used])]
        for place, track in enumerate(used):
            out.append(head_leaf(place, track.track))
            out += track.hashes()
        return out

    def root(self) -> bytes:
        """Give the root; that of an empty table of contents when there are no samples."""
        return root_over(self.leaves())

    def starts(self) -> tuple[int, ...] | None:
        """Give when each further track is first shown against the first track, in flicks; None with one track."""
        shown = [track.shown_from() for track in self.used]
        return tuple(one - shown[0] for one in shown[1:]) or None

    def copy(self) -> "SampleTree":
        """Give an independent copy."""
        return SampleTree([track.copy() for track in self.tracks])


def digests(data: Data, track: Track) -> list[bytes]:
    """Hash the bytes of each sample of a track."""
    view = memoryview(data)
    return [_sha256(view[place : place + size]).digest() for place, size in zip(track.places, track.sizes, strict=True)]


def tree_of(data: Data, tracks: Sequence[Track]) -> SampleTree:
    """Give the tree over the tracks of a file that `read_tracks` gave; raise MalformedError."""
    out = SampleTree([TrackLeaves(track) for track in tracks])
    for leaves in out.tracks:
        track = leaves.track
        leaves.extend(track.dts, track.pts, track.syncs, digests(data, track))
    return out


def sample_root(data: Data) -> bytes:
    """Give the sample root of a whole file; raise MalformedError when it is not read."""
    return tree_of(data, read_tracks(data)).root()
