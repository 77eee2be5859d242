"""Describe the JSON about credit of enterprises; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas import Password, Shape

Code = Annotated[str, Field(pattern=r"^[0-9A-Z]{4,24}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Person = Annotated[str, Field(min_length=1, max_length=40)]


class GradesShape(Shape):
    """How an enterprise is graded on a day, and what follows; `draw`: its grade in draws, the stricter of both rule sets'."""

    ciq: str
    customs: str
    draw: str
    joint_list: bool
    direct: bool = Field(description="whether release without a check is open to it")
    rate_percent: int = Field(description="of the usual rate of checks, as the rule set aims at; no draw reckons with it")
    draw_adds: int | None = Field(
        description="what the draw policy in force adds for `draw`, in parts of 10^9; null without one, or of a past day"
    )
    rules: list[str]


class EnterpriseShape(Shape):
    """An enterprise in the list; `open`: appeals that wait for a decision."""

    enterprise: str
    name: str | None
    grades: GradesShape
    events: int
    open: int


class EnterprisesAnswer(Shape):
    """Enterprises by code, with the day of their grades."""

    day: str
    enterprises: list[EnterpriseShape]


class FileShape(Shape):
    """A file that goes with an appeal, by its SHA-256."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class KeptFileShape(FileShape):
    """A file that goes with an appeal; `here`: whether the enterprise brought its bytes."""

    here: bool


class AppealShape(Shape):
    """An act of an appeal; who and why are null where that was erased."""

    position: int
    act: Literal["filed", "upheld", "rejected"]
    at_ms: float
    by: str | None
    reason: str | None
    files: list[KeptFileShape]


class CreditEventShape(Shape):
    """Something on record, with its appeals. `points`: its own, null for those of its item."""

    position: int
    item: str
    day: str
    expires: str | None
    points: int | None
    rule: str | None
    at_ms: float
    by: str | None
    detail: str | None
    evidence: list[str]
    appeal: Literal["none", "filed", "upheld", "rejected"]
    due_ms: float | None = Field(description="by when an open appeal is to be answered")
    appeals: list[AppealShape]


class PartShape(Shape):
    """A step of the reckoning: the figures that it looked at, and the best grade that it leaves (an award: the grade it gives)."""

    kind: str
    key: str
    grade: str
    figures: dict[str, int]


class CountedShape(Shape):
    """An event that counts, and the points that it takes; `cycle`: this, last or before, empty where no points are counted."""

    id: str
    item: str
    points: int
    cycle: str


class LeftShape(Shape):
    """An event that does not count: later, expired, upheld (its appeal), unknown (to this rule set)."""

    id: str
    why: str


class GradingShape(Shape):
    """A grade by one rule set with all of its reckoning."""

    rules: str
    verified: bool
    zh: str
    en: str
    grade: str
    grade_zh: str
    grade_en: str
    points: int | None
    parts: list[PartShape]
    counted: list[CountedShape]
    left: list[LeftShape]
    sanction_zh: str
    sanction_en: str


class WordShape(Shape):
    """What a key means, in Chinese and English."""

    key: str
    zh: str
    en: str


class CreditAnswer(Shape):
    """An enterprise on a day: its grades, their reckoning, and what is on record. `words`: names of items, limits and grades."""

    enterprise: str
    name: str | None
    day: str
    as_known: bool
    grades: GradesShape
    gradings: dict[str, GradingShape]
    events: list[CreditEventShape]
    words: list[WordShape]


class CreditItemShape(Shape):
    """An item that can be put on record: what it takes, up to `most` where a person decides."""

    key: str
    zh: str
    en: str
    legal_zh: str
    legal_en: str
    points: int
    most: int | None
    lasts_days: int | None
    verified: bool


class CreditItemsAnswer(Shape):
    """The items that rule sets in force know."""

    items: list[CreditItemShape]


class CreditEventAsk(Shape):
    """Something to put on record of an enterprise."""

    item: Annotated[str, Field(min_length=1, max_length=64)]
    detail: Text
    day: Day | None = None
    expires: Day | None = None
    points: Annotated[int, Field(ge=0, le=10_000)] | None = None
    evidence: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=100)] = Field(default_factory=list)
    facts: Annotated[dict[Annotated[str, Field(max_length=40)], Annotated[int, Field(ge=0, le=10**15)]], Field(max_length=20)] = Field(
        default_factory=dict
    )


class AppealAsk(Shape):
    """An appeal against an event: why, and files that were sent before."""

    reason: Text
    files: Annotated[list[FileShape], Field(max_length=20)] = Field(default_factory=list)


class DecisionAsk(Shape):
    """A decision on an open appeal: upheld, and the event counts no more on any day; or rejected."""

    upheld: bool
    reason: Text


class RulesAsk(Shape):
    """A rule set to put in force from its day on: as JSON, and the second person, who gives the password here."""

    text: Annotated[str, Field(min_length=1, max_length=60_000)]
    second: Person
    second_password: Password
    reason: Text


class RuleSetShape(Shape):
    """A rule set that people put in force."""

    version: int
    effective: str
    position: int
    sha256: str


class RulesAnswer(Shape):
    """The rule set in force, as text, and those that people set; none: the one that is shipped, unverified."""

    name: str
    text: str
    sets: list[RuleSetShape]


class SetAnswer(Shape):
    """Where the record of a rule set stands in the port log."""

    position: int
