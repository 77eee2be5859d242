"""Read and write what terminals and lines say of boxes: at the gate (CODECO), off and on a ship (COARRI), to come (COPRAR); D.95B.

Guarantees: a message that is read names its boxes with right check digits, and as many as its own control total says; codes and
qualifiers are those of the partner's profile; what is written reads the same.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.edifact.interchange import Message
from protocol.edifact.profiles import STANDARD_PROFILE, Layout, Profile
from protocol.edifact.syntax import Segment, segment
from protocol.errors import MalformedError
from protocol.goods import check_container

MAX_BOXES = 10_000
_MINUTE = re.compile(r"[0-9]{12}")
_ASSOCIATION = {"CODECO": "ITG14", "COARRI": "ITG12", "COPRAR": "SMDG16"}


@dataclass(frozen=True, slots=True)
class BoxMove:
    """What happened, or is to happen, to a box. `at`: the port's local time, YYYYMMDDhhmm.

    `declaration`: the number that the driver showed (RFF ABT); `carrier`: the truck's plate or the ship's IMO number.
    """

    document: str
    event: str
    container: str
    at: str | None = None
    declaration: str | None = None
    bill: str | None = None
    carrier: str | None = None
    voyage: str | None = None
    seals: tuple[str, ...] = ()
    place: str | None = None


def read_boxes(message: Message, profile: Profile = STANDARD_PROFILE) -> tuple[BoxMove, ...]:
    """Read the boxes of a message; raise MalformedError naming what is missing, or a control total that is wrong."""
    layout, name = profile.layout(message.name), message.name.lower()
    bgm = one_of(message, "BGM")
    if bgm.get(0) not in layout.codes:
        raise MalformedError(f"BGM {bgm.get(0)[:10]!r} is none of {', '.join(layout.codes)}", where=name)
    if not bgm.get(1):
        raise MalformedError("BGM names no document number", where=name)
    total = next((one.get(0, 1) for one in message.segments if one.tag == "CNT" and one.get(0) == "16"), None)
    groups = list(_groups(message.segments))
    if not groups:
        raise MalformedError("names no box (EQD)", where=name)
    if total is None and profile.needs_total:
        raise MalformedError("has no control total (CNT 16)", where=name)
    if total is not None and total != str(len(groups)):
        raise MalformedError(f"CNT says {total[:10]} boxes, there are {len(groups)}", where=name)
    return tuple(_move(message, bgm, group, layout, profile) for group in groups)


def _move(message: Message, bgm: Segment, group: Sequence[Segment], layout: Layout, profile: Profile) -> BoxMove:
    number = group[0].get(1)
    transport = next((one for one in message.segments if one.tag == "TDT"), None)
    references = {one.get(0): one.get(0, 1) for one in group if one.tag == "RFF"}
    place = next((one.get(1) for one in group if one.tag == "LOC" and one.get(0) == layout.place), None)
    return BoxMove(
        document=bgm.get(1),
        event=layout.codes[bgm.get(0)],
        container=check_container(number),
        at=minute(message.segments if layout.header_time else group, layout.time, f"{message.name.lower()} box {number[:20]}"),
        declaration=references.get(profile.declaration) or None,
        bill=references.get(profile.bill) or None,
        carrier=(transport.get(layout.carrier) or None) if transport else None,
        voyage=(transport.get(1) or None) if transport else None,
        seals=tuple(one.get(0) for one in group if one.tag == "SEL" and one.get(0)),
        place=place or None,
    )


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Give the segments of each box, from its EQD to the next one's, or to the control total."""
    group: list[Segment] = []
    for one in segments:
        if one.tag in ("EQD", "CNT"):
            if group:
                yield group
            group = [one] if one.tag == "EQD" else []
        elif group:
            group.append(one)
    if group:
        yield group


def write_boxes(name: str, moves: Sequence[BoxMove], reference: str, profile: Profile = STANDARD_PROFILE) -> Message:
    """Write the boxes of one document as CODECO, COARRI or COPRAR.

    Raises MalformedError for boxes of several documents or events, and for a field that has no place in the message.
    """
    layout = profile.layout(name)
    if not 1 <= len(moves) <= MAX_BOXES or len({(one.document, one.event, one.carrier, one.voyage) for one in moves}) != 1:
        raise MalformedError(f"one document has 1 to {MAX_BOXES} boxes of one event and carrier", where=name.lower())
    first = moves[0]
    code = next((code for code, event in layout.codes.items() if event == first.event), None)
    if code is None:
        raise MalformedError(f"event {first.event[:20]!r} is not said by it", where=name.lower())
    segments = [segment("BGM", code, first.document, "9")]
    if first.carrier or first.voyage:
        transport = ["1" if name == "CODECO" else "20", first.voyage or "", "3" if name == "CODECO" else "1"]
        transport += [""] * (layout.carrier - len(transport)) + [first.carrier or ""]
        segments.append(segment("TDT", *transport))
    if layout.header_time:
        segments += _timed(first, layout, name)
    for one in moves:
        segments += _box(one, layout, profile, name)
    segments.append(segment("CNT", ("16", str(len(moves)))))
    return Message(reference, (name, "D", "95B", "UN", _ASSOCIATION.get(name, "ITG14")), tuple(segments))


def _box(one: BoxMove, layout: Layout, profile: Profile, name: str) -> list[Segment]:
    made = [segment("EQD", "CN", check_container(one.container))]
    if one.declaration:
        made.append(segment("RFF", (profile.declaration, one.declaration)))
    if one.bill:
        made.append(segment("RFF", (profile.bill, one.bill)))
    if not layout.header_time:
        made += _timed(one, layout, name)
    if one.place:
        made.append(segment("LOC", layout.place, (one.place, "139", "6")))
    return [*made, *(segment("SEL", seal, "SH") for seal in one.seals)]


def _timed(one: BoxMove, layout: Layout, name: str) -> list[Segment]:
    if one.at is None or not _MINUTE.fullmatch(one.at):
        raise MalformedError(f"time {str(one.at)[:20]!r} is not YYYYMMDDhhmm", where=name.lower())
    return [segment("DTM", (layout.time, one.at, "203"))]


def one_of(message: Message, tag: str) -> Segment:
    """Give a message's segment of a tag; raise MalformedError when it has none, or more than one."""
    found = [one for one in message.segments if one.tag == tag]
    if len(found) != 1:
        raise MalformedError(f"has {'no' if not found else 'more than one'} {tag}", where=message.name.lower())
    return found[0]


def minute(segments: Sequence[Segment], qualifier: str, where: str) -> str:
    """Give the time of a qualifier (DTM, format 203); raise MalformedError when there is none, or it is no time."""
    found = next((one for one in segments if one.tag == "DTM" and one.get(0) == qualifier), None)
    if found is None or found.get(0, 2) != "203" or not is_minute(found.get(0, 1)):
        raise MalformedError(f"has no time (DTM {qualifier} in format 203)", where=where)
    return found.get(0, 1)


def is_minute(text: str) -> bool:
    """Tell whether a text is a time YYYYMMDDhhmm that a calendar has."""
    if not _MINUTE.fullmatch(text):
        return False
    year, month, day, hour, past = int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:])
    long = 29 if month == 2 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)) else (28 if month == 2 else 30 + (month in _LONG))
    return 1 <= month <= 12 and 1 <= day <= long and hour < 24 and past < 60


_LONG = frozenset({1, 3, 5, 7, 8, 10, 12})
