"""Give tickets by which a recorder joins a task without the hub: records of the hub that its boxes know how to verify.

Guarantees: a ticket is a record before it is shown, holds for minutes and for one recorder; a ticket that was used at two boxes rings.
What counts is the box's own record, as with every pairing.
"""

import os
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.fieldwork.tables import people_on, site_task
from protocol import kinds
from protocol.errors import ForbiddenError, RefusedError
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS
from protocol.records import SignedRecord
from protocol.tickets import encode_ticket
from protocol.work_kinds import Ticket
from storage.fieldwork_schema import tickets
from storage.schema import bonds, leaves, tasks

NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Shown:
    """A ticket as the text of a QR code, and when it ends."""

    text: str
    until_ns: int


@dataclass(slots=True)
class Tickets:
    """The tickets of one port."""

    core: Core
    _rung: set[bytes] = field(default_factory=set)

    async def give(self, task: str, by: str, *, oversees: bool = False) -> Shown:
        """Give a ticket for a task to somebody who is on it, or who oversees all.

        Raises ForbiddenError for others, RefusedError for a task that is not open.
        """
        until_ns = self.core.clock.now().wall_ns + self.core.settings.fieldwork.ticket_seconds * SECOND_NS
        nonce = os.urandom(NONCE_BYTES)

        def decide(connection: Connection, _size: int) -> tuple[str, Ticket]:
            state = connection.execute(select(tasks.c.state).where(tasks.c.task == task)).scalar()
            if state is None:
                raise RefusedError("is not known", where=f"task {task[:64]}")
            if state != "opened":
                raise RefusedError("has ended", where=f"task {task}")
            if not oversees and by not in people_on(connection, site_task(connection, task)):
                raise ForbiddenError("not your task", where=f"task {task}")
            return task, Ticket(nonce, until_ns, by)

        signed = await self.core.sequencer.decide(decide)
        return Shown(encode_ticket(signed.data), until_ns)

    async def noted(self, box: BoxId, accepted: tuple[SignedRecord, ...]) -> None:
        """Look at a box's new pairings: ring where one names a ticket that another recorder used, too."""
        for signed in accepted:
            body = signed.record.body
            if isinstance(body, kinds.Pairing) and body.state == "paired" and body.order is not None:
                used = await self.core.database.read(lambda connection, leaf=body.order: used_by(connection, leaf))  # type: ignore[misc]
                if len(used) > 1 and body.order not in self._rung:
                    self._rung.add(body.order)
                    detail = f"{', '.join(used)} were bound by one ticket"
                    await self.core.alarms.ring("ticket used twice", signed.record.subject, detail)


def used_by(connection: Connection, leaf: bytes) -> list[str]:
    """Give the recorders that were bound by a ticket, by its leaf; none where the leaf is no ticket's."""
    known = select(tickets.c.position).join(leaves, leaves.c.position == tickets.c.position).where(leaves.c.leaf == leaf)
    if connection.execute(known).first() is None:
        return []
    query = select(bonds.c.stream).where(bonds.c.order_leaf == leaf, bonds.c.state == "paired").distinct()
    return sorted(connection.execute(query).scalars())


def ticket_leaves(connection: Connection, task: str) -> dict[bytes, str]:
    """Give the leaves of a task's tickets, each with who showed it."""
    query = select(leaves.c.leaf, tickets.c.by).join(tickets, tickets.c.position == leaves.c.position).where(tickets.c.task == task)
    return {bytes(row.leaf): row.by for row in connection.execute(query)}
