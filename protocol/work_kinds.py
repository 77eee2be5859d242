"""List the kinds of records of work on site: keys of phones, signed acts, what systems tell, tickets by which recorders join a task.

As in `protocol.inspection_kinds` they bind a sheet where a person wrote something or is named. Fields are only ever appended.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A phone's P-256 key was certified for a person until a time, or revoked; the subject is SHA-256 of its SPKI in hex.

    `sheet`: whose it is, on which device, and why it was revoked. An act counts by what the log says of its key at the act's place.
    """

    KIND: ClassVar[str] = "device-key"
    state: Literal["issued", "revoked"]
    spki: bytes
    sheet: bytes
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """An act on site, signed on a phone; the subject is the task. `id`: the act's own, `key`: SHA-256 of the SPKI that signed it.

    `seq`: its number in the phone's chain; `sheet`: the text that was signed, its signature and who sent it. `ahead_ms`: how far the
    phone's clock is ahead of the hub's (behind: below 0), where it was off by more than two minutes.
    """

    KIND: ClassVar[str] = "work"
    act: Literal["answers", "rest", "signature", "pause", "resume", "hand-over", "step", "note", "swap"]
    id: bytes
    key: bytes
    seq: int
    sheet: bytes
    ahead_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SystemNote:
    """A system of the port or the authority told something of a declaration by itself: temperature, weight, a gate; W6.

    The subject is the declaration; `key`: which record of the procedure it is; `sheet`: which system, and what it told.
    """

    KIND: ClassVar[str] = "system-note"
    key: str
    sheet: bytes


@dataclass(frozen=True, slots=True)
class Ticket:
    """The bearer may bind one recorder to a task; the subject is the task. A box takes it without asking the hub.

    It holds until `until_ns`, five minutes at most, and for one recorder. `by`: who showed it; the box's record names this one's leaf.
    """

    KIND: ClassVar[str] = "ticket"
    nonce: bytes
    until_ns: int
    by: str
