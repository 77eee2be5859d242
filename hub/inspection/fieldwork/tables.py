"""Keep what records say of work on site, and find it again by task, by declaration, by key.

Guarantees: rows of projections depend on records alone; each lookup is one of an index, whatever the history.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, and_, select

from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol import kinds
from protocol.errors import RefusedError
from protocol.records import Record
from protocol.work_kinds import DeviceKey, SystemNote, Ticket, Work
from storage.database import insert_new
from storage.fieldwork_schema import act_files, device_keys, inspection_tasks, system_notes, task_people, tickets, work_acts
from storage.schema import declaration_steps, tasks

WorkBody = DeviceKey | Work | SystemNote | Ticket
DECLARATION, PROCEDURE, VERSION, SHA256 = "declaration", "procedure", "procedure-version", "procedure-sha256"  # facts of a task
OF_DISPATCH = frozenset({PROCEDURE, VERSION, SHA256})  # those that make it one of an inspection


@dataclass(frozen=True, slots=True)
class SiteTask:
    """A task of an inspection: of which declaration, by which procedure, with whom."""

    task: str
    declaration: str
    procedure: str
    sha256: bytes
    position: int
    state: str
    title: str
    bay: str | None
    opened_ns: int
    ended_ns: int | None
    team: tuple[str, ...]
    cameras: tuple[str, ...]


def project_work(connection: Connection, record: Record, body: WorkBody) -> None:
    """Insert a record's row."""
    row: dict[str, Any] = {"position": record.position, "wall_ns": record.at.wall_ns}
    if isinstance(body, Work):
        row |= {"task": record.subject, "act": body.act, "id": body.id, "key": body.key, "seq": body.seq, "sheet": body.sheet}
        connection.execute(insert_new(connection, work_acts), [row | {"ahead_ms": body.ahead_ms}])
    elif isinstance(body, DeviceKey):
        row |= {"key": bytes.fromhex(record.subject), "state": body.state, "spki": body.spki, "until_ns": body.until_ns}
        connection.execute(insert_new(connection, device_keys), [row | {"sheet": body.sheet}])
    elif isinstance(body, SystemNote):
        row |= {"declaration": record.subject, "key": body.key, "sheet": body.sheet}
        connection.execute(insert_new(connection, system_notes), [row])
    else:
        row |= {"task": record.subject, "nonce": body.nonce, "until_ns": body.until_ns, "by": body.by}
        connection.execute(insert_new(connection, tickets), [row])


def project_site_task(connection: Connection, record: Record, body: kinds.Task) -> None:
    """Insert the row of a task that was opened for a declaration; of any other none."""
    facts = dict(body.facts or ())
    if body.state != "opened" or not {DECLARATION, PROCEDURE, SHA256} <= facts.keys():
        return
    row = {"task": record.subject, "declaration": facts[DECLARATION], "procedure": facts[PROCEDURE], "position": record.position}
    try:
        row["sha256"] = bytes.fromhex(facts[SHA256])
    except ValueError:
        return  # a task that a person opened by hand with such a fact
    connection.execute(insert_new(connection, inspection_tasks), [row])


def site_task(connection: Connection, task: str) -> SiteTask:
    """Give a task of an inspection; raise RefusedError when there is none of this name."""
    row = connection.execute(_site_tasks().where(inspection_tasks.c.task == task)).mappings().first()
    if row is None:
        raise RefusedError("is not known", where=f"task {task[:64]}")
    return _site_task(row)


def tasks_of(connection: Connection, number: str) -> list[SiteTask]:
    """Give the tasks of a declaration's newest dispatch, the first procedure's first; none before it."""
    steps = declaration_steps
    sent = select(steps.c.position).where(steps.c.declaration == number, steps.c.act == State.DISPATCHED.value)
    last = connection.execute(sent.order_by(steps.c.position.desc()).limit(1)).scalar()
    return [] if last is None else [one for one in all_tasks_of(connection, number) if one.position > last]


def all_tasks_of(connection: Connection, number: str) -> list[SiteTask]:
    """Give every task that was ever opened for a declaration, in order."""
    query = _site_tasks().where(inspection_tasks.c.declaration == number).order_by(inspection_tasks.c.position)
    return [_site_task(row) for row in connection.execute(query).mappings()]


def task_of(connection: Connection, number: str) -> str | None:
    """Give the first task of a declaration's newest dispatch; None before it."""
    return next((one.task for one in tasks_of(connection, number)), None)


def inspectors_of(connection: Connection, number: str) -> frozenset[str]:
    """Give everyone who is or ever was on a declaration's inspection, those to whom it was handed over included."""
    return frozenset(who for one in all_tasks_of(connection, number) for who in people_on(connection, one))


def people_on(connection: Connection, task: SiteTask) -> frozenset[str]:
    """Give everyone who is or was on a task."""
    later = connection.execute(select(task_people.c.person).where(task_people.c.task == task.task)).scalars()
    return frozenset(task.team) | frozenset(later)


def tasks_with(connection: Connection, person: str | None, limit: int = 200) -> list[SiteTask]:
    """Give the open tasks of inspections that somebody is on, newest first; of everybody (None)."""
    query = _site_tasks().where(tasks.c.state == "opened").order_by(inspection_tasks.c.position.desc()).limit(limit)
    if person is not None:
        mine = select(task_people.c.task).where(task_people.c.person == person)
        query = query.where(tasks.c.inspectors.contains(json.dumps(person), autoescape=True) | inspection_tasks.c.task.in_(mine))
    return [_site_task(row) for row in connection.execute(query).mappings()]


def acts_of(connection: Connection, task: str, after: int = -1) -> list[Row[Any]]:
    """Give the rows of a task's acts, in the order of the log, beyond a place."""
    mine = and_(work_acts.c.task == task, work_acts.c.position > after)
    return list(connection.execute(select(work_acts).where(mine).order_by(work_acts.c.position)).all())


def notes_of(connection: Connection, number: str) -> list[Row[Any]]:
    """Give what systems told of a declaration, in the order of the log."""
    mine = system_notes.c.declaration == number
    return list(connection.execute(select(system_notes).where(mine).order_by(system_notes.c.position)).all())


def form_of(connection: Connection, number: str) -> dict[str, Any]:
    """Give a declaration as it reads now, as JSON values; empty where its sheet was erased."""
    steps = declaration_steps
    mine = and_(steps.c.declaration == number, steps.c.act.in_(("lodged", "amended")))
    row = connection.execute(select(steps.c.sheet).where(mine).order_by(steps.c.position.desc()).limit(1)).scalar()
    words = None if row is None else said(connection, bytes(row))
    return {} if words is None else dict(words["form"])


def forms_of(connection: Connection, number: str) -> list[dict[str, Any]]:
    """Give a declaration as it read when it was selected and in every version since, newest first; those that are not erased.

    What was declared then is inspected, whatever is amended later.
    """
    steps = declaration_steps
    chosen = and_(steps.c.declaration == number, steps.c.act == State.SELECTED.value)
    selected = connection.execute(select(steps.c.position).where(chosen).order_by(steps.c.position).limit(1)).scalar()
    mine = and_(steps.c.declaration == number, steps.c.act.in_(("lodged", "amended")))
    rows = connection.execute(select(steps.c.position, steps.c.sheet).where(mine).order_by(steps.c.position.desc())).all()
    later = [row for row in rows if selected is None or row.position > selected]
    wanted = rows[:1] if selected is None else rows[: len(later) + 1]
    found = [said(connection, bytes(row.sheet)) for row in wanted]
    return [dict(words["form"]) for words in found if words is not None]


def used_elsewhere(connection: Connection, names: Collection[str], number: str) -> frozenset[str]:
    """Give those of some files, by hex, that an act of another declaration's inspection named first."""
    found: set[str] = set()
    wanted = sorted(names)
    for at in range(0, len(wanted), 500):
        some = [bytes.fromhex(name) for name in wanted[at : at + 500]]
        query = select(act_files.c.file, inspection_tasks.c.declaration).join(work_acts, work_acts.c.id == act_files.c.act)
        query = query.join(inspection_tasks, inspection_tasks.c.task == work_acts.c.task).where(act_files.c.file.in_(some))
        first: dict[bytes, str] = {}
        for row in connection.execute(query.order_by(work_acts.c.position)):
            first.setdefault(bytes(row.file), row.declaration)
        found |= {name.hex() for name, owner in first.items() if owner != number}
    return frozenset(found)


def _site_tasks() -> Any:  # noqa: ANN401 - a query
    names = (tasks.c.state, tasks.c.title, tasks.c.bay, tasks.c.opened_ns, tasks.c.ended_ns, tasks.c.inspectors, tasks.c.cameras)
    return select(inspection_tasks, *names).join(tasks, tasks.c.task == inspection_tasks.c.task)


def _site_task(row: RowMapping) -> SiteTask:
    return SiteTask(
        task=row["task"],
        declaration=row["declaration"],
        procedure=row["procedure"],
        sha256=bytes(row["sha256"]),
        position=row["position"],
        state=row["state"],
        title=row["title"],
        bay=row["bay"],
        opened_ns=row["opened_ns"],
        ended_ns=row["ended_ns"],
        team=tuple(json.loads(row["inspectors"])),
        cameras=tuple(json.loads(row["cameras"])),
    )
