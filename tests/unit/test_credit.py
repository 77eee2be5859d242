"""Credit: grades by two rule sets on known days, what counts and what does not, and rule sets that cannot be read."""

import copy
import json
from dataclasses import fields
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inspection.crediting.shipped import KEYS, shipped_document, shipped_rules
from protocol import sheets
from protocol.crediting import model
from protocol.crediting.grading import grade
from protocol.crediting.model import Event
from protocol.crediting.reading import check_event, parse_rules, read_events, read_rules, value_of
from protocol.errors import MalformedError
from tests.credit_parts import REGISTERED, event
from web.__main__ import main

CIQ, CUSTOMS = shipped_rules("ciq"), shipped_rules("customs")
TODAY = "2026-11-30"
AA = event(2, "aa-granted", "2024-01-01")


@pytest.mark.parametrize(
    ("events", "day", "found", "points"),
    [
        ([], TODAY, "B", 100),  # nobody knows since when: not better than usual
        ([REGISTERED], TODAY, "A", 100),
        ([event(1, "registered", "2025-10-01")], TODAY, "A", 100),  # one whole cycle, to the day
        ([event(1, "registered", "2025-10-02")], TODAY, "B", 100),
        ([REGISTERED, event(2, "goods-unfit", "2026-10-02", points=11)], TODAY, "A", 89),
        ([REGISTERED, event(2, "goods-unfit", "2026-10-02", points=12)], TODAY, "B", 88),
        ([REGISTERED, event(2, "goods-unfit", "2026-09-30", points=12)], TODAY, "B", 88),  # last cycle's fall stands for this one
        ([REGISTERED, event(2, "goods-unfit", "2025-09-30", points=12)], TODAY, "A", 100),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02")], "2026-10-01", "A", 100),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02")], "2026-10-02", "C", 76),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02", points=36)], TODAY, "D", 64),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02", expires=TODAY)], TODAY, "A", 100),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02", appeal="upheld")], TODAY, "A", 100),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02", appeal="filed")], TODAY, "C", 76),
        ([REGISTERED, event(2, "false-declaration", "2026-10-02", appeal="rejected")], TODAY, "C", 76),
        ([REGISTERED, event(2, "joint-punishment", "2021-01-01")], TODAY, "D", 100),
        ([REGISTERED, AA], TODAY, "AA", 100),
        ([REGISTERED, AA, event(3, "aa-ended", "2025-01-01")], TODAY, "A", 100),
        ([REGISTERED, AA, event(3, "bad-record-elsewhere", "2026-01-01")], TODAY, "A", 96),
        ([REGISTERED, AA, event(3, "quality-incident", "2023-12-15")], TODAY, "A", 100),  # expired, yet within 3 years
        ([event(1, "registered", "2025-01-01"), AA], TODAY, "A", 100),  # not yet a year at A
    ],
)
def test_grades_of_inspection_and_quarantine(events: list[Event], day: str, found: str, points: int) -> None:
    grading = grade(events, CIQ, day)
    assert (grading.grade, grading.points) == (found, points)
    assert grading.sanction.direct == (found in ("AA", "A", "B"))
    assert grading.sanction.joint_list == (found == "D")


DOCUMENTS = event(9, "documents-of-year", "2026-01-15", facts={"documents": 1000})
FINES = [event(at, "fine", "2026-05-01", facts={"fine-yuan": 100_001}) for at in (2, 3)]
PASSED = {"score": 95, "fails": 0, "basics": 3}


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([], "regular"),
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED)], "advanced"),
        ([event(2, "certified-plain", "2026-05-01", facts=PASSED)], "certified"),
        ([event(2, "certified-plain", "2026-05-01", facts=PASSED), event(3, "certified-advanced", "2026-06-01", facts=PASSED)], "advanced"),
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED | {"score": 94})], "regular"),
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED | {"fails": 1})], "regular"),
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED | {"basics": 4})], "regular"),
        ([event(2, "certified-advanced", "2026-05-01")], "regular"),  # what the audit found is not known
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED), event(3, "advanced-ended", "2026-06-01")], "regular"),
        ([event(2, "certified-advanced", "2026-05-01", facts=PASSED), event(3, "gate-out-without-release", "2026-06-01")], "dishonest"),
        ([*FINES, DOCUMENTS], "dishonest"),  # 2 of 1000 is more than 0.1 %
        ([*FINES, event(9, "documents-of-year", "2026-01-15", facts={"documents": 2000})], "regular"),
        (FINES, "regular"),  # a share of an unknown number is not known
        ([event(1, "registered", "2020-01-01", facts={"broker": 1}), FINES[0], DOCUMENTS], "dishonest"),
        ([FINES[0], DOCUMENTS], "regular"),
        ([event(at, "false-declaration", "2026-06-01") for at in (1, 2)], "regular"),
        ([event(at, "false-declaration", "2026-06-01") for at in (1, 2, 3)], "dishonest"),
        ([event(2, "smuggling", "2022-06-01")], "severe"),
    ],
)
def test_grades_of_customs(events: list[Event], found: str) -> None:
    grading = grade(events, CUSTOMS, TODAY)
    assert grading.grade == found and grading.points is None
    assert grading.sanction.joint_list == (found == "severe")


def test_the_reckoning_is_shown_whole() -> None:
    events = [REGISTERED, event(2, "goods-unfit", "2026-10-02", points=12), event(3, "label", "2026-08-01")]
    events += [event(4, "label", "2027-01-01"), event(5, "nothing-of-this", "2026-10-02")]
    events += [event(6, "label", "2026-10-03", appeal="upheld"), event(7, "quality-incident", "2023-01-01")]
    found = value_of(grade(events, CIQ, TODAY))
    assert found["parts"] == [{"kind": "points", "key": "", "grade": "B", "figures": {"start": 100, "last": 2, "this": 12, "left": 88}}]
    assert [(one["id"], one["points"], one["cycle"]) for one in found["counted"]] == [
        ("1", 0, "before"),
        ("3", 2, "last"),
        ("2", 12, "this"),
    ]
    assert {one["id"]: one["why"] for one in found["left"]} == {"4": "later", "5": "unknown", "6": "upheld", "7": "expired"}
    assert found["sanction"] == {"rate_percent": 100, "direct": True, "joint_list": False}


ITEMS = st.sampled_from(sorted((set(CIQ.items) | set(CUSTOMS.items)) - {"documents-of-year"}))
DAYS = st.dates(min_value=date(2022, 1, 1), max_value=date(2027, 6, 1)).map(str)
APPEALS: st.SearchStrategy[model.Appeal] = st.sampled_from(("none", "filed", "upheld", "rejected"))


@st.composite
def event_lists(draw: st.DrawFn) -> list[Event]:
    facts = (("documents", 1000), ("fine-yuan", draw(st.sampled_from((0, 200_000, 2_000_000)))))
    drawn = draw(st.lists(st.tuples(ITEMS, DAYS, st.none() | st.integers(0, 40), APPEALS), max_size=8))
    return [Event(str(at), item, day, None, points, facts, appeal) for at, (item, day, points, appeal) in enumerate(drawn)]


EVENTS = event_lists()
RULES = st.sampled_from([CIQ, CUSTOMS])
GOOD = {"registered", "aa-granted", "certified-advanced", "certified-plain"}


@settings(max_examples=60)
@given(EVENTS, RULES, DAYS, st.randoms())
def test_the_order_of_arrival_does_not_matter(events: list[Event], rules: model.RuleSet, day: str, chance: Any) -> None:
    shuffled = list(events)
    chance.shuffle(shuffled)
    assert grade(shuffled, rules, day) == grade(events, rules, day)


@settings(max_examples=60)
@given(EVENTS, RULES, DAYS, ITEMS.filter(lambda item: item not in GOOD), DAYS)
def test_a_further_violation_never_gives_a_better_grade(events: list[Event], rules: model.RuleSet, day: str, item: str, when: str) -> None:
    more = [*events, event(99, item, when)]
    assert rules.ranks[grade(more, rules, day).grade] >= rules.ranks[grade(events, rules, day).grade]


@settings(max_examples=60)
@given(EVENTS.filter(bool), DAYS, st.integers(1, 30))
def test_more_points_never_give_a_better_grade(events: list[Event], day: str, more: int) -> None:
    first = events[0]
    points = (CIQ.items[first.item].points if first.item in CIQ.items else 0) if first.points is None else first.points
    heavier = [Event(first.id, first.item, first.day, None, points + more, first.facts, first.appeal), *events[1:]]
    assert CIQ.ranks[grade(heavier, CIQ, day).grade] >= CIQ.ranks[grade(events, CIQ, day).grade]


@settings(max_examples=60)
@given(EVENTS, RULES, DAYS)
def test_an_event_whose_appeal_was_upheld_is_as_if_it_never_was(events: list[Event], rules: model.RuleSet, day: str) -> None:
    without = [one for one in events if one.appeal != "upheld"]
    assert grade(events, rules, day).grade == grade(without, rules, day).grade


@pytest.mark.parametrize("key", KEYS)
def test_a_shipped_rule_set_is_one_document_and_says_that_it_is_not_verified(key: str) -> None:
    rules = shipped_rules(key)
    assert parse_rules(shipped_document(key)) == rules
    assert not rules.verified and any(one.verified for one in rules.basis) and any(not one.verified for one in rules.basis)
    assert rules.points is None or not rules.points.verified
    assert [one.draw for one in rules.grades] == ["AA", "A", "B", "C", "D"]
    assert min(one.rate_percent for one in rules.sanctions.values()) > 0


def test_the_schema_names_the_fields_that_the_reader_reads() -> None:
    schema = json.loads((resources.files("hub.inspection.crediting") / "credit-rules.schema.json").read_text())
    for name, found in schema["$defs"].items():
        mine = {each.name for each in fields(getattr(model, name))}
        if name == "RuleSet":
            mine = (mine | {"format"}) - {"ranks"}
        if name == "Item":
            mine = (mine | {"legal"}) - {"legal_zh", "legal_en"}
        assert set(found["properties"]) == mine and found["additionalProperties"] is False, name


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("grades", 0, "key"), "A", "grades[1]"),
        (("items", 3, "holds"), "E", "E"),
        (("items", 3, "points"), -1, "items[3].points"),
        (("items", 3, "points"), 1.5, "items[3].points"),
        (("points", "cycle"), "02-30", "points.cycle"),
        (("points", "bands", 0, "least"), 70, "points.bands"),
        (("points", "registered"), "nothing", "items"),
        (("awards", 0, "unless", 0, "tests", 0, "tag"), "nothing", "limits"),
        (("sanctions", 0, "rate_percent"), 0, "sanctions[0].rate_percent"),
        (("sanctions", 3, "direct"), True, None),
        (("sanctions", 1, "direct"), False, "sanctions"),
        (("effective",), "2014-13-01", "effective"),
        (("extra",), 1, "extra"),
        (("grades", 4, "draw"), "A", "grades"),
    ],
)
def test_a_rule_set_that_cannot_be_is_refused_by_its_place(path: tuple[Any, ...], value: Any, named: str | None) -> None:
    made = copy.deepcopy(sheets.decode(shipped_document("ciq")))
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    if named is None:
        read_rules(made)
        return
    with pytest.raises(MalformedError) as caught:
        read_rules(made)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (5, "events"),
        ([5], "events[0]"),
        ([{"item": "label"}], "events[0].day"),
        ([{"item": "label", "day": "2026-02-30"}], "events[0].day"),
        ([{"item": "label", "day": "2026-02-03", "points": 1.5}], "events[0].points"),
        ([{"item": "label", "day": "2026-02-03", "facts": {"a": "b"}}], "events[0].facts.a"),
        ([{"id": "1", "item": "label", "day": "2026-02-03"}] * 2, "events[1]"),
        ([{"item": "label", "day": "2026-02-03", "colour": 1}], "events[0].colour"),
    ],
)
def test_events_that_cannot_be_are_refused_by_their_place(value: Any, named: str) -> None:
    with pytest.raises(MalformedError) as caught:
        read_events(value)
    assert named in str(caught.value)


def test_an_event_takes_only_the_points_of_its_item() -> None:
    check_event(event(1, "goods-unfit", TODAY, points=12), CIQ)
    for wrong in (event(1, "goods-unfit", TODAY, points=13), event(1, "nothing", TODAY), event(1, "label", TODAY, expires=TODAY)):
        with pytest.raises(MalformedError):
            check_event(wrong, CIQ)


def test_the_command_answers_as_the_hub_grades(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps([{"item": "registered", "day": "2020-01-01"}, {"item": "false-declaration", "day": "2026-10-02"}]))
    line = ["rules", "credit", str(file), "--on", TODAY]
    assert main([*line, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["grade"], answer["points"], answer["rules"]) == ("C", 76, "ciq/1")
    assert main([*line, "--rules", "customs"]) == 0
    assert capsys.readouterr().out == "grade regular on 2026-11-30 by customs/1; 2 events count, 0 do not\n"
    assert main([*line, "--lang", "zh"]) == 0
    assert "评为 C，76 分" in capsys.readouterr().out
    rules = tmp_path / "own.yaml"
    rules.write_bytes(shipped_document("ciq"))
    assert main([*line, "--rules", str(rules), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == answer
    for wrong, code in (
        ([*line[:-1], "soon"], 2),
        ([*line, "--rules", str(tmp_path / "none")], 1),
        ([*line[:2], str(rules), *line[3:]], 2),
    ):
        assert main(wrong) == code
        assert capsys.readouterr().err.count("\n") == 1
