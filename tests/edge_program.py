"""A real box on made-up cameras, to be killed: `python -m tests.edge_program STATE CAMERAS`. Each picture is told to a ledger first."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from edge.agent import Agent, Identity, Surroundings
from edge.config import CameraSettings, CaptureSettings, DiskSettings, EdgeSettings, Enrolled, LiveSettings
from firmware_adapters.abilities import UnitSink
from protocol.identifiers import BoxId, SiteId, SourceId
from protocol.instants import Clock
from storage.clock import SystemClock
from storage.keys import load_or_create_p256
from tests.edge_parts import BOX, VIDEO, unit

GOP = 25


class MadeUpCamera:
    """Sends 25 pictures a second; `ledger` gets "source number wall" for each, before it is sent."""

    def __init__(self, source: str, ledger: int, clock: Clock) -> None:
        self._source, self._ledger, self._clock = source, ledger, clock

    async def run(self, sink: UnitSink) -> None:
        sink.on_formats([VIDEO])
        first = self._clock.now().wall_ns // 40_000_000  # numbers never come twice, whatever is restarted
        number = first
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            now = self._clock.now()
            os.write(self._ledger, f"{self._source} {number} {now.wall_ns}\n".encode())
            sink.on_unit(unit(number, now.mono_ns, key=(number - first) % GOP == 0, pts=(number - first) * 3600))
            number += 1
            await asyncio.sleep(max(0.0, began + (number - first) / 25 - loop.time()))


async def run(state: Path, cameras: int) -> None:
    ledger = os.open(state / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    settings = EdgeSettings(
        state=state,
        capture=CaptureSettings(segment_seconds=2.0),
        disk=DiskSettings(full_mib=1, low_mib=2, ballast_mib=1),
        live=LiveSettings(enabled=False),
        cameras=tuple(CameraSettings(source=SourceId(f"cam-{number}"), url="rtsp://nowhere") for number in range(cameras)),
    )
    enrolled = Enrolled(BoxId(BOX), SiteId("dayaowan"), "https://127.0.0.1:1", None)
    identity = Identity(enrolled, load_or_create_p256(state / "keys" / "identity.key"), None, state / "keys")
    around = Surroundings(SystemClock(), bytes(16), lambda camera, _, clock: MadeUpCamera(camera.source, ledger, clock))
    agent = Agent(settings, identity, around)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    await agent.run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
