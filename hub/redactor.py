"""Redact pictures, or look for faces in them, in a process of its own: `python -m hub.redactor`, started by `hub.derivation`.

Guarantees: every frame is made anew from the decoded one, its areas painted over before it is encoded, so nothing of them is in the
new file; what the film carried beside its pictures (SEI, metadata, further tracks) is left behind; sound is copied or left out;
memory, processor time and file size are bounded by the kernel. One JSON job on standard input, JSON lines on standard output:
{"done", "total"} on the way, then {"result"} or {"error"}. Knows no network and no secret.
"""

import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from protocol import kinds
from protocol.derivation import SCALE, Box, Point, boxes_during
from protocol.errors import MalformedError, PortwitnessError, RefusedError
from protocol.instants import MILLISECOND_NS, SECOND_NS

MEMORY_BYTES = 3 << 30  # of addresses, not pages
CPU_S = 3600
FILE_BYTES = 4 << 30
MAX_PIXELS = 4096 * 2304
HZ = 90_000
SLIVER_MS = 0.5  # what is shown for less at an edge, by rounding, is not taken
CELLS = 4  # a blurred area keeps so many means a side, each of few levels
LEVEL = 32
LOOK_MS = 250  # between two looks of the detector
REACH_MS = 400  # how long before and after it was seen a face is proposed
MARGIN = 0.25  # of a face's size, on each side
_BLACK = (16, 128, 128)
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Shown:
    """A decoded frame and when it is shown, in ms of the derived film."""

    frame: VideoFrame
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Film:
    """The stretch [start, end) of wall time (Unix ns) of segments in order: (file, wall time of its first picture)."""

    pieces: tuple[tuple[str, int], ...]
    start_ns: int
    end_ns: int

    def frames(self, sound: "Sound | None" = None) -> Iterator[Shown]:
        """Give its frames in order; `sound` takes what else is wanted of each file before."""
        held: Shown | None = None
        for path, wall_ns in self.pieces:
            with av.open(path, metadata_errors="ignore") as source:
                for frame, at_ns in _decode(source, wall_ns, sound):
                    at_ms = (at_ns - self.start_ns) / MILLISECOND_NS
                    if held is not None:
                        yield from self._inside(Shown(held.frame, held.start_ms, max(at_ms, held.start_ms)))
                    held = Shown(frame, at_ms, at_ms)
        if held is not None:
            yield from self._inside(Shown(held.frame, held.start_ms, max(self.length_ms, held.start_ms + 1)))

    def _inside(self, shown: Shown) -> Iterator[Shown]:
        start_ms, end_ms = max(0.0, shown.start_ms), min(self.length_ms, shown.end_ms)
        if end_ms - start_ms >= SLIVER_MS:
            yield Shown(shown.frame, start_ms, end_ms)

    @property
    def length_ms(self) -> float:
        """Give its length."""
        return (self.end_ns - self.start_ns) / MILLISECOND_NS


def _decode(source: Any, wall_ns: int, sound: "Sound | None") -> Iterator[tuple[VideoFrame, int]]:  # noqa: ANN401 - an open container
    if not source.streams.video:
        raise MalformedError("holds no picture", where="segment")
    picture: VideoStream = source.streams.video[0]
    if picture.width * picture.height > MAX_PIXELS:
        raise RefusedError(f"pictures of {picture.width} x {picture.height} are too large", where="segment")
    picture.thread_count = 2
    wanted = [picture, *source.streams.audio[:1]] if sound is not None else [picture]
    first: Fraction | None = None
    waiting: list[Any] = []
    for packet in source.demux(wanted):
        if packet.stream.type == "audio":
            waiting.append(packet)
        else:
            for frame in packet.decode():
                time = Fraction(frame.pts) * frame.time_base
                first = time if first is None else first
                yield frame, wall_ns + int((time - first) * SECOND_NS)
        if sound is not None and first is not None:
            for each in waiting:
                sound.take(each, wall_ns, first)
            waiting.clear()


@dataclass(slots=True)
class Sound:
    """Sound packets on their way into the new file, as they are."""

    sink: Any
    film: Film
    stream: AudioStream | None = None
    codec: str = ""
    last: int = -1

    def take(self, packet: Any, wall_ns: int, first: Fraction) -> None:  # noqa: ANN401
        """Take a packet, if it lies in the stretch."""
        if packet.pts is None or self.stream is None:
            return
        at_ns = wall_ns + int((Fraction(packet.pts) * packet.time_base - first) * SECOND_NS) - self.film.start_ns
        if packet.stream.codec_context.name != self.codec:
            raise RefusedError("the sound changes its codec on the way: mute it", where="sound")
        place = int(Fraction(at_ns, SECOND_NS) / packet.time_base)
        if 0 <= at_ns < self.film.end_ns - self.film.start_ns and place > self.last:
            packet.pts = packet.dts = self.last = place
            packet.stream = self.stream
            self.sink.mux(packet)


def redact(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Make the redacted film `job["out"]`; give what was done."""
    film = _film(job)
    areas = tuple(_area(one) for one in job["areas"])
    with av.open(job["out"], "w", format="mp4", options={"movflags": "+faststart"}) as sink:
        work = _Encoding(sink, film, areas, keeps_sound=job["sound"] == "kept")
        return work.run(tell)


@dataclass(slots=True)
class _Encoding:
    sink: Any
    film: Film
    areas: tuple[kinds.Area, ...]
    keeps_sound: bool
    picture: VideoStream | None = None
    sound: Sound | None = None
    frames: int = 0
    last: int = -1  # a muxer takes no time twice; segments may overlap by their clocks' jitter
    painted: set[int] = field(default_factory=set)

    def run(self, tell: Tell) -> dict[str, Any]:
        self._open()
        for shown in self.film.frames(self.sound):
            self._encode(shown)
            tell(int(shown.end_ms), int(self.film.length_ms))
        if self.picture is None or not self.frames:
            raise RefusedError("no picture lies in this stretch", where="time")
        self.sink.mux(self.picture.encode(None))
        if len(self.painted) < len(self.areas):
            raise RefusedError("an area lies in no picture: its time falls into a gap", where="areas")
        versions = [["pyav", av.__version__], *([name, ".".join(map(str, found))] for name, found in av.library_versions.items())]
        return {"frames": self.frames, "sound": "kept" if self.sound is not None and self.sound.last >= 0 else "none", "tools": versions}

    def _open(self) -> None:
        """Make the new file's tracks, by the first segment."""
        with av.open(self.film.pieces[0][0], metadata_errors="ignore") as source:
            if not source.streams.video:
                raise MalformedError("holds no picture", where="segment")
            like = source.streams.video[0]
            made = self.sink.add_stream(
                "libx264", rate=like.average_rate or 25, options={"crf": "14", "preset": "veryfast", "threads": "2"}
            )
            made.width, made.height, made.pix_fmt = like.width, like.height, "yuv420p"
            made.codec_context.time_base = Fraction(1, HZ)
            self.picture = made
            if self.keeps_sound and source.streams.audio:
                heard = source.streams.audio[0]
                self.sound = Sound(self.sink, self.film, self.sink.add_stream_from_template(heard), heard.codec_context.name)

    def _encode(self, shown: Shown) -> None:
        frame = shown.frame
        picture = self.picture
        assert picture is not None
        if (frame.width, frame.height) != (picture.width, picture.height):
            raise RefusedError("the size of the pictures changes on the way: choose a shorter stretch", where="time")
        fresh = _copy(frame)
        for area, box in boxes_during(self.areas, shown.start_ms, shown.end_ms):
            paint(fresh, box.pixels(frame.width, frame.height), area.way)
            self.painted.add(self.areas.index(area))
        self.last = max(self.last + 1, int(shown.start_ms * HZ / 1000))
        fresh.pts, fresh.time_base = self.last, Fraction(1, HZ)
        self.frames += 1
        for packet in picture.encode(fresh):
            self.sink.mux(packet)


def _copy(frame: VideoFrame) -> VideoFrame:
    """Give a frame of its own memory: the decoder still needs the old one, and its side data stay behind."""
    like = frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")
    fresh = VideoFrame(frame.width, frame.height, "yuv420p")
    for source, target in zip(like.planes, fresh.planes, strict=True):
        data = memoryview(source).cast("B")
        if source.line_size == target.line_size:
            target.update(bytes(data[: target.buffer_size]))
            continue
        into = memoryview(target).cast("B")
        for row in range(target.height):
            into[row * target.line_size : row * target.line_size + target.width] = data[row * source.line_size :][: target.width]
    return fresh


def paint(frame: VideoFrame, box: Box, way: str) -> None:
    """Destroy a rectangle of a yuv420p frame: black, or a few coarse means."""
    for number, plane in enumerate(frame.planes):
        half = 2 if number else 1
        part = Box(box.left // half, box.top // half, -(-box.right // half), -(-box.bottom // half))
        into = memoryview(plane).cast("B")
        for cell in [part] if way == "black" else _cells(part):
            value = _BLACK[number] if way == "black" else _mean(into, plane.line_size, cell)
            line = bytes((value,)) * (cell.right - cell.left)
            for row in range(cell.top, cell.bottom):
                at = row * plane.line_size
                into[at + cell.left : at + cell.right] = line


def _cells(box: Box) -> Iterator[Box]:
    across = sorted({box.left + (box.right - box.left) * step // CELLS for step in range(CELLS + 1)})
    down = sorted({box.top + (box.bottom - box.top) * step // CELLS for step in range(CELLS + 1)})
    for top, bottom in pairwise(down):
        for left, right in pairwise(across):
            yield Box(left, top, right, bottom)


def _mean(data: memoryview, line: int, box: Box) -> int:
    """Give a rectangle's mean, of few levels: many frames together give no more than one."""
    total = sum(sum(data[row * line + box.left : row * line + box.right]) for row in range(box.top, box.bottom))
    count = (box.right - box.left) * (box.bottom - box.top)
    return min(235, max(16, total // count // LEVEL * LEVEL + LEVEL // 2))


# -------------------------------------------------------------------------------------------------------- proposals


def propose(job: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """Look for faces with the cascades that OpenCV ships; give them as proposed areas. Raises RefusedError without OpenCV."""
    try:
        import cv2
        from cv2 import data as shipped
    except ImportError as error:
        raise RefusedError("proposals need OpenCV, which is not installed here (extra `redaction`)", where="proposals") from error
    cv2.setNumThreads(1)
    folder = Path(shipped.haarcascades)
    cascades = [cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")) for name in ("frontalface_alt2", "profileface")]
    film, tracks, next_ms = _film(job), list[_Track](), 0.0
    for shown in film.frames():
        if shown.end_ms < next_ms:
            continue
        next_ms = shown.start_ms + LOOK_MS
        grey = shown.frame.to_ndarray(format="gray")
        least = max(24, min(grey.shape) // 24)
        found = [tuple(map(int, one)) for each in cascades for one in each.detectMultiScale(grey, 1.1, 4, minSize=(least, least))]
        for left, top, width, height in found:
            _follow(tracks, int(shown.start_ms), _widened(left, top, width, height, grey.shape))
        tell(int(shown.end_ms), int(film.length_ms))
    return {"proposals": [track.area(film.length_ms) for track in tracks], "tools": [["opencv", cv2.__version__]]}


@dataclass(slots=True)
class _Track:
    points: list[tuple[int, Box]]

    def area(self, length_ms: float) -> dict[str, Any]:
        (first, before), (last, _) = self.points[0], self.points[-1]
        start = max(0, first - REACH_MS)
        points: list[Point] = [(start, *_edges(before))] if start < first else []
        points += [(at, *_edges(box)) for at, box in self.points]
        return {"points": points, "until": min(int(length_ms) + 1, last + REACH_MS), "label": "face"}


def _edges(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def _widened(left: int, top: int, width: int, height: int, shape: Sequence[int]) -> Box:
    """Give a face with its margin, in parts of the picture."""
    rows, columns = shape[0], shape[1]
    wide, high = int(width * MARGIN), int(height * MARGIN)
    edges = ((left - wide) * SCALE // columns, (top - high) * SCALE // rows)
    ends = ((left + width + wide) * SCALE // columns, (top + height + high) * SCALE // rows)
    return Box(max(0, edges[0]), max(0, edges[1]), min(SCALE, ends[0]), min(SCALE, ends[1]))


def _follow(tracks: list[_Track], at_ms: int, box: Box) -> None:
    """Add a face to the one that it was a moment ago, or begin another."""
    for track in tracks:
        last_ms, last = track.points[-1]
        if at_ms - last_ms <= 2 * REACH_MS and _overlap(last, box) > 0.3:
            if last_ms == at_ms:
                track.points[-1] = (at_ms, last.joined(box))
            else:
                track.points.append((at_ms, box))
            return
    tracks.append(_Track([(at_ms, box)]))


def _overlap(one: Box, other: Box) -> float:
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0, across) * max(0, down)
    whole = sum((box.right - box.left) * (box.bottom - box.top) for box in (one, other)) - shared
    return shared / whole if whole else 0.0


# -------------------------------------------------------------------------------------------------------- the process


def _film(job: Mapping[str, Any]) -> Film:
    return Film(tuple((str(path), int(wall)) for path, wall in job["pieces"]), int(job["start_ns"]), int(job["end_ns"]))


def _area(one: Mapping[str, Any]) -> kinds.Area:
    return kinds.Area(tuple(tuple(point) for point in one["points"]), one["until"], one["way"], one["origin"], one["by"])


def _bound() -> None:
    for what, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_FSIZE, FILE_BYTES)):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Do one job for the hub that started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bound()

    def say(line: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    told = [0]

    def tell(done: int, total: int) -> None:
        if done - told[0] >= 200:
            told[0] = done
            say({"done": done, "total": total})

    try:
        job = json.loads(sys.stdin.readline())
        say({"result": redact(job, tell) if job["act"] == "redact" else propose(job, tell)})
    except PortwitnessError as error:
        say({"error": {"kind": type(error).__name__, "what": error.what, "where": error.where}})
    except av.FFmpegError as error:
        say({"error": {"kind": "MalformedError", "what": f"the film cannot be decoded or encoded: {error.strerror}", "where": "segment"}})
    except MemoryError:
        say({"error": {"kind": "RefusedError", "what": "needs more memory than is allowed", "where": "redaction"}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
