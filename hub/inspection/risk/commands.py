"""Ask by command for the risk of a declaration in a file: the parts, the lane and why, by the code that screening decides by.

Guarantees: reads the files it is given and nothing else; what they do not say is taken as a hub that knows nothing yet would: no past
inspections, grade B, the figures that ship with the hub.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from hub.inspection.catalogue import Area, Enterprise, GoodsKind, Notice, read_entry
from hub.inspection.forms import Form, read_form
from hub.inspection.risk.bounds import MOST
from hub.inspection.risk.facts import Facts, Premises
from hub.inspection.risk.fields import values_of
from hub.inspection.risk.grades import Graded
from hub.inspection.risk.judging import judge_acceptance, screening_sheet
from hub.inspection.risk.language import Declared
from hub.inspection.risk.matching import Known, areas_of, days_ahead, kind_finder, mismatches_of, notices_of, rules_of, triples_of
from hub.inspection.risk.rule_documents import SCORE_KEY, ScoreRules, TargetRule, read_rule, shipped_score
from hub.inspection.risk.scoring import History, Inputs
from hub.inspection.rule_asking import Answer, Language, RuleCommand
from hub.inspection.rule_tables import InForce
from hub.inspection.states import State
from protocol.errors import MalformedError, StorageError
from protocol.instants import SECOND_NS
from storage.clock import SystemClock

_GRADES = ("AA", "A", "B", "C", "D")


def risk_commands() -> Sequence[RuleCommand]:
    """Give the commands of risk."""
    return (
        RuleCommand(
            "risk",
            "the risk of a declaration, every part shown, and the lane that follows",
            "rules risk declaration.json --references references.json --rules rules.json --on 2026-11-24 --json",
            _arguments,
            _answer,
            _line,
        ),
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("declaration", type=Path, metavar="DECLARATION.json", help="the declaration, as the API takes it")
    parser.add_argument("--rules", type=Path, metavar="FILE", help='{"risk-score": figures, KEY: targeting rule ...}; default: what ships')
    help_references = '{"goods": {KEY: entry}, "area": ..., "notice": ..., "enterprise": ..., "grades": {CODE: "A"}, "history": [...]}'
    parser.add_argument("--references", type=Path, metavar="FILE", help=help_references)
    parser.add_argument("--on", metavar="DATE", help="the day it is lodged and judged by (default: today, UTC)")


def _answer(options: argparse.Namespace) -> Answer:
    today = options.on if options.on is not None else _today()
    try:
        day = date.fromisoformat(today)
    except ValueError as error:
        raise MalformedError("is no day written as 2026-11-24", where="--on") from error
    form = read_form(_json(options.declaration), today=day)
    known = _object(options.references)
    rules = _rules(_object(options.rules))
    premises = _premises(known, rules)
    facts = _facts(form, day.isoformat(), known, premises)
    judged = judge_acceptance(facts)
    reasons = [{"code": one.code, "zh": one.zh, "en": one.en} for one in judged.reasons]
    return {"acceptance": judged.verdict, "reasons": reasons, **screening_sheet(facts, premises)}


def _today() -> str:
    return datetime.fromtimestamp(SystemClock().now().wall_ns // SECOND_NS, UTC).date().isoformat()


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise StorageError("cannot be read", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where=str(path)) from error


def _object(path: Path | None) -> Mapping[str, Any]:
    found = {} if path is None else _json(path)
    if not isinstance(found, dict):
        raise MalformedError("is no JSON object", where=str(path))
    return found


def _rules(value: Mapping[str, Any]) -> InForce:
    score, targets = shipped_score(), {}
    for key, each in value.items():
        found = read_rule(key, each)
        if isinstance(found, ScoreRules):
            score = found
        elif isinstance(found, TargetRule):
            targets[key] = (1, found)
    return InForce(score, 1 if SCORE_KEY in value else 0, targets)


def _premises(known: Mapping[str, Any], rules: InForce) -> Premises:
    goods: dict[str, GoodsKind] = {key: one for key, one in _entries(known, "goods").items() if isinstance(one, GoodsKind)}
    areas = {key: (1, one) for key, one in _entries(known, "area").items() if isinstance(one, Area)}
    notices = {key: (1, one) for key, one in _entries(known, "notice").items() if isinstance(one, Notice)}
    return Premises(goods, areas, notices, rules, None, kind_finder(goods))


def _entries(known: Mapping[str, Any], category: str) -> dict[str, Any]:
    found = known.get(category, {})
    if not isinstance(found, dict):
        raise MalformedError("is no JSON object", where=f"references.{category}")
    return {key: read_entry(category, key, value) for key, value in found.items()}


def _facts(form: Form, day: str, known: Mapping[str, Any], premises: Premises) -> Facts:
    enterprises = _entries(known, "enterprise")
    mine = enterprises.get(form.enterprise)
    grades = known.get("grades", {})
    grade = grades.get(form.enterprise, "B") if isinstance(grades, dict) else None
    if grade not in _GRADES:
        raise MalformedError(f"is none of {', '.join(_GRADES)}", where="references.grades")
    graded = Graded(grade, isinstance(mine, Enterprise) and mine.joint_list, not enterprises or mine is not None)
    kind_of, targets = premises.kind_of, premises.rules.targets
    papers = Known(premises.goods, premises.areas, premises.notices, targets, graded.known)
    past = _history(known)
    inputs = Inputs(
        histories=[past.get(triple, History(*triple, 0, 0)) for triple in triples_of(form, kind_of)],
        grade=graded.grade,
        joint_list=graded.joint_list,
        notices=notices_of(form, premises.notices, day),
        mismatches=mismatches_of(form, papers, kind_of),
        areas=areas_of(form, premises.areas, day),
        days_ahead=days_ahead(form, day),
        rules=rules_of(targets, day, Declared(*values_of(form, day, graded.grade, kind_of))),
    )
    return Facts(form.reference, 1, State.LODGED, frozenset(), day, form, graded, inputs)


def _history(known: Mapping[str, Any]) -> dict[tuple[str, str, str], History]:
    found = {}
    for at, one in enumerate(known.get("history", ())):
        try:
            made = History(str(one["kind"]), str(one["origin"]), str(one["shipper"]), one["inspected"], one["failed"])
            if not 0 <= made.failed <= made.inspected <= MOST:
                raise ValueError(one)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedError("needs kind, origin, shipper, inspected and failed", where=f"references.history[{at}]") from error
        found[made.kind, made.origin, made.shipper] = made
    return found


_LANES = {"red": "红色", "yellow": "黄色", "blue": "蓝色", "green": "绿色"}


def _line(answer: Answer, language: Language) -> str:
    risk = answer["risk"]
    parts = ", ".join(f"{one['name']} {_percent(one['counts'])}" for one in risk["parts"] if one["counts"])
    forced = ", ".join(one["by"] for one in risk["forced"])
    if language == "zh":
        lane = f"{_LANES[risk['lane']]}通道" + (f"（强制：{forced}）" if forced else "")
        return f"风险 {_percent(risk['total'])}，{lane}；构成：{parts}"
    lane = f"lane {risk['lane']}" + (f" (forced by {forced})" if forced else "")
    return f"risk {_percent(risk['total'])}, {lane}; of {parts}"


def _percent(parts: int) -> str:
    whole, rest = divmod((parts + 50_000) // 100_000, 100)
    return f"{whole}.{rest:02d} %"
