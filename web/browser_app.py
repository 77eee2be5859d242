"""Put the browser port together: JSON API, pages, error answers, bounds.

Guarantees: every API route names its roles or is listed as public; every answer that is not a success has one form; pages load
nothing from elsewhere.
"""

import asyncio
import gzip
import mimetypes
import os
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from hub.app import Hub
from protocol.errors import PortwitnessError
from web import (
    api_credit,
    api_declarations,
    api_derived,
    api_devices,
    api_draws,
    api_enrolment,
    api_events,
    api_exchange,
    api_exports,
    api_files,
    api_keeping,
    api_live,
    api_nation,
    api_people,
    api_playback,
    api_procedures,
    api_records,
    api_references,
    api_releases,
    api_rules,
    api_samples,
    api_sessions,
    api_story,
    api_tasks,
    api_work,
    schemas,
)
from web.answering import API_ERRORS, on_http_error, on_invalid_request, on_portwitness_error
from web.bounds import Bounds
from web.form_schemas import describe
from web.guards import Cookies, TheHub
from web.phone_shell import add_phone
from web.presence import Presence
from web.watching import Watching
from web.wording import language_of

STATIC = Path(__file__).parent / "static"
PACKED = (".js", ".css", ".json", ".svg", ".html", ".webmanifest")
PAGES = (
    "/",
    "/login",
    "/start",
    "/wall",
    "/tasks",
    "/tasks/{task}",
    "/pair",
    "/pair/{task}",
    "/devices",
    "/alarms",
    "/looks",
    "/people",
    "/rules",
    "/procedures",
    "/procedures/{key}",
    "/draws",
    "/credit",
    "/credit/{enterprise}",
    "/samples",
    "/samples/{number}",
    "/draws/{number}",
    "/desk",
    "/desk/{number}",
    "/exchange",
    "/declarations",
    "/declarations/{number}",
    "/declarations/{number}/amend",
    "/holds",
    "/references",
    "/references/{category}",
    "/references/{category}/{key}",
)
RECORD_PAGE = "/records/{issuer}/{epoch}/{position}"
_PARTS = (
    api_sessions,
    api_tasks,
    api_work,
    api_playback,
    api_exports,
    api_files,
    api_derived,
    api_keeping,
    api_live,
    api_devices,
    api_events,
    api_records,
    api_nation,
    api_people,
    api_enrolment,
    api_draws,
    api_credit,
    api_declarations,
    api_references,
    api_story,
    api_procedures,
    api_rules,
    api_releases,
    api_exchange,
    api_samples,
)
_ABOUT = """Instants are Unix milliseconds, hashes lower-case hex. Log in by `POST /api/v1/session` and send the `csrf` it gives as
`X-CSRF-Token` with every write, or use `Authorization: Bearer <API token>`. Every error has the form `{"error": {kind, what, where}}`,
in Chinese or English by `Accept-Language` or `?lang=`."""


def browser_app(hub: Hub, *, secure: bool, closing: asyncio.Event) -> FastAPI:
    """Build the application of the browser port. `secure`: served over TLS. `closing` is set when long answers must end."""
    app = FastAPI(
        title="Portwitness hub",
        version=metadata.version("portwitness"),
        description=_ABOUT,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.hub = hub
    app.state.closing = closing
    app.state.cookies = Cookies(secure)
    app.state.presence = Presence(hub)
    app.state.routes = tuple(route for part in _PARTS for route in part.router.routes if isinstance(route, APIRoute))
    app.state.watching = Watching(hub, app.state.presence)
    app.add_exception_handler(PortwitnessError, on_portwitness_error)
    app.add_exception_handler(RequestValidationError, on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_middleware(Bounds, secure=secure)
    app.router.routes.extend(_routes())
    describe(app)
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Build the routes, once in a process: what they need of a hub they find in the application that is asked."""
    app = FastAPI(openapi_url=None)
    app.include_router(_api())
    app.include_router(api_enrolment.boxes)
    _add_pages(app)
    return tuple(app.router.routes)


def _api() -> APIRouter:
    api = APIRouter(prefix="/api/v1", responses=API_ERRORS)
    for part in _PARTS:
        api.include_router(part.router)
    api.add_api_route("/status", _status, summary="Whether the hub is up (public)", tags=["status"])
    return api


async def _status(hub: TheHub) -> schemas.StatusAnswer:
    """Tell version, site and whether the hub serves."""
    core = hub.core
    return schemas.StatusAnswer(
        version=metadata.version("portwitness"), ready=core.sequencer.fault is None, site=str(core.site), hub=str(core.hub_id)
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    """Show a browser that asks for an address that is none a page that says so; answer programs in JSON."""
    wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    is_ours = request.url.path.startswith(("/api/", "/static/"))
    if isinstance(error, HTTPException) and error.status_code == 404 and wants_page and not is_ours:
        return FileResponse(STATIC / "index.html", 404, headers={"Cache-Control": "no-cache"})
    return await on_http_error(request, error)


def _add_pages(app: FastAPI) -> None:
    text = (STATIC / "index.html").read_text(encoding="utf-8")

    async def page(request: Request) -> Response:
        language = language_of(request.headers.get("accept-language"), request.query_params.get("lang"))
        # the words are on their way before the first module asks for them
        words = f'<link rel="preload" as="fetch" crossorigin href="/static/locales/{language}.json">'
        headers = {"Cache-Control": "no-cache", "Vary": "Accept-Language"}
        return Response(text.replace("<!-- words -->", words), media_type="text/html; charset=utf-8", headers=headers)

    for path in (*PAGES, RECORD_PAGE):
        app.add_api_route(path, page, include_in_schema=False, response_class=FileResponse)
    add_phone(app, STATIC)
    app.mount("/static", _Static(directory=STATIC), name="static")


class _Static(StaticFiles):
    """Files that browsers ask again about: there is no build step that would name them by content. Texts go packed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self.packed: dict[str, tuple[str, bytes]] = {}  # path -> (tag, bytes); as many as there are files

    def file_response(self, full_path: Any, stat_result: os.stat_result, scope: Any, status_code: int = 200) -> Response:  # noqa: ANN401
        """Give a file that must be revalidated; a text packed, where the browser takes it so."""
        headers = Headers(scope=scope)
        if status_code != 200 or not str(full_path).endswith(PACKED) or "gzip" not in headers.get("accept-encoding", ""):
            response = super().file_response(full_path, stat_result, scope, status_code)
            response.headers["Cache-Control"] = "no-cache"
            response.headers["Vary"] = "Accept-Encoding"
            return response
        tag = f'"{stat_result.st_mtime_ns:x}-{stat_result.st_size:x}-gz"'
        told = {"Cache-Control": "no-cache", "ETag": tag, "Vary": "Accept-Encoding"}
        if headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=told)
        kept = self.packed.get(str(full_path))
        if kept is None or kept[0] != tag:
            kept = (tag, gzip.compress(Path(full_path).read_bytes(), 6, mtime=0))
            self.packed[str(full_path)] = kept
        told["Content-Encoding"] = "gzip"
        return Response(kept[1], headers=told, media_type=mimetypes.guess_type(str(full_path))[0] or "application/octet-stream")
