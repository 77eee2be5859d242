"""Hold what waits for each box, whichever way the box comes to fetch it.

Guarantees: a command is committed before it is first sent, and sent again until the box has answered; acknowledgements may be
lost on the way, for each can be made again: `persisted` and `stored` when the box repeats itself, receipts from the seals whose
receipt was not handed over. Every queue is bounded. Where witnesses are asked for, receipts wait for their quorum; without one
they go under the hub's signature alone, and again, as final ones, when the quorum is back.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, and_, bindparam, func, select, update

from hub.receipting import make_receipts
from hub.sequencer import Publication, Sequencer
from hub.witnesses import Witnessed, Witnesses, prove
from protocol.errors import MalformedError
from protocol.instants import MILLISECOND_NS, SECOND_NS, Clock
from protocol.messages import Beacon, Command, Consistency, Message, Persisted, Prove, Receipt, Reply, decode, encode
from storage.database import Database, insert_new
from storage.schema import commands, journals, seals

KEPT = 4096  # messages that wait for one box
TAKEN = 64  # messages handed over at a time
TAKEN_BYTES = 1 << 20
REPEAT_S = 3.0  # a command that is not answered is sent again after this
RECEIPTS_AT_ONCE = 256
BEACON_NS = SECOND_NS


@dataclass(slots=True)
class _Box:
    """What waits for one box."""

    waiting: deque[Message] = field(default_factory=deque)
    commands: dict[str, bytes] = field(default_factory=dict)  # unanswered
    due_ns: dict[str, int] = field(default_factory=dict)  # when to send again
    news: asyncio.Event = field(default_factory=asyncio.Event)
    beacon_ns: int = 0
    told: int = 0  # size of the newest checkpoint shown to it
    more: bool = False  # the tables hold receipts it did not get


@dataclass(slots=True)
class Mail:
    """The letter boxes of all boxes."""

    database: Database
    clock: Clock
    sequencer: Sequencer
    witnesses: Witnesses | None = None
    _boxes: dict[str, _Box] = field(default_factory=dict)

    async def take(self, box: str, wait_s: float) -> list[bytes]:
        """Give what waits for a box, encoded, as handed over; wait up to `wait_s` for something. Empty when nothing came."""
        found = await self.fetch(box, wait_s)
        await self.delivered(box, found)
        return [message if isinstance(message, bytes) else encode(message) for message in found]

    async def fetch(self, box: str, wait_s: float) -> list[Message | bytes]:
        """Do as `take`, for a way that tells later whether it handed over: then call `delivered` or `put_back`."""
        mine = await self._mine(box)
        until_ns = self.clock.monotonic_ns() + int(wait_s * SECOND_NS)
        while True:
            mine.news.clear()
            if mine.more and not any(isinstance(message, Receipt) for message in mine.waiting):
                await self._refill(box, mine)
            found = self._collect(mine)
            left_s = (until_ns - self.clock.monotonic_ns()) / SECOND_NS
            if found or left_s <= 0:
                return found
            await _wait(mine.news, min(left_s, REPEAT_S if mine.commands else left_s))

    async def delivered(self, box: str, found: list[Message | bytes]) -> None:
        """Note that messages were handed over."""
        final = self.witnesses.is_final if self.witnesses is not None else lambda _: True
        places = [(message.epoch, message.end) for message in found if isinstance(message, Receipt) and final(message.checkpoint)]
        if places:
            await self.database.write(lambda connection: _set_delivered(connection, box, places))

    def put_back(self, box: str, found: list[Message | bytes]) -> None:
        """Keep messages that could not be handed over; commands come again by themselves."""
        mine = self._boxes.get(box)
        if mine is not None:
            mine.waiting.extendleft(message for message in reversed(found) if not isinstance(message, bytes))

    def post(self, box: str, *messages: Message) -> None:
        """Put messages where the box will fetch them; the oldest go when too many wait."""
        mine = self._boxes.get(box)
        if mine is None:
            return  # nobody came for it yet; what matters is read from the tables when somebody does
        for message in messages:
            if isinstance(message, Persisted):
                _replace(mine.waiting, message)
            else:
                mine.waiting.append(message)
        while len(mine.waiting) > KEPT:
            mine.waiting.popleft()
        mine.news.set()

    async def command(self, box: str, command: Command, *, lasting: bool = True) -> None:
        """Send a command until it is answered; a lasting one survives our restart. The same command again changes nothing."""
        data = encode(command)
        if lasting:
            row = {"command": command.command, "box": box, "state": "pending", "data": data, "at_ns": self.clock.now().wall_ns}
            await self.database.write(lambda connection: connection.execute(insert_new(connection, commands).values(**row, reason="")))
        mine = await self._mine(box)
        mine.commands.setdefault(command.command, data)
        mine.due_ns.setdefault(command.command, 0)
        mine.news.set()

    def withdraw(self, box: str, command: str) -> None:
        """Stop sending a command that was not lasting."""
        mine = self._boxes.get(box)
        if mine is not None:
            mine.commands.pop(command, None)
            mine.due_ns.pop(command, None)

    async def answered(self, box: str, reply: Reply) -> Command | None:
        """Take a box's answer; give the lasting command it answers, None when it was none or was answered before."""
        self.withdraw(box, reply.command)
        return await self.database.write(lambda connection: _answer(connection, box, reply))

    async def published(self, publication: Publication) -> None:
        """Put receipts and beacons where boxes will fetch them; with a quorum of witnesses they wait for `witnessed`."""
        if self.witnesses is not None and self.witnesses.mode == "quorum":
            return
        await self._show(publication.size, publication.checkpoint, {receipt.box for receipt in publication.receipts})
        for receipt in publication.receipts:
            self.post(receipt.box, receipt)

    async def witnessed(self, head: Witnessed) -> None:
        """Let boxes fetch final receipts under a checkpoint that a quorum cosigned."""
        await self._show(head.size, head.note, set())
        for mine in self._boxes.values():
            mine.more = True
            mine.news.set()

    async def quorum_lost(self) -> None:
        """Put receipts under the hub's signature alone where boxes will fetch them: blobs may go, records stay."""
        note, size = self.sequencer.checkpoint_now(), self.sequencer.published_size()
        for box in list(self._boxes):
            found = await self.database.read(partial(self._receipts, box=box, head=(size, note)))
            self.post(box, *found)

    async def _show(self, size: int, note: bytes, now_for: set[str]) -> None:
        """Post a checkpoint, about once a second and to boxes that get receipts under it at once, each with its proof."""
        now = self.clock.now()
        due = [box for box, mine in self._boxes.items() if box in now_for or now.mono_ns - mine.beacon_ns >= BEACON_NS]
        due = [box for box in due if size >= self._boxes[box].told]
        olds = {self._boxes[box].told for box in due}
        proofs = await self.database.read(lambda connection: {old: prove(connection, old, size) for old in olds}) if olds else {}
        for box in due:
            mine = self._boxes[box]
            old = mine.told
            if old in proofs and old <= size:  # it may have been shown another one meanwhile
                mine.beacon_ns, mine.told = now.mono_ns, size
                self.post(box, Beacon(note, now.wall_ns, old, proofs[old]) if old else Beacon(note, now.wall_ns))

    async def consistency(self, box: str, asked: Prove) -> list[Message]:
        """Answer a box that asks whether one tree of the port log extends another; raise as `prove`."""
        return [Consistency(asked.old, asked.new, await self.prove(asked.old, asked.new))]

    async def prove(self, old: int, new: int) -> tuple[bytes, ...]:
        """Give the consistency proof between two sizes of the published log; raise MalformedError when it is not that long."""
        size = self.sequencer.published_size()
        if not 0 < old <= new <= size:
            raise MalformedError(f"the published log has {size} leaves: there is no proof from {old} to {new}", where="port log")
        return await self.database.read(lambda connection: prove(connection, old, new))

    def _head(self) -> tuple[int, bytes]:
        """Give the checkpoint under which receipts are final: the witnessed one, or the published one where none is asked."""
        if self.witnesses is not None and self.witnesses.mode != "off":
            return self.witnesses.head.size, self.witnesses.head.note
        return self.sequencer.published_size(), self.sequencer.checkpoint_now()

    async def _refill(self, box: str, mine: _Box) -> None:
        """Take the next receipts that the box did not get, oldest first, below the checkpoint they need."""
        mine.more = False
        head = self._head()
        found = await self.database.read(lambda connection: self._receipts(connection, box, head, oldest_first=True))
        mine.more = mine.more or len(found) == RECEIPTS_AT_ONCE
        if found:
            await self._show(*head, {box})
            mine.waiting.extend(found)

    async def repeat_receipts(self, box: str) -> int:
        """Put the newest receipts of a box there again: it says that it lacks some. Give their number."""
        head = self._head()
        found = await self.database.read(lambda connection: self._receipts(connection, box, head, undelivered_only=False))
        self.post(box, *found)
        return len(found)

    async def _mine(self, box: str) -> _Box:
        """Give a box's letter box; at first, with what the tables say it has to get."""
        if box not in self._boxes:
            mine = self._boxes[box] = _Box()  # first, so that what is posted meanwhile is kept
            rows, receipts = await self.database.read(lambda connection: self._owed(connection, box))
            for name, data in rows:
                mine.commands.setdefault(name, data)
                mine.due_ns.setdefault(name, 0)
            have = {(message.epoch, message.end) for message in mine.waiting if isinstance(message, Receipt)}
            mine.waiting.extend(receipt for receipt in receipts if (receipt.epoch, receipt.end) not in have)
            size, checkpoint = self._head()
            if checkpoint:
                mine.told = max(mine.told, size)
                mine.waiting.appendleft(Beacon(checkpoint, self.clock.now().wall_ns))
        return self._boxes[box]

    def _owed(self, connection: Connection, box: str) -> tuple[list[tuple[str, bytes]], list[Receipt]]:
        pending = select(commands.c.command, commands.c.data).where(commands.c.box == box, commands.c.state == "pending")
        rows = [(row.command, bytes(row.data)) for row in connection.execute(pending.order_by(commands.c.at_ns))]
        is_lost = self.witnesses is not None and self.witnesses.mode == "lost"  # then under the hub's signature alone
        head = (self.sequencer.published_size(), self.sequencer.checkpoint_now()) if is_lost else self._head()
        return rows, self._receipts(connection, box, head)

    def _receipts(
        self, connection: Connection, box: str, head: tuple[int, bytes], *, undelivered_only: bool = True, oldest_first: bool = False
    ) -> list[Receipt]:
        size, checkpoint = head
        if not checkpoint:
            return []
        query = select(seals.c.epoch, seals.c.position).where(seals.c.box == box, seals.c.log_index < size)
        query = query.where(seals.c.first < seals.c.position)  # two seals side by side: nothing new below the second
        if undelivered_only:
            query = query.where(seals.c.delivered.is_(False))
        order = seals.c.log_index if oldest_first else seals.c.log_index.desc()
        rows = connection.execute(query.order_by(order).limit(RECEIPTS_AT_ONCE)).all()
        places = [(box, row.epoch, row.position) for row in (rows if oldest_first else reversed(rows))]
        return make_receipts(connection, places, checkpoint, size)

    def _collect(self, mine: _Box) -> list[Message | bytes]:
        now_ns = self.clock.monotonic_ns()
        found: list[Message | bytes] = []
        for name, data in mine.commands.items():
            if mine.due_ns[name] <= now_ns:
                mine.due_ns[name] = now_ns + int(REPEAT_S * 1000) * MILLISECOND_NS
                found.append(data)
        size = 0
        while mine.waiting and len(found) < TAKEN and size < TAKEN_BYTES:
            message = mine.waiting.popleft()
            size += len(message.seal) + len(message.checkpoint) if isinstance(message, Receipt) else 0
            found.append(message)
        return found


async def _wait(news: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await news.wait()
    except TimeoutError:
        pass


def _replace(waiting: deque[Message], message: Persisted) -> None:
    """Put a cumulative acknowledgement in the place of an older one."""
    for at, other in enumerate(waiting):
        if isinstance(other, Persisted) and other.epoch == message.epoch:
            waiting[at] = message
            return
    waiting.append(message)


def _set_delivered(connection: Connection, box: str, places: list[tuple[int, int]]) -> None:
    here = and_(seals.c.box == box, seals.c.epoch == bindparam("at_epoch"), seals.c.position == bindparam("at_position"))
    rows = [{"at_epoch": epoch, "at_position": position} for epoch, position in places]
    if rows:
        connection.execute(update(seals).where(here).values(delivered=True), rows)


def _answer(connection: Connection, box: str, reply: Reply) -> Command | None:
    mine = and_(commands.c.command == reply.command, commands.c.box == box, commands.c.state == "pending")
    row = connection.execute(select(commands.c.data).where(mine)).first()
    if row is None:
        return None
    state = "done" if reply.done else "refused"
    connection.execute(update(commands).where(commands.c.command == reply.command).values(state=state, reason=reply.reason[:500]))
    command = decode(bytes(row.data))
    return command if isinstance(command, Command) else None


def unreceipted(connection: Connection, box: str) -> int:
    """Count the records of a box that no published seal covers."""
    total = connection.execute(select(func.sum(journals.c.size)).where(journals.c.box == box)).scalar() or 0
    covered = select(func.max(seals.c.position).label("end")).where(seals.c.box == box, seals.c.log_index.is_not(None))
    rows = connection.execute(covered.group_by(seals.c.epoch)).scalars()
    return int(total) - sum(int(end) for end in rows)
