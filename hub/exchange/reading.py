"""Read a partner's bytes: which messages they are, what each tells, and what is wrong with it. Pure.

Guarantees: every message of an interchange is named with its outcome; what is wrong with one leaves the others usable; counts, references,
sender and recipient are checked before anything is believed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Literal

from hub.inspection.catalogue import Partner
from protocol.edifact.answers import read_complaint, read_control
from protocol.edifact.boxes import BoxMove, read_boxes
from protocol.edifact.interchange import Fault, Interchange, Message, read_interchange
from protocol.edifact.orders import read_order
from protocol.edifact.profiles import STANDARD_PROFILE, Profile
from protocol.edifact.syntax import encode, join
from protocol.errors import MalformedError
from protocol.port_messages import Told, read_telling

Form = Literal["json", "edifact", "other"]
MAX_UNITS = 400  # one record names them all
MAX_EVENTS = 2000
NOT_SENDER, NOT_RECIPIENT, NOT_AGREED = "23", "7", "14"  # data element 0085
MOVES: Mapping[str, str] = {"gate-in": "GTIN", "gate-out": "GTOT", "discharged": "DISC", "loaded": "LOAD"}
_HOLDS = ("hold", "documents", "detain", "quarantine", "fumigate")
ACCEPTED, COMPLAINED = "ACK", "NACK"
PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "plain": STANDARD_PROFILE,
        "standard": STANDARD_PROFILE,
        "no-total": replace(STANDARD_PROFILE, name="no-total", needs_total=False),
        "gb18030": replace(STANDARD_PROFILE, name="gb18030", encoding="gb18030"),
        "utf-8": replace(STANDARD_PROFILE, name="utf-8", charset="UNOY", encoding="utf-8"),
    }
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A message of an interchange, or an event of a JSON message. `fault`: why it is not taken; `complaint`: its syntax is right."""

    reference: str
    type: str
    digest: bytes
    told: tuple[Told, ...] = ()
    fault: str | None = None
    complaint: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What was read. `fault`: why none of it is taken; `interchange`: what a CONTRL answers."""

    form: Form
    reference: str
    units: tuple[Unit, ...] = ()
    fault: str | None = None
    interchange: Interchange | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what one partner sends. `own`: our EDIFACT identification; `offset_minutes`: the port's zone, for times without one."""

    partner: Partner
    own: str
    offset_minutes: int
    profile: Profile = field(default=STANDARD_PROFILE)

    def read(self, raw: bytes, content_type: str) -> Read:
        """Read bytes by their content type; an EDIFACT interchange is known by its first letters too."""
        kind = content_type.partition(";")[0].strip().lower()
        if raw[:3] in (b"UNA", b"UNB") or kind in ("application/edifact", "application/edi-consent"):
            return self._agreed("edifact", raw) or self._edifact(raw)
        if kind in ("application/json", ""):
            return self._agreed("json", raw) or self._json(raw)
        return Read("other", _named(raw), fault=f"{kind[:40]!r} is not read here; application/json and application/edifact are")

    def _agreed(self, form: Form, raw: bytes) -> Read | None:
        if form in self.partner.ways:
            return None
        return Read(form, _named(raw), fault=f"{form} is not agreed with this partner")

    def _json(self, raw: bytes) -> Read:
        try:
            told = read_telling(raw)
        except MalformedError as error:
            return Read("json", _named(raw), fault=str(error))
        units = tuple(Unit(one.reference, one.event, _digest(one), (one,)) for one in told.events)
        if len(units) > MAX_UNITS:
            return Read("json", told.reference, fault=f"{len(units)} events, at most {MAX_UNITS} are taken at once")
        return Read("json", told.reference, units)

    def _edifact(self, raw: bytes) -> Read:
        try:
            interchange = read_interchange(raw, self.profile.encoding)
        except MalformedError as error:
            return Read("edifact", _named(raw), fault=str(error))
        interchange = replace(interchange, faults=(*interchange.faults, *self._strangers(interchange)))
        reference = interchange.envelope.reference[:64]
        units = tuple(self._unit(interchange, at, one) for at, one in enumerate(interchange.messages))
        fault = next((str(one) for one in interchange.faults if one.message is None), None)
        if len(units) > MAX_UNITS or sum(len(unit.told) for unit in units) > MAX_EVENTS:
            fault = f"at most {MAX_UNITS} messages and {MAX_EVENTS} boxes are taken at once"
            interchange = replace(interchange, faults=(*interchange.faults, Fault("18", fault, 1, tag="UNB")))
        if fault is not None:
            units = tuple(replace(unit, told=(), fault=unit.fault or fault) for unit in units[:MAX_UNITS])
        return Read("edifact", reference, units, fault, interchange)

    def _strangers(self, interchange: Interchange) -> list[Fault]:
        envelope, found = interchange.envelope, []
        if self.partner.edifact_id is not None and envelope.sender != self.partner.edifact_id:
            found.append(Fault(NOT_SENDER, f"UNB names sender {envelope.sender[:35]!r}, not {self.partner.edifact_id}", 1, tag="UNB"))
        if envelope.recipient != self.own:
            found.append(Fault(NOT_RECIPIENT, f"UNB names recipient {envelope.recipient[:35]!r}, this is {self.own}", 1, tag="UNB"))
        return found

    def _unit(self, interchange: Interchange, at: int, message: Message) -> Unit:
        digest = hashlib.sha256(encode(join(message.segments), "UNOY")).digest()
        reference, kind = message.reference[:64], message.name[:16]
        fault = next((str(one) for one in interchange.faults if one.message == at), None)
        if fault is not None:
            return Unit(reference, kind, digest, fault=fault)
        try:
            return Unit(reference, kind, digest, self._told(message))
        except MalformedError as error:
            return Unit(reference, kind, digest, fault=str(error), complaint=True)

    def _told(self, message: Message) -> tuple[Told, ...]:
        if message.name == "CUSRES":
            order = read_order(message)
            event = "CUSR" if order.status == "release" else "CUSI" if order.status in _HOLDS else "NOTE"
            boxes = order.containers or ("",)
            return (Told(message.reference, event, boxes[0], self._utc(order.at), order.declaration),)
        if message.name == "CONTRL":
            control = read_control(message)
            wrong = control.rejected or any(rejected for _, rejected, _ in control.messages)
            return (Told(message.reference, COMPLAINED if wrong else ACCEPTED, "", "", None, control.reference[:64]),)
        if message.name == "APERAK":
            complaint = read_complaint(message)
            return (Told(message.reference, COMPLAINED, "", "", None, complaint.document[:64]),)
        return tuple(self._move(message, one) for one in read_boxes(message, self.profile))

    def _move(self, message: Message, one: BoxMove) -> Told:
        event = MOVES.get(one.event, "NOTE")
        at = self._utc(one.at) if one.at else ""
        return Told(message.reference, event, one.container, at, one.declaration, one.place, one.carrier, one.seals)

    def _utc(self, minute: str) -> str:
        """Give a time of the port's own zone in UTC; raise MalformedError for one that no clock shows."""
        zone = timezone(timedelta(minutes=self.offset_minutes))
        try:
            at = datetime.strptime(minute, "%Y%m%d%H%M").replace(tzinfo=zone).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise MalformedError(f"time {minute!r} is none that a clock shows", where="edifact DTM") from error
        return at.replace(tzinfo=None).isoformat() + "Z"


def _digest(told: Told) -> bytes:
    text = "\0".join([told.event, told.container, told.at, told.declaration or "", told.place or "", told.carrier or "", *told.seals])
    return hashlib.sha256(text.encode()).digest()


def _named(raw: bytes) -> str:
    """Give a name to what has none that can be read."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()[:24]}"
