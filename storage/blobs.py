"""Keep blobs, each named by its SHA-256, behind one small interface; the store is chosen by URL.

Guarantees: a blob appears whole, hashing to its name and flushed to disk with its directory entry, or not at all; putting it
again changes nothing. `dir:///path` keeps files; another scheme is another class with the same methods.
"""

import asyncio
import errno
import hashlib
import os
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, TypeVar

from protocol.errors import DiskFullError, MalformedError, StorageError, UnavailableError, VerificationError

T = TypeVar("T")
GATHER_BYTES = 1 << 20  # what is handed to a thread at a time: hashing and writing go on while the next arrives
READ_BYTES = 1 << 18
THREADS = 8
_SHORT = "cut short"


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a store holds and how much it can still take."""

    blobs: int
    bytes: int
    free_bytes: int


class BlobStore(Protocol):
    """What the hub needs of a store of blobs."""

    async def put(self, sha256: bytes, length: int, chunks: AsyncIterable[bytes]) -> None:
        """Take a blob whole and flush it.

        Raises VerificationError when it does not hash to its name, MalformedError when it has another length, DiskFullError.
        """

    def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Give bytes [start, end); raises StorageError when it is not there."""

    async def path(self, sha256: bytes) -> Path:
        """Give a local file that holds it; raises StorageError when it is not there."""

    async def head(self, sha256: bytes) -> int | None:
        """Give its length, None when it is not there."""

    def names(self) -> AsyncIterator[bytes]:
        """Give the name of every blob."""

    async def delete(self, sha256: bytes) -> bool:
        """Remove it durably; tell whether it was there."""

    async def usage(self) -> Usage:
        """Count what is held; slow on large stores."""

    async def close(self) -> None:
        """Let go of what is open."""


def open_blobs(url: str) -> "DirectoryBlobs":
    """Give the store that a URL names; raise MalformedError for a scheme that is not known."""
    scheme, _, rest = url.partition("://")
    if scheme != "dir" or not rest.startswith("/"):
        raise MalformedError(f"{url!r} is no store of blobs (known: dir:///absolute/path)", where="blobs.url")
    return DirectoryBlobs(Path(rest))


@dataclass(slots=True)
class DirectoryBlobs:
    """Blobs as files `<root>/<first two hex digits>/<hex>`. Use as an async context manager."""

    root: Path
    _threads: ThreadPoolExecutor | None = None
    _folders: set[str] = field(default_factory=set)

    async def __aenter__(self) -> "DirectoryBlobs":
        self._threads = ThreadPoolExecutor(THREADS, "blobs")
        await self._run(self._prepare)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            await asyncio.to_thread(self._threads.shutdown)
            self._threads = None

    async def put(self, sha256: bytes, length: int, chunks: AsyncIterable[bytes]) -> None:
        """Take a blob whole and flush it; the hash is counted while it arrives.

        Raises VerificationError when it does not hash to its name, MalformedError when it has another length, DiskFullError.
        """
        place = self._place(sha256)
        incoming = _Incoming(self.root / "incoming" / uuid.uuid4().hex, length)
        try:
            await self._run(incoming.open)
            await self._receive(incoming, chunks)
            await self._run(partial(self._finish, incoming, sha256, place))
        finally:
            await self._run(incoming.discard)

    async def _receive(self, incoming: "_Incoming", chunks: AsyncIterable[bytes]) -> None:
        gathered: list[bytes] = []
        size = total = 0
        writing: asyncio.Future[None] | None = None
        try:
            async for chunk in chunks:
                gathered.append(chunk)
                size += len(chunk)
                total += len(chunk)
                if total > incoming.length:
                    raise MalformedError(f"more than the {incoming.length} bytes announced", where="blob")
                if size >= GATHER_BYTES:
                    if writing is not None:
                        await writing
                    writing, gathered, size = self._start(partial(incoming.take, gathered)), [], 0
        finally:
            if writing is not None:
                await asyncio.wait((writing,))
        if writing is not None:
            writing.result()
        if total != incoming.length:
            raise MalformedError(f"{_SHORT}: {total} of {incoming.length} bytes came", where="blob")
        incoming.rest = gathered

    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Give bytes [start, end); raise StorageError when it is not there."""
        path = await self.path(sha256)
        file = await self._run(partial(_open, path))
        try:
            await self._run(partial(file.seek, start))
            left = (1 << 62) if end is None else max(0, end - start)
            while left and (data := await self._run(partial(file.read, min(left, READ_BYTES)))):
                left -= len(data)
                yield data
        finally:
            file.close()

    async def path(self, sha256: bytes) -> Path:
        """Give the file; raise StorageError when it is not there."""
        place = self._place(sha256)
        if not await self._run(place.is_file):
            raise StorageError("is not in the store", where=sha256.hex())
        return place

    async def head(self, sha256: bytes) -> int | None:
        """Give the length, None when it is not there."""
        return await self._run(partial(_size, self._place(sha256)))

    async def names(self) -> AsyncIterator[bytes]:
        """Give the name of every blob, folder by folder."""
        for number in range(256):
            for name in await self._run(partial(_names, self.root / f"{number:02x}")):
                yield name

    async def delete(self, sha256: bytes) -> bool:
        """Remove it durably; tell whether it was there."""
        return await self._run(partial(_unlink, self._place(sha256)))

    async def usage(self) -> Usage:
        """Count what is held; slow on large stores."""
        return await self._run(self._count)

    def _place(self, sha256: bytes) -> Path:
        name = sha256.hex()
        if len(name) != 64:
            raise MalformedError("name is no SHA-256", where="blob")
        return self.root / name[:2] / name

    def _prepare(self) -> None:
        """Make the folders and forget what was half received."""
        incoming = self.root / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self.root / f"{number:02x}").mkdir(exist_ok=True)
        for leftover in incoming.iterdir():
            leftover.unlink()
        flush_folder(self.root)

    def _finish(self, incoming: "_Incoming", sha256: bytes, place: Path) -> None:
        incoming.finish(sha256)
        incoming.path.replace(place)
        flush_folder(place.parent)

    def _count(self) -> Usage:
        sizes = [
            _size(self.root / name.hex()[:2] / name.hex()) or 0 for number in range(256) for name in _names(self.root / f"{number:02x}")
        ]
        state = os.statvfs(self.root)
        return Usage(len(sizes), sum(sizes), state.f_bavail * state.f_frsize)

    def _start(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        if self._threads is None:
            raise UnavailableError("is not open", where="blobs")
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(_named, work))

    async def _run(self, work: Callable[[], T]) -> T:
        """Run in a thread; a cancelled caller still waits for the end, so that nothing goes on behind its back."""
        future = self._start(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait((future,))
            raise


@dataclass(slots=True)
class _Incoming:
    """A blob on its way in."""

    path: Path
    length: int
    rest: list[bytes] = field(default_factory=list)
    _file: BinaryIO | None = None
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def open(self) -> None:
        self._file = self.path.open("xb", buffering=0)

    def take(self, chunks: list[bytes]) -> None:
        if self._file is None:
            raise StorageError("is not open", where=str(self.path))
        for chunk in chunks:
            self._hash.update(chunk)
            _write_all(self._file, chunk)

    def finish(self, sha256: bytes) -> None:
        self.take(self.rest)
        if self._hash.digest() != sha256:
            raise VerificationError(f"hashes to {self._hash.hexdigest()}, its name is {sha256.hex()}", where="blob")
        if self._file is not None:
            os.fsync(self._file.fileno())

    def discard(self) -> None:
        """Close, and remove what was not moved to its place."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.path.unlink(missing_ok=True)


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


@contextmanager
def _naming() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFullError("no space left", where="blobs") from error
        raise StorageError(error.strerror or type(error).__name__, where=str(error.filename or "blobs")) from error


def _named(work: Callable[[], T]) -> T:
    with _naming():
        return work()


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _names(folder: Path) -> list[bytes]:
    return [bytes.fromhex(path.name) for path in folder.iterdir() if len(path.name) == 64]


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    flush_folder(path.parent)
    return True


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
