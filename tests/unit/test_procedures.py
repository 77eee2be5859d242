"""Procedures: what ships is whole, the reader is strict and names places, conditions are small and safe."""

import copy
import json
from dataclasses import fields
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.inspection.procedures.shipped_files import (
    shipped_names,
    shipped_procedures,
    shipped_scheme,
    shipped_text,
    shipped_violations,
)
from hub.inspection.procedures.writing import from_yaml, to_yaml
from hub.inspection.procedures.yaml_text import read_yaml
from protocol.errors import MalformedError
from protocol.procedures import model
from protocol.procedures.conditions import Condition, Joined, Test, holds, names, parse, written
from protocol.procedures.reading import PathError, read_procedure, value_of

IN_FULL = {"documents", "wood-packaging", "fruit", "meat", "scrap", "sampling"}
# domain facts, written here anew: which records each stage must have, as (way, how many)
MUSTS = {
    "vessel": {"W6"},
    "documents": {"W1", "W6"},
    "draw": {"W6"},
    "before-opening": {"W2", "W4"},
    "opening": {"W4", "W5", "W1", "W2", "W6"},
    "reseal": {"W2", "W1"},
    "sampling": {"W2", "W4", "W1"},
    "evaluation": {"W1", "W2", "W4"},
    "release": {"W6", "W1"},
    "follow-up": {"W6"},
}


def test_one_scheme_three_rules_fourteen_procedures_six_ways(capsys: pytest.CaptureFixture[str]) -> None:
    scheme, procedures = shipped_scheme(), shipped_procedures()
    counts = {one.key: len(one.items) for one in procedures}
    with capsys.disabled():
        print(f"\n1 scheme, {len(scheme.rules)} rules, {len(procedures)} procedures, {len(scheme.ways)} ways, items: {counts}")
        print(f"violations: {len(shipped_violations())}, devices: {len(scheme.devices)}")
    assert scheme.scheme.parts and len(scheme.rules) == 3 and all(rule.parts for rule in scheme.rules)
    assert [one.number for one in procedures] == list(range(1, 15)) and len(set(counts)) == 14
    assert [way.key for way in scheme.ways] == list(model.WAYS) and not any(way.verified for way in scheme.ways)
    assert {one.key for one in scheme.devices} == set(model.DEVICES)
    assert all(count >= 12 for count in counts.values())
    assert all(counts[key] >= 25 for key in IN_FULL)
    assert all(step.starts.key and step.ends.key and step.records for one in procedures for step in one.steps)
    assert not any(one.verified for one in procedures)


@pytest.mark.parametrize("step", MUSTS)
def test_every_must_record_of_the_chain_is_there(step: str) -> None:
    found = [each for one in shipped_procedures() for each in one.steps if each.key == step]
    assert found
    for each in found:
        assert {wanted.way for wanted in each.records if wanted.need == "must"} == MUSTS[step]
    wanted = {record.key: record for record in found[0].records}
    if step == "before-opening":
        assert wanted["opening-photos"].least == 3 and wanted["opening-photos"].stored == "hub"
        assert (found[0].starts.key, found[0].ends.key) == ("paired", "seal-cut")
    if step == "opening":
        assert wanted["body-video"].unbroken and wanted["body-video"].stored == "box" and wanted["bay-video"].way == "W5"
        assert wanted["spoken-remarks"].need == "may"


def test_links_that_law_wants_recorded_are_asked_for_where_they_happen() -> None:
    failure = next(one for one in shipped_procedures() if one.key == "failure")
    coercive = next(step for step in failure.steps if step.key == "coercive")
    when = {wanted.key: wanted.when for wanted in coercive.records if wanted.need == "must"}
    assert set(when) == {"evidence-registered", "sealing-seizure", "hearing", "service-left"}
    assert all(condition is not None for condition in when.values())


def test_every_type_occurs_and_nothing_can_be_preselected() -> None:
    items = [item for one in shipped_procedures() for _, item in one.items.values()]
    assert {item.type for item in items} == set(model.TYPES)
    assert any(item.when for item in items) and any(section.per for one in shipped_procedures() for section in one.sections)
    assert not {"default", "preselected", "value", "initial"} & {each.name for each in fields(model.Item)}
    assert not {"default", "preselected", "value", "initial"} & {each.name for each in fields(model.Option)}
    assert sum(len(section.items) for one in shipped_procedures() for section in one.sections if section.basic) >= 14 * 3


def test_the_schema_names_the_fields_that_the_reader_reads() -> None:
    schema = json.loads((resources.files("hub.inspection.procedures") / "shipped" / "procedure.schema.json").read_text())
    for name, found in schema["$defs"].items():
        mine = {each.name for each in fields(getattr(model, name))} | ({"format"} if name == "Procedure" else set())
        assert set(found["properties"]) == mine and found["additionalProperties"] is False, name


@pytest.mark.parametrize("procedure", shipped_procedures(), ids=lambda one: one.key)
def test_a_procedure_reads_the_same_from_json_and_yaml(procedure: model.Procedure) -> None:
    assert read_procedure(json.loads(json.dumps(value_of(procedure)))) == procedure
    assert from_yaml(to_yaml(procedure).encode(), {}, {}) == procedure


def small(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "format": model.FORMAT, "key": "small", "number": 1, "version": 1, "zh": "小", "en": "small", "effective": "2026-01-01",
        "keep": "inspection", "verified": False, "basis": [],
        "steps": [{"key": "s", "zh": "步", "en": "step", "starts": {"key": "a", "zh": "始", "en": "a"},
                   "ends": {"key": "b", "zh": "终", "en": "b"}}],
        "sections": [
            {"key": "one", "zh": "一", "en": "one", "step": "s", "items": [
                {"key": "n", "type": "number", "zh": "数", "en": "n", "required": True, "least": "0", "most": "10"},
                {"key": "t", "type": "text", "zh": "文", "en": "t", "required": True, "when": "n > 3"}]},
            {"key": "two", "zh": "二", "en": "two", "step": "s", "per": "container", "most": 5, "items": [
                {"key": "c", "type": "choice", "zh": "选", "en": "c", "required": True, "options": [{"key": "x", "zh": "甲", "en": "x"}]}]},
        ],
    }  # fmt: skip
    return value | changes


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(small())
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


ITEM = ("sections", 0, "items", 0)
FAULTS = [
    ((*ITEM, "default"), "5", "sections[0].items[0].default", "is not known"),
    ((*ITEM, "least"), 0.5, "sections[0].items[0].least", "decimal"),
    ((*ITEM, "least"), "11", "sections[0].items[0].most", "below"),
    ((*ITEM, "type"), "colour", "sections[0].items[0].type", "is none of"),
    ((*ITEM, "required"), ..., "sections[0].items[0].required", "is missing"),
    ((*ITEM, "en"), " x", "sections[0].items[0].en", "no line"),
    (("sections", 0, "items", 1, "when"), "later = '1'", "sections[0].items[1].when", "no item before"),
    (("sections", 0, "items", 1, "when"), "n >", "sections[0].items[1].when", "expected a text"),
    (("sections", 1, "items", 0, "options"), [], "sections[1].items[0].options", "a choice has options"),
    (("sections", 1, "items", 0, "key"), "n", "sections[1].items[0].key", "there before"),
    (("sections", 1, "step"), "other", "sections[1].step", "names no step"),
    (("sections", 0, "most"), 3, "sections[0].most", "goes with"),
    (("effective",), "2026-02-30", "effective", "is no day"),
    (("until",), "2025-01-01", "until", "lies before"),
    (("version",), True, "version", "no integer"),
    (("goods",), ["a", "a"], "goods", "different"),
    (("format",), "other/1", "format", "is none of"),
]


@pytest.mark.parametrize(("path", "value", "where", "what"), FAULTS, ids=[fault[2] + " " + fault[3] for fault in FAULTS])
def test_what_is_wrong_is_named_by_its_path(path: tuple[Any, ...], value: Any, where: str, what: str) -> None:
    with pytest.raises(PathError, match=what) as caught:
        read_procedure(changed(path, value))
    assert caught.value.path == where


def test_a_condition_over_a_repeated_section_stays_inside_it() -> None:
    value = small()
    value["sections"].append(value["sections"][0] | {"key": "three", "items": [
        {"key": "z", "type": "text", "zh": "z", "en": "z", "required": False, "when": "c = 'x'"}]})  # fmt: skip
    with pytest.raises(PathError, match="another section"):
        read_procedure(value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (b"a: 1\na: 2\n", "line 2, column 1", "twice"),
        (b"a: &x 1\nb: *x\n", "line 1, column 4", "anchors"),
        (b"a: !!python/object:os.system 1\n", "line 1, column 4", "tags"),
        (b"a: [1, 2\n", "line 2, column 1", "expected"),
        (b"[" * 40, "", "nested"),
        (b"\xff\xfe", "YAML", "UTF-8"),
        (b"", "YAML", "empty"),
        (b"? [a]\n: 1\n", "line 1, column 3", "no name"),
    ],
)
def test_yaml_beyond_the_plain_part_is_refused_with_its_place(text: bytes, where: str, what: str) -> None:
    with pytest.raises(MalformedError, match=what) as caught:
        read_yaml(text)
    assert where in caught.value.where


def test_yaml_turns_no_text_into_something_else() -> None:
    assert read_yaml(b"a: no\nb: 2026-01-01\nc: 1.50\nd: 12\ne: true\nf: 0x1f\ng: 007\n").value == {
        "a": "no", "b": "2026-01-01", "c": "1.50", "d": 12, "e": True, "f": "0x1f", "g": "007",
    }  # fmt: skip


def test_a_fault_in_a_file_is_named_by_line_and_column() -> None:
    text = shipped_text(shipped_names()[6])
    wrong = text.replace(b'least: "-5", most: "50"', b'least: "-5", most: "-50"')
    line = next(number for number, one in enumerate(wrong.splitlines(), 1) if b'"-50"' in one)
    with pytest.raises(MalformedError, match="below `least`") as caught:
        from_yaml(wrong, shipped_scheme().sets, shipped_scheme().steps)
    assert caught.value.where.startswith(f"line {line}, column ")


KEYS = st.sampled_from(["a", "b-c", "d1"])
LITERALS = st.one_of(st.text("xyz é-1", max_size=5), st.integers(-99, 99).map(str))
TESTS = st.builds(lambda name, op, one: Test(name, op, (one,)), KEYS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), LITERALS)
AMONG = st.builds(lambda name, some: Test(name, "in", tuple(some)), KEYS, st.lists(LITERALS, min_size=1, max_size=3))
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    TESTS | AMONG,
    lambda inner: st.one_of(
        st.builds(lambda one: Joined("not", (one,)), inner),
        st.builds(lambda how, parts: Joined(how, tuple(parts)), st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)
ANSWERS = st.dictionaries(KEYS, st.one_of(LITERALS, st.lists(LITERALS, max_size=3)))


def plainly(condition: Condition, answers: dict[str, Any]) -> bool:
    """Judge a condition in another way: by Python's own operators on exact numbers."""
    if isinstance(condition, Joined):
        found = [plainly(part, answers) for part in condition.parts]
        return {"and": all(found), "or": any(found), "not": not found[0]}[condition.how]
    if condition.name not in answers:
        return False
    answer = answers[condition.name]

    def number(text: Any) -> int | None:
        digits = text[1:] if isinstance(text, str) and text.startswith("-") else text
        return int(text) if isinstance(digits, str) and digits.isascii() and digits.isdigit() else None

    def same(left: Any, right: str) -> bool:
        return left == right or (number(left) is not None and number(left) == number(right))

    chosen = answer if isinstance(answer, list) else [answer]
    met = any(same(one, literal) for one in chosen for literal in condition.literals)
    if condition.op in ("=", "in", "!="):
        return met == (condition.op != "!=")
    left, right = number(answer), number(condition.literals[0])
    if left is None or right is None:
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[condition.op]


@given(CONDITIONS, ANSWERS)
def test_a_condition_is_judged_as_plainly_and_survives_writing(condition: Condition, answers: dict[str, Any]) -> None:
    assert holds(condition, answers) == plainly(condition, answers)
    text = written(condition)
    if len(text) <= 1000:
        again = parse(text)
        assert holds(again, answers) == holds(condition, answers)
        assert set(names(again)) == set(names(condition))
    xpath = written(condition, "xpath")
    if len(xpath) <= 1000:
        assert holds(parse(xpath, "xpath"), answers) == holds(condition, answers)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a = ", "= 'x'", "a = b", "a = 'x", "a in ()", "a in 'x'", "not", "a = 'x' or", "a = 'x' a", "a == 'x'", "a = 'x';",
     "__import__('os')",
     "a.b = 'x'", "a = 1e9", "(" * 500 + "a = 'x'", "not " * 100 + "a = 'x'", "a = 'x'" + " and a = 'x'" * 200, "and = 'x'", "${a} = 'x'"],
)  # fmt: skip
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse(text)


def test_a_condition_on_an_answer_that_is_no_text_is_false_and_digits_are_those_of_all_readers() -> None:
    place = {"gps": {"latitude": 38956123, "longitude": 121612456}, "signed": [{"drawn": "00" * 32}], "flag": True, "none": None}
    for name in place:
        for text in (f"{name} = 'x'", f"{name} in ('x', 'y')", f"{name} > 1"):
            assert not holds(parse(text), place), text
        assert holds(parse(f"{name} != 'x'"), place)
    assert not holds(parse("count > 2"), {"count": "\u0663"})
    with pytest.raises(MalformedError):
        parse("count > \u0663")
