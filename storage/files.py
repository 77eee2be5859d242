"""Create, append, replace and cut files so that what a call has returned from survives a power cut.

Guarantees: a name is durable once its folder was flushed; a replaced file is the old or the new one, never a mixture; no space
is told apart from every other fault (`DiskFullError`). The folder of segments, the ballast and the free-space marks of a box
live here too.
"""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

from protocol.errors import DiskFullError, StorageError

MODE_FILE = 0o640
MODE_FOLDER = 0o750
BALLAST_BYTES = 16 << 20  # room for SQLite to delete, checkpoint and take the last records
_FULL = (errno.ENOSPC, errno.EDQUOT)

DiskState = Literal["ok", "low", "full"]


def raise_storage(error: OSError, where: Path | str) -> NoReturn:
    """Raise DiskFullError or StorageError for an error of the operating system."""
    family = DiskFullError if error.errno in _FULL else StorageError
    raise family(os.strerror(error.errno) if error.errno else str(error), where=str(where)) from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents, each durable; raise StorageError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=MODE_FOLDER)
        sync_folder(path.parent)
    except OSError as error:
        raise_storage(error, path)


def sync_folder(path: Path) -> None:
    """Flush a folder: names created, renamed or removed in it are durable afterwards; raise StorageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise_storage(error, path)


def replace_file(path: Path, data: bytes, *, mode: int = MODE_FILE) -> None:
    """Put `data` under `path` wholly and durably, replacing what was there; raise StorageError."""
    part = path.with_name(f".{path.name}.part")
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        part.replace(path)
    except OSError as error:
        raise_storage(error, path)
    sync_folder(path.parent)


def write_all(fd: int, data: bytes | memoryview, write: Callable[[int, memoryview], int] = os.write) -> None:
    """Write all of `data`; raise OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[write(fd, rest) :]


def cut_file(path: Path, size: int) -> None:
    """Keep the first `size` bytes, durably; raise StorageError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size > size:
                os.ftruncate(fd, size)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise_storage(error, path)


def set_aside(path: Path, folder: Path) -> Path:
    """Move a file that nobody knows into `folder` under a free name, durably; give the new path. Raises StorageError."""
    make_folder(folder)
    number = 0
    while (target := folder / f"{path.parent.name}-{path.name}.{number}").exists():
        number += 1
    try:
        path.rename(target)
    except OSError as error:
        raise_storage(error, path)
    sync_folder(folder)
    sync_folder(path.parent)
    return target


def free_bytes(path: Path) -> int:
    """Give the bytes that we may still write on the file system of `path`; raise StorageError."""
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise_storage(error, path)
    return found.f_bavail * found.f_frsize


@dataclass(frozen=True, slots=True)
class Ballast:
    """A file whose only use is to be removed: a full disk then has room for the journal, which needs space to free space."""

    path: Path
    size: int = BALLAST_BYTES

    def hold(self) -> bool:
        """Take up the space if it is not held yet; False when there is no room for it now."""
        try:
            if self.path.exists() and self.path.stat().st_size >= self.size:
                return True
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE_FILE)
            try:
                os.posix_fallocate(fd, 0, self.size)
            finally:
                os.close(fd)
        except OSError:
            self.path.unlink(missing_ok=True)
            return False
        return True

    def release(self) -> bool:
        """Give the space back; False when there was nothing to give."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise_storage(error, self.path)
        return True


@dataclass(slots=True)
class SpaceWatch:
    """Judge free space with hysteresis: full below `full_bytes` until `low_bytes` are free again."""

    folder: Path
    full_bytes: int
    low_bytes: int
    measure: Callable[[Path], int] = free_bytes
    state: DiskState = "ok"
    free: int = 0

    def look(self) -> DiskState:
        """Measure and judge; raise StorageError."""
        self.free = self.measure(self.folder)
        if self.free < self.full_bytes or (self.state == "full" and self.free < self.low_bytes):
            self.state = "full"
        else:
            self.state = "low" if self.free < self.low_bytes else "ok"
        return self.state


@dataclass(slots=True)
class SegmentFile:
    """One segment file being written; not safe for more than one thread."""

    path: Path
    fd: int
    write: Callable[[int, memoryview], int] = os.write
    sync: Callable[[int], None] = os.fdatasync

    def append(self, data: bytes | memoryview) -> None:
        """Append bytes; they are durable after `flush`. Raises DiskFullError or StorageError."""
        try:
            write_all(self.fd, data, self.write)
        except OSError as error:
            raise_storage(error, self.path)

    def flush(self) -> None:
        """Make what was appended durable; raise StorageError."""
        try:
            self.sync(self.fd)
        except OSError as error:
            raise_storage(error, self.path)

    def cut(self, size: int) -> None:
        """Give up what lies beyond `size`, durably; raise StorageError."""
        try:
            os.ftruncate(self.fd, size)
            os.lseek(self.fd, size, os.SEEK_SET)
            os.fsync(self.fd)
        except OSError as error:
            raise_storage(error, self.path)

    def close(self) -> None:
        """Close the file; raise StorageError."""
        fd, self.fd = self.fd, -1
        try:
            if fd >= 0:
                os.close(fd)
        except OSError as error:
            raise_storage(error, self.path)


@dataclass(slots=True)
class SegmentFolder:
    """The segment files of a box: `<root>/<source>/<number>.mp4`. `write` and `sync` are replaced by tests that fill disks."""

    root: Path
    write: Callable[[int, memoryview], int] = os.write
    sync: Callable[[int], None] = os.fdatasync
    _known: set[str] = field(default_factory=set)

    def path(self, source: str, number: int) -> Path:
        """Give a segment's path."""
        return self.root / source / f"{number}.mp4"

    def create(self, source: str, number: int) -> SegmentFile:
        """Create a segment file that must not exist; its name is durable after `sync_names`.

        Raises DiskFullError or StorageError.
        """
        path = self.path(source, number)
        if source not in self._known:
            make_folder(path.parent)
            self._known.add(source)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE_FILE)
        except OSError as error:
            raise_storage(error, path)
        return SegmentFile(path, fd, self.write, self.sync)

    def sync_names(self, sources: Sequence[str]) -> None:
        """Make the names of new files of these sources durable; raise StorageError."""
        for source in sources:
            sync_folder(self.root / source)

    def remove(self, source: str, number: int) -> None:
        """Remove a segment file; one that is gone is fine. Raises StorageError."""
        path = self.path(source, number)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise_storage(error, path)

    def listing(self) -> list[Path]:
        """Give all files below the root, in order; raise StorageError."""
        try:
            return sorted(path for path in self.root.glob("*/*") if path.is_file())
        except OSError as error:
            raise_storage(error, self.root)


def read_file(path: Path, limit: int) -> bytes:
    """Read a file of at most `limit` bytes; raise StorageError, FileNotFoundError included."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise_storage(error, path)
    if len(data) > limit:
        raise StorageError(f"more than {limit} bytes", where=str(path))
    return data
