"""Open and end inspection tasks, and give the short code by which a recorder joins one.

Guarantees: opening and ending are records of the hub; a task is opened once and ended once; every box that a task concerns is
told of its end until it answers.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select

from hub.bonds import pairing_states
from hub.codes import Codes
from hub.core import Core
from hub.inspection.fieldwork.tables import SHA256
from hub.mail import Mail
from hub.values import Code, PairingState, TaskFacts
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from protocol.identifiers import BayId, PersonId, StreamId, TaskId
from protocol.linking import planned_end
from protocol.messages import EndTask
from storage.fieldwork_schema import task_people
from storage.schema import bonds, commands, leaves, orders, records, tasks

MAX_LISTED = 500
MAX_CAMERAS = 64
MAX_INSPECTORS = 16
MAX_FACTS = 64
MAX_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDraft:
    """What a new task is about. `cameras`: the bay's streams; `facts`: named texts of the declaration."""

    task: str
    title: str
    bay: str | None = None
    cameras: tuple[str, ...] = ()
    inspectors: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()

    def body(self, by: str, site: str) -> kinds.Task:
        """Give the record's body; raise MalformedError naming the field that is wrong."""
        TaskId(self.task)
        if self.bay is not None:
            BayId(self.bay)
        if len(self.cameras) > MAX_CAMERAS or len(self.inspectors) > MAX_INSPECTORS or len(self.facts) > MAX_FACTS:
            raise MalformedError(f"more than {MAX_CAMERAS} cameras, {MAX_INSPECTORS} inspectors or {MAX_FACTS} facts", where="task")
        texts = (self.title, *(text for fact in self.facts for text in fact))
        if any(len(text) > MAX_TEXT for text in texts) or not self.title.strip():
            raise MalformedError(f"texts have 1 to {MAX_TEXT} characters", where="task")
        cameras = tuple(StreamId(camera) for camera in self.cameras)
        inspectors = tuple(PersonId(person) for person in self.inspectors)
        planned_end(self.facts)
        return kinds.Task("opened", by, site, self.bay, self.title, inspectors, cameras, self.facts)


@dataclass(slots=True)
class Tasks:
    """The tasks of the port."""

    core: Core
    mail: Mail
    codes: Codes
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self, draft: TaskDraft, by: str) -> TaskFacts:
        """Open a task; raise MalformedError for a wrong field, RefusedError when it is known, or would pass for an inspection's."""
        if any(name == SHA256 for name, _ in draft.facts):
            raise RefusedError("tasks of an inspection are opened by its dispatch", where=f"task {draft.task}")
        body = draft.body(by, self.core.site)
        async with self._lock:
            if await self.core.database.read(lambda connection: _facts(connection, draft.task)) is not None:
                raise RefusedError("was opened before", where=f"task {draft.task}")
            await self.core.sequencer.issue(body, draft.task)
        self.core.events.tell("task", task=draft.task, state="opened")
        return await self.get(draft.task)

    async def end(self, task: str, by: str) -> TaskFacts:
        """End a task and tell the boxes that it concerns; ending it again changes nothing.

        Raises RefusedError when there is no such task.
        """
        async with self._lock:
            known = await self.get(task)
            if known.state == "opened":
                await self.core.sequencer.issue(kinds.Task("ended", by, self.core.site), task)
                await self.codes.drop(task)
                self.core.events.tell("task", task=task, state="ended")
        known = await self.get(task)
        await self._tell_boxes(known)
        return known

    async def get(self, task: str) -> TaskFacts:
        """Give a task; raise RefusedError when there is none of this name."""
        facts = await self.core.database.read(lambda connection: _facts(connection, task))
        if facts is None:
            raise RefusedError("is not known", where=f"task {task[:64]}")
        return facts

    async def list(self, state: str | None = None, limit: int = 100) -> list[TaskFacts]:
        """Give tasks, newest first."""
        query = select(tasks).order_by(tasks.c.opened_ns.desc()).limit(min(limit, MAX_LISTED))
        if state is not None:
            query = query.where(tasks.c.state == state)

        def read(connection: Connection) -> list[TaskFacts]:
            rows = connection.execute(query).all()
            later = heirs(connection, [row.task for row in rows])
            return [facts_of(row, (), later.get(row.task, ())) for row in rows]

        return await self.core.database.read(read)

    async def code(self, task: str, to: str = "") -> Code:
        """Give an open task's short code to a person: the one that still holds for a while, or a new one.

        Raises RefusedError for a task that is not open.
        """
        if (await self.get(task)).state != "opened":
            raise RefusedError("has ended", where=f"task {task}")
        return await self.codes.give(task, to)

    def task_of(self, code: str) -> str | None:
        """Give the task that a code names now."""
        return self.codes.task_of(code)

    def giver_of(self, code: str) -> str:
        """Give the person to whom a code was last shown; empty when that is not known."""
        return self.codes.giver_of(code)

    async def reconcile(self) -> None:
        """Tell boxes of ends that a crash kept from them, and let the codes that were given still hold."""
        await self.codes.load()
        for task in await self.list("ended", MAX_LISTED):
            await self._tell_boxes(task)

    async def _tell_boxes(self, task: TaskFacts) -> None:
        boxes, order = await self.core.database.read(lambda connection: (_untold(connection, task), _end_order(connection, task.task)))
        for box in boxes:
            await self.mail.command(box, EndTask(end_command(task.task, box), task.task, order))


def end_command(task: str, box: str) -> str:
    """Give the command's name by which a box is told of a task's end."""
    return f"end:{hash_name(task, box)}"


def hash_name(*parts: str) -> str:
    """Give a short name made of long ones."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _facts(connection: Connection, task: str) -> TaskFacts | None:
    row = connection.execute(select(tasks).where(tasks.c.task == task)).first()
    return None if row is None else facts_of(row, pairing_states(connection, task), heirs(connection, [task]).get(task, ()))


def _untold(connection: Connection, task: TaskFacts) -> list[str]:
    """Give the boxes that a task concerns and that have no command of its end."""
    ordered = connection.execute(select(orders.c.stream).where(orders.c.task == task.task)).scalars()
    joined = connection.execute(select(bonds.c.stream).where(bonds.c.task == task.task)).scalars()  # by tickets, too
    concerned = {StreamId(stream).box for stream in (*ordered, *joined, *task.cameras)}
    names = {end_command(task.task, box): box for box in concerned}
    known = set(connection.execute(select(commands.c.command).where(commands.c.command.in_(names))).scalars())
    return sorted(box for name, box in names.items() if name not in known)


def _end_order(connection: Connection, task: str) -> bytes:
    """Give the hub's signed record that ended a task; empty while it is not logged."""
    place = select(tasks.c.ended_at).where(tasks.c.task == task).scalar_subquery()
    issuer = select(leaves.c.issuer).where(leaves.c.position == place).scalar_subquery()
    found = select(records.c.data).where(records.c.issuer == issuer, records.c.epoch == 0, records.c.position == place)
    return bytes(connection.execute(found).scalar() or b"")


def heirs(connection: Connection, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give to whom tasks were handed over, by task: from then on they are on it, too."""
    found: dict[str, tuple[str, ...]] = {}
    for at in range(0, len(names), 500):
        mine = task_people.c.task.in_(names[at : at + 500])
        for row in connection.execute(select(task_people).where(mine).order_by(task_people.c.task, task_people.c.person)):
            found[row.task] = (*found.get(row.task, ()), row.person)
    return found


def facts_of(row: Row[Any], pairings: Sequence[PairingState] = (), later: Sequence[str] = ()) -> TaskFacts:
    """Give a task from its row; `later`: to whom it was handed over."""
    return TaskFacts(
        task=row.task,
        state=row.state,
        title=row.title,
        site=row.site,
        bay=row.bay,
        by=row.by,
        opened_ns=row.opened_ns,
        ended_ns=row.ended_ns,
        inspectors=tuple(dict.fromkeys((*json.loads(row.inspectors), *later))),
        cameras=tuple(json.loads(row.cameras)),
        facts=tuple((name, text) for name, text in json.loads(row.facts)),
        pairings=tuple(pairings),
    )
