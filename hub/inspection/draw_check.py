"""Check the hub's draws against its log (S7): each is made again, and its pool compared with the steps that were logged before it closed.

Guarantees: changes nothing; names a second pool or result of a number, a declaration that was due and is not in its pool, one that is in it
and was not due, and whatever does not come out alike.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from hub.inspection.draw_pools import drawn_steps, token
from hub.inspection.draw_tables import body_at, policy_of, pool_lines, result_lines
from hub.inspection.states import State
from protocol.drawing import vrf
from protocol.drawing.inspectors import draw_teams
from protocol.drawing.policy import Policy
from protocol.drawing.pool import Pool, parse_pool, pool_root
from protocol.drawing.published import result_hash
from protocol.drawing.selection import alpha_of, everything_falls_back, seed_of
from protocol.drawing.selection import select as select_drawn
from protocol.errors import PortwitnessError
from protocol.inspection_kinds import Declaration, DrawCall, DrawClosing, DrawResult, Step
from storage.schema import declaration_steps, draws, records

_KINDS = (DrawCall.KIND, DrawClosing.KIND, DrawResult.KIND)


def check_draws(connection: Connection) -> Iterator[str]:
    """Give what is wrong with the draws."""
    counted = select(records.c.subject, records.c.kind, func.count().label("found")).where(records.c.kind.in_(_KINDS))
    for row in connection.execute(counted.group_by(records.c.subject, records.c.kind)).all():
        if row.found > 1:
            yield f"S7 {row.subject}: {row.found} records of {row.kind}, expected one"
    earlier: dict[str, int] = {}
    for closed in connection.execute(select(draws).where(draws.c.closed_at.is_not(None)).order_by(draws.c.number)).mappings().all():
        try:
            yield from _check(connection, dict(closed), earlier)
        except PortwitnessError as error:
            yield f"S7 {closed['name']}: {error}"


def _check(connection: Connection, row: dict[str, Any], earlier: dict[str, int]) -> Iterator[str]:
    lines = pool_lines(connection, bytes(row["root"]))
    if pool_root(lines) != bytes(row["root"]):
        yield f"S7 {row['name']}: the pool that is kept is not the one that was logged"
        return
    pool = parse_pool(lines)
    ids = {one.id for one in pool.entries}
    due = _due(connection, row["closed_at"], row["closes_ns"])
    excused = {one.id for one in pool.left if one.kind == "declaration"} | earlier.keys()
    for number in sorted(due - ids - excused):
        yield f"S7 {row['name']}: declaration {number} was screened in time and is not in the pool"
    for number in sorted(ids - due):
        yield f"S7 {row['name']}: declaration {number} is in the pool and was not screened in time"
    if row["drawn_at"] is not None:
        policy = policy_of(connection, bytes(row["policy"]), row["called_at"])[1]
        yield from _check_result(connection, row, policy, pool)
        stepped = drawn_steps(connection, row["drawn_at"], [one.id for one in pool.entries])
        earlier |= {one.id: row["number"] for one in pool.entries if one.id not in stepped}


def _due(connection: Connection, closed_at: int, closes_ns: int) -> set[str]:
    """Give the declarations whose newest record before the closing was a screening in time."""
    steps = declaration_steps
    before = steps.c.position < closed_at, steps.c.kind.in_((Declaration.KIND, Step.KIND))
    newest = select(func.max(steps.c.position)).where(*before).group_by(steps.c.declaration)
    mine = select(steps.c.declaration).where(steps.c.position.in_(newest), steps.c.act == State.SCREENED.value)
    return {token(one) for one in connection.execute(mine.where(steps.c.wall_ns <= closes_ns)).scalars()}


def _check_result(connection: Connection, row: dict[str, Any], policy: Policy, pool: Pool) -> Iterator[str]:
    body = body_at(connection, row["drawn_at"])
    assert isinstance(body, DrawResult)
    alpha = alpha_of(row["number"], bytes(row["root"]), bytes(row["policy"]), bytes(row["chain"]))
    keys = {one.name: one.key for one in policy.witnesses}
    betas = {name: vrf.verify(keys[name], alpha, pi) for name, pi in body.answers if name in keys}
    seed = seed_of(policy, betas)
    selection = select_drawn(policy, pool, seed, everything=everything_falls_back(policy, list(betas)))
    teams = draw_teams(pool, [one.entry for one in selection.selected], seed)
    made = [one.line() for one in selection.drawn], [one.line() for one in teams]
    if seed != body.seed or result_hash(*made) != body.result or tuple(map(list, result_lines(connection, body.result))) != made:
        yield f"S7 {row['name']}: it does not come out as it was logged"
