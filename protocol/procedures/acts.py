"""Read what a phone signed - one act of the work on site - and judge its signature.

An act is a JSON object of exactly {id, task, procedure, kind, phone_ms, seq, previous, payload}; its signature (ES256, r||s) is over the
UTF-8 of its text, as it was sent. Guarantees: what is read is bounded, has no fractions and no name twice, and each fault names its
path; time is linear in the length of the text.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from protocol.errors import MalformedError
from protocol.identifiers import PersonId, StreamId, TaskId
from protocol.procedures.answers import Answer, read_answers, read_rest
from protocol.procedures.model import Procedure
from protocol.procedures.reading import Node, PathError
from protocol.signatures import ES256, PublicKey

Kind = Literal["answers", "rest", "signature", "pause", "resume", "hand-over", "step", "note", "swap"]
Role = Literal["lead", "assistant", "owner"]
KINDS: tuple[Kind, ...] = ("answers", "rest", "signature", "pause", "resume", "hand-over", "step", "note", "swap")
ROLES: tuple[Role, ...] = ("lead", "assistant", "owner")
MAX_BYTES = 3 << 20
MAX_COVERED = 50_000
MAX_REASON = 1000
MAX_SEQ = 10**9
MAX_MS = 10**14
_ID = re.compile(r"[0-9a-f]{32}")
_ANSWER = re.compile(r"[0-9a-f]{32}/\d{1,5}")
_HASH = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,39}")


@dataclass(frozen=True, slots=True)
class Act:
    """An act as its text says; `payload` is read against the procedure by `read_payload`. `text_hash`: what the next one names."""

    id: str
    task: str
    procedure: str
    kind: Kind
    phone_ms: int
    seq: int
    previous: str
    payload: Mapping[str, Any]
    text_hash: str


@dataclass(frozen=True, slots=True)
class Given:
    """Answers, each for itself or by the one act that the rest conforms; `reasons`: why a signed answer is corrected, by the new one."""

    answers: tuple[Answer, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A signature under answers: drawn (a file), or refused with a reason; `digest`: over the answers that it covers and that stand."""

    role: Role
    covers: frozenset[str]
    digest: str
    drawn: str | None
    refused: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A pause, or its end (without a reason), or a note: a text."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The work of whoever signs goes over to somebody else."""

    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A step of the procedure begins or ends, for a part where it is done for each."""

    step: str
    event: Literal["start", "end"]
    at: str


@dataclass(frozen=True, slots=True)
class Swapped:
    """A recorder gave way to another in the middle of the work."""

    from_stream: str
    to_stream: str
    reason: str


Payload = Given | Subscribed | Reasoned | HandedOver | Moved | Swapped


def read_act(text: str) -> Act:
    """Read an act; raise PathError (a MalformedError) naming the first place that is wrong."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise PathError("act", f"has {len(data)} bytes, at most {MAX_BYTES}")
    node = Node(_load(text), "")
    found = Act(
        id=_match(node, "id", _ID, "is no id of 32 hex digits"),
        task=_task(node),
        procedure=_match(node, "procedure", _HASH, "is no SHA-256"),
        kind=node.one_of("kind", KINDS),
        phone_ms=node.count("phone_ms", 0, MAX_MS),
        seq=node.count("seq", 1, MAX_SEQ),
        previous=_previous(node),
        payload=_object(node, "payload"),
        text_hash=hashlib.sha256(data).hexdigest(),
    )
    node.done()
    return found


def check_signature(text: str, signature: bytes, spki: bytes) -> None:
    """Check the signature of an act's text under a phone's key; raise VerificationError, MalformedError for what is no key."""
    PublicKey(ES256, spki).verify(signature, text.encode("utf-8", "surrogatepass"))


def read_payload(act: Act, procedure: Procedure) -> Payload:
    """Read what an act says, against the procedure it was done by; raise PathError naming the first place that is wrong."""
    try:
        return _READERS[act.kind](act, Node(act.payload, ""), procedure)
    except PathError as error:
        raise PathError(f"payload.{error.path}" if error.path else "payload", error.what) from error


def _load(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text, object_pairs_hook=_once, parse_float=_no_fraction, parse_constant=_no_fraction)
    except MalformedError:
        raise
    except (ValueError, RecursionError) as error:
        raise PathError("act", f"is no JSON: {str(error)[:80]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1) if len(names) < 1000 else ""
        raise PathError("act", f"names {twice[:40]!r} twice")
    return found


def _no_fraction(text: str) -> Any:  # noqa: ANN401
    raise PathError("act", f"holds {text[:20]}: write decimals as text")


def _match(node: Node, name: str, pattern: re.Pattern[str], what: str) -> str:
    found = node.get(name)
    if not isinstance(found, str) or not pattern.fullmatch(found):
        raise PathError(node.at(name), what)
    return found


def _task(node: Node) -> str:
    try:
        return TaskId(str(node.get("task")))
    except MalformedError as error:
        raise PathError("task", "is no task") from error


def _previous(node: Node) -> str:
    found = node.get("previous")
    if not isinstance(found, str) or (found and not _HASH.fullmatch(found)):
        raise PathError("previous", "is neither empty nor a SHA-256")
    return found


def _object(node: Node, name: str) -> Mapping[str, Any]:
    found = node.get(name)
    if not isinstance(found, dict):
        raise PathError(node.at(name), "is no object")
    return found


def _reason(node: Node, name: str = "reason", most: int = MAX_REASON) -> str:
    found = node.get(name)
    if not isinstance(found, str) or not 0 < len(found.strip()) <= len(found) <= most:
        raise PathError(node.at(name), f"has 1 to {most} characters")
    return found.strip()


def _given(act: Act, node: Node, procedure: Procedure) -> Given:
    value = node.get("answers")
    node.done()
    reasons: dict[str, str] = {}
    plain = []
    for number, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, dict) and "reason" in one:
            reasons[f"{act.id}/{number}"] = _reason(Node(one, f"answers[{number}]"))
            one = {name: part for name, part in one.items() if name != "reason"}
        plain.append(one)
    rows: Any = plain if isinstance(value, list) else value
    answers = read_rest(procedure, act.id, rows) if act.kind == "rest" else read_answers(procedure, act.id, rows)
    return Given(answers, reasons)


def _subscribed(_act: Act, node: Node, _procedure: Procedure) -> Subscribed:
    covers = node.get("covers")
    if not isinstance(covers, list) or len(covers) > MAX_COVERED:
        raise PathError(node.at("covers"), f"is no list of at most {MAX_COVERED} answers")
    for number, one in enumerate(covers):
        if not isinstance(one, str) or not _ANSWER.fullmatch(one):
            raise PathError(f"covers[{number}]", "is no answer's id")
    drawn, refused = node.get("drawn", None), node.get("refused", None)
    if (drawn is None) == (refused is None):
        raise PathError(node.at("drawn"), "is needed, or `refused` with a reason; not both")
    found = Subscribed(
        role=node.one_of("role", ROLES),
        covers=frozenset(covers),
        digest=_match(node, "digest", _HASH, "is no SHA-256"),
        drawn=None if drawn is None else _match(node, "drawn", _HASH, "is no SHA-256 of a file"),
        refused=None if refused is None else _reason(node, "refused"),
        name=node.text("name", ""),
    )
    node.done()
    return found


def _reasoned(act: Act, node: Node, _procedure: Procedure) -> Reasoned:
    text = "" if act.kind == "resume" else _reason(node) if act.kind == "pause" else _reason(node, "text", 4000)
    node.done()
    return Reasoned(text)


def _handed_over(_act: Act, node: Node, _procedure: Procedure) -> HandedOver:
    try:
        to = PersonId(str(node.get("to")))
    except MalformedError as error:
        raise PathError(node.at("to"), "is no person") from error
    found = HandedOver(to, _reason(node))
    node.done()
    return found


def _moved(_act: Act, node: Node, procedure: Procedure) -> Moved:
    step = node.one_of("step", [one.key for one in procedure.steps])
    at = node.get("at", "")
    if not isinstance(at, str) or (at and not _PART.fullmatch(at)):
        raise PathError(node.at("at"), "is no part")
    found = Moved(step, node.one_of("event", ("start", "end")), at)
    node.done()
    return found


def _swapped(_act: Act, node: Node, _procedure: Procedure) -> Swapped:
    names = []
    for name in ("from", "to"):
        try:
            names.append(StreamId(str(node.get(name))))
        except MalformedError as error:
            raise PathError(node.at(name), "is no recorder, written as box-1/rec-1") from error
    found = Swapped(names[0], names[1], _reason(node))
    node.done()
    return found


_READERS: Mapping[Kind, Callable[[Act, Node, Procedure], Payload]] = {
    "answers": _given,
    "rest": _given,
    "signature": _subscribed,
    "pause": _reasoned,
    "resume": _reasoned,
    "hand-over": _handed_over,
    "step": _moved,
    "note": _reasoned,
    "swap": _swapped,
}
