"""Keep files that arrive in parts, each under a name, until they are whole.

Guarantees: what `append` has returned from survives a power cut; a part joins what is there without a hole; nothing is judged here.
Functions block: call them off the loop.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import MalformedError, StorageError
from storage.files import MODE_FILE, make_folder, raise_storage, sync_folder, write_all

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PartialFiles:
    """The files of one folder that are not whole yet."""

    root: Path

    def prepare(self) -> None:
        """Make the folder; raise StorageError."""
        make_folder(self.root)

    def size(self, name: str) -> int:
        """Give how many bytes are there, 0 for none."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise_storage(error, name)

    def append(self, name: str, offset: int, data: bytes) -> int:
        """Write bytes at `offset`, skipping what is there already; give the size. Raises MalformedError where a hole would be."""
        path = self._path(name)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE_FILE)
            try:
                have = os.fstat(fd).st_size
                if offset > have:
                    raise MalformedError(f"{have} bytes are here, this part begins at {offset}: go on from {have}", where="offset")
                fresh = data[have - offset :]
                os.lseek(fd, have, os.SEEK_SET)
                write_all(fd, fresh)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise_storage(error, name)
        if have == 0:
            sync_folder(self.root)
        return have + len(fresh)

    def digest(self, name: str) -> bytes:
        """Give the SHA-256 of what is there."""
        counted = hashlib.sha256()
        for part in self.read(name):
            counted.update(part)
        return counted.digest()

    def read(self, name: str) -> Iterator[bytes]:
        """Give the bytes in pieces; raise StorageError when nothing is there."""
        try:
            with self._path(name).open("rb") as file:
                while data := file.read(READ_BYTES):
                    yield data
        except OSError as error:
            raise_storage(error, name)

    def discard(self, name: str) -> None:
        """Remove what is there, durably."""
        try:
            with suppress(FileNotFoundError):
                self._path(name).unlink()
                sync_folder(self.root)
        except OSError as error:
            raise_storage(error, name)

    def names(self) -> list[str]:
        """Give the names of all that is there."""
        return sorted(path.name for path in self.root.iterdir() if path.is_file())

    def _path(self, name: str) -> Path:
        if not name or not all(letter in "0123456789abcdef-" for letter in name):
            raise StorageError("is no name of a file in parts", where=name[:80])
        return self.root / name
