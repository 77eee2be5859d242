"""RTP as a simulated camera sends it: payloads of pictures and sound, numbered packets over TCP or UDP, sender reports.

Guarantees: payloads follow RFC 6184 (single, STAP-A, FU-A) and RFC 3640 (AAC-hbr); sequence numbers count what was left out too,
so that a receiver sees the loss.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MTU = 1400  # bytes of payload
MAX_WAITING_BYTES = 4 << 20  # a client further behind misses pictures
NTP_EPOCH_S = 2_208_988_800
VIDEO_TYPE, AUDIO_TYPE = 96, 97
_STAP_A, _FU_A = 24, 28

_pack_interleaved = struct.Struct("!BBHBBHII").pack
_pack_header = struct.Struct("!BBHII").pack


def picture_payloads(nals: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the payloads of an access unit: small neighbours together, large NAL units in fragments."""
    payloads: list[bytes] = []
    small: list[bytes] = []
    room = 0
    for nal in nals:
        if small and room + len(nal) + 2 > MTU:
            payloads.append(_aggregate(small))
            small = []
        if not small:
            room = 1
        if len(nal) + 3 <= MTU:
            small.append(nal)
            room += len(nal) + 2
        else:
            payloads += fragments(nal)
    if small:
        payloads.append(_aggregate(small))
    return tuple(payloads)


def _aggregate(nals: Sequence[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    importance = max(nal[0] & 0x60 for nal in nals)
    return bytes((importance | _STAP_A,)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def fragments(nal: bytes, size: int = MTU) -> list[bytes]:
    """Return the FU-A payloads of a NAL unit."""
    indicator, kind, room = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F, size - 2
    starts = range(1, len(nal), room)
    return [
        bytes((indicator, (0x80 if at == 1 else 0) | (0x40 if at + room >= len(nal) else 0) | kind)) + nal[at : at + room] for at in starts
    ]


def sound_payload(frames: Sequence[bytes]) -> bytes:
    """Return the payload of some AAC frames."""
    headers = b"".join((len(frame) << 3).to_bytes(2, "big") for frame in frames)
    return (16 * len(frames)).to_bytes(2, "big") + headers + b"".join(frames)


def sender_report(ssrc: int, unix_ns: int, timestamp: int, packets: int, octets: int) -> bytes:
    """Return the compound packet of a sender report and a name (RFC 3550 6.4.1)."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    report = struct.pack(
        "!BBHIIIIII",
        0x80,
        200,
        6,
        ssrc,
        (seconds + NTP_EPOCH_S) & 0xFFFF_FFFF,
        (rest << 32) // 1_000_000_000,
        timestamp & 0xFFFF_FFFF,
        packets & 0xFFFF_FFFF,
        octets & 0xFFFF_FFFF,
    )
    return report + struct.pack("!BBHIBB", 0x81, 202, 2, ssrc, 1, 0) + b"\0\0"


@dataclass(slots=True)
class Outlet:
    """One track on its way to one client: over its TCP connection, or by UDP to `address`."""

    kind: int
    ssrc: int
    sequence: int
    transport: asyncio.Transport
    channel: int = 0
    udp: tuple[socket.socket, socket.socket] | None = None
    address: tuple[str, int, int] = ("", 0, 0)
    packets: int = 0
    octets: int = 0
    reported_ns: int = 0

    def send(self, payloads: Sequence[bytes], timestamp: int, loses: Callable[[], bool] | None = None) -> bool:
        """Send payloads with one timestamp, the marker on the last; False when some of it was left out."""
        timestamp &= 0xFFFF_FFFF
        if self.udp is not None:
            return self._send_udp(payloads, timestamp, loses)
        if self.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            self.sequence = (self.sequence + len(payloads)) & 0xFFFF
            return False
        pieces: list[bytes] = []
        add, sequence, last, is_whole = pieces.append, self.sequence, len(payloads) - 1, True
        for at, payload in enumerate(payloads):
            if loses is not None and loses():
                is_whole = False
            else:
                marked = self.kind | 0x80 if at == last else self.kind
                add(_pack_interleaved(36, self.channel, len(payload) + 12, 0x80, marked, sequence, timestamp, self.ssrc))
                add(payload)
                self.octets += len(payload)
            sequence = (sequence + 1) & 0xFFFF
        self.sequence = sequence
        self.packets += len(payloads)
        self.transport.write(b"".join(pieces))
        return is_whole

    def report(self, unix_ns: int, timestamp: int) -> None:
        """Send a sender report."""
        packet = sender_report(self.ssrc, unix_ns, timestamp, self.packets, self.octets)
        if self.udp is not None:
            with contextlib.suppress(OSError):
                self.udp[1].sendto(packet, (self.address[0], self.address[2]))
        else:
            self.transport.write(struct.pack("!BBH", 36, self.channel + 1, len(packet)) + packet)

    def _send_udp(self, payloads: Sequence[bytes], timestamp: int, loses: Callable[[], bool] | None) -> bool:
        assert self.udp is not None
        is_whole, last = True, len(payloads) - 1
        for at, payload in enumerate(payloads):
            header = _pack_header(0x80, self.kind | (0x80 if at == last else 0), self.sequence, timestamp, self.ssrc)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.packets += 1
            self.octets += len(payload)
            if loses is not None and loses():
                is_whole = False
                continue
            try:
                self.udp[0].sendto(header + payload, self.address[:2])
            except OSError:  # a full socket or a closed port is what loss is on UDP
                is_whole = False
        return is_whole
