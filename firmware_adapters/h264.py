"""H.264 from RTP payloads to access units (RFC 6184, packetization modes 0 and 1).

Guarantees: a unit leaves only when nothing of it is known to be missing; its NAL units are the sender's, byte for byte, in the
order sent (access unit delimiters, SEI and parameter sets included); size and count are bounded.
"""

from protocol.errors import MalformedError

MAX_UNIT_BYTES = 16 << 20  # far beyond a keyframe of 8K
MAX_UNIT_NALS = 1024

SLICE_IDR, SPS, PPS = 5, 7, 8
_STAP_A, _FU_A = 24, 28
_FIRST, _LAST = 0x80, 0x40  # FU header bits
_KIND = 0x1F

Piece = tuple[tuple[bytes, ...], int, bool]
"""Payloads, offset of their presentation time in ticks, whether it can be decoded by itself."""


class H264Depacketizer:
    """Collects the payloads of one access unit after the other."""

    __slots__ = ("_broken", "_doubtful", "_has_slice", "_is_key", "_leads", "_nals", "_parts", "_size")

    def __init__(self) -> None:
        self._nals: list[bytes] = []
        self._parts: list[bytes | bytearray] = []
        self._size = 0
        self._is_key = self._has_slice = self._broken = False
        self._doubtful = True  # a connection may begin in the middle of a unit
        self._leads: dict[bool, int] = {}

    def push(self, data: bytearray, start: int, end: int) -> bool:
        """Take the payload data[start:end]; always False: only the marker or a new timestamp ends a picture.

        Raises MalformedError for payloads that RFC 6184 does not allow here, or beyond the limits.
        """
        self._size += end - start
        if self._size > MAX_UNIT_BYTES:
            raise MalformedError(f"access unit exceeds {MAX_UNIT_BYTES} bytes", where="h264")
        kind = data[start] & _KIND
        if kind == _FU_A:
            if self._parts and end - start > 2 and data[start + 1] < _LAST:
                self._parts.append(data[start + 2 : end])  # the middle of a NAL unit: nearly all packets
                return False
            self._push_fragment(data, start, end)
        elif 1 <= kind < _STAP_A:
            self._append(bytes(data[start:end]))
        elif kind == _STAP_A:
            self._push_aggregate(data, start + 1, end)
        else:
            raise MalformedError(f"payload type {kind} is not allowed in packetization mode 1", where="h264")
        return False

    def finish(self) -> tuple[Piece, ...]:
        """End the unit at its marker; parameter sets and SEI alone wait for their picture."""
        if not self._has_slice and not self._broken:
            return ()
        piece = self._piece()
        self._doubtful = False
        return piece

    def flush(self) -> tuple[Piece, ...]:
        """End the unit because a new timestamp came without a marker before it."""
        if not self._has_slice and not self._broken and not self._parts:
            return ()
        piece = self._piece()
        self._doubtful = False
        return piece

    def spoil(self) -> None:
        """Know that packets of the current unit are missing: it will not leave."""
        self._broken = True

    def drop(self) -> None:
        """Forget the current unit, and doubt that the next one is seen from its beginning."""
        self._clear()
        self._doubtful = True

    def _piece(self) -> tuple[Piece, ...]:
        nals, is_key = self._nals, self._is_key
        whole = bool(nals) and not self._broken and not self._parts and (not self._doubtful or self._begins_well())
        self._clear()
        if not whole:
            return ()
        self._leads[is_key] = nals[0][0] & _KIND
        return ((tuple(nals), 0, is_key),)

    def _begins_well(self) -> bool:
        # Right after a loss the unit's first packets may be among the lost. Its first slice must hold the picture's first
        # macroblock (first_mb_in_slice is the Exp-Golomb code of 0: one set bit), and it must begin as others of its kind did.
        first = self._nals[0]
        kind = first[0] & _KIND
        if kind <= SLICE_IDR and not first[1] & 0x80:
            return False
        return self._leads.get(self._is_key, kind) == kind

    def _push_fragment(self, data: bytearray, start: int, end: int) -> None:
        if end - start < 3:
            raise MalformedError("fragment is cut short", where="h264")
        flags = data[start + 1]
        parts = self._parts
        if flags & _FIRST:
            if parts:
                self._broken = True  # the one before never ended
            self._parts = parts = [bytes((data[start] & 0xE0 | flags & _KIND,))]
        elif not parts:
            self._broken = True  # its beginning was before us
            return
        parts.append(data[start + 2 : end])
        if flags & _LAST:
            self._parts = []
            self._append(b"".join(parts))

    def _push_aggregate(self, data: bytearray, start: int, end: int) -> None:
        if start == end:
            raise MalformedError("aggregate holds nothing", where="h264")
        while start < end:
            size = data[start] << 8 | data[start + 1] if start + 2 <= end else 0
            stop = start + 2 + size
            if size == 0 or stop > end:
                raise MalformedError("aggregate is cut short", where="h264")
            self._append(bytes(data[start + 2 : stop]))
            start = stop

    def _append(self, nal: bytes) -> None:
        kind = nal[0] & _KIND
        if not 1 <= kind < _STAP_A:
            raise MalformedError(f"NAL unit of type {kind} inside another", where="h264")
        if kind <= SLICE_IDR:
            if len(nal) < 2:
                raise MalformedError("slice of no bytes", where="h264")
            self._has_slice = True
            if kind == SLICE_IDR:
                self._is_key = True
        if len(self._nals) >= MAX_UNIT_NALS:
            raise MalformedError(f"access unit exceeds {MAX_UNIT_NALS} NAL units", where="h264")
        self._nals.append(nal)

    def _clear(self) -> None:
        self._nals = []
        self._parts = []
        self._size = 0
        self._is_key = self._has_slice = self._broken = False
