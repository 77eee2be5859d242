"""Export tasks as bundles that outsiders verify: one folder and one zip file per export, and a record of each in the port log.

Guarantees: nothing is exported while something that belongs to the task is missing; the export record names the hash of the
evidence manifest and is logged before the bundle is given to anyone, and the checkpoint in the bundle covers it; a stopped hub
leaves no half export behind that looks whole. See docs/adr/0008.

For `web`: start(task, by) -> ExportState; get(export) -> ExportState; bundle(export) -> Path. `make` waits for the end.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from sqlalchemy import Connection, Select, func, select

from hub.core import Core
from hub.gathering import Gathered, check_complete, finish, gather
from hub.history import kept_checkpoints
from hub.timestamps import tokens_about
from protocol import bundle, kinds
from protocol.certificates import Certificate, parse_pem
from protocol.errors import ForbiddenError, PortwitnessError, StorageError, UnavailableError
from protocol.identifiers import Issuer, TaskId
from protocol.merkle import NodeReader
from protocol.notes import NoteKey
from protocol.trust import Trust
from storage.bundles import write_folder, write_zip
from storage.logs import JournalLog, PortLog, port_entries, reader
from storage.schema import heads_seen, identities, journals, leaves, orders, records, seals, sessions, tasks

if TYPE_CHECKING:
    from hub.uploads import Blobs

_T = TypeVar("_T")
KEPT = 64  # finished exports that are remembered


@dataclass(frozen=True, slots=True)
class ExportState:
    """How far an export is; `what` says why it failed."""

    export: str
    task: str
    state: Literal["running", "done", "failed"]
    done_bytes: int
    total_bytes: int
    what: str = ""


@dataclass(slots=True)
class Export:
    """The hub's exports. Use as an async context manager, or call `close`."""

    core: Core
    blobs: "Blobs"
    _states: dict[str, ExportState] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def __aenter__(self) -> "Export":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop what runs; half exports are removed."""
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def start(self, task: str, by: str) -> ExportState:
        """Begin an export in the background.

        Raises RefusedError for a task that is not known or not ended, UnavailableError naming what has not arrived yet.
        """
        gathered = await self._gather(TaskId(task))
        export = secrets.token_hex(8)
        total = sum(piece.body.size for _, piece in gathered.videos.values())
        state = self._states[export] = ExportState(export, task, "running", 0, total)
        self._running[export] = asyncio.create_task(self._run(export, gathered, by), name=f"export {task}")
        while len(self._states) > KEPT:
            self._states.pop(next(iter(self._states)))
        return state

    async def make(self, task: str, by: str) -> Path:
        """Export a task and give its folder; raise as `start`, and what went wrong on the way."""
        export = (await self.start(task, by)).export
        await self._running[export]
        state = await self.get(export)
        if state.state != "done":
            raise UnavailableError(state.what, where=f"export of {task}")
        return self._folder(export, task)

    async def get(self, export: str) -> ExportState:
        """Tell how far an export is; raise ForbiddenError when there is none of this name."""
        found = self._states.get(export)
        if found is not None:
            return found
        folder = self._place(export)
        if not await asyncio.to_thread((folder / "bundle.zip").is_file):
            raise ForbiddenError("no such export", where="export")
        name = next(one.name for one in folder.iterdir() if one.is_dir()).removeprefix("case-")
        size = (folder / "bundle.zip").stat().st_size
        return ExportState(export, name, "done", size, size)

    async def bundle(self, export: str) -> Path:
        """Give the zip file of a finished export; raise UnavailableError while it runs, ForbiddenError when there is none."""
        state = await self.get(export)
        if state.state != "done":
            raise UnavailableError(f"is {state.state}{': ' + state.what if state.what else ''}", where=f"export {export}")
        return self._place(export) / "bundle.zip"

    # ------------------------------------------------------------------------------------------------------- details

    def _place(self, export: str) -> Path:
        if len(export) != 16 or not all(digit in "0123456789abcdef" for digit in export):
            raise ForbiddenError("no such export", where="export")
        return self.core.settings.port.state / "exports" / export

    def _folder(self, export: str, task: str) -> Path:
        return self._place(export) / f"case-{task}"

    async def _run(self, export: str, gathered: Gathered, by: str) -> None:
        state = self._states[export]
        try:
            await self._write(export, gathered, by)
            self._states[export] = replace(state, state="done", done_bytes=state.total_bytes)
        except (PortwitnessError, OSError) as error:  # supervision: told to whoever asks for the export
            self._states[export] = replace(state, state="failed", what=str(error))
        finally:
            self._running.pop(export, None)
            if self._states[export].state != "done":
                await asyncio.to_thread(shutil.rmtree, self._place(export), ignore_errors=True)

    async def _write(self, export: str, gathered: Gathered, by: str) -> None:
        body = kinds.Export(by, bundle.sha256(gathered.manifest()), len(gathered.hashes()))
        record = await self.core.sequencer.issue(body, gathered.task)
        checkpoint = await self.core.sequencer.checkpoint()
        if self.core.witnesses is not None:
            checkpoint = await self.core.witnesses.over(record.record.position, checkpoint)
        files = await self._ask(lambda port: finish(port, gathered, record, checkpoint))
        videos = {name: (path, piece.body.sha256) for name, (path, piece) in gathered.videos.items()}
        place = self._place(export)
        part = place / "bundle.zip.part"

        def put() -> None:
            write_folder(self._folder(export, gathered.task), files, videos)
            write_zip(self._folder(export, gathered.task), part)
            part.rename(place / "bundle.zip")

        await asyncio.to_thread(put)

    async def _gather(self, task: TaskId) -> Gathered:
        _, root = self._authorities()
        trust = Trust(self.core.site, self.core.hub_id, root.fingerprint, NoteKey.parse(self.core.sequencer.vkey))
        gathered = await self._ask(lambda port: gather(port, task, trust))
        check_complete(gathered)
        return gathered

    async def _ask(self, question: "Callable[[DatabasePort], _T]") -> _T:
        loop = asyncio.get_running_loop()
        authorities = self._authorities()

        def path(sha256: bytes) -> Path | None:
            try:
                return asyncio.run_coroutine_threadsafe(self.blobs.store.path(sha256), loop).result()
            except StorageError:
                return None

        return await self.core.database.read(
            lambda connection: question(DatabasePort(connection, str(self.core.issuer), authorities, path))
        )

    def _authorities(self) -> tuple[Certificate, Certificate]:
        path = self.core.settings.device.authorities or self.core.settings.keys / "site.pem"
        try:
            found = parse_pem(path.read_bytes())
        except OSError as error:
            raise StorageError(f"cannot read the site's certificates: {error.strerror}", where=str(path)) from error
        if len(found) != 2:
            raise StorageError(f"{len(found)} certificates, expected site CA and root", where=str(path))
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class DatabasePort:
    """Answer `hub.gathering.Port` from the hub's tables; every question is a look-up by key."""

    connection: Connection
    issuer: str
    chain: tuple[Certificate, Certificate]
    find_blob: Callable[[bytes], Path | None]

    def task_leaves(self, task: str) -> list[int]:
        """Give the log indices of the task's opening, end and pairing orders."""
        row = self.connection.execute(select(tasks.c.opened_at, tasks.c.ended_at).where(tasks.c.task == task)).first()
        ordered = self.connection.execute(select(orders.c.position).where(orders.c.task == task)).scalars()
        return [*ordered, *(index for index in (row or ()) if index is not None)]

    def enrolment_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's enrolments and revocations."""
        rows = self.connection.execute(select(identities.c.position, identities.c.until).where(identities.c.box == box)).all()
        return [index for row in rows for index in row if index is not None]

    def leaf(self, index: int) -> bytes:
        """Give a leaf of the port log; raise StorageError when it is not there."""
        found = port_entries(self.connection, index, index + 1)
        if not found:
            raise StorageError(f"leaf {index} is missing", where="port log")
        return found[0]

    def hub_leaf_before(self, index: int) -> int | None:
        """Give the last `stored` record below `index`."""
        query = self._stored().where(leaves.c.position < index).order_by(leaves.c.position.desc()).limit(1)
        return self.connection.execute(query).scalar()

    def hub_leaf_after(self, index: int) -> int | None:
        """Give the first `stored` record above `index`."""
        query = self._stored().where(leaves.c.position > index).order_by(leaves.c.position).limit(1)
        return self.connection.execute(query).scalar()

    def _stored(self) -> Select[int]:
        same = (
            (leaves.c.issuer == records.c.issuer) & (leaves.c.epoch == records.c.epoch) & (leaves.c.record_position == records.c.position)
        )
        query = select(leaves.c.position).select_from(leaves.join(records, same))
        return query.where(leaves.c.issuer == self.issuer, records.c.kind == kinds.Stored.KIND)

    def head_leaves(self, box: str) -> list[int]:
        """Give the log indices of a box's heads that were brought by hand."""
        query = select(heads_seen.c.position).where(heads_seen.c.box == box).order_by(heads_seen.c.position)
        return list(self.connection.execute(query).scalars())

    def checkpoints(self, first: int, last: int) -> list[bytes]:
        """Give kept checkpoints by size."""
        return kept_checkpoints(self.connection, first, last)

    def tokens(self, first: int, last: int) -> list[tuple[int, int, bytes]]:
        """Give the tokens about these leaves."""
        return tokens_about(self.connection, first, last)

    def log_nodes(self) -> NodeReader:
        """Read the port log's tree."""
        return reader(self.connection, PortLog())

    def epochs(self, box: str) -> list[tuple[int, int]]:
        """Give (epoch, size) of a box's journals, in order."""
        query = select(journals.c.epoch, journals.c.size).where(journals.c.box == box).order_by(journals.c.epoch)
        return [(row.epoch, row.size) for row in self.connection.execute(query)]

    def first_after(self, box: str, epoch: int, wall_ns: int) -> int | None:
        """Give the first position whose wall time is later, by bisection: wall time runs forward but for rare steps."""
        size = next((size for known, size in self.epochs(box) if known == epoch), 0)
        low, high = 0, size
        while low < high:
            middle = (low + high) // 2
            if self._wall(box, epoch, middle) > wall_ns:
                high = middle
            else:
                low = middle + 1
        return low if low < size else None

    def _wall(self, box: str, epoch: int, position: int) -> int:
        mine = (records.c.issuer == str(Issuer.of_box(box))) & (records.c.epoch == epoch) & (records.c.position == position)
        return int(self.connection.execute(select(records.c.wall_ns).where(mine)).scalar_one())

    def session_before(self, box: str, epoch: int, position: int) -> int | None:
        """Give the position of the newest session record below `position`."""
        mine = (sessions.c.box == box) & (sessions.c.epoch == epoch) & (sessions.c.position < position)
        return self.connection.execute(select(func.max(sessions.c.position)).where(mine)).scalar()

    def records(self, box: str, epoch: int, first: int, end: int) -> list[bytes]:
        """Give records [first, end) of a journal, as far as they are here."""
        mine = (records.c.issuer == str(Issuer.of_box(box))) & (records.c.epoch == epoch)
        query = select(records.c.data).where(mine, records.c.position >= first, records.c.position < end).order_by(records.c.position)
        return [bytes(data) for data in self.connection.execute(query).scalars()]

    def seals(self, box: str, epoch: int, first: int) -> list[tuple[int, int]]:
        """Give (position, log index) of the logged seals from `first` on, in order."""
        mine = (seals.c.box == box) & (seals.c.epoch == epoch) & (seals.c.position >= first)
        query = select(seals.c.position, seals.c.log_index).where(mine, seals.c.log_index.is_not(None)).order_by(seals.c.position)
        return [(row.position, row.log_index) for row in self.connection.execute(query)]

    def journal_nodes(self, box: str, epoch: int) -> NodeReader:
        """Read a journal's tree."""
        return reader(self.connection, JournalLog(str(Issuer.of_box(box)), epoch))

    def blob(self, sha256: bytes) -> Path | None:
        """Give the file of a stored blob."""
        return self.find_blob(sha256)

    def authorities(self) -> tuple[Certificate, Certificate]:
        """Give (site CA, root)."""
        return self.chain
