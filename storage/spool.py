"""Keep a box's journal, drafts, blobs and pairings in one SQLite file until a hub has them, through power cuts.

Guarantees: `commit` is one transaction that is on disk when it returns (WAL, synchronous=FULL); records are only ever appended;
a full disk raises DiskFullError and changes nothing. One thread uses one open spool.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from protocol.errors import DiskFullError, StorageError

BUSY_MS = 5000
CACHE_KIB = 2048
SCHEMA_VERSION = 2
KEPT_KINDS = ("boot", "session")  # stay when the records around them are pruned: they say who signed, and are few
MAX_TAILS = 64  # epochs in a row that ended before their first seal
_FULL = "database or disk is full"


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch of the journal: its tree, and what the hub has of it.

    Of the positions below `pruned` only boot and session records are kept, and `base`: the tree's frontier there.
    """

    epoch: int
    boot_id: bytes
    size: int
    frontier: bytes
    persisted: int
    receipted: int
    refused: str | None = None
    pruned: int = 0
    base: bytes = b""


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A signed record at its position, and its leaf hash."""

    epoch: int
    position: int
    kind: str
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session key from its position on."""

    epoch: int
    position: int
    key: bytes


@dataclass(frozen=True, slots=True)
class DraftRow:
    """A segment that is being written: what recovery must know beside the file and the heartbeats."""

    stream: str
    number: int
    epoch: int
    run: int
    mono_from: int
    wall_from: int
    device_from: int | None
    tasks: str  # JSON array
    lost: int


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A closed segment's file: where it is, whether the hub stored it, and the position of its record."""

    sha256: bytes
    stream: str
    number: int
    size: int
    tasks: str  # JSON array
    wall_from: int
    mono_from: int
    epoch: int = 0
    position: int = 0
    stored: int = 0
    removed: int = 0

    def task_names(self) -> list[str]:
        """Give the tasks it is linked to."""
        return [str(task) for task in json.loads(self.tasks)]


@dataclass(frozen=True, slots=True)
class StreamRow:
    """A stream's counters, and up to where its recording period is accounted for; `is_open` while the period lasts."""

    stream: str
    origin: str
    next_number: int
    next_run: int
    is_open: int
    wall_to: int
    mono_to: int
    epoch: int


@dataclass(frozen=True, slots=True)
class PairingRow:
    """A source bound to a task until unpaired."""

    task: str
    source: str
    by: str


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A verified receipt, as it came."""

    epoch: int
    first: int
    end: int
    data: bytes


@dataclass(slots=True)
class Changes:
    """What a commit changes beside the records it appends."""

    drafts: list[DraftRow] = field(default_factory=list)
    drafts_gone: list[tuple[str, int]] = field(default_factory=list)
    blobs: list[BlobRow] = field(default_factory=list)
    removed: list[tuple[str, int]] = field(default_factory=list)
    streams: list[StreamRow] = field(default_factory=list)
    paired: list[PairingRow] = field(default_factory=list)
    unpaired: list[tuple[str, str]] = field(default_factory=list)
    replies: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, bytes] = field(default_factory=dict)


_R = TypeVar("_R")

_TABLES: tuple[tuple[str, type[Any], tuple[str, ...]], ...] = (
    ("epochs", EpochRow, ("epoch",)),
    ("records", RecordRow, ("epoch", "position")),
    ("sessions", SessionRow, ("epoch", "position")),
    ("drafts", DraftRow, ("stream", "number")),
    ("blobs", BlobRow, ("stream", "number")),
    ("streams", StreamRow, ("stream",)),
    ("pairings", PairingRow, ("task", "source")),
    ("receipts", ReceiptRow, ("epoch", "end")),
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS records_by_kind ON records (kind, epoch, position)",
    "CREATE INDEX IF NOT EXISTS blobs_by_hash ON blobs (sha256)",
    "CREATE INDEX IF NOT EXISTS blobs_linked ON blobs (epoch, position) WHERE stored = 0 AND removed = 0 AND tasks <> '[]'",
    "CREATE INDEX IF NOT EXISTS blobs_plain ON blobs (epoch, position) WHERE stored = 0 AND removed = 0 AND tasks = '[]'",
    "CREATE INDEX IF NOT EXISTS blobs_waiting ON blobs (size) WHERE stored = 0 AND removed = 0",
    "CREATE INDEX IF NOT EXISTS blobs_kept ON blobs (epoch, position) WHERE stored = 1 AND removed = 0",
    "CREATE INDEX IF NOT EXISTS blobs_removed ON blobs (epoch, position) WHERE removed = 1",
)


def _open_database(path: Path) -> Any:  # noqa: ANN401 - sqlite-utils is untyped for us
    """Open a file with sqlite-utils; it would load numpy for a feature not used here: 16 MB that a box has better uses for."""
    withheld = [name for name in ("numpy", "pandas") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(withheld))  # type: ignore[arg-type]  # None: "not importable" (importlib)
    try:
        from sqlite_utils import Database
    finally:
        for name in withheld:
            del sys.modules[name]
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, check_same_thread=False)
    return Database(connection, execute_plugins=False)


class Spool:
    """The spool's file. `open` before use, `close` after."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: Any = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or create the file; raise StorageError."""
        with self._errors():
            self._database = _open_database(self.path)
            self._connection = self._database.conn
            self._set_journal()
            for pragma in ("synchronous=FULL", f"busy_timeout={BUSY_MS}", f"cache_size=-{CACHE_KIB}"):
                self._rows(f"PRAGMA {pragma}")
            if self._version() != SCHEMA_VERSION:  # one of this version is opened without writing: a checker may look while the box runs
                self._rows("BEGIN IMMEDIATE")  # of two that open at once, one waits and then finds the other's work
                try:
                    self._make()
                except BaseException:
                    self._rows("ROLLBACK")
                    raise
                self._rows("COMMIT")

    def _set_journal(self) -> None:
        """Keep a write-ahead log; SQLite does not wait by itself while another sets the same."""
        for wait_s in (0.01, 0.05, 0.2, 1.0, 0.0):
            try:
                self._rows("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or not wait_s:
                    raise
                time.sleep(wait_s)

    def _version(self) -> int:
        version: int = self._rows("PRAGMA user_version")[0][0]
        if version not in range(SCHEMA_VERSION + 1):
            raise StorageError(f"schema version {version} is not known", where=str(self.path))
        return version

    def _make(self) -> None:
        version = self._version()
        if version == 0:
            self._create()
        elif version == 1:
            self._migrate_1()

    def _create(self) -> None:
        kinds = {"int": int, "str": str, "bytes": bytes, "int | None": int, "str | None": str}
        for name, row, key in _TABLES:
            columns = {each.name: kinds[_name_of(each.type)] for each in fields(row)}
            self._database[name].create(columns, pk=key if len(key) > 1 else key[0], if_not_exists=True)
        self._database["replies"].create({"command": str, "data": bytes}, pk="command", if_not_exists=True)
        self._database["facts"].create({"name": str, "data": bytes}, pk="name", if_not_exists=True)
        for statement in _INDEXES:
            self._rows(statement)
        self._rows(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _migrate_1(self) -> None:
        """Bring a spool of before journals were pruned to the form of now."""
        self._rows("ALTER TABLE epochs ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0")
        self._rows("ALTER TABLE epochs ADD COLUMN base BLOB NOT NULL DEFAULT x''")
        self._rows(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = self._database = None

    # ------------------------------------------------------------------------------------------------------ writing

    def commit(
        self, epoch: EpochRow, records: Sequence[RecordRow], sessions: Sequence[SessionRow] = (), changes: Changes | None = None
    ) -> None:
        """Append records and apply what goes with them; durable on return.

        Raises DiskFullError or StorageError; then nothing has changed.
        """
        with self._errors(), self._database.atomic():
            if records:
                self._put("records", records)
            if sessions:
                self._put("sessions", sessions)
            self._save_epoch(epoch)
            if changes is not None:
                self._apply(changes)

    def apply(self, changes: Changes) -> None:
        """Apply changes that append no record; durable on return. Raises DiskFullError or StorageError."""
        with self._errors(), self._database.atomic():
            self._apply(changes)

    def _save_epoch(self, row: EpochRow) -> None:
        self._rows(
            "INSERT INTO epochs (epoch, boot_id, size, frontier, persisted, receipted, pruned, base) VALUES (?, ?, ?, ?, 0, 0, 0, x'')"
            " ON CONFLICT (epoch) DO UPDATE SET size = excluded.size, frontier = excluded.frontier",
            (row.epoch, row.boot_id, row.size, row.frontier),
        )

    def _apply(self, changes: Changes) -> None:
        for table, rows in (
            ("drafts", changes.drafts),
            ("blobs", changes.blobs),
            ("streams", changes.streams),
            ("pairings", changes.paired),
        ):
            if rows:
                self._put(table, rows, replace=True)
        connection = self._use()
        connection.executemany("DELETE FROM drafts WHERE stream = ? AND number = ?", changes.drafts_gone)
        connection.executemany("UPDATE blobs SET removed = 1 WHERE stream = ? AND number = ?", changes.removed)
        connection.executemany("DELETE FROM pairings WHERE task = ? AND source = ?", changes.unpaired)
        connection.executemany("INSERT OR REPLACE INTO replies (command, data) VALUES (?, ?)", changes.replies.items())
        connection.executemany("INSERT OR REPLACE INTO facts (name, data) VALUES (?, ?)", changes.facts.items())

    def _put(self, table: str, rows: Sequence[Any], *, replace: bool = False) -> None:
        names = [f'"{each.name}"' for each in fields(rows[0])]
        marks = ", ".join("?" * len(names))
        verb = "INSERT OR REPLACE" if replace else "INSERT"
        statement = f"{verb} INTO {table} ({', '.join(names)}) VALUES ({marks})"
        self._use().executemany(statement, [astuple(row) for row in rows])

    def set_persisted(self, epoch: int, size: int) -> None:
        """Remember that the hub has positions below `size`."""
        self._write("UPDATE epochs SET persisted = ?, refused = NULL WHERE epoch = ?", (size, epoch))

    def set_refused(self, epoch: int, verdict: str | None) -> None:
        """Remember why the hub refuses what follows; None: it takes it again."""
        self._write("UPDATE epochs SET refused = ? WHERE epoch = ?", (verdict, epoch))

    def set_stored(self, blobs: Sequence[bytes]) -> int:
        """Remember blobs that the hub stored; give how many were news."""
        with self._errors(), self._database.atomic():
            cursor = self._use().executemany("UPDATE blobs SET stored = 1 WHERE sha256 = ? AND stored = 0", [(blob,) for blob in blobs])
            return max(0, cursor.rowcount)

    def add_receipt(self, row: ReceiptRow) -> None:
        """Keep a verified receipt and what it covers, when it continues what was covered.

        It covers the epoch's boot record, which names the end of the epoch before: what a power cut left unsealed there, too.
        """
        with self._errors(), self._database.atomic():
            self._put("receipts", [row], replace=True)
            self._rows("UPDATE epochs SET receipted = ? WHERE epoch = ? AND receipted >= ?", (row.end, row.epoch, row.first))
            covered = "EXISTS (SELECT 1 FROM epochs AS later WHERE later.epoch = epochs.epoch + 1 AND later.receipted > 0)"
            for _ in range(MAX_TAILS):  # a tail may hold nothing but a boot record, which covers the tail before it
                changed = self._rows(
                    f"UPDATE epochs SET receipted = size WHERE receipted < size AND persisted >= size AND {covered} RETURNING epoch"  # noqa: S608
                )
                if not changed:
                    break

    def prune(self, epoch: int, end: int, base: bytes) -> int:
        """Forget the records of an epoch below `end`, where the tree's frontier is `base`; give how many went. Raises StorageError.

        What a receipt does not cover, and what the hub did not commit, is never forgotten, whoever asks.
        """
        with self._errors(), self._database.atomic():
            moved = self._rows(
                "UPDATE epochs SET pruned = ?, base = ?"
                " WHERE epoch = ? AND pruned < ? AND receipted >= ? AND persisted >= ? RETURNING epoch",
                (end, base, epoch, end, end, end),
            )
            if not moved:
                raise StorageError(f"epoch {epoch} is not receipted up to {end}, or was pruned further", where=str(self.path))
            marks = ", ".join("?" * len(KEPT_KINDS))
            statement = f"DELETE FROM records WHERE epoch = ? AND position < ? AND kind NOT IN ({marks})"  # noqa: S608 - marks only
            return max(0, self._use().execute(statement, (epoch, end, *KEPT_KINDS)).rowcount)

    def link_blobs(self, stream: str, task: str, numbers: Sequence[int]) -> None:
        """Link segments that were recorded before their pairing was known."""
        with self._errors(), self._database.atomic():
            for number in numbers:
                found = self._rows("SELECT tasks FROM blobs WHERE stream = ? AND number = ?", (stream, number))
                tasks = sorted({*json.loads(found[0][0]), task}) if found else []
                self._rows("UPDATE blobs SET tasks = ? WHERE stream = ? AND number = ?", (json.dumps(tasks), stream, number))

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file and cut it."""
        with self._errors():
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    # ------------------------------------------------------------------------------------------------------ reading

    def epochs(self) -> list[EpochRow]:
        """Give all epochs, oldest first."""
        return self._all(EpochRow, "epochs", "ORDER BY epoch")

    def records(self, epoch: int, first: int, limit: int) -> list[RecordRow]:
        """Give records of an epoch from a position on."""
        return self._all(RecordRow, "records", "WHERE epoch = ? AND position >= ? ORDER BY position LIMIT ?", (epoch, first, limit))

    def newest(self, kind: str, epoch: int, limit: int) -> list[RecordRow]:
        """Give the newest records of a kind in an epoch, newest first."""
        return self._all(RecordRow, "records", "WHERE kind = ? AND epoch = ? ORDER BY position DESC LIMIT ?", (kind, epoch, limit))

    def leaves(self, epoch: int, first: int, end: int) -> list[bytes]:
        """Give leaf hashes [first, end)."""
        rows = self._read(
            "SELECT leaf FROM records WHERE epoch = ? AND position >= ? AND position < ? ORDER BY position", (epoch, first, end)
        )
        return [row[0] for row in rows]

    def session_at(self, epoch: int, position: int) -> bytes | None:
        """Give the raw session key that counts at a position."""
        rows = self._read("SELECT key FROM sessions WHERE epoch = ? AND position < ? ORDER BY position DESC LIMIT 1", (epoch, position))
        return rows[0][0] if rows else None

    def drafts(self) -> list[DraftRow]:
        """Give all drafts."""
        return self._all(DraftRow, "drafts", "ORDER BY stream, number")

    def streams(self) -> dict[str, StreamRow]:
        """Give all streams by name."""
        return {row.stream: row for row in self._all(StreamRow, "streams", "ORDER BY stream")}

    def pairings(self) -> list[PairingRow]:
        """Give what is paired now."""
        return self._all(PairingRow, "pairings", "ORDER BY task, source")

    def blobs(self, *, stream: str | None = None) -> list[BlobRow]:
        """Give all blobs, of one stream if named."""
        if stream is None:
            return self._all(BlobRow, "blobs", "ORDER BY stream, number")
        return self._all(BlobRow, "blobs", "WHERE stream = ? ORDER BY number", (stream,))

    def blob(self, stream: str, number: int) -> BlobRow | None:
        """Give one blob."""
        found = self._all(BlobRow, "blobs", "WHERE stream = ? AND number = ?", (stream, number))
        return found[0] if found else None

    def newest_blobs(self, stream: str, wall_ns: int, limit: int) -> list[BlobRow]:
        """Give a stream's newest blobs that began at a wall instant or later, newest first."""
        rows = self._all(BlobRow, "blobs", "WHERE stream = ? ORDER BY number DESC LIMIT ?", (stream, limit))
        return [row for row in rows if row.wall_from >= wall_ns]

    def waiting_blobs(self, limit: int) -> list[BlobRow]:
        """Give blobs that the hub has not stored: linked to a task first, then the oldest."""
        waits = "WHERE stored = 0 AND removed = 0 AND tasks"
        rows = self._all(BlobRow, "blobs", f"{waits} <> '[]' ORDER BY epoch, position LIMIT ?", (limit,))
        if len(rows) < limit:
            rows += self._all(BlobRow, "blobs", f"{waits} = '[]' ORDER BY epoch, position LIMIT ?", (limit - len(rows),))
        return rows

    def removable_blobs(self, limit: int) -> list[BlobRow]:
        """Give the oldest blobs that are stored, receipted and on disk; the caller looks at open tasks."""
        return self._all(
            BlobRow,
            "blobs",
            "WHERE removed = 0 AND stored = 1 AND position < (SELECT receipted FROM epochs WHERE epochs.epoch = blobs.epoch)"
            " ORDER BY epoch, position LIMIT ?",
            (limit,),
        )

    def removed_blobs(self, limit: int) -> list[BlobRow]:
        """Give the newest blobs whose removal is recorded."""
        return self._all(BlobRow, "blobs", "WHERE removed = 1 ORDER BY epoch DESC, position DESC LIMIT ?", (limit,))

    def receipts(self, epoch: int, *, behind: int = -1, limit: int = -1) -> list[ReceiptRow]:
        """Give the receipts of an epoch that end behind a position, in order; at most `limit`, if it is given."""
        return self._all(ReceiptRow, "receipts", 'WHERE epoch = ? AND "end" > ? ORDER BY "end" LIMIT ?', (epoch, behind, limit))

    def newest_below(self, kind: str, epoch: int, position: int) -> RecordRow | None:
        """Give the newest record of a kind below a position of an epoch."""
        where = "WHERE kind = ? AND epoch = ? AND position < ? ORDER BY position DESC LIMIT 1"
        found = self._all(RecordRow, "records", where, (kind, epoch, position))
        return found[0] if found else None

    def reply(self, command: str) -> bytes | None:
        """Give the reply that a command got before."""
        rows = self._read("SELECT data FROM replies WHERE command = ?", (command,))
        return rows[0][0] if rows else None

    def fact(self, name: str) -> bytes | None:
        """Give a single remembered value."""
        rows = self._read("SELECT data FROM facts WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def backlog(self) -> Mapping[str, int]:
        """Count what the hub does not have yet: `records`, `unreceipted`, `blobs`, `bytes`."""
        journal = self._read("SELECT COALESCE(SUM(size - persisted), 0), COALESCE(SUM(size - receipted), 0) FROM epochs")[0]
        blobs = self._read("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs WHERE stored = 0 AND removed = 0")[0]
        return {"records": journal[0], "unreceipted": journal[1], "blobs": blobs[0], "bytes": blobs[1]}

    def check(self) -> list[str]:
        """Ask SQLite whether its file is whole; give what is wrong."""
        found = [str(row[0]) for row in self._read("PRAGMA quick_check")]
        return [] if found == ["ok"] else found

    # ----------------------------------------------------------------------------------------------------- inside

    def _all(self, row: type[_R], table: str, rest: str = "", values: Sequence[Any] = ()) -> list[_R]:
        names = ", ".join(f'"{each.name}"' for each in fields(row))  # type: ignore[arg-type]  # every row class is a dataclass
        return [row(*found) for found in self._read(f"SELECT {names} FROM {table} {rest}", values)]  # noqa: S608 - our own names

    def _read(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._errors():
            return self._rows(statement, values)

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        with self._errors(), self._database.atomic():
            self._rows(statement, values)

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._use().execute(statement, values).fetchall()

    def _use(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StorageError("is not open", where=str(self.path))
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            family = DiskFullError if _FULL in str(error) else StorageError
            raise family(str(error), where=str(self.path)) from error


def _name_of(hint: Any) -> str:  # noqa: ANN401
    return hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint))
