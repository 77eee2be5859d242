"""The rules on the command line: answers, plain lines in two languages, and bad input named without a trace."""

import json
import subprocess
import sys

import pytest

from web.__main__ import main


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ispm31 --lot 700 --rate 0.005 --confidence 0.95", {"n": 442}),
        ("ispm31 --lot 700 --rate 0.5% --confidence 95%", {"n": 442}),
        ("iso2859 --lot 2000 --level II --aql 1.0", {"letter": "K", "n": 125, "accept": 3, "reject": 4}),
        ("iso2859 --lot 2000 --level II --aql 1.0 --inspection tightened", {"letter": "K", "n": 125, "accept": 2, "reject": 3}),
        ("iso2859 --lot 8 --level II --aql 1.0", {"letter": "E", "n": 8, "accept": 0, "reject": 1, "whole": True}),
        ("container CSQU3054383", {"valid": True, "why": "its check digit is right"}),
        ("container CSQU3054384", {"valid": False, "why": "has check digit 4, its other characters give 3"}),
    ],
)
def test_answers(line: str, answer: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", *line.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer
    lines = []
    for language in ("en", "zh"):
        assert main(["rules", *line.split(), "--lang", language]) == 0
        lines.append(capsys.readouterr().out)
    assert lines[0] != lines[1]
    assert all(text.count("\n") == 1 for text in lines)


def test_no_plan_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "ispm31", "--lot", "100", "--rate", "0.5%", "--confidence", "95%", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["n"] is None and "less than one" in answer["why"]


def test_what_was_not_checked_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "iso2859", "--lot", "2000", "--level", "II", "--aql", "1.0", "--inspection", "reduced", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unverified"] is True
    assert main(["rules", "iso2859", "--lot", "2000", "--level", "II", "--aql", "1.0", "--inspection", "reduced", "--lang", "zh"]) == 0
    assert "未核实" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ispm31 --lot 0 --rate 1% --confidence 95%", "--lot"),
        ("ispm31 --lot -3 --rate 1% --confidence 95%", "--lot"),
        ("ispm31 --lot 100 --rate NaN --confidence 95%", "--rate"),
        ("ispm31 --lot 100 --rate 5 --confidence 95%", "--rate"),
        ("ispm31 --lot 100 --rate 1% --confidence 100%", "confidence"),
        ("iso2859 --lot 1e3 --level II --aql 1.0", "--lot"),
        ("iso2859 --lot 100 --level V --aql 1.0", "level"),
        ("iso2859 --lot 100 --level II --aql 0.3", "aql"),
    ],
)
def test_bad_input_is_named(line: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", *line.split(), "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert named in told.err and told.err.count("\n") == 1


def test_the_program_itself_answers() -> None:
    command = [sys.executable, "-m", "web", "rules", "ispm31", "--lot", "10000", "--rate", "0.1%", "--confidence", "99%", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"n": 3689}
    wrong = subprocess.run([*command[:4], "iso2859", "--lot", "x"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
