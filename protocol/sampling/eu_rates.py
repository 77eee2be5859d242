"""Rates of checks after rules of the European Union, and when they step up and down: 2019/2129, 2019/1873, 2022/2389, 2019/2130.

Guarantees: a rate follows from counts alone, by fractions; what was not read in the act itself is marked unverified and can be replaced
by a site's own data. Which goods stand under which base rate is no part of the code: the annexes are data.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType

from protocol.errors import MalformedError

HALF = Fraction(1, 2)


def _percents(*numbers: int) -> tuple[Fraction, ...]:
    return tuple(Fraction(one, 100) for one in numbers)


@dataclass(frozen=True, slots=True)
class BaseRates:
    """The rates that goods may stand under, lowest first; `margin`: by how much of the mean non-compliance must exceed it to step up."""

    rates: tuple[Fraction, ...] = _percents(1, 5, 15, 30, 100)
    margin: Fraction = Fraction(30, 100)
    source: str = "(EU) 2019/2129 annex I"
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Compliance:
    """What a year of checks found."""

    checked: int
    failed: int

    def share(self) -> Fraction:
        """Give the share that failed, nought where nothing was checked; raise MalformedError for counts that cannot be."""
        if not 0 <= self.failed <= self.checked:
            raise MalformedError(f"{self.failed} of {self.checked} cannot have failed", where="compliance")
        return Fraction(self.failed, self.checked) if self.checked else Fraction(0)


@dataclass(frozen=True, slots=True)
class Stepped:
    """The rate in force, and why."""

    rate: Fraction
    raised: bool
    why: str
    verified: bool


def rate_in_force(
    base: Fraction, own: Compliance, all_countries: Compliance, *, audit: bool = False, rates: BaseRates | None = None
) -> Stepped:
    """Give the rate for goods of a country (2019/2129 art. 5): one step higher while they fail more often than the mean by the margin.

    30 % steps to 50 %. It drops back by itself: the rate is asked anew of the last twelve months. Raises MalformedError for no base rate.
    """
    rates = rates or BaseRates()
    if base not in rates.rates:
        raise MalformedError(f"{base} is none of the base rates {', '.join(map(str, rates.rates))}", where="rate")
    worse = own.share() > all_countries.share() * (1 + rates.margin)
    if not worse and not audit:
        return Stepped(base, False, "base rate", rates.verified)
    why = "audit findings" if audit else "non-compliance above the mean of all countries"
    return Stepped(_next(base, rates), base != 1, why, rates.verified)


def _next(base: Fraction, rates: BaseRates) -> Fraction:
    if base == Fraction(30, 100):
        return HALF
    return next((one for one in sorted(rates.rates) if one > base), Fraction(1))


@dataclass(frozen=True, slots=True)
class Watch:
    """Consignments of an origin held for their result after a serious finding (2019/1873). Weights in kg."""

    first_kg: int
    good: int = 0
    good_kg: int = 0
    needed: int = 10

    @property
    def is_over(self) -> bool:
        """Tell whether enough consignments in a row were good, and together heavy enough."""
        return self.good >= self.needed and self.good_kg >= self.needed * self.first_kg


def watch(weight_kg: int) -> Watch:
    """Begin to hold an origin's consignments after a serious finding in one of this weight; raise MalformedError for no weight."""
    if weight_kg <= 0:
        raise MalformedError("must be more than 0 kg", where="weight")
    return Watch(weight_kg)


def watched(now: Watch, weight_kg: int, *, good: bool) -> Watch:
    """Give the standing after a consignment's result; one that is not good begins the count again, with itself as the first."""
    if not good:
        return watch(weight_kg)
    return replace(now, good=now.good + 1, good_kg=now.good_kg + watch(weight_kg).first_kg)


@dataclass(frozen=True, slots=True)
class PlantRange:
    """Between which rates plants of a kind may be checked (2022/2389 with 2025/355)."""

    lowest: Fraction
    highest: Fraction
    verified: bool = True


PLANT_RANGES: Mapping[str, PlantRange] = MappingProxyType(
    {
        "cut-flowers": PlantRange(Fraction(1, 100), Fraction(50, 100)),
        "fruit": PlantRange(Fraction(1, 100), Fraction(75, 100)),
        "vegetables": PlantRange(Fraction(1, 100), Fraction(15, 100)),
        "used-machinery": PlantRange(Fraction(5, 100), Fraction(5, 100)),
    }
)
NEVER_REDUCED = frozenset({"plants-for-planting"})


@dataclass(frozen=True, slots=True)
class PlantRate:
    """A rate for goods of a kind from a country in a calendar year; data that a site keeps. `country` "*": all others."""

    goods: str
    kind: str
    country: str
    year: int
    rate: Fraction


def plant_rate(table: Iterable[PlantRate], goods: str, kind: str, country: str, year: int) -> Fraction:
    """Give the rate for plants, the whole where none is set or the kind is never reduced; raise MalformedError for one out of its range."""
    if kind in NEVER_REDUCED:
        return Fraction(1)
    mine = [one for one in table if (one.goods, one.kind, one.year) == (goods, kind, year) and one.country in (country, "*")]
    if not mine:
        return Fraction(1)
    found = min(mine, key=lambda one: one.country == "*")
    allowed = PLANT_RANGES.get(kind, PlantRange(Fraction(1, 100), Fraction(100, 100)))
    if not allowed.lowest <= found.rate <= allowed.highest:
        raise MalformedError(f"{found.rate} is not within {allowed.lowest} to {allowed.highest}", where=f"rate of {goods[:40]}")
    return found.rate


@dataclass(frozen=True, slots=True)
class Minimum:
    """A share of a consignment that is examined, at least some and at most some (None: no limit)."""

    share: Fraction
    least: int
    most: int | None = None
    verified: bool = True
    source: str = "(EU) 2019/2130 annex I"


MINIMA: Mapping[str, Minimum] = MappingProxyType(
    {
        "breeding-animals": Minimum(Fraction(10, 100), 10),
        "slaughter-animals": Minimum(Fraction(5, 100), 5),
        "packages": Minimum(Fraction(1, 100), 2, 10, verified=False),
    }
)


def examined(units: int, minimum: Minimum) -> int:
    """Give how many units of a consignment are examined: the share, rounded up, within its bounds, and never more than there are."""
    if units < 0:
        raise MalformedError("cannot be less than 0", where="units")
    wanted = max(-(-units * minimum.share.numerator // minimum.share.denominator), minimum.least)
    return min(units, wanted if minimum.most is None else min(wanted, minimum.most))


def share_of_year(results: Sequence[tuple[int, bool]], now_day: int, days: int = 365) -> Compliance:
    """Count the results of the last days: each is a day's number and whether it failed. Results of days to come do not count."""
    mine = [failed for day, failed in results if now_day - days < day <= now_day]
    return Compliance(len(mine), sum(mine))
