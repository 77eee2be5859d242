"""Carry out what the hub orders: pair, end a task, publish live. Claims of recorders go the other way.

Guarantees: an order is done once, however often it comes, and its reply is remembered through restarts; a pairing is a record
before it counts, and names the hub's signed order; a refused order changes nothing.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from edge.forward import Order
from edge.journal import Entry
from edge.recorder import Recorder
from edge.worker import Worker
from protocol import kinds, messages
from protocol.errors import MalformedError, PortwitnessError, RefusedError, UnavailableError, VerificationError
from protocol.identifiers import BoxId, SourceId, StreamId, TaskId
from protocol.instants import SECOND_NS
from protocol.messages import Claim, EndTask, Live, Pair, Refusal, Reply
from protocol.notes import NoteKey
from protocol.records import SignedRecord, read
from protocol.tickets import PREFIX, open_ticket
from storage.spool import Changes, PairingRow, Spool

CUT_LIMIT_S = 4.0  # how long the last segments of a task may wait for a keyframe
CLAIM_LIMIT_S = 15.0
QUEUE_LIMIT = 256
TICKET, ENDED = "ticket-", "ended-"  # facts: a ticket's nonce and who used it; a task that ended
PLANNED = "planned-"  # the fact, and the task: when it is to end, for a box that starts again
LATE_SEGMENTS = 10_000  # how far back a late pairing hurries video: more than a day

log = logging.getLogger(__name__)


class Publishes(Protocol):
    """Sends a source's live pictures to the hub while somebody watches."""

    async def start(self, source: SourceId, path: str) -> None:
        """Publish to a path of the hub's device port; raise UnavailableError or RefusedError."""

    async def stop(self, source: SourceId) -> None:
        """Publish no more."""


@dataclass(slots=True)
class Orders:
    """The commands of one box. `known` tells a source's kind; `send` carries replies and claims to the hub."""

    box: BoxId
    recorder: Recorder
    spool: Spool
    records: Worker
    log_key: NoteKey | None
    known: Callable[[SourceId], Literal["camera", "recorder"] | None]
    send: Callable[[messages.Message], Awaitable[None]]
    live: Publishes | None = None
    pairings: dict[tuple[str, str], PairingRow] = field(default_factory=dict)
    _queue: "asyncio.Queue[Order]" = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    _claims: dict[str, tuple[SourceId, "asyncio.Future[str]"]] = field(default_factory=dict)
    _joining: asyncio.Lock = field(default_factory=asyncio.Lock)
    _live_tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def load(self) -> None:
        """Remember what was paired before the restart."""
        for row in await self.records.run(self.spool.pairings):
            self.pairings[row.task, row.source] = row

    def tasks_of(self, source: str) -> list[str]:
        """Give the tasks that a source is paired to."""
        return [task for task, paired in self.pairings if paired == source]

    async def take(self, order: Order) -> None:
        """Queue an order; it is carried out by `run`."""
        if isinstance(order, Live):
            self._begin_live(order)
        elif self._queue.full():
            log.warning("an order is left out: %d wait already", QUEUE_LIMIT)
        else:
            self._queue.put_nowait(order)

    async def run(self) -> None:
        """Carry out orders until cancelled."""
        while True:
            order = await self._queue.get()
            try:
                await self.obey(order)
            except UnavailableError as error:
                log.info("reply not sent, the hub will ask again: %s", error)
            except PortwitnessError as error:
                log.warning("order %s: %s", order.KIND, error)

    async def obey(self, order: Order) -> None:
        """Carry out one order and answer it; raise what sending raises."""
        if isinstance(order, Refusal):
            self._answer_claim(order.claim, order.reason)
            return
        known = await self.records.run(self.spool.reply, order.command)
        if known is not None:
            await self.send(messages.expect(Reply, known))
            return
        try:
            reply = await self._do(order)
        except (RefusedError, MalformedError, VerificationError) as error:
            reply = Reply(order.command, False, str(error))
        if isinstance(order, Pair) and order.state == "paired":
            self._answer_claims_of(order.source, reply.reason)
        await self.send(reply)

    async def _do(self, order: Pair | EndTask | Live) -> Reply:
        reply = Reply(order.command, True)
        if isinstance(order, Pair):
            await self._pair(order, reply)
        elif isinstance(order, EndTask):
            await self._end(order, reply)
        else:
            await self._publish(order)
        return reply

    # ---------------------------------------------------------------------------------------------------- pairing

    async def _pair(self, order: Pair, reply: Reply) -> None:
        task, source = TaskId(order.task), SourceId(order.source)
        if self.known(source) is None:
            raise RefusedError(f"{source} is no source of this box", where="pairing")
        body = self._check_order(order)
        others = [other for other in self.tasks_of(source) if other != task]
        if order.state == "paired" and others:
            raise RefusedError(f"{source} is paired to {others[0]}", where="pairing")
        changes = Changes(replies={order.command: messages.encode(reply)})
        row = PairingRow(task, source, body.by)
        if body.planned_end_ns is not None:
            changes.facts[f"{PLANNED}{task}"] = str(body.planned_end_ns).encode()
        if order.state == "paired":
            changes.paired.append(row)
        else:
            changes.unpaired.append((task, source))
        stream = StreamId.of(self.box, source)
        record = kinds.Pairing(
            order.state, stream, body.by, read(order.order).leaf, body.late_from, body.second, body.reason, body.planned_end_ns
        )
        await self.recorder.record([Entry(task, record)], changes)
        self._paired(row, order.state, body.planned_end_ns)
        if body.late_from is not None:
            await self._link_late(stream, task, body.late_from)

    def _check_order(self, order: Pair) -> kinds.Pairing:
        """Check the hub's signed order; raise MalformedError or VerificationError."""
        signed = read(order.order)
        body = signed.record.body
        stream = StreamId.of(self.box, order.source)
        if not isinstance(body, kinds.Pairing) or (body.state, body.stream, signed.record.subject) != (order.state, stream, order.task):
            raise VerificationError("the signed order says something else", where="pairing")
        if order.command != messages.pair_command(signed.leaf):
            raise VerificationError("the command is not the one of its order: it was replayed or made up", where="pairing")
        self._check_hub(signed, "pairing")
        return body

    def _paired(self, row: PairingRow, state: str, planned_end_ns: int | None = None) -> None:
        source = SourceId(row.source)
        if state == "paired":
            self.pairings[row.task, row.source] = row
            if self.known(source) == "recorder":
                self.recorder.add(source, "whip", cause="paired")
        else:
            self.pairings.pop((row.task, row.source), None)
        capture = self.recorder.captures.get(source)
        if capture is None:
            return
        if state == "paired":
            capture.link(row.task, planned_end_ns)
        else:
            capture.unlink(row.task)
            if capture.origin == "whip" and capture.interruption is not None and not self.tasks_of(source):
                capture.close("unpaired")

    async def _link_late(self, stream: StreamId, task: str, late_from: int) -> None:
        """Hurry what was recorded before: the record itself links it, this only sends it first."""
        margin = 2 * int(self.recorder.rules.segment_s) * SECOND_NS
        rows = await self.records.run(self.spool.newest_blobs, stream, late_from - margin, LATE_SEGMENTS)
        numbers = [row.number for row in rows]
        await self.records.run(self.spool.link_blobs, stream, task, numbers)

    # ---------------------------------------------------------------------------------------------------- the end

    async def _end(self, order: EndTask, reply: Reply) -> None:
        """End a task: every open segment of the box ends at its next keyframe, what was paired is free, and a seal is set."""
        task = TaskId(order.task)
        self._check_end(order)
        rows = [row for row in self.pairings.values() if row.task == task]
        entries = [Entry(task, kinds.Pairing("unpaired", StreamId.of(self.box, row.source), "task end")) for row in rows]
        changes = Changes(unpaired=[(row.task, row.source) for row in rows], replies={order.command: messages.encode(reply)})
        changes.facts[f"{ENDED}{task}"] = b"1"  # no ticket for it is taken any more
        await self.recorder.cut(self._sources(), "task", CUT_LIMIT_S, entries, changes)
        for row in rows:
            self._paired(row, "unpaired")

    def _check_end(self, order: EndTask) -> None:
        """Check the hub's signed record of the end; raise MalformedError or VerificationError."""
        signed = read(order.order)
        body = signed.record.body
        if not isinstance(body, kinds.Task) or (body.state, signed.record.subject) != ("ended", order.task):
            raise VerificationError("the signed record does not end this task", where="task end")
        self._check_hub(signed, "task end")

    def _check_hub(self, signed: SignedRecord, where: str) -> None:
        if self.log_key is None:
            raise VerificationError("no log key to judge it by", where=where)
        if signed.record.issuer.role != "hub":
            raise VerificationError(f"issued by {signed.record.issuer}", where=where)
        signed.envelope.verify(self.log_key.public)

    def _sources(self) -> Sequence[SourceId]:
        # The box does not know which of its cameras stand in the task's bay: all of them turn a page.
        return list(self.recorder.captures)

    # ------------------------------------------------------------------------------------------------------- live

    def _begin_live(self, order: Live) -> None:
        """Live pictures must not wait behind orders that take their time."""
        task = asyncio.get_running_loop().create_task(self._answer_live(order))
        self._live_tasks.add(task)
        task.add_done_callback(self._live_tasks.discard)

    async def _answer_live(self, order: Live) -> None:
        try:
            await self._publish(order)
            reply = Reply(order.command, True)
        except PortwitnessError as error:
            reply = Reply(order.command, False, str(error))
        try:
            await self.send(reply)
        except PortwitnessError as error:
            log.info("reply not sent: %s", error)

    async def _publish(self, order: Live) -> None:
        source = SourceId(order.source)
        if self.live is None:
            raise RefusedError("live pictures are switched off at this box", where="live")
        if order.act == "start":
            if self.known(source) is None:
                raise RefusedError(f"{source} is no source of this box", where="live")
            await self.live.start(source, order.path)
        else:
            await self.live.stop(source)

    # ------------------------------------------------------------------------------------------------------ claims

    async def claim(self, source: SourceId, code: str) -> None:
        """Pair a recorder by a ticket, without the hub, or ask the hub to pair it by a task's code; return when it is paired.

        Raises RefusedError with the reason, VerificationError for a ticket of another hub, UnavailableError when the hub does not answer.
        """
        if code.startswith(PREFIX):
            await self._join(source, code)
            return
        name = secrets.token_hex(8)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._claims[name] = source, future
        try:
            await self.send(Claim(name, self.box, source, code))
            reason = await asyncio.wait_for(future, CLAIM_LIMIT_S)
        except TimeoutError:
            raise UnavailableError("the hub did not answer", where="claim") from None
        finally:
            del self._claims[name]
        if reason:
            raise RefusedError(reason, where="claim")

    async def _join(self, source: SourceId, text: str) -> None:
        """Bind a recorder by a ticket: a record in the journal, which the hub gets when it is reached again."""
        async with self._joining:
            found = open_ticket(text, self.log_key, self.recorder.clock.now().wall_ns)
            if self.known(source) is None:
                raise RefusedError(f"{source} is no source of this box", where="ticket")
            used = await self.records.run(self.spool.fact, f"{TICKET}{found.nonce.hex()}")
            if used is not None and used.decode() == source and (found.task, source) in self.pairings:
                return  # shown twice to the same recorder
            if used is not None:
                raise RefusedError("was used before: ask for another", where="ticket")
            if await self.records.run(self.spool.fact, f"{ENDED}{found.task}") is not None:
                raise RefusedError(f"task {found.task} has ended", where="ticket")
            others = self.tasks_of(source)
            if others:
                raise RefusedError(f"{source} is paired to {others[0]}", where="ticket")
            row = PairingRow(found.task, source, found.by)
            changes = Changes(paired=[row], facts={f"{TICKET}{found.nonce.hex()}": source.encode()})
            record = kinds.Pairing("paired", StreamId.of(self.box, source), found.by, found.leaf)
            await self.recorder.record([Entry(found.task, record)], changes)
            self._paired(row, "paired")

    def _answer_claim(self, claim: str, reason: str) -> None:
        _, future = self._claims.get(claim, (None, None))
        if future is not None and not future.done():
            future.set_result(reason)

    def _answer_claims_of(self, source: str, reason: str) -> None:
        """Answer who waits at this source: the order to pair it is the hub's answer to a claim, too."""
        for claim in [name for name, (claimed, _) in self._claims.items() if claimed == source]:
            self._answer_claim(claim, reason)
