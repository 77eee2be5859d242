"""Bind recorders to tasks: order, command, and the box's own record by which a pairing counts.

Guarantees: the order is a record of the hub and reaches the box until it answers, also when the box is away now; a pairing
counts from the box's record that names the order; a recorder is bound to one task at a time; a late pairing names a second
person and a reason, and keeps that label.
"""

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from hub.bonds import order_state, pairing_states, ticket_holder
from hub.core import Core
from hub.ingest import refusal
from hub.mail import Mail
from hub.tasks import Tasks
from hub.values import PairingState
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from protocol.identifiers import BoxId, SourceId, StreamId
from protocol.instants import SECOND_NS
from protocol.linking import check_late, planned_end
from protocol.merkle import leaf_hash
from protocol.messages import Claim, Command, Message, Pair, Reply, pair_command
from protocol.records import SignedRecord
from storage.schema import commands, identities, orders, records, tasks

BY_CODE = "by the task's code, given to"  # the recorder that was told it follows


@dataclass(slots=True)
class Pairings:
    """The pairings of the port."""

    core: Core
    mail: Mail
    tasks: Tasks
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failures: defaultdict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))

    async def pair(
        self, task: str, stream: str, by: str, late_from: int | None = None, second: str | None = None, reason: str | None = None
    ) -> PairingState:
        """Order a pairing; give it as pending until the box's record says that it counts.

        Raises MalformedError for a late pairing without second person or reason, RefusedError for a task that is not open, a box
        that is not enrolled, a recorder that is paired elsewhere (naming the task), or paired here already and now to be late: two
        pairings of one recorder at once would say two things about the same pictures.
        """
        check_late(late_from, second, reason, by)
        source = StreamId(stream)
        async with self._lock:
            known = await self.tasks.get(task)
            if known.state != "opened":
                raise RefusedError("has ended", where=f"task {task}")
            if late_from is not None and late_from >= self.core.clock.now().wall_ns:
                raise MalformedError("a late pairing reaches back, this one starts in the future", where="pairing.late_from")
            await self._check_box(source.box)
            holder = await self._holder(stream)
            if holder is not None and holder != task:
                raise RefusedError(f"is paired with task {holder}", where=stream)
            if holder == task and late_from is not None:
                raise RefusedError(f"is paired with task {task} already; unpair it, then pair it late", where=stream)
            if holder == task:
                return await self._state(task, stream)
            body = kinds.Pairing(
                "paired", stream, by, late_from=late_from, second=second, reason=reason, planned_end_ns=planned_end(known.facts)
            )
            await self._order(task, body)
        return await self._state(task, stream)

    async def unpair(self, task: str, stream: str, by: str) -> PairingState:
        """Order the end of a pairing; raise RefusedError when the two are not paired."""
        async with self._lock:
            if await self._holder(stream) != task:
                raise RefusedError(f"is not paired with task {task}", where=StreamId(stream))
            await self._order(task, kinds.Pairing("unpaired", stream, by))
        return await self._state(task, stream)

    async def claim(self, box: BoxId, claim: Claim) -> list[Message]:
        """Pair a recorder that was given a task's code; answer with a refusal a person can read, or with the command alone."""
        try:
            stream = StreamId.of(box, SourceId(claim.source))
            self._check_tries(stream)
            task = self.tasks.task_of(claim.code)
            if task is None:
                self._failures[stream].append(self.core.clock.monotonic_ns())
                raise RefusedError("the code is not known or has ended", where="code")
            await self._check_unpaired(task, stream)
            giver = self.tasks.giver_of(claim.code) or str(claim.source)
            await self.pair(task, stream, giver, reason=f"{BY_CODE} {claim.source}")
        except (RefusedError, MalformedError) as error:
            return [refusal(claim, error)]
        return []

    async def states(self, task: str) -> tuple[PairingState, ...]:
        """Give all pairings that were ever ordered for a task, in order."""
        return await self.core.database.read(lambda connection: pairing_states(connection, task))

    async def answered(self, box: BoxId, reply: Reply) -> list[Message]:
        """Take a box's answer to a command."""
        command: Command | None = await self.mail.answered(box, reply)
        if isinstance(command, Pair):
            stream = StreamId.of(box, command.source)
            self.core.events.tell("pairing", task=command.task, stream=stream, done=reply.done, reason=reply.reason)
            if not reply.done:
                await self.core.alarms.ring("pairing refused", stream, f"task {command.task}: {reply.reason[:200]}")
        return []

    def note(self, box: BoxId, accepted: tuple[SignedRecord, ...]) -> None:
        """Tell the pages of pairings that now count."""
        for signed in accepted:
            body = signed.record.body
            if isinstance(body, kinds.Pairing):
                self.core.events.tell("pairing", task=signed.record.subject, stream=body.stream, state=body.state, box=box)

    async def reconcile(self) -> None:
        """Send orders that a crash kept from their boxes."""
        for row in await self.core.database.read(lambda connection: _unsent(connection, str(self.core.issuer))):
            await self._send(row.task, row.stream, row.state, row.by, bytes(row.data))

    async def _order(self, task: str, body: kinds.Pairing) -> None:
        signed = await self.core.sequencer.issue(body, task)
        await self._send(task, body.stream, body.state, body.by, signed.data)
        self.core.events.tell("pairing", task=task, stream=body.stream, state="pending")

    async def _send(self, task: str, stream: str, state: Any, by: str, data: bytes) -> None:  # noqa: ANN401
        where = StreamId(stream)
        command = Pair(pair_command(leaf_hash(data)), task, where.source, state, by, data)
        await self.mail.command(where.box, command)

    async def _state(self, task: str, stream: str) -> PairingState:
        return next(state for state in reversed(await self.states(task)) if state.stream == stream)

    async def _holder(self, stream: str) -> str | None:
        """Give the open task to which a stream is bound, or is ordered to be."""
        return await self.core.database.read(lambda connection: _holder(connection, stream) or ticket_holder(connection, stream))

    async def _check_box(self, box: str) -> None:
        query = select(identities.c.position).where(identities.c.box == box, identities.c.until.is_(None)).limit(1)
        if await self.core.database.read(lambda connection: connection.execute(query).first()) is None:
            raise RefusedError("is not enrolled", where=f"box {box}")

    async def _check_unpaired(self, task: str, stream: str) -> None:
        """Refuse a claim that would order nothing: its recorder would wait for an order that never comes."""
        paired = [state for state in await self.states(task) if state.stream == stream and state.state == "paired" and not state.ending]
        if paired:
            raise RefusedError(f"is paired with task {task} already", where=stream)

    def _check_tries(self, stream: str) -> None:
        """Refuse a recorder that guesses: a code has a million values and lives for minutes."""
        tries, now_ns = self._failures[stream], self.core.clock.monotonic_ns()
        while tries and now_ns - tries[0] > self.core.settings.tasks.code_seconds * SECOND_NS:
            tries.popleft()
        if len(tries) >= self.core.settings.tasks.claim_failures:
            raise RefusedError(f"{len(tries)} wrong codes; wait, or pair it on the task's page", where=stream)


def _holder(connection: Connection, stream: str) -> str | None:
    query = select(orders).where(orders.c.stream == stream).order_by(orders.c.position.desc())
    for order in connection.execute(query):
        if order.state == "unpaired":
            return None
        if order_state(connection, order) == "refused":
            continue
        state = connection.execute(select(tasks.c.state).where(tasks.c.task == order.task)).scalar()
        return str(order.task) if state == "opened" else None
    return None


def _unsent(connection: Connection, issuer: str) -> list[Row[Any]]:
    """Give orders of open tasks whose command was never kept."""
    same = (records.c.leaf == orders.c.leaf) & (records.c.position == orders.c.position) & (records.c.epoch == 0)
    query = select(orders, records.c.data).select_from(orders.join(records, same).join(tasks, tasks.c.task == orders.c.task))
    rows = connection.execute(query.where(tasks.c.state == "opened", records.c.issuer == issuer).order_by(orders.c.position)).all()
    known = set(connection.execute(select(commands.c.command)).scalars())
    return [row for row in rows if pair_command(bytes(row.leaf)) not in known]
