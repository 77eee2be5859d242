"""How the pages behave under people's hands: what is refused says so in place, what is clicked is seen, nothing is asked after log-out."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Request, expect

from hub.tasks import TaskDraft
from protocol.messages import BoxReport, SourceState
from tests.browser.test_page_journeys import PLAYER, SECONDS, TASK, film
from tests.browser_parts import Desk, open_desk
from tests.hub_parts import BOX
from tests.web_parts import open_face, password_of

pytestmark = pytest.mark.browser

SOURCES = (("cam-1", "camera"), ("cam-2", "camera"), ("rec-1", "recorder"), ("rec-2", "recorder"))
DESKTOP, PHONE = {"width": 1366, "height": 768}, {"width": 390, "height": 844}


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[Desk]:
    async with open_face(tmp_path) as face, open_desk(face, chromium) as found:
        await film(found.face, tmp_path)
        yield found


async def report(desk: Desk, *, online: bool = True) -> None:
    numbers: dict[str, Any] = dict.fromkeys(("wall_ns", "mono_ns", "unsent_records", "unsent_blobs", "unsent_bytes", "unreceipted"), 0)
    sources = tuple(SourceState(name, role, "recording", "", None, 560_000, 1, 0) for name, role in SOURCES)  # type: ignore[arg-type]
    rest: dict[str, Any] = {"sync": "unsynced", "software": "0", "transport": "https", "disk": "ok", "free_bytes": 1, "journal_size": 1}
    await desk.face.hub.ingest.accept(BOX, BoxReport(BOX, 1, **numbers, **rest, sources=sources, online=online))


async def enter(desk: Desk, name: str, size: dict[str, int], path: str, language: str = "en") -> Page:
    page = await desk.page(name, width=size["width"], language=language)
    await page.set_viewport_size(size)  # type: ignore[arg-type]
    await page.goto(f"{desk.url}{path}")
    return page


async def test_a_fact_without_a_colon_is_named_and_nothing_is_opened(desk: Desk) -> None:
    page = await enter(desk, "chen.min", DESKTOP, "/tasks")
    await page.get_by_role("button", name="New task").click()
    await page.fill("textarea[name=facts]", "Declaration: 5349\n\nTESU1234567")
    await page.get_by_role("button", name="Open task").click()
    await expect(page.locator("dialog [role=alert]")).to_have_text("Basic facts, line 3: “TESU1234567” needs a name, a colon and a value")
    assert len(await desk.face.hub.tasks.list()) == 1
    await page.fill("textarea[name=facts]", "container：TESU1234567")
    await page.get_by_role("button", name="Open task").click()
    await expect(page.locator("task-page dl")).to_contain_text("ContainerTESU1234567")


async def test_a_wrong_second_password_is_told_in_the_form_and_the_page_stays(desk: Desk) -> None:
    await report(desk)
    page = await enter(desk, "chen.min", DESKTOP, f"/tasks/{TASK}", "zh-CN")
    await page.get_by_role("button", name="补绑定").click()
    names = [re.compile("^box-1/rec-1 "), re.compile("^box-1/rec-2 ")]  # recorders alone
    await expect(page.locator("dialog option")).to_have_text(names)
    for field, text in (("reason", "电池更换"), ("second", "zhou.jun"), ("second_password", "wrong password")):
        await page.fill(f"dialog [name={field}]", text)
    await page.locator("dialog button.primary").click()
    await expect(page.locator("dialog [role=alert]")).to_have_text("第二人密码：第二人的用户名或密码不正确")
    await page.fill("dialog [name=second_password]", password_of("zhou.jun"))
    await page.locator("dialog button.primary").click()
    await expect(page.locator("task-pairing")).to_contain_text("Zhou.Jun")
    badge, card = page.locator("task-pairing .badge.long"), page.locator("task-pairing")
    inner, outer = await badge.bounding_box(), await card.bounding_box()
    assert inner is not None
    assert outer is not None
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    await page.get_by_role("button", name="绑定执法记录仪").click()
    await expect(page.locator("dialog option")).to_have_text([re.compile("^box-1/rec-2 ")])


async def test_the_code_is_seen_without_scrolling(desk: Desk) -> None:
    page = await enter(desk, "chen.min", DESKTOP, f"/tasks/{TASK}")
    await page.get_by_role("button", name="Show code").click()
    await expect(page.locator("dialog .big-code")).to_be_in_viewport(ratio=1)
    await expect(page.locator("dialog img.qr")).to_be_in_viewport(ratio=1)


async def click_at(page: Page, ms: float) -> None:
    x = await page.evaluate(f"document.querySelector('evidence-timeline').xOf({ms})")
    await page.locator("evidence-timeline canvas").click(position={"x": x, "y": 26 + 23})


async def test_a_click_plays_and_says_where_there_is_no_video(desk: Desk) -> None:
    page = await enter(desk, "chen.min", DESKTOP, f"/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_be_visible()
    began = float(await page.evaluate("document.querySelector('evidence-timeline').line.lanes[0].segments[0].from_ms"))
    await click_at(page, began + 1000)
    await page.wait_for_function(f"() => {PLAYER}.playing && {PLAYER}.position > {began + 1600}", timeout=8000)
    await expect(page.locator("evidence-player .screen")).to_be_in_viewport(ratio=0.99)
    await click_at(page, began + SECONDS * 2000 + 1500)
    await expect(page.locator("evidence-player .cover")).to_contain_text("Gap: camera lost")
    await expect(page.locator("evidence-player .cover")).to_contain_text("Video goes on at")
    assert not await page.evaluate(f"{PLAYER}.playing")


async def test_an_open_task_says_why_it_cannot_be_exported_and_can_be_when_ended(desk: Desk) -> None:
    page = await enter(desk, "chen.min", DESKTOP, f"/tasks/{TASK}")
    export = page.locator("task-export")
    await expect(export.get_by_role("button", name="Export")).to_be_disabled()
    await expect(export).to_contain_text("The task is still open")
    await desk.face.hub.tasks.end(TASK, "chen.min")
    await expect(export.get_by_role("button", name="Export")).to_be_enabled(timeout=15_000)


async def test_the_time_of_a_silent_box_is_unknown_in_words_and_colour(desk: Desk) -> None:
    desk.face.clock.pass_time(90)
    await report(desk, online=False)
    page = await enter(desk, "chen.min", DESKTOP, f"/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_contain_text("Some time is unknown until a box returns")
    await expect(page.locator(".verdict")).to_have_attribute("data-state", "unknown")
    await expect(page.locator("evidence-timeline .legend")).to_contain_text("Unknown until the box returns")
    await expect(page.locator("evidence-timeline .legend")).to_contain_text("recovered")


async def test_a_task_without_cameras_is_not_pending(desk: Desk) -> None:
    await desk.face.hub.tasks.open(TaskDraft(task="T-empty", title="empty"), "chen.min")
    page = await enter(desk, "chen.min", DESKTOP, "/tasks/T-empty")
    await expect(page.locator(".verdict")).to_have_text("No camera or recorder belongs to this task yet")


async def test_logging_out_ends_the_views_first_and_asks_nothing_afterwards(desk: Desk) -> None:
    await report(desk)
    page = await enter(desk, "chen.min", DESKTOP, "/tasks")
    async with page.expect_response(lambda answer: answer.url.endswith("/whep") and answer.status == 201):
        await page.goto(f"{desk.url}/wall")
    await expect(page.locator("live-tile")).to_have_count(4)
    for size in ("1", "9", "4"):
        await page.get_by_role("button", name=size, exact=True).click()
    asked: list[Request] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request))
    page.on("response", lambda answer: refused.append(f"{answer.request.method} {answer.url}") if answer.status in (401, 404) else None)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator("login-form h1")).to_be_visible()
    await page.wait_for_timeout(2500)  # longer than a tile waits before it tries again
    ways = [f"{request.method} {request.url.rsplit('/', 1)[-1] if 'views' not in request.url else 'view'}" for request in asked]
    assert refused == []
    out = ways.index("DELETE session")
    assert "DELETE view" in ways[:out]
    assert [way for way in ways[out:] if "view" in way or "whep" in way] == []


async def test_all_tiles_of_the_wall_fit_a_small_desk_and_stand_alike(desk: Desk) -> None:
    await report(desk)
    page = await enter(desk, "chen.min", DESKTOP, "/wall")
    for size in ("4", "9", "1"):
        await page.get_by_role("button", name=size, exact=True).click()
        boxes = await page.evaluate("[...document.querySelector('.wall').children].map(one => one.getBoundingClientRect().toJSON())")
        assert len(boxes) == int(size)
        assert max(box["bottom"] for box in boxes) <= DESKTOP["height"]
        assert max(box["height"] for box in boxes) - min(box["height"] for box in boxes) < 1


async def test_a_phone_shows_one_picture_and_a_tap_chooses_another(desk: Desk) -> None:
    await report(desk)
    page = await enter(desk, "chen.min", PHONE, "/wall")
    await expect(page.locator("live-tile")).to_have_count(1)
    await expect(page.locator("live-tile")).to_have_attribute("stream", "box-1/cam-1")
    await expect(page.locator("live-wall")).to_contain_text("Tap a name")
    await page.locator(".camera-list button", has_text="box-1/cam-2").click()
    await expect(page.locator("live-tile")).to_have_attribute("stream", "box-1/cam-2")
    height = await page.locator("live-tile .picture").evaluate("one => one.getBoundingClientRect().height")
    assert height > 150
    await expect(page.locator(".person-name")).to_have_text("Chen.Min · Supervisor")
    await expect(page.locator(".zone")).to_be_visible()


async def test_a_box_that_left_is_told_as_last_heard_and_an_address_that_is_none_says_so(desk: Desk) -> None:
    await report(desk)
    await report(desk, online=False)
    page = await enter(desk, "chen.min", DESKTOP, "/devices")
    await expect(page.locator("article.device")).to_contain_text("Last heard: Recording")
    await expect(page.locator("article.device")).not_to_contain_text("Mbit/s")
    await expect(page.locator("article.device .badge.warn")).to_have_text("not synced")
    await page.goto(f"{desk.url}/nosuch")
    await expect(page.locator("main")).to_contain_text("There is no such page")


async def test_alarms_say_what_they_mean_and_which_there_are(desk: Desk) -> None:
    await desk.face.hub.alarms.ring("box offline", "box-1", "no word")
    await desk.face.hub.alarms.over("box offline", "box-1", "hub:hub-1")
    await desk.face.hub.alarms.ring("equivocation", "box-1", "epoch 1 position 3")
    page = await enter(desk, "admin", DESKTOP, "/alarms", "zh-CN")
    await expect(page.locator("alarm-inbox li")).to_have_count(1)
    await expect(page.locator("alarm-inbox section")).to_contain_text("请停用该盒并保留磁盘作为证据")
    await page.get_by_role("button", name="包括已确认").click()
    await expect(page.locator("alarm-inbox li").nth(1)).to_contain_text(re.compile("已于 .* 自行结束"))
    await page.locator("summary", has_text="哪些情况会告警").click()
    assert await page.locator("alarm-inbox dt").count() >= 20
    told = await page.locator("alarm-inbox dd").all_text_contents()
    assert [text for text in told if not re.search("[一-鿿]", text)] == []


async def test_all_times_are_shown_in_the_sites_zone(desk: Desk) -> None:
    page = await desk.page("chen.min", language="en")
    script = """async ([zone, text, ms]) => {
        const words = await import("/static/words.js");
        words.useZone(zone);
        return [words.moment(ms), words.clock(ms, true), words.zone(), words.localText(ms), words.localInstant(text)];
    }"""
    winter, summer = 1_700_000_000_123, 1_720_000_000_123  # 2023-11-14 22:13:20 and 2024-07-03 09:46:40 UTC
    shown = await page.evaluate(script, ["Asia/Shanghai", "2023-11-15T06:13:20", winter])
    assert shown == ["2023-11-15 06:13:20", "06:13:20.123", "Asia/Shanghai (UTC+08:00)", "2023-11-15T06:13:20", 1_700_000_000_000]
    shown = await page.evaluate(script, ["America/New_York", "2024-07-03T05:46:40", summer])
    assert shown[:2] + shown[3:] == ["2024-07-03 05:46:40", "05:46:40.123", "2024-07-03T05:46:40", 1_720_000_000_000]
    night = await page.evaluate(script, ["Asia/Shanghai", "2023-11-15T00:00:00", 1_699_977_600_000])
    assert night[0] == "2023-11-15 00:00:00"  # midnight is 00, not 24
    assert night[4] == 1_699_977_600_000
    unknown = await page.evaluate(script, ["Nowhere/Atlantis", "", 0])
    assert unknown[4] != unknown[4] or unknown[4] is None  # no time is none
