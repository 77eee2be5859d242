"""Check the exchange of messages (S8): every message is kept raw, numbered, and handled exactly once.

Guarantees: changes nothing; names a hole in a partner's numbers, bytes that are missing or not those that were logged, a reference that was
taken twice, an event that took effect twice or was never judged, and an answer or delivery that belongs to no message.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from hub.exchange import tables
from protocol.errors import StorageError
from protocol.exchange_kinds import Delivery, MessageIn, MessageOut, PortEvent
from protocol.records import Record, read_again
from storage.schema import records

PAGE = 1000
_KINDS = (MessageIn.KIND, MessageOut.KIND, PortEvent.KIND, Delivery.KIND)
_FINAL = ("applied", "illegal")


def check_messages(connection: Connection) -> Iterator[str]:
    """Give what is wrong with the messages, as the log tells them."""
    last: Counter[tuple[str, str]] = Counter()
    taken: set[tuple[str, str, str]] = set()
    places: dict[int, str] = {}
    final: Counter[tuple[int, int]] = Counter()
    query = select(records.c.data).where(records.c.kind.in_(_KINDS)).order_by(records.c.position).execution_options(yield_per=PAGE)
    for data in connection.execute(query).scalars():
        record = read_again(bytes(data)).record
        body = record.body
        if isinstance(body, MessageIn | MessageOut):
            places[record.position] = body.KIND
            yield from _check_message(connection, record, body, last)
            if isinstance(body, MessageIn):
                yield from _check_units(record, body, taken)
        elif isinstance(body, PortEvent | Delivery):
            yield from _check_reference(record, body, places)
            if isinstance(body, PortEvent) and body.outcome in _FINAL:
                final[body.message, body.number] += 1
    yield from (
        f"S8 event {number} of message {message}: took effect {count} times" for (message, number), count in final.items() if count > 1
    )


def _check_message(connection: Connection, record: Record, body: MessageIn | MessageOut, last: Counter[tuple[str, str]]) -> Iterator[str]:
    where = f"S8 {body.KIND} {record.subject} {body.number}"
    last[record.subject, body.KIND] += 1
    if body.number != last[record.subject, body.KIND]:
        yield f"{where}: expected number {last[record.subject, body.KIND]}"
        last[record.subject, body.KIND] = body.number
    try:
        raw = tables.body_of(connection, body.raw)
    except StorageError as error:
        yield f"{where}: {error.what}"
        return
    if len(raw) != body.size:
        yield f"{where}: has {len(raw)} bytes, its record says {body.size}"


def _check_units(record: Record, body: MessageIn, taken: set[tuple[str, str, str]]) -> Iterator[str]:
    for reference, _, _, outcome in body.units:
        key = record.subject, body.reference, reference
        if outcome != tables.TAKEN:
            continue
        if key in taken:
            yield f"S8 message {body.reference} {reference} of {record.subject}: was handled twice"
        taken.add(key)


def _check_reference(record: Record, body: Any, places: dict[int, str]) -> Iterator[str]:  # noqa: ANN401
    wanted = MessageIn.KIND if isinstance(body, PortEvent) else MessageOut.KIND
    if places.get(body.message) != wanted:
        yield f"S8 {body.KIND} {record.position}: names message {body.message}, which is none"
