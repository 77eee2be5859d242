"""Say what a terminal does with boxes, as JSON or EDIFACT, right or wrong in one known way.

Guarantees: the same seed gives the same bytes; each sending says how a sound hub answers it. Written from the public format descriptions:
the JSON here is made by hand, so that two mistakes would have to be alike.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

from protocol.edifact.boxes import BoxMove, write_boxes
from protocol.edifact.interchange import Envelope, Message, write_interchange

Way = Literal["json", "edifact"]
Event = Literal["DISC", "GTIN", "DROP", "PICK", "GTOT", "RMVD", "RSEA"]
Fault = Literal["", "wrong count", "wrong check digit", "truncated", "no zone", "other partner"]
FAULTS: tuple[Fault, ...] = ("wrong count", "wrong check digit", "truncated", "no zone", "other partner")
BEIJING = timezone(timedelta(hours=8))
CONTENT: Mapping[Way, str] = {"json": "application/json", "edifact": "application/edifact"}
_MOVES: Mapping[str, tuple[str, str]] = {"DISC": ("COARRI", "discharged"), "GTIN": ("CODECO", "gate-in"), "GTOT": ("CODECO", "gate-out")}


@dataclass(frozen=True, slots=True)
class Move:
    """Something that happens to a box. `at_ms`: when, Unix ms; `place`: bay, gate or berth; `seals`: as read at the gate."""

    event: Event
    container: str
    at_ms: int
    declaration: str | None = None
    place: str | None = None
    seals: tuple[str, ...] = ()
    truck: str | None = None


@dataclass(frozen=True, slots=True)
class Sending:
    """A message ready to go. `expected`: whether a sound hub takes it; `fault`: what is wrong with it."""

    reference: str
    way: Way
    raw: bytes
    expected: Literal["taken", "rejected"]
    fault: Fault = ""

    @property
    def content_type(self) -> str:
        """Give the media type that it is posted as."""
        return CONTENT[self.way]


@dataclass(slots=True)
class Pen:
    """Writes a terminal's messages, each under a reference of its own. `sender`, `recipient`: EDIFACT identifications."""

    sender: str = "DCT"
    recipient: str = "PORTWITNESS"
    seed: int = 1
    number: int = 0
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"pen {self.seed}")  # noqa: S311 - repeatable by seed, no secret

    def write(self, moves: Sequence[Move], way: Way = "json", fault: Fault = "") -> Sending:
        """Write moves as one message; what EDIFACT has no message for goes as JSON."""
        self.number += 1
        if way == "edifact" and any(move.event not in _MOVES for move in moves):
            way = "json"
        if fault == "no zone" and way == "edifact":
            fault = "wrong count"
        reference = f"{self.sender}-{self.seed}-{self.number:06d}" if way == "json" else f"{self.seed:04d}{self.number:010d}"
        raw = self._json(reference, moves, fault) if way == "json" else self._edifact(reference, moves, fault)
        if fault == "truncated":
            raw = raw[: len(raw) - self._draw.randrange(4, len(raw) // 2)]
        return Sending(reference, way, raw, "rejected" if fault else "taken", fault)

    def _json(self, reference: str, moves: Sequence[Move], fault: Fault) -> bytes:
        events = [self._event(move, fault if at == 0 else "") for at, move in enumerate(moves)]
        count = len(events) + (1 if fault == "wrong count" else 0)
        value: dict[str, object] = {"messageID": reference, "eventCount": count, "events": events}
        if fault == "other partner":
            value["messageID"] = "\u7801\u5934 " + reference  # no reference that may stand there
        return json.dumps(value, ensure_ascii=False).encode()

    def _event(self, move: Move, fault: Fault) -> dict[str, object]:
        at = datetime.fromtimestamp(move.at_ms // 1000, BEIJING)
        made: dict[str, object] = {
            "equipmentEventTypeCode": move.event,
            "equipmentReference": _spoiled(move.container) if fault == "wrong check digit" else move.container,
            "eventDateTime": f"{at:%Y-%m-%dT%H:%M:%S}" + ("" if fault == "no zone" else "+08:00"),
        }
        more = {"declarationReference": move.declaration, "facilityCode": move.place, "transportReference": move.truck}
        made |= {name: value for name, value in more.items() if value is not None}
        return made | ({"seals": list(move.seals)} if move.seals else {})

    def _edifact(self, reference: str, moves: Sequence[Move], fault: Fault) -> bytes:
        messages: list[Message] = []
        for at, move in enumerate(moves, 1):
            name, event = _MOVES[move.event]
            minute = f"{datetime.fromtimestamp(move.at_ms // 1000, BEIJING):%Y%m%d%H%M}"
            box = BoxMove(
                f"{reference[-8:]}{at}", event, move.container, minute, move.declaration, None, move.truck, None, move.seals, move.place
            )
            messages.append(write_boxes(name, [box], str(at)))
        sender = "STRANGER" if fault == "other partner" else self.sender
        prepared = f"{datetime.fromtimestamp(moves[0].at_ms // 1000, UTC):%y%m%d %H%M}".split()
        raw = write_interchange(Envelope(sender, self.recipient, reference, (prepared[0], prepared[1])), messages)
        if fault == "wrong count":
            return raw.replace(b"UNZ+%d+" % len(messages), b"UNZ+%d+" % (len(messages) + 1))
        if fault == "wrong check digit":
            return raw.replace(moves[0].container.encode(), _spoiled(moves[0].container).encode())
        return raw


def _spoiled(container: str) -> str:
    return container[:10] + str((int(container[10]) + 1) % 10)
