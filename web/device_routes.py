"""Serve boxes on the device port: journal, mail, blobs, WHIP. Thin: who speaks is the certificate, the work is the hub's.

Guarantees: a box acts for itself only; nothing is read past its bound; a sender that stalls is let go; a blob's body passes
through in pieces and is never held whole.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.app import Hub
from protocol import canonical, messages
from protocol.errors import (
    DiskFullError,
    ForbiddenError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
    VerificationError,
)
from protocol.identifiers import BoxId, SourceId
from protocol.topics import PATH_BLOBS, PATH_JOURNAL, PATH_MAIL, PATH_RENEWALS, PATH_WHIP
from web.peer_certificates import peer_certificate, peer_identity

CBOR = "application/cbor"
SDP = "application/sdp"
SIZE = "size"  # the place of an error about a body longer than its bound
STALL_S = 30.0
LONGEST_WAIT_S = 55.0
MAX_SDP_BYTES = 65_536
MAX_CSR_BYTES = 16_384
_STATUS: tuple[tuple[type[PortwitnessError], int], ...] = (
    (MalformedError, 400),
    (VerificationError, 409),
    (ForbiddenError, 403),
    (RefusedError, 409),
    (UnavailableError, 503),
    (DiskFullError, 507),
    (StorageError, 503),
)


@dataclass(frozen=True, slots=True)
class DeviceRoutes:
    """The routes of one hub."""

    hub: Hub
    closing: asyncio.Event
    largest_blob: int

    def app(self) -> Starlette:
        """Give the application of the device port."""
        source = PATH_WHIP + "/{source}"
        routes = [
            Route(PATH_JOURNAL, self.journal, methods=["POST"]),
            Route(PATH_MAIL, self.mail, methods=["GET"]),
            Route(PATH_BLOBS + "/{sha256}", self.blob, methods=["PUT"]),
            Route(PATH_BLOBS + "/{sha256}", self.blob_head, methods=["HEAD"]),
            Route(PATH_RENEWALS, self.renew, methods=["POST"]),
            Route(PATH_RENEWALS + "/{request}", self.renewed, methods=["GET"]),
            Route(source, self.whip, methods=["POST"]),
            Route(source + "/{location}", self.whip_end, methods=["DELETE"]),
        ]
        handlers: dict[type[Exception] | int, Callable[[Request, Exception], Awaitable[Response]]] = {
            PortwitnessError: _refuse,
            HTTPException: _refuse_address,
            ClientDisconnect: _gone,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _box(self, request: Request) -> BoxId:
        """Give the box that asks; raise ForbiddenError when its certificate does not count here."""
        certificate = peer_certificate(request.scope)
        identity = peer_identity(certificate)
        if identity.site != self.hub.core.site:
            raise ForbiddenError(f"certificate is for site {identity.site}", where="tls")
        await self.hub.enrolment.check_tls(certificate)
        return identity.box

    async def journal(self, request: Request) -> Response:
        """Take one message of a box; answer what the hub has to say to it."""
        box = await self._box(request)
        message = messages.decode(await _body(request, messages.MAX_MESSAGE_BYTES))
        replies = await self.hub.ingest.accept(box, message)
        return _array([messages.encode(reply) for reply in replies])

    async def mail(self, request: Request) -> Response:
        """Answer what waits for a box, or wait for something."""
        box = await self._box(request)
        text = request.query_params.get("wait", "0")
        if not text.isascii() or not text.replace(".", "", 1).isdigit():
            raise MalformedError(f"{text[:20]!r} is no number of seconds", where="wait")
        taking = asyncio.ensure_future(self.hub.mail.take(box, min(float(text), LONGEST_WAIT_S)))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait((taking, closing), return_when=asyncio.FIRST_COMPLETED)
            return _array(taking.result() if taking.done() else [])
        finally:
            taking.cancel()
            closing.cancel()

    async def blob(self, request: Request) -> Response:
        """Take a blob by its hash; 200 with StoredBlobs, or 202 while its record is not known here."""
        box = await self._box(request)
        sha256 = _hash(request.path_params["sha256"])
        length = _length(request, self.largest_blob)
        stored = await self.hub.blobs.put(box, sha256, length, _pieces(request, length))
        return Response(messages.encode(stored), 200 if stored.blobs else 202, media_type=CBOR)

    async def blob_head(self, request: Request) -> Response:
        """Tell whether a blob is stored, as a repeated PUT would."""
        box = await self._box(request)
        stored = await self.hub.blobs.acknowledge(box, _hash(request.path_params["sha256"]))
        return Response(status_code=404 if stored is None else 200 if stored.blobs else 202)

    async def renew(self, request: Request) -> Response:
        """Take an enrolled box's request for its next TLS certificate."""
        box = await self._box(request)
        csr = (await _body(request, MAX_CSR_BYTES)).decode("utf-8", "replace")
        return JSONResponse({"request": await self.hub.enrolment.renew(box, csr)}, 201)

    async def renewed(self, request: Request) -> Response:
        """Tell a box how its renewal stands."""
        box = await self._box(request)
        found = await self.hub.enrolment.renewed(request.path_params["request"], box)
        return JSONResponse({"state": found.state, "reason": found.reason, "certificates": found.certificates})

    async def whip(self, request: Request) -> Response:
        """Take a box's offer to publish one of its sources."""
        box = await self._box(request)
        source = SourceId(request.path_params["source"])
        if request.headers.get("content-type", "").partition(";")[0].strip() != SDP:
            raise MalformedError(f"expected {SDP}", where="content-type")
        offer = (await _body(request, MAX_SDP_BYTES)).decode("utf-8", "replace")
        location, answer = await self.hub.live.publish(box, source, offer)
        return Response(answer, 201, {"Location": f"{PATH_WHIP}/{source}/{location}"}, SDP)

    async def whip_end(self, request: Request) -> Response:
        """End what a box publishes."""
        box = await self._box(request)
        await self.hub.live.unpublish(box, request.path_params["location"])
        return Response(status_code=204)


def _array(items: list[bytes]) -> Response:
    return Response(canonical.encode(items), media_type=CBOR)


def _hash(text: str) -> bytes:
    if len(text) != 64 or not all(character in "0123456789abcdef" for character in text):
        raise MalformedError(f"{text[:70]!r} is no SHA-256 in lower-case hex", where="blob")
    return bytes.fromhex(text)


def _length(request: Request, limit: int) -> int:
    text = request.headers.get("content-length", "")
    if not text.isascii() or not text.isdigit():
        raise MalformedError("Content-Length is needed", where="blob")
    if int(text) > limit:
        raise MalformedError(f"{text[:20]} bytes, at most {limit}", where=SIZE)
    return int(text)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Give a body as it comes; raise UnavailableError when the sender stalls."""
    more = True
    while more:
        try:
            async with asyncio.timeout(STALL_S):
                message = await request.receive()
        except TimeoutError as error:
            raise UnavailableError(f"nothing came for {STALL_S:.0f} s", where="body") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        chunk = message.get("body", b"")
        if chunk:
            yield chunk


async def _pieces(request: Request, length: int) -> AsyncIterator[bytes]:
    """Pass a body on as it comes; raise MalformedError when it is cut short. The store gathers what it writes."""
    seen = 0
    async for chunk in _chunks(request):
        seen += len(chunk)
        yield chunk
    if seen != length:
        raise MalformedError(f"{seen} bytes came, {length} were announced", where="blob")


async def _body(request: Request, limit: int) -> bytes:
    held: list[bytes] = []
    size = 0
    async for chunk in _chunks(request):
        size += len(chunk)
        if size > limit:
            raise MalformedError(f"more than {limit} bytes", where=SIZE)
        held.append(chunk)
    return b"".join(held)


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, PortwitnessError):
        raise error
    status = 413 if error.where == SIZE else 507 if error.where == "quota" else _status_of(error)
    body = {"error": {"kind": type(error).__name__.removesuffix("Error").lower(), "what": error.what, "where": error.where}}
    return JSONResponse(body, status, {"Retry-After": "2"} if status in (503, 507) else None)


def _status_of(error: PortwitnessError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


async def _refuse_address(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": {"kind": "missing", "what": error.detail, "where": request.url.path[:80]}}, error.status_code)


async def _gone(request: Request, error: Exception) -> Response:
    """Answer nobody: the sender has left in the middle."""
    return Response(status_code=499)
