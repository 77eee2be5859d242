"""The national level: take checkpoints of ports, and show where this port's own stands in the national log.

Both are public: a port's signature is what lets a checkpoint in, and a proof holds no record of a person.
"""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from protocol.errors import UnavailableError
from web.guards import TheHub

router = APIRouter(tags=["national"])


@router.post("/national/add-checkpoint", response_class=Response, summary="Hand in a port's checkpoint (tlog-witness, public)")
async def add_checkpoint(request: Request, hub: TheHub) -> Response:
    """Take a port's signed checkpoint with its consistency proof; a success is a tlog-proof whose extra data is the leaf."""
    answer = await hub.ports.add_checkpoint(await request.body())
    return Response(answer.body, answer.status, media_type=answer.kind)


@router.get("/log/national", response_class=Response, summary="Get this port's newest proof in the national log (public)")
async def national(hub: TheHub) -> Response:
    """Give the newest tlog-proof that a checkpoint of this port stands in the national log."""
    if hub.nation.newest is None:
        raise UnavailableError("no checkpoint stands in a national log yet", where="national log")
    return Response(hub.nation.newest.encode(), media_type="text/plain; charset=utf-8")
