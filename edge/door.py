"""Serve the box's own small door: recorders publish and pair here, and a page shows how the box does.

Guarantees: requests are bounded in size and time; a recorder may only speak for itself, by a token whose hash the box keeps;
nothing plays anonymously. HTTP is read by h11.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import h11

from edge.config import DoorSettings, RecorderSettings
from protocol.errors import (
    ForbiddenError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
)
from protocol.identifiers import SourceId

MAX_BODY_BYTES = 256 << 10
REQUEST_S = 15.0
MAX_CONNECTIONS = 64
MAX_OF_ONE = 16  # connections of one address, so that no stranger on the dock takes all of them
MAX_EVENT_BYTES = 32 << 10
MAX_CODE = 2048  # a ticket; a short code has six digits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        """Give a header by its lower-case name; empty when absent."""
        return self.headers.get(name, "")


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Handlers:
    """What the door leads to."""

    publish: Callable[[SourceId, str], Awaitable[str]]
    release: Callable[[SourceId], Awaitable[bool]]
    claim: Callable[[SourceId, str], Awaitable[None]]
    status: Callable[[], Awaitable[Mapping[str, object]]]
    page: Callable[[str], Awaitable[str]]
    bring: Callable[[bytes], Awaitable[str]] | None = None
    head: Callable[[], Awaitable[str]] | None = None
    picture: Callable[[], Awaitable[bytes]] | None = None


@dataclass(slots=True)
class Door:
    """The server. Use as an async context manager; `port` is known inside."""

    settings: DoorSettings
    recorders: tuple[RecorderSettings, ...]
    handlers: Handlers
    port: int = 0
    _server: asyncio.Server | None = None
    _open: int = 0
    _connections: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> "Door":
        settings = self.settings
        context = None
        if settings.certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            try:
                context.load_cert_chain(settings.certificate, settings.key)
            except (OSError, ssl.SSLError) as error:
                raise StorageError(f"cannot be used for TLS: {error}", where=str(settings.certificate)) from error
        try:
            self._server = await asyncio.start_server(self._serve, settings.host, settings.port, ssl=context, limit=MAX_EVENT_BYTES)
        except OSError as error:
            raise UnavailableError(f"cannot listen: {error}", where=f"{settings.host}:{settings.port}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _address(writer)
        if len(self._connections) >= MAX_CONNECTIONS or sum(_address(one) == peer for one in self._connections) >= MAX_OF_ONE:
            writer.transport.abort()
            return
        self._connections.add(writer)
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_EVENT_BYTES)
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (OSError, TimeoutError, h11.ProtocolError, EOFError) as error:
            log.debug("door: %s", error)
        finally:
            self._connections.discard(writer)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; False when the connection ends."""
        try:
            request = await asyncio.wait_for(_read_request(connection, reader), REQUEST_S)
            if request is None:
                return False
            response = await self._answer(request)
        except h11.RemoteProtocolError as error:
            if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                return False
            response = _failure(MalformedError(str(error), where="http"))
        except MalformedError as error:
            response = _failure(error)
        headers = [
            ("Content-Length", str(len(response.body))),
            ("Content-Type", response.kind),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
            *response.headers,
        ]
        for event in (h11.Response(status_code=response.status, headers=headers), h11.Data(response.body), h11.EndOfMessage()):
            writer.write(connection.send(event) or b"")
        await asyncio.wait_for(writer.drain(), REQUEST_S)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._route(request)
        except PortwitnessError as error:
            return _failure(error)

    async def _route(self, request: Request) -> Response:
        parts = request.path.partition("?")[0].strip("/").split("/")
        if request.method == "OPTIONS":
            return Response(204)
        if parts == [""] and request.method == "GET":
            text = await self.handlers.page(_language(request))
            policy = ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'")
            return Response(200, text.encode(), "text/html; charset=utf-8", (policy,))
        if parts == ["status"] and request.method == "GET":
            return Response(200, json.dumps(await self.handlers.status(), ensure_ascii=False).encode())
        if len(parts) == 1 and (carried := await self._carry(request, parts[0])) is not None:
            return carried
        if parts[0] == "whip" and len(parts) in (2, 3):
            return await self._recorder(request, parts)
        return _problem(404, "malformed", "there is nothing here", request.path)

    async def _carry(self, request: Request, name: str) -> Response | None:
        """Answer what is carried by hand: a checkpoint in, the newest head out; None for anything else."""
        handlers = self.handlers
        if name == "head" and request.method == "GET" and handlers.head is not None:
            return Response(200, (await handlers.head() + "\n").encode(), "text/plain; charset=utf-8")
        if name == "head.svg" and request.method == "GET" and handlers.picture is not None:
            return Response(200, await handlers.picture(), "image/svg+xml")
        if name == "checkpoint" and request.method == "POST" and handlers.bring is not None:
            taken = await handlers.bring(_form(request))
            return Response(200, json.dumps({"taken": taken}).encode())
        return None

    async def _recorder(self, request: Request, parts: list[str]) -> Response:
        source = self._authorized(request, parts[1])
        if len(parts) == 3 and parts[2] == "pair" and request.method == "POST":
            await self.handlers.claim(source, _code(request.body))
            return Response(200, b"{}")
        if request.method == "DELETE":
            found = await self.handlers.release(source)
            return Response(200 if found else 404)
        if request.method != "POST" or len(parts) != 2:
            return _problem(405, "malformed", f"{request.method} is not answered here", request.path)
        if not request.header("content-type").startswith("application/sdp"):
            raise MalformedError("expected application/sdp", where="content-type")
        answer = await self.handlers.publish(source, _text(request.body))
        return Response(201, answer.encode(), "application/sdp", (("Location", f"/whip/{source}/session"),))

    def _authorized(self, request: Request, name: str) -> SourceId:
        scheme, _, token = request.header("authorization").partition(" ")
        found = hashlib.sha256(token.strip().encode()).hexdigest()
        for recorder in self.recorders:
            if recorder.source == name and scheme.lower() == "bearer" and hmac.compare_digest(found, recorder.token_sha256.lower()):
                return recorder.source
        raise ForbiddenError("unknown recorder or wrong token", where=name[:64])


def _address(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                raise MalformedError(f"body exceeds {MAX_BODY_BYTES} bytes", where="http")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers, bytes(body))
        else:
            return None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8", where="body") from error


def _code(body: bytes) -> str:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise MalformedError("not JSON", where="body") from error
    code = fields.get("code") if isinstance(fields, dict) else None
    if not isinstance(code, str) or not 1 <= len(code) <= MAX_CODE:
        raise MalformedError("expected the code as text", where="body.code")
    return code


def _form(request: Request) -> bytes:
    """Give the field `note` of the page's form, or the body as it is."""
    if not request.header("content-type").startswith("application/x-www-form-urlencoded"):
        return request.body
    try:
        found = parse_qs(_text(request.body), strict_parsing=True, max_num_fields=4)
    except ValueError as error:
        raise MalformedError("not a form", where="body") from error
    return found.get("note", [""])[0].encode()


def _language(request: Request) -> str:
    query = request.path.partition("?")[2]
    if "lang=en" in query:
        return "en"
    if "lang=zh" in query:
        return "zh"
    return "zh" if request.header("accept-language").lower().startswith("zh") else "en"


_STATUSES: tuple[tuple[type[PortwitnessError], int, str], ...] = (
    (ForbiddenError, 403, "forbidden"),
    (RefusedError, 409, "refused"),
    (MalformedError, 400, "malformed"),
    (UnavailableError, 503, "unavailable"),
    (StorageError, 507, "storage"),
    (PortwitnessError, 500, "verification"),
)


def _failure(error: PortwitnessError) -> Response:
    status, kind = next((status, kind) for family, status, kind in _STATUSES if isinstance(error, family))
    return _problem(status, kind, error.what, error.where)


def _problem(status: int, kind: str, what: str, where: str) -> Response:
    return Response(status, json.dumps({"error": {"kind": kind, "what": what, "where": where}}, ensure_ascii=False).encode())
