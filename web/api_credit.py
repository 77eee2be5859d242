"""Credit of enterprises: what is on record, grades with their reckoning, appeals, rule sets.

Guarantees: a trader reaches the own enterprise alone, and is not told who put an event on record; whoever decides an appeal is not who put
the event there; rule sets are set by two persons with two passwords.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request

from hub.app import Hub
from hub.inspection.credit import CreditDraft, CreditFact, Standing
from hub.inspection.credit_tables import Grades
from protocol.crediting.model import Grading, RuleSet
from protocol.drawing.policy import Policy
from protocol.errors import ForbiddenError, RefusedError
from web import credit_schemas as schemas
from web import shaping
from web.guards import OVERSEERS, TRADER, Administrator, Caller, Overseeing, Supervisor, TheHub, Trading
from web.rule_texts import canonical_text
from web.seconding import second_person

router = APIRouter(prefix="/credit", tags=["credit"])
Enterprise = Annotated[str, Path(pattern=r"^[0-9A-Z]{4,24}$", description="code of the enterprise")]
Position = Annotated[int, Path(ge=0, le=2**53, description="place of the event's record in the port log")]
Key = Annotated[Literal["ciq", "customs"], Path(description="inspection and quarantine, or customs")]


@router.get("", summary="List enterprises with their grades")
async def list_enterprises(
    caller: Overseeing,
    hub: TheHub,
    search: Annotated[str, Query(max_length=100, description="part of a code or a name")] = "",
    after: Annotated[str, Query(max_length=24, description="codes after this one")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> schemas.EnterprisesAnswer:
    """Give enterprises by code, with today's grades and open appeals."""
    found, policy = await hub.credits.list(search, after, limit), await _policy(hub)
    rows = [
        schemas.EnterpriseShape(
            enterprise=one.enterprise, name=one.name, grades=_grades(one.grades, policy), events=one.events, open=one.open
        )
        for one in found
    ]
    return schemas.EnterprisesAnswer(day=hub.credits.today(), enterprises=rows)


@router.get("/items", summary="List what can be on record")
async def list_items(caller: Trading, hub: TheHub) -> schemas.CreditItemsAnswer:
    """Give the items of the rule sets in force, with what each takes."""
    names = ("key", "zh", "en", "legal_zh", "legal_en", "points", "most", "lasts_days", "verified")
    items = await hub.credits.items()
    return schemas.CreditItemsAnswer(items=[schemas.CreditItemShape(**{name: getattr(one, name) for name in names}) for one in items])


@router.get("/rules/{key}", summary="Get a rule set")
async def get_rules(key: Key, caller: Trading, hub: TheHub) -> schemas.RulesAnswer:
    """Give the rule set in force as text; anybody who is graded by it may read it."""
    rules, sets = await hub.credits.rules(key)
    text = await hub.credits.rules_text(key)
    listed = [
        schemas.RuleSetShape(version=one.version, effective=one.effective, position=one.position, sha256=one.sha256.hex()) for one in sets
    ]
    return schemas.RulesAnswer(name=rules.name, text=text.decode(), sets=listed)


@router.post("/rules", status_code=201, summary="Put a rule set in force")
async def set_rules(ask: schemas.RulesAsk, request: Request, caller: Administrator, hub: TheHub) -> schemas.SetAnswer:
    """Put a rule set in force from its day on, with a second person's password; days before it keep theirs."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    return schemas.SetAnswer(position=await hub.credits.set_rules(canonical_text(ask.text), caller.person, second, ask.reason))


@router.get("/{enterprise}", summary="Get an enterprise's credit on a day")
async def get_credit(
    enterprise: Enterprise,
    caller: Trading,
    hub: TheHub,
    on: Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}-\d{2}$", description="the day; none: today")] = None,
    as_known: Annotated[bool, Query(description="by what was on record at the end of that day")] = False,
) -> schemas.CreditAnswer:
    """Give grades with their reckoning, and what is on record; a trader sees its own enterprise."""
    _need_own(caller, enterprise)
    found = await hub.credits.get(enterprise, on, as_known=as_known)
    policy = await _policy(hub) if on is None else None
    here = await _here(hub, found.facts)
    events = [_event(one, caller, here) for one in reversed(found.facts)]
    return _answer(found, policy, events, as_known=as_known)


@router.post("/{enterprise}/events", status_code=201, summary="Put an event on record")
async def add_event(enterprise: Enterprise, ask: schemas.CreditEventAsk, caller: Supervisor, hub: TheHub) -> schemas.CreditEventShape:
    """Put an event on record of an enterprise; it is never changed or removed, only expires or is won back by an appeal."""
    draft = CreditDraft(
        enterprise, ask.item, ask.detail, tuple(ask.evidence), ask.expires, ask.day, ask.points, tuple(sorted(ask.facts.items()))
    )
    return _event(await hub.credits.add(draft, caller.person), caller, frozenset())


@router.post("/events/{position}/appeals", status_code=201, summary="Appeal against an event")
async def appeal(position: Position, ask: schemas.AppealAsk, caller: Trading, hub: TheHub) -> schemas.CreditEventShape:
    """Appeal, with a reason and files by the hash under which they were sent (`POST files`); it is answered within 20 days."""
    if caller.role != TRADER or not caller.party:
        raise ForbiddenError("only an enterprise appeals", where="appeal")
    files = [one.model_dump() for one in ask.files]
    found = await hub.credits.appeal(position, caller.person, ask.reason, files, caller.party)
    return _event(found, caller, await _here(hub, [found]))


@router.post("/events/{position}/decision", summary="Decide an appeal")
async def decide(position: Position, ask: schemas.DecisionAsk, caller: Supervisor, hub: TheHub) -> schemas.CreditEventShape:
    """Decide an open appeal; refused for whoever put the event on record."""
    found = await hub.credits.decide(position, caller.person, ask.reason, upheld=ask.upheld)
    return _event(found, caller, await _here(hub, [found]))


def _need_own(caller: Caller, enterprise: str) -> None:
    if caller.role == TRADER and caller.party != enterprise:
        raise ForbiddenError("not your enterprise", where=f"enterprise {enterprise}")


async def _policy(hub: Hub) -> Policy | None:
    try:
        return await hub.draws.policy()
    except RefusedError:
        return None


def _grades(one: Grades, policy: Policy | None) -> schemas.GradesShape:
    return schemas.GradesShape(
        ciq=one.ciq,
        customs=one.customs,
        draw=one.draw,
        joint_list=one.joint_list,
        direct=one.direct,
        rate_percent=one.rate_percent,
        draw_adds=None if policy is None else policy.grades.get(one.draw, max(policy.grades.values())),
        rules=list(one.rules),
    )


def _answer(found: Standing, policy: Policy | None, events: list[schemas.CreditEventShape], *, as_known: bool) -> schemas.CreditAnswer:
    words: dict[str, tuple[str, str]] = {}
    for rules in reversed(tuple(found.rules.values())):
        words |= {one.key: (one.zh, one.en) for one in rules.items.values()}
        words |= {one.key: (one.zh, one.en) for one in rules.limits}
        words |= {one.key: (one.zh, one.en) for award in rules.awards for one in award.unless}
        words |= {one.key: (one.zh, one.en) for one in rules.grades}
    return schemas.CreditAnswer(
        enterprise=found.enterprise,
        name=found.name,
        day=found.day,
        as_known=as_known,
        grades=_grades(found.grades, policy),
        gradings={key: _grading(one, found.rules[key]) for key, one in found.gradings.items()},
        events=events,
        words=[schemas.WordShape(key=key, zh=zh, en=en) for key, (zh, en) in sorted(words.items())],
    )


def _grading(one: Grading, rules: RuleSet) -> schemas.GradingShape:
    named = next(grade for grade in rules.grades if grade.key == one.grade)
    return schemas.GradingShape(
        rules=one.rules,
        verified=rules.verified,
        zh=rules.zh,
        en=rules.en,
        grade=one.grade,
        grade_zh=named.zh,
        grade_en=named.en,
        points=one.points,
        parts=[schemas.PartShape(kind=part.kind, key=part.key, grade=part.grade, figures=dict(part.figures)) for part in one.parts],
        counted=[schemas.CountedShape(id=each.id, item=each.item, points=each.points, cycle=each.cycle) for each in one.counted],
        left=[schemas.LeftShape(id=each.id, why=each.why) for each in one.left],
        sanction_zh=one.sanction.zh,
        sanction_en=one.sanction.en,
    )


async def _here(hub: Hub, facts: Sequence[CreditFact]) -> frozenset[str]:
    """Give those files of appeals whose bytes the enterprise brought."""
    named = {(one.enterprise, str(file["sha256"])) for one in facts for act in one.appeals for file in (act.said or {}).get("files", [])}
    return frozenset([name for firm, name in sorted(named) if await hub.files.is_here(bytes.fromhex(name), f"party:{firm}")])


def _event(one: CreditFact, caller: Caller, here: frozenset[str]) -> schemas.CreditEventShape:
    said, inside = one.said or {}, caller.role != TRADER
    appeals = [
        schemas.AppealShape.model_validate(
            {
                "position": act.position,
                "act": act.act,
                "at_ms": shaping.ms(act.wall_ns),
                "by": (act.said or {}).get("by") if inside or act.act == "filed" else None,
                "reason": (act.said or {}).get("reason"),
                "files": [file | {"here": file["sha256"] in here} for file in (act.said or {}).get("files", [])],
            }
        )
        for act in one.appeals
    ]
    return schemas.CreditEventShape.model_validate(
        {
            "position": one.position,
            "item": one.item,
            "day": one.day,
            "expires": one.expires,
            "points": one.points,
            "rule": one.rule,
            "at_ms": shaping.ms(one.wall_ns),
            "by": said.get("by") if inside else None,
            "detail": said.get("detail"),
            "evidence": said.get("evidence", []),
            "appeal": one.appeal,
            "due_ms": shaping.ms_or_none(one.due_ns),
            "appeals": appeals,
        }
    )
