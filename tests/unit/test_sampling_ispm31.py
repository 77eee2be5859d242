"""ISPM 31 sample sizes against published values, and against counting with whole numbers."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.sampling.exact import read_fraction, read_lot, read_share
from protocol.sampling.ispm31 import large_lot_size, sample_size

RATES = [Fraction(5, 100), Fraction(2, 100), Fraction(1, 100), Fraction(5, 1000), Fraction(1, 1000)]
TABLE = """
  100  45  78  95   -    -  | 59  90  99   -    -
  200  51 105 155 190    -  | 73 136 180 198    -
  500  56 129 225 388    -  | 83 183 300 450    -
  700  57 134 243 442    -  | 85 195 336 549    -
 1000  57 138 258 450  950  | 86 204 368 601  990
 3000  58 145 284 542 1895  | 89 220 425 792 2353
10000  59 148 294 581 2588  | 90 226 448 878 3689
"""


def published() -> list[tuple[int, Fraction, Fraction, int | None]]:
    found = []
    for line in TABLE.strip().splitlines():
        left, right = line.split("|")
        lot, *sizes = left.split()
        for confidence, row in ((Fraction(95, 100), sizes), (Fraction(99, 100), right.split())):
            found += [(int(lot), rate, confidence, None if n == "-" else int(n)) for rate, n in zip(RATES, row, strict=True)]
    return found


@pytest.mark.parametrize(("lot", "rate", "confidence", "n"), published())
def test_published_sizes(lot: int, rate: Fraction, confidence: Fraction, n: int | None) -> None:
    plan = sample_size(lot, rate, confidence)
    assert plan.n == n
    assert bool(plan.why) == (n is None)


def test_sizes_for_large_mixed_lots() -> None:
    confidence = Fraction(95, 100)
    assert [large_lot_size(rate, confidence).n for rate in RATES] == [59, 149, 299, 598, 2995]
    assert [large_lot_size(rate, confidence, Fraction(8, 10)).n for rate in RATES] == [74, 186, 373, 748, 3744]
    assert large_lot_size(Fraction(1), confidence).n == 1


def oracle(lot: int, infested: int, confidence: Fraction) -> int:
    """Try every sample from one unit on."""
    return next(n for n in range(1, lot + 1) if Fraction(comb(lot - infested, n), comb(lot, n)) <= 1 - confidence)


confidences = st.fractions(Fraction(1, 100), Fraction(9999, 10000), max_denominator=10_000)
rates = st.fractions(Fraction(1, 400), Fraction(1), max_denominator=1000)


@given(st.integers(1, 250), rates, confidences)
def test_sizes_are_those_of_trying_every_sample(lot: int, rate: Fraction, confidence: Fraction) -> None:
    infested = lot * rate.numerator // rate.denominator
    plan = sample_size(lot, rate, confidence)
    assert plan.n == (oracle(lot, infested, confidence) if infested else None)


@settings(max_examples=40)
@given(st.integers(1, 10**9), rates, confidences, confidences)
def test_more_confidence_never_takes_a_smaller_sample(lot: int, rate: Fraction, one: Fraction, other: Fraction) -> None:
    low, high = (sample_size(lot, rate, confidence).n for confidence in sorted((one, other)))
    assert (low is None) == (high is None)
    assert low is None or high is None or low <= high <= lot


@settings(max_examples=40)
@given(st.integers(1, 10**9), rates, rates, confidences)
def test_rarer_infestation_never_takes_a_smaller_sample(lot: int, one: Fraction, other: Fraction, confidence: Fraction) -> None:
    rarer, more = (sample_size(lot, rate, confidence).n for rate in sorted((one, other)))
    assert rarer is None or (more is not None and more <= rarer)


@settings(max_examples=40)
@given(st.integers(1, 10**5), st.integers(1, 200), confidences)
def test_the_chance_to_miss_is_just_met(lot: int, infested: int, confidence: Fraction) -> None:
    infested = min(infested, lot)
    n = sample_size(lot, Fraction(infested, lot), confidence).n
    assert n is not None
    assert Fraction(comb(lot - infested, n), comb(lot, n)) <= 1 - confidence
    assert Fraction(comb(lot - infested, n - 1), comb(lot, n - 1)) > 1 - confidence


def test_the_greatest_lots_take_bounded_work() -> None:
    lot, almost_sure = 10**9, 1 - Fraction(1, 10**9)
    assert sample_size(lot, Fraction(1, 200), Fraction(95, 100)).n == 598
    assert sample_size(lot, Fraction(1, 10**9), Fraction(95, 100)).n == 950_000_000
    worst = sample_size(lot, Fraction(1, 7000), almost_sure).n
    assert worst is not None and 144_000 < worst < 146_000


def test_numbers_are_read_as_they_are_written() -> None:
    assert read_share("0.005", "rate") == read_share("0.5%", "rate") == read_share("1/200", "rate") == Fraction(1, 200)
    assert int(100 * read_share("0.29", "rate")) == 29  # 100 * 0.29 is less than 29 in binary
    assert sample_size(100, read_share("0.29", "rate"), read_share("0.95", "c")) == sample_size(100, Fraction(29, 100), Fraction(95, 100))
    assert read_lot("1000000000") == 10**9


@pytest.mark.parametrize(
    "text", ["", "nan", "NaN", "inf", "-0.1", "0", "0%", "1.5", "101%", "1e-3", "0,5", "½", "٥%", "1/0", "5", "0x1", "9" * 5000]
)
def test_no_share_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="rate: "):
        read_share(text, "rate")


@pytest.mark.parametrize("text", ["", "0", "-5", "1.5", "1e3", "1000000001", "nan", "５", "7" * 5000])
def test_no_lot_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="lot: "):
        read_lot(text)


@pytest.mark.parametrize("confidence", [Fraction(0), Fraction(1), Fraction(-1), Fraction(3, 2), 1 - Fraction(1, 10**12)])
def test_no_confidence_is_refused(confidence: Fraction) -> None:
    with pytest.raises(MalformedError, match="confidence: "):
        sample_size(100, Fraction(1, 10), confidence)
    with pytest.raises(MalformedError, match="rate: "):
        sample_size(100, Fraction(1, 10**12), Fraction(1, 2))
    assert read_fraction("0", "confidence") == 0
