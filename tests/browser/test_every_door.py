"""Every door of every role in a real browser: nothing unlabeled, nothing untranslated, nothing wider than a phone, and only one's own."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser_parts import Desk

pytestmark = pytest.mark.browser

WORDS = json.loads((Path(__file__).parents[2] / "web" / "static" / "locales" / "en.json").read_text())
GROUPS = {key.split(".")[0] for key in WORDS}
KEY = re.compile(r"(?<![\w./:@-])([a-z]+)\.([a-z][a-z0-9-]+)(?![\w./@-])")
ROLES = {"supervisor": "chen.min", "inspector": "li.wei", "administrator": "admin"}
NAMELESS = """() => {
  const named = (one) => one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.title || one.textContent.trim()
    || one.closest('label') || (one.id && document.querySelector(`label[for="${one.id}"]`)) || one.placeholder
    || one.querySelector('img[alt]:not([alt=""])');
  const controls = 'button, a[href], input:not([type=hidden]), select, textarea, [role=button], canvas[tabindex], [role=slider]';
  return [...document.querySelectorAll(controls)].filter((one) => one.getClientRects().length && !named(one))
    .map((one) => one.outerHTML.slice(0, 160));
}"""
LARGEST = """() => {
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  return {wide: document.documentElement.scrollWidth - innerWidth, twice: ids.filter((id, at) => ids.indexOf(id) !== at),
    heads: document.querySelectorAll('main h1').length};
}"""


async def faults_of(page: Page, place: str) -> list[str]:
    """Say what is wrong with the page that is shown."""
    found = [f"{place}: no name: {one}" for one in await page.evaluate(NAMELESS)]
    shape = await page.evaluate(LARGEST)
    found += [f"{place}: {shape['wide']} px too wide"] if shape["wide"] > 0 else []
    found += [f"{place}: id {one} twice" for one in shape["twice"]]
    found += [f"{place}: {shape['heads']} headings of the first level"] if shape["heads"] != 1 else []
    text = await page.locator("body").inner_text()
    keys = {match[0] for match in KEY.finditer(text) if match[1] in GROUPS and match[0] not in ROLES.values()}
    found += [f"{place}: not translated: {one}" for one in sorted(keys)]
    return found


async def all_doors(page: Page) -> list[str]:
    """Give the addresses of all doors in the menu, opening the sheet of a phone where there is one."""
    more = page.locator("main-menu .more")
    if await more.count():
        await more.click()
    found = await page.locator("main-menu nav a").evaluate_all("all => all.map((one) => one.getAttribute('href'))")
    return sorted(set(found))


@pytest.mark.parametrize("role", ROLES)
async def test_each_door_of_a_role_keeps_its_manners_on_a_phone(desk: Desk, role: str) -> None:
    faults: list[str] = []
    for language in ("zh-CN", "en"):
        page = await desk.page(ROLES[role], width=360, language=language)
        doors = await all_doors(page)
        assert doors, "no door at all"
        for door in doors:
            await page.goto(f"{desk.url}{door}?lang={language}")
            await page.wait_for_selector("main h1", timeout=15_000)
            await expect(page.locator("main .pulse")).to_have_count(0, timeout=15_000)
            faults += await faults_of(page, f"{role} {language} {door}")
        await page.context.close()
    assert faults == []


async def test_a_role_is_not_let_through_another_ones_door(desk: Desk) -> None:
    doors = {}
    for role, name in ROLES.items():
        page = await desk.page(name, width=360, language="en")  # where one sheet has them all
        doors[role] = set(await all_doors(page))
        await page.context.close()
    for role, name in ROLES.items():
        page = await desk.page(name, width=1280, language="en")
        for door in sorted(set().union(*doors.values()) - doors[role] - {"/pair"}):
            await page.goto(f"{desk.url}{door}")
            await expect(page.locator("main")).to_contain_text("Your role may not open this page")
        await page.context.close()


async def test_the_menu_is_worked_by_keyboard_alone(desk: Desk) -> None:
    page = await desk.page("admin", width=360, language="en")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    more = page.locator("main-menu .more")
    await more.focus()
    await page.keyboard.press("Enter")
    await expect(more).to_have_attribute("aria-expanded", "true")
    await expect(page.locator(".all-doors a").first).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(more).to_have_attribute("aria-expanded", "false")
    await expect(more).to_be_focused()


async def test_a_newcomer_is_told_what_to_do_and_counts_stand_beside_doors(desk: Desk) -> None:
    page = await desk.page("admin", width=1280, language="en")
    await expect(page.locator("start-page")).to_contain_text("The first steps, in this order")
    await expect(page.get_by_role("link", name="Enrol a box, so that cameras record")).to_have_attribute("href", "/devices")
    await desk.face.hub.alarms.ring("equivocation", "box-1", "epoch 1 position 3")
    await expect(page.locator("main-menu .count").first).to_have_text("1")
    await page.get_by_role("link", name="1 alarms to look at").click()
    await expect(page.locator("alarm-inbox")).to_be_visible()
