"""Measure what a viewer waits for: the first picture, and a picture's way from the camera to a canvas in Chromium.

Through the real programs - `portwitness-sim camera`, `portwitness-edge`, `portwitness-hub` with its own player - and, in the same
run with the same footage, one hop without a hub (camera, our RTSP client and WHEP in one process, Chromium) and Janus (plain RTP
in, one hop). The camera's ledger says when each picture was handed to the network; its number is read back from the canvas; both
clocks are this machine's. First picture: from the request to the first picture presented.

    python -m benchmarks.canvas --json
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import socket
import statistics
import sys
import tomllib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.async_api import Browser, Page, async_playwright

from benchmarks.live import PLAN, Janus, Server, free_port, janus_settings, process_on
from benchmarks.processes import footage_cache, note, scratch
from simulators.devices.ledger import SentFrame, read_ledger
from simulators.devices.viewer import LightViewer
from simulators.people.api import API, HubApi
from simulators.port import Port, PortPlan, find_broker
from simulators.programs import until

GOALS_MS = {"cold": 600.0, "warm": 200.0, "canvas": 60.0}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
SCRIPT = Path(__file__).with_suffix(".js")
CAMERAS = 4
ALL_CORES = f"0-{(os.cpu_count() or 1) - 1}"
SETTLE_S = 3.0  # of watching, before pictures are counted
GOLDEN = 0.618  # requests come at places in the group of pictures that are spread evenly
WINDOW_MS = 10_000
LEDGER_LATE_MS = 500  # at most, on a busy machine
GONE_S = 60.0

Seen = list[list[float]]
Exchange = Callable[[str], Awaitable[str]]


@dataclass(slots=True)
class Round:
    """What one way of watching gave: waits for the first picture and for the answer in ms, and pictures as `canvas.js` has them."""

    first: list[list[float]] = field(default_factory=list)
    seen: Seen = field(default_factory=list)


@dataclass  # no slots: the browser's library marks the object whose method it calls back
class Screen:
    """A page of the hub in Chromium, logged in as a supervisor, that watches one stream at a time."""

    page: Page
    _exchange: Exchange | None = None

    async def load(self) -> None:
        await self.page.expose_function("exchange", self._hand_on)
        await self.page.evaluate(SCRIPT.read_text())

    async def _hand_on(self, offer: str) -> str:
        assert self._exchange is not None
        return await self._exchange(offer)

    async def hub(self, stream: str) -> list[float]:
        waits: list[float] = await self.page.evaluate("stream => bench.hub(stream)", stream)
        return waits

    async def offer(self, exchange: Exchange) -> list[float]:
        self._exchange = exchange
        waits: list[float] = await self.page.evaluate("() => bench.offer()")
        return waits

    async def answer(self, offer: str) -> str:
        return str(await self.page.evaluate("offer => bench.answer(offer)", offer))

    async def collect(self, seconds: float) -> Seen:
        await asyncio.sleep(SETTLE_S)
        seen: Seen = await self.page.evaluate("seconds => bench.collect(seconds)", seconds)
        return seen

    async def leave(self) -> None:
        await self.page.evaluate("() => bench.leave()")


@asynccontextmanager
async def screen(port: Port, browser: Browser) -> AsyncIterator[Screen]:
    """Open a page of the hub that shows no live picture by itself."""
    login = next(login for login in port.logins if login.role == "supervisor")
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        await context.request.post(f"{port.url}{API}/session", data={"name": login.name, "password": login.password})
        page = await context.new_page()
        await page.goto(f"{port.url}/tasks")
        await page.wait_for_selector("nav a")
        found = Screen(page)
        await found.load()
        yield found
    finally:
        await context.close()


# ------------------------------------------------------------------------------------------------------- ways to watch


async def pause(turn: int) -> None:
    """Wait before a request, so that it comes anywhere in a group of pictures."""
    await asyncio.sleep(0.2 + turn * GOLDEN % 1 * PLAN.gop / PLAN.fps)


async def await_cold(api: HubApi) -> None:
    """Wait until no box publishes to the hub any more."""

    async def is_cold() -> bool:
        return not any(stream["live"] for stream in (await api.call("GET", "/streams"))["streams"])

    await until(is_cold, limit_s=GONE_S, what="the end of all live streams")


async def watch_cold(shown: Screen, port: Port, api: HubApi, times: int) -> Round:
    done = Round()
    while len(done.first) < times:
        await await_cold(api)
        for stream in port.cameras[: times - len(done.first)]:
            await pause(len(done.first))
            done.first.append(await shown.hub(stream))
            await shown.leave()
    return done


async def watch_hub(shown: Screen, port: Port, api: HubApi, times: int, seconds: float) -> Round:
    """Watch while somebody else does already."""
    stream, done, keeper = port.cameras[0], Round(), LightViewer()

    async def exchange(offer: str) -> str:
        headers = {"Content-Type": "application/sdp", "X-CSRF-Token": api.csrf or ""}
        reply = await api.client.post(f"{API}/streams/{stream}/whep", content=offer, headers=headers)
        return reply.raise_for_status().text

    await keeper.watch(exchange)
    await keeper.wait_connected()
    await asyncio.sleep(SETTLE_S)
    try:
        for turn in range(times):
            await pause(turn)
            done.first.append(await shown.hub(stream))
            if turn == times - 1:
                done.seen = await shown.collect(seconds)
            await shown.leave()
    finally:
        await keeper.close()
    return done


async def watch_hop(shown: Screen, port: Port, times: int, seconds: float) -> Round:
    camera = tomllib.loads(port.boxes[0].config.read_text())["cameras"][0]
    done = Round()
    async with process_on(ALL_CORES, sys.executable, "-m", "benchmarks.live", "--role", "serve", niceness=0) as process:
        server = Server(process)

        async def exchange(offer: str) -> str:
            return str((await server.ask(do="view", sdp=offer))["sdp"])

        async def has_pictures() -> bool:
            return int((await server.ask(do="stat"))["frames"]) > PLAN.gop

        await server.ask(do="camera", url=camera["url"], username=camera["username"], password=camera["password"])
        await until(has_pictures, limit_s=GONE_S, what="pictures for one hop")
        for turn in range(times):
            await pause(turn)
            done.first.append(await shown.offer(exchange))
            if turn == times - 1:
                done.seen = await shown.collect(seconds)
            await shown.leave()
    return done


async def watch_janus(shown: Screen, folder: Path, ledger: Path, times: int, seconds: float) -> Round:
    done = Round()
    await asyncio.to_thread(folder.mkdir)
    http_port, rtp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    janus_settings(folder, http_port, rtp_port)
    role = ("-m", "benchmarks.live", "--role", "rtp", "--port", str(rtp_port), "--ledger", str(ledger))
    async with (
        process_on(ALL_CORES, "janus", "-F", str(folder), piped=False, niceness=0),
        process_on(ALL_CORES, sys.executable, *role, piped=False, niceness=0),
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
    ):
        janus = Janus(client, http_port)
        await janus.wait_up()
        await until(lambda: _exists(ledger), limit_s=GONE_S, what="pictures for Janus")
        try:
            for turn in range(times):
                await pause(turn)
                await shown.page.evaluate("() => bench.prepare()")
                await janus.watch(shown)
                done.first.append(await shown.page.evaluate("() => bench.shown()"))
                if turn == times - 1:
                    done.seen = await shown.collect(seconds)
                await shown.leave()
        finally:
            janus.close()
    return done


async def _exists(path: Path) -> bool:
    return await asyncio.to_thread(lambda: path.exists() and path.stat().st_size > 0)


# ------------------------------------------------------------------------------------------------------------- judging


class Sendings:
    """When each picture of a loop was handed to the network."""

    def __init__(self, frames: Sequence[SentFrame]) -> None:
        self._times: dict[int, list[float]] = defaultdict(list)
        for frame in frames:
            self._times[frame.index].append(frame.unix_ns / 1e6)

    def before(self, index: int, unix_ms: float) -> float | None:
        """Give the newest sending of a picture before an instant; the ledger reads its time after the sending, it may be late."""
        times = self._times.get(index, [])
        at = bisect_right(times, unix_ms + LEDGER_LATE_MS)
        return times[at - 1] if at else None


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(statistics.median(values), 1), "p95": round(float(np.percentile(values, 95)), 1), "max": round(max(values), 1)}


def judge_pictures(seen: Seen, sendings: Sendings) -> dict[str, Any]:
    """Give the delays of pictures in ms, whole and by part: to the browser, in its buffer and decoder, to the canvas."""
    whole, parts, windows, unread = [], defaultdict[str, list[float]](list), defaultdict[int, list[float]](list), 0
    for index, drawn, received, presented, decoding in seen:
        sent = sendings.before(int(index), drawn) if index >= 0 else None
        if sent is None:
            unread += 1
            continue
        whole.append(drawn - sent)
        windows[int((drawn - seen[0][1]) / WINDOW_MS)].append(drawn - sent)
        parts["to_browser"].append(received - sent)
        parts["buffer_and_decoder"].append(presented - received)
        parts["decoder"].append(decoding)
        parts["to_canvas"].append(drawn - presented)
    if not whole:
        raise SystemExit("no picture could be read from the canvas")
    shares = {name: round(statistics.median(values), 1) for name, values in parts.items()}
    by_10s = [round(statistics.median(values), 1) for values in windows.values()]
    return {**spread(whole), "pictures": len(whole), "unread": unread, "parts_p50": shares, "p50_by_10s": by_10s}


def judge_first(waits: Sequence[Sequence[float]]) -> dict[str, Any]:
    first, answered = ([wait[at] for wait in waits] for at in (0, 1))
    figures = {"p50": round(statistics.median(first), 1), "max": round(max(first), 1), "answer_p50": round(statistics.median(answered), 1)}
    return {**figures, "all": [round(value) for value in first], "answers": [round(value) for value in answered]}


# ------------------------------------------------------------------------------------------------------------ the runs


@dataclass(frozen=True, slots=True)
class Amounts:
    """How often and how long."""

    cold: int
    warm: int
    seconds: float
    rounds: int


async def watch_all(state: Path, browser: Browser, amounts: Amounts) -> dict[str, Any]:
    """Run a port, watch it in every way, and judge by the ledgers when the cameras have stopped."""
    plan = PortPlan(
        state, "mqtt" if find_broker() else "https", footage_folder=footage_cache(), boxes=1, cameras_per_box=CAMERAS,
        size=(PLAN.width, PLAN.height), kbit=PLAN.kbit,
    )  # fmt: skip
    rounds: dict[str, list[Round]] = defaultdict(list)
    loads: list[float] = []
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(Port(plan, say=note))
        api = await stack.enter_async_context(port.supervisor())
        await port.await_streams(api)
        await port.programs.stop("recorder")
        shown = await stack.enter_async_context(screen(port, browser))
        note(f"cold, {amounts.cold} times")
        rounds["cold"].append(await watch_cold(shown, port, api, amounts.cold))
        for number in range(amounts.rounds):
            loads.append(round(os.getloadavg()[0], 2))
            note(f"round {number + 1}: box and hub, one hop, Janus")
            rounds["hub"].append(await watch_hub(shown, port, api, amounts.warm, amounts.seconds))
            rounds["hop"].append(await watch_hop(shown, port, amounts.warm, amounts.seconds))
            if shutil.which("janus"):
                settings, ledger = state / f"janus-{number}", state / f"janus-{number}.jsonl"
                rounds["janus"].append(await watch_janus(shown, settings, ledger, amounts.warm, amounts.seconds))
        await port.stop_devices()
    ledger, number = port.camera_ledger(port.cameras[0])
    camera = Sendings(read_ledger(ledger).camera(number).frames)
    janus = [Sendings(read_ledger(state / f"janus-{at}.jsonl").camera(0).frames) for at in range(len(rounds["janus"]))]
    sendings = {"hub": [camera] * amounts.rounds, "hop": [camera] * amounts.rounds, "janus": janus}
    result: dict[str, Any] = {"cold": judge_first(rounds["cold"][0].first)}
    for name, known in sendings.items():
        if not rounds[name]:
            continue
        result[name] = judge_first([value for each in rounds[name] for value in each.first])
        result[f"canvas_{name}"] = [judge_pictures(each.seen, sent) for each, sent in zip(rounds[name], known, strict=True)]
    return {**result, "load_before": loads}


def median_of(result: dict[str, Any], name: str) -> float:
    """Give the median of a way's medians."""
    return float(statistics.median(each["p50"] for each in result[f"canvas_{name}"]))


async def compare(amounts: Amounts) -> dict[str, Any]:
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise SystemExit("no Chromium is installed")
    with scratch("canvas") as state:
        async with async_playwright() as playwright:
            chromium = await playwright.chromium.launch(executable_path=browser, args=FLAGS, headless=True)
            try:
                result = await watch_all(state, chromium, amounts)
            finally:
                await chromium.close()
    peer = "janus" if "canvas_janus" in result else "hop"
    result["canvas_ratio"] = round(median_of(result, "hub") / median_of(result, peer), 2)
    result["canvas_ratio_to"] = peer
    result["ok"] = (
        result["cold"]["p50"] <= GOALS_MS["cold"]
        and result["hub"]["p50"] <= GOALS_MS["warm"]
        and median_of(result, "hub") <= GOALS_MS["canvas"]
    )
    return {"benchmark": "canvas", "cores": os.cpu_count(), **result}


def show(result: dict[str, Any]) -> None:
    print("first picture, ms          p50     max  answer p50")
    for name, what in (("cold", "box and hub, cold"), ("hub", "box and hub, warm"), ("hop", "one hop"), ("janus", "Janus")):
        if name in result:
            print(f"{what:22} {result[name]['p50']:7.0f} {result[name]['max']:7.0f} {result[name]['answer_p50']:11.0f}")
    print("camera to canvas, ms       p50     p95     max   to browser  buffer and decoder  to canvas")
    for name, what in (("hub", "box and hub"), ("hop", "one hop"), ("janus", "Janus, one hop")):
        for each in result.get(f"canvas_{name}", ()):
            parts = each["parts_p50"]
            print(
                f"{what:22} {each['p50']:7.1f} {each['p95']:7.1f} {each['max']:7.1f}  {parts['to_browser']:11.1f}"
                f"  {parts['buffer_and_decoder']:18.1f}  {parts['to_canvas']:9.1f}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.canvas --json")
    parser.add_argument("--cold", type=int, default=8, metavar="N", help="first pictures with the box not publishing (default 8)")
    parser.add_argument("--warm", type=int, default=8, metavar="N", help="first pictures of a round, each way (default 8)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of pictures read from the canvas, each way (default 15)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    result = asyncio.run(compare(Amounts(args.cold, args.warm, args.seconds, args.rounds)))
    if not args.json:
        show(result)
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
