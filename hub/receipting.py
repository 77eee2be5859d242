"""Make receipts: the path from a range of a box's records through its seal to a published checkpoint of the port log.

Guarantees: a receipt is made of what the tables hold and proves itself (`protocol.receipts`); a backlog of thousands of seals costs one
question for some hundreds of them, and each node of the log is computed once.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection, Row, and_, select

from protocol.identifiers import Issuer
from protocol.merkle import Frontier, inclusion_proof
from protocol.messages import Receipt
from storage.logs import PortLog, reader
from storage.schema import records, seals

SEALS_AT_ONCE = 500  # in one question


def make_receipts(connection: Connection, places: list[tuple[str, int, int]], checkpoint: bytes, size: int) -> list[Receipt]:
    """Give the receipts under seals (box, epoch, position) that the published checkpoint of `size` covers."""
    read = reader(connection, PortLog())
    found = _sealings(connection, places)
    return [
        Receipt(
            box=place[0],
            epoch=place[1],
            first=found[place].first,
            end=place[2],
            left=tuple(Frontier.decode(found[place].first, bytes(found[place].left)).hashes),
            right=(),  # the range ends where the sealed tree ends
            seal=bytes(found[place].data),
            log_index=found[place].log_index,
            path=tuple(inclusion_proof(found[place].log_index, size, read)),
            checkpoint=checkpoint,
        )
        for place in places
        if found[place].first < place[2]  # two seals side by side: nothing new below the second
    ]


def _sealings(connection: Connection, places: Sequence[tuple[str, int, int]]) -> dict[tuple[str, int, int], Row[Any]]:
    """Read seals and their records, with one query for a number of seals of an epoch: a backlog brings thousands."""
    epochs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for box, epoch, position in places:
        epochs[box, epoch].append(position)
    found: dict[tuple[str, int, int], Row[Any]] = {}
    for (box, epoch), positions in epochs.items():
        issuer = str(Issuer.of_box(box))
        whole = and_(records.c.issuer == issuer, records.c.epoch == seals.c.epoch, records.c.position == seals.c.position)
        query = select(seals.c.position, seals.c.first, seals.c.left, seals.c.log_index, records.c.data).join(records, whole)
        query = query.where(seals.c.box == box, seals.c.epoch == epoch)
        for start in range(0, len(positions), SEALS_AT_ONCE):
            some = query.where(seals.c.position.in_(positions[start : start + SEALS_AT_ONCE]))
            found |= {(box, epoch, row.position): cast(Row[Any], row) for row in connection.execute(some)}
    return found
