"""Show that rates are met, that probabilities are monotone and never certain by chance, and that draws are uniform."""

import hashlib
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.drawing.policy import MAX_RATE, PARTS, Lane, Named, Policy
from protocol.drawing.pool import Count, Entry, Pool
from protocol.drawing.rates import CEILING, national_rate, probability, total_of
from protocol.drawing.selection import number_of, select
from protocol.errors import MalformedError
from tests.drawing_parts import GRADES, LANES, make_policy

PART = st.integers(0, PARTS)
RATE = st.integers(1, MAX_RATE)


@given(RATE, st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_controller_is_the_formula_of_fractions(rate: int, arrivals: int, checked: int) -> None:
    r = Fraction(rate, PARTS)
    wished = r + (r * (arrivals + 1) - checked) / (2 / r)
    exact = min(Fraction(CEILING, PARTS), max(r / 2, wished))
    found = Fraction(national_rate(rate, arrivals, checked), PARTS)
    assert abs(found - exact) <= Fraction(1, PARTS)
    assert 0 < found < 1


@pytest.mark.parametrize("percent", [1, 5, 15, 30])
def test_a_minimum_rate_is_missed_by_six_at_most_and_nobody_is_certain(percent: int) -> None:
    rate, highest, worst = percent * PARTS // 100, 0, 0
    for run in range(200):
        chance = random.Random(1000 * percent + run)
        checked = 0
        for arrivals in range(2000):
            p = national_rate(rate, arrivals, checked)
            highest = max(highest, p)
            checked += chance.randrange(PARTS) < p
            worst = min(worst, checked * PARTS - rate * (arrivals + 1))
    assert worst >= -6 * PARTS
    assert rate // 2 <= highest <= CEILING < PARTS


def test_the_real_draw_meets_the_rate_over_many_draws() -> None:
    policy = make_policy(PARTS // 20)
    counts: tuple[Count, ...] = ()
    missed = 0
    for number in range(1, 41):
        entries = [Entry(f"D-{number:03d}-{at:03d}", "fruit/AU", "green", 0, "AA") for at in range(50)]
        pool = Pool.of(number, 0, entries, counts=counts)
        after = select(policy, pool, hashlib.sha256(bytes([number])).digest()).counts
        missed = max(missed, after[0].arrivals // 20 - after[0].checked)
        counts = after
    assert counts[0].arrivals == 2000
    assert missed <= 6


@given(PART, PART, PART, st.integers(1, MAX_RATE), st.integers(0, PARTS // 10))
def test_more_of_any_part_never_lowers_the_total(national: int, risk: int, credit: int, floor: int, more: int) -> None:
    total = total_of(min(national, CEILING), risk, credit, floor)
    assert max(floor, min(national, CEILING)) <= total <= CEILING
    assert total_of(min(national + more, CEILING), risk, credit, floor) >= total
    assert total_of(min(national, CEILING), min(risk + more, PARTS), credit, floor) >= total
    assert total_of(min(national, CEILING), risk, min(credit + more, PARTS), floor) >= total
    exact = 1 - (1 - Fraction(min(national, CEILING), PARTS)) * (1 - Fraction(risk, PARTS)) * (1 - Fraction(credit, PARTS))
    assert abs(Fraction(total, PARTS) - min(Fraction(CEILING, PARTS), max(Fraction(floor, PARTS), exact))) <= Fraction(1, PARTS)


def test_every_lane_and_grade_keeps_a_random_floor_and_only_rules_make_certain() -> None:
    policy = make_policy(PARTS // 100)
    for lane in LANES:
        for grade in GRADES:
            for risk in (0, PARTS):
                parts = probability(policy, Entry("D-1", "fruit/AU", lane, risk, grade), 10**6, 10**6)
                if lane == "red":
                    assert (parts.total, parts.rule) == (PARTS, "lane")
                else:
                    assert LANES[lane].floor <= parts.total <= CEILING
                    assert parts.rule == ""
    everything = make_policy(PARTS // 100, strata={"meat/BR": PARTS})
    assert probability(everything, Entry("D-1", "meat/BR", "green", 0, "AA"), 0, 0).rule == "rate"


def test_an_unknown_lane_or_grade_is_refused() -> None:
    with pytest.raises(MalformedError, match="lane"):
        probability(make_policy(), Entry("D-1", "x", "pink", 0, "AA"), 0, 0)
    with pytest.raises(MalformedError, match="grade"):
        probability(make_policy(), Entry("D-1", "x", "green", 0, "Z"), 0, 0)


def test_numbers_are_uniform() -> None:
    cells = [0] * 100
    for at in range(40_000):
        cells[number_of(b"\7" * 32, f"D-{at}") * 100 >> 256] += 1
    chi = sum(Fraction((found - 400) ** 2, 400) for found in cells)
    assert 58 < chi < 149  # 99 degrees of freedom, 0.1 % on either side


@pytest.mark.parametrize(
    "change",
    [
        {"needed": 0},
        {"needed": 2},
        {"answer_s": 0},
        {"rate": 0},
        {"rate": MAX_RATE + 1},
        {"strata": {"a b": 5}},
        {"lanes": {}},
        {"lanes": {"green": Lane(0, 1)}},
        {"lanes": {"green": Lane(1, PARTS)}},
        {"grades": {"A": PARTS}},
        {"witnesses": ()},
        {"witnesses": (Named("a", bytes(32)),)},
        {"log": ""},
    ],
)
def test_a_policy_that_is_none_is_refused(change: dict[str, object]) -> None:
    good: dict[str, object] = {
        "rules": "r/1",
        "log": "x",
        "witnesses": make_policy().witnesses[:1],
        "needed": 1,
        "answer_s": 60,
        "rate": 1,
        "strata": {},
        "lanes": LANES,
        "grades": GRADES,
    }
    Policy(**good)  # type: ignore[arg-type]
    with pytest.raises(MalformedError):
        Policy(**(good | change))  # type: ignore[arg-type]


def test_a_policy_has_one_text() -> None:
    policy = make_policy(strata={"fruit/AU": 7})
    assert Policy.parse(policy.encode()) == policy
    with pytest.raises(MalformedError):
        Policy.parse(policy.encode().replace(b'"needed":3', b'"needed":3,"more":1'))
    with pytest.raises(MalformedError):
        Policy.parse(policy.encode() + b"\n")
