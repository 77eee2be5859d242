"""What tests in a real browser share: how Chromium is started, and a desk before the pages of a hub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from tests.web_parts import Face, password_of
from web.serving import Listener, serve

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@dataclass
class Desk:
    """A browser before the pages of a hub."""

    url: str
    face: Face
    browser: Browser
    faults: list[str]

    async def page(self, name: str | None = None, *, width: int = 1280, language: str = "zh-CN") -> Page:
        context = await self.browser.new_context(viewport={"width": width, "height": 800}, locale=language)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", lambda line: self.faults.append(line.text) if "Content Security Policy" in line.text else None)
        await page.goto(f"{self.url}/login")
        if name is not None:
            await page.fill("input[name=name]", name)
            await page.fill("input[name=password]", password_of(name))
            await page.click("login-form button[type=submit]")
            await page.wait_for_selector("nav a")
        return page


@asynccontextmanager
async def open_desk(face: Face, chromium: Path) -> AsyncIterator[Desk]:
    """Serve a hub's pages to a browser; fail at the end where a page's script failed or its policy refused something."""
    async with async_playwright() as playwright:
        serving = await serve(face.app, Listener("browser port", "127.0.0.1", 0, None))
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        found = Desk(serving.url, face, browser, [])
        try:
            yield found
        finally:
            await browser.close()
            face.app.state.closing.set()
            await serving.stop()
        assert found.faults == []
