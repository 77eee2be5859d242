"""Find how long the log was at a moment, by its own signed checkpoints.

Guarantees: logarithmic in the length of the log: it halves the kept checkpoints, then reads on from the last one before the moment for
at most what lies between two of them.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from hub.bounding import Moment, moments
from protocol.instants import SECOND_NS
from storage.schema import checkpoints, leaves, records

READ_ON = 20_000  # records between two kept checkpoints, which lie about a second apart, and the second that is cut off


@dataclass(frozen=True, slots=True)
class AsOf:
    """A moment of the log: its size then, and the newest kept checkpoint that is no longer than that (None: none was kept yet).

    `is_now`: nothing was asked for but what stands.
    """

    size: int
    at_ns: int
    checkpoint: bytes | None
    is_now: bool


def as_of(connection: Connection, published: int, at_ns: int | None, now_ns: int) -> AsOf:
    """Give the log at a moment (Unix ns), or as it stands; `published` is its published size."""
    if at_ns is None or at_ns >= now_ns:
        kept = _last_kept(connection, published)
        return AsOf(published, now_ns, None if kept is None else kept.note, True)
    found = _newest_before(connection, published, at_ns)
    size = _read_on(connection, 0 if found is None else found.size, published, at_ns)
    return AsOf(size, at_ns, None if found is None else found.note, False)


def _newest_before(connection: Connection, published: int, at_ns: int) -> Moment | None:
    """Give the longest kept checkpoint that was signed by a moment, by halving."""
    low, high, best = 0, published, None
    while low < high:
        middle = (low + high + 1) // 2
        kept = _last_kept(connection, middle)
        if kept is not None and kept.at_ns + SECOND_NS <= at_ns:  # its time is told in whole seconds, cut off
            best, low = kept, middle
        elif kept is None:
            low = middle  # nothing was kept up to here: look higher
        else:
            high = min(middle, kept.size) - 1
    return best


def _last_kept(connection: Connection, size: int) -> Moment | None:
    query = select(checkpoints.c.note).where(checkpoints.c.size <= size).order_by(checkpoints.c.size.desc()).limit(1)
    note = connection.execute(query).scalar()
    found = [] if note is None else moments([bytes(note)])
    return found[0] if found else None


def _read_on(connection: Connection, size: int, published: int, at_ns: int) -> int:
    """Give how far the log went by a moment, from a size that it had by then: up to the first record that is younger."""
    same = and_(records.c.issuer == leaves.c.issuer, records.c.epoch == leaves.c.epoch, records.c.position == leaves.c.record_position)
    query = select(leaves.c.position, records.c.wall_ns).join(records, same)
    inside = and_(leaves.c.position >= size, leaves.c.position < published, leaves.c.issuer.like("hub:%"))
    for row in connection.execute(query.where(inside).order_by(leaves.c.position).limit(READ_ON)):
        if row.wall_ns > at_ns:
            return int(row.position)
        size = row.position + 1
    return size
