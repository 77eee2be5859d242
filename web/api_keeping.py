"""Decide how long a task's video is kept, hold it, and confirm a disposal that is larger than usual."""

from fastapi import APIRouter

from hub.app import Hub
from hub.keeping import TaskKeeping
from protocol import kinds
from web import schemas
from web.guards import Administrator, Anyone, Overseeing, TheHub

router = APIRouter(tags=["keeping"])


@router.get("/tasks/{task}/keeping", summary="Get how long a task's video is kept")
async def get_keeping(task: str, caller: Anyone, hub: TheHub) -> schemas.KeepingAnswer:
    """Give a task's retention class and whether it is held; an inspector sees that of their tasks."""
    caller.need(await hub.tasks.get(task))
    return _shape(await hub.keeping.get(task), hub)


@router.post("/tasks/{task}/keeping", summary="Decide how long a task's video is kept")
async def decide_keeping(task: str, ask: schemas.KeepingAsk, caller: Overseeing, hub: TheHub) -> schemas.KeepingAnswer:
    """Record a task's class, or a legal hold on it or off it."""
    body = kinds.Keeping(ask.state, caller.person, ask.reason, ask.kept_as)
    return _shape(await hub.keeping.decide(task, body), hub)


@router.post("/retention/confirm", status_code=204, summary="Let a disposal go on that is larger than usual")
async def confirm(ask: schemas.ReasonAsk, caller: Administrator, hub: TheHub) -> None:
    """Confirm once, with a reason, what a pass stopped at; the word is a record."""
    await hub.keeping.confirm(caller.person, ask.reason)


def _shape(found: TaskKeeping, hub: Hub) -> schemas.KeepingAnswer:
    classes = [schemas.RetentionClass(name=one.name, days=one.days, source=one.source) for one in hub.keeping.classes.values()]
    return schemas.KeepingAnswer(task=found.task, kept_as=found.kept_as, held=found.held, classes=classes)
