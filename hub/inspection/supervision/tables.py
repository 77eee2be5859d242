"""Keep annotations, instructions and second looks by their records, and find those of a task.

Guarantees: rows depend on records alone; each lookup is one of an index, whatever the history.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select, update

from hub.inspection.sheets import said
from protocol.records import Record
from protocol.supervision_kinds import Annotation, Instruction, SecondLook, SecondRound
from storage.database import insert_new
from storage.fieldwork_schema import task_people
from storage.schema import annotations, instructions, second_looks, second_rounds, tasks

SupervisionBody = Annotation | Instruction | SecondRound | SecondLook
MAX_LISTED = 500


@dataclass(frozen=True, slots=True)
class Told:
    """An instruction with its acknowledgement; `by` and `text` are None where their sheet was erased."""

    position: int
    task: str
    at_ns: int
    by: str | None
    text: str | None
    read_at: int | None
    read_ns: int | None
    read_by: str | None


def project_supervision(connection: Connection, record: Record, body: SupervisionBody) -> None:
    """Insert a record's row, or bring its task's second look up to date."""
    at: dict[str, Any] = {"position": record.position, "wall_ns": record.at.wall_ns}
    if isinstance(body, Annotation):
        row = at | {"task": record.subject, "stream": body.stream, "from_ns": body.from_ns, "to_ns": body.to_ns}
        connection.execute(insert_new(connection, annotations), [row | {"corrects": body.corrects, "sheet": body.sheet}])
    elif isinstance(body, Instruction):
        row = at | {"task": record.subject, "act": body.act, "answers": body.answers, "sheet": body.sheet}
        connection.execute(insert_new(connection, instructions), [row])
    elif isinstance(body, SecondRound):
        row = at | {"draw": body.draw, "size": body.size, "parts": body.parts}
        connection.execute(insert_new(connection, second_rounds), [row])
        empty = dict.fromkeys(("assigned_at", "assigned_ns", "assigned_sheet", "found_at", "found_ns", "found_sheet", "outcome"))
        looks = [empty | {"task": name, "drawn_at": record.position, "drawn_ns": record.at.wall_ns} for name in body.chosen]
        if looks:
            connection.execute(insert_new(connection, second_looks), looks)
    else:
        facts: dict[str, Any] = {f"{body.act}_at": record.position, f"{body.act}_ns": record.at.wall_ns, f"{body.act}_sheet": body.sheet}
        facts |= {"outcome": body.outcome} if body.act == "found" else {}
        connection.execute(update(second_looks).where(second_looks.c.task == record.subject).values(facts))


def instructions_of(connection: Connection, task: str) -> Sequence[Told]:
    """Give the instructions of a task in order, for its page and for the phones on it."""
    query = select(instructions).where(instructions.c.task == task).order_by(instructions.c.position).limit(MAX_LISTED)
    rows = connection.execute(query).all()
    answers = {row.answers: row for row in rows if row.act == "acknowledged"}
    found = []
    for row in (one for one in rows if one.act == "given"):
        words = said(connection, bytes(row.sheet)) or {}
        read = answers.get(row.position)
        reader = None if read is None else (said(connection, bytes(read.sheet)) or {}).get("by")
        told = Told(row.position, row.task, row.wall_ns, words.get("by"), words.get("text"), None, None, reader)
        found.append(told if read is None else replace(told, read_at=read.position, read_ns=read.wall_ns))
    return found


def people_of(connection: Connection, task: str) -> frozenset[str]:
    """Give everyone who is or was on a task, after hand-overs, too; nobody where there is none of this name."""
    listed = connection.execute(select(tasks.c.inspectors).where(tasks.c.task == task)).scalar()
    later = connection.execute(select(task_people.c.person).where(task_people.c.task == task)).scalars()
    return frozenset() if listed is None else frozenset(json.loads(listed)) | frozenset(later)
