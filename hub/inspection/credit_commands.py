"""Ask by command how an enterprise is graded: `portwitness-hub rules credit EVENTS.json --on DATE`, the code that the hub grades by.

Guarantees: the answer follows from the file of events, the rule set and the day, and from nothing else; bad input is named by its path.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.inspection.crediting.shipped import KEYS, shipped_rules
from hub.inspection.procedures.yaml_text import read_yaml
from hub.inspection.rule_asking import Answer, Language, RuleCommand
from protocol.crediting.grading import grade
from protocol.crediting.model import RuleSet
from protocol.crediting.reading import read_events, read_rules, value_of
from protocol.errors import MalformedError, StorageError

MAX_BYTES = 16 * 2**20


def credit_commands() -> Sequence[RuleCommand]:
    """Give credit's rule command."""
    about = "grade an enterprise on a day, by its events and a rule set"
    return (RuleCommand("credit", about, "rules credit EVENTS.json --on 2026-11-30 --json", _arguments, _answer, _line),)


def _arguments(parser: argparse.ArgumentParser) -> None:
    events = 'a list of {"id", "item", "day", "expires"?, "points"?, "facts"?, "appeal"?}, or an object with it as `events`'
    parser.add_argument("events", type=Path, metavar="EVENTS.json", help=events)
    parser.add_argument("--on", required=True, metavar="DATE", help="the day, e.g. 2026-11-30")
    rules = f"a shipped rule set ({', '.join(KEYS)}; default ciq), or a file of one (YAML, JSON)"
    parser.add_argument("--rules", default="ciq", metavar="RULES", help=rules)


def _answer(options: argparse.Namespace) -> Answer:
    events = read_events(_json(options.events))
    return value_of(grade(events, _rules(options.rules), options.on))


def _rules(name: str) -> RuleSet:
    if name in KEYS:
        return shipped_rules(name)
    return read_rules(read_yaml(_bytes(Path(name))).value)


def _json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(_bytes(path).decode("utf-8", "strict"))
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where=str(path)) from error


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise StorageError("cannot be read", where=str(path)) from error
    if len(data) > MAX_BYTES:
        raise MalformedError(f"is longer than {MAX_BYTES} bytes", where=str(path))
    return data


def _line(answer: Answer, language: Language) -> str:
    points, counted, left = answer["points"], len(answer["counted"]), len(answer["left"])
    if language == "en":
        with_points = "" if points is None else f", {points} points"
        return f"grade {answer['grade']} on {answer['on']} by {answer['rules']}{with_points}; {counted} events count, {left} do not"
    with_points = "" if points is None else f"，{points} 分"
    return f"{answer['on']} 按 {answer['rules']} 评为 {answer['grade']}{with_points}；计入 {counted} 条，不计 {left} 条"
