"""Keep every version of the managed reference data by its records, and find the one that held at a place of the log.

Guarantees: rows depend on records alone; the newest version of each key is marked; what was retired stays readable.
"""

from sqlalchemy import Connection, RowMapping, and_, select, update

from protocol.inspection_kinds import Reference
from protocol.records import Record
from storage.database import insert_new
from storage.schema import reference_entries as entries


def project_reference(connection: Connection, record: Record, body: Reference) -> None:
    """Insert a record's row, as the newest of its key."""
    category, _, key = record.subject.partition("/")
    mine = and_(entries.c.category == category, entries.c.key == key, entries.c.position != record.position)
    connection.execute(update(entries).where(mine, entries.c.newest.is_(True)).values(newest=False))
    row = {"position": record.position, "category": category, "key": key, "version": body.version, "retired": body.act == "retired"}
    connection.execute(insert_new(connection, entries), [row | {"newest": True, "sheet": body.sheet, "wall_ns": record.at.wall_ns}])


def newest(connection: Connection, category: str, key: str, *, before: int | None = None) -> RowMapping | None:
    """Give the newest version of an entry, retired or not; `before`: by the log up to this size."""
    wishes = [entries.c.category == category, entries.c.key == key]
    wishes += [entries.c.newest.is_(True)] if before is None else [entries.c.position < before]
    query = select(entries).where(*wishes).order_by(entries.c.version.desc()).limit(1)
    return connection.execute(query).mappings().first()


def standing(connection: Connection, category: str, *, retired: bool = False) -> list[RowMapping]:
    """Give the newest version of each entry of a category, by key; of those that are retired only when they are asked for."""
    wishes = [entries.c.category == category, entries.c.newest.is_(True)]
    wishes += [] if retired else [entries.c.retired.is_(False)]
    return list(connection.execute(select(entries).where(*wishes).order_by(entries.c.key)).mappings())


def versions(connection: Connection, category: str, key: str) -> list[RowMapping]:
    """Give every version of an entry, in order."""
    mine = and_(entries.c.category == category, entries.c.key == key)
    return list(connection.execute(select(entries).where(mine).order_by(entries.c.version)).mappings())
