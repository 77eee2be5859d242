"""Take heads of box journals that were brought by hand, and log that they were seen.

Guarantees: a head counts only when the box's enrolled identity vouches for it; one that contradicts what the hub holds of that
journal is an alarm and the proof is kept; what is logged bounds, from then on, when everything under it existed.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, select

from hub.core import Core
from hub.ingest import Ingest
from protocol import kinds
from protocol.carriers import SealHead
from protocol.errors import EquivocationError
from protocol.identifiers import Issuer
from protocol.merkle import root_at
from protocol.notes import Checkpoint
from protocol.records import SignedRecord
from storage.logs import JournalLog, reader
from storage.schema import journals


@dataclass(frozen=True, slots=True)
class Carried:
    """The heads that come by hand."""

    core: Core
    ingest: Ingest

    async def take(self, text: str, by: str, way: Literal["file", "code"] = "code") -> SignedRecord:
        """Verify a head and log it.

        Raises MalformedError, VerificationError; EquivocationError when the box has shown another journal before.
        """
        head = SealHead.parse(text)
        checkpoint = head.verify(await self.ingest.identities(head.box))
        held = await self.core.database.read(lambda connection: _held(connection, head, checkpoint))
        if held is not None and held != checkpoint.root:
            detail = f"epoch {head.epoch}: a head of {checkpoint.size} records brought by hand is of another journal"
            await self.core.alarms.ring("equivocation", head.box, detail, head.note)
            raise EquivocationError(detail, where=head.box)
        return await self.core.sequencer.issue(kinds.HeadSeen(head.epoch, head.note, by, way), str(head.box))


def _held(connection: Connection, head: SealHead, checkpoint: Checkpoint) -> bytes | None:
    """Give the root of the mirrored journal at the head's size; None while it is not here."""
    mine = (journals.c.box == head.box) & (journals.c.epoch == head.epoch)
    size = connection.execute(select(journals.c.size).where(mine)).scalar() or 0
    if size < checkpoint.size:
        return None
    return root_at(checkpoint.size, reader(connection, JournalLog(str(Issuer.of_box(head.box)), head.epoch)))
