"""Keep the rule sets of credit and of sampling by their records, and find the one that is in force on a day.

Guarantees: rows depend on records alone; a rule set is read from the record that set it; where none was set, the shipped one holds.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sqlalchemy import Connection, select

from hub.inspection.draw_tables import body_at
from protocol import sheets
from protocol.conduct_kinds import RuleSet
from protocol.crediting.model import RuleSet as CreditRules
from protocol.crediting.reading import parse_rules
from protocol.errors import StorageError
from protocol.records import Record
from storage.conduct_schema import rule_sets
from storage.database import insert_new

Family = Literal["credit", "sampling"]


@dataclass(frozen=True, slots=True)
class SetOfRules:
    """A rule set that people put in force; `position`: of its record."""

    position: int
    family: str
    key: str
    version: int
    effective: str
    sha256: bytes
    sheet: bytes
    wall_ns: int


def project_rule_set(connection: Connection, record: Record, body: RuleSet) -> None:
    """Insert a record's row."""
    family, key, version = record.subject.split("/")
    value = sheets.decode(body.document)
    row = {"position": record.position, "family": family, "key": key, "version": int(version), "effective": value["effective"]}
    row |= {"sha256": hashlib.sha256(body.document).digest(), "sheet": body.sheet, "wall_ns": record.at.wall_ns}
    connection.execute(insert_new(connection, rule_sets), [row])


def listed(connection: Connection, family: Family, key: str) -> list[SetOfRules]:
    """Give every rule set of a key that people put in force, oldest first."""
    mine = select(rule_sets).where(rule_sets.c.family == family, rule_sets.c.key == key).order_by(rule_sets.c.position)
    return [SetOfRules(**dict(row)) for row in connection.execute(mine).mappings()]


def document_on(connection: Connection, family: Family, key: str, day: str, *, known_ns: int | None = None) -> bytes | None:
    """Give the document in force on a day, as known by a time (None: now); None where none was set for it."""
    held = [one for one in listed(connection, family, key) if one.effective <= day and (known_ns is None or one.wall_ns <= known_ns)]
    if not held:
        return None
    newest = max(held, key=lambda one: (one.effective, one.position))
    body = body_at(connection, newest.position)
    if not isinstance(body, RuleSet) or hashlib.sha256(body.document).digest() != newest.sha256:
        raise StorageError("is not the one that its record holds", where=f"rule set {key}/{newest.version}")
    return body.document


@lru_cache(maxsize=64)
def credit_rules(document: bytes) -> CreditRules:
    """Read a rule set of credit, once."""
    return parse_rules(document)


def next_version(connection: Connection, family: Family, key: str, shipped: int) -> int:
    """Give the version that a new rule set of a key must have."""
    return max([shipped, *(one.version for one in listed(connection, family, key))]) + 1
