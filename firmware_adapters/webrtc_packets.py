"""Cut H.264 access units into RTP payloads and put them together again (RFC 6184), as values only.

Guarantees: NAL units survive byte for byte; a picture with a missing packet is never handed out as whole; what is missing is
counted; the memory of the reassembly is bounded. Reads no clock: times are passed in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol.errors import MalformedError

PAYLOAD_LIMIT = 1200  # bytes of one RTP payload: fits 1500 with SRTP, TURN and tunnel headers around it
RUN_LIMIT = 44  # packets of one send call: below 64 segments and 65507 bytes (Linux UDP_SEGMENT)
HELD_LIMIT = 2048  # packets kept while one is missing: 10 s at 2 Mbit/s
PICTURE_LIMIT = 8 << 20  # bytes of one access unit
MAX_STEP = 3000  # a larger jump of the sequence number is a restart, not a loss (RFC 3550 A.1, MAX_DROPOUT)

STAP_A = 24
FU_A = 28
IDR, SPS, PPS, AUD = 5, 7, 8, 9


def nal_type(nal: bytes) -> int:
    """Give the type of a NAL unit; 0 for an empty one."""
    return nal[0] & 0x1F if nal else 0


def packetize(nals: Sequence[bytes], limit: int = PAYLOAD_LIMIT) -> tuple[bytes, ...]:
    """Cut one access unit into RTP payloads: neighbours aggregated while they fit, large units in equal fragments."""
    payloads: list[bytes] = []
    small: list[bytes] = []
    room = limit - 1
    for nal in nals:
        if not nal:
            continue
        if len(nal) + 2 > room and small:
            payloads.append(_aggregate(small))
            small, room = [], limit - 1
        if len(nal) > limit:
            payloads.extend(_fragment(nal, limit - 2))
        elif len(nal) + 2 > room:
            payloads.append(nal)
        else:
            small.append(nal)
            room -= len(nal) + 2
    if small:
        payloads.append(_aggregate(small))
    return tuple(payloads)


def _aggregate(nals: list[bytes]) -> bytes:
    if len(nals) == 1:
        return nals[0]
    reference = max(nal[0] & 0x60 for nal in nals)  # RFC 6184 5.7: the highest NRI inside
    forbidden = max(nal[0] & 0x80 for nal in nals)
    return bytes((forbidden | reference | STAP_A,)) + b"".join(len(nal).to_bytes(2) + nal for nal in nals)


def _fragment(nal: bytes, size: int) -> list[bytes]:
    indicator, kind = (nal[0] & 0xE0) | FU_A, nal[0] & 0x1F
    pieces = []
    for at in range(1, len(nal), size):
        flags = (0x80 if at == 1 else 0) | (0x40 if at + size >= len(nal) else 0)
        pieces.append(bytes((indicator, flags | kind)) + nal[at : at + size])
    return pieces


def equal_runs(payloads: Sequence[bytes], limit: int = RUN_LIMIT) -> tuple[tuple[int, int], ...]:
    """Group neighbours of equal length, the last of a group may be shorter: each group can leave in one send call."""
    runs: list[tuple[int, int]] = []
    start = 0
    for at in range(1, len(payloads) + 1):
        ended = (
            at == len(payloads)
            or at - start >= limit
            or len(payloads[at]) > len(payloads[start])
            or len(payloads[at - 1]) < len(payloads[start])
        )
        if ended:
            runs.append((start, at))
            start = at
    return tuple(runs) if payloads else ()


def depacketize(payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Put the NAL units of one access unit together.

    Raises MalformedError for a cut or unknown payload or a fragment without its neighbours.
    """
    nals: list[bytes] = []
    pieces: list[bytes] = []
    for payload in payloads:
        kind = nal_type(payload)
        if pieces and kind != FU_A:
            raise MalformedError("a fragment ends without its last piece", where="rtp payload")
        if kind == FU_A:
            _take_piece(payload, pieces)
            if payload[1] & 0x40:
                nals.append(b"".join(pieces))
                pieces = []
        elif kind == STAP_A:
            nals.extend(_split(payload))
        elif 1 <= kind <= 23:
            nals.append(payload)
        else:
            raise MalformedError(f"payload type {kind} is not part of packetization mode 1", where="rtp payload")
    if pieces:
        raise MalformedError("a fragment ends without its last piece", where="rtp payload")
    return tuple(nals)


def _take_piece(payload: bytes, pieces: list[bytes]) -> None:
    if len(payload) < 3:
        raise MalformedError("a fragment is shorter than its headers", where="rtp payload")
    first = bool(payload[1] & 0x80)
    if first != (not pieces):
        raise MalformedError("a fragment lacks the piece before it", where="rtp payload")
    if first:
        pieces.append(bytes(((payload[0] & 0xE0) | (payload[1] & 0x1F),)))
    pieces.append(payload[2:])


def _split(payload: bytes) -> list[bytes]:
    nals, at = [], 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2])
        if size == 0 or at + 2 + size > len(payload):
            raise MalformedError("an aggregate is cut short", where="rtp payload")
        nals.append(payload[at + 2 : at + 2 + size])
        at += 2 + size
    return nals


def starts_picture(payload: bytes) -> bool:
    """Tell whether a payload is surely the first of an access unit: a delimiter or an SPS stands at its front (H.264 7.4.1.2.3).

    A slice may follow a lost SEI or parameter set, so it proves nothing.
    """
    kind = nal_type(payload)
    if kind == STAP_A and len(payload) > 3:
        kind = payload[3] & 0x1F
    return kind in (AUD, SPS)


@dataclass(frozen=True, slots=True)
class Assembled:
    """One whole access unit: its NAL units, RTP timestamp, time of its last packet, packets lost directly before it."""

    nals: tuple[bytes, ...]
    timestamp: int
    mono_ns: int
    lost_before: int


@dataclass(slots=True)
class PictureAssembler:
    """Order packets, wait a bounded time for missing ones, hand out whole pictures at their marker bit.

    Waiting for the marker and not for the next picture saves one frame of delay. Not for several senders: make one per SSRC.
    """

    emit: Callable[[Assembled], None]
    wait_ns: int = 400_000_000
    lost: int = 0
    broken: int = 0
    _next: int | None = None
    _last_emitted: int | None = None
    _held: dict[int, tuple[int, bool, bytes]] = field(default_factory=dict)
    _part: list[bytes] = field(default_factory=list)
    _part_first: int = 0
    _part_timestamp: int = 0
    _part_bytes: int = 0
    _hole_since: int | None = None
    _hole_at: int | None = None
    _resync: bool = True
    _skipped_timestamp: int | None = None

    def add(self, sequence: int, timestamp: int, marker: bool, payload: bytes, now_ns: int) -> bool:
        """Take one packet; True when pictures were given up and a keyframe should be asked for."""
        number = self._extend(sequence)
        if number is None:
            return False
        self._held[number] = (timestamp, marker, payload)
        self._drain(now_ns)
        if len(self._held) > HELD_LIMIT:
            return self.give_up(now_ns)
        return False

    def missing(self, limit: int = 128) -> list[int]:
        """Give the sequence numbers that are waited for."""
        if self._next is None or not self._held:
            return []
        last = max(self._held)
        return [number & 0xFFFF for number in range(self._next, last) if number not in self._held][:limit]

    def expire(self, now_ns: int) -> bool:
        """Give up a hole that is too old; True when a keyframe should be asked for."""
        if self._hole_since is None or now_ns - self._hole_since < self.wait_ns:
            return False
        return self.give_up(now_ns)

    def give_up(self, now_ns: int) -> bool:
        """Skip the hole and what it spoils."""
        if not self._held or self._next is None:
            return False
        first = min(self._held)
        self.lost += first - self._next
        self._next = first
        self._part, self._part_bytes = [], 0
        self._resync, self._skipped_timestamp = True, None
        self._drain(now_ns)
        return True

    def _extend(self, sequence: int) -> int | None:
        if self._next is None:
            self._next = sequence + 0x10000
            self._last_emitted = self._next - 1
            return self._next
        step = ((sequence - self._next + 0x8000) & 0xFFFF) - 0x8000
        number = self._next + step
        if abs(step) > MAX_STEP:  # the sender started anew: what came before stays apart from what comes
            self._held.clear()
            self._part, self._part_bytes = [], 0
            self._next = number if step > 0 else self._next + 0x10000 + step
            self._last_emitted = self._next - 1
            self._resync, self._skipped_timestamp, self._hole_since = True, None, None
            return self._next
        return None if step < 0 or number in self._held else number

    def _drain(self, now_ns: int) -> None:
        at = self._next
        while at is not None and at in self._held:
            timestamp, marker, payload = self._held.pop(at)
            self._take(at, timestamp, marker, payload, now_ns)
            at += 1
            self._next = at
        if not self._held:
            self._hole_since = None
        elif self._hole_since is None or at != self._hole_at:
            self._hole_since, self._hole_at = now_ns, at

    def _take(self, number: int, timestamp: int, marker: bool, payload: bytes, now_ns: int) -> None:
        if self._part and timestamp != self._part_timestamp:  # a sender without marker bits
            self._flush(number - 1, now_ns)
        if not payload:  # padding consumes a number and carries nothing
            if not self._part and self._last_emitted == number - 1:
                self._last_emitted = number
            return
        if self._resync and not self._is_whole_from(timestamp, marker, payload):
            return
        if not self._part:
            self._part_first, self._part_timestamp = number, timestamp
        self._part.append(payload)
        self._part_bytes += len(payload)
        if marker:
            self._flush(number, now_ns)
        elif self._part_bytes > PICTURE_LIMIT:
            self._part, self._part_bytes, self._resync = [], 0, True
            self.broken += 1

    def _is_whole_from(self, timestamp: int, marker: bool, payload: bytes) -> bool:
        """After a hole, tell whether a whole picture starts here; else skip to the end of the one that may lack its front."""
        if starts_picture(payload) or self._skipped_timestamp not in (None, timestamp):
            self._resync, self._skipped_timestamp = False, None
            return True
        self._skipped_timestamp = timestamp
        if marker:
            self._resync, self._skipped_timestamp = False, None
        return False

    def _flush(self, last: int, now_ns: int) -> None:
        payloads, first = self._part, self._part_first
        self._part, self._part_bytes = [], 0
        try:
            nals = depacketize(payloads)
        except MalformedError:  # counted and, by the sequence numbers, reported as lost before the next picture
            self.broken += 1
            return
        lost = first - (self._last_emitted + 1) if self._last_emitted is not None else 0
        self._last_emitted = last
        self.emit(Assembled(nals, self._part_timestamp, now_ns, lost))
