"""Send the journal and the blobs, and take what the hub answers: persisted, stored, receipt, resend, beacon, commands.

Guarantees: nothing leaves that is not committed; nothing is forgotten before the hub acknowledged it by name; a receipt counts
only when its proof holds and its checkpoint is of the log this box has pinned, and is final for a record only with the witnesses'
quorum; one bad blob, epoch or message holds up no other; no fault of network or hub ends it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.journal import Journal
from edge.outbox import Outbox, make_batch
from edge.pins import Pins
from edge.pruning import FINAL
from edge.transports import BlobDoor, Transport
from edge.worker import Worker
from protocol import messages
from protocol.errors import (
    EquivocationError,
    MalformedError,
    PortwitnessError,
    RefusedError,
    StorageError,
    UnavailableError,
    VerificationError,
)
from protocol.identifiers import BoxId, StreamId
from protocol.instants import SECOND_NS, Clock
from protocol.messages import Beacon, Consistency, EndTask, Live, Pair, Persisted, Prove, Receipt, Refusal, Resend, StoredBlobs
from protocol.notes import NoteKey, SignedCheckpoint
from protocol.receipts import verify_receipt
from protocol.records import Seen, read
from protocol.signatures import PublicKey
from protocol.topics import Channel
from protocol.trust import Trust
from storage.files import SegmentFolder
from storage.spool import BlobRow, Changes, EpochRow, ReceiptRow, Spool

LOOK_S = 1.0  # how often to look without being told
PAUSE_FIRST_S = 0.5
PAUSE_LIMIT_S = 30.0
BLOB_PAUSE_S = 60.0  # before a refused blob is offered again
INBOX_LIMIT = 1024
WAITING_BLOBS = 64
PARKED = 256
BEACON = "beacon"
CARRIED = "carried"  # a checkpoint that was brought by hand
FORK = "fork"  # two signed checkpoints of the port log that cannot both stand

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
    trust: Trust | None = None  # judges which receipts have the witnesses' quorum


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
    pins: Pins = field(default_factory=Pins)
    tell_fork: Callable[[str], Awaitable[None]] | None = None  # records that the hub showed two logs
    faults: list[str] = field(default_factory=list)
    hub_wall_ns: int | None = None
    acknowledged_ns: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _blob_news: asyncio.Event = field(default_factory=asyncio.Event)
    _inbox: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(INBOX_LIMIT))
    _uploading: set[bytes] = field(default_factory=set)
    _later: dict[bytes, float] = field(default_factory=dict)
    _parked: "deque[Receipt]" = field(default_factory=lambda: deque(maxlen=PARKED))  # receipts under checkpoints not yet proven
    _carried: Seen | None = None  # the one brought by hand that is known to be of the pinned log
    _forks: set[type[VerificationError]] = field(default_factory=set)

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
        elif isinstance(message, Consistency):
            await self._take_consistency(message)
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
        row = await self._epoch(message.epoch, message.size)
        records, spool = self.sources.records, self.sources.spool
        if message.size < row.pruned:
            verdict = f"records below position {row.pruned} went from here after the witnesses' receipt for them"
            await records.run(spool.set_refused, message.epoch, verdict)
            self._fault(f"the hub asks for epoch {message.epoch} from position {message.size} again: {verdict}")
            return
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
        seen = Seen(checkpoint.size, checkpoint.root)
        if not await self._is_of_our_log(message.checkpoint, seen):
            self._parked.append(message)
            await self._ask(message.checkpoint, seen)
            return
        await records.run(spool.add_receipt, ReceiptRow(message.epoch, message.first, message.end, messages.encode(message)))
        await self._note_final(message)

    async def _note_final(self, message: Receipt) -> None:
        """Note how far records are receipted with the witnesses' quorum: only those may ever go."""
        trust = self.sources.trust
        if trust is not None and trust.rule.asks:
            try:
                trust.check_quorum(SignedCheckpoint.parse(message.checkpoint))
            except VerificationError as error:
                log.debug("receipt is not final: %s", error)
                return
        until = await self.final_size(message.epoch)
        if message.first <= until < message.end:
            facts = {f"{FINAL}{message.epoch}": str(message.end).encode()}
            await self.sources.records.run(self.sources.spool.apply, Changes(facts=facts))

    async def final_size(self, epoch: int) -> int:
        """Give the position below which every record of an epoch is receipted with the witnesses' quorum."""
        fact = await self.sources.records.run(self.sources.spool.fact, f"{FINAL}{epoch}")
        return int(fact) if fact is not None else 0

    async def _take_beacon(self, message: Beacon) -> None:
        key = self.sources.log_key
        if key is None:
            raise VerificationError("no log key to judge it by", where="beacon")
        signed = SignedCheckpoint.parse(message.checkpoint)
        signed.verify(key, origin=key.name)
        self.hub_wall_ns = message.hub_wall_ns
        seen = Seen(signed.checkpoint.size, signed.checkpoint.root)
        known = self.pins.newest
        if message.old is not None and known is not None and known.size == message.old < seen.size:
            self.pins.wait(seen, message.checkpoint)
            await self._learn(Consistency(message.old, seen.size, message.proof or ()))
        elif (known is None or seen.size >= known.size) and not await self._is_of_our_log(message.checkpoint, seen):
            await self._ask(message.checkpoint, seen)  # an older one that comes late is of no use
        if self._parked:  # an answer may have been lost
            await self._ask_for(self._parked[0])
        await self._compare_carried(seen)

    async def _compare_carried(self, shown: Seen) -> None:
        """Demand that the log the hub shows extends the checkpoint that was carried in by hand, once it is that long."""
        note = await self.sources.records.run(self.sources.spool.fact, CARRIED)
        head = SignedCheckpoint.parse(note).checkpoint if note is not None else None
        if note is None or head is None or head.size > shown.size:
            return
        carried = Seen(head.size, head.root)
        if carried == self._carried:
            return
        if await self._is_of_our_log(note, carried):
            self._carried = carried
        else:
            await self._ask(note, carried)

    async def _is_of_our_log(self, note: bytes, seen: Seen) -> bool:
        """Tell whether a signed checkpoint is known to be of the pinned log.

        Raises EquivocationError when the hub showed another tree of that size.
        """
        is_first = self.pins.newest is None
        try:
            known = self.pins.knows(seen, note)
        except EquivocationError as error:
            await self._tell_fork(error)
            raise
        if known:
            if is_first:
                await self._pin()
            return True
        return False

    async def _ask(self, note: bytes, seen: Seen) -> None:
        """Ask the hub for the proof that a checkpoint is of the pinned log; it is asked again while something waits for it."""
        old, new = self.pins.wait(seen, note)
        try:
            await self.send(Prove(self.box, old, new))
        except UnavailableError as error:
            log.debug("proof not asked for: %s", error)

    async def _ask_for(self, receipt: Receipt) -> None:
        checkpoint = SignedCheckpoint.parse(receipt.checkpoint).checkpoint
        seen = Seen(checkpoint.size, checkpoint.root)
        if not await self._is_of_our_log(receipt.checkpoint, seen):
            await self._ask(receipt.checkpoint, seen)
            return
        parked, self._parked = list(self._parked), deque(maxlen=PARKED)
        for each in parked:
            await self._take_receipt(each)

    async def _take_consistency(self, message: Consistency) -> None:
        await self._learn(message)
        if self._parked:
            await self._ask_for(self._parked[0])

    async def _learn(self, proof: Consistency) -> None:
        """Take a proof; a checkpoint that is not consistent with the pin is refused and told."""
        before = self.pins.newest
        try:
            self.pins.prove(proof)
        except VerificationError as error:
            if proof.new != proof.old and "nobody waits" not in error.what:
                await self._tell_fork(error)
            raise
        if self.pins.newest != before:
            await self._pin()

    async def _pin(self) -> None:
        """Keep the newest checkpoint; records name it from now on."""
        seen = self.sources.journal.seen  # one that was carried in by hand may be newer
        if self.pins.newest is not None and (seen is None or seen.size < self.pins.newest.size):
            self.sources.journal.seen = self.pins.newest
        await self.sources.records.run(self.sources.spool.apply, Changes(facts={BEACON: self.pins.note()}))

    async def _tell_fork(self, error: VerificationError) -> None:
        """Keep the proof that the port log is not one log, and record it once: a hub that forked shows it with each checkpoint."""
        if type(error) in self._forks:
            return
        self._forks.add(type(error))
        if self.pins.fork is not None:
            facts = {FORK: self.pins.fork[0] + b"\n" + self.pins.fork[1]}
            await self.sources.records.run(self.sources.spool.apply, Changes(facts=facts))
        if self.tell_fork is not None:
            await self.tell_fork(str(error))

    async def _load_beacon(self) -> None:
        note = await self.sources.records.run(self.sources.spool.fact, BEACON)
        if note is not None and self.pins.newest is None:
            checkpoint = SignedCheckpoint.parse(note).checkpoint
            self.pins.load(Seen(checkpoint.size, checkpoint.root), note)
            if self.sources.journal.seen is None:
                self.sources.journal.seen = self.pins.newest


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):  # wait_for of Python 3.11 loses a cancellation that comes together with the event
            await event.wait()
    except TimeoutError:
        return
