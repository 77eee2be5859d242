"""Keep video as long as its rule says, then remove its bytes: with a signed record first, and never in a hurry.

Guarantees: nothing that is held, linked to an open task, or not receipted goes; the disposal is a published record before the bytes
go, and bytes whose removal a kill interrupted go at the next start; time is retention's own, which no wall clock can push; when more
than a small share would go within a day, nothing goes until a person confirms. Hashes, records and proofs stay.
"""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select, update

from hub import erasing
from hub.bonds import bonds_of
from hub.core import Core
from hub.lookups import covered_size
from hub.sequencer import stage
from hub.tasks import facts_of
from protocol import kinds
from protocol.errors import MalformedError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import StreamId, TaskId
from protocol.instants import Interval
from protocol.linking import TaskSpan, stretches
from protocol.retention import (
    CLASSES,
    DAY_NS,
    LINKED,
    Kept,
    Link,
    Plan,
    RetentionClass,
    Ruling,
    Tick,
    advance,
    check_classes,
    plan,
    rule,
)
from storage.blobs import BlobStore
from storage.clock import boot_id
from storage.database import upsert
from storage.schema import blobs, bonds, disposals, keepings, retention_clock, segments, tasks

PAGE = 500
AT_ONCE = 200  # blobs in one disposal record
RETRY_S = 60.0
_CLOCK = "retention"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskKeeping:
    """How long a task's video is kept: its class, whether it is held, and how it stands with the first blob of it."""

    task: str
    kept_as: str
    held: bool


@dataclass(slots=True)
class Keeping:
    """The retention of one hub. Use as an async context manager."""

    core: Core
    store: BlobStore
    boot: Callable[[], str] = boot_id
    vouched: Callable[[], int | None] = lambda: None  # the newest time that an outside witness or time authority signed
    classes: dict[str, RetentionClass] = field(default_factory=dict)
    _confirmed: str | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Keeping":
        given = self.core.settings.retention_classes
        shipped = tuple(RetentionClass(one.name, one.days or None, one.source) for one in given) or CLASSES
        self.classes = check_classes(shipped)
        if self.core.settings.retention.enabled:
            self._task = asyncio.create_task(self._run(), name="retention")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # ------------------------------------------------------------------------------------------------ what people decide

    async def decide(self, task: str, body: kinds.Keeping) -> TaskKeeping:
        """Record a task's class, or a hold on or off it; raise RefusedError for an unknown task, MalformedError for an unknown class."""
        name = TaskId(task)
        if not body.reason.strip():
            raise MalformedError("a reason is needed", where="keeping.reason")
        if (body.kept_as is not None) != (body.state == "classed") or (body.kept_as is not None and body.kept_as not in self.classes):
            raise MalformedError(f"{str(body.kept_as)[:40]!r} is none of {', '.join(self.classes)}", where="keeping.kept_as")
        await self.get(name)
        await self.core.sequencer.issue(body, name)
        return await self.get(name)

    async def get(self, task: str) -> TaskKeeping:
        """Give how a task's video is kept; raise RefusedError for an unknown task."""

        def find(connection: Connection) -> TaskKeeping:
            if connection.execute(select(tasks.c.task).where(tasks.c.task == task)).first() is None:
                raise RefusedError("no such task", where=f"task {task}")
            row = connection.execute(select(keepings).where(keepings.c.task == task)).first()
            return TaskKeeping(task, (row.kept_as if row else None) or LINKED, bool(row.held) if row else False)

        return await self.core.database.read(find)

    async def confirm(self, by: str, reason: str) -> None:
        """Let the next pass take all that is due, however much, on a person's word; that word is a record."""
        if not reason.strip():
            raise MalformedError("a reason is needed", where="retention.confirm")
        await self.core.sequencer.issue(kinds.Access("retention confirmed", by, reason), by)
        self._confirmed = by
        self._wake.set()

    # ---------------------------------------------------------------------------------------------------------- passes

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
                pause_s = self.core.settings.retention.every_minutes * 60.0
            except (StorageError, UnavailableError, RefusedError) as error:  # supervision: said, and tried again
                _LOG.error("retention: %s", error)
                pause_s = RETRY_S
            try:
                await asyncio.wait_for(self._wake.wait(), pause_s)
            except TimeoutError:
                continue
            finally:
                self._wake.clear()

    def wake(self) -> None:
        """Say that a disposal was published, or that a person confirmed."""
        self._wake.set()

    async def look(self) -> int:
        """Remove what published disposals name, then record the disposal of what is due; give how many blobs' bytes went."""
        gone = await self._finish()
        now_ns, taken, held = await self._tick()
        due = await self._due(now_ns)
        chosen = self._choose(due, taken, held)
        if chosen.stopped:
            await self.core.alarms.ring("disposal stopped", "retention", chosen.stopped)
        await self._erase(now_ns)
        by, self._confirmed = self._confirmed, None
        for at in range(0, len(chosen.chosen), AT_ONCE):
            names = [kept.sha256 for kept in chosen.chosen[at : at + AT_ONCE]]
            await self.core.database.write(partial(self._mark, names=names, now_ns=now_ns, by=by))
            self.core.sequencer.wake()
        return gone

    async def _erase(self, now_ns: int) -> None:
        """Erase the bodies of concealed records whose class is over."""

        def put(connection: Connection) -> bool:
            found = erasing.due(connection, self.classes, now_ns)
            if found:
                reason = f"class {erasing.PERSONAL_CLASS}: {self.classes[erasing.PERSONAL_CLASS].days} days"
                stage(connection, kinds.Disposal((), reason, None, found), str(self.core.hub_id), self.core.clock.now())
            return bool(found)

        if erasing.PERSONAL_CLASS in self.classes and await self.core.database.write(put):
            self.core.sequencer.wake()

    def _choose(self, due: list[Kept], taken: int, held: int) -> Plan:
        if self._confirmed is not None:
            return Plan(tuple(due))
        return plan(due, held + taken, self.core.settings.retention.share_percent, taken)

    async def _tick(self) -> tuple[int, int, int]:
        """Move retention's own time on; give it, the bytes that its day has taken, and the bytes held."""
        now = self.core.clock.now()
        boot = self.boot()

        def move(connection: Connection) -> tuple[int, int, int]:
            row = connection.execute(select(retention_clock)).first()
            last = Tick(row.time_ns, row.wall_ns, row.mono_ns, row.boot) if row is not None else None
            tick = advance(last, now.wall_ns, now.mono_ns, boot, self.vouched())
            same_day = row is not None and 0 <= tick.time_ns - row.day_ns < DAY_NS
            day_ns, taken = (row.day_ns, row.day_bytes) if row is not None and same_day else (tick.time_ns, 0)
            values = {"name": _CLOCK, "time_ns": tick.time_ns, "wall_ns": tick.wall_ns, "mono_ns": tick.mono_ns, "boot": tick.boot}
            upsert(connection, retention_clock, values | {"day_ns": day_ns, "day_bytes": taken})
            held = select(func.coalesce(func.sum(blobs.c.length), 0)).where(blobs.c.state == "stored")
            return tick.time_ns, taken, int(connection.execute(held).scalar_one())

        return await self.core.database.write(move)

    async def _due(self, now_ns: int) -> list[Kept]:
        due: list[Kept] = []
        after = b""
        while page := await self.core.database.read(partial(self._page, after=after, now_ns=now_ns)):
            due += [kept for kept, ruling in page if ruling.may_go]
            after = page[-1][0].sha256
        return due

    def _page(self, connection: Connection, after: bytes, now_ns: int) -> list[tuple[Kept, Ruling]]:
        """Rule on the next stored blobs that are older than the shortest class, in the order of their names."""
        shortest = min((one.days for one in self.classes.values() if one.days is not None), default=None)
        if shortest is None:
            return []  # everything is kept for ever
        young_ns = now_ns - shortest * DAY_NS
        old = and_(blobs.c.state == "stored", blobs.c.at_ns <= young_ns, blobs.c.sha256 > after)
        query = select(blobs).where(old).order_by(blobs.c.sha256).limit(PAGE)
        links = _Links(connection)
        out = []
        for row in connection.execute(query).all():
            kept = links.kept(bytes(row.sha256), row.length, row.at_ns)
            out.append((kept, rule(kept, self.classes, now_ns)))
        return out

    def _mark(self, connection: Connection, names: list[bytes], now_ns: int, by: str | None) -> None:
        """Stage the record and mark the blobs, in one transaction that looks at holds and tasks again."""
        now = self.core.clock.now()
        links = _Links(connection)
        reasons: defaultdict[str, list[bytes]] = defaultdict(list)
        size = 0
        for row in connection.execute(select(blobs).where(blobs.c.sha256.in_(names), blobs.c.state == "stored")).all():
            kept = links.kept(bytes(row.sha256), row.length, row.at_ns)
            ruling = rule(kept, self.classes, now_ns)
            if ruling.may_go:
                reasons[ruling.reason].append(kept.sha256)
                size += kept.size
        for reason, found in reasons.items():
            stage(connection, kinds.Disposal(tuple(found), reason, by), str(self.core.hub_id), now)
            connection.execute(update(blobs).where(blobs.c.sha256.in_(found)).values(state="disposing"))
        connection.execute(update(retention_clock).values(day_bytes=retention_clock.c.day_bytes + size))

    async def _finish(self) -> int:
        """Remove the bytes of blobs whose disposal is a published record."""
        published = self.core.sequencer.published_size()
        same = blobs.join(disposals, disposals.c.sha256 == blobs.c.sha256)
        ready = and_(blobs.c.state == "disposing", disposals.c.position < published)
        query = select(blobs.c.sha256).select_from(same).where(ready)
        names = [bytes(name) for name in await self.core.database.read(lambda connection: connection.execute(query).scalars().all())]
        for name in names:
            await self.store.delete(name)
            await self.core.database.write(partial(_gone, name=name))
        return len(names)


def _gone(connection: Connection, name: bytes) -> None:
    connection.execute(update(blobs).where(blobs.c.sha256 == name).values(state="disposed"))


@dataclass(slots=True)
class _Links:
    """Look up which tasks a segment belongs to, by the same rule as the timeline; remembers tasks within one transaction."""

    connection: Connection
    _tasks: dict[str, list[tuple[Link, dict[StreamId, list[Interval]]]]] = field(default_factory=dict)
    _covers: dict[tuple[str, int], int] = field(default_factory=dict)

    def kept(self, sha256: bytes, size: int, at_ns: int) -> Kept:
        """Give what is known of a blob: by all the segments whose bytes it is."""
        rows = self.connection.execute(select(segments).where(segments.c.sha256 == sha256)).all()
        since, proven = at_ns, bool(rows)
        links: dict[str, Link] = {}
        for row in rows:
            since = max(since, row.wall_to)
            proven = proven and row.position < self._covered(row.box, row.epoch)
            piece = Interval(row.wall_from, row.wall_to)
            for link, parts in self._of(row.stream):
                if any(piece.overlaps(part) for part in parts.get(StreamId(row.stream), ())):
                    links[link.task] = link
        return Kept(sha256, size, since, proven, links=tuple(links.values()))

    def _covered(self, box: str, epoch: int) -> int:
        if (box, epoch) not in self._covers:
            self._covers[box, epoch] = covered_size(self.connection, box, epoch)
        return self._covers[box, epoch]

    def _of(self, stream: str) -> list[tuple[Link, dict[StreamId, list[Interval]]]]:
        if stream not in self._tasks:
            self._tasks[stream] = [self._task(row) for row in self._rows(stream)]
        return self._tasks[stream]

    def _rows(self, stream: str) -> Sequence[Row[Any]]:
        paired = select(bonds.c.task).where(bonds.c.stream == stream)
        concerned = tasks.c.cameras.contains(json.dumps(stream), autoescape=True) | tasks.c.task.in_(paired)
        return self.connection.execute(select(tasks).where(concerned)).all()

    def _task(self, row: Row[Any]) -> tuple[Link, dict[StreamId, list[Interval]]]:
        facts = facts_of(row)
        known = self.connection.execute(select(keepings).where(keepings.c.task == facts.task)).first()
        kept_as = (known.kept_as if known is not None else None) or LINKED
        link = Link(facts.task, facts.ended_ns is None, bool(known.held) if known is not None else False, kept_as, facts.ended_ns)
        span = TaskSpan(facts.opened_ns, facts.ended_ns, tuple(StreamId(camera) for camera in facts.cameras))
        return link, stretches(span, bonds_of(self.connection, facts.task))
