"""Judge what partners tell of boxes: what it changes, what must wait, and what should not have happened.

Guarantees: an event is judged by where its declaration stands in the transaction that logs the outcome; one that cannot be judged yet is
kept and judged again when something changes; a gate-out without release rings and counts against the declarant.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, and_, select

from hub.exchange import tables
from hub.exchange.effects import Effects
from hub.inspection.catalogue import Partner
from hub.inspection.states import STEPS, Standing, State
from protocol.exchange_kinds import PortEvent
from protocol.inspection_kinds import Hold
from protocol.instants import SECOND_NS
from protocol.port_messages import Told
from storage.exchange_schema import exchange_messages, port_events
from storage.schema import declaration_steps

RULE = "port-events/1"
ILLEGAL_GATE_OUT = "gate-out without release"
UNDECLARED = "gate-out of an undeclared box"
HELD_GATE_OUT = "gate-out beside a hold"
NO_RIGHT = "hold by a partner that may not"
NO_TERMINAL = "move told by no terminal"
ANSWERED_NO = "message refused by partner"
Outcome = Literal["applied", "noted", "kept", "illegal", "refused"]
Credit = Callable[[Effects, str, int], None]  # counts a gate-out without release against the declarant: declaration, place of the message
_BEFORE = frozenset({State.LODGED, State.ACCEPTED, State.SCREENED, State.SELECTED, State.HELD})  # a box may still have to come into a bay
_INWARD = ("GTIN", "DISC")
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
    declaration = _about(effects, told)
    outcome = _outcome(effects, source, told, declaration, (credit, again))
    if not (again and outcome == "kept"):
        body = PortEvent(
            source.message, source.number, told.event, told.container, outcome, told.at, declaration or told.declaration, told.place
        )
        effects.add(declaration or told.container or source.key, body)
    return outcome


def _about(effects: Effects, told: Told) -> str | None:
    """Give the declaration that an event is about; a box that moves is believed under none that does not declare it.

    Of several that declare a box, the one whose goods may not leave comes first.
    """
    connection = effects.connection
    if told.event not in ("DROP", "GTOT") or not told.container:
        return tables.declaration_of(connection, told.container, told.declaration)
    found = tables.declaration_with(connection, told.container, told.declaration)
    if told.event == "GTOT" and found is not None and not tables.is_stripped(connection, told.container, found):
        others = (one for one in tables.under_way_with(connection, told.container) if one != found)
        kept_here = next((one for one in others if _stays(effects.standing(one))), None)
        return found if kept_here is None or _stays(effects.standing(found)) else kept_here
    return found


def _stays(now: Standing) -> bool:
    """Tell whether goods are held, or were selected, and may not leave."""
    return bool(now.selected or now.held or now.holds) and (State.GATE_OUT not in STEPS[now.state] or bool(now.holds))


def _outcome(effects: Effects, source: Source, told: Told, declaration: str | None, how: tuple[Credit, bool]) -> Outcome:
    if told.event in ("CUSS", "CUSI", "CUSR"):
        return _authority(effects, source, told, declaration, again=how[1])
    moves = told.event == "GTOT" or (told.event == "DROP" and told.place is not None)
    if moves and source.partner.role != "terminal":
        effects.alarm(NO_TERMINAL, source.key, f"{told.event} of {told.container} at {told.at}, message {source.message}")
        return "refused"
    if told.event == "DROP" and told.place is not None:
        return _in_bay(effects, source, told, declaration)
    if told.event == "GTOT":
        return _gate_out(effects, source, told, declaration, how[0])
    if told.event == "NACK":
        effects.alarm(ANSWERED_NO, source.key, f"message {told.place} of ours; see message {source.message}")
    return "noted"


def _authority(effects: Effects, source: Source, told: Told, declaration: str | None, *, again: bool) -> Outcome:
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
    since = _held_since(effects.connection, declaration, source.key, exactly=again)
    if told.at < since or (again and told.at == since):
        return "noted"  # it lifted an earlier hold; what waited lifts none that may be newer
    effects.hold(declaration, source.key, said, lift=True)
    return "applied"


def _held_since(connection: Connection, declaration: str, partner: str, *, exactly: bool) -> str:
    """Give when a partner's newest hold began: as its message says, or when a person entered it (`exactly`, or in whole minutes)."""
    steps = declaration_steps
    placed = and_(steps.c.declaration == declaration, steps.c.kind == Hold.KIND, steps.c.act == "placed", steps.c.authority == partner)
    query = select(steps.c.position, steps.c.wall_ns).where(placed).order_by(steps.c.position.desc()).limit(1)
    newest = connection.execute(query).first()
    told = _told_hold(connection, declaration, partner)
    if newest is None or (told is not None and told.position > newest.position):
        return told.at if told is not None else ""
    at = datetime.fromtimestamp(newest.wall_ns // SECOND_NS, UTC)
    return f"{at if exactly else at.replace(second=0):%Y-%m-%dT%H:%M:%SZ}"


def _told_hold(connection: Connection, declaration: str, partner: str) -> Any:  # noqa: ANN401 - a row
    """Give the event by which a partner placed its newest hold: its record stands behind the hold's own."""
    events, messages = port_events, exchange_messages
    mine = and_(events.c.declaration == declaration, events.c.outcome == "applied", events.c.event.in_(("CUSS", "CUSI")))
    query = select(events.c.at, events.c.position).join(messages, messages.c.position == events.c.message)
    return connection.execute(query.where(mine, messages.c.partner == partner).order_by(events.c.position.desc()).limit(1)).first()


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
    where = f"{told.container} at {told.at} while {now.state}, message {source.message} of {source.key}"
    if now.state in _GONE:
        if not _left_anew(effects, declaration, told, now.state):
            return "noted"
        effects.alarm(UNDECLARED, told.container, f"{where}: its declaration {declaration} is over")
        return "illegal"
    if State.GATE_OUT not in STEPS[now.state]:
        effects.alarm(ILLEGAL_GATE_OUT, declaration, where)
        if not _is_counted(effects, declaration, told):
            credit(effects, declaration, source.message)
        return "illegal"
    if now.holds:
        effects.alarm(HELD_GATE_OUT, declaration, f"{where}; held by {', '.join(sorted(now.holds))}")
        return "illegal"
    if _all_out(effects, declaration, told.container):
        effects.step(declaration, State.GATE_OUT, _said(source, told), RULE)
    return "applied"


def _left_anew(effects: Effects, declaration: str, told: Told, state: State) -> bool:
    """Tell whether a box whose declaration is over leaves once more: it came back since, or never left under it."""
    last = _last_out(effects, declaration, told.container, "applied")
    if last is None:
        return state is State.ARCHIVED
    return _came_back(effects, told, last)


def _is_counted(effects: Effects, declaration: str, told: Told) -> bool:
    """Tell whether a box's leaving was counted before, by whatever message: it counts anew only once the box has come back."""
    last = _last_out(effects, declaration, told.container, "illegal")
    return last is not None and not _came_back(effects, told, last)


def _last_out(effects: Effects, declaration: str, container: str, outcome: Outcome) -> str | None:
    """Give when a box left last with an outcome under a declaration, with what was decided here."""
    events = port_events
    mine = and_(events.c.declaration == declaration, events.c.container == container, events.c.event == "GTOT", events.c.outcome == outcome)
    found = list(effects.connection.execute(select(events.c.at).where(mine)).scalars())
    for subject, body in effects.named:
        if subject == declaration and isinstance(body, PortEvent) and body.container == container and body.event == "GTOT":
            found += [body.at] if body.outcome == outcome else []
    return max(found, default=None)


def _came_back(effects: Effects, told: Told, since: str) -> bool:
    for _, body in effects.named:
        if isinstance(body, PortEvent) and body.event in _INWARD and body.container == told.container and since < body.at <= told.at:
            return True
    events = port_events
    mine = and_(events.c.container == told.container, events.c.event.in_(_INWARD), events.c.at > since, events.c.at <= told.at)
    return effects.connection.execute(select(events.c.message).where(mine).limit(1)).first() is not None


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
