"""What the tests of live video share: small footage, a sink that remembers, peers on the loopback."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat
from firmware_adapters.webrtc import Feed, MediaPeers, PeerSettings, WhepViewer, WhipIngest
from simulators.devices.footage import Footage, Synthetic, synthesize
from simulators.devices.recorder import Recorder, SentList
from storage.clock import SystemClock

LOOPBACK = PeerSettings(hosts=("127.0.0.1",))
SMALL = Synthetic(width=320, height=180, fps=25, seconds=4, kbit=400, gop=25)
LARGER = Synthetic(width=480, height=270, fps=25, seconds=4, kbit=600, gop=25)
DEADLINE_S = 60.0


def small_footage(folder: Path) -> Footage:
    return synthesize(SMALL, folder)


def peers(settings: PeerSettings = LOOPBACK) -> MediaPeers:
    return MediaPeers(SystemClock(), settings)


async def until(reached: Callable[[], Any], what: str) -> None:
    """Wait for a condition, with a deadline that names it."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while not reached():
        assert loop.time() < end, f"did not happen: {what}"
        await asyncio.sleep(0.01)


class Memory:
    """A sink that remembers, and may feed another sink."""

    def __init__(self, feed: Feed | None = None) -> None:
        self.feed = feed
        self.formats: list[tuple[TrackFormat, ...]] = []
        self.units: list[MediaUnit] = []
        self.ends: list[tuple[Interruption, str]] = []

    @property
    def pictures(self) -> list[MediaUnit]:
        return [unit for unit in self.units if unit.track == 0]

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        self.formats.append(tuple(formats))
        if self.feed is not None:
            self.feed.on_formats(formats)

    def on_unit(self, unit: MediaUnit) -> None:
        self.units.append(unit)
        if self.feed is not None:
            self.feed.on_unit(unit)

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        self.ends.append((cause, detail))
        if self.feed is not None:
            self.feed.on_interruption(cause, detail)


class ToIngest:
    """The HTTP exchange of WHIP without HTTP."""

    def __init__(self, ingest: WhipIngest) -> None:
        self._ingest = ingest
        self.deleted: list[str] = []

    async def post(self, offer: str) -> tuple[str, str]:
        return await self._ingest.answer(offer), "/session/1"

    async def delete(self, location: str) -> None:
        self.deleted.append(location)
        await self._ingest.close()


def recorder_into(ingest: WhipIngest, footage: Footage, **more: Any) -> tuple[Recorder, SentList]:
    sent = SentList()
    return Recorder(ToIngest(ingest), footage, ledger=sent, **more), sent


class DecodingViewer:
    """A viewer that decodes, as a browser would."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._transceiver = self.connection.addTransceiver("video", direction="recvonly")
        self.answer = ""

    async def watch(self, viewer: WhepViewer, *, extmap: str = "") -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription.sdp
        self.answer = await viewer.answer(f"{offer}{extmap}\r\n" if extmap else offer)
        await self.connection.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))

    async def picture(self) -> Any:
        return await asyncio.wait_for(self._transceiver.receiver.track.recv(), DEADLINE_S)

    @property
    def receiver(self) -> Any:
        return self._transceiver.receiver

    def overhear(self) -> list[bytes]:
        """Give the list that the packets of media go into, as they come."""
        transport: Any = self.receiver.transport
        handle, packets = transport._handle_rtp_data, list[bytes]()

        async def handle_and_keep(data: bytes, arrival_time_ms: int) -> None:
            packets.append(data)
            await handle(data, arrival_time_ms=arrival_time_ms)

        transport._handle_rtp_data = handle_and_keep
        return packets

    def lose(self, choose: Callable[[int], bool]) -> None:
        """Drop incoming packets of media by their count, before anything sees them."""
        transport: Any = self.receiver.transport
        handle = transport._handle_rtp_data
        count = 0

        async def handle_some(data: bytes, arrival_time_ms: int) -> None:
            nonlocal count
            count += 1
            if not choose(count):
                await handle(data, arrival_time_ms=arrival_time_ms)

        transport._handle_rtp_data = handle_some

    def vanish(self) -> None:
        """Cut the network without a word."""
        ice: Any = self.receiver.transport.transport
        for protocol in ice._connection._protocols:
            protocol.transport.abort()
