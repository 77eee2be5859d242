"""Export tasks, and streams over a time, as bundles that outsiders verify; follow an export, fetch its bundle."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse

from hub.export import ExportState, TimeWish
from protocol.identifiers import TaskId
from web import schemas, shaping
from web.guards import Overseeing, Supervisor, TheHub

router = APIRouter(tags=["exports"])
ExportName = Annotated[str, Path(max_length=32)]


@router.post("/tasks/{task}/exports", status_code=202, summary="Export a task")
async def start(task: str, caller: Supervisor, hub: TheHub) -> schemas.ExportAnswer:
    """Begin an export in the background; that it was made, and by whom, is a record."""
    return _shape(await hub.export.start(TaskId(task), caller.person))


@router.post("/exports", status_code=202, summary="Export streams over a time")
async def start_time(wish: schemas.ExportWish, caller: Supervisor, hub: TheHub) -> schemas.ExportAnswer:
    """Begin an export of streams over a stretch of time that has passed; that it was made, of what, and by whom, is a record."""
    asked = TimeWish(tuple(wish.streams), shaping.ns(wish.from_ms), shaping.ns(wish.to_ms))
    return _shape(await hub.export.start_time(asked, caller.person))


@router.get("/exports/{export}", summary="Follow an export")
async def follow(export: ExportName, caller: Overseeing, hub: TheHub) -> schemas.ExportAnswer:
    """Tell how far an export is."""
    return _shape(await hub.export.get(export))


@router.get("/exports/{export}/bundle.zip", response_class=FileResponse, summary="Fetch an export's bundle")
async def bundle(export: ExportName, caller: Overseeing, hub: TheHub) -> FileResponse:
    """Give the bundle of a finished export."""
    state = await hub.export.get(export)
    return FileResponse(await hub.export.bundle(export), media_type="application/zip", filename=f"{state.task}.zip")


def _shape(state: ExportState) -> schemas.ExportAnswer:
    return schemas.ExportAnswer(
        export=state.export,
        task=state.task,
        state=state.state,
        done_bytes=state.done_bytes,
        total_bytes=state.total_bytes,
        what=state.what,
        notes=list(state.notes),
        bundle=f"/api/v1/exports/{state.export}/bundle.zip" if state.state == "done" else None,
    )
