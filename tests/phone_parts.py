"""What tests of the inspector's phone share: a hub with a dispatched task, phones before it, a browser that can be killed."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, Playwright, async_playwright
from starlette.responses import Response

from hub.access import PersonDraft
from hub.config import InspectionSettings
from hub.inspection.fieldwork.acts import Shown
from tests.browser_parts import FLAGS
from tests.fieldwork_parts import BAY, TEAM, held
from tests.web_parts import Face, open_face, password_of
from web.browser_app import STATIC
from web.peer_certificates import App, Receive, Scope, Send
from web.phone_shell import WORKER, worker_text
from web.serving import Listener, serve

WAIT_MS = 60_000


@dataclass
class Gate:
    """Lets so many parts of files through and holds the others, as a network does that goes away in the middle."""

    app: App
    parts: int = 1_000_000
    version: bytes = b""  # of the page that is given away from now on
    held: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "PUT":
            self.parts -= 1
            if self.parts < 0:
                self.held.set()
                await self.opened.wait()
        if scope["type"] == "http" and scope["path"] == WORKER and self.version:
            text = re.sub(r'"version": "\w+"', f'"version": "{self.version.decode()}"', worker_text(STATIC))
            await Response(text, media_type="text/javascript")(scope, receive, send)
            return
        await self.app(scope, receive, send)


@dataclass
class Site:
    """A hub with a dispatched task, and phones before it."""

    url: str
    face: Face
    task: str
    team: tuple[str, str]
    gate: Gate
    playwright: Playwright
    program: Path

    async def acts(self) -> Sequence[Shown]:
        """Give the acts that are in the log, in its order."""
        return await self.face.hub.fieldwork.acts.list(self.task)


@asynccontextmanager
async def open_site(tmp_path: Path, chromium: Path) -> AsyncIterator[Site]:
    """Run a hub with a task that two inspectors were drawn for."""
    async with (
        open_face(tmp_path / "hub", inspection=InspectionSettings(shipped=True, automatic=False)) as face,
        async_playwright() as playwright,
    ):
        hub = face.hub
        await hub.access.add(PersonDraft("zhao.lei", "inspector", "Zhao Lei", password_of("zhao.lei")), "hub:hub-1")
        ground = await held(hub, face.clock)
        task = (await hub.dispatch.dispatch(ground.number, BAY, "chen.min")).task
        lead, assistant = await hub.draws.team(ground.number)
        assert {lead, assistant} == set(TEAM)
        gate = Gate(face.app)
        serving = await serve(gate, Listener("browser port", "127.0.0.1", 0, None))
        try:
            yield Site(serving.url, face, task, (lead, assistant), gate, playwright, chromium)
        finally:
            gate.opened.set()
            face.app.state.closing.set()
            await serving.stop()


async def phone(site: Site, browser: Browser, name: str, script: str = "") -> Page:
    context = await browser.new_context(viewport={"width": 360, "height": 740}, locale="en", has_touch=True, is_mobile=True)
    if script:
        await context.add_init_script(script)
    page = await context.new_page()
    await log_in(site, page, name)
    return page


async def log_in(site: Site, page: Page, name: str) -> None:
    page.set_default_timeout(WAIT_MS)
    await page.goto(f"{site.url}/work")
    await fill_login(page, name)
    await page.click(f"[data-task={site.task}]")
    await page.wait_for_selector("checklist-menu [data-section]")


async def fill_login(page: Page, name: str) -> None:
    await page.fill("input[name=name]", name)
    await page.fill("input[name=password]", password_of(name))
    await page.click("login-form button[type=submit]")


async def show(page: Page, address: str) -> None:
    await page.evaluate("(hash) => { location.hash = hash; }", address)
    name = address.split("/")[1] if "/" in address else ""
    await page.wait_for_selector(f"question-card[data-item={name}]" if name else "task-desk")


async def choose(page: Page, item: str, option: str) -> None:
    """Answer a choice and sign it."""
    await show(page, f"#i/{item}")
    await page.click(f"[data-item={item}] [data-option={option}]")
    await page.click("#record")
    await page.wait_for_function("(item) => !location.hash.endsWith(item)", arg=item)


@asynccontextmanager
async def killable(site: Site, profile: Path) -> AsyncIterator[tuple[BrowserContext, asyncio.subprocess.Process]]:
    """Run a browser of our own on a profile, so that it can be killed as a phone kills it."""
    port_file = profile / "DevToolsActivePort"
    port_file.unlink(missing_ok=True)
    size = ("--headless=new", "--window-size=360,740", "--lang=en", "--remote-debugging-port=0", f"--user-data-dir={profile}")
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(str(site.program), *FLAGS, *size, "about:blank", stdout=quiet, stderr=quiet)
    try:
        port = await asyncio.to_thread(port_in, port_file)
        browser = await site.playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        yield browser.contexts[0], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def port_in(file: Path) -> int:
    """Wait until the browser has written where it listens."""
    for _ in range(600):
        if file.exists() and "\n" in file.read_text():
            return int(file.read_text().splitlines()[0])
        time.sleep(0.1)
    raise AssertionError("the browser did not start")


async def draw_signature(page: Page) -> None:
    pad = page.locator("canvas.work-pad")
    await pad.scroll_into_view_if_needed()
    box = await pad.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 30)
    await page.mouse.down()
    for step in range(1, 9):
        await page.mouse.move(box["x"] + 20 + step * 20, box["y"] + 30 + (step % 3) * 20)
    await page.mouse.up()
