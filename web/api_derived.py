"""Cut sub-clips, propose and destroy areas, list and hand out derived files: for supervisors alone."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse

from hub.derivation import Job, Made, Redaction, Stretch
from hub.excerpts import Excerpt
from protocol import kinds
from protocol.identifiers import TaskId
from web import derived_schemas as schemas
from web import shaping
from web.answering import language_of_request
from web.api_playback import hash_of
from web.guards import Caller, Supervisor, TheHub
from web.schemas import RecordPlace
from web.wording import say

router = APIRouter(tags=["derived"])
Name = Annotated[str, Path(max_length=32)]


@router.post("/tasks/{task}/clips", status_code=201, summary="Cut a sub-clip")
async def clips(task: str, ask: schemas.StretchAsk, caller: Supervisor, hub: TheHub) -> schemas.ExcerptAnswer:
    """Cut a stretch out with sample proofs and records, a clip per segment; it is an export record."""
    return _excerpt(await hub.excerpts.clips(_stretch(task, ask), caller.person))


@router.get("/excerpts/{excerpt}/excerpt.zip", response_class=FileResponse, summary="Fetch an excerpt")
async def excerpt(excerpt: Name, caller: Supervisor, hub: TheHub) -> FileResponse:
    """Give a sub-clip or derived file with what judges it, to whom it was made for."""
    path = await hub.excerpts.path(excerpt, caller.person)
    return FileResponse(path, media_type="application/zip", filename=path.name)


@router.post("/tasks/{task}/proposals", status_code=202, summary="Look for faces")
async def propose(task: str, ask: schemas.StretchAsk, caller: Supervisor, request: Request, hub: TheHub) -> schemas.JobAnswer:
    """Begin to look for faces; what is found is applied only where a person accepts it."""
    return _job(await hub.derivation.propose(_stretch(task, ask), caller.person), request)


@router.post("/tasks/{task}/redactions", status_code=202, summary="Make a redacted copy")
async def redact(task: str, ask: schemas.RedactionAsk, caller: Supervisor, request: Request, hub: TheHub) -> schemas.JobAnswer:
    """Begin to make a copy without the areas; it is a new file that names its parents."""
    areas = tuple(_area(one, caller) for one in ask.areas)
    wish = Redaction(_stretch(task, ask), areas, ask.sound, ask.reason.strip(), ask.proposals, ask.proposals_way)
    return _job(await hub.derivation.redact(wish, caller.person), request)


@router.get("/redactions/{job}", summary="Follow a job")
async def follow(job: Name, _: Supervisor, request: Request, hub: TheHub) -> schemas.JobAnswer:
    """Tell how far a job is, and what it proposes."""
    return _job(hub.derivation.get(job), request)


@router.delete("/redactions/{job}", summary="Cancel a job")
async def cancel(job: Name, _: Supervisor, request: Request, hub: TheHub) -> schemas.JobAnswer:
    """Stop a job; nothing half done stays."""
    return _job(await hub.derivation.cancel(job), request)


@router.post("/redactions/{job}/proposals/{number}", summary="Accept or reject a proposal")
async def decide(job: Name, number: int, ask: schemas.DecisionAsk, caller: Supervisor, request: Request, hub: TheHub) -> schemas.JobAnswer:
    """Note the caller's word on a proposal."""
    return _job(hub.derivation.decide(job, number, accepted=ask.accepted, by=caller.person), request)


@router.get("/tasks/{task}/derived", summary="List a task's derived files")
async def derived(task: str, _: Supervisor, hub: TheHub) -> list[schemas.DerivedAnswer]:
    """Give what was derived from a task, oldest first."""
    return [_made(one) for one in await hub.derivation.made(TaskId(task))]


@router.post("/tasks/{task}/derived/{sha256}/excerpts", status_code=201, summary="Pack a derived file")
async def pack(task: str, sha256: str, caller: Supervisor, hub: TheHub) -> schemas.ExcerptAnswer:
    """Pack a derived file with its parents' records, so that it verifies alone; it is an export record."""
    return _excerpt(await hub.excerpts.derived(TaskId(task), hash_of(sha256), caller.person))


def _stretch(task: str, ask: schemas.StretchAsk) -> Stretch:
    return Stretch(TaskId(task), ask.stream, shaping.ns(ask.from_ms), shaping.ns(ask.to_ms))


def _area(ask: schemas.AreaShape, caller: Caller) -> kinds.Area:
    return kinds.Area(tuple(ask.points), ask.until_ms, ask.way, "drawn", caller.person)


def _excerpt(found: Excerpt) -> schemas.ExcerptAnswer:
    address = f"/api/v1/excerpts/{found.excerpt}/excerpt.zip"
    return schemas.ExcerptAnswer(excerpt=found.excerpt, name=found.name, size=found.size, address=address)


def _job(found: Job, request: Request) -> schemas.JobAnswer:
    return schemas.JobAnswer(
        job=found.job,
        act=found.act,
        state=found.state,
        done_ms=found.done_ms,
        total_ms=found.stretch.length_ms,
        what=say("refused", found.what, language_of_request(request)) if found.what else "",
        proposals=[
            schemas.ProposalAnswer(
                number=one.number, points=list(one.points), until_ms=one.until, label=one.label, accepted=one.accepted, by=one.by
            )
            for one in found.proposals
        ],
        derived=found.derived.hex() if found.derived is not None else None,
    )


def _made(found: Made) -> schemas.DerivedAnswer:
    record, body = found.signed.record, found.body
    return schemas.DerivedAnswer(
        record=RecordPlace(issuer=str(record.issuer), epoch=record.epoch, position=record.position),
        sha256=body.sha256.hex(),
        size=body.size,
        by=body.by,
        made_ms=shaping.ms(record.at.wall_ns),
        stream=body.stream,
        from_ms=shaping.ms(body.start_ns),
        to_ms=shaping.ms(body.end_ns),
        segments=[one.number for one in body.parents],
        areas=len(body.areas),
        sound=body.sound,
        reason=body.reason,
    )
