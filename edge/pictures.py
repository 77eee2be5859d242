"""Give the newest pictures of a stream back from the segment that is being written, for a viewer who begins now.

Guarantees: nothing is kept in memory for viewers who may come; what is given begins at a keyframe, is bounded, and is byte for
byte what the device sent. The file's last parts come from the page cache.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.drafts import Draft
from edge.muxer import Muxer
from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat, UnitSink
from protocol import fmp4
from protocol.errors import MalformedError
from storage.files import SegmentFolder, read_file

MAX_PICTURES_BYTES = 12 << 20
MAX_FILE_BYTES = 1 << 30
_NON_SYNC = 0x1_0000  # sample_is_non_sync_sample (ISO/IEC 14496-12 8.8.3.1)


@dataclass(frozen=True, slots=True)
class _Sample:
    start: int
    size: int
    time: int  # of presentation, in the run
    is_key: bool


def stored_pictures(folder: SegmentFolder, draft: Draft, muxer: Muxer) -> list[MediaUnit]:
    """Read the pictures since the newest keyframe that are in the draft's file; the flush's thread only.

    Raises StorageError. Empty when there is no file yet, or the group of pictures is too large.
    """
    if draft.number < 0 or not draft.has_media:
        return []
    return read_pictures(folder.path(draft.stream.source, draft.number), muxer)


def read_pictures(path: Path, muxer: Muxer) -> list[MediaUnit]:
    """Read the pictures since the newest keyframe of a file; raise StorageError, MalformedError when it is none of ours."""
    data = read_file(path, MAX_FILE_BYTES)
    tops = list(fmp4.boxes(data, 0, fmp4.whole_parts(data)))
    found: list[_Sample] = []
    for moof in reversed(tops[2::2]):
        part = _samples(data, moof, muxer.leading_number)
        key = max((at for at, sample in enumerate(part) if sample.is_key), default=None)
        found[:0] = part[key:] if key is not None else part
        if sum(sample.size for sample in found) > MAX_PICTURES_BYTES:
            return []
        if key is not None:
            return [_unit(data, sample, muxer) for sample in found]
    return []


def _unit(data: bytes, sample: _Sample, muxer: Muxer) -> MediaUnit:
    payloads, at, end = [], sample.start, sample.start + sample.size
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")
        payloads.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return MediaUnit(muxer.leading, tuple(payloads), sample.time + muxer.leading_origin, sample.is_key, 0)


def _samples(data: bytes, moof: fmp4.Box, track: int) -> list[_Sample]:
    """List the samples of one track in a part."""
    for traf in fmp4.boxes(data, moof.start + moof.head, moof.end):
        if traf.type != b"traf":
            continue
        boxes = {box.type: box.start + box.head for box in fmp4.boxes(data, traf.start + traf.head, traf.end)}
        try:
            flags, number, step, default_flags = struct.unpack_from(">IIII", data, boxes[b"tfhd"])
            if number == track and flags == 0x02_0028:
                (decode_time,) = struct.unpack_from(">Q", data, boxes[b"tfdt"] + 4)
                return _run(data, moof.start, boxes[b"trun"], (decode_time, step, default_flags))
        except (struct.error, KeyError) as error:
            raise MalformedError("not a part of ours", where="traf") from error
    return []


def _run(data: bytes, base: int, at: int, defaults: tuple[int, int, int]) -> list[_Sample]:
    due, step, default_flags = defaults
    flags, count, offset = struct.unpack_from(">IIi", data, at)
    at += 12
    first_flags = default_flags
    if flags & 0x4:
        (first_flags,) = struct.unpack_from(">I", data, at)
        at += 4
    start, out = base + offset, []
    for index in range(count):
        lasting, size, own, shift = step, 0, first_flags if not index else default_flags, 0
        if flags & 0x100:
            (lasting,) = struct.unpack_from(">I", data, at)
            at += 4
        (size,) = struct.unpack_from(">I", data, at)
        at += 4
        if flags & 0x400:
            (own,) = struct.unpack_from(">I", data, at)
            at += 4
        if flags & 0x800:
            (shift,) = struct.unpack_from(">i", data, at)
            at += 4
        out.append(_Sample(start, size, due + shift, not own & _NON_SYNC))
        start, due = start + size, due + lasting
    return out


@dataclass(slots=True)
class Joining:
    """Holds what comes while the older pictures are read, then hands all of it to the listener, in order; a `UnitSink`."""

    listener: UnitSink
    _held: list[MediaUnit] | None = field(default_factory=list)
    _size: int = 0

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        """Take a new connection: what is held belongs to the old one."""
        self._held = None
        self.listener.on_formats(formats)

    def on_unit(self, unit: MediaUnit) -> None:
        """Take one unit."""
        if self._held is None:
            self.listener.on_unit(unit)
            return
        self._held.append(unit)
        self._size += sum(map(len, unit.payloads))
        if self._size > MAX_PICTURES_BYTES:
            self._held = None

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        """Take the end of a connection."""
        self._held = None
        self.listener.on_interruption(cause, detail)

    def begin(self, older: list[MediaUnit]) -> None:
        """Hand over the older pictures and what was held; from now on units pass."""
        held, self._held = self._held, None
        for unit in older + held if held is not None else ():
            self.listener.on_unit(unit)
