"""Take what boxes send, verify it, commit it, and only then acknowledge.

Guarantees: a record is acknowledged as persisted after the commit of the transaction that holds it, its place in the mirrored
journal and what follows from it (projections, promoted blobs, seals for the log); a batch that comes again, late or cut changes
nothing; a missing position is asked for; what is refused is named, alarmed, and leaves what was accepted alone; a second signed
record at a known position is kept whole as evidence.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, and_, insert, select

from hub.alarms import ring
from hub.checker import Head, Question
from hub.checkers import Checkers
from hub.core import Core
from hub.judging import Accepted, Judgement, Mirror, judge
from hub.mail import Mail
from hub.mirrors import HeadProblem, head_problems, held_records, identity_keys, keep_journal, load_mirror, rollback_proof, session_keys
from hub.projections import project_box
from hub.sequencer import RecordRow, insert_rows, stage, stage_seals
from hub.uploads import Blobs, promote
from protocol import kinds
from protocol.errors import EquivocationError, ForbiddenError, MalformedError, PortwitnessError, UnavailableError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import Instant
from protocol.journals import check_equal
from protocol.messages import (
    MAX_BATCH_RECORDS,
    BoxReport,
    Claim,
    JournalBatch,
    Message,
    Persisted,
    Prove,
    Refusal,
    Reply,
    Resend,
    StoredBlobs,
)
from protocol.records import SignedRecord, read
from protocol.signatures import PublicKey
from storage.logs import JournalLog, keep_tile_roots
from storage.schema import alarms, seals

MAX_BATCH_BYTES = 524_288
EVIDENCE_BYTES = 65_536

Handler = Callable[[BoxId, Any], Awaitable[list[Message]]]
AfterCommit = Callable[[BoxId, tuple[SignedRecord, ...]], None]


@dataclass(slots=True)
class Ingest:
    """The door for everything a box says. Use as an async context manager."""

    core: Core
    mail: Mail
    blobs: Blobs
    handlers: dict[type[Any], Handler] = field(default_factory=dict)  # for Reply, Claim, BoxReport
    listeners: list[AfterCommit] = field(default_factory=list)
    checkers: Checkers | None = None
    _mirrors: dict[tuple[str, int], Mirror] = field(default_factory=dict)
    _identities: dict[str, tuple[PublicKey, ...]] = field(default_factory=dict)
    _forgotten: int = 0  # how often something was forgotten: what was read before is not remembered after
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _walkers: ThreadPoolExecutor | None = None
    _threads: ThreadPoolExecutor | None = None
    _helpers: int = 1

    async def __aenter__(self) -> "Ingest":
        cores = os.cpu_count() or 1
        self._helpers = max(1, cores - 1)  # one core is the reader's: a reader that holds the lock and has no core stops all
        self._walkers = ThreadPoolExecutor(cores, "ingest")
        self._threads = ThreadPoolExecutor(self._helpers, "signatures")
        self.checkers = await Checkers(self.core.clock, self.core.settings.ingest.checkers).__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.checkers is not None:
            await self.checkers.__aexit__(kind, error, trace)
        for threads in (self._walkers, self._threads):
            if threads is not None:
                await asyncio.to_thread(threads.shutdown)

    async def accept(self, box: BoxId, message: Message) -> list[Message]:
        """Take one message of an authenticated box; give what is to be answered at once.

        Raises ForbiddenError when it speaks for another box or is not enrolled, MalformedError for a message that is not a box's,
        UnavailableError and StorageError when it could not be committed: then nothing is acknowledged.
        """
        named = getattr(message, "box", box)
        if named != box:
            raise ForbiddenError(f"{box} may not speak for {named}", where="box")
        if not await self.identities(box):
            raise ForbiddenError(f"{box} is not enrolled, or was revoked", where="box")
        if isinstance(message, JournalBatch):
            return await self._accept_batch(box, message)
        handler = self.handlers.get(type(message))
        if handler is None or not isinstance(message, Reply | Claim | BoxReport | Prove):
            raise MalformedError(f"{message.KIND!r} is not for the hub", where="message")
        return await handler(box, message)

    async def identities(self, box: str) -> tuple[PublicKey, ...]:
        """Give the identity keys that count for a box; empty for a stranger."""
        known = self._identities.get(box)
        if known is None:
            forgotten = self._forgotten
            known = await self.core.database.read(lambda connection: identity_keys(connection, box))
            if known and forgotten == self._forgotten:  # strangers are asked for again, not remembered: their number has no bound
                self._identities[box] = known
        return known

    def forget(self, box: str) -> None:
        """Forget what is remembered of a box's keys: an enrolment record changed them."""
        self._forgotten += 1
        self._identities.pop(box, None)
        for place in [place for place in self._mirrors if place[0] == box]:
            del self._mirrors[place]

    # ------------------------------------------------------------------------------------------------------- batches

    async def _accept_batch(self, box: BoxId, batch: JournalBatch) -> list[Message]:
        async with self._locks.setdefault(box, asyncio.Lock()):
            mirror = await self._mirror(box, batch.epoch)
            try:
                _check_batch(batch)
            except MalformedError as error:
                return await self._refuse(batch, mirror.size, error, None)
            if batch.first > mirror.size:
                return [Resend(box, batch.epoch, mirror.size)]
            known = min(len(batch.records), mirror.size - batch.first)
            try:
                await self._compare(box, batch, known)
            except (MalformedError, VerificationError) as error:
                return await self._refuse(batch, mirror.size, error, None)
            fresh = batch.records[known:]
            if not fresh:
                return [Persisted(box, batch.epoch, mirror.size)]
            return await self._append(box, batch, mirror, fresh)

    async def _append(self, box: BoxId, batch: JournalBatch, mirror: Mirror, fresh: tuple[bytes, ...]) -> list[Message]:
        walkers, threads = self._walkers, self._threads
        if walkers is None or threads is None:
            raise UnavailableError("not started", where="ingest")
        work = partial(judge, mirror, fresh, await self._heads(mirror, fresh), threads, self._helpers)
        judgement = await asyncio.get_running_loop().run_in_executor(walkers, work)
        answers: list[Message] = []
        if judgement.accepted:
            promoted = await self._commit(box, batch.epoch, mirror, judgement)
            answers.append(Persisted(box, batch.epoch, judgement.mirror.size))
            if promoted:
                answers.append(StoredBlobs(box, tuple(promoted)))
        if judgement.fault is not None:
            answers += await self._refuse(batch, judgement.mirror.size, judgement.fault, judgement.refused)
        return answers

    async def _heads(self, mirror: Mirror, fresh: tuple[bytes, ...]) -> list[Head]:
        """Ask the checkers about records that follow what the mirror holds; what they do not answer is judged here."""
        journal = mirror.journal
        if journal.session is None or self.checkers is None:
            return []
        question = Question(Issuer.of_box(journal.box), journal.epoch, mirror.size, journal.session.spki, fresh)
        return await self.checkers.check(question)

    async def _commit(self, box: BoxId, epoch: int, mirror: Mirror, judgement: Judgement) -> list[bytes]:
        change, forgotten = partial(self._keep, box=box, before=mirror, judgement=judgement), self._forgotten
        try:
            promoted = await self.core.database.write(change)
        except BaseException:
            self.forget(box)  # what is committed is read again
            raise
        if forgotten == self._forgotten:
            self._mirrors[box, epoch] = judgement.mirror
        else:
            self._mirrors.pop((box, epoch), None)
        if judgement.seals or promoted or judgement.accepted[0].head.kind == kinds.Boot.KIND:
            self.core.sequencer.wake()
        if promoted:
            self.blobs.wake()
        for listener in self.listeners:
            listener(box, judgement.signed)
        return promoted

    def _keep(self, connection: Connection, *, box: BoxId, before: Mirror, judgement: Judgement) -> list[bytes]:
        """Commit an accepted run; give the blobs that its records brought out of quarantine."""
        journal, now = judgement.mirror.journal, self.core.clock.now()
        keep_journal(connection, before, judgement)
        insert_rows(connection, rows_of(Issuer.of_box(box), journal.epoch, before.size, judgement.accepted))
        leaves = [each.head.leaf for each in judgement.accepted]
        keep_tile_roots(connection, JournalLog(str(Issuer.of_box(box)), journal.epoch), before.size, judgement.mirror.size, leaves)
        taken = [signed.record for signed in judgement.signed]
        project_box(connection, taken)
        if judgement.seals:
            place = {"box": box, "epoch": journal.epoch, "log_index": None, "delivered": False}
            rows = [place | {"position": one.position, "first": one.first, "left": one.left} for one in judgement.seals]
            connection.execute(insert(seals), rows)
            stage_seals(connection, [one.record for one in judgement.seals])
        for denied in head_problems(connection, box, journal.epoch):
            _tell_rollback(connection, box, denied, now)
        found = {record.body.sha256: record.body.size for record in taken if isinstance(record.body, kinds.Segment)}
        promoted, problems = promote(connection, box, found)
        for problem in problems:
            ring(connection, ("blob length", box, problem), now.wall_ns)
        return promoted

    async def _mirror(self, box: BoxId, epoch: int) -> Mirror:
        known = self._mirrors.get((box, epoch))
        if known is None:
            forgotten = self._forgotten
            keys = await self.identities(box)
            known = await self.core.database.read(lambda connection: load_mirror(connection, box, epoch, keys))
            if forgotten == self._forgotten:
                self._mirrors[box, epoch] = known
                self._drop_old_mirrors(box, epoch)
        return known

    def _drop_old_mirrors(self, box: str, epoch: int) -> None:
        """Keep the mirrors of at most four epochs of a box in memory."""
        mine = sorted(place[1] for place in self._mirrors if place[0] == box and place[1] != epoch)
        for old in mine[:-3]:
            del self._mirrors[box, old]

    # ------------------------------------------------------------------------------------- what does not fit

    async def _compare(self, box: BoxId, batch: JournalBatch, known: int) -> None:
        """Compare what overlaps with what is held.

        Raises EquivocationError, after it was kept, or VerificationError when the other record is not the box's.
        """
        if known <= 0:
            return
        held = await self.core.database.read(lambda connection: held_records(connection, box, batch.epoch, batch.first, known))
        for mine, other in zip(held, batch.records[:known], strict=True):
            if mine != other:
                await self._judge_other(box, batch.epoch, mine, other)

    async def _judge_other(self, box: BoxId, epoch: int, mine: bytes, other: bytes) -> None:
        signed, held = read(other), read(mine)
        if (signed.record.issuer, signed.record.epoch, signed.record.position) != (held.record.issuer, epoch, held.record.position):
            raise VerificationError("is out of place", where=f"{signed.record.issuer} position {signed.record.position}")
        keys = await self.core.database.read(lambda connection: session_keys(connection, box, epoch))
        try:
            check_equal(mine, signed, (*keys, *await self.identities(box)))
        except EquivocationError:
            await self._keep_equivocation(box, held, signed)
            raise

    async def _keep_equivocation(self, box: BoxId, held: SignedRecord, other: SignedRecord) -> None:
        """Log two signed records for one position, once; keep the other whole beside the alarm."""
        now = self.core.clock.now()
        place = f"epoch {held.record.epoch} position {held.record.position}"
        body = kinds.Equivocation(held.record.epoch, held.record.position, held.leaf, other.data)

        def keep(connection: Connection) -> None:
            what = ("equivocation", box, f"{place}: {held.leaf.hex()[:16]} and {other.leaf.hex()[:16]} are both signed")
            if ring_once(connection, what, now.wall_ns, other.data):
                try:
                    stage(connection, body, str(held.record.issuer), now)
                except MalformedError:  # too long for a record: the alarm holds it whole
                    ring(connection, ("equivocation not logged", box, f"{place}: {len(other.data)} bytes"), now.wall_ns)

        await self.core.database.write(keep)
        self.core.sequencer.wake()
        self.core.events.tell("alarm", kind="equivocation", subject=box, detail=place)

    async def _refuse(self, batch: JournalBatch, size: int, error: PortwitnessError, data: bytes | None) -> list[Message]:
        """Alarm a refused record and give the verdict."""
        kind = "equivocation refused" if isinstance(error, EquivocationError) else "record refused"
        evidence = data[:EVIDENCE_BYTES] if data is not None else None
        await self.core.alarms.ring(kind, batch.box, f"epoch {batch.epoch}: {error}", evidence)
        return [Resend(batch.box, batch.epoch, size, verdict=str(error)[:1000])]


def rows_of(issuer: Issuer, epoch: int, first: int, accepted: Sequence[Accepted]) -> list[RecordRow]:
    """Give the rows of an accepted run."""
    name = str(issuer)
    return [
        (name, epoch, position, each.head.leaf, each.head.kind, each.head.subject, each.head.wall_ns, each.data)
        for position, each in enumerate(accepted, first)
    ]


def refusal(claim: Claim, error: PortwitnessError) -> Refusal:
    """Give the answer to a claim that was refused."""
    return Refusal(claim.claim, str(error)[:500])


def ring_once(connection: Connection, what: tuple[str, str, str], now_ns: int, evidence: bytes) -> bool:
    """Ring an alarm; tell whether it is the first of its kind, acknowledged ones included."""
    same = and_(alarms.c.kind == what[0], alarms.c.subject == what[1], alarms.c.detail == what[2])
    first = connection.execute(select(alarms.c.id).where(same)).first() is None
    ring(connection, what, now_ns, evidence)
    return first


def _tell_rollback(connection: Connection, box: str, denied: HeadProblem, now: Instant) -> None:
    """Ring for a boot that denies what its box had sent, and log the proof of it, once."""
    proof = rollback_proof(connection, box, denied)
    evidence = proof.boot if proof is not None else b""
    if ring_once(connection, ("lost head", box, denied.what), now.wall_ns, evidence) and proof is not None:
        try:
            stage(connection, proof, box, now)
        except MalformedError:  # too long for a record: the records themselves are held
            ring(connection, ("rollback not logged", box, denied.what), now.wall_ns)


def _check_batch(batch: JournalBatch) -> None:
    size = sum(len(data) for data in batch.records)
    if not 1 <= len(batch.records) <= MAX_BATCH_RECORDS or size > MAX_BATCH_BYTES:
        limits = f"1 to {MAX_BATCH_RECORDS} records and {MAX_BATCH_BYTES} bytes"
        raise MalformedError(f"{len(batch.records)} records of {size} bytes, allowed are {limits}", where="batch")
    if batch.first < 0 or batch.epoch < 0:
        raise MalformedError("negative position or epoch", where="batch")
