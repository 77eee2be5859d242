"""Take blobs from boxes, each named by its hash, and say *stored* when that is true.

Guarantees: *stored* is said only after the blob hashed to its name, was flushed with its directory entry, a committed record
names it, and its length is that of the record; a blob that came before its record waits in its box's quarantine, bounded; the
same blob again is answered at once; every stored blob is named by a `Stored` record of the hub.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from functools import partial
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
NAMED_AT_ONCE = 256  # blobs in one Stored record
RETRY_S = 2.0
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Blobs:
    """The hub's blobs. Use as an async context manager."""

    core: Core
    store: BlobStore
    _arriving: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # bytes on their way into quarantine
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Blobs":
        await self._expire()
        self._wake.set()
        self._task = asyncio.create_task(self._run(), name="stored-records")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def put(self, box: BoxId, sha256: bytes, length: int, chunks: AsyncIterable[bytes]) -> StoredBlobs:
        """Take a blob; give the acknowledgement, empty while its record is not here.

        Raises VerificationError when it does not match its hash or its record, MalformedError when it is cut or too long,
        DiskFullError when disk or quarantine are full.
        """
        self._check_size(sha256, length)
        known = await self.acknowledge(box, sha256)
        if known is not None:
            return known
        expected = await self.core.database.read(lambda connection: _expected(connection, box, sha256))
        if expected is not None and expected != length:
            raise VerificationError(f"{length} bytes announced, its record says {expected}", where=f"blob {sha256.hex()}")
        early = expected is None
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
        stored = await self._keep(box, sha256, length)
        return StoredBlobs(box, (sha256,) if stored else ())

    async def acknowledge(self, box: BoxId, sha256: bytes) -> StoredBlobs | None:
        """Give the acknowledgement of a blob that is here: empty while it waits for its record; None when it is not here."""
        state = await self.core.database.read(lambda connection: connection.execute(_state(sha256)).scalar())
        if state == "stored":
            return StoredBlobs(box, (sha256,))
        return StoredBlobs(box, ()) if state == "quarantine" else None

    async def head(self, sha256: bytes) -> int | None:
        """Give a blob's length when it is here, stored or in quarantine."""
        query = select(blobs.c.length).where(blobs.c.sha256 == sha256, blobs.c.state != "refused")
        return await self.core.database.read(lambda connection: connection.execute(query).scalar())

    async def open(self, sha256: bytes) -> Path:
        """Give the file of a stored blob; raise StorageError when it is not stored."""
        if await self.core.database.read(lambda connection: connection.execute(_state(sha256)).scalar()) != "stored":
            raise StorageError("is not stored", where=f"blob {sha256.hex()}")
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

    async def _keep(self, box: BoxId, sha256: bytes, length: int) -> bool:
        """Commit that a blob is here; tell whether it counts as stored."""
        now_ns = self.core.clock.now().wall_ns

        def keep(connection: Connection) -> bool:
            expected = _expected(connection, box, sha256)  # its record may have come meanwhile
            if expected is not None and expected != length:
                raise VerificationError(f"{length} bytes, its record says {expected}", where=f"blob {sha256.hex()}")
            state = "quarantine" if expected is None else "stored"
            row = {"sha256": sha256, "length": length, "box": box, "state": state, "at_ns": now_ns, "logged": False}
            connection.execute(delete(blobs).where(blobs.c.sha256 == sha256, blobs.c.state == "refused"))
            connection.execute(insert_new(connection, blobs).values(row))
            return connection.execute(_state(sha256)).scalar() == "stored"

        stored = await self.core.database.write(keep)
        if stored:
            self._wake.set()
            self.core.events.tell("stored", box=box, sha256=sha256.hex())
        return stored

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

    async def _expire(self) -> None:
        """Remove what no record ever named."""
        before_ns = self.core.clock.now().wall_ns - self.core.settings.blobs.quarantine_days * DAY_NS
        old = and_(blobs.c.state == "quarantine", blobs.c.at_ns < before_ns)
        names = await self.core.database.read(lambda connection: connection.execute(select(blobs.c.sha256).where(old)).scalars().all())
        for name in names:
            gone = delete(blobs).where(blobs.c.sha256 == name)
            await self.core.database.write(partial(_execute, change=gone))
            await self.store.delete(bytes(name))


def _execute(connection: Connection, *, change: Delete) -> None:
    connection.execute(change)


def promote(connection: Connection, found: Mapping[bytes, int]) -> tuple[list[bytes], list[str]]:
    """Take blobs out of quarantine whose records have come, in their transaction; give the stored ones, and what does not fit."""
    if not found:
        return [], []
    waiting = and_(blobs.c.sha256.in_(list(found)), blobs.c.state == "quarantine")
    stored: list[bytes] = []
    problems: list[str] = []
    for row in connection.execute(select(blobs.c.sha256, blobs.c.length).where(waiting)).all():
        name = bytes(row.sha256)
        fits = found[name] == row.length
        state = "stored" if fits else "refused"
        connection.execute(update(blobs).where(blobs.c.sha256 == name).values(state=state))
        if fits:
            stored.append(name)
        else:
            problems.append(f"{name.hex()} has {row.length} bytes, its record says {found[name]}")
    return stored, problems


def _state(sha256: bytes) -> Select[str]:
    return select(blobs.c.state).where(blobs.c.sha256 == sha256)


def _expected(connection: Connection, box: str, sha256: bytes) -> int | None:
    """Give the length that a box's record says, None when no record of it names the blob."""
    return connection.execute(select(segments.c.size).where(segments.c.sha256 == sha256, segments.c.box == box)).scalar()
