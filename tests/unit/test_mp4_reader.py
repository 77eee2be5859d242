"""Our reader of MP4 files against libav's, and against files that want to hurt it."""

import random
import struct
import tracemalloc

import pytest

from protocol import fmp4
from protocol.errors import MalformedError
from protocol.mp4 import MAX_TRACKS, Track, read_tracks
from protocol.samples import sample_root
from simulators.films import Film, film
from tests.media_parts import FRAGMENTED, packets, remux, segment, steps

CASES = [(0, None), (0, "aac"), (0, "opus"), (2, "aac"), (2, "opus")]


def shown(track: Track, data: bytes) -> list[tuple[bool, bytes]]:
    return [(sync, data[at : at + size]) for sync, at, size in zip(track.syncs, track.places, track.sizes, strict=True)]


@pytest.mark.parametrize(("b_frames", "sound"), CASES)
@pytest.mark.parametrize("form", ["segment", "plain", "fragmented"])
def test_libav_reads_the_same_samples(b_frames: int, sound: str | None, form: str) -> None:
    data = segment(b_frames, sound)
    data = data if form == "segment" else remux(data, FRAGMENTED if form == "fragmented" else None)
    tracks, theirs = read_tracks(data), packets(data)
    assert [track.codec for track in tracks] == ["h264", *({"aac": ["mp4a.40"], "opus": ["opus"]}[sound] if sound else [])]
    for track, found in zip(tracks, theirs, strict=True):
        assert shown(track, data) == [(is_key, body) for _, _, is_key, body in found]
        assert steps(track.dts) == steps([dts for dts, *_ in found])
        assert steps(track.pts) == steps([pts for _, pts, *_ in found])
        assert track.end > track.dts[-1] or sound == "opus"  # libav leaves the last Opus packet no time in plain files
    assert len(tracks[0].dts) == 75


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def table(kind: bytes, *cells: int, rows: int) -> bytes:
    return box(kind, struct.pack(f">II{len(cells)}I", 0, rows, *cells))


def plain(sizes: bytes, times: bytes, chunks: bytes, places: bytes, *more: bytes, edits: bytes = b"", handler: bytes = b"vide") -> bytes:
    """Give a plain file with these tables, for one track of 1000 ticks a second."""
    entry = box(b"mp4v", bytes(6), b"\x00\x01", b"abc")
    tables = box(b"stbl", box(b"stsd", struct.pack(">II", 0, 1), entry), times, chunks, sizes, places, *more)
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, 1000, 0)),
        box(b"hdlr", bytes(8), handler, bytes(13)),
        box(b"minf", tables),
    )
    track = box(b"trak", box(b"tkhd", struct.pack(">IIIII", 0, 0, 0, 1, 0)), edits, media)
    return box(b"mdat", b"0123456789") + box(b"moov", box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 0)), track)


SIZES = box(b"stsz", struct.pack(">IIIII", 0, 0, 2, 3, 4))
TIMES = table(b"stts", 2, 40, rows=1)
CHUNKS = table(b"stsc", 1, 2, 1, rows=1)
PLACES = table(b"stco", 8, rows=1)


def edit(*rows: tuple[int, int, int]) -> bytes:
    return box(b"edts", box(b"elst", struct.pack(">II", 0, len(rows)), *(struct.pack(">IiI", *row) for row in rows)))


def test_a_plain_file_by_hand() -> None:
    data = plain(SIZES, TIMES, CHUNKS, PLACES, table(b"stss", 1, rows=1), edits=edit((25, -1, 1 << 16), (80, 0, 1 << 16)))
    [track] = read_tracks(data)
    assert shown(track, data) == [(True, b"012"), (False, b"3456")]
    assert (track.dts, track.pts, track.last, track.delay, track.config[8:]) == ([0, 40], [0, 40], 40, 25, b"abc")
    [track] = read_tracks(plain(SIZES, TIMES, CHUNKS, box(b"co64", struct.pack(">IIQ", 0, 1, 9))))
    assert track.places == [9, 12]


HOSTILE = {
    "no moov": box(b"mdat", b"x"),
    "nothing": b"",
    "two moov": plain(SIZES, TIMES, CHUNKS, PLACES) + plain(SIZES, TIMES, CHUNKS, PLACES),
    "sizes bomb": plain(box(b"stsz", struct.pack(">III", 0, 1, 0xFFFF_FFFF)), TIMES, CHUNKS, PLACES),
    "sizes without rows": plain(box(b"stsz", struct.pack(">III", 0, 0, 90_000)), TIMES, CHUNKS, PLACES),
    "samples longer than the file": plain(box(b"stsz", struct.pack(">III", 0, 50_000, 2)), TIMES, CHUNKS, PLACES),
    "times of too many": plain(SIZES, table(b"stts", 0xFFFF_FFFF, 1, rows=1), CHUNKS, PLACES),
    "times of too few": plain(SIZES, table(b"stts", 1, 40, rows=1), CHUNKS, PLACES),
    "rows that are not there": plain(SIZES, table(b"stts", 2, 40, rows=0x4000_0000), CHUNKS, PLACES),
    "shifts of too many": plain(SIZES, TIMES, CHUNKS, PLACES, table(b"ctts", 0x7FFF_FFFF, 1, rows=1)),
    "chunks out of order": plain(SIZES, TIMES, table(b"stsc", 1, 1, 1, 1, 1, 1, rows=2), PLACES),
    "chunks of another description": plain(SIZES, TIMES, table(b"stsc", 1, 2, 2, rows=1), PLACES),
    "chunks that hold too little": plain(SIZES, TIMES, table(b"stsc", 1, 1, 1, rows=1), PLACES),
    "no chunks": plain(SIZES, TIMES, table(b"stsc", rows=0), PLACES),
    "two kinds of places": plain(SIZES, TIMES, CHUNKS, PLACES, box(b"co64", struct.pack(">IIQ", 0, 1, 9))),
    "two tables of one kind": plain(SIZES, TIMES, CHUNKS, PLACES, TIMES),
    "a sample behind the end": plain(SIZES, TIMES, CHUNKS, table(b"stco", 100_000, rows=1)),
    "a place near 2**64": plain(SIZES, TIMES, CHUNKS, box(b"co64", struct.pack(">IIQ", 0, 1, 2**64 - 1))),
    "a key picture that is none": plain(SIZES, TIMES, CHUNKS, PLACES, table(b"stss", 3, rows=1)),
    "compact sizes": plain(box(b"stz2", bytes(12)), TIMES, CHUNKS, PLACES),
    "an edit that hides the start": plain(SIZES, TIMES, CHUNKS, PLACES, edits=edit((80, 50, 1 << 16))),
    "an edit that hides the end": plain(SIZES, TIMES, CHUNKS, PLACES, edits=edit((30, 0, 1 << 16))),
    "an edit that plays twice": plain(SIZES, TIMES, CHUNKS, PLACES, edits=edit((80, 0, 1 << 16), (80, 0, 1 << 16))),
    "an edit that speeds up": plain(SIZES, TIMES, CHUNKS, PLACES, edits=edit((80, 0, 2 << 16))),
    "too many edits": plain(SIZES, TIMES, CHUNKS, PLACES, edits=edit(*[(0, -1, 1 << 16)] * 9)),
    "moof first": box(b"moof", bytes(8)),
    "a moov of nothing": box(b"moov"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        read_tracks(HOSTILE[name])


def test_too_many_tracks_and_boxes_are_malformed() -> None:
    data = film(1, Film(seconds=1, sound=False))
    tops = list(fmp4.boxes(data))
    moov = data[tops[1].start : tops[1].end]
    trak = next(one for one in fmp4.boxes(moov, 8) if one.type == b"trak")
    traks = b""
    for number in range(2, MAX_TRACKS + 2):
        each = bytearray(moov[trak.start : trak.end])
        each[8 + 8 + 12 : 8 + 8 + 16] = struct.pack(">I", number)
        traks += each
    with pytest.raises(MalformedError, match="more than"):
        read_tracks(box(b"moov", moov[8:], traks))
    with pytest.raises(MalformedError, match="more than"):
        read_tracks(data + box(b"free") * 100_001)


def test_run_bombs_are_malformed() -> None:
    head = film(1, Film(seconds=1, sound=False))
    head = head[: list(fmp4.boxes(head))[1].end]
    tfhd = box(b"tfhd", struct.pack(">II", 0x20000, 1))
    run = box(b"trun", struct.pack(">II", 0, 90_000))
    with pytest.raises(MalformedError, match="100000"):
        read_tracks(head + box(b"moof", box(b"traf", tfhd, *[run] * 1000)))
    with pytest.raises(MalformedError, match="run back"):
        back = box(b"tfdt", struct.pack(">II", 0, 7)), box(b"tfdt", struct.pack(">II", 0, 5))
        one = box(b"trun", struct.pack(">II", 0, 1))
        read_tracks(head + b"".join(box(b"moof", box(b"traf", tfhd, due, one)) for due in back))


@pytest.mark.parametrize("form", ["segment", "plain"])
def test_spoilt_files_are_malformed_or_read_within_bounds(form: str) -> None:
    data = film(5, Film(seconds=1, picture_bytes=20))
    data = data if form == "segment" else remux(segment(2, "aac"))
    draw = random.Random(7)
    root, refused = sample_root(data), 0
    places = [one for one in fmp4.boxes(data) if one.type in (b"moov", b"moof")]
    tracemalloc.start()
    try:
        for _ in range(1500):
            spoilt = bytearray(data)
            area = draw.choice(places)
            for _ in range(draw.randrange(1, 4)):
                spoilt[draw.randrange(area.start, area.end)] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
            if draw.random() < 0.2:
                del spoilt[draw.randrange(len(spoilt)) :]
            try:
                assert len(sample_root(bytes(spoilt))) == 32
            except MalformedError as error:
                refused += 1
                assert error.where
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()
    assert 100 < refused < 1500
    assert sample_root(data) == root


def test_every_cut_is_malformed_or_another_file() -> None:
    data = film(6, Film(seconds=2, picture_bytes=5))
    root, seen = sample_root(data), 0
    for end in range(0, len(data), 7):
        try:
            assert sample_root(data[:end]) != root
            seen += 1
        except MalformedError:
            continue
    assert seen < 10  # only cuts between boxes are files at all
