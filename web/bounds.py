"""Bound and dress every exchange of the browser port: body sizes, time to send one, security headers."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse

from web.peer_certificates import App, Message, Receive, Scope, Send
from web.wording import language_of, say

MAX_BODY_BYTES = 131_072
BODY_S = 20.0
LARGER: tuple[tuple[str, re.Pattern[str], int], ...] = (  # what may be longer: ten thousand items or lines
    ("POST", re.compile(r"/api/v1/work/[^/]+/acts"), 9 << 20),
    ("POST", re.compile(r"/api/v1/declarations(/check|/[^/]+/amendments)?"), 8 << 20),
    ("POST", re.compile(r"/api/v1/procedures(/check|/[^/]+/[0-9]+/xlsform)?"), 8 << 20),
)
STREAMED = (("PUT", re.compile(r"/api/v1/files/[0-9a-f]{64}")),)  # passed on as it comes: the route counts and times it
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
HSTS = "max-age=31536000"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The middleware."""

    app: App
    secure: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one exchange through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if self.secure:
                    headers["Strict-Transport-Security"] = HSTS
            await send(message)

        if any(scope["method"] == method and path.fullmatch(scope["path"]) for method, path in STREAMED):
            await self.app(scope, receive, dressed)
            return
        limit = _limit(scope)
        body = await _read(receive, limit) if _has_body(scope) else b""
        if isinstance(body, int):
            asked = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
            what = say("malformed", f"body of more than {limit} bytes, or too slow", language_of(asked))
            error = {"kind": "malformed", "what": what, "where": "body", "about": ""}
            await JSONResponse({"error": error}, body, {"Connection": "close"})(scope, receive, dressed)
            return
        await self.app(scope, _replay(body, receive), dressed)


def _has_body(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD", "OPTIONS")


def _limit(scope: Scope) -> int:
    fits = (limit for method, path, limit in LARGER if scope["method"] == method and path.fullmatch(scope["path"]))
    return next(fits, MAX_BODY_BYTES)


async def _read(receive: Receive, limit: int) -> bytes | int:
    """Give a whole small body, or the status that refuses it."""
    held = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                held += message.get("body", b"")
                if len(held) > limit:
                    return 413
                if not message.get("more_body", False):
                    return bytes(held)
    except TimeoutError:
        return 408


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
