"""RTP and RTCP as values (RFC 3550): packet bounds, timestamps unwrapped and tied to a device's clock, receiver reports.

Guarantees: no I/O and no clock; every length is checked before it is used; anything that does not parse raises MalformedError.
"""

import struct
from dataclasses import dataclass

from protocol.errors import MalformedError

HEADER_BYTES = 12
PLAIN_HEADER = 0x80  # version 2 without padding, extension or contributing sources
MAX_DROPOUT = 3000  # packets, RFC 3550 A.1: a larger jump is a restarted source
MAX_MISORDER = 100  # packets, RFC 3550 A.1
RESTART_S = 10  # a timestamp this far from where it should be was restarted
BACKWARD_S = 3  # reordered pictures never go back this far; beyond it the device set its clock back
NTP_EPOCH_S = 2_208_988_800  # 1900-01-01 to 1970-01-01
NTP_ERA_S = 1 << 32
SECOND_NS = 1_000_000_000

_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _BYE = 200, 201, 202, 203

unpack_header = struct.Struct("!BBHII").unpack_from
_unpack_report = struct.Struct("!IIII").unpack_from


def payload_bounds(data: bytes | bytearray, start: int, end: int) -> tuple[int, int]:
    """Return where the payload of the packet in data[start:end] begins and ends.

    Raises MalformedError when version, padding, extension or sources do not fit (RFC 3550 5.1, 5.3.1).
    """
    if end - start < HEADER_BYTES:
        raise MalformedError("packet is shorter than its header", where="rtp")
    first = data[start]
    if first >> 6 != 2:
        raise MalformedError("version is not 2", where="rtp")
    begin = start + HEADER_BYTES + 4 * (first & 0x0F)
    if first & 0x20:
        padding = data[end - 1]
        if padding == 0:
            raise MalformedError("padding of no bytes", where="rtp")
        end -= padding
    if first & 0x10:
        if begin + 4 > end:
            raise MalformedError("extension is cut short", where="rtp")
        begin += 4 + 4 * (data[begin + 2] << 8 | data[begin + 3])
    if begin > end:
        raise MalformedError("header is longer than the packet", where="rtp")
    return begin, end


def sequence_gap(expected: int, seen: int) -> int | None:
    """Return how many packets are missing before `seen`; negative: it came late or twice; None: the source restarted."""
    ahead = (seen - expected) & 0xFFFF
    if ahead < MAX_DROPOUT:
        return ahead
    if ahead > 0x10000 - MAX_MISORDER:
        return -1
    return None


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender says of its clock: `unix_ns` and `timestamp` are the same moment. `unix_ns` None: it has no clock."""

    ssrc: int
    unix_ns: int | None
    timestamp: int
    middle: int


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """What a compound RTCP packet told us."""

    report: SenderReport | None
    is_bye: bool


def read_control(data: bytes | bytearray, start: int, end: int) -> ControlPacket:
    """Read a compound RTCP packet; kinds that we do not use are stepped over.

    Raises MalformedError when a length does not fit.
    """
    report, is_bye = None, False
    while start < end:
        if end - start < 4 or data[start] >> 6 != 2:
            raise MalformedError("not a control packet", where="rtcp")
        size = 4 + 4 * (data[start + 2] << 8 | data[start + 3])
        if start + size > end:
            raise MalformedError("control packet is cut short", where="rtcp")
        kind = data[start + 1]
        if kind == _SENDER_REPORT:
            report = _read_sender_report(data, start, size)
        elif kind == _BYE:
            is_bye = True
        start += size
    return ControlPacket(report, is_bye)


def _read_sender_report(data: bytes | bytearray, start: int, size: int) -> SenderReport:
    if size < 28:
        raise MalformedError("sender report is cut short", where="rtcp")
    ssrc, seconds, fraction, timestamp = _unpack_report(data, start + 4)
    return SenderReport(ssrc, ntp_to_unix_ns(seconds, fraction), timestamp, (seconds & 0xFFFF) << 16 | fraction >> 16)


def ntp_to_unix_ns(seconds: int, fraction: int) -> int | None:
    """Turn an NTP time into Unix ns; all zero means that the device has no clock (RFC 3550 6.4.1)."""
    if not seconds and not fraction:
        return None
    if seconds < 1 << 31:
        seconds += NTP_ERA_S  # RFC 4330 3: without its highest bit the time counts from 2036
    return (seconds - NTP_EPOCH_S) * SECOND_NS + (fraction * SECOND_NS >> 32)


class Timeline:
    """Unwraps one source's timestamps and ties them to the device's clock.

    The first timestamp becomes the elapsed time since `origin_ns` in the track's clock, so that the tracks of one connection
    share an origin to within the network's jitter; sender reports give the exact relation between them.
    """

    __slots__ = ("_hz", "_report", "_seen_ns", "_timestamp", "pts")

    def __init__(self, clock_hz: int) -> None:
        self._hz = clock_hz
        self._timestamp: int | None = None
        self._seen_ns = 0
        self._report: tuple[int, int] | None = None
        self.pts = 0

    def restart(self) -> None:
        """Forget everything: the next timestamp is the first again."""
        self._timestamp = None
        self._report = None

    def advance(self, timestamp: int, now_ns: int, origin_ns: int) -> bool:
        """Take the next timestamp into `pts`; False: it does not continue what was, and nothing was taken."""
        if self._timestamp is None:
            self.pts = (now_ns - origin_ns) * self._hz // SECOND_NS
        else:
            step = self._distance(timestamp)
            astray = step - (now_ns - self._seen_ns) * self._hz // SECOND_NS
            # Both must be off: after a silence a step is as long as the silence; a burst has small steps in no time.
            if min(abs(astray), abs(step)) > RESTART_S * self._hz or step < -BACKWARD_S * self._hz:
                return False
            self.pts += step
        self._timestamp = timestamp
        self._seen_ns = now_ns
        return True

    def tie(self, report: SenderReport) -> None:
        """Take a sender report; one about other timestamps than those seen is left out, the next comes within seconds."""
        if report.unix_ns is None or self._timestamp is None:
            return
        step = self._distance(report.timestamp)
        if abs(step) <= RESTART_S * self._hz:
            self._report = (report.unix_ns, self.pts + step)

    def device_ns(self, pts: int) -> int | None:
        """Return the device's own wall clock at `pts`, None before its first report."""
        if self._report is None:
            return None
        unix_ns, tied = self._report
        return unix_ns + (pts - tied) * SECOND_NS // self._hz

    def _distance(self, timestamp: int) -> int:
        assert self._timestamp is not None
        return ((timestamp - self._timestamp + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


@dataclass(slots=True)
class Reception:
    """What a receiver counts of one source, for its reports (RFC 3550 6.4.1, A.3)."""

    ssrc: int = 0
    highest: int = 0
    received: int = 0
    lost: int = 0
    jitter: int = 0
    received_then: int = 0
    lost_then: int = 0
    report_middle: int = 0
    report_ns: int = 0

    def block(self, now_ns: int) -> bytes:
        """Return the report block since the last one."""
        got, lost = self.received - self.received_then, self.lost - self.lost_then
        self.received_then, self.lost_then = self.received, self.lost
        fraction = lost * 256 // (got + lost) if lost > 0 else 0
        delay = (now_ns - self.report_ns) * 65536 // SECOND_NS if self.report_middle else 0
        total = min(self.lost, 0x7F_FFFF)
        counts = min(fraction, 255) << 24 | total
        return struct.pack(
            "!IIIIII", self.ssrc, counts, self.highest & 0xFFFF_FFFF, self.jitter & 0xFFFF_FFFF, self.report_middle, delay & 0xFFFF_FFFF
        )


def receiver_report(ssrc: int, block: bytes, name: bytes) -> bytes:
    """Return the compound packet of one receiver report and our canonical name (RFC 3550 6.1)."""
    item = struct.pack("!IBB", ssrc, 1, len(name)) + name
    item += bytes(4 - len(item) % 4)
    report = struct.pack("!BBHI", 0x81, _RECEIVER_REPORT, 7, ssrc) + block
    return report + struct.pack("!BBH", 0x81, _DESCRIPTION, len(item) // 4) + item
