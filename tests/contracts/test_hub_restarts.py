"""What a hub that was killed takes up again, on SQLite and on PostgreSQL alike: ends of views, codes that were given."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from hub.app import Hub, open_hub
from hub.check import check_hub
from hub.erasing import revealed
from hub.tasks import TaskDraft
from protocol import kinds
from protocol.errors import RefusedError
from protocol.instants import iso
from protocol.messages import Claim, Refusal
from storage.clock import SystemClock
from storage.keys import create_ed25519, load_ed25519
from storage.schema import records
from tests.hub_parts import BOX, TestBox, enrol, running_hub, send, settings_for, settled
from tests.web_parts import ToldClock

ROOT = Path(__file__).parent.parent.parent
TASK = "T-20261123-0001"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    create_ed25519(tmp_path / "keys" / "log.key")
    return tmp_path


async def watch_and_die(state: Path, url: str) -> None:
    """Begin three views, end one, open a task and give its code; then die without warning."""
    async with running_hub(settings_for(state, url), load_ed25519(state / "keys" / "log.key")) as hub:
        seen = [await hub.views.started("live", f"box-1/cam-{number}", "chen.min") for number in range(2)]
        seen.append(await hub.views.playback_started(TASK, "li.wei"))
        await hub.views.ended(seen[0])
        await hub.tasks.open(TaskDraft(task=TASK, title="Container 1"), "chen.min")
        code = await hub.tasks.code(TASK)
        print(json.dumps({"views": seen, "code": code.code, "died_ns": SystemClock().now().wall_ns}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def killed(state: Path, url: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.contracts.test_hub_restarts", str(state), url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return dict(json.loads(done.stdout))


def _views(connection: Connection) -> list[tuple[int, kinds.View]]:
    rows = connection.execute(select(records.c.data).where(records.c.kind == "concealed").order_by(records.c.position)).scalars()
    found = [revealed(connection, bytes(data)).record for data in rows]
    return [(record.at.wall_ns, record.body) for record in found if isinstance(record.body, kinds.View)]


async def ends(hub: Hub) -> dict[str, tuple[int, kinds.View]]:
    await settled(hub)
    logged = await hub.core.database.read(_views)
    found = [(at, body) for at, body in logged if body.state == "ended"]
    assert len(found) == len({body.view for _, body in found}), "a view ended twice"
    return {body.view: (at, body) for at, body in found}


async def test_views_that_a_killed_hub_left_open_get_their_end_once(state: Path, database_url: str) -> None:
    told = await asyncio.to_thread(killed, state, database_url)
    first, second, third = told["views"]
    key = load_ed25519(state / "keys" / "log.key")
    for _ in range(2):
        async with running_hub(settings_for(state, database_url), key) as hub:
            found = await ends(hub)
            assert set(found) == {first, second, third}
            assert found[first][1].detail == ""
            for view, viewer in ((second, "chen.min"), (third, "li.wei")):
                at, body = found[view]
                assert body.viewer == viewer
                assert "the hub was restarted" in body.detail
                after = body.detail.split("after ")[1].split(" and")[0]
                assert after <= iso(told["died_ns"]) <= iso(at)
    if not database_url:
        assert (await check_hub(settings_for(state, database_url))).problems == ()


async def test_a_view_that_ends_by_itself_gets_no_second_end(state: Path, database_url: str) -> None:
    key = load_ed25519(state / "keys" / "log.key")
    async with running_hub(settings_for(state, database_url), key) as hub:
        view = await hub.views.playback_started(TASK, "li.wei")
    async with running_hub(settings_for(state, database_url), key) as hub:
        found = await ends(hub)
        assert {name: body.detail for name, (_, body) in found.items()} == {view: "the hub stops"}


async def test_a_code_that_was_given_holds_over_a_restart_until_its_end(state: Path, database_url: str) -> None:
    told = await asyncio.to_thread(killed, state, database_url)
    clock, box = ToldClock(), TestBox(wall_ns=SystemClock().now().wall_ns)
    async with open_hub(settings_for(state, database_url), clock, load_ed25519(state / "keys" / "log.key")) as hub:
        await enrol(hub, box)
        box.boot()
        await send(hub, box)
        assert hub.tasks.task_of(told["code"]) == TASK
        assert await hub.ingest.accept(BOX, Claim("c-1", BOX, "rec-1", told["code"])) == []
        newer = await hub.tasks.code(TASK)
        assert {hub.tasks.task_of(newer.code), hub.tasks.task_of(told["code"])} == {TASK}
        clock.pass_time(hub.core.settings.tasks.code_seconds + 1)
        assert hub.tasks.task_of(told["code"]) is None
        (answer,) = await hub.ingest.accept(BOX, Claim("c-2", BOX, "rec-2", told["code"]))
        assert isinstance(answer, Refusal)


async def test_a_code_ends_with_its_task_and_is_not_in_the_database(state: Path) -> None:
    key = load_ed25519(state / "keys" / "log.key")
    async with running_hub(settings_for(state), key) as hub:
        await hub.tasks.open(TaskDraft(task=TASK, title="Container 1"), "chen.min")
        given = await hub.tasks.code(TASK)
        assert (await hub.tasks.code(TASK)).code == given.code
        with sqlite3.connect(state / "hub.db") as database:
            text = "\n".join(database.iterdump())
        database.close()
        assert f"'{given.code}'" not in text
        await hub.tasks.end(TASK, "chen.min")
        assert hub.tasks.task_of(given.code) is None
        with pytest.raises(RefusedError, match="has ended"):
            await hub.tasks.code(TASK)
    async with running_hub(settings_for(state), key) as hub:
        assert hub.tasks.task_of(given.code) is None


if __name__ == "__main__":
    asyncio.run(watch_and_die(Path(sys.argv[1]), sys.argv[2]))
