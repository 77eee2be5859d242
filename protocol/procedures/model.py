"""Hold a procedure: its steps with the records each must have, and its sections of typed items. Nothing in it is an answer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from protocol.procedures.conditions import Condition

FORMAT = "portwitness-procedure/1"
Type = Literal["choice", "multi", "number", "text", "date-time", "photo", "audio", "video", "gps", "signature", "barcode"]
TYPES: tuple[Type, ...] = ("choice", "multi", "number", "text", "date-time", "photo", "audio", "video", "gps", "signature", "barcode")
ATTACHED: frozenset[Type] = frozenset({"photo", "audio", "video"})
WAYS = ("W1", "W2", "W3", "W4", "W5", "W6")
DEVICES = ("camera", "audio-recorder", "video-camera", "body-camera", "handheld", "fixed-camera", "system")
Way = str
Need = Literal["must", "may"]
Stored = Literal["log", "hub", "box"]  # where it must lie to count: in the log alone, its blob at the hub, or safe on the box


@dataclass(frozen=True, slots=True)
class Basis:
    """What law or standard asks for it; `verified`: whether its text was read at the source."""

    zh: str
    en: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One answer that may be chosen. `conforms`: what the one act "the rest conforms" says; `fails`: a finding."""

    key: str
    zh: str
    en: str
    conforms: bool = False
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One question. `least`, `most`: limits of a number, or how many files; `places`: of decimals; `when`: asked only if this holds."""

    key: str
    type: Type
    zh: str
    en: str
    required: bool
    options: tuple[Option, ...] = ()
    unit: str | None = None
    least: str | None = None
    most: str | None = None
    places: int = 0
    when: Condition | None = None
    violation: str | None = None
    basis: str | None = None
    verified: bool = True

    def conforming(self) -> Option | None:
        """Give the option that says "conforms", where there is one."""
        return next((option for option in self.options if option.conforms), None)


@dataclass(frozen=True, slots=True)
class Section:
    """Items that stand together, in a step; `per`: asked once for each of these (container, package ...), at most `most` times."""

    key: str
    zh: str
    en: str
    step: str
    items: tuple[Item, ...]
    basic: bool = False
    per: str | None = None
    most: int = 1


@dataclass(frozen=True, slots=True)
class Trigger:
    """What begins or ends a step's recording; `key` names the event in the chain of records."""

    key: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that a step must or may have; `when`: only if this holds of the answers.

    `gap_s`: how long a technical break may be that is explained and does not block.
    """

    key: str
    way: Way
    devices: tuple[str, ...]
    need: Need
    zh: str
    en: str
    least: int = 1
    stored: Stored = "log"
    unbroken: bool = False
    gap_s: int = 0
    when: Condition | None = None
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the work, from one event to another, and what must be recorded of it."""

    key: str
    zh: str
    en: str
    starts: Trigger
    ends: Trigger
    records: tuple[Wanted, ...]


@dataclass(frozen=True)
class Procedure:
    """A version of an operating procedure. `effective`, `until`: days; `keep`: the class by which its records are retained."""

    key: str
    number: int
    version: int
    zh: str
    en: str
    effective: str
    until: str | None
    goods: tuple[str, ...]
    keep: str
    verified: bool
    basis: tuple[Basis, ...]
    steps: tuple[Step, ...]
    sections: tuple[Section, ...]

    @cached_property
    def items(self) -> dict[str, tuple[Section, Item]]:
        """Give every item with its section, by key."""
        return {item.key: (section, item) for section in self.sections for item in section.items}

    def on(self, day: str) -> bool:
        """Tell whether it is in force on a day."""
        return self.effective <= day and (self.until is None or day <= self.until)
