"""What a box puts into its records: the sample root made while muxing is that of the bytes, for live and recovered segments."""

import errno
import hashlib
from pathlib import Path

import pytest

from edge.drafts import Draft, Flushed, Lane, Piece, flush, write_ahead
from edge.muxer import Muxer
from edge.recovery import Recovery
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol import kinds
from protocol.errors import DiskFullError
from protocol.mp4 import read_tracks
from protocol.samples import FLICKS, sample_root, tree_of
from storage.files import SegmentFolder
from tests.edge_parts import CAMERA, VIDEO, Desk, Place, TestClock, units

SOUND = TrackFormat(1, "opus", 48_000, channels=2)


def draft(muxer: Muxer) -> Draft:
    return Draft(CAMERA, 0, muxer.init, 0, 0, 0, None, set())


def feed(muxer: Muxer, clock: TestClock, first: int, count: int, order: tuple[int, ...] = (0,)) -> None:
    for at, each in enumerate(units(clock, first, count)):
        shown = (first + at - at % len(order) + order[at % len(order)]) * 3600
        muxer.add(MediaUnit(0, each.payloads, shown, each.is_key, each.mono_ns))
        for sound in range(2):
            number = 2 * (first + at) + sound
            muxer.add(MediaUnit(1, (bytes((0xFC, number % 251, 1, 2)),), number * 960 + 13, True, each.mono_ns))


@pytest.mark.parametrize("order", [(0,), (0, 3, 1, 2)], ids=["in-order", "b-frames"])
def test_the_root_made_while_muxing_is_that_of_the_file(tmp_path: Path, order: tuple[int, ...]) -> None:
    muxer, clock, folder = Muxer((VIDEO, SOUND)), TestClock(), SegmentFolder(tmp_path)
    one, lane = draft(muxer), Lane(CAMERA, 0)
    done: list[Flushed] = []
    for turn in range(6):
        feed(muxer, clock, 12 * turn, 12, order)
        part = muxer.take(final=turn == 5)
        if turn % 2:
            done += flush(folder, [(lane, [Piece(one, part, closes=turn == 5)])])
        else:
            write_ahead(folder, [(lane, Piece(one, part))])
    body = one.entry().body
    data = folder.path(CAMERA.source, 0).read_bytes()
    tree = tree_of(data, read_tracks(data))
    assert isinstance(body, kinds.Segment)
    assert hashlib.sha256(data).digest() == body.sha256
    assert (body.sample_root, body.starts) == (tree.root(), tree.starts())
    assert body.starts == (13 * FLICKS // 48_000,)


def segments(place: Place) -> list[kinds.Segment]:
    return [body for _, body in place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]


def test_every_recorded_segment_has_the_root_of_its_bytes(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.journal.start()
    desk = Desk(place)
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 700)
    desk.close()
    found = segments(place)
    assert len(found) == 3
    for body in found:
        data = desk.folder.path("cam-1", body.number).read_bytes()
        assert (body.sample_root, body.starts) == (sample_root(data), None)
    place.close()


def test_a_recovered_segment_has_the_root_of_what_is_left(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.journal.start()
    desk = Desk(place)
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 110)
    with desk.folder.path("cam-1", 0).open("ab") as file:
        file.write(b"\x00\x00\x10\x00moof torn")
    place.restart()
    place.journal.start()
    Recovery(place.spool, place.journal, place.segments, tmp_path / "quarantine").run()
    [body] = segments(place)
    assert (body.state, body.frames) == ("recovered", 100)
    assert body.sample_root == sample_root(desk.folder.path("cam-1", 0).read_bytes())
    place.close()


def test_a_failed_flush_takes_its_samples_back(tmp_path: Path) -> None:
    muxer, clock, lane = Muxer((VIDEO, SOUND)), TestClock(), Lane(CAMERA, 0)
    is_full = False

    def sync(fd: int) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "no space")

    folder = SegmentFolder(tmp_path, sync=sync)
    one = draft(muxer)
    feed(muxer, clock, 0, 25)
    flush(folder, [(lane, [Piece(one, muxer.take())])])
    feed(muxer, clock, 25, 25)
    write_ahead(folder, [(lane, Piece(one, muxer.take()))])
    feed(muxer, clock, 50, 25)
    is_full = True
    flush(folder, [(lane, [Piece(one, muxer.take(final=True), closes=True)])])
    assert isinstance(one.failure, DiskFullError)
    body = one.entry().body
    assert isinstance(body, kinds.Segment)
    assert (body.frames, body.sample_root) == (25, sample_root(folder.path(CAMERA.source, 0).read_bytes()))


def test_a_clock_that_fits_no_tree_is_recorded_without_a_root(tmp_path: Path) -> None:
    muxer, lane = Muxer((TrackFormat(0, "h264", 90_001, VIDEO.parameter_sets),)), Lane(CAMERA, 0)
    one, folder = draft(muxer), SegmentFolder(tmp_path)
    for each in units(TestClock(), 0, 25):
        muxer.add(each)
    flush(folder, [(lane, [Piece(one, muxer.take(final=True), closes=True)])])
    body = one.entry().body
    assert isinstance(body, kinds.Segment)
    assert (body.frames, body.sample_root, body.starts) == (25, None, None)
