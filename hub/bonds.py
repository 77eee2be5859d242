"""Read pairings from orders and the boxes' own records: what is pending, what counts, from when to when."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from hub.lookups import covering_leaf
from hub.values import PairingState
from protocol.identifiers import Issuer, StreamId
from protocol.linking import Bond
from protocol.messages import pair_command
from storage.fieldwork_schema import tickets
from storage.schema import bonds, commands, leaves, orders, tasks

BY_TICKET = "by a ticket"


def order_state(connection: Connection, order: Row[Any]) -> str | None:
    """Give the state of the command that carried an order."""
    return connection.execute(select(commands.c.state).where(commands.c.command == pair_command(bytes(order.leaf)))).scalar()


def pairing_states(connection: Connection, task: str) -> tuple[PairingState, ...]:
    """Give the pairings of a task from orders and the boxes' records."""
    ordered = connection.execute(select(orders).where(orders.c.task == task).order_by(orders.c.position)).all()
    said = connection.execute(select(bonds).where(bonds.c.task == task).order_by(bonds.c.wall_ns, bonds.c.position)).all()
    ends = [order for order in ordered if order.state == "unpaired" and order_state(connection, order) != "refused"]
    states = [_pairing_state(connection, order, said, ends) for order in ordered if order.state == "paired"]
    return tuple(sorted([*states, *ticket_pairings(connection, task, ends)], key=lambda one: one.ordered_ns))


def ticket_pairings(connection: Connection, task: str, ends: Iterable[Row[Any]] = ()) -> list[PairingState]:
    """Give the pairings by tickets, which are the boxes' own records that name a ticket's leaf; `ends`: orders to unpair."""
    query = select(leaves.c.leaf).join(tickets, tickets.c.position == leaves.c.position).where(tickets.c.task == task)
    known = {bytes(leaf) for leaf in connection.execute(query).scalars()}
    if not known:
        return []
    said = connection.execute(select(bonds).where(bonds.c.task == task).order_by(bonds.c.wall_ns, bonds.c.position)).all()
    found = []
    for row in said:
        if row.state != "paired" or row.order_leaf is None or bytes(row.order_leaf) not in known:
            continue
        end = next((one for one in said if one.stream == row.stream and one.state == "unpaired" and _after(one, row)), None)
        found.append(
            PairingState(
                task=task,
                stream=row.stream,
                state="paired" if end is None else "unpaired",
                by=row.by,
                ordered_ns=row.wall_ns,
                effective_ns=row.wall_ns,
                ended_ns=None if end is None else end.wall_ns,
                reason=BY_TICKET,
                ending=end is None and any(one.stream == row.stream and one.wall_ns >= row.wall_ns for one in ends),
            )
        )
    return found


def ticket_holder(connection: Connection, stream: str) -> str | None:
    """Give the open task to which a ticket bound a recorder, and from which nobody ordered it away since."""
    newest = select(bonds).where(bonds.c.stream == stream).order_by(bonds.c.epoch.desc(), bonds.c.position.desc()).limit(1)
    row = connection.execute(newest).first()
    if row is None or row.state != "paired":
        return None
    state = connection.execute(select(tasks.c.state).where(tasks.c.task == row.task)).scalar()
    later = [one for one in _orders(connection, row.task) if one.stream == stream and one.wall_ns >= row.wall_ns]
    freed = any(one.state == "unpaired" for one in later)
    held = any(one.stream == stream and one.state == "paired" for one in ticket_pairings(connection, row.task))
    return row.task if held and state == "opened" and not freed else None


def _orders(connection: Connection, task: str) -> Sequence[Row[Any]]:
    return connection.execute(select(orders).where(orders.c.task == task)).all()


def _pairing_state(connection: Connection, order: Row[Any], said: Iterable[Row[Any]], ends: Iterable[Row[Any]]) -> PairingState:
    mine = [row for row in said if row.stream == order.stream]
    start = next((row for row in mine if row.state == "paired" and row.order_leaf == order.leaf), None)
    end = next((row for row in mine if start is not None and row.state == "unpaired" and _after(row, start)), None)
    state: Any = "pending"
    if start is not None:
        state = "paired" if end is None else "unpaired"
    elif order_state(connection, order) == "refused":
        state = "refused"
    return PairingState(
        task=order.task,
        stream=order.stream,
        state=state,
        by=order.by,
        ordered_ns=order.wall_ns,
        effective_ns=start.wall_ns if start is not None else None,
        ended_ns=end.wall_ns if end is not None else None,
        late_from=order.late_from,
        second=order.second,
        reason=order.reason,
        ending=end is None and any(one.stream == order.stream and one.position > order.position for one in ends),
    )


def _is_covered(connection: Connection, row: Row[Any], below: int) -> bool:
    leaf = covering_leaf(connection, Issuer.of_box(row.box), row.epoch, row.position)
    return leaf is not None and leaf < below


def _after(row: Row[Any], start: Row[Any]) -> bool:
    return (row.epoch, row.position) > (start.epoch, start.position)


def _frees(row: Row[Any]) -> bool:
    return row.state == "unpaired" and row.order_leaf is not None


def bonds_of(connection: Connection, task: str, below: int | None = None) -> list[Bond]:
    """Give the pairings of a task that count, by the boxes' records alone; `below`: by those that a log of this size covers."""
    said = connection.execute(select(bonds).where(bonds.c.task == task).order_by(bonds.c.epoch, bonds.c.position)).all()
    said = said if below is None else [row for row in said if _is_covered(connection, row, below)]
    found = []
    for row in said:
        if row.state == "paired":
            ends = (other for other in said if other.stream == row.stream and _frees(other) and _after(other, row))
            end = next(ends, None)  # what the box freed without an order ends with the task: the verifier's rule
            found.append(Bond(StreamId(row.stream), row.wall_ns, None if end is None else max(row.wall_ns, end.wall_ns), row.late_from))
    return found
