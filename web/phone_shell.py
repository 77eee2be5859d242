"""Serve the inspector's page so that it can be installed and works with no network: its page, its worker with what to keep, its rights.

The worker begins with the list of the files that make up the page and a version, a hash over all of them: found by following imports from
the first module, so that no list is kept by hand. Guarantees: any change of any of these files makes another worker, which browsers take
as an update of the whole; a page runs on files of one version; only this page may ask for camera, microphone and place.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from web.naming import Language
from web.wording import language_of

PAGES = ("/work", "/work/{task}")
WORKER = "/work-worker.js"
_ENTRY = "work/app.js"
_OTHERS = (
    "portwitness.css", "work/work.css", "work/manifest.json", "mark.svg", "work/icon-192.png", "work/icon-512.png",
    "locales/en.json", "locales/zh-CN.json",
)  # fmt: skip
_IMPORT = re.compile(r"""^\s*(?:import|export)\s[^"';]*?["'](\.{1,2}/[^"']+)["']|^import\s["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)
_LATER = re.compile(r"""(?:\bawait|\bvoid|=|=>)\s*import\(["'](\.{1,2}/[^"']+)["']\)""")
_RIGHTS = "camera=(self), microphone=(self), geolocation=(self), payment=()"


def modules(static: Path, entry: str = _ENTRY, *, later: bool = False) -> Iterator[str]:
    """Give the modules that a module needs, itself first, each once, as paths in the static folder; `later`: what it fetches then, too."""
    waiting, seen = [entry], {entry}
    while waiting:
        name = waiting.pop(0)
        yield name
        text = (static / name).read_text()
        asked = [match[1] or match[2] for match in _IMPORT.finditer(text)] + (
            [match[1] for match in _LATER.finditer(text)] if later else []
        )
        for path in asked:
            other = ((static / name).parent / path).resolve().relative_to(static.resolve()).as_posix()
            if other not in seen:
                seen.add(other)
                waiting.append(other)


def worker_text(static: Path) -> str:
    """Give the worker's script: version and files first, then what it does."""
    names = sorted({*modules(static, later=True), *_OTHERS})
    found = hashlib.sha256()
    for name in (*names, "work/work.html", "work/worker.js"):
        data = (static / name).read_bytes()
        found.update(f"{name} {len(data)}\n".encode() + data)
    shell = {"version": found.hexdigest()[:16], "files": [f"/static/{name}" for name in names], "page": PAGES[0]}
    return f"self.SHELL = {json.dumps(shell)};\n{(static / 'work/worker.js').read_text()}"


def page_text(static: Path, language: Language = "zh-CN") -> str:
    """Give the page; it names its words and its first modules at once, so that a first visit does not find them import by import."""
    links = "\n".join(f'<link rel="modulepreload" href="/static/{name}">' for name in modules(static))
    links += f'\n<link rel="preload" as="fetch" crossorigin href="/static/locales/{language}.json">'
    return (static / "work/work.html").read_text().replace("<!-- modules -->", links)


def add_phone(app: FastAPI, static: Path) -> None:
    """Add the page's routes."""

    async def page(request: Request) -> HTMLResponse:
        language = language_of(request.headers.get("accept-language"), request.query_params.get("lang"))
        headers = {"Cache-Control": "no-cache", "Permissions-Policy": _RIGHTS, "Vary": "Accept-Language"}
        return HTMLResponse(page_text(static, language), headers=headers)

    async def worker() -> Response:
        return Response(worker_text(static), media_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    for path in PAGES:
        app.add_api_route(path, page, include_in_schema=False, response_class=HTMLResponse)
    app.add_api_route(WORKER, worker, include_in_schema=False, response_class=Response)
