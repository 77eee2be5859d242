"""Export tasks, and streams over a time, as bundles that outsiders verify: one folder, one zip file, and a record in the port log.

Guarantees: nothing is exported while something that belongs to it is missing; the export record names the hash of the evidence
manifest and is logged before the bundle is given to anyone, and the checkpoint in the bundle covers it; a stopped hub leaves no
half export behind that looks whole; where export key, C2PA library or time authority fail, the export is made without and says so.
See docs/adr/0008.

For `web`: start(task, by), start_time(wish, by) -> ExportState; get(export) -> ExportState; bundle(export) -> Path. `make` and
`make_time` wait for the end.
"""

import asyncio
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar

from sqlalchemy import select

from hub import sealing
from hub.archive import DatabasePort
from hub.core import Core
from hub.finishing import finish
from hub.gathering import Gathered, check_complete, gather
from hub.reporting import Finished, with_report
from protocol import bundle, kinds
from protocol.certificates import Certificate, parse_pem
from protocol.errors import ForbiddenError, PortwitnessError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import StreamId, TaskId
from protocol.instants import SECOND_NS, iso
from protocol.notes import NoteKey
from protocol.reckoning import Scope
from protocol.records import SignedRecord
from protocol.trust import Trust
from storage.bundles import write_beside, write_folder, write_zip
from storage.schema import streams

if TYPE_CHECKING:
    from hub.uploads import Blobs

_T = TypeVar("_T")
KEPT = 64  # finished exports that are remembered
MAX_STREAMS = 64  # of one export by time
MAX_LENGTH_NS = 7 * 86_400 * SECOND_NS  # of one export by time: its records are held in memory
NOTES = "notes.txt"


@dataclass(frozen=True, slots=True)
class ExportState:
    """How far an export is; `what` says why it failed, `notes` what is not in the bundle though it could be."""

    export: str
    task: str
    state: Literal["running", "done", "failed"]
    done_bytes: int
    total_bytes: int
    what: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeWish:
    """Streams over a stretch of wall time (Unix ns), as a supervisor asks for them."""

    streams: tuple[str, ...]
    start_ns: int
    end_ns: int

    def scope(self, now_ns: int) -> Scope:
        """Give it with a name of its own; raise RefusedError when it is too much or not over, MalformedError for what is no stream."""
        found = tuple(sorted({StreamId(one) for one in self.streams}))
        if not 1 <= len(found) <= MAX_STREAMS:
            raise RefusedError(f"{len(found)} streams, expected 1 to {MAX_STREAMS}", where="streams")
        if not 0 <= self.start_ns < self.end_ns <= now_ns or self.end_ns - self.start_ns > MAX_LENGTH_NS:
            raise RefusedError(f"must have ended, and be at most {MAX_LENGTH_NS // SECOND_NS} s long", where="time")
        day = iso(self.start_ns)[:19].replace("-", "").replace(":", "")
        return Scope(f"R-{day}-{secrets.token_hex(4)}", found, self.start_ns, self.end_ns)


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
        """Begin an export of a task in the background.

        Raises RefusedError for a task that is not known or not ended, UnavailableError naming what has not arrived yet.
        """
        return await self._start(Scope(TaskId(task)), by)

    async def start_time(self, wish: TimeWish, by: str) -> ExportState:
        """Begin an export of streams over a time; raise as `start`, and RefusedError for too much, or a stream that is not known."""
        scope = wish.scope(self.core.clock.now().wall_ns)
        known = await self.core.database.read(
            lambda connection: set(connection.execute(select(streams.c.stream).where(streams.c.stream.in_(scope.streams))).scalars())
        )
        if unknown := sorted(set(map(str, scope.streams)) - known):
            raise RefusedError("has never recorded here", where=f"stream {unknown[0]}")
        return await self._start(scope, by)

    async def _start(self, scope: Scope, by: str) -> ExportState:
        key, note = await asyncio.to_thread(sealing.load_key, self.core, self._authorities())
        own = await asyncio.to_thread(sealing.claims, self.core, key)
        gathered = await self._gather(scope, own)
        export = secrets.token_hex(8)
        total = sum(piece.body.size for _, piece in gathered.videos.values())
        state = self._states[export] = ExportState(export, gathered.task, "running", 0, total, notes=(note,) if note else ())
        work = _Work(export, gathered, by, key)
        self._running[export] = asyncio.create_task(self._run(work), name=f"export {gathered.task}")
        while len(self._states) > KEPT:
            self._states.pop(next(iter(self._states)))
        return state

    async def make(self, task: str, by: str) -> Path:
        """Export a task and give its folder; raise as `start`, and what went wrong on the way."""
        return await self._made(await self.start(task, by))

    async def make_time(self, wish: TimeWish, by: str) -> Path:
        """Export streams over a time and give the folder; raise as `start_time`, and what went wrong on the way."""
        return await self._made(await self.start_time(wish, by))

    async def _made(self, begun: ExportState) -> Path:
        await self._running[begun.export]
        state = await self.get(begun.export)
        if state.state != "done":
            raise UnavailableError(state.what, where=f"export of {begun.task}")
        return self._folder(begun.export, begun.task)

    async def records_only(self, scope: Scope, by: str, more: Collection[int] = ()) -> tuple[Gathered, dict[str, bytes], dict[str, bytes]]:
        """Log an export of streams over a time without their videos; give it, the files of its folder, and those beside the folder.

        `more`: further leaves of the port log that must be shown. Raises as `start_time`.
        """
        key, _ = await asyncio.to_thread(sealing.load_key, self.core, self._authorities())
        gathered = await self._gather(scope, await asyncio.to_thread(sealing.claims, self.core, key))
        gathered.videos.clear()
        gathered.indices |= set(more)
        gathered.files |= await self._ask(lambda port: {bundle.leaf_name(index): port.leaf(index) for index in more})
        work = _Work("", gathered, by, key)
        files, beside = await self._sign(work, await self._log(work, stamped=False))
        return gathered, files, beside

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
        notes = folder / NOTES
        told = tuple(notes.read_text().splitlines()) if notes.is_file() else ()
        return ExportState(export, name, "done", size, size, notes=told)

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

    async def _run(self, work: "_Work") -> None:
        export = work.export
        try:
            await self._write(work)
            self._states[export] = replace(self._states[export], state="done", done_bytes=self._states[export].total_bytes)
        except (PortwitnessError, OSError) as error:  # supervision: told to whoever asks for the export
            self._states[export] = replace(self._states[export], state="failed", what=str(error))
        finally:
            self._running.pop(export, None)
            if self._states[export].state != "done":
                await asyncio.to_thread(shutil.rmtree, self._place(export), ignore_errors=True)

    def _note(self, export: str, note: str) -> None:
        if note:
            self._states[export] = replace(self._states[export], notes=(*self._states[export].notes, note))

    def _progress(self, export: str, count: int) -> None:
        self._states[export] = replace(self._states[export], done_bytes=self._states[export].done_bytes + count)

    async def _write(self, work: "_Work") -> None:
        if work.key is not None:
            made, note = await sealing.make_sidecars(
                self.core, self._authorities_path(), work.gathered.videos, lambda count: self._progress(work.export, count)
            )
            work.gathered.files |= made
            self._note(work.export, note)
        files, beside = await self._close(work)
        place, folder = self._place(work.export), self._folder(work.export, work.gathered.task)
        videos = {name: (path, piece.body.sha256) for name, (path, piece) in work.gathered.videos.items()}
        notes = "".join(f"{note}\n" for note in self._states[work.export].notes)
        part = place / "bundle.zip.part"

        def put() -> None:
            write_folder(folder, files, videos)
            write_beside(folder, beside)
            (place / NOTES).write_text(notes)
            write_zip(folder, part)
            part.rename(place / "bundle.zip")

        await asyncio.to_thread(put)

    async def _close(self, work: "_Work") -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Log the export, and give its files and what stands beside the folder.

        The record says beforehand whether a token follows; when no authority gives one, another record says so.
        """
        wants = work.key is not None and bool(self.core.settings.time_authority.urls)
        files, beside = await self._sign(work, await self._log(work, stamped=wants))
        if not wants:
            return files, beside
        try:
            return files, beside | {"tsr": await sealing.stamp(self.core, beside["p7s"])}
        except UnavailableError as error:
            self._note(work.export, f"the time-stamp over the signature is not present: {error}")
        return await self._sign(work, await self._log(work, stamped=False))

    async def _log(self, work: "_Work", *, stamped: bool) -> SignedRecord:
        scope, gathered = work.gathered.scope, work.gathered
        signer = bundle.sha256(work.key.leaf.der) if work.key is not None else None
        body = kinds.Export(work.by, bundle.sha256(gathered.manifest()), len(gathered.hashes()), signer=signer, stamped=stamped or None)
        if scope.streams:
            body = replace(body, streams=tuple(map(str, scope.streams)), start_ns=scope.start, end_ns=scope.end)
        return await self.core.sequencer.issue(body, gathered.task)

    async def _sign(self, work: "_Work", record: SignedRecord) -> tuple[dict[str, bytes], dict[str, bytes]]:
        checkpoint = await self.core.sequencer.checkpoint()
        if self.core.witnesses is not None:
            checkpoint = await self.core.witnesses.over(record.record.position, checkpoint)
        closed = await self._ask(lambda port: finish(port, work.gathered, record, checkpoint))
        videos = {name: path for name, (path, _) in work.gathered.videos.items()}
        files = await asyncio.to_thread(with_report, Finished(closed, videos, work.gathered.exhibits.trust))
        if work.key is None:
            return files, {}
        at_ns = max(self.core.clock.now().wall_ns, record.record.at.wall_ns)
        return files, {"p7s": work.key.sign(files[bundle.TAG_MANIFEST], at_ns)}

    async def _gather(self, scope: Scope, own: Mapping[str, bytes]) -> Gathered:
        _, root = self._authorities()
        trust = Trust(self.core.site, self.core.hub_id, root.fingerprint, NoteKey.parse(self.core.sequencer.vkey))
        gathered = await self._ask(lambda port: gather(port, scope, trust), own)
        check_complete(gathered)
        return gathered

    async def _ask(self, question: "Callable[[DatabasePort], _T]", own: Mapping[str, bytes] | None = None) -> _T:
        loop = asyncio.get_running_loop()
        authorities = self._authorities()

        def path(sha256: bytes) -> Path | None:
            try:
                return asyncio.run_coroutine_threadsafe(self.blobs.store.path(sha256), loop).result()
            except StorageError:
                return None

        return await self.core.database.read(
            lambda connection: question(DatabasePort(connection, str(self.core.issuer), authorities, path, own or {}))
        )

    def _authorities_path(self) -> Path:
        return self.core.settings.device.authorities or self.core.settings.keys / "site.pem"

    def _authorities(self) -> tuple[Certificate, Certificate]:
        path = self._authorities_path()
        try:
            found = parse_pem(path.read_bytes())
        except OSError as error:
            raise StorageError(f"cannot read the site's certificates: {error.strerror}", where=str(path)) from error
        if len(found) != 2:
            raise StorageError(f"{len(found)} certificates, expected site CA and root", where=str(path))
        return found[0], found[1]


@dataclass(frozen=True, slots=True)
class _Work:
    """One export on its way."""

    export: str
    gathered: Gathered
    by: str
    key: sealing.ExportKey | None
