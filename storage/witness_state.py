"""Keep what a witness cosigned last of each log, so that it survives kill -9 and power cuts.

Guarantees: one SQLite file, made by `create` and never silently made again; a head moves on by compare-and-swap in one
transaction that is on disk (WAL, synchronous=FULL) when `advance` returns, whatever number of processes use the file; what a log
signed against itself is kept, bounded in number. One thread uses one open state.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import DiskFullError, StorageError
from protocol.witnessing import Head
from storage.files import MODE_FILE, make_folder, sync_folder

FORMAT = 2  # 1 had no draws; it is brought up when it is opened
BUSY_S = 10.0
MAX_FORKS = 1000  # pieces of evidence kept; the oldest stay, for they began it
_FULL = "database or disk is full"
_TABLES = """
CREATE TABLE heads (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, at_s INTEGER NOT NULL);
CREATE TABLE forks (id INTEGER PRIMARY KEY, origin TEXT NOT NULL, at_s INTEGER NOT NULL, held BLOB NOT NULL, shown BLOB NOT NULL);
"""
_DRAWS = (
    "CREATE TABLE draws (origin TEXT, number INTEGER, alpha BLOB NOT NULL, pi BLOB NOT NULL, at_s INTEGER NOT NULL, "
    "PRIMARY KEY (origin, number));"
)


@dataclass(frozen=True, slots=True)
class Fork:
    """Two checkpoints that one log signed and that cannot both stand: a portable proof."""

    origin: str
    at_s: int
    held: bytes
    shown: bytes


def create(path: Path) -> None:
    """Make an empty state; raise StorageError when one is there: a witness that forgets must get a new key."""
    make_folder(path.parent)
    if path.exists():
        raise StorageError("exists already and is not overwritten", where=str(path))
    with _errors(path), closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN; {_TABLES} {_DRAWS} PRAGMA user_version={FORMAT}; COMMIT;"
        )
    path.chmod(MODE_FILE)
    sync_folder(path.parent)


@dataclass(slots=True)
class WitnessState:
    """An open state. Use `open` and `close`, in one thread."""

    path: Path
    _database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open what `create` made; raise StorageError when it is missing or damaged."""
        if not self.path.is_file():
            raise StorageError("missing: a witness that lost its memory must not go on under the same key", where=str(self.path))
        with _errors(self.path):
            database = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_S)
            database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
            found = _brought_up(database)
            whole = database.execute("PRAGMA quick_check").fetchone()[0]
        if found != FORMAT or whole != "ok":
            database.close()
            raise StorageError(f"format {found}, expected {FORMAT}; check says {whole}", where=str(self.path))
        self._database = database

    def close(self) -> None:
        """Close it."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def head(self, origin: str) -> Head:
        """Give the newest head cosigned of a log; that of size 0 for none. Raises StorageError."""
        with _errors(self.path):
            row = self._use().execute("SELECT size, root FROM heads WHERE origin = ?", (origin,)).fetchone()
        return Head(row[0], bytes(row[1])) if row else Head()

    def note(self, origin: str) -> bytes | None:
        """Give the checkpoint that was cosigned last, as it came."""
        with _errors(self.path):
            row = self._use().execute("SELECT note FROM heads WHERE origin = ?", (origin,)).fetchone()
        return bytes(row[0]) if row else None

    def advance(self, origin: str, before: Head, after: Head, note: bytes, at_s: int) -> bool:
        """Put `after` in the place of `before`, durably; False when another head is there. Raises StorageError."""
        with self._changing() as database:
            row = database.execute("SELECT size, root FROM heads WHERE origin = ?", (origin,)).fetchone()
            if (Head(row[0], bytes(row[1])) if row else Head()) != before:
                return False
            if row is None or after != before:
                values = (origin, after.size, after.root, note, at_s)
                database.execute("INSERT OR REPLACE INTO heads (origin, size, root, note, at_s) VALUES (?, ?, ?, ?, ?)", values)
            return True

    def keep_fork(self, origin: str, shown: bytes, at_s: int) -> None:
        """Keep a signed checkpoint that cannot stand beside the one held, once."""
        with self._changing() as database:
            row = database.execute("SELECT note FROM heads WHERE origin = ?", (origin,)).fetchone()
            known = database.execute("SELECT COUNT(*), MAX(shown = ?) FROM forks", (shown,)).fetchone()
            if row is not None and known[0] < MAX_FORKS and not known[1]:
                values = (origin, at_s, row[0], shown)
                database.execute("INSERT INTO forks (origin, at_s, held, shown) VALUES (?, ?, ?, ?)", values)

    def answer_draw(self, asked: tuple[str, int, bytes], at_s: int, prove: Callable[[], bytes]) -> bytes | None:
        """Give the answer to (origin, number, alpha), kept durably before it is given; None when this draw, or a later one, was another's.

        `prove` is called once for each draw: asked again, the answer that is kept is given, so that nobody can time it twice.
        """
        origin, number, alpha = asked
        with self._changing() as database:
            row = database.execute("SELECT alpha, pi FROM draws WHERE origin = ? AND number = ?", (origin, number)).fetchone()
            if row is not None:
                return bytes(row[1]) if bytes(row[0]) == alpha else None
            newest = database.execute("SELECT MAX(number) FROM draws WHERE origin = ?", (origin,)).fetchone()[0]
            if newest is not None and newest > number:
                return None
            pi = prove()
            values = (origin, number, alpha, pi, at_s)
            database.execute("INSERT INTO draws (origin, number, alpha, pi, at_s) VALUES (?, ?, ?, ?, ?)", values)
            return pi

    def forks(self) -> list[Fork]:
        """Give all that was kept, oldest first."""
        with _errors(self.path):
            rows = self._use().execute("SELECT origin, at_s, held, shown FROM forks ORDER BY id").fetchall()
        return [Fork(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in rows]

    def _use(self) -> sqlite3.Connection:
        if self._database is None:
            raise StorageError("not open", where=str(self.path))
        return self._database

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        database = self._use()
        with _errors(self.path):
            database.execute("BEGIN IMMEDIATE")  # compare and set under one lock
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise


def _brought_up(database: sqlite3.Connection) -> int:
    """Give the state's format, after bringing an older one up to ours."""
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    if found != 1:
        return found
    database.executescript(f"BEGIN IMMEDIATE; {_DRAWS} PRAGMA user_version={FORMAT}; COMMIT;")
    return FORMAT


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        family = DiskFullError if _FULL in str(error) else StorageError
        raise family(str(error), where=str(path)) from error
