"""The inspector's page as it is installed: all that it is made of is kept, any change makes another version, only it may use the camera."""

import json
import re
import shutil
from pathlib import Path

import httpx
from fastapi import FastAPI

from web.browser_app import STATIC
from web.phone_shell import PAGES, WORKER, add_phone, modules, page_text, worker_text


def shell_of(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.partition(" = ")[2].partition(";\n")[0])
    return found


def test_the_worker_keeps_every_file_that_the_page_is_made_of() -> None:
    files = shell_of(worker_text(STATIC))["files"]
    assert isinstance(files, list)
    page = (STATIC / "work/work.html").read_text()
    manifest = json.loads((STATIC / "work/manifest.json").read_text())
    asked = re.findall(r'(?:href|src)="(/static/[^"]+)"', page) + [icon["src"] for icon in manifest["icons"]]
    assert set(asked) <= set(files)
    mine = {f"/static/work/{file.name}" for file in (STATIC / "work").glob("*.js")} - {"/static/work/worker.js"}
    assert mine <= set(files), "a module of the page that nothing imports"
    assert all((STATIC / str(name).removeprefix("/static/")).is_file() for name in files)
    assert "/static/live-tile.js" in files and "/static/live-wall.js" not in files


def test_the_page_names_its_first_modules_and_its_words_at_once() -> None:
    text = page_text(STATIC, "en")
    assert re.findall(r'rel="modulepreload" href="/static/([^"]+)"', text) == list(modules(STATIC))
    assert text.index("modulepreload") < text.index("</head>")
    assert '<link rel="preload" as="fetch" crossorigin href="/static/locales/en.json">' in text
    assert "work/question-page.js" not in text, "a view beside the first, which waits for none of them"
    assert "work/question-page.js" in list(modules(STATIC, later=True))


def test_any_change_of_any_file_is_another_version(tmp_path: Path) -> None:
    copy = shutil.copytree(STATIC, tmp_path / "static")
    versions = [shell_of(worker_text(copy))["version"]]
    for name in ("work/acts.js", "words.js", "work/work.html", "work/worker.js", "locales/zh-CN.json", "work/icon-192.png"):
        with (copy / name).open("ab") as file:
            file.write(b"\n")
        versions.append(shell_of(worker_text(copy))["version"])
    assert len(set(versions)) == 7
    (copy / "live-wall.js").write_text("// of another page")
    assert shell_of(worker_text(copy))["version"] == versions[-1]


def test_imports_are_followed_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/app.js").write_text(
        'import "../a.js";\nimport { x,\n  y } from "./b.js";\n// import "./not.js"\nexport { z } from "./c.js";\n'
    )
    (tmp_path / "a.js").write_text('import * as b from "./work/b.js";\n')
    (tmp_path / "work/b.js").write_text("const text = 'import \"./no.js\"';\n")
    (tmp_path / "work/c.js").write_text('/** @typedef {import("./type.js").T} T */\nconst { d } = await import("./d.js");\n')
    (tmp_path / "work/d.js").write_text("")
    assert list(modules(tmp_path)) == ["work/app.js", "a.js", "work/b.js", "work/c.js"]
    assert list(modules(tmp_path, later=True)) == ["work/app.js", "a.js", "work/b.js", "work/c.js", "work/d.js"]


async def test_page_and_worker_are_served_with_scope_and_rights() -> None:
    app = FastAPI()
    add_phone(app, STATIC)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub.test") as client:
        for path in (PAGES[0], "/work/T-1"):
            answer = await client.get(path)
            assert answer.headers["content-type"].startswith("text/html")
            assert "camera=(self)" in answer.headers["permissions-policy"]
        worker = await client.get(WORKER)
    assert worker.headers["content-type"].startswith("text/javascript") and worker.headers["cache-control"] == "no-cache"
    manifest = json.loads((STATIC / "work/manifest.json").read_text())
    assert manifest["scope"] == manifest["start_url"] == PAGES[0]
    assert WORKER.count("/") == 1, "a worker's folder is the widest scope that it may have"
