"""Derive where each declaration stands from its records: a pure fold, and its row.

Guarantees: rows depend on records alone, in the order of the log; sheets add nothing here, so erasing them changes no standing.
"""

import json
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from hub.inspection.sample_tables import lab_of
from hub.inspection.states import Standing, State
from protocol.errors import RefusedError
from protocol.inspection_kinds import Declaration, Hold, Step
from protocol.records import Record
from storage import schema
from storage.database import insert_many, upsert

Row = dict[str, Any]
_HELD_FROM = frozenset({State.HELD, State.RECALLED})


def project_step(connection: Connection, record: Record, body: Declaration | Step | Hold) -> None:
    """Insert a record's row and bring its declaration's standing up to date."""
    row: Row = {"position": record.position, "declaration": record.subject, "kind": record.kind, "act": body.state, "version": None}
    row |= {"authority": None, "rule": None, "sheet": body.sheet, "wall_ns": record.at.wall_ns}
    if isinstance(body, Declaration):
        row |= {"act": body.act, "version": body.version}
    elif isinstance(body, Step):
        row["rule"] = body.rule
    else:
        row["authority"] = body.authority
    insert_many(connection, schema.declaration_steps, list(row), [tuple(row.values())], leave_known=True)
    table = schema.standings
    if isinstance(body, Declaration) and body.act == "lodged":  # the first of its declaration: there is nothing to fold it onto
        first = folded(None, record, body)
        insert_many(connection, table, list(first), [tuple(first.values())], leave_known=True)
        return
    known = connection.execute(select(table).where(table.c.declaration == record.subject)).mappings().first()
    upsert(connection, table, folded(None if known is None else dict(known), record, body))


def folded(known: Row | None, record: Record, body: Declaration | Step | Hold) -> Row:
    """Give a declaration's row after a record."""
    at = record.at.wall_ns
    first: Row = {"declaration": record.subject, "state": State.LODGED.value, "version": 0, "selected": False, "held": False}
    row = first | {"holds": "[]", "lodged_ns": at} | (known or {}) | {"changed_ns": at, "position": record.position}
    return row | after(row, body)


def after(row: Row, body: Declaration | Step | Hold) -> Row:
    """Give what a record changes of where a declaration stands."""
    if isinstance(body, Hold):
        holds = set(json.loads(row["holds"]))
        holds = holds | {body.authority} if body.state == "placed" else holds - {body.authority}
        return {"holds": json.dumps(sorted(holds), ensure_ascii=False)}
    if isinstance(body, Declaration):
        return {"state": body.state, "version": body.version}
    held = (row["held"] or body.state in _HELD_FROM) and body.state != State.RELEASED
    return {"state": body.state, "selected": row["selected"] or body.state == State.SELECTED, "held": held}


def standing_row(connection: Connection, declaration: str) -> RowMapping:
    """Give a declaration's row; raise RefusedError when there is none of this number."""
    table = schema.standings
    row = connection.execute(select(table).where(table.c.declaration == declaration)).mappings().first()
    if row is None:
        raise RefusedError("is not known", where=f"declaration {declaration[:64]}")
    return row


def standing_of(row: Row | RowMapping) -> Standing:
    """Give what guards look at, as far as the declaration's own records say it."""
    return Standing(State(row["state"]), row["selected"], row["held"], frozenset(json.loads(row["holds"])))


def standing_now(connection: Connection, declaration: str) -> Standing:
    """Give what guards look at, with what the laboratory has against it; raise RefusedError when there is none of this number."""
    found = standing_of(standing_row(connection, declaration))
    return replace(found, laboratory=tuple(lab_of(connection, declaration).obstacles()))
