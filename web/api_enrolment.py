"""Enrol boxes: administrators make one-time tokens and hand in what the site CA issued; boxes ask and wait.

The hub cannot mint a box: it only carries requests to the site CA and takes what the CA signed.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from hub.enrolment import EnrolmentAnswer, EnrolmentState
from protocol.issuance import encode_bytes
from protocol.topics import PATH_ENROL
from web import schemas, shaping
from web.guards import Administrator, Anyone, TheHub

router = APIRouter(tags=["enrolment"])
boxes = APIRouter(prefix=PATH_ENROL, tags=["boxes"])
RequestName = Annotated[str, Path(max_length=64)]


@router.get("/enrolments", summary="List requests of boxes")
async def list_enrolments(caller: Administrator, hub: TheHub) -> schemas.EnrolmentsAnswer:
    """Give requests, newest first, with all that the site CA needs to decide."""
    return schemas.EnrolmentsAnswer(enrolments=[_shape(found) for found in await hub.enrolment.list()])


@router.post("/enrolments/tokens", status_code=201, summary="Make a one-time token for a box")
async def make_token(ask: schemas.BoxTokenAsk, caller: Administrator, hub: TheHub) -> schemas.BoxTokenAnswer:
    """Make a token that is good for one box and one request; it is shown this once."""
    made = await hub.enrolment.make_token(ask.box, caller.person)
    return schemas.BoxTokenAnswer(box=made.box, token=made.token, expires_ms=shaping.ms(made.expires_ns))


@router.post("/enrolments/{request}/issue", summary="Hand in what the site CA issued")
async def issue(request: RequestName, ask: schemas.IssueAsk, caller: Administrator, hub: TheHub) -> schemas.EnrolmentShape:
    """Check and keep the certificates; the box counts from the enrolment record on."""
    return _shape(await hub.enrolment.issue(request, ask.certificates, caller.person))


@router.post("/enrolments/{request}/refuse", status_code=204, summary="Refuse a request")
async def refuse(request: RequestName, ask: schemas.RevokeAsk, caller: Administrator, hub: TheHub) -> None:
    """Refuse a box's request with a reason."""
    await hub.enrolment.refuse(request, ask.reason, caller.person)


@router.post("/devices/{box}/revoke", summary="Revoke a box")
async def revoke(box: str, ask: schemas.RevokeAsk, caller: Administrator, hub: TheHub) -> schemas.RevokedAnswer:
    """Revoke all certificates of a box; it counts no longer from the record on."""
    return schemas.RevokedAnswer(box=box, identities=await hub.enrolment.revoke(box, ask.reason, caller.person))


@router.get("/trust", response_class=Response, summary="Get this hub's trust file")
async def trust(caller: Anyone, hub: TheHub) -> Response:
    """Give what this hub claims; compare it with what the port publishes before you rely on it."""
    return Response(hub.enrolment.trust().encode(), media_type="application/json")


@boxes.post("/requests", status_code=201, summary="Ask for certificates (box, by one-time token)")
async def ask_certificates(ask: schemas.EnrolmentAsk, hub: TheHub) -> schemas.EnrolmentAsked:
    """Take a box's two certificate requests; the same again gives the same name."""
    return schemas.EnrolmentAsked(request=await hub.enrolment.ask(ask.token, ask.box, ask.identity_csr, ask.tls_csr))


@boxes.get("/requests/{request}", summary="Ask how a request stands (box, by the same token)")
async def answer(request: RequestName, token: Annotated[str, Query(max_length=200)], hub: TheHub) -> schemas.EnrolmentStanding:
    """Tell a box whether its request waits, was refused or was issued."""
    return standing(await hub.enrolment.answer(request, token))


def standing(found: EnrolmentAnswer) -> schemas.EnrolmentStanding:
    """Shape what a box is told."""
    return schemas.EnrolmentStanding(
        state=found.state,
        reason=found.reason,
        certificates=found.certificates,
        hub_device_url=found.device_url,
        hub_mqtt_url=found.mqtt_url,
    )


def _shape(found: EnrolmentState) -> schemas.EnrolmentShape:
    signing, tls = found.request.check()
    key = signing or tls
    return schemas.EnrolmentShape(
        request=found.request.request,
        site=found.request.identity.site,
        box=found.request.identity.box,
        identity_csr=encode_bytes(found.request.identity_csr) if found.request.identity_csr is not None else None,
        tls_csr=encode_bytes(found.request.tls_csr),
        state=found.state,
        asked_ms=shaping.ms(found.at_ns),
        by=found.by,
        reason=found.reason,
        known=found.known,
        log=found.log,
        fingerprint=key.fingerprint,
    )
