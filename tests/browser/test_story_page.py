"""Going back over an inspection in a real browser: the slider of time, an entry's record and proof, all lanes in step, marks, the board."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from hub.inspection.states import State
from hub.tasks import TaskDraft
from simulators.devices.footage import Synthetic, synthesize
from tests.browser.test_page_journeys import FPS, SECONDS
from tests.browser_parts import Desk
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for, screen
from tests.derivation_parts import segments
from tests.hub_parts import BOX, TestBox, chunks, enrol, receipts_until, send

pytestmark = pytest.mark.browser
TASK = "T-1"


async def inspected(desk: Desk, folder: Path) -> str:
    """Put a drawn declaration with a task of two cameras at the hub, filmed at the same time; give the declaration's number."""
    hub = desk.face.hub
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    number = (await screen(hub, 1, "red"))[0]
    await drawn(hub)
    await hub.declarations.step(number, State.HELD, {}, rule="hold/1")
    cameras = ("box-1/cam-1", "box-1/cam-2")
    facts = (("declaration", number),)
    box = TestBox()
    await enrol(hub, box)
    await hub.tasks.open(TaskDraft(task=TASK, title="durians", cameras=cameras, inspectors=("li.wei",), facts=facts), "chen.min")
    await hub.declarations.step(number, State.DISPATCHED, {"task": TASK}, by="chen.min")
    footage = synthesize(Synthetic(width=320, height=180, fps=FPS, seconds=SECONDS, kbit=300, gop=FPS), folder)
    films = await asyncio.to_thread(segments, footage, 2)
    box.wall_ns = desk.face.clock.now().wall_ns
    box.boot()
    for source in ("cam-1", "cam-2"):
        box.recording(source)
    blobs = []
    for at, film in enumerate(films):
        wall, mono = box.wall_ns, box.mono_ns
        for source in ("cam-1", "cam-2"):
            box.wall_ns, box.mono_ns = wall, mono
            data = film + b"\0\0\0\x08free" if source == "cam-2" else film
            blobs.append(box.segment(source, data=data, seconds=SECONDS, media_from=at * SECONDS * 90_000))
    box.seal()
    await send(hub, box)
    for signed, data in blobs:
        await hub.blobs.put(BOX, signed.record.body.sha256, len(data), chunks(data, 65_536))  # type: ignore[union-attr]
    await receipts_until(hub, BOX, box.written[-1].record.position)
    desk.face.clock.pass_time(3 * SECONDS)
    return number


async def enter(desk: Desk, name: str, path: str) -> Page:
    page = await desk.page(name, width=1280, language="en")
    await page.goto(f"{desk.url}{path}")
    return page


async def test_time_is_set_back_and_an_entry_opens_its_record_and_proof(desk: Desk, tmp_path: Path) -> None:
    number = await inspected(desk, tmp_path)
    page = await enter(desk, "chen.min", f"/tasks/{TASK}")
    rows = page.locator("story-list tbody tr")
    await expect(page.locator("story-list")).to_contain_text("Draw result")
    whole = await rows.count()
    assert whole >= 9
    await expect(page.locator("story-list [role=status]")).to_contain_text("dispatched")
    story = await desk.face.hub.stories.declaration(number)
    selected = next(entry for entry in story.entries if entry.act == "selected")
    await page.goto(f"{desk.url}/declarations/{number}")
    slider = page.locator("inspection-story #as-of")
    await expect(slider).to_be_visible()
    await page.evaluate(
        """(ms) => document.querySelector('inspection-story story-list').dispatchEvent(new CustomEvent('as-of', {detail: ms}))""",
        selected.from_ns / 1e6 + 0.001,
    )
    await expect(page.locator("inspection-story [role=status]")).to_contain_text("selected")
    await expect(page.locator("inspection-story story-list")).not_to_contain_text("dispatched")
    await page.get_by_role("button", name="Now", exact=True).click()
    await expect(page.locator("inspection-story [role=status]")).to_contain_text("dispatched")
    await slider.focus()
    await page.keyboard.press("Home")
    await expect(page.locator("inspection-story story-list output")).to_contain_text("log of")
    await expect(page.locator("inspection-story [role=status]")).not_to_contain_text("dispatched")
    await page.locator("inspection-story tbody a").first.click()
    await expect(page.locator("record-page evidence-state")).to_have_attribute("state", "verified")
    await expect(page.locator("record-page h1")).to_have_text(re.compile("Declaration · hub:hub-1"))


async def test_all_lanes_play_in_step_on_one_clock_and_leave_one_record(desk: Desk, tmp_path: Path) -> None:
    await inspected(desk, tmp_path)
    page = await enter(desk, "chen.min", f"/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_contain_text("4 verified")
    await page.evaluate(
        """() => { const line = document.querySelector('evidence-timeline'); const ms = line.line.lanes[0].segments[0].from_ms + 300;
        line.dispatchEvent(new CustomEvent('seek', {detail: {stream: 'box-1/cam-1', ms, play: true}})); }"""
    )
    await expect(page.locator(".follower")).to_have_count(1)
    apart = """() => { const lead = document.querySelector('evidence-player'), all = document.querySelector('lanes-in-step');
      const [one] = [...all.followers.values()];
      if (!one || !one.reel || one.video.paused || one.video.readyState < 2 || lead.video.readyState < 2) return false;
      return lead.position > lead.lane.segments[0].from_ms + 1500 && Math.abs(one.video.currentTime - lead.video.currentTime) < 0.35; }"""
    await page.wait_for_function(apart, timeout=20_000)
    await page.keyboard.press("k")
    await page.wait_for_function("() => [...document.querySelector('lanes-in-step').followers.values()].every((one) => one.video.paused)")
    views = [(body.state, body.way) for body in await desk.face.records("view")]
    assert views.count(("started", "playback")) == 1


async def test_a_supervisor_marks_and_tells_and_an_inspector_has_read(desk: Desk, tmp_path: Path) -> None:
    await inspected(desk, tmp_path)
    page = await enter(desk, "chen.min", f"/tasks/{TASK}")
    await page.get_by_role("button", name="Mark this moment").click()
    await page.fill("dialog textarea", "the seal is not in the picture")
    await page.locator("dialog button.primary").click()
    await expect(page.locator("story-list")).to_contain_text("the seal is not in the picture")
    await page.get_by_role("button", name="Tell the site").click()
    await page.fill("dialog textarea", "photograph the seal")
    await page.locator("dialog button.primary").click()
    await expect(page.locator("task-words")).to_contain_text("not read yet")
    other = await enter(desk, "li.wei", f"/tasks/{TASK}")
    await other.get_by_role("button", name="I have read it").click()
    await expect(page.locator("task-words")).to_contain_text("read by Li.Wei", timeout=15_000)


async def test_the_board_shows_what_stands_where(desk: Desk, tmp_path: Path) -> None:
    number = await inspected(desk, tmp_path)
    page = await enter(desk, "chen.min", "/tasks")
    card = page.locator("[aria-label='To position'] article")
    await expect(card).to_contain_text(TASK)
    await expect(card).to_contain_text(number)
    await page.get_by_role("button", name="List", exact=True).click()
    await expect(page.locator("task-list tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Board", exact=True).click()
    await card.get_by_role("link", name=TASK).click()
    await expect(page.locator("task-page h1")).to_have_text(TASK)
