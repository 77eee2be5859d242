"""List the kinds of records by which messages pass between the port's other systems and the hub.

They bind the raw bytes, which are kept beside the log under their SHA-256. As in `protocol.kinds`, fields are only ever appended.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class MessageIn:
    """A partner's message came in; the subject is the partner, `number` counts its messages from 1. `raw`: SHA-256 of its bytes.

    `reference`: the interchange or message reference that it claims; `units`: each message of it as (reference, type, SHA-256 of what it
    says, outcome), where `taken` is handled, `repeated` was handled before, and `rejected` is not.
    """

    KIND: ClassVar[str] = "message-in"
    number: int
    raw: bytes
    size: int
    form: Literal["json", "edifact", "other"]
    reference: str
    outcome: Literal["taken", "rejected"]
    units: tuple[tuple[str, str, bytes, str], ...]


@dataclass(frozen=True, slots=True)
class MessageOut:
    """A message is to go to a partner; the subject is the partner, `number` counts what goes to it from 1.

    `about`: what it says; `way`: posted until the partner takes it, or given as the answer to a message of its own; `cause`: the place in
    the log of the record that it follows from.
    """

    KIND: ClassVar[str] = "message-out"
    number: int
    raw: bytes
    size: int
    form: Literal["json", "edifact"]
    about: str
    way: Literal["queued", "answer"]
    cause: int
    declaration: str | None = None


@dataclass(frozen=True, slots=True)
class PortEvent:
    """What became of an event that a message told; the subject is the declaration, or the container while none is known.

    `message`: the place of its `message-in`, `number`: its place in that message. kept: it waits until it can be judged; noted: it changes
    nothing; illegal: it should not have happened; refused: the partner may not say so. The newest record of an event counts.
    """

    KIND: ClassVar[str] = "port-event"
    message: int
    number: int
    event: str
    container: str
    outcome: Literal["applied", "noted", "kept", "illegal", "refused"]
    at: str
    declaration: str | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message that goes out; the subject is the partner, `message` the place of its `message-out`.

    dead: given up after so many attempts; resent: a person puts it into the queue again, `sheet` says who and why.
    """

    KIND: ClassVar[str] = "delivery"
    message: int
    state: Literal["delivered", "dead", "resent"]
    attempts: int
    sheet: bytes | None = None
