"""Find records by their place, with what proves them."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from hub.core import Core
from hub.erasing import opening_of
from hub.values import StoredRecord
from protocol import kinds
from protocol.errors import RefusedError
from protocol.identifiers import Issuer
from protocol.merkle import Frontier
from storage.schema import concealed, journals, leaves, records, seals


@dataclass(frozen=True, slots=True)
class Records:
    """The records that the hub holds."""

    core: Core

    async def get(self, issuer: str, epoch: int, position: int) -> StoredRecord:
        """Give a record; raise RefusedError when it is not here, MalformedError for what is no issuer."""
        who = Issuer(issuer)
        published = self.core.sequencer.published_size()
        return await self.core.database.read(lambda connection: _get(connection, who, (epoch, position), published))

    async def at_leaf(self, index: int) -> tuple[str, int, int]:
        """Give issuer, epoch and position of the record that a leaf of the port log is; raise RefusedError outside the log."""

        def read(connection: Connection) -> tuple[str, int, int]:
            row = connection.execute(select(leaves).where(leaves.c.position == index)).first()
            if row is None or index >= self.core.sequencer.published_size():
                raise RefusedError("is not here", where=f"leaf {index} of the port log")
            return row.issuer, row.epoch, row.record_position

        return await self.core.database.read(read)


def _get(connection: Connection, issuer: Issuer, place: tuple[int, int], published: int) -> StoredRecord:
    epoch, position = place
    mine = and_(records.c.issuer == str(issuer), records.c.epoch == epoch, records.c.position == position)
    row = connection.execute(select(records).where(mine)).first()
    if row is None:
        raise RefusedError("is not here", where=f"{issuer} epoch {epoch} position {position}")
    covered = covering_leaf(connection, issuer, epoch, position)
    hidden = row.kind == kinds.Concealed.KIND and issuer.role == "hub"
    erasure = select(concealed.c.disposal).where(concealed.c.position == position)
    return StoredRecord(
        opening=opening_of(connection, position) if hidden else None,
        erased=connection.execute(erasure).scalar() if hidden else None,
        issuer=row.issuer,
        epoch=row.epoch,
        position=row.position,
        kind=row.kind,
        subject=row.subject,
        wall_ns=row.wall_ns,
        data=bytes(row.data),
        leaf=bytes(row.leaf),
        covered=covered,
        receipted=covered is not None and covered < published,
    )


def covering_leaf(connection: Connection, issuer: Issuer, epoch: int, position: int) -> int | None:
    """Give the port log's leaf that covers a record: its own for the hub's, that of the first seal above it for a box's."""
    if issuer.role == "hub":
        same = and_(leaves.c.issuer == str(issuer), leaves.c.epoch == epoch, leaves.c.record_position == position)
        return connection.execute(select(leaves.c.position).where(same)).scalar()
    box, found = issuer.name, _first_seal(connection, issuer.name, epoch, position)
    while found is None and _is_head_of_next(connection, box, epoch):
        epoch += 1
        found = _first_seal(connection, box, epoch, 0)
    return found


def covered_size(connection: Connection, box: str, epoch: int, below: int | None = None) -> int:
    """Give the position below which logged seals cover an epoch of a box; `below`: by those in a log of this size.

    A box that lost power never sealed the end of its epoch; the next boot record names that end, so a seal above that boot covers it.
    """
    own = [seals.c.box == box, seals.c.epoch == epoch, seals.c.log_index.is_not(None)]
    own += [] if below is None else [seals.c.log_index < below]
    covered = connection.execute(select(seals.c.position).where(*own).order_by(seals.c.log_index.desc()).limit(1)).scalar() or 0
    held = connection.execute(select(journals.c.size).where(journals.c.box == box, journals.c.epoch == epoch)).scalar() or 0
    if covered + 1 >= held:
        return covered
    last = covering_leaf(connection, Issuer.of_box(box), epoch, held - 1)
    return held if last is not None and (below is None or last < below) else covered


def _first_seal(connection: Connection, box: str, epoch: int, position: int) -> int | None:
    """Give the leaf of the first logged seal above a position: seals enter the log in the order of their journal."""
    above = and_(seals.c.box == box, seals.c.epoch == epoch, seals.c.position > position, seals.c.log_index.is_not(None))
    return connection.execute(select(seals.c.log_index).where(above).order_by(seals.c.position).limit(1)).scalar()


def _is_head_of_next(connection: Connection, box: str, epoch: int) -> bool:
    """Tell whether the next boot record names exactly the head that is held of this epoch."""
    held = connection.execute(select(journals).where(journals.c.box == box, journals.c.epoch == epoch)).first()
    following = and_(journals.c.box == box, journals.c.epoch == epoch + 1, journals.c.previous_epoch == epoch)
    boot = connection.execute(select(journals).where(following)).first()
    if held is None or boot is None or boot.previous_size != held.size or not held.size:
        return False
    return Frontier.decode(held.size, bytes(held.frontier)).root() == bytes(boot.previous_root)
