"""What becomes of units: segments, gaps, and nothing between them."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from protocol import fmp4, kinds
from protocol.errors import VerificationError
from protocol.instants import SECOND_NS
from protocol.messages import JournalBatch
from tests.edge_parts import (
    BOX,
    CAMERA,
    OTHER_PPS,
    OTHER_SPS,
    STEP_NS,
    VIDEO,
    Desk,
    Inline,
    Place,
    TestHub,
    check_place,
    unit,
    units,
)  # fmt: skip

_P = ParamSpec("_P")
_R = TypeVar("_R")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    place = Place(tmp_path)
    place.journal.start()
    yield Desk(place)
    place.close()


def segments(desk: Desk) -> list[kinds.Segment]:
    return [body for _, body in desk.place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]


def gaps(desk: Desk) -> list[kinds.Gap]:
    return [body for _, body in desk.place.bodies(kinds.Gap) if isinstance(body, kinds.Gap)]


def is_sound(desk: Desk) -> bool:
    found = check_place(desk.place)
    assert found.faults == []
    return True


def test_segments_follow_each_other_without_a_hole(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 750)
    desk.close()
    found = segments(desk)
    assert [(each.number, each.frames) for each in found] == [(0, 250), (1, 250), (2, 250)]
    assert [each.media_from for each in found] == [0, 900_000, 1_800_000]
    assert all(one.mono_to == two.mono_from for one, two in pairwise(found))
    assert {each.run for each in found} == {0}
    assert is_sound(desk)


def test_each_segment_stands_alone(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 600)
    desk.close()
    for each in segments(desk):
        data = desk.folder.path("cam-1", each.number).read_bytes()
        assert fmp4.whole_parts(data) == len(data) == each.size
        first = next(box for box in fmp4.boxes(data) if box.type == b"moof")
        assert fmp4.runs(data[first.start : first.end])[0].sync
        assert fmp4.runs(data[first.start : first.end])[0].decode_time == each.media_from


def test_what_comes_before_the_first_keyframe_is_a_gap(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 37, 63)
    desk.close()
    assert next((each.cause, each.frames) for each in gaps(desk)) == ("starting", 13)
    assert is_sound(desk)


def test_a_lost_camera_is_a_gap_until_its_pictures_return(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 100)
    end = desk.place.clock.mono_ns
    desk.place.clock.advance(5)
    camera.on_interruption("stalled", "nothing for 5 s")
    desk.place.clock.advance(2)
    camera.on_formats([VIDEO])
    desk.feed(camera, 100, 100)
    desk.close()
    lost = [each for each in gaps(desk) if each.cause == "camera stalled"]
    assert [(each.mono_from, each.mono_to) for each in lost] == [(end, end + 7 * SECOND_NS)]
    assert [each.run for each in segments(desk)] == [0, 1]
    assert is_sound(desk)


def test_a_long_gap_is_recorded_while_it_lasts(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_interruption("refused", "nobody there")
    for _ in range(100):
        desk.place.clock.advance(1)
        desk.beat()
    assert [each.cause for each in gaps(desk)] == ["camera lost", "camera lost"]
    desk.close()
    assert is_sound(desk)


def test_new_parameter_sets_begin_a_new_run(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 100)
    changed = unit(100, desk.place.clock.mono_ns)
    camera.on_unit(type(changed)(0, (OTHER_SPS, OTHER_PPS, changed.payloads[2]), changed.pts, True, changed.mono_ns))
    desk.place.clock.mono_ns += STEP_NS
    desk.feed(camera, 101, 40)
    desk.close()
    found = segments(desk)
    assert [(each.run, each.frames) for each in found] == [(0, 100), (1, 41)]
    files = [desk.folder.path("cam-1", each.number).read_bytes() for each in found]
    assert [OTHER_SPS in data for data in files] == [False, True]
    assert found[0].mono_to == found[1].mono_from
    assert is_sound(desk)


def test_missing_media_inside_a_segment_is_a_gap(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 60)
    desk.place.clock.advance(3)
    late = unit(60 + 75, desk.place.clock.mono_ns)
    camera.on_unit(type(late)(0, late.payloads, late.pts, False, late.mono_ns, None, 7))
    desk.feed(camera, 150, 60)
    desk.close()
    lost = next(each for each in gaps(desk) if each.cause == "frames lost")
    assert lost.mono_to is not None and lost.mono_from is not None and lost.mono_to - lost.mono_from >= 3 * SECOND_NS
    assert is_sound(desk)


def test_pictures_that_come_late_but_whole_are_no_gap(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 60)
    desk.place.clock.advance(3)
    desk.feed(camera, 60, 60)
    desk.close()
    assert [each.cause for each in gaps(desk)] == []
    assert is_sound(desk)


def test_lost_packets_are_counted(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    for each in units(desk.place.clock, 0, 50):
        camera.on_unit(type(each)(0, each.payloads, each.pts, each.is_key, each.mono_ns, None, 2 if each.pts else 0))
    desk.close()
    assert segments(desk)[0].lost == 98


def test_memory_is_bounded_and_what_is_dropped_is_signed(desk: Desk) -> None:
    camera = desk.camera()
    camera.rules = type(camera.rules)(10.0, 100_000)
    camera.on_formats([VIDEO])
    for each in units(desk.place.clock, 0, 300, size=2000):
        camera.on_unit(each)  # the disk takes nothing meanwhile: no beat
    desk.beat()
    desk.beat()
    desk.feed(camera, 300, 100)
    desk.close()
    slow = next(each for each in gaps(desk) if each.cause == "disk slow")
    assert slow.frames is not None and slow.frames > 200
    assert [each.state for each in segments(desk)] == ["live", "live"]
    assert is_sound(desk)


def test_a_full_disk_refuses_video_and_takes_it_again(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 100)
    desk.free = 1000
    desk.feed(camera, 100, 100)
    desk.free = 1 << 20  # above the mark that stopped it, below the one that lets it go on
    desk.feed(camera, 200, 100)
    assert desk.recorder.disk == "full"
    desk.free = 1 << 30
    desk.feed(camera, 300, 100)
    desk.close()
    assert "disk full" in [each.cause for each in gaps(desk)]
    states = [body.state for _, body in desk.place.bodies(kinds.BoxState) if isinstance(body, kinds.BoxState)]
    assert states == ["disk ok", "disk full", "disk ok"]
    assert is_sound(desk)


@pytest.mark.parametrize("room", [0, 300, 1000, 5000, 12_345, 30_000, 99_999])
def test_no_space_in_the_middle_of_a_write_loses_only_what_is_signed_as_lost(desk: Desk, room: int) -> None:
    camera, other = desk.camera(), desk.camera("cam-2")
    for each in (camera, other):
        each.on_formats([VIDEO])
    desk.folder.room = room
    for _ in range(12):
        for number, picture in enumerate(units(desk.place.clock, 0, 25)):
            camera.on_unit(unit(number + 25 * _, picture.mono_ns))
            other.on_unit(unit(number + 25 * _, picture.mono_ns))
        desk.beat()
    desk.folder.room = 1 << 40
    for step in range(12, 16):
        for number, picture in enumerate(units(desk.place.clock, 0, 25)):
            camera.on_unit(unit(number + 25 * step, picture.mono_ns))
            other.on_unit(unit(number + 25 * step, picture.mono_ns))
        desk.beat()
    desk.close()
    assert any(each.cause == "disk full" for each in gaps(desk))
    assert segments(desk)
    assert is_sound(desk)


@pytest.mark.parametrize("step_s", [30, -30])
def test_a_stepped_wall_clock_is_recorded_and_splits_segments(desk: Desk, step_s: int) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 100)
    desk.place.clock.offset_ns += step_s * SECOND_NS
    desk.feed(camera, 100, 150)
    desk.close()
    steps = [body for _, body in desk.place.bodies(kinds.ClockStep) if isinstance(body, kinds.ClockStep)]
    assert [each.step_ns for each in steps] == [step_s * SECOND_NS]
    found = segments(desk)
    assert all(one.mono_to == two.mono_from for one, two in pairwise(found))
    assert found[1].wall_from - found[0].wall_to == step_s * SECOND_NS
    jumps = [each for each in gaps(desk) if each.cause == "clock step"]
    assert [each.wall_to - each.wall_from for each in jumps] == ([30 * SECOND_NS] if step_s > 0 else [])


def test_the_journal_of_a_day_at_work_satisfies_the_hub(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 1000)
    desk.close()
    hub = TestHub(desk.place.identity.public)
    rows = desk.place.spool.records(0, 0, 10_000)
    hub.take(JournalBatch(BOX, 0, 0, tuple(row.data for row in rows)))
    assert len(hub.mirrors[0].records) == len(rows)
    assert hub.mirrors[0].receipted == len(rows) - 1
    forged = rows[3].data[:-1] + bytes((rows[3].data[-1] ^ 1,))
    with pytest.raises(VerificationError):
        hub.take(JournalBatch(BOX, 0, 3, (forged,)))


def test_pairing_links_the_open_segment_and_those_after_it(desk: Desk) -> None:
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 300)
    camera.link("T-1")
    desk.feed(camera, 300, 250)
    camera.unlink("T-1")
    desk.feed(camera, 550, 500)
    desk.close()
    assert [row.task_names() for row in desk.place.spool.blobs(stream=CAMERA)] == [[], ["T-1"], ["T-1"], [], []]


class Slow(Inline):
    """A worker that lets the test look on before it works."""

    reached: asyncio.Event
    go_on: asyncio.Event

    async def run(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        self.reached.set()
        await self.go_on.wait()
        return work(*args, **kwargs)


@pytest.mark.parametrize(("act", "more"), [("beat", 20), ("write_ahead", 8)])
def test_a_beat_that_is_cancelled_in_the_middle_loses_nothing(desk: Desk, act: str, more: int) -> None:
    """A box is told to stop while its disk is slow: what the beat took is recorded all the same."""
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 240)
    for each in units(desk.place.clock, 240, more):  # with 20 a segment ends and another begins
        camera.on_unit(each)

    async def stop_in_the_middle() -> None:
        slow = Slow("slow")
        slow.reached, slow.go_on = asyncio.Event(), asyncio.Event()
        usual, desk.recorder.files = desk.recorder.files, slow
        beating = asyncio.create_task(getattr(desk.recorder, act)())
        await slow.reached.wait()
        beating.cancel()
        slow.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await beating
        desk.recorder.files = usual
        await desk.recorder.close("shutdown")

    asyncio.run(stop_in_the_middle())
    assert is_sound(desk)
    assert sum(each.frames for each in segments(desk)) == 240 + more
