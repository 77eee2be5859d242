"""Measure when pages are usable in Chromium at a mid phone profile: processor four times slower, 10 Mbit/s, 40 ms there and back.

A real hub with a drawn, held and dispatched declaration serves its own pages. *Usable*: from the start of the navigation until what the
page is for stands there - the login's fields, the checklist's sections, the list - and a frame was drawn after it. First visits have an
empty cache and no service worker; later ones have both; the last has no network at all.

    python -m benchmarks.page --json
"""

import argparse
import asyncio
import json
import random
import shutil
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from benchmarks.canvas import FLAGS
from benchmarks.processes import note, scratch
from simulators.people.cargo import Firm, cargo, firms
from simulators.port_day.acts import Port
from simulators.port_day.inspecting import Inspection
from simulators.port_day.stage import SUPERVISOR, open_stage, password_of
from storage.clock import SystemClock
from web.browser_app import browser_app
from web.serving import Listener, serve

GOAL_MS = 1000.0
SLOWER = 4
DOWN_BYTES_S = 10_000_000 / 8
LATENCY_MS = 40
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTLE_MS = 800
WATCH = """(selector) => {
  const look = () => {
    const found = document.querySelector(selector);
    if (!found || !found.getClientRects().length) return false;
    requestAnimationFrame(() => setTimeout(() => { globalThis.usable ??= performance.now(); }));
    return true;
  };
  const watch = new MutationObserver(() => look() && watch.disconnect()); // a frame asked for each time would cost the page its frames
  watch.observe(document, { childList: true, subtree: true });
}"""


@dataclass(frozen=True)
class Ground:
    """A served hub: its address, the lead of an inspection, and the task."""

    url: str
    lead: str
    task: str


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """Serve a hub with a dispatched inspection."""
    traders = firms(random.Random(5))
    async with open_stage(folder, 7, traders, SystemClock().now().wall_ns) as stage:
        port = Port.of(stage)
        number = ""
        while not await stage.draw():
            draw = random.Random(f"page {number}")
            number = await port.lodge(cargo(draw, Firm(traders[0].code, traders[0].name, ("fruit",)), stage.today, len(port.cargoes) + 1))
        await port.by_rule()
        inspection = Inspection(port, number)
        await inspection.dispatch()
        app = browser_app(stage.hub, secure=False, closing=asyncio.Event())
        serving = await serve(app, Listener("browser port", "127.0.0.1", 0, None))
        try:
            yield Ground(serving.url, inspection.tasks[0].inspectors[0], inspection.tasks[0].task)
        finally:
            app.state.closing.set()
            await serving.stop()
            await app.state.watching.close()


async def phone(browser: Browser, at: Ground, name: str | None) -> tuple[BrowserContext, Page]:
    """Give a phone with an empty cache, logged in where a name is given."""
    context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", is_mobile=True, has_touch=True)
    if name is not None:
        await context.request.post(f"{at.url}/api/v1/session", data={"name": name, "password": password_of(name)})
    page = await context.new_page()
    page.set_default_timeout(60_000)
    tools = await context.new_cdp_session(page)
    await tools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    limits = {"offline": False, "latency": LATENCY_MS, "downloadThroughput": DOWN_BYTES_S, "uploadThroughput": DOWN_BYTES_S}
    await tools.send("Network.emulateNetworkConditions", limits)
    return context, page


async def usable(page: Page, url: str, selector: str) -> float:
    """Go to an address; give when what it is for was usable, in ms."""
    await page.add_init_script(f"({WATCH})({json.dumps(selector)})")
    await page.goto(url, wait_until="commit")
    await page.wait_for_function("() => globalThis.usable")
    return float(await page.evaluate("() => globalThis.usable"))


async def measure(at: Ground, browser: Browser, found: dict[str, list[float]]) -> None:
    """Take each way once."""
    sections = "checklist-menu [data-section]"
    context, page = await phone(browser, at, None)
    found["login, first visit"].append(await usable(page, f"{at.url}/login", "login-form button[type=submit]"))
    await context.close()
    context, page = await phone(browser, at, at.lead)
    work = f"{at.url}/work/{at.task}"
    found["checklist, first visit"].append(await usable(page, work, sections))
    await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    await page.wait_for_timeout(SETTLE_MS)
    found["checklist, later"].append(await usable(page, work, sections))
    await context.set_offline(True)
    found["checklist, no network"].append(await usable(page, work, sections))
    await context.close()
    context, page = await phone(browser, at, SUPERVISOR)
    found["release desk, first visit"].append(await usable(page, f"{at.url}/desk", "main h1"))
    await context.close()


async def run(rounds: int, program: str) -> dict[str, list[float]]:
    """Measure every way so many times."""
    found: dict[str, list[float]] = {
        name: [] for name in (
            "login, first visit", "checklist, first visit", "checklist, later", "checklist, no network", "release desk, first visit",
        )
    }  # fmt: skip
    with scratch("page") as folder:
        async with ground(Path(folder) / "stage") as at, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS), headless=True)
            try:
                for _ in range(rounds):
                    await measure(at, browser, found)
            finally:
                await browser.close()
    return found


def main() -> int:
    """Run the benchmark; give 1 when a page misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--rounds", type=int, default=5, help="times that each page is visited (default 5)")
    args = parser.parse_args()
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        print("no Chromium is installed: not measured", file=sys.stderr)
        return 0
    found = asyncio.run(run(args.rounds, program))
    medians = {name: round(statistics.median(times)) for name, times in found.items()}
    most = {name: round(max(times)) for name, times in found.items()}
    if args.json:
        print(json.dumps({"bench": "page", "median_ms": medians, "most_ms": most, "goal_ms": GOAL_MS, "rounds": args.rounds}))
    else:
        for name in medians:
            note(f"{name:28} usable after {medians[name]:5} ms, at most {most[name]} (goal {GOAL_MS:.0f} ms)")
    return 0 if max(medians.values()) <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
