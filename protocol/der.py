"""Read and write DER (ITU-T X.690) as far as time-stamp tokens need it: strict, bounded, one spelling only.

Guarantees: a length that is not the shortest, an indefinite length, a long tag or bytes behind an element are refused, so that
nothing can be said twice; nothing recurses by itself, so that no input costs more than its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError

BOOLEAN, INTEGER, OCTETS, NULL, OID, SEQUENCE, SET, TIME = 0x01, 0x02, 0x04, 0x05, 0x06, 0x30, 0x31, 0x18
MAX_ITEMS = 256  # of one sequence or set
MAX_INTEGER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag byte, its contents, and all of its bytes."""

    tag: int
    body: bytes
    raw: bytes

    def need(self, tag: int, where: str) -> "Element":
        """Give the element itself; raise MalformedError when it has another tag."""
        if self.tag != tag:
            raise MalformedError(f"tag {self.tag:#04x}, expected {tag:#04x}", where=where)
        return self

    def items(self, tag: int, where: str) -> list["Element"]:
        """Give the elements inside; raise MalformedError when the tag is another or there are too many."""
        self.need(tag, where)
        return read_all(self.body, where)

    def inner(self, tag: int, where: str) -> "Element":
        """Give the one element inside an explicit tag; raise MalformedError."""
        self.need(tag, where)
        return read_one(self.body, where)

    def integer(self, where: str, tag: int = INTEGER) -> int:
        """Give a whole number; raise MalformedError when it is too long or not in its shortest form."""
        body = self.need(tag, where).body
        padded = len(body) > 1 and body[0] in (0x00, 0xFF) and (body[0] ^ body[1]) < 0x80
        if not 1 <= len(body) <= MAX_INTEGER_BYTES or padded:
            raise MalformedError("not a whole number in its shortest form", where=where)
        return int.from_bytes(body, "big", signed=True)

    def oid(self, where: str) -> str:
        """Give an object identifier in dots; raise MalformedError."""
        body = self.need(OID, where).body
        if not 1 <= len(body) <= 64 or body[-1] & 0x80:
            raise MalformedError("not an object identifier", where=where)
        parts: list[int] = []
        value = 0
        for byte in body:
            if value == 0 and byte == 0x80:
                raise MalformedError("not an object identifier in its shortest form", where=where)
            value = value << 7 | byte & 0x7F
            if not byte & 0x80:
                parts.append(value)
                value = 0
        first = min(parts[0] // 40, 2)
        return ".".join(str(part) for part in (first, parts[0] - 40 * first, *parts[1:]))


def read_one(data: bytes, where: str) -> Element:
    """Read exactly one element; raise MalformedError when it is cut or something stands behind it."""
    element, end = _read(data, 0, where)
    if end != len(data):
        raise MalformedError(f"{len(data) - end} bytes stand behind it", where=where)
    return element


def read_all(data: bytes, where: str) -> list[Element]:
    """Read elements in a row; raise MalformedError when one is cut or there are too many."""
    out: list[Element] = []
    at = 0
    while at < len(data):
        if len(out) == MAX_ITEMS:
            raise MalformedError(f"more than {MAX_ITEMS} items", where=where)
        element, at = _read(data, at, where)
        out.append(element)
    return out


def _read(data: bytes, start: int, where: str) -> tuple[Element, int]:
    if len(data) - start < 2:
        raise MalformedError(f"cut at byte {start}", where=where)
    tag, length, at = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise MalformedError("a tag of several bytes", where=where)
    if length >= 0x80:
        count = length & 0x7F
        raw = data[at : at + count]
        length, at = int.from_bytes(raw, "big"), at + count
        if not 1 <= count <= 4 or len(raw) != count or raw[0] == 0 or length < 0x80:
            raise MalformedError("a length that is indefinite, cut or not the shortest", where=where)
    end = at + length
    if end > len(data):
        raise MalformedError(f"{length} bytes announced, {len(data) - at} are here", where=where)
    return Element(tag, data[at:end], data[start:end]), end


def write(tag: int, *parts: bytes) -> bytes:
    """Give an element of these contents."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def write_integer(value: int) -> bytes:
    """Give a whole number."""
    return write(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def write_oid(text: str) -> bytes:
    """Give an object identifier written in dots."""
    first, second, *rest = (int(part) for part in text.split("."))
    return write(OID, b"".join(_base128(part) for part in (40 * first + second, *rest)))


def _base128(value: int) -> bytes:
    digits: list[int] = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


def join(parts: Sequence[Element]) -> bytes:
    """Give the bytes of elements in a row."""
    return b"".join(part.raw for part in parts)
