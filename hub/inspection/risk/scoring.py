"""Score a declaration: R = 1 - product of (1 - weight x part), the lane that follows, and what forces a worse one.

Guarantees: a pure function of values, in whole parts of 10^9; every part is given with what it was made of; a risk and a lane never fall
when an inspection fails, a grade gets worse, a notice, an area, a mismatch, a late day or a targeting rule comes in addition.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hub.inspection.risk.bounds import PARTS, upper_bound
from hub.inspection.risk.rule_documents import LANES, Grade, Lane, ScoreRules

PERCENT = PARTS // 100


@dataclass(frozen=True, slots=True)
class History:
    """What inspections found of a kind of goods from an origin, sent by a shipper."""

    kind: str
    origin: str
    shipper: str
    inspected: int
    failed: int


@dataclass(frozen=True, slots=True)
class NoticeHit:
    """A warning notice that fits; `weight` in percent."""

    key: str
    version: int
    weight: int


@dataclass(frozen=True, slots=True)
class AreaHit:
    """An epidemic area that goods come from, or that their ship was loaded in (`route`)."""

    key: str
    version: int
    measure: Literal["warn", "inspect", "refuse"]
    on: Literal["origin", "route"]


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A targeting rule that fits; `weight` in percent."""

    key: str
    version: int
    sha256: str
    effect: Literal["lane", "weight", "hold"]
    lane: Lane | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that a score looks at. `days_ahead`: from lodging to arrival, negative when it came after; `mismatches`: by name."""

    histories: Sequence[History]
    grade: Grade
    joint_list: bool = False
    notices: Sequence[NoticeHit] = ()
    mismatches: Sequence[str] = ()
    areas: Sequence[AreaHit] = ()
    days_ahead: int = 0
    rules: Sequence[RuleHit] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a risk, all in parts of 10^9: `share` of its `weight`, what it counts, and what it was made of."""

    name: str
    weight: int
    share: int
    made_of: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> int:
        """Give weight times share."""
        return self.weight * self.share // PARTS


@dataclass(frozen=True, slots=True)
class Forced:
    """A lane that something forces whatever the score: a targeting rule, or an area with a measure."""

    lane: Lane
    by: str


@dataclass(frozen=True, slots=True)
class Risk:
    """A score with its parts. `scored`: the lane by the total alone; `lane`: the worse of that and what is forced."""

    total: int
    scored: Lane
    lane: Lane
    parts: tuple[Part, ...]
    forced: tuple[Forced, ...]
    worst: History | None


def score(inputs: Inputs, rules: ScoreRules) -> Risk:
    """Score what is known of a declaration."""
    worst = max(inputs.histories, key=lambda one: (upper_bound(one.inspected, one.failed), one.kind, one.origin, one.shipper), default=None)
    parts = tuple(_parts(inputs, rules, worst))
    left = PARTS
    for part in parts:
        left = left * (PARTS - part.counts) // PARTS
    total = PARTS - left
    scored = lane_of(total, rules)
    forced = tuple(_forced(inputs))
    lane = max((scored, *(one.lane for one in forced)), key=LANES.index)
    return Risk(total, scored, lane, parts, forced, worst)


def lane_of(total: int, rules: ScoreRules) -> Lane:
    """Give the lane of a risk."""
    return next((lane for lane in reversed(LANES) if lane != "green" and total >= rules.lanes[lane]), "green")


def _parts(inputs: Inputs, rules: ScoreRules, worst: History | None) -> Iterator[Part]:
    weights = rules.weights
    found = worst or History("", "", "", 0, 0)
    made_of: dict[str, Any] = {"kind": found.kind, "origin": found.origin, "shipper": found.shipper}
    made_of |= {"inspected": found.inspected, "failed": found.failed, "considered": len(inputs.histories)}
    yield Part("history", weights["history"], upper_bound(found.inspected, found.failed), made_of)
    grade = PARTS if inputs.joint_list else rules.grades[inputs.grade]
    yield Part("credit", weights["credit"], grade, {"grade": inputs.grade, "joint_list": inputs.joint_list})
    count = len(inputs.mismatches)
    yield Part("documents", weights["documents"], _share(count, rules.mismatches_full), {"found": sorted(inputs.mismatches)})
    late = max(0, rules.days_ahead - inputs.days_ahead)
    yield Part("lateness", weights["lateness"], _share(late, rules.days_full), {"days_ahead": inputs.days_ahead, "late": late})
    for area in inputs.areas:
        about = {"version": area.version, "measure": area.measure}
        yield Part(
            f"{'area' if area.on == 'origin' else 'route'}/{area.key}", weights["area" if area.on == "origin" else "route"], PARTS, about
        )
    for notice in inputs.notices:
        yield Part(f"notice/{notice.key}", notice.weight * PERCENT, PARTS, {"version": notice.version})
    for rule in inputs.rules:
        if rule.effect == "weight":
            yield Part(f"rule/{rule.key}", (rule.weight or 0) * PERCENT, PARTS, {"version": rule.version})


def _share(count: int, full: int) -> int:
    return min(PARTS, count * PARTS // full)


def _forced(inputs: Inputs) -> Iterator[Forced]:
    for rule in inputs.rules:
        if rule.effect == "lane":
            yield Forced(rule.lane or "red", f"rule/{rule.key}")
        elif rule.effect == "hold":
            yield Forced("red", f"rule/{rule.key}")
    for area in inputs.areas:
        if area.measure in ("inspect", "refuse") and area.on == "origin":
            yield Forced("red", f"area/{area.key}")
