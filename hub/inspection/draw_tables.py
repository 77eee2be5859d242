"""Keep draws, their policies and what two persons changed of them, by their records; and the documents that these name by hash.

Guarantees: rows depend on records alone; a pool, a result and a checkpoint of a closing are kept under the hash that a record binds.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from hub.inspection.sheets import said
from protocol.drawing.judging import Act, final_teams
from protocol.drawing.policy import Policy
from protocol.drawing.pool import Left, Pool, parse_pool
from protocol.drawing.selection import select as select_drawn
from protocol.errors import RefusedError, StorageError
from protocol.inspection_kinds import DrawAct, DrawCall, DrawClosing, DrawPolicy, DrawResult
from protocol.records import Record, read_again
from storage.database import insert_new
from storage.logs import port_entries
from storage.schema import draw_acts, draw_documents, draw_policies, draws

Row = dict[str, Any]
DrawBody = DrawPolicy | DrawCall | DrawClosing | DrawResult | DrawAct
PORT = "port"  # the subject of what is of no one draw
CALLED, CLOSED, DRAWN, FALLEN_BACK = "called", "closed", "drawn", "fallen back"


def project_draw(connection: Connection, record: Record, body: DrawBody) -> None:
    """Insert a record's row, or bring its draw's row up to date."""
    at = record.position
    if isinstance(body, DrawPolicy):
        row = {"position": at, "hash": Policy.parse(body.document).hash, "rules": record.subject, "sheet": body.sheet}
        connection.execute(insert_new(connection, draw_policies), [row])
    elif isinstance(body, DrawAct):
        row = {"position": at, "subject": record.subject, "act": body.act, "sheet": body.sheet, "wall_ns": record.at.wall_ns}
        connection.execute(insert_new(connection, draw_acts), [row])
    elif isinstance(body, DrawCall):
        row = {"number": body.number, "name": record.subject, "state": CALLED, "closes_ns": body.closes_ns, "policy": body.policy}
        row |= {"chain": body.chain, "called_at": at}
        empty = ("closed_at", "closed_ns", "root", "entries", "inspectors", "drawn_at", "seed", "selected", "result")
        connection.execute(insert_new(connection, draws), [row | dict.fromkeys(empty)])
    else:
        _bring_up(connection, record, body)


def _bring_up(connection: Connection, record: Record, body: DrawClosing | DrawResult) -> None:
    mine = update(draws).where(draws.c.number == body.number)
    if isinstance(body, DrawClosing):
        facts = {"state": CLOSED, "closed_at": record.position, "closed_ns": record.at.wall_ns, "root": body.root}
        connection.execute(mine.values(**facts, entries=body.entries, inspectors=body.inspectors))
    else:
        facts = {"state": body.outcome, "drawn_at": record.position, "seed": body.seed, "selected": body.selected}
        connection.execute(mine.values(**facts, result=body.result))


def newest_draw(connection: Connection) -> Row | None:
    """Give the newest draw's row."""
    row = connection.execute(select(draws).order_by(draws.c.number.desc()).limit(1)).mappings().first()
    return None if row is None else dict(row)


def draw_row(connection: Connection, number: int) -> Row:
    """Give a draw's row; raise RefusedError when there is none of this number."""
    row = connection.execute(select(draws).where(draws.c.number == number)).mappings().first()
    if row is None:
        raise RefusedError("is not known", where=f"draw {number}")
    return dict(row)


def newest_policy(connection: Connection) -> tuple[int, Policy]:
    """Give the policy in force and the place of its record; raise RefusedError when none was set."""
    row = connection.execute(select(draw_policies).order_by(draw_policies.c.position.desc()).limit(1)).first()
    if row is None:
        raise RefusedError("none was set yet", where="draw policy")
    return row.position, read_policy(connection, row.position)


def policy_of(connection: Connection, hashed: bytes, before: int) -> tuple[int, Policy]:
    """Give a policy by its hash, as it was set last before a place of the log."""
    mine = select(draw_policies).where(draw_policies.c.hash == hashed, draw_policies.c.position < before)
    row = connection.execute(mine.order_by(draw_policies.c.position.desc()).limit(1)).first()
    if row is None:
        raise StorageError("is missing", where=f"draw policy {hashed.hex()[:16]}")
    return row.position, read_policy(connection, row.position)


def read_policy(connection: Connection, position: int) -> Policy:
    """Read a policy from its record."""
    body = body_at(connection, position)
    assert isinstance(body, DrawPolicy)
    return Policy.parse(body.document)


def body_at(connection: Connection, position: int) -> object:
    """Give the body of the hub's record at a place of the log."""
    return read_again(port_entries(connection, position, position + 1)[0]).record.body


def keep_document(connection: Connection, name: bytes, data: bytes) -> None:
    """Keep what a record names by hash, in the transaction that logs it."""
    connection.execute(insert_new(connection, draw_documents), [{"name": name, "data": data}])


def document(connection: Connection, name: bytes) -> bytes | None:
    """Give a document by its name."""
    found = connection.execute(select(draw_documents.c.data).where(draw_documents.c.name == name)).scalar()
    return None if found is None else bytes(found)


def pool_lines(connection: Connection, root: bytes) -> list[str]:
    """Give the lines of a closed pool; raise StorageError when they are gone."""
    data = document(connection, root)
    if data is None:
        raise StorageError("is missing", where=f"draw pool {root.hex()[:16]}")
    return data.decode("ascii").split("\n")


def pool_of(connection: Connection, root: bytes) -> Pool:
    """Give a closed pool."""
    return parse_pool(pool_lines(connection, root))


def result_lines(connection: Connection, name: bytes) -> tuple[list[str], list[str]]:
    """Give the lines of a result, probabilities and teams; raise StorageError when they are gone."""
    data = document(connection, name)
    if data is None:
        raise StorageError("is missing", where=f"draw result {name.hex()[:16]}")
    value = json.loads(data)
    return value["probabilities"], value["teams"]


def exclusions(connection: Connection) -> list[Left]:
    """Give what is left out of pools now: excluded and not readmitted since."""
    found: dict[tuple[str, str], Left] = {}
    rows = connection.execute(select(draw_acts).where(draw_acts.c.act.in_(("excluded", "readmitted"))).order_by(draw_acts.c.position))
    for row in rows.all():
        words = said(connection, bytes(row.sheet))
        if words is None:
            continue
        key = (words["kind"], words["id"])
        if row.act == "excluded":
            found[key] = Left(words["kind"], words["id"], row.position)
        else:
            found.pop(key, None)
    return list(found.values())


def acts_of(connection: Connection, name: str) -> Sequence[Act]:
    """Give what two persons changed of a draw, in order; what was erased of it is left out."""
    rows = connection.execute(select(draw_acts).where(draw_acts.c.subject == name).order_by(draw_acts.c.position)).all()
    found = [(row.position, row.act, said(connection, bytes(row.sheet))) for row in rows]
    return [Act(position, act, words) for position, act, words in found if words is not None]


def final_of(connection: Connection, row: Row) -> dict[str, tuple[str, ...]]:
    """Give the teams of a draw that is over, by declaration, after what two persons changed of them."""
    policy = policy_of(connection, bytes(row["policy"]), row["called_at"])[1]
    pool = pool_of(connection, bytes(row["root"]))
    selection = select_drawn(policy, pool, bytes(row["seed"]), everything=row["state"] == FALLEN_BACK)
    return {team.id: team.members for team in final_teams(pool, selection, bytes(row["seed"]), acts_of(connection, row["name"]))}


def changed_teams(connection: Connection) -> dict[tuple[int, str], tuple[str, ...]]:
    """Give the teams of every draw in which two persons changed one since, by draw and declaration."""
    names = select(draw_acts.c.subject).where(draw_acts.c.act.in_(("refused", "overridden"))).distinct()
    rows = connection.execute(select(draws).where(draws.c.name.in_(names), draws.c.drawn_at.is_not(None))).mappings().all()
    return {(row["number"], number): team for row in rows for number, team in final_of(connection, dict(row)).items()}
