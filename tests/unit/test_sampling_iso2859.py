"""ISO 2859-1 plans against published ones, against a table written out by hand, and the switching rules lot by lot."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, RefusedError
from protocol.sampling.iso2859 import Judged, Switching, after, aql_index, judge, plan_for, resume
from protocol.sampling.iso2859_tables import AQLS, LETTERS, LEVELS, LOT_BOUNDS, NORMAL, Severity

PASS, FAIL = Judged(True, 2), Judged(False, None)
# Rows A to R of table 2-A for AQL 0.65 to 10, acceptance numbers and arrows as printed (v down, ^ up)
PRINTED = """
A v v v v v 0 v
B v v v v 0 ^ v
C v v v 0 ^ v 1
D v v 0 ^ v 1 2
E v 0 ^ v 1 2 3
F 0 ^ v 1 2 3 5
G ^ v 1 2 3 5 7
H v 1 2 3 5 7 10
J 1 2 3 5 7 10 14
K 2 3 5 7 10 14 21
L 3 5 7 10 14 21 ^
M 5 7 10 14 21 ^ ^
N 7 10 14 21 ^ ^ ^
P 10 14 21 ^ ^ ^ ^
Q 14 21 ^ ^ ^ ^ ^
R 21 ^ ^ ^ ^ ^ ^
"""


@pytest.mark.parametrize(
    ("lot", "level", "aql", "letter", "n", "accept"),
    [
        (2000, "II", "1.0", "K", 125, 3),
        (2000, "II", "4.0", "K", 125, 10),
        (500, "II", "1.0", "H", 50, 1),
        (1000, "II", "0.65", "J", 80, 1),
        (8, "II", "2.5", "C", 5, 0),
        (1000, "I", "2.5", "G", 32, 2),
    ],
)
def test_published_plans(lot: int, level: str, aql: str, letter: str, n: int, accept: int) -> None:
    plan = plan_for(lot, level, aql)
    assert (plan.letter, plan.n, plan.accept, plan.reject) == (letter, n, accept, accept + 1)
    assert not plan.whole and not plan.unverified


def test_every_plan_of_the_printed_columns() -> None:
    rows = [line.split() for line in PRINTED.strip().splitlines()]
    letters = [row[0] for row in rows]
    for column, aql in enumerate(("0.65", "1.0", "1.5", "2.5", "4.0", "6.5", "10"), 1):
        for start in range(len(rows)):
            at = start
            while rows[at][column] in "^v":
                at += 1 if rows[at][column] == "v" else -1
            plan = plan_for(*_lot_of(letters[start]), aql)
            assert (plan.letter, plan.accept) == (letters[at], int(rows[at][column])), (letters[start], aql)


def _lot_of(letter: str) -> tuple[int, str]:
    """Give a lot and a level that lead to a letter."""
    level = next(name for name, letters in LEVELS.items() if letter in letters)
    return (*LOT_BOUNDS, 10**6)[LEVELS[level].index(letter)], level


def test_published_plans_of_tightened_inspection() -> None:
    plan = plan_for(2000, "II", "1.0", "tightened")
    assert (plan.letter, plan.n, plan.accept, plan.unverified) == ("K", 125, 2, False)
    plan = plan_for(500, "II", "1.0", "tightened")  # H stands in the gap that was not checked
    assert (plan.letter, plan.n, plan.accept, plan.unverified) == ("J", 80, 1, True)
    assert plan_for(10**6, "III", "0.025", "tightened").n == 3150


def test_reduced_plans_say_that_they_were_not_checked() -> None:
    plan = plan_for(2000, "II", "1.0", "reduced")
    assert (plan.letter, plan.n, plan.unverified) == ("K", 50, True)


lots = st.integers(1, 10**9)
severities = st.sampled_from(["normal", "tightened", "reduced"])


@given(lots, st.sampled_from(list(LEVELS)), st.sampled_from(AQLS), severities)
def test_every_lot_has_a_plan_that_fits_it(lot: int, level: str, aql: str, severity: Severity) -> None:
    plan = plan_for(lot, level, aql, severity)
    assert 1 <= plan.n <= lot
    assert plan.reject == plan.accept + 1
    assert plan.whole == (plan.n == lot)
    if severity == "normal" and not plan.whole:
        assert plan.n == NORMAL.sizes[LETTERS.index(plan.letter)]


@given(lots, lots, st.sampled_from(list(LEVELS)), st.sampled_from(AQLS))
def test_a_larger_lot_never_allows_a_smaller_letter(one: int, other: int, level: str, aql: str) -> None:
    small, large = (plan_for(lot, level, aql) for lot in sorted((one, other)))
    assert LETTERS.index(small.letter) <= LETTERS.index(large.letter)
    assert small.n <= large.n


@given(lots, st.sampled_from(list(LEVELS)))
def test_a_stricter_limit_never_accepts_a_worse_share(lot: int, level: str) -> None:
    """Where the letter stays, the acceptance number falls with the AQL."""
    plans = [plan_for(lot, level, aql) for aql in AQLS]
    assert all(one.accept <= other.accept for one, other in pairwise(plans) if one.letter == other.letter)


@pytest.mark.parametrize(
    ("lot", "level", "aql", "severity", "named"),
    [
        (0, "II", "1.0", "normal", "lot"),
        (-1, "II", "1.0", "normal", "lot"),
        (10**10, "II", "1.0", "normal", "lot"),
        (100, "IV", "1.0", "normal", "level"),
        (100, "II", "0.7", "normal", "aql"),
        (100, "II", "nan", "normal", "aql"),
        (100, "II", "1.0", "strict", "inspection"),
    ],
)
def test_what_the_standard_has_not_is_refused(lot: int, level: str, aql: str, severity: Severity, named: str) -> None:
    with pytest.raises(MalformedError, match=f"{named}: "):
        plan_for(lot, level, aql, severity)
    assert aql_index("1") == aql_index("1.0%") == 10


def run(*lots: Judged, since: Switching | None = None) -> Switching:
    now = since or Switching()
    for lot in lots:
        now = after(now, lot)
    return now


def test_two_of_five_lots_tighten() -> None:
    assert run(FAIL, PASS, PASS, PASS, FAIL).severity == "tightened"
    assert run(FAIL, PASS, PASS, PASS, PASS, FAIL).severity == "normal"
    assert run(FAIL, FAIL).severity == "tightened"


def test_five_passes_in_a_row_lead_back_and_five_failures_stop() -> None:
    tightened = run(FAIL, FAIL)
    assert run(*[PASS] * 4, since=tightened).severity == "tightened"
    assert run(*[PASS] * 5, since=tightened) == Switching()
    assert run(*[PASS, PASS, FAIL] * 4, since=tightened).severity == "tightened"
    stopped = run(*[PASS, FAIL] * 5, since=tightened)
    assert stopped.severity == "stopped"
    with pytest.raises(RefusedError, match="was stopped"):
        after(stopped, PASS)
    assert resume(stopped) == Switching("tightened")
    with pytest.raises(RefusedError, match="was not stopped"):
        resume(Switching())


def test_a_score_of_thirty_reduces_and_one_failure_leads_back() -> None:
    assert run(*[PASS] * 14).severity == "normal"
    reduced = run(*[PASS] * 15)
    assert reduced.severity == "reduced"
    assert run(PASS, PASS, since=reduced).severity == "reduced"
    assert run(FAIL, since=reduced) == Switching()
    assert run(*[Judged(True, 3)] * 10).severity == "reduced"
    assert run(*[PASS] * 14, Judged(True, None), *[PASS] * 14).severity == "normal"
    now = Switching()
    for _ in range(40):
        now = after(now, PASS, may_reduce=False)
    assert now.severity == "normal"


def test_the_score_asks_for_lots_good_also_one_step_tighter() -> None:
    assert judge(2000, "II", "1.0", "normal", 2) == Judged(True, 3)  # K: 3 at 1.0, 2 at 0.65
    assert judge(2000, "II", "1.0", "normal", 3) == Judged(True, None)
    assert judge(2000, "II", "1.0", "normal", 4) == Judged(False, None)
    assert judge(500, "II", "1.0", "normal", 1) == Judged(True, 2)
    with pytest.raises(MalformedError, match="found"):
        judge(500, "II", "1.0", "normal", 51)


@given(st.lists(st.booleans(), max_size=60))
def test_no_series_of_lots_leaves_the_rules(series: list[bool]) -> None:
    now = Switching()
    for accepted in series:
        if now.severity == "stopped":
            now = resume(now)
        before, now = now, after(now, PASS if accepted else FAIL)
        assert len(now.recent) <= 5 and now.failed < 5 and now.passed < 5 and 0 <= now.score < 30
        allowed = {"normal": {"normal", "tightened", "reduced"}, "tightened": {"normal", "tightened", "stopped"}}
        assert now.severity in allowed.get(before.severity, {"normal", "reduced"})
