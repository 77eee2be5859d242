"""Keep evaluations and releases by their records, and the evidence lists that releases bind.

Guarantees: rows depend on records alone; a list is kept under the root that its record names.
"""

from sqlalchemy import Connection, RowMapping, select

from protocol.clearing_kinds import Evaluation, Release
from protocol.records import Record
from storage.database import insert_new
from storage.exchange_schema import evaluations, evidence_lists, releases


def project_clearing(connection: Connection, record: Record, body: Evaluation | Release) -> None:
    """Insert a record's row."""
    row = {"position": record.position, "declaration": record.subject, "size": body.size, "sheet": body.sheet, "wall_ns": record.at.wall_ns}
    if isinstance(body, Evaluation):
        connection.execute(insert_new(connection, evaluations), [row | {"verdict": body.verdict}])
    else:
        more = {"act": body.act, "root": body.root, "items": body.items, "rule": body.rule}
        connection.execute(insert_new(connection, releases), [row | more])


def evaluations_of(connection: Connection, declaration: str) -> list[RowMapping]:
    """Give a declaration's evaluations, in order."""
    mine = select(evaluations).where(evaluations.c.declaration == declaration)
    return list(connection.execute(mine.order_by(evaluations.c.position)).mappings())


def releases_of(connection: Connection, declaration: str) -> list[RowMapping]:
    """Give what was released, overridden and recalled of a declaration, in order."""
    mine = select(releases).where(releases.c.declaration == declaration)
    return list(connection.execute(mine.order_by(releases.c.position)).mappings())


def keep_evidence(connection: Connection, root: bytes, lines: bytes) -> None:
    """Keep the list of what a release rests on."""
    connection.execute(insert_new(connection, evidence_lists), [{"root": root, "data": lines}])


def evidence(connection: Connection, root: bytes) -> bytes | None:
    """Give the list of a root."""
    found = connection.execute(select(evidence_lists.c.data).where(evidence_lists.c.root == root)).scalar()
    return None if found is None else bytes(found)
