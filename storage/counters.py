"""Count a box's seals outside of its disk, so that a disk image that was set back shows.

A counter only ever goes up, and gives each value once. Hardware has such counters (TPM 2.0 NV indices of type counter); where a box
has none, a file elsewhere - on another medium than the box's state, or a mount of another machine - does as well against everybody
who can set back the box's disk alone. Guarantees of the file: a value is durable before it is given; one that is damaged is named.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from protocol.errors import MalformedError, StorageError
from storage.keys import PRIVATE, replace_whole

FILE = "file:"
MAX_VALUE = 2**53  # plain integers of every tool that reads records
_MAX_BYTES = 32


class Counter(Protocol):
    """Counts up, whatever becomes of the disk."""

    def advance(self) -> int:
        """Give the next value, which no call ever gave; raise StorageError when the counter cannot be reached."""


@dataclass(frozen=True, slots=True)
class FileCounter:
    """A counter in a file, which belongs on another medium than what it counts for."""

    path: Path

    def advance(self) -> int:
        """Give the next value, durable; raise StorageError when the file cannot be written, MalformedError when it holds no number."""
        value = self._read() + 1
        if value > MAX_VALUE:
            raise MalformedError("is at its end", where=str(self.path))
        replace_whole(self.path, b"%d\n" % value, PRIVATE)
        return value

    def _read(self) -> int:
        try:
            with self.path.open("rb") as file:
                data = file.read(_MAX_BYTES)
        except FileNotFoundError:
            if not self.path.parent.is_dir():  # a medium that is not there is no counter at its beginning
                raise StorageError("its folder is not there", where=str(self.path)) from None
            return 0
        except OSError as error:
            raise StorageError(f"cannot be read: {error.strerror}", where=str(self.path)) from error
        if not data.strip().isdigit():
            raise MalformedError("holds no number", where=str(self.path))
        return int(data)


def open_counter(setting: str, state: Path) -> Counter | None:
    """Give the counter that a setting names; None for no setting. Raises MalformedError for one that cannot be."""
    if not setting:
        return None
    if not setting.startswith(FILE) or not Path(setting.removeprefix(FILE)).is_absolute():
        raise MalformedError(f"expected file:/an/absolute/path, got {setting!r}", where="keys.counter")
    path = Path(os.path.realpath(setting.removeprefix(FILE)))
    if path.is_relative_to(os.path.realpath(state)):
        raise MalformedError("lies in the box's state folder: it would be set back with it", where="keys.counter")
    return FileCounter(path)
