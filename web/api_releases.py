"""Judge inspections and release goods: evaluation, the evidence gate, release, override, recall, and the release desk."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from hub.app import Hub
from hub.inspection.releasing.desk import Block, Listed, blocks_of, verdicts_of
from hub.inspection.releasing.releasing import Outcome
from hub.inspection.states import OVERRIDABLE, State
from protocol.errors import ForbiddenError, MalformedError
from protocol.instants import MILLISECOND_NS
from web import release_schemas as schemas
from web.answering import language_of_request
from web.guards import INSPECTOR, SUPERVISOR, Anyone, Caller, Inspecting, Overseeing, Supervisor, TheHub
from web.seconding import second_person
from web.wording import say

router = APIRouter(tags=["releases"])
Number = Annotated[str, Path(min_length=1, max_length=64)]


@router.get("/desk", summary="Get the release desk")
async def get_desk(
    request: Request, caller: Overseeing, hub: TheHub, limit: Annotated[int, Query(ge=1, le=200)] = 100
) -> schemas.DeskAnswer:
    """Give what can be released now, what is blocked by what and by whom it can be fixed, and what was released against the evidence."""
    found = await hub.releases.desk(limit)
    overridden = [
        schemas.OverriddenShape(
            number=one.number,
            position=one.position,
            at_ms=one.wall_ns / MILLISECOND_NS,
            state=one.state.value,
            by=one.by,
            second=one.second,
            reason=one.reason,
            against=None if one.against is None else list(one.against),
        )
        for one in found.overridden
    ]
    return schemas.DeskAnswer(
        ready=[_listed(one, caller, request) for one in found.ready],
        blocked=[_listed(one, caller, request) for one in found.blocked],
        overridden=overridden,
        more=found.more,
        names=await _names(hub),
    )


@router.get("/declarations/{number}/gate", summary="See how a declaration stands before the evidence gate")
async def get_gate(number: Number, request: Request, caller: Anyone, hub: TheHub) -> schemas.GateAnswer:
    """Give what is missing and who can fix it, what was judged and released, and what the asker may do."""
    judged, past = await hub.releases.judged(number), await hub.releases.past(number)
    now, blocks = judged.standing, blocks_of(judged)
    is_outside = str(caller.person) not in now.inspectors
    mine = caller.role == SUPERVISOR or (caller.role == INSPECTOR and not is_outside)
    decides = caller.role == SUPERVISOR and is_outside
    return schemas.GateAnswer(
        number=number,
        state=now.state.value,
        task=judged.task,
        inspectors=sorted(now.inspectors),
        blocks=[_block(one, number, judged.task, request) for one in blocks],
        verdicts=list(verdicts_of(now.state)) if mine else [],  # type: ignore[arg-type]
        may_approve=decides and not judged.against(str(caller.person)),
        may_override=decides and bool(blocks) and now.state in OVERRIDABLE and not now.holds,
        may_recall=caller.role == SUPERVISOR and now.state is State.RELEASED,
        judgements=[
            schemas.JudgementShape(
                position=one.position,
                verdict=one.verdict,  # type: ignore[arg-type]
                at_ms=one.wall_ns / MILLISECOND_NS,
                by=one.by,
                reason=one.reason,
                findings=list(one.findings),
            )
            for one in past.judgements
        ],
        acts=[
            schemas.ActShape(
                position=one.position,
                act=one.act,  # type: ignore[arg-type]
                at_ms=one.wall_ns / MILLISECOND_NS,
                rule=one.rule,
                size=one.size,
                root=one.root.hex(),
                items=one.items,
                by=one.by,
                second=one.second,
                reason=one.reason,
                against=list(one.against),
            )
            for one in past.acts
        ],
        names=await _names(hub),
    )


@router.post("/declarations/{number}/evaluation", status_code=201, summary="Judge an inspection")
async def evaluate(number: Number, ask: schemas.EvaluationAsk, caller: Inspecting, hub: TheHub) -> schemas.OutcomeAnswer:
    """Log a judgement and take the step that follows; an inspector judges inspections of their own."""
    if caller.role == INSPECTOR:
        judged = await hub.releases.judged(number)
        if str(caller.person) not in judged.standing.inspectors:
            raise ForbiddenError("not your inspection", where=f"declaration {number}")
    return _outcome(await hub.releases.evaluate(number, ask.verdict, caller.person, ask.reason, ask.findings))


@router.post("/declarations/{number}/release", status_code=201, summary="Release goods")
async def approve(number: Number, ask: schemas.ApprovalAsk, caller: Supervisor, hub: TheHub) -> schemas.OutcomeAnswer:
    """Release goods whose evidence is complete and verified, by somebody who was not on the inspection."""
    return _outcome(await hub.releases.approve(number, caller.person, ask.reason))


@router.post("/declarations/{number}/refusal", status_code=201, summary="Refuse a release")
async def refuse(number: Number, ask: schemas.ReasonAsk, caller: Supervisor, hub: TheHub) -> schemas.OutcomeAnswer:
    """Send an inspection back, or have a person look at what was to go directly."""
    return _outcome(await hub.releases.refuse(number, caller.person, ask.reason))


@router.post("/declarations/{number}/override", status_code=201, summary="Release goods against the evidence")
async def override(number: Number, ask: schemas.OverrideAsk, request: Request, caller: Supervisor, hub: TheHub) -> schemas.OutcomeAnswer:
    """Release goods though evidence is missing: two supervisors answer for it, and it is shown in red for ever."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), (SUPERVISOR,))
    return _outcome(await hub.releases.override(number, caller.person, second, ask.reason))


@router.post("/declarations/{number}/recall", status_code=201, summary="Recall a release")
async def recall(number: Number, ask: schemas.ReasonAsk, caller: Supervisor, hub: TheHub) -> schemas.OutcomeAnswer:
    """Take a release back before the goods are out of the gate, and tell the port."""
    return _outcome(await hub.releases.recall(number, ask.reason, caller.person))


@router.post("/declarations/{number}/position", status_code=201, summary="Say that goods stand in a bay")
async def position(number: Number, ask: schemas.PositionAsk, caller: Supervisor, hub: TheHub) -> schemas.OutcomeAnswer:
    """Say by hand what the terminal did not."""
    return _outcome(await hub.releases.position(number, ask.bay, caller.person, ask.reason))


@router.get("/evidence/{root}", response_class=Response, summary="Fetch the list of what a release rests on")
async def get_evidence(root: str, caller: Anyone, hub: TheHub) -> Response:
    """Give the lines under an evidence root: from them anybody computes it again."""
    try:
        name = bytes.fromhex(root)
    except ValueError as error:
        raise MalformedError("is no root in hex", where="root") from error
    headers = {"Content-Disposition": f'attachment; filename="evidence-{name.hex()[:16]}.txt"'}
    return Response(await hub.releases.evidence(name), media_type="text/plain; charset=us-ascii", headers=headers)


def _outcome(one: Outcome) -> schemas.OutcomeAnswer:
    root = None if one.root is None else one.root.hex()
    return schemas.OutcomeAnswer(number=one.number, state=one.state.value, position=one.position, root=root)


def _listed(one: Listed, caller: Caller, request: Request) -> schemas.ListedShape:
    return schemas.ListedShape(
        number=one.number,
        state=one.state.value,
        enterprise=one.enterprise,
        reference=one.reference,
        changed_ms=one.changed_ns / MILLISECOND_NS,
        task=one.task,
        inspectors=list(one.inspectors),
        blocks=[_block(block, one.number, one.task, request) for block in one.blocks],
        may_approve=caller.role == SUPERVISOR and str(caller.person) not in one.inspectors,
    )


def _block(one: Block, number: str, task: str | None, request: Request) -> schemas.BlockShape:
    what = say("refused", one.what, language_of_request(request))
    link = f"/tasks/{task}" if task is not None else f"/desk/{number}"
    links = {"hold": f"/exchange?partner={one.what}", "laboratory": "/samples", "log": "/alarms", "verdict": f"/desk/{number}"}
    return schemas.BlockShape(
        kind=one.kind,  # type: ignore[arg-type]
        what=what,
        who=list(one.who),
        step=one.step,
        key=one.key,
        at=one.at,
        reason=one.reason,
        have=one.have,
        want=one.want,
        link=links.get(one.kind, link),
    )


async def _names(hub: Hub) -> dict[str, str]:
    return {str(person.name): person.display for person in await hub.access.people()}
