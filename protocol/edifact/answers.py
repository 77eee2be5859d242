"""Answer an interchange: by CONTRL for its syntax, counts and references, by APERAK for what a message says; and read such answers.

Guarantees: every message of an interchange is named in its CONTRL, with the code of what is wrong with it (data element 0085).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.edifact.boxes import is_minute, one_of
from protocol.edifact.interchange import Envelope, Fault, Interchange, Message
from protocol.edifact.syntax import Segment, segment
from protocol.errors import MalformedError

REJECTED, TAKEN, RECEIVED = "4", "7", "8"  # data element 0083
TEXT_PART, TEXT_PARTS = 70, 5


def write_control(
    interchange: Interchange, reference: str, prepared: tuple[str, str], *, charset: str | None = None
) -> tuple[Envelope, Message]:
    """Give the answer to an interchange (CONTRL 2:2): what was received, and each message that was rejected, with its code."""
    theirs = interchange.envelope
    chosen = charset or theirs.charset
    envelope = Envelope(theirs.recipient, theirs.sender, reference, prepared, chosen, theirs.version, theirs.is_test)
    outer = next((fault for fault in interchange.faults if fault.message is None), None)
    segments = [segment("UCI", theirs.reference, theirs.sender, theirs.recipient, *_verdict(outer, RECEIVED))]
    by_message: dict[int | None, Fault] = {}
    for fault in interchange.faults:
        by_message.setdefault(fault.message, fault)
    for at, message in enumerate(interchange.messages if outer is None else ()):
        segments.append(segment("UCM", message.reference, message.type, *_verdict(by_message.get(at), TAKEN)))
    return envelope, Message("1", ("CONTRL", "2", "2", "UN"), tuple(segments))


def _verdict(fault: Fault | None, otherwise: str) -> list[str]:
    if fault is None:
        return [otherwise]
    return [REJECTED, fault.code, *([fault.tag] if fault.tag else [])]


@dataclass(frozen=True, slots=True)
class Control:
    """What a CONTRL says of an interchange: its reference, whether it was rejected and why; and the messages that were."""

    reference: str
    rejected: bool
    code: str | None
    messages: tuple[tuple[str, bool, str | None], ...] = ()  # reference, rejected, code


def read_control(message: Message) -> Control:
    """Read a CONTRL; raise MalformedError naming what is missing."""
    if message.name != "CONTRL":
        raise MalformedError(f"is a {message.name[:10]!r}", where="contrl")
    uci = one_of(message, "UCI")
    if not uci.get(0) or uci.get(3) not in (REJECTED, TAKEN, RECEIVED):
        raise MalformedError("UCI names no interchange or no action", where="contrl")
    told = [one for one in message.segments if one.tag == "UCM"]
    for one in told:
        if not one.get(0) or one.get(2) not in (REJECTED, TAKEN, RECEIVED):
            raise MalformedError("UCM names no message or no action", where="contrl")
    messages = tuple((one.get(0), one.get(2) == REJECTED, one.get(3) or None) for one in told)
    return Control(uci.get(0), uci.get(3) == REJECTED, uci.get(4) or None, messages)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an APERAK says: of which document, by whom, an error code (ERC 9321) and words."""

    number: str
    document: str
    sender: str
    at: str
    code: str = "12"  # invalid value
    text: str = ""


def write_complaint(complaint: Complaint, reference: str) -> Message:
    """Write a complaint as APERAK D.96B (BGM 963, function 27: not accepted); longer words are cut."""
    if not is_minute(complaint.at):
        raise MalformedError(f"time {complaint.at[:20]!r} is not YYYYMMDDhhmm", where="aperak")
    text = complaint.text[: TEXT_PART * TEXT_PARTS]
    segments = [
        segment("BGM", "963", complaint.number, "27"),
        segment("DTM", ("137", complaint.at, "203")),
        segment("RFF", ("ACW", complaint.document)),
        segment("NAD", "MS", complaint.sender),
        segment("ERC", (complaint.code, "ZZZ")),
    ]
    if text:
        segments.append(segment("FTX", "AAO", "", "", [text[at : at + TEXT_PART] for at in range(0, len(text), TEXT_PART)]))
    return Message(reference, ("APERAK", "D", "96B", "UN"), tuple(segments))


def read_complaint(message: Message) -> Complaint:
    """Read an APERAK; raise MalformedError naming what is missing."""
    if message.name != "APERAK":
        raise MalformedError(f"is a {message.name[:10]!r}", where="aperak")
    document = next((one.get(0, 1) for one in message.segments if one.tag == "RFF" and one.get(0) == "ACW"), "")
    if not document:
        raise MalformedError("names no document (RFF ACW)", where="aperak")
    at = next((one.get(0, 1) for one in message.segments if one.tag == "DTM" and one.get(0) == "137"), "")
    return Complaint(
        number=one_of(message, "BGM").get(1),
        document=document,
        sender=next((one.get(1) for one in message.segments if one.tag == "NAD" and one.get(0) == "MS"), ""),
        at=at,
        code=one_of(message, "ERC").get(0),
        text=_words(message.segments),
    )


def _words(segments: Sequence[Segment]) -> str:
    return "".join("".join(one.elements[3]) for one in segments if one.tag == "FTX" and len(one.elements) > 3)
