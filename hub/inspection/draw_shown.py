"""Show a draw as people ask for it: its declarations with the parts of each probability, its teams, and what two persons changed.

Guarantees: what is shown is what the draw's records bind, read from the documents that they name; nothing is reckoned anew but what acts
since the draw made of its teams.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from hub.inspection.draw_pools import result_of
from hub.inspection.draw_tables import PORT, acts_of, draw_row, final_of, policy_of, pool_of
from protocol.drawing.judging import Act
from protocol.drawing.policy import Policy
from storage.verifier_page.assembly import draw_page


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """A declaration of a draw: what went in, what its probability is made of (parts in 10^9), and what came out."""

    declaration: str
    stratum: str
    lane: str
    grade: str
    parts: dict[str, int]
    why: str
    team: tuple[str, ...]
    final: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A draw with a page of its declarations; `rows` is empty until it is over."""

    row: dict[str, Any]
    policy: Policy
    rows: Sequence[DrawnRow]
    total: int
    acts: Sequence[Act]


def replay_page() -> bytes:
    """Give `draw.html`, by which anybody makes a draw again without the hub; raise StorageError when a source of it is missing."""
    return draw_page()


def left_out(connection: Connection, limit: int = 500) -> Sequence[Act]:
    """Give who and what two persons left out of pools and took in again, newest first; it stays shown."""
    return list(reversed(acts_of(connection, PORT)))[:limit]


def show(connection: Connection, number: int, *, selected: bool, offset: int, limit: int) -> Shown:
    """Give a draw with some of its declarations, in the pool's order; raise RefusedError when there is none of this number."""
    row = draw_row(connection, number)
    policy = policy_of(connection, bytes(row["policy"]), row["called_at"])[1]
    acts = acts_of(connection, row["name"])
    if row["drawn_at"] is None:
        return Shown(row, policy, (), 0, acts)
    pool = pool_of(connection, bytes(row["root"]))
    parts, teams = result_of(connection, bytes(row["result"]))
    final = final_of(connection, row) if acts else teams
    wanted = [one for one in pool.entries if not selected or parts[one.id][1]]
    rows = [
        DrawnRow(one.id, one.stratum, one.lane, one.grade, *parts[one.id], teams.get(one.id, ()), final.get(one.id, ()))
        for one in wanted[offset : offset + limit]
    ]
    return Shown(row, policy, rows, len(wanted), acts)
