"""Play stored segments. That somebody plays them is a record, so segments are given only inside a playback."""

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from protocol.errors import MalformedError
from protocol.identifiers import TaskId
from web import schemas
from web.guards import Anyone, TheHub

router = APIRouter(tags=["playback"])


@router.post("/tasks/{task}/playbacks", status_code=201, summary="Start a playback")
async def start(task: str, request: Request, caller: Anyone, hub: TheHub) -> schemas.ViewAnswer:
    """Record that the caller begins to play a task; its segments are open to them until it ends."""
    caller.need(await hub.tasks.get(TaskId(task)))
    return schemas.ViewAnswer(view=await request.app.state.watching.begin(task, caller))


@router.delete("/playbacks/{view}", status_code=204, summary="End a playback")
async def end(view: str, request: Request, caller: Anyone) -> None:
    """Record that a playback ended."""
    await request.app.state.watching.end(view, caller.person)


@router.get("/segments/{sha256}", response_class=FileResponse, summary="Get a segment (ranges allowed)")
async def segment(sha256: str, request: Request, caller: Anyone, hub: TheHub) -> FileResponse:
    """Give a stored segment, a self-contained fragmented MP4, by its hash."""
    digest = hash_of(sha256)
    await request.app.state.watching.check(digest, caller.person)
    path = await hub.timeline.segment(digest)
    headers = {"Cache-Control": "private, max-age=3600, immutable", "ETag": f'"{sha256}"'}
    return FileResponse(path, media_type="video/mp4", headers=headers)


def hash_of(text: str) -> bytes:
    """Read a SHA-256 in lower-case hex; raise MalformedError when it is none."""
    try:
        digest = bytes.fromhex(text)
    except ValueError as error:
        raise MalformedError("not a SHA-256 in hex", where="sha256") from error
    if len(digest) != 32 or digest.hex() != text:
        raise MalformedError("not a SHA-256 in hex", where="sha256")
    return digest
