"""Hold what waits for each box, whichever way the box comes to fetch it.

Guarantees: a command is committed before it is first sent, and sent again until the box has answered; acknowledgements may be
lost on the way, for each can be made again: `persisted` and `stored` when the box repeats itself, receipts from the seals whose
receipt was not handed over. Every queue is bounded.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, func, select, update

from hub.sequencer import Publication, Sequencer, make_receipts
from protocol.instants import MILLISECOND_NS, SECOND_NS, Clock
from protocol.messages import Beacon, Command, Message, Persisted, Receipt, Reply, decode, encode
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


@dataclass(slots=True)
class Mail:
    """The letter boxes of all boxes."""

    database: Database
    clock: Clock
    sequencer: Sequencer
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
            found = self._collect(mine)
            left_s = (until_ns - self.clock.monotonic_ns()) / SECOND_NS
            if found or left_s <= 0:
                return found
            await _wait(mine.news, min(left_s, REPEAT_S if mine.commands else left_s))

    async def delivered(self, box: str, found: list[Message | bytes]) -> None:
        """Note that messages were handed over."""
        places = [(message.epoch, message.end) for message in found if isinstance(message, Receipt)]
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
        """Put receipts and beacons where boxes will fetch them."""
        for receipt in publication.receipts:
            self.post(receipt.box, receipt)
        now = self.clock.now()
        for box, mine in self._boxes.items():
            if now.mono_ns - mine.beacon_ns >= BEACON_NS:
                mine.beacon_ns = now.mono_ns
                self.post(box, Beacon(publication.checkpoint, now.wall_ns))

    async def repeat_receipts(self, box: str) -> int:
        """Put the newest receipts of a box there again: it says that it lacks some. Give their number."""
        found = await self.database.read(lambda connection: self._receipts(connection, box, undelivered_only=False))
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
            checkpoint = self.sequencer.checkpoint_now()
            if checkpoint:
                mine.waiting.appendleft(Beacon(checkpoint, self.clock.now().wall_ns))
        return self._boxes[box]

    def _owed(self, connection: Connection, box: str) -> tuple[list[tuple[str, bytes]], list[Receipt]]:
        pending = select(commands.c.command, commands.c.data).where(commands.c.box == box, commands.c.state == "pending")
        rows = [(row.command, bytes(row.data)) for row in connection.execute(pending.order_by(commands.c.at_ns))]
        return rows, self._receipts(connection, box, undelivered_only=True)

    def _receipts(self, connection: Connection, box: str, *, undelivered_only: bool) -> list[Receipt]:
        checkpoint = self.sequencer.checkpoint_now()
        if not checkpoint:
            return []
        size = self.sequencer.published_size()
        query = select(seals.c.epoch, seals.c.position).where(seals.c.box == box, seals.c.log_index < size)
        if undelivered_only:
            query = query.where(seals.c.delivered.is_(False))
        rows = connection.execute(query.order_by(seals.c.log_index.desc()).limit(RECEIPTS_AT_ONCE)).all()
        places = [(box, row.epoch, row.position) for row in reversed(rows)]
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
    for epoch, position in places:
        here = and_(seals.c.box == box, seals.c.epoch == epoch, seals.c.position == position)
        connection.execute(update(seals).where(here).values(delivered=True))


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
