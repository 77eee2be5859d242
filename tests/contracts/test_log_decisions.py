"""Decisions are made of the tables as they stand where their record enters the log, on SQLite and on PostgreSQL alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from hub.app import Hub
from hub.check import check_hub
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from storage.keys import create_ed25519
from storage.schema import tasks
from tests.hub_parts import running_hub, settings_for


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
        yield running


def numbered(connection: Connection, size: int) -> tuple[str, kinds.Body]:
    """Name the tasks that the tables hold and the log's size, and refuse the fifth."""
    count = connection.execute(select(func.count()).select_from(tasks)).scalar_one()
    if count == 4:
        raise RefusedError("four are enough", where="tasks")
    return f"T-{count}", kinds.Task("opened", "chen", "dyw", None, f"after {count} at {size}")


async def test_each_decision_sees_what_came_before_it_in_the_same_batch(hub: Hub) -> None:
    asked = [hub.log.decide(numbered) for _ in range(7)]
    plain = [hub.log.issue(kinds.BoxState("disk", "full"), f"box-{number}") for number in range(3)]
    answers = await asyncio.gather(*asked, *plain, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert [str(error) for error in refused] == ["tasks: four are enough"] * 3
    logged = [answer.record for answer in answers[:7] if not isinstance(answer, BaseException)]
    assert [record.subject for record in logged] == ["T-0", "T-1", "T-2", "T-3"]
    bodies = [(record, record.body) for record in logged if isinstance(record.body, kinds.Task)]
    assert [body.title for _, body in bodies] == [f"after {at} at {record.position}" for at, (record, _) in enumerate(bodies)]
    assert len(bodies) == 4
    assert hub.log.published_size() == 7
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_a_refused_decision_alone_logs_nothing(hub: Hub) -> None:
    def refuse(_connection: Connection, _size: int) -> tuple[str, kinds.Body]:
        raise RefusedError("no", where="test")

    def long_named(_connection: Connection, _size: int) -> tuple[str, kinds.Body]:
        return "x" * 500, kinds.BoxState("disk", "full")

    with pytest.raises(RefusedError, match="no"):
        await hub.log.decide(refuse)
    with pytest.raises(MalformedError, match="subject of 500"):
        await hub.log.decide(long_named)
    assert hub.log.size == 0
    signed = await hub.log.decide(numbered)
    assert (signed.record.position, hub.log.published_size()) == (0, 1)
