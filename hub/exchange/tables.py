"""Keep messages and what they told by their records, and find them again.

Guarantees: rows depend on records alone; raw bytes are kept in the transaction that logs the record which binds them, and given back only
when they still hash to it.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, or_, select, update

from hub.inspection.sheets import said
from protocol.errors import RefusedError, StorageError
from protocol.exchange_kinds import Delivery, MessageIn, MessageOut, PortEvent
from protocol.inspection_kinds import Declaration
from protocol.records import Record
from storage.database import insert_new, upsert
from storage.exchange_schema import declared_boxes, exchange_bodies, exchange_messages, exchange_units, port_events
from storage.schema import declaration_steps, standings

ExchangeBody = MessageIn | MessageOut | PortEvent | Delivery
IN, OUT = "in", "out"
QUEUED, DELIVERED, DEAD, ANSWER = "queued", "delivered", "dead", "answer"
TAKEN, REPEATED, REJECTED = "taken", "repeated", "rejected"
_OVER = ("archived", "withdrawn", "rejected", "gate-out", "follow-up")


def project_message(connection: Connection, record: Record, body: ExchangeBody) -> None:
    """Insert a record's row, or bring the row of its message up to date."""
    if isinstance(body, Delivery):
        _deliver(connection, record, body)
    elif isinstance(body, PortEvent):
        row = {"message": body.message, "number": body.number, "position": record.position, "event": body.event, "at": body.at}
        row |= {"container": body.container, "outcome": body.outcome, "declaration": body.declaration, "place": body.place}
        upsert(connection, port_events, row | {"wall_ns": record.at.wall_ns})
    else:
        _message(connection, record, body)


def _message(connection: Connection, record: Record, body: MessageIn | MessageOut) -> None:
    row: dict[str, Any] = {"position": record.position, "partner": record.subject, "number": body.number, "sha256": body.raw}
    row |= {"size": body.size, "form": body.form, "wall_ns": record.at.wall_ns, "attempts": 0, "done_ns": None}
    if isinstance(body, MessageIn):
        about = ", ".join(sorted({unit[1] for unit in body.units}))[:80]
        row |= {"way": IN, "about": about, "reference": body.reference, "state": body.outcome, "cause": None, "declaration": None}
    else:
        state = ANSWER if body.way == "answer" else QUEUED
        row |= {"way": OUT, "about": body.about, "reference": key_of(record.subject, body.number), "state": state}
        row |= {"cause": body.cause, "declaration": body.declaration}
    connection.execute(insert_new(connection, exchange_messages), [row])
    if isinstance(body, MessageIn):
        taken = [unit for unit in body.units if unit[3] == TAKEN]
        rows = [
            {"partner": record.subject, "reference": _unit(body.reference, unit[0]), "digest": unit[2], "position": record.position}
            for unit in taken
        ]
        if rows:
            connection.execute(insert_new(connection, exchange_units), rows)


def _deliver(connection: Connection, record: Record, body: Delivery) -> None:
    mine = update(exchange_messages).where(exchange_messages.c.position == body.message)
    state = QUEUED if body.state == "resent" else body.state
    done = None if body.state == "resent" else record.at.wall_ns
    connection.execute(mine.values(state=state, attempts=body.attempts, done_ns=done))


def key_of(partner: str, number: int) -> str:
    """Give the key by which a partner knows a message that went to it."""
    return f"{partner}/{number}"


def _unit(reference: str, unit: str) -> str:
    return json.dumps([reference, unit], ensure_ascii=False)


def known_unit(connection: Connection, partner: str, reference: str, unit: str) -> bytes | None:
    """Give the digest of what was taken under a reference; None when nothing was."""
    mine = and_(exchange_units.c.partner == partner, exchange_units.c.reference == _unit(reference, unit))
    found = connection.execute(select(exchange_units.c.digest).where(mine)).scalar()
    return None if found is None else bytes(found)


def known_message(connection: Connection, partner: str, sha256: bytes) -> RowMapping | None:
    """Give the place and the state of a partner's newest message with the same bytes."""
    table = exchange_messages
    mine = and_(table.c.sha256 == sha256, table.c.partner == partner, table.c.way == IN)
    query = select(table.c.position, table.c.state).where(mine)
    return connection.execute(query.order_by(table.c.position.desc()).limit(1)).mappings().first()


def next_number(connection: Connection, partner: str, way: str) -> int:
    """Give the number of a partner's next message in or out."""
    table = exchange_messages
    return int(connection.execute(select(func.max(table.c.number)).where(table.c.partner == partner, table.c.way == way)).scalar() or 0) + 1


def keep_body(connection: Connection, raw: bytes) -> bytes:
    """Keep raw bytes; give their hash."""
    name = hashlib.sha256(raw).digest()
    connection.execute(insert_new(connection, exchange_bodies), [{"sha256": name, "data": raw}])
    return name


def body_of(connection: Connection, sha256: bytes) -> bytes:
    """Give raw bytes; raise StorageError when they are not there, or not what was bound."""
    data = connection.execute(select(exchange_bodies.c.data).where(exchange_bodies.c.sha256 == sha256)).scalar()
    if data is None or hashlib.sha256(bytes(data)).digest() != sha256:
        raise StorageError("its bytes are missing or are not those that were logged", where=f"message {sha256.hex()[:16]}")
    return bytes(data)


def message_row(connection: Connection, position: int) -> RowMapping:
    """Give a message's row; raise RefusedError when none stands there."""
    row = connection.execute(select(exchange_messages).where(exchange_messages.c.position == position)).mappings().first()
    if row is None:
        raise RefusedError("is not known", where=f"message {position}")
    return row


def answers_to(connection: Connection, position: int) -> list[RowMapping]:
    """Give what was answered to a message, in order."""
    table = exchange_messages
    mine = and_(table.c.cause == position, table.c.state == ANSWER)
    return list(connection.execute(select(table).where(mine).order_by(table.c.position)).mappings())


def events_of(connection: Connection, position: int) -> list[RowMapping]:
    """Give what became of a message's events, in order."""
    return list(connection.execute(select(port_events).where(port_events.c.message == position).order_by(port_events.c.number)).mappings())


def kept_events(connection: Connection, declaration: str) -> list[RowMapping]:
    """Give the events that wait and may concern a declaration, oldest first."""
    boxes = select(declared_boxes.c.container).where(declared_boxes.c.declaration == declaration, declared_boxes.c.container != "")
    mine = or_(port_events.c.declaration == declaration, port_events.c.container.in_(boxes))
    query = select(port_events).where(port_events.c.outcome == "kept", mine)
    return list(connection.execute(query.order_by(port_events.c.at, port_events.c.message, port_events.c.number)).mappings())


# -------------------------------------------------------------------------------------------- which declaration has which box


def read_boxes_of(connection: Connection) -> None:
    """Read the containers of declarations that were logged since the last time."""
    newest = connection.execute(select(func.max(declared_boxes.c.position))).scalar()
    steps = declaration_steps
    after = select(steps.c.position, steps.c.declaration, steps.c.sheet).where(steps.c.kind == Declaration.KIND, steps.c.act != "withdrawn")
    after = after.where(steps.c.position > (-1 if newest is None else newest)).order_by(steps.c.position)
    for row in connection.execute(after).all():
        sheet = said(connection, bytes(row.sheet)) or {}
        numbers = {box["number"] for box in sheet.get("form", {}).get("containers", ())} | {""}
        connection.execute(delete(declared_boxes).where(declared_boxes.c.declaration == row.declaration))
        rows = [{"container": number, "declaration": row.declaration, "position": row.position} for number in sorted(numbers)]
        connection.execute(insert(declared_boxes), rows)


def declaration_of(connection: Connection, container: str, named: str | None) -> str | None:
    """Give the declaration that an event is about: the one it names, else the newest under way with the container, else the newest."""
    if named is not None and connection.execute(select(standings.c.declaration).where(standings.c.declaration == named)).first():
        return named
    if not container:
        return None
    read_boxes_of(connection)
    query = select(standings.c.declaration, standings.c.state).join(declared_boxes, declared_boxes.c.declaration == standings.c.declaration)
    query = query.where(declared_boxes.c.container == container).order_by(standings.c.lodged_ns.desc(), standings.c.declaration.desc())
    rows = connection.execute(query.limit(100)).all()
    under_way = [row.declaration for row in rows if row.state not in _OVER]
    return next(iter([*under_way, *(row.declaration for row in rows)]), None)


def declaration_with(connection: Connection, container: str, named: str | None) -> str | None:
    """Give the declaration under which a box moves: the one shown for it where that declares the box, else one that does.

    One that names no boxes at all is believed where no other declares it.
    """
    boxes = () if named is None else boxes_of(connection, named)
    if named is not None and container in boxes:
        return named
    found = declaration_of(connection, container, None)
    return declaration_of(connection, "", named) if found is None and not boxes else found


def under_way_with(connection: Connection, container: str) -> list[str]:
    """Give the declarations under way that declare a box, the newest first."""
    read_boxes_of(connection)
    query = select(standings.c.declaration).join(declared_boxes, declared_boxes.c.declaration == standings.c.declaration)
    query = query.where(declared_boxes.c.container == container, standings.c.state.not_in(_OVER))
    return list(connection.execute(query.order_by(standings.c.lodged_ns.desc(), standings.c.declaration.desc()).limit(100)).scalars())


def is_stripped(connection: Connection, container: str, declaration: str) -> bool:
    """Tell whether a box was emptied since a declaration was lodged: it then carries no other's goods out."""
    lodged = select(standings.c.lodged_ns).where(standings.c.declaration == declaration).scalar_subquery()
    mine = and_(port_events.c.container == container, port_events.c.event == "STRP", port_events.c.wall_ns >= lodged)
    return connection.execute(select(port_events.c.message).where(mine).limit(1)).first() is not None


def held_elsewhere(connection: Connection, declaration: str, boxes: Sequence[str]) -> list[tuple[str, str]]:
    """Give those of some boxes that are held under another declaration that is under way, each with that one's number."""
    held = or_(standings.c.held, standings.c.holds != "[]")
    query = select(declared_boxes.c.container, standings.c.declaration)
    query = query.join(standings, declared_boxes.c.declaration == standings.c.declaration)
    mine = and_(declared_boxes.c.container.in_(boxes), standings.c.declaration != declaration, standings.c.state.not_in(_OVER))
    rows = connection.execute(query.where(mine, held).order_by(declared_boxes.c.container, standings.c.declaration)).all()
    return [(row.container, row.declaration) for row in rows]


def boxes_of(connection: Connection, declaration: str) -> Sequence[str]:
    """Give the containers of a declaration as it now reads."""
    read_boxes_of(connection)
    mine = and_(declared_boxes.c.declaration == declaration, declared_boxes.c.container != "")
    return list(connection.execute(select(declared_boxes.c.container).where(mine).order_by(declared_boxes.c.container)).scalars())
