"""Judge what partners tell of boxes: what it changes, what must wait, and what should not have happened.

Guarantees: an event is judged by where its declaration stands in the transaction that logs the outcome; one that cannot be judged yet is
kept and judged again when something changes; a gate-out without release rings and counts against the declarant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, and_, select

from hub.exchange import tables
from hub.exchange.effects import Effects
from hub.inspection.catalogue import Partner
from hub.inspection.states import STEPS, State
from protocol.exchange_kinds import PortEvent
from protocol.port_messages import Told
from storage.exchange_schema import exchange_messages, port_events

RULE = "port-events/1"
ILLEGAL_GATE_OUT = "gate-out without release"
UNDECLARED = "gate-out of an undeclared box"
NO_RIGHT = "hold by a partner that may not"
ANSWERED_NO = "message refused by partner"
Outcome = Literal["applied", "noted", "kept", "illegal", "refused"]
Credit = Callable[[Effects, str, int], None]  # counts a gate-out without release against the declarant: declaration, place of the message
_BEFORE = frozenset({State.LODGED, State.ACCEPTED, State.SCREENED, State.SELECTED, State.HELD})  # a box may still have to come into a bay
_GONE = frozenset({State.GATE_OUT, State.FOLLOW_UP, State.ARCHIVED})


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event comes from: the partner, its message's place in the log and the event's place in the message."""

    key: str
    partner: Partner
    message: int
    number: int


def no_credit(_effects: Effects, _declaration: str, _message: int) -> None:
    """Count nothing: for hubs without credit rules."""


def judge(effects: Effects, source: Source, told: Told, credit: Credit = no_credit, *, again: bool = False) -> Outcome:
    """Judge an event and log its outcome; `again`: it was kept before, and is logged only when that changes."""
    declaration = tables.declaration_of(effects.connection, told.container, told.declaration)
    outcome = _outcome(effects, source, told, declaration, credit)
    if not (again and outcome == "kept"):
        body = PortEvent(
            source.message, source.number, told.event, told.container, outcome, told.at, declaration or told.declaration, told.place
        )
        effects.add(declaration or told.container or source.key, body)
    return outcome


def _outcome(effects: Effects, source: Source, told: Told, declaration: str | None, credit: Credit) -> Outcome:
    if told.event in ("CUSS", "CUSI", "CUSR"):
        return _authority(effects, source, told, declaration)
    if told.event == "DROP" and told.place is not None:
        return _in_bay(effects, source, told, declaration)
    if told.event == "GTOT":
        return _gate_out(effects, source, told, declaration, credit)
    if told.event == "NACK":
        effects.alarm(ANSWERED_NO, source.key, f"message {told.place} of ours; see message {source.message}")
    return "noted"


def _authority(effects: Effects, source: Source, told: Told, declaration: str | None) -> Outcome:
    if not source.partner.may_hold:
        effects.alarm(NO_RIGHT, source.key, f"{told.event} for {declaration or told.container}")
        return "refused"
    if declaration is None:
        return "kept"
    now = effects.standing(declaration)
    holds = source.key in now.holds
    said = _said(source, told)
    if told.event != "CUSR":
        if holds or now.state in _GONE:
            return "noted"
        effects.hold(declaration, source.key, said)
        return "applied"
    if not holds:
        return "noted" if now.state in _GONE else "kept"  # what it lifts may still come
    if told.at < _held_since(effects.connection, declaration, source.key):
        return "noted"  # it lifted an earlier hold
    effects.hold(declaration, source.key, said, lift=True)
    return "applied"


def _held_since(connection: Connection, declaration: str, partner: str) -> str:
    """Give when a partner says that its newest hold began."""
    events, messages = port_events, exchange_messages
    mine = and_(events.c.declaration == declaration, events.c.outcome == "applied", events.c.event.in_(("CUSS", "CUSI")))
    query = select(events.c.at).join(messages, messages.c.position == events.c.message).where(mine, messages.c.partner == partner)
    return connection.execute(query.order_by(events.c.position.desc()).limit(1)).scalar() or ""


def _in_bay(effects: Effects, source: Source, told: Told, declaration: str | None) -> Outcome:
    if declaration is None:
        return "kept"
    now = effects.standing(declaration)
    if now.state is State.DISPATCHED:
        effects.step(declaration, State.POSITIONED, _said(source, told), RULE)
        return "applied"
    waits = now.state in _BEFORE or (now.state is State.RE_INSPECT)
    return "kept" if waits else "noted"


def _gate_out(effects: Effects, source: Source, told: Told, declaration: str | None, credit: Credit) -> Outcome:
    if declaration is None:
        effects.alarm(UNDECLARED, told.container, f"{source.key} at {told.at}, message {source.message}")
        return "kept"
    now = effects.standing(declaration)
    if now.state in _GONE:
        return "noted"
    if State.GATE_OUT not in STEPS[now.state]:
        where = f"{told.container} at {told.at} while {now.state}, message {source.message} of {source.key}"
        effects.alarm(ILLEGAL_GATE_OUT, declaration, where)
        credit(effects, declaration, source.message)
        return "illegal"
    if _all_out(effects, declaration, told.container):
        effects.step(declaration, State.GATE_OUT, _said(source, told), RULE)
    return "applied"


def _all_out(effects: Effects, declaration: str, container: str) -> bool:
    """Tell whether with this box all of a declaration have gone out."""
    events = port_events
    mine = and_(events.c.declaration == declaration, events.c.event == "GTOT", events.c.outcome == "applied")
    gone = set(effects.connection.execute(select(events.c.container).where(mine)).scalars()) | {container}
    gone |= {
        body.container
        for subject, body in effects.named
        if isinstance(body, PortEvent) and subject == declaration and body.event == "GTOT" and body.outcome == "applied"
    }
    return set(tables.boxes_of(effects.connection, declaration)) <= gone


def told_of(row: RowMapping) -> Told:
    """Give an event as its row keeps it."""
    return Told("", row["event"], row["container"], row["at"], row["declaration"], row["place"])


def _said(source: Source, told: Told) -> dict[str, Any]:
    words = {"partner": source.key, "message": source.message, "number": source.number, "at": told.at, "container": told.container}
    return words | {name: value for name, value in (("place", told.place), ("carrier", told.carrier)) if value}
