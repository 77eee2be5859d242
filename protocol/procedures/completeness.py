"""Say what is missing of an inspection: questions, files, signatures and must-records, each with its reason.

Guarantees: the list depends on procedure, answers and records alone; what is in conflict, broken for too long, not verified or not
stored where it must be counts as missing; nothing is missing that was not asked for.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from protocol.procedures.answers import Answer, Place, asked, in_conflict, instances, standing
from protocol.procedures.conditions import holds
from protocol.procedures.model import ATTACHED, Item, Procedure, Stored, Wanted

Reason = Literal["not answered", "in conflict", "too few files", "file not at the hub", "file of another inspection",
                 "signed before it was answered", "not signed", "not there", "too few", "not verified", "not stored", "break too long",
                 "break not explained"]  # fmt: skip
_REACHED: Mapping[str, int] = {"log": 0, "box": 1, "hub": 2}


@dataclass(frozen=True, slots=True)
class Held:
    """A record of a step that is there. `stored`: where its blob is safe; `gap_s`: its longest break, in whole seconds."""

    step: str
    key: str
    count: int
    stored: Stored = "log"
    verified: bool = True
    gap_s: int = 0
    explained: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing: an item (of a part), a record or a signature of a step; `have` of `want`."""

    step: str
    what: Literal["item", "record", "signature"]
    key: str
    at: str
    reason: Reason
    have: int = 0
    want: int = 1


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that stands: its role and the answers that it covers."""

    role: str
    covers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the records of a checklist say. `blobs`: files that are at the hub; `roles`: who has to sign.

    `elsewhere`: files that another inspection showed before.
    """

    answers: tuple[Answer, ...] = ()
    blobs: frozenset[str] = frozenset()
    held: tuple[Held, ...] = ()
    signed: tuple[Signed, ...] = ()
    parts: Mapping[str, Sequence[str]] | None = None
    roles: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()


def missing(procedure: Procedure, facts: Facts, need: Collection[str] = ("must",)) -> list[Missing]:
    """Give what is missing, by step and in the procedure's order; none when the inspection is complete."""
    stands = standing(facts.answers)
    found = _missing_items(procedure, stands, facts)
    found += _missing_records(procedure, stands, facts, need)
    found += _missing_signatures(procedure, stands, facts)
    order = {step.key: number for number, step in enumerate(procedure.steps)}
    return sorted(found, key=lambda one: order[one.step])


def meter(procedure: Procedure, facts: Facts) -> tuple[int, int]:
    """Give how much is there of how much is wanted, for the completeness meter."""
    stands = standing(facts.answers)
    wanted = sum(item.required for _, item, _ in asked(procedure, stands, facts.parts or {}))
    wanted += sum(1 for _ in _wanted(procedure, stands, ("must",))) + len(facts.roles)
    lacking = {(one.what, one.step, one.key, one.at) for one in missing(procedure, facts)}
    return max(0, wanted - len(lacking)), wanted


def _missing_items(procedure: Procedure, stands: Mapping[Place, tuple[Answer, ...]], facts: Facts) -> list[Missing]:
    empty = [section for section in procedure.sections if not instances(section, stands, facts.parts or {})]
    found = [Missing(section.step, "item", section.key, "", "not answered") for section in empty]  # asked for no part at all
    for section, item, at in asked(procedure, stands, facts.parts or {}):
        given = stands.get((item.key, at), ())
        if given and in_conflict(given):
            found.append(Missing(section.step, "item", item.key, at, "in conflict", len(given)))
        elif given:
            found += _missing_files(section.step, item, given[0], facts)
        elif item.required and not _needs_none(item):
            found.append(Missing(section.step, "item", item.key, at, "not answered"))
    return found


def _needs_none(item: Item) -> bool:
    return item.type in ATTACHED and item.least is not None and Decimal(item.least) == 0


def _missing_files(step: str, item: Item, answer: Answer, facts: Facts) -> list[Missing]:
    names: list[str] = []
    if item.type in ATTACHED:
        names = answer.value
        want = int(Decimal(item.least or "1"))
        if len(names) < want and item.required:
            return [Missing(step, "item", item.key, answer.at, "too few files", len(names), want)]
    elif item.type == "signature" and "drawn" in answer.value:
        names = [answer.value["drawn"]]
    here = sum(name in facts.blobs and name not in facts.elsewhere for name in names)
    reason: Reason = "file not at the hub" if facts.elsewhere.isdisjoint(names) else "file of another inspection"
    return [Missing(step, "item", item.key, answer.at, reason, here, len(names))] if here < len(names) else []


def _wanted(procedure: Procedure, stands: Mapping[Place, tuple[Answer, ...]], need: Collection[str]) -> Iterable[tuple[str, Wanted]]:
    values = {item: given[0].value for (item, at), given in stands.items() if not at and not in_conflict(given)}
    for step in procedure.steps:
        for wanted in step.records:
            if wanted.need in need and (wanted.when is None or holds(wanted.when, values)):
                yield step.key, wanted


def _missing_records(
    procedure: Procedure, stands: Mapping[Place, tuple[Answer, ...]], facts: Facts, need: Collection[str]
) -> list[Missing]:
    held: dict[tuple[str, str], list[Held]] = {}
    for one in facts.held:
        held.setdefault((one.step, one.key), []).append(one)
    found = []
    for step, wanted in _wanted(procedure, stands, need):
        mine = held.get((step, wanted.key), [])
        good = [one for one in mine if _fault(wanted, one) is None]
        count = sum(one.count for one in good)
        if count >= wanted.least:
            continue
        faults = [fault for fault in (_fault(wanted, one) for one in mine) if fault is not None]
        reason: Reason = faults[0] if faults else "too few" if count else "not there"
        found.append(Missing(step, "record", wanted.key, "", reason, count, wanted.least))
    return found


def _fault(wanted: Wanted, one: Held) -> Reason | None:
    if not one.verified:
        return "not verified"
    if _REACHED[one.stored] < _REACHED[wanted.stored]:
        return "not stored"
    if one.gap_s > wanted.gap_s:
        return "break too long"
    return "break not explained" if one.gap_s > 0 and not one.explained else None


def _missing_signatures(procedure: Procedure, stands: Mapping[Place, tuple[Answer, ...]], facts: Facts) -> list[Missing]:
    now = {answer.id for given in stands.values() for answer in given}
    found = []
    for role in facts.roles:
        mine = [signed for signed in facts.signed if signed.role == role]
        step = procedure.steps[-1].key
        if not mine:
            found.append(Missing(step, "signature", role, "", "not signed"))
        elif not any(now <= signed.covers for signed in mine):
            uncovered = min(len(now - signed.covers) for signed in mine)
            found.append(Missing(step, "signature", role, "", "signed before it was answered", len(now) - uncovered, len(now)))
    return found
