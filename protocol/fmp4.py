"""Walk the boxes of fragmented MP4 files (ISO/IEC 14496-12), bounded and without decoding.

A segment is `ftyp moov (moof mdat)+`; everything but the media decoder is derived from its box boundaries: what to keep
after a crash, where a part begins, when its samples are due.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from protocol.errors import MalformedError

MAX_META_BYTES = 4 * 1024 * 1024  # moov or moof: far above what a part of a second needs
MAX_SAMPLES = 100_000


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, where it starts, its whole size, the size of its head."""

    type: bytes
    start: int
    size: int
    head: int

    @property
    def end(self) -> int:
        """Give where the next box starts."""
        return self.start + self.size


def boxes(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Give the boxes in data[start:end]; raise MalformedError when a size does not fit."""
    end = len(data) if end is None else end
    while start < end:
        box = box_at(data, start, end)
        yield box
        start = box.end


def box_at(data: bytes | memoryview, start: int, end: int) -> Box:
    """Read the head of the box at `start`; raise MalformedError when it is cut or its size does not fit before `end`."""
    if end - start < 8:
        raise MalformedError(f"{end - start} bytes left, a box head has 8", where=f"byte {start}")
    size, kind = struct.unpack_from(">I4s", data, start)
    head = 8
    if size == 1:
        if end - start < 16:
            raise MalformedError("box head is cut", where=f"byte {start}")
        size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
    if size < head or start + size > end:
        raise MalformedError(f"box {kind!r} of {size} bytes does not fit into {end - start}", where=f"byte {start}")
    return Box(kind, start, size, head)


def whole_parts(data: bytes | memoryview) -> int:
    """Give how many leading bytes are whole: `ftyp moov` and complete `moof mdat` pairs; 0 when not even the head is."""
    good, start = 0, 0
    expected = (b"ftyp", b"moov")
    at = 0
    while start < len(data):
        try:
            box = box_at(data, start, len(data))
        except MalformedError:
            return good
        wanted = expected[at] if at < 2 else (b"moof", b"mdat")[at % 2]
        if box.type != wanted:
            return good
        start, at = box.end, at + 1
        if at >= 2 and at % 2 == 0:
            good = start
    return good


@dataclass(frozen=True, slots=True)
class Run:
    """What a part holds of one track: first decode time, summed duration, number of samples, whether it starts at a sync sample."""

    track: int
    decode_time: int
    duration: int
    samples: int
    sync: bool


def runs(moof: bytes | memoryview) -> list[Run]:
    """Read the track runs of a `moof` box; raise MalformedError when it is not one or out of bounds."""
    if len(moof) > MAX_META_BYTES:
        raise MalformedError(f"{len(moof)} bytes, at most {MAX_META_BYTES}", where="moof")
    top = box_at(moof, 0, len(moof))
    if top.type != b"moof":
        raise MalformedError(f"box {top.type!r}", where="moof")
    try:
        return [_run(moof, box) for box in boxes(moof, top.head, top.size) if box.type == b"traf"]
    except struct.error as error:
        raise MalformedError("cut inside a box", where="moof") from error


def _run(data: bytes | memoryview, traf: Box) -> Run:
    track = decode_time = default_duration = default_flags = 0
    duration = samples = 0
    sync: bool | None = None
    for box in boxes(data, traf.start + traf.head, traf.end):
        body = box.start + box.head
        if box.type == b"tfhd":
            track, default_duration, default_flags = _tfhd(data, body)
        elif box.type == b"tfdt":
            decode_time = struct.unpack_from(">Q" if data[body] else ">I", data, body + 4)[0]
        elif box.type == b"trun":
            more, count, first = _trun(data, body, box.end, default_duration, default_flags)
            duration, samples = duration + more, samples + count
            sync = first if sync is None else sync
    return Run(track, decode_time, duration, samples, bool(sync))


def _tfhd(data: bytes | memoryview, body: int) -> tuple[int, int, int]:
    flags, track = struct.unpack_from(">II", data, body)
    at, found = body + 8, {}
    for bit, width in ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)):
        if flags & bit:
            found[bit] = int.from_bytes(data[at : at + width], "big")
            at += width
    return track, found.get(0x8, 0), found.get(0x20, 0)


def _trun(data: bytes | memoryview, body: int, end: int, duration: int, default_flags: int) -> tuple[int, int, bool]:
    flags, count = struct.unpack_from(">II", data, body)
    width = 4 * sum(1 for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit)
    at = body + 8 + (4 if flags & 0x1 else 0)
    first_flags = default_flags
    if flags & 0x4:
        first_flags = struct.unpack_from(">I", data, at)[0]
        at += 4
    if count > MAX_SAMPLES or at + count * width > end:
        raise MalformedError(f"{count} samples do not fit", where="trun")
    if flags & 0x400 and not flags & 0x4 and count:
        offset = 4 * sum(1 for bit in (0x100, 0x200) if flags & bit)
        first_flags = struct.unpack_from(">I", data, at + offset)[0]
    total = sum(struct.unpack_from(">I", data, at + n * width)[0] for n in range(count)) if flags & 0x100 else count * duration
    return total, count, not first_flags & 0x10000  # sample_is_non_sync_sample
