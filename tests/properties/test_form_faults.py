"""Faults of forms, whatever is written: named all at once, each once, in both languages, at a place of the form, and alike every time."""

import copy
import json
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inspection.forms import MAX_FAULTS, Fault, FaultsError, Form, read_form
from protocol.errors import MalformedError
from tests.inspection_parts import plausible
from web.reading import read_json

TODAY = date(2026, 11, 24)
# what is wrong wherever it stands, by the field it is put into; no rule across fields looks at these
WRONG: dict[str, Any] = {
    "trade": "barter", "bill": "?", "destination": "", "consignor.country": "thai", "consignee.name": " x", "voyage.imo": "9074728",
    "voyage.loading": "x", "voyage.arrival": "soon", "goods[0].hs": "08", "goods[0].weight_kg": "0", "goods[0].unit": "kg",
    "goods[0].origin": 7, "goods[0].packages": -1, "permits[0].issued": "2026-13-01", "permits[0].kind": "letter", "remarks": "x" * 2001,
}  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.text(max_size=8) | st.sampled_from(["2026-11-24", "CSQU3054383", "TH"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(Form.model_fields)) | st.text(max_size=5), inner),
    max_leaves=12,
)


def faults(value: Any, party: str | None = None) -> tuple[Fault, ...]:
    try:
        read_form(value, today=TODAY, party=party)
    except FaultsError as error:
        return error.faults
    return ()


def put(form: dict[str, Any], path: str, value: Any) -> None:
    *way, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", path)]
    here: Any = form
    for part in way:
        here = here[part]
    here[last] = value


@given(st.sets(st.sampled_from(sorted(WRONG)), min_size=1))
def test_faults_add_up_one_at_each_place(places: set[str]) -> None:
    form = copy.deepcopy(plausible())
    for place in places:
        put(form, place, WRONG[place])
    found = faults(form)
    assert {fault.path for fault in found} == places
    assert len(found) == len(places)
    for place in places:  # mending one leaves the others
        mended = copy.deepcopy(form)
        before: Any = plausible()
        for part in re.findall(r"\w+", place):
            before = before[int(part)] if part.isdigit() else before[part]
        put(mended, place, before)
        assert {fault.path for fault in faults(mended)} == places - {place}


@settings(max_examples=200)
@given(st.sampled_from(sorted(Form.model_fields)), values)
def test_whatever_is_written_every_fault_has_a_place_and_both_languages(name: str, value: Any) -> None:
    form = plausible() | {name: value}
    try:
        found = faults(form)
    except MalformedError:
        return  # it has no canonical form at all: said at once
    assert found == faults(json.loads(json.dumps(form)))
    assert len(found) <= 2 * MAX_FAULTS + 1
    for fault in found:
        assert fault.en and re.search(r"[\u4e00-\u9fff]", fault.zh), fault
        assert len(fault.path) <= 200 and re.match(r"\w*", fault.path)[0] in {*Form.model_fields, ""}, fault  # type: ignore[index]


@given(st.text("0123456789ABC", min_size=4, max_size=8))
def test_nobody_writes_for_another(party: str) -> None:
    assert [fault.path for fault in faults(plausible(), party)] == ["enterprise"]
    assert faults(plausible(enterprise=party), party) == ()


@given(st.binary(max_size=200) | st.integers(0, 400).map(lambda end: json.dumps(plausible(), ensure_ascii=False).encode()[:end]))
def test_a_body_is_read_or_refused_by_name(body: bytes) -> None:
    try:
        value = read_json(body)
    except MalformedError as error:
        assert error.where == "document" and error.what
    else:
        assert value == json.loads(body)


@pytest.mark.parametrize("charset", ["gb18030", "big5", "utf-16", "shift_jis"])
def test_other_charsets_are_never_read_as_something_else(charset: str) -> None:
    body = json.dumps({"remarks": "品種"}, ensure_ascii=False).encode(charset)
    with pytest.raises(MalformedError):
        read_json(body)
