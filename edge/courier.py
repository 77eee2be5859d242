"""Speak HTTPS with the hub's device port: messages by POST, mail by long poll, blobs by PUT, live offers by WHIP.

Guarantees: mutual TLS with the box's own certificate, the hub's checked against the site's CA; one thread and one kept
connection per purpose; answers are bounded; every fault of network or server is an error of `protocol.errors`.
"""

import asyncio
import contextlib
import http.client
import logging
import socket
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from edge.transports import MAX_ANSWER_BYTES, Inbox
from edge.worker import Worker
from protocol import canonical
from protocol.errors import ForbiddenError, MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError
from protocol.topics import PATH_BLOBS, PATH_JOURNAL, PATH_MAIL, Channel

TIMEOUT_S = 30.0
MAIL_WAIT_S = 25
BACKOFF_FIRST_S = 0.5
BACKOFF_LIMIT_S = 30.0
_CHUNK = 256 << 10
log = logging.getLogger(__name__)
_RETRY = (408, 425, 429, 500, 502, 503, 504, 507)


@dataclass(frozen=True, slots=True)
class HubAddress:
    """Where the hub's device port is, and how to prove who we are. `chain`: the site's CA certificates."""

    url: str
    certificate: Path
    key: Path
    chain: Path

    def stamp(self) -> tuple[int, ...]:
        """Give when the files last changed: a renewed certificate is taken up with the next connection."""
        try:
            return tuple(path.stat().st_mtime_ns for path in (self.certificate, self.key, self.chain))
        except OSError as error:
            raise StorageError(f"cannot be used for TLS: {error}", where=str(self.certificate)) from error

    def context(self) -> ssl.SSLContext:
        """Give the TLS context; raise StorageError when a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=str(self.chain))
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the site's CA is trusted, with or without its root
            context.load_cert_chain(str(self.certificate), str(self.key))
        except (OSError, ssl.SSLError) as error:
            raise StorageError(f"cannot be used for TLS: {error}", where=str(self.certificate)) from error
        return context


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def check(self, where: str) -> "Answer":
        """Give itself when the status is good; raise UnavailableError, ForbiddenError or RefusedError otherwise."""
        if 200 <= self.status < 300:
            return self
        text = self.body[:300].decode("utf-8", "replace").strip() or http.client.responses.get(self.status, "")
        if self.status in _RETRY:
            raise UnavailableError(f"{self.status} {text}", where=where)
        if self.status in (401, 403):
            raise ForbiddenError(f"{self.status} {text}", where=where)
        raise RefusedError(f"{self.status} {text}", where=where)


class Line:
    """One kept connection, used by one thread."""

    def __init__(self, address: HubAddress, name: str, timeout_s: float = TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._worker = Worker(name)
        self._connection: http.client.HTTPConnection | None = None
        self._is_closing = False
        self._context: ssl.SSLContext | None = None
        self._stamp: tuple[int, ...] = ()

    async def __aenter__(self) -> "Line":
        await self._worker.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_closing = True
        self._interrupt()
        await self._worker.__aexit__(kind, error, trace)
        self._drop()

    def _interrupt(self) -> None:
        """End what the thread waits for: a long poll would hold up the end of the program for half a minute."""
        opened = self._connection.sock if self._connection is not None else None
        if opened is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not the TLS method, which takes the object from the reading thread

    async def ask(self, method: str, path: str, body: bytes | Path | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once; a file is streamed. Raises UnavailableError, and StorageError for the file."""
        return await self._worker.run(self._ask, method, path, body, dict(headers or {}))

    def _ask(self, method: str, path: str, body: bytes | Path | None, headers: dict[str, str]) -> Answer:
        is_fresh = self._connection is None
        try:
            return self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            ended = isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError)
            if ended and not is_fresh and not self._is_closing:
                return self._ask(method, path, body, headers)  # a kept connection may have ended long ago
            raise UnavailableError(f"{type(error).__name__}: {error}", where=self._address.url) from error

    def _exchange(self, method: str, path: str, body: bytes | Path | None, headers: dict[str, str]) -> Answer:
        if self._connection is not None and self._address.stamp() != self._stamp:
            self._drop()  # the hub lets the old certificate in no longer than it is valid
        connection = self._connection = self._connection or self._connect()
        if isinstance(body, Path):
            self._stream(connection, method, path, body, headers)
        else:
            connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read(MAX_ANSWER_BYTES + 1)
        if len(data) > MAX_ANSWER_BYTES:
            raise http.client.HTTPException(f"answer exceeds {MAX_ANSWER_BYTES} bytes")
        answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, data)
        if response.will_close:
            self._drop()
        return answer

    def _stream(self, connection: http.client.HTTPConnection, method: str, path: str, body: Path, headers: dict[str, str]) -> None:
        try:
            file = body.open("rb", buffering=0)
        except OSError as error:
            raise StorageError(error.strerror or str(error), where=str(body)) from error
        with file:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            left = int(headers["Content-Length"])
            while left:
                chunk = file.read(min(_CHUNK, left))
                if not chunk:
                    raise StorageError(f"ends {left} bytes too early", where=str(body))
                connection.send(chunk)
                left -= len(chunk)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self._address.url)
        if parts.scheme != "https" or not parts.hostname:
            raise UnavailableError("not an https address", where=self._address.url)
        stamp = self._address.stamp()
        if self._context is None or stamp != self._stamp:
            self._context, self._stamp = self._address.context(), stamp
        connection = http.client.HTTPSConnection(parts.hostname, parts.port or 443, timeout=self._timeout_s, context=self._context)
        connection.connect()
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@dataclass(slots=True)
class Courier:
    """The HTTPS side of a box: a `Transport`, a `BlobDoor`, and the poster of live offers. Use as an async context manager."""

    address: HubAddress
    uploads: int = 2
    is_up: bool = False
    last_error: str = ""
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _post: Line | None = None
    _live: Line | None = None
    _idle: "asyncio.Queue[Line]" = field(default_factory=asyncio.Queue)
    _inbox: Inbox | None = None

    @property
    def name(self) -> str:
        """Give the transport's name."""
        return "https"

    async def __aenter__(self) -> "Courier":
        self._post = await self._stack.enter_async_context(Line(self.address, "post"))
        self._live = await self._stack.enter_async_context(Line(self.address, "live"))
        for number in range(self.uploads):
            self._idle.put_nowait(await self._stack.enter_async_context(Line(self.address, f"upload-{number}")))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    async def run(self, inbox: Inbox) -> None:
        """Ask for mail until cancelled, with growing pauses while the hub is away."""
        self._inbox = inbox
        pause_s = BACKOFF_FIRST_S
        async with Line(self.address, "mail", MAIL_WAIT_S + TIMEOUT_S) as line:
            while True:
                try:
                    self._deliver(await line.ask("GET", f"{PATH_MAIL}?wait={MAIL_WAIT_S}"))
                    pause_s = BACKOFF_FIRST_S
                except PortwitnessError as error:
                    if self.is_up or str(error) != self.last_error:
                        log.warning("%s", error)
                    self.is_up, self.last_error = False, str(error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, BACKOFF_LIMIT_S)

    def refresh(self) -> None:
        """Do nothing: each line looks before it asks whether its certificate was renewed."""

    async def send(self, channel: Channel, message: bytes) -> None:
        """Post one message; what the hub answers goes to the inbox."""
        assert self._post is not None
        self._deliver(await self._post.ask("POST", PATH_JOURNAL, message, {"Content-Type": "application/cbor"}))

    def _deliver(self, answer: Answer) -> None:
        body = answer.check(self.address.url).body
        self.is_up = True
        if not body:
            return
        messages = canonical.decode(body, limit=MAX_ANSWER_BYTES)
        if not isinstance(messages, list) or not all(type(message) is bytes for message in messages):
            raise MalformedError("not an array of messages", where=self.address.url)
        for message in messages:
            if self._inbox is not None:
                self._inbox(message)

    async def put(self, sha256: bytes, path: Path, size: int) -> bytes:
        """Upload a blob on a free line; the connection is dropped when it was not taken whole."""
        line = await self._idle.get()
        try:
            headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
            answer = await line.ask("PUT", f"{PATH_BLOBS}/{sha256.hex()}", path, headers)
        except StorageError:
            line._drop()
            raise
        finally:
            self._idle.put_nowait(line)
        return answer.check(self.address.url).body

    async def offer(self, path: str, sdp: str) -> tuple[str, str]:
        """Post a live offer (RFC 9725 4.2); give the answer and the session's location."""
        assert self._live is not None
        answer = await self._live.ask("POST", path, sdp.encode(), {"Content-Type": "application/sdp"})
        answer.check(self.address.url)
        return answer.body.decode("utf-8", "replace"), urlsplit(answer.headers.get("location", "")).path

    async def withdraw(self, location: str) -> None:
        """End a live session (RFC 9725 4.2)."""
        assert self._live is not None
        (await self._live.ask("DELETE", location)).check(self.address.url)
