"""Stand in for a body-worn recorder that publishes by WHIP (RFC 9725), against anybody's endpoint.

Guarantees: real time, encoded frames as they are in the footage, every frame sent is in the ledger; faults happen when told
and at no other time. Own use of aiortc, nothing shared with the product but the protocol.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import ssl
import sys
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TextIO

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from simulators.devices.clock import monotonic_ns, wall_ns
from simulators.devices.footage import HZ, AccessUnit, Footage, Synthetic, load, synthesize

OPUS_HZ = 48_000
OPUS_SAMPLES = 960  # 20 ms
START_CODE = b"\0\0\0\1"
REPORTS_S = 0.5  # between two looks at the receiver's reports
UNHEARD_S = 4.0  # a recorder that reconnects gives up a session after so long without a report
RETRY_S = 1.0


def make_tone(seconds: float = 1.0) -> tuple[bytes, ...]:
    """Encode a tone as Opus packets of 20 ms."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = OPUS_HZ, "stereo", "s16", 32_000
    packets: list[bytes] = []
    for start in range(0, int(seconds * OPUS_HZ), OPUS_SAMPLES):
        at = (np.arange(OPUS_SAMPLES) + start) / OPUS_HZ
        wave = (np.sin(2 * np.pi * 440 * at) * 6000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = OPUS_HZ, start
        packets += [bytes(packet) for packet in codec.encode(frame)]
    return tuple(packets)


class Exchange(Protocol):
    """The HTTP side of WHIP."""

    async def post(self, offer: str) -> tuple[str, str]:
        """Send the offer, give answer and session location."""

    async def delete(self, location: str) -> None:
        """End the session."""


class SentFrames(Protocol):
    """Takes a note of every picture sent."""

    def note(self, pts: int, unit: AccessUnit) -> None:
        """Take one picture, sent with time `pts` in 1/90000 s."""


@dataclass(slots=True)
class SentList:
    """Keeps times and hashes in memory, and writes one JSON line per group of pictures where told to.

    Line: {kind: "gop", clock_hz, unix_ns, frames: [[pts, bytes, sha256, slices_sha256, microseconds after unix_ns], ..]}.
    """

    out: TextIO | None = None
    frames: list[tuple[int, str]] = field(default_factory=list)
    _open: list[list[int | str]] = field(default_factory=list)
    _began_ns: int = 0

    def note(self, pts: int, unit: AccessUnit) -> None:
        """Take one picture."""
        if unit.is_key:
            self.flush()
        at_ns = wall_ns()
        if not self._open:
            self._began_ns = at_ns
        self.frames.append((pts, unit.sha256))
        self._open.append([pts, sum(map(len, unit.nals)), unit.sha256, unit.slices_sha256, (at_ns - self._began_ns) // 1000])

    def flush(self) -> None:
        """Write what is open."""
        if self.out is not None and self._open:
            self.out.write(json.dumps({"kind": "gop", "clock_hz": HZ, "unix_ns": self._began_ns, "frames": self._open}) + "\n")
            self.out.flush()
        self._open = []


class _Pictures(MediaStreamTrack):
    """Gives the clip's frames at their times."""

    kind = "video"

    def __init__(self, footage: Footage, ledger: SentFrames) -> None:
        super().__init__()
        self.footage = footage
        self.ledger = ledger
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.sent = 0
        self._at = 0
        self._base = 0  # 90 kHz: where the current round of the clip starts
        self._started: float | None = None

    def change(self, footage: Footage) -> None:
        """Go on with other footage from its first picture."""
        self._base += self.footage.units[min(self._at, len(self.footage.units) - 1)].dts
        self.footage, self._at = footage, 0

    def jump_to_key(self) -> None:
        """Go on at the next keyframe, as a recorder does that is asked for one."""
        units = self.footage.units
        for step in range(len(units)):
            at = (self._at + step) % len(units)
            if units[at].is_key:
                self._base += units[self._at % len(units)].dts - units[at].dts
                self._at = at
                return

    async def recv(self) -> Any:  # noqa: ANN401 - the library's Frame or Packet
        """Give the next picture as a packet when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._at >= len(self.footage.units):
            self._base += self.footage.duration
            self._at = 0
        unit, due = self.footage.units[self._at], self._base + self.footage.units[self._at].dts
        if self._started is None:
            self._started = loop.time() - due / HZ
        await asyncio.sleep(max(0.0, self._started + due / HZ - loop.time()))
        if not self.flowing.is_set():
            await self.flowing.wait()
            self._started = loop.time() - due / HZ
        if self._at >= len(self.footage.units) or self.footage.units[self._at] is not unit:  # changed meanwhile
            return await self.recv()
        self._at += 1
        pts = self._base + unit.pts
        packet = av.Packet(b"".join(START_CODE + nal for nal in unit.nals))
        packet.pts, packet.time_base = pts, Fraction(1, HZ)
        self.ledger.note(pts, unit)
        self.sent += 1
        return packet


class _Tone(MediaStreamTrack):
    """Gives Opus packets every 20 ms."""

    kind = "audio"

    def __init__(self, packets: tuple[bytes, ...], video: _Pictures) -> None:
        super().__init__()
        self._packets = packets
        self._video = video
        self._number = 0
        self._started: float | None = None

    async def recv(self) -> Any:  # noqa: ANN401 - the library's Frame or Packet
        """Give the next packet when it is due."""
        loop = asyncio.get_running_loop()
        if self._started is None:
            self._started = loop.time()
        await asyncio.sleep(max(0.0, self._started + self._number * OPUS_SAMPLES / OPUS_HZ - loop.time()))
        await self._video.flowing.wait()
        packet = av.Packet(self._packets[self._number % len(self._packets)])
        packet.pts, packet.time_base = self._number * OPUS_SAMPLES, Fraction(1, OPUS_HZ)
        self._number += 1
        return packet


class Recorder:
    """Publishes a clip until closed. `start` and `close`, or an async context manager."""

    def __init__(
        self, exchange: Exchange, footage: Footage, *, ledger: SentFrames, tone: tuple[bytes, ...] = (), codec: str = "H264"
    ) -> None:
        self._exchange = exchange
        self._source = footage
        self._ledger = ledger
        self._tone = tone
        self._codec = codec
        self._connection: RTCPeerConnection | None = None
        self._pictures: _Pictures | None = None
        self._location: str | None = None
        self._ended = asyncio.Event()
        self.dropped = 0

    async def __aenter__(self) -> "Recorder":
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def state(self) -> str:
        """Give the connection's state as WebRTC names it."""
        return self._connection.connectionState if self._connection is not None else "new"

    @property
    def sent(self) -> int:
        """Give the number of pictures sent."""
        return self._pictures.sent if self._pictures is not None else 0

    async def wait_ended(self) -> None:
        """Wait until the connection failed or was closed."""
        await self._ended.wait()

    async def wait_unheard(self, seconds: float) -> None:
        """Wait until nobody has reported to receive the pictures for so long (RTCP receiver reports)."""
        newest, heard_ns = None, monotonic_ns()
        while monotonic_ns() - heard_ns < seconds * 1e9:
            await asyncio.sleep(REPORTS_S)
            report = await self._connection.getSenders()[0].getStats() if self._connection is not None else {}
            stamps = [each.timestamp for each in report.values() if each.type == "remote-inbound-rtp"]
            if stamps and stamps[0] != newest:
                newest, heard_ns = stamps[0], monotonic_ns()

    async def start(self) -> None:
        """Offer, post and begin to send."""
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._connection = connection
        connection.on("connectionstatechange", lambda: self._ended.set() if self.state in ("failed", "closed") else None)
        self._pictures = pictures = _Pictures(self._source, self._ledger)
        video = connection.addTransceiver(pictures, direction="sendonly")
        wanted = (f"video/{self._codec}".lower(), "video/rtx")
        video.setCodecPreferences([each for each in RTCRtpSender.getCapabilities("video").codecs if each.mimeType.lower() in wanted])
        vars(video.sender)["_send_keyframe"] = pictures.jump_to_key
        if self._tone:
            connection.addTransceiver(_Tone(self._tone, pictures), direction="sendonly")
        try:
            await connection.setLocalDescription(await connection.createOffer())
            answer, self._location = await self._exchange.post(connection.localDescription.sdp)
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except BaseException:
            await connection.close()
            raise

    def stop_media(self) -> None:
        """Fault: send nothing more, keep the connection."""
        if self._pictures is not None:
            self._pictures.flowing.clear()

    def resume_media(self) -> None:
        """End the fault."""
        if self._pictures is not None:
            self._pictures.flowing.set()

    def change_footage(self, footage: Footage) -> None:
        """Fault: another resolution or encoder from the next picture on."""
        if self._pictures is not None:
            self._pictures.change(footage)

    def lose(self, choose: Callable[[int], bool], *, repaired: bool = True) -> None:
        """Fault: drop outgoing packets for whose count `choose` says so; unless `repaired` nothing is sent again."""
        if self._connection is None:
            return
        transport = self._connection.getTransceivers()[0].sender.transport
        send = transport._send_rtp
        count = 0

        async def send_some(data: bytes) -> None:
            nonlocal count
            is_control = 192 <= data[1] <= 223
            if not is_control:
                count += 1
                if choose(count):
                    self.dropped += 1
                    return
            await send(data)

        async def repair_nothing(sequence: int) -> None:
            return

        vars(transport)["_send_rtp"] = send_some
        if not repaired:
            vars(self._connection.getTransceivers()[0].sender)["_retransmit"] = repair_nothing

    def vanish(self) -> None:
        """Fault: cut the network without a word."""
        if self._connection is not None:
            for protocol in self._connection.getTransceivers()[0].sender.transport.transport._connection._protocols:
                protocol.transport.abort()

    async def close(self) -> None:
        """End the session as WHIP says."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        location, self._location = self._location, None
        if location is not None:
            await self._exchange.delete(location)


@dataclass(slots=True)
class HttpExchange:
    """WHIP over HTTP with a bearer token."""

    client: httpx.AsyncClient
    url: str
    token: str = ""

    async def post(self, offer: str) -> tuple[str, str]:
        """Send the offer, give answer and session location."""
        reply = await self.client.post(self.url, content=offer, headers=self._headers({"content-type": "application/sdp"}))
        reply.raise_for_status()
        return reply.text, str(reply.url.join(reply.headers.get("location", "")))

    async def pair(self, code: str) -> None:
        """Give the endpoint a task's short code."""
        reply = await self.client.post(f"{self.url}/pair", json={"code": code}, headers=self._headers({}))
        reply.raise_for_status()

    async def delete(self, location: str) -> None:
        """End the session."""
        await self.client.delete(location, headers=self._headers({}))

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        return headers | ({"authorization": f"Bearer {self.token}"} if self.token else {})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.description = "Publish footage as a body-worn recorder by WHIP."
    parser.epilog = "example: portwitness-sim recorder --whip http://127.0.0.1:8080/whip/rec-1 --token TOKEN --code 482913 --seconds 60"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--whip", required=True, metavar="URL", help="WHIP endpoint")
    parser.add_argument("--token", default="", help="bearer token of the recorder; `@FILE` reads it from a file")
    parser.add_argument("--code", default="", help="pairing code from the inspector's page; given to URL/pair before publishing")
    parser.add_argument("--footage", type=Path, metavar="FILE", help="MP4 with H.264; synthetic pictures without it")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after this long; 0: until interrupted")
    parser.add_argument(
        "--reconnect", action="store_true", help="publish again, after a second, whenever the connection is lost or refused"
    )
    parser.add_argument("--no-audio", action="store_true", help="publish pictures only")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="write every frame sent, one JSON line per group of pictures")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "portwitness-footage", help="where synthetic footage is kept"
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificates to trust")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="own certificate")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Publish as told; 0 when pictures were delivered, 1 when the endpoint refused or the connection failed."""
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    try:
        result = asyncio.run(_publish(args))
    except KeyboardInterrupt:
        return 0
    except httpx.HTTPError as error:
        sys.stderr.write(f"recorder: {args.whip}: {error}\n")
        return 1
    line = json.dumps(result) if args.json else f"sent {result['frames']} pictures in {result['seconds']} s, connection {result['state']}"
    sys.stdout.write(line + "\n")
    return 0 if result["state"] == "connected" else 1


async def _publish(args: argparse.Namespace) -> dict[str, Any]:
    footage = load(args.footage) if args.footage else await asyncio.to_thread(synthesize, Synthetic(), args.cache)
    trust: ssl.SSLContext | bool = True
    if args.ca or args.cert:
        trust = ssl.create_default_context(cafile=str(args.ca) if args.ca else None)
        if args.cert:
            trust.load_cert_chain(str(args.cert), str(args.key) if args.key else None)
    tone = () if args.no_audio else make_tone()
    started = monotonic_ns()
    with ExitStack() as files:
        ledger = SentList(files.enter_context(args.ledger.open("a", encoding="utf-8")) if args.ledger else None)
        files.callback(ledger.flush)
        async with httpx.AsyncClient(verify=trust, timeout=10, trust_env=False) as client:
            exchange = HttpExchange(client, args.whip, args.token)
            if args.code:
                await exchange.pair(args.code)
            sessions = _Sessions(exchange, footage, ledger, tone, reconnects=args.reconnect)
            await _until_told(sessions.run(), args.seconds)
    return {"frames": sessions.sent, "seconds": round((monotonic_ns() - started) / 1e9, 1), "state": sessions.state}


@dataclass(slots=True)
class _Sessions:
    """One session after the other, as a recorder has them."""

    exchange: Exchange
    footage: Footage
    ledger: SentFrames
    tone: tuple[bytes, ...]
    reconnects: bool
    sent: int = 0
    state: str = "new"

    async def run(self) -> None:
        """Publish until the connection ends; with `reconnects` until cancelled."""
        while True:
            try:
                await self._session()
            except (httpx.HTTPError, OSError) as error:
                if not self.reconnects:
                    raise
                sys.stderr.write(f"recorder: {error}; trying again\n")
            if not self.reconnects:
                return
            await asyncio.sleep(RETRY_S)

    async def _session(self) -> None:
        recorder = Recorder(self.exchange, self.footage, ledger=self.ledger, tone=self.tone)
        async with recorder:
            waits = [asyncio.create_task(recorder.wait_ended())]
            if self.reconnects:
                waits.append(asyncio.create_task(recorder.wait_unheard(UNHEARD_S)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
                self.state, self.sent = recorder.state, self.sent + recorder.sent


async def _until_told(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Let work run until it ends, its time is over or the program is told to stop."""
    task = asyncio.create_task(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    done, _ = await asyncio.wait([task], timeout=seconds or None)
    if not done:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
