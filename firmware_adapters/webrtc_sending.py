"""Put frames of a feed on the wires of one peer: bounded, in turns, cheap.

Guarantees: one system call per run of equal packets where the system can cut them (Linux UDP_SEGMENT), else one per packet;
a full socket, a slow viewer or a vanished path costs that peer pictures up to the next keyframe and nobody else anything;
packets for retransmission are held by reference, once for all viewers. Takes the library's senders as they are; the module
`webrtc` alone imports the library.
"""

import asyncio
import errno
import random
import socket
import struct
from collections import deque
from typing import Any, TypeAlias

from pylibsrtp._binding import ffi, lib

from firmware_adapters.gop import Feed, Frame, FrameKind, Lane
from firmware_adapters.webrtc_paths import MediaProtocol
from firmware_adapters.webrtc_units import unix_ns_to_ntp
from protocol.instants import SECOND_NS, Clock

Foreign: TypeAlias = Any  # an object of the library, reached by private names
SENDER = "_RTCRtpSender__"

TURN_NS = 3_000_000  # ns of sending before the loop may do something else
BURST_BYTES = 96 << 10  # bytes to one viewer before the others and its network get a pause
BURST_PAUSE_S = 0.003
BLOCKED_PAUSE_S = 0.01
HISTORY_PACKETS = 2048  # for retransmission: 10 s at 2 Mbit/s, held by reference
REPAIRS_PER_SECOND = 1500
REFRESH_NS = 1_000_000_000  # at most one resent group of pictures a second and viewer
HEAVY_LOSS = 64  # of 256 (RFC 3550 6.4.1): a viewer that loses a quarter is sent keyframes' worth only
_SOL_UDP, _UDP_SEGMENT = 17, 103  # Linux udp(7)


class SendTurns:
    """Lets every sender send one frame in turn, and the loop breathe in between.

    `wall_offset_ns`: wall minus monotonic time, refreshed by the owner; asking the clock for each frame costs too much.
    `buffer`: where packets are built and protected; one for all, so that it stays in the processor's cache.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.wall_offset_ns = 0
        self.buffer = ffi.new("char[]", 1 << 16)
        self.view = memoryview(ffi.buffer(self.buffer))
        self.length = ffi.new("int *")
        self._waiting: deque[FrameSender] = deque()
        self._scheduled = False

    def want(self, sender: "FrameSender") -> None:
        """Give `sender` a turn soon."""
        if sender.queued:
            return
        sender.queued = True
        self._waiting.append(sender)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        until = self._clock.monotonic_ns() + TURN_NS
        waiting = self._waiting
        while waiting:
            sender = waiting.popleft()
            if sender.send_one():
                waiting.append(sender)
            else:
                sender.queued = False
            if self._clock.monotonic_ns() > until and waiting:
                asyncio.get_running_loop().call_soon(self._turn)
                return
        self._scheduled = False


class Wire:
    """Sends one track's frames: SRTP in place in one buffer, one system call per run of equal packets."""

    def __init__(self, sender: Foreign, codec: Foreign, clock: Clock, turns: SendTurns, playout_delay: int = 0) -> None:
        self._sender = sender
        self._clock = clock
        self._turns = turns
        self._transport = sender.transport
        self._connection = sender.transport.transport._connection
        self._session = sender.transport._tx_srtp
        self._payload_type = codec.payloadType
        self._sequence = random.randrange(0x8000)  # noqa: S311 - RFC 3550 asks for variety; SRTP guards
        self._origin = random.randrange(1 << 32)  # noqa: S311
        self._head, self._has_time = _extension_head(sender, playout_delay)
        self._first = 0x90 if self._head else 0x80
        self._buffer, self._view, self._length = turns.buffer, turns.view, turns.length
        self._socket: socket.socket | None = None
        self._socket_of: Foreign = None
        self._segments = True
        self._history: deque[tuple[int, int, Frame]] = deque()
        self._history_packets = 0
        self._reported_ns = -SECOND_NS
        self._repairs_since, self._repairs = 0, 0
        self.packets = 0
        self.octets = 0
        self.repaired = 0

    def send(self, frame: Frame) -> bool:
        """Send one frame; False when the socket's buffer is full (the rest is left to retransmission).

        Raises ConnectionError when the path is gone.
        """
        timestamp = (self._origin + frame.pts) & 0xFFFFFFFF
        sequence = self._sequence
        self._sequence = (sequence + len(frame.payloads)) & 0xFFFF
        self._remember(sequence, timestamp, frame)
        address = self._path()
        tail = self._extension()
        fits = True
        for start, end in frame.runs:
            fits = self._send_run(frame, start, end, ((sequence + start) & 0xFFFF, timestamp), tail, address) and fits
        self._report(frame, timestamp)
        return fits

    def _send_run(self, frame: Frame, start: int, end: int, stamp: tuple[int, int], tail: bytes, address: Foreign) -> bool:
        sequence, timestamp = stamp
        payloads, last = frame.payloads, len(frame.payloads) - 1
        view, length, protect, session = self._view, self._length, lib.srtp_protect, self._session._srtp[0]
        pack, first, kind, ssrc, buffer = _HEADER.pack, self._first, self._payload_type, self._sender._ssrc, self._buffer
        at, segment = 0, 0
        for number in range(start, end):
            marker = 0x80 if number == last else 0
            packet = pack(first, kind | marker, sequence, timestamp, ssrc) + tail + payloads[number]
            size = len(packet)
            view[at : at + size] = packet
            length[0] = size
            if protect(session, buffer + at, length):
                raise ConnectionError("SRTP refuses to protect a packet")
            at += length[0]
            segment = segment or at
            sequence = (sequence + 1) & 0xFFFF
        self.packets += end - start
        self.octets += at
        return self._write(at, segment, address)

    def _write(self, size: int, segment: int, address: Foreign) -> bool:
        raw = self._socket
        if raw is None:  # a relayed path: the library wraps each packet
            for at in range(0, size, segment):
                self._socket_of.transport.sendto(bytes(self._view[at : min(at + segment, size)]), address)
            return True
        try:
            if self._segments and size > segment:
                raw.sendmsg([self._view[:size]], [(_SOL_UDP, _UDP_SEGMENT, struct.pack("H", segment))], 0, address)
            else:
                for at in range(0, size, segment):
                    raw.sendto(self._view[at : min(at + segment, size)], address)
        except BlockingIOError:
            return False
        except OSError as error:
            if self._segments and error.errno in (errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.ENOPROTOOPT):
                self._segments = False  # this path cannot cut packets itself: one call each from now on
                return self._write(size, segment, address)
            return False  # unreachable for now: consent checks decide whether it stays so
        return True

    def _path(self) -> Foreign:
        pair = self._connection._nominated.get(1)
        if pair is None:
            raise ConnectionError("no path to the peer")
        if pair.protocol is not self._socket_of:
            self.release()
            self._socket_of = pair.protocol
            shared = pair.protocol.transport.get_extra_info("socket")
            self._socket = shared.dup() if isinstance(pair.protocol, MediaProtocol) and shared is not None else None
        return pair.remote_addr

    def _extension(self) -> bytes:
        if not self._has_time:
            return self._head
        fixed = (self._clock.monotonic_ns() << 18) // SECOND_NS & 0xFFFFFF  # abs-send-time: 6.18 bits of seconds
        return self._head[:-3] + fixed.to_bytes(3)

    def _report(self, frame: Frame, timestamp: int) -> None:
        """Leave what the next RTCP sender report says: the time the picture was taken, not the time it was sent."""
        if frame.mono_ns - self._reported_ns < SECOND_NS // 4:
            return
        self._reported_ns = frame.mono_ns
        taken_ns = frame.device_ns if frame.device_ns is not None else frame.mono_ns + self._turns.wall_offset_ns
        for name, value in (
            ("ntp_timestamp", unix_ns_to_ntp(taken_ns)),
            ("rtp_timestamp", timestamp),
            ("octet_count", self.octets),
            ("packet_count", self.packets),
        ):
            setattr(self._sender, SENDER + name, value)

    def _remember(self, sequence: int, timestamp: int, frame: Frame) -> None:
        self._history.append((sequence, timestamp, frame))
        self._history_packets += len(frame.payloads)
        while self._history_packets > HISTORY_PACKETS and len(self._history) > 1:
            self._history_packets -= len(self._history.popleft()[2].payloads)

    def repair(self, sequence: int, now_ns: int) -> None:
        """Send a packet again that the peer reports as lost (RFC 4585, RFC 4588 where negotiated)."""
        if now_ns - self._repairs_since > SECOND_NS:
            self._repairs_since, self._repairs = now_ns, 0
        self._repairs += 1
        if self._repairs > REPAIRS_PER_SECOND:
            return
        for first, timestamp, frame in reversed(self._history):
            at = (sequence - first) & 0xFFFF
            if at < len(frame.payloads):
                self._repeat(frame, at, sequence, timestamp)
                return

    def _repeat(self, frame: Frame, at: int, sequence: int, timestamp: int) -> None:
        marker = 0x80 if at == len(frame.payloads) - 1 else 0
        sender, payload = self._sender, frame.payloads[at]
        kind, ssrc = self._payload_type, sender._ssrc
        rtx = getattr(sender, SENDER + "rtx_payload_type")
        if rtx is not None:
            payload = sequence.to_bytes(2) + payload
            sequence = getattr(sender, SENDER + "rtx_sequence_number")
            setattr(sender, SENDER + "rtx_sequence_number", (sequence + 1) & 0xFFFF)
            kind, ssrc = rtx, sender._rtx_ssrc
        packet = _HEADER.pack(self._first, kind | marker, sequence, timestamp, ssrc) + self._extension() + payload
        protected = self._session.protect(packet)
        address = self._path()
        self._view[: len(protected)] = protected
        self._write(len(protected), len(protected), address)
        self.repaired += 1

    def release(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._socket_of = None, None


_HEADER = struct.Struct("!BBHLL")


def _extension_head(sender: Foreign, playout_delay: int) -> tuple[bytes, bool]:
    """Build the header extension (RFC 8285, one-byte form): mid, playout delay, then abs-send-time, filled in per frame."""
    ids = getattr(sender, SENDER + "rtp_header_extensions_map")._HeaderExtensionsMap__ids
    mid = (getattr(sender, SENDER + "mid") or "").encode()
    body = bytes(((ids.mid << 4) | (len(mid) - 1),)) + mid if ids.mid and 0 < len(mid) <= 16 else b""
    if playout_delay:
        body += bytes(((playout_delay << 4) | 2, 0, 0, 0))  # 12 bits least, 12 bits most: show each picture as soon as it is there
    has_time = bool(ids.abs_send_time)
    timed = bytes(((ids.abs_send_time << 4) | 2,)) + bytes(3) if has_time else b""
    if not body and not timed:
        return b"", False
    body += bytes(-(len(body) + len(timed)) % 4) + timed  # padding between elements keeps the time at the end
    return struct.pack("!HH", 0xBEDE, len(body) // 4) + body, has_time


class FrameSender:
    """The sending half of a peer: takes frames from a feed into a bounded lane and puts them on its wires in its turns."""

    def __init__(self, clock: Clock, turns: SendTurns, feed: Feed) -> None:
        self._clock = clock
        self._turns = turns
        self._feed = feed
        self._lane = Lane()
        self._wires: dict[FrameKind, Wire] = {}
        self._burst = 0
        self._paused = False
        self._refreshed_ns = -REFRESH_NS
        self.queued = False
        self.playout_delay = 0  # the header extension's number, when the peer takes it
        self.frames = 0
        self.refreshes = 0
        self.fraction_lost = 0
        self.heard_ns: int | None = None
        self.first_sent_ns: int | None = None

    def attach(self, kind: FrameKind, sender: Foreign) -> None:
        """Put the own send loop and answers to feedback on one of the library's senders, before it starts."""

        async def run(codec: Foreign) -> None:
            getattr(sender, SENDER + "rtp_started").set()
            wire = Wire(sender, codec, self._clock, self._turns, self.playout_delay if kind == "video" else 0)
            try:
                self._start(kind, wire)
                await asyncio.get_running_loop().create_future()  # until cancelled by the library's stop
            finally:
                self._stop(kind)
                wire.release()
                getattr(sender, SENDER + "rtp_exited").set()

        handle = sender._handle_rtcp_packet

        async def handle_rtcp(packet: Foreign) -> None:
            self._hear(packet, sender._ssrc)
            await handle(packet)

        async def retransmit(sequence: int) -> None:
            wire = self._wires.get(kind)
            if wire is not None:
                wire.repair(sequence, self._clock.monotonic_ns())

        sender._run_rtp = run
        sender._handle_rtcp_packet = handle_rtcp
        sender._retransmit = retransmit
        sender._send_keyframe = self.refresh if kind == "video" else lambda: None

    def _start(self, kind: FrameKind, wire: Wire) -> None:
        self._wires[kind] = wire
        if kind == "video":
            self._feed.subscribe(self)
            for frame in self._feed.gop():
                self.on_frame(frame)

    def _stop(self, kind: FrameKind) -> None:
        self._wires.pop(kind, None)
        if kind == "video":
            self.end()

    def end(self) -> None:
        """Take no more frames."""
        self._feed.unsubscribe(self)
        self._lane.restart()

    def on_frame(self, frame: Frame) -> None:
        """Queue one frame and ask for a turn."""
        if self._lane.push(frame) and not self._paused:
            self._turns.want(self)

    def send_one(self) -> bool:
        """Send the oldest frame; True when more wait and may go at once."""
        frame = self._lane.pop()
        if frame is None:
            self._burst = 0
            return False
        wire = self._wires.get(frame.kind)
        if wire is not None:
            try:
                fits = wire.send(frame)
            except ConnectionError:
                self.end()
                return False
            self._count(frame)
            if not fits:
                self._pause(BLOCKED_PAUSE_S)
                return False
        if not len(self._lane):
            self._burst = 0
            return False
        self._burst += frame.size
        if self._burst > BURST_BYTES:
            self._pause(BURST_PAUSE_S)
            return False
        return True

    def refresh(self) -> None:
        """Answer a lost picture with the pictures since the newest keyframe, at most once a second."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._refreshed_ns < REFRESH_NS or self.fraction_lost >= HEAVY_LOSS:
            return
        pictures = self._feed.compressed_gop()
        if not pictures or len(self._lane):
            return
        self._refreshed_ns = now_ns
        self.refreshes += 1
        self._lane.restart()
        for frame in pictures:
            self.on_frame(frame)

    @property
    def dropped(self) -> int:
        """Give the number of frames this peer missed because it was slow."""
        return self._lane.dropped

    def counts(self) -> dict[str, int]:
        """Give the counters of this peer."""
        return {
            "frames": self.frames,
            "packets": sum(wire.packets for wire in self._wires.values()),
            "octets": sum(wire.octets for wire in self._wires.values()),
            "repaired": sum(wire.repaired for wire in self._wires.values()),
            "dropped": self._lane.dropped,
            "refreshes": self.refreshes,
            "fraction_lost": self.fraction_lost,
        }

    def _count(self, frame: Frame) -> None:
        self.frames += 1
        if self.first_sent_ns is None and frame.kind == "video":
            self.first_sent_ns = self._clock.monotonic_ns()

    def _pause(self, seconds: float) -> None:
        self._paused, self._burst = True, 0
        asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._paused = False
        if len(self._lane):
            self._turns.want(self)

    def _hear(self, packet: Foreign, ssrc: int) -> None:
        self.heard_ns = self._clock.monotonic_ns()
        for report in getattr(packet, "reports", ()):
            if report.ssrc == ssrc:
                self.fraction_lost = report.fraction_lost
                if report.fraction_lost >= HEAVY_LOSS:
                    self._lane.skip_to_key()
