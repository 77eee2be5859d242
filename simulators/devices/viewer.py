"""Stand in for many people who watch live: WHEP viewers that cost little, for measuring whoever serves them.

Guarantees: real ICE and DTLS; media is counted from the cleartext RTP headers and never decrypted; arrival is the kernel's time
stamp of each packet, so that a busy swarm does not make its server look late. They send no receiver reports, as nothing is
decrypted. Works against anybody's endpoint.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from simulators.devices.clock import monotonic_ns

HZ = 90_000
_TIMESTAMPS = 35  # SO_TIMESTAMPNS, Linux socket(7)
_TIMESPEC = struct.Struct("@qq")
_RECEIVE_BYTES = 2 << 20
CHROMIUM_SRTP = b"SRTP_AES128_CM_SHA1_80"  # what Chromium picks by default

Signal = Callable[[str], Awaitable[str]]


@dataclass(slots=True)
class Counts:
    """What one viewer received while counting."""

    packets: int = 0
    octets: int = 0
    first: int | None = None
    last: int = 0
    pictures: list[tuple[int, int]] = field(default_factory=list)  # RTP timestamp, arrival in ns

    def take(self, data: bytes, arrival_ns: int) -> None:
        """Count one RTP packet."""
        sequence, timestamp = struct.unpack_from("!HI", data, 2)
        if self.first is None:
            self.first = self.last = sequence
        step = ((sequence - self.last + 0x8000) & 0xFFFF) - 0x8000
        if step > 0:
            self.last += step
        self.packets += 1
        self.octets += len(data)
        if data[1] & 0x80:
            self.pictures.append((timestamp, arrival_ns))

    @property
    def lost(self) -> int:
        """Give the number of packets that did not come."""
        return max(0, self.last - self.first + 1 - self.packets) if self.first is not None else 0

    def lateness_ms(self) -> list[float]:
        """Give each picture's arrival against its RTP time, from the viewer's earliest percent on."""
        if len(self.pictures) < 10:
            return []
        values = np.array(self.pictures, np.float64)
        late = (values[:, 1] - values[0, 1]) / 1e6 - (values[:, 0] - values[0, 0]) * 1000 / HZ
        return [float(each) for each in late - np.percentile(late, 1)]


@dataclass(frozen=True, slots=True)
class SwarmReport:
    """What a swarm saw; lateness in ms."""

    viewers: int
    receiving: int
    packets: int
    lost: int
    mbit_per_s: float
    rate_min: float
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


class LightViewer:
    """One viewer. Connect by its own offer (`watch`) or by the server's (`answer`)."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connected = asyncio.Event()
        self._connection.on("connectionstatechange", self._on_state)
        self.counts: Counts | None = None

    async def watch(self, exchange: Signal) -> None:
        """Offer to receive video, and connect."""
        self._connection.addTransceiver("video", direction="recvonly")
        self._choose_srtp()
        await self._connection.setLocalDescription(await self._connection.createOffer())
        answer = await exchange(self._connection.localDescription.sdp)
        await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def answer(self, offer: str) -> str:
        """Take the server's offer and give the answer."""
        await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self._choose_srtp()
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return str(self._connection.localDescription.sdp)

    async def wait_connected(self) -> None:
        """Wait for the connection, then take its packets from the socket."""
        await self._connected.wait()
        self._tap()

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()

    def _on_state(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()

    def _choose_srtp(self) -> None:
        for transceiver in self._connection.getTransceivers():
            transport: Any = transceiver.receiver.transport
            transport._srtp_profiles = [each for each in transport._srtp_profiles if each.openssl_profile == CHROMIUM_SRTP]

    def _tap(self) -> None:
        ice: Any = self._connection.getTransceivers()[0].receiver.transport.transport
        loop: Any = asyncio.get_running_loop()
        for protocol in ice._connection._protocols:  # the server may choose another pair than we did
            raw: socket.socket = protocol.transport.get_extra_info("socket")._sock
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            raw.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
            loop._add_reader(raw.fileno(), self._drain, raw, protocol)

    def _drain(self, raw: socket.socket, protocol: Any) -> None:  # noqa: ANN401 - the library's protocol object
        receive, counts = raw.recvmsg, self.counts
        with contextlib.suppress(BlockingIOError, OSError):
            while True:
                data, ancillary, _, address = receive(2048, 64)
                if not 127 < data[0] < 192:
                    protocol.datagram_received(data, address)
                elif counts is not None and not 192 <= data[1] <= 223:
                    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                    counts.take(data, seconds * 1_000_000_000 + nanoseconds)


async def count(viewers: list[LightViewer], seconds: float) -> SwarmReport:
    """Count what connected viewers receive for a while."""
    for viewer in viewers:
        viewer.counts = Counts()
    started = monotonic_ns()
    await asyncio.sleep(seconds)
    passed = (monotonic_ns() - started) / 1e9
    all_counts = [viewer.counts for viewer in viewers if viewer.counts is not None]
    for viewer in viewers:
        viewer.counts = None
    late = [each for counts in all_counts for each in counts.lateness_ms()] or [0.0]
    return SwarmReport(
        viewers=len(viewers),
        receiving=sum(1 for counts in all_counts if len(counts.pictures) >= 10),
        packets=sum(counts.packets for counts in all_counts),
        lost=sum(counts.lost for counts in all_counts),
        mbit_per_s=round(sum(counts.octets for counts in all_counts) * 8 / passed / 1e6, 1),
        rate_min=round(min(len(counts.pictures) for counts in all_counts) / passed, 1),
        late_p50_ms=round(float(np.percentile(late, 50)), 2),
        late_p99_ms=round(float(np.percentile(late, 99)), 2),
        late_max_ms=round(max(late), 2),
    )


async def gather_viewers(number: int, connect: Callable[[LightViewer], Awaitable[None]], *, at_once: int = 4) -> list[LightViewer]:
    """Connect viewers, a few at once."""
    viewers = [LightViewer() for _ in range(number)]
    try:
        for start in range(0, number, at_once):
            group = viewers[start : start + at_once]
            await asyncio.gather(*(connect(viewer) for viewer in group))
            await asyncio.wait_for(asyncio.gather(*(viewer.wait_connected() for viewer in group)), 20)
    except BaseException:
        await asyncio.gather(*(viewer.close() for viewer in viewers))
        raise
    return viewers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = "Watch a live stream by WHEP with many light viewers and report loss and lateness."
    parser.epilog = "example: portwitness-sim viewer --whep https://127.0.0.1:8443/whep/cam-1 --viewers 20 --json"
    parser.add_argument("--whep", required=True, metavar="URL", help="WHEP endpoint")
    parser.add_argument("--token", default="", help="bearer token")
    parser.add_argument("--viewers", type=int, default=10, help="how many")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to count")
    parser.add_argument("--ca", metavar="FILE", help="certificates to trust")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Watch as told; 0 when every viewer received pictures, 1 otherwise."""
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    try:
        report = asyncio.run(_watch(args))
    except httpx.HTTPError as error:
        sys.stderr.write(f"viewer: {args.whep}: {error}\n")
        return 1
    text = f"{report.receiving}/{report.viewers} receive, lost {report.lost} of {report.packets} packets, p99 {report.late_p99_ms} ms late"
    sys.stdout.write((json.dumps(asdict(report)) if args.json else text) + "\n")
    return 0 if report.receiving == report.viewers else 1


async def _watch(args: argparse.Namespace) -> SwarmReport:
    headers = {"content-type": "application/sdp"} | ({"authorization": f"Bearer {args.token}"} if args.token else {})
    async with httpx.AsyncClient(verify=args.ca or True, timeout=10, trust_env=False, headers=headers) as client:
        locations: list[httpx.URL] = []

        async def exchange(offer: str) -> str:
            reply = await client.post(args.whep, content=offer)
            reply.raise_for_status()
            locations.append(reply.url.join(reply.headers.get("location", "")))
            return reply.text

        viewers = await gather_viewers(args.viewers, lambda viewer: viewer.watch(exchange))
        try:
            return await count(viewers, args.seconds)
        finally:
            await asyncio.gather(*(viewer.close() for viewer in viewers))
            await asyncio.gather(*(client.delete(location) for location in locations))
