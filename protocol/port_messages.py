"""Read what partners tell in JSON, write what they are told, and sign what is posted to them.

    {"messageID": "TOS-4711", "eventCount": 1, "events": [{"equipmentEventTypeCode": "GTOT", "equipmentReference": "CSQU3054383",
     "eventDateTime": "2026-11-24T15:10:00+08:00", "declarationReference": "D-20261124-0000001", "facilityCode": "gate-1"}]}

Event names are those of DCSA's event domain 3.2. Guarantees: a message that passes has as many events as it says, each with a right check
digit and a certain time; each fault names its place. Pure: anybody may import it.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from protocol.errors import MalformedError, VerificationError
from protocol.goods import check_container
from protocol.signatures import Ed25519Signer, PublicKey

MAX_EVENTS = 2000
MAX_DEPTH = 16
EVENTS: Mapping[str, str] = {
    "GTIN": "in through the gate",
    "GTOT": "out through the gate",
    "LOAD": "loaded",
    "DISC": "discharged",
    "STUF": "stuffed",
    "STRP": "stripped",
    "PICK": "picked up",
    "DROP": "set down, facilityCode names the bay",
    "INSP": "inspected",
    "RSEA": "resealed",
    "RMVD": "seal removed",
    "CUSS": "selected for scan: an authority holds it",
    "CUSI": "selected for inspection: an authority holds it",
    "CUSR": "an authority lifts its hold",
}
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_MEMBERS = {"messageID": str, "eventCount": int, "events": list}
_OPTIONAL = {"messageDateTime": str}
_NEEDED = {"equipmentEventTypeCode": str, "equipmentReference": str, "eventDateTime": str}
_MORE = {"eventID": str, "declarationReference": str, "facilityCode": str, "transportReference": str, "seals": list, "remark": str}


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a partner tells. `at`: UTC, 2026-11-24T07:10:00Z; `place`: bay, gate or berth; `declaration`: what it was shown."""

    reference: str
    event: str
    container: str
    at: str
    declaration: str | None = None
    place: str | None = None
    carrier: str | None = None
    seals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Telling:
    """A JSON message of a partner."""

    reference: str
    events: tuple[Told, ...]


def read_telling(data: bytes) -> Telling:
    """Read a message of events; raise MalformedError naming the first fault and its place."""
    try:
        value = json.loads(data.decode("utf-8", "strict"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a character, written as an escape, is no text
    except MalformedError:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON in UTF-8: {str(error)[:80]}", where="message") from error
    _members(value, _MEMBERS, _OPTIONAL, "message")
    _name(value["messageID"], "messageID")
    events = value["events"]
    if not 1 <= len(events) <= MAX_EVENTS:
        raise MalformedError(f"{len(events)} events, 1 to {MAX_EVENTS} are taken at once", where="events")
    if value["eventCount"] != len(events):
        raise MalformedError(f"says {value['eventCount']}, there are {len(events)} events", where="eventCount")
    found = tuple(_event(one, number) for number, one in enumerate(events))
    twice = [one.reference for at, one in enumerate(found) if one.reference in {other.reference for other in found[:at]}]
    if twice:
        raise MalformedError(f"{twice[0]!r} is used twice", where="eventID")
    return Telling(value["messageID"], found)


def _event(value: Any, number: int) -> Told:  # noqa: ANN401 - JSON
    where = f"events[{number}]"
    _members(value, _NEEDED, _MORE, where)
    code = value["equipmentEventTypeCode"]
    if code not in EVENTS:
        raise MalformedError(f"{code[:10]!r} is none of {', '.join(EVENTS)}", where=f"{where}.equipmentEventTypeCode")
    seals = value.get("seals", [])
    if len(seals) > 20 or not all(isinstance(seal, str) and 1 <= len(seal) <= 40 for seal in seals):
        raise MalformedError("names up to 20 seals of 1 to 40 characters", where=f"{where}.seals")
    for name in ("eventID", "declarationReference", "facilityCode"):
        if name in value:
            _name(value[name], f"{where}.{name}")
    try:
        container = check_container(value["equipmentReference"])
    except MalformedError as error:
        raise MalformedError(error.what, where=f"{where}.equipmentReference") from error
    return Told(
        reference=value.get("eventID", str(number)),
        event=code,
        container=container,
        at=utc(value["eventDateTime"], f"{where}.eventDateTime"),
        declaration=value.get("declarationReference"),
        place=value.get("facilityCode"),
        carrier=value.get("transportReference"),
        seals=tuple(seals),
    )


def utc(text: str, where: str) -> str:
    """Give a time with its zone (RFC 3339) as UTC in whole seconds; raise MalformedError when it is none, or names no zone."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise MalformedError("names no time zone: write Z or +08:00 behind it", where=where)
        return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    except (ValueError, OverflowError) as error:
        raise MalformedError(f"{text[:40]!r} is no time such as 2026-11-24T15:10:00+08:00", where=where) from error


def _members(value: Any, needed: Mapping[str, type], more: Mapping[str, type], where: str) -> None:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise MalformedError("is no JSON object", where=where)
    for name in needed:
        if name not in value:
            raise MalformedError("is missing", where=f"{where}.{name}")
    for name, one in value.items():
        kind = needed.get(name) or more.get(name)
        if kind is None:
            raise MalformedError("is not known here", where=f"{where}.{name[:40]}")
        if not isinstance(one, kind) or isinstance(one, bool):
            raise MalformedError(f"is no {kind.__name__}", where=f"{where}.{name}")


def _name(text: str, where: str) -> None:
    if not _REFERENCE.fullmatch(text):
        raise MalformedError("has 1 to 64 letters, digits, dots, slashes and dashes", where=where)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("names a member twice", where="message")
    return found


def _no_constant(text: str) -> Any:  # noqa: ANN401
    raise MalformedError(f"{text} is no number", where="message")


# ------------------------------------------------------------------------------------------------- what is told to partners


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a release rests on: the root over its evidence, how many items, and the log's size at which it was judged."""

    root: str
    items: int
    size: int
    log: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What the port is told about a declaration. `status`: GIS 7365; `event`: of DCSA; `cause`: the record's place in the port log."""

    message: str
    kind: str
    event: str
    status: str
    declaration: str
    containers: tuple[str, ...]
    bill: str | None
    at: str
    cause: int
    text: str
    evidence: Evidence | None = None
    overridden: bool = False


def write_notice(notice: Notice) -> bytes:
    """Write a notice as canonical JSON: sorted names, no blanks, UTF-8."""
    value: dict[str, Any] = {
        "messageID": notice.message,
        "messageType": notice.kind,
        "eventTypeCode": notice.event,
        "statusCode": notice.status,
        "declarationReference": notice.declaration,
        "equipmentReferences": list(notice.containers),
        "transportDocumentReference": notice.bill,
        "issuedDateTime": notice.at,
        "record": notice.cause,
        "text": notice.text,
    }
    if notice.evidence is not None:
        one = notice.evidence
        value["evidence"] = {"root": one.root, "items": one.items, "logSize": one.size, "log": one.log}
        value["overridden"] = notice.overridden
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


# --------------------------------------------------------------------------------------------------------- signed deliveries

MESSAGE_HEADER, TIME_HEADER, SIGNATURE_HEADER = "Portwitness-Message", "Portwitness-Time", "Portwitness-Signature"
_DOMAIN = b"portwitness/webhook/v1\n"


def signed_bytes(message: str, seconds: int, body: bytes) -> bytes:
    """Give what the signature of a delivery is made over: domain, message, time and the body's SHA-256, a line each."""
    return _DOMAIN + f"{message}\n{seconds}\n{hashlib.sha256(body).hexdigest()}\n".encode()


def key_id(key: bytes) -> str:
    """Give the short name of an Ed25519 public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:16]


def sign_delivery(signer: Ed25519Signer, message: str, seconds: int, body: bytes) -> dict[str, str]:
    """Give the headers of a signed delivery; `message` is its idempotency key, the same at each attempt."""
    signature = base64.b64encode(signer.sign(signed_bytes(message, seconds, body))).decode()
    return {
        MESSAGE_HEADER: message,
        TIME_HEADER: str(seconds),
        SIGNATURE_HEADER: f"ed25519 {key_id(signer.public.raw())} {signature}",
    }


def check_delivery(key: bytes, headers: Mapping[str, str], body: bytes, now: int, tolerance: int = 300) -> str:
    """Check a signed delivery under a raw Ed25519 key; give its message. `tolerance`: seconds that clocks may differ.

    Raises VerificationError when it is not signed by that key, for that body, about now; MalformedError when a header is none.
    """
    told = {name.lower(): value for name, value in headers.items()}
    parts = told.get(SIGNATURE_HEADER.lower(), "").split(" ")
    message, seconds = told.get(MESSAGE_HEADER.lower(), ""), told.get(TIME_HEADER.lower(), "")
    if len(parts) != 3 or parts[0] != "ed25519" or not re.fullmatch(r"[0-9]{1,12}", seconds) or not message:
        raise MalformedError("is missing, or has another form", where=SIGNATURE_HEADER)
    if parts[1] != key_id(key):
        raise VerificationError("names another key", where=SIGNATURE_HEADER)
    if abs(int(seconds) - now) > tolerance:
        raise VerificationError(f"is {abs(int(seconds) - now)} s away from now", where=TIME_HEADER)
    try:
        signature = base64.b64decode(parts[2], validate=True)
    except binascii.Error as error:
        raise MalformedError("is no base64", where=SIGNATURE_HEADER) from error
    PublicKey.from_ed25519(key).verify(signature, signed_bytes(message, int(seconds), body))
    return message
