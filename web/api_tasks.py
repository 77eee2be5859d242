"""Tasks: open, list, end; their timeline, their code; pair and unpair recorders."""

import io
from typing import Annotated, Literal

import segno
from fastapi import APIRouter, Depends, Query, Request, Response

from hub.inspection.fieldwork.tables import OF_DISPATCH
from hub.tasks import TaskDraft
from hub.timeline import Wish
from protocol.errors import MalformedError
from protocol.identifiers import BayId, PersonId, StreamId, TaskId
from protocol.instants import Interval
from web import schemas, shaping, timeline_json
from web.guards import Anyone, Caller, Inspecting, Supervisor, TheHub
from web.seconding import second_person

router = APIRouter(prefix="/tasks", tags=["tasks"])


@router.get("", summary="List tasks")
async def list_tasks(
    caller: Anyone,
    hub: TheHub,
    state: Annotated[Literal["open", "ended"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.TasksAnswer:
    """Give tasks, newest first; an inspector sees their own."""
    found = await hub.tasks.list(state="opened" if state == "open" else state, limit=limit)
    seen = [facts for facts in found if caller.may_see(facts)]
    names = await _names(hub)
    # who is paired matters while a task is open; the list itself does not carry it
    whole = [await hub.tasks.get(facts.task) if facts.state == "opened" else facts for facts in seen]
    return schemas.TasksAnswer(tasks=[shaping.task(facts, names) for facts in whole])


@router.post("", status_code=201, summary="Open a task")
async def open_task(ask: schemas.TaskAsk, caller: Supervisor, hub: TheHub) -> schemas.TaskAnswer:
    """Open a task; the bay's cameras are linked to it from now on. Tasks of an inspection are opened by its dispatch alone."""
    if taken := sorted(OF_DISPATCH & ask.facts.keys()):
        raise MalformedError(f"{taken[0]} is told by a dispatch alone", where="facts")
    draft = TaskDraft(
        task=TaskId(ask.task),
        title=ask.title.strip() or ask.task,
        bay=BayId(ask.bay) if ask.bay else None,
        cameras=tuple(StreamId(stream) for stream in ask.cameras),
        inspectors=tuple(PersonId(name) for name in ask.inspectors),
        facts=tuple(sorted(ask.facts.items())),
    )
    return shaping.task(await hub.tasks.open(draft, caller.person), await _names(hub))


@router.get("/{task}", summary="Get a task")
async def get_task(task: str, caller: Anyone, hub: TheHub) -> schemas.TaskAnswer:
    """Give a task as it stands."""
    return shaping.task(caller.need(await hub.tasks.get(TaskId(task))), await _names(hub))


@router.post("/{task}/end", summary="End a task")
async def end_task(task: str, caller: Supervisor, hub: TheHub) -> schemas.TaskAnswer:
    """End a task: its recorders are freed and its boxes seal."""
    return shaping.task(await hub.tasks.end(TaskId(task), caller.person), await _names(hub))


def _within(
    from_ms: Annotated[float | None, Query(ge=0, le=4e12)] = None, to_ms: Annotated[float | None, Query(ge=0, le=4e12)] = None
) -> Interval | None:
    """Read the stretch that is asked for; none where an end is missing."""
    return None if from_ms is None or to_ms is None else Interval(shaping.ns(from_ms), max(shaping.ns(from_ms), shaping.ns(to_ms)))


@router.get("/{task}/timeline", response_model=schemas.TimelineAnswer, summary="Get a task's lanes over time")
async def get_timeline(
    task: str,
    caller: Anyone,
    hub: TheHub,
    as_of_ms: Annotated[float | None, Query(ge=0, le=4e12, description="as the log held it at this moment")] = None,
    within: Annotated[Interval | None, Depends(_within)] = None,
    detail: Annotated[Literal["pieces", "spans"] | None, Query()] = None,
) -> Response:
    """Give one lane per camera and recorder: segments, gaps with causes, coverage; by spans of hours where they are too many to see."""
    wish = Wish(within=within, detail=detail)
    line = await hub.stories.lanes(TaskId(task), None if as_of_ms is None else shaping.ns(as_of_ms), wish)
    caller.need(line.task)
    boxes = {StreamId(lane.stream).box for lane in line.lanes}
    return timeline_json.answer(line, [box for box in boxes if hub.devices.owes(box)])


@router.get("/{task}/code", summary="Get the task's short code")
async def get_code(task: str, caller: Inspecting, hub: TheHub) -> schemas.CodeAnswer:
    """Give the code that a recorder may be told, and its QR picture."""
    caller.need(await hub.tasks.get(TaskId(task)))
    code = await hub.tasks.code(TaskId(task), caller.person)
    drawn = io.BytesIO()
    segno.make(f"portwitness:pair?task={task}&code={code.code}", error="m").save(drawn, kind="svg", border=2, scale=4)
    return schemas.CodeAnswer(code=code.code, expires_ms=shaping.ms(code.expires_ns), qr_svg=drawn.getvalue().decode())


@router.post("/{task}/pairings", status_code=202, summary="Pair a recorder")
async def pair(task: str, ask: schemas.PairAsk, request: Request, caller: Inspecting, hub: TheHub) -> schemas.BondAnswer:
    """Order a pairing; it counts from the box's own record on. A late one needs a second person's password and a reason."""
    caller.need(await hub.tasks.get(TaskId(task)))
    second = await _second_person(ask, request, caller, hub) if ask.late_from_ms is not None else None
    state = await hub.pairings.pair(
        TaskId(task),
        StreamId(ask.stream),
        caller.person,
        late_from=None if ask.late_from_ms is None else shaping.ns(ask.late_from_ms),
        second=second,
        reason=ask.reason,
    )
    return shaping.bond(state)


async def _names(hub: TheHub) -> dict[str, str]:
    return {str(person.name): person.display for person in await hub.access.people()}


async def _second_person(ask: schemas.PairAsk, request: Request, caller: Caller, hub: TheHub) -> PersonId:
    if not ask.reason or not ask.reason.strip():
        raise MalformedError("a late pairing needs a reason", where="reason")
    if not ask.second:
        raise MalformedError("a late pairing needs a second person", where="second")
    if ask.second == caller.person:
        raise MalformedError("the second person must be another", where="second")
    if not ask.second_password:
        raise MalformedError("a password of the second person is needed", where="second_password")
    return await second_person(request, hub, caller, (ask.second, ask.second_password))


@router.delete("/{task}/pairings/{box}/{source}", status_code=202, summary="Unpair a recorder")
async def unpair(task: str, box: str, source: str, caller: Inspecting, hub: TheHub) -> schemas.BondAnswer:
    """Order that a recorder is freed; it counts from the box's own record on."""
    caller.need(await hub.tasks.get(TaskId(task)))
    return shaping.bond(await hub.pairings.unpair(TaskId(task), StreamId.of(box, source), caller.person))
