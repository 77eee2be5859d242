"""Tell the port's systems what may happen to goods: a notice in JSON and CUSRES, for each partner in the way it agreed.

Guarantees: each notice names its declaration, its boxes and the record that it follows from, and is put into the queue in the transaction
that logs that record; it names no person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from hub.config import ExchangeSettings
from hub.exchange.effects import Effects, Letter
from hub.exchange.reading import PROFILES
from hub.exchange.tables import OUT
from hub.inspection.catalogue import Partner
from hub.inspection.references import in_use
from hub.inspection.releasing.clearing import Cleared
from hub.inspection.sheets import said
from protocol.edifact.interchange import Envelope, Message, write_interchange
from protocol.edifact.orders import Order, Status, write_order
from protocol.edifact.profiles import STANDARD_PROFILE
from protocol.errors import RefusedError
from protocol.inspection_kinds import Declaration
from protocol.instants import SECOND_NS
from protocol.port_messages import Evidence, Notice, write_notice
from storage.exchange_schema import exchange_messages
from storage.schema import declaration_steps


@dataclass(frozen=True, slots=True)
class Kind:
    """What a notice says: its name, the code of CUSRES and GIS, the event of DCSA, and words for people."""

    name: str
    status: Status
    gis: str
    event: str
    text: str


HOLD = Kind("HOLD", "hold", "5", "CUSI", "SELECTED FOR INSPECTION: HOLD")
_RELEASE = Kind("RELEASE", "release", "4", "CUSR", "RELEASED")
RECALL = Kind("RECALL", "hold", "5", "CUSI", "RELEASE RECALLED: HOLD")
DETAIN = Kind("DETAIN", "detain", "7", "CUSI", "DETAINED")
TRANSFER = Kind("TRANSFER", "transfer", "8", "CUSI", "MAY MOVE UNDER CONTROL ONLY")
RETURN = Kind("RETURN", "transfer", "8", "CUSI", "TO BE RETURNED UNDER CONTROL")
TREAT = Kind("TREAT", "fumigate", "60", "CUSI", "TO BE TREATED")


@dataclass(frozen=True, slots=True)
class Told:
    """What a notice is about. `cause`: the place of the record it follows from; `evidence`: what a release rests on."""

    declaration: str
    cause: int
    evidence: Evidence | None = None
    overridden: bool = False


def tell_release(effects: Effects, settings: ExchangeSettings, cleared: Cleared, cause: int, log: str) -> int:
    """Tell every terminal that goods are released: built from what the evidence gate gave, and from nothing else."""
    evidence = Evidence(cleared.root.hex(), len(cleared.lines), cleared.size, log)
    return tell_port(effects, settings, _RELEASE, Told(cleared.number, cause, evidence, bool(cleared.overridden)))


def listeners(connection: Connection) -> list[tuple[str, Partner]]:
    """Give the partners that are told of holds and releases: the terminals."""
    kept = in_use(connection, "partner")
    return [(one.key, one.value) for one in kept if isinstance(one.value, Partner) and one.value.role == "terminal"]


def tell_port(effects: Effects, settings: ExchangeSettings, kind: Kind, told: Told) -> int:
    """Put a notice into every terminal's queue, in each way that it agreed; give how many."""
    if kind.status == "release" and told.evidence is None:
        raise RefusedError("names no evidence", where=f"release of {told.declaration}")
    count = 0
    for key, partner in listeners(effects.connection):
        for way in sorted(set(partner.ways)):
            effects.send(notice(effects, settings, (key, partner), way, kind, told), told.cause)
            count += 1
    return count


def notice(effects: Effects, settings: ExchangeSettings, to: tuple[str, Partner], way: str, kind: Kind, told: Told) -> Letter:
    """Write a notice for a partner in one way."""
    form = form_of(effects.connection, told.declaration)
    boxes = tuple(sorted(_boxes(form)))
    number = effects.next_out(to[0])
    if way == "json":
        raw = _json(effects, to[0], number, kind, told, boxes, form.get("bill"))
    else:
        order = _order(effects, settings, number, kind, told, boxes, form.get("bill"))
        raw = interchange(effects, settings, to, write_order(order, "1"))
    return Letter(to[0], way, kind.name, raw, declaration=told.declaration)


def _json(effects: Effects, key: str, number: int, kind: Kind, told: Told, boxes: Sequence[str], bill: Any) -> bytes:  # noqa: ANN401, PLR0913
    at = f"{datetime.fromtimestamp(effects.now_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%SZ}"
    notice = Notice(
        message=f"{key}/{number}",
        kind=kind.name,
        event=kind.event,
        status=kind.gis,
        declaration=told.declaration,
        containers=tuple(boxes),
        bill=bill,
        at=at,
        cause=told.cause,
        text=kind.text,
        evidence=told.evidence,
        overridden=told.overridden,
    )
    return write_notice(notice)


def _order(  # noqa: PLR0913
    effects: Effects,
    settings: ExchangeSettings,
    number: int,
    kind: Kind,
    told: Told,
    boxes: Sequence[str],
    bill: Any,  # noqa: ANN401
) -> Order:
    words = kind.text if not told.overridden else f"{kind.text} BY OVERRIDE"
    if told.evidence is not None:
        words += f" EVIDENCE ROOT SHA256:{told.evidence.root.upper()} LOG SIZE {told.evidence.size}"
    at = minute(effects.now_ns, settings)
    return Order(f"PW{at[:8]}{number:08d}", kind.status, at, told.declaration, settings.office, tuple(boxes), bill, words)


def interchange(
    effects: Effects, settings: ExchangeSettings, to: tuple[str, Partner], *messages: Message, charset: str | None = None
) -> bytes:
    """Write an interchange to a partner; its control reference is the number that its record will have."""
    key, partner = to
    profile = PROFILES.get(partner.profile, STANDARD_PROFILE)
    at = minute(effects.now_ns, settings)
    envelope = Envelope(
        sender=settings.edifact_id,
        recipient=partner.edifact_id or key.upper()[:35],
        reference=f"{effects.next_out(key):014d}",
        prepared=(at[2:8], at[8:]),
        charset=charset or profile.charset,
    )
    return write_interchange(envelope, messages, encoding=profile.encoding)


def readdressed(envelope: Envelope, reference: str) -> Envelope:
    """Give an envelope under another control reference."""
    return replace(envelope, reference=reference)


def minute(now_ns: int, settings: ExchangeSettings) -> str:
    """Give a time in the port's own zone as EDIFACT writes it."""
    zone = timezone(timedelta(minutes=settings.utc_offset_minutes))
    return f"{datetime.fromtimestamp(now_ns // SECOND_NS, zone):%Y%m%d%H%M}"


def boxes_untold(connection: Connection, declaration: str) -> tuple[int, list[str]]:
    """Give the boxes that a declaration names and that no notice against leaving has named yet, and the place of the version that does."""
    steps, messages = declaration_steps, exchange_messages
    holding = (
        messages.c.declaration == declaration,
        messages.c.way == OUT,
        messages.c.about.in_([kind.name for kind in (HOLD, RECALL, DETAIN, TREAT, RETURN)]),
    )
    told = connection.execute(select(func.max(messages.c.cause)).where(*holding)).scalar()
    place = connection.execute(select(func.max(steps.c.position)).where(*_versions(declaration))).scalar() or 0
    before = {} if told is None else form_of(connection, declaration, told)
    return place, sorted(_boxes(form_of(connection, declaration)) - _boxes(before))


def _boxes(form: Mapping[str, Any]) -> set[str]:
    return {box["number"] for box in form.get("containers", ())}


def _versions(declaration: str) -> tuple[ColumnElement[bool], ...]:
    steps = declaration_steps
    return steps.c.declaration == declaration, steps.c.kind == Declaration.KIND, steps.c.act != "withdrawn"


def form_of(connection: Connection, declaration: str, until: int | None = None) -> dict[str, Any]:
    """Give the form of a declaration as it now reads, or as it read when the log ended with record `until`; empty where it was erased."""
    steps = declaration_steps
    mine = (*_versions(declaration), *(() if until is None else (steps.c.position <= until,)))
    newest = connection.execute(select(steps.c.sheet).where(*mine).order_by(steps.c.position.desc()).limit(1)).scalar()
    found = None if newest is None else said(connection, bytes(newest))
    return {} if found is None else dict(found["form"])
