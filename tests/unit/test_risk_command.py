"""The risk of a declaration on the command line: parts, lane and reasons from files alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from hub.inspection.risk.bounds import upper_bound
from tests.inspection_parts import plausible
from web.__main__ import main

FRUIT = {"name": "水果", "name_en": "fruit", "hs": ["08"], "qualification": "fruit", "procedure": "fruit", "base_rate_ppm": 50_000}
RULE = {"title": "x", "title_en": "x", "owner": "li.wei", "when": "any goods (kind = 'fruit')", "effect": "lane", "lane": "yellow",
        "start": "2026-01-01"}  # fmt: skip
HISTORY = [{"kind": "fruit", "origin": "TH", "shipper": "siamorchardsco.,ltd.", "inspected": 20, "failed": 3}]


def asked(tmp_path: Path, declaration: Any, **files: Any) -> list[str]:
    options = ["rules", "risk", str(tmp_path / "declaration.json"), "--on", "2026-11-24"]
    (tmp_path / "declaration.json").write_text(json.dumps(declaration))
    for name, value in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
        options += [f"--{name}", str(tmp_path / f"{name}.json")]
    return options


def test_every_part_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    references = {"goods": {"fruit": FRUIT}, "grades": {"91210200MA0SIM001X": "A"}, "history": HISTORY}
    options = asked(tmp_path, plausible(), references=references, rules={"th-fruit": RULE})
    assert main([*options, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["acceptance"] == "accept"
    assert answer["risk"]["parts"][0]["counts"] == upper_bound(20, 3)
    assert (answer["risk"]["lane"], answer["risk"]["forced"]) == ("yellow", [{"lane": "yellow", "by": "rule/th-fruit"}])
    assert (answer["draw"]["stratum"], answer["draw"]["needs"], answer["draw"]["grade"]) == ("fruit", ["fruit"], "A")
    for language, words in (("en", "lane yellow (forced by rule/th-fruit)"), ("zh", "黄色通道（强制：rule/th-fruit）")):
        assert main([*options, "--lang", language]) == 0
        line = capsys.readouterr().out
        assert words in line and "history 18.70 %" in line


def test_bad_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: tuple[tuple[Any, dict[str, Any], str], ...] = (
        (plausible(reference=""), {}, "reference"),
        ([], {}, "is no JSON object"),
        (plausible(), {"rules": {"x": RULE | {"when": "any ships (name = 'x')"}}}, "at character 5"),
        (plausible(), {"references": {"history": [{}]}}, "references.history[0]"),
        (plausible(), {"references": {"grades": {"91210200MA0SIM001X": "E"}}}, "references.grades"),
    )
    for declaration, files, words in cases:
        assert main(asked(tmp_path, declaration, **files)) == 2
        assert words in capsys.readouterr().err
    assert main([*asked(tmp_path, plausible())[:-1], "soon"]) == 2
    assert main(["rules", "risk", str(tmp_path / "none.json")]) == 1
