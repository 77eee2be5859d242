"""The database: URLs, durability settings, one writer, errors by name, migrations that equal the tables."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, insert, select

from protocol.errors import MalformedError, RefusedError, StorageError, UnavailableError
from storage.database import Database, insert_many, insert_new, upsert
from storage.schema import METADATA, alarms, blobs, log_state

ROW = {"name": "x", "lease": 1, "size": 0, "root": b"r", "frontier": b"", "checkpoint": b"c"}


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    async with Database(url) as opened:
        yield opened


async def test_migrations_make_what_the_schema_says(database: Database) -> None:
    def compare(connection: Connection) -> list[Any]:
        return [each for each in compare_metadata(MigrationContext.configure(connection), METADATA) if "alembic_version" not in str(each)]

    assert await database.read(compare) == []
    async with Database(database.url):  # again: nothing to do, nothing lost
        pass


async def test_what_raises_changes_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(insert(log_state).values(ROW))
        raise RefusedError("no")

    with pytest.raises(RefusedError):
        await database.write(fail)
    assert await database.read(lambda connection: connection.execute(select(func.count()).select_from(log_state)).scalar()) == 0


async def test_writers_follow_each_other(database: Database) -> None:
    await database.write(lambda connection: connection.execute(insert(log_state).values(ROW)))

    def count(connection: Connection) -> None:
        size = connection.execute(select(log_state.c.size)).scalar_one()
        connection.execute(log_state.update().values(size=size + 1))

    await asyncio.gather(*(database.write(count) for _ in range(50)))
    assert await database.read(lambda connection: connection.execute(select(log_state.c.size)).scalar()) == 50


async def test_a_read_sees_one_state(database: Database) -> None:
    def look(connection: Connection) -> tuple[int, int]:
        first = connection.execute(select(func.count()).select_from(log_state)).scalar_one()
        database.write_now(lambda other: other.execute(insert(log_state).values(ROW)))
        return first, connection.execute(select(func.count()).select_from(log_state)).scalar_one()

    assert await database.read(look) == (0, 0)


async def test_rows_are_inserted_ignored_and_replaced(database: Database) -> None:
    def change(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(insert_new(connection, log_state), [ROW])
        upsert(connection, log_state, ROW | {"size": 7})
        upsert(connection, log_state, ROW | {"name": "y"})
        names = ("sha256", "length", "box", "state", "at_ns", "logged")
        insert_many(connection, blobs, names, [(bytes([at] * 32), at, "box-1", "stored", 1, False) for at in range(3)])

    await database.write(change)
    sizes = await database.read(lambda connection: connection.execute(select(log_state.c.size).order_by(log_state.c.name)).scalars().all())
    assert sizes == [7, 0]
    names = await database.read(lambda connection: connection.execute(select(blobs.c.sha256).order_by(blobs.c.length)).scalars().all())
    assert [bytes(name)[0] for name in names] == [0, 1, 2]


async def test_a_broken_rule_of_the_tables_is_a_storage_error(database: Database) -> None:
    def twice(connection: Connection) -> None:
        connection.execute(insert(log_state), [ROW])
        connection.execute(insert(log_state), [ROW])

    with pytest.raises(StorageError):
        await database.write(twice)
    with pytest.raises(StorageError):
        await database.write(lambda connection: connection.execute(insert(alarms).values(kind=None)))


async def test_sqlite_is_durable(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path / 'deep' / 'x.db'}") as database:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            text = f"PRAGMA {pragma}"
            assert await database.write(lambda connection, text=text: connection.exec_driver_sql(text).scalar()) == value  # type: ignore[misc]


@pytest.mark.parametrize("url", ["", "mysql://x/y", "no url", "sqlite://", "sqlite:///:memory:"])
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(MalformedError):
        async with Database(url):
            pass


async def test_nobody_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        async with Database(f"postgresql+psycopg://x@/x?host={tmp_path}"):
            pass
    with pytest.raises(StorageError):
        Database(f"sqlite:///{tmp_path}/x.db").read_now(lambda connection: None)


async def test_a_busy_file_is_unavailable_not_wrong(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    async with Database(url) as one, Database(url, busy_seconds=0.05) as other:

        def hold(connection: Connection) -> None:
            with pytest.raises(UnavailableError, match="locked"):
                other.write_now(lambda inner: None)

        await one.write(hold)
