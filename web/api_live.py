"""Watch live by WHEP. Each view is a record with its viewer."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from protocol.errors import ForbiddenError, MalformedError
from protocol.identifiers import StreamId
from web import schemas, shaping
from web.answering import language_of_request
from web.guards import INSPECTOR, Anyone, Caller, TheHub
from web.wording import say

router = APIRouter(tags=["live"])
SDP = "application/sdp"
MAX_SDP_BYTES = 65_536
Wait = Annotated[float, Query(ge=0, le=60)]


@router.get("/streams", summary="List streams")
async def list_streams(caller: Anyone, hub: TheHub) -> schemas.StreamsAnswer:
    """Give cameras and recorders as they are now; an inspector sees recorders and the cameras of their tasks."""
    found = await hub.streams.list()
    if caller.role == INSPECTOR:
        own = await _own_streams(caller, hub)
        found = [state for state in found if state.role == "recorder" or state.stream in own]
    return schemas.StreamsAnswer(streams=[shaping.stream(state) for state in found])


@router.get("/live/ice", summary="List STUN and TURN servers")
async def ice_servers(caller: Anyone, hub: TheHub) -> schemas.IceAnswer:
    """Give what a viewer's connection may use beside the hub's own addresses."""
    found = hub.core.settings.ice
    servers = [schemas.IceServer(urls=one.urls, username=one.username, credential=one.credential) for one in found]
    return schemas.IceAnswer(servers=servers)


@router.post(
    "/streams/{box}/{source}/whep",
    status_code=201,
    response_class=Response,
    summary="Watch live (WHEP)",
    responses={201: {"content": {SDP: {}}, "description": "The answer; `Location` is the view, end it by DELETE"}},
    openapi_extra={"requestBody": {"required": True, "content": {SDP: {"schema": {"type": "string"}}}}},
)
async def watch(box: str, source: str, request: Request, caller: Anyone, hub: TheHub) -> Response:
    """Answer an SDP offer with the live picture of a stream and record that the caller watches."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != SDP:
        raise MalformedError(f"expected {SDP}", where="content-type")
    offer = (await request.body()).decode("utf-8", "replace")
    if not offer.startswith("v=0") or len(offer) > MAX_SDP_BYTES:
        raise MalformedError("not an SDP offer", where="sdp")
    stream = StreamId.of(box, source)
    if caller.role == INSPECTOR and stream not in await _own_streams(caller, hub):
        raise ForbiddenError("not a stream of your tasks", where=stream)
    view, answer = await hub.live.view(stream, caller.person, offer)
    request.app.state.watching.live_began(view, caller)
    return Response(answer, 201, {"Location": f"/api/v1/views/{view}"}, SDP)


@router.get("/views/{view}", summary="Ask how a live view does")
async def look(view: str, request: Request, caller: Anyone, hub: TheHub, wait: Wait = 0.0) -> schemas.LiveViewAnswer:
    """Tell whether a view starts, is live or has ended, and why it ended; wait up to `wait` s while it starts."""
    found = await hub.live.outcome(view, caller.person, wait)
    reason = say("unavailable", found.reason, language_of_request(request)) if found.state == "ended" and found.reason else ""
    return schemas.LiveViewAnswer(view=view, state=found.state, reason=reason)


@router.delete("/views/{view}", status_code=204, summary="Stop watching live")
async def stop(view: str, request: Request, caller: Anyone) -> None:
    """End a live view and record it; once it has ended, asking again changes nothing."""
    await request.app.state.watching.live_ended(view, caller.person)


async def _own_streams(caller: Caller, hub: TheHub) -> set[str]:
    tasks = [await hub.tasks.get(facts.task) for facts in await hub.tasks.list(state="opened") if caller.may_see(facts)]
    cameras = {camera for facts in tasks for camera in facts.cameras}
    return cameras | {bond.stream for facts in tasks for bond in facts.pairings if bond.state in ("pending", "paired")}
