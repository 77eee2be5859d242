"""Draws: announce, list, look at, fetch the bundle that anybody can check, and what only two persons may change."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from hub.inspection.draw_shown import Shown, left_out, replay_page, show
from hub.inspection.draws import DrawState
from protocol.drawing.judging import Act
from protocol.drawing.policy import Policy
from protocol.errors import RefusedError
from protocol.instants import MILLISECOND_NS
from web import draw_schemas as schemas
from web import shaping
from web.guards import OVERSEERS, Administrator, Anyone, Supervisor, TheHub
from web.seconding import second_person

router = APIRouter(prefix="/draws", tags=["draws"])
Number = Annotated[int, Path(ge=1, le=2**53)]


@router.get("", summary="List draws")
async def list_draws(caller: Anyone, hub: TheHub, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> schemas.DrawsAnswer:
    """Give draws, newest first, and what two persons left out of pools."""
    found = await hub.draws.list(limit)
    acts = await hub.core.database.read(left_out)
    return schemas.DrawsAnswer(draws=[_draw(one) for one in found], faults=list(hub.draws.faults), acts=[_act(one) for one in acts])


@router.post("", status_code=201, summary="Announce a draw")
async def call_draw(ask: schemas.DrawAsk, caller: Supervisor, hub: TheHub) -> schemas.DrawAnswer:
    """Log when the next pool closes; from then on the draw goes by itself."""
    return _draw(await hub.draws.call(shaping.ns(ask.closes_ms)))


@router.get("/page", response_class=Response, summary="Get the page that makes a draw again without the hub")
async def get_page(caller: Anyone) -> Response:
    """Give `draw.html`: one file that needs no network."""
    headers = {"Content-Disposition": 'attachment; filename="draw.html"'}
    return Response(replay_page(), media_type="text/html; charset=utf-8", headers=headers)


@router.get("/policy", summary="Get the draw policy")
async def get_policy(caller: Anyone, hub: TheHub) -> schemas.PolicyAnswer:
    """Give the policy in force, or while there is none the one that is shipped; and the hub's own key for draws."""
    in_force = True
    try:
        policy = await hub.draws.policy()
    except RefusedError:
        policy, in_force = await hub.draws.proposal(), False
    key = await hub.draws.answers.own_key()
    return schemas.PolicyAnswer(in_force=in_force, text=policy.encode().decode(), sha256=policy.hash.hex(), key=key.hex())


@router.post("/policy", status_code=201, summary="Set the draw policy")
async def set_policy(ask: schemas.PolicyAsk, request: Request, caller: Administrator, hub: TheHub) -> schemas.PlaceAnswer:
    """Put a policy in force for draws announced from now on."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    position = await hub.draws.set_policy(Policy.parse(ask.text.encode()), caller.person, second, ask.reason)
    return schemas.PlaceAnswer(position=position)


@router.post("/exclusions", status_code=201, summary="Leave a declaration or an inspector out of pools")
async def exclude(ask: schemas.ExclusionAsk, request: Request, caller: Supervisor, hub: TheHub) -> schemas.PlaceAnswer:
    """Leave something out from now on, or take it in again."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    position = await hub.draws.exclude(ask.kind, ask.id, caller.person, second, ask.reason, readmit=ask.readmit)
    return schemas.PlaceAnswer(position=position)


@router.get("/{number}", summary="Get a draw")
async def get_draw(
    number: Number,
    caller: Anyone,
    hub: TheHub,
    selected: Annotated[bool, Query(description="only what was selected")] = False,
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.DrawDetail:
    """Give a draw with a page of its declarations, each with the parts of its one probability."""
    read = hub.core.database.read
    shown = await read(lambda connection: show(connection, number, selected=selected, offset=offset, limit=limit))
    return _detail(_draw(await hub.draws.get(number)), shown)


@router.get("/{number}/bundle", response_class=Response, summary="Fetch a draw's bundle")
async def get_bundle(number: Number, caller: Anyone, hub: TheHub) -> Response:
    """Give the file from which anybody can make the draw again."""
    headers = {"Content-Disposition": f'attachment; filename="draw-{number:06d}.json"'}
    return Response(await hub.draws.bundle(number), media_type="application/json", headers=headers)


@router.post("/{number}/refusals", status_code=201, summary="Let an inspector step back")
async def refuse(number: Number, ask: schemas.RefusalAsk, request: Request, caller: Supervisor, hub: TheHub) -> schemas.PlaceAnswer:
    """Let an inspector step back from a declaration."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    position = await hub.draws.refuse(number, ask.declaration, ask.inspector, caller.person, second, ask.reason)
    return schemas.PlaceAnswer(position=position)


@router.post("/{number}/overrides", status_code=201, summary="Override a team")
async def override(number: Number, ask: schemas.OverrideAsk, request: Request, caller: Supervisor, hub: TheHub) -> schemas.PlaceAnswer:
    """Put another team in the place of the one that was drawn; it is shown in red for ever."""
    second = await second_person(request, hub, caller, (ask.second, ask.second_password), OVERSEERS)
    position = await hub.draws.override(number, ask.declaration, ask.members, caller.person, second, ask.reason)
    return schemas.PlaceAnswer(position=position)


def _draw(one: DrawState) -> schemas.DrawAnswer:
    newest = next(at for at in (one.drawn_at, one.closed_at, one.called_at) if at is not None)
    return schemas.DrawAnswer.model_validate(
        {
            "number": one.number,
            "state": one.state,
            "closes_ms": one.closes_ns / MILLISECOND_NS,
            "declarations": one.entries,
            "inspectors": one.inspectors,
            "selected": one.selected,
            "position": newest,
        }
    )


def _detail(draw: schemas.DrawAnswer, shown: Shown) -> schemas.DrawDetail:
    rows = [
        schemas.DrawnShape(
            declaration=one.declaration,
            stratum=one.stratum,
            lane=one.lane,
            grade=one.grade,
            parts=schemas.PartsShape(**one.parts),
            why=one.why,
            team=list(one.team),
            final=list(one.final),
        )
        for one in shown.rows
    ]
    return schemas.DrawDetail(
        **draw.model_dump(),
        rules=shown.policy.rules,
        named=[one.name for one in shown.policy.witnesses],
        needed=shown.policy.needed,
        seed=None if shown.row["seed"] is None else bytes(shown.row["seed"]).hex(),
        total=shown.total,
        rows=rows,
        acts=[_act(one) for one in shown.acts],
    )


def _act(one: Act) -> schemas.ActShape:
    words = {name: one.said.get(name) for name in ("by", "second", "reason", "declaration", "inspector", "members", "kind", "id")}
    return schemas.ActShape.model_validate({"position": one.position, "act": one.act, **words})
