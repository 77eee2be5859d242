"""Write the box's journal: the one place where records get their position, their root and their signature.

Guarantees: a record is on disk before anybody sees it; positions have no holes; the session key lives in memory only, a new
one for each boot and hour, certified by the identity key before it signs, and gone when the next one or `forget` comes; imported
files have a session, and an identity, of their own; each seal takes the next value of the counter, where there is one; what
fails to commit was never written. It is used by one thread.
"""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import kinds
from protocol.errors import DiskFullError, MalformedError, RefusedError, StorageError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import SECOND_NS, Clock, Instant
from protocol.journals import origin
from protocol.merkle import Frontier
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.records import Record, Seen, SignedRecord, read
from protocol.signatures import Ed25519Signer, Signer
from storage.counters import Counter
from storage.spool import BlobRow, Changes, EpochRow, RecordRow, SessionRow, Spool, StreamRow

SESSION_S = 3600
SESSION_GRACE_S = 600  # a session key may sign a little longer than it is meant to, never without end
MAX_COMMIT = 1024  # records of one commit

SealReason = Literal["interval", "task", "shutdown"]
Usage = Literal["live", "import"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded; `blob` is kept beside a segment's record."""

    subject: str
    body: kinds.Body
    blob: BlobRow | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """Who writes: the box, its identity key, this boot of its machine, and the software.

    `importer`: another identity key, for imported files alone; `counter`: what seals are counted by, outside the box's disk.
    """

    box: BoxId
    identity: Signer
    boot_id: bytes
    software: str
    importer: Signer | None = None
    counter: Counter | None = None


@dataclass(slots=True)
class _Session:
    signer: Ed25519Signer
    started_ns: int
    usage: Usage

    def is_old(self, mono_ns: int) -> bool:
        return mono_ns - self.started_ns >= SESSION_S * SECOND_NS


class Journal:
    """The journal of one epoch. `start` begins it; `make_room` is asked when the disk is full."""

    def __init__(self, spool: Spool, box: Box, clock: Clock, *, make_room: Callable[[], bool] | None = None) -> None:
        self._spool = spool
        self._box = box
        self._clock = clock
        self._make_room = make_room
        self._issuer = Issuer.of_box(box.box)
        self._frontier = Frontier()
        self._session: _Session | None = None
        self._mono_ns = 0
        self._count: int | None = None  # taken from the counter, not yet in a committed seal
        self.fault = ""  # why seals lack the counter's value
        self.epoch = -1
        self.seen: Seen | None = None
        self.streams: dict[str, StreamRow] = {}

    @property
    def box(self) -> str:
        """Give the name of the box."""
        return str(self._box.box)

    @property
    def size(self) -> int:
        """Give the number of committed records."""
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """Give the root over the committed records."""
        return self._frontier.root()

    def start(self) -> EpochRow | None:
        """Begin a new epoch with boot and session records; give the epoch before. Raises StorageError."""
        epochs = self._spool.epochs()
        before = epochs[-1] if epochs else None
        self.epoch = before.epoch + 1 if before else 0
        self.streams = self._spool.streams()
        boot = kinds.Boot(self._box.boot_id, self._box.software)
        if before is not None:
            root = Frontier.decode(before.size, before.frontier).root()
            boot = replace(boot, previous_epoch=before.epoch, previous_size=before.size, previous_root=root, clean=self._is_clean(before))
        self.append([Entry(str(self._box.box), boot)])
        return before

    def _is_clean(self, before: EpochRow) -> bool:
        last = self._spool.newest("seal", before.epoch, 1)
        if not last or last[0].position != before.size - 1:
            return False
        body = _body(last[0].data)
        return isinstance(body, kinds.Seal) and body.reason == "shutdown"

    def append(
        self, entries: Iterable[Entry], changes: Changes | None = None, *, seal: SealReason | None = None, usage: Usage = "live"
    ) -> list[SignedRecord]:
        """Sign and commit records, in order, in one transaction; with `seal`, a signed checkpoint behind them.

        Records of an imported file go with `usage` import, and are sealed with those of live capture. Raises RefusedError when the
        box has no key for imports; DiskFullError or StorageError, and then nothing was written.
        """
        batch = list(entries)
        if usage == "import" and self._box.importer is None:
            raise RefusedError("this box has no identity key for imports", where="journal")
        if len(batch) > MAX_COMMIT:
            raise StorageError(f"{len(batch)} records in one commit, at most {MAX_COMMIT}", where="journal")
        writing = _Writing(self, self._now(), changes or Changes(), usage)
        for entry in batch:
            writing.add(entry)
        if seal is not None:
            writing.add_seal(seal, self._counted())
        if not writing.records and changes is None:
            return []
        self._commit(writing)
        self._frontier, self._session, self._mono_ns = writing.frontier, writing.session, writing.at.mono_ns
        self.streams.update(writing.streams)
        if seal is not None:
            self._count = None
        if usage == "import":
            self.forget()
        return writing.records

    def forget(self) -> None:
        """Erase the session key: the library overwrites a key's memory when the last reference to it goes.

        What is recorded after it begins with a new one.
        """
        self._session = None

    def _counted(self) -> int | None:
        """Take the counter's next value, once for each seal that is committed; a counter that fails stops no seal."""
        if self._box.counter is not None and self._count is None:
            try:
                self._count, self.fault = self._box.counter.advance(), ""
            except (StorageError, MalformedError) as error:
                if not self.fault:
                    log.error("seals lack their counter: %s", error)
                self.fault = f"counter: {error}"
        return self._count

    def _now(self) -> Instant:
        now = self._clock.now()
        return now if now.mono_ns >= self._mono_ns else replace(now, mono_ns=self._mono_ns)

    def _commit(self, writing: "_Writing") -> None:
        changes = writing.changes
        changes.streams += writing.streams.values()
        epoch = EpochRow(self.epoch, self._box.boot_id, writing.frontier.size, writing.frontier.encode(), 0, 0)
        rows = [RecordRow(self.epoch, one.record.position, one.record.kind, one.data, one.leaf) for one in writing.records]
        try:
            self._spool.commit(epoch, rows, writing.sessions, changes)
        except DiskFullError:
            if self._make_room is None or not self._make_room():
                raise
            self._spool.commit(epoch, rows, writing.sessions, changes)


class _Writing:
    """One commit in the making: works on copies, so that a failure leaves the journal as it was."""

    def __init__(self, journal: Journal, at: Instant, changes: Changes, usage: Usage) -> None:
        self._journal = journal
        self._usage = usage
        self.at = at
        self.changes = replace(changes, blobs=list(changes.blobs), streams=list(changes.streams))  # the caller's may be used again
        self.frontier = journal._frontier.copy()
        self.session = journal._session
        self.records: list[SignedRecord] = []
        self.sessions: list[SessionRow] = []
        self.streams: dict[str, StreamRow] = {}

    def add(self, entry: Entry) -> None:
        body = entry.body
        if not isinstance(body, kinds.Boot):
            self._renew_session()
        position = self._sign(entry.subject, body)
        if isinstance(body, kinds.Boot):
            self._renew_session()
        self._follow(entry.subject, body)
        if entry.blob is not None:
            self.changes.blobs.append(replace(entry.blob, epoch=self._journal.epoch, position=position))

    def add_seal(self, reason: SealReason, count: int | None) -> None:
        self._usage = "live"
        self._renew_session()
        journal = self._journal
        head = Checkpoint(origin(journal._box.box, journal.epoch), self.frontier.size, self.frontier.root())
        note = sign_checkpoint(head, self._signer())
        streams = {**journal.streams, **self.streams}
        heads = tuple(kinds.StreamHead(name, row.next_number - 1 if row.next_number else None) for name, row in sorted(streams.items()))
        self._sign(str(journal._box.box), kinds.Seal(note, heads, reason, count))

    def _signer(self) -> Signer:
        if self.session is None:
            raise StorageError("no session key", where="journal")
        return self.session.signer

    def _signer_of(self, body: kinds.Body) -> Signer:
        box = self._journal._box
        if isinstance(body, kinds.Session) and body.usage == "import" and box.importer is not None:
            return box.importer
        return box.identity if isinstance(body, kinds.Boot | kinds.Session) else self._signer()

    def _sign(self, subject: str, body: kinds.Body) -> int:
        journal = self._journal
        position = self.frontier.size
        record = Record(journal._issuer, journal.epoch, position, self.frontier.root(), subject, self.at, body, journal.seen)
        signed = record.sign(self._signer_of(body))
        self.frontier.append(signed.leaf)
        self.records.append(signed)
        return position

    def _renew_session(self) -> None:
        if self.session is not None and self.session.usage == self._usage and not self.session.is_old(self.at.mono_ns):
            return
        signer = Ed25519Signer.of(ed25519.Ed25519PrivateKey.generate())
        until = self.at.mono_ns + (SESSION_S + SESSION_GRACE_S) * SECOND_NS
        raw = signer.public.raw()
        position = self._sign(str(self._journal._box.box), kinds.Session(raw, until, self._usage))
        self.sessions.append(SessionRow(self._journal.epoch, position, raw))
        self.session = _Session(signer, self.at.mono_ns, self._usage)

    def _follow(self, subject: str, body: kinds.Body) -> None:
        """Keep the stream's counters and how far it is accounted for."""
        if not isinstance(body, kinds.Segment | kinds.Gap | kinds.Recording):
            return
        row = self.streams.get(subject) or self._journal.streams.get(subject) or StreamRow(subject, "", 0, 0, 0, 0, 0, 0)
        epoch = self._journal.epoch
        if isinstance(body, kinds.Recording):
            begins = body.state == "started"
            row = replace(row, origin=body.origin, is_open=int(begins))
            if begins:
                row = replace(row, wall_to=self.at.wall_ns, mono_to=self.at.mono_ns, epoch=epoch)
        elif isinstance(body, kinds.Segment):
            row = replace(
                row,
                next_number=body.number + 1,
                next_run=max(row.next_run, body.run + 1),
                wall_to=body.wall_to,
                mono_to=body.mono_to,
                epoch=epoch if body.epoch is None else body.epoch,
            )
        else:
            row = _after_gap(row, body, epoch)
        self.streams[subject] = row


def _after_gap(row: StreamRow, gap: kinds.Gap, epoch: int) -> StreamRow:
    row = replace(row, wall_to=gap.wall_to)
    if gap.mono_to is None:
        return row
    return replace(row, mono_to=gap.mono_to, epoch=epoch if gap.epoch is None else gap.epoch)


def _body(data: bytes) -> kinds.Body:
    return read(data).record.body


def tasks_text(tasks: Iterable[str]) -> str:
    """Give tasks as the spool keeps them."""
    return json.dumps(sorted(tasks))
