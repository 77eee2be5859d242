"""The muxer's bytes stand still: the same units give the same file, on every machine and for ever."""

import hashlib

from edge.muxer import Muxer
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol import fmp4
from tests.edge_parts import VIDEO, TestClock, unit, units

INIT = "9f5d25e7a6cee28cbfc0da5beb81b17280f468ba1959f4a0767a02554f41003b"
FIRST = "746ffcdf6b79f16f09136c51b9b80291634cfe1b4b298933154bc958e7b0766d"
REORDERED = "51c82a4427414303a89e202fc94c0ca4d04b79a9b99d25de5a59bc85c5f510d8"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_head_of_pictures_and_sound() -> None:
    muxer = Muxer((VIDEO, TrackFormat(1, "aac", 48_000, (), bytes.fromhex("1190"), 2)))
    assert sha256(muxer.init) == INIT
    assert [box.type for box in fmp4.boxes(muxer.init)] == [b"ftyp", b"moov"]


def test_part_of_pictures() -> None:
    muxer = Muxer((VIDEO,))
    for each in units(TestClock(), 0, 5):
        muxer.add(each)
    part = muxer.take(final=True)
    assert part is not None
    data = part.encode()
    assert sha256(data) == FIRST
    assert fmp4.runs(data[: fmp4.box_at(data, 0, len(data)).size]) == [fmp4.Run(1, 0, 5 * 3600, 5, True)]


def test_part_of_reordered_pictures_and_sound() -> None:
    muxer = Muxer((VIDEO, TrackFormat(1, "aac", 48_000, (), bytes.fromhex("1190"), 2)))
    for number, shown in enumerate([0, 3, 1, 2, 6, 4, 5]):
        muxer.add(unit(number, number, pts=shown * 3600))
        muxer.add(MediaUnit(1, (bytes((number,)) * 9,), number * 1024, True, number))
    part = muxer.take()
    assert part is not None
    assert part.frames == 4  # the picture shown last may still be followed by ones shown before it
    assert part.tracks[0].offsets == [0, 2 * 3600, -3600, -3600]
    assert sha256(part.encode()) == REORDERED
