"""Say what stands where in the house: a card for each declaration that is being inspected and each task, in the column of its next step.

Guarantees: each column is read by an index and bounded; what ended longer ago than a day is not looked at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from hub.core import Core
from hub.inspection.draw_pools import team_of
from hub.inspection.fieldwork.completeness import judge_task
from hub.inspection.states import State
from hub.inspection.story.sources import declaration_of, tasks_of
from protocol.errors import RefusedError
from protocol.instants import SECOND_NS
from storage.schema import alarms, declarants, standings, tasks

S = State
Column = Literal["dispatch", "position", "work", "laboratory", "evaluate", "release", "done"]
MOST = 100  # cards in a column
METERED = 40
DAY_NS = 86_400 * SECOND_NS
STATES: Mapping[Column, tuple[State, ...]] = {
    "dispatch": (S.SELECTED, S.HELD, S.RE_INSPECT),
    "position": (S.DISPATCHED,),
    "work": (S.POSITIONED, S.PAIRED, S.INSPECTING),
    "laboratory": (S.SAMPLED, S.LAB_PENDING, S.TREATMENT),
    "evaluate": (S.DOC_CHECK, S.FAILED, S.RECTIFY, S.DETAINED, S.RECALLED),
    "release": (S.PASSED, S.RELEASE_APPROVED),
    "done": (S.RELEASED, S.GATE_OUT),
}
COLUMNS: tuple[Column, ...] = tuple(STATES)


@dataclass(frozen=True, slots=True)
class Card:
    """A declaration, a task, or both. `since_ns`: when it came to stand here; `alarms`: open ones about either;
    `meter`: how many must-records are there, of how many."""

    column: Column
    declaration: str | None
    task: str | None
    title: str
    state: str
    since_ns: int
    people: tuple[str, ...]
    bay: str | None
    alarms: int
    held: bool
    meter: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """The board of one port."""

    core: Core

    async def read(self, person: str | None = None) -> Sequence[Card]:
        """Give the cards, longest waiting first in each column; `person`: only what is theirs."""
        now_ns, size = self.core.clock.now().wall_ns, self.core.sequencer.size
        found = await self.core.database.read(lambda connection: cards(connection, now_ns, size))
        return [card for card in found if person is None or person in card.people]


def cards(connection: Connection, now_ns: int, size: int) -> list[Card]:
    """Give all cards, in a transaction."""
    found = [card for column in COLUMNS for card in _declared(connection, column, now_ns, size)]
    found = [_metered(connection, card, at) for at, card in enumerate(found)]
    known = {card.task for card in found}
    loose = [card for card in _loose(connection, now_ns) if card.task not in known]
    return sorted([*found, *loose], key=lambda card: (COLUMNS.index(card.column), card.since_ns))


def _metered(connection: Connection, card: Card, at: int) -> Card:
    """Say how complete the evidence of a task at work is; of the first cards only, since each is judged by its records."""
    if card.task is None or card.column not in ("work", "laboratory", "evaluate") or at >= METERED:
        return card
    try:
        return replace(card, meter=judge_task(connection, card.task).meter())
    except RefusedError:  # a task that was opened by hand has no procedure
        return card


def _declared(connection: Connection, column: Column, now_ns: int, size: int) -> list[Card]:
    table, names = standings, [state.value for state in STATES[column]]
    wishes = [table.c.state.in_(names)] + ([table.c.changed_ns >= now_ns - DAY_NS] if column == "done" else [])
    query = select(table, declarants.c.reference).outerjoin(declarants, declarants.c.declaration == table.c.declaration)
    rows = connection.execute(query.where(*wishes).order_by(table.c.lodged_ns.desc()).limit(MOST)).all()
    return [_card(connection, column, row, size) for row in rows]


def _card(connection: Connection, column: Column, row: Row[Any], size: int) -> Card:
    opened = tasks_of(connection, row.declaration, size) if row.state not in (S.SELECTED, S.HELD) else ()
    task = connection.execute(select(tasks).where(tasks.c.task == opened[-1])).first() if opened else None
    people = team_of(connection, row.declaration) if task is None and row.selected else ()
    ended = task is not None and task.state == "ended" and column == "work"
    return Card(
        "evaluate" if ended else column,
        row.declaration,
        None if task is None else task.task,
        row.reference or "" if task is None else task.title,
        row.state,
        row.changed_ns,
        people if task is None else tuple(json.loads(task.inspectors)),
        None if task is None else task.bay,
        _ringing(connection, [row.declaration] + ([] if task is None else [task.task])),
        bool(row.held or json.loads(row.holds)),
    )


def _loose(connection: Connection, now_ns: int) -> list[Card]:
    """Give the tasks that no declaration in the columns above names: open ones at work, ended ones done."""
    running = select(tasks).where(tasks.c.state == "opened").order_by(tasks.c.opened_ns.desc()).limit(MOST)
    over = select(tasks).where(tasks.c.state == "ended", tasks.c.opened_ns >= now_ns - DAY_NS).order_by(tasks.c.opened_ns.desc())
    found = []
    for row in [*connection.execute(running), *connection.execute(over.limit(MOST))]:
        if declaration_of(connection, row.facts) is not None and row.state == "ended":
            continue  # its declaration's card says how it goes on
        column: Column = "work" if row.state == "opened" else "done"
        since = row.opened_ns if row.ended_ns is None else row.ended_ns
        people, ringing = tuple(json.loads(row.inspectors)), _ringing(connection, [row.task])
        declaration = declaration_of(connection, row.facts)
        found.append(Card(column, declaration, row.task, row.title, row.state, since, people, row.bay, ringing, held=False))
    return found


def _ringing(connection: Connection, subjects: list[str]) -> int:
    mine = alarms.c.acknowledged_ns.is_(None), alarms.c.subject.in_(subjects)
    return int(connection.execute(select(func.count()).select_from(alarms).where(*mine)).scalar_one())
