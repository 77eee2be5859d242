"""Take the checkpoints of ports into this hub's log: the national level, by the code of the port log.

Guarantees: a port's checkpoint becomes a leaf only when the port's key signed it and it is proven to extend the one held, and is
answered with a proof under a published checkpoint; each port has one history here - a second one is refused, its two signed
checkpoints are kept as a record and ring; whatever a caller sends, the answer is one of tlog-witness', and costs little before the
port's signature holds.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from sqlalchemy import Connection, select

from hub.core import Core
from hub.ingest import ring_once
from hub.sequencer import stage
from protocol import kinds
from protocol.bundle import LogProof
from protocol.errors import MalformedError, UnavailableError
from protocol.merkle import inclusion_proof
from protocol.nation import NationalProof
from protocol.notes import ED25519, NoteKey, SignedCheckpoint
from protocol.records import read
from protocol.witnessing import AddCheckpoint, Answer, Head, judge, origin_of, refuse
from storage.logs import PortLog, port_entries, reader
from storage.schema import port_heads

FORKED, UNPROVEN = "port log forked", "port log unproven"


@dataclass(frozen=True, slots=True)
class Held:
    """The newest checkpoint held of a port, and its leaf here; None: none yet."""

    head: Head = field(default_factory=Head)
    position: int | None = None


@dataclass(slots=True)
class Ports:
    """The ports whose logs this hub takes; none where it is no national hub."""

    core: Core
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def known(self) -> Mapping[str, Sequence[NoteKey]]:
        """Give the keys trusted per origin; raise MalformedError when one is no log's key, or this hub's own."""
        found: dict[str, tuple[NoteKey, ...]] = {}
        for one in self.core.settings.national.ports:
            key = NoteKey.parse(one.vkey)
            if key.kind != ED25519 or key.name == self.core.sequencer.origin:
                raise MalformedError(f"{key.name} is no other log's key", where="national.ports")
            found[key.name] = (*found.get(key.name, ()), key)
        return found

    async def held(self, origin: str) -> Held:
        """Give the newest checkpoint held of a port."""
        return await self.core.database.read(lambda connection: _held(connection, origin))

    async def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request as tlog-witness does; a success carries the national proof. Raises UnavailableError."""
        try:
            request = AddCheckpoint.parse(body)
            origin = origin_of(request)
        except MalformedError as error:
            return refuse(HTTPStatus.BAD_REQUEST, str(error))
        logs = self.known()
        if origin not in logs:
            return refuse(HTTPStatus.NOT_FOUND, "this log is not known here")
        async with self._locks[origin]:
            held = await self.held(origin)
            judged = judge(request, logs, held.head)
            if isinstance(judged, Answer):
                await self._keep_evidence(origin, held, request, judged)
                return judged
            try:
                position = await self._take(origin, held, judged.head, judged.note)
            except MalformedError as error:
                return refuse(HTTPStatus.BAD_REQUEST, str(error))
        return Answer(HTTPStatus.OK, (await self.proof(position)).encode())

    async def _take(self, origin: str, held: Held, head: Head, note: bytes) -> int:
        if held.position is not None and head == held.head:
            return held.position
        return (await self.core.sequencer.issue(kinds.PortCheckpoint(note), origin)).record.position

    async def proof(self, position: int) -> NationalProof:
        """Give a port's checkpoint with its proof, under a checkpoint that the witnesses' quorum cosigned where one is asked for."""
        checkpoint = await self.core.sequencer.checkpoint()
        if self.core.witnesses is not None:
            checkpoint = await self.core.witnesses.over(position, checkpoint)
        size = SignedCheckpoint.parse(checkpoint).checkpoint.size
        if position >= size:
            raise UnavailableError(f"leaf {position} is not published yet", where="port log")

        def find(connection: Connection) -> tuple[bytes, list[bytes]]:
            return port_entries(connection, position, position + 1)[0], inclusion_proof(position, size, reader(connection, PortLog()))

        data, path = await self.core.database.read(find)
        return NationalProof(data, LogProof(position, tuple(path), checkpoint))

    async def _keep_evidence(self, origin: str, held: Held, request: AddCheckpoint, answer: Answer) -> None:
        """Ring for what a port signed that does not stand beside what is held; two trees of one size are a record: a portable proof."""
        if not answer.fork and answer.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            return
        now = self.core.clock.now()
        size = SignedCheckpoint.parse(request.checkpoint).checkpoint.size
        detail = f"two trees of {size} leaves are signed" if answer.fork else f"{size} leaves came unproven, {held.head.size} are held"

        def keep(connection: Connection) -> None:
            what = (FORKED if answer.fork else UNPROVEN, origin, detail)
            first = ring_once(connection, what, now.wall_ns, request.checkpoint)
            if first and answer.fork and held.position is not None:
                known = read(port_entries(connection, held.position, held.position + 1)[0]).record.body
                if isinstance(known, kinds.PortCheckpoint):
                    stage(connection, kinds.Fork(known.note, request.checkpoint), origin, now)

        await self.core.database.write(keep)
        self.core.sequencer.wake()
        self.core.events.tell("alarm", kind=FORKED if answer.fork else UNPROVEN, subject=origin, detail=detail)


def _held(connection: Connection, origin: str) -> Held:
    row = connection.execute(select(port_heads).where(port_heads.c.origin == origin)).first()
    return Held() if row is None else Held(Head(row.size, bytes(row.root)), row.position)
