"""Time, formats and loss of what a publisher sends."""

from collections.abc import Sequence

from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat
from firmware_adapters.webrtc_packets import Assembled
from firmware_adapters.webrtc_units import SenderClock, UnitMaker, ntp_to_unix_ns, unix_ns_to_ntp

SPS, PPS, OTHER_SPS = b"\x67\x42\x00\x1f", b"\x68\xce", b"\x67\x42\x00\x28"
IDR, SLICE = b"\x65\x88", b"\x41\x9a"


class Sink:
    def __init__(self) -> None:
        self.formats: list[Sequence[TrackFormat]] = []
        self.units: list[MediaUnit] = []

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        self.formats.append(formats)

    def on_unit(self, unit: MediaUnit) -> None:
        self.units.append(unit)

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        raise AssertionError(cause)


def test_nothing_leaves_before_the_first_keyframe_and_its_loss_is_kept() -> None:
    sink = Sink()
    maker = UnitMaker(sink, has_audio=True)
    maker.on_picture(Assembled((SLICE,), 0, 1, 0))
    maker.on_picture(Assembled((SLICE,), 3600, 2, 4))
    maker.on_audio(1, 0, b"a", 2)
    maker.on_picture(Assembled((SPS, PPS, IDR), 7200, 3, 2))
    maker.on_audio(2, 960, b"b", 4)
    assert [unit.payloads for unit in sink.units] == [(SPS, PPS, IDR), (b"b",)]
    assert sink.units[0].lost_before == 6
    assert maker.skipped == 2
    (formats,) = sink.formats
    assert formats == (TrackFormat(0, "h264", 90_000, (SPS, PPS)), TrackFormat(1, "opus", 48_000, channels=2))


def test_changed_parameter_sets_announce_new_formats_before_their_keyframe() -> None:
    sink = Sink()
    maker = UnitMaker(sink, has_audio=False)
    for at, nals in enumerate([(SPS, PPS, IDR), (SLICE,), (SPS, PPS, IDR), (OTHER_SPS, PPS, IDR), (SLICE,)]):
        maker.on_picture(Assembled(nals, at * 3600, at, 0))
    assert [formats[0].parameter_sets for formats in sink.formats] == [(SPS, PPS), (OTHER_SPS, PPS)]
    assert len(sink.units) == 5


def test_sets_announced_out_of_band_serve_a_keyframe_without() -> None:
    sink = Sink()
    maker = UnitMaker(sink, False, (SPS, PPS))
    maker.on_picture(Assembled((IDR,), 0, 0, 0))
    assert sink.formats[0][0].parameter_sets == (SPS, PPS)
    assert sink.units[0].payloads == (IDR,)


def test_time_runs_over_the_wrap_and_steps_back_for_reordered_pictures() -> None:
    clock = SenderClock(90_000)
    stamps = [0xFFFFF000, 0xFFFFFF00, 0x00000F00, 0x00000800]
    assert [clock.unwrap(stamp) for stamp in stamps] == [0xFFFFF000, 0xFFFFFF00, 0x100000F00, 0x100000800]


def test_the_senders_wall_time_comes_from_its_reports() -> None:
    clock = SenderClock(90_000)
    assert clock.device_ns(5) is None
    clock.report(0, 0)
    assert clock.device_ns(5) is None
    wall_ns = 1_790_000_000_123_456_789
    clock.report(unix_ns_to_ntp(wall_ns), 0xFFFFFFF0)
    taken = clock.device_ns(90_000 - 16)
    assert taken is not None
    assert abs(taken - wall_ns - 1_000_000_000) <= 1
    assert abs(ntp_to_unix_ns(unix_ns_to_ntp(wall_ns)) - wall_ns) <= 1


def test_sound_is_ordered_and_its_loss_counted() -> None:
    sink = Sink()
    maker = UnitMaker(sink, has_audio=True)
    maker.on_picture(Assembled((SPS, PPS, IDR), 0, 0, 0))
    for sequence in (65_534, 65_535, 65_535, 2, 1, 3):
        maker.on_audio(sequence, sequence * 960, b"%d" % sequence, 0)
    assert [(unit.payloads[0], unit.lost_before) for unit in sink.units[1:]] == [(b"65534", 0), (b"65535", 0), (b"2", 2), (b"3", 0)]
