"""Gather the pool of a draw from the hub's tables, in the transaction that closes it.

Guarantees: every declaration that was screened by the closing time and is not drawn yet is in the pool, unless two persons left it out;
every inspector in the reference data is in it with duty, qualifications, recusals and open inspections as they stand; what a screening
does not say is taken at its strictest.
"""

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from hub.inspection import entries as references
from hub.inspection.catalogue import Inspector as InspectorEntry
from hub.inspection.draw_tables import (
    acts_of,
    body_at,
    changed_teams,
    draw_row,
    exclusions,
    final_of,
    pool_of,
    result_lines,
)
from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol.drawing.policy import PARTS, TOKEN, Policy
from protocol.drawing.pool import Count, Entry, Inspector, Left, Pool
from protocol.inspection_kinds import DrawResult, Step
from protocol.instants import SECOND_NS
from protocol.sheets import Sheet, open_sheet
from storage.schema import declaration_steps, draws, sheets, standings

S = State
WORKING = (S.SELECTED, S.HELD, S.DISPATCHED, S.POSITIONED, S.PAIRED, S.INSPECTING, S.SAMPLED, S.LAB_PENDING, S.TREATMENT, S.RE_INSPECT)

_ENDED = (S.WITHDRAWN.value, S.REJECTED.value, S.ARCHIVED.value)
CHUNK = 500  # names in one query


def token(text: str) -> str:
    """Give a name as lines may hold it: itself where it is plain, else a digest of it."""
    return text if TOKEN.fullmatch(text) else f"x-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def gather(connection: Connection, policy: Policy, number: int, closes_ns: int) -> Pool:
    """Give the pool of a draw as the tables stand."""
    left = exclusions(connection)
    out = {(one.kind, one.id) for one in left}
    waiting = undone(connection)
    found = [one for one in screened(connection, policy, closes_ns) if not _is_waiting(one, waiting.get(one.id))]
    people = on_list(connection, closes_ns)
    shown = {("declaration", one.id) for one in found} | {("inspector", one.id) for one in people}
    return Pool.of(
        number,
        closes_ns,
        [one for one in found if ("declaration", one.id) not in out],
        [one for one in people if ("inspector", one.id) not in out],
        counts(connection, number),
        [Left(one.kind, one.id, one.position) for one in left if (one.kind, one.id) in shown],
    )


def _is_waiting(entry: Entry, drawn: "Waiting | None") -> bool:
    """Tell whether a draw decided of it already: selected once is selected; what was not and reads otherwise now is drawn again."""
    return drawn is not None and (drawn.is_selected or drawn.entry.position == entry.position)


def counts(connection: Connection, number: int) -> tuple[Count, ...]:
    """Give the counts after the draw before."""
    at = connection.execute(select(draws.c.drawn_at).where(draws.c.number == number - 1)).scalar()
    if at is None:
        return ()
    body = body_at(connection, at)
    assert isinstance(body, DrawResult)
    return tuple(Count(*one) for one in body.counts)


def screened(connection: Connection, policy: Policy, closes_ns: int) -> list[Entry]:
    """Give the declarations that stand screened, by the sheet of their newest screening; a hold placed since then changes nothing."""
    steps, now, newest = declaration_steps, standings, _newest_screenings().subquery()
    query = select(steps.c.declaration, steps.c.position, steps.c.wall_ns, steps.c.sheet, sheets.c.salt, sheets.c.data)
    query = (
        query.outerjoin(sheets, sheets.c.commitment == steps.c.sheet)
        .join(newest, newest.c.position == steps.c.position)
        .join(now, now.c.declaration == steps.c.declaration)
    )
    query = query.where(now.c.state == State.SCREENED.value, steps.c.wall_ns <= closes_ns)
    return [
        entry_of(policy, row.declaration, _opened(row.sheet, row.salt, row.data), row.position, row.wall_ns)
        for row in connection.execute(query).all()
    ]


def _opened(commitment: bytes, salt: bytes | None, data: bytes | None) -> Any | None:  # noqa: ANN401 - JSON
    return None if salt is None or data is None else open_sheet(bytes(commitment), Sheet(bytes(salt), bytes(data)))


def _newest_screenings() -> Select[tuple[str, int]]:
    steps = declaration_steps
    query = select(steps.c.declaration, func.max(steps.c.position).label("position"))
    return query.where(steps.c.act == State.SCREENED.value, steps.c.kind == Step.KIND).group_by(steps.c.declaration)


def screened_at(connection: Connection, number: str) -> int | None:
    """Give the place of a declaration's newest screening."""
    query = _newest_screenings().where(declaration_steps.c.declaration == number)
    row = connection.execute(query).first()
    return None if row is None else row.position


def entry_of(policy: Policy, number: str, words: Mapping[str, Any] | None, position: int, entered_ns: int) -> Entry:
    """Make an entry of what a screening says under `draw`: stratum, lane, risk (parts in 10^9), grade, needs, parties.

    Where it does not say, or says what the policy does not know, the strictest holds: full risk, the lane and grade that weigh most.
    """
    value = (words or {}).get("draw")
    given: Mapping[str, Any] = value if isinstance(value, dict) else {}
    lane, grade, risk = given.get("lane"), given.get("grade"), given.get("risk")
    if lane not in policy.lanes:
        lane = max(policy.lanes, key=lambda name: (policy.lanes[name].certain, policy.lanes[name].weight, name))
    if grade not in policy.grades:
        grade = max(policy.grades, key=lambda name: (policy.grades[name], name))
    sound = type(risk) is int and 0 <= risk <= PARTS
    return Entry(
        token(number),
        token(str(given.get("stratum") or "other")),
        str(lane),
        risk if sound and isinstance(risk, int) else PARTS,
        str(grade),
        tuple(sorted({token(str(one)) for one in given.get("needs", ())})),
        tuple(sorted({token(str(one)) for one in given.get("parties", ())})),
        position,
        entered_ns,
    )


def on_list(connection: Connection, at_ns: int) -> list[Inspector]:
    """Give every inspector of the reference data with duty on the day of the closing, and open inspections."""
    day = datetime.fromtimestamp(at_ns // SECOND_NS, UTC).date().isoformat()
    loads = open_inspections(connection)
    found = []
    for row in references.standing(connection, "inspector"):
        words = said(connection, bytes(row["sheet"]))
        if words is None:
            continue
        one = InspectorEntry.model_validate(words["entry"])
        able = tuple(sorted({token(name) for name in one.qualifications}))
        away = tuple(sorted({token(recusal.enterprise) for recusal in one.recusals}))
        found.append(Inspector(token(row["key"]), one.serves(day), loads.get(token(row["key"]), 0), able, away))
    return found


def open_inspections(connection: Connection) -> dict[str, int]:
    """Count the inspections that are open, by inspector: of each selected declaration the team as it stands now."""
    steps, now, changed = declaration_steps, standings, changed_teams(connection)
    query = select(steps.c.declaration, steps.c.sheet).join(now, now.c.declaration == steps.c.declaration)
    query = query.where(steps.c.act == State.SELECTED.value, now.c.state.in_([state.value for state in WORKING]))
    loads: dict[str, int] = {}
    for row in connection.execute(query).all():
        words = said(connection, bytes(row.sheet)) or {}
        for who in changed.get((words.get("draw", 0), row.declaration), words.get("inspectors", ())):
            loads[who] = loads.get(who, 0) + 1
    return loads


def team_of(connection: Connection, number: str) -> tuple[str, ...]:
    """Give who inspects a declaration now, lead first; nobody where it was not selected by a draw."""
    steps = declaration_steps
    mine = select(steps.c.sheet).where(steps.c.declaration == number, steps.c.act == State.SELECTED.value)
    sheet = connection.execute(mine.order_by(steps.c.position.desc()).limit(1)).scalar()
    words = (said(connection, bytes(sheet)) or {}) if sheet is not None else {}
    if "draw" not in words:
        return ()
    row = draw_row(connection, words["draw"])
    final = final_of(connection, row) if acts_of(connection, row["name"]) else {}
    return final.get(number, tuple(words.get("inspectors", ())) if not final else ())


@dataclass(frozen=True, slots=True)
class Waiting:
    """A declaration that was drawn and has not taken its step yet; `position`: of the screening that it was drawn by."""

    number: int
    entry: Entry
    parts: Mapping[str, int]
    why: str
    members: tuple[str, ...]

    @property
    def is_selected(self) -> bool:
        """Tell whether it was selected; an amendment since then changes nothing about it."""
        return bool(self.why)


def undone(connection: Connection, settled: Container[int] = (), limit: int = 50) -> dict[str, Waiting]:
    """Give what was drawn and has not taken its step yet, of the last draws but those that are `settled`."""
    found: dict[str, Waiting] = {}
    rows = connection.execute(select(draws).where(draws.c.drawn_at.is_not(None)).order_by(draws.c.number.desc()).limit(limit)).mappings()
    for row in rows.all():
        if row["number"] in settled:
            continue
        pool = pool_of(connection, bytes(row["root"]))
        stepped = drawn_steps(connection, row["drawn_at"], [entry.id for entry in pool.entries])
        waiting = [entry for entry in pool.entries if entry.id not in stepped and entry.id not in found]
        if not waiting:
            continue
        probabilities, teams = result_of(connection, bytes(row["result"]))
        for entry in waiting:
            found[entry.id] = Waiting(row["number"], entry, *probabilities[entry.id], teams.get(entry.id, ()))
    return found


def result_of(connection: Connection, name: bytes) -> tuple[dict[str, tuple[dict[str, int], str]], dict[str, tuple[str, ...]]]:
    """Give the parts and reasons by declaration, and the teams; raise StorageError when the document is gone."""
    lines = result_lines(connection, name)
    parts: dict[str, tuple[dict[str, int], str]] = {}
    for line in lines[0]:
        number, national, risk, credit, floor, total, _, why = line.split("\t")
        values = {"national": national, "risk": risk, "credit": credit, "floor": floor, "total": total}
        parts[number] = {key: int(value) for key, value in values.items()}, why
    teams = {number: tuple(text.split(",")) if text else () for number, text in (line.split("\t") for line in lines[1])}
    return parts, teams


def drawn_steps(connection: Connection, drawn_at: int, numbers: Sequence[str]) -> set[str]:
    """Give those of some declarations that took a step by rule of a draw since its result, or ended."""
    steps = select(declaration_steps.c.declaration).where(declaration_steps.c.position > drawn_at, declaration_steps.c.rule.like("draw/%"))
    found = set(connection.execute(steps).scalars())
    rest = [number for number in numbers if number not in found]
    for start in range(0, len(rest), CHUNK):
        gone = standings.c.declaration.in_(rest[start : start + CHUNK]), standings.c.state.in_(_ENDED)
        found |= set(connection.execute(select(standings.c.declaration).where(*gone)).scalars())
    return found
