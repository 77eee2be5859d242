"""The draw's page from disk in a real Chromium, without network or hub: it says of every bundle what `portwitness-verify draw` says."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from protocol.drawing.pool import Left, Pool
from protocol.drawing.published import DrawBundle
from storage.verifier_page.assembly import draw_page
from storage.verify import run
from tests.browser.test_verifier_page import FLAGS
from tests.draw_log_parts import DrawLog, Staging
from tests.drawing_parts import SEEDS, make_entries, make_inspectors, make_policy
from tests.unit.test_drawing_judged import STEERED, TWO, after, second_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Desk:
    """The page's file, open in a browser that may read nothing else, and what went wrong in it."""

    page: Page
    folder: Path
    faults: list[str]
    runs: int = 0
    file: Path = Path()

    async def judge(self, bundle: bytes, trust: bytes) -> tuple[str, dict[str, Any]]:
        """Let the page make a draw again; give its state and result."""
        self.runs += 1  # a browser tells of no change when a file of the same name is chosen
        self.file = self.folder / f"draw-{self.runs}.json"
        files = self.file, self.folder / f"trust-{self.runs}.json"
        for file, data in zip(files, (bundle, trust), strict=True):
            file.write_bytes(data)
        await self.page.set_input_files("#trust", files[1])
        await self.page.set_input_files("#bundle", files[0])
        await self.page.wait_for_selector("#run:enabled")
        await self.page.click("#run")
        states = ", ".join(f"body[data-state={state}]" for state in ("valid", "invalid", "unreadable"))
        await self.page.wait_for_selector(states, timeout=60_000)
        state = str(await self.page.evaluate("document.body.dataset.state"))
        return state, json.loads(await self.page.locator("#json").text_content() or "{}")

    def by_program(self, trust: bytes) -> tuple[int, dict[str, Any]]:
        """Let the program say the same."""
        (self.folder / "trust.json").write_bytes(trust)
        out = io.StringIO()
        status = run(["draw", str(self.file), "--trust", str(self.folder / "trust.json"), "--json"], out, io.StringIO())
        return status, json.loads(out.getvalue())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=str(chromium), args=FLAGS, headless=True)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(tmp_path: Path, browser: Browser) -> AsyncIterator[Desk]:
    file = tmp_path / "draw.html"
    file.write_bytes(draw_page())
    context = await browser.new_context(locale="en", viewport={"width": 1280, "height": 900}, offline=True)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.on("request", lambda request: None if request.url.startswith("file:") else faults.append(request.url))
    await page.goto(file.as_uri())
    yield Desk(page, tmp_path, faults)
    await context.close()
    assert faults == []


def big() -> Staging:
    return Staging(pool=Pool.of(1, 10**15, make_entries(230, 5), make_inspectors(150, 5)))


def changed_after() -> Staging:
    return Staging(after=after(("refused", TWO), ("overridden", TWO | {"declaration": "D-20261124-0000003", "members": ["i-0001"]})))


def excluded() -> Staging:
    def exclude(log: DrawLog) -> None:
        log.act("excluded", TWO | {"kind": "inspector", "id": "i-7777"}, 5)

    left = [Left("inspector", "i-7777", 1)]
    return Staging(pool=Pool.of(1, 10**15, make_entries(50), make_inspectors(8), left=left), before_call=exclude)


def second() -> Staging:
    first = Staging()
    first.make()
    return second_of(first, first.selection.counts, first.seed)


GOOD = {
    "plain": Staging,
    "many inspectors": big,
    "fallen back": lambda: Staging(answering=("hub", "port")),
    "two of three": lambda: Staging(answering=("hub", "port"), policy=make_policy(needed=2)),
    "changed after": changed_after,
    "excluded": excluded,
    "second draw": second,
}


@pytest.mark.parametrize("case", GOOD)
async def test_good_draws_come_out_as_by_the_program(desk: Desk, case: str) -> None:
    staging = GOOD[case]()
    bundle, trust = staging.make().encode(), staging.log.trust().encode()
    state, found = await desk.judge(bundle, trust)
    status, said = desk.by_program(trust)
    assert (state, status) == ("valid", 0), found
    for name in ("number", "seed", "answered", "missing", "fallen_back", "selected"):
        assert found[name] == said[name], name
    assert found["totals"] == [one.parts.total for one in staging.selection.drawn]
    steps = await desk.page.locator("#steps li").evaluate_all("all => all.map(one => one.dataset.step)")
    assert steps[:4] == ["records", "order", "policy", "pool"] and steps[-4:] == ["seed", "selection", "teams", "final"]
    assert steps.count("answer") == len(said["answered"])


@pytest.mark.parametrize("case", STEERED)
async def test_a_steered_draw_is_named_as_by_the_program(desk: Desk, case: str) -> None:
    staging = STEERED[case][0]()
    trust = staging.log.trust().encode()
    state, found = await desk.judge(staging.make().encode(), trust)
    status, said = desk.by_program(trust)
    assert (state, status, found["valid"]) == ("invalid", 1, False), found
    assert found["where"].split(":")[0].split(" ")[0] == said["faults"][0]["where"].split(":")[0].split(" ")[0]


async def test_tampered_bundles_are_refused_by_both(desk: Desk) -> None:
    staging = changed_after()
    bundle, trust = staging.make(), staging.log.trust().encode()
    line = bundle.probabilities[0].split("\t")
    sheet = next(iter(bundle.sheets))
    cases: list[DrawBundle] = [
        replace(bundle, probabilities=("\t".join([*line[:5], str(int(line[5]) + 1), *line[6:]]), *bundle.probabilities[1:])),
        replace(bundle, teams=bundle.teams[1:]),
        replace(bundle, final=bundle.final[:-1]),
        replace(bundle, leaves=bundle.leaves[1:]),
        replace(bundle, leaves=(replace(bundle.leaves[0], path=bundle.leaves[0].path[::-1]), *bundle.leaves[1:])),
        replace(bundle, checkpoint=bundle.closing.checkpoint),
        replace(bundle, policy=bundle.policy.replace('"needed":3', '"needed":1')),
        replace(bundle, sheets={sheet: replace(bundle.sheets[sheet], salt=b"\1" * 32)}),
        replace(bundle, closing=replace(bundle.closing, consistency=bundle.closing.consistency[1:])),
    ]
    for at, case in enumerate(cases):
        state, _ = await desk.judge(case.encode(), trust)
        assert (state, desk.by_program(trust)[0]) == ("invalid", 1), at
    for data in (b"{}", bundle.encode()[:-1], bundle.encode() + b" "):
        state, found = await desk.judge(data, trust)
        assert (state, desk.by_program(trust)[0]) == ("unreadable", 2), found


async def test_one_step_at_a_time_by_keyboard_in_both_languages(desk: Desk) -> None:
    staging = Staging()
    (desk.folder / "draw.json").write_bytes(staging.make().encode())
    (desk.folder / "trust.json").write_bytes(staging.log.trust(draw_keys=()).encode())
    page = desk.page
    await page.set_input_files("#bundle", desk.folder / "draw.json")
    await page.set_input_files("#trust", desk.folder / "trust.json")
    await page.focus("#paced")
    await page.keyboard.press("Space")
    await page.wait_for_selector("#run:enabled")
    await page.focus("#run")
    await page.keyboard.press("Enter")
    for count in range(1, 9 + len(SEEDS)):
        await page.wait_for_function(f"document.querySelectorAll('#steps li').length === {count}")
        await page.wait_for_function("document.activeElement.id === 'next'")
        await page.keyboard.press("Enter")
    await page.wait_for_selector("body[data-state=valid]")
    english = await page.inner_text("main")
    await page.click("#language")
    chinese = await page.inner_text("main")
    assert "The draw comes out alike" in english and "whose the answering keys are" in english
    assert "重做结果一致" in chinese and "应答密钥归谁所有" in chinese and "national rate" not in chinese
