"""Cut EDIFACT text into segments and write it again (ISO 9735-1, §6-8): separators, release character, character sets.

Guarantees: every byte of a text that passes belongs to a segment; writing what was read gives a text that reads the same; time is
linear in the text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError

MAX_BYTES = 8 * 2**20
MAX_SEGMENTS = 500_000
CHARSETS = {  # by syntax identifier: Python's name, and the characters that its table leaves
    "UNOA": ("ascii", re.compile(r"[^A-Z0-9 .,\-()/=+:?'!\"%&*;<>]")),
    "UNOB": ("ascii", re.compile(r"[^A-Za-z0-9 .,\-()/=+:?'!\"%&*;<>]")),
    "UNOC": ("iso8859-1", re.compile(r"[\x00-\x1f\x7f-\x9f]")),
    "UNOW": ("utf-8", re.compile(r"[\x00-\x1f\x7f-\x9f]")),
    "UNOY": ("utf-8", re.compile(r"[\x00-\x1f\x7f-\x9f]")),
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
ENCODINGS = {"gb18030": "gb18030", "utf-8": "utf-8"}  # by agreement with a partner, whatever its UNB names
_LINES = re.compile(r"[\r\n]+")
_TAG = re.compile(r"[A-Z][A-Z0-9]{2}")


@dataclass(frozen=True, slots=True)
class Separators:
    """The service characters of an interchange."""

    component: str = ":"
    element: str = "+"
    decimal: str = "."
    release: str = "?"
    terminator: str = "'"

    @property
    def una(self) -> str:
        """Give the service string advice."""
        return f"UNA{self.component}{self.element}{self.decimal}{self.release} {self.terminator}"


STANDARD = Separators()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment: its tag, and its data elements with their components."""

    tag: str
    elements: tuple[tuple[str, ...], ...]

    def get(self, element: int, component: int = 0) -> str:
        """Give a component, counted from 0; empty where there is none."""
        if element >= len(self.elements) or component >= len(self.elements[element]):
            return ""
        return self.elements[element][component]


def segment(tag: str, *elements: str | Sequence[str]) -> Segment:
    """Make a segment; an element is a text, or a list of components."""
    return Segment(tag, tuple((one,) if isinstance(one, str) else tuple(one) for one in elements))


def decode(data: bytes, encoding: str | None = None) -> tuple[str, Separators]:
    """Read the bytes of an interchange by the character set that its UNB names; give its text behind UNA, and its separators.

    `encoding`: what was agreed with the partner instead (of ENCODINGS), whatever the UNB says.
    Raises MalformedError for another character set, for a byte that is not of it, and for what is no interchange.
    """
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="edifact")
    separators, at = STANDARD, 0
    if data.startswith(b"UNA"):
        separators, at = _advice(data[3:9]), 9
        at += len(data[at : at + 8]) - len(data[at : at + 8].lstrip(b"\r\n"))
    head = data[at : at + 8].decode("ascii", "replace")
    if not head.startswith(f"UNB{separators.element}"):
        raise MalformedError("does not begin with UNB", where="edifact")
    charset = CHARSETS.get(head[4:8])
    if charset is None:
        raise MalformedError(f"character set {head[4:8]!r} is not read here; {', '.join(CHARSETS)} are", where="edifact UNB")
    codec, outside = charset if encoding is None else (ENCODINGS[encoding], _CONTROL)
    return _text(data[at:], (codec, outside), encoding or head[4:8], separators), separators


def _advice(data: bytes) -> Separators:
    text = data.decode("ascii", "replace")
    if text[3:4] == " ":
        raise MalformedError("names no release character", where="edifact UNA")
    if len(text) != 6 or text[4] not in " *" or len({*text} - {" "}) < 5 or any(one.isalnum() or not 32 <= ord(one) < 127 for one in text):
        raise MalformedError(f"{text!r} is no service string advice", where="edifact UNA")
    return Separators(text[0], text[1], text[2], text[3], text[5])


def _text(data: bytes, charset: tuple[str, re.Pattern[str]], name: str, separators: Separators) -> str:
    codec, outside = charset
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        place = _segment_at(data[: error.start].decode("latin-1"), separators)
        raise MalformedError(f"byte {error.start} is not of character set {name}", where=place) from error
    text = _LINES.sub("", text)  # partners wrap lines; they are no part of the syntax (ISO 9735-1 §6)
    for found in outside.finditer(text):
        if found.group() not in (separators.component, separators.element, separators.release, separators.terminator):
            place = _segment_at(text[: found.start()], separators)
            raise MalformedError(f"character {found.group()!r} is not of character set {name}", where=place)
    return text


def _segment_at(before: str, separators: Separators) -> str:
    ended = before.count(separators.terminator) - before.count(separators.release + separators.terminator)
    return f"edifact segment {ended + 1}"


def split(text: str, separators: Separators = STANDARD) -> list[Segment]:
    """Cut a text into segments; raise MalformedError naming the segment that is none."""
    hidden = separators.release in text
    if hidden:
        text = _hide(text, separators)
    *parts, rest = text.split(separators.terminator, MAX_SEGMENTS)
    if len(parts) == MAX_SEGMENTS and rest:
        raise MalformedError(f"more than {MAX_SEGMENTS} segments", where="edifact")
    if rest.strip():
        raise MalformedError(f"ends within a segment: {_shown(rest, separators)!r}", where=f"edifact segment {len(parts) + 1}")
    element, component = separators.element, separators.component
    found: list[Segment] = []
    for number, part in enumerate(parts, 1):
        tag, _, body = part.partition(element)
        tag, colon, _ = tag.partition(component)
        if not _TAG.fullmatch(tag) or colon:
            raise MalformedError(f"{_shown(part, separators)!r} has no tag", where=f"edifact segment {number}")
        elements = tuple(tuple(one.split(component)) for one in body.split(element)) if body else ()
        if hidden and _HIDDEN.search(part):
            elements = tuple(tuple(_bare(one, separators) for one in each) for each in elements)
        found.append(Segment(tag, elements))
    return found


_HIDDEN = re.compile(r"[\x00-\x03]")


def _hide(text: str, separators: Separators) -> str:
    """Put released characters out of the way of cutting: control characters stand for them, which no text holds."""
    release = separators.release
    for mark, letter in zip("\0\1\2\3", (release, separators.terminator, separators.element, separators.component), strict=True):
        text = text.replace(release + letter, mark)
    if release not in text:
        return text
    at = text.index(release)
    raise MalformedError(f"{text[at : at + 2]!r} releases nothing", where=f"edifact segment {text.count(separators.terminator, 0, at) + 1}")


def _bare(text: str, separators: Separators) -> str:
    return _named(text, (separators.release, separators.terminator, separators.element, separators.component))


def _shown(text: str, separators: Separators) -> str:
    return _bare(text, separators)[:40]


def _named(text: str, letters: Sequence[str]) -> str:
    for mark, letter in zip("\0\1\2\3", letters, strict=True):
        text = text.replace(mark, letter)
    return text


def join(segments: Iterable[Segment], separators: Separators = STANDARD) -> str:
    """Write segments; empty elements and components at an end are left out."""
    service = (separators.component, separators.element, separators.release, separators.terminator)
    table = {ord(one): separators.release + one for one in service}
    dirty = re.compile(f"[{re.escape(''.join(service))}]")
    out: list[str] = []
    for one in segments:
        released = dirty.search("".join(["".join(each) for each in one.elements])) is not None
        elements = [_joined(each, separators.component, table if released else None) for each in one.elements]
        while elements and not elements[-1]:
            elements.pop()
        out.append(separators.element.join([one.tag, *elements]) + separators.terminator)
    return "".join(out)


def _joined(parts: tuple[str, ...], component: str, table: dict[int, str] | None) -> str:
    if table is not None:
        parts = tuple(part.translate(table) for part in parts)
    if len(parts) == 1:
        return parts[0]
    end = len(parts)
    while end and not parts[end - 1]:
        end -= 1
    return component.join(parts[:end])


def encode(text: str, charset: str, encoding: str | None = None) -> bytes:
    """Give a text in a character set, or in an agreed encoding; raise MalformedError naming the first character that is not of it."""
    if charset not in CHARSETS or (encoding is not None and encoding not in ENCODINGS):
        raise MalformedError(f"character set {charset[:10]!r} is not written here", where="edifact")
    codec, outside = CHARSETS[charset] if encoding is None else (ENCODINGS[encoding], _CONTROL)
    found = outside.search(text)
    if found:
        raise MalformedError(f"character {found.group()!r} is not of character set {encoding or charset}", where="edifact")
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        raise MalformedError(f"character {text[error.start]!r} is not of character set {encoding or charset}", where="edifact") from error
