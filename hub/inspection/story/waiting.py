"""Count what waits for a person, and say which first steps a new house has taken.

Guarantees: counts come from indexes of what is open, so they cost the same however long the house has stood.
"""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select

from hub.core import Core
from hub.inspection.credit_tables import open_appeals
from hub.inspection.sheets import said
from hub.inspection.story.board import STATES
from hub.inspection.supervision.tables import instructions_of
from storage.schema import alarms, draw_policies, identities, people, second_looks, standings, tasks

MOST = 500
INSPECTOR, SUPERVISOR, ADMINISTRATOR = "inspector", "supervisor", "administrator"


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits, by name; and which first steps were taken, for those who see to them."""

    counts: dict[str, int]
    begun: dict[str, bool]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one port."""

    core: Core

    async def of(self, person: str, role: str) -> Waits:
        """Count what waits for a person of a role."""
        return await self.core.database.read(lambda connection: waits(connection, person, role))


def waits(connection: Connection, person: str, role: str) -> Waits:
    """Count what waits for a person, in a transaction."""
    if role == INSPECTOR:
        return Waits(_of_inspector(connection, person), {})
    if role not in (SUPERVISOR, ADMINISTRATOR):
        return Waits({}, {})
    counts = {"alarms": _count(connection, alarms, alarms.c.acknowledged_ns.is_(None))}
    if role == SUPERVISOR:
        for column in ("dispatch", "evaluate", "release"):
            counts[column] = _count(connection, standings, standings.c.state.in_([state.value for state in STATES[column]]))
        counts["desk"] = counts["evaluate"] + counts["release"]
        counts["looks"] = _count(connection, second_looks, second_looks.c.found_at.is_(None))
        counts["appeals"] = len(open_appeals(connection))
    return Waits(counts, _begun(connection))


def _of_inspector(connection: Connection, person: str) -> dict[str, int]:
    running = select(tasks.c.task).where(tasks.c.state == "opened", tasks.c.inspectors.contains(json.dumps(person), autoescape=True))
    mine = list(connection.execute(running.limit(MOST)).scalars())
    unread = sum(1 for task in mine for told in instructions_of(connection, task) if told.read_at is None)
    given = select(second_looks.c.assigned_sheet).where(second_looks.c.found_at.is_(None), second_looks.c.assigned_at.is_not(None))
    sheets = connection.execute(given.limit(MOST)).scalars().all()
    looks = sum(1 for sheet in sheets if (said(connection, bytes(sheet)) or {}).get("to") == person)
    return {"tasks": len(mine), "instructions": unread, "looks": looks}


def _begun(connection: Connection) -> dict[str, bool]:
    roles = set(connection.execute(select(people.c.role).where(people.c.disabled.is_(False)).distinct()).scalars())
    return {
        "boxes": _any(connection, identities),
        "people": {INSPECTOR, SUPERVISOR} <= roles,
        "policy": _any(connection, draw_policies),
        "task": _any(connection, tasks),
    }


def _any(connection: Connection, table: Table) -> bool:
    return connection.execute(select(next(iter(table.primary_key.columns))).limit(1)).first() is not None


def _count(connection: Connection, table: Table, *conditions: object) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())  # type: ignore[arg-type]
