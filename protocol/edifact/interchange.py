"""Check an interchange's envelope - UNB, UNH, UNT, UNZ (ISO 9735-1, annex A) - and write one whose counts are right.

Guarantees: a message that passes has the number of segments and the reference that its own UNT says; an interchange that passes has the
number of messages that UNZ says, and no reference twice. A fault of one message leaves the others usable, a fault of the envelope none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.edifact.syntax import STANDARD, Segment, Separators, decode, encode, join, segment, split
from protocol.errors import MalformedError

MAX_MESSAGES = 10_000
MAX_FAULTS = 1000
_SERVICE = frozenset({"UNB", "UNG", "UNH", "UNT", "UNE", "UNZ"})
# Error codes of UCI and UCM (data element 0085)
INVALID, MISSING, NOT_SUPPORTED, DUPLICATE, REFERENCES, COUNTS, OUT_OF_PLACE = "12", "13", "14", "26", "28", "29", "15"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message or (message None) with the envelope; `code` is of data element 0085, `tag` the service segment."""

    code: str
    what: str
    segment: int
    message: int | None = None
    tag: str = ""

    def __str__(self) -> str:
        """Give it as a sentence with its place."""
        place = "" if self.message is None else f"message {self.message + 1}, "
        return f"{place}segment {self.segment}: {self.what}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom, when, and under which control reference (UNB)."""

    sender: str
    recipient: str
    reference: str
    prepared: tuple[str, str]
    charset: str = "UNOC"
    version: str = "3"
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its reference and type (UNH), and its segments between UNH and UNT. `first`: UNH's place in the interchange, from 1."""

    reference: str
    type: tuple[str, ...]
    segments: tuple[Segment, ...]
    first: int = 0

    @property
    def name(self) -> str:
        """Give the message's type, e.g. `CODECO`."""
        return self.type[0]


@dataclass(frozen=True, slots=True)
class Interchange:
    """An interchange as it was read. `faults` empty: all its counts and references hold."""

    envelope: Envelope
    messages: tuple[Message, ...]
    faults: tuple[Fault, ...] = ()
    separators: Separators = field(default=STANDARD)

    @property
    def is_whole(self) -> bool:
        """Tell whether the envelope itself holds; then messages without a fault of their own may be used."""
        return all(fault.message is not None for fault in self.faults)

    def sound(self) -> list[tuple[int, Message]]:
        """Give the messages that may be used, by their place; none when the envelope does not hold."""
        wrong = {fault.message for fault in self.faults}
        return [(at, one) for at, one in enumerate(self.messages) if at not in wrong] if self.is_whole else []


def read_interchange(data: bytes, encoding: str | None = None) -> Interchange:
    """Read an interchange and check its counts and references; `encoding`: agreed with the partner in place of the UNB's.

    Raises MalformedError where no envelope can be read: what is wrong within one is named by its faults.
    """
    text, separators = decode(data, encoding)
    segments = split(text, separators)
    envelope = _envelope(segments[0])
    walk = _Walk(segments)
    walk.run()
    _check_twice(walk.found, walk.faults)
    units = walk.groups if walk.grouped else len(walk.found)
    _check_end(segments, envelope, units, "groups" if walk.grouped else "messages", walk.faults)
    return Interchange(envelope, tuple(walk.found), tuple(walk.faults), separators)


def _envelope(unb: Segment) -> Envelope:
    fields = {"sender": unb.get(1), "recipient": unb.get(2), "time of preparation": unb.get(3), "control reference": unb.get(4)}
    for name, value in fields.items():
        if not value.strip():
            raise MalformedError(f"names no {name}", where="edifact UNB")
    charset, version = unb.get(0), unb.get(0, 1)
    if version not in ("1", "2", "3", "4"):
        raise MalformedError(f"syntax version {version[:10]!r} is not known", where="edifact UNB")
    return Envelope(unb.get(1), unb.get(2), unb.get(4), (unb.get(3), unb.get(3, 1)), charset, version, unb.get(10) == "1")


@dataclass(slots=True)
class _Walk:
    """Go over the segments between UNB and UNZ: messages, and groups of them (UNG to UNE), with what is wrong."""

    segments: Sequence[Segment]
    found: list[Message] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    groups: int = 0
    grouped: bool = False
    _start: int | None = None  # of the open message
    _group: Segment | None = None
    _before: int = 0  # messages found when the open group began

    def run(self) -> None:
        for at, one in enumerate(self.segments[1:], 1):
            if one.tag in _SERVICE:
                self._service(at, one)
            elif self._start is None:
                self._misplaced(at, one)
        self._end_message(len(self.segments), None)
        if self._group is not None:
            self.faults.append(Fault(MISSING, "the group has no UNE", len(self.segments), tag="UNE"))

    def _service(self, at: int, one: Segment) -> None:
        if one.tag == "UNT":
            if self._start is None:
                return self._misplaced(at, one)
            return self._end_message(at, one)
        self._end_message(at, None)
        if one.tag == "UNH":
            self._start = at
            if self.grouped and self._group is None:
                self._misplaced(at, one)
        elif one.tag == "UNG":
            self._open_group(at, one)
        elif one.tag == "UNE":
            self._close_group(at, one)
        elif one.tag == "UNB":
            self._misplaced(at, one)

    def _misplaced(self, at: int, one: Segment) -> None:
        if len(self.faults) >= MAX_FAULTS:
            raise MalformedError(f"more than {MAX_FAULTS} faults", where=f"edifact segment {at + 1}")
        self.faults.append(Fault(OUT_OF_PLACE, f"{one.tag} does not belong here", at + 1, tag=one.tag))

    def _open_group(self, at: int, one: Segment) -> None:
        if self._group is not None or (self.found and not self.grouped):
            self._misplaced(at, one)
        self._group, self._before, self.grouped = one, len(self.found), True
        self.groups += 1

    def _close_group(self, at: int, une: Segment) -> None:
        if self._group is None:
            return self._misplaced(at, une)
        count, reference = len(self.found) - self._before, self._group.get(4)
        if une.get(0) != str(count):
            self.faults.append(Fault(COUNTS, f"UNE says {une.get(0)[:10] or 'nothing'}, there are {count} messages", at + 1, tag="UNE"))
        if une.get(1) != reference:
            said = f"UNE says {une.get(1)[:14]!r}, UNG says {reference[:14]!r}"
            self.faults.append(Fault(REFERENCES, said, at + 1, tag="UNE"))
        self._group = None

    def _end_message(self, at: int, unt: Segment | None) -> None:
        if self._start is not None:
            self.found.append(_close(self.segments, self._start, at, unt, len(self.found), self.faults))
            self._start = None
            if len(self.found) > MAX_MESSAGES:
                raise MalformedError(f"more than {MAX_MESSAGES} messages", where=f"edifact segment {at + 1}")


def _check_twice(messages: Sequence[Message], faults: list[Fault]) -> None:
    seen: set[str] = set()
    for number, message in enumerate(messages):
        if message.reference in seen:
            faults.append(Fault(DUPLICATE, f"reference {message.reference[:14]!r} is used twice", message.first, number, "UNH"))
        seen.add(message.reference)


def _close(segments: Sequence[Segment], start: int, end: int, unt: Segment | None, number: int, faults: list[Fault]) -> Message:
    """Make a message of segments [start, end) and check it against its UNT."""
    unh = segments[start]
    reference, kind = unh.get(0), unh.elements[1] if len(unh.elements) > 1 else ("",)
    if not reference or not kind[0]:
        faults.append(Fault(MISSING, "UNH names no reference or no type", start + 1, number, "UNH"))
    if unt is None:
        faults.append(Fault(MISSING, "the message has no UNT", start + 1, number, "UNT"))
    else:
        count = end - start + 1
        if unt.get(0) != str(count):
            said = f"UNT says {unt.get(0)[:10] or 'nothing'}, there are {count} segments"
            faults.append(Fault(COUNTS, said, end + 1, number, "UNT"))
        if unt.get(1) != reference:
            said = f"UNT says {unt.get(1)[:14]!r}, UNH says {reference[:14]!r}"
            faults.append(Fault(REFERENCES, said, end + 1, number, "UNT"))
    return Message(reference, kind, tuple(segments[start + 1 : end]), start + 1)


def _check_end(segments: Sequence[Segment], envelope: Envelope, count: int, units: str, faults: list[Fault]) -> None:
    last = segments[-1]
    if last.tag != "UNZ":
        faults.append(Fault(MISSING, "the interchange has no UNZ at its end", len(segments), tag="UNZ"))
        return
    faults.extend(
        Fault(OUT_OF_PLACE, "UNZ does not belong here", at, tag="UNZ") for at, one in enumerate(segments[:-1], 1) if one.tag == "UNZ"
    )
    if last.get(0) != str(count):
        faults.append(Fault(COUNTS, f"UNZ says {last.get(0)[:10] or 'nothing'}, there are {count} {units}", len(segments), tag="UNZ"))
    if last.get(1) != envelope.reference:
        faults.append(Fault(REFERENCES, f"UNZ says {last.get(1)[:14]!r}, UNB says {envelope.reference[:14]!r}", len(segments), tag="UNZ"))


def write_interchange(
    envelope: Envelope, messages: Sequence[Message], separators: Separators = STANDARD, encoding: str | None = None
) -> bytes:
    """Write an interchange; its counts and references are made, not taken over. `encoding`: as in `read_interchange`.

    Raises MalformedError for a reference that is used twice and for a character that its character set does not have.
    """
    if len({message.reference for message in messages}) != len(messages):
        raise MalformedError("a reference is used twice", where="edifact")
    unb = segment("UNB", (envelope.charset, envelope.version), envelope.sender, envelope.recipient, envelope.prepared, envelope.reference)
    if envelope.is_test:
        unb = Segment("UNB", (*unb.elements, *[("",)] * 5, ("1",)))
    segments = [unb]
    for message in messages:
        segments.append(segment("UNH", message.reference, message.type))
        segments += message.segments
        segments.append(segment("UNT", str(len(message.segments) + 2), message.reference))
    segments.append(segment("UNZ", str(len(messages)), envelope.reference))
    text = join(segments, separators)
    return separators.una.encode("ascii") + encode(text, envelope.charset, encoding)
