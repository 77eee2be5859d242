"""Find the single sampling plan of ISO 2859-1 (GB/T 2828.1) for a lot, and follow the switching rules from lot to lot.

Guarantees: an arrow moves letter and sample size together; a sample as large as the lot is inspection of the whole lot; a plan that
rests on a cell not checked against the printed table says so. Pure: the standing after a lot follows from the one before and the lot.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Literal, get_args

from protocol.errors import MalformedError, RefusedError
from protocol.sampling.exact import check_lot, read_fraction
from protocol.sampling.iso2859_tables import AQLS, LETTERS, LEVELS, LOT_BOUNDS, Cell, Master, Severity, Tables

STANDARD = Tables()
_WIDE = "ABCDE"


@dataclass(frozen=True, slots=True)
class Plan:
    """A sampling plan. `whole`: the sample is the lot; `unverified`: it rests on a cell not checked against the printed table."""

    letter: str
    n: int
    accept: int
    reject: int
    whole: bool = False
    unverified: bool = False


def plan_for(lot: int, level: str, aql: str, severity: Severity = "normal", tables: Tables = STANDARD) -> Plan:
    """Give the plan for a lot (tables 1 and 2); raise MalformedError for a lot, level, AQL or severity that the standard has not."""
    row, column = _row(lot, level), aql_index(aql)
    if severity not in get_args(Severity):
        raise MalformedError(f"{str(severity)[:20]!r} is none of {', '.join(get_args(Severity))}", where="inspection")
    master = tables.of(severity)
    row, cell, checked = _follow(master, row, column)
    n = master.sizes[row]
    return Plan(LETTERS[row], min(n, lot), cell, cell + 1, whole=n >= lot, unverified=not (checked and master.checked))


def aql_index(aql: str) -> int:
    """Give an AQL's column; raise MalformedError when it is none of the standard's. `1`, `1.0` and `1.0%` are the same."""
    wanted = read_fraction(aql.strip().removesuffix("%"), "aql")
    for index, one in enumerate(AQLS):
        if wanted == read_fraction(one, "aql"):
            return index
    raise MalformedError(f"{aql[:20]} is none of the AQLs {', '.join(AQLS)}", where="aql")


def _row(lot: int, level: str) -> int:
    check_lot(lot)
    letters = LEVELS.get(level)
    if letters is None:
        raise MalformedError(f"{level[:20]!r} is none of {', '.join(LEVELS)}", where="level")
    return LETTERS.index(letters[bisect_left(LOT_BOUNDS, lot)])


def _follow(master: Master, row: int, column: int) -> tuple[int, int, bool]:
    """Follow arrows to a plan. An arrow that leads out of the table is followed the other way, to the nearest plan there is."""
    checked, turned = True, 0
    while True:
        cell = _cell(master, row, column)
        checked &= row + column not in master.unchecked
        if not isinstance(cell, str):
            return row, cell, checked
        step = turned or (1 if cell == "down" else -1)
        if not 0 <= row + step < len(master.sizes):
            step = turned = -step
            checked = False
        row += step


def _cell(master: Master, row: int, column: int) -> Cell:
    diagonal = row + column
    if diagonal in master.diagonals:
        return master.diagonals[diagonal]
    if LETTERS[row] in _WIDE and diagonal in master.wide:
        return master.wide[diagonal]
    return "down" if diagonal < min(master.diagonals) else "up"


@dataclass(frozen=True, slots=True)
class Judged:
    """A lot's result on original inspection. `score`: what it adds to the switching score; None sets that to nought."""

    accepted: bool
    score: int | None


def judge(lot: int, level: str, aql: str, severity: Severity, found: int, tables: Tables = STANDARD) -> Judged:
    """Judge a lot by the nonconforming units found in its sample (9.3.3.2: 3 points for a lot good also one AQL step tighter)."""
    plan = plan_for(lot, level, aql, severity, tables)
    if found < 0 or found > plan.n:
        raise MalformedError(f"{found} is not within 0 to {plan.n}", where="found")
    accepted = found <= plan.accept
    if not accepted:
        return Judged(accepted, None)
    if plan.accept < 2:
        return Judged(accepted, 2)
    tighter = _cell(tables.of(severity), LETTERS.index(plan.letter), aql_index(aql) - 1)
    return Judged(accepted, 3 if isinstance(tighter, int) and found <= tighter else None)


@dataclass(frozen=True, slots=True)
class Switching:
    """Where a series of lots stands. `recent`: the last lots on normal inspection, newest last, at most five."""

    severity: Literal["normal", "tightened", "reduced", "stopped"] = "normal"
    recent: tuple[bool, ...] = ()
    passed: int = 0  # in a row, on tightened inspection
    failed: int = 0  # in all, on tightened inspection
    score: int = 0


def after(now: Switching, lot: Judged, *, may_reduce: bool = True) -> Switching:
    """Give the standing after a lot (clause 9.3). `may_reduce`: production is steady and the authority wants reduced inspection.

    Raises RefusedError once inspection was stopped: only `resume` leads on.
    """
    if now.severity == "stopped":
        raise RefusedError("was stopped after 5 lots failed on tightened inspection", where="inspection")
    if now.severity == "reduced":
        return now if lot.accepted else Switching()
    if now.severity == "tightened":
        return _after_tightened(now, lot)
    recent = (*now.recent, lot.accepted)[-5:]
    if recent.count(False) >= 2:
        return Switching("tightened")
    score = 0 if lot.score is None else now.score + lot.score
    if score >= 30 and may_reduce:
        return Switching("reduced")
    return replace(now, recent=recent, score=score)


def _after_tightened(now: Switching, lot: Judged) -> Switching:
    passed, failed = (now.passed + 1, now.failed) if lot.accepted else (0, now.failed + 1)
    if failed >= 5:
        return Switching("stopped")
    return Switching() if passed >= 5 else replace(now, passed=passed, failed=failed)


def resume(now: Switching) -> Switching:
    """Go on after a stop, on tightened inspection, once the supplier has acted (9.4); raise RefusedError when it was not stopped."""
    if now.severity != "stopped":
        raise RefusedError("was not stopped", where="inspection")
    return Switching("tightened")
