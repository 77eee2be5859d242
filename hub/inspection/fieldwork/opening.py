"""Say which boxes are opened and which packages are taken out of them: as the plan says that the draw's seed made.

Guarantees: who inspects chooses nothing, and nothing that was declared after the pool closed narrows what is opened: a box that an
amendment added is opened too. Packages of a box are counted through, line after line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from hub.inspection.sample_plans import plan_of
from protocol.errors import RefusedError


@dataclass(frozen=True, slots=True)
class ToOpen:
    """A box that is opened, and the packages (numbered from 1) that are taken out of it."""

    container: str
    packages: tuple[int, ...]


def to_open(connection: Connection, number: str, form: Mapping[str, Any]) -> list[ToOpen]:
    """Give what is opened of a declaration; every box, and no package by number, where no draw selected it."""
    boxes = [str(box["number"]) for box in form.get("containers", ())]
    try:
        plan = plan_of(connection, number)
    except RefusedError:  # it was erased: nothing tells any more what to leave closed
        plan = None
    if plan is None or not plan["seed"]:
        return [ToOpen(box, ()) for box in boxes]
    return opened(plan, boxes)


def opened(plan: Mapping[str, Any], boxes: list[str]) -> list[ToOpen]:
    """Give what a plan opens, in its order, and then the boxes that it does not know; pure."""
    taken: dict[str, list[int]] = {}
    if not plan.get("counted"):  # a plan beyond all reading names no packages one by one
        drawn = {line["line"]: line["packages"] for lot in plan["lots"] for line in lot["lines"]}
        before: dict[str, int] = {}
        for line, held in plan["held"]:
            for box, count in held:
                taken.setdefault(box, []).extend(before.get(box, 0) + one for one in drawn.get(line, {}).get(box, ()))
                before[box] = before.get(box, 0) + count
    known = {box for _, held in plan["held"] for box, _ in held}
    found = [ToOpen(box, tuple(sorted(taken.get(box, ())))) for box in plan["boxes"]]
    return found + [ToOpen(box, ()) for box in boxes if box not in known]
