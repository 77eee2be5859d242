"""Say which boxes are opened and which packages are taken out of them: by the seed of the draw that selected the declaration.

Guarantees: a pure function of seed and declaration, so that anybody makes it again; who inspects chooses nothing. How many: packages by
ISPM 31 at 5 % and 95 %, boxes one for each ten of these, at least one - figures to be set by the site, unverified.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, select

from hub.inspection.draw_tables import draw_row
from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol.sampling.ispm31 import sample_size
from protocol.sampling.packages import MAX_PACKAGES, draw_packages
from storage.schema import declaration_steps

RULE = "opening/1"
RATE, CONFIDENCE = Fraction(5, 100), Fraction(95, 100)
PACKAGES_A_BOX = 10


@dataclass(frozen=True, slots=True)
class ToOpen:
    """A box that is opened, and the packages (numbered from 1) that are taken out of it."""

    container: str
    packages: tuple[int, ...]


def to_open(connection: Connection, number: str, form: Mapping[str, Any]) -> list[ToOpen]:
    """Give what is opened of a declaration; every box, and no package by number, where no draw selected it."""
    steps = declaration_steps
    mine = select(steps.c.sheet).where(steps.c.declaration == number, steps.c.act == State.SELECTED.value)
    sheet = connection.execute(mine.order_by(steps.c.position.desc()).limit(1)).scalar()
    words = (said(connection, bytes(sheet)) or {}) if sheet is not None else {}
    row = draw_row(connection, words["draw"]) if "draw" in words else None
    return opened(None if row is None or row["seed"] is None else bytes(row["seed"]), number, form)


def opened(seed: bytes | None, number: str, form: Mapping[str, Any]) -> list[ToOpen]:
    """Give what is opened by a seed; pure."""
    counts = packages_in(form.get("containers", ()), form.get("goods", ()))
    total = sum(counts.values())
    if seed is None or not counts or not 0 < total <= MAX_PACKAGES:
        return [ToOpen(box, ()) for box in counts]
    wanted = sample_size(total, RATE, CONFIDENCE).n or total
    boxes = min(len(counts), max(1, -(-wanted // PACKAGES_A_BOX)))
    found = draw_packages(seed, number, counts, boxes=boxes, sample=min(wanted, _within(counts, boxes)))
    return [ToOpen(box, found.packages.get(box, ())) for box in found.boxes]


def packages_in(containers: Sequence[Mapping[str, Any]], goods: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Give how many packages are in each box, as declared: a line's packages are shared evenly among its boxes, the first get more."""
    counts = {str(box["number"]): 0 for box in containers}
    for line in goods:
        boxes = [box for box in line.get("containers") or counts if box in counts]
        for at, box in enumerate(boxes):
            share, more = divmod(int(line["packages"]), len(boxes))
            counts[box] += share + (at < more)
    return counts


def _within(counts: Mapping[str, int], boxes: int) -> int:
    """Give how many packages the smallest boxes hold together: no more can be asked of whichever are drawn."""
    return sum(sorted(counts.values())[:boxes])
