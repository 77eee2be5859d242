"""A viewer who begins now gets the newest group of pictures, wherever its parts are."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.muxer import Muxer
from edge.pictures import Joining, read_pictures, stored_pictures
from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat
from protocol import kinds
from protocol.errors import StorageError
from tests.edge_parts import VIDEO, Desk, Place, check_place, unit, units


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    place = Place(tmp_path)
    place.journal.start()
    yield Desk(place)
    place.close()


def plain(each: MediaUnit) -> tuple[int, bool, tuple[bytes, ...]]:
    return each.pts, each.is_key, each.payloads


@pytest.mark.parametrize("count", [1, 24, 25, 26, 50, 74, 75, 99, 260, 275, 299])
def test_stored_and_waiting_pictures_are_the_newest_group(desk: Desk, count: int) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, count)
    assert camera.writing is not None
    draft, muxer = camera.writing
    waiting = muxer.waiting()
    stored = [] if any(each.is_key for each in waiting) else stored_pictures(desk.folder, draft, muxer)
    newest = count - 1 - (count - 1) % 50
    found = stored + waiting
    found = found[next(at for at, each in enumerate(found) if each.is_key) :]
    assert [plain(each) for each in found] == [plain(unit(number, 0)) for number in range(newest, count)]


def test_reordered_pictures_come_in_the_order_sent_with_their_times(tmp_path: Path) -> None:
    muxer = Muxer((TrackFormat(1, "opus", 48_000, channels=2), VIDEO))
    sent = [unit(number, number, pts=9000 + shown * 3600) for number, shown in enumerate([0, 3, 1, 2, 6, 4, 5, 9, 7, 8])]
    parts = [muxer.init]
    for each in sent:
        muxer.add(each)
        muxer.add(MediaUnit(1, (b"sound",), each.pts * 48 // 90, True, each.mono_ns))
        if each.mono_ns in (5, 9) and (part := muxer.take()) is not None:
            parts.append(part.encode())
    path = tmp_path / "0.mp4"
    path.write_bytes(b"".join(parts))
    found = read_pictures(path, muxer) + muxer.waiting()
    assert [plain(each) for each in found] == [plain(each) for each in sent]


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_pictures(tmp_path / "1.mp4", Muxer((VIDEO,)))


class Taker:
    """Writes down what a listener is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        self.told.append("formats")

    def on_unit(self, unit: MediaUnit) -> None:
        self.told.append(str(unit.pts // 3600))

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        self.told.append(cause)


def test_older_pictures_come_before_those_that_arrive_meanwhile() -> None:
    taker = Taker()
    joining = Joining(taker)
    joining.on_unit(unit(3, 0))
    joining.begin([unit(1, 0), unit(2, 0)])
    joining.on_unit(unit(4, 0))
    assert taker.told == ["1", "2", "3", "4"]


def test_a_connection_that_ends_meanwhile_leaves_nothing_old() -> None:
    taker = Taker()
    joining = Joining(taker)
    joining.on_unit(unit(3, 0))
    joining.on_interruption("stalled", "")
    joining.begin([unit(1, 0)])
    joining.on_formats((VIDEO,))
    joining.on_unit(unit(9, 0))
    assert taker.told == ["stalled", "formats", "9"]


def test_what_is_written_ahead_of_its_beat_is_bound_by_it(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    sizes = []
    for number, each in enumerate(units(desk.place.clock, 0, 100), 1):
        camera.on_unit(each)
        if number % 25 == 12:
            asyncio.run(desk.recorder.write_ahead())
        if number % 25 == 0:
            desk.beat()
            sizes.append(desk.folder.path("cam-1", 0).stat().st_size)
    bound = [body.open[0].size for _, body in desk.place.bodies(kinds.Heartbeat) if isinstance(body, kinds.Heartbeat)]
    assert bound == sizes


@pytest.mark.parametrize("room", [0, 700, 5000, 20_000])
def test_no_space_while_writing_ahead_is_told_with_the_next_beat(desk: Desk, room: int) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.folder.room = room
    for number, each in enumerate(units(desk.place.clock, 0, 200), 1):
        camera.on_unit(each)
        if number == 100:
            desk.folder.room = 1 << 40
        if number % 25 == 12:
            asyncio.run(desk.recorder.write_ahead())
        if number % 25 == 0:
            desk.beat()
    desk.close()
    assert any(body.cause == "disk full" for _, body in desk.place.bodies(kinds.Gap) if isinstance(body, kinds.Gap))
    assert check_place(desk.place).faults == []
