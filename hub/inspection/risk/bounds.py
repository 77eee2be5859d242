"""Give the upper bound of a share of non-compliance: the 95 % point of the beta distribution after what was found, exactly.

Guarantees: whole numbers alone. P(Beta(a, b) <= x) = P(Binomial(a + b - 1, x) >= a), which is a sum of whole numbers over 10^9 when x is
a part of 10^9; the bound is the smallest such x for which it reaches 95 %. One more that failed, or one less that passed, never lowers it.
"""

from functools import lru_cache

from protocol.errors import MalformedError

PARTS = 10**9
PRIOR = (1, 19)  # domain: a mean of 5 % before anything was inspected
MOST = 1000  # inspections that count: of more, the newest are taken


@lru_cache(maxsize=4096)
def upper_bound(inspected: int, failed: int) -> int:
    """Give the 95 % upper bound in parts of 10^9; raise MalformedError for numbers that cannot be."""
    if not 0 <= failed <= inspected <= MOST:
        raise MalformedError(f"{failed} failed of {inspected} inspected, at most {MOST}", where="history")
    a, b = PRIOR[0] + failed, PRIOR[1] + inspected - failed
    low, high = 0, PARTS  # high: reaches 95 %
    while high - low > 1:
        middle = (low + high) // 2
        if _reaches(middle, a, a + b - 1):
            high = middle
        else:
            low = middle
    return high


def _reaches(x: int, a: int, trials: int) -> bool:
    """Tell whether P(Binomial(trials, x / 10^9) <= a - 1) is at most 5 %."""
    y = PARTS - x
    if y == 0:
        return True
    # the sum over j < a of C(trials, j) x^j y^(trials - j), as y^(trials - a + 1) times the rest of it
    term, total, power = 1, 0, 1
    scale: int = y ** (trials - a + 1)
    for j in range(a):
        total = total * y + term * power
        term = term * (trials - j) // (j + 1)
        power *= x
    return 20 * total * scale <= int(PARTS**trials)
