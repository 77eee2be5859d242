"""Say where a declaration or a task stood at a moment, and by which versions of the rules.

Guarantees: a fold of the records below a size of the log, each by an index; the versions named are those in force then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from hub.inspection.sheets import said
from hub.inspection.states import Standing, State, after_amendment
from storage.schema import declaration_steps, draw_policies, tasks


@dataclass(frozen=True, slots=True)
class InForce:
    """A rule that held: which, its version, and the place of the record that put it in force."""

    what: str
    version: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Stood:
    """Where things stood: the declaration's state and version, and the rule that brought it there; the task's state."""

    declaration: str | None
    state: str | None
    version: int | None
    since_ns: int | None
    rule: str | None
    holds: tuple[str, ...]
    task: str | None
    task_state: str | None
    rules: tuple[InForce, ...]


def stood(connection: Connection, task: str | None, declaration: str | None, size: int) -> Stood:
    """Give where a task, a declaration or both stood at a log of this size."""
    rows = [] if declaration is None else _steps(connection, declaration, size)
    newest = next((row for row in reversed(rows) if row.kind != "hold"), None)
    versions = [row.version for row in rows if row.version is not None]
    return Stood(
        declaration,
        _state(rows),
        versions[-1] if versions else None,
        None if newest is None else newest.wall_ns,
        None if newest is None else newest.rule,
        _holds(rows),
        task,
        None if task is None else _task_state(connection, task, size),
        tuple(_rules(connection, rows, size)),
    )


def _steps(connection: Connection, declaration: str, size: int) -> list[Row[Any]]:
    mine = declaration_steps.c.declaration == declaration, declaration_steps.c.position < size
    return list(connection.execute(select(declaration_steps).where(*mine).order_by(declaration_steps.c.position)).all())


def _state(rows: Sequence[Row[Any]]) -> str | None:
    """Give the state after some records: an amendment goes by the guards' own rule, and never un-selects."""
    state, selected = None, False
    for row in rows:
        if row.act == "amended" and state is not None:
            state = after_amendment(Standing(state, selected=selected))
        elif row.kind != "hold":
            state = State(row.act)
        selected = selected or state is State.SELECTED
    return None if state is None else state.value


def _holds(rows: list[Row[Any]]) -> tuple[str, ...]:
    held: set[str] = set()
    for row in rows:
        if row.kind == "hold":
            held = held | {row.authority} if row.act == "placed" else held - {row.authority}
    return tuple(sorted(held))


def _task_state(connection: Connection, task: str, size: int) -> str | None:
    row = connection.execute(select(tasks.c.opened_at, tasks.c.ended_at).where(tasks.c.task == task)).first()
    if row is None or row.opened_at >= size:
        return None
    return "opened" if row.ended_at is None or row.ended_at >= size else "ended"


def _rules(connection: Connection, rows: list[Row[Any]], size: int) -> list[InForce]:
    """Give the rules that decided so far, newest of each name, and the draw policy in force."""
    found: dict[str, InForce] = {}
    for row in rows:
        if row.rule is not None:
            name, _, version = row.rule.rpartition("/")
            found[name] = InForce(name or row.rule, version, row.position)
        words = said(connection, bytes(row.sheet)) if row.act == "dispatched" else None
        if words and "procedure" in words:
            found["procedure"] = InForce(f"procedure {words['procedure']}", str(words.get("procedure_version", "")), row.position)
    policies = select(draw_policies.c.rules, draw_policies.c.position).where(draw_policies.c.position < size)
    policy = connection.execute(policies.order_by(draw_policies.c.position.desc()).limit(1)).first()
    if policy is not None:
        name, _, version = policy.rules.rpartition("/")
        found["draw policy"] = InForce(name or policy.rules, version, policy.position)
    return list(found.values())
