"""One TCP connection to an RTSP device: requests out, answers and interleaved packets in (RFC 2326).

Guarantees: one fixed buffer; a request is answered, refused or given up in bounded time; login is answered where it is asked;
the end of the connection has one cause. The password and the address's query never appear in a message of ours.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from firmware_adapters.abilities import Interruption
from firmware_adapters.digest import Login
from firmware_adapters.rtsp_messages import InterleavedReader, Message
from protocol.errors import MalformedError, RefusedError, UnavailableError

USER_AGENT = "Portwitness"
DEFAULT_PORT = 554
MAX_WAITING_REQUESTS = 16
MAX_LOGIN_ROUNDS = 3  # the first question, a stale nonce, one more

log = logging.getLogger(__name__)


class MonotonicClock(Protocol):
    """What this adapter needs of a clock."""

    def monotonic_ns(self) -> int:
        """Return a time that never goes back, in ns."""


class InterruptedStreamError(UnavailableError):
    """A connection ended or did not come about; `cause` is what the sink is told."""

    def __init__(self, cause: Interruption, what: str) -> None:
        super().__init__(what)
        self.cause: Interruption = cause


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is. `url` carries no credentials; `label` neither them nor the query: safe to log."""

    host: str
    port: int
    url: str
    label: str
    username: str = ""
    password: str = field(default="", repr=False)


def read_address(url: str) -> Address:
    """Take an `rtsp://` address apart.

    Raises RefusedError for another scheme or an address without a host; its text names no credentials.
    """
    try:
        parts: SplitResult = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError:
        raise RefusedError("camera address is not a URL") from None
    if parts.scheme != "rtsp" or not host:
        raise RefusedError("camera address must be rtsp://host[:port]/path")
    if not url.isascii() or any(mark <= " " for mark in url):
        raise RefusedError("camera address has spaces or characters outside ASCII")
    netloc = f"[{host}]" if ":" in host else host
    if parts.port:
        netloc += f":{parts.port}"
    bare = parts._replace(netloc=netloc, fragment="")
    label = bare._replace(query="").geturl()
    return Address(host, port, bare.geturl(), label, unquote(parts.username or ""), unquote(parts.password or ""))


class RtspConnection(asyncio.BufferedProtocol):
    """The wire: bytes in by `buffer_updated`, requests by `request`, the end by `ended`."""

    def __init__(self, clock: MonotonicClock, login: Login, answer_s: float) -> None:
        self.reader = InterleavedReader(self._take_message)
        self.ended: asyncio.Future[tuple[Interruption, str]]
        self.failure: Exception | None = None
        self._clock = clock
        self._login = login
        self._answer_s = answer_s
        self._transport: asyncio.Transport
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._sequence = 0

    async def open(self, address: Address, connect_s: float) -> None:
        """Connect.

        Raises InterruptedStreamError when the device refuses or is not reached in time.
        """
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        where = f"{address.host}:{address.port}"
        try:
            async with asyncio.timeout(connect_s):
                await loop.create_connection(lambda: self, address.host, address.port)
        except TimeoutError:
            raise InterruptedStreamError("unreachable", f"no connection to {where} in {connect_s:g} s") from None
        except ConnectionRefusedError:
            raise InterruptedStreamError("refused", f"{where} refuses connections") from None
        except OSError as error:
            raise InterruptedStreamError("unreachable", f"{where}: {error.strerror or 'no connection'}") from None

    async def request(self, method: str, url: str, headers: tuple[str, ...] = ()) -> Message:
        """Send a request and return its answer of class 200, logging in where asked.

        Raises InterruptedStreamError for any other answer, silence or the connection's end.
        """
        for _ in range(MAX_LOGIN_ROUNDS):
            answer = await self._exchange(method, url, headers)
            if answer.status != 401:
                break
            reason = self._login.learn(answer.headers.get("www-authenticate", []))
            if reason:
                raise InterruptedStreamError("unauthorized", reason)
        if answer.status == 401:
            raise InterruptedStreamError("unauthorized", "the camera keeps asking for a login")
        if not 200 <= answer.status < 300:
            cause: Interruption = "unsupported" if answer.status in (461, 551, 505) else "refused"
            raise InterruptedStreamError(cause, f"camera answers {answer.status} to {method}")
        self._login.prove()
        return answer

    def send(self, method: str, url: str, headers: tuple[str, ...] = ()) -> "asyncio.Future[Message]":
        """Send a request without waiting; the future gets its answer, or is cancelled when too many answers are missing."""
        if len(self._waiting) >= MAX_WAITING_REQUESTS:
            self._waiting.pop(next(iter(self._waiting))).cancel()
        self._sequence += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", f"User-Agent: {USER_AGENT}", *headers]
        authorization = self._login.authorization(method, url)
        if authorization:
            lines.append(f"Authorization: {authorization}")
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[self._sequence] = answer
        self._transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        return answer

    def learn_login(self, answer: Message) -> None:
        """Take a refusal of a request that was sent without waiting.

        Raises InterruptedStreamError when another try is of no use.
        """
        reason = self._login.learn(answer.headers.get("www-authenticate", []))
        if reason:
            raise InterruptedStreamError("unauthorized", reason)

    def prove_login(self) -> None:
        """Note that a request sent without waiting was accepted."""
        self._login.prove()

    def send_packet(self, channel: int, packet: bytes) -> None:
        """Send one interleaved packet."""
        self._transport.write(bytes((0x24, channel)) + len(packet).to_bytes(2, "big") + packet)

    def close(self) -> None:
        """Close after what was written has left; the other side cannot hold us."""
        if self.is_open:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self.is_open:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        """Tell whether there is a connection."""
        return hasattr(self, "_transport") and not self._transport.is_closing()

    async def _exchange(self, method: str, url: str, headers: tuple[str, ...]) -> Message:
        if self.ended.done():
            raise InterruptedStreamError(*self.ended.result())
        answer = self.send(method, url, headers)
        await asyncio.wait((answer, self.ended), timeout=self._answer_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if self.ended.done():
            raise InterruptedStreamError(*self.ended.result())
        raise InterruptedStreamError("stalled", f"no answer to {method} in {self._answer_s:g} s")

    def _take_message(self, message: Message) -> None:
        number = message.header("cseq")
        if not message.status:
            self._refuse(message.method, number)
        elif number.isascii() and number.isdigit() and len(number) < 10:
            waiting = self._waiting.pop(int(number), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        else:
            raise MalformedError("answer without its CSeq", where="rtsp")

    def _refuse(self, method: str, number: str) -> None:
        # The other side may ask too (RFC 2326 10): it gets an answer, and nothing happens.
        status = "200 OK" if method in ("OPTIONS", "GET_PARAMETER") else "501 Not Implemented"
        if number.isascii() and number.isdigit() and len(number) < 10:
            self._transport.write(f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n\r\n".encode())

    # asyncio calls what follows.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Offer the reader's space."""
        return self.reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came; bytes that do not parse end the connection."""
        try:
            self.reader.filled(nbytes, self._clock.monotonic_ns())
        except MalformedError as error:
            self._end("protocol", str(error))
            self._transport.abort()

    def eof_received(self) -> bool:
        """Let the transport close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the end once; an error that is not the network's is a fault of ours and kept."""
        if exc is not None and not isinstance(exc, OSError):
            self.failure = exc
        self._end("closed", "the camera closed the connection" if exc is None else "the connection broke")

    def _end(self, cause: Interruption, detail: str) -> None:
        with contextlib.suppress(asyncio.InvalidStateError):
            self.ended.set_result((cause, detail))
