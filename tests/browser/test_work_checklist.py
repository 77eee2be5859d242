"""A whole checklist worked on the phone: every question of the fruit procedure by its type, until the hub misses none of them."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, FilePayload, Geolocation, Locator, Page, expect

from tests.browser_parts import FLAGS
from tests.phone_parts import WAIT_MS, Site, log_in, open_site, show

pytestmark = pytest.mark.browser
BOX = "CSQU3054383"
MEDIA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture
async def site(tmp_path: Path, chromium: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, chromium) as found:
        yield found


@pytest.fixture
async def browser(site: Site) -> AsyncIterator[Browser]:
    made = await site.playwright.chromium.launch(executable_path=str(site.program), args=[*FLAGS, *MEDIA], headless=True)
    yield made
    await made.close()


async def sign(page: Page, card: Locator) -> None:
    pad = card.locator("canvas.work-pad")
    await pad.scroll_into_view_if_needed()
    box = await pad.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 30)
    await page.mouse.down()
    for step in range(1, 9):
        await page.mouse.move(box["x"] + 20 + step * 20, box["y"] + 30 + (step % 3) * 20)
    await page.mouse.up()
    await card.locator("input[name=signer]").fill("王经理")
    await card.locator("[data-take=signature]").click()


async def answer(page: Page, card: Locator, item: dict[str, Any]) -> None:
    """Answer one question as a person does, by its type."""
    kind = item["type"]
    if kind in ("choice", "multi"):
        good = [option["key"] for option in item["options"] if not option.get("fails")]
        await card.locator(f"[data-option={good[0]}]").click()
    elif kind == "number":
        await card.locator(".work-number input").fill(item.get("least", "1"))
    elif kind == "text":
        await card.locator("textarea").fill("完好 ok")
    elif kind == "date-time":
        await card.locator("[data-now]").click()
    elif kind == "gps":
        await card.get_by_role("button", name="Locate").click()
    elif kind == "barcode":
        await card.locator(".work-code input").fill("SH123456")
    elif kind == "signature":
        await sign(page, card)
    elif kind == "audio":
        await card.locator("button[data-take=audio]").click()
        await card.locator("button.danger[data-heard]").click()
    else:
        made: list[FilePayload] = [
            {"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": os.urandom(500)} for number in range(int(item.get("least", "1")))
        ]
        await card.locator(f"[data-take={kind}]").set_input_files(made)
    await card.locator("xpath=self::*[@data-kept]").wait_for()


async def test_every_type_of_question_is_answered_until_the_hub_misses_none(site: Site, browser: Browser) -> None:
    lead = site.team[0]
    place: Geolocation = {"latitude": 38.95, "longitude": 121.65}
    context = await browser.new_context(
        viewport={"width": 360, "height": 740}, locale="en", geolocation=place, permissions=["geolocation", "microphone"]
    )
    page = await context.new_page()
    await log_in(site, page, lead)
    whole = await site.face.hub.fieldwork.site.show(site.task, lead)
    answered: set[str] = set()
    for section in whole.procedure["sections"]:
        items = {item["key"]: item for item in section["items"]}
        await page.evaluate("(hash) => { location.hash = hash; }", f"#s/{section['key']}{f'/{BOX}' if section.get('per') else ''}")
        await page.wait_for_selector(f"question-card[data-item={section['items'][0]['key']}]")
        for _ in range(3):  # an answer may ask for more
            shown = await page.locator("question-card").evaluate_all("all => all.map((one) => one.dataset.item)")
            asked = [key for key in shown if key not in answered]
            for key in asked:
                await answer(page, page.locator(f"question-card[data-item={key}]"), items[key])
            answered |= set(asked)
            if not asked:
                break
            await page.click("#record")
            await expect(page.locator("#record")).to_be_disabled(timeout=WAIT_MS)
            await expect(page.locator("question-card .work-answer")).to_have_count(len(shown), timeout=WAIT_MS)
    kinds = {item["type"] for section in whole.procedure["sections"] for item in section["items"] if item["key"] in answered}
    assert kinds >= {"choice", "number", "text", "date-time", "gps", "barcode", "photo", "audio", "video", "signature"}
    await show(page, "#missing")
    await expect(page.locator("phone-status")).to_contain_text("All sent", timeout=WAIT_MS)
    async with asyncio.timeout(60), site.face.hub.events.subscribe() as told:
        while lacking := [one for one in (await site.face.hub.fieldwork.site.show(site.task, lead)).missing if one.what == "item"]:
            assert {one.reason for one in lacking} == {"file not at the hub"}, lacking
            await anext(told)
    await expect(page.locator("missing-list")).not_to_contain_text("not answered")
    acts = await site.acts()
    assert all(act.chain == "" for act in acts)
    touched = [one for act in acts for one in act.payload["answers"] if isinstance(one["value"], str)]
    assert len(touched) > 20 and all(one["dwell_ms"] > 0 for one in touched)
