"""Carry this port's newest checkpoint to the national log every few minutes, and keep the proof that it stands there.

Guarantees: what is kept was verified under the national key, holds this hub's own checkpoint, and its national checkpoint extends the
one kept before, so that the national log cannot show this port two histories either; the port's work waits for none of it.
"""

import asyncio
import logging
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType

import httpx
from sqlalchemy import Connection, and_, select

from hub.core import Core
from hub.witnesses import prove
from protocol import kinds
from protocol.bundle import LogProof, parse_consistency
from protocol.errors import MalformedError, PortwitnessError, RefusedError, StorageError, UnavailableError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.merkle import inclusion_proof, verify_consistency
from protocol.nation import MAX_PROOF_BYTES, Chain, National, NationalProof, verify_national
from protocol.notes import NoteKey, SignedCheckpoint
from protocol.records import read
from protocol.witnessing import PATH, AddCheckpoint, parse_conflict
from storage.logs import JournalLog, PortLog, reader, write_whole
from storage.schema import seals

ATTEMPTS = 3  # the size that the national log holds may be learned, and may move meanwhile
RETRY_S = 60.0
SILENT_AFTER = 3  # failures in a row before it rings
NAME = "national.tlog-proof"
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Nation:
    """The way up. Use as an async context manager; does nothing where no national log is set."""

    core: Core
    fault: str = ""
    newest: NationalProof | None = None
    _failures: int = 0
    _client: httpx.AsyncClient | None = None
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Nation":
        settings = self.core.settings.national
        if not settings.url:
            return self
        if not settings.vkey:
            raise MalformedError("a national log needs its verifier key", where="national.vkey")
        self.newest = await asyncio.to_thread(self._load)
        self._client = httpx.AsyncClient(timeout=settings.timeout_seconds, trust_env=False)
        self._task = asyncio.create_task(self._run(), name="national log")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def key(self) -> NoteKey:
        """Give the national log's key."""
        return NoteKey.parse(self.core.settings.national.vkey)

    def shown(self) -> National | None:
        """Give what the newest proof shows; None before the first."""
        return None if self.newest is None else verify_national(self.newest, self.core.sequencer.key, self.key)

    async def _run(self) -> None:
        while True:
            pause_s = self.core.settings.national.every_minutes * 60.0
            try:
                await self.push()
                self.fault, self._failures = "", 0
            except PortwitnessError as error:  # supervision: said, and tried again
                pause_s = min(pause_s, RETRY_S)
                await self._tell(error)
            await asyncio.sleep(pause_s)

    async def _tell(self, error: PortwitnessError) -> None:
        self.fault, self._failures = str(error), self._failures + 1
        _LOG.error("national log: %s", error)
        wrong = isinstance(error, VerificationError | RefusedError)
        if wrong or self._failures == SILENT_AFTER:
            await self.core.alarms.ring("national log refuses" if wrong else "national log silent", self.key.name, self.fault[:900])

    async def push(self) -> NationalProof | None:
        """Bring the newest checkpoint up; give the kept proof, None when nothing is published yet.

        Raises UnavailableError when nobody answers, RefusedError when the national log refuses this port's history, VerificationError
        when what it answers does not hold.
        """
        note = self._note()
        if not note:
            return None
        ours = SignedCheckpoint.parse(note).checkpoint
        before = self.shown()
        old = min(before.port.checkpoint.size, ours.size) if before is not None else 0
        for _ in range(ATTEMPTS):
            status, body = await self._ask(AddCheckpoint(old, await self._prove(old, ours.size), note))
            if status == HTTPStatus.OK:
                return await self._keep(NationalProof.parse(body), before, SignedCheckpoint.parse(note))
            if status != HTTPStatus.CONFLICT or (held := parse_conflict(body)) == old:
                what = body[:200].decode("utf-8", "replace").strip()
                family = UnavailableError if status in (HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)) else RefusedError
                raise family(f"{status}: {what}", where="national log")
            if held > ours.size:
                raise RefusedError(
                    f"holds {held} leaves of this log, {ours.size} are published: an old copy of the hub?", where="national log"
                )
            old = held
        raise UnavailableError("its size moved on at each attempt", where="national log")

    def _note(self) -> bytes:
        """Give the newest checkpoint: the newest with a quorum where one is asked for."""
        witnesses = self.core.witnesses
        return witnesses.head.note if witnesses is not None and witnesses.policy.asks else self.core.sequencer.checkpoint_now()

    async def _prove(self, old: int, new: int) -> tuple[bytes, ...]:
        return await self.core.database.read(lambda connection: prove(connection, old, new))

    async def _keep(self, shown: NationalProof, before: National | None, ours: SignedCheckpoint) -> NationalProof:
        found = verify_national(shown, self.core.sequencer.key, self.key)
        if found.port.checkpoint != ours.checkpoint:
            raise VerificationError("answers with another checkpoint of this log", where="national log")
        if before is not None:
            old, new = before.national, found.national
            if new.size < old.size:
                raise VerificationError(f"shows {new.size} leaves, {old.size} were shown before", where="national log")
            path = parse_consistency(await self._get(f"/log/consistency/{old.size}/{new.size}"))
            verify_consistency(old.size, old.root, new.size, new.root, path)
        await asyncio.to_thread(write_whole, self.core.sequencer.folder.root / NAME, shown.encode())
        self.newest = shown
        return shown

    def _load(self) -> NationalProof | None:
        path = self.core.sequencer.folder.root / NAME
        try:
            shown = NationalProof.parse(path.read_bytes())
            verify_national(shown, self.core.sequencer.key, self.key)
        except FileNotFoundError:
            return None
        except (OSError, MalformedError, VerificationError) as error:
            raise StorageError(f"is no proof of this log in the national one: {error}", where=str(path)) from error
        return shown

    async def chain(self, box: BoxId, epoch: int, position: int) -> Chain:
        """Give what leads from a box's record to the national log; raise UnavailableError before the national log covers it."""
        shown = self.newest
        if shown is None:
            raise UnavailableError("no checkpoint stands in a national log yet", where="national log")
        body = read(shown.record).record.body
        assert isinstance(body, kinds.PortCheckpoint)  # verified when it came
        note = body.note
        return await self.core.database.read(lambda connection: _chain(connection, (box, epoch, position), note, shown))

    # ----------------------------------------------------------------------------------------------------- the line

    async def _ask(self, request: AddCheckpoint) -> tuple[int, bytes]:
        return await self._exchange("POST", f"/national{PATH}", request.encode())

    async def _get(self, path: str) -> bytes:
        status, body = await self._exchange("GET", path, b"")
        if status != HTTPStatus.OK:
            raise UnavailableError(f"{status} for {path}", where="national log")
        return body

    async def _exchange(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        """Ask once, bounded in time and size; raise UnavailableError."""
        if self._client is None:
            raise UnavailableError("not set, or not started", where="national log")
        settings = self.core.settings.national
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                async with self._client.stream(method, f"{settings.url.rstrip('/')}{path}", content=content) as answer:
                    body = b""
                    async for chunk in answer.aiter_bytes():
                        body += chunk
                        if len(body) > MAX_PROOF_BYTES:
                            raise UnavailableError(f"answers more than {MAX_PROOF_BYTES} bytes", where="national log")
                    return answer.status_code, body
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise UnavailableError(f"does not answer: {type(error).__name__}", where="national log") from error


def _chain(connection: Connection, place: tuple[BoxId, int, int], note: bytes, shown: NationalProof) -> Chain:
    box, epoch, position = place
    size = SignedCheckpoint.parse(note).checkpoint.size
    above = and_(seals.c.box == box, seals.c.epoch == epoch, seals.c.position > position, seals.c.log_index < size)
    seal = connection.execute(select(seals).where(above).order_by(seals.c.position).limit(1)).first()
    if seal is None:
        raise UnavailableError("the national log does not cover it yet", where=f"{box} epoch {epoch} position {position}")
    journal = JournalLog(str(Issuer.of_box(box)), epoch)
    return Chain(
        record=journal.entries(connection, position, position + 1)[0],
        path=tuple(inclusion_proof(position, seal.position, reader(connection, journal))),
        seal=journal.entries(connection, seal.position, seal.position + 1)[0],
        port=LogProof(seal.log_index, tuple(inclusion_proof(seal.log_index, size, reader(connection, PortLog()))), note),
        national=shown,
    )
