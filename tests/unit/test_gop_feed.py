"""The fan-out: cache, late joiners, slow listeners, restarts of the source."""

import pytest

from firmware_adapters.abilities import MediaUnit, TrackFormat
from firmware_adapters.gop import Feed, Frame, Lane
from firmware_adapters.webrtc_packets import depacketize, nal_type

SPS, PPS = b"\x67\x42\x00\x1f", b"\x68\xce\x3c\x80"
STEP = 3600
STEP_NS = 40_000_000
FORMATS = (TrackFormat(0, "h264", 90_000, (SPS, PPS)), TrackFormat(1, "opus", 48_000, channels=2))


class Listener:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def on_frame(self, frame: Frame) -> None:
        self.frames.append(frame)


def picture(number: int, *, key: bool = False, pts: int | None = None, size: int = 100) -> MediaUnit:
    head = b"\x65\x88" if key else b"\x41\x9a"
    return MediaUnit(0, (head + bytes(size),), number * STEP if pts is None else pts, key, number * STEP_NS)


def started(*, keys: int = 1, pictures: int = 10) -> Feed:
    feed = Feed()
    feed.on_formats(FORMATS)
    for number in range(keys * pictures):
        feed.on_unit(picture(number, key=number % pictures == 0))
    return feed


def test_a_late_joiner_starts_at_the_newest_keyframe_with_parameter_sets() -> None:
    feed = started(keys=2)
    frames = feed.gop()
    assert [frame.is_key for frame in frames] == [True] + [False] * 9
    assert frames[0].pts == 10 * STEP
    assert [nal_type(nal) for nal in depacketize(frames[0].payloads)] == [7, 8, 5]


def test_parameter_sets_in_band_are_left_alone_and_a_delimiter_stays_first() -> None:
    feed = Feed()
    feed.on_formats(FORMATS)
    feed.on_unit(MediaUnit(0, (b"\x67own", b"\x68own", b"\x65\x88x"), 0, True, 0))
    assert depacketize(feed.gop()[0].payloads) == (b"\x67own", b"\x68own", b"\x65\x88x")
    feed.on_unit(MediaUnit(0, (b"\x09\xf0", b"\x65\x88x"), STEP, True, STEP_NS))
    assert depacketize(feed.gop()[0].payloads) == (b"\x09\xf0", SPS, PPS, b"\x65\x88x")


@pytest.mark.parametrize("feed", [Feed(gop_frames=20), Feed(gop_bytes=2000)])
def test_the_cache_is_bounded_and_comes_back_with_the_next_keyframe(feed: Feed) -> None:
    feed.on_formats(FORMATS)
    feed.on_unit(picture(0, key=True))
    for number in range(1, 50):
        feed.on_unit(picture(number))
    assert feed.gop() == []
    feed.on_unit(picture(50, key=True))
    assert len(feed.gop()) == 1


def test_every_listener_gets_the_very_same_frames() -> None:
    feed = started()
    one, other = Listener(), Listener()
    feed.subscribe(one)
    feed.subscribe(one)
    feed.subscribe(other)
    feed.on_unit(picture(10))
    feed.unsubscribe(other)
    feed.unsubscribe(other)
    feed.on_unit(picture(11))
    assert len(one.frames) == 2
    assert one.frames[0] is other.frames[0]
    assert feed.listeners == 1


def test_pictures_out_of_display_order_need_the_fallback_until_new_formats() -> None:
    feed = started()
    seen = [feed.needs_fallback]
    feed.on_unit(picture(10, pts=12 * STEP))
    feed.on_unit(picture(11, pts=11 * STEP))
    seen.append(feed.needs_fallback)
    feed.on_formats(FORMATS)
    assert [*seen, feed.needs_fallback] == [False, True, False]


def test_pictures_that_are_sent_again_are_no_reordering() -> None:
    near, far = started(), started()
    for frame in near.compressed_gop():
        far.on_unit(MediaUnit(0, (b"\x65\x88x" if frame.is_key else b"\x41\x9ax",), frame.pts, frame.is_key, 10 * STEP_NS))
    far.on_unit(picture(10))
    assert not far.needs_fallback


@pytest.mark.parametrize("restart_at", [0, 1 << 31, 5])
def test_time_runs_on_when_the_source_restarts(restart_at: int) -> None:
    feed = started()
    listener = Listener()
    feed.subscribe(listener)
    feed.on_interruption("closed", "")
    assert feed.gop() == []
    feed.on_formats(FORMATS)
    for number in range(5):
        feed.on_unit(MediaUnit(0, (b"\x65\x88x",), restart_at + number * STEP, True, (20 + number) * STEP_NS))
    assert [frame.pts for frame in listener.frames] == [(20 + number) * STEP for number in range(5)]
    assert not feed.needs_fallback


def test_a_clock_that_jumps_without_a_new_connection_is_smoothed_too() -> None:
    feed = started()
    listener = Listener()
    feed.subscribe(listener)
    feed.on_unit(picture(10, pts=10_000_000_000))
    feed.on_unit(picture(11, pts=10_000_000_000 + STEP))
    feed.on_unit(picture(12, pts=7))
    assert [frame.pts for frame in listener.frames] == [10 * STEP, 11 * STEP, 12 * STEP]


def test_resent_pictures_fit_into_the_newest_interval() -> None:
    feed = started(pictures=30)
    times = [frame.pts for frame in feed.compressed_gop()]
    assert times == sorted(set(times))
    assert times[0] > 28 * STEP
    assert times[-1] == 29 * STEP


def test_age_and_sound_and_unknown_tracks() -> None:
    feed = Feed()
    assert feed.age_ns(5) is None
    feed.on_formats((*FORMATS, TrackFormat(2, "aac", 48_000)))
    listener = Listener()
    feed.subscribe(listener)
    feed.on_unit(picture(1, key=True))
    feed.on_unit(MediaUnit(1, (b"opus",), 960, True, STEP_NS))
    feed.on_unit(MediaUnit(2, (b"aac",), 1024, True, STEP_NS))
    feed.on_unit(MediaUnit(9, (b"?",), 0, True, STEP_NS))
    assert [frame.kind for frame in listener.frames] == ["video", "audio"]
    assert feed.has_audio
    assert feed.age_ns(3 * STEP_NS) == 2 * STEP_NS


def frames_of(count: int, *, key_every: int = 10) -> list[Frame]:
    return [Frame("video", (b"x" * 100,), ((0, 1),), n * STEP, n % key_every == 0, 100, 0, None) for n in range(count)]


def test_a_lane_that_overflows_drops_to_the_next_keyframe() -> None:
    lane = Lane(frames_limit=5)
    kept = [lane.push(frame) for frame in frames_of(21)]
    assert kept == [True] * 5 + [False] * 5 + [True] * 5 + [False] * 5 + [True]
    assert len(lane) == 1
    assert lane.dropped == 20
    frame = lane.pop()
    assert frame is not None and frame.is_key
    assert lane.pop() is None


def test_a_lane_is_bounded_in_bytes() -> None:
    lane = Lane(bytes_limit=350)
    assert sum(lane.push(frame) for frame in frames_of(10)) == 3
    assert len(lane) == 0
    assert not Lane(bytes_limit=50).push(frames_of(1)[0])
