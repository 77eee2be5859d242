"""Take blobs from boxes, each named by its hash, and say *stored* when that is true.

Guarantees: *stored* is said only after the blob hashed to its name, was flushed with its directory entry, a committed record
names it, and its length is that of the record; a blob that came before its record waits in its box's quarantine, bounded, and
leaves it by the record of whichever box names it; what one box says wrongly of a blob changes nothing for another; the same blob
again is answered at once; every stored blob is named by a `Stored` record of the hub.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Delete, Select, and_, delete, func, select, update

from hub.core import Core
from hub.sequencer import stage
from protocol import kinds
from protocol.errors import DiskFullError, MalformedError, StorageError, UnavailableError, VerificationError
from protocol.identifiers import BoxId
from protocol.merkle import HASH_BYTES
from protocol.messages import StoredBlobs
from storage.blobs import BlobStore
from storage.database import insert_new
from storage.schema import blobs, segments

MEGABYTE = 1_000_000
DAY_NS = 86_400 * 1_000_000_000
DISPOSED = ("disposing", "disposed")  # states of a blob whose time was over: its disposal is recorded, its bytes are gone or going
NAMED_AT_ONCE = 256  # blobs in one Stored record
RETRY_S = 2.0
EXPIRE_S = 3600.0  # how often the quarantine is looked through for what no record ever named
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Blobs:
    """The hub's blobs. Use as an async context manager."""

    core: Core
    store: BlobStore
    _arriving: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # bytes on their way into quarantine
    _coming: Counter[bytes] = field(default_factory=Counter)  # names on their way into the store
    _expiring: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: tuple[asyncio.Task[None], ...] = ()

    async def __aenter__(self) -> "Blobs":
        await self.expire()
        self._wake.set()
        self._tasks = (
            asyncio.create_task(self._run(), name="stored-records"),
            asyncio.create_task(self._keep_expiring(), name="quarantine"),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def put(self, box: BoxId, sha256: bytes, length: int, chunks: AsyncIterable[bytes]) -> StoredBlobs:
        """Take a blob; give the acknowledgement, empty while its record is not here.

        Raises VerificationError when it does not match its hash or its record, MalformedError when it is cut or too long,
        DiskFullError when disk or quarantine are full.
        """
        self._check_size(sha256, length)
        async with self._expiring:  # what is being removed is gone before it comes again
            self._coming[sha256] += 1
        try:
            known = await self.acknowledge(box, sha256)
            return known if known is not None else await self._take(box, sha256, length, chunks)
        finally:
            self._coming[sha256] -= 1
            self._coming += Counter()  # drops what comes no more

    async def _take(self, box: BoxId, sha256: bytes, length: int, chunks: AsyncIterable[bytes]) -> StoredBlobs:
        early = await self.core.database.read(lambda connection: _namer(connection, box, sha256, length)) is None
        if early:
            await self._make_room(box, length)
        try:
            await self.store.put(sha256, length, chunks)
        except VerificationError as error:
            await self.core.alarms.ring("blob mismatch", box, str(error))
            raise
        finally:
            if early:
                self._arriving[box] -= length
        return await self._settled(box, sha256, length)

    async def acknowledge(self, box: BoxId, sha256: bytes) -> StoredBlobs | None:
        """Give the acknowledgement of a blob that is here: empty while no record names it; None when it is not here.

        Raises VerificationError when the box's record says another length.
        """
        state, length, namer = await self.core.database.read(lambda connection: _standing(connection, box, sha256))
        if state == "quarantine" and namer is not None:  # another box brought it before this one's record
            return await self._settled(box, sha256, length)
        if state in ("stored", *DISPOSED):  # what was disposed of by rule was stored: the box need not send it again
            return StoredBlobs(box, (sha256,))
        return StoredBlobs(box, ()) if state == "quarantine" else None

    async def head(self, sha256: bytes) -> int | None:
        """Give a blob's length when it is here, stored or in quarantine."""
        query = select(blobs.c.length).where(blobs.c.sha256 == sha256, blobs.c.state.not_in(("refused", *DISPOSED)))
        return await self.core.database.read(lambda connection: connection.execute(query).scalar())

    async def open(self, sha256: bytes) -> Path:
        """Give the file of a stored blob; raise StorageError when it is not stored."""
        state = await self.core.database.read(lambda connection: connection.execute(_state(sha256)).scalar())
        if state != "stored":
            raise StorageError("was disposed of" if state in DISPOSED else "is not stored", where=f"blob {sha256.hex()}")
        return await self.store.path(sha256)

    def wake(self) -> None:
        """Say that blobs were stored that no record names yet."""
        self._wake.set()

    def _check_size(self, sha256: bytes, length: int) -> None:
        most = self.core.settings.blobs.largest_mb * MEGABYTE
        if len(sha256) != HASH_BYTES:
            raise MalformedError("name is no SHA-256", where="blob")
        if not 0 < length <= most:
            raise MalformedError(f"{length} bytes, allowed are 1 to {most}", where=f"blob {sha256.hex()}")

    async def _make_room(self, box: BoxId, length: int) -> None:
        """Reserve room in a box's quarantine."""
        quota = self.core.settings.blobs.quarantine_mb * MEGABYTE
        waiting = select(func.coalesce(func.sum(blobs.c.length), 0)).where(blobs.c.state == "quarantine", blobs.c.box == box)
        used = int(await self.core.database.read(lambda connection: connection.execute(waiting).scalar_one()))
        if used + self._arriving[box] + length > quota:
            await self.core.alarms.ring("quarantine full", box, f"{quota} bytes of blobs wait for their records")
            raise DiskFullError(f"{used} of {quota} bytes wait for their records; send the records first", where=f"quarantine of {box}")
        self._arriving[box] += length

    async def _settled(self, box: BoxId, sha256: bytes, length: int) -> StoredBlobs:
        """Commit that a blob is here, as stored when a record of any box names it; give the acknowledgement for `box`."""
        now_ns = self.core.clock.now().wall_ns

        def keep(connection: Connection) -> tuple[bool, bool]:
            namer = _namer(connection, box, sha256, length)  # its record may have come meanwhile
            row = {"sha256": sha256, "length": length, "box": box, "state": "quarantine", "at_ns": now_ns, "logged": False}
            connection.execute(delete(blobs).where(blobs.c.sha256 == sha256, blobs.c.state == "refused"))
            connection.execute(insert_new(connection, blobs).values(row))
            fresh = namer is not None and _leave_quarantine(connection, sha256, namer)
            return fresh, connection.execute(_state(sha256)).scalar() == "stored"

        fresh, stored = await self.core.database.write(keep)
        if fresh:
            self._wake.set()
            self.core.events.tell("stored", box=box, sha256=sha256.hex())
        return StoredBlobs(box, (sha256,) if stored else ())

    async def _run(self) -> None:
        """Name stored blobs in records of the hub, some at a time."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self.core.settings.log.stored_ms / 1000)
            self._wake.clear()
            try:
                while await self.core.database.write(self._stage_stored):
                    self.core.sequencer.wake()
            except (StorageError, UnavailableError) as error:  # supervision: said, and tried again
                _LOG.error("stored records: %s", error)
                self._wake.set()
                await asyncio.sleep(RETRY_S)

    def _stage_stored(self, connection: Connection) -> bool:
        fresh = and_(blobs.c.state == "stored", blobs.c.logged.is_(False))
        rows = connection.execute(select(blobs.c.sha256, blobs.c.box).where(fresh).order_by(blobs.c.box).limit(NAMED_AT_ONCE)).all()
        by_box: defaultdict[str, list[bytes]] = defaultdict(list)
        for row in rows:
            by_box[row.box].append(bytes(row.sha256))
        now = self.core.clock.now()
        for box, names in by_box.items():
            stage(connection, kinds.Stored(tuple(names)), box, now)
            connection.execute(update(blobs).where(blobs.c.sha256.in_(names)).values(logged=True))
        return bool(rows)

    async def _keep_expiring(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            try:
                await self.expire()
            except (StorageError, UnavailableError) as error:  # supervision: said, and tried again
                _LOG.error("quarantine: %s", error)

    async def expire(self) -> None:
        """Remove what no record ever named."""
        before_ns = self.core.clock.now().wall_ns - self.core.settings.blobs.quarantine_days * DAY_NS
        old = and_(blobs.c.state == "quarantine", blobs.c.at_ns < before_ns)
        names = await self.core.database.read(lambda connection: connection.execute(select(blobs.c.sha256).where(old)).scalars().all())
        for name in names:
            async with self._expiring:
                gone = and_(blobs.c.sha256 == name, old)  # its record may have come since
                if not self._coming[bytes(name)] and await self._remove(delete(blobs).where(gone)):
                    await self.store.delete(bytes(name))

    async def _remove(self, change: Delete) -> bool:
        return await self.core.database.write(lambda connection: connection.execute(change).rowcount == 1)


def promote(connection: Connection, box: str, found: Mapping[bytes, int]) -> tuple[list[bytes], list[str]]:
    """Take blobs that a box's new records name out of quarantine, whoever brought them, in the records' transaction.

    Gives those that are stored now, or were before, and what does not fit.
    """
    if not found:
        return [], []
    here = and_(blobs.c.sha256.in_(list(found)), blobs.c.state != "refused")
    stored: list[bytes] = []
    problems: list[str] = []
    for row in connection.execute(select(blobs).where(here)).all():
        name = bytes(row.sha256)
        if found[name] == row.length:
            _leave_quarantine(connection, name, box)
            stored.append(name)
            continue
        problems.append(f"{name.hex()} has {row.length} bytes, its record says {found[name]}")
        own = and_(blobs.c.sha256 == name, blobs.c.state == "quarantine", blobs.c.box == box)
        connection.execute(update(blobs).where(own).values(state="refused"))
    return stored, problems


def _leave_quarantine(connection: Connection, sha256: bytes, box: str) -> bool:
    """Count a blob as stored for the box whose record names it; tell whether it was in quarantine."""
    waiting = and_(blobs.c.sha256 == sha256, blobs.c.state == "quarantine")
    return connection.execute(update(blobs).where(waiting).values(state="stored", box=box)).rowcount == 1


def _state(sha256: bytes) -> Select[str]:
    return select(blobs.c.state).where(blobs.c.sha256 == sha256)


def _standing(connection: Connection, box: str, sha256: bytes) -> tuple[str | None, int, str | None]:
    """Give a blob's state, its length, and the box whose record names it."""
    row = connection.execute(select(blobs.c.state, blobs.c.length).where(blobs.c.sha256 == sha256)).first()
    if row is None or row.state == "refused":
        return None, 0, None
    return row.state, row.length, _namer(connection, box, sha256, row.length)


def _namer(connection: Connection, box: str, sha256: bytes, length: int) -> str | None:
    """Give the box whose record names a blob of this length, `box` itself before others; None when there is none.

    Raises VerificationError when the records of `box` itself say another length: what others say wrongly does not concern it.
    """
    rows = connection.execute(select(segments.c.box, segments.c.size).where(segments.c.sha256 == sha256)).all()
    own = {row.size for row in rows if row.box == box}
    if own and length not in own:
        raise VerificationError(f"{length} bytes, its record says {min(own)}", where=f"blob {sha256.hex()}")
    return box if own else next((str(row.box) for row in rows if row.size == length), None)
