"""Mark what was seen, and tell the people of a task what to do.

Guarantees: a mark and a word are records, a correction is a new mark that names the old one, and an instruction counts as read only by
a record of somebody who is on the task.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.sheets import keep, said
from hub.inspection.supervision.tables import MAX_LISTED, Told, instructions_of, people_of
from hub.sequencer import Decide
from protocol.errors import ForbiddenError, MalformedError, RefusedError
from protocol.identifiers import StreamId
from protocol.sheets import SALT_BYTES, make_sheet
from protocol.supervision_kinds import Annotation, Instruction
from storage.schema import annotations, instructions, tasks

MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation; `by` and `text` are None where its sheet was erased, `corrected` is the place of the one that replaces it."""

    position: int
    task: str
    stream: str | None
    from_ns: int
    to_ns: int
    at_ns: int
    by: str | None
    text: str | None
    corrects: int | None
    corrected: int | None


@dataclass(frozen=True, slots=True)
class Supervision:
    """What supervisors say about tasks, and to the people on them."""

    core: Core

    async def annotate(
        self, task: str, span: tuple[int, int], text: str, by: str, *, stream: str | None = None, corrects: int | None = None
    ) -> int:
        """Mark a moment or a stretch (Unix ns, from and to) of a task; give the record's place.

        Raises MalformedError for what is no stretch or no text, RefusedError for a task, or a mark to correct, that is not known.
        """
        if not 0 <= span[0] <= span[1]:
            raise MalformedError("a mark ends before it begins", where="annotation")
        name = None if stream is None else str(StreamId(stream))
        sheet = make_sheet({"by": by, "text": _text(text)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Annotation]:
            _need_task(connection, task)
            if corrects is not None:
                mine = annotations.c.position == corrects, annotations.c.task == task
                if connection.execute(select(annotations.c.position).where(*mine)).first() is None:
                    raise RefusedError("is not known", where=f"annotation {corrects}")
            keep(connection, sheet)
            return task, Annotation(span[0], span[1], sheet.commitment, name, corrects)

        return await self._logged(decide, task)

    async def instruct(self, task: str, text: str, by: str) -> int:
        """Tell the people of an open task something; give the record's place. Raises MalformedError, RefusedError."""
        sheet = make_sheet({"by": by, "text": _text(text)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Instruction]:
            if _need_task(connection, task) != "opened":
                raise RefusedError("has ended", where=f"task {task}")
            keep(connection, sheet)
            return task, Instruction("given", sheet.commitment)

        return await self._logged(decide, task)

    async def acknowledge(self, task: str, position: int, by: str) -> int:
        """Say that an instruction was read; give the record's place, the first one's where it was said before.

        Raises ForbiddenError for somebody who is not on the task, RefusedError for an instruction that is not known.
        """
        known = await self.core.database.read(lambda connection: _answer(connection, position))
        if known is not None:
            return known
        sheet = make_sheet({"by": by}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Instruction]:
            mine = instructions.c.position == position, instructions.c.task == task, instructions.c.act == "given"
            if connection.execute(select(instructions.c.position).where(*mine)).first() is None:
                raise RefusedError("is not known", where=f"instruction {position}")
            if by not in people_of(connection, task):
                raise ForbiddenError("not your task", where=f"task {task}")
            if _answer(connection, position) is not None:
                raise RefusedError("was read already", where=f"instruction {position}")
            keep(connection, sheet)
            return task, Instruction("acknowledged", sheet.commitment, position)

        return await self._logged(decide, task)

    async def instructions(self, task: str) -> Sequence[Told]:
        """Give the instructions of a task, in order."""
        return await self.core.database.read(lambda connection: instructions_of(connection, task))

    async def marks(self, task: str) -> Sequence[Mark]:
        """Give the annotations of a task, in order of the log."""
        return await self.core.database.read(lambda connection: marks_of(connection, task))

    async def _logged(self, decide: Decide, task: str) -> int:
        signed = await self.core.sequencer.decide(decide)
        self.core.events.tell("supervision", task=task, kind=signed.record.kind)
        return signed.record.position


def marks_of(connection: Connection, task: str) -> Sequence[Mark]:
    """Give the annotations of a task, in a transaction."""
    query = select(annotations).where(annotations.c.task == task).order_by(annotations.c.position).limit(MAX_LISTED)
    rows = connection.execute(query).all()
    replaced = {row.corrects: row.position for row in rows if row.corrects is not None}
    found = []
    for row in rows:
        words = said(connection, bytes(row.sheet)) or {}
        place = (row.position, row.task, row.stream, row.from_ns, row.to_ns, row.wall_ns)
        found.append(Mark(*place, words.get("by"), words.get("text"), row.corrects, replaced.get(row.position)))
    return found


def _answer(connection: Connection, position: int) -> int | None:
    mine = instructions.c.answers == position, instructions.c.act == "acknowledged"
    return connection.execute(select(instructions.c.position).where(*mine).order_by(instructions.c.position)).scalar()


def _need_task(connection: Connection, task: str) -> str:
    state = connection.execute(select(tasks.c.state).where(tasks.c.task == task)).scalar()
    if state is None:
        raise RefusedError("is not known", where=f"task {task[:64]}")
    return str(state)


def _text(text: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT:
        raise MalformedError(f"has 1 to {MAX_TEXT} characters", where="text")
    return text.strip()
