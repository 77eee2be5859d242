"""Keep every source recording: one task per camera, started again when it dies; a look every five seconds at what arrives.

Guarantees: what one source does never ends another; a source is judged by the bytes that arrive, not by sessions; every state
that a person should know is in the report.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge.capture import Capture
from edge.recorder import Recorder
from firmware_adapters.abilities import Streams
from protocol.identifiers import SourceId
from protocol.instants import SECOND_NS, Clock
from protocol.messages import SourceState

LOOK_S = 5.0
SILENT_NS = 10 * SECOND_NS
RESTART_FIRST_S = 1.0
RESTART_LIMIT_S = 30.0

Doing = Literal["recording", "waiting", "lost", "refused", "stopped"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    """What a source had delivered at the last look."""

    at_ns: int = 0
    size: int = 0
    bitrate: int = 0


@dataclass(slots=True)
class Supervision:
    """The cameras of a box and the states of all its sources. Use `run` as a task; cancel to end all captures."""

    recorder: Recorder
    clock: Clock
    cameras: dict[SourceId, Streams]
    recorders: Sequence[SourceId] = ()
    restarts: int = 0
    _watches: dict[SourceId, _Watch] = field(default_factory=dict)

    def kind_of(self, source: SourceId) -> Literal["camera", "recorder"] | None:
        """Tell what a source is; None for an unknown one."""
        if source in self.cameras:
            return "camera"
        return "recorder" if source in self.recorders else None

    async def run(self) -> None:
        """Capture all cameras until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look())
            for source, camera in self.cameras.items():
                group.create_task(self._capture(self.recorder.captures[source], camera))

    async def _capture(self, capture: Capture, camera: Streams) -> None:
        pause_s = RESTART_FIRST_S
        while True:
            began = self.clock.monotonic_ns()
            try:
                await camera.run(capture)
                reason = "ended by itself"
            except Exception as error:
                log.exception("%s: capture failed", capture.stream)
                reason = f"{type(error).__name__}: {error}"
            self.restarts += 1
            capture.on_interruption("protocol", reason)
            if self.clock.monotonic_ns() - began > SILENT_NS:
                pause_s = RESTART_FIRST_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RESTART_LIMIT_S)

    async def _look(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Measure what arrived since the last look."""
        now = self.clock.monotonic_ns()
        for source, capture in self.recorder.captures.items():
            watch = self._watches.setdefault(source, _Watch(now, capture.counters.size))
            elapsed = now - watch.at_ns
            if elapsed > 0:
                watch.bitrate = (capture.counters.size - watch.size) * 8 * SECOND_NS // elapsed
                watch.at_ns, watch.size = now, capture.counters.size

    def states(self) -> tuple[SourceState, ...]:
        """Give the state of every source that is meant to record."""
        names = [*self.cameras, *(source for source in self.recorders if source not in self.cameras)]
        return tuple(self._state(source) for source in names)

    def _state(self, source: SourceId) -> SourceState:
        role = self.kind_of(source) or "camera"
        capture = self.recorder.captures.get(source)
        if capture is None:
            return SourceState(source, role, "stopped", "not connected", None, 0, 0, 0)
        counters = capture.counters
        doing, detail = self._judge(capture)
        last = counters.last_unit_ns
        wall = capture.anchor.wall(last) if last is not None else None
        bitrate = self._watches.get(source, _Watch()).bitrate
        task = min(capture.tasks, default=None)
        return SourceState(source, role, doing, detail, wall, bitrate, counters.frames, counters.lost, task)

    def _judge(self, capture: Capture) -> tuple[Doing, str]:
        if not capture.is_open:
            return "stopped", capture.detail
        if capture.gap_cause in ("disk full", "disk slow", "unsupported"):
            return "refused", capture.gap_cause
        last = capture.counters.last_unit_ns
        if capture.interruption is not None:
            state: Doing = "refused" if capture.interruption in ("unauthorized", "unsupported") else "lost"
            return state, f"{capture.interruption}: {capture.detail}"
        if last is None:
            return "waiting", "nothing arrived yet"
        silent = self.clock.monotonic_ns() - last
        if silent > SILENT_NS:
            return "lost", f"silent for {silent // SECOND_NS} s"
        return ("recording", "") if capture.is_recording else ("waiting", "waits for a keyframe")
