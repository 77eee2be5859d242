"""Marks, words to the site and second looks at the hub, on SQLite and on PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, update

from hub.app import Hub
from hub.check import check_hub
from hub.inspection.supervision.second_looks import FINDINGS, check_rounds
from hub.tasks import TaskDraft
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from storage.fieldwork_schema import inspection_tasks, task_people
from storage.keys import create_ed25519
from storage.schema import second_rounds, sheets
from tests.contracts.test_draws import TWO, drawn, policy_for, screen
from tests.hub_parts import running_hub, settings_for

TASK = "T-1"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with running_hub(settings_for(tmp_path, database_url), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        await running.tasks.open(TaskDraft(task=TASK, title="durians", inspectors=("li.wei", "wang.fang")), "chen.min")
        yield running


async def sound(hub: Hub) -> None:
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_mark_is_corrected_by_another_and_both_stay(hub: Hub) -> None:
    first = await hub.supervision.annotate(TASK, (10, 20), "seal not in the picture", "chen.min", stream="box-1/cam-1")
    second = await hub.supervision.annotate(TASK, (10, 25), "seal is seen at the end", "zhou.jun", corrects=first)
    found = await hub.supervision.marks(TASK)
    assert [(one.position, one.text, one.by, one.corrected) for one in found] == [
        (first, "seal not in the picture", "chen.min", second),
        (second, "seal is seen at the end", "zhou.jun", None),
    ]
    assert b"seal" not in await hub.log.leaf(first)
    for attempt, error in (
        (hub.supervision.annotate("T-none", (1, 2), "x", "chen.min"), RefusedError),
        (hub.supervision.annotate(TASK, (2, 1), "x", "chen.min"), MalformedError),
        (hub.supervision.annotate(TASK, (1, 2), " ", "chen.min"), MalformedError),
        (hub.supervision.annotate(TASK, (1, 2), "x" * 3000, "chen.min"), MalformedError),
        (hub.supervision.annotate(TASK, (1, 2), "x", "chen.min", stream="no stream"), MalformedError),
        (hub.supervision.annotate(TASK, (1, 2), "x", "chen.min", corrects=99_999), RefusedError),
    ):
        with pytest.raises(error):
            await attempt
    await hub.core.database.write(lambda connection: connection.execute(delete(sheets)))
    assert [(one.text, one.by) for one in await hub.supervision.marks(TASK)] == [(None, None), (None, None)]
    await sound(hub)


async def test_an_instruction_is_read_once_by_somebody_on_the_task(hub: Hub) -> None:
    given = await hub.supervision.instruct(TASK, "photograph the floor of the container", "chen.min")
    with pytest.raises(ForbiddenError, match="not your task"):
        await hub.supervision.acknowledge(TASK, given, "sun.yan")
    with pytest.raises(RefusedError, match="is not known"):
        await hub.supervision.acknowledge("T-2", given, "li.wei")
    read = await hub.supervision.acknowledge(TASK, given, "li.wei")
    assert await hub.supervision.acknowledge(TASK, given, "wang.fang") == read
    told = await hub.supervision.instructions(TASK)
    assert [(one.position, one.text, one.by, one.read_at, one.read_by) for one in told] == [
        (given, "photograph the floor of the container", "chen.min", read, "li.wei")
    ]
    await hub.tasks.end(TASK, "chen.min")
    with pytest.raises(RefusedError, match="has ended"):
        await hub.supervision.instruct(TASK, "one more", "chen.min")
    await sound(hub)


async def ended(hub: Hub, first: int, count: int) -> None:
    for number in range(first, first + count):
        await hub.tasks.open(TaskDraft(task=f"T-{number}", title="x", inspectors=("li.wei",)), "chen.min")
        await hub.tasks.end(f"T-{number}", "chen.min")


async def looks_drawn(hub: Hub, count: int) -> None:
    for _ in range(1000):
        if len(await hub.second_looks.list()) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"fewer than {count} second looks were drawn")


async def test_a_round_follows_each_draw_and_is_recomputed_from_the_log(hub: Hub) -> None:
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    await ended(hub, 10, 5)
    await screen(hub, 1)
    await drawn(hub)
    await looks_drawn(hub, 1)
    first = await hub.second_looks.list()
    assert {one.task for one in first} <= {f"T-{number}" for number in range(10, 15)}
    await ended(hub, 20, 3)
    await screen(hub, 1, first=5)
    await drawn(hub)
    await looks_drawn(hub, len(first) + 1)
    newer = {one.task for one in await hub.second_looks.list()} - {one.task for one in first}
    assert newer and newer <= {"T-20", "T-21", "T-22"}  # who stood in a round before is in none again
    assert await hub.second_looks.go_on() == 0
    await sound(hub)

    def forge(connection: Connection) -> None:
        connection.execute(update(second_rounds).where(second_rounds.c.draw == 1).values(draw=9))

    await hub.core.database.write(forge)
    found = await hub.core.database.read(lambda connection: list(check_rounds(connection)))
    assert found == ["S7 draw 1: 5 tasks ended before it, and no second looks were drawn"]


async def test_a_second_look_is_given_to_somebody_who_was_not_there(hub: Hub) -> None:
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    await hub.tasks.end(TASK, "chen.min")
    await screen(hub, 1)
    await drawn(hub)
    await looks_drawn(hub, 1)
    with pytest.raises(RefusedError, match="was on the inspection"):
        await hub.second_looks.assign(TASK, "li.wei", "chen.min")
    with pytest.raises(RefusedError, match="was not drawn"):
        await hub.second_looks.assign("T-77", "sun.yan", "chen.min")
    assert (await hub.second_looks.assign(TASK, "sun.yan", "chen.min")).to == "sun.yan"
    joined = {"task": TASK, "person": "sun.yan"}
    await hub.core.database.write(lambda connection: connection.execute(insert(task_people).values(joined)))
    with pytest.raises(RefusedError, match="was on the inspection"):  # it was handed over since
        await hub.second_looks.find(TASK, "confirmed", "all as I said myself", "sun.yan")
    await hub.core.database.write(lambda connection: connection.execute(delete(task_people)))
    sibling = {"position": 1, "declaration": "D-1", "procedure": "fruit", "sha256": bytes(32)}
    await hub.tasks.open(TaskDraft(task="T-1.2", title="wood", inspectors=("he.jun",)), "chen.min")
    rows = [sibling | {"task": name} for name in (TASK, "T-1.2")]
    await hub.core.database.write(lambda connection: connection.execute(insert(inspection_tasks).values(rows)))
    with pytest.raises(RefusedError, match="was on the inspection"):  # on the other task of the same goods
        await hub.second_looks.assign(TASK, "he.jun", "chen.min")
    await hub.core.database.write(lambda connection: connection.execute(delete(inspection_tasks)))
    with pytest.raises(RefusedError, match="not given to you"):
        await hub.second_looks.find(TASK, "confirmed", "all as said", "chen.min")
    look = await hub.second_looks.find(TASK, "findings", "the seal is another", "sun.yan")
    assert (look.outcome, look.by, look.text) == ("findings", "sun.yan", "the seal is another")
    assert [(one.subject, one.count) for one in await hub.alarms.list() if one.kind == FINDINGS] == [(TASK, 1)]
    for again in ("confirmed", "findings"):
        with pytest.raises(RefusedError, match="again already"):
            await hub.second_looks.find(TASK, again, "once more", "sun.yan")
    assert [one.count for one in await hub.alarms.list() if one.kind == FINDINGS] == [1]
    with pytest.raises(RefusedError, match="again already"):
        await hub.second_looks.find(TASK, "confirmed", "no, it is not", "sun.yan")
    with pytest.raises(RefusedError, match="again already"):
        await hub.second_looks.assign(TASK, "he.jun", "chen.min")
    assert await hub.second_looks.list() == []
    assert len(await hub.second_looks.list(open_only=False)) == 1
    await sound(hub)
