"""Samples: the plan of a declaration, the chain of custody, the voucher; the laboratory's receipt and report.

Guarantees: a laboratory reaches the samples that are for it alone; only it receives and reports; a sample is given up by two persons with
two passwords.
"""

import io
from typing import Annotated

import segno
from fastapi import APIRouter, Path, Query, Request, Response

from hub.inspection.laboratory import Finding, SampleDraft, SampleFact
from hub.inspection.sampling.shipped import sampling_rules
from protocol.errors import ForbiddenError, RefusedError
from web import credit_schemas, shaping
from web import sample_schemas as schemas
from web.guards import (
    OVERSEERS,
    PARTNER,
    SUPERVISOR,
    Administrator,
    Anyone,
    Caller,
    Inspecting,
    Partnering,
    Sampling,
    Supervisor,
    TheHub,
)
from web.rule_texts import canonical_text
from web.sample_voucher import Language, voucher
from web.seconding import second_person

router = APIRouter(prefix="/samples", tags=["samples"])
Number = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,80}$", description="number of the sample")]


@router.get("", summary="List samples")
async def list_samples(
    caller: Sampling,
    hub: TheHub,
    declaration: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.SamplesAnswer:
    """Give samples, the last drawn first; a laboratory sees those that are for it."""
    mine = caller.party or "" if caller.role == PARTNER else None
    found = await hub.laboratory.list(declaration=declaration, laboratory=mine, limit=limit)
    return schemas.SamplesAnswer(samples=[_shape(one) for one in found])


@router.get("/plans/{declaration}", summary="Get the plan by which a declaration is sampled")
async def get_plan(declaration: Annotated[str, Path(max_length=64)], caller: Anyone, hub: TheHub) -> schemas.SamplePlanAnswer:
    """Give what is opened and taken, drawn by the seed of the declaration's draw, and what the laboratory knows so far."""
    plan = await hub.laboratory.plan(declaration)
    if plan is None:
        raise RefusedError("is not known, or was not selected", where=f"declaration {declaration}")
    state = await hub.laboratory.state(declaration)
    told = schemas.LaboratoryState(
        open=list(state.open),
        positive=list(state.positive),
        broken=list(state.broken),
        negative=list(state.negative),
        obstacles=state.obstacles(),
    )
    return schemas.SamplePlanAnswer.model_validate({**plan, "state": told})


@router.get("/rules", summary="Get the rules of sampling")
async def get_rules(caller: Anyone, hub: TheHub) -> credit_schemas.RulesAnswer:
    """Give the rules of sampling in force as text: which goods are sampled how."""
    text, sets = await hub.laboratory.rules()
    rules = sampling_rules(text)
    listed = [
        credit_schemas.RuleSetShape(version=one.version, effective=one.effective, position=one.position, sha256=one.sha256.hex())
        for one in sets
    ]
    return credit_schemas.RulesAnswer(name=rules.name, text=text.decode(), sets=listed)


@router.post("/rules", status_code=201, summary="Put rules of sampling in force")
async def set_rules(ask: credit_schemas.RulesAsk, request: Request, caller: Administrator, hub: TheHub) -> credit_schemas.SetAnswer:
    """Put rules of sampling in force from their day on, with a second person's password."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    position = await hub.laboratory.set_rules(canonical_text(ask.text), caller.person, second, ask.reason)
    return credit_schemas.SetAnswer(position=position)


@router.post("", status_code=201, summary="Draw a sample")
async def draw(ask: schemas.SampleAsk, caller: Inspecting, hub: TheHub) -> schemas.SampleShape:
    """Draw a sample of goods under inspection; it gets its number."""
    draft = SampleDraft(
        ask.laboratory,
        ask.what,
        ask.amount,
        ask.unit,
        ask.line,
        ask.box,
        tuple(ask.packages),
        tuple(ask.tests),
        ask.cold,
        {str(name): text for name, text in ask.signatures.items()},
    )
    return _shape(await hub.laboratory.draw(ask.declaration, draft, caller.person))


@router.get("/{number}", summary="Get a sample with its chain of custody")
async def get_sample(number: Number, caller: Sampling, hub: TheHub) -> schemas.SampleShape:
    """Give a sample as it stands, with every act."""
    found = _need_own(caller, await hub.laboratory.get(number))
    owner = f"party:{found.laboratory}"
    here = None if found.report is None else await hub.files.is_here(bytes.fromhex(found.report), owner)
    return _shape(found).model_copy(update={"report_here": here})


@router.get("/{number}/voucher", response_class=Response, summary="Print a sample's voucher")
async def get_voucher(
    number: Number, request: Request, caller: Sampling, hub: TheHub, lang: Annotated[Language, Query()] = "zh-CN"
) -> Response:
    """Give the voucher as a page to print, with a QR code of its number."""
    found = _need_own(caller, await hub.laboratory.get(number))
    drawn = io.BytesIO()
    segno.make(f"portwitness:sample?number={number}", error="m").save(drawn, kind="svg", border=2, scale=3, xmldecl=False)
    page = voucher(found, drawn.getvalue().decode(), str(hub.core.site), lang)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return Response(page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": policy})


@router.post("/{number}/seal", summary="Seal a sample")
async def seal(number: Number, ask: schemas.SealAsk, caller: Inspecting, hub: TheHub) -> schemas.SampleShape:
    """Note the number of the seal that was put on, as one on the inspection or a supervisor."""
    return _shape(await hub.laboratory.seal(number, caller.person, ask.seal, oversees=caller.role == SUPERVISOR))


@router.post("/{number}/hand-over", summary="Hand a sample over")
async def hand_over(number: Number, ask: schemas.HandOverAsk, caller: Inspecting, hub: TheHub) -> schemas.SampleShape:
    """Note whom a sealed sample was handed over to; with the last one the declaration waits for the laboratory."""
    oversees = caller.role == SUPERVISOR
    return _shape(await hub.laboratory.hand_over(number, caller.person, ask.to, ask.note, oversees=oversees))


@router.post("/{number}/receipt", summary="Confirm that a sample came")
async def receive(number: Number, ask: schemas.ReceiptAsk, caller: Partnering, hub: TheHub) -> schemas.SampleShape:
    """Confirm receipt, seal and condition, as the laboratory that the sample is for."""
    laboratory = _laboratory(caller)
    found = await hub.laboratory.receive(number, laboratory, caller.person, sealed=ask.sealed, fit=ask.fit, note=ask.note)
    return _shape(found)


@router.post("/{number}/report", summary="Report on a sample")
async def report(number: Number, ask: schemas.ReportAsk, caller: Partnering, hub: TheHub) -> schemas.SampleShape:
    """Report what was found, as the laboratory that received the sample."""
    finding = Finding(ask.number, ask.verdict, tuple(ask.values), ask.sha256, ask.remark)
    return _shape(await hub.laboratory.report(number, _laboratory(caller), caller.person, finding))


@router.post("/{number}/void", summary="Give a sample up")
async def void(number: Number, ask: schemas.VoidAsk, request: Request, caller: Supervisor, hub: TheHub) -> schemas.SampleShape:
    """Give a sample up with a second person's password: lost, broken, drawn by mistake."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    return _shape(await hub.laboratory.void(number, caller.person, second, ask.reason))


def _laboratory(caller: Caller) -> str:
    if caller.role != PARTNER or not caller.party:
        raise ForbiddenError("only for the laboratory itself", where="laboratory")
    return caller.party


def _need_own(caller: Caller, found: SampleFact) -> SampleFact:
    if caller.role == PARTNER and found.laboratory != caller.party:
        raise ForbiddenError("is for another laboratory", where=f"sample {found.number}")
    return found


def _shape(one: SampleFact) -> schemas.SampleShape:
    acts = [{"act": act.act, "position": act.position, "at_ms": shaping.ms(act.wall_ns), "said": act.said} for act in one.acts]
    return schemas.SampleShape.model_validate(
        {
            "number": one.number,
            "declaration": one.declaration,
            "state": one.state,
            "laboratory": one.laboratory,
            "sound": one.sound,
            "verdict": one.verdict,
            "report": one.report,
            "drawn_ms": shaping.ms(one.drawn_ns),
            "changed_ms": shaping.ms(one.changed_ns),
            "acts": acts,
        }
    )
