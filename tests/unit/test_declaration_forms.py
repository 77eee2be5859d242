"""Declarations as traders write them: plausible ones pass unchanged, and everything wrong with the others is named at once."""

import copy
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inspection.forms import FaultsError, read_form
from protocol.errors import MalformedError, PortwitnessError
from tests.inspection_parts import plausible

TODAY = date(2026, 11, 24)


def faults_of(value: Any) -> dict[str, str]:
    with pytest.raises(FaultsError) as caught:
        read_form(value, today=TODAY)
    assert all(fault.en and fault.zh for fault in caught.value.faults)
    return {fault.path: fault.code for fault in caught.value.faults}


def changed(path: str, to: Any) -> dict[str, Any]:
    """Give the plausible form with one field set; `path` as `goods.0.hs`."""
    value: Any = plausible()
    *way, last = path.split(".")
    here = value
    for part in way:
        here = here[int(part) if part.isdigit() else part]
    here[int(last) if last.isdigit() else last] = to
    whole: dict[str, Any] = value
    return whole


def test_a_plausible_declaration_passes_in_one_spelling() -> None:
    form = read_form(plausible(), today=TODAY)
    assert read_form(form.sheet(), today=TODAY) == form


@pytest.mark.parametrize(
    ("path", "to", "where", "code"),
    [
        ("containers.0.number", "CSQU3054380", "containers[0].number", "container"),
        ("voyage.imo", "9074720", "voyage.imo", "imo"),
        ("goods.0.hs", "990000", "goods[0].hs", "hs"),
        ("goods.0.weight_kg", "1e3", "goods[0].weight_kg", "amount"),
        ("goods.0.weight_kg", 12, "goods[0].weight_kg", "string_type"),
        ("goods.0.packages", 0, "goods[0].packages", "greater_than_equal"),
        ("goods.0.packages", True, "goods[0].packages", "int_type"),
        ("goods.0.origin", "Thailand", "goods[0].origin", "string_pattern_mismatch"),
        ("goods.0.name", " durian", "goods[0].name", "text"),
        ("goods.0.name", "durian\u0007", "goods[0].name", "text"),
        ("goods.0.line", 2, "permits[0].lines", "line"),
        ("goods.0.currency", None, "goods[0].currency", "value"),
        ("goods.0.waste", True, "goods[0].waste", "permit"),
        ("goods.0.containers.0", "MSKU9070323", "goods[0].containers[0]", "container"),
        ("voyage.arrival", "2026-02-30", "voyage.arrival", "date"),
        ("voyage.arrival", "2029-11-24", "voyage.arrival", "far"),
        ("permits.0.expires", "2026-11-20", "permits[0].expires", "expired"),
        ("permits.0.expires", "2025-11-01", "permits[0].expires", "order"),
        ("permits.0.issued", "2026-11-25", "permits[0].issued", "future"),
        ("goods", [], "goods", "too_short"),
        ("trade", "smuggling", "trade", "literal_error"),
        ("surprise", 1, "surprise", "extra_forbidden"),
    ],
)
def test_each_fault_is_named(path: str, to: Any, where: str, code: str) -> None:
    assert faults_of(changed(path, to)).get(where) == code


def test_faults_of_fields_and_across_fields_are_named_together() -> None:
    value = changed("goods.0.hs", "99")
    value["goods"].append(copy.deepcopy(value["goods"][0]))
    value["voyage"]["imo"] = "1"
    value["permits"][0]["expires"] = "2026-11-20"
    del value["bill"]
    assert faults_of(value) == {
        "goods[0].hs": "hs",
        "goods[1].hs": "hs",
        "goods[1].line": "twice",
        "voyage.imo": "imo",
        "permits[0].expires": "expired",
        "bill": "missing",
    }


def test_ten_thousand_wrong_lines_are_named_within_bounds() -> None:
    value = plausible()
    value["goods"] = [value["goods"][0] | {"line": number, "hs": "99"} for number in range(1, 10_001)]
    faults = faults_of(value)
    assert len(faults) == 501
    assert faults[""] == "more"


@pytest.mark.parametrize("value", [None, [], "x", 1.5, {"reference": 1.5}, {"a": {"b": ["\ud800"]}}])
def test_what_is_no_form_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        read_form(value, today=TODAY)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["goods", "line", "hs", "number", "lines", "x"]), inner),
    max_leaves=8,
)


@settings(max_examples=200)
@given(
    st.sampled_from(["goods", "goods.0", "goods.0.containers", "containers", "permits", "permits.0.lines", "voyage", "attachments"]), junk
)
def test_no_junk_passes_or_breaks_the_reader(path: str, to: Any) -> None:
    value = changed(path, to)
    try:
        form = read_form(value, today=TODAY)
    except PortwitnessError:
        return
    assert read_form(form.sheet(), today=TODAY) == form
