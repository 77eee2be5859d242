"""Plan what traders do in a day: lodge, send again, mend, amend, withdraw; plausible, wrong and late, with the ledger of what is right.

Guarantees: the same plan gives the same acts, in order of time; each act says how a sound hub answers it. Nothing is sent.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from simulators.people.cargo import Cargo, Firm, cargo, firms
from simulators.people.form_faults import spoil

Kind = Literal["lodge", "amend", "withdraw"]
Answer = Literal["taken", "same", "refused"]
DAY_S = 10 * 3600
STORIES = {
    "plain": 60,
    "wrong, then mended": 12,
    "sent twice": 8,
    "reference used again": 4,
    "amended": 8,
    "papers late": 4,
    "withdrawn": 4,
}


@dataclass(frozen=True, slots=True)
class TradePlan:
    """How many consignments arrive on which day, of whom; `stories`: how often each happens, in parts."""

    today: date
    count: int = 20
    seed: int = 1
    traders: tuple[Firm, ...] = ()
    stories: dict[str, int] = field(default_factory=lambda: dict(STORIES))
    day_s: int = DAY_S


@dataclass(frozen=True, slots=True)
class Act:
    """Something a trader does, `at_s` seconds into the day. `expected`: a sound hub's answer; `paths`: what it names as wrong."""

    at_s: int
    kind: Kind
    reference: str
    form: dict[str, Any]
    story: str
    expected: Answer = "taken"
    reason: str = ""
    fault: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TradeDay:
    """What a day brings: the traders, their consignments by reference, and their acts in order."""

    traders: tuple[Firm, ...]
    cargoes: dict[str, Cargo]
    acts: tuple[Act, ...]


def plan_trade(plan: TradePlan) -> TradeDay:
    """Make a day of trade."""
    draw = random.Random(f"trade {plan.seed}")  # noqa: S311 - repeatable by seed, no secret
    traders = plan.traders or firms(draw)
    cargoes: dict[str, Cargo] = {}
    acts: list[Act] = []
    for number in range(1, plan.count + 1):
        one = cargo(draw, draw.choice(traders), plan.today, number)
        cargoes[one.reference] = one
        story = draw.choices(list(plan.stories), list(plan.stories.values()))[0]
        acts += _story(story, one, draw, plan)
    return TradeDay(traders, cargoes, tuple(sorted(acts, key=lambda act: (act.at_s, act.reference))))


def _story(story: str, one: Cargo, draw: random.Random, plan: TradePlan) -> Iterator[Act]:
    form, at = one.form, draw.randrange(plan.day_s * 8 // 10)
    later = at + draw.randrange(60, plan.day_s // 10)
    if story == "wrong, then mended":
        spoiled = spoil(form, draw, plan.today)
        yield Act(at, "lodge", one.reference, spoiled.form, story, "refused", fault=spoiled.fault, paths=spoiled.paths)
        at = later
    first = copy.deepcopy(form)
    if story == "papers late" and one.commodity.permits and not one.commodity.waste:
        first["permits"] = []
    yield Act(at, "lodge", one.reference, first, story)
    yield from _afterwards(story, one, later, draw)


def _afterwards(story: str, one: Cargo, later: int, draw: random.Random) -> Iterator[Act]:
    if story == "sent twice":
        yield Act(later, "lodge", one.reference, one.form, story, "same")
    elif story == "reference used again":
        other = one.form | {"bill": f"SIMU{draw.randrange(10**10):010d}"}
        yield Act(later, "lodge", one.reference, other, story, "refused", fault="reference used again", paths=("reference",))
    elif story == "amended":
        changed = copy.deepcopy(one.form)
        changed["goods"][0]["packages"] += draw.randrange(1, 40)
        yield Act(later, "amend", one.reference, changed, story, reason="件数更正 packages corrected")
    elif story == "papers late":
        yield Act(
            later, "amend", one.reference, one.form | {"remarks": "证书后补 papers followed"}, story, reason="证书后补 papers followed"
        )
    elif story == "withdrawn":
        yield Act(later, "withdraw", one.reference, one.form, story, reason="改港 goes to another port")


def surprises(acts: Sequence[Act], diary: Sequence[dict[str, Any]]) -> list[str]:
    """Compare what a hub answered, as a diary has it, with what a sound one answers; give what differs.

    An amendment or withdrawal may come too late: refused, it is no surprise.
    """
    found = []
    answers = [line for line in diary if line["act"] in ("lodge", "amend", "withdraw")]
    if len(answers) != len(acts):
        found.append(f"{len(acts)} acts were planned, {len(answers)} were answered")
    for act, line in zip(acts, answers, strict=False):
        late = act.kind != "lodge" and line["answer"] == "refused"
        if line["answer"] != act.expected and not late:
            found.append(f"{act.reference} {act.kind} ({act.fault or act.story}): {line['answer']}, expected {act.expected}")
        elif act.fault and sorted(line["paths"]) != sorted(act.paths):
            found.append(f"{act.reference} {act.fault}: {', '.join(line['paths']) or 'nothing'} named, wrong is {', '.join(act.paths)}")
    return found
