"""Cut a sub-clip (片段剪辑) out of a segment's bytes: the same head, the chosen samples byte for byte, at their own times."""

import struct
from collections.abc import Mapping, Sequence

from protocol.errors import MalformedError
from protocol.fmp4 import boxes
from protocol.mp4 import Data, Track
from protocol.samples import FLICKS

_SYNC, _NON_SYNC = 0x0200_0000, 0x0101_0000  # sample flags (ISO/IEC 14496-12 8.8.3.1)
_RUN_FLAGS = 0x1 | 0x100 | 0x200 | 0x400 | 0x800  # data offset; duration, size, flags, composition offset of each sample
_PICTURES = "vide"

Ranges = dict[int, tuple[int, int]]


def choose(tracks: Sequence[Track], start: int, end: int) -> Ranges:
    """Choose the samples that show [start, end), in flicks from the first track's first sample: by place, [first, end).

    Pictures begin at the key picture before `start`, so that they decode. Raises MalformedError when nothing is shown then.
    """
    used = [track for track in tracks if track.dts]
    if not used or end <= start:
        raise MalformedError("shows nothing then", where="clip")
    zero = used[0].pts[0] * FLICKS // used[0].timescale
    out: Ranges = {}
    for place, track in enumerate(used):
        shown = [time * FLICKS // track.timescale - zero for time in track.pts]
        if track.kind == _PICTURES:
            first = max((at for at, time in enumerate(shown) if time <= start and track.syncs[at]), default=0)
            if not out:
                start = min(start, shown[first])  # sound begins with the pictures
        else:
            first = max((at for at, time in enumerate(shown) if time <= start), default=0)
        last = max((at for at, time in enumerate(shown) if time < end), default=-1)
        if last >= first:
            out[place] = first, last + 1
    if not out:
        raise MalformedError("shows nothing then", where="clip")
    return out


def shown_at(tracks: Sequence[Track], at: int) -> int:
    """Give which sample of the first track is shown at an instant, in flicks from its first one; raise MalformedError when none is."""
    used = [track for track in tracks if track.dts]
    if not used or at < 0:
        raise MalformedError("shows nothing then", where="clip")
    track = used[0]
    shown = [(time - track.pts[0]) * FLICKS // track.timescale for time in track.pts]
    last = max(range(len(shown)), key=shown.__getitem__)
    if at >= shown[last] + max(track.last, 1) * FLICKS // track.timescale:
        raise MalformedError("shows nothing then", where="clip")
    return max((index for index in range(len(shown)) if shown[index] <= at), key=shown.__getitem__, default=0)


def cut(data: Data, tracks: Sequence[Track], ranges: Mapping[int, tuple[int, int]]) -> bytes:
    """Give the clip: `ftyp moov moof mdat`, playable by itself.

    Raises MalformedError when the segment is not fragmented or a range is not in it.
    """
    head = _head(data)
    used = [track for track in tracks if track.dts]
    chosen: list[tuple[Track, int, int]] = []
    for place, (first, end) in sorted(ranges.items()):
        if not (0 <= place < len(used) and 0 <= first < end <= len(used[place].dts)):
            raise MalformedError(f"[{first}, {end}) are no samples of track {place}", where="clip")
        chosen.append((used[place], first, end))
    sizes = [sum(track.sizes[first:end]) for track, first, end in chosen]
    offset = 8 + 16 + sum(_traf_size(end - first) for _, first, end in chosen) + 8
    trafs: list[bytes] = []
    for (track, first, end), size in zip(chosen, sizes, strict=True):
        trafs.append(_traf(track, first, end, offset))
        offset += size
    moof_size = 24 + sum(map(len, trafs))
    moof = struct.pack(">I4sI4sII", moof_size, b"moof", 16, b"mfhd", 0, 1) + b"".join(trafs)
    samples = [
        data[place : place + size]
        for track, first, end in chosen
        for place, size in zip(track.places[first:end], track.sizes[first:end], strict=True)
    ]
    return b"".join([head, moof, struct.pack(">I4s", 8 + sum(sizes), b"mdat"), *samples])


def sample(data: Data, tracks: Sequence[Track], place: int, index: int) -> bytes:
    """Give the bytes of one sample; raise MalformedError when there is none."""
    used = [track for track in tracks if track.dts]
    if not (0 <= place < len(used) and 0 <= index < len(used[place].dts)):
        raise MalformedError(f"no sample {index} in track {place}", where="clip")
    start = used[place].places[index]
    return bytes(data[start : start + used[place].sizes[index]])


def _head(data: Data) -> bytes:
    end = 0
    for box in boxes(data):
        if box.type not in (b"ftyp", b"moov"):
            break
        end = box.end
        if box.type == b"moov" and any(child.type == b"mvex" for child in boxes(data, box.start + box.head, box.end)):
            return bytes(data[:end])
    raise MalformedError("is no fragmented segment: it does not begin with ftyp and a moov with mvex", where="clip")


def _traf_size(count: int) -> int:
    return 8 + 16 + 20 + 20 + 16 * count


def _traf(track: Track, first: int, end: int, offset: int) -> bytes:
    count = end - first
    ends = [*track.dts[first + 1 : end], track.dts[end] if end < len(track.dts) else track.end]
    rows = [
        (following - due, size, _SYNC if is_sync else _NON_SYNC, (shown - due) & 0xFFFF_FFFF)
        for due, following, size, is_sync, shown in zip(
            track.dts[first:end], ends, track.sizes[first:end], track.syncs[first:end], track.pts[first:end], strict=True
        )
    ]
    table = struct.pack(f">{4 * count}I", *(cell for row in rows for cell in row))
    run = struct.pack(">I4sIIi", 20 + len(table), b"trun", 1 << 24 | _RUN_FLAGS, count, offset) + table
    # tfhd: base is moof; tfdt version 1; trun version 1: signed composition offsets
    return struct.pack(
        ">I4sI4sIII4sIQ", _traf_size(count), b"traf", 16, b"tfhd", 0x02_0000, track.id, 20, b"tfdt", 1 << 24, track.dts[first]
    ) + run  # fmt: skip
