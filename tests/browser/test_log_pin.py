"""The browser's pin of the port log: it grows with the log, and a log that is another one rings in both languages."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from protocol import kinds
from protocol.notes import Checkpoint, SignedCheckpoint, sign_checkpoint
from tests.browser_parts import open_desk
from tests.web_parts import Face, open_face

pytestmark = pytest.mark.browser
READ = "JSON.parse(localStorage.getItem('portwitness.pin') ?? 'null')"


@pytest.fixture
async def desk(tmp_path: Path, chromium: Path) -> AsyncIterator[tuple[Face, Page]]:
    async with open_face(tmp_path) as face, open_desk(face, chromium) as found:
        yield face, await found.page("chen.min", language="en")


async def look(page: Page) -> None:
    """Let the element look now, as its timer does."""
    await page.locator("log-pin").wait_for(state="attached")
    await page.evaluate("customElements.whenDefined('log-pin').then(() => document.querySelector('log-pin').check())")


async def log_one(face: Face) -> None:
    await face.hub.log.issue(kinds.Access("test", "x"), "x")


async def show(page: Page, note: bytes) -> None:
    async def answer(route: Route) -> None:
        await route.fulfill(body=note.decode(), content_type="text/plain; charset=utf-8")

    await page.route("**/api/v1/log/checkpoint", answer)


async def test_the_pin_grows_with_the_log_and_refuses_another(desk: tuple[Face, Page]) -> None:
    face, page = desk
    await log_one(face)
    await look(page)
    first = await page.evaluate(READ)
    assert first["size"] == face.hub.log.published_size()
    assert first["vkey"] == face.hub.log.vkey
    for _ in range(5):  # sizes of every shape: odd, even, a power of two
        await log_one(face)
        await look(page)
        assert (await page.evaluate(READ))["size"] == face.hub.log.published_size()
    await expect(page.locator("log-pin .notice")).to_have_count(0)
    pin = await page.evaluate(READ)

    head = SignedCheckpoint.parse(await face.hub.log.checkpoint()).checkpoint
    await show(page, sign_checkpoint(Checkpoint(head.origin, head.size, bytes(32)), face.hub.log.signer))
    await look(page)
    await expect(page.locator("log-pin")).to_contain_text("are not the same log")
    kept = json.loads(await page.evaluate("localStorage.getItem('portwitness.refused')"))
    assert SignedCheckpoint.parse(kept["pinned"].encode()).checkpoint == head
    assert SignedCheckpoint.parse(kept["shown"].encode()).checkpoint.root == bytes(32)
    assert await page.evaluate(READ) == pin  # the pin stays

    await log_one(face)
    later = SignedCheckpoint.parse(await face.hub.log.checkpoint()).checkpoint
    await show(page, sign_checkpoint(Checkpoint(later.origin, later.size, bytes(32)), face.hub.log.signer))
    await page.click("#language")
    await look(page)
    await expect(page.locator("log-pin")).to_contain_text("不是同一本总账")

    await show(page, (await face.hub.log.checkpoint()).replace(head.origin.encode(), b"portwitness.port/other/hub-1", 1))
    await look(page)
    await expect(page.locator("log-pin")).to_contain_text("没有总账公钥的签名")


async def test_a_shorter_log_than_before_rings_and_the_true_one_silences(desk: tuple[Face, Page]) -> None:
    face, page = desk
    await log_one(face)
    await look(page)
    size = (await page.evaluate(READ))["size"]
    longer = {**await page.evaluate(READ), "size": size + 7}
    await page.evaluate("pin => localStorage.setItem('portwitness.pin', JSON.stringify(pin))", longer)
    await look(page)
    await expect(page.locator("log-pin")).to_contain_text("may run on an old copy")
    await page.evaluate("localStorage.removeItem('portwitness.pin')")
    await look(page)
    await expect(page.locator("log-pin .notice")).to_have_count(0)
