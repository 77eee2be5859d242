"""A supervisor draws one rectangle on the paused player and gets a redacted copy, in a real browser over a real hub."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.derivation_parts import CAMERA, HEIGHT, TASK, WIDTH, Filmed, filmed, lumas
from tests.web_parts import password_of
from web.serving import Listener, serve

pytestmark = pytest.mark.browser
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Filmed]:
    async with filmed(tmp_path) as made:
        yield made


async def opened(browser: Browser, url: str, faults: list[str], *, language: str) -> Page:
    page = await (await browser.new_context(viewport={"width": 1280, "height": 1000}, locale=language)).new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    await page.goto(f"{url}/login")
    await page.fill("input[name=name]", "chen.min")
    await page.fill("input[name=password]", password_of("chen.min"))
    await page.click("login-form button[type=submit]")
    await page.wait_for_selector("nav a")
    await page.goto(f"{url}/tasks/{TASK}")
    await expect(page.locator("redaction-card")).to_be_visible()
    return page


async def seek(page: Page, ms: float) -> None:
    await page.evaluate(
        """async ([stream, ms]) => { const line = document.querySelector('evidence-timeline');
        line.dispatchEvent(new CustomEvent('seek', {detail: {stream, ms}}));
        const p = document.querySelector('evidence-player'), end = performance.now() + 30000;
        while (performance.now() < end) {
          if (p.position === ms && p.cover.classList.contains('hidden') && p.video.readyState >= 2 && !p.video.seeking) return;
          await new Promise(done => setTimeout(done, 20));
        } throw new Error('no picture'); }""",
        [CAMERA, ms],
    )


async def test_one_rectangle_is_drawn_and_destroyed(port: Filmed, chromium: Path) -> None:
    faults: list[str] = []
    async with async_playwright() as playwright:
        serving = await serve(port.face.app, Listener("browser port", "127.0.0.1", 0, None))
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        try:
            page = await opened(browser, serving.url, faults, language="en")
            await draw(page, port)
            await page.evaluate("localStorage.setItem('language', 'zh-CN')")
            await page.reload()
            await expect(page.locator("redaction-card h2")).to_have_text("片段与遮盖副本")
            await expect(page.locator("redaction-card")).to_contain_text("派生文件，非原始")
        finally:
            await browser.close()
            port.face.app.state.closing.set()
            await serving.stop()
    assert faults == []
    [made] = await port.face.hub.derivation.made(TASK)
    [area] = made.body.areas
    assert (area.origin, area.by, area.way) == ("drawn", "chen.min", "black")
    assert np.allclose(area.points[0][1:], (2500, 2500, 7500, 7500), atol=60)
    for _, luma in await asyncio.to_thread(lumas, await port.face.hub.derivation.path(made)):
        assert luma[HEIGHT * 3 // 10 : HEIGHT * 7 // 10, WIDTH * 3 // 10 : WIDTH * 7 // 10].max() <= 24
        assert luma[: HEIGHT // 5].max() > 40


async def draw(page: Page, port: Filmed) -> None:
    card, start_ms = page.locator("redaction-card"), port.start_ns / 1e6
    await card.get_by_role("button", name="Draw area").click()
    await expect(card.locator(".notice.bad")).to_contain_text("Mark where the stretch begins")
    await seek(page, start_ms + 500)
    await card.get_by_role("button", name="Begin here").click()
    await seek(page, start_ms + 1500)
    await card.get_by_role("button", name="End here").click()
    await expect(card).to_contain_text("1.0 s")
    await card.get_by_role("button", name="Make sub-clip").click()
    await expect(card.locator(".notice.good")).to_contain_text("recorded as an export")
    await card.get_by_role("button", name="Draw area").click()
    box = await page.locator("redaction-canvas").bounding_box()
    assert box is not None
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    left, top = box["x"] + (box["width"] - WIDTH * scale) / 2, box["y"] + (box["height"] - HEIGHT * scale) / 2
    await page.mouse.move(left + WIDTH * scale / 4, top + HEIGHT * scale / 4)
    await page.mouse.down()
    await page.mouse.move(left + WIDTH * scale * 3 / 4, top + HEIGHT * scale * 3 / 4, steps=4)
    await page.mouse.up()
    await expect(card.locator(".row.area")).to_have_count(1)
    await card.get_by_placeholder("Reason").fill("a driver's face")
    await card.get_by_role("button", name="Make redacted copy").click()
    await expect(card).to_contain_text("Derived, not original", timeout=30_000)
    await card.get_by_role("button", name="Pack for download").click()
    await expect(card.locator(".notice.good a")).to_have_attribute("download", re.compile(r"derived-R-.+\.zip"))
