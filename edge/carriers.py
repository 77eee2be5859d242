"""Take a checkpoint of the port log that somebody brings, and give the box's newest signed head to carry away.

Guarantees: a checkpoint counts only under the pinned log key, and only when it is newer than what the box knows; the records
from then on name it. It does not move the pin: that takes a proof, which the hub gives when it is reached again. Both ways need
no network, only a file, a scanner that types, or a camera for the QR code.
"""

from dataclasses import dataclass
from io import BytesIO

from edge.forward import BEACON
from edge.journal import Journal
from edge.worker import Worker
from protocol import kinds
from protocol.carriers import SealHead
from protocol.errors import RefusedError, VerificationError
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS, iso
from protocol.notes import NoteKey, SignedCheckpoint, has_signed
from protocol.records import Seen, read
from protocol.trust import Trust
from storage.spool import Changes, Spool

CARRIED = "carried"


@dataclass(slots=True)
class Carriers:
    """What comes in and goes out by hand. `load` before the first record names a checkpoint."""

    box: BoxId
    journal: Journal
    spool: Spool
    records: Worker
    trust: Trust | None

    async def load(self) -> None:
        """Take up what was brought before a restart, when it is newer than what the box knows."""
        for name in (BEACON, CARRIED):
            note = await self.records.run(self.spool.fact, name)
            head = SignedCheckpoint.parse(note).checkpoint if note is not None else None
            if head is not None and (self.journal.seen is None or head.size > self.journal.seen.size):
                self.journal.seen = Seen(head.size, head.root)

    async def bring(self, note: bytes) -> str:
        """Take a signed checkpoint; say which. Raises MalformedError, VerificationError, RefusedError when it is not newer."""
        if self.trust is None:
            raise RefusedError("this box has no log key to judge it by", where="checkpoint")
        key: NoteKey = self.trust.log
        signed = SignedCheckpoint.parse(_tidy(note))
        signed.verify(key, origin=key.name)
        head, seen = signed.checkpoint, self.journal.seen
        if seen is not None and head.size == seen.size and head.root != seen.root:
            raise VerificationError(f"the port log shows two trees of {head.size}", where="checkpoint")
        if seen is not None and head.size <= seen.size:
            raise RefusedError(f"has {head.size} leaves, this box knows one of {seen.size}", where="checkpoint")
        self.journal.seen = Seen(head.size, head.root)
        await self.records.run(self.spool.apply, Changes(facts={CARRIED: signed.note.encode()}))
        clock = self.trust.clock
        seconds = signed.verify(clock, origin=key.name) if has_signed(signed.note, clock) else None
        return f"checkpoint {head.size}" + (f" of {iso(seconds * SECOND_NS)}" if seconds is not None else "")

    async def head(self) -> str:
        """Give the newest seal's signed head as text; raise RefusedError before the first seal of this epoch."""
        seals = await self.records.run(self.spool.newest, kinds.Seal.KIND, self.journal.epoch, 1)
        sessions = await self.records.run(self.spool.newest, kinds.Session.KIND, self.journal.epoch, 8)
        if not seals:
            raise RefusedError("nothing is sealed yet in this epoch", where="head")
        session = next(row for row in sessions if row.position < seals[0].position)
        body = read(seals[0].data).record.body
        assert isinstance(body, kinds.Seal)
        return SealHead(self.box, self.journal.epoch, body.note, session.data).encode()

    async def picture(self) -> bytes:
        """Give the head as a QR code in SVG."""
        drawn = BytesIO()
        import segno  # eleven megabytes that a box needs only while somebody looks at its code

        segno.make(await self.head(), error="l", micro=False).save(drawn, kind="svg", border=4, scale=3)
        return drawn.getvalue()


def _tidy(note: bytes) -> bytes:
    """Undo what a form or a scanner does to line ends."""
    return note.replace(b"\r\n", b"\n").strip(b"\n\t ") + b"\n"
