"""Rules and procedures at a real hub in a real Chromium: written, checked, tried, proposed; approved by another login; put to work."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hub.inspection.states import State
from tests.browser_parts import Desk, open_desk
from tests.inspection_parts import arriving_soon
from tests.web_parts import open_face, password_of

pytestmark = pytest.mark.browser
SHOTS = os.environ.get("PORTWITNESS_SCREENSHOTS")  # a folder to look at the pages afterwards
EXPRESSION = "any goods (origin = 'TH' and hs starts '0810')"
FRUIT = {"name": "水果", "name_en": "fruit", "hs": ["08"], "qualification": "fruit", "procedure": "fruit", "base_rate_ppm": 50_000}
NOTICE = {"title": "榴莲农残", "title_en": "residues in durian", "hs": ["081060"], "weight": 20, "start": "2020-01-01"}
AREA = {"origin": "TH", "hs": ["0810"], "disease": "实蝇", "disease_en": "fruit fly", "measure": "warn", "start": "2020-01-01"}


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    async with open_face(tmp_path) as face:
        await face.hub.procedures.publish_shipped()
        async with open_desk(face, chromium) as found:
            yield found


async def enter(desk: Desk, name: str, path: str, language: str = "en", width: int = 1280) -> Page:
    page = await desk.page(name, width=width, language=language)
    await page.goto(f"{desk.url}{path}")
    return page


async def shot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


async def fits(page: Page) -> None:
    """Assert that nothing makes the page scroll sideways."""
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


async def screened(desk: Desk, at: int) -> str:
    form = arriving_soon(desk.face.clock, reference=f"SIM-{at}", bill=f"SIMU{at:08d}")
    number = (await desk.face.hub.declarations.lodge(form, "trader.wu")).number
    while await desk.face.hub.screening.go_on():
        pass
    return number


async def write_rule(page: Page, before: str) -> None:
    """Write a rule, mend its condition where the page says, try it, and propose it."""
    await page.get_by_role("button", name="New rule").first.click()
    await page.get_by_label("Key").fill("th-durian")
    await page.get_by_label("Title in Chinese").fill("泰国榴莲")
    await page.get_by_label("Title in English").fill("Durian of Thailand")
    condition = page.locator("textarea[name=when]")
    await condition.fill("any goods (vessel = 'x')")
    await expect(page.locator("#expression-verdict")).to_contain_text("at character 12")
    await page.get_by_role("button", name="Go there").click()
    assert await condition.evaluate("one => one.selectionStart") == 11
    await condition.fill(EXPRESSION)
    await expect(page.locator("#expression-verdict")).to_contain_text("The condition reads")
    await page.get_by_role("button", name="Try on past data").click()
    await expect(page.locator("rule-editor")).to_contain_text("Hits 1 of 1 declarations")
    await page.get_by_text("Declarations that it hits").click()
    await expect(page.locator("rule-editor")).to_contain_text(before)
    await page.get_by_label("Reason of the proposal").first.fill("intelligence of last week")
    await shot(page, "rules-editor-1280")
    await page.locator("rule-editor button.primary").click()


async def show_parts(page: Page, number: str) -> None:
    """Put the parts of a declaration's risk on a page, as any page may."""
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.evaluate(
        "number => { const one = document.createElement('risk-parts'); one.setAttribute('declaration', number); one.className = 'card';"
        " document.querySelector('main').replaceChildren(one); }",
        number,
    )


async def test_a_rule_is_written_tried_approved_by_another_and_sends_a_declaration_red(desk: Desk) -> None:
    hub = desk.face.hub
    for category, key, value in (("goods", "fruit", FRUIT), ("notice", "n-7", NOTICE), ("area", "th-fly", AREA)):
        await hub.references.put(category, key, value, "admin")
    before = await screened(desk, 1)
    page = await enter(desk, "chen.min", "/rules")
    await expect(page.locator("rules-page")).to_contain_text("There are no targeting rules yet")
    await expect(page.locator("rules-page")).to_contain_text("residues in durian")
    await write_rule(page, before)
    mine = page.locator("article[data-rule=th-durian]")
    await expect(mine).to_contain_text("another person must log in")
    await expect(mine.get_by_role("button", name="Approve")).to_have_count(0)
    second = await enter(desk, "zhou.jun", "/rules", "zh-CN", 360)
    theirs = second.locator("article[data-rule=th-durian]")
    await expect(theirs).to_contain_text("泰国榴莲")
    await fits(second)
    await shot(second, "rules-desk-360")
    await theirs.get_by_label("理由").fill("同意")
    await theirs.get_by_role("button", name="批准").click()
    await expect(second.locator("rules-page details.card", has_text="th-durian")).to_contain_text("现行")
    number = await screened(desk, 2)
    assert (await hub.declarations.get(number)).state is State.SCREENED
    await show_parts(second, number)
    parts = second.locator("risk-parts")
    await expect(parts.locator(".badge").first).to_have_text("红色通道")
    for words in ("强制进入此通道： 布控规则 th-durian", "未附任何单证", "警示通报 n-7"):
        await expect(parts).to_contain_text(words)
    await shot(second, "risk-parts-1280")


async def test_a_rule_is_withdrawn_by_two_at_one_desk(desk: Desk) -> None:
    rules = desk.face.hub.rules
    rule = {"title": "泰国榴莲", "title_en": "Durian", "owner": "chen.min", "when": EXPRESSION, "effect": "hold", "start": "2020-01-01"}
    await rules.approve("th-durian", (await rules.propose("th-durian", rule, "chen.min", "first")).version, "zhou.jun", "agreed")
    page = await enter(desk, "chen.min", "/rules")
    group = page.locator("rules-page details.card", has_text="th-durian")
    await group.locator("summary").first.click()
    await group.get_by_text("Withdraw this version").click()
    await group.get_by_label("Reason").last.fill("over")
    await group.get_by_label("Second person's user name").fill("zhou.jun")
    await group.get_by_label("Second person's password").fill(password_of("zhou.jun"))
    await shot(page, "rules-1280")
    await group.get_by_role("button", name="Withdraw, by two").click()
    await expect(group).to_contain_text("Withdrawn")
    async with asyncio.timeout(5):
        assert (await rules.in_force()).targets == {}


async def test_a_procedure_is_changed_with_its_faults_by_line_and_published_by_another(desk: Desk) -> None:
    hub = desk.face.hub
    page = await enter(desk, "chen.min", "/procedures", "zh-CN", 360)
    await expect(page.locator("tbody tr").first).to_contain_text("船舶")
    await fits(page)
    await shot(page, "procedures-360")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await shot(page, "procedures-1280")
    await page.get_by_role("link", name="进境水果").click()
    await expect(page.locator("h1")).to_contain_text("水果")
    await page.get_by_role("button", name="编写新版本").click()
    text = page.locator("textarea[name=text]")
    await expect(page.locator("#procedure-verdict")).to_contain_text("可读：第 2 版")
    sound = await text.input_value()
    await text.fill(sound.replace("- key: fruit-place", "- key: Fruit Place"))
    await expect(page.locator("#procedure-verdict")).to_contain_text("行第")
    await expect(page.locator("#procedure-verdict")).to_contain_text("须为小写字母")
    await shot(page, "procedure-fault-1280")
    await text.fill(sound.replace("zh: 果园注册号", "zh: 果园注册编号"))
    await expect(page.locator("#procedure-verdict")).to_contain_text("可读：第 2 版")
    await page.locator("procedures-page form").get_by_label("提出理由").fill("用词更正")
    await page.get_by_role("button", name="提出，待他人批准").click()
    await expect(page.locator("procedures-page")).to_contain_text("须由另一人登录后批准")
    other = await enter(desk, "zhou.jun", "/procedures/fruit")
    await expect(other.locator("text-difference ins")).to_contain_text(["version: 2", "果园注册编号"])
    await shot(other, "procedure-difference-1280")
    await other.get_by_label("Reason").fill("read and agreed")
    await other.get_by_role("button", name="Approve").click()
    await expect(other.locator("procedures-page")).to_contain_text("Recorded")
    async with asyncio.timeout(5):
        assert (await hub.procedures.in_force("fruit", hub.procedures.today())).version == 2
    inspector = await enter(desk, "li.wei", "/procedures/fruit", width=360)
    await expect(inspector.locator("procedures-page")).to_contain_text("Steps and records")
    await expect(inspector.get_by_role("button", name="Write a new version")).to_have_count(0)
    await fits(inspector)
    await shot(inspector, "procedure-360")
