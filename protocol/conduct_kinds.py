"""List the kinds of records by which an enterprise's conduct is kept, and what is known of samples: credit, appeals, rules, samples.

As in `protocol.inspection_kinds` they bind a sheet - who, why, all that a person wrote - and fields are only ever appended. What a grade
depends on stands in the record itself, so that erasing a sheet changes no grade.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class CreditEvent:
    """Something was put on record of an enterprise; the subject is its code. `item`: of the rule sets; `day`: when it happened.

    `expires`: the first day on which it counts no more, `points`: other than its item's; `facts`: figures that limits look at, by name;
    `rule`: name and version of the rule that put it there, None for a person. `sheet`: what happened, the evidence, who.
    """

    KIND: ClassVar[str] = "credit-event"
    item: str
    day: str
    sheet: bytes
    expires: str | None = None
    points: int | None = None
    facts: tuple[tuple[str, int], ...] = ()
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Appeal:
    """An enterprise appealed against a credit event, or that was decided; the subject is its code. `event`: place of the event's record."""

    KIND: ClassVar[str] = "appeal"
    event: int
    act: Literal["filed", "upheld", "rejected"]
    sheet: bytes


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A rule set is in force from the day that it names; the subject is `family/key/version`. `document`: its canonical JSON."""

    KIND: ClassVar[str] = "rule-set"
    family: Literal["credit", "sampling"]
    document: bytes
    sheet: bytes


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample was drawn, sealed, handed over, received, reported on, or given up; the subject is its number.

    `laboratory`: key of the partner it is for; `sound`: whether seal and condition were as they should be when it was received;
    `verdict`, `report`: what was found, and the SHA-256 of the report. `sheet`: who, with whom, what of it, signatures, values.
    """

    KIND: ClassVar[str] = "sample"
    act: Literal["drawn", "sealed", "handed-over", "received", "reported", "voided"]
    declaration: str
    sheet: bytes
    laboratory: str | None = None
    sound: bool | None = None
    verdict: Literal["negative", "positive"] | None = None
    report: bytes | None = None
