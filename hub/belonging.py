"""Tell what belongs to the tasks of one inspector: which pieces of a stream, and which streams.

Guarantees: a piece belongs by the same rule as on a task's timeline: cameras from opening to end, recorders while a box's own
record pairs them.
"""

import json

from sqlalchemy import ColumnElement, Connection, or_, select

from hub.bonds import bonds_of
from hub.tasks import facts_of, heirs
from hub.values import TaskFacts
from protocol.identifiers import StreamId
from protocol.instants import Interval
from protocol.linking import TaskSpan, stretches
from storage.fieldwork_schema import task_people
from storage.schema import bonds, orders, tasks


def piece_is_theirs(connection: Connection, person: str, stream: str, wall: Interval) -> bool:
    """Tell whether a piece of a stream is linked to any task of an inspector."""
    paired = select(bonds.c.task).where(bonds.c.stream == stream)
    concerned = or_(tasks.c.cameras.contains(json.dumps(stream), autoescape=True), tasks.c.task.in_(paired))
    for facts in _tasks_of(connection, person, concerned):
        span = TaskSpan(facts.opened_ns, facts.ended_ns, tuple(StreamId(camera) for camera in facts.cameras))
        parts = stretches(span, bonds_of(connection, facts.task)).get(StreamId(stream), [])
        if any(wall.start < part.end and wall.end > part.start for part in parts):
            return True
    return False


def streams_of(connection: Connection, person: str) -> frozenset[str]:
    """Give the streams that the tasks of an inspector concern: cameras, and recorders ordered or paired."""
    theirs = {facts.task: facts.cameras for facts in _tasks_of(connection, person)}
    found = {camera for cameras in theirs.values() for camera in cameras}
    for table in (orders, bonds):
        rows = connection.execute(select(table.c.task, table.c.stream).where(table.c.state == "paired").distinct())
        found |= {row.stream for row in rows if row.task in theirs}
    return frozenset(found)


def _tasks_of(connection: Connection, person: str, *conditions: ColumnElement[bool]) -> list[TaskFacts]:
    handed = select(task_people.c.task).where(task_people.c.person == person)
    query = select(tasks).where(or_(tasks.c.inspectors.contains(json.dumps(person), autoescape=True), tasks.c.task.in_(handed)))
    rows = connection.execute(query.where(*conditions)).all()
    later = heirs(connection, [row.task for row in rows])
    found = [facts_of(row, (), later.get(row.task, ())) for row in rows]
    return [facts for facts in found if person in facts.inspectors]
