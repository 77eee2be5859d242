"""Lay the release desk: what can be released now, what is blocked by what and who can fix it, and what was released against the evidence.

Guarantees: what is blocked is judged as a release would be, from the log; what was overridden stays on the list for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from hub.inspection.releasing.clearing import Judged, Sources, judge, name_of
from hub.inspection.sheets import said
from hub.inspection.states import STEPS, State
from protocol.errors import PortwitnessError
from protocol.procedures.completeness import Missing
from storage.exchange_schema import releases
from storage.schema import declarants, standings

MAX_LISTED = 200
VERDICTS: Mapping[str, State] = {
    "pass": State.PASSED,
    "treat": State.TREATMENT,
    "rectify": State.RECTIFY,
    "re-inspect": State.RE_INSPECT,
    "return": State.RETURN,
    "destroy": State.DESTROY,
    "detain": State.DETAINED,
    "case": State.CASE_FILED,
}
TO_RELEASE = (State.PASSED, State.DIRECT_RELEASE, State.RELEASE_APPROVED, State.RECALLED)
AT_WORK = (State.INSPECTING, State.SAMPLED, State.LAB_PENDING, State.TREATMENT, State.DOC_CHECK, State.RE_INSPECT, State.RECTIFY)


@dataclass(frozen=True, slots=True)
class Block:
    """Something that stands against a release. `kind`: what sort; `who`: names of those who can fix it; `what`: in the log's words."""

    kind: str  # item, record, signature, hold, laboratory, verdict, log
    what: str
    who: tuple[str, ...]
    step: str = ""
    key: str = ""
    at: str = ""
    reason: str = ""
    have: int = 0
    want: int = 0


@dataclass(frozen=True, slots=True)
class Listed:
    """A declaration on the desk."""

    number: str
    state: State
    enterprise: str
    reference: str
    changed_ns: int
    task: str | None
    inspectors: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Overridden:
    """A release against the evidence. `against`: what stood in the way; None where its sheet was erased."""

    number: str
    position: int
    wall_ns: int
    state: State
    by: str | None
    second: str | None
    reason: str | None
    against: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Desk:
    """The three lists, newest first; `more`: that many are not shown."""

    ready: tuple[Listed, ...]
    blocked: tuple[Listed, ...]
    overridden: tuple[Overridden, ...]
    more: int


def desk(connection: Connection, size: int, sources: Sources, limit: int = 100) -> Desk:
    """Lay the desk as of a log of this size."""
    ready: list[Listed] = []
    blocked: list[Listed] = []
    found, more = _candidates(connection, min(limit, MAX_LISTED))
    for row in found:
        listed = _listed(connection, size, sources, row)
        (blocked if listed.blocks else ready).append(listed)
    return Desk(tuple(ready), tuple(blocked), tuple(_overridden(connection, min(limit, MAX_LISTED))), more)


def _candidates(connection: Connection, limit: int) -> tuple[list[Any], int]:
    columns = (standings, declarants.c.enterprise, declarants.c.reference)
    query = select(*columns).join(declarants, declarants.c.declaration == standings.c.declaration)
    query = query.where(standings.c.state.in_([state.value for state in (*TO_RELEASE, *AT_WORK)]))
    rows = connection.execute(query.order_by(standings.c.lodged_ns.desc()).limit(limit + 1)).mappings().all()
    return list(rows[:limit]), len(rows[limit:])


def _listed(connection: Connection, size: int, sources: Sources, row: RowMapping) -> Listed:
    number = row["declaration"]
    try:
        judged = judge(connection, size, number, sources)
        blocks, task, inspectors = blocks_of(judged), judged.task, tuple(sorted(judged.standing.inspectors))
    except PortwitnessError as error:
        blocks, task, inspectors = (Block("log", str(error), ("administrator",)),), None, ()
    return Listed(number, State(row["state"]), row["enterprise"], row["reference"], row["changed_ns"], task, inspectors, blocks)


def blocks_of(judged: Judged) -> tuple[Block, ...]:
    """Give everything that stands against a release, each with who can fix it."""
    now = judged.standing
    on_site = tuple(sorted(now.inspectors)) or ("inspector",)
    found = [_missing(one, on_site) for one in judged.lacks]
    found += [Block("hold", authority, (authority,)) for authority in sorted(now.holds)]
    found += [Block("laboratory", text, ("laboratory",)) for text in judged.laboratory]
    if not found and now.state not in TO_RELEASE:
        found.append(Block("verdict", now.state.value, on_site))
    known = {f"must-record {name_of(one)} is missing or not verified" for one in judged.lacks}
    known |= {f"{authority} holds it" for authority in now.holds} | set(judged.laboratory)
    if now.state in TO_RELEASE:
        found += [Block("verdict", text, on_site) for text in judged.against(None) if text not in known]
    return tuple(found)


def _missing(one: Missing, on_site: tuple[str, ...]) -> Block:
    return Block(one.what, name_of(one), on_site, one.step, one.key, one.at, one.reason, one.have, one.want)


def verdicts_of(state: State) -> Sequence[str]:
    """Give the verdicts that may be given where a declaration stands."""
    onward = set(STEPS[state])
    if State.FAILED in onward:
        onward |= set(STEPS[State.FAILED]) - {State.WITHDRAWN}
    judged_here = state in AT_WORK or state in (State.PASSED, State.FAILED, State.DETAINED, State.CASE_FILED, State.MOVED_UNDER_CONTROL)
    return [verdict for verdict, to in VERDICTS.items() if to in onward] if judged_here or state is State.RECALLED else []


def _overridden(connection: Connection, limit: int) -> list[Overridden]:
    query = select(releases, standings.c.state).join(standings, standings.c.declaration == releases.c.declaration)
    query = query.where(releases.c.act == "overridden").order_by(releases.c.position.desc()).limit(limit)
    return [_one_overridden(connection, row) for row in connection.execute(query).mappings()]


def _one_overridden(connection: Connection, row: RowMapping) -> Overridden:
    """Give a release against the evidence with what its sheet says."""
    sheet = said(connection, bytes(row["sheet"])) or {}
    against = tuple(sheet["against"]) if "against" in sheet else None
    names = (sheet.get("by"), sheet.get("second"), sheet.get("reason"))
    return Overridden(row["declaration"], row["position"], row["wall_ns"], State(row["state"]), *names, against)
