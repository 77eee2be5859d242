"""The language of targeting rules: what it says, what it refuses with its place, and that no text can make it do more than read."""

import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inspection.forms import FaultsError, Form
from hub.inspection.risk.fields import LISTS, TOP, values_of
from hub.inspection.risk.language import MAX_LENGTH, MAX_TESTS, Declared, holds, parse
from hub.inspection.risk.rule_documents import SCORE_KEY, read_rule, shipped_score
from protocol.errors import MalformedError
from protocol.expressions import ExpressionError
from tests.inspection_parts import plausible

DECLARED = Declared(*values_of(Form.model_validate(plausible()), "2026-11-24", "B", {"0810600000": "durian"}.get))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("trade = 'import'", True),
        ("trade != 'import'", False),
        ("enterprise starts '9121' and grade in ('B', 'C')", True),
        ("any goods (hs starts ('0809', '0810') and origin = 'TH')", True),
        ("all goods (weight_kg > 18432.5)", False),
        ("all goods (weight_kg >= 18432.50)", True),
        ("any goods (kind = 'durian' and not waste and not wood_packaging)", True),
        ("any goods (waste)", False),
        ("any containers (reefer and seals contains 'sh12')", True),
        ("any containers (seals = 'SH123456')", True),
        ("count containers >= 2", False),
        ("count goods (origin = 'TH') = 1", True),
        ("all attachments (kind = 'invoice')", False),  # there is none
        ("any permits (kind = 'phytosanitary' and expires >= '2027-02-10')", True),
        ("any parties (role = 'consignor' and name contains 'ORCHARDS')", True),
        ("any goods (origin = 'TH' and voyage.loading starts 'TH')", True),  # fields of the declaration within a list
        ("voyage.arrival < '2026-11-27' and days_ahead = 2 and lodged = '2026-11-24'", True),
        ("contract is missing and bill is given", True),
        ("contract != 'X'", False),  # not given: no test of it holds
        ("not (contract = 'X')", True),
        ("any goods (producer is missing)", True),
        ("total_kg > 18000 and total_packages = 960", True),
        ("trade = 'export' or trade = 'import' and voyage.imo = '9074729'", True),
        ("(trade = 'export' or trade = 'import') and voyage.imo = '1'", False),
        ("destination = '大连市'", True),
    ],
)
def test_an_expression_says_what_it_says(text: str, wanted: bool) -> None:
    assert holds(parse(text), DECLARED) is wanted


@pytest.mark.parametrize(
    ("text", "en", "at"),
    [
        ("", "expected the name of a field", 1),
        ("colour = 'red'", "'colour' is no field", 1),
        ("origin = 'TH'", "'origin' is no field", 1),
        ("any goods (vessel = 'x')", "'vessel' is no field of goods", 12),
        ("any ships (name = 'x')", "expected one of the lists goods", 5),
        ("any goods (any permits (kind = 'x'))", "lists do not stand within lists", 12),
        ("trade < 'import'", "trade is a text, which has no order", 7),
        ("total_kg > '5'", "expected a number", 12),
        ("total_kg > 5.1234567", "at most 15 digits", 12),
        ("total_kg starts 5", "goes with texts", 1),
        ("voyage.arrival < '2026-13-01'", "expected a day", 18),
        ("voyage.arrival contains '2026'", "goes with texts", 1),
        ("any goods (waste = 'yes')", "stands alone", 18),
        ("trade = import", "expected a text in quotes", 9),
        ("trade = 'import' trade", "'trade' is one too many", 18),
        ("(trade = 'import'", "expected ')'", 18),
        ("trade is red", "expected `missing` or `given`", 10),
        ("count goods", "expected one of = !=", 12),
        ("trade = 'a' and", "expected the name of a field", 16),
        ("trade ; drop", "'; drop' is not understood", 7),
        ("__import__('os')", "is not understood", 1),
        ("trade = 'import", "is not understood", 9),
        ("not " * 30 + "trade = 'a'", "nested deeper than 20", 85),
        ("(" * 40 + "trade = 'a'" + ")" * 40, "nested deeper than 20", 22),
        ("trade = 'a'" + " or trade = 'a'" * MAX_TESTS, f"more than {MAX_TESTS} tests", 1501),
        ("x" * (MAX_LENGTH + 1), f"has {MAX_LENGTH + 1} characters", MAX_LENGTH),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, en: str, at: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert en in caught.value.what
    assert caught.value.at == at
    assert any("\u4e00" <= letter <= "\u9fff" for letter in caught.value.zh)


TOKENS = "and or not in is starts contains any all count missing given ( ) , = != < <= > >= 'TH' '2026-01-01' 5 -3.25 ' \" é \x00"
WORDS = [*TOKENS.split(" "), *TOP, *LISTS, *(name for mine in LISTS.values() for name in mine)]


@settings(deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(st.sampled_from(WORDS), max_size=120).map(" ".join),
                 st.text(string.printable, max_size=2500)))  # fmt: skip
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        found = parse(text)
    except ExpressionError as error:
        assert 1 <= error.at <= len(text) + 1
        assert error.zh and error.what
    else:
        assert holds(found, DECLARED) in (True, False)


def test_the_worst_rule_over_the_largest_form_ends() -> None:
    line = {"origin": "TH", "hs": "0810600000", "name": "x" * 200, "waste": False, "producer": None}
    big = Declared(DECLARED.top, {**DECLARED.lists, "goods": [line] * 10_000})
    tests = " or ".join(["name contains 'yyyyyyyyyy'"] * 60)
    worst = parse(f"any goods ({tests})")
    assert holds(worst, big) is False  # 600 000 tests: what one rule can cost at most


def test_numbers_compare_exactly() -> None:
    top = dict(DECLARED.top) | {"total_kg": Decimal("0.1") + Decimal("0.2")}
    assert holds(parse("total_kg = 0.3"), Declared(top, DECLARED.lists))


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "title": "泰国榴莲", "title_en": "durian of Thailand", "owner": "li.wei", "when": "any goods (origin = 'TH')", "effect": "lane",
        "lane": "red", "start": "2026-11-01",
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "path", "zh"),
    [
        ({"when": "any goods (vessel = 'x')"}, "when", "第 12 个字符"),
        ({"lane": None}, "lane", "必须填写"),
        ({"effect": "weight"}, "lane", "仅在效果"),
        ({"effect": "weight", "lane": None}, "weight", "必须填写"),
        ({"effect": "hold"}, "lane", "仅在效果"),
        ({"end": "2026-10-01"}, "end", "早于"),
        ({"start": "tomorrow"}, "start", "不是有效日期"),
        ({"owner": "Somebody Else"}, "owner", "书写形式"),
        ({"effect": "green", "lane": "green"}, "effect", "不是以下之一"),
        ({"colour": "red"}, "colour", "不是"),
    ],
)
def test_a_rule_with_faults_is_refused_with_all_of_them(changes: dict[str, Any], path: str, zh: str) -> None:
    with pytest.raises(FaultsError) as caught:
        read_rule("th-durian", rule(**changes))
    found = next(fault for fault in caught.value.faults if fault.path == path)
    assert zh in found.zh and found.en


def test_the_figures_of_the_score_have_a_key_of_their_own() -> None:
    value = shipped_score().model_dump(mode="json")
    assert read_rule(SCORE_KEY, value) == shipped_score()
    for key, wrong in (("th-durian", value), (SCORE_KEY, rule())):
        with pytest.raises(FaultsError, match="every other key"):
            read_rule(key, wrong)
    with pytest.raises(FaultsError, match="counts less"):
        read_rule(SCORE_KEY, value | {"grades": value["grades"] | {"D": 0}})
    with pytest.raises(FaultsError, match="blue begins before"):
        read_rule(SCORE_KEY, value | {"lanes": value["lanes"] | {"red": 0}})
    with pytest.raises(MalformedError):
        read_rule("x", [])
