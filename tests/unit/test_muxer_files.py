"""The muxer's files, as a foreign reader sees them: every packet, every time, every byte."""

import io
from fractions import Fraction
from itertools import pairwise

import av
import pytest

from edge.muxer import Muxer
from edge.sps import read_sps
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol.errors import MalformedError
from simulators.devices.footage import Footage, Synthetic, synthesize
from tests.edge_parts import OTHER_SPS, PPS, SPS, VIDEO, TestClock, unit, units

AUDIO_HZ = 48_000


@pytest.fixture(scope="module", params=[0, 2], ids=["in-order", "b-frames"])
def footage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Footage:
    plan = Synthetic(width=320, height=240, seconds=4, kbit=300, gop=25, b_frames=request.param, has_audio=True)
    return synthesize(plan, tmp_path_factory.mktemp("footage"))


def formats(footage: Footage) -> tuple[TrackFormat, ...]:
    sound = footage.sound
    assert sound is not None
    audio = TrackFormat(1, "aac", sound.frequency, (), sound.config, sound.channels)
    return TrackFormat(0, "h264", 90_000, (footage.sps, footage.pps)), audio


def arrivals(footage: Footage) -> list[MediaUnit]:
    """Give pictures in decoding order, sound beside them."""
    sound = footage.sound
    assert sound is not None
    out = [(each.dts / 90_000, MediaUnit(0, each.nals, each.pts, each.is_key, each.dts * 100_000 // 9)) for each in footage.units]
    out += [
        (at * 1024 / sound.frequency, MediaUnit(1, (frame,), at * 1024, True, at * 1024 * 10**9 // sound.frequency))
        for at, frame in enumerate(sound.frames)
    ]
    return [each for _, each in sorted(out, key=lambda pair: pair[0])]


def sample(each: MediaUnit) -> bytes:
    return b"".join(len(nal).to_bytes(4, "big") + nal for nal in each.payloads) if each.track == 0 else each.payloads[0]


def write(footage: Footage, part_units: int) -> tuple[bytes, list[MediaUnit]]:
    muxer = Muxer(formats(footage))
    out, kept = [muxer.init], []
    for count, each in enumerate(arrivals(footage), 1):
        if muxer.add(each):
            kept.append(each)
        if count % part_units == 0 and (part := muxer.take()) is not None:
            out.append(part.encode())
    last = muxer.take(final=True)
    if last is not None:
        out.append(last.encode())
    return b"".join(out), kept


@pytest.mark.parametrize("part_units", [7, 60, 100_000])
def test_every_packet_comes_back_byte_for_byte_at_its_time(footage: Footage, part_units: int) -> None:
    data, kept = write(footage, part_units)
    first = next(each.pts for each in kept if each.track == 0)
    with av.open(io.BytesIO(data), "r") as container:
        found: dict[int, list[tuple[Fraction, bytes, bool]]] = {0: [], 1: []}
        for packet in container.demux():
            if packet.size:
                assert packet.pts is not None and packet.time_base is not None
                assert packet.dts is not None
                found[packet.stream.index].append((packet.pts * packet.time_base, bytes(packet), packet.is_keyframe))
    video = [each for each in kept if each.track == 0]
    assert [item[1] for item in found[0]] == [sample(each) for each in video]
    # libav shifts a track with signed composition offsets by its reordering delay; what matters is that all move alike
    shift = found[0][0][0]
    assert 0 <= shift <= Fraction(2, 25)
    assert [item[0] - shift for item in found[0]] == [Fraction(each.pts - first, 90_000) for each in video]
    assert [item[2] for item in found[0]] == [each.is_key for each in video]
    assert [item[1] for item in found[1]] == [sample(each) for each in kept if each.track == 1]


def test_decode_times_rise_and_every_picture_decodes(footage: Footage) -> None:
    data, kept = write(footage, 30)
    with av.open(io.BytesIO(data), "r") as container:
        times = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert all(later > earlier for earlier, later in pairwise(times))  # type: ignore[operator]
    with av.open(io.BytesIO(data), "r") as container:
        pictures = sum(1 for _ in container.decode(video=0))
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 240)
    assert pictures == sum(1 for each in kept if each.track == 0)


def test_browsers_are_asked_with_the_codecs_of_the_stream(footage: Footage) -> None:
    assert Muxer(formats(footage)).mime.startswith(f'video/mp4; codecs="avc1.{footage.sps[1:4].hex()}, mp4a.40.2"')


def test_opus_is_written_as_a_foreign_reader_expects() -> None:
    muxer = Muxer((VIDEO, TrackFormat(1, "opus", 48_000, channels=2)))
    muxer.add(unit(0, 0))
    for number in range(10):
        muxer.add(MediaUnit(1, (bytes((0xFC, number, 1, 2)),), number * 960, True, number))
    part = muxer.take(final=True)
    assert part is not None
    with av.open(io.BytesIO(muxer.init + part.encode()), "r") as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        assert sum(1 for packet in container.demux(audio=0) if packet.size) == 10


def test_parts_hold_only_what_came_since_the_last_one() -> None:
    muxer, clock = Muxer((VIDEO,)), TestClock()
    sizes = []
    for each in units(clock, 0, 60):
        muxer.add(each)
        if muxer.frames == 25:
            part = muxer.take()
            assert part is not None
            sizes.append(part.frames)
            assert muxer.pending == 0
    assert sizes == [25, 25]
    assert muxer.take(final=True).frames == 10  # type: ignore[union-attr]
    assert muxer.take(final=True) is None


def test_restarted_timestamps_never_make_decode_time_run_back() -> None:
    muxer = Muxer((VIDEO,))
    for number, pts in enumerate([0, 3600, 7200]):
        muxer.add(unit(number, number, pts=pts))
    first = muxer.take()
    muxer.add(unit(3, 3, pts=100))
    second = muxer.take(final=True)
    assert first is not None and second is not None
    assert second.tracks[0].decode_time > first.tracks[0].decode_time + sum(first.tracks[0].durations[:-1])


def test_a_stream_without_parameter_sets_is_refused_by_name() -> None:
    with pytest.raises(MalformedError, match="parameter sets are missing"):
        Muxer((TrackFormat(0, "h264", 90_000),))
    with pytest.raises(MalformedError, match="no tracks"):
        Muxer(())
    with pytest.raises(MalformedError, match="audio configuration is missing"):
        Muxer((VIDEO, TrackFormat(1, "aac", 48_000)))


def test_parameter_sets_are_read() -> None:
    found = read_sps(SPS)
    assert (found.width, found.height, found.profile, found.is_high) == (320, 240, 77, False)
    other = read_sps(OTHER_SPS)
    assert (other.width, other.height, other.is_high, other.chroma, other.luma_depth) == (640, 480, True, 1, 8)


@pytest.mark.parametrize("data", [b"", PPS, SPS[:6], b"\x67" + bytes(2000), b"\x67\x4d\x40\x1f" + bytes(40)])
def test_bytes_that_are_no_parameter_set_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        read_sps(data)
