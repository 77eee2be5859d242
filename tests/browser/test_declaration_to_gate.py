"""The main way through a port in a real Chromium: inspected with the phone offline in the middle, judged and released on the desk."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from hub.inspection.states import State
from simulators.port_day.acts import Port
from simulators.port_day.inspecting import Inspection
from simulators.port_day.stage import APPROVER, SUPERVISOR, open_stage, password_of
from storage.clock import SystemClock
from tests.browser_parts import FLAGS
from tests.scenarios.test_declaration_to_gate import FIRMS, bring, certain, selected
from web.browser_app import browser_app
from web.serving import Listener, serve

pytestmark = pytest.mark.browser
WAIT_MS = 60_000
PHOTO = b"\xff\xd8\xff" + b"the number of the box" * 2000


@dataclass
class Desk:
    """Browsers before a port in virtual time."""

    url: str
    port: Port
    browser: Browser

    async def page(self, name: str, path: str, *, width: int = 1280) -> Page:
        context = await self.browser.new_context(viewport={"width": width, "height": 800}, locale="en")
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        await page.goto(self.url + path)
        await page.fill("input[name=name]", name)
        await page.fill("input[name=password]", password_of(name))
        await page.click("login-form button[type=submit]")
        return page


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    async with open_stage(tmp_path, 7, FIRMS, SystemClock().now().wall_ns) as stage, async_playwright() as playwright:
        await certain(stage.hub.draws)
        app = browser_app(stage.hub, secure=False, closing=asyncio.Event())
        serving = await serve(app, Listener("browser port", "127.0.0.1", 0, None))
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        try:
            yield Desk(serving.url, Port.of(stage), browser)
        finally:
            await browser.close()
            app.state.closing.set()
            await serving.stop()
            await app.state.watching.close()


async def work_offline(page: Page, picture: Path, box: str) -> None:
    """Answer a question and photograph a box with no network, load the page anew, and come back into the network."""
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.context.set_offline(True)
    await expect(page.locator("phone-status")).to_contain_text(re.compile("Offline"), timeout=WAIT_MS)
    await _show(page, "#i/fruit-freshness")
    await page.click("[data-item=fruit-freshness] [data-option=conforms]")
    await page.click("#record")
    await page.wait_for_function("() => !location.hash.endsWith('fruit-freshness')")
    await _show(page, f"#i/container-photo/{box}")
    await page.set_input_files("[data-take=photo]", picture)
    await page.wait_for_selector("figure[data-file]")
    await page.click("#record")
    await page.wait_for_function("() => !location.hash.includes('container-photo')")
    await page.reload()
    await page.evaluate("location.hash = '#files'")
    await expect(page.locator(".work-list .work-ticks[data-state=phone]").first).to_be_visible(timeout=WAIT_MS)
    await page.context.set_offline(False)
    await expect(page.locator(".work-list .work-ticks:not([data-state=verified])")).to_have_count(0, timeout=WAIT_MS)


async def _show(page: Page, address: str) -> None:
    await page.evaluate("(hash) => { location.hash = hash; }", address)
    await page.wait_for_selector(f"question-card[data-item={address.split('/')[1]}]")


async def judge_on_the_desk(desk: Desk, number: str) -> None:
    page = await desk.page(SUPERVISOR, f"/desk/{number}")
    form = page.locator("form.verdict-form")
    await form.get_by_label("Pass").first.check()
    await form.get_by_label("Reason").fill("conforms")
    await form.get_by_role("button", name="Give verdict").click()
    yes = page.get_by_role("dialog").get_by_role("button", name="Give verdict")
    await expect(yes).to_be_enabled()
    await yes.click()
    await expect(page.get_by_role("button", name="Approve release")).to_be_visible(timeout=WAIT_MS)
    await page.context.close()


async def release_on_the_desk(desk: Desk, number: str) -> None:
    page = await desk.page(APPROVER, "/desk")
    card = page.get_by_role("region", name="Ready").get_by_role("article", name=number)
    await card.get_by_role("button", name="Approve release").click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Approve release")
    await expect(confirm).to_be_enabled()
    await confirm.click()
    await expect(page.get_by_role("status").filter(has_text=number)).to_be_visible(timeout=WAIT_MS)
    await page.context.close()


async def test_from_declaration_to_gate_with_the_phone_offline_in_the_middle(desk: Desk, tmp_path: Path) -> None:
    port, picture = desk.port, tmp_path / "box.jpg"
    picture.write_bytes(PHOTO)
    number = await selected(port, bring("fruit", port.stage))
    inspection = Inspection(port, number)
    await inspection.dispatch()
    await inspection.position()
    await inspection.begin()
    [task] = inspection.tasks
    lead, box = task.inspectors[0], port.cargoes[number].containers[0]
    phone = await desk.page(lead, "/work", width=360)
    await phone.click(f"[data-task={task.task}]")
    await phone.wait_for_selector("checklist-menu [data-section]")
    await work_offline(phone, picture, box)
    acts = await port.stage.hub.fieldwork.acts.list(task.task)
    assert [(act.kind, act.by) for act in acts] == [("answers", lead), ("answers", lead)]
    assert acts[1].payload["answers"][0]["value"] == [hashlib.sha256(PHOTO).hexdigest()]
    async for _pause_s in inspection.work(task):  # a second phone of the lead answers the rest; then all three sign
        port.stage.clock.pass_s(10)
    await inspection.finish()
    await phone.context.close()
    await judge_on_the_desk(desk, number)
    await release_on_the_desk(desk, number)
    assert await port.state(number) is State.RELEASED
    await port.move(number, "GTOT", "gate-1", expected="applied")
    page = await desk.page(SUPERVISOR, f"/declarations/{number}")
    await expect(page.locator("main")).to_contain_text(number, timeout=WAIT_MS)
    assert await port.state(number) is State.GATE_OUT
    assert await port.told(number) == ["HOLD", "HOLD", "RELEASE", "RELEASE"]
    assert await port.stage.check() == ()
