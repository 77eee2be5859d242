"""Find records by their place, with what proves them."""

from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from hub.core import Core
from hub.values import StoredRecord
from protocol.errors import RefusedError
from protocol.identifiers import Issuer
from storage.schema import leaves, records, seals


@dataclass(frozen=True, slots=True)
class Records:
    """The records that the hub holds."""

    core: Core

    async def get(self, issuer: str, epoch: int, position: int) -> StoredRecord:
        """Give a record; raise RefusedError when it is not here, MalformedError for what is no issuer."""
        who = Issuer(issuer)
        published = self.core.sequencer.published_size()
        return await self.core.database.read(lambda connection: _get(connection, who, (epoch, position), published))


def _get(connection: Connection, issuer: Issuer, place: tuple[int, int], published: int) -> StoredRecord:
    epoch, position = place
    mine = and_(records.c.issuer == str(issuer), records.c.epoch == epoch, records.c.position == position)
    row = connection.execute(select(records).where(mine)).first()
    if row is None:
        raise RefusedError("is not here", where=f"{issuer} epoch {epoch} position {position}")
    covered = covering_leaf(connection, issuer, epoch, position)
    return StoredRecord(
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
    above = and_(seals.c.box == issuer.name, seals.c.epoch == epoch, seals.c.position > position, seals.c.log_index.is_not(None))
    return connection.execute(select(func.min(seals.c.log_index)).where(above)).scalar()
