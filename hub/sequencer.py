"""Write the port log: the only one who gives positions, signs checkpoints and publishes them.

Guarantees: leaves, size, root, checkpoint and projections are committed in one transaction, by compare-and-swap on (lease,
size, root), so that of two sequencers one stops; nothing is published that is not committed, nothing is told - a record given
back, a receipt sent - that is not published; after a crash the same checkpoint is published again. A hub record's position is
its leaf's index and its root that of the log before it.
"""

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, delete, insert, select, update

from hub.config import HubSettings
from hub.projections import project_hub
from hub.receipting import make_receipts
from protocol import canonical, kinds
from protocol.concealing import SALT_BYTES, conceal, is_personal, reveal
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import Issuer
from protocol.instants import SECOND_NS, Clock, Instant
from protocol.merkle import EMPTY_ROOT, Frontier, inclusion_proof
from protocol.messages import Receipt
from protocol.notes import ED25519, Checkpoint, NoteKey, cosign, sign_checkpoint
from protocol.records import MAX_SUBJECT, Record, SignedRecord
from protocol.signatures import Ed25519Signer
from protocol.tiles import parse_path
from storage.database import Database, insert_many
from storage.logs import LogFolder, PortLog, keep_tile_roots, make_tile, port_entries, reader
from storage.schema import leaves, log_state, openings, records, seals, staged

BATCH = 512  # leaves in one transaction
RETRY_S = 1.0
LAST_STEP_S = 5.0  # what is staged when the hub stops is still logged, within this
LOOK_S = 2.0  # other programs (a person is added while the hub serves) stage in the same database and cannot wake this one
MAX_BODY_BYTES = canonical.MAX_BYTES - 1024  # room for the record around it
_LOG = logging.getLogger(__name__)
_NAME = PortLog().name


@dataclass(frozen=True, slots=True)
class Publication:
    """What one published checkpoint brings: itself, the receipts it makes possible, the hub's own new records."""

    size: int
    checkpoint: bytes
    receipts: tuple[Receipt, ...]
    records: tuple[SignedRecord, ...]


Listener = Callable[[Publication], Awaitable[None]]
Guard = Callable[[Checkpoint], Awaitable[None]]
RecordRow = tuple[str, int, int, bytes, str, str, int, bytes]  # issuer, epoch, position, leaf, kind, subject, wall ns, data


Logged = tuple[SignedRecord, ...]
_Refused = tuple["asyncio.Future[Logged]", PortwitnessError]
Named = tuple[str, kinds.Body]  # subject and body of a record
Decide = Callable[[Connection, int], Named]  # by the tables as they stand at a log of this size
DecideAll = Callable[[Connection, int], Sequence[Named]]


@dataclass(slots=True)
class _Asked:
    decide: DecideAll
    looks: bool  # at the tables: what came before it in the batch must stand in them
    at: Instant
    done: "asyncio.Future[Logged]"


@dataclass(frozen=True, slots=True)
class _State:
    lease: int
    size: int
    root: bytes
    frontier: bytes
    checkpoint: bytes


@dataclass(slots=True)
class _Batch:
    """One transaction's work, kept until it is published."""

    state: _State
    sealed: list[tuple[str, int, int]] = field(default_factory=list)
    own: list[SignedRecord] = field(default_factory=list)
    answers: "list[tuple[asyncio.Future[Logged], Logged]]" = field(default_factory=list)


@dataclass(slots=True)
class Sequencer:
    """The writer of the port log. Use as an async context manager."""

    settings: HubSettings
    clock: Clock
    database: Database
    signer: Ed25519Signer
    folder: LogFolder
    listeners: list[Listener] = field(default_factory=list)
    guard: Guard | None = None  # asked before each step; it raises when this log must not be signed on
    fault: str | None = None
    _state: _State | None = None
    _published: _State = _State(0, 0, EMPTY_ROOT, b"", b"")
    _asked: list[_Asked] = field(default_factory=list)
    _unpublished: list[_Batch] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _stopping: bool = False

    async def __aenter__(self) -> "Sequencer":
        self._state = await self.database.write(self._take_lease)
        if self._state.size:
            await self.database.read(self._publish_state)
            self._published = self._state
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="sequencer")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._stopping = True
            self._urgent.set()
            self._wake.set()
            await asyncio.wait([self._task], timeout=LAST_STEP_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for asked in self._asked:
            _refuse(asked.done, UnavailableError("the hub is stopping", where="port log"))

    @property
    def origin(self) -> str:
        """Give the log's origin line."""
        return self.settings.log_origin

    @property
    def key(self) -> NoteKey:
        """Give the log's verification key."""
        return NoteKey(self.origin, ED25519, self.signer.public)

    @property
    def vkey(self) -> str:
        """Give the log's verification key as text."""
        return self.key.vkey()

    @property
    def size(self) -> int:
        """Give the number of committed leaves."""
        return self._state.size if self._state else 0

    def published_size(self) -> int:
        """Give the number of published leaves."""
        return self._published.size

    def checkpoint_now(self) -> bytes:
        """Give the newest published checkpoint; empty for an empty log."""
        return self._published.checkpoint

    def cosigned(self, size: int, checkpoint: bytes) -> None:
        """Take the cosignatures of witnesses over the checkpoint of `size`, while it is the newest published."""
        if self._published.size == size:
            self._published = replace(self._published, checkpoint=checkpoint)

    async def issue(self, body: kinds.Body, subject: str) -> SignedRecord:
        """Log a record of the hub; give it back signed once a checkpoint that covers it is published.

        Raises MalformedError for what is no record, UnavailableError when the log cannot be written now; then it may or may not
        be logged later.
        """
        _check(body, subject)
        return (await self._ask(_Asked(lambda _connection, _size: [(subject, body)], False, self.clock.now(), _future())))[0]

    async def decide(self, decide: Decide) -> SignedRecord:
        """Log what `decide` makes of the tables: it looks and the record enters in one transaction, so nothing comes between.

        `decide` is given the connection and the log's size; it raises RefusedError, MalformedError or another PortwitnessError to
        log nothing, before it has written anything. It may write only documents that the record names by hash. Raises what it
        raised, and what `issue` raises.
        """
        return (await self.decide_all(lambda connection, size: [decide(connection, size)]))[0]

    async def decide_all(self, decide: DecideAll) -> Logged:
        """Log several records, one behind the other, in one transaction: all of them or none. As `decide` else.

        The first stands at the size that `decide` is given, the others behind it. Raises MalformedError when it makes none.
        """
        return await self._ask(_Asked(decide, True, self.clock.now(), _future()))

    async def _ask(self, asked: _Asked) -> Logged:
        self._asked.append(asked)
        self._urgent.set()
        self._wake.set()
        return await asked.done

    def wake(self) -> None:
        """Say that something was staged."""
        self._wake.set()

    async def checkpoint(self) -> bytes:
        """Give the published checkpoint; raise UnavailableError before the first."""
        if not self._published.size:
            raise UnavailableError("nothing is published yet", where="port log")
        return self._published.checkpoint

    async def tile(self, path: str) -> bytes:
        """Give a published tile or entry bundle by its C2SP path.

        Raises MalformedError when the path names none, StorageError when the log is not that long.
        """
        tile = parse_path(path)
        data = await asyncio.to_thread(self.folder.tile, path)
        return data if data is not None else await self.database.read(lambda connection: make_tile(connection, tile))

    async def leaf(self, index: int) -> bytes:
        """Give a published leaf: a signed record, whole; raises MalformedError outside the log."""
        if not 0 <= index < self._published.size:
            raise MalformedError(f"leaf {index} is outside a log of {self._published.size}", where="port log")
        return (await self.database.read(lambda connection: port_entries(connection, index, index + 1)))[0]

    async def proof(self, index: int) -> list[bytes]:
        """Give the inclusion proof of a leaf in the published tree; raises MalformedError outside it."""
        size = self._published.size
        return await self.database.read(lambda connection: inclusion_proof(index, size, reader(connection, PortLog())))

    # ------------------------------------------------------------------------------------------------------ the loop

    async def _run(self) -> None:
        while True:
            if await _within(self._wake, LOOK_S):
                await _within(self._urgent, self.settings.log.batch_ms / 1000)
            self._wake.clear()
            self._urgent.clear()
            asked, self._asked = self._asked[:BATCH], self._asked[BATCH:]
            try:
                await self._step(asked)
                self.fault = None
                if self._stopping and not self._wake.is_set():
                    return  # all that was staged is logged
            except (StorageError, UnavailableError, RefusedError) as error:  # supervision: said, and tried again
                self.fault = str(error)
                _LOG.error("port log: %s", error)
                for each in asked:
                    _refuse(each.done, error)
                if self._stopping:
                    return  # it stays staged, and is logged after the next start
                self._wake.set()
                await asyncio.sleep(RETRY_S)
                await self._look_again()

    async def _look_again(self) -> None:
        """Take up what is committed: a commit whose answer was lost may have happened."""
        try:
            row = await self.database.read(lambda connection: connection.execute(select(log_state).where(log_state.c.name == _NAME)).one())
        except (StorageError, UnavailableError) as error:
            _LOG.error("port log: %s", error)
            return
        if row.lease == self._held().lease:
            self._state = _State(row.lease, row.size, bytes(row.root), bytes(row.frontier), bytes(row.checkpoint))

    async def _step(self, asked: list[_Asked]) -> None:
        if self.guard is not None:
            await self.guard(Checkpoint(self.origin, self._held().size, self._held().root))
        batch, refused, more = await self.database.write(lambda connection: self._commit(connection, asked))
        for done, error in refused:
            _refuse(done, error)
        if batch is not None:
            self._state = batch.state
            self._unpublished.append(batch)
        if more or self._asked:
            self._wake.set()
        if self._unpublished:
            await self._publish()

    async def _publish(self) -> None:
        """Publish what is committed, then tell of it."""
        batches = list(self._unpublished)
        receipts = await self.database.read(lambda connection: self._publish_batches(connection, batches))
        del self._unpublished[: len(batches)]
        self._published = batches[-1].state
        for batch in batches:
            for done, signed in batch.answers:
                if not done.done():
                    done.set_result(signed)
        own = tuple(signed for batch in batches for signed in batch.own)
        newest = batches[-1].state
        for listener in self.listeners:
            await listener(Publication(newest.size, newest.checkpoint, tuple(receipts), own))

    def _publish_batches(self, connection: Connection, batches: list[_Batch]) -> list[Receipt]:
        state = batches[-1].state
        self.folder.publish(connection, state.size, state.checkpoint)
        sealed = [place for batch in batches for place in batch.sealed]
        return make_receipts(connection, sealed, state.checkpoint, state.size)

    def _publish_state(self, connection: Connection) -> None:
        state = self._held()
        if self.folder.checkpoint() != state.checkpoint:
            self.folder.publish(connection, state.size, state.checkpoint)

    # ------------------------------------------------------------------------------------------- inside a transaction

    def _take_lease(self, connection: Connection) -> _State:
        row = connection.execute(select(log_state).where(log_state.c.name == _NAME)).first()
        if row is None:
            empty = {"name": _NAME, "lease": 1, "size": 0, "root": EMPTY_ROOT, "frontier": b"", "checkpoint": b""}
            connection.execute(insert(log_state).values(empty))
            return _State(1, 0, EMPTY_ROOT, b"", b"")
        mine = and_(log_state.c.name == _NAME, log_state.c.lease == row.lease)
        if connection.execute(update(log_state).where(mine).values(lease=row.lease + 1)).rowcount != 1:
            raise UnavailableError("another sequencer took the lease", where="port log")
        return _State(row.lease + 1, row.size, bytes(row.root), bytes(row.frontier), bytes(row.checkpoint))

    def _commit(self, connection: Connection, asked: list[_Asked]) -> tuple[_Batch | None, list[_Refused], bool]:
        """Append what was asked and what is staged; give what was refused, and whether more is staged."""
        rows = connection.execute(select(staged).order_by(staged.c.id).limit(BATCH + 1)).all()
        more, rows = len(rows) > BATCH, rows[:BATCH]
        if not rows and not asked:
            return None, [], False
        held = self._held()
        if connection.execute(select(log_state.c.lease).where(_is(held))).first() is None:
            raise RefusedError("another sequencer writes this log; this one stops", where="port log")
        appending = _Appending(connection, Issuer.of_hub(self.settings.port.id), self.signer, Frontier.decode(held.size, held.frontier))
        appending.look_up([row for row in rows if row.box is not None])
        for row in rows:
            appending.staged(row)
        for each in asked:
            appending.asked(each)
        appending.insert()
        if rows:
            connection.execute(delete(staged).where(staged.c.id.in_([row.id for row in rows])))
        if appending.frontier.size == held.size:
            return None, appending.refused, more  # all that was asked
        state = self._advance(connection, held, appending.frontier)
        return _Batch(state, appending.sealed, appending.signed, appending.answers), appending.refused, more

    def _advance(self, connection: Connection, held: _State, frontier: Frontier) -> _State:
        root, size = frontier.root(), frontier.size
        keep_tile_roots(connection, PortLog(), held.size, size)
        checkpoint = Checkpoint(self.origin, size, root)
        seconds = self.clock.now().wall_ns // SECOND_NS
        note = sign_checkpoint(checkpoint, self.signer, (cosign(checkpoint.text(), f"{self.origin}/time", self.signer, seconds),))
        new = {"size": size, "root": root, "frontier": frontier.encode(), "checkpoint": note}
        if connection.execute(update(log_state).where(_is(held)).values(new)).rowcount != 1:
            raise RefusedError("another sequencer writes this log; this one stops", where="port log")
        return _State(held.lease, size, root, frontier.encode(), note)

    def _held(self) -> _State:
        if self._state is None:
            raise UnavailableError("not started", where="port log")
        return self._state


@dataclass(slots=True)
class _Appending:
    """Leaves that one transaction appends."""

    connection: Connection
    issuer: Issuer
    signer: Ed25519Signer
    frontier: Frontier
    signed: list[SignedRecord] = field(default_factory=list)
    sealed: list[tuple[str, int, int]] = field(default_factory=list)
    answers: "list[tuple[asyncio.Future[Logged], Logged]]" = field(default_factory=list)
    refused: list[_Refused] = field(default_factory=list)
    inserted: int = 0  # of `signed`
    rows: list[dict[str, Any]] = field(default_factory=list)
    openings: dict[int, bytes] = field(default_factory=dict)
    leaves: dict[tuple[str, int, int], bytes] = field(default_factory=dict)  # of staged seals, by their place
    places: list[dict[str, Any]] = field(default_factory=list)  # where these seals stand in the log

    def staged(self, row: Row[Any]) -> None:
        if row.box is not None:
            self._seal(row.box, row.epoch, row.position)
            return
        numbered = canonical.decode(bytes(row.body), limit=2 * canonical.MAX_BYTES)
        at = Instant(row.wall_ns, row.mono_ns, row.sync, row.error_ms)
        self.own(kinds.decode_body(row.kind, numbered), row.subject, at)

    def asked(self, asked: _Asked) -> None:
        """Append what was asked, or note why not."""
        if asked.looks:
            self.insert()
        try:
            named = asked.decide(self.connection, self.frontier.size)
            for subject, body in named:
                _check(body, subject)
            if not named:
                raise MalformedError("a decision logs at least one record", where="port log")
        except (StorageError, UnavailableError):
            raise
        except PortwitnessError as error:
            self.refused.append((asked.done, error))
            return
        self.answers.append((asked.done, tuple(self.own(body, subject, asked.at) for subject, body in named)))

    def own(self, body: kinds.Body, subject: str, at: Instant) -> SignedRecord:
        """Append a record of the hub; one with personal data enters concealed, and is given back with its body."""
        position, opening = self.frontier.size, None
        if is_personal(body):
            body, subject, opening = conceal(body, subject, str(self.issuer), os.urandom(SALT_BYTES))
        signed = Record(self.issuer, 0, position, self.frontier.root(), subject, at, body).sign(self.signer)
        self.signed.append(signed)
        self._leaf(signed.leaf, (str(self.issuer), 0, position))
        if opening is None:
            return signed
        self.openings[position] = opening
        return reveal(signed, opening)

    def look_up(self, rows: Sequence[Row[Any]]) -> None:
        """Read the leaf hashes of staged seals, with one query for each epoch of a box."""
        epochs: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for row in rows:
            epochs[row.box, row.epoch].append(row.position)
        for (box, epoch), positions in epochs.items():
            mine = and_(records.c.issuer == str(Issuer.of_box(box)), records.c.epoch == epoch, records.c.position.in_(positions))
            for found in self.connection.execute(select(records.c.position, records.c.leaf).where(mine)):
                self.leaves[box, epoch, found.position] = bytes(found.leaf)

    def _seal(self, box: str, epoch: int, position: int) -> None:
        if (box, epoch, position) not in self.leaves:
            raise StorageError(f"seal {position} of epoch {epoch} is staged, its record is missing", where=f"journal of {box}")
        self.places.append({"at_box": box, "at_epoch": epoch, "at_position": position, "log_index": self.frontier.size})
        self.sealed.append((box, epoch, position))
        self._leaf(self.leaves[box, epoch, position], (str(Issuer.of_box(box)), epoch, position))

    def _leaf(self, leaf: bytes, place: tuple[str, int, int]) -> None:
        issuer, epoch, position = place
        row = {"position": self.frontier.size, "leaf": leaf, "issuer": issuer, "epoch": epoch, "record_position": position}
        self.rows.append(row)
        self.frontier.append(leaf)

    def insert(self) -> None:
        """Put all that was appended since the last time into the tables."""
        fresh, self.inserted = self.signed[self.inserted :], len(self.signed)
        if self.places:
            here = and_(seals.c.box == bindparam("at_box"), seals.c.epoch == bindparam("at_epoch"))
            put = update(seals).where(here, seals.c.position == bindparam("at_position")).values(log_index=bindparam("log_index"))
            self.connection.execute(put, self.places)
        if fresh:
            insert_rows(self.connection, [_row(signed, signed.record) for signed in fresh])
        if self.rows:
            self.connection.execute(insert(leaves), self.rows)
        if self.openings:
            self.connection.execute(insert(openings), [{"position": at, "opening": data} for at, data in self.openings.items()])
        for signed in fresh:
            project_hub(self.connection, signed, self.openings.get(signed.record.position))
        self.places, self.rows, self.openings = [], [], {}


def _future() -> "asyncio.Future[Logged]":
    return asyncio.get_running_loop().create_future()


async def _within(happened: asyncio.Event, timeout_s: float) -> bool:
    """Wait for an event for a while; tell whether it happened."""
    try:
        async with asyncio.timeout(timeout_s):
            return await happened.wait()
    except TimeoutError:
        return False


def _is(held: _State) -> ColumnElement[bool]:
    """Give the condition that the log stands where this sequencer left it."""
    return and_(log_state.c.name == _NAME, log_state.c.lease == held.lease, log_state.c.size == held.size, log_state.c.root == held.root)


def insert_rows(connection: Connection, rows: Sequence[RecordRow]) -> None:
    """Insert rows of records."""
    insert_many(connection, records, ("issuer", "epoch", "position", "leaf", "kind", "subject", "wall_ns", "data"), rows)


def _row(signed: SignedRecord, record: Record) -> RecordRow:
    place = (str(record.issuer), record.epoch, record.position)
    return (*place, signed.leaf, record.kind, record.subject, record.at.wall_ns, signed.data)


def stage(connection: Connection, body: kinds.Body, subject: str, at: Instant) -> None:
    """Leave a record of the hub for the sequencer, in the transaction that made it necessary; `wake` it after.

    Raises MalformedError for what is no record: better here than where all others would wait behind it.
    """
    encoded = _check(body, subject)
    row = {"kind": body.KIND, "subject": subject, "wall_ns": at.wall_ns, "mono_ns": at.mono_ns, "sync": at.sync}
    connection.execute(insert(staged).values(**row, error_ms=at.error_ms, body=encoded))


def _check(body: kinds.Body, subject: str) -> bytes:
    encoded = canonical.encode(kinds.encode_body(body))
    if len(encoded) > MAX_BODY_BYTES or len(subject) > MAX_SUBJECT:
        raise MalformedError(f"body of {len(encoded)} bytes, subject of {len(subject)} characters", where=body.KIND)
    return encoded


def stage_seals(connection: Connection, found: Sequence[Record]) -> None:
    """Leave a box's verified seals for the sequencer, in one statement: a box that was away for months brings many."""
    rows = []
    for record in found:
        at = record.at
        row = {"kind": record.kind, "subject": record.subject, "wall_ns": at.wall_ns, "mono_ns": at.mono_ns, "sync": at.sync}
        place = {"box": record.issuer.name, "epoch": record.epoch, "position": record.position}
        rows.append({**row, **place, "error_ms": at.error_ms})
    connection.execute(insert(staged), rows)


def _refuse(done: "asyncio.Future[Logged]", error: PortwitnessError) -> None:
    if not done.done():
        done.set_exception(error)
