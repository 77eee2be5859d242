"""Open the gate, or say what keeps it shut: the only maker of the value from which a release message is built.

Guarantees: what a declaration's standing is, is read from the leaves of the log and not from tables; a `Cleared` exists only where nothing
is missing, nothing unverified and no authority holds - or where two persons answer for what is missing, which it then names for ever; it is
good for the transaction in which it was made.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, select

from hub.inspection.standings import folded, standing_of, standing_row
from hub.inspection.states import OVERRIDABLE, Standing, State, check_step, obstacles
from protocol import inspection_kinds as inspection
from protocol.clearing import evidence_lines, evidence_root, record_line
from protocol.errors import RefusedError, VerificationError
from protocol.procedures.completeness import Missing
from protocol.records import SignedRecord, read_again
from storage.exchange_schema import evaluations, releases
from storage.logs import port_entries
from storage.schema import declaration_steps, leaves

_MADE = object()  # held by this module alone


def _nothing(_connection: Connection, _number: str) -> tuple[Any, ...]:
    return ()


def _no_task(_connection: Connection, _number: str) -> str | None:
    return None


def _nobody(_connection: Connection, _number: str) -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True, slots=True)
class Sources:
    """What other parts know of an inspection, each asked within the transaction: the work on site and the laboratory.

    `missing`: must-records that are not there or not verified; `inspectors`: everyone who was ever on it; `laboratory`: reports that are
    awaited or bad, in words; `boxes`: its boxes that another declaration holds, in words; `evidence`: lines of the records and files that
    the inspection rests on.
    """

    missing: Callable[[Connection, str], Sequence[Missing]] = _nothing
    inspectors: Callable[[Connection, str], frozenset[str]] = _nobody
    task: Callable[[Connection, str], str | None] = _no_task
    laboratory: Callable[[Connection, str], Sequence[str]] = _nothing
    boxes: Callable[[Connection, str], Sequence[str]] = _nothing
    evidence: Callable[[Connection, str], Iterable[str]] = _nothing


@dataclass(frozen=True, slots=True)
class Judged:
    """How a declaration stands by the log of `size`; `lacks`: what is missing, in whole; `lines`: the evidence found."""

    number: str
    size: int
    standing: Standing
    lacks: tuple[Missing, ...]
    laboratory: tuple[str, ...]
    lines: tuple[str, ...]
    task: str | None
    boxes: tuple[str, ...] = ()

    def against(self, by: str | None) -> list[str]:
        """Give everything that stands against a release, by a person or (None) by rule."""
        now, found = self.standing, []
        if now.state is not State.RELEASE_APPROVED:
            found += obstacles(now, State.RELEASE_APPROVED, by)
        found += [one for one in obstacles(replace(now, state=State.RELEASE_APPROVED), State.RELEASED, by) if one not in found]
        return found + [one for one in (*self.laboratory, *self.boxes) if one not in found]


@dataclass(frozen=True, slots=True)
class Cleared:
    """That a declaration may be released: which, by the log of which size, resting on which evidence.

    `overridden`: what two persons released it against; empty where nothing stood in the way.
    """

    number: str
    size: int
    root: bytes
    lines: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    made: object = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse one that this module did not make."""
        if self.made is not _MADE:
            raise RefusedError("is made by the evidence gate alone", where="release")


def judge(connection: Connection, size: int, number: str, sources: Sources, *, gather: bool = False) -> Judged:
    """Read how a declaration stands from the leaves of the log; raise RefusedError when there is none of this number.

    `gather`: also the evidence of the work on site; else the declaration's own records alone. Raises VerificationError when the leaves
    and the tables tell two stories.
    """
    records = _leaves(connection, size, number)
    standing = _standing(connection, number, records)
    lacks = tuple(sources.missing(connection, number))
    whole = replace(standing, missing=tuple(name_of(one) for one in lacks), inspectors=sources.inspectors(connection, number))
    own = [record_line(str(one.record.issuer), one.record.epoch, one.record.position, one.leaf) for one in records]
    lines = evidence_lines([*own, *(sources.evidence(connection, number) if gather else ())])
    laboratory, boxes = tuple(sources.laboratory(connection, number)), tuple(sources.boxes(connection, number))
    return Judged(number, size, whole, lacks, laboratory, lines, sources.task(connection, number), boxes)


def clear(connection: Connection, size: int, number: str, sources: Sources, by: str | None = None) -> Cleared:
    """Give the value from which a release message is built; raise RefusedError with everything that stands against it.

    `by`: who approves, None where a rule does. To be used within the transaction that logs the release.
    """
    judged = judge(connection, size, number, sources, gather=True)
    if judged.standing.state is not State.RELEASE_APPROVED:
        check_step(judged.standing, State.RELEASE_APPROVED, by)
    against = judged.against(by)
    if against:
        raise RefusedError("; ".join(against), where=f"declaration {number}")
    return Cleared(number, size, evidence_root(judged.lines), judged.lines, made=_MADE)


def clear_against_evidence(connection: Connection, size: int, number: str, sources: Sources, persons: tuple[str, str]) -> Cleared:
    """Give the same where two persons answer for what is missing; never beside a hold, or by somebody of the inspection.

    Raises RefusedError with what no two persons can set aside, and where nothing stands against a plain release.
    """
    judged = judge(connection, size, number, sources, gather=True)
    now = judged.standing
    if now.state not in OVERRIDABLE:
        raise RefusedError(f"stands at {now.state}: that is not released against the evidence", where=f"declaration {number}")
    firm = [f"{authority} holds it" for authority in sorted(now.holds)]
    firm += [f"{person} was on the inspection: somebody else must answer for it" for person in persons if person in now.inspectors]
    if firm:
        raise RefusedError("; ".join(firm), where=f"declaration {number}")
    against = judged.against(None)
    if not against and now.state in (State.PASSED, State.DIRECT_RELEASE, State.RELEASE_APPROVED, State.RECALLED):
        raise RefusedError("nothing stands against a plain release", where=f"declaration {number}")
    named = tuple(against) or (f"it stands at {now.state}",)
    return Cleared(number, size, evidence_root(judged.lines), judged.lines, named, made=_MADE)


def name_of(one: Missing) -> str:
    """Give what is missing as guards name it."""
    place = f" of {one.at}" if one.at else ""
    count = f" ({one.have} of {one.want})" if one.want > 1 else ""
    return f"{one.step}/{one.key}{place}: {one.reason}{count}"


def _leaves(connection: Connection, size: int, number: str) -> list[SignedRecord]:
    """Give a declaration's records below a size, each checked against its leaf in the log."""
    standing_row(connection, number)
    places: set[int] = set()
    for table in (declaration_steps, evaluations, releases):
        mine = select(table.c.position).where(table.c.declaration == number, table.c.position < size)
        places |= set(connection.execute(mine).scalars())
    found = []
    for place in sorted(places):
        signed = read_again(port_entries(connection, place, place + 1)[0])
        leaf = connection.execute(select(leaves.c.leaf).where(leaves.c.position == place)).scalar()
        if leaf is None or bytes(leaf) != signed.leaf or signed.record.subject != number:
            raise VerificationError(f"leaf {place} is not the record that the tables name", where=f"declaration {number}")
        found.append(signed)
    return found


def _standing(connection: Connection, number: str, records: Sequence[SignedRecord]) -> Standing:
    """Fold the records into where the declaration stands; the tables must say the same."""
    row: dict[str, Any] | None = None
    verdict: State | None = None
    is_direct = False
    for signed in records:
        body = signed.record.body
        if not isinstance(body, inspection.Declaration | inspection.Step | inspection.Hold):
            continue
        row = folded(row, signed.record, body)
        if not isinstance(body, inspection.Hold):
            state = State(body.state)
            verdict = _verdict(verdict, state)
            is_direct = state is State.DIRECT_RELEASE or (is_direct and state not in (State.LODGED, State.DOC_CHECK, State.SELECTED))
    if row is None or row != dict(standing_row(connection, number)):
        raise VerificationError("the log says otherwise than the table of standings", where=f"declaration {number}")
    return replace(standing_of(row), direct=is_direct, verdict=verdict)


def _verdict(before: State | None, state: State) -> State | None:
    """Give the verdict that stands after a step: what is looked at again has none."""
    if state in (State.PASSED, State.FAILED):
        return state
    again = (State.RE_INSPECT, State.TREATMENT, State.RECTIFY, State.INSPECTING, State.LODGED, State.SELECTED, State.DOC_CHECK)
    return None if state in again else before
