"""XLSForm: what we write another tool reads and we read back; what is wrong is named by sheet and row."""

import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("pyxform")
openpyxl = pytest.importorskip("openpyxl")

from pyxform.xls2xform import convert  # noqa: E402

from hub.inspection.forms import FaultsError  # noqa: E402
from hub.inspection.procedures.shipped_files import shipped_procedures  # noqa: E402
from hub.inspection.procedures.spreadsheets import EN, ZH, from_xlsform, to_xlsform  # noqa: E402
from protocol.errors import MalformedError  # noqa: E402
from protocol.procedures.conditions import written  # noqa: E402
from protocol.procedures.model import Procedure  # noqa: E402

FRUIT = next(one for one in shipped_procedures() if one.key == "fruit")


@pytest.mark.parametrize("procedure", shipped_procedures(), ids=lambda one: one.key)
def test_there_and_back_it_is_the_same(procedure: Procedure) -> None:
    data = to_xlsform(procedure)
    again = from_xlsform(data, procedure, procedure.version, procedure.effective)
    assert [section.key for section in again.sections] == [section.key for section in procedure.sections]
    for mine, theirs in zip(procedure.items.values(), again.items.values(), strict=True):
        before, after = mine[1], theirs[1]
        assert replace(after, when=None) == replace(before, when=None)
        assert (before.when is None) == (after.when is None)
    twice = from_xlsform(to_xlsform(again), again, procedure.version, procedure.effective)
    assert twice == again and twice.steps == procedure.steps and twice.basis == procedure.basis


def test_another_tool_reads_what_we_write() -> None:
    form = convert(io.BytesIO(to_xlsform(FRUIT)), file_type=".xlsx").xform
    for text in ("fruit_live_pests", "selected(", "required=", "constraint=", "<repeat", "实蝇", "Fruit flies"):
        assert text in form


def book(survey: list[list[Any]], choices: list[list[Any]] | None = None, head: list[str] | None = None) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "survey"
    sheet.append(head or ["type", "name", ZH, EN, "required", "relevant", "constraint", "default"])
    for row in survey:
        sheet.append(row)
    second = made.create_sheet("choices")
    second.append(["list_name", "name", ZH, EN])
    for row in choices or []:
        second.append(row)
    held = io.BytesIO()
    made.save(held)
    return held.getvalue()


GROUP, END = ["begin_group", "g", "组", "group"], ["end_group"]


def test_a_form_from_elsewhere_becomes_a_new_version() -> None:
    survey: list[list[Any]] = [
        ["start", "start"],
        ["begin group", "basics", "基本", "Basics"],
        ["decimal", "weight_kg", "重量", "Weight", "yes", None, ". >= 0 and . <= 99.5"],
        ["end group"],
        ["select_one yn", "ok", "好", "Fine", "yes"],
        ["text", "why_not", "原因", "Why", "yes", "${ok} = 'no' or (${weight_kg} > 3 and not(selected(${ok}, 'yes')))"],
    ]
    found = from_xlsform(book(survey, [["yn", "yes", "是", "yes"], ["yn", "no", "否", "no"]]), FRUIT, 2, "2027-01-01")
    assert (found.key, found.version, found.effective, found.steps) == ("fruit", 2, "2027-01-01", FRUIT.steps)
    assert list(found.items) == ["weight-kg", "ok", "why-not"]
    weight, why = found.items["weight-kg"][1], found.items["why-not"][1]
    assert (weight.least, weight.most, weight.required) == ("0", "99.5", True)
    assert why.when is not None and written(why.when) == "ok = 'no' or (weight-kg > 3 and not (ok in ('yes')))"


@pytest.mark.parametrize(
    ("survey", "place", "what"),
    [
        ([GROUP, ["text", "a", "甲", "a", None, None, None, "x"], END], "survey row 3 default", "nothing is preselected"),
        ([GROUP, ["calculate", "a", "甲", "a"], END], "survey row 3 type", "is not read"),
        ([GROUP, ["select_one no", "a", "甲", "a"], END], "survey row 3 type", "no list"),
        ([GROUP, ["text", "a", "甲", "a", None, "system('x')"], END], "survey row 3 relevant", "cannot be read"),
        ([GROUP, ["integer", "a", "甲", "a", None, None, "regex(., 'x')"], END], "survey row 3 constraint", "only limits"),
        ([GROUP, GROUP, END, END], "survey row 3 type", "inside groups"),
        ([END], "survey row 2 type", "did not begin"),
        ([GROUP, ["text", "a", "甲", "a"]], "survey row 3 type", "not ended"),
        ([GROUP, ["text", "a", "甲", "a"], ["text", "a", "乙", "b"], END], "survey", "a"),
        ([GROUP, ["text", "1a", "甲", "a"], END], "survey", ""),
        ([GROUP, ["text", "a", "甲", "a", None, "${b} = '1'"], ["text", "b", "乙", "b"], END], "survey row 3 when", "no item before"),
    ],
)
def test_what_is_wrong_is_named_by_sheet_and_row(survey: list[list[Any]], place: str, what: str) -> None:
    with pytest.raises(FaultsError) as caught:
        from_xlsform(book(survey), FRUIT, 2, "2027-01-01")
    fault = caught.value.faults[0]
    assert fault.path.startswith(place) and what in fault.en and fault.zh


def test_all_faults_are_named_at_once() -> None:
    rows = [GROUP, *([["range", f"a{number}", "甲", "a"] for number in range(7)]), END]
    with pytest.raises(FaultsError) as caught:
        from_xlsform(book(rows), FRUIT, 2, "2027-01-01")
    assert [fault.path for fault in caught.value.faults] == [f"survey row {number} type" for number in range(3, 10)]


def bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"\0" * (65 * 2**20))
    return held.getvalue()


NONE = [(b"", "no spreadsheet"), (b"PK\3\4 no", "no spreadsheet"), (bomb(), "unpacks to"), (b"x" * (5 * 2**20), "at most")]


@pytest.mark.parametrize(("data", "what"), NONE, ids=["empty", "torn", "bomb", "long"])
def test_what_is_no_spreadsheet_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(MalformedError, match=what):
        from_xlsform(data, FRUIT, 2, "2027-01-01")


def test_truncated_spreadsheets_are_refused_at_any_place() -> None:
    whole = to_xlsform(FRUIT)
    for end in range(0, len(whole), max(1, len(whole) // 40)):
        with pytest.raises((MalformedError, FaultsError)):
            from_xlsform(whole[:end], FRUIT, 2, "2027-01-01")
