"""Make one probability of the national minimum rate, risk and credit, in parts of 10^9 and with every part shown.

The controller that meets a minimum rate r and stays unpredictable: after N arrivals of which K were checked by it, the next one is checked
with p = min(1, max(r/2, r + (r(N + 1) - K)/H)), H = 2/r. Guarantees: more risk or a worse grade never lowers a probability; the random
part alone never makes an arrival certain (at most `CEILING`) nor excludes one (at least the lane's floor and half the rate); only a rule
makes certain: a lane, or a rate of 100 %. What a rule makes certain is not counted, so the random share stays a fair sample.
"""

from typing import Literal, NamedTuple

from protocol.drawing.policy import PARTS, Policy
from protocol.drawing.pool import Entry
from protocol.errors import MalformedError

CEILING = 990_000_000

Rule = Literal["", "lane", "rate"]


class Parts(NamedTuple):
    """What a probability is made of: `total` is what counts; `rule`: what makes it certain, empty for none."""

    national: int
    risk: int
    credit: int
    floor: int
    total: int
    rule: Rule = ""


def national_rate(rate: int, arrivals: int, checked: int) -> int:
    """Give the controller's probability for the next arrival, rounded down (all in parts of 10^9).

    p = r + (r(N + 1) - K) * r/2, between r/2 and the ceiling.
    """
    wished = rate + rate * (rate * (arrivals + 1) - checked * PARTS) // (2 * PARTS)
    return min(CEILING, max(1, rate // 2, wished))


def probability(policy: Policy, entry: Entry, arrivals: int, checked: int) -> Parts:
    """Give the probability of an entry, with its parts; raise MalformedError for a lane or grade that the policy does not know."""
    lane, credit = policy.lanes.get(entry.lane), policy.grades.get(entry.grade)
    if lane is None or credit is None:
        what = f"lane {entry.lane}" if lane is None else f"grade {entry.grade}"
        raise MalformedError(f"{what} is not in the policy", where=f"pool {entry.id}")
    rate = policy.strata.get(entry.stratum, policy.rate)
    risk = lane.weight * entry.risk // PARTS
    if lane.certain or rate == PARTS:
        return Parts(min(rate, CEILING), risk, credit, lane.floor, PARTS, "lane" if lane.certain else "rate")
    national = national_rate(rate, arrivals, checked)
    return Parts(national, risk, credit, lane.floor, total_of(national, risk, credit, lane.floor))


def total_of(national: int, risk: int, credit: int, floor: int) -> int:
    """Join the parts as independent chances, 1 - (1 - national)(1 - risk)(1 - credit), rounded up, between floor and ceiling."""
    missed = (PARTS - national) * (PARTS - risk) * (PARTS - credit) // (PARTS * PARTS)
    return min(CEILING, max(floor, PARTS - missed))
