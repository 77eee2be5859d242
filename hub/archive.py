"""Answer what gathering an export asks, from the hub's tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Select, func, select

from hub.history import kept_checkpoints
from hub.timestamps import tokens_about
from protocol import kinds
from protocol.certificates import Certificate
from protocol.errors import StorageError
from protocol.identifiers import Issuer
from protocol.merkle import NodeReader
from protocol.reckoning import Scope
from storage.logs import JournalLog, PortLog, port_entries, reader
from storage.schema import CUSTODY_KINDS, heads_seen, identities, journals, leaves, orders, records, seals, sessions, tasks, views


@dataclass(frozen=True, slots=True)
class DatabasePort:
    """Answer `hub.gathering.Port` from the hub's tables; every question is a look-up by key."""

    connection: Connection
    issuer: str
    chain: tuple[Certificate, Certificate]
    find_blob: Callable[[bytes], Path | None]
    own: Mapping[str, bytes] = field(default_factory=dict)  # what the hub says of itself

    def task_leaves(self, task: str) -> list[int]:
        """Give the log indices of the task's opening, end and pairing orders."""
        row = self.connection.execute(select(tasks.c.opened_at, tasks.c.ended_at).where(tasks.c.task == task)).first()
        ordered = self.connection.execute(select(orders.c.position).where(orders.c.task == task)).scalars()
        return [*ordered, *(index for index in (row or ()) if index is not None)]

    def enrolment_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's enrolments and revocations."""
        query = select(records.c.issuer, records.c.position).where(records.c.subject == scope.subject, CUSTODY_KINDS)
        rows = self.connection.execute(query)
        return sorted(found | {row.position for row in rows if row.issuer == self.issuer})
