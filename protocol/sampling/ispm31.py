"""Find the sample size of ISPM 31: the smallest sample that finds an infested lot with the confidence that is asked.

Guarantees: the size is exact (hypergeometric, appendix 1), for lots up to 10^9 in bounded time; the count of infested units is rounded
down as the standard asks, and where it is nought there is no plan, never a rounded one.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from protocol.errors import MalformedError
from protocol.sampling.exact import check_lot

_SCALE = 1 << 256  # of the fixed-point bounds; what they cannot tell apart is compared exactly
MIN_MISS = Fraction(1, 10**9)  # a confidence beyond 99.9999999 % is no sampling any more
MIN_RATE = Fraction(1, 10**9)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many units are sampled of a lot; `n` None: there is no plan, and `why` says so."""

    n: int | None
    why: str = ""


def sample_size(lot: int, rate: Fraction, confidence: Fraction) -> Plan:
    """Give the smallest n with C(N-D, n) / C(N, n) <= 1 - confidence, D = floor(N * rate) (ISPM 31, appendix 1).

    Raises MalformedError for a lot, rate or confidence that is none.
    """
    check_lot(lot)
    miss = _miss(rate, confidence)
    infested = int(lot * rate)
    if infested == 0:
        return Plan(None, f"{rate * lot} of {lot} units is less than one: at this rate no unit of the lot would be infested")
    if infested == lot:
        return Plan(1)
    return Plan(_smallest(lot, infested, miss))


def large_lot_size(rate: Fraction, confidence: Fraction, efficacy: Fraction = Fraction(1)) -> Plan:
    """Give the smallest n with (1 - efficacy * rate)^n <= 1 - confidence, for a large and well mixed lot (ISPM 31, appendices 2, 3)."""
    miss = _miss(rate, confidence)
    if not 0 < efficacy <= 1:
        raise MalformedError("must be more than 0 and at most 1", where="efficacy")
    passed = 1 - efficacy * rate
    if passed == 0:
        return Plan(1)
    if passed > 1 - MIN_RATE:
        raise MalformedError("rate times efficacy is less than 1 in 10^9", where="efficacy")
    low, high = 0, 1
    while not _power_within(passed, high, miss):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power_within(passed, middle, miss) else (middle, high)
    return Plan(high)


def _miss(rate: Fraction, confidence: Fraction) -> Fraction:
    if not MIN_RATE <= rate <= 1:
        raise MalformedError("must be more than 0 (at least 1 in 10^9) and at most 1", where="rate")
    if not 0 < confidence < 1 or 1 - confidence < MIN_MISS:
        raise MalformedError("must be more than 0 and less than 1 (at most 99.9999999 %)", where="confidence")
    return 1 - confidence


def _smallest(lot: int, infested: int, miss: Fraction) -> int:
    """Bisect: the chance to miss falls with n, and is nought at N - D + 1. First by cheap bounds, then by the chance itself.

    A chance of n units is a product of min(n, D) factors; about N * ln(1/miss) <= n * D, so that it has at most some 150 000.
    """
    low, high = 0, lot - infested + 1  # low misses too often, high does not
    while high - low > 1:
        middle = (low + high) // 2
        verdict = _roughly(lot, infested, middle, miss)
        if verdict is None:
            verdict = _within(lot, infested, middle, miss)
        low, high = (low, middle) if verdict else (middle, high)
    return high


def _roughly(lot: int, infested: int, n: int, miss: Fraction) -> bool | None:
    """Tell by the least and the greatest factor, raised to the number of factors; None when that does not decide."""
    fewer, more = sorted((n, infested))
    if _power_within(Fraction(lot - more, lot), fewer, miss):
        return True
    if not _power_within(Fraction(lot - more - fewer + 1, lot - fewer + 1), fewer, miss):
        return False
    return None


def _power_within(base: Fraction, exponent: int, miss: Fraction) -> bool:
    """Tell whether base^exponent <= miss, by fixed-point bounds from both sides, and exactly where these do not decide."""
    low = high = _SCALE
    for bit in bin(exponent)[2:]:
        low, high = low * low // _SCALE, -(-high * high // _SCALE)
        if bit == "1":
            low, high = low * base.numerator // base.denominator, -(-high * base.numerator // base.denominator)
    if high * miss.denominator <= miss.numerator * _SCALE:
        return True
    if low * miss.denominator > miss.numerator * _SCALE:
        return False
    return bool(base**exponent <= miss)


def _within(lot: int, infested: int, n: int, miss: Fraction) -> bool:
    """Tell whether C(N-D, n) / C(N, n) <= miss, which is the product of (N - more - i) / (N - i) for i below `fewer`."""
    fewer, more = sorted((n, infested))
    low = high = _SCALE
    for i in range(fewer):
        above, below = lot - more - i, lot - i
        low, high = low * above // below, -(-high * above // below)
    if high * miss.denominator <= miss.numerator * _SCALE:
        return True
    if low * miss.denominator > miss.numerator * _SCALE:
        return False
    left, right = (prod(range(top - fewer + 1, top + 1)) for top in (lot - more, lot))
    return left * miss.denominator <= right * miss.numerator
