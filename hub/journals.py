"""Serve the mirrored journals of boxes as logs of their own, and COSE receipts for what the port log covers.

Guarantees: a journal's checkpoint is the one its box signed in its newest seal that the hub took, with the hub's cosignature: that
it is consistent with all that the hub saw of this journal before. Nothing of a journal is shown that no logged seal covers - its own,
or, where power was cut, that of the next epoch, whose boot names this one's end.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, and_, func, select

from hub.core import Core
from hub.lookups import covered_size, covering_leaf
from protocol import kinds
from protocol.cose_receipts import make_receipt
from protocol.errors import MalformedError, RefusedError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import SECOND_NS
from protocol.merkle import inclusion_proof
from protocol.notes import SignedCheckpoint, cosign, parse_note
from protocol.records import read
from protocol.tiles import TILE_WIDTH, parse_path
from storage.logs import JournalLog, PortLog, make_tile, reader
from storage.schema import journals, records, seals


@dataclass(frozen=True, slots=True)
class JournalHead:
    """One epoch of a box's journal: how many records the hub holds, and how many of them the box's newest seal covers."""

    box: str
    epoch: int
    size: int
    sealed: int


@dataclass(frozen=True, slots=True)
class Journals:
    """The mirrored journals, read from outside."""

    core: Core

    async def list(self) -> list[JournalHead]:
        """Give every epoch of every box that the hub mirrors."""
        return await self.core.database.read(_heads)

    async def checkpoint(self, box: str, epoch: int) -> bytes:
        """Give the newest sealed checkpoint of a journal, cosigned by the hub; raise RefusedError before the first seal."""
        name = BoxId(box)
        note = await self.core.database.read(lambda connection: _sealed_note(connection, name, epoch))
        parsed = parse_note(note)
        signer = self.core.sequencer.signer
        origin, seconds = self.core.sequencer.origin, self.core.clock.now().wall_ns // SECOND_NS
        return parsed.with_signatures((cosign(parsed.text, f"{origin}/time", signer, seconds),)).encode()

    async def tile(self, box: str, epoch: int, path: str) -> bytes:
        """Give a tile or entry bundle of a journal by its C2SP path.

        Raises MalformedError when the path names none, RefusedError when the covered journal is not that long.
        """
        tile, name = parse_path(path), BoxId(box)
        last = (tile.index * TILE_WIDTH + tile.width) * TILE_WIDTH ** max(tile.level, 0)

        def make(connection: Connection) -> bytes:
            covered = covered_size(connection, name, epoch)
            if last > covered:
                raise RefusedError(f"the sealed journal has {covered} records", where=f"{name} epoch {epoch} {path}")
            return make_tile(connection, tile, JournalLog(str(Issuer.of_box(name)), epoch))

        return await self.core.database.read(make)

    async def receipt(self, issuer: str, epoch: int, position: int) -> bytes:
        """Give the COSE receipt (RFC 9942) of a record: for the hub's that of its own leaf, for a box's that of a seal.

        A box's record has to be a seal: the log holds seals, and a journal's records are proven below them. Raises RefusedError
        when no published checkpoint covers it.
        """
        who = Issuer(issuer)
        sequencer = self.core.sequencer
        checkpoint = SignedCheckpoint.parse(await sequencer.checkpoint()).checkpoint

        def find(connection: Connection) -> tuple[int, list[bytes]]:
            place = f"{who} epoch {epoch} position {position}"
            mine = and_(records.c.issuer == str(who), records.c.epoch == epoch, records.c.position == position)
            row = connection.execute(select(records.c.kind).where(mine)).first()
            if row is None:
                raise RefusedError("is not here", where=place)
            if who.role == "box" and row.kind != kinds.Seal.KIND:
                raise MalformedError(f"a {row.kind} is proven below a seal; ask for the seal's receipt", where=place)
            index = covering_leaf(connection, who, epoch, position) if who.role != "box" else _seal_leaf(connection, who, epoch, position)
            if index is None or index >= checkpoint.size:
                raise RefusedError("no published checkpoint covers it yet", where=place)
            return index, inclusion_proof(index, checkpoint.size, reader(connection, PortLog()))

        index, path = await self.core.database.read(find)
        return make_receipt(checkpoint.size, index, path, checkpoint.root, sequencer.signer)


def _heads(connection: Connection) -> list[JournalHead]:
    rows = connection.execute(select(journals).order_by(journals.c.box, journals.c.epoch)).all()
    return [JournalHead(row.box, row.epoch, row.size, row.sealed) for row in rows]


def _sealed_note(connection: Connection, box: BoxId, epoch: int) -> bytes:
    newest = select(func.max(seals.c.position)).where(seals.c.box == box, seals.c.epoch == epoch).scalar_subquery()
    issuer = str(Issuer.of_box(box))
    mine = and_(records.c.issuer == issuer, records.c.epoch == epoch, records.c.position == newest)
    row: Row[tuple[bytes]] | None = connection.execute(select(records.c.data).where(mine)).first()
    body = read(bytes(row.data)).record.body if row is not None else None
    if not isinstance(body, kinds.Seal):
        raise RefusedError("no seal is here", where=f"{box} epoch {epoch}")
    return body.note


def _seal_leaf(connection: Connection, issuer: Issuer, epoch: int, position: int) -> int | None:
    here = and_(seals.c.box == issuer.name, seals.c.epoch == epoch, seals.c.position == position)
    return connection.execute(select(seals.c.log_index).where(here)).scalar()
