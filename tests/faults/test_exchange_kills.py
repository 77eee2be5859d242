"""A hub is killed between commit, delivery and the record of it: nothing is lost, nothing is there twice by its key, all stays in order."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from hub.check import check_hub
from hub.exchange.delivering import KEY
from simulators.partners.webhook import WebhookReceiver
from storage.clock import SystemClock
from storage.keys import create_ed25519
from tests.exchange_child import NUMBERS, POINTS
from tests.hub_parts import settings_for

ROOT = Path(__file__).parents[2]


async def run(state: Path, url: str, point: str, count: int = 0) -> int:
    command = (sys.executable, "-m", "tests.exchange_child", str(state), url, point, str(count))
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(120):
        _, said = await child.communicate()
    assert child.returncode in (0, -signal.SIGKILL), said.decode()
    return child.returncode or 0


@pytest.mark.parametrize("point", POINTS)
async def test_what_is_committed_is_told_once_by_its_key(tmp_path: Path, point: str) -> None:
    (tmp_path / "keys").mkdir()
    create_ed25519(tmp_path / "keys" / "log.key")
    own = create_ed25519(tmp_path / "keys" / KEY)
    async with WebhookReceiver(own.public.raw(), SystemClock()) as receiver:
        deaths = 0
        for count in (9, 2, 3, 1) if point == "before the commit" else (1, 2, 1):
            deaths += await run(tmp_path, receiver.url, point, count) != 0
        assert deaths >= 2, "it never died there"
        assert await run(tmp_path, receiver.url, "never") == 0
        good = [one.value["declarationReference"] for one in receiver.good()]
        assert good == NUMBERS
        assert {one.judged for one in receiver.deliveries} <= {"good", "again"}
        if point == "between the partner's answer and its record":
            assert "again" in {one.judged for one in receiver.deliveries}
    assert (await check_hub(settings_for(tmp_path))).problems == ()
