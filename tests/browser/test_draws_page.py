"""The pages of draws at a real hub in a real Chromium: list, one draw with the parts of each probability, its bundle, its acts."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from protocol.drawing.judging import judge
from protocol.drawing.published import DrawBundle
from protocol.trust import Trust
from tests.browser_parts import Desk
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for, screen
from tests.web_parts import password_of

pytestmark = pytest.mark.browser


async def enter(desk: Desk, name: str, path: str, language: str = "en") -> Page:
    page = await desk.page(name, width=1280, language=language)
    await page.goto(f"{desk.url}{path}")
    return page


async def test_a_draw_is_shown_with_its_parts_and_taken_away_as_a_bundle(desk: Desk, tmp_path: Path) -> None:
    hub = desk.face.hub
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    numbers = await screen(hub, 3) + await screen(hub, 2, "red", 3)
    found = await drawn(hub)
    page = await enter(desk, "chen.min", "/draws")
    await page.get_by_role("link", name="Draw 1").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Draw 1")).to_be_visible()
    await page.get_by_role("button", name="Only selected").click()
    await expect(page.locator("tbody tr")).to_have_count(5)
    first = await page.locator("tbody tr").first.inner_text()
    assert numbers[0] in first and "fruit/TH" in first
    async with page.expect_download() as started:
        await page.locator("#bundle").click()
    file = tmp_path / "bundle.json"
    await (await started.value).save_as(file)
    trust = replace(Trust(hub.core.site, hub.core.hub_id, "0" * 64, hub.log.key))
    judged = judge(DrawBundle.parse(file.read_bytes()), trust)
    totals = {one.entry.id: f"{one.parts.total / 1e7:.2f} %" for one in judged.selection.drawn}
    for number in numbers:
        row = page.locator("tbody tr", has_text=number)
        await expect(row.locator("td").nth(5)).to_have_text(totals[number])
    async with page.expect_download() as started:
        await page.get_by_role("link", name="Page that makes a draw again").click()
    await (await started.value).save_as(tmp_path / "draw.html")
    assert b"judgeDraw" in await asyncio.to_thread((tmp_path / "draw.html").read_bytes)
    chosen = judged.final[0]
    await hub.draws.override(found.number, chosen.id, ["sun.yan"], *TWO)
    await expect(page.locator(".notice.bad")).to_contain_text("wang.fang, chen.jie: as agreed")
    await page.click("#language")
    await expect(page.locator(".notice.bad")).to_contain_text("人工变更")
    await expect(page.locator("thead")).to_contain_text("国家最低抽查率")
    assert json.loads(file.read_text())["format"] == "portwitness-draw/1"


async def test_a_supervisor_announces_a_draw_and_an_inspector_may_not(desk: Desk) -> None:
    hub = desk.face.hub
    page = await enter(desk, "chen.min", "/draws")
    await page.get_by_role("button", name="Announce a draw").click()
    await expect(page.locator(".notice.bad")).to_be_visible()
    admin = await enter(desk, "admin", "/draws")
    await expect(admin.locator("form .notice")).to_contain_text("No policy is in force")
    await admin.fill("input[name=second]", "admin")
    await admin.fill("input[name=second_password]", password_of("admin"))
    await admin.fill("input[name=reason]", "first policy")
    await admin.get_by_role("button", name="Put in force").click()
    await expect(admin.locator(".notice.bad")).to_contain_text("second person")
    await admin.fill("input[name=second]", "chen.min")
    await admin.get_by_role("button", name="Put in force").click()
    await expect(admin.locator(".notice.bad")).to_contain_text("name or password is wrong")
    await admin.fill("input[name=second_password]", password_of("chen.min"))
    await admin.get_by_role("button", name="Put in force").click()
    await expect(admin.locator("form")).to_contain_text("In force for draws announced from now on")
    assert (await hub.draws.policy()) == await hub.draws.proposal()
    await page.get_by_role("button", name="Announce a draw").click()
    await expect(page.locator("tbody tr")).to_contain_text("Announced")
    other = await enter(desk, "li.wei", "/draws", "zh-CN")
    await expect(other.locator("tbody tr")).to_contain_text("已公告")
    await expect(other.get_by_role("button", name="公告抽取")).to_have_count(0)
    async with asyncio.timeout(5):
        assert (await hub.draws.list())[0].state == "called"


async def vouched(page: Page, title: str, reason: str, *, wrong: bool = False) -> None:
    """Fill in what each act of two persons asks for, the password wrongly first where that is wished; it is told in the dialog."""
    dialog = page.get_by_role("dialog", name=title)
    await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_label("Second person").fill("zhou.jun")
    yes = dialog.get_by_role("button", name=title)
    await expect(yes).to_be_enabled()
    if wrong:
        await dialog.get_by_label("Their password").fill("not this one")
        await yes.click()
        await expect(dialog.get_by_role("alert")).to_contain_text("name or password is wrong")
    await dialog.get_by_label("Their password").fill(password_of("zhou.jun"))
    await yes.click()
    await expect(dialog).to_have_count(0)


def row_of(page: Page, number: str) -> Locator:
    return page.locator("tbody tr", has_text=number)


async def change_team(page: Page, desk: Desk, kept: str) -> None:
    """Let the lead step back, then put another team in the place of the one that stands."""
    hub = desk.face.hub
    lead = (await hub.draws.team(kept))[0]
    await expect(page.locator("tbody tr")).to_have_count(1)
    row, red = row_of(page, kept), page.locator(".notice.bad")
    await row.get_by_role("button", name="Step back").click()
    await page.get_by_role("dialog", name="Step back").get_by_label("Who steps back").select_option(lead)
    await vouched(page, "Step back", "knows the importer")
    await expect(red).to_contain_text(f"Stepped back {kept} {lead} · chen.min, zhou.jun: knows the importer")
    assert lead not in await hub.draws.team(kept)
    await row.get_by_role("button", name="Other team").click()
    dialog = page.get_by_role("dialog", name="Other team")
    await dialog.get_by_label("Lead").select_option("sun.yan")
    await dialog.get_by_label("Assistant").select_option("li.wei")
    await vouched(page, "Other team", "meat inside", wrong=True)
    await expect(red).to_contain_text(f"Overridden {kept} sun.yan, li.wei · chen.min, zhou.jun: meat inside")
    await expect(row).to_contain_text("sun.yan, li.wei")
    await expect(row.get_by_role("button", name="Step back")).to_have_count(0)
    assert await hub.draws.team(kept) == ("sun.yan", "li.wei")


async def test_two_persons_leave_out_step_back_and_override_on_the_pages(desk: Desk) -> None:
    hub = desk.face.hub
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    kept, out = await screen(hub, 2, "red")
    page = await enter(desk, "chen.min", "/draws")
    left = page.get_by_role("region", name="Left out of draws")
    await left.get_by_role("button", name="Leave out").click()
    dialog = page.get_by_role("dialog", name="Leave out")
    await expect(dialog).to_contain_text("shown in red for ever")
    await dialog.get_by_label("What").select_option("declaration")
    await dialog.get_by_label("Declaration number or").fill(out)
    await vouched(page, "Leave out", "a test lot", wrong=True)
    await expect(left.locator(".notice.bad")).to_contain_text(f"Left out Declaration {out}")
    await expect(left.locator(".notice.bad")).to_contain_text("chen.min, zhou.jun: a test lot")

    found = await drawn(hub)
    await page.goto(f"{desk.url}/draws/{found.number}")
    await change_team(page, desk, kept)

    await page.goto(f"{desk.url}/draws")
    await left.get_by_role("button", name="Take in again").click()
    await vouched(page, "Take in again", "no test lot")
    await expect(left.locator("li")).to_have_count(2)
    await expect(left.locator("li").first).to_contain_text(f"Taken in again Declaration {out}")
    await expect(left.get_by_role("button", name="Take in again")).to_have_count(0)
    await drawn(hub)
    assert await hub.draws.team(out) != ()

    other = await enter(desk, "li.wei", "/draws", "zh-CN")
    await expect(other.get_by_role("region", name="双人排除在抽取之外").locator(".notice.bad")).to_contain_text(f"排除 报检单 {out}")
    await expect(other.get_by_role("button", name="排除")).to_have_count(0)
    await other.goto(f"{desk.url}/draws/{found.number}")
    await expect(other.locator(".notice.bad")).to_contain_text("人工变更")
    await expect(row_of(other, kept).get_by_role("button")).to_have_count(0)
