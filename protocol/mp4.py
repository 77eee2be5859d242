"""Read the tracks and samples of an MP4 file, fragmented or plain (ISO/IEC 14496-12): bounded, pure, without decoding.

Guarantees: every sample's place lies inside the file, and all samples together are no longer than it, so that a hostile file
costs no more than its own length; a box that must be there once is there once, so that no other reader can see another one;
what is not understood raises MalformedError. Columns, not objects: a segment of ten seconds has hundreds of samples.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from protocol.errors import MalformedError
from protocol.fmp4 import MAX_META_BYTES, MAX_SAMPLES, Box, boxes

MAX_TRACKS = 16
MAX_TOP_BOXES = 100_000
MAX_CONFIG_BYTES = 65_536
MAX_EDITS = 8
EDIT_SLACK_MS = 2  # writers round edits to the movie's time scale, a millisecond as a rule
_PICTURES, _SOUND = "vide", "soun"
_NON_SYNC = 0x10000  # sample_is_non_sync_sample
_CONTAINERS = {b"mdia", b"minf", b"stbl"}

Data = bytes | memoryview
_Children = dict[bytes, Box]


@dataclass(slots=True)
class Track:
    """One track: what its decoder must know, and its samples in decode order, column by column, in ticks of `timescale`.

    `codec` and `config`: name and set-up bytes (`h264` and the avcC record, `mp4a.40` and the AudioSpecificConfig, `opus` and the
    dOps body; else the sample entry's name and all its boxes). `last`: duration of the last sample; any other lasts until the next.
    `delay` of the movie's `delay_scale`, and `media_time`: what the edit list puts before the media and where it starts in it.
    """

    id: int
    kind: str
    codec: str
    config: bytes
    timescale: int
    dts: list[int] = field(default_factory=list)
    pts: list[int] = field(default_factory=list)
    syncs: list[bool] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    last: int = 0
    delay: int = 0
    delay_scale: int = 1
    media_time: int = 0

    @property
    def end(self) -> int:
        """Give the decode time after the last sample."""
        return self.dts[-1] + self.last if self.dts else 0


@dataclass(frozen=True, slots=True)
class _Edit:
    duration: int
    media_time: int
    rate: int


@dataclass(frozen=True, slots=True)
class _Defaults:
    duration: int
    size: int
    flags: int


@dataclass(slots=True)
class _Movie:
    """A file while it is read."""

    data: Data
    timescale: int = 1000
    tracks: dict[int, Track] = field(default_factory=dict)
    edits: dict[int, list[_Edit]] = field(default_factory=dict)
    defaults: dict[int, _Defaults] = field(default_factory=dict)
    samples: int = 0
    size: int = 0

    def count(self, samples: int) -> None:
        """Note samples before room is made for them; raise MalformedError when there are too many."""
        self.samples += samples
        if self.samples > MAX_SAMPLES:
            raise MalformedError(f"more than {MAX_SAMPLES} samples", where="mp4")


def read_tracks(data: Data) -> list[Track]:
    """Read all tracks of a file in the order of its `moov`; raise MalformedError."""
    movie = _Movie(data)
    try:
        _read(movie)
        for track in movie.tracks.values():
            _check(movie, track)
            _apply_edits(movie, track, movie.edits.get(track.id, []))
    except (struct.error, IndexError) as error:
        raise MalformedError("cut inside a box", where="mp4") from error
    return list(movie.tracks.values())


def _read(movie: _Movie) -> None:
    data, has_moov = movie.data, False
    for count, box in enumerate(boxes(data)):
        if count == MAX_TOP_BOXES:
            raise MalformedError(f"more than {MAX_TOP_BOXES} boxes", where="mp4")
        if box.type in (b"moov", b"moof") and box.size > MAX_META_BYTES:
            raise MalformedError(f"{box.size} bytes, at most {MAX_META_BYTES}", where=box.type.decode())
        if box.type == b"moov":
            if has_moov:
                raise MalformedError("a second one", where="moov")
            _moov(movie, box)
            has_moov = True
        elif box.type == b"moof":
            if not has_moov:
                raise MalformedError("before any moov", where="moof")
            _moof(movie, box)
    if not has_moov:
        raise MalformedError("holds no moov: no MP4 file", where="mp4")


def _inside(data: Data, box: Box, skip: int = 0) -> Iterator[Box]:
    return boxes(data, box.start + box.head + skip, box.end)


def _children(data: Data, box: Box, *, many: Sequence[bytes] = ()) -> _Children:
    """Give a box's children by type; raise MalformedError when one that should be there once is there twice."""
    found: _Children = {}
    for child in _inside(data, box):
        if child.type in found and child.type not in (b"free", b"skip", b"uuid", *many):
            raise MalformedError(f"two boxes {child.type!r}", where=box.type.decode("latin-1"))
        found[child.type] = child
    return found


def _need(found: _Children, kind: bytes) -> Box:
    if kind not in found:
        raise MalformedError("missing", where=kind.decode())
    return found[kind]


def _body(box: Box) -> int:
    return box.start + box.head


def _numbers(data: Data, form: str, at: int, box: Box) -> tuple[int, ...]:
    """Unpack big-endian numbers that must lie inside the box."""
    if at + struct.calcsize(f">{form}") > box.end:
        raise MalformedError("cut", where=box.type.decode("latin-1"))
    return struct.unpack_from(f">{form}", data, at)


# ------------------------------------------------------------------------------------------------------------- moov


def _moov(movie: _Movie, moov: Box) -> None:
    data = movie.data
    found = _children(data, moov, many=(b"trak", b"udta"))
    header = _need(found, b"mvhd")
    at = _body(header)
    [movie.timescale] = _numbers(data, "I", at + (20 if data[at] == 1 else 12), header)
    if not movie.timescale:
        raise MalformedError("time scale 0", where="mvhd")
    for box in _inside(data, moov):
        if box.type == b"trak":
            _trak(movie, box)
    if b"mvex" in found:
        for box in _inside(data, found[b"mvex"]):
            if box.type == b"trex":
                track, _, duration, size, flags = _numbers(data, "IIIII", _body(box) + 4, box)
                movie.defaults[track] = _Defaults(duration, size, flags)


def _trak(movie: _Movie, trak: Box) -> None:
    data = movie.data
    found = _children(data, trak, many=(b"udta", b"tref"))
    header = _need(found, b"tkhd")
    at = _body(header)
    [number] = _numbers(data, "I", at + (20 if data[at] == 1 else 12), header)
    if number in movie.tracks or len(movie.tracks) == MAX_TRACKS:
        raise MalformedError(f"track {number} is there twice, or one of more than {MAX_TRACKS}", where="trak")
    media = _children(data, _need(found, b"mdia"))
    header, handler = _need(media, b"mdhd"), _need(media, b"hdlr")
    at = _body(header)
    [timescale] = _numbers(data, "I", at + (20 if data[at] == 1 else 12), header)
    if not timescale:
        raise MalformedError("time scale 0", where="mdhd")
    _numbers(data, "III", _body(handler), handler)
    kind = bytes(data[_body(handler) + 8 : _body(handler) + 12]).decode("latin-1")
    tables = _children(data, _need(_children(data, _need(media, b"minf")), b"stbl"), many=(b"sgpd", b"sbgp", b"subs", b"saiz", b"saio"))
    track = Track(number, kind, *_description(data, _need(tables, b"stsd"), kind), timescale)
    movie.tracks[number] = track
    if b"edts" in found:
        movie.edits[number] = _edits(data, _need(_children(data, found[b"edts"]), b"elst"))
    _tables(movie, track, tables)


def _edits(data: Data, box: Box) -> list[_Edit]:
    at = _body(box)
    is_long = data[at] == 1
    [count] = _numbers(data, "I", at + 4, box)
    if count > MAX_EDITS:
        raise MalformedError(f"{count} edits, at most {MAX_EDITS}", where="elst")
    form, width = ("Qqi", 20) if is_long else ("Iii", 12)
    rows = [_numbers(data, form, at + 8 + width * row, box) for row in range(count)]
    return [_Edit(duration, media_time, rate) for duration, media_time, rate in rows]


def _description(data: Data, stsd: Box, kind: str) -> tuple[str, bytes]:
    """Give codec name and configuration of the one sample description of a track."""
    [count] = _numbers(data, "I", _body(stsd) + 4, stsd)
    entries = list(_inside(data, stsd, 8))
    if count != 1 or len(entries) != 1:
        raise MalformedError(f"{count} sample descriptions, expected 1", where="stsd")
    entry = entries[0]
    if entry.size > MAX_CONFIG_BYTES:
        raise MalformedError(f"{entry.size} bytes, at most {MAX_CONFIG_BYTES}", where="stsd")
    name = entry.type.decode("latin-1")
    if kind == _PICTURES and name in ("avc1", "avc3"):
        return "h264", _config(data, entry, 78, b"avcC")
    if kind == _PICTURES and name in ("hvc1", "hev1"):
        return "h265", _config(data, entry, 78, b"hvcC")
    if kind == _SOUND and name == "Opus":
        return "opus", _config(data, entry, 28, b"dOps")
    if kind == _SOUND and name == "mp4a":
        return _elementary(_config(data, entry, 28, b"esds"))
    return name, bytes(data[_body(entry) : entry.end])


def _config(data: Data, entry: Box, skip: int, kind: bytes) -> bytes:
    inner = Box(entry.type, entry.start, entry.size, entry.head + skip)
    if entry.head + skip > entry.size:
        raise MalformedError("cut", where=entry.type.decode("latin-1"))
    box = _need(_children(data, inner), kind)
    return bytes(data[_body(box) : box.end])


def _elementary(body: bytes) -> tuple[str, bytes]:
    """Give codec and decoder configuration of an `esds` box (ISO/IEC 14496-1 7.2.6); bit rates in it are the writer's guess."""
    at, end = _descriptor(body, 4, len(body), 0x03)
    flags = body[at + 2]
    at += 3 + (2 if flags & 0x80 else 0) + (1 + body[at + 3] if flags & 0x40 else 0) + (2 if flags & 0x20 else 0)
    at, end = _descriptor(body, at, end, 0x04)
    kind = body[at]
    at, end = _descriptor(body, at + 13, end, 0x05)
    return f"mp4a.{kind:02x}", body[at:end]


def _descriptor(body: bytes, at: int, end: int, tag: int) -> tuple[int, int]:
    """Give where the content of the descriptor at `at` begins and ends."""
    if at >= end or body[at] != tag:
        raise MalformedError(f"no descriptor {tag}", where="esds")
    size = 0
    for place in range(at + 1, min(at + 5, end)):
        size = size << 7 | body[place] & 0x7F
        if not body[place] & 0x80:
            if place + 1 + size > end:
                break
            return place + 1, place + 1 + size
    raise MalformedError("a descriptor is cut or too long", where="esds")


# --------------------------------------------------------------------------------------------------- sample tables


def _tables(movie: _Movie, track: Track, tables: _Children) -> None:
    """Read the sample tables of a plain file; those of a fragmented one are empty."""
    data = movie.data
    if b"stsz" not in tables:
        if any(kind in tables for kind in (b"stz2",)):
            raise MalformedError("compact sizes are not read", where="stz2")
        return
    box = tables[b"stsz"]
    fixed, count = _numbers(data, "II", _body(box) + 4, box)
    if not count:
        return
    movie.count(count)
    sizes = [fixed] * count if fixed else list(_numbers(data, f"{count}I", _body(box) + 12, box))
    durations = _expand(data, _need(tables, b"stts"), "II", count)
    track.sizes, track.last = sizes, durations[-1]
    track.dts = list(accumulate(durations[:-1], initial=0))
    track.pts = list(track.dts)
    if b"ctts" in tables:
        shifts = tables[b"ctts"]
        form = "Ii" if data[_body(shifts)] == 1 else "II"
        track.pts = [due + shift for due, shift in zip(track.dts, _expand(data, shifts, form, count), strict=True)]
    track.syncs = _syncs(data, track, tables, count)
    track.places = _places(data, tables, sizes)


def _table(data: Data, box: Box, form: str) -> list[tuple[int, ...]]:
    """Give the rows of a table; their number is bounded by the box."""
    [count] = _numbers(data, "I", _body(box) + 4, box)
    width = len(form)
    if count * 4 * width > box.end - _body(box) - 8:
        raise MalformedError(f"{count} rows do not fit", where=box.type.decode())
    cells = _numbers(data, form * count, _body(box) + 8, box)
    return [cells[at : at + width] for at in range(0, len(cells), width)]


def _expand(data: Data, box: Box, form: str, count: int) -> list[int]:
    """Give one value a sample from rows of (number of samples, value)."""
    out: list[int] = []
    for number, value in _table(data, box, form):
        if number > count - len(out):
            raise MalformedError(f"tells of more than {count} samples", where=box.type.decode())
        out += [value] * number
    if len(out) != count:
        raise MalformedError(f"tells of {len(out)} samples, there are {count}", where=box.type.decode())
    return out


def _syncs(data: Data, track: Track, tables: _Children, count: int) -> list[bool]:
    if track.kind != _PICTURES or b"stss" not in tables:
        return [True] * count
    syncs = [False] * count
    for [number] in _table(data, tables[b"stss"], "I"):
        if not 1 <= number <= count:
            raise MalformedError(f"sample {number} of {count}", where="stss")
        syncs[number - 1] = True
    return syncs


def _places(data: Data, tables: _Children, sizes: Sequence[int]) -> list[int]:
    if (b"stco" in tables) == (b"co64" in tables):
        raise MalformedError("not exactly one of stco and co64", where="stbl")
    if b"stco" in tables:
        chunks = [row[0] for row in _table(data, tables[b"stco"], "I")]
    else:
        box = tables[b"co64"]
        [count] = _numbers(data, "I", _body(box) + 4, box)
        if count * 8 > box.end - _body(box) - 8:
            raise MalformedError(f"{count} rows do not fit", where="co64")
        chunks = list(_numbers(data, f"{count}Q", _body(box) + 8, box))
    rows = _table(data, _need(tables, b"stsc"), "III")
    starts = [row[0] for row in rows]
    if not rows or starts[0] != 1 or any(later <= before for before, later in pairwise(starts)):
        raise MalformedError("chunks are not in order", where="stsc")
    places: list[int] = []
    for (first, each, description), end in zip(rows, [*starts[1:], len(chunks) + 1], strict=True):
        if description != 1:
            raise MalformedError(f"sample description {description}, there is 1", where="stsc")
        for place in chunks[first - 1 : end - 1]:
            run = sizes[len(places) : len(places) + each]
            places += [place, *accumulate(run[:-1], initial=place)][1:] if run else []
    if len(places) != len(sizes):
        raise MalformedError(f"chunks hold {len(places)} samples, there are {len(sizes)}", where="stsc")
    return places


# --------------------------------------------------------------------------------------------------------- fragments


def _moof(movie: _Movie, moof: Box) -> None:
    end = moof.start  # where the data of the traf before ended, which an old writer builds upon
    for box in _inside(movie.data, moof):
        if box.type == b"traf":
            end = _traf(movie, moof, box, end)


def _traf(movie: _Movie, moof: Box, traf: Box, end: int) -> int:
    data = movie.data
    found = _children(data, traf, many=(b"trun", b"sgpd", b"sbgp", b"subs", b"saiz", b"saio"))
    header = _need(found, b"tfhd")
    flags, number = _numbers(data, "II", _body(header), header)
    track = movie.tracks.get(number)
    if track is None:
        raise MalformedError(f"track {number} is not in the moov", where="tfhd")
    at = _body(header) + 8
    base = end if not flags & 0x20000 else moof.start
    if flags & 0x1:
        [base] = _numbers(data, "Q", at, header)
        at += 8
    at += 4 if flags & 0x2 else 0
    values = {}
    for bit in (0x8, 0x10, 0x20):
        if flags & bit:
            [values[bit]] = _numbers(data, "I", at, header)
            at += 4
    known = movie.defaults.get(number, _Defaults(0, 0, 0))
    defaults = _Defaults(values.get(0x8, known.duration), values.get(0x10, known.size), values.get(0x20, known.flags))
    due = track.end
    if b"tfdt" in found:
        box = found[b"tfdt"]
        [due] = _numbers(data, "Q" if data[_body(box)] else "I", _body(box) + 4, box)
    place = base
    for box in _inside(data, traf):
        if box.type == b"trun":
            due, place = _trun(movie, track, box, defaults, (due, base, place))
    return place


def _trun(movie: _Movie, track: Track, box: Box, defaults: _Defaults, at: tuple[int, int, int]) -> tuple[int, int]:
    """Append a run's samples; `at`: its first decode time, base of its data, and where data goes on. Give both ends."""
    data, (due, base, place) = movie.data, at
    flags, count = _numbers(data, "II", _body(box), box)
    flags, version = flags & 0xFFFFFF, flags >> 24
    body = _body(box) + 8
    if flags & 0x1:
        place = base + _numbers(data, "i", body, box)[0]
        body += 4
    first_flags: int | None = None
    if flags & 0x4:
        [first_flags] = _numbers(data, "I", body, box)
        body += 4
    columns = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    movie.count(count)
    if not count:
        return due, place
    cells = _numbers(data, f"{count * len(columns)}I", body, box)
    found = {bit: list(cells[number :: len(columns)]) for number, bit in enumerate(columns)}
    durations = found.get(0x100) or [defaults.duration] * count
    sizes = found.get(0x200) or [defaults.size] * count
    marks = found.get(0x400) or [defaults.flags] * count
    if first_flags is not None:
        marks[0] = first_flags
    times = list(accumulate(durations, initial=due))
    track.dts += times[:-1]
    track.pts += _shown(times[:-1], found.get(0x800), is_signed=version != 0)
    track.syncs += [not mark & _NON_SYNC for mark in marks] if track.kind == _PICTURES else [True] * count
    ends = list(accumulate(sizes, initial=place))
    track.sizes += sizes
    track.places += ends[:-1]
    track.last = durations[-1]
    return times[-1], ends[-1]


def _shown(times: list[int], shifts: list[int] | None, *, is_signed: bool) -> list[int]:
    if shifts is None:
        return times
    if is_signed:
        shifts = [shift - (shift >> 31 << 32) for shift in shifts]
    return [due + shift for due, shift in zip(times, shifts, strict=True)]


# ------------------------------------------------------------------------------------------------------------ checks


def _check(movie: _Movie, track: Track) -> None:
    limit = len(movie.data)
    movie.size += sum(track.sizes)
    if movie.size > limit:
        raise MalformedError("its samples are longer than the file", where=f"track {track.id}")
    for place, size in zip(track.places, track.sizes, strict=True):
        if place < 0 or place + size > limit:
            raise MalformedError(f"a sample of {size} bytes at byte {place} is outside of the file", where=f"track {track.id}")
    if any(later < due for due, later in zip(track.dts, track.dts[1:], strict=False)):
        raise MalformedError("decode times run back", where=f"track {track.id}")


def _apply_edits(movie: _Movie, track: Track, edits: Sequence[_Edit]) -> None:
    """Take a delay and a start; refuse edits that hide, repeat or speed up media."""
    track.delay_scale = movie.timescale
    where = f"edit list of track {track.id}"
    rows = list(edits)
    while len(rows) > 1 and rows[0].media_time == -1:
        track.delay += rows.pop(0).duration
    if not rows:
        return
    if len(rows) != 1 or rows[0].media_time < 0 or rows[0].rate != 1 << 16:
        raise MalformedError("does more than delay its media and start it", where=where)
    track.media_time = rows[0].media_time
    if not track.pts:
        return
    slack = track.timescale * EDIT_SLACK_MS // 1000 + 1
    shown = rows[0].duration * track.timescale // movie.timescale
    whole = max(track.end, max(track.pts) + track.last) - track.media_time
    if track.media_time > min(track.pts) + slack or (rows[0].duration and shown + slack < whole):
        raise MalformedError("hides a part of its media", where=where)
