"""Tell the port what may happen to goods: hold, release and what lies between (CUSRES D.96B, BGM 961).

Guarantees: an order names its declaration, its office and every box, with right check digits; what is written reads the same.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from protocol.edifact.boxes import is_minute, minute, one_of
from protocol.edifact.interchange import Message
from protocol.edifact.syntax import segment
from protocol.errors import MalformedError
from protocol.goods import check_container

Status = Literal["hold", "documents", "detain", "transfer", "quarantine", "release", "fumigate"]
# GIS 7365: what may happen to the goods (UN code list 7365)
STATUS: dict[str, str] = {
    "hold": "5",
    "documents": "6",
    "detain": "7",
    "transfer": "8",
    "quarantine": "26",
    "release": "4",
    "fumigate": "60",
}
TEXT_PART, TEXT_PARTS = 70, 5


@dataclass(frozen=True, slots=True)
class Order:
    """What the port is told about a declaration's boxes.

    `at`: the port's local time, YYYYMMDDhhmm; `text`: for people, at most 350 characters.
    """

    number: str
    status: Status
    at: str
    declaration: str
    office: str
    containers: tuple[str, ...]
    bill: str | None = None
    text: str = ""


def write_order(order: Order, reference: str) -> Message:
    """Write an order as CUSRES (function 11); raise MalformedError for a field that has no place in it."""
    if not is_minute(order.at):
        raise MalformedError(f"time {order.at[:20]!r} is not YYYYMMDDhhmm", where="cusres")
    if len(order.text) > TEXT_PART * TEXT_PARTS:
        raise MalformedError(f"text of {len(order.text)} characters, at most {TEXT_PART * TEXT_PARTS}", where="cusres")
    for name in ("number", "declaration", "office"):
        if not 1 <= len(getattr(order, name)) <= 35:
            raise MalformedError("has 1 to 35 characters", where=f"cusres {name}")
    segments = [
        segment("BGM", "961", order.number, "11"),
        segment("DTM", ("137", order.at, "203")),
        segment("LOC", "22", (order.office, "148", "ZZZ")),
        segment("GIS", (STATUS[order.status], "120", "ZZZ")),
    ]
    if order.text:
        parts = [order.text[at : at + TEXT_PART] for at in range(0, len(order.text), TEXT_PART)]
        segments.append(segment("FTX", "AHN", "", "", parts))
    segments.append(segment("RFF", ("ABT", order.declaration)))
    if order.bill:
        segments.append(segment("RFF", ("BM", order.bill)))
    segments += [segment("RFF", ("AAQ", check_container(number))) for number in order.containers]
    return Message(reference, ("CUSRES", "D", "96B", "UN"), tuple(segments))


def read_order(message: Message) -> Order:
    """Read what `write_order` writes; raise MalformedError naming what is missing."""
    if message.name != "CUSRES":
        raise MalformedError(f"is a {message.name[:10]!r}", where="cusres")
    bgm, gis = one_of(message, "BGM"), one_of(message, "GIS")
    if bgm.get(0) != "961":
        raise MalformedError(f"BGM {bgm.get(0)[:10]!r} is not 961", where="cusres")
    references = [(one.get(0), one.get(0, 1)) for one in message.segments if one.tag == "RFF"]
    told = dict(references)
    if not told.get("ABT"):
        raise MalformedError("names no declaration (RFF ABT)", where="cusres")
    return Order(
        number=bgm.get(1),
        status=_status(gis.get(0)),
        at=minute(message.segments, "137", "cusres"),
        declaration=told["ABT"],
        office=one_of(message, "LOC").get(1),
        containers=tuple(check_container(number) for kind, number in references if kind == "AAQ"),
        bill=told.get("BM"),
        text="".join("".join(one.elements[3]) for one in message.segments if one.tag == "FTX" and len(one.elements) > 3),
    )


def _status(code: str) -> Status:
    for name in get_args(Status):
        if STATUS[name] == code:
            found: Status = name
            return found
    raise MalformedError(f"GIS {code[:10]!r} is not known", where="cusres")
