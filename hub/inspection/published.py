"""Keep what was done with each version of each operating procedure, by its records, and find the one that is in force.

Guarantees: rows depend on records alone; a procedure is given back only when it hashes to the name that a record binds; whatever is
published or withdrawn later, a version stays readable by its hash, so that what began with it goes on with it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select

from hub.inspection import entries
from hub.inspection.sheets import said
from protocol import sheets
from protocol.errors import RefusedError, StorageError
from protocol.instants import SECOND_NS
from protocol.procedures.model import Procedure
from protocol.procedures.reading import read_procedure, value_of
from protocol.records import Record
from protocol.rule_kinds import ProcedureAct
from storage.database import insert_new
from storage.schema import procedure_acts as acts
from storage.schema import procedure_documents as documents

State = Literal["proposed", "published", "rejected", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Done:
    """One act on a version; `said`: who, with whom, why; None where that was erased."""

    act: State
    position: int
    wall_ns: int
    rule: str | None
    said: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a procedure with all that was done with it, in order. `effective`: the first day it can be in force."""

    key: str
    version: int
    sha256: bytes
    effective: str
    until: str | None
    done: tuple[Done, ...]

    @property
    def state(self) -> State:
        """Give how it stands."""
        return self.done[-1].act

    def on(self, day: str) -> bool:
        """Tell whether it may be in force on a day."""
        return self.state == "published" and self.effective <= day and (self.until is None or day <= self.until)


@dataclass(frozen=True, slots=True)
class PublishedProcedure:
    """A procedure that is in force; `sha256`: of its canonical JSON."""

    key: str
    version: int
    sha256: bytes
    procedure: Procedure


def document_of(procedure: Procedure) -> bytes:
    """Give the canonical JSON of a procedure, whose SHA-256 names it."""
    return sheets.encode(value_of(procedure))


def project_procedure(connection: Connection, record: Record, body: ProcedureAct) -> None:
    """Insert a record's row."""
    row = {"position": record.position, "key": record.subject, "version": body.version, "act": body.act, "sha256": body.sha256}
    row |= {"effective": body.effective, "until": body.until, "rule": body.rule, "sheet": body.sheet, "wall_ns": record.at.wall_ns}
    connection.execute(insert_new(connection, acts), [row])


def keep_procedure(connection: Connection, data: bytes) -> bytes:
    """Keep a procedure's canonical JSON, in the transaction that logs the record which binds it; give its SHA-256."""
    name = hashlib.sha256(data).digest()
    connection.execute(insert_new(connection, documents), [{"sha256": name, "data": data}])
    return name


def document(connection: Connection, sha256: bytes) -> bytes:
    """Give the canonical JSON of a procedure; raise RefusedError when none has this hash, StorageError when it is not what was kept."""
    data = connection.execute(select(documents.c.data).where(documents.c.sha256 == sha256)).scalar()
    if data is None:
        raise RefusedError("is not known", where=f"procedure {sha256.hex()[:16]}")
    if hashlib.sha256(bytes(data)).digest() != sha256:
        raise StorageError("is not what its record binds", where=f"procedure {sha256.hex()[:16]}")
    return bytes(data)


def procedure_of(connection: Connection, sha256: bytes) -> Procedure:
    """Give a procedure by the hash of its canonical JSON, in force or not; raise as `document`."""
    return _read(document(connection, sha256))


@lru_cache(maxsize=128)
def _read(data: bytes) -> Procedure:
    return read_procedure(sheets.decode(data))


def versions(connection: Connection, key: str | None = None) -> list[Version]:
    """Give every version of a procedure, or of all, by key and version."""
    query = select(acts).order_by(acts.c.key, acts.c.version, acts.c.position)
    found: dict[tuple[str, int], list[RowMapping]] = {}
    for row in connection.execute(query if key is None else query.where(acts.c.key == key)).mappings():
        found.setdefault((row["key"], row["version"]), []).append(row)
    return [_version(connection, rows) for rows in found.values()]


def _version(connection: Connection, rows: list[RowMapping]) -> Version:
    first, last = rows[0], rows[-1]
    done = tuple(Done(row["act"], row["position"], row["wall_ns"], row["rule"], said(connection, bytes(row["sheet"]))) for row in rows)
    effective = first["effective"]
    if last["act"] == "published" and last["rule"] is None:  # nothing that people publish holds before the day they did
        effective = max(effective, datetime.fromtimestamp(last["wall_ns"] // SECOND_NS, UTC).date().isoformat())
    return Version(first["key"], first["version"], bytes(first["sha256"]), effective, first["until"], done)


def all_in_force(connection: Connection, day: str) -> dict[str, Version]:
    """Give the version of each procedure that is in force on a day, by key: the highest that may be."""
    return {one.key: one for one in versions(connection) if one.on(day)}


def in_force(connection: Connection, name: str, day: str) -> PublishedProcedure:
    """Give the procedure for a kind of goods, or of a key, on a day, in a transaction; raise RefusedError when there is none."""
    row = entries.newest(connection, "goods", name)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    key = name if words is None else words["entry"]["procedure"]
    standing = all_in_force(connection, day)
    found = standing.get(key)
    if found is None:
        found = next((one for one in standing.values() if key in procedure_of(connection, one.sha256).goods), None)
    if found is None:
        raise RefusedError(f"has no procedure in force on {day}", where=name[:64])
    return PublishedProcedure(found.key, found.version, found.sha256, procedure_of(connection, found.sha256))
