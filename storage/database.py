"""Hold the hub's tables in SQLite or PostgreSQL, chosen by URL.

Guarantees: `write` runs one function in one transaction, one at a time and off the event loop, and returns after the commit
is durable (SQLite: WAL with synchronous=FULL); `read` sees only committed state. Migrations run at start, before anything
else. What the database says is wrong becomes an error of protocol.errors; no function of ours sees a driver's exception.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Insert, Table, create_engine, event, exc, make_url
from sqlalchemy.dialects import postgresql, sqlite

from protocol.errors import DiskFullError, MalformedError, StorageError, UnavailableError

T = TypeVar("T")
READERS = 4
_SQLITE = "sqlite"
_ERASE = "secure_delete=ON"  # what is deleted is overwritten: bodies of erased records must not stay in free pages
_POSTGRESQL = "postgresql"


@dataclass(slots=True)
class Database:
    """One database. Use as an async context manager."""

    url: str
    busy_seconds: float = 10.0
    _writer: Engine | None = None
    _reader: Engine | None = None
    _write_thread: ThreadPoolExecutor | None = None
    _read_threads: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> "Database":
        await asyncio.to_thread(self.open)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.to_thread(self.close)

    def open(self) -> None:
        """Connect and bring the tables to the newest form.

        Raises MalformedError for a URL that is neither SQLite nor PostgreSQL, UnavailableError when nobody answers.
        """
        dialect = self.dialect
        if dialect == _SQLITE:
            self._writer, self._reader = self._sqlite("BEGIN IMMEDIATE", 1), self._sqlite("BEGIN", READERS)
        else:
            self._writer = create_engine(self.url, pool_size=READERS + 1, pool_pre_ping=True)
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ")  # one state, as SQLite gives it
        self._write_thread = ThreadPoolExecutor(1, "database-writer")
        self._read_threads = ThreadPoolExecutor(READERS, "database-reader")
        try:
            with _named_errors():
                migrate(self._writer)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of threads and connections; safe to repeat."""
        for threads in (self._write_thread, self._read_threads):
            if threads is not None:
                threads.shutdown()
        for engine in (self._writer, self._reader):
            if engine is not None:
                engine.dispose()
        self._writer = self._reader = self._write_thread = self._read_threads = None

    @property
    def dialect(self) -> str:
        """Give `sqlite` or `postgresql`; raise MalformedError for any other URL."""
        try:
            name = make_url(self.url).get_backend_name()
        except exc.ArgumentError as error:
            raise MalformedError("no database URL", where="database.url") from error
        if name not in (_SQLITE, _POSTGRESQL):
            raise MalformedError(f"{name!r} is neither sqlite nor postgresql", where="database.url")
        return name

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run `change` in a transaction and commit it; whatever it raises undoes all of it.

        Raises what `change` raises; UnavailableError, StorageError, DiskFullError from the database.
        """
        return await asyncio.get_running_loop().run_in_executor(self._write_thread, self.write_now, change)

    async def read(self, question: Callable[[Connection], T]) -> T:
        """Run `question` on committed state; raises what it raises, and as `write`."""
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self.read_now, question)

    async def settle(self) -> None:
        """Let what was deleted leave SQLite's write-ahead log too, as far as no reader needs it; PostgreSQL sees to it by VACUUM."""
        if self.dialect == _SQLITE:
            await asyncio.get_running_loop().run_in_executor(self._write_thread, self._checkpoint)

    def _checkpoint(self) -> None:
        with _named_errors():
            connection = _opened(self._writer).raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
            finally:
                connection.close()

    def write_now(self, change: Callable[[Connection], T]) -> T:
        """Do as `write`, in this thread: for programs without a loop."""
        with _named_errors(), _opened(self._writer).begin() as connection:
            return change(connection)

    def read_now(self, question: Callable[[Connection], T]) -> T:
        """Do as `read`, in this thread."""
        with _named_errors(), _opened(self._reader).connect() as connection:
            return question(connection)

    def _sqlite(self, begin: str, size: int) -> Engine:
        path = make_url(self.url).database
        if not path or path == ":memory:":
            raise MalformedError("SQLite needs a file", where="database.url")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            self.url, pool_size=size, max_overflow=0, connect_args={"timeout": self.busy_seconds, "check_same_thread": False}
        )

        def on_connect(connection: Any, _: Any) -> None:  # noqa: ANN401 - the driver's connection
            connection.isolation_level = None  # the driver would begin transactions of its own, too late
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-16000", _ERASE):
                connection.execute(f"PRAGMA {pragma}")

        def on_begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        event.listen(engine, "connect", on_connect)
        event.listen(engine, "begin", on_begin)
        return engine


def migrate(engine: Engine) -> None:
    """Bring the tables to the newest form by the migrations packaged here."""
    config = _migrations()
    with engine.begin() as connection:
        if set(MigrationContext.configure(connection).get_current_heads()) == _newest():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "heads")


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _newest() -> frozenset[str]:
    """Give the versions that the packaged migrations lead to."""
    return frozenset(ScriptDirectory.from_config(_migrations()).get_heads())


def insert_new(connection: Connection, table: Table) -> Insert:
    """Give an INSERT that leaves rows alone whose key is there already."""
    if connection.dialect.name == _SQLITE:
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def insert_many(
    connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]], *, leave_known: bool = False
) -> None:
    """Insert rows given as tuples, past the statement's per-value work: for tables that grow by every record.

    `leave_known`: rows whose key is there already stay as they are.
    """
    quote = connection.dialect.identifier_preparer.quote
    mark = "?" if connection.dialect.name == _SQLITE else "%s"
    columns, marks = ", ".join(map(quote, names)), ", ".join([mark] * len(names))
    rest = " ON CONFLICT DO NOTHING" if leave_known else ""
    connection.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks}){rest}", list(rows))  # noqa: S608 - names of ours


def upsert(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row, or set its other columns where its primary key is there already."""
    keys = [column.name for column in table.primary_key.columns]
    insert = sqlite.insert if connection.dialect.name == _SQLITE else postgresql.insert
    rest = {name: value for name, value in row.items() if name not in keys}
    connection.execute(insert(table).values(row).on_conflict_do_update(index_elements=keys, set_=rest))


def add_up(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, or add their numbers to those of the row whose primary key is there already."""
    keys = [column.name for column in table.primary_key.columns]
    insert = (sqlite.insert if connection.dialect.name == _SQLITE else postgresql.insert)(table)
    sums = {column.name: column + insert.excluded[column.name] for column in table.columns if column.name not in keys}
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=sums), list(rows))


def _opened(engine: Engine | None) -> Engine:
    if engine is None:
        raise StorageError("not open", where="database")
    return engine


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except exc.OperationalError as error:
        text = _first_line(error)
        if "full" in text or "No space" in text:
            raise DiskFullError(text, where="database") from error
        raise UnavailableError(text, where="database") from error
    except exc.DBAPIError as error:
        raise StorageError(_first_line(error), where="database") from error


def _first_line(error: exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
