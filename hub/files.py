"""Take files from people in parts - photographs, clips, attachments - each announced by size and SHA-256 before its first byte.

Guarantees: a file counts as received only when all of it hashes to what was announced, is flushed in the store of blobs, and a `Stored`
record of the hub names it; a part that is cut, repeated or out of order loses nothing; bytes that turn out to be others are thrown away
and said; what waits is bounded for each owner and ends after some days. Who knows a hash alone is given nothing: a file is an owner's
own only after its bytes came from there.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar, get_args

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from hub.core import Core
from hub.projections import FILES
from hub.uploads import DISPOSED, Blobs
from protocol.errors import MalformedError, RefusedError, StorageError, UnavailableError, VerificationError
from storage.partial_files import PartialFiles
from storage.schema import blobs, files, stored_files

T = TypeVar("T")
FileKind = Literal["photo", "audio", "video", "signature", "document"]
KINDS: tuple[FileKind, ...] = get_args(FileKind)
GATHER_BYTES = 1 << 18
MEGABYTE = 1_000_000
DAY_NS = 86_400 * 1_000_000_000
EXPIRE_S = 3600.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file will be. `about`: what it belongs to, as its owner says (`task T-1`, `declaration D-...`)."""

    sha256: bytes
    size: int
    name: str
    kind: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it stands: `announced` while bytes are missing, `stored`, or `disposed` when its time was over."""

    sha256: bytes
    size: int
    name: str
    kind: str
    about: str
    state: Literal["announced", "stored", "disposed"]
    have_bytes: int


@dataclass(slots=True)
class Files:
    """The files of one hub. Use as an async context manager."""

    core: Core
    blobs: Blobs
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _using: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Files":
        await asyncio.to_thread(self._parts.prepare)
        await self.expire()
        self._task = asyncio.create_task(self._keep_expiring(), name="files")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def announce(self, owner: str, manifest: Manifest, *, trusted: bool = False) -> FileState:
        """Take a manifest; give how much of the file is here. `trusted`: may read every file, so it need not send one that is here.

        Raises MalformedError for a wrong field, RefusedError when the hash was announced with another size, or too much waits.
        """
        _check(manifest, self.core.settings.files.largest_mb * MEGABYTE)
        await self._change(lambda connection: self._announced(connection, owner, manifest, trusted=trusted))
        async with self._alone(owner, manifest.sha256):
            state = await self._state(owner, manifest.sha256)
            if state.state == "announced" and state.have_bytes >= state.size:  # a crash came between the last byte and its record
                return await self._finish(owner, state)
            return state

    async def put_part(self, owner: str, sha256: bytes, offset: int, chunks: AsyncIterable[bytes]) -> FileState:
        """Take bytes of an announced file from `offset` on; give how it stands.

        Raises RefusedError when it was not announced, MalformedError when a hole would be left or more comes than was announced,
        VerificationError when the whole hashes to something else: then it begins anew.
        """
        async with self._alone(owner, sha256):
            state = await self._state(owner, sha256)
            if state.state != "announced":
                return state
            if not 0 <= offset <= state.have_bytes:
                what = f"{state.have_bytes} bytes are here, this part begins at {offset}: go on from {state.have_bytes}"
                raise MalformedError(what, where="offset")
            have = await self._receive(owner, state, offset, chunks)
            if have < state.size:
                return await self._state(owner, sha256)
            return await self._finish(owner, state)

    async def state(self, sha256: bytes, owner: str | None = None) -> FileState:
        """Give a file as it stands, of one owner or of whoever brought it furthest; raise RefusedError when nobody announced it."""
        if owner is not None:
            return await self._state(owner, sha256)
        rows = await self.core.database.read(lambda connection: _rows(connection, sha256))
        states = [await self._of(row) for row in rows]
        if not states:
            raise RefusedError("is not known", where=f"file {sha256.hex()}")
        return max(states, key=lambda one: (one.state != "announced", one.have_bytes))

    async def is_here(self, sha256: bytes, owner: str) -> bool:
        """Tell whether a file of an owner is stored."""
        try:
            return (await self._state(owner, sha256)).state == "stored"
        except RefusedError:
            return False

    async def open(self, sha256: bytes, owner: str | None = None) -> tuple[FileState, Path]:
        """Give a stored file of an owner, or of anybody; raise RefusedError, or StorageError when it is not whole."""
        state = await self.state(sha256, owner)
        if state.state != "stored":
            raise StorageError("was disposed of" if state.state == "disposed" else "is not whole yet", where=f"file {sha256.hex()}")
        return state, await self.blobs.store.path(sha256)

    async def expire(self) -> int:
        """Forget what was announced long ago and never became whole; give how many."""
        before_ns = self.core.clock.now().wall_ns - self.core.settings.files.waiting_days * DAY_NS
        old = and_(files.c.state == "announced", files.c.changed_ns < before_ns)
        query = select(files.c.owner, files.c.sha256).where(old)
        rows = await self.core.database.read(lambda connection: connection.execute(query).all())
        for row in rows:
            async with self._alone(row.owner, bytes(row.sha256)):
                mine = and_(files.c.owner == row.owner, files.c.sha256 == row.sha256, old)
                gone = await self._change(partial(_delete, mine=mine))
                if gone:
                    await asyncio.to_thread(self._parts.discard, _name(row.owner, bytes(row.sha256)))
        return len(rows)

    # ------------------------------------------------------------------------------------------------------------ inside

    @property
    def _parts(self) -> PartialFiles:
        return PartialFiles(self.core.settings.port.state.absolute() / "incoming-files")

    def _announced(self, connection: Connection, owner: str, manifest: Manifest, *, trusted: bool) -> None:
        now_ns = self.core.clock.now().wall_ns
        mine = and_(files.c.owner == owner, files.c.sha256 == manifest.sha256)
        row = connection.execute(select(files).where(mine)).first()
        if row is not None and row.size != manifest.size:
            raise RefusedError(f"was announced with {row.size} bytes, now with {manifest.size}", where="size")
        here = trusted and _is_here(connection, manifest.sha256, manifest.size)
        if row is not None:
            changed: dict[str, Any] = {"changed_ns": now_ns} | ({"state": "stored"} if here else {})
            connection.execute(update(files).where(mine).values(changed))
            return
        if not here:
            self._check_room(connection, owner, manifest.size)
        made = {"owner": owner, "sha256": manifest.sha256, "size": manifest.size, "name": manifest.name, "kind": manifest.kind}
        made |= {"about": manifest.about, "state": "stored" if here else "announced", "made_ns": now_ns, "changed_ns": now_ns}
        connection.execute(insert(files).values(made))

    def _check_room(self, connection: Connection, owner: str, size: int) -> None:
        settings = self.core.settings.files
        waiting = and_(files.c.owner == owner, files.c.state == "announced")
        count, total = connection.execute(select(func.count(), func.coalesce(func.sum(files.c.size), 0)).where(waiting)).one()
        if count >= settings.waiting_files or int(total) + size > settings.waiting_mb * MEGABYTE:
            what = f"{count} files of {int(total)} bytes are announced and not whole yet; finish them first"
            raise RefusedError(what, where="files")
        since = self.core.clock.now().wall_ns - DAY_NS
        recent = and_(files.c.owner == owner, files.c.made_ns > since)
        today = int(connection.execute(select(func.coalesce(func.sum(files.c.size), 0)).where(recent)).scalar_one())
        if today + size > settings.day_mb * MEGABYTE:
            raise RefusedError(f"{today} bytes came within a day, at most {settings.day_mb} MB are taken", where="files")

    async def _receive(self, owner: str, state: FileState, offset: int, chunks: AsyncIterable[bytes]) -> int:
        """Keep what comes, flushed piece by piece, so that a part that is cut keeps what came before."""
        name, at, held = _name(owner, state.sha256), offset, bytearray()

        async def flush() -> None:
            nonlocal at, held
            data, held = bytes(held), bytearray()
            await _shielded(partial(self._parts.append, name, at, data))
            at += len(data)

        try:
            async for chunk in chunks:
                if at + len(held) + len(chunk) > state.size:
                    raise MalformedError(f"more than the {state.size} bytes announced", where="files")
                held += chunk
                if len(held) >= GATHER_BYTES:
                    await flush()
        finally:
            if held:
                await flush()
        return await asyncio.to_thread(self._parts.size, name)

    async def _finish(self, owner: str, state: FileState) -> FileState:
        """Judge a file that is whole; store and record it, or throw it away."""
        name = _name(owner, state.sha256)
        found = await asyncio.to_thread(self._parts.digest, name)
        if found != state.sha256:
            await asyncio.to_thread(self._parts.discard, name)
            raise VerificationError(f"hashes to {found.hex()}: it was thrown away, send it anew from 0", where=f"file {state.sha256.hex()}")
        await self.blobs.store.put(state.sha256, state.size, _pieces(self._parts.read(name)))
        await self._change(lambda connection: self._stored(connection, owner, state))
        self.blobs.wake()
        self.core.events.tell("file", sha256=state.sha256.hex())
        await asyncio.to_thread(self._parts.discard, name)
        return await self._state(owner, state.sha256)

    def _stored(self, connection: Connection, owner: str, state: FileState) -> None:
        now_ns = self.core.clock.now().wall_ns
        known = connection.execute(select(blobs.c.state).where(blobs.c.sha256 == state.sha256)).scalar()
        if known != "stored" or not _is_named(connection, state.sha256):
            connection.execute(delete(blobs).where(blobs.c.sha256 == state.sha256))
            row = {"sha256": state.sha256, "length": state.size, "box": FILES, "state": "stored", "at_ns": now_ns, "logged": False}
            connection.execute(insert(blobs).values(row))
        mine = and_(files.c.owner == owner, files.c.sha256 == state.sha256)
        connection.execute(update(files).where(mine).values(state="stored", changed_ns=now_ns))

    async def _state(self, owner: str, sha256: bytes) -> FileState:
        mine = and_(files.c.owner == owner, files.c.sha256 == sha256)
        row = await self.core.database.read(lambda connection: connection.execute(_with_blob().where(mine)).first())
        if row is None:
            raise RefusedError("is not known: announce it first", where=f"file {sha256.hex()}")
        return await self._of(row)

    async def _of(self, row: Row[Any]) -> FileState:
        state: Any = "disposed" if row.blob in DISPOSED else row.state
        have = row.size
        if state == "announced":
            have = await asyncio.to_thread(self._parts.size, _name(row.owner, bytes(row.sha256)))
        return FileState(bytes(row.sha256), row.size, row.name, row.kind, row.about, state, have)

    async def _change(self, change: Callable[[Connection], T]) -> T:
        return await self.core.database.write(change)

    def _alone(self, owner: str, sha256: bytes) -> "_Alone":
        return _Alone(self, _name(owner, sha256))

    async def _keep_expiring(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_S)
            try:
                await self.expire()
            except (StorageError, UnavailableError) as error:  # supervision: said, and tried again
                _LOG.error("files: %s", error)


@dataclass(slots=True)
class _Alone:
    """One at a time for each file; the lock is forgotten when nobody waits for it."""

    files: Files
    name: str

    async def __aenter__(self) -> None:
        self.files._using[self.name] += 1
        await self.files._locks.setdefault(self.name, asyncio.Lock()).acquire()

    async def __aexit__(self, *error: object) -> None:
        self.files._locks[self.name].release()
        self.files._using[self.name] -= 1
        if not self.files._using[self.name]:
            del self.files._using[self.name], self.files._locks[self.name]


def at_hub(connection: Connection, names: "set[str] | frozenset[str]") -> frozenset[str]:
    """Give those of some files, by hex, that a `Stored` record in the log names and whose bytes are in the store."""
    found: set[str] = set()
    wanted = sorted(names)
    for at in range(0, len(wanted), 500):
        some = [bytes.fromhex(name) for name in wanted[at : at + 500]]
        query = select(stored_files.c.sha256).join(blobs, blobs.c.sha256 == stored_files.c.sha256)
        query = query.where(stored_files.c.sha256.in_(some), blobs.c.state == "stored")
        found |= {bytes(name).hex() for name in connection.execute(query).scalars()}
    return frozenset(found)


def _is_here(connection: Connection, sha256: bytes, size: int) -> bool:
    query = select(blobs.c.length).where(blobs.c.sha256 == sha256, blobs.c.state == "stored")
    return connection.execute(query).scalar() == size and _is_named(connection, sha256)


def _is_named(connection: Connection, sha256: bytes) -> bool:
    """Tell whether a `Stored` record of files names a blob, or is about to."""
    if connection.execute(select(stored_files.c.sha256).where(stored_files.c.sha256 == sha256)).first() is not None:
        return True
    return connection.execute(select(blobs.c.sha256).where(blobs.c.sha256 == sha256, blobs.c.box == FILES)).first() is not None


def _with_blob() -> Any:  # noqa: ANN401 - a query
    return select(files, blobs.c.state.label("blob")).select_from(files.outerjoin(blobs, blobs.c.sha256 == files.c.sha256))


def _rows(connection: Connection, sha256: bytes) -> list[Row[Any]]:
    return list(connection.execute(_with_blob().where(files.c.sha256 == sha256).limit(100)).all())


def _delete(connection: Connection, mine: Any) -> int:  # noqa: ANN401 - a clause
    return connection.execute(delete(files).where(mine)).rowcount


def _name(owner: str, sha256: bytes) -> str:
    return f"{sha256.hex()}-{hashlib.sha256(owner.encode()).hexdigest()[:16]}"


async def _shielded(work: Callable[[], T]) -> T:
    """Run in a thread; a cancelled caller still waits for the end, so that nothing goes on behind its back."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait((future,))
        raise


async def _pieces(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, parts, None)) is not None:
        yield piece


def _check(manifest: Manifest, most: int) -> None:
    if len(manifest.sha256) != 32:
        raise MalformedError("is no SHA-256", where="sha256")
    if not 0 < manifest.size <= most:
        raise MalformedError(f"{manifest.size} bytes, allowed are 1 to {most}", where="size")
    if manifest.kind not in KINDS:
        raise MalformedError(f"is none of {', '.join(KINDS)}", where="kind")
    for name, text in (("name", manifest.name), ("about", manifest.about)):
        if len(text) > 200 or any(ord(one) < 32 for one in text) or text != text.strip():
            raise MalformedError("is no line of at most 200 characters", where=name)
    if not manifest.name:
        raise MalformedError("is needed", where="name")
