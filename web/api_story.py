"""Stories of tasks and declarations as of any moment; marks, instructions, second looks; the board."""

from collections.abc import Iterable
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Query

from hub.access import Role
from hub.inspection.story.board import COLUMNS
from hub.inspection.story.stories import Story
from hub.inspection.story.telling import Entry
from hub.inspection.supervision.second_looks import Look
from protocol.errors import ForbiddenError, MalformedError
from protocol.identifiers import TaskId
from web import schemas as common
from web import shaping
from web import story_schemas as schemas
from web.guards import INSPECTOR, Anyone, Caller, Inspecting, Overseeing, Supervisor, TheHub, need_role

router = APIRouter(tags=["supervision"])
Known = Annotated[Caller, Depends(need_role(*get_args(Role)))]
AsOf = Annotated[float | None, Query(ge=0, le=4e12, description="as the log held it at this moment; none: as it stands")]


@router.get("/tasks/{task}/story", summary="Get all that happened in a task")
async def task_story(task: str, caller: Anyone, hub: TheHub, as_of_ms: AsOf = None) -> schemas.StoryAnswer:
    """Give a task's story with its declaration's, each entry with the place of its record."""
    caller.need(await hub.tasks.get(TaskId(task)))
    return shape_story(await hub.stories.task(TaskId(task), _ns(as_of_ms)), await _names(hub))


@router.get("/declarations/{number}/story", summary="Get all that happened to a declaration")
async def declaration_story(number: str, caller: Anyone, hub: TheHub, as_of_ms: AsOf = None) -> schemas.StoryAnswer:
    """Give a declaration's story with its tasks'; an inspector sees those of their own tasks."""
    story = await hub.stories.declaration(number, _ns(as_of_ms))
    if caller.role == INSPECTOR:
        await _check_theirs(story, caller, hub)
    return shape_story(story, await _names(hub))


async def _check_theirs(story: Story, caller: Caller, hub: TheHub) -> None:
    found = [await hub.tasks.get(task) for task in story.tasks]
    if not any(caller.may_see(task) for task in found):
        raise ForbiddenError("not of your tasks", where="declaration")


@router.post("/tasks/{task}/annotations", status_code=201, summary="Mark a moment of a task")
async def annotate(task: str, ask: schemas.AnnotationAsk, caller: Supervisor, hub: TheHub) -> schemas.PlaceAnswer:
    """Log a mark; a correction is another mark that names the one it replaces."""
    span = shaping.ns(ask.from_ms), shaping.ns(ask.to_ms)
    position = await hub.supervision.annotate(TaskId(task), span, ask.text, caller.person, stream=ask.stream or None, corrects=ask.corrects)
    return schemas.PlaceAnswer(position=position)


@router.get("/tasks/{task}/instructions", summary="List what the people of a task were told")
async def list_instructions(task: str, caller: Anyone, hub: TheHub) -> schemas.InstructionsAnswer:
    """Give the instructions of a task, with who read each."""
    caller.need(await hub.tasks.get(TaskId(task)))
    told = await hub.supervision.instructions(TaskId(task))
    shapes = [
        schemas.InstructionShape(
            position=one.position,
            at_ms=shaping.ms(one.at_ns),
            by=one.by,
            text=one.text,
            read_ms=shaping.ms_or_none(one.read_ns),
            read_by=one.read_by,
        )
        for one in told
    ]
    return schemas.InstructionsAnswer(instructions=shapes)


@router.post("/tasks/{task}/instructions", status_code=201, summary="Tell the people of a task something")
async def instruct(task: str, ask: schemas.InstructionAsk, caller: Supervisor, hub: TheHub) -> schemas.PlaceAnswer:
    """Log an instruction; the phones on the task show it until somebody has read it."""
    return schemas.PlaceAnswer(position=await hub.supervision.instruct(TaskId(task), ask.text, caller.person))


@router.post("/tasks/{task}/instructions/{position}/acknowledge", status_code=201, summary="Say that an instruction was read")
async def acknowledge(task: str, position: int, caller: Inspecting, hub: TheHub) -> schemas.PlaceAnswer:
    """Log that somebody on the task has read it; said again it is the same record."""
    return schemas.PlaceAnswer(position=await hub.supervision.acknowledge(TaskId(task), position, caller.person))


@router.get("/second-looks", summary="List second looks")
async def list_looks(caller: Anyone, hub: TheHub, open_only: bool = True) -> schemas.LooksAnswer:
    """Give finished tasks that were drawn to be looked at again; an inspector sees those given to them."""
    found = await hub.second_looks.list(open_only=open_only)
    mine = [look for look in found if caller.role != INSPECTOR or look.to == caller.person]
    return schemas.LooksAnswer(looks=[_look(look) for look in mine], names=await _names(hub))


@router.post("/second-looks/{task}/assignment", status_code=201, summary="Give a second look to somebody")
async def assign(task: str, ask: schemas.AssignmentAsk, caller: Supervisor, hub: TheHub) -> schemas.LookShape:
    """Give it to somebody with a login who was not on the inspection."""
    person = await hub.access.person(ask.to)
    if person is None or person.disabled:
        raise MalformedError("is nobody with a login here", where="to")
    return _look(await hub.second_looks.assign(TaskId(task), ask.to, caller.person))


@router.post("/second-looks/{task}/result", status_code=201, summary="Say what a second look found")
async def find(task: str, ask: schemas.FoundAsk, caller: Inspecting, hub: TheHub) -> schemas.LookShape:
    """Log what was found, by the one to whom it was given."""
    return _look(await hub.second_looks.find(TaskId(task), ask.outcome, ask.text, caller.person))


@router.get("/badges", summary="Count what waits for the caller")
async def badges(caller: Known, hub: TheHub) -> schemas.BadgesAnswer:
    """Give what waits by name, and which first steps a new house has taken, for those who see to them."""
    found = await hub.waiting.of(caller.person, caller.role)
    return schemas.BadgesAnswer(counts=found.counts, begun=found.begun)


@router.get("/board", summary="Get what stands where")
async def board(caller: Anyone, hub: TheHub) -> schemas.BoardAnswer:
    """Give a card for each inspection in the column of its next step; an inspector sees their own."""
    found = await hub.board.read(str(caller.person) if caller.role == INSPECTOR else None)
    cards = [
        schemas.CardShape(
            column=card.column,
            declaration=card.declaration,
            task=card.task,
            title=card.title,
            state=card.state,
            since_ms=shaping.ms(card.since_ns),
            people=list(card.people),
            bay=card.bay,
            alarms=card.alarms,
            held=card.held,
            have=None if card.meter is None else card.meter[0],
            want=None if card.meter is None else card.meter[1],
        )
        for card in found
    ]
    now_ms = shaping.ms(hub.core.clock.now().wall_ns)
    return schemas.BoardAnswer(columns=list(COLUMNS), cards=cards, names=await _names(hub), now_ms=now_ms)


@router.get("/log/leaf/{index}", summary="Find the record that a leaf of the port log is")
async def leaf(index: int, caller: Overseeing, hub: TheHub) -> common.RecordPlace:
    """Give the place of the record at a leaf."""
    found = await hub.records.at_leaf(index)
    return common.RecordPlace(issuer=found[0], epoch=found[1], position=found[2])


def _ns(ms: float | None) -> int | None:
    return None if ms is None else shaping.ns(ms)


async def _names(hub: TheHub) -> dict[str, str]:
    return {str(person.name): person.display for person in await hub.access.people()}


def shape_story(story: Story, names: dict[str, str]) -> schemas.StoryAnswer:
    """Shape a story; `names` are those of all people by login."""
    now = story.stood
    rules = [schemas.RuleShape(what=rule.what, version=rule.version, position=rule.position) for rule in now.rules]
    standing = schemas.StandingShape(
        state=now.state,
        version=now.version,
        since_ms=shaping.ms_or_none(now.since_ns),
        rule=now.rule,
        holds=list(now.holds),
        task_state=now.task_state,
        rules=rules,
    )
    return schemas.StoryAnswer(
        tasks=list(story.tasks),
        declaration=story.declaration,
        as_of_ms=shaping.ms(story.moment.at_ns),
        is_now=story.moment.is_now,
        size=story.moment.size,
        checkpoint=None if story.moment.checkpoint is None else story.moment.checkpoint.decode(),
        standing=standing,
        entries=[_entry(entry) for entry in story.entries],
        cut=story.cut,
        names=_named(story.entries, names),
    )


def _named(entries: Iterable[Entry], names: dict[str, str]) -> dict[str, str]:
    mentioned = {login for entry in entries for login in (entry.who, entry.second) if login is not None}
    return {login: names[login] for login in sorted(mentioned) if login in names}


def _entry(entry: Entry) -> schemas.StoryEntry:
    place = entry.place
    return schemas.StoryEntry(
        from_ms=shaping.ms(entry.from_ns),
        to_ms=shaping.ms(entry.to_ns),
        lane=entry.lane,
        kind=entry.kind,
        act=entry.act,
        who=entry.who,
        second=entry.second,
        text=entry.text,
        rule=entry.rule,
        stream=entry.stream,
        facts=dict(entry.facts),
        files=list(entry.files),
        erased=entry.erased,
        record=common.RecordPlace(issuer=place.issuer, epoch=place.epoch, position=place.position),
        log_index=place.log_index,
    )


def _look(look: Look) -> schemas.LookShape:
    return schemas.LookShape(
        task=look.task,
        drawn_at=look.drawn_at,
        drawn_ms=shaping.ms(look.drawn_ns),
        assigned_at=look.assigned_at,
        to=look.to,
        found_at=look.found_at,
        found_ms=shaping.ms_or_none(look.found_ns),
        outcome=look.outcome,
        by=look.by,
        text=look.text,
        declaration=look.declaration,
        enterprise=look.enterprise,
    )
