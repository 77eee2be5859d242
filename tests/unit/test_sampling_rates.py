"""Rates that step with results, skip-lot, strata and the draw of packages: by the rules' own words, and by counting otherwise."""

import hashlib
import hmac
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.sampling import eu_rates, skip_lot
from protocol.sampling.eu_rates import MINIMA, Compliance, PlantRate, examined, plant_rate, rate_in_force, share_of_year, watch, watched
from protocol.sampling.packages import draw_packages
from protocol.sampling.strata import allocate

PERCENT = [Fraction(one, 100) for one in (1, 5, 15, 30, 100)]


def test_a_rate_steps_up_while_goods_fail_more_than_the_mean_by_a_margin() -> None:
    mean = Compliance(1000, 100)
    raised = [rate_in_force(base, Compliance(100, 14), mean).rate for base in PERCENT]
    assert raised == [Fraction(one, 100) for one in (5, 15, 30, 50, 100)]
    assert [rate_in_force(base, Compliance(100, 13), mean).rate for base in PERCENT] == PERCENT  # 13 % exceeds 10 % by 30 %, no more
    assert rate_in_force(PERCENT[0], Compliance(0, 0), mean, audit=True).rate == PERCENT[1]
    found = rate_in_force(PERCENT[0], Compliance(100, 14), mean)
    assert found.raised and not found.verified and "mean" in found.why
    with pytest.raises(MalformedError, match="base rates"):
        rate_in_force(Fraction(1, 7), mean, mean)
    with pytest.raises(MalformedError, match="cannot have failed"):
        rate_in_force(PERCENT[0], Compliance(3, 4), mean)


def test_only_the_last_year_counts() -> None:
    results = [(0, True), (1, True), (200, False), (365, True), (366, True)]
    assert share_of_year(results, 365) == Compliance(3, 2)


def test_ten_good_consignments_of_enough_weight_end_a_watch() -> None:
    now = watch(1000)
    for _ in range(9):
        now = watched(now, 1000, good=True)
    assert not now.is_over
    assert watched(now, 1000, good=True).is_over
    light = watch(1000)
    for _ in range(19):
        light = watched(light, 500, good=True)
    assert light.good == 19 and not light.is_over
    assert watched(light, 500, good=True).is_over
    again = watched(now, 300, good=False)
    assert (again.good, again.first_kg, again.is_over) == (0, 300, False)
    with pytest.raises(MalformedError):
        watch(0)


def test_plants_have_a_rate_by_goods_country_and_year() -> None:
    table = [
        PlantRate("0603 11", "cut-flowers", "*", 2026, Fraction(10, 100)),
        PlantRate("0603 11", "cut-flowers", "KE", 2026, Fraction(5, 100)),
        PlantRate("0805 10", "fruit", "ZA", 2026, Fraction(80, 100)),
    ]
    assert plant_rate(table, "0603 11", "cut-flowers", "KE", 2026) == Fraction(5, 100)
    assert plant_rate(table, "0603 11", "cut-flowers", "EC", 2026) == Fraction(10, 100)
    assert plant_rate(table, "0603 11", "cut-flowers", "KE", 2027) == 1
    assert plant_rate(table, "0602 10", "plants-for-planting", "KE", 2026) == 1
    with pytest.raises(MalformedError, match="not within 1/100 to 3/4"):
        plant_rate(table, "0805 10", "fruit", "ZA", 2026)


def test_a_consignment_has_a_least_number_to_examine() -> None:
    assert [examined(units, MINIMA["breeding-animals"]) for units in (0, 5, 99, 101, 1000)] == [0, 5, 10, 11, 100]
    assert [examined(units, MINIMA["slaughter-animals"]) for units in (3, 80, 120)] == [3, 5, 6]
    assert [examined(units, MINIMA["packages"]) for units in (1, 100, 300, 100_000)] == [1, 2, 3, 10]
    assert not MINIMA["packages"].verified and eu_rates.PLANT_RANGES["fruit"].verified


def skip(results: str) -> skip_lot.Skipping:
    now = skip_lot.begin()
    for one in results:
        now = skip_lot.after_result(now, passed=one == "+")
    return now


def test_ten_passes_in_a_row_lead_one_level_on() -> None:
    assert [skip_lot.share(skip("+" * count)) for count in (0, 9, 10, 20, 30, 90)] == [
        Fraction(1), Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(1, 10), Fraction(1, 10),
    ]  # fmt: skip


def test_a_failure_resets_and_five_passes_reinstate() -> None:
    assert skip_lot.share(skip("+" * 25 + "-")) == 1
    assert skip_lot.share(skip("+" * 25 + "-" + "+" * 4)) == 1
    assert skip_lot.share(skip("+" * 25 + "-" + "+" * 5)) == Fraction(1, 4)
    assert skip_lot.share(skip("+" * 25 + "-+++-" + "+" * 9)) == 1  # forfeited: the whole way again
    assert skip_lot.share(skip("+" * 25 + "-+++-" + "+" * 10)) == Fraction(1, 2)
    assert skip_lot.share(skip("+++-" + "+" * 9)) == 1


def test_a_rule_that_skips_everything_is_refused() -> None:
    for levels in ((), (Fraction(1), Fraction(0)), (Fraction(1, 2), Fraction(1)), (Fraction(2),)):
        with pytest.raises(MalformedError):
            skip_lot.begin(skip_lot.SkipRule(levels))
    with pytest.raises(MalformedError):
        skip_lot.begin(skip_lot.SkipRule(start=9))


parts = st.dictionaries(st.text("ABC", min_size=1, max_size=4), st.integers(0, 10**6), min_size=1, max_size=12)


@given(parts, st.data())
def test_shares_add_up_and_stay_within_one_unit(sizes: dict[str, int], data: st.DataObject) -> None:
    total = sum(sizes.values())
    sample = data.draw(st.integers(0, total))
    found = allocate(sizes, sample)
    assert sum(found.values()) == sample
    assert allocate(dict(reversed(sizes.items())), sample) == found
    for name, size in sizes.items():
        assert 0 <= found[name] <= size
        assert total == 0 or abs(found[name] - Fraction(sample * size, total)) < 1


def test_shares_by_hand() -> None:
    assert allocate({"a": 50, "b": 30, "c": 20}, 7) == {"a": 4, "b": 2, "c": 1}
    assert allocate({"b": 1, "a": 1, "c": 1}, 2) == {"a": 1, "b": 1, "c": 0}
    for sizes, sample in (({"a": 3}, 4), ({"a": 3}, -1), ({"a": -1, "b": 2}, 1)):
        with pytest.raises(MalformedError):
            allocate(sizes, sample)


SEED = hashlib.sha256(b"seed").digest()


def test_packages_are_recomputed_by_a_few_lines_of_others() -> None:
    declared = {"CSQU3054383": 40, "MSKU9070323": 60, "TEMU6079348": 100}
    found = draw_packages(SEED, "D-20261124-0000001", declared, boxes=2, sample=10)

    def key(*parts: object) -> str:
        return hmac.new(SEED, "/".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()

    boxes = sorted(declared, key=lambda box: key("box", "D-20261124-0000001", box))[:2]
    assert list(found.boxes) == boxes
    for box in boxes:
        every = sorted(range(1, declared[box] + 1), key=lambda number: key("package", "D-20261124-0000001", box, number))
        assert list(found.packages[box]) == sorted(every[: len(found.packages[box])])
    assert sum(map(len, found.packages.values())) == 10
    assert draw_packages(SEED, "D-20261124-0000001", dict(reversed(declared.items())), boxes=2, sample=10) == found
    assert draw_packages(SEED, "D-20261124-0000002", declared, boxes=2, sample=10) != found


@pytest.mark.parametrize("start", range(5))
def test_every_package_is_drawn_alike(start: int) -> None:
    counts: Counter[int] = Counter()
    for number in range(400):
        seed = hashlib.sha256(f"{start}/{number}".encode()).digest()
        counts.update(draw_packages(seed, "D", {"B": 20}, boxes=1, sample=5).packages["B"])
    assert sum((counts[one] - 100) ** 2 / 75 for one in range(1, 21)) < 55  # chi-squared, 19 degrees of freedom


@pytest.mark.parametrize(
    ("seed", "declared", "boxes", "sample"),
    [
        (b"short", {"A": 1}, 1, 1),
        (SEED, {"A": -1}, 1, 0),
        (SEED, {"A": 10**7}, 1, 1),
        (SEED, {"A/B": 1}, 1, 1),
        (SEED, {"A": 1}, 2, 1),
        (SEED, {"A": 1}, 1, 2),
    ],
)
def test_draws_that_cannot_be_are_refused(seed: bytes, declared: dict[str, int], boxes: int, sample: int) -> None:
    with pytest.raises(MalformedError):
        draw_packages(seed, "D", declared, boxes=boxes, sample=sample)
