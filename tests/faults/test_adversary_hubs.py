"""Attacks on a hub's folder are found by its own check and by monitors; a box that came back older is found by the hub."""

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from edge.journal import Box, Entry, Journal
from hub.app import Hub, open_hub
from hub.check import check_hub
from protocol import kinds
from protocol.messages import JournalBatch
from simulators.adversary.attacks import Attack
from simulators.adversary.catalogue import ATTACKS
from simulators.adversary.command import strike
from simulators.adversary.premises import BOX, hub_settings, make_hub, settle
from simulators.adversary.stages import identity, make_box
from storage.clock import SystemClock
from storage.monitor import run
from storage.schema import records
from storage.spool import Spool
from tests.hub_parts import SiteCa
from web.browser_app import browser_app


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adversary") / "stage"
    folder.mkdir()
    asyncio.run(make_hub(folder))
    make_box(folder)
    return folder


@asynccontextmanager
async def served(state: Path) -> AsyncIterator[str]:
    """Run a hub on a state folder behind its browser port; give the address."""
    async with open_hub(hub_settings(state), SystemClock()) as hub:
        app = browser_app(hub, secure=False, closing=asyncio.Event())
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()  # from now on a call waits, and is not refused
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
            task = asyncio.create_task(server.serve([listener]))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                await task
                await app.state.watching.close()


async def monitored(state: Path, stage: Path, memory: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], str]:
    """Run `portwitness-monitor` against a hub; give its exit status, its findings and all it said."""
    given = ["--token-file", str(stage / "hub-token"), "--trust", str(stage / "hub-trust.json"), "--no-report", "--json"]
    given += ["--authorities", str(stage / "hub-chain.pem"), "--state", str(memory)]
    async with served(state) as url:
        status = await asyncio.to_thread(run, ["--hub", url, *given], SystemClock())
    said = capsys.readouterr()
    findings = json.loads(said.out)["findings"] if said.out else []
    return status, [f"{one['rule']} {one['where']}: {one['what']}" for one in findings], said.err


HUBS = [one for one in ATTACKS if one.target == "hub"]


async def test_an_intact_hub_has_nothing_to_be_found(stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = Path(shutil.copytree(stage / "hub", tmp_path / "hub"))
    answer = await check_hub(hub_settings(state))
    assert (answer.problems, answer.blobs) == ((), 4)
    assert await monitored(state, stage, tmp_path / "memory", capsys) == (0, [], "")


@pytest.mark.parametrize("attack", HUBS, ids=lambda one: one.name)
async def test_a_hub_attacked_is_caught(attack: Attack, stage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memory = tmp_path / "memory"
    if any(sign.detector == "portwitness-monitor" for sign in attack.signs):
        shutil.copytree(stage / "hub", tmp_path / "before")
        assert (await monitored(tmp_path / "before", stage, memory, capsys))[0] == 0
    struck = strike(attack, stage / "hub", tmp_path / "struck", seed=3)
    for sign in attack.signs:
        if sign.detector == "portwitness-hub fsck":
            found = list((await check_hub(hub_settings(struck))).problems)
        else:
            place = memory if sign.detector == "portwitness-monitor" else tmp_path / "newcomer"
            status, found, said = await monitored(struck, stage, place, capsys)
            assert status in (1, 2), (found, said)
            found.append(said)
        assert any(sign.reason in one for one in found), (sign, found)


async def contact(hub: Hub, state: Path) -> None:
    """Let a box send all it has, twice."""
    spool = Spool(state / "spool.db")
    spool.open()
    for _ in range(2):
        for row in spool.epochs():
            batch = JournalBatch(BOX, row.epoch, 0, tuple(one.data for one in spool.records(row.epoch, 0, 1000)))
            await hub.ingest.accept(BOX, batch)
    spool.close()


def boot(state: Path) -> None:
    """Start a box on a state folder and let it write a little."""
    spool = Spool(state / "spool.db")
    spool.open()
    journal = Journal(spool, Box(BOX, identity(), b"again", "simulated"), SystemClock())
    journal.start()
    journal.append([Entry(BOX, kinds.BoxState("test", "came back"))], seal="interval")
    spool.close()


@pytest.mark.parametrize(
    "attack", [one for one in ATTACKS if one.signs[0].detector == "portwitness-hub, on contact"], ids=lambda one: one.name
)
async def test_a_box_that_comes_back_older_is_caught_by_the_hub(attack: Attack, stage: Path, tmp_path: Path) -> None:
    settings = hub_settings(tmp_path / "hub")
    struck = strike(attack, stage / "box", tmp_path / "struck", seed=3)
    shutil.copytree(stage / "box", tmp_path / "box")
    shutil.copytree(stage / "hub" / "keys", settings.keys)
    async with open_hub(settings, SystemClock()) as hub:
        await hub.log.issue(kinds.Enrolment("issued", SiteCa().box(BOX, identity()).der, "admin"), BOX)
        await contact(hub, tmp_path / "box")
        await settle(hub)
        assert await hub.alarms.list() == []
        boot(struck)
        await contact(hub, struck)
        await settle(hub)
        rows = await hub.core.database.read(lambda connection: connection.execute(records.select()).all())
        assert attack.signs[0].reason in {row.kind for row in rows}
        assert {"equivocation", "lost head"} & {alarm.kind for alarm in await hub.alarms.list()}
