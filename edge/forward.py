"""Send the journal and the blobs, and take what the hub answers: persisted, stored, receipt, resend, beacon, commands.

Guarantees: nothing leaves that is not committed; nothing is forgotten before the hub acknowledged it by name; a receipt counts
only when its proof holds; one bad blob, epoch or message holds up no other; no fault of network or hub ends it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal import Journal
from edge.outbox import Outbox, make_batch
from edge.transports import BlobDoor, Transport
from edge.worker import Worker
from protocol import messages
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError, VerificationError
from protocol.identifiers import BoxId, StreamId
from protocol.instants import SECOND_NS, Clock
from protocol.messages import Beacon, EndTask, Live, Pair, Persisted, Receipt, Refusal, Resend, StoredBlobs
from protocol.notes import NoteKey, SignedCheckpoint
from protocol.receipts import verify_receipt
from protocol.records import Seen, read
from protocol.signatures import PublicKey
from protocol.topics import Channel
from storage.files import SegmentFolder
from storage.spool import BlobRow, Changes, EpochRow, ReceiptRow, Spool

LOOK_S = 1.0  # how often to look without being told
PAUSE_FIRST_S = 0.5
PAUSE_LIMIT_S = 30.0
BLOB_PAUSE_S = 60.0  # before a refused blob is offered again
INBOX_LIMIT = 1024
WAITING_BLOBS = 64
BEACON = "beacon"

Order = Pair | EndTask | Live | Refusal
Take = Callable[[Order], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Sources:
    """What the forwarder reads: the spool in its thread, the journal's head, the files, the clock, and the log's key."""

    spool: Spool
    journal: Journal
    folder: SegmentFolder
    records: Worker
    clock: Clock
    log_key: NoteKey | None


@dataclass(slots=True)
class Forwarder:
    """The outbox at work. `take` gets commands; `run` lasts until cancelled."""

    box: BoxId
    sources: Sources
    transport: Transport
    blobs: BlobDoor
    take: Take
    uploads: int = 2
    outbox: Outbox = field(default_factory=Outbox)
    faults: list[str] = field(default_factory=list)
    hub_wall_ns: int | None = None
    acknowledged_ns: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _blob_news: asyncio.Event = field(default_factory=asyncio.Event)
    _inbox: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(INBOX_LIMIT))
    _uploading: set[bytes] = field(default_factory=set)
    _later: dict[bytes, float] = field(default_factory=dict)

    def tell(self) -> None:
        """Hear that something was committed."""
        self._news.set()
        self._blob_news.set()

    async def run(self) -> None:
        """Send and take until cancelled."""
        await self._load_beacon()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.transport.run(self._accept))
            group.create_task(self._send_journal())
            group.create_task(self._handle_inbox())
            for _ in range(self.uploads):
                group.create_task(self._send_blobs())

    def _accept(self, message: bytes) -> None:
        try:
            self._inbox.put_nowait(message)
        except asyncio.QueueFull:
            self._fault("more messages than can be taken; the hub will repeat what matters")

    def _fault(self, text: str) -> None:
        log.warning("%s", text)
        self.faults = [*self.faults[-9:], text]

    def _now(self) -> float:
        return self.sources.clock.monotonic_ns() / SECOND_NS

    async def send(self, message: messages.Message) -> None:
        """Send a reply, claim or report; raise UnavailableError or RefusedError."""
        channel: Channel = "state" if isinstance(message, messages.BoxReport) else "reply"
        await self.transport.send(channel, messages.encode(message))

    # -------------------------------------------------------------------------------------------------- the journal

    async def _send_journal(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            self._news.clear()
            try:
                if await self._send_batch():
                    pause_s = PAUSE_FIRST_S
                    continue
            except UnavailableError as error:
                log.debug("journal: %s", error)
                self.outbox.rewind(self._now())
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_LIMIT_S)
                continue
            except PortwitnessError as error:
                self._fault(f"journal: {error}")
                await asyncio.sleep(PAUSE_LIMIT_S if isinstance(error, RefusedError) else pause_s)
                continue
            await _wait(self._news, LOOK_S)

    async def _send_batch(self) -> bool:
        """Send the next batch; False when there is none."""
        records, spool = self.sources.records, self.sources.spool
        epochs = await records.run(spool.epochs)
        want = self.outbox.next(epochs, self._now())
        if want is None:
            return False
        rows = await records.run(spool.records, want.epoch, want.first, want.limit)
        batch = make_batch(self.box, want, rows)
        if not batch.records:
            raise StorageError(f"records from position {want.first} of epoch {want.epoch} are missing", where="spool")
        self.outbox.note_sent(want.epoch, want.first + len(batch.records), self._now())
        await self.transport.send("journal", messages.encode(batch))
        return True

    # ---------------------------------------------------------------------------------------------------- the blobs

    async def _send_blobs(self) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            self._blob_news.clear()
            try:
                row = await self._next_blob()
                if row is None:
                    await _wait(self._blob_news, LOOK_S)
                    continue
                try:
                    await self._send_blob(row)
                finally:
                    self._uploading.discard(row.sha256)
                pause_s = PAUSE_FIRST_S
            except UnavailableError as error:
                log.debug("blob: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_LIMIT_S)
            except PortwitnessError as error:
                self._fault(f"blob: {error}")
                await asyncio.sleep(PAUSE_FIRST_S)

    async def _next_blob(self) -> BlobRow | None:
        rows = await self.sources.records.run(self.sources.spool.waiting_blobs, WAITING_BLOBS + len(self._later))
        now = self._now()
        for row in rows:
            if row.sha256 not in self._uploading and self._later.get(row.sha256, 0.0) <= now:
                self._uploading.add(row.sha256)
                return row
        return None

    async def _send_blob(self, row: BlobRow) -> None:
        self._later.pop(row.sha256, None)
        path: Path = self.sources.folder.path(StreamId(row.stream).source, row.number)
        try:
            answer = await self.blobs.put(row.sha256, path, row.size)
            await self._take_stored(messages.expect(StoredBlobs, answer))
        except UnavailableError:
            raise
        except PortwitnessError:
            self._later[row.sha256] = self._now() + BLOB_PAUSE_S
            raise

    # --------------------------------------------------------------------------------------------------- the answers

    async def _handle_inbox(self) -> None:
        while True:
            data = await self._inbox.get()
            try:
                await self.handle(messages.decode(data))
            except PortwitnessError as error:
                self._fault(f"message from the hub: {error}")

    async def handle(self, message: messages.Message) -> None:
        """Take one message; raise MalformedError, VerificationError or StorageError."""
        if isinstance(message, Persisted):
            await self._take_persisted(message)
        elif isinstance(message, StoredBlobs):
            await self._take_stored(message)
        elif isinstance(message, Receipt):
            await self._take_receipt(message)
        elif isinstance(message, Resend):
            await self._take_resend(message)
        elif isinstance(message, Beacon):
            await self._take_beacon(message)
        elif isinstance(message, Pair | EndTask | Live | Refusal):
            await self.take(message)
        else:
            raise MalformedError(f"{message.KIND} is not for a box", where="message")

    def _check_own(self, box: str) -> None:
        if box != self.box:
            raise VerificationError(f"is for {box}", where="message")

    async def _take_persisted(self, message: Persisted) -> None:
        self._check_own(message.box)
        row = await self._epoch(message.epoch, message.size)
        self.acknowledged_ns = self.sources.clock.monotonic_ns()
        if message.size > row.persisted or row.refused is not None:
            await self.sources.records.run(self.sources.spool.set_persisted, message.epoch, max(message.size, row.persisted))
        self.outbox.note_persisted(message.epoch, max(message.size, row.persisted), self._now())
        self._news.set()

    async def _epoch(self, epoch: int, size: int) -> EpochRow:
        """Give an epoch that holds `size` records; raise VerificationError when it does not."""
        for row in await self.sources.records.run(self.sources.spool.epochs):
            if row.epoch == epoch and size <= row.size:
                return row
        raise VerificationError(f"epoch {epoch} size {size} was never written here", where=self.box)

    async def _take_stored(self, message: StoredBlobs) -> None:
        self._check_own(message.box)
        await self.sources.records.run(self.sources.spool.set_stored, message.blobs)
        for blob in message.blobs:
            self._later.pop(blob, None)

    async def _take_resend(self, message: Resend) -> None:
        self._check_own(message.box)
        await self._epoch(message.epoch, message.size)
        records, spool = self.sources.records, self.sources.spool
        if message.verdict is not None:
            await records.run(spool.set_refused, message.epoch, message.verdict)
            self._fault(f"the hub refuses epoch {message.epoch} from position {message.size}: {message.verdict}")
            return
        await records.run(spool.set_persisted, message.epoch, message.size)
        self.outbox.note_resend(message.epoch, message.size)
        self._news.set()

    async def _take_receipt(self, message: Receipt) -> None:
        self._check_own(message.box)
        key = self.sources.log_key
        if key is None:
            raise VerificationError("no log key to judge it by", where="receipt")
        await self._epoch(message.epoch, message.end)
        records, spool = self.sources.records, self.sources.spool
        leaves = await records.run(spool.leaves, message.epoch, message.first, message.end)
        raw = await records.run(spool.session_at, message.epoch, read(message.seal).record.position)
        if raw is None:
            raise VerificationError("seal before any session key", where="receipt")
        checkpoint = verify_receipt(message, leaves, PublicKey.from_ed25519(raw), key)
        await records.run(spool.add_receipt, ReceiptRow(message.epoch, message.first, message.end, messages.encode(message)))
        await self._remember(message.checkpoint, checkpoint.size, checkpoint.root)

    async def _take_beacon(self, message: Beacon) -> None:
        key = self.sources.log_key
        if key is None:
            raise VerificationError("no log key to judge it by", where="beacon")
        signed = SignedCheckpoint.parse(message.checkpoint)
        signed.verify(key, origin=key.name)
        self.hub_wall_ns = message.hub_wall_ns
        await self._remember(message.checkpoint, signed.checkpoint.size, signed.checkpoint.root)

    async def _remember(self, note: bytes, size: int, root: bytes) -> None:
        """Keep the newest checkpoint; a log that shows two trees of one size is told."""
        seen = self.sources.journal.seen
        if seen is not None and size == seen.size and root != seen.root:
            raise VerificationError(f"the port log shows two trees of {size}", where="checkpoint")
        if seen is None or size > seen.size:
            self.sources.journal.seen = Seen(size, root)
            await self.sources.records.run(self.sources.spool.apply, Changes(facts={BEACON: note}))

    async def _load_beacon(self) -> None:
        note = await self.sources.records.run(self.sources.spool.fact, BEACON)
        if note is not None and self.sources.journal.seen is None:
            checkpoint = SignedCheckpoint.parse(note).checkpoint
            self.sources.journal.seen = Seen(checkpoint.size, checkpoint.root)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
