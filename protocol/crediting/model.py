"""Say what credit is made of: events of one enterprise, and a rule set that turns them into a grade.

Guarantees: values only, integers only; a rule set is one document, so that its version and hash name everything a grade depended on.
Days are written 2026-11-24; an event counts from its day on, and no more from the day on which it expires.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FORMAT = "portwitness-credit-rules/1"
Appeal = Literal["none", "filed", "upheld", "rejected"]
Cycle = Literal["this", "last", "before", ""]
Party = Literal["any", "broker", "other"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something on record of an enterprise. `points`: None for those of its item; `facts`: figures that limits look at."""

    id: str
    item: str
    day: str
    expires: str | None = None
    points: int | None = None
    facts: tuple[tuple[str, int], ...] = ()
    appeal: Appeal = "none"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a rule set rests on, in Chinese and English, and whether that was read in its source."""

    zh: str
    en: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Grade:
    """A grade, in Chinese and English; `draw`: the grade of the draw's policy that it stands for."""

    key: str
    zh: str
    en: str
    draw: str


@dataclass(frozen=True, slots=True)
class Item:
    """What can be on record. `points` are taken off, up to `most` where a person may decide; `holds`: the best grade while it counts.

    `lasts_days`: how long it counts where an event names no end; `tags`: by which limits count it, within windows of their own.
    """

    key: str
    zh: str
    en: str
    legal_zh: str
    legal_en: str
    tags: tuple[str, ...] = ()
    points: int = 0
    most: int | None = None
    holds: str | None = None
    lasts_days: int | None = None
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """Points of a yearly cycle that begins on `cycle` (10-01): the start, less what this cycle or the last one took, whichever is more.

    `bands`: from how many points a grade is given, the best first; `newcomer`: the best grade before a whole cycle was spent on record.
    """

    start: int
    cycle: str
    bands: tuple[tuple[str, int], ...]
    newcomer: str
    registered: str
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """A figure of a window that must be above a limit: a count of events, the sum of a fact, or their share in another fact (ppm).

    `tag`: which events; `fact`: for a count only those with more than `worth` of it, for a sum what is added, for a share of what.
    """

    of: Literal["count", "sum", "share"]
    tag: str
    above: int
    fact: str | None = None
    worth: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """All tests hold within the last days: no better grade than this."""

    key: str
    zh: str
    en: str
    days: int
    tests: tuple[Test, ...]
    grade: str | None = None
    party: Party = "any"
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """A fact of the decision itself that must lie within bounds; one that is not given does not."""

    fact: str
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Award:
    """A grade that only a decision gives: `granted` is the item of the decision, `ended` that of its end.

    It holds only on top of the grade `above`, held for `held_days` before, while what was decided meets `needs` and none of `unless` holds.
    """

    grade: str
    above: str
    granted: str
    ended: str
    held_days: int = 0
    needs: tuple[Need, ...] = ()
    unless: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Sanction:
    """What follows from a grade: `rate_percent`: of the usual rate of checks; `direct`: it may be released without one."""

    grade: str
    rate_percent: int
    direct: bool
    joint_list: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules of grading. `grades`: the best first; `start`: the grade where nothing is on record and no points are counted."""

    key: str
    version: int
    zh: str
    en: str
    effective: str
    verified: bool
    basis: tuple[Basis, ...]
    grades: tuple[Grade, ...]
    start: str
    items: Mapping[str, Item]
    sanctions: Mapping[str, Sanction]
    points: Points | None = None
    limits: tuple[Limit, ...] = ()
    awards: tuple[Award, ...] = ()
    until: str | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)  # of the grades, 0 the best

    @property
    def name(self) -> str:
        """Give key and version, as records name it."""
        return f"{self.key}/{self.version}"


@dataclass(frozen=True, slots=True)
class Counted:
    """An event that counts on the day, and the points that it takes; `cycle`: of which one, empty where no points are counted."""

    id: str
    item: str
    points: int
    cycle: Cycle = ""


@dataclass(frozen=True, slots=True)
class Left:
    """An event that does not count on the day, and why."""

    id: str
    why: Literal["later", "expired", "upheld", "unknown"]


@dataclass(frozen=True, slots=True)
class Part:
    """A step of the reckoning: what it looked at, the figures, and the best grade that it leaves (an award: the grade it gives).

    `figures`: name and number, in the order in which they are read aloud.
    """

    kind: Literal["start", "newcomer", "points", "item", "limit", "award", "award refused"]
    key: str
    grade: str
    figures: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Grading:
    """A grade on a day, with all of its reckoning. `points`: None where the rule set counts none."""

    rules: str
    day: str
    grade: str
    points: int | None
    counted: tuple[Counted, ...]
    left: tuple[Left, ...]
    parts: tuple[Part, ...]
    sanction: Sanction
