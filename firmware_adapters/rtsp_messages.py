"""RTSP messages and packets out of one byte stream (RFC 2326, 10.12 for interleaved packets).

Guarantees: pure; memory is one fixed buffer; any chunking of the same bytes gives the same messages and packets; bytes that
are neither raise MalformedError at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

from protocol.errors import MalformedError

MAX_HEAD_BYTES = 16 << 10
MAX_BODY_BYTES = 64 << 10
MAX_HEADERS = 64
MAX_PACKET_BYTES = 4 + 0xFFFF
BUFFER_BYTES = 128 << 10
LEAST_SPACE_BYTES = 32 << 10  # room offered to each read

_DOLLAR = 0x24
_NEWLINES = (0x0D, 0x0A)
_VERSION = "RTSP/1.0"

PacketTaker = Callable[[bytearray, int, int, int], None]
"""Takes buffer, start, end and arrival time; the bytes are gone after the call."""


@dataclass(frozen=True, slots=True)
class Message:
    """A response (`status` > 0) or a request of the other side (`status` 0). Header names are lower case."""

    status: int
    reason: str
    method: str
    headers: dict[str, list[str]]
    body: str = ""

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when absent."""
        return self.headers.get(name, [""])[0]


def read_head(head: bytes | bytearray) -> Message:
    """Read start line and headers, without the empty line after them.

    Raises MalformedError for anything that RFC 2326 does not allow.
    """
    text = bytes(head).decode("utf-8", "replace")
    first, *lines = text.split("\r\n")
    status, reason, method = _read_start(first)
    if len(lines) > MAX_HEADERS:
        raise MalformedError(f"more than {MAX_HEADERS} headers", where="rtsp")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise MalformedError("header without a name", where="rtsp")
        headers.setdefault(name.strip().lower(), []).append(value.strip())
    return Message(status, reason, method, headers)


def _read_start(line: str) -> tuple[int, str, str]:
    parts = line.split(" ", 2)
    if parts[0] == _VERSION and len(parts) >= 2:
        code = parts[1]
        if len(code) == 3 and code.isascii() and code.isdigit() and code >= "100":
            return int(code), parts[2] if len(parts) == 3 else "", ""
    elif len(parts) == 3 and parts[2] == _VERSION and parts[0].replace("_", "").isalpha():
        return 0, "", parts[0]
    raise MalformedError("start line is not RTSP", where="rtsp")


def body_length(message: Message) -> int:
    """Return how many bytes of body follow.

    Raises MalformedError when the length is no number, negative or beyond the limit.
    """
    text = message.header("content-length") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise MalformedError("content length is not a number", where="rtsp")
    if int(text) > MAX_BODY_BYTES:
        raise MalformedError(f"body exceeds {MAX_BODY_BYTES} bytes", where="rtsp")
    return int(text)


class InterleavedReader:
    """Splits the stream in place: read into `space()`, then call `filled`."""

    __slots__ = ("_buffer", "_head", "_on_message", "_read", "_view", "_write", "takers")

    def __init__(self, on_message: Callable[[Message], None]) -> None:
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._read = self._write = 0
        self._head: tuple[Message, int, int] | None = None  # message, start and end of its body
        self._on_message = on_message
        self.takers: list[PacketTaker | None] = [None] * 256

    def space(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        return self._view[self._write :]

    def filled(self, count: int, now_ns: int) -> None:
        """Take `count` bytes that were put into the space.

        Raises MalformedError when they are neither a message nor a packet; the reader is of no use afterwards.
        """
        data = self._buffer
        takers = self.takers
        at = self._read
        self._write = end = self._write + count
        while end - at >= 4:
            if data[at] == _DOLLAR and self._head is None:
                stop = at + 4 + (data[at + 2] << 8 | data[at + 3])
                if stop > end:
                    break
                taker = takers[data[at + 1]]
                if taker is not None:
                    taker(data, at + 4, stop, now_ns)
            else:
                stop = self._take_message(at, end)
                if stop < 0:
                    break
            at = stop
        self._read = at
        if at == end:
            self._read = self._write = 0
        elif BUFFER_BYTES - end < LEAST_SPACE_BYTES:
            self._compact()

    def _compact(self) -> None:
        # The longest unfinished thing is a packet or a head with its body: far less than the buffer less the least space.
        start, left = self._read, self._write - self._read
        self._buffer[:left] = self._buffer[start : self._write]
        self._read, self._write = 0, left
        if self._head is not None:
            message, body, stop = self._head
            self._head = message, body - start, stop - start

    def _take_message(self, at: int, end: int) -> int:
        """Return where the message at `at` ends, negative while it is not whole."""
        if self._head is None:
            if self._buffer[at] in _NEWLINES:
                return at + 1
            split = self._buffer.find(b"\r\n\r\n", at, min(end, at + MAX_HEAD_BYTES))
            if split < 0:
                self._check_beginning(at, end)
                return -1
            message = read_head(self._view[at:split].tobytes())
            self._head = message, split + 4, split + 4 + body_length(message)
        message, body, stop = self._head
        if stop > end:
            return -1
        self._head = None
        text = self._view[body:stop].tobytes().decode("utf-8", "replace")
        self._on_message(Message(message.status, message.reason, message.method, message.headers, text))
        return stop

    def _check_beginning(self, at: int, end: int) -> None:
        beginning = self._view[at : at + 4].tobytes()
        if not (beginning.isupper() and beginning.replace(b"_", b"").isalpha()):
            raise MalformedError("bytes are neither a message nor a packet", where="rtsp")
        if end - at >= MAX_HEAD_BYTES:
            raise MalformedError(f"head exceeds {MAX_HEAD_BYTES} bytes", where="rtsp")
