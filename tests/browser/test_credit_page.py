"""Credit and samples at a real hub in a real Chromium: an event, the grade falls, an appeal, another upholds it, the grade is back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import FilePayload, Locator, Page, expect

from hub.inspection.credit import CreditDraft
from protocol.drawing.policy import PARTS
from storage.keys import create_ed25519
from tests.browser_parts import Desk, open_desk
from tests.contracts.test_draws import TWO, drawn, policy_for, screen
from tests.contracts.test_laboratory import on_site
from tests.contracts.test_stories import TASK, dispatched
from tests.contracts.test_supervision import looks_drawn
from tests.web_parts import open_face, password_of

pytestmark = pytest.mark.browser
FIRM = "91210200MA0SIM001X"
INVOICE = FilePayload(name="invoice.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7 invoice" + b"x" * 2_500_000)
REPORT = FilePayload(name="report.pdf", mimeType="application/pdf", buffer=b"%PDF-1.7 report")


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    (tmp_path / "keys").mkdir()
    async with open_face(tmp_path, create_ed25519(tmp_path / "keys" / "log.key")) as face, open_desk(face, chromium) as found:
        yield found


async def enter(desk: Desk, name: str, path: str, width: int = 1280, language: str = "en") -> Page:
    page = await desk.page(name, width=width, language=language)
    await page.goto(f"{desk.url}{path}")
    await expect(page.locator("main h1")).to_be_visible()
    return page


async def fetched(page: Page, link: Locator) -> bytes:
    async with page.expect_download() as started:
        await link.click()
    return await asyncio.to_thread((await (await started.value).path()).read_bytes)


async def test_an_event_an_appeal_and_a_second_persons_decision(desk: Desk) -> None:
    await desk.face.hub.credits.add(CreditDraft(FIRM, "registered", "entered", day="2020-01-01"), "zhou.jun")
    page = await enter(desk, "chen.min", "/credit")
    row = page.locator("tbody tr", has_text=FIRM)
    await expect(row).to_contain_text("in draws grade B")
    await row.get_by_role("link").focus()
    await page.keyboard.press("Enter")
    ciq = page.get_by_role("region", name="Inspection and quarantine")
    await expect(ciq).to_contain_text("100 points, grade A")
    await page.get_by_text("Put an event on record").click()
    await page.locator("select[name=item]").select_option("false-declaration")
    await expect(page.get_by_label("Points, where")).to_be_enabled()
    await page.get_by_label("What happened").fill("durian declared as apples")
    await page.get_by_role("button", name="Put on record").click()
    await expect(ciq).to_contain_text("24 (this cycle) and 0 (last cycle): 76 points")
    await expect(page.locator(".verdict")).to_contain_text("no release without a check")
    trader = await enter(desk, "shen.mao", "/credit", width=360, language="zh-CN")
    event = trader.locator("[data-event]", has_text="不如实申报")
    await expect(event).to_contain_text("计入")
    await expect(event).not_to_contain_text("chen.min")
    await event.get_by_text("对此申诉").click()
    await event.get_by_label("理由").fill("是苹果")
    await event.get_by_label("证明文件").set_input_files(INVOICE)
    await event.get_by_role("button", name="提交申诉").click()
    await expect(event).to_contain_text("申诉中")
    await expect(event.get_by_role("link", name="invoice.pdf")).to_be_visible()
    assert await trader.evaluate("document.documentElement.scrollWidth <= innerWidth")
    mine = page.locator("[data-event]", has_text="false declaration")
    await expect(mine).to_contain_text("You put this on record: somebody else must decide.")
    second = await enter(desk, "zhou.jun", f"/credit/{FIRM}")
    theirs = second.locator("[data-event]", has_text="false declaration")
    assert await fetched(second, theirs.get_by_role("link", name="invoice.pdf")) == INVOICE["buffer"]
    await theirs.get_by_label("Reason").fill("weighed and seen")
    await theirs.get_by_role("button", name="Uphold the appeal").click()
    await expect(theirs.locator("s").first).to_have_text("false declaration")
    await expect(second.get_by_role("region", name="Inspection and quarantine")).to_contain_text("100 points, grade A")
    await expect(second.locator(".verdict")).not_to_contain_text("no release without a check")
    await second.get_by_label("Grade on the day").fill("2021-05-01")
    await second.get_by_label("as was known then").check()
    await second.get_by_role("button", name="Show").click()
    await expect(second.locator("main")).to_contain_text("Nothing is on record.")


async def test_the_page_says_what_a_draw_reckons_with(desk: Desk) -> None:
    hub = desk.face.hub
    for item in ("registered", "false-declaration"):
        await hub.credits.add(CreditDraft(FIRM, item, "entered", day="2020-01-01" if item == "registered" else None), "zhou.jun")
    page = await enter(desk, "shen.mao", "/credit", width=360)
    await expect(page.locator(".verdict")).to_contain_text("in draws grade C")
    await expect(page.locator("main")).to_contain_text("No draw policy is in force.")
    await hub.draws.set_policy(await policy_for(hub, grades={"A": 0, "C": PARTS // 8}), *TWO)
    await page.reload()
    await expect(page.locator(".verdict")).to_contain_text("in draws grade C: a chance of 12.5 % is added")
    await expect(page.locator("main")).to_contain_text("aim at 200 % of the usual rate of checks; no draw reckons with that figure")
    await page.locator("summary", has_text="Appeal").first.click()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.click("#language")
    await expect(page.locator(".verdict")).to_contain_text("抽取时按 C 级，另加 12.5% 的概率")


async def test_a_sample_is_drawn_sealed_received_and_reported_on(desk: Desk) -> None:
    number = await on_site(desk.face.hub)
    await desk.face.hub.references.put("partner", "customs-1", {"name": "技术中心", "role": "laboratory"}, "admin", "listed")
    page = await enter(desk, "chen.min", f"/samples?declaration={number}")
    await expect(page.get_by_role("region", name="Sampling plan")).to_contain_text("Take 57; accept with at most 0")
    await page.locator("summary", has_text="Draw a sample").click()
    form = page.locator("form", has=page.get_by_role("button", name="Draw a sample"))
    for name, text in (("laboratory", "customs-1"), ("what", "durian flesh"), ("amount", "2.5"), ("unit", "kg"), ("packages", "7, 31")):
        await form.locator(f"input[name={name}]").fill(text)
    await form.get_by_role("button", name="Draw a sample").click()
    await page.get_by_role("link", name=f"{number}-S01").click()
    await page.get_by_label("Number of the seal").fill("S-77")
    await page.get_by_role("button", name="Seal it").click()
    await page.get_by_label("To whom").fill("driver Sun")
    await page.get_by_role("button", name="Hand it over").click()
    await expect(page.locator("dl")).to_contain_text("on its way")
    lab = await enter(desk, "port.desk", f"/samples/{number}-S01", width=360)
    await lab.get_by_label("The seal is whole").check()
    await lab.get_by_label("Condition and temperature").check()
    await lab.get_by_role("button", name="Confirm that it came").click()
    await lab.get_by_label("Number of the report").fill("R-1")
    await lab.get_by_label("negative").check()
    await lab.get_by_label("Values").fill("cadmium: 0.01 mg/kg")
    await lab.get_by_label("File of the report").set_input_files(REPORT)
    await lab.get_by_role("button", name="Report the result").click()
    await expect(lab.locator("dl .badge")).to_have_text("negative")
    assert await lab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await expect(page.locator("ol.steps")).to_contain_text("cadmium 0.01 mg/kg")
    assert await fetched(page, page.get_by_role("link", name="Report", exact=True)) == REPORT["buffer"]


async def test_two_persons_put_a_rule_set_in_force(desk: Desk) -> None:
    page = await enter(desk, "admin", "/credit", width=360)
    await page.get_by_text("Rules: Inspection and quarantine").click()
    card = page.locator("rule-set-card").first
    await expect(card).to_contain_text("the shipped one (ciq/1) holds, unverified")
    text = card.get_by_label("Rule set (JSON)")
    await text.fill((await text.input_value()).replace('"version": 1', '"version": 2'))
    await card.get_by_label("Second person", exact=True).fill("chen.min")
    await card.get_by_label("Password of the second person").fill("not this one")
    await card.get_by_label("Reason").fill("as the site decided")
    await card.get_by_role("button", name="Put in force").click()
    await expect(card.locator(".notice.bad")).to_contain_text("name or password is wrong")
    await card.get_by_label("Password of the second person").fill(password_of("chen.min"))
    await card.get_by_role("button", name="Put in force").click()
    await expect(page.locator("rule-set-card").first.get_by_label("Rule set (JSON)")).to_be_visible()
    await expect(page.locator("rule-set-card").first).to_contain_text("In force: ciq/2")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_findings_of_a_second_look_lead_to_recall_and_to_the_record(desk: Desk) -> None:
    hub = desk.face.hub
    number = await dispatched(hub)
    await hub.tasks.end(TASK, "chen.min")
    await screen(hub, 1, first=5)
    await drawn(hub)
    await looks_drawn(hub, 1)
    await hub.second_looks.assign(TASK, "zhou.jun", "chen.min")
    look = await hub.second_looks.find(TASK, "findings", "the seal is another", "zhou.jun")
    assert look.declaration == number and look.enterprise is not None
    page = await enter(desk, "chen.min", "/alarms", width=360)
    steps = page.get_by_role("group", name=f"Next steps for {TASK}")
    await expect(steps.get_by_role("link", name="Recall at the release desk")).to_have_attribute("href", f"/desk/{number}")
    await page.goto(f"{desk.url}/looks")
    await page.get_by_role("button", name="Include finished").click()
    await steps.get_by_role("link", name="Recall at the release desk").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(number)
    await page.goto(f"{desk.url}/alarms")
    await steps.get_by_role("link", name="Put on the credit record").click()
    evidence = page.locator("input[name=evidence]")
    await expect(evidence).to_have_value(f"record {look.found_at}, task {TASK}, declaration {number}")
    await expect(page.locator("select[name=item]")).to_be_focused()
    await page.locator("select[name=item]").select_option("false-declaration")
    await page.locator("textarea[name=detail]").fill("another seal than was said")
    await page.get_by_role("button", name="Put on record").click()
    await expect(page.locator("[data-event]")).to_contain_text(f"task {TASK}")
    await expect(page.locator("input[name=evidence]")).to_have_value("")
    story = await hub.stories.declaration(number)
    assert [entry.kind for entry in story.entries if entry.lane == "credit"] == ["credit-event"]
