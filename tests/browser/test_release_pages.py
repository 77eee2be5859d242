"""The release desk and the port's messages at a real hub in a real Chromium: blocked, mended, approved, told; and an override in red."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hub.config import ExchangeSettings
from simulators.partners.webhook import WebhookReceiver
from storage.clock import SystemClock
from tests.browser_parts import Desk, open_desk
from tests.exchange_parts import TERMINAL, codeco, event, gate_out, know_partners, telling
from tests.release_parts import TO_INSPECTING, evidence_in_log, find_again, lose, stand
from tests.web_parts import open_face, password_of

pytestmark = pytest.mark.browser
FIRST, SECOND = "D-20261124-0000001", "D-20261124-0000002"


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    quick = ExchangeSettings(retry_seconds=0.05)
    async with open_face(tmp_path, exchange=quick) as face, open_desk(face, chromium) as found:
        yield found


async def seen(page: Page, name: str) -> None:
    """Keep a picture for people, where a folder is told."""
    folder = os.environ.get("PORTWITNESS_PICTURES")
    if folder:
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


async def test_blocked_then_mended_approved_and_told(desk: Desk) -> None:
    hub = desk.face.hub
    async with WebhookReceiver(hub.deliveries.key, SystemClock()) as receiver:
        await know_partners(hub, receiver.url, ways=["json"])
        evidence_in_log(hub)
        await stand(hub, [FIRST, SECOND], TO_INSPECTING)
        await lose(hub, FIRST)
        await lose(hub, SECOND)
        page = await desk.page("chen.min", width=1280, language="en")
        await page.goto(f"{desk.url}/desk")
        blocked = page.get_by_role("region", name="Blocked")
        card = blocked.get_by_role("article", name=FIRST)
        await expect(card).to_contain_text("Must-record video of step open: break too long")
        await expect(card).to_contain_text("To be fixed by Li.Wei, Wang.Fang.")
        await seen(page, "desk-1280-en")
        await find_again(hub, FIRST)
        await hub.releases.evaluate(FIRST, "pass", "li.wei", "all in order")
        ready = page.get_by_role("region", name="Ready").get_by_role("article", name=FIRST)
        await ready.get_by_role("button", name="Approve release").click()
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("The port is told at once")
        confirm = dialog.get_by_role("button", name="Approve release")
        assert await confirm.is_disabled(), "a double-tap does nothing"
        await expect(confirm).to_be_enabled()
        await seen(page, "desk-dialog-1280-en")
        await confirm.click()
        await expect(page.get_by_role("status").filter(has_text=FIRST)).to_be_visible()
        async with asyncio.timeout(60), hub.events.subscribe() as told:
            while not receiver.good():
                await anext(told)
        assert [(one.value["messageType"], one.value["declarationReference"]) for one in receiver.good()] == [("RELEASE", FIRST)]
        await _override(page)
        await _messages(desk, page)


async def _override(page: Page) -> None:
    """Two persons release the other one; it is red for ever, and the second types the own password."""
    card = page.get_by_role("region", name="Blocked").get_by_role("article", name=SECOND)
    await card.get_by_role("button", name="Release against the evidence").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("vaccines spoil")
    await dialog.get_by_label("Second supervisor").fill("zhou.jun")
    await dialog.get_by_label("Their password").fill("not this one")
    yes = dialog.get_by_role("button", name="Release against the evidence")
    await expect(yes).to_be_enabled()
    await yes.click()
    await expect(dialog.get_by_role("alert")).to_contain_text("name or password is wrong")
    await dialog.get_by_label("Their password").fill(password_of("zhou.jun"))
    await yes.click()
    red = page.get_by_role("region", name="Released against the evidence").get_by_role("article", name=SECOND)
    await expect(red).to_contain_text("by Chen.Min and Zhou.Jun")
    await expect(red).to_contain_text("vaccines spoil")
    await red.get_by_role("link", name=SECOND).click()
    await expect(page.locator("inspection-verdict")).to_contain_text("Released against the evidence")
    await seen(page, "verdict-1280-en")


async def _messages(desk: Desk, page: Page) -> None:
    hub = desk.face.hub
    await hub.exchange.take(TERMINAL, telling("T-1", event("GTOT", declarationReference=FIRST)), "application/json")
    await hub.references.put("partner", "edi", {"name": "Edi", "role": "carrier", "ways": ["edifact"], "edifact_id": "EDI"}, "admin", "x")
    await hub.exchange.take("edi", codeco("5", gate_out(), sender="EDI").replace(b"UNZ+1", b"UNZ+2"), "application/edifact")
    await page.goto(f"{desk.url}/exchange")
    terminal = page.get_by_role("region", name=TERMINAL)
    await expect(terminal).to_contain_text("In order")
    row = page.locator("tbody tr", has_text="edi").filter(has_text="Rejected")
    await row.get_by_role("button").click()
    await expect(page.get_by_role("region", name="Message 1")).to_contain_text("UNZ says 2")
    await seen(page, "exchange-1280-en")
    await page.get_by_role("button", name="Close").click()
    sent = page.locator("tbody tr", has_text="RELEASE").first
    await sent.get_by_role("button").click()
    await page.get_by_role("button", name="Send again").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("they lost it")
    yes = dialog.get_by_role("button", name="Send again")
    await expect(yes).to_be_enabled()
    await yes.click()
    await expect(dialog).to_have_count(0)


async def test_an_inspector_gives_a_verdict_at_phone_width_in_chinese(desk: Desk) -> None:
    hub = desk.face.hub
    await know_partners(hub)
    evidence_in_log(hub)
    await stand(hub, [FIRST], TO_INSPECTING)
    page = await desk.page("li.wei", width=360, language="zh")
    await page.goto(f"{desk.url}/desk/{FIRST}")
    form = page.locator("form.verdict-form")
    await expect(form.locator("input[type=radio]:checked")).to_have_count(0)
    await seen(page, "verdict-360-zh")
    await form.get_by_label("合格").first.check()
    await form.get_by_label("理由").fill("货证相符")
    await form.get_by_label("发现问题").fill("封识完好\n无有害生物")
    await form.get_by_role("button", name="提交评定").click()
    dialog = page.get_by_role("dialog")
    yes = dialog.get_by_role("button", name="提交评定")
    await expect(yes).to_be_enabled()
    await yes.click()
    await expect(page.locator("inspection-verdict")).to_contain_text("无有害生物")
    await expect(page.get_by_role("button", name="批准放行")).to_have_count(0)
    await page.context.close()
    page = await desk.page("chen.min", width=360, language="zh")
    await page.goto(f"{desk.url}/desk/{FIRST}")
    await expect(page.get_by_role("button", name="批准放行")).to_be_visible()
    await page.goto(f"{desk.url}/desk")
    await expect(page.get_by_role("region", name="可放行")).to_contain_text(FIRST)
    await seen(page, "desk-360-zh")
    await page.goto(f"{desk.url}/exchange")
    await expect(page.get_by_role("region", name=TERMINAL)).to_be_visible()
    await seen(page, "exchange-360-zh")
