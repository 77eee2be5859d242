"""Keep what a person should look at: refused records, equivocation, mismatching blobs, lost heads.

Guarantees: an alarm is committed before anyone is told; the same thing again counts up instead of piling up; evidence is kept
whole.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from hub.events import Events
from hub.values import Alarm
from protocol.errors import RefusedError
from protocol.instants import Clock
from storage.database import Database
from storage.schema import alarms

MAX_LISTED = 500
MAX_SUBJECT = 128


@dataclass(frozen=True, slots=True)
class Alarms:
    """The alarms of the hub."""

    database: Database
    clock: Clock
    events: Events

    async def ring(self, kind: str, subject: str, detail: str, evidence: bytes | None = None) -> int:
        """Keep an alarm, or count it up while it is open; tell the listeners; give its number."""
        now_ns = self.clock.now().wall_ns
        number = await self.database.write(lambda connection: ring(connection, (kind, subject, detail), now_ns, evidence))
        self.events.tell("alarm", id=number, kind=kind, subject=subject, detail=detail)
        return number

    async def list(self, open_only: bool = True) -> list[Alarm]:
        """Give the newest alarms, newest first."""
        query = select(alarms).order_by(alarms.c.id.desc()).limit(MAX_LISTED)
        if open_only:
            query = query.where(alarms.c.acknowledged_ns.is_(None))
        rows = await self.database.read(lambda connection: connection.execute(query).all())
        return [_alarm(row) for row in rows]

    async def acknowledge(self, number: int, by: str) -> None:
        """Note who looked; raise RefusedError when there is no such open alarm."""
        now_ns = self.clock.now().wall_ns
        change = update(alarms).where(alarms.c.id == number, alarms.c.acknowledged_ns.is_(None))
        found = await self.database.write(
            lambda connection: connection.execute(change.values(acknowledged_by=by, acknowledged_ns=now_ns)).rowcount
        )
        if not found:
            raise RefusedError("no such open alarm", where=f"alarm {number}")
        self.events.tell("alarm acknowledged", id=number, by=by)

    async def over(self, kind: str, subject: str, by: str) -> bool:
        """Mark what rang about a subject as over, by the hub itself; tell whether anything was open."""
        now_ns = self.clock.now().wall_ns
        mine = (alarms.c.kind == kind) & (alarms.c.subject == subject) & alarms.c.acknowledged_ns.is_(None)
        change = update(alarms).where(mine).values(acknowledged_by=by, acknowledged_ns=now_ns)
        found = await self.database.write(lambda connection: connection.execute(change).rowcount)
        if found:
            self.events.tell("alarm acknowledged", kind=kind, subject=subject, by=by)
        return bool(found)


def ring(connection: Connection, what: tuple[str, str, str], now_ns: int, evidence: bytes | None = None) -> int:
    """Keep an alarm (kind, subject, detail) inside a transaction; give its number."""
    kind, subject, detail = what[0], what[1][:MAX_SUBJECT], what[2]
    same = (alarms.c.acknowledged_ns.is_(None), alarms.c.kind == kind, alarms.c.subject == subject, alarms.c.detail == detail)
    known = connection.execute(select(alarms.c.id).where(*same)).scalar()
    if known is not None:
        connection.execute(update(alarms).where(alarms.c.id == known).values(count=alarms.c.count + 1, last_ns=now_ns))
        return int(known)
    row = {"kind": kind, "subject": subject, "detail": detail, "first_ns": now_ns, "last_ns": now_ns, "count": 1, "evidence": evidence}
    number = connection.execute(insert(alarms).values(row).returning(alarms.c.id)).scalar_one()
    return int(number)


def _alarm(row: Row[Any]) -> Alarm:
    fields = row._mapping
    return Alarm(**{name: fields[name] for name in Alarm.__dataclass_fields__})
