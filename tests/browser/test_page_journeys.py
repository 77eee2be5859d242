"""The pages in a real browser, over a real hub: log in, the wall, a task's lanes, playback across a gap, the two languages."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from hub.tasks import TaskDraft
from simulators.devices.footage import Synthetic, synthesize
from simulators.devices.phone import Phone
from tests.browser_parts import Desk
from tests.derivation_parts import segments
from tests.hub_parts import BOX, TestBox, chunks, enrol, receipts_until, send
from tests.web_parts import Face, password_of

pytestmark = pytest.mark.browser

TASK = "T-1"
FPS = 25
SECONDS = 4
GAP_S = 3
WIDTHS = (360, 1280)


async def film(face: Face, folder: Path) -> dict[str, Any]:
    """Put a task with one lane at the hub: two segments of a run, a signed gap, one more segment of the next run."""
    footage = synthesize(Synthetic(width=320, height=180, fps=FPS, seconds=SECONDS, kbit=300, gop=FPS), folder)
    one, two = await asyncio.to_thread(segments, footage, 2)
    box = TestBox()
    await enrol(face.hub, box)
    await face.hub.tasks.open(TaskDraft(task=TASK, title="kiwifruit", cameras=("box-1/cam-1",), inspectors=("li.wei",)), "chen.min")
    box.wall_ns = face.clock.now().wall_ns
    box.boot()
    box.recording()
    began = box.wall_ns
    blobs = [
        box.segment(data=one, seconds=SECONDS, media_from=0)[1],
        box.segment(data=two, seconds=SECONDS, media_from=SECONDS * 90_000)[1],
    ]
    box.gap(seconds=GAP_S)
    later = box.segment(data=one + b"\0\0\0\x08free", seconds=SECONDS, media_from=0, run=1)
    blobs.append(later[1])
    box.seal()
    await send(face.hub, box)
    for signed, data in zip([box.written[3], box.written[4], box.written[6]], blobs, strict=True):
        await face.hub.blobs.put(BOX, signed.record.body.sha256, len(data), chunks(data, 65_536))  # type: ignore[union-attr]
    await receipts_until(face.hub, BOX, box.written[-1].record.position)
    face.clock.pass_time(3 * SECONDS + GAP_S)
    return {"from_ms": began / 1e6}


PLAYER = "document.querySelector('evidence-player')"
SHOWN = f"""() => {{ const p = {PLAYER}; const f = p.reel.framesAround(p.video.currentTime);
  return {{wall: p.position, media: p.video.currentTime, origin: p.reel.origin, shown: f.shown, seeking: p.video.seeking,
    covered: !p.cover.classList.contains('hidden'), cover: p.cover.textContent, failure: p.failure, playing: p.playing}}; }}"""


async def seek(page: Page, ms: float) -> dict[str, Any]:
    await page.evaluate(
        """async (ms) => { const line = document.querySelector('evidence-timeline');
        line.dispatchEvent(new CustomEvent('seek', {detail: {stream: 'box-1/cam-1', ms}}));
        const p = document.querySelector('evidence-player'), end = performance.now() + 8000;
        while (performance.now() < end) {
          const covered = !p.cover.classList.contains('hidden');
          if (p.position === ms && (covered ? p.cover.dataset.state === 'gap' : p.video.readyState >= 2 && !p.video.seeking)) break;
          await new Promise(done => setTimeout(done, 20));
        } }""",
        ms,
    )
    return dict(await page.evaluate(SHOWN))


async def test_login_refuses_then_lets_in_and_speaks_two_languages(desk: Desk) -> None:
    page = await desk.page()
    await page.fill("input[name=name]", "chen.min")
    await page.fill("input[name=password]", "wrong password")
    await page.click("login-form button[type=submit]")
    await expect(page.locator("login-form [role=alert]")).to_have_text("用户名或密码不正确")
    await page.click("#language")
    await expect(page.locator("login-form h1")).to_have_text("Log in")
    await page.fill("input[name=name]", "chen.min")
    await page.fill("input[name=password]", password_of("chen.min"))
    await page.click("login-form button[type=submit]")
    await expect(page.locator("nav a").first).to_have_text("Supervise")
    await expect(page.locator("start-page h1")).to_contain_text("Hello")
    await page.click("#language")
    await expect(page.locator("nav a").first).to_have_text("督察")
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    await page.reload()
    await expect(page.locator("nav a").first).to_have_text("督察")


async def test_each_role_has_its_own_doors(desk: Desk) -> None:
    for name, doors in (
        ("chen.min", ["Live wall", "Tasks", "Alarms", "Devices"]),
        ("li.wei", ["Pair", "Live wall", "Tasks"]),
        ("admin", ["Live wall", "Tasks", "Alarms", "Devices"]),
    ):
        page = await desk.page(name, width=360, language="en")
        await page.locator("main-menu .more").click()
        shown = [text.strip() for text in await page.locator(".all-doors a").all_text_contents()]
        assert [text for text in shown if text in doors] == doors
        await page.context.close()
    page = await desk.page("li.wei", language="en")
    await page.goto(f"{desk.url}/people")
    await expect(page.locator("main")).to_contain_text("Your role may not open this page")


async def test_the_key_of_a_lost_phone_is_ended_on_the_page_of_users(desk: Desk) -> None:
    keys = desk.face.hub.fieldwork.keys
    phone = Phone.of_seed("a phone in the harbour", lambda: 0)
    key_id = (await keys.issue("li.wei", phone.signer.public.spki, "Pixel 9")).key_id
    page = await desk.page("admin", language="en")
    await page.goto(f"{desk.url}/people")
    await page.locator("[data-keys='li.wei']").click()
    row = page.locator(f"[data-key='{key_id}']")
    await expect(row).to_contain_text("Pixel 9")
    await row.get_by_role("button", name="End this key").click()
    await page.fill("dialog input[name=answer]", "it fell into the sea")
    await page.locator("dialog form").get_by_role("button", name="End this key").click()
    await expect(row).to_have_attribute("data-state", "revoked")
    assert [one.state for one in await keys.list("li.wei")] == ["revoked"]


async def test_the_wall_says_that_views_are_recorded_and_why_a_tile_is_dark(desk: Desk, tmp_path: Path) -> None:
    await film(desk.face, tmp_path)
    page = await desk.page("chen.min", language="en")
    await page.goto(f"{desk.url}/wall")
    await expect(page.locator("live-wall")).to_contain_text("Your view is recorded")
    tile = page.locator("live-tile")
    await expect(tile).to_have_count(1)
    await expect(tile.locator(".name")).to_have_text("cam-1")
    await expect(tile.locator(".cover strong")).to_have_text("Picture stopped", timeout=5000)
    await page.get_by_role("button", name="9", exact=True).click()
    await expect(page.locator(".vacant")).to_have_count(8)
    await page.locator(".camera-list button").drag_to(page.locator(".vacant").nth(3))
    await expect(page.locator("live-tile")).to_have_attribute("data-place", "4")
    await page.reload()
    await expect(page.locator("live-tile")).to_have_attribute("data-place", "4")


async def test_a_task_shows_its_lanes_and_each_state_opens_its_record(desk: Desk, tmp_path: Path) -> None:
    await film(desk.face, tmp_path)
    page = await desk.page("chen.min", language="en")
    await page.goto(f"{desk.url}/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_contain_text("Segments: 3 verified, 0 pending, 0 failed")
    await expect(page.locator(".verdict")).to_contain_text("1 gaps, 3.0 s")
    colours = await page.evaluate(
        """() => { const line = document.querySelector('evidence-timeline'), lane = line.line.lanes[0], c = line.canvas;
        const paint = c.getContext('2d'), r = devicePixelRatio || 1;
        const at = (ms) => [...paint.getImageData(line.xOf(ms) * r, (26 + 15) * r, 1, 1).data].slice(0, 3).join();
        const s = lane.segments[0], g = lane.gaps.find(one => one.state === 'gap');
        return [at((s.from_ms + s.to_ms) / 2), at((g.from_ms + g.to_ms) / 2), lane.coverage.percent]; }"""
    )
    assert colours[0] == "23,116,58"  # verified: green, solid
    assert colours[1] != colours[0]
    before = await page.evaluate("(() => { const t = document.querySelector('evidence-timeline'); return t.to - t.from; })()")
    await page.locator("evidence-timeline canvas").hover(position={"x": 500, "y": 40})
    await page.mouse.wheel(0, -300)
    after = await page.evaluate("(() => { const t = document.querySelector('evidence-timeline'); return t.to - t.from; })()")
    assert after < before
    await page.get_by_role("button", name="All").click()
    await page.locator("details summary", has_text="All segments and gaps").click()
    await page.locator("details a").first.click()
    await expect(page.locator("record-page evidence-state")).to_have_attribute("state", "verified")
    await expect(page.locator("record-page h1")).to_have_text(re.compile("Segment · box:box-1 1/3"))


async def test_playback_seeks_exactly_and_shows_a_gap_as_a_gap(desk: Desk, tmp_path: Path) -> None:
    told = await film(desk.face, tmp_path)
    began = told["from_ms"]
    page = await desk.page("chen.min", language="en")
    await page.goto(f"{desk.url}/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_be_visible()
    frame = 1000 / FPS
    # in the first segment, across the seam of a run, and behind the gap in the next run
    for into_ms in (0.0, 1234.0, SECONDS * 1000 + 500.0, (2 * SECONDS + GAP_S) * 1000 + 1000.0):
        found = await seek(page, began + into_ms + 1)
        assert not found["covered"], found
        shown_wall = found["origin"] + found["shown"] * 1000
        assert abs(found["media"] * 1000 + found["origin"] - (began + into_ms + 1)) < 0.5
        assert 0 <= began + into_ms + 1 - shown_wall < frame + 0.5, (into_ms, found)
    gap = await seek(page, began + 2 * SECONDS * 1000 + 1500)
    assert gap["covered"]
    assert "Gap: camera lost" in gap["cover"]
    # playing into the gap: its cause is seen, then the picture goes on behind it
    await seek(page, began + 2 * SECONDS * 1000 - 700)
    await page.keyboard.press("k")
    await expect(page.locator("evidence-player .cover")).to_contain_text("Gap: camera lost", timeout=8000)
    await page.wait_for_function(f"() => {PLAYER}.position > {began + (2 * SECONDS + GAP_S) * 1000 + 200}", timeout=8000)
    assert (await page.evaluate(SHOWN))["failure"] == ""
    await page.keyboard.press("k")
    views = [(body.state, body.way) for body in await desk.face.records("view")]
    assert ("started", "playback") in views


async def test_frames_are_stepped_one_by_one(desk: Desk, tmp_path: Path) -> None:
    told = await film(desk.face, tmp_path)
    page = await desk.page("chen.min", language="en")
    await page.goto(f"{desk.url}/tasks/{TASK}")
    await expect(page.locator(".verdict")).to_be_visible()
    start = await seek(page, told["from_ms"] + 1001)
    for key, steps in ((".", 3), (",", 2)):
        for _ in range(steps):
            before = (await page.evaluate(SHOWN))["shown"]
            await page.keyboard.press(key)
            await page.wait_for_function(
                f"(before) => {{ const now = ({SHOWN})(); return now.shown !== before && !now.seeking; }}", arg=before
            )
            after = (await page.evaluate(SHOWN))["shown"]
            assert abs(after - before) == pytest.approx(1 / FPS, abs=0.001)
    assert (await page.evaluate(SHOWN))["shown"] - start["shown"] == pytest.approx(1 / FPS, abs=0.001)


@pytest.mark.parametrize("width", WIDTHS)
async def test_no_page_is_wider_than_its_window(desk: Desk, tmp_path: Path, width: int) -> None:
    await film(desk.face, tmp_path)
    page = await desk.page("admin", width=width, language="en")
    for path in ("/wall", "/tasks", f"/tasks/{TASK}", "/devices", "/alarms", "/people", "/records/box:box-1/1/3"):
        await page.goto(f"{desk.url}{path}")
        await page.wait_for_selector("main h1")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_the_pairing_page_fits_a_phone_and_shows_the_code(desk: Desk, tmp_path: Path) -> None:
    await film(desk.face, tmp_path)
    page = await desk.page("li.wei", width=360)
    await page.goto(f"{desk.url}/pair")
    await page.locator("a.choice").click()
    await expect(page.locator(".big-code")).to_have_text(re.compile(r"\d{6}"))
    assert await page.locator("img.qr").evaluate("image => image.complete && image.naturalWidth > 0")
    heights = [await button.evaluate("b => b.getBoundingClientRect().height") for button in await page.locator("main button").all()]
    assert all(height >= 48 for height in heights)
