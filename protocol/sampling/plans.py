"""Plan the sampling of a declaration that was drawn: how many packages by the rule of its goods, from which boxes, what for the laboratory.

Guarantees: the plan follows from the rules, what was declared, the results before, and the seed of the double draw, and from nothing else,
so that anybody makes it again; integers and fractions only. Lines under one rule are one lot, shared out over lines and boxes in
proportion; boxes are opened in the order of the draw until the sample is in them.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from protocol.errors import MalformedError
from protocol.sampling import eu_rates, skip_lot
from protocol.sampling.eu_rates import Compliance, Minimum
from protocol.sampling.iso2859 import Judged, Switching, after, plan_for, resume
from protocol.sampling.iso2859_tables import Severity
from protocol.sampling.ispm31 import sample_size
from protocol.sampling.packages import SEED_BYTES, draw_packages
from protocol.sampling.strata import allocate

FORMAT = "portwitness-sampling-rules/1"
PPM = 10**6
BULK = "bulk"  # what goods without a container are in


@dataclass(frozen=True, slots=True)
class Method:
    """How a sample's size is found: by `ispm31` (rate, confidence), `iso2859` (level, aql) or a `share` with bounds."""

    kind: Literal["ispm31", "iso2859", "share"]
    rate: Fraction = Fraction(0)
    confidence: Fraction = Fraction(0)
    level: str = ""
    aql: str = ""
    may_reduce: bool = False
    minimum: Minimum | None = None


@dataclass(frozen=True, slots=True)
class GoodsRule:
    """The rule for goods whose HS code begins with one of `hs` (the longest wins; none: all others).

    `boxes_ppm`, `boxes_least`: of the boxes that are opened at least; `base_ppm`: of the consignments that the laboratory gets a sample
    of at least, stepping up and down by what was found before.
    """

    key: str
    zh: str
    en: str
    hs: tuple[str, ...]
    method: Method
    boxes_ppm: int
    boxes_least: int
    base_ppm: int
    verified: bool = False


@dataclass(frozen=True, slots=True)
class SamplingRules:
    """Rules of sampling: one document, set by two persons; the last rule is for all goods that no other is for."""

    key: str
    version: int
    zh: str
    en: str
    effective: str
    verified: bool
    rules: tuple[GoodsRule, ...]

    @property
    def name(self) -> str:
        """Give key and version, as records name it."""
        return f"{self.key}/{self.version}"

    def of(self, hs: str) -> GoodsRule:
        """Give the rule for goods."""
        fits = [(len(prefix), rule) for rule in self.rules for prefix in rule.hs or ("",) if hs.startswith(prefix)]
        return max(fits, key=lambda one: one[0])[1]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of goods as it was declared when the pool closed. `boxes`: which it lies in, none for goods without a container."""

    line: int
    hs: str
    origin: str
    packages: int
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an earlier consignment, for one rule and origin; `day`: a day's number."""

    day: int
    rule: str
    origin: str
    enterprise: str
    weight_kg: int
    passed: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier results make of a rule, an origin and an enterprise: severity of ISO 2859-1, and the parts of the laboratory's share.

    `held`: a serious finding is not yet lived down; all are tested until it is.
    """

    severity: Severity
    skip_ppm: int
    rate_ppm: int
    why: str
    held: bool

    @property
    def share_ppm(self) -> int:
        """Give the share of consignments of which the laboratory gets a sample."""
        return PPM if self.held else max(self.skip_ppm, self.rate_ppm)


@dataclass(frozen=True, slots=True)
class LotPlan:
    """The sample of all lines under one rule. `n` None: no plan, `why` says so; `laboratory`: the laboratory gets of it.

    `shares`: packages by line; `packages`: which, by line and box (numbers from 1, of that line in that box).
    """

    rule: str
    origin: str
    lot: int
    n: int | None
    accept: int | None
    why: str
    unverified: bool
    past: Past
    laboratory: bool
    shares: Mapping[int, int] = field(default_factory=dict)
    packages: Mapping[int, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What is opened and taken of a declaration. `boxes`: in the order of the draw; `seed`: of that, empty where there was none.

    `held`: how many packages of each line are taken to be in each box, by line.
    """

    declaration: str
    rules: str
    seed: str
    boxes: tuple[str, ...]
    lots: tuple[LotPlan, ...]
    held: Mapping[int, Mapping[str, int]] = field(default_factory=dict)

    @property
    def laboratory(self) -> bool:
        """Tell whether the laboratory gets a sample."""
        return any(one.laboratory for one in self.lots)


def past_of(results: Iterable[Result], rule: GoodsRule, origin: str, enterprise: str, day: int) -> Past:
    """Fold the results of earlier consignments, oldest first, into what they mean for the next one."""
    mine = [one for one in results if one.rule == rule.key and one.day <= day]
    switching, skipping, watch = Switching(), skip_lot.begin(), None
    for one in mine:
        if one.origin == origin:
            watch = eu_rates.watched(watch, max(one.weight_kg, 1), good=one.passed) if watch is not None else _begun(one)
            watch = None if watch is not None and watch.is_over else watch
        if (one.origin, one.enterprise) != (origin, enterprise):
            continue
        skipping = skip_lot.after_result(skipping, passed=one.passed)
        switching = resume(switching) if switching.severity == "stopped" else switching
        switching = after(switching, Judged(one.passed, 2 if one.passed else None), may_reduce=rule.method.may_reduce)
    own = _year([one for one in mine if one.origin == origin], day)
    stepped = eu_rates.rate_in_force(Fraction(rule.base_ppm, PPM), own, _year(mine, day))
    severity: Severity = "tightened" if switching.severity == "stopped" else switching.severity
    return Past(severity, _ppm(skip_lot.share(skipping)), _ppm(stepped.rate), stepped.why, watch is not None)


def _begun(one: Result) -> eu_rates.Watch | None:
    return None if one.passed else eu_rates.watch(max(one.weight_kg, 1))


def _year(results: Sequence[Result], day: int) -> Compliance:
    return eu_rates.share_of_year([(one.day, not one.passed) for one in results], day)


def _ppm(share: Fraction) -> int:
    return share.numerator * PPM // share.denominator


def plan_sampling(
    rules: SamplingRules, declaration: str, lines: Sequence[Line], pasts: Mapping[tuple[str, str], Past], seed: bytes | None
) -> SamplePlan:
    """Plan the sampling of a declaration; `pasts`: by rule and origin; `seed`: of its draw, None where there was none.

    Raises MalformedError for what cannot be: packages beyond bounds, a line without any.
    """
    if seed is not None and len(seed) != SEED_BYTES:
        raise MalformedError(f"has {len(seed)} bytes, not {SEED_BYTES}", where="seed")
    lots: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda one: one.line):
        lots.setdefault((rules.of(line.hs).key, line.origin), []).append(line)
    named = {rule.key: rule for rule in rules.rules}
    plans = [_lot(declaration, named[key[0]], key[1], mine, pasts[key], seed) for key, mine in sorted(lots.items())]
    held = {line.line: _in_boxes(line) for line in lines}
    if seed is None:
        return SamplePlan(declaration, rules.name, "", (), tuple(plans), held)
    wanted = {number: count for one in plans for number, count in one.shares.items()}
    boxes = _opened(seed, declaration, held, wanted, _least_boxes(rules, lines))
    drawn = tuple(_drawn(seed, declaration, one, held, boxes) for one in plans)
    return SamplePlan(declaration, rules.name, seed.hex(), boxes, drawn, held)


def _lot(declaration: str, rule: GoodsRule, origin: str, lines: Sequence[Line], past: Past, seed: bytes | None) -> LotPlan:
    sizes = {f"{line.line:06d}": line.packages for line in lines}
    lot = sum(sizes.values())
    n, accept, why, unverified = _size(rule.method, lot, past.severity)
    laboratory = seed is not None and _chance(seed, f"laboratory/{declaration}/{rule.key}/{origin}", past.share_ppm)
    shares = {int(name): count for name, count in allocate(sizes, n or 0).items()}
    return LotPlan(rule.key, origin, lot, n, accept, why, unverified or not rule.verified, past, laboratory, shares)


def _size(method: Method, lot: int, severity: Severity) -> tuple[int | None, int | None, str, bool]:
    if method.kind == "ispm31":
        found = sample_size(lot, method.rate, method.confidence)
        return found.n, 0, found.why, False
    if method.kind == "iso2859":
        plan = plan_for(lot, method.level, method.aql, severity)
        return min(plan.n, lot), plan.accept, "", plan.unverified
    assert method.minimum is not None
    return eu_rates.examined(lot, method.minimum), 0, "", not method.minimum.verified


def _chance(seed: bytes, name: str, share_ppm: int) -> bool:
    """Tell whether a thing is drawn at a share, by the seed: u < share * 2^256."""
    return int.from_bytes(hmac.digest(seed, name.encode(), "sha256"), "big") * PPM < share_ppm << 256


def _in_boxes(line: Line) -> dict[str, int]:
    """Share a line's packages out over its boxes: evenly, the first by number get what is left over."""
    boxes = sorted(line.boxes) or [BULK]
    each, more = divmod(line.packages, len(boxes))
    return {box: each + (place < more) for place, box in enumerate(boxes)}


def _least_boxes(rules: SamplingRules, lines: Sequence[Line]) -> int:
    boxes = len({box for line in lines for box in line.boxes or (BULK,)})
    needed = [max(-(-boxes * rule.boxes_ppm // PPM), rule.boxes_least) for rule in (rules.of(line.hs) for line in lines)]
    return min(boxes, max(needed, default=0))


def _opened(seed: bytes, declaration: str, held: Mapping[int, Mapping[str, int]], wanted: Mapping[int, int], least: int) -> tuple[str, ...]:
    """Give the boxes to open, in the order of the draw: the least there are, and on until every line's share is within them."""
    totals: dict[str, int] = {}
    for boxes in held.values():
        for box, count in boxes.items():
            totals[box] = totals.get(box, 0) + count
    order = draw_packages(seed, declaration, totals, boxes=len(totals), sample=0).boxes
    left = dict(wanted)
    for place, box in enumerate(order):
        if place >= least and all(count <= 0 for count in left.values()):
            return order[:place]
        for line, boxes in held.items():
            left[line] = left.get(line, 0) - boxes.get(box, 0)
    return order


def _drawn(seed: bytes, declaration: str, lot: LotPlan, held: Mapping[int, Mapping[str, int]], boxes: Sequence[str]) -> LotPlan:
    packages: dict[int, Mapping[str, tuple[int, ...]]] = {}
    for line, count in lot.shares.items():
        mine = {box: held[line][box] for box in boxes if box in held[line]}
        packages[line] = draw_packages(seed, f"{declaration}:{line}", mine, boxes=len(mine), sample=count).packages
    return LotPlan(
        lot.rule, lot.origin, lot.lot, lot.n, lot.accept, lot.why, lot.unverified, lot.past, lot.laboratory, lot.shares, packages
    )


def value_of(plan: SamplePlan) -> dict[str, Any]:
    """Write a plan as JSON values."""
    return {
        "declaration": plan.declaration,
        "rules": plan.rules,
        "seed": plan.seed,
        "boxes": list(plan.boxes),
        "laboratory": plan.laboratory,
        "held": [[line, [[box, count] for box, count in sorted(boxes.items())]] for line, boxes in sorted(plan.held.items())],
        "lots": [_lot_value(one) for one in plan.lots],
    }


def _lot_value(one: LotPlan) -> dict[str, Any]:
    past = one.past
    return {
        "rule": one.rule,
        "origin": one.origin,
        "lot": one.lot,
        "n": one.n,
        "accept": one.accept,
        "why": one.why,
        "unverified": one.unverified,
        "laboratory": one.laboratory,
        "severity": past.severity,
        "share_ppm": past.share_ppm,
        "parts": {"skip_ppm": past.skip_ppm, "rate_ppm": past.rate_ppm, "why": past.why, "held": past.held},
        "lines": [
            {
                "line": line,
                "n": count,
                "packages": {box: list(numbers) for box, numbers in sorted(one.packages.get(line, {}).items())},
            }
            for line, count in sorted(one.shares.items())
        ],
    }
