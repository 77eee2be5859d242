"""Check fewer consignments of those who comply, step by step, and all of them again after a failure (dynamic skip-lot).

Guarantees: the standing after a result follows from the one before; only results of checks that were made count; no level is nought.
"""

from dataclasses import dataclass
from fractions import Fraction

from protocol.errors import MalformedError


@dataclass(frozen=True, slots=True)
class SkipRule:
    """Levels by the share that is checked, the strictest first. `clearance`: passes in a row that lead one level on.

    `reinstating`: passes in a row that lead back at once to the level held before a failure; a second failure on the way forfeits it.
    """

    levels: tuple[Fraction, ...] = (Fraction(1), Fraction(1, 2), Fraction(1, 4), Fraction(1, 10))
    clearance: int = 10
    reinstating: int = 5
    start: int = 0

    def check(self) -> None:
        """Raise MalformedError for a rule that could skip everything, or that does not fall from level to level."""
        falls = all(one > other for one, other in zip(self.levels, self.levels[1:], strict=False))
        if not self.levels or not falls or self.levels[0] > 1 or self.levels[-1] <= 0:
            raise MalformedError("levels fall from at most 1 to more than 0", where="skip-lot")
        if self.clearance < 1 or self.reinstating < 1 or not 0 <= self.start < len(self.levels):
            raise MalformedError("clearance and reinstating are at least 1, start is a level", where="skip-lot")


@dataclass(frozen=True, slots=True)
class Skipping:
    """Where somebody stands: the level, passes in a row on it, and the level to be reinstated (None: none)."""

    level: int
    passed: int = 0
    lost: int | None = None


STANDARD = SkipRule()


def begin(rule: SkipRule = STANDARD) -> Skipping:
    """Give the standing of somebody new."""
    rule.check()
    return Skipping(rule.start)


def share(now: Skipping, rule: SkipRule = STANDARD) -> Fraction:
    """Give the share of consignments that is checked."""
    return rule.levels[now.level]


def after_result(now: Skipping, *, passed: bool, rule: SkipRule = STANDARD) -> Skipping:
    """Give the standing after a check; a failure resets to the start."""
    if not passed:
        forfeited = now.lost is not None or now.level <= rule.start
        return Skipping(rule.start, lost=None if forfeited else now.level)
    row = now.passed + 1
    if now.lost is not None and row >= rule.reinstating:
        return Skipping(now.lost)
    if now.lost is None and row >= rule.clearance:
        return Skipping(min(now.level + 1, len(rule.levels) - 1))
    return Skipping(now.level, row, now.lost)
