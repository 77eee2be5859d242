"""Keep what is on record of enterprises by its records, and grade from it in any transaction.

Guarantees: rows depend on records alone; a grade is that of `protocol.crediting` over them, with the rule set in force on the day; erasing
a sheet changes no grade. "As known by a time" leaves out what was logged later: events, decisions of appeals, rule sets.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from hub.inspection.crediting.shipped import KEYS, shipped_rules
from hub.inspection.rule_sets import credit_rules, document_on, project_rule_set
from protocol.conduct_kinds import Appeal, CreditEvent, RuleSet
from protocol.crediting.grading import grade
from protocol.crediting.model import Event, Grading
from protocol.crediting.model import RuleSet as CreditRules
from protocol.crediting.reading import DRAW_GRADES
from protocol.records import Record
from storage.conduct_schema import credit_appeals as appeals
from storage.conduct_schema import credit_events as events
from storage.database import insert_new


@dataclass(frozen=True, slots=True)
class Grades:
    """How an enterprise is graded on a day, and what follows. `draw`: the grade for the draw's policy, the worse of both rule sets'.

    `rate_percent`: of the usual rate of checks; `direct`: release without a check is open to it; `rules`: names of both rule sets.
    """

    ciq: str
    customs: str
    joint_list: bool
    draw: str
    direct: bool
    rate_percent: int
    rules: tuple[str, ...]


def project_credit(connection: Connection, record: Record, body: CreditEvent | Appeal | RuleSet) -> None:
    """Insert a record's row."""
    place = {"position": record.position, "enterprise": record.subject, "sheet": body.sheet, "wall_ns": record.at.wall_ns}
    if isinstance(body, RuleSet):
        project_rule_set(connection, record, body)
    elif isinstance(body, Appeal):
        connection.execute(insert_new(connection, appeals), [place | {"event": body.event, "act": body.act}])
    else:
        row = place | {"item": body.item, "day": body.day, "expires": body.expires, "points": body.points, "rule": body.rule}
        connection.execute(insert_new(connection, events), [row | {"facts": json.dumps(dict(body.facts), sort_keys=True)}])


def event_row(connection: Connection, position: int) -> RowMapping | None:
    """Give an event's row by the place of its record."""
    return connection.execute(select(events).where(events.c.position == position)).mappings().first()


def event_rows(connection: Connection, enterprise: str, *, known_ns: int | None = None) -> list[RowMapping]:
    """Give the rows of an enterprise's events, in the order of the log."""
    wishes = [events.c.enterprise == enterprise] + ([] if known_ns is None else [events.c.wall_ns <= known_ns])
    return list(connection.execute(select(events).where(*wishes).order_by(events.c.position)).mappings())


def appeal_rows(connection: Connection, enterprise: str, *, known_ns: int | None = None) -> list[RowMapping]:
    """Give the rows of an enterprise's appeals, in the order of the log."""
    wishes = [appeals.c.enterprise == enterprise] + ([] if known_ns is None else [appeals.c.wall_ns <= known_ns])
    return list(connection.execute(select(appeals).where(*wishes).order_by(appeals.c.position)).mappings())


def open_appeals(connection: Connection) -> list[RowMapping]:
    """Give the newest row of every appeal that nobody decided yet, oldest first."""
    newest = select(func.max(appeals.c.position)).group_by(appeals.c.event)
    query = select(appeals).where(appeals.c.act == "filed", appeals.c.position.in_(newest)).order_by(appeals.c.position)
    return list(connection.execute(query).mappings())


def events_of(connection: Connection, enterprise: str, *, known_ns: int | None = None) -> list[Event]:
    """Give an enterprise's events as grading takes them."""
    states: dict[int, Any] = {row["event"]: row["act"] for row in appeal_rows(connection, enterprise, known_ns=known_ns)}
    return [
        Event(
            id=str(row["position"]),
            item=row["item"],
            day=row["day"],
            expires=row["expires"],
            points=row["points"],
            facts=tuple(sorted(json.loads(row["facts"]).items())),
            appeal=states.get(row["position"], "none"),
        )
        for row in event_rows(connection, enterprise, known_ns=known_ns)
    ]


def rules_on(connection: Connection, key: str, day: str, *, known_ns: int | None = None) -> CreditRules:
    """Give the rule set in force on a day: the one that people set for it, or the shipped one."""
    document = document_on(connection, "credit", key, day, known_ns=known_ns)
    return shipped_rules(key) if document is None else credit_rules(document)


def gradings_on(connection: Connection, enterprise: str, day: str, *, known_ns: int | None = None) -> dict[str, Grading]:
    """Grade an enterprise on a day by each rule set, with all of the reckoning."""
    found = events_of(connection, enterprise, known_ns=known_ns)
    return {key: grade(found, rules_on(connection, key, day, known_ns=known_ns), day) for key in KEYS}


def grade_on(connection: Connection, enterprise: str, day: str, *, known_ns: int | None = None) -> Grades:
    """Grade an enterprise on a day; `known_ns`: as was known by that time, None: as is known now."""
    gradings = gradings_on(connection, enterprise, day, known_ns=known_ns)
    return joined(gradings, {key: rules_on(connection, key, day, known_ns=known_ns) for key in KEYS})


def joined(gradings: dict[str, Grading], rules: dict[str, CreditRules]) -> Grades:
    """Join the gradings of both rule sets: of each measure the stricter."""
    both = list(gradings.values())
    stands_for = [next(one.draw for one in rules[key].grades if one.key == found.grade) for key, found in gradings.items()]
    return Grades(
        ciq=gradings["ciq"].grade,
        customs=gradings["customs"].grade,
        joint_list=any(one.sanction.joint_list for one in both),
        draw=max(stands_for, key=DRAW_GRADES.index),
        direct=all(one.sanction.direct for one in both),
        rate_percent=max(one.sanction.rate_percent for one in both),
        rules=tuple(one.rules for one in both),
    )


def on_record(connection: Connection) -> Sequence[str]:
    """Give the enterprises of which anything is on record, by code."""
    return connection.execute(select(events.c.enterprise).distinct().order_by(events.c.enterprise)).scalars().all()
