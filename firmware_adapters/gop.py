"""Fan one stream out to many listeners, each starting at the newest keyframe.

Guarantees: every unit is cut into packets once, whatever the number of listeners; the cache of the current group of pictures
and each listener's queue are bounded in frames and bytes; a listener that cannot keep up loses pictures up to the next
keyframe and touches no other. Pure: no I/O, no tasks; times come with the units.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat
from firmware_adapters.webrtc_packets import AUD, PPS, SPS, equal_runs, nal_type, packetize

GOP_FRAMES = 600
GOP_BYTES = 12 << 20
LANE_FRAMES = 900  # more than a whole cached group: joining must never look like being slow
LANE_BYTES = 16 << 20
REORDER_LIMIT_S = 2  # a step back of more than this is a restart of the clock, not reordering
JUMP_LIMIT_S = 10

FrameKind = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One unit as RTP payloads, shared by all listeners. `pts` is continuous over reconnections of the source."""

    kind: FrameKind
    payloads: tuple[bytes, ...]
    runs: tuple[tuple[int, int], ...]
    pts: int
    is_key: bool
    size: int
    mono_ns: int
    device_ns: int | None


class FrameListener(Protocol):
    """Takes frames as they come. Calls must not block."""

    def on_frame(self, frame: Frame) -> None:
        """Take one frame."""


@dataclass(slots=True)
class _Timeline:
    """Keeps one track's time running on when the source restarts its own."""

    clock_hz: int
    shift: int = 0
    last_out: int | None = None
    last_mono_ns: int = 0
    fresh: bool = False

    def place(self, pts: int, mono_ns: int) -> int:
        out = pts + self.shift
        if self.last_out is not None:
            back, ahead = -REORDER_LIMIT_S * self.clock_hz, JUMP_LIMIT_S * self.clock_hz
            if self.fresh or not back < out - self.last_out < ahead:
                out = self.last_out + max(1, (mono_ns - self.last_mono_ns) * self.clock_hz // 1_000_000_000)
                self.shift = out - pts
        self.fresh = False
        self.last_out, self.last_mono_ns = out, mono_ns
        return out


@dataclass(slots=True)
class Feed:
    """The fan-out of one camera or recorder; a `UnitSink`.

    `needs_fallback` is True once pictures came out of display order (B-frames), which browsers' WebRTC cannot play.
    """

    gop_frames: int = GOP_FRAMES
    gop_bytes: int = GOP_BYTES
    formats: tuple[TrackFormat, ...] = ()
    needs_fallback: bool = False
    last_mono_ns: int | None = None
    interruption: Interruption | None = None
    frames: int = 0
    lost: int = 0
    _listeners: list[FrameListener] = field(default_factory=list, init=False)
    _gop: list[Frame] = field(default_factory=list, init=False)
    _gop_size: int = field(default=0, init=False)
    _timelines: dict[FrameKind, _Timeline] = field(default_factory=dict, init=False)
    _tracks: dict[int, TrackFormat] = field(default_factory=dict, init=False)
    _first_listener: int = field(default=0, init=False)

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        """Take the tracks of a new connection; the cached group of the old one is dropped."""
        self.formats = tuple(formats)
        self._tracks = {track.track: track for track in formats if track.codec in ("h264", "opus")}
        self.interruption, self.needs_fallback = None, False
        self._drop_gop()
        for timeline in self._timelines.values():
            timeline.fresh = True

    def on_unit(self, unit: MediaUnit) -> None:
        """Cut one unit into packets and hand it to every listener."""
        track = self._tracks.get(unit.track)
        if track is None:
            return
        kind: FrameKind = "video" if track.is_video else "audio"
        frame = self._frame(kind, track, unit)
        if frame is None:
            return
        self.frames += 1
        self.lost += unit.lost_before
        if kind == "video":
            self.last_mono_ns = unit.mono_ns
            self._cache(frame)
        listeners = self._listeners
        if listeners:  # another one first each time: nobody is always the last of a large picture
            self._first_listener = (self._first_listener + 1) % len(listeners)
            for listener in listeners[self._first_listener :] + listeners[: self._first_listener]:
                listener.on_frame(frame)

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        """Keep the listeners, drop the cached pictures: what comes later starts at a keyframe."""
        self.interruption = cause
        self._drop_gop()

    def subscribe(self, listener: FrameListener) -> None:
        """Hand frames to `listener` from now on; `gop()` gives it the pictures to start with."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def unsubscribe(self, listener: FrameListener) -> None:
        """Stop handing frames to `listener`; unknown ones are ignored."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    @property
    def listeners(self) -> int:
        """Give the number of listeners."""
        return len(self._listeners)

    @property
    def has_audio(self) -> bool:
        """Tell whether a track of sound that WebRTC can carry is there."""
        return any(track.codec == "opus" for track in self.formats)

    def gop(self) -> list[Frame]:
        """Give the pictures since the newest keyframe, itself first; empty when there is none or it outgrew the bounds."""
        return list(self._gop)

    def compressed_gop(self) -> list[Frame]:
        """Give the same pictures squeezed into the newest frame interval, for a listener that saw later times already."""
        pictures = self._gop
        if len(pictures) < 2:
            return list(pictures)
        newest = pictures[-1].pts
        step = max(1, (newest - pictures[-2].pts) // (len(pictures) + 1))
        last = len(pictures) - 1
        return [replace(picture, pts=newest - (last - at) * step) for at, picture in enumerate(pictures)]

    def age_ns(self, mono_ns: int) -> int | None:
        """Give the age of the newest picture at a monotonic time; None before the first."""
        return None if self.last_mono_ns is None else mono_ns - self.last_mono_ns

    def _frame(self, kind: FrameKind, track: TrackFormat, unit: MediaUnit) -> Frame | None:
        timeline = self._timelines.setdefault(kind, _Timeline(track.clock_hz))
        before = timeline.last_out
        restarted = timeline.fresh
        pts = timeline.place(unit.pts, unit.mono_ns)
        if kind == "audio":
            payloads = unit.payloads
        else:
            # a keyframe before the newest picture is one that is shown again (see `compressed_gop`), not a reordered one
            if before is not None and pts < before and not restarted and not unit.is_key:
                self.needs_fallback = True
            payloads = packetize(_with_parameter_sets(unit, track))
        if not payloads:
            return None
        size = sum(map(len, payloads))
        return Frame(kind, payloads, equal_runs(payloads), pts, unit.is_key, size, unit.mono_ns, unit.device_ns)

    def _cache(self, frame: Frame) -> None:
        if frame.is_key:
            self._gop, self._gop_size = [], 0
        elif not self._gop:
            return
        self._gop.append(frame)
        self._gop_size += frame.size
        if len(self._gop) > self.gop_frames or self._gop_size > self.gop_bytes:
            self._drop_gop()

    def _drop_gop(self) -> None:
        self._gop, self._gop_size = [], 0


def _with_parameter_sets(unit: MediaUnit, track: TrackFormat) -> Sequence[bytes]:
    """Put SPS and PPS before a keyframe that lacks them: a viewer may start here (RFC 6184 8.4)."""
    if not unit.is_key or not track.parameter_sets:
        return unit.payloads
    kinds = {nal_type(nal) for nal in unit.payloads}
    if SPS in kinds and PPS in kinds:
        return unit.payloads
    at = 1 if unit.payloads and nal_type(unit.payloads[0]) == AUD else 0
    return (*unit.payloads[:at], *track.parameter_sets, *unit.payloads[at:])


@dataclass(slots=True)
class Lane:
    """The bounded queue of one listener: when it overflows, everything up to the next keyframe is dropped."""

    frames_limit: int = LANE_FRAMES
    bytes_limit: int = LANE_BYTES
    dropped: int = 0
    needs_key: bool = True
    _queue: deque[Frame] = field(default_factory=deque, init=False)
    _size: int = field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._queue)

    def push(self, frame: Frame) -> bool:
        """Queue one frame; False when it was dropped."""
        if frame.kind == "video" and self.needs_key:
            if not frame.is_key:
                self.dropped += 1
                return False
            self.needs_key = False
        if len(self._queue) >= self.frames_limit or self._size + frame.size > self.bytes_limit:
            self.skip_to_key()
            if not frame.is_key or frame.size > self.bytes_limit:
                self.dropped += 1
                return False
            self.needs_key = False
        self._queue.append(frame)
        self._size += frame.size
        return True

    def pop(self) -> Frame | None:
        """Take the oldest frame."""
        if not self._queue:
            return None
        frame = self._queue.popleft()
        self._size -= frame.size
        return frame

    def skip_to_key(self) -> None:
        """Drop what waits and every picture before the next keyframe."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self._size = 0
        self.needs_key = True

    def restart(self) -> None:
        """Forget what waits without counting it: a group of pictures follows that replaces it."""
        self._queue.clear()
        self._size = 0
        self.needs_key = True
