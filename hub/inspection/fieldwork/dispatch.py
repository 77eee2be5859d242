"""Send inspectors to a held declaration: a task for each procedure that its goods ask for, and its step, in one go.

Guarantees: the step and its tasks enter the log together or not at all, once; a task names the version of its procedure that was in force
then and goes on with it; who inspects is who was drawn.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.catalogue import Bay as BayEntry
from hub.inspection.catalogue import GoodsKind
from hub.inspection.draw_pools import team_of
from hub.inspection.fieldwork.tables import (
    DECLARATION,
    PROCEDURE,
    SHA256,
    VERSION,
    all_tasks_of,
    form_of,
    forms_of,
    inspectors_of,
    site_task,
    task_of,
    tasks_of,
)
from hub.inspection.published import PublishedProcedure, in_force
from hub.inspection.references import find, in_use
from hub.inspection.sheets import keep
from hub.inspection.standings import standing_of, standing_row
from hub.inspection.states import State, check_step
from hub.sequencer import stage
from hub.tasks import TaskDraft, Tasks
from hub.values import TaskFacts
from protocol.errors import RefusedError
from protocol.inspection_kinds import Step
from protocol.instants import SECOND_NS, Instant
from protocol.sheets import SALT_BYTES, make_sheet
from storage.schema import tasks

GENERAL = "wood-packaging"  # looked at before and at opening, whatever the goods: where no kind of goods covers a code
WOOD = "wood-packaging"
MAX_PROCEDURES = 16  # of the kinds of goods of one declaration


class _PassedError(RefusedError):
    """All that was staged before is in the log now."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The dispatches of one port."""

    core: Core
    tasks: Tasks

    async def dispatch(self, number: str, bay: str, by: str) -> TaskFacts:
        """Open the tasks of a held declaration at a bay, and let it take its step; give the first task.

        Raises RefusedError when it is not held, nobody was drawn, the bay is shut, or no procedure is in force.
        """
        sheet = make_sheet({"by": by, "bay": bay}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Step]:
            check_step(standing_of(standing_row(connection, number)), State.DISPATCHED, by)
            now = self.core.clock.now()
            drafts = self._drafts(connection, number, bay, now)
            keep(connection, sheet)
            for draft in drafts:
                stage(connection, draft.body(by, self.core.site), draft.task, now)
            return number, Step(State.DISPATCHED, sheet.commitment)

        await self.core.sequencer.decide(decide)
        await self._staged()
        task = await self.core.database.read(lambda connection: task_of(connection, number))
        assert task is not None
        self.core.events.tell("declaration", declaration=number, state=State.DISPATCHED.value)
        self.core.events.tell("task", task=task, state="opened")
        return await self.tasks.get(task)

    async def task_of(self, number: str) -> str | None:
        """Give the first task of a declaration's newest dispatch; None before it."""
        return await self.core.database.read(lambda connection: task_of(connection, number))

    async def others_of(self, task: str) -> list[str]:
        """Give the other tasks of the dispatch that opened a task."""

        def read(connection: Connection) -> list[str]:
            found = site_task(connection, task)
            return [one.task for one in tasks_of(connection, found.declaration) if one.task != task]

        return await self.core.database.read(read)

    async def inspectors_of(self, number: str) -> frozenset[str]:
        """Give everyone who is or ever was on a declaration's inspection."""
        return await self.core.database.read(lambda connection: inspectors_of(connection, number))

    async def _staged(self) -> None:
        """Wait until what was staged is in the log: it is taken up before what is asked now."""

        def passed(_connection: Connection, _size: int) -> tuple[str, Any]:
            raise _PassedError("looked only", where="dispatch")

        try:
            await self.core.sequencer.decide(passed)
        except _PassedError:
            return

    def _drafts(self, connection: Connection, number: str, bay: str, now: Instant) -> list[TaskDraft]:
        place = find(connection, "bay", bay).value
        if not isinstance(place, BayEntry) or not place.is_open:
            raise RefusedError("is not open", where=f"bay {bay[:32]}")
        team = team_of(connection, number)
        if not team:
            raise RefusedError("nobody was drawn to inspect it", where=f"declaration {number}")
        form = form_of(connection, number)
        day = datetime.fromtimestamp(now.wall_ns // SECOND_NS, UTC).date().isoformat()
        lines = [
            line for one in forms_of(connection, number) for line in one.get("goods", ())
        ]  # as selected, too, whatever was amended since
        found = procedures_for(connection, {"goods": lines}, day)
        names = _free_names(connection, number, len(found[:MAX_PROCEDURES]))
        return [self._draft(number, name, one, bay, place.cameras, team, form) for name, one in zip(names, found, strict=False)]

    def _draft(  # noqa: PLR0913 - what a task is made of
        self,
        number: str,
        name: str,
        one: PublishedProcedure,
        bay: str,
        cameras: Sequence[str],
        team: Sequence[str],
        form: dict[str, Any],
    ) -> TaskDraft:
        boxes = " ".join(box["number"] for box in form.get("containers", ())[:3])
        facts = ((DECLARATION, number), (PROCEDURE, one.key), (VERSION, str(one.version)), (SHA256, one.sha256.hex()))
        return TaskDraft(
            task=name,
            title=f"{one.procedure.zh} {boxes}".strip()[:500],
            bay=bay,
            cameras=tuple(cameras),
            inspectors=tuple(team),
            facts=facts,
        )


def _free_names(connection: Connection, number: str, count: int) -> list[str]:
    """Give names for the tasks of a dispatch; one that somebody gave a task of their own is left out, or its people would inspect."""
    at, found = len(all_tasks_of(connection, number)), list[str]()
    while len(found) < count:
        at += 1
        name = f"T{number[1:]}" + (f".{at}" if at > 1 else "")
        if connection.execute(select(tasks.c.task).where(tasks.c.task == name)).first() is None:
            found.append(name)
    return found


def procedures_for(connection: Connection, form: dict[str, Any], day: str) -> list[PublishedProcedure]:
    """Give the procedures that a declaration's goods ask for: by the longest HS prefix of the kinds of goods, each once, in line order.

    A code that no kind covers is inspected by the general procedure; packing of wood asks for its own beside the goods'.
    """
    kinds = [(one.key, one.value) for one in in_use(connection, "goods") if isinstance(one.value, GoodsKind)]
    names: dict[str, None] = {}
    for line in form.get("goods", ()):
        names[_procedure_of(kinds, line["hs"])] = None
    if any(line.get("wood_packaging") for line in form.get("goods", ())):
        names[WOOD] = None
    found = {one.sha256: one for one in (in_force(connection, name, day) for name in names or {GENERAL: None})}
    return list(found.values())


def _procedure_of(kinds: Sequence[tuple[str, GoodsKind]], code: str) -> str:
    fitting = [(len(prefix), key, kind) for key, kind in kinds for prefix in kind.hs if code.startswith(prefix)]
    if not fitting:
        return GENERAL
    _, _, kind = max(fitting, key=lambda one: (one[0], one[1]))
    return kind.procedure
