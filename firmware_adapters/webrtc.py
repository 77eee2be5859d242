"""Speak WebRTC: take streams by WHIP, publish them by WHIP, serve them to viewers by WHEP (RFC 9725, draft-ietf-wish-whep).

The one module that speaks aiortc, aioice and pylibsrtp. Guarantees: encoded frames pass through, nothing is decoded; a frame
is cut into packets once for all viewers and sent with one system call per run of equal packets; every queue is bounded; a
slow viewer drops to the next keyframe and touches no other; no server of anybody is asked for addresses unless set; a dead
peer is closed and leaves nothing behind.

The library hides what this needs, so private names are used. Each is listed in `HOOKS` and put on the single object it serves,
never on the library as a whole; `install_hooks()` refuses to start on a library that lacks one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import CodeType, TracebackType
from typing import Any, Protocol, TypeAlias

import aioice.ice
import aiortc
import pylibsrtp
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidStateError
from aiortc.exceptions import OperationError as SdpOperationError
from aiortc.rtp import RtcpByePacket, RtcpSrPacket

from firmware_adapters.abilities import Interruption, UnitSink
from firmware_adapters.gop import Feed, Frame, FrameKind
from firmware_adapters.webrtc_packets import PictureAssembler
from firmware_adapters.webrtc_paths import bind_within
from firmware_adapters.webrtc_sdp import (
    Offer,
    accept_playout_delay,
    hold_bitrate,
    read_offer,
    restore_profiles,
    strip_named_candidates,
)
from firmware_adapters.webrtc_sending import SENDER, FrameSender, SendTurns
from firmware_adapters.webrtc_units import UnitMaker
from protocol.errors import MalformedError, RefusedError, UnavailableError
from protocol.instants import SECOND_NS, Clock

__all__ = [
    "Feed",
    "Frame",
    "IceServer",
    "MediaPeers",
    "PeerSettings",
    "WhepViewer",
    "WhipIngest",
    "WhipPublisher",
    "check_hooks",
    "install_hooks",
]

# ---------------------------------------------------------------------------------------------------------------- hooks

Foreign: TypeAlias = Any  # an object of the library, reached by private names
_RECEIVER = "_RTCRtpReceiver__"
HOOKS: tuple[tuple[type, str, tuple[str, ...]], ...] = (
    (RTCRtpReceiver, "__init__", (_RECEIVER + "jitter_buffer", _RECEIVER + "nack_generator")),
    (RTCRtpReceiver, "_handle_rtp_packet", (_RECEIVER + "jitter_buffer", "add")),
    (RTCRtpReceiver, "_send_rtcp_pli", ()),
    (RTCRtpReceiver, "_send_rtcp_nack", ()),
    (RTCRtpReceiver, "_handle_rtcp_packet", ()),
    (
        RTCRtpSender,
        "__init__",
        (
            *(
                "_ssrc",
                "_rtx_ssrc",
                SENDER + "mid",
                SENDER + "rtp_exited",
                SENDER + "rtp_header_extensions_map",
                SENDER + "rtp_started",
            ),
            *(SENDER + "rtx_payload_type", SENDER + "rtx_sequence_number", SENDER + "ntp_timestamp", SENDER + "rtp_timestamp"),
            *(SENDER + "octet_count", SENDER + "packet_count"),
        ),
    ),
    (RTCRtpSender, "send", ("_run_rtp",)),
    (RTCRtpSender, "_handle_rtcp_packet", ("_retransmit", "_send_keyframe")),
    (aiortc.RTCDtlsTransport, "_setup_srtp", ("_tx_srtp",)),
    (aiortc.rtp.HeaderExtensionsMap, "__init__", ("_HeaderExtensionsMap__ids",)),
    (aiortc.RTCIceTransport, "__init__", ("_connection",)),
    (aioice.ice.Connection, "__init__", ("_nominated", "_protocols", "stun_server")),
    (aioice.ice.Connection, "gather_candidates", ("get_component_candidates",)),
    (aioice.ice.StunProtocol, "datagram_received", ("receiver", "data_received", "local_candidate")),
    (pylibsrtp.Session, "__init__", ("_srtp",)),
    (pylibsrtp.Session, "protect", ("lib", "srtp_protect")),
)


def check_hooks(hooks: Sequence[tuple[type, str, tuple[str, ...]]] = HOOKS) -> None:
    """Check that the library has every private name used here.

    Raises UnavailableError naming the first that is missing.
    """
    if not aiortc.__version__.startswith("1.16."):
        raise UnavailableError(f"needs version 1.16, found {aiortc.__version__}", where="aiortc")
    for owner, function, names in hooks:
        where = f"{owner.__module__}.{owner.__name__}.{function}"
        code = getattr(getattr(owner, function, None), "__code__", None)
        if code is None:
            raise UnavailableError("hook is missing", where=where)
        for name in names:
            if name not in _names(code):
                raise UnavailableError(f"hook {name} is missing", where=where)


def _names(code: CodeType) -> set[str]:
    """Give the names that a function uses, those of the comprehensions in it included."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def install_hooks() -> None:
    """Make this process ready for WebRTC; safe to repeat. Hooks go on each peer as it is made, so checking is all there is.

    Raises UnavailableError on a library that was not seen working.
    """
    check_hooks()


# ------------------------------------------------------------------------------------------------------------- settings


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server (RFC 7064, RFC 7065). One of each kind is used."""

    urls: str
    username: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """How peers are reached and held.

    `ports`: first and last UDP port for media, None for any; each peer takes one per address. `hosts`: the addresses to
    offer, empty for all of this machine. `stall_s`: without media an ingest ends. `connect_s`: without a connection a peer ends.
    `silence_s`: without reports a viewer that used to send them ends.
    """

    ice_servers: tuple[IceServer, ...] = ()
    ports: tuple[int, int] | None = None
    hosts: tuple[str, ...] = ()
    start_kbit: int = 2000
    min_kbit: int = 1000
    max_kbit: int = 6000
    stall_s: float = 3.0
    connect_s: float = 10.0
    silence_s: float = 12.0


TICK_S = 0.1

_BAD_SDP = (
    ValueError,
    IndexError,
    KeyError,
    AttributeError,
    TypeError,
    AssertionError,
    RuntimeError,  # also what a coroutine makes of the StopIteration of a failed search
    InternalError,
    InvalidStateError,
    SdpOperationError,
)


class _Watched(Protocol):
    """A peer that the shared watch looks after."""

    def tick(self, now_ns: int) -> None:
        """Look for what is overdue."""

    async def close(self) -> None:
        """End the peer."""


@dataclass(slots=True)
class MediaPeers:
    """All WebRTC peers of one process: shares settings, clock, one sending turn and one watch.

    Use as an async context manager; leaving it closes every peer.
    """

    clock: Clock
    settings: PeerSettings = PeerSettings()
    turns: SendTurns = field(init=False)
    _peers: set[_Watched] = field(default_factory=set)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)
    _watch: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.turns = SendTurns(self.clock)

    async def __aenter__(self) -> "MediaPeers":
        check_hooks()
        self._read_wall()
        self._watch = asyncio.create_task(self._run_watch())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every peer and the watch."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await asyncio.gather(*(peer.close() for peer in list(self._peers)))
        await asyncio.gather(*self._closing)

    def ingest(self, sink: UnitSink) -> "WhipIngest":
        """Make the receiving side of one WHIP session."""
        return WhipIngest(self, sink)

    def viewer(self, feed: Feed) -> "WhepViewer":
        """Make the sending side of one WHEP session."""
        return WhepViewer(self, feed)

    def publisher(self, feed: Feed, post: "Post", delete: "Delete") -> "WhipPublisher":
        """Make the sending side of one WHIP session."""
        return WhipPublisher(self, feed, post, delete)

    @property
    def open_peers(self) -> int:
        """Give the number of peers that are not closed."""
        return len(self._peers)

    def _add(self, peer: _Watched) -> None:
        self._peers.add(peer)

    def _remove(self, peer: _Watched) -> None:
        self._peers.discard(peer)

    def _close_soon(self, closing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _run_watch(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            ticks += 1
            if ticks % 10 == 0:
                self._read_wall()
            now_ns = self.clock.monotonic_ns()
            for peer in list(self._peers):
                peer.tick(now_ns)

    def _read_wall(self) -> None:
        now = self.clock.now()
        self.turns.wall_offset_ns = now.wall_ns - now.mono_ns


def _make_connection(settings: PeerSettings, bundle: RTCBundlePolicy) -> RTCPeerConnection:
    servers = [RTCIceServer(server.urls, server.username, server.credential) for server in settings.ice_servers]
    return RTCPeerConnection(RTCConfiguration(iceServers=servers, bundlePolicy=bundle))


# ---------------------------------------------------------------------------------------------------------------- peers


class _Peer:
    """What every peer has: a connection that is made late, closed once, and told of its end."""

    def __init__(self, peers: MediaPeers) -> None:
        self._peers = peers
        self._connection: RTCPeerConnection | None = None
        self._ended = asyncio.Event()
        self._opened_ns = 0

    @property
    def connected(self) -> bool:
        """Tell whether media can flow."""
        return self._connection is not None and self._connection.connectionState == "connected"

    async def wait_closed(self) -> None:
        """Wait until the peer is gone, whoever ended it."""
        await self._ended.wait()

    def _open(self, bundle: RTCBundlePolicy = RTCBundlePolicy.BALANCED) -> RTCPeerConnection:
        if self._connection is not None or self._ended.is_set():
            raise RefusedError("a session is used once", where="webrtc")
        self._connection = connection = _make_connection(self._peers.settings, bundle)
        self._opened_ns = self._peers.clock.monotonic_ns()
        connection.on("connectionstatechange", self._on_state)
        self._peers._add(self)
        return connection

    def _on_state(self) -> None:
        if self._connection is not None and self._connection.connectionState in ("failed", "closed"):
            self._end_soon("closed", "the connection ended")

    def _end_soon(self, cause: Interruption, detail: str) -> None:
        if not self._ended.is_set():
            self._told(cause, detail)
            self._peers._close_soon(self._shut())

    def _told(self, cause: Interruption, detail: str) -> None:
        """Note why the peer ends; called once."""
        self._ended.set()
        self._peers._remove(self)

    async def close(self) -> None:
        """End the session; safe to repeat."""
        if not self._ended.is_set():
            self._told("stopped", "closed by us")
        await self._shut()

    async def _shut(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _answer(self, offer: Offer, connection: RTCPeerConnection, prepare: Callable[[], None]) -> str:
        """Run the exchange of descriptions.

        Raises MalformedError for a description the library cannot read.
        """
        try:
            await connection.setRemoteDescription(RTCSessionDescription(offer.text, "offer"))
            prepare()
            for transceiver in connection.getTransceivers():
                bind_within(transceiver.receiver.transport.transport._connection, self._peers.settings.hosts, self._peers.settings.ports)
            await connection.setLocalDescription(await connection.createAnswer())
        except _BAD_SDP as error:
            await self.close()
            raise MalformedError(f"cannot be read: {str(error) or type(error).__name__}", where="offer") from error
        except UnavailableError:
            await self.close()
            raise
        if self._connection is None:
            raise UnavailableError("closed while answering", where="webrtc")
        return restore_profiles(str(connection.localDescription.sdp), offer.profiles)

    def _overdue(self, now_ns: int) -> bool:
        return not self.connected and now_ns - self._opened_ns > self._peers.settings.connect_s * SECOND_NS

    def tick(self, now_ns: int) -> None:
        """Look for what is overdue."""
        if self._overdue(now_ns):
            self._end_soon("unreachable", f"no connection within {self._peers.settings.connect_s:g} s")


def _prefer(transceiver: RTCRtpTransceiver, kind: FrameKind) -> None:
    """Allow H.264 with retransmission, or Opus, and nothing else. Only before the remote description does this count."""
    wanted = ("video/h264", "video/rtx") if kind == "video" else ("audio/opus",)
    codecs = RTCRtpSender.getCapabilities(kind).codecs
    transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType.lower() in wanted])


class _Inlet:
    """Stands where the library keeps its jitter buffer: takes packets before anything is decoded."""

    def __init__(self, take: Callable[[Any], bool]) -> None:
        self._take = take

    def add(self, packet: Foreign) -> tuple[bool, None]:
        """Take one packet; the first value asks the library to request a keyframe."""
        return self._take(packet), None


class WhipIngest(_Peer):
    """One WHIP session: takes a publisher's H.264 and Opus into a sink, byte for byte."""

    def __init__(self, peers: MediaPeers, sink: UnitSink) -> None:
        super().__init__(peers)
        self._sink = sink
        self._maker = UnitMaker(sink, has_audio=False)
        self._assembler: PictureAssembler | None = None
        self._receiver: Foreign = None
        self._ssrc: int | None = None
        self._media_ns: int | None = None
        self._repaired_ns = 0
        self._background: set[asyncio.Task[None]] = set()

    async def answer(self, offer: str) -> str:
        """Take a WHIP offer and give the answer.

        Raises MalformedError, RefusedError naming the codec that was offered, UnavailableError without a free port.
        """
        read = read_offer(offer, media_from_peer=True)
        self._maker = UnitMaker(self._sink, read.has_audio, read.parameter_sets)
        connection = self._open()
        kinds: Sequence[FrameKind] = ("video", "audio") if read.has_audio else ("video",)
        for kind in kinds:
            _prefer(connection.addTransceiver(kind, direction="recvonly"), kind)

        def prepare() -> None:
            for kind, transceiver in zip(kinds, connection.getTransceivers(), strict=True):
                self._attach(kind, transceiver.receiver)

        text = await self._answer(read, connection, prepare)
        settings = self._peers.settings
        return hold_bitrate(text, start_kbit=settings.start_kbit, min_kbit=settings.min_kbit, max_kbit=settings.max_kbit)

    async def ask_keyframe(self) -> None:
        """Ask the publisher for a keyframe (PLI, RFC 4585 6.3.1); without a stream yet there is nothing to ask."""
        if self._receiver is not None and self._ssrc is not None:
            await self._receiver._send_rtcp_pli(self._ssrc)

    @property
    def lost(self) -> int:
        """Give the number of packets that stayed lost."""
        return self._assembler.lost if self._assembler is not None else 0

    def _attach(self, kind: FrameKind, receiver: Foreign) -> None:
        take = self._take_video if kind == "video" else self._take_audio
        setattr(receiver, _RECEIVER + "jitter_buffer", _Inlet(take))
        if kind == "video":
            self._receiver = receiver
        handle = receiver._handle_rtcp_packet

        async def handle_rtcp(packet: Foreign) -> None:
            if isinstance(packet, RtcpSrPacket):
                self._maker.clocks[kind].report(packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp)
            elif isinstance(packet, RtcpByePacket) and kind == "video":
                self._end_soon("closed", "the publisher said goodbye")
            await handle(packet)

        receiver._handle_rtcp_packet = handle_rtcp

    def _take_video(self, packet: Foreign) -> bool:
        now_ns = self._media_ns = self._peers.clock.monotonic_ns()
        if self._ended.is_set():
            return False
        if packet.ssrc != self._ssrc or self._assembler is None:
            self._ssrc = packet.ssrc
            self._assembler = PictureAssembler(self._maker.on_picture)
        return self._assembler.add(packet.sequence_number, packet.timestamp, bool(packet.marker), packet.payload, now_ns)

    def _take_audio(self, packet: Foreign) -> bool:
        if not self._ended.is_set():
            self._maker.on_audio(packet.sequence_number, packet.timestamp, packet.payload, self._peers.clock.monotonic_ns())
        return False

    def _told(self, cause: Interruption, detail: str) -> None:
        super()._told(cause, detail)
        self._sink.on_interruption(cause, detail)

    def tick(self, now_ns: int) -> None:
        """Ask again for what is missing, give up what does not come, end what stalled."""
        super().tick(now_ns)
        if not self.connected:
            return
        since = self._media_ns if self._media_ns is not None else self._opened_ns
        limit = self._peers.settings.stall_s if self._media_ns is not None else self._peers.settings.connect_s
        if now_ns - since > limit * SECOND_NS:
            self._end_soon("stalled", f"no media for {limit:g} s")
        elif self._assembler is not None:
            self._mend(self._assembler, now_ns)

    def _mend(self, assembler: PictureAssembler, now_ns: int) -> None:
        if assembler.expire(now_ns) or not self._maker.announced:
            if now_ns - self._repaired_ns > SECOND_NS // 2:
                self._repaired_ns = now_ns
                self._send(self.ask_keyframe())
        elif missing := assembler.missing():
            self._send(self._receiver._send_rtcp_nack(self._ssrc, missing))

    def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(sending)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


class WhepViewer(_Peer):
    """One WHEP session: sends a feed to one viewer, starting with the cached pictures.

    A browser holds pictures back to show them evenly, the longer the more: within a minute 10 ms became 35 (`./run bench canvas`).
    A viewer that takes playout delays is told to show each picture at once.
    """

    def __init__(self, peers: MediaPeers, feed: Feed) -> None:
        super().__init__(peers)
        self._feed = feed
        self.sender = FrameSender(peers.clock, peers.turns, feed)

    async def answer(self, offer: str) -> str:
        """Take a WHEP offer and give the answer.

        Raises MalformedError; RefusedError naming the codec, or for a stream that WebRTC cannot play; UnavailableError
        without a free port.
        """
        if self._feed.needs_fallback:
            raise RefusedError("the stream reorders pictures (B-frames), which WebRTC cannot play", where="whep")
        read = read_offer(offer, media_from_peer=False)
        connection = self._open()
        kinds: Sequence[FrameKind] = ("video", "audio") if read.has_audio else ("video",)
        for kind in kinds:
            transceiver = connection.addTransceiver(kind, direction="sendonly")
            _prefer(transceiver, kind)
            self.sender.attach(kind, transceiver.sender)
        self.sender.playout_delay = read.playout_delay
        return accept_playout_delay(await self._answer(read, connection, lambda: None), read.playout_delay)

    def _told(self, cause: Interruption, detail: str) -> None:
        super()._told(cause, detail)
        self.sender.end()

    def tick(self, now_ns: int) -> None:
        """Close a viewer that used to report and fell silent."""
        super().tick(now_ns)
        heard = self.sender.heard_ns
        if heard is not None and now_ns - heard > self._peers.settings.silence_s * SECOND_NS:
            self._end_soon("stalled", "the viewer fell silent")


class Post(Protocol):
    """Sends an offer to a WHIP endpoint."""

    async def __call__(self, offer: str) -> tuple[str, str]:
        """Give the answer and the session's location; raises errors of protocol.errors."""


class Delete(Protocol):
    """Ends a session at its location."""

    async def __call__(self, location: str) -> None:
        """Ask for the end; raises errors of protocol.errors."""


class WhipPublisher(_Peer):
    """One WHIP session as the publisher: sends a feed on, starting with the cached pictures.

    Use `start` and `close`, or as an async context manager.
    """

    def __init__(self, peers: MediaPeers, feed: Feed, post: Post, delete: Delete) -> None:
        super().__init__(peers)
        self._feed = feed
        self._post = post
        self._delete = delete
        self._location: str | None = None
        self.sender = FrameSender(peers.clock, peers.turns, feed)

    async def __aenter__(self) -> "WhipPublisher":
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def start(self) -> None:
        """Offer, post, and begin to send.

        Raises what `post` raises; MalformedError when its answer cannot be read.
        """
        connection = self._open(RTCBundlePolicy.MAX_BUNDLE)
        kinds: Sequence[FrameKind] = ("video", "audio") if self._feed.has_audio else ("video",)
        for kind in kinds:
            transceiver = connection.addTransceiver(kind, direction="sendonly")
            _prefer(transceiver, kind)
            self.sender.attach(kind, transceiver.sender)
        bind_within(
            connection.getTransceivers()[0].receiver.transport.transport._connection, self._peers.settings.hosts, self._peers.settings.ports
        )
        try:
            await connection.setLocalDescription(await connection.createOffer())
            answer, self._location = await self._post(connection.localDescription.sdp)
            await connection.setRemoteDescription(RTCSessionDescription(strip_named_candidates(answer), "answer"))
        except _BAD_SDP as error:
            await self.close()
            raise MalformedError(f"cannot be read: {str(error) or type(error).__name__}", where="answer") from error
        except BaseException:
            await self.close()
            raise

    def _told(self, cause: Interruption, detail: str) -> None:
        super()._told(cause, detail)
        self.sender.end()

    async def _shut(self) -> None:
        location, self._location = self._location, None
        await super()._shut()
        if location is not None:
            await self._delete(location)
