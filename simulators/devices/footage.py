"""What a simulated camera films: encoded access units that loop, from any MP4 or made here; or encoded live.

Guarantees: NAL units as the encoder or the file gave them, byte for byte; keyframes carry their parameter sets; each unit has a
place in time. Synthetic pictures carry the marks of `stamp`. Encoded synthetic footage is cached where the caller says.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from protocol.errors import MalformedError, RefusedError
from simulators.devices.stamp import BLACK, GREY, MARGIN, ROWS_PER_PICTURE, WHITE, clock_words, row_bits

HZ = 90_000
AUDIO_HZ = 48_000
AUDIO_SAMPLES = 1024
CACHE_VERSION = 1
SPS, PPS = 7, 8
_BLOCKS = 20

Luma = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture: its NAL units without start codes, and times in 1/90000 s from the loop's start, in decoding order."""

    nals: tuple[bytes, ...]
    dts: int
    pts: int
    is_key: bool

    @property
    def sha256(self) -> str:
        """Hash of the unit as an MP4 sample: each NAL unit after its length in 4 bytes."""
        return _sample_hash(self.nals)

    @property
    def slices_sha256(self) -> str:
        """The same of its slices alone (types 1 to 5), which no recorder moves elsewhere."""
        return _sample_hash([nal for nal in self.nals if 1 <= nal[0] & 0x1F <= 5])


def _sample_hash(nals: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)).hexdigest()


@dataclass(frozen=True, slots=True)
class Sound:
    """AAC frames that loop by themselves, 1024 samples each."""

    frames: tuple[bytes, ...]
    config: bytes
    frequency: int
    channels: int


@dataclass(frozen=True)
class Footage:
    """A loop of access units. `duration`: of one loop in 1/90000 s."""

    name: str
    units: tuple[AccessUnit, ...]
    duration: int
    width: int
    height: int
    sps: bytes
    pps: bytes
    sound: Sound | None = None

    @property
    def fps(self) -> float:
        """Pictures a second."""
        return len(self.units) * HZ / self.duration

    @property
    def has_reordering(self) -> bool:
        """Tell whether pictures are shown in another order than sent (B-frames)."""
        return any(later.pts < unit.pts for unit, later in zip(self.units, self.units[1:], strict=False))

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The units' sample hashes, by index."""
        return tuple(unit.sha256 for unit in self.units)


@dataclass(frozen=True, slots=True)
class Synthetic:
    """How synthetic footage is made. `slices`: parts of a picture that are encoded apart."""

    width: int = 1280
    height: int = 720
    fps: int = 25
    seconds: int = 10
    kbit: int = 2000
    gop: int = 50
    profile: str = "main"
    b_frames: int = 0
    has_audio: bool = False
    slices: int = 1


# ------------------------------------------------------------------ from a file


def load(path: Path) -> Footage:
    """Load the first H.264 track, and AAC where present, of an MP4 file.

    Raises RefusedError when there is no H.264 in it, MalformedError when it does not parse.
    """
    try:
        with av.open(str(path)) as container:
            return _read(container, path.name)
    except av.FFmpegError as error:
        raise MalformedError(f"not a readable video ({error})", where=str(path)) from error


def _read(container: av.container.InputContainer, name: str) -> Footage:
    streams = [s for s in container.streams.video if s.codec_context.name == "h264"]
    if not streams:
        raise RefusedError("footage holds no H.264 video", where=name)
    video = streams[0]
    sound = next((s for s in container.streams.audio if s.codec_context.name == "aac"), None)
    length_size, sets = _read_extradata(bytes(video.codec_context.extradata or b""))
    found: list[tuple[tuple[bytes, ...], int, int, bool]] = []
    frames: list[bytes] = []
    for packet in container.demux([s for s in (video, sound) if s is not None]):
        if not packet.size or packet.dts is None or packet.pts is None:
            continue
        if packet.stream is sound:
            frames.append(bytes(packet))
            continue
        nals = tuple(split_lengths(bytes(packet), length_size) if length_size else split_start_codes(bytes(packet)))
        scale = packet.time_base * HZ
        found.append((nals, round(packet.dts * scale), round(packet.pts * scale), packet.is_keyframe))
    size = (video.codec_context.width, video.codec_context.height)
    return _assemble(name, found, sets, size, _sound(sound, frames))


def _sound(stream: av.AudioStream | None, frames: list[bytes]) -> Sound | None:
    if stream is None or not frames:
        return None
    context = stream.codec_context
    return Sound(tuple(frames), bytes(context.extradata or b""), context.sample_rate, context.channels)


def _assemble(
    name: str, found: list[tuple[tuple[bytes, ...], int, int, bool]], sets: list[bytes], size: tuple[int, int], sound: Sound | None
) -> Footage:
    while found and not found[0][3]:
        found.pop(0)
    if len(found) < 2:
        raise RefusedError("footage is shorter than two pictures", where=name)
    known = sets + [nal for nals, *_ in found for nal in nals if nal[0] & 0x1F in (SPS, PPS)]
    sps = next((nal for nal in known if nal[0] & 0x1F == SPS), b"")
    pps = next((nal for nal in known if nal[0] & 0x1F == PPS), b"")
    if not sps or not pps:
        raise MalformedError("footage without parameter sets", where=name)
    start = found[0][1]
    units = tuple(AccessUnit(_with_sets(nals, sps, pps) if key else nals, dts - start, pts - start, key) for nals, dts, pts, key in found)
    duration = units[-1].dts * len(units) // (len(units) - 1)
    return Footage(name, units, duration, *size, sps, pps, sound)


def _with_sets(nals: tuple[bytes, ...], sps: bytes, pps: bytes) -> tuple[bytes, ...]:
    if any(nal[0] & 0x1F == SPS for nal in nals):
        return nals
    at = 1 if nals[0][0] & 0x1F == 9 else 0  # a delimiter stays first
    return (*nals[:at], sps, pps, *nals[at:])


def _read_extradata(extradata: bytes) -> tuple[int, list[bytes]]:
    """Return the size of NAL lengths (0: start codes) and the parameter sets (ISO/IEC 14496-15 5.3.3.1)."""
    if extradata[:1] != b"\x01":
        return 0, list(split_start_codes(extradata))
    try:
        sets, at = [], 6
        for count in (extradata[5] & 0x1F, None):
            if count is None:
                count, at = extradata[at], at + 1
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                sets.append(extradata[at + 2 : at + 2 + size])
                at += 2 + size
    except IndexError as error:
        raise MalformedError("decoder configuration is cut short", where="avcC") from error
    return (extradata[4] & 3) + 1, [nal for nal in sets if nal]


def split_lengths(sample: bytes, length_size: int) -> Iterator[bytes]:
    """Yield the NAL units of a sample with lengths.

    Raises MalformedError when a length does not fit.
    """
    at = 0
    while at < len(sample):
        size = int.from_bytes(sample[at : at + length_size], "big")
        at += length_size
        if not size or at + size > len(sample):
            raise MalformedError("NAL unit is cut short", where="sample")
        yield sample[at : at + size]
        at += size


def split_start_codes(stream: bytes) -> Iterator[bytes]:
    """Yield the NAL units of an Annex B stream."""
    at = stream.find(b"\0\0\1")
    while at >= 0:
        following = stream.find(b"\0\0\1", at + 3)
        nal = stream[at + 3 : following if following >= 0 else len(stream)].rstrip(b"\0")
        if nal:
            yield nal
        at = following


# ------------------------------------------------------------------ made here


def synthesize(plan: Synthetic, cache: Path) -> Footage:
    """Return footage made by the plan, encoded now or earlier into the folder `cache`."""
    key = hashlib.sha256(json.dumps([CACHE_VERSION, asdict(plan)], sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"synthetic-{plan.width}x{plan.height}-{key}.mp4"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{id(plan):x}.part")
        _encode(plan, fresh)
        fresh.replace(path)
    return load(path)


class Painter:
    """Paints pictures that move, that cost an encoder bits, and that carry marks."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        chance = np.random.default_rng(1)
        coarse = chance.integers(40, 200, (height // 16 + 2, width // 16 + 2)).astype(np.float32)
        smooth = (coarse + np.roll(coarse, 1, 0) + np.roll(coarse, 1, 1) + np.roll(coarse, (1, 1), (0, 1))) / 4
        self._ground = np.kron(smooth, np.ones((16, 16), np.float32))[:height, :width].astype(np.uint8)
        self._noise = chance.integers(0, 14, (height, width), np.uint8)
        chroma = np.linspace(96, 160, width // 2, dtype=np.uint8)
        self._chroma = np.tile(chroma, (height // 2, 1)), np.tile(chroma[::-1], (height // 2, 1))

    def paint(self, number: int, unix_ms: int | None = None) -> av.VideoFrame:
        """Return the picture `number`, with a clock when a time is given."""
        luma = np.roll(self._ground, (number * 2, number * 3), (0, 1)) + np.roll(self._noise, (number * 37, number * 101), (0, 1))
        width, height = self._width, self._height
        side = height // 6
        left = number * 7 % max(width - side, 1)
        luma[height // 2 : height // 2 + side, left : left + side] = WHITE
        words = [number & 0xFFFF, *(clock_words(unix_ms) if unix_ms is not None else ())]
        mark(luma, words)
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, values in zip(frame.planes, (luma, *self._chroma), strict=True):
            rows = np.zeros((plane.height, plane.line_size), np.uint8)
            rows[:, : values.shape[1]] = values
            plane.update(rows.tobytes())
        return frame


def mark(luma: Luma, words: Sequence[int]) -> None:
    """Burn words into a picture, one a row, by the layout of `stamp`."""
    block = luma.shape[0] // ROWS_PER_PICTURE
    luma[: 2 * MARGIN + len(words) * block, : 2 * MARGIN + _BLOCKS * block] = GREY
    for row, word in enumerate(words):
        top = MARGIN + row * block
        for at, bit in enumerate(row_bits(word, row)):
            left = MARGIN + at * block
            luma[top : top + block, left : left + block] = WHITE if bit else BLACK


def _check_size(width: int, height: int) -> None:
    block = height // ROWS_PER_PICTURE
    if width % 2 or height % 2 or block < 4 or 2 * MARGIN + _BLOCKS * block > width:
        raise RefusedError(f"{width}x{height} cannot carry the marks: even sides, >= 72 lines, wider than 10/9 of its height + 8")


def _options(plan: Synthetic) -> dict[str, str]:
    rate = f"{plan.kbit}k"
    options = {
        "preset": "veryfast", "profile": plan.profile, "b": rate, "maxrate": rate, "bufsize": rate, "g": str(plan.gop),
        "keyint_min": str(plan.gop), "sc_threshold": "0", "bf": str(plan.b_frames),
        "x264-params": f"sliced-threads=0:slices={plan.slices}:b-adapt=0:open-gop=0:rc-lookahead=0",
    }  # fmt: skip
    return options if plan.b_frames else {**options, "tune": "zerolatency"}


def _encode(plan: Synthetic, path: Path) -> None:
    _check_size(plan.width, plan.height)
    painter = Painter(plan.width, plan.height)
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=plan.fps, options=_options(plan))
        video.width, video.height, video.pix_fmt = plan.width, plan.height, "yuv420p"
        video.codec_context.time_base = Fraction(1, plan.fps)
        audio = container.add_stream("aac", rate=AUDIO_HZ, layout="stereo") if plan.has_audio else None
        for number in range(plan.fps * plan.seconds):
            frame = painter.paint(number)
            frame.pts, frame.time_base = number, Fraction(1, plan.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            for tone in _tones(plan.seconds):
                container.mux(audio.encode(tone))
            container.mux(audio.encode())


def _tones(seconds: int) -> Iterator[av.AudioFrame]:
    for start in range(0, AUDIO_HZ * seconds, AUDIO_SAMPLES):
        moments = (np.arange(AUDIO_SAMPLES) + start) / AUDIO_HZ
        wave = (0.2 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_HZ, start, Fraction(1, AUDIO_HZ)
        yield frame


class LiveEncoder:
    """Encodes pictures with a burned-in clock as they are asked for; for small pictures only."""

    def __init__(self, plan: Synthetic) -> None:
        _check_size(plan.width, plan.height)
        self._painter = Painter(plan.width, plan.height)
        self._context: Any = av.CodecContext.create("libx264", "w")
        self._context.width, self._context.height, self._context.pix_fmt = plan.width, plan.height, "yuv420p"
        self._context.time_base = Fraction(1, plan.fps)
        self._context.thread_count = 1  # more threads hold pictures back
        self._context.options = {**_options(plan), "preset": "ultrafast"}
        self._step = HZ // plan.fps
        self._plan = plan

    def encode(self, number: int, unix_ms: int) -> AccessUnit:
        """Encode the picture `number`, made at `unix_ms`."""
        frame = self._painter.paint(number, unix_ms)
        frame.pts, frame.time_base = number, Fraction(1, self._plan.fps)
        packets = self._context.encode(frame)
        nals = tuple(nal for packet in packets for nal in split_start_codes(bytes(packet)))
        return AccessUnit(nals, number * self._step, number * self._step, any(packet.is_keyframe for packet in packets))
