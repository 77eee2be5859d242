"""The checks of releases and messages find what was done past them: in the tables, in the log, in what is kept."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.states import State
from protocol.clearing_kinds import Release
from protocol.exchange_kinds import MessageIn, PortEvent
from protocol.inspection_kinds import Step
from storage.exchange_schema import evidence_lists, exchange_bodies
from storage.keys import create_ed25519
from tests.exchange_parts import TERMINAL, event, know_partners, telling
from tests.hub_parts import running_hub, settings_for
from tests.release_parts import CHEN, TO_DIRECT, evidence_in_log, stand

NUMBER = "D-20261124-0000001"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        await know_partners(running)
        evidence_in_log(running)
        await stand(running, [NUMBER], TO_DIRECT)
        yield running


async def problems(hub: Hub) -> str:
    return "\n".join((await check_hub(hub.core.settings)).problems)


async def test_releases_past_the_gate_are_named(hub: Hub) -> None:
    await hub.declarations.hold(NUMBER, "maritime", "mo", "papers")
    await hub.log.issue(Step(State.RELEASED, bytes(32)), NUMBER)
    assert "was released at" in await problems(hub)
    await hub.log.issue(Release("released", 1, bytes(32), 0, bytes(32)), NUMBER)
    found = await problems(hub)
    assert "maritime held it" in found and "the list of its evidence is missing" in found


async def test_evidence_that_was_changed_is_named(hub: Hub) -> None:
    done = await hub.releases.approve(NUMBER, CHEN)
    assert await problems(hub) == ""
    change = update(evidence_lists).where(evidence_lists.c.root == done.root)
    await hub.core.database.write(lambda connection: connection.execute(change.values(data=b"blob " + b"0" * 64 + b"\n")))
    assert "its root is another" in await problems(hub)


async def test_messages_that_were_lost_or_handled_twice_are_named(hub: Hub) -> None:
    taken = await hub.exchange.take(TERMINAL, telling("T-1", event("DISC")), "application/json")
    assert await problems(hub) == ""
    unit = (("0", "DISC", bytes(32), "taken"),)
    await hub.log.issue(MessageIn(3, bytes(32), 5, "json", "T-1", "taken", unit), TERMINAL)
    for _ in range(2):
        await hub.log.issue(PortEvent(taken.position, 0, "GTOT", "CSQU3054383", "applied", ""), NUMBER)
    await hub.log.issue(PortEvent(10**6, 0, "GTOT", "CSQU3054383", "noted", ""), NUMBER)
    await hub.core.database.write(lambda connection: connection.execute(delete(exchange_bodies)))
    found = await problems(hub)
    for words in ("expected number 2", "was handled twice", "took effect 2 times", "names message 1000000", "its bytes are missing"):
        assert words in found
