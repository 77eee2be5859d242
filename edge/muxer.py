"""Write parts of fragmented MP4 from access units, byte for byte (ISO/IEC 14496-12 8.8).

Guarantees: every unit's NAL units stand in the file as they came, each behind its length; presentation times are exact;
decode times run on over the whole run, whatever order pictures are shown in; nothing is copied before a part is written.
`take` is cheap and belongs to the thread that adds units; `Part.encode` may run in another.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, pairwise

from edge.initialisation import codec_string, initialisation
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol.errors import MalformedError
from protocol.samples import SampleTree

_SYNC = 0x0200_0000  # depends on no other sample
_NON_SYNC = 0x0101_0000  # depends on others, is no sync sample (8.8.3.1)
_TFHD_FLAGS = 0x02_0028  # base is moof, default duration, default flags
_HAS_OFFSET, _HAS_FIRST_FLAGS, _HAS_DURATION, _HAS_SIZE, _HAS_FLAGS, _HAS_COMPOSITION = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800
_OFFSET_PLACE = 8 + 24 + 20 + 16  # of the data offset, from the start of its traf: heads of traf, tfhd, tfdt, trun
_DEFAULT_STEPS = {"h264": (1, 25), "aac": (1024, 0), "opus": (1, 50)}
_TRAF_HEAD = struct.Struct(">I4sI4sIIIII4sIQI4sIIi")
_pack_size = struct.Struct(">I").pack


@dataclass(slots=True)
class TrackPart:
    """The samples of one track in one part: times and sizes by sample, bytes in pieces."""

    track: int
    decode_time: int
    durations: list[int]
    sizes: list[int]
    syncs: list[bool]
    offsets: list[int] | None
    is_video: bool
    pieces: list[bytes]
    size: int

    def encode(self) -> bytes:
        """Give the `traf` box, its data offset still 0."""
        count = len(self.sizes)
        columns: list[Sequence[int]] = []
        flags = _HAS_OFFSET | _HAS_SIZE
        first = b""
        default_flags = _NON_SYNC if self.is_video else _SYNC
        step = self.durations[0]
        if any(duration != step for duration in self.durations):
            flags |= _HAS_DURATION
            columns.append(self.durations)
        columns.append(self.sizes)
        if self.is_video and any(self.syncs[1:]):
            flags |= _HAS_FLAGS
            columns.append([_SYNC if sync else _NON_SYNC for sync in self.syncs])
        elif self.is_video and self.syncs[0]:
            flags |= _HAS_FIRST_FLAGS
            first = _pack_size(_SYNC)
        if self.offsets is not None:
            flags |= _HAS_COMPOSITION
            columns.append([offset & 0xFFFF_FFFF for offset in self.offsets])
        rows = columns[0] if len(columns) == 1 else [cell for row in zip(*columns, strict=True) for cell in row]
        table = struct.pack(f">{len(rows)}I", *rows)
        run_size = 20 + len(first) + len(table)
        # traf, tfhd, tfdt (version 1), trun (version 1: signed composition offsets)
        head = _TRAF_HEAD.pack(
            52 + run_size, b"traf", 24, b"tfhd", _TFHD_FLAGS, self.track, step, default_flags,
            20, b"tfdt", 1 << 24, self.decode_time, run_size, b"trun", 1 << 24 | flags, count, 0,
        )  # fmt: skip
        return head + first + table


@dataclass(frozen=True, slots=True)
class Part:
    """What one `moof` and its `mdat` hold. `frames` counts the leading track; `mono_to` is where its last one ends."""

    sequence: int
    tracks: tuple[TrackPart, ...]
    frames: int
    mono_to: int

    @property
    def size(self) -> int:
        """Give the bytes of the samples."""
        return sum(track.size for track in self.tracks)

    def encode(self) -> bytes:
        """Give the bytes of the part."""
        trafs = [bytearray(track.encode()) for track in self.tracks]
        moof_size = 24 + sum(map(len, trafs))
        offset = moof_size + 8
        for traf, track in zip(trafs, self.tracks, strict=True):
            struct.pack_into(">I", traf, _OFFSET_PLACE, offset)
            offset += track.size
        out: list[bytes | bytearray] = [struct.pack(">I4sI4sII", moof_size, b"moof", 16, b"mfhd", 0, self.sequence), *trafs]
        out.append(struct.pack(">I4s", offset - moof_size, b"mdat"))
        for track in self.tracks:
            out += track.pieces
        return b"".join(out)

    def sample(self, tree: SampleTree, data: bytes) -> None:
        """Put the samples into the segment's tree; `data` is what `encode` gave. Raises MalformedError when a time fits none."""
        place = len(data) - self.size
        view = memoryview(data)
        for track in self.tracks:
            dts = list(accumulate(track.durations[:-1], initial=track.decode_time))
            pts = dts if track.offsets is None else [due + offset for due, offset in zip(dts, track.offsets, strict=True)]
            ends = list(accumulate(track.sizes, initial=place))
            hashes = [sha256(view[start:end]).digest() for start, end in pairwise(ends)]
            tree.tracks[track.track - 1].extend(dts, pts, track.syncs if track.is_video else [True] * len(dts), hashes)
            place = ends[-1]


class _Lane:
    """The samples of one track that are not in a part yet."""

    __slots__ = (
        "counts",
        "default_step",
        "hz",
        "is_video",
        "last",
        "monos",
        "number",
        "origin",
        "pieces",
        "pts",
        "reorders",
        "size",
        "sizes",
        "step",
        "syncs",
        "top",
    )  # fmt: skip

    def __init__(self, number: int, track: TrackFormat) -> None:
        self.number = number
        self.is_video = track.is_video
        self.hz = track.clock_hz
        samples, rate = _DEFAULT_STEPS[track.codec]
        self.step = samples if not rate else track.clock_hz // rate
        self.default_step = self.step
        self.origin = 0
        self.last = -1  # decode time of the last sample in a part
        self.top = -(1 << 62)  # highest presentation time so far
        self.reorders = False
        self.clear()

    def clear(self) -> None:
        self.pts: list[int] = []
        self.sizes: list[int] = []
        self.syncs: list[bool] = []
        self.monos: list[int] = []
        self.counts: list[int] = []  # pieces by sample
        self.pieces: list[bytes] = []
        self.size = 0

    def ready(self, final: bool) -> int:
        """Give how many samples may leave: no later one may be shown before one of them, or decode times would run back."""
        pts = self.pts
        if final or not self.reorders:
            return len(pts)
        least = self.pts[-1] if pts else 0
        for at in range(len(pts) - 1, 0, -1):
            least = min(least, pts[at])
            if max(pts[:at]) < least:
                return at
        return 0

    def take(self, count: int, following: int | None) -> TrackPart:
        pts, sizes, syncs = self.pts, self.sizes, self.syncs
        pieces, size, rest = self.pieces, self.size, None
        if count < len(pts):
            cut = sum(self.counts[:count])
            rest = (pts[count:], sizes[count:], syncs[count:], self.monos[count:], self.counts[count:], pieces[cut:])
            pts, sizes, syncs, pieces = pts[:count], sizes[:count], syncs[:count], pieces[:cut]
            size = sum(sizes)
            following = min(rest[0])
        times = self._decode_times(pts)
        durations = self._durations(times, following)
        offsets = [shown - due for shown, due in zip(pts, times, strict=True)]
        part = TrackPart(self.number, times[0], durations, sizes, syncs, offsets if any(offsets) else None, self.is_video, pieces, size)
        total = self.size
        self.clear()
        if rest is not None:
            self.pts, self.sizes, self.syncs, self.monos, self.counts, self.pieces = rest
            self.size = total - size
        return part

    def _decode_times(self, pts: list[int]) -> list[int]:
        # RTP tells only when to show. Shown times in order are the decode times: each picture is due when one is shown.
        times = sorted(pts) if self.reorders else list(pts)
        last = self.last
        for at, due in enumerate(times):
            if due <= last:
                times[at] = due = last + 1
            last = due
        self.last = last
        return times

    def _durations(self, times: list[int], following: int | None) -> list[int]:
        durations = [later - due for due, later in pairwise(times)]
        end = 0 if following is None else following - times[-1]
        if durations and 0 < durations[-1] <= 2 * self.hz:
            self.step = durations[-1]
        durations.append(end if 0 < end <= 2 * self.hz else self.step)
        return durations


class Muxer:
    """One run of a stream: parts of one time line under one `init`.

    Times count from the first unit of the leading track (the first pictures, else the first sound).
    Raises MalformedError when a decoder could not be told what comes.
    """

    def __init__(self, formats: Sequence[TrackFormat]) -> None:
        self.formats = tuple(formats)
        if not self.formats:
            raise MalformedError("no tracks", where="muxer")
        self.init = initialisation(self.formats)
        self._lanes = {track.track: _Lane(number, track) for number, track in enumerate(self.formats, 1)}
        leading = next((track for track in self.formats if track.is_video), self.formats[0])
        self.leading = leading.track
        self._lead = self._lanes[self.leading]
        self._sequence = 0
        self._has_origin = False
        self.pending = 0  # bytes

    @property
    def mime(self) -> str:
        """Give the type with codecs that Media Source Extensions are asked with."""
        names = ", ".join(codec_string(track) for track in self.formats)
        kind = "video" if any(track.is_video for track in self.formats) else "audio"
        return f'{kind}/mp4; codecs="{names}"'

    @property
    def frames(self) -> int:
        """Give the number of samples of the leading track that wait."""
        return len(self._lead.pts)

    @property
    def step_ns(self) -> int:
        """Give how long a sample of the leading track lasts, by the newest part."""
        return self._lead.step * 1_000_000_000 // self._lead.hz

    @property
    def leading_number(self) -> int:
        """Give the leading track's number in the file."""
        return self._lead.number

    @property
    def leading_origin(self) -> int:
        """Give the leading track's presentation time at which this run counts 0."""
        return self._lead.origin

    def waiting(self) -> list[MediaUnit]:
        """Give the leading track's units that are in no part yet, as they came."""
        lead, out, at = self._lead, [], 0
        for pts, is_key, mono_ns, count in zip(lead.pts, lead.syncs, lead.monos, lead.counts, strict=True):
            pieces = lead.pieces[at : at + count]
            out.append(MediaUnit(self.leading, tuple(pieces[1::2] if lead.is_video else pieces), pts + lead.origin, is_key, mono_ns))
            at += count
        return out

    def begins_at(self, unit: MediaUnit) -> int:
        """Give a leading unit's presentation time in this run, in its track's clock; 0 for the first."""
        return unit.pts - self._lead.origin if self._has_origin else 0

    def add(self, unit: MediaUnit) -> bool:
        """Take one unit; False when it lies before the run's first (sound only) or on no track."""
        lane = self._lanes.get(unit.track)
        if lane is None:
            return False
        if not self._has_origin:
            if unit.track != self.leading:
                return False
            self._begin(unit)
        pts = unit.pts - lane.origin
        if pts < 0 and not lane.is_video:
            return False
        size = 0
        pieces = lane.pieces
        if lane.is_video:
            for nal in unit.payloads:
                length = len(nal)
                pieces.append(_pack_size(length))
                pieces.append(nal)
                size += length + 4
            lane.counts.append(2 * len(unit.payloads))
        else:
            pieces += unit.payloads
            size = sum(map(len, unit.payloads))
            lane.counts.append(len(unit.payloads))
        if pts < lane.top:
            lane.reorders = True
        else:
            lane.top = pts
        lane.pts.append(pts)
        lane.sizes.append(size)
        lane.syncs.append(unit.is_key)
        lane.monos.append(unit.mono_ns)
        lane.size += size
        self.pending += size
        return True

    def _begin(self, unit: MediaUnit) -> None:
        lead = self._lanes[unit.track]
        for lane in self._lanes.values():
            lane.origin = unit.pts * lane.hz // lead.hz
        lead.origin = unit.pts
        self._has_origin = True

    def take(self, *, final: bool = False, following: MediaUnit | None = None) -> Part | None:
        """Take what waits as one part; `final` ends the segment, `following` is the leading unit that comes next.

        None when nothing may leave yet.
        """
        lead = self._lead
        counts = {number: lane.ready(final) for number, lane in self._lanes.items()}
        if not any(counts.values()):
            return None
        count = counts[self.leading]
        mono_to = self._end(count)
        next_pts = None if following is None else following.pts - lead.origin
        tracks = tuple(
            lane.take(counts[number], next_pts if lane is lead else None) for number, lane in self._lanes.items() if counts[number]
        )
        self._sequence += 1
        part = Part(self._sequence, tracks, count, mono_to)
        self.pending -= part.size
        return part

    def _end(self, count: int) -> int:
        lead = self._lead
        if 0 < count < len(lead.monos):
            return lead.monos[count]
        if count:
            return lead.monos[-1] + self.step_ns
        return max(lane.monos[-1] for lane in self._lanes.values() if lane.monos)
