"""What the tests of cameras share: a sink that remembers, footage that is made once, a clock."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from pathlib import Path

from firmware_adapters.abilities import Interruption, MediaUnit, Streams, TrackFormat
from firmware_adapters.rtsp import RtspCamera, RtspSettings
from simulators.devices.footage import Footage, Synthetic, synthesize

DEADLINE_S = 30.0
QUICK = RtspSettings(
    connect_s=5, answer_s=2, stall_s=0.6, backoff_first_s=0.05, backoff_limit_s=0.2, refusal_s=0.2, report_s=0.2, allows_basic=False
)
PLAIN = Synthetic(320, 180, fps=25, seconds=2, kbit=600, gop=10)


class SteadyClock:
    """The monotonic clock of this machine."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class Memory:
    """A sink that remembers everything, with the order of events."""

    def __init__(self) -> None:
        self.formats: list[tuple[TrackFormat, ...]] = []
        self.units: list[MediaUnit] = []
        self.interruptions: list[tuple[Interruption, str]] = []
        self.events: list[str] = []
        self._changed = asyncio.Event()

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        self.formats.append(tuple(formats))
        self.events.append("formats")
        self._changed.set()

    def on_unit(self, unit: MediaUnit) -> None:
        self.units.append(unit)
        self.events.append("unit")
        self._changed.set()

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        self.interruptions.append((cause, detail))
        self.events.append(cause)
        self._changed.set()

    @property
    def pictures(self) -> list[MediaUnit]:
        return [unit for unit in self.units if unit.track == 0]

    @property
    def causes(self) -> list[str]:
        return [cause for cause, _ in self.interruptions]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that only our events can change."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def recovered_after(self, cause: str) -> None:
        """Wait for an interruption with that cause and for units after it."""
        await self.until(lambda: cause in self.events and "unit" in self.events[self.events.index(cause) :])


@contextlib.asynccontextmanager
async def watching(url: str, *, settings: RtspSettings = QUICK, username: str = "", password: str = "") -> AsyncIterator[Memory]:
    """Run our client on an address."""
    memory = Memory()
    camera: Streams = RtspCamera(url, clock=SteadyClock(), username=username, password=password, settings=settings)
    task = asyncio.create_task(camera.run(memory))
    try:
        yield memory
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@cache
def footage(plan: Synthetic = PLAIN) -> Footage:
    """Return synthetic footage, made once in a test run."""
    with tempfile.TemporaryDirectory() as folder:
        return synthesize(plan, Path(folder))
