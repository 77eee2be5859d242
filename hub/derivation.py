"""Make redacted copies of what a task recorded: as new files that name their parents, one job at a time in a process of its own.

Guarantees: parents are verified segments of the task's own time; a proposal is applied only after a person accepted it, and nothing
is made while one waits for a word; the new file's record - parents, areas, by whom, with which tools - is in the port log before the
file is given to anyone; a job has limits of time and memory, tells how far it is, and leaves nothing behind when it is cancelled.
See docs/adr/0015.

For `web`: propose(stretch, by), redact(wish, by) -> Job; get(job); decide(job, number, accepted, by); cancel(job); made(task);
find(task, sha256) -> Made; path(made) -> Path.
"""

import asyncio
import hashlib
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from sqlalchemy import Connection, select

from hub.core import Core
from hub.timeline import timeline
from hub.uploads import Blobs
from hub.values import LaneSegment
from protocol import kinds
from protocol.derivation import MAX_LENGTH_MS, MAX_PARENTS, Proposal, check_areas, confirmed
from protocol.errors import ForbiddenError, MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import Issuer, StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS
from protocol.records import SignedRecord, read
from storage.schema import derivations, records

MAX_WAITING = 8
KEPT = 64  # jobs that are remembered
LEAST_S = 120.0  # that a job may take; longer films get FACTOR times their length
FACTOR = 20.0
READ_BYTES = 1 << 20
MAX_LINE_BYTES = 1 << 22
_PROGRAM = "hub.redactor"
_ERRORS: Mapping[str, type[PortwitnessError]] = {"MalformedError": MalformedError, "RefusedError": RefusedError}
Sound = Literal["kept", "muted"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch [start, end) of one of a task's lanes, by the box's wall clock (Unix ns)."""

    task: str
    stream: str
    start_ns: int
    end_ns: int

    def check(self) -> "Stretch":
        """Give it back; raise RefusedError when it is empty or too long, MalformedError for what is no stream."""
        StreamId(self.stream)
        if not 0 < self.end_ns - self.start_ns <= MAX_LENGTH_MS * MILLISECOND_NS:
            raise RefusedError(f"choose a stretch of at most {MAX_LENGTH_MS // 60_000} minutes, from before to", where="time")
        return self

    @property
    def length_ms(self) -> int:
        """Give its length, rounded up."""
        return -(-(self.end_ns - self.start_ns) // MILLISECOND_NS)


@dataclass(frozen=True, slots=True)
class Redaction:
    """What a person wants: drawn areas, and the job whose proposals they decided on, all of them."""

    stretch: Stretch
    areas: tuple[kinds.Area, ...]
    sound: Sound
    reason: str
    proposals: str | None = None
    way: str = "black"  # of accepted proposals


@dataclass(frozen=True, slots=True)
class Job:
    """How far a job is; `what` says why it failed, `derived` is the new file's SHA-256."""

    job: str
    act: Literal["propose", "redact"]
    stretch: Stretch
    by: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    done_ms: int = 0
    what: str = ""
    proposals: tuple[Proposal, ...] = ()
    derived: bytes | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A derived file: its record, and where that stands in the port log."""

    index: int
    signed: SignedRecord
    body: kinds.Derived


@dataclass(slots=True)
class Derivation:
    """The hub's derived files. Use as an async context manager."""

    core: Core
    blobs: Blobs
    _jobs: dict[str, Job] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> "Derivation":
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        running = list(self._running.values())
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @property
    def _folder(self) -> Path:
        return self.core.settings.port.state / "derivation"

    # ----------------------------------------------------------------------------------------------------- for `web`

    async def propose(self, stretch: Stretch, by: str) -> Job:
        """Begin to look for faces; raise as `pieces`, UnavailableError when too many jobs wait."""
        return self._start(Job(secrets.token_hex(8), "propose", stretch.check(), by), await self.pieces(stretch), None)

    async def redact(self, wish: Redaction, by: str) -> Job:
        """Begin to make a redacted copy; raise as `propose`, and for areas that cannot be or proposals that wait for a word."""
        areas = (*wish.areas, *confirmed(self._proposals(wish), wish.way))
        check_areas(areas, wish.stretch.check().length_ms)
        ready = replace(wish, areas=areas)
        return self._start(Job(secrets.token_hex(8), "redact", wish.stretch, by), await self.pieces(wish.stretch), ready)

    def get(self, job: str) -> Job:
        """Tell how far a job is; raise ForbiddenError when there is none of this name."""
        if job not in self._jobs:
            raise ForbiddenError("no such job", where="job")
        return self._jobs[job]

    def decide(self, job: str, number: int, *, accepted: bool, by: str) -> Job:
        """Note a person's word on a proposal; raise ForbiddenError when there is no such job or proposal."""
        found = self.get(job)
        if not 0 <= number < len(found.proposals):
            raise ForbiddenError("no such proposal", where="proposals")
        said = found.proposals[number].decided(accepted=accepted, by=by)
        self._jobs[job] = replace(found, proposals=(*found.proposals[:number], said, *found.proposals[number + 1 :]))
        return self._jobs[job]

    async def cancel(self, job: str) -> Job:
        """Stop a job; what is done stays done. Raises ForbiddenError when there is none of this name."""
        self.get(job)
        running = self._running.get(job)
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._running.pop(job, None)
            if self.get(job).state in ("waiting", "running"):  # it had not begun yet
                self._note(job, state="cancelled")
        return self.get(job)

    async def made(self, task: str) -> list[Made]:
        """Give what was derived from a task, oldest first."""
        return await self.core.database.read(lambda connection: _made(connection, str(self.core.issuer), task))

    async def find(self, task: str, sha256: bytes) -> Made:
        """Give a derived file of a task; raise ForbiddenError when there is none."""
        found = next((one for one in await self.made(task) if one.body.sha256 == sha256), None)
        if found is None:
            raise ForbiddenError("no such derived file", where="derived")
        return found

    async def path(self, made: Made) -> Path:
        """Give a derived file's bytes; raise StorageError when they are not here."""
        return await self.blobs.store.path(made.body.sha256)

    async def pieces(self, stretch: Stretch) -> list[LaneSegment]:
        """Give the segments of a stretch, in order.

        Raises RefusedError when it is not all of the task's time, holds no segment or too many, UnavailableError naming one that is
        not verified and stored here.
        """
        stretch.check()
        now_ns = self.core.clock.now().wall_ns
        line = await self.core.database.read(lambda connection: timeline(connection, stretch.task, now_ns))
        lane = next((lane for lane in line.lanes if lane.stream == stretch.stream), None)
        if lane is None or not any(start <= stretch.start_ns and stretch.end_ns <= end for start, end in lane.stretches):
            raise RefusedError("this stretch is not all of the task's", where="time")
        found = [one for one in lane.segments if one.wall_from < stretch.end_ns and one.wall_to > stretch.start_ns]
        if not 1 <= len(found) <= MAX_PARENTS:
            raise RefusedError(f"{len(found)} segments lie in this stretch, expected 1 to {MAX_PARENTS}", where="time")
        for one in found:
            if one.state != "verified":
                raise UnavailableError(
                    f"segment {one.number} is {one.state}{': ' + one.detail if one.detail else ''}", where=stretch.stream
                )
        return sorted(found, key=lambda one: one.wall_from)

    # ------------------------------------------------------------------------------------------------------- details

    def _proposals(self, wish: Redaction) -> Sequence[Proposal]:
        if wish.proposals is None:
            return ()
        job = self.get(wish.proposals)
        if job.act != "propose" or job.state != "done" or job.stretch != wish.stretch:
            raise RefusedError("these proposals are not finished, or of another stretch", where="proposals")
        return job.proposals

    def _start(self, job: Job, pieces: Sequence[LaneSegment], wish: Redaction | None) -> Job:
        if len(self._running) >= MAX_WAITING:
            raise UnavailableError(f"{len(self._running)} jobs wait already", where="redaction")
        self._jobs[job.job] = job
        self._running[job.job] = asyncio.create_task(self._run(job.job, pieces, wish), name=f"{job.act} {job.job}")
        while len(self._jobs) > KEPT:
            self._jobs.pop(next(iter(self._jobs)))
        return job

    def _note(self, job: str, **changes: Any) -> None:  # noqa: ANN401
        if job in self._jobs:
            self._jobs[job] = replace(self._jobs[job], **changes)

    async def _run(self, job: str, pieces: Sequence[LaneSegment], wish: Redaction | None) -> None:
        target = self._folder / f"{job}.mp4"
        try:
            async with self._turn:
                self._note(job, state="running")
                await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
                result = await self._ask(job, await self._order(job, pieces, wish, target))
                if wish is None:
                    self._note(job, state="done", proposals=_read_proposals(result))
                else:
                    self._note(job, state="done", derived=await self._keep(job, wish, pieces, target, result))
        except asyncio.CancelledError:
            self._note(job, state="cancelled")
            raise
        except (PortwitnessError, OSError) as error:  # supervision: told to whoever asks for the job
            self._note(job, state="failed", what=error.what if isinstance(error, PortwitnessError) else str(error))
        finally:
            self._running.pop(job, None)
            target.unlink(missing_ok=True)

    async def _order(self, job: str, pieces: Sequence[LaneSegment], wish: Redaction | None, target: Path) -> dict[str, Any]:
        stretch = self._jobs[job].stretch
        files = [(str(await self.blobs.open(one.sha256)), one.wall_from) for one in pieces]
        order: dict[str, Any] = {"act": "propose", "pieces": files, "start_ns": stretch.start_ns, "end_ns": stretch.end_ns}
        if wish is not None:
            order |= {"act": "redact", "areas": [asdict(area) for area in wish.areas], "sound": wish.sound, "out": str(target)}
        return order

    async def _ask(self, job: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Have the process do it, within its time; raise what it says is wrong."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", _PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MAX_LINE_BYTES
        )
        length_s = (order["end_ns"] - order["start_ns"]) / SECOND_NS
        try:
            async with asyncio.timeout(max(LEAST_S, FACTOR * length_s)):
                return await self._converse(job, process, order)
        except TimeoutError as error:
            raise UnavailableError("took too long and was stopped", where="redaction") from error
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _converse(self, job: str, process: asyncio.subprocess.Process, order: Mapping[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
            async for line in process.stdout:
                said = json.loads(line)
                if "result" in said:
                    return dict(said["result"])
                if "error" in said:
                    error = said["error"]
                    raise _ERRORS.get(error["kind"], MalformedError)(str(error["what"])[:300], where=str(error["where"])[:100])
                self._note(job, done_ms=int(said["done"]))
        except (OSError, ValueError, KeyError) as error:
            raise UnavailableError(f"ended or is not understood ({type(error).__name__})", where=_PROGRAM) from error
        raise UnavailableError("ended without an answer: out of memory, time or disk", where=_PROGRAM)

    async def _keep(self, job: str, wish: Redaction, pieces: Sequence[LaneSegment], target: Path, result: Mapping[str, Any]) -> bytes:
        """Store the new file, then log its record."""
        sha256, size = await asyncio.to_thread(_hash, target)
        parents = await self.core.database.read(lambda connection: tuple(_parent(connection, one) for one in pieces))
        await self.blobs.store.put(sha256, size, _chunks(target))
        stretch = wish.stretch
        body = kinds.Derived(
            act="redacted",
            sha256=sha256,
            size=size,
            by=self._jobs[job].by,
            stream=stretch.stream,
            start_ns=stretch.start_ns,
            end_ns=stretch.end_ns,
            parents=parents,
            areas=wish.areas,
            sound=result["sound"] if wish.sound == "kept" else "muted",
            frames=int(result["frames"]),
            tools=tuple((str(name), str(version)) for name, version in result["tools"]),
            reason=wish.reason,
        )
        await self.core.sequencer.issue(body, stretch.task)
        return sha256


def _hash(path: Path) -> tuple[bytes, int]:
    counted, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            counted.update(data)
            size += len(data)
    return counted.digest(), size


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while data := await asyncio.to_thread(file.read, READ_BYTES):
            yield data
    finally:
        file.close()


def _parent(connection: Connection, piece: LaneSegment) -> kinds.Parent:
    mine = (records.c.issuer == str(Issuer.of_box(piece.box))) & (records.c.epoch == piece.epoch) & (records.c.position == piece.position)
    leaf = connection.execute(select(records.c.leaf).where(mine)).scalar()
    if leaf is None:
        raise StorageError("its record is not here", where=f"segment {piece.number}")
    return kinds.Parent(piece.number, piece.sha256, bytes(leaf), piece.epoch, piece.position)


def _made(connection: Connection, issuer: str, task: str) -> list[Made]:
    mine = (records.c.issuer == issuer) & (records.c.epoch == 0) & (records.c.position == derivations.c.position)
    query = select(records.c.data).select_from(derivations.join(records, mine)).where(derivations.c.task == task)
    found = []
    for data in connection.execute(query.order_by(derivations.c.position)).scalars():
        signed = read(bytes(data))
        if isinstance(signed.record.body, kinds.Derived):
            found.append(Made(signed.record.position, signed, signed.record.body))
    return found


def _read_proposals(result: Mapping[str, Any]) -> tuple[Proposal, ...]:
    found = result["proposals"][:128]
    return tuple(Proposal(at, tuple(tuple(point) for point in one["points"]), one["until"], one["label"]) for at, one in enumerate(found))
