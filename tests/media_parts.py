"""Real segments for tests: encoded pictures and sound through the box's muxer, and copies of them by libav."""

import io
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from edge.muxer import Muxer
from firmware_adapters.abilities import MediaUnit, TrackFormat
from simulators.devices.footage import Footage, Synthetic, synthesize

FRAGMENTED = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
BASE = 123_456  # ms at which the device counts when a segment begins


@cache
def footage(b_frames: int) -> Footage:
    plan = Synthetic(width=160, height=128, seconds=3, kbit=150, gop=25, b_frames=b_frames, has_audio=True)
    with TemporaryDirectory() as folder:
        return synthesize(plan, Path(folder))


@cache
def opus() -> tuple[bytes, ...]:
    """Give real Opus packets of 20 ms."""
    out: list[bytes] = []
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    for number in range(140):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        for plane in frame.planes:
            plane.update(bytes((number * at // 7) & 0xFF for at in range(plane.buffer_size)))
        frame.sample_rate, frame.pts = 48_000, number * 960
        out += [bytes(packet) for packet in encoder.encode(frame)]
    return tuple(out)


@cache
def segment(b_frames: int, sound: str | None, late: int = 37, part_units: int = 60) -> bytes:
    """Give a segment of three seconds: H.264 with or without B-frames; `sound`: aac, opus or none, `late` ticks behind the pictures."""
    shot = footage(b_frames)
    formats = [TrackFormat(0, "h264", 90_000, (shot.sps, shot.pps))]
    units = [(each.dts / 90_000, MediaUnit(0, each.nals, each.pts + BASE * 90, each.is_key, 0)) for each in shot.units]
    if sound is not None:
        assert shot.sound is not None
        if sound == "aac":
            formats.append(TrackFormat(1, "aac", shot.sound.frequency, (), shot.sound.config, shot.sound.channels))
            frames, step = shot.sound.frames, 1024
        else:
            formats.append(TrackFormat(1, "opus", 48_000, channels=2))
            frames, step = opus(), 960
        rate = formats[1].clock_hz
        units += [
            (at * step / rate, MediaUnit(1, (frame,), at * step + late + BASE * rate // 1000, True, 0)) for at, frame in enumerate(frames)
        ]
    muxer = Muxer(formats)
    out = [muxer.init]
    for count, (_, unit) in enumerate(sorted(units, key=lambda pair: pair[0]), 1):
        muxer.add(unit)
        part = muxer.take() if count % part_units == 0 else None
        out += [part.encode()] if part is not None else []
    last = muxer.take(final=True)
    return b"".join([*out, last.encode()] if last is not None else out)


def remux(data: bytes, options: Mapping[str, str] | None = None) -> bytes:
    """Copy the packets into another MP4 file, plain or by `options`."""
    out = io.BytesIO()
    with av.open(io.BytesIO(data), "r") as source, av.open(out, "w", format="mp4", options=dict(options or {})) as target:
        streams = {each.index: target.add_stream_from_template(each) for each in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.size:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return out.getvalue()


def packets(data: bytes) -> list[list[tuple[int, int, bool, bytes]]]:
    """Give, for each track, what libav reads: dts, pts, key flag, bytes."""
    with av.open(io.BytesIO(data), "r") as container:
        found: list[list[tuple[int, int, bool, bytes]]] = [[] for _ in container.streams]
        for packet in container.demux():
            if packet.size:
                assert packet.dts is not None and packet.pts is not None
                found[packet.stream.index].append((packet.dts, packet.pts, packet.is_keyframe, bytes(packet)))
    return found


def steps(values: list[int]) -> list[int]:
    """Give the differences between neighbours."""
    return [later - before for before, later in pairwise(values)]
