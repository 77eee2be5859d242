"""Read the few facts of an H.264 sequence parameter set that a container must state (ITU-T H.264 7.3.2.1.1).

Guarantees: bounded; wrong bits raise MalformedError, never anything else.
"""

from dataclasses import dataclass

from protocol.errors import MalformedError

MAX_SPS_BYTES = 1024
MAX_SIDE = 16_384  # pixels
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """Profile, compatibility flags and level as in the bytes; size in pixels after cropping; chroma and depth."""

    profile: int
    compatibility: int
    level: int
    width: int
    height: int
    chroma: int = 1
    luma_depth: int = 8
    chroma_depth: int = 8

    @property
    def is_high(self) -> bool:
        """Tell whether the decoder configuration carries chroma and depth (ISO/IEC 14496-15 5.3.3.1)."""
        return self.profile in (100, 110, 122, 144)


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise MalformedError("ends too early", where="sps")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise MalformedError("number is too long", where="sps")
        return (1 << zeros) - 1 + self.take(zeros)


def read_sps(nal: bytes) -> PictureFormat:
    """Read a sequence parameter set NAL unit; raise MalformedError when it is none or out of bounds."""
    if not 5 <= len(nal) <= MAX_SPS_BYTES or nal[0] & 0x1F != 7:
        raise MalformedError(f"{len(nal)} bytes are no sequence parameter set", where="sps")
    bits = _Bits(nal[4:].replace(b"\x00\x00\x03", b"\x00\x00"))
    bits.golomb()  # seq_parameter_set_id
    chroma, luma_depth, chroma_depth = _read_high(bits) if nal[1] in _HIGH_PROFILES else (1, 8, 8)
    bits.golomb()  # log2_max_frame_num_minus4
    _skip_order_count(bits)
    bits.golomb()  # max_num_ref_frames
    bits.take(1)
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.take(1)
    bits.take(1)  # direct_8x8_inference_flag
    height = (2 - frames_only) * map_units * 16
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        unit_x = 2 if chroma in (1, 2) else 1
        unit_y = (2 if chroma == 1 else 1) * (2 - frames_only)
        width -= (left + right) * unit_x
        height -= (top + bottom) * unit_y
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise MalformedError(f"picture of {width} x {height}", where="sps")
    return PictureFormat(nal[1], nal[2], nal[3], width, height, chroma, luma_depth, chroma_depth)


def _read_high(bits: _Bits) -> tuple[int, int, int]:
    chroma = bits.golomb()
    if chroma > 3:
        raise MalformedError(f"chroma format {chroma}", where="sps")
    if chroma == 3:
        bits.take(1)
    luma_depth, chroma_depth = bits.golomb() + 8, bits.golomb() + 8
    if luma_depth > 14 or chroma_depth > 14:
        raise MalformedError(f"depth of {luma_depth} and {chroma_depth} bits", where="sps")
    bits.take(1)
    if bits.take(1):
        for index in range(8 if chroma != 3 else 12):
            if bits.take(1):
                _skip_scaling(bits, 16 if index < 6 else 64)
    return chroma, luma_depth, chroma_depth


def _skip_scaling(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            delta = (code + 1) // 2 if code & 1 else -(code // 2)
            following = (last + delta) & 0xFF
        last = following or last


def _skip_order_count(bits: _Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        count = bits.golomb()
        if count > 255:
            raise MalformedError(f"{count} reference frames in a cycle", where="sps")
        for _ in range(count):
            bits.golomb()
    elif kind != 2:
        raise MalformedError(f"picture order count type {kind}", where="sps")
