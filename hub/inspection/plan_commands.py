"""Make a sampling plan again by command: `portwitness-hub rules sampling PLAN.json`, the code that the hub plans by.

Guarantees: the plan follows from the file and the rules alone; bad input is named by its path. What a plan's page or API gives is a file of
this form where its lines, parts and seed are kept.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hub.inspection.rule_asking import Answer, Language, RuleCommand
from hub.inspection.sampling.shipped import sampling_rules
from protocol import sheets
from protocol.errors import MalformedError, StorageError
from protocol.procedures.reading import Node, PathError
from protocol.sampling.plans import PPM, Line, Past, SamplingRules, plan_sampling, value_of

MAX_BYTES = 16 * 2**20


def plan_commands() -> Sequence[RuleCommand]:
    """Give the rule command of sampling plans."""
    about = "plan the sampling of a declaration: sizes, boxes and packages, by its draw's seed"
    return (RuleCommand("sampling", about, "rules sampling DECLARED.json --json", _arguments, _answer, _line),)


def _arguments(parser: argparse.ArgumentParser) -> None:
    words = '{"declaration", "seed" (hex), "lines": [{"line", "hs", "origin", "packages", "boxes"?}], "pasts"?: [{"rule", "origin", ...}]}'
    parser.add_argument("declared", type=Path, metavar="DECLARED.json", help=words)
    parser.add_argument("--rules", type=Path, metavar="RULES.json", help="rules of sampling in JSON (default: those that ship)")


def _answer(options: argparse.Namespace) -> Answer:
    rules = sampling_rules(None if options.rules is None else sheets.encode(_json(options.rules)))
    node = Node(_json(options.declared), "")
    lines = node.each("lines", _read_line, (1, 10_000))
    known = {(rule, origin): past for rule, origin, past in node.each("pasts", _read_past, (0, 1000), ())}
    declaration, seed = node.text("declaration"), _seed(node)
    node.done()
    if len({one.line for one in lines}) != len(lines):
        raise PathError("lines", "name a line twice")
    return value_of(plan_sampling(rules, declaration, lines, _pasts(rules, lines, known), seed))


def _pasts(rules: SamplingRules, lines: Sequence[Line], known: dict[tuple[str, str], Past]) -> dict[tuple[str, str], Past]:
    """Give what earlier results mean, of one that is not told as of somebody new."""
    found = {}
    for line in lines:
        rule = rules.of(line.hs)
        key = rule.key, line.origin
        found[key] = known.get(key, Past("normal", PPM, rule.base_ppm, "base rate", False))
    return found


def _read_line(node: Node) -> Line:
    boxes = node.get("boxes", [])
    if not isinstance(boxes, list) or not all(isinstance(box, str) and box and "/" not in box for box in boxes):
        raise PathError(node.at("boxes"), "is no list of containers")
    hs = node.text("hs")
    if not hs.isdigit() or not 2 <= len(hs) <= 10:
        raise PathError(node.at("hs"), "is no code of 2 to 10 digits")
    return Line(node.count("line", 1, 10_000), hs, node.text("origin"), node.count("packages", 1, 1_000_000), tuple(boxes))


def _read_past(node: Node) -> tuple[str, str, Past]:
    severity = node.one_of("severity", ("normal", "tightened", "reduced"), "normal")
    past = Past(
        severity, node.count("skip_ppm", 1, PPM), node.count("rate_ppm", 1, PPM), node.text("why", "as told"), node.flag("held", False)
    )
    return node.text("rule"), node.text("origin"), past


def _seed(node: Node) -> bytes | None:
    text = node.get("seed", None)
    if text is None:
        return None
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError) as error:
        raise PathError("seed", "is no hex") from error


def _json(path: Path) -> Any:  # noqa: ANN401
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise MalformedError(f"is longer than {MAX_BYTES} bytes", where=str(path))
        return json.loads(data.decode("utf-8", "strict"))
    except OSError as error:
        raise StorageError("cannot be read", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where=str(path)) from error


def _line(answer: Answer, language: Language) -> str:
    taken = sum(lot["n"] or 0 for lot in answer["lots"])
    boxes = ", ".join(answer["boxes"]) or "-"
    if language == "en":
        laboratory = "the laboratory gets a sample" if answer["laboratory"] else "nothing for the laboratory"
        return f"take {taken} packages out of {len(answer['boxes'])} boxes ({boxes}); {laboratory}"
    laboratory = "须送实验室" if answer["laboratory"] else "不送实验室"
    return f"开 {len(answer['boxes'])} 箱（{boxes}），抽 {taken} 件；{laboratory}"
