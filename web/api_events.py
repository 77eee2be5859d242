"""Tell pages what changed, by server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from web.guards import INSPECTOR, Anyone, Caller, TheHub

router = APIRouter(tags=["events"])
IDLE_S = 15.0
_PRIVATE = ("alarm", "device", "access", "enrolment")  # what an inspector is not told


@router.get("/events", response_class=StreamingResponse, summary="Follow changes (server-sent events)")
async def follow(request: Request, caller: Anyone, hub: TheHub) -> StreamingResponse:
    """Send a small JSON object `{event, ...}` for each change, and a comment every 15 s."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(hub, caller, request.app.state.closing), media_type="text/event-stream", headers=headers)


async def _lines(hub: TheHub, caller: Caller, closing: asyncio.Event) -> AsyncIterator[str]:
    yield "retry: 2000\n\n: connected\n\n"
    async with hub.events.subscribe() as changes:
        ending = asyncio.ensure_future(closing.wait())
        coming: asyncio.Future[dict[str, object]] = asyncio.ensure_future(anext(changes))
        try:
            while not closing.is_set():
                await asyncio.wait((coming, ending), timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    change = coming.result()
                    coming = asyncio.ensure_future(anext(changes))
                    if caller.role != INSPECTOR or change.get("event") not in _PRIVATE:
                        yield f"data: {json.dumps(change, ensure_ascii=False)}\n\n"
                else:
                    yield ": still here\n\n"
        finally:
            ending.cancel()
            coming.cancel()
