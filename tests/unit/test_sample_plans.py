"""Sampling plans: sizes by the rule of the goods, boxes and packages by the seed, and what earlier results make of the next one."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inspection.fieldwork.opening import opened
from hub.inspection.sampling.shipped import sampling_rules, shipped_document
from protocol import sheets
from protocol.errors import MalformedError
from protocol.sampling.plan_rules import read_sampling_rules
from protocol.sampling.plans import BULK, PPM, GoodsRule, Line, Past, Result, past_of, plan_sampling, value_of
from web.__main__ import main

RULES = sampling_rules(None)
NEW = Past("normal", PPM, 50_000, "base rate", False)
SEED = bytes(range(32))
BOXES = ("CSQU3054383", "MSKU0000009", "TCLU0000003")


def rule(key: str) -> GoodsRule:
    return next(one for one in RULES.rules if one.key == key)


def pasts(lines: list[Line], past: Past = NEW) -> dict[tuple[str, str], Past]:
    return {(RULES.of(line.hs).key, line.origin): past for line in lines}


@pytest.mark.parametrize(
    ("hs", "packages", "n", "accept"),
    [
        ("0810600000", 700, 57, 0),  # ISPM 31 at 5 %, 95 %
        ("0810600000", 19, None, 0),  # less than one unit would be infested: no plan, never rounded up
        ("1001990000", 1000, 138, 0),  # 2 % and 95 % give 138
        ("0201100000", 100, 2, 0),
        ("0201100000", 5000, 10, 0),
        ("9503000000", 1000, 32, 2),  # level I, AQL 2.5
    ],
)
def test_sizes_follow_the_rule_of_the_goods(hs: str, packages: int, n: int | None, accept: int) -> None:
    lines = [Line(1, hs, "TH", packages, BOXES)]
    lot = plan_sampling(RULES, "D-1", lines, pasts(lines), SEED).lots[0]
    assert (lot.n, lot.accept) == (n, accept)
    assert sum(len(numbers) for boxes in lot.packages.values() for numbers in boxes.values()) == (lot.n or 0)
    assert (lot.n is None) == bool(lot.why)
    assert lot.unverified  # which goods stand under which rule was read in no source


def test_lines_under_one_rule_are_one_lot_shared_out_in_proportion() -> None:
    lines = [Line(1, "0810600000", "TH", 600, BOXES[:2]), Line(2, "0803100000", "TH", 100, BOXES[2:]), Line(3, "0810600000", "VN", 700)]
    plan = plan_sampling(RULES, "D-1", lines, pasts(lines), SEED)
    shares = {lot.origin: dict(lot.shares) for lot in plan.lots}
    assert shares == {"TH": {1: 49, 2: 8}, "VN": {3: 57}}
    assert set(plan.boxes) == {*BOXES, BULK}  # what a line's share needs is opened, whatever the least is


def test_a_plan_without_a_seed_says_how_many_and_draws_nothing() -> None:
    lines = [Line(1, "0810600000", "TH", 700, BOXES)]
    plan = plan_sampling(RULES, "D-1", lines, pasts(lines), None)
    assert (plan.seed, plan.boxes, plan.laboratory, plan.lots[0].n) == ("", (), False, 57)
    with pytest.raises(MalformedError):
        plan_sampling(RULES, "D-1", lines, pasts(lines), b"short")


def test_the_same_seed_gives_the_same_plan_in_whatever_order_lines_are_named() -> None:
    lines = [Line(1, "0201100000", "AU", 600, BOXES), Line(2, "0810600000", "TH", 900, BOXES)]
    first = plan_sampling(RULES, "D-1", lines, pasts(lines), SEED)
    assert plan_sampling(RULES, "D-1", lines[::-1], pasts(lines), SEED) == first
    assert plan_sampling(RULES, "D-1", lines, pasts(lines), SEED[::-1]) != first
    assert sheets.decode(sheets.encode(value_of(first))) == value_of(first)


def test_packages_of_a_box_are_counted_through_and_a_box_added_since_is_opened() -> None:
    lines = [Line(1, "0810600000", "TH", 700, BOXES[:1]), Line(2, "0810600000", "VN", 70, BOXES[:2])]
    plan = value_of(plan_sampling(RULES, "D-1", lines, pasts(lines), SEED))
    found = {one.container: one.packages for one in opened(plan, [*BOXES])}
    first, second = plan["lots"][0]["lines"][0]["packages"], plan["lots"][1]["lines"][0]["packages"]
    assert found[BOXES[0]] == (*first[BOXES[0]], *(700 + one for one in second[BOXES[0]]))
    assert found[BOXES[1]] == tuple(second[BOXES[1]]) and found[BOXES[2]] == ()
    assert [one.packages for one in opened({**plan, "counted": True}, [])] == [()] * len(plan["boxes"])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(["08", "0201", "95", "44"]), st.integers(1, 3000), st.integers(0, 3)), min_size=1, max_size=5),
    st.binary(min_size=32, max_size=32),
)
def test_every_sample_lies_in_the_opened_boxes_and_in_what_was_declared(wanted: list[tuple[str, int, int]], seed: bytes) -> None:
    lines = [Line(at, hs.ljust(10, "0"), "TH", packages, BOXES[:boxes]) for at, (hs, packages, boxes) in enumerate(wanted, 1)]
    plan = plan_sampling(RULES, "D-1", lines, pasts(lines), seed)
    for lot in plan.lots:
        assert sum(lot.shares.values()) == (lot.n or 0) <= lot.lot
        for line in lines:
            if line.line not in lot.packages:
                continue
            drawn = lot.packages[line.line]
            assert set(drawn) <= set(plan.boxes) & set(line.boxes or (BULK,))
            assert sum(map(len, drawn.values())) == lot.shares[line.line]
            assert all(len(set(numbers)) == len(numbers) and min(numbers) >= 1 for numbers in drawn.values())


def results(*passed: bool, origin: str = "TH", enterprise: str = "E", kg: int = 100) -> list[Result]:
    return [Result(day, "fruit", origin, enterprise, kg, one) for day, one in enumerate(passed, 1)]


def test_who_complies_is_tested_less_and_after_a_failure_wholly_again() -> None:
    def share(past: list[Result], day: int = 100) -> int:
        return past_of(past, rule("fruit"), "TH", "E", day).share_ppm

    assert share([]) == PPM
    assert share(results(*[True] * 9)) == PPM
    assert share(results(*[True] * 10)) == PPM // 2
    assert share(results(*[True] * 30)) == PPM // 10
    assert share(results(*[True] * 30, False)) == PPM
    assert share(results(*[True] * 10, enterprise="other")) == PPM  # another's good record is not ours
    assert share(results(*[True] * 30), day=5) == PPM  # what has not happened yet does not count


def test_a_rate_steps_up_where_an_origin_fails_more_often_than_the_mean() -> None:
    bad = results(False, True) + [Result(3, "fruit", "VN", "E", 100, True) for _ in range(10)]
    assert past_of(bad, rule("fruit"), "TH", "X", 100).rate_ppm == 150_000  # 5 % steps to 15 %
    assert past_of(bad, rule("fruit"), "VN", "X", 100).rate_ppm == 50_000
    assert past_of(bad, rule("fruit"), "TH", "X", 100 + 400).rate_ppm == 50_000  # and drops back after twelve months


def test_a_serious_finding_holds_an_origin_until_ten_good_and_heavy_enough() -> None:
    bad = results(False)
    assert past_of(bad, rule("fruit"), "TH", "X", 100).held
    assert past_of(bad + results(*[True] * 9), rule("fruit"), "TH", "X", 100).held
    assert not past_of(bad + results(*[True] * 10), rule("fruit"), "TH", "X", 100).held
    assert past_of(bad + results(*[True] * 10, kg=99), rule("fruit"), "TH", "X", 100).held  # together lighter than ten of the first
    assert not past_of(bad, rule("fruit"), "VN", "X", 100).held


def test_inspection_is_tightened_after_two_of_five_failed_and_back_after_five_good() -> None:
    def severity(*passed: bool) -> str:
        past = [Result(day, "other", "TH", "E", 1, one) for day, one in enumerate(passed, 1)]
        return past_of(past, rule("other"), "TH", "E", 100).severity

    assert severity() == "normal" and severity(True, False, True, False) == "tightened"
    assert severity(False, False, *[True] * 5) == "normal"
    assert severity(*[True] * 15) == "reduced" and severity(*[True] * 15, False) == "normal"
    assert severity(False, False, *[False] * 5) == "tightened"  # stopped: what comes all the same is looked at tightened


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("rules", 0, "base_ppm"), 60_000, "rules[0].base_ppm"),
        (("rules", 0, "method", "rate"), "0", "rules[0].method"),
        (("rules", 0, "method", "kind"), "hope", "rules[0].method.kind"),
        (("rules", 6, "method", "aql"), "2.6", "rules[6].method"),
        (("rules", 8, "hs"), ["99"], "rules"),
        (("rules", 0, "key"), "grain", "rules"),
        (("rules", 0, "hs"), [8], "rules[0].hs"),
        (("rules", 0, "extra"), 1, "rules[0].extra"),
    ],
)
def test_rules_that_cannot_be_are_refused_by_their_place(path: tuple[Any, ...], value: Any, named: str) -> None:
    made = copy.deepcopy(sheets.decode(shipped_document()))
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    with pytest.raises(MalformedError) as caught:
        read_sampling_rules(made)
    assert named in str(caught.value)


def test_the_command_plans_as_the_hub_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [Line(1, "0810600000", "TH", 700, BOXES), Line(2, "0201100000", "AU", 600)]
    names = ("line", "hs", "origin", "packages", "boxes")
    written = [{name: getattr(line, name) for name in names} for line in lines]
    told = {"declaration": "D-1", "seed": SEED.hex(), "lines": written}
    file = tmp_path / "declared.json"
    file.write_text(json.dumps(told))
    expected = plan_sampling(
        RULES, "D-1", lines, {("fruit", "TH"): NEW, ("meat", "AU"): Past("normal", PPM, 150_000, "base rate", False)}, SEED
    )
    assert main(["rules", "sampling", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(value_of(expected)))
    for language, word in (("en", "take 63 packages"), ("zh", "抽 63 件")):
        assert main(["rules", "sampling", str(file), "--lang", language]) == 0
        assert word in capsys.readouterr().out
    for change, named in (
        ({"seed": "xyz"}, "seed"),
        ({"lines": []}, "lines"),
        ({"colour": 1}, "colour"),
        ({"lines": [{"line": 0}]}, "lines[0]"),
    ):
        file.write_text(json.dumps(told | change))
        assert main(["rules", "sampling", str(file)]) == 2
        assert named in capsys.readouterr().err
