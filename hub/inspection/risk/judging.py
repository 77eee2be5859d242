"""Judge a declaration by rule: whether it is accepted, and the sheet of its screening. Pure functions of what was gathered.

Guarantees: a declaration is rejected by rule only where a hard rule says so, each reason named in Chinese and English; what calls for a
person is left to one; the sheet holds every input, so that the score can be reckoned again from it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hub.inspection.risk.facts import Facts, Premises
from hub.inspection.risk.matching import OTHER
from hub.inspection.risk.scoring import Risk, score

ACCEPTANCE = "acceptance/1"
SCREENING = "screening/1"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a declaration is rejected, or left to a person."""

    code: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What the rule of acceptance says of a declaration."""

    verdict: Literal["accept", "reject", "person"]
    reasons: tuple[Reason, ...] = ()


def judge_acceptance(facts: Facts) -> Acceptance:
    """Say whether a declaration is accepted, rejected, or left to a person."""
    hard = _hard(facts)
    if hard:
        return Acceptance("reject", tuple(hard))
    refused = [one.key for one in facts.inputs.areas if one.measure == "refuse" and one.on == "origin"]
    reasons = [
        Reason("area", f"货物来自禁止进境的疫区 {key}", f"goods come from area {key}, from which none are let in") for key in refused
    ]
    return Acceptance("person", tuple(reasons)) if reasons else Acceptance("accept")


def _hard(facts: Facts) -> Sequence[Reason]:
    found = []
    if facts.graded.retired:
        found.append(Reason("enterprise", "申报企业已注销备案", "the declaring enterprise is no longer registered"))
    if facts.inputs.days_ahead < -_STALE_DAYS:
        found.append(Reason("arrival", f"到港已超过 {_STALE_DAYS} 天", f"the goods arrived more than {_STALE_DAYS} days before"))
    return found


_STALE_DAYS = 180


def screening_sheet(facts: Facts, premises: Premises) -> dict[str, Any]:
    """Give what the record of a screening binds: the draw's words, the risk with all parts, the rules that hit, and what was looked at."""
    risk = score(facts.inputs, premises.rules.score)
    kinds = {premises.kind_of(one.hs) or OTHER for one in facts.form.goods}
    stratum = risk.worst.kind if risk.worst is not None else OTHER
    needs = sorted({premises.goods[kind].qualification for kind in kinds if kind in premises.goods})
    parties = {facts.form.enterprise, facts.form.consignor.code, facts.form.consignee.code}
    draw = {"stratum": stratum, "lane": risk.lane, "risk": risk.total, "grade": facts.inputs.grade, "needs": needs}
    return {
        "draw": draw | {"parties": sorted(one for one in parties if one)},
        "risk": risk_words(risk, premises) | {"floor": _floor(premises, risk, stratum)},
        "rules": [asdict(one) for one in facts.inputs.rules],
        "notices": [asdict(one) for one in facts.inputs.notices],
        "areas": [asdict(one) for one in facts.inputs.areas],
        "histories": [asdict(one) for one in facts.inputs.histories],
        "version": facts.version,
    }


def risk_words(risk: Risk, premises: Premises) -> dict[str, Any]:
    """Give a risk as JSON values, every part shown."""
    figures = premises.rules.score
    parts = [
        {"name": part.name, "weight": part.weight, "share": part.share, "counts": part.counts, "made_of": dict(part.made_of)}
        for part in risk.parts
    ]
    return {
        "total": risk.total,
        "scored": risk.scored,
        "lane": risk.lane,
        "parts": parts,
        "forced": [asdict(one) for one in risk.forced],
        "rules": figures.rules,
        "rules_version": premises.rules.score_version,
        "verified": figures.verified,
        "lanes": dict(figures.lanes),
    }


def _floor(premises: Premises, risk: Risk, stratum: str) -> dict[str, Any] | None:
    """Give what the draw's policy selects in this lane at the least, by chance alone; None while there is no policy."""
    policy = premises.policy
    if policy is None or risk.lane not in policy.lanes:
        return None
    lane = policy.lanes[risk.lane]
    return {
        "policy": policy.rules,
        "least": lane.floor,
        "national": policy.strata.get(stratum, policy.rate),
        "certain": lane.certain,
        "grade": policy.grades.get(str(risk_grade(risk)), 0),
    }


def risk_grade(risk: Risk) -> str:
    """Give the credit grade that a risk was scored with."""
    return str(next(part.made_of["grade"] for part in risk.parts if part.name == "credit"))
