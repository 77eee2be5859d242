"""Plan the sampling of a selected declaration: from what was declared when the pool of its draw closed, the results before, and its seed.

Guarantees: nothing that anybody does after the pool closed - an amendment above all - changes what is opened; the plan is kept with the
step that selected the declaration, and making it again from the log gives the same one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, select

from hub.inspection.draw_tables import draw_row
from hub.inspection.forms import Form
from hub.inspection.rule_sets import document_on
from hub.inspection.sampling.shipped import KEY, sampling_rules
from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol.errors import RefusedError
from protocol.instants import SECOND_NS
from protocol.sampling.plans import Line, Result, SamplePlan, SamplingRules, past_of, plan_sampling, value_of
from storage.schema import declarants, declaration_steps

YEAR_NS = 366 * 86_400 * SECOND_NS
MAX_RESULTS = 2000  # the newest verdicts of a year that rates and skip-lot look at
MAX_DRAWN = 20_000  # packages that a plan may name one by one


@dataclass(frozen=True, slots=True)
class Before:
    """What the log said when a pool closed: the rules of sampling in force, and the results of earlier consignments, oldest first.

    `erased`: how many results could not be read any more.
    """

    position: int
    day: date
    rules: SamplingRules
    results: tuple[Result, ...]
    erased: int = 0


def plan_of(connection: Connection, number: str) -> Mapping[str, Any] | None:
    """Give the plan by which a declaration is sampled, as JSON values; None where it was not selected.

    `boxes`: to open, in order; `lots`: by rule, each with `n`, `accept`, `laboratory`, and by line the `packages` of each box; `amended`:
    the declaration reads otherwise now.
    """
    steps = declaration_steps
    mine = select(steps.c.sheet, steps.c.position).where(steps.c.declaration == number, steps.c.act == State.SELECTED.value)
    row = connection.execute(mine.order_by(steps.c.position.desc()).limit(1)).first()
    if row is None:
        return None
    words = said(connection, bytes(row.sheet)) or {}
    kept = words.get("plan")
    plan = kept if isinstance(kept, dict) else _derived(connection, number, words, row.position)
    return plan | {"amended": _version_at(connection, number, None) != _version_at(connection, number, plan["before"])}


def _derived(connection: Connection, number: str, words: Mapping[str, Any], position: int) -> dict[str, Any]:
    """Make the plan that a step does not hold: one of a person's decision, or where the sheet was erased."""
    draw = words.get("draw")
    row = draw_row(connection, draw) if isinstance(draw, int) else None
    before = before_of(connection, position if row is None else row["closed_at"])
    return planned(connection, number, before, None if row is None or row["seed"] is None else bytes(row["seed"]))


def planned(connection: Connection, number: str, before: Before, seed: bytes | None) -> dict[str, Any]:
    """Make the plan of a declaration as it read before a place of the log; raise RefusedError where that was erased."""
    form, enterprise = _form_at(connection, number, before.position), _enterprise(connection, number)
    lines = lines_of(form)
    day = before.day.toordinal()
    keys = {(before.rules.of(line.hs).key, line.origin) for line in lines}
    named = {rule.key: rule for rule in before.rules.rules}
    pasts = {key: past_of(before.results, named[key[0]], key[1], enterprise, day) for key in keys}
    plan = plan_sampling(before.rules, number, lines, pasts, seed)
    return _bounded(plan) | {"before": before.position}


def _bounded(plan: SamplePlan) -> dict[str, Any]:
    """Write a plan; one that names more packages than anybody reads is told by its numbers alone, and made again from the seed."""
    value = value_of(plan)
    if sum(sum(lot.shares.values()) for lot in plan.lots) > MAX_DRAWN:
        for lot in value["lots"]:
            for line in lot["lines"]:
                line["packages"] = {box: [len(numbers)] for box, numbers in line["packages"].items()}
        value["counted"] = True
    return value


def before_of(connection: Connection, position: int) -> Before:
    """Give what the log said before a place of it."""
    steps = declaration_steps
    at_ns = connection.execute(
        select(steps.c.wall_ns).where(steps.c.position <= position).order_by(steps.c.position.desc()).limit(1)
    ).scalar()
    day = datetime.fromtimestamp((at_ns or 0) // SECOND_NS, UTC).date()
    rules = sampling_rules(document_on(connection, "sampling", KEY, day.isoformat(), known_ns=at_ns))
    results, erased = _results(connection, position, at_ns or 0, rules)
    return Before(position, day, rules, tuple(results), erased)


def lines_of(form: Form) -> list[Line]:
    """Give the lines of goods; goods of no named container lie in all of them."""
    everywhere = tuple(box.number for box in form.containers)
    return [Line(one.line, one.hs, one.origin, one.packages, tuple(one.containers) or everywhere) for one in form.goods]


def _results(connection: Connection, position: int, at_ns: int, rules: SamplingRules) -> tuple[list[Result], int]:
    steps = declaration_steps
    query = select(steps.c.declaration, steps.c.act, steps.c.position, steps.c.wall_ns).where(
        steps.c.act.in_((State.PASSED.value, State.FAILED.value)), steps.c.position < position, steps.c.wall_ns > at_ns - YEAR_NS
    )
    rows = connection.execute(query.order_by(steps.c.position.desc()).limit(MAX_RESULTS)).all()
    found: list[Result] = []
    erased = 0
    for row in reversed(rows):
        try:
            form, enterprise = _form_at(connection, row.declaration, row.position), _enterprise(connection, row.declaration)
        except RefusedError:
            erased += 1  # what is not known does not count
            continue
        day = datetime.fromtimestamp(row.wall_ns // SECOND_NS, UTC).date().toordinal()
        weights: dict[tuple[str, str], int] = {}
        for goods in form.goods:
            key = rules.of(goods.hs).key, goods.origin
            weights[key] = weights.get(key, 0) + int(goods.weight_kg.split(".")[0])
        found += [
            Result(day, rule, origin, enterprise, weight, row.act == State.PASSED.value)
            for (rule, origin), weight in sorted(weights.items())
        ]
    return found, erased


def _form_at(connection: Connection, number: str, position: int) -> Form:
    words = said(connection, _version_at(connection, number, position) or bytes(32))
    if words is None:
        raise RefusedError("is not known as it read then, or was erased", where=f"declaration {number[:64]}")
    return Form.model_validate(words["form"])


def _version_at(connection: Connection, number: str, position: int | None) -> bytes | None:
    """Give the sheet of a declaration as it read before a place of the log; None: now."""
    steps = declaration_steps
    wishes = [steps.c.declaration == number, steps.c.act.in_(("lodged", "amended")), steps.c.kind == "declaration"]
    wishes += [] if position is None else [steps.c.position < position]
    found = connection.execute(select(steps.c.sheet).where(*wishes).order_by(steps.c.position.desc()).limit(1)).scalar()
    return None if found is None else bytes(found)


def _enterprise(connection: Connection, number: str) -> str:
    found = connection.execute(select(declarants.c.enterprise).where(declarants.c.declaration == number)).scalar()
    return str(found or "")


def needs_laboratory(plan: Mapping[str, Any]) -> Sequence[str]:
    """Give the rules of a plan by which the laboratory gets a sample."""
    return [lot["rule"] for lot in plan["lots"] if lot["laboratory"]]


def check_plans(connection: Connection) -> Iterator[str]:
    """Make every plan that is kept with a selection again, and say which comes out otherwise; what was erased is passed over."""
    steps, befores = declaration_steps, dict[int, Before]()
    query = select(steps.c.declaration, steps.c.sheet, steps.c.position).where(steps.c.act == State.SELECTED.value)
    for row in connection.execute(query.order_by(steps.c.position)).all():
        words = said(connection, bytes(row.sheet)) or {}
        kept = words.get("plan")
        if not isinstance(kept, dict):
            continue
        draw = draw_row(connection, words["draw"])
        if draw["closed_at"] not in befores:
            befores[draw["closed_at"]] = before_of(connection, draw["closed_at"])
        before = befores[draw["closed_at"]]
        try:
            again = planned(connection, row.declaration, before, bytes(draw["seed"]))
        except RefusedError:
            continue
        if before.erased:
            continue  # what it looked back on is gone
        if again != kept:
            yield f"declaration {row.declaration}: the plan of its sampling, kept at {row.position}, is not the one that its draw gives"
