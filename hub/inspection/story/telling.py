"""Say what an entry of a story is: its lane, who did it, what was said, and where its record stands.

Guarantees: what a record and its sheet say is told as they say it; nothing is reckoned anew, and a sheet that was erased leaves the
entry with its place.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from hub.inspection.states import State
from protocol.sheets import Sheet, open_sheet
from storage.schema import sheets

S = State
CHUNK = 400
MAX_FACTS = 12
MAX_TEXT = 300

LANES = (
    "declaration", "screening", "draw", "dispatch", "checklist", "photos", "messages", "samples", "evaluation", "release", "credit",
    "watching", "supervision", "other",
)  # fmt: skip
_STEPS: Mapping[str, tuple[State, ...]] = {
    "screening": (S.ACCEPTED, S.REJECTED, S.SCREENED),
    "draw": (S.SELECTED, S.DIRECT_RELEASE, S.DOC_CHECK),
    "dispatch": (S.HELD, S.DISPATCHED, S.POSITIONED, S.PAIRED, S.INSPECTING, S.RE_INSPECT),
    "samples": (S.SAMPLED, S.LAB_PENDING),
    "release": (S.RELEASE_APPROVED, S.RELEASED, S.RECALLED, S.GATE_OUT, S.FOLLOW_UP, S.ARCHIVED),
}
_LANE_OF_STEP = {state.value: lane for lane, states in _STEPS.items() for state in states}
_LANE_OF_KIND: Mapping[str, str] = {
    "declaration": "declaration",
    "hold": "release",
    "task": "dispatch",
    "pairing": "dispatch",
    "work": "checklist",
    "system-note": "messages",
    "ticket": "dispatch",
    "stored": "photos",
    "message-in": "messages",
    "message-out": "messages",
    "delivery": "messages",
    "port-event": "messages",
    "sample": "samples",
    "evaluation": "evaluation",
    "release": "release",
    "credit-event": "credit",
    "appeal": "credit",
    "view": "watching",
    "export": "watching",
    "keeping": "watching",
    "derived": "watching",
    "annotation": "supervision",
    "instruction": "supervision",
    "second-round": "supervision",
    "second-look": "supervision",
    "draw-call": "draw",
    "draw-closing": "draw",
    "draw-result": "draw",
    "draw-act": "draw",
}
_HASH = re.compile(r'"([0-9a-f]{64})"')
_SPOKEN = ("by", "second", "reason", "text", "why", "display", "name")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: in its issuer's tree, and the leaf of the port log that covers it (None: not covered yet)."""

    issuer: str
    epoch: int
    position: int
    log_index: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, from `from_ns` to `to_ns`: alike for an instant.

    `act`: what of its kind; `who` and `second`: logins; `text`: what a person wrote, or a reason; `facts`: what else the record says,
    by name;
    `files`: SHA-256 of photographs and the like, in hex; `erased`: its sheet is no longer kept.
    """

    from_ns: int
    to_ns: int
    lane: str
    kind: str
    act: str
    place: Place
    who: str | None = None
    second: str | None = None
    text: str = ""
    rule: str | None = None
    stream: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    erased: bool = False


def lane_of(kind: str, act: str) -> str:
    """Give the lane in which a record of a kind stands."""
    if kind == "step":
        return _LANE_OF_STEP.get(act, "evaluation")
    return _LANE_OF_KIND.get(kind, "other")


def read_sheets(connection: Connection, commitments: Iterable[bytes]) -> dict[bytes, Any]:
    """Give what sheets say, by commitment; those that were erased are not in it. Raises VerificationError for a changed one."""
    wanted, found = sorted(set(commitments)), {}
    for start in range(0, len(wanted), CHUNK):
        query = select(sheets).where(sheets.c.commitment.in_(wanted[start : start + CHUNK]))
        for row in connection.execute(query):
            commitment = bytes(row.commitment)
            found[commitment] = open_sheet(commitment, Sheet(bytes(row.salt), bytes(row.data)))
    return found


def of_act(words: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give what the text of a signed act on site tells - plain values by name - and the files that it names."""
    try:
        payload = json.loads(words["act"])["payload"]
    except (KeyError, TypeError, ValueError):
        return {}, ()
    found: dict[str, Any] = {name: value for name, value in payload.items() if isinstance(value, str | int)}
    answers = payload.get("answers") or ()
    if answers:
        found["answers"] = ", ".join(str(one.get("item")) for one in answers if isinstance(one, dict))
    names = {text: None for text in _HASH.findall(json.dumps(payload)) if payload.get("digest") != text}
    return found, tuple(names)


def spoken(words: Mapping[str, Any]) -> dict[str, Any]:
    """Give what of a sheet an entry tells: who, with whom, and what they wrote."""
    text = next((words[name] for name in ("text", "reason", "why") if isinstance(words.get(name), str) and words[name]), "")
    who, second = words.get("by"), words.get("second")
    return {
        "who": who if isinstance(who, str) else None,
        "second": second if isinstance(second, str) else None,
        "text": str(text)[:MAX_TEXT],
    }


def told(words: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Give the plain values of a sheet or a body, by name; of values within values, those of the first level below."""
    found: list[tuple[str, str]] = []
    for name, value in words.items():
        if name in _SPOKEN or value is None:
            continue
        if isinstance(value, dict):
            found += [(f"{name}.{key}", str(one)) for key, one in value.items() if isinstance(one, str | int) and str(one)]
        elif isinstance(value, list | tuple) and value and all(isinstance(one, str | int) for one in value):
            found.append((name, ", ".join(str(one) for one in value)))
        elif isinstance(value, str | int) and str(value):
            found.append((name, str(value)))
    return tuple((name, value[:MAX_TEXT]) for name, value in found[:MAX_FACTS])
