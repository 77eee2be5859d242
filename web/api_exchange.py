"""Messages with the port's other systems: take a partner's, list and show all, send again, the partners' health, the hub's key.

Guarantees: a partner reaches its own messages alone; what is refused is answered with every fault and kept.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from hub.exchange.taking import Message, Taken
from protocol.errors import MalformedError
from protocol.instants import MILLISECOND_NS
from protocol.port_messages import key_id
from web import exchange_schemas as schemas
from web import shaping
from web.guards import PARTNER, Exchanging, Following, Overseeing, Partnering, TheHub

router = APIRouter(prefix="/exchange", tags=["exchange"])
Place = Annotated[int, Path(ge=0, le=2**53)]
_RAW = {"content": {"application/json": {"schema": {"type": "object"}}, "application/edifact": {"schema": {"type": "string"}}}}


@router.post(
    "/messages",
    summary="Send a message of a partner",
    response_model=schemas.TakenAnswer,
    responses={422: {"model": schemas.TakenAnswer, "description": "Rejected: kept, and answered with every fault"}},
    openapi_extra={"requestBody": {"required": True, **_RAW}},
)
async def take(
    request: Request,
    caller: Partnering,
    hub: TheHub,
    partner: Annotated[str | None, Query(max_length=64, description="whose it is; of a partner its own")] = None,
) -> Response:
    """Take a JSON message of events or an EDIFACT interchange, raw. Sent again it gives the same answer and changes nothing."""
    party = partner if partner is not None else caller.party
    if party is None:
        raise MalformedError("is needed", where="partner")
    caller.need_party(party, "partner")
    body, kind = await request.body(), request.headers.get("content-type", "")
    taken = await hub.exchange.take(party, body, kind, dict(request.headers))
    answer = _taken(taken).model_dump(mode="json")
    return JSONResponse(answer, 200 if taken.outcome == "taken" else 422)


@router.get("/messages", summary="List messages")
async def list_messages(caller: Exchanging, hub: TheHub, wishes: Annotated[schemas.MessageWishes, Query()]) -> schemas.MessagesAnswer:
    """Give messages in and out, newest first; a partner sees its own."""
    partner = caller.party if caller.role == PARTNER else wishes.partner
    found = await hub.exchange.list(
        partner=partner,
        way=wishes.way,
        state=wishes.state,
        declaration=wishes.declaration,
        before=wishes.before,
        limit=wishes.limit,
    )
    return schemas.MessagesAnswer(messages=[schemas.MessageShape(**_facts(one)) for one in found])


@router.get("/messages/{position}", summary="Get a message")
async def get_message(position: Place, caller: Exchanging, hub: TheHub) -> schemas.MessageDetail:
    """Give a message with its bytes as text and what became of it."""
    one = await hub.exchange.get(position)
    caller.need_party(one.partner, f"message {position}")
    taken = _taken(await hub.exchange.shown(position)) if one.way == "in" else None
    raw = await hub.exchange.raw(position)
    return schemas.MessageDetail(**_facts(one), text=raw.decode("utf-8", "replace"), taken=taken)


@router.get("/messages/{position}/raw", response_class=Response, summary="Fetch a message's bytes")
async def get_raw(position: Place, caller: Exchanging, hub: TheHub) -> Response:
    """Give the bytes as they came or went."""
    one = await hub.exchange.get(position)
    caller.need_party(one.partner, f"message {position}")
    headers = {"Content-Disposition": f'attachment; filename="message-{position}.bin"'}
    return Response(await hub.exchange.raw(position), media_type="application/octet-stream", headers=headers)


@router.post("/messages/{position}/resend", summary="Send a message again")
async def resend(position: Place, ask: schemas.ResendAsk, caller: Overseeing, hub: TheHub) -> schemas.MessageShape:
    """Put a message that was given up, or taken before, into the queue again; it keeps its key."""
    return schemas.MessageShape(**_facts(await hub.exchange.resend(position, caller.person, ask.reason)))


@router.get("/partners", summary="Get how the exchange goes with each partner")
async def list_partners(caller: Overseeing, hub: TheHub) -> schemas.PartnersAnswer:
    """Give counts, the last message each way, and what stands in the way of the next."""
    found = [
        schemas.PartnerShape(
            partner=one.partner,
            name=one.name,
            role=one.role,
            ways=list(one.ways),
            address=one.address,
            came=one.came,
            rejected=one.rejected,
            kept=one.kept,
            queued=one.queued,
            delivered=one.delivered,
            dead=one.dead,
            last_in_ms=shaping.ms_or_none(one.last_in_ns),
            last_out_ms=shaping.ms_or_none(one.last_out_ns),
            fault=one.fault,
        )
        for one in await hub.exchange.health()
    ]
    return schemas.PartnersAnswer(partners=found)


@router.get("/key", summary="Get the key by which the hub signs what it posts")
async def get_key(caller: Following, hub: TheHub) -> schemas.KeyAnswer:
    """Give the key; docs/reference/exchange.md says what is signed."""
    return schemas.KeyAnswer(key=hub.deliveries.key.hex(), key_id=key_id(hub.deliveries.key))


def _taken(one: Taken) -> schemas.TakenAnswer:
    return schemas.TakenAnswer(
        position=one.position,
        number=one.number,
        outcome=one.outcome,
        again=one.again,
        reference=one.reference,
        units=[schemas.UnitShape(reference=unit[0], type=unit[1], outcome=unit[2]) for unit in one.units],  # type: ignore[arg-type]
        faults=list(one.faults),
        events=[
            schemas.HappenedShape(
                event=event.event,
                container=event.container,
                outcome=event.outcome,  # type: ignore[arg-type]
                declaration=event.declaration,
            )
            for event in one.events
        ],
        answers=[raw.decode("utf-8", "replace") for raw in one.answers],
    )


def _facts(one: Message) -> dict[str, Any]:
    names = (
        "position",
        "way",
        "partner",
        "number",
        "form",
        "about",
        "reference",
        "state",
        "size",
        "attempts",
        "declaration",
        "cause",
        "fault",
    )
    times = {"at_ms": one.wall_ns / MILLISECOND_NS, "done_ms": shaping.ms_or_none(one.done_ns), "next_ms": shaping.ms_or_none(one.next_ns)}
    return {name: getattr(one, name) for name in names} | times
