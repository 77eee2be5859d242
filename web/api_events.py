"""Tell pages what changed, by server-sent events.

Guarantees: an inspector is told of their own tasks, and of streams and boxes only as far as those tasks concern them, a trader of the
own enterprise's declarations alone; the line
ends when the login under which it was opened ends, or its person gets another role.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.datastructures import State

from hub.app import Hub
from hub.belonging import streams_of
from hub.events import Event
from protocol.errors import RefusedError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from web.guards import INSPECTOR, PARTNER, TRADER, Caller, Following, TheHub

router = APIRouter(tags=["events"])
IDLE_S = 15.0
REFRESH_NS = SECOND_NS  # an inspector's streams are asked for again at most this often


@router.get("/events", response_class=StreamingResponse, summary="Follow changes (server-sent events)")
async def follow(request: Request, caller: Following, hub: TheHub) -> StreamingResponse:
    """Send a small JSON object `{event, ...}` for each change, and a comment every 15 s."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(hub, caller, request.app.state), media_type="text/event-stream", headers=headers)


async def _lines(hub: TheHub, caller: Caller, state: State) -> AsyncIterator[str]:
    yield "retry: 2000\n\n: connected\n\n"
    ear, over = _Ear(hub, caller), asyncio.Event()

    async def end() -> None:
        over.set()

    number = state.presence.enter(caller, end)
    async with hub.events.subscribe() as changes:
        endings = [asyncio.ensure_future(event.wait()) for event in (state.closing, over)]
        coming: asyncio.Future[dict[str, object]] = asyncio.ensure_future(anext(changes))
        try:
            while True:
                await asyncio.wait((coming, *endings), timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if over.is_set() or state.closing.is_set():
                    return
                if coming.done():
                    change = await ear.hear(coming.result())
                    coming = asyncio.ensure_future(anext(changes))
                    if change is not None:
                        yield f"data: {json.dumps(change, ensure_ascii=False)}\n\n"
                else:
                    yield ": still here\n\n"
        finally:
            state.presence.leave(number)
            for future in (*endings, coming):
                future.cancel()


@dataclass(slots=True)
class _Ear:
    """What one listener may hear of each change."""

    hub: Hub
    caller: Caller
    streams: frozenset[str] = frozenset()
    read_ns: int | None = None

    async def hear(self, change: Event) -> Event | None:
        """Give a change as this listener may hear it, None when it is not theirs."""
        name = change.get("event")
        if name == "lagging" or self.caller.role not in (INSPECTOR, TRADER, PARTNER):
            return change
        if self.caller.role != INSPECTOR:
            return change if name == "declaration" and change.get("enterprise") == self.caller.party else None
        if name in ("task", "pairing"):
            self.read_ns = None
            return change if await self._is_theirs(str(change.get("task"))) else None
        if name in ("lanes", "stored", "checkpoint"):
            return self._cut(change, await self._streams())
        return None

    async def _is_theirs(self, task: str) -> bool:
        try:
            return self.caller.may_see(await self.hub.tasks.get(task))
        except RefusedError:  # a box may name a task that nobody opened: it is nobody's
            return False

    async def _streams(self) -> frozenset[str]:
        now = self.hub.core.clock.monotonic_ns()
        if self.read_ns is None or now - self.read_ns > REFRESH_NS:
            self.streams = await self.hub.core.database.read(lambda connection: streams_of(connection, self.caller.person))
            self.read_ns = now
        return self.streams

    @staticmethod
    def _cut(change: Event, streams: frozenset[str]) -> Event | None:
        boxes = {str(StreamId(stream).box) for stream in streams}
        if change["event"] == "checkpoint":
            return change | {"boxes": sorted(boxes & set(_texts(change.get("boxes"))))}
        if change["event"] == "stored":
            return {"event": "stored", "box": change["box"]} if change.get("box") in boxes else None
        mine = sorted(streams & set(_texts(change.get("streams"))))
        return change | {"streams": mine} if mine else None


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
