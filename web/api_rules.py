"""Targeting rules and screening: propose, try, approve, withdraw; what waits for a person; why a declaration stands in its lane.

Guarantees: rules are shown to supervisors and administrators alone; nobody approves what they proposed.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request

from hub.inspection.declarations import Declared
from hub.inspection.risk.fields import LISTS, TOP, Field
from hub.inspection.risk.language import parse
from hub.inspection.risk.matching import MISMATCHES
from hub.inspection.rule_tables import Done, InForce, RuleVersion
from protocol.expressions import ExpressionError
from protocol.instants import MILLISECOND_NS
from web import rule_schemas as schemas
from web.guards import OVERSEERS, Anyone, Inspecting, Overseeing, TheHub
from web.seconding import second_person

router = APIRouter(tags=["rules"])
Key = Annotated[str, Path(min_length=1, max_length=64)]
Version = Annotated[int, Path(ge=1, le=10**6)]
Number = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("/rules", summary="List targeting rules")
async def list_rules(caller: Overseeing, hub: TheHub) -> schemas.RulesAnswer:
    """Give every version of every rule, and the figures of the risk score."""
    now = await hub.rules.in_force()
    rules = [_rule(one, now) for one in await hub.rules.list()]
    return schemas.RulesAnswer(rules=rules, score=now.score.model_dump(mode="json"), score_version=now.score_version)


@router.get("/rules/fields", summary="List the fields that expressions may ask about")
async def list_fields(caller: Overseeing) -> schemas.FieldsAnswer:
    """Give the fields of a declaration and of its lists, with their kinds."""
    lists = {of: [_field(name, one) for name, one in mine.items()] for of, mine in LISTS.items()}
    return schemas.FieldsAnswer(fields=[_field(name, one) for name, one in TOP.items()], lists=lists)


@router.post("/rules/check", summary="Read an expression")
async def check_expression(ask: schemas.ExpressionAsk, caller: Overseeing) -> schemas.ExpressionAnswer:
    """Tell whether an expression reads, or what is wrong and where."""
    try:
        parse(ask.when)
    except ExpressionError as error:
        return schemas.ExpressionAnswer(reads=False, at=error.at, en=error.what, zh=error.zh)
    return schemas.ExpressionAnswer(reads=True)


@router.post("/rules/dry-run", summary="Try a rule on past declarations")
async def dry_run(ask: schemas.DryRunAsk, caller: Overseeing, hub: TheHub) -> schemas.DryRunAnswer:
    """Tell what a rule would have hit, whatever its own days; nothing is changed."""
    found = await hub.rules.dry_run(ask.rule, ask.days)
    return schemas.DryRunAnswer(
        since=found.since,
        looked_at=found.looked_at,
        hits=found.hits,
        failed=found.failed,
        by_day=list(found.by_day),
        listed=[
            schemas.DryHitShape(declaration=one.declaration, enterprise=one.enterprise, day=one.day, state=one.state)
            for one in found.listed
        ],
        truncated=found.truncated,
    )


@router.post("/rules/{key}", status_code=201, summary="Propose a version of a rule")
async def propose(key: Key, ask: schemas.RuleAsk, caller: Overseeing, hub: TheHub) -> schemas.RuleShape:
    """Log a proposal; another person decides about it."""
    return _rule(await hub.rules.propose(key, ask.rule, caller.person, ask.reason), await hub.rules.in_force())


@router.post("/rules/{key}/{version}/decision", summary="Approve or reject a proposal")
async def decide(key: Key, version: Version, ask: schemas.DecisionAsk, caller: Overseeing, hub: TheHub) -> schemas.RuleShape:
    """Put in force what another person proposed, or reject it."""
    decide = hub.rules.approve if ask.accept else hub.rules.reject
    return _rule(await decide(key, version, caller.person, ask.reason), await hub.rules.in_force())


@router.post("/rules/{key}/{version}/withdrawal", summary="Withdraw a rule")
async def withdraw(
    key: Key, version: Version, ask: schemas.WithdrawalAsk, request: Request, caller: Overseeing, hub: TheHub
) -> schemas.RuleShape:
    """Take a version out of force, by two persons."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    return _rule(await hub.rules.withdraw(key, version, caller.person, second, ask.reason), await hub.rules.in_force())


@router.get("/screening", summary="List declarations that wait for a person")
async def list_left(caller: Anyone, hub: TheHub) -> schemas.LeftAnswer:
    """Give what the rule of acceptance leaves to a person, with the reasons."""
    left = [
        schemas.LeftShape(
            declaration=one.declaration,
            state=one.state.value,
            lodged_ms=one.lodged_ns / MILLISECOND_NS,
            enterprise=one.enterprise,
            reasons=[schemas.ReasonShape(code=each.code, zh=each.zh, en=each.en) for each in one.reasons],
        )
        for one in await hub.screening.left()
    ]
    return schemas.LeftAnswer(left=left, automatic=hub.core.settings.inspection.automatic)


@router.get("/screening/mismatches", summary="Name what can be wrong in papers")
async def list_mismatches(caller: Anyone) -> schemas.MismatchesAnswer:
    """Give the names that the part `documents` of a risk lists."""
    return schemas.MismatchesAnswer(mismatches=dict(MISMATCHES))


@router.get("/screening/{number}", summary="Get the risk of a declaration")
async def get_screening(number: Number, caller: Anyone, hub: TheHub) -> schemas.ScreeningAnswer:
    """Give the newest screening with every part."""
    found = await hub.screening.of(number)
    sheet = found.sheet or {}
    return schemas.ScreeningAnswer(
        declaration=found.declaration,
        position=found.position,
        at_ms=found.wall_ns / MILLISECOND_NS,
        rule=found.rule,
        stands=found.stands,
        risk=schemas.RiskShape.model_validate(sheet["risk"]) if "floor" in sheet.get("risk", {}) else None,
        rules=[schemas.RuleHitShape.model_validate(one) for one in sheet.get("rules", ())],
        draw=sheet.get("draw"),
    )


@router.post("/screening/{number}/decision", summary="Accept or reject a declaration")
async def accept(number: Number, ask: schemas.DecisionAsk, caller: Inspecting, hub: TheHub) -> dict[str, str]:
    """Decide what the rule of acceptance left to a person."""
    found: Declared = await hub.screening.decide(number, accept=ask.accept, by=caller.person, reason=ask.reason)
    return {"declaration": found.number, "state": found.state.value}


def _field(name: str, field: Field) -> schemas.FieldShape:
    return schemas.FieldShape(name=name, kind=field.kind, zh=field.zh, en=field.en)


def _rule(one: RuleVersion, now: InForce) -> schemas.RuleShape:
    in_force = now.targets.get(one.key, (now.score_version if one.key == "risk-score" else 0,))[0]
    return schemas.RuleShape(
        key=one.key,
        version=one.version,
        state=one.state,
        in_force=one.state == "approved" and in_force == one.version,
        rule=None if one.document is None else one.document.model_dump(mode="json"),
        sha256=None if one.document is None else one.document.sha256().hex(),
        acts=[_act(each) for each in one.done],
    )


def _act(done: Done) -> schemas.ActShape:
    said = done.said or {}
    who = {name: said.get(name) for name in ("by", "second", "reason")}
    return schemas.ActShape.model_validate({"act": done.act, "position": done.position, "at_ms": done.wall_ns / MILLISECOND_NS, **who})
