"""A real browser watches by WHEP and publishes by WHIP."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from firmware_adapters.webrtc import Feed, PeerSettings
from simulators.devices.footage import Footage, Synthetic, synthesize
from tests.webrtc_parts import Memory, peers, recorder_into, until

pytestmark = pytest.mark.browser

CANVAS = Path(__file__).resolve().parents[2] / "benchmarks" / "canvas.js"
ADDRESS = "http://127.0.0.1:9/"  # served by the test itself, never asked for; this host counts as secure
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
]  # fmt: skip
STALL_MS = 500
WATCH = """async () => {
  const started = performance.now(), pc = new RTCPeerConnection(), video = document.querySelector('video');
  window.pc = pc;
  pc.addTransceiver('video', {direction: 'recvonly'});
  const first = new Promise(done => {
    pc.ontrack = event => { video.srcObject = new MediaStream([event.track]); };
    video.requestVideoFrameCallback(() => done(performance.now() - started));
  });
  await pc.setLocalDescription(await pc.createOffer());
  await pc.setRemoteDescription({type: 'answer', sdp: await exchange(pc.localDescription.sdp)});
  return {first: await first, width: video.videoWidth, height: video.videoHeight};
}"""
STATISTICS = """async () => {
  for (const report of (await pc.getStats()).values()) if (report.type === 'inbound-rtp')
    return {decoded: report.framesDecoded, dropped: report.framesDropped, pli: report.pliCount, freezes: report.freezeCount};
}"""
PUBLISH = """async () => {
  const camera = await navigator.mediaDevices.getUserMedia({video: {width: 1280, height: 720, frameRate: 20}, audio: true});
  const pc = window.pc = new RTCPeerConnection();
  for (const track of camera.getTracks()) pc.addTransceiver(track, {direction: 'sendonly', streams: [camera]});
  const video = pc.getTransceivers().find(each => each.sender.track.kind === 'video');
  const wanted = RTCRtpSender.getCapabilities('video').codecs.filter(each => ['video/H264', 'video/rtx'].includes(each.mimeType));
  video.setCodecPreferences(wanted);
  video.sender.track.contentHint = 'motion';
  await pc.setLocalDescription(await pc.createOffer());
  await pc.setRemoteDescription({type: 'answer', sdp: await exchange(pc.localDescription.sdp)});
}"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return synthesize(Synthetic(width=640, height=360, fps=25, seconds=4, kbit=1000, gop=50), tmp_path_factory.mktemp("footage"))


@pytest.fixture
async def page(chromium: Path) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        page = await browser.new_page()
        await page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="<video autoplay muted playsinline></video>"))
        await page.goto(ADDRESS)
        yield page
        await browser.close()


async def test_a_browser_sees_a_picture_soon_after_it_asks(page: Page, film: Footage) -> None:
    async with peers(PeerSettings()) as rtc:
        feed = Feed()
        recorder, _ = recorder_into(rtc.ingest(feed), film)
        async with recorder:
            await until(lambda: len(feed.gop()) >= 20, "the middle of a group of pictures")
            viewer = rtc.viewer(feed)
            await page.expose_function("exchange", viewer.answer)
            seen: dict[str, Any] = await asyncio.wait_for(page.evaluate(WATCH), 20)
            assert (seen["width"], seen["height"]) == (film.width, film.height)
            print("first picture after", round(seen["first"]), "ms")
            frames = viewer.sender.frames
            await until(lambda: viewer.sender.frames > frames + 50, "two seconds of pictures")
            numbers: dict[str, int] = await page.evaluate(STATISTICS)
            assert numbers["decoded"] >= 50
            assert numbers["dropped"] <= 2
            assert numbers["pli"] <= 1
            await page.evaluate("() => pc.close()")
            await until(lambda: feed.listeners == 0, "the end of the viewer")
        assert rtc.open_peers == 0


async def test_a_canvas_shows_each_picture_that_was_sent(page: Page, film: Footage) -> None:
    async with peers(PeerSettings()) as rtc:
        feed = Feed()
        recorder, _ = recorder_into(rtc.ingest(feed), film)
        async with recorder:
            await until(lambda: len(feed.gop()) >= 20, "the middle of a group of pictures")
            viewer = rtc.viewer(feed)
            await page.expose_function("exchange", viewer.answer)
            await page.evaluate(CANVAS.read_text())
            await asyncio.wait_for(page.evaluate("() => bench.offer()"), 20)
            seen: list[list[float]] = await page.evaluate("() => bench.collect(2)")
            await page.evaluate("() => bench.leave()")
        numbers = [int(each[0]) for each in seen]
        assert len(numbers) >= 25
        assert all(0 <= number < len(film.units) for number in numbers)
        flowing = [
            (one, other) for one, other in pairwise(seen) if other[1] - one[1] < STALL_MS
        ]  # the film goes round: a longer stall hides order
        assert len(flowing) >= 20
        steps = [(int(other[0]) - int(one[0])) % len(film.units) for one, other in flowing]
        assert all(1 <= step <= 25 for step in steps), "a picture came twice, or before another"
        assert all(drawn >= presented >= received > 0 for _, drawn, received, presented, _ in seen)


async def test_a_browser_publishes_h264_and_keeps_its_resolution(page: Page) -> None:
    async with peers(PeerSettings()) as rtc:
        sink = Memory()
        ingest = rtc.ingest(sink)
        await page.expose_function("exchange", ingest.answer)
        await asyncio.wait_for(page.evaluate(PUBLISH), 20)
        await until(lambda: len(sink.pictures) >= 60, "pictures")
        before = len(sink.pictures)
        await ingest.ask_keyframe()
        await until(lambda: any(unit.is_key for unit in sink.pictures[before:]), "a keyframe that was asked for")
        await until(lambda: sink.pictures[-1].device_ns, "a sender report")
        assert sink.pictures[0].is_key
        assert len(sink.formats) == 1, "the resolution changed"
        assert [track.codec for track in sink.formats[0]] == ["h264", "opus"]
        assert any(unit.track == 1 for unit in sink.units)
        newest = sink.pictures[-1]
        now = rtc.clock.now()
        assert newest.device_ns is not None
        assert abs(now.wall_ns - now.mono_ns + newest.mono_ns - newest.device_ns) < 2_000_000_000
        await page.close()
        await until(lambda: sink.ends, "the end")
        assert sink.ends[0][0] in ("closed", "stalled")
        assert rtc.open_peers == 0
