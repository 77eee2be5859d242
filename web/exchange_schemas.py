"""Describe the JSON about messages with the port's other systems; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas import Shape

Way = Literal["in", "out"]
MessageState = Literal["taken", "rejected", "answer", "queued", "delivered", "dead"]


class UnitShape(Shape):
    """A message of an interchange, or an event of a JSON message. repeated: it was handled before."""

    reference: str
    type: str
    outcome: Literal["taken", "repeated", "rejected"]


class HappenedShape(Shape):
    """What became of an event. kept: it waits until it can be judged; noted: it changes nothing."""

    event: str
    container: str
    outcome: Literal["applied", "noted", "kept", "illegal", "refused"]
    declaration: str | None


class TakenAnswer(Shape):
    """What became of a message. `again`: it came before, and this is what was answered then; `answers`: CONTRL and APERAK as text."""

    position: int
    number: int
    outcome: Literal["taken", "rejected"]
    again: bool
    reference: str
    units: list[UnitShape]
    faults: list[str]
    events: list[HappenedShape]
    answers: list[str]


class MessageShape(Shape):
    """A message in or out. `position`: of its record in the port log; `fault`: why it is not taken, while it is tried or was given up."""

    position: int
    way: Way
    partner: str
    number: int
    form: Literal["json", "edifact", "other"]
    about: str
    reference: str
    state: MessageState
    size: int
    attempts: int
    at_ms: float
    done_ms: float | None
    next_ms: float | None
    declaration: str | None
    cause: int | None
    fault: str


class MessagesAnswer(Shape):
    """Messages, newest first."""

    messages: list[MessageShape]


class MessageDetail(MessageShape):
    """A message with its bytes as text, and what became of it where it came in."""

    text: str
    taken: TakenAnswer | None


class MessageWishes(Shape):
    """Which messages are asked for; `before`: of a lower place in the log."""

    partner: Annotated[str, Field(max_length=64)] | None = None
    way: Way | None = None
    state: MessageState | None = None
    declaration: Annotated[str, Field(max_length=64)] | None = None
    before: Annotated[int, Field(ge=0, le=2**53)] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class ResendAsk(Shape):
    """Why a message is sent again."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class PartnerShape(Shape):
    """How the exchange with a partner goes. `fault`: why the first message of its queue is not taken."""

    partner: str
    name: str
    role: str
    ways: list[str]
    address: str | None
    came: int
    rejected: int
    kept: int
    queued: int
    delivered: int
    dead: int
    last_in_ms: float | None
    last_out_ms: float | None
    fault: str


class PartnersAnswer(Shape):
    """The partners, by key."""

    partners: list[PartnerShape]


class KeyAnswer(Shape):
    """The hub's Ed25519 key for what it posts: raw, in hex, and the name that signatures call it by."""

    key: str
    key_id: str
