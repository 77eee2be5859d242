"""A whole day of a port in virtual time: the same seed gives the same day, and at night every invariant holds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulators.__main__ import main
from simulators.port_day.day import DayPlan, Summary, play

PLAN = DayPlan(10, seed=4, tricks=20)


async def test_a_day_comes_out_the_same_each_time_and_all_invariants_hold(tmp_path: Path) -> None:
    first = await play(tmp_path / "one", PLAN)
    assert (first.problems, first.surprises) == ((), ())
    assert first.is_well
    assert first.declarations == 10
    assert first.selected == first.inspected > 0 and first.released > first.direct > 0
    assert first.gate_outs >= first.released
    assert sum(first.states.values()) == first.declarations
    again = await play(tmp_path / "two", PLAN)
    assert again.value() == first.value()


@pytest.mark.parametrize("wrong", [{"problems": ("S6 x",)}, {"surprises": ("left without a release",)}])
def test_a_day_that_is_not_well_says_so(wrong: dict[str, tuple[str, ...]]) -> None:
    assert Summary(1).is_well
    assert not replace(Summary(1), **wrong).is_well  # type: ignore[arg-type]  # names of its fields


def test_the_command_prints_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["day", "--seed", "2", "--declarations", "2", "--state", str(tmp_path / "day")]) == 0
    line = capsys.readouterr().out
    assert json.loads(line)["seed"] == 2 and line.count("\n") == 1
    assert (tmp_path / "day" / "hub").is_dir()
