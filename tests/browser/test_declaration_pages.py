"""The pages of declarations and reference data in a real Chromium: a trader lodges with faults, mends, sees it; the port sees it too."""

from datetime import date, timedelta
from typing import Any

import pytest
from playwright.async_api import Page, expect

from hub.inspection.states import State
from tests.browser_parts import Desk
from tests.inspection_parts import arriving_soon

pytestmark = pytest.mark.browser
SUMMARY = "declaration-form > .notice"


async def put(page: Page, path: str, text: str) -> None:
    await page.fill(f'[id="field:{path}"]', text)


async def fill_sound(page: Page, form: dict[str, Any]) -> None:
    for path in ("reference", "destination", "bill"):
        await put(page, path, form[path])
    for part in ("consignor", "consignee", "voyage"):
        for name, value in form[part].items():
            await put(page, f"{part}.{name}", value)
    goods = form["goods"][0]
    for name in ("name", "origin", "weight_kg", "package_kind", "quantity", "unit", "value", "currency"):
        await put(page, f"goods[0].{name}", str(goods[name]))
    await put(page, "goods[0].packages", str(goods["packages"]))


async def lodge_with_faults(page: Page, form: dict[str, Any]) -> None:
    await page.locator("main").get_by_role("link", name="New declaration").first.click()
    await expect(page.locator('[id="field:enterprise"]')).to_have_value("91210200MA0SIM001X")
    await fill_sound(page, form)
    await put(page, "goods[0].hs", "08")
    await put(page, "voyage.imo", "9074728")
    await page.get_by_role("button", name="Add a container").press("Enter")
    await expect(page.locator('[id="field:containers[0].number"]')).to_be_focused()
    await page.keyboard.type("CSQU3054384")
    await page.get_by_role("button", name="Lodge", exact=True).click()
    await expect(page.locator(SUMMARY)).to_contain_text("3 faults")
    for path in ("goods[0].hs", "voyage.imo", "containers[0].number"):  # each beside its field, all at once
        await expect(page.locator(f'[id="fault:{path}"]')).not_to_be_empty()
        assert await page.get_attribute(f'[id="field:{path}"]', "aria-invalid") == "true"
    await page.reload()  # nothing is lost by leaving
    await expect(page.locator(SUMMARY)).to_contain_text("is here again")
    await expect(page.locator('[id="field:bill"]')).to_have_value(form["bill"])


async def mend_and_lodge(page: Page) -> str:
    check = page.get_by_role("button", name="Check", exact=True)
    await check.click()
    await page.locator(SUMMARY).get_by_role("button", name="HS code").click()
    await expect(page.locator('[id="field:goods[0].hs"]')).to_be_focused()
    await put(page, "goods[0].hs", "0810600000")
    await put(page, "voyage.imo", "9074729")
    await put(page, "containers[0].number", "CSQU3054383")
    await page.focus('[id="field:containers[0].seals"]')
    await page.keyboard.type("SH1, SH2")
    await page.keyboard.press("Alt+Enter")
    await expect(page.locator('[id="field:containers[1].number"]')).to_be_focused()
    await page.keyboard.press("Alt+Delete")
    await expect(page.locator('[id="field:containers[1].number"]')).to_have_count(0)
    await check.click()
    await expect(page.locator(SUMMARY)).to_contain_text("No fault was found")
    files = await page.query_selector("#attach")
    assert files is not None
    await files.set_input_files({"name": "发票.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7" + b"x" * 3_000_000})
    await expect(page.locator("attached-files li")).to_contain_text("发票.pdf")
    await page.get_by_role("button", name="Lodge", exact=True).click()
    await expect(page.locator(".track [aria-current=step]")).to_have_text("Lodged")
    await expect(page.locator("declaration-page")).to_contain_text("The port accepts it by its rules")
    await expect(page.locator("declaration-page .badge.good", has_text="Here")).to_have_count(1)
    return (await page.locator("h1").inner_text()).strip()


async def test_a_trader_lodges_with_faults_mends_and_sees_it_as_the_port_does(desk: Desk) -> None:
    form, hub = arriving_soon(desk.face.clock), desk.face.hub
    page = await desk.page("shen.mao", language="en")
    await lodge_with_faults(page, form)
    number = await mend_and_lodge(page)
    lodged = await hub.declarations.form(number)
    assert (lodged.bill, lodged.containers[0].seals, lodged.attachments[0].size) == (form["bill"], ("SH1", "SH2"), 3_000_008)
    await page.get_by_role("link", name="Amend").click()
    await put(page, "contract", "C-2")
    await page.fill("input[name=reason]", "contract was missing")
    await page.get_by_role("button", name="Lodge the new version").click()
    await expect(page.locator("ins")).to_have_text("C-2")
    for to in (State.ACCEPTED, State.SCREENED, State.DIRECT_RELEASE):
        await hub.declarations.step(number, to, {}, rule="test/1")
    await expect(page.locator(".track [aria-current=step]")).to_have_text("Direct release")  # heard, without reloading
    await page.locator("declaration-page li.list-item", has_text="Amended").get_by_role("link").click()
    await expect(page.locator("record-page")).to_contain_text(number)
    port = await desk.page("chen.min", language="zh-CN")
    await port.goto(f"{desk.url}/declarations?begins={form['reference']}")
    await port.get_by_role("link", name=number).click()
    await expect(port.locator(".track [aria-current=step]")).to_have_text("直接放行")
    await expect(port.locator("declaration-page")).to_contain_text("未获准直接放行，也尚无合格评定")
    other = await desk.page("gu.hai", language="en")
    await expect(other.locator("declaration-list .empty")).to_contain_text("No declaration yet")
    await other.goto(f"{desk.url}/declarations/{number}")
    await expect(other.locator("main [role=alert]")).to_contain_text("belongs to another party")


async def test_reference_data_is_set_with_its_faults_and_keeps_its_history(desk: Desk) -> None:
    page = await desk.page("admin", language="en")
    await page.goto(f"{desk.url}/references/inspector")
    await expect(page.locator("reference-page .empty")).to_be_visible()
    await page.fill("input[name=key]", "li.wei")
    await page.get_by_role("button", name="New entry").click()
    await put(page, "display", "李伟")
    await put(page, "qualifications", "fruit\nmeat")
    first = date(2026, 12, 1)
    await put(page, "absences", f"{first} {first + timedelta(days=2)}\nnever")
    await put(page, "recusals", "4403960001 his brother works there")
    await page.get_by_role("button", name="Set").click()
    await expect(page.locator('[id="fault:absences"]')).not_to_be_empty()
    await put(page, "absences", f"{first} {first + timedelta(days=2)}")
    await page.fill("input[name=reason]", "joined")
    await page.get_by_role("button", name="Set").click()
    await expect(page.locator("reference-page .notice.good")).to_be_visible()
    kept = await desk.face.hub.references.get("inspector", "li.wei")
    assert kept.value is not None
    assert kept.value.model_dump(mode="json")["recusals"] == [{"enterprise": "4403960001", "reason": "his brother works there"}]
    await put(page, "display", "李伟（大）")
    await page.get_by_role("button", name="Set").click()
    await expect(page.locator("ins", has_text="李伟（大）")).to_be_visible()
    await page.get_by_role("button", name="Retire").click()
    await page.fill("dialog input", "left")
    await page.locator("dialog button.primary").click()
    await expect(page.locator("reference-page")).to_contain_text("This entry is retired")
    reader = await desk.page("chen.min", language="zh-CN")
    await reader.goto(f"{desk.url}/references/inspector")
    await reader.get_by_role("button", name="显示已停用").click()
    await expect(reader.locator("tbody tr")).to_contain_text("已停用")
    await expect(reader.get_by_role("button", name="新建条目")).to_have_count(0)


async def test_a_partner_holds_and_lifts_by_its_own_page(desk: Desk) -> None:
    hub = desk.face.hub
    await hub.references.put("partner", "customs-1", {"name": "海关", "role": "customs", "may_hold": True}, "admin")
    number = (await hub.declarations.lodge(arriving_soon(desk.face.clock), "shen.mao")).number
    page = await desk.page("port.desk", language="en", width=360)
    await page.goto(f"{desk.url}/holds")
    await expect(page.locator("hold-list .empty")).to_be_visible()
    await page.fill("input[name=number]", number)
    await page.fill("input[name=reason]", "papers")
    await page.get_by_role("button", name="Place hold").click()
    await expect(page.locator("hold-list li")).to_contain_text(number)
    assert (await hub.declarations.get(number)).holds == ("customs-1",)
    await page.get_by_role("button", name="Lift hold").click()
    await page.fill("dialog input", "papers are here")
    await page.locator("dialog button.primary").click()
    await expect(page.locator("hold-list .empty")).to_be_visible()
    assert (await hub.declarations.get(number)).holds == ()


@pytest.mark.parametrize("width", [360, 1920])
async def test_no_page_is_wider_than_its_window(desk: Desk, width: int) -> None:
    hub = desk.face.hub
    form = arriving_soon(desk.face.clock)
    number = (await hub.declarations.lodge(form, "shen.mao")).number
    await hub.declarations.amend(number, form | {"contract": "C-" + "9" * 60}, "shen.mao", "x" * 300)
    await hub.references.put("bay", "b-1", {"name": "一号位" * 30}, "admin", "new")
    for name, paths in (
        ("shen.mao", ("/declarations", "/declarations/new", f"/declarations/{number}", f"/declarations/{number}/amend")),
        ("admin", ("/references/bay", "/references/bay/b-1", "/people")),
    ):
        page = await desk.page(name, width=width)
        for path in paths:
            await page.goto(f"{desk.url}{path}")
            await expect(page.locator("main h1")).to_be_visible()
            await expect(page.locator("main .pulse")).to_have_count(0)
            assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
