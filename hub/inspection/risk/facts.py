"""Gather from the hub's tables what a screening looks at, in one transaction, and keep what later ones compare with.

Guarantees: what is gathered is values alone, from which the score can be reckoned again; how long it takes does not grow with history:
every look is by an index, and of past inspections the newest thousand count.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select

from hub.inspection import entries
from hub.inspection.catalogue import Area, GoodsKind, Notice
from hub.inspection.draw_tables import newest_policy
from hub.inspection.forms import Form
from hub.inspection.risk.bounds import MOST
from hub.inspection.risk.fields import values_of
from hub.inspection.risk.grades import Graded, grade_of
from hub.inspection.risk.language import Declared
from hub.inspection.risk.matching import (
    Known,
    areas_of,
    days_ahead,
    kind_finder,
    mismatches_of,
    notices_of,
    rules_of,
    triples_of,
)
from hub.inspection.risk.scoring import History, Inputs
from hub.inspection.rule_tables import InForce, rules_in_force
from hub.inspection.sheets import said
from hub.inspection.standings import standing_of, standing_row
from hub.inspection.states import State
from protocol.drawing.policy import Policy
from protocol.errors import RefusedError
from protocol.instants import SECOND_NS
from storage.database import insert_new
from storage.schema import declarants, declaration_steps, screening_names, standings

DAY_NS = 86_400 * SECOND_NS
_USED_OFTEN = ("quarantine permit", "import licence")  # are written off bit by bit
_GONE = (State.WITHDRAWN.value, State.REJECTED.value)


@dataclass(frozen=True, slots=True)
class Premises:
    """What holds for every screening of a moment: reference data in use, rules in force, the draw's policy (None: none is set)."""

    goods: Mapping[str, GoodsKind]
    areas: Mapping[str, tuple[int, Area]]
    notices: Mapping[str, tuple[int, Notice]]
    rules: InForce
    policy: Policy | None
    kind_of: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one declaration. `day`: of its newest version."""

    number: str
    version: int
    state: State
    holds: frozenset[str]
    day: str
    form: Form
    graded: Graded
    inputs: Inputs


def premises_of(connection: Connection) -> Premises:
    """Gather what holds for every screening now."""
    try:
        policy: Policy | None = newest_policy(connection)[1]
    except RefusedError:
        policy = None
    goods = {key: entry for key, (_, entry) in _entries(connection, "goods", GoodsKind).items()}
    areas, notices = _entries(connection, "area", Area), _entries(connection, "notice", Notice)
    return Premises(goods, areas, notices, rules_in_force(connection), policy, kind_finder(goods))


def _entries(connection: Connection, category: str, kind: type[Any]) -> dict[str, tuple[int, Any]]:
    rows = ((row["key"], row["version"], said(connection, bytes(row["sheet"]))) for row in entries.standing(connection, category))
    return {key: (version, kind.model_validate(words["entry"])) for key, version, words in rows if words is not None}


def facts_of(connection: Connection, premises: Premises, number: str, today: str) -> Facts:
    """Gather what is known of a declaration; `today`: the day by which notices, areas and rules hold.

    Raises RefusedError when there is none, or its form was erased.
    """
    row = standing_row(connection, number)
    steps = declaration_steps
    told = and_(steps.c.declaration == number, steps.c.kind == "declaration", steps.c.act.in_(("lodged", "amended")))
    newest = connection.execute(select(steps.c.sheet, steps.c.wall_ns).where(told).order_by(steps.c.position.desc()).limit(1)).first()
    words = None if newest is None else said(connection, bytes(newest.sheet))
    if newest is None or words is None:
        raise RefusedError("was erased", where=f"declaration {number}")
    form, day = Form.model_validate(words["form"]), day_of(newest.wall_ns)
    graded = grade_of(connection, form.enterprise, today)
    inputs = _inputs(connection, premises, (number, form, day, today), graded)
    return Facts(number, row["version"], State(row["state"]), standing_of(row).holds, day, form, graded, inputs)


def _inputs(connection: Connection, premises: Premises, about: tuple[str, Form, str, str], graded: Graded) -> Inputs:
    number, form, day, today = about
    kind_of, targets = premises.kind_of, premises.rules.targets
    known = Known(
        premises.goods,
        premises.areas,
        premises.notices,
        targets,
        graded.known,
        _bill_elsewhere(connection, number, form),
        _permits_elsewhere(connection, number, form),
    )
    declared = Declared(*values_of(form, day, graded.grade, kind_of)) if targets else None
    return Inputs(
        histories=histories(connection, triples_of(form, kind_of), premises.rules.score.history_days, today),
        grade=graded.grade,
        joint_list=graded.joint_list,
        notices=notices_of(form, premises.notices, today),
        mismatches=mismatches_of(form, known, kind_of),
        areas=areas_of(form, premises.areas, today),
        days_ahead=days_ahead(form, day),
        rules=[] if declared is None else rules_of(targets, today, declared),
    )


def histories(connection: Connection, triples: Sequence[tuple[str, str, str]], days: int, today: str) -> list[History]:
    """Give what inspections found of kinds of goods, by origin and shipper, over some days before today."""
    since_ns = (_days_since_1970(today) - days) * DAY_NS
    names, steps = screening_names, declaration_steps
    found = []
    for kind, origin, shipper in triples:
        mine = and_(names.c.kind == "line", names.c.name == _name(kind, origin, shipper))
        judged = and_(steps.c.act.in_((State.PASSED.value, State.FAILED.value)), steps.c.wall_ns >= since_ns)
        query = select(func.min(steps.c.act).label("worst"), func.max(steps.c.position).label("position"))  # failed < passed
        query = query.join(names, names.c.declaration == steps.c.declaration).where(mine, judged).group_by(steps.c.declaration)
        rows = connection.execute(query.order_by(func.max(steps.c.position).desc()).limit(MOST)).all()
        failed = sum(row.worst == State.FAILED.value for row in rows)
        found.append(History(kind, origin, shipper, len(rows), failed))
    return found


def keep_names(connection: Connection, facts: Facts, kind_of: Callable[[str], str | None]) -> None:
    """Keep what a declaration names, in the place of what it named before."""
    form, table = facts.form, screening_names
    connection.execute(delete(table).where(table.c.declaration == facts.number))
    named = [("line", _name(*triple)) for triple in triples_of(form, kind_of)] + [("bill", _name(form.bill))]
    named += [("permit", _name(one.kind, one.number)) for one in form.permits if one.kind not in _USED_OFTEN]
    rows = [{"declaration": facts.number, "kind": kind, "name": name} for kind, name in sorted(set(named))]
    connection.execute(insert_new(connection, table), rows)


def _bill_elsewhere(connection: Connection, number: str, form: Form) -> bool:
    """Tell whether another enterprise declared under this bill of lading."""
    query = _others(number, "bill", [_name(form.bill)]).join(declarants, declarants.c.declaration == screening_names.c.declaration)
    return connection.execute(query.where(declarants.c.enterprise != form.enterprise).limit(1)).first() is not None


def _permits_elsewhere(connection: Connection, number: str, form: Form) -> tuple[str, ...]:
    mine = {_name(one.kind, one.number): one.number for one in form.permits if one.kind not in _USED_OFTEN}
    if not mine:
        return ()
    return tuple(sorted({mine[row.name] for row in connection.execute(_others(number, "permit", list(mine))).all()}))


def _others(number: str, kind: str, names: list[str]) -> Any:  # noqa: ANN401 - a query
    table = screening_names
    query = select(table.c.name).join(standings, standings.c.declaration == table.c.declaration)
    mine = and_(table.c.kind == kind, table.c.name.in_(names), table.c.declaration != number)
    return query.where(mine, standings.c.state.not_in(_GONE))


def day_of(wall_ns: int) -> str:
    """Give the day of an instant, in UTC."""
    return datetime.fromtimestamp(wall_ns // SECOND_NS, UTC).date().isoformat()


def _days_since_1970(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def _name(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
