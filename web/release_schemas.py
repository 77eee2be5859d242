"""Describe the JSON about evaluations, releases and the release desk; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.declaration_schemas import State
from web.schemas import Password, Shape

Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Verdict = Literal["pass", "treat", "rectify", "re-inspect", "return", "destroy", "detain", "case"]


class EvaluationAsk(Shape):
    """A judgement of an inspection. `findings`: what was found, a sentence each."""

    verdict: Verdict
    reason: Reason
    findings: Annotated[list[Annotated[str, Field(min_length=1, max_length=4000)]], Field(max_length=100)] = Field(default=[])


class ApprovalAsk(Shape):
    """Release goods by right."""

    reason: Annotated[str, Field(max_length=1000)] = ""


class ReasonAsk(Shape):
    """An act that needs its reason."""

    reason: Reason


class OverrideAsk(Shape):
    """Release goods against the evidence: a second person answers for it by their own password."""

    reason: Reason
    second: Annotated[str, Field(min_length=1, max_length=40)]
    second_password: Password


class PositionAsk(Shape):
    """Say by hand that goods stand in a bay."""

    bay: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Reason


class OutcomeAnswer(Shape):
    """What a decision came to. `position`: of its newest record in the port log; `root`: of the evidence, of a release."""

    number: str
    state: State
    position: int
    root: str | None


class BlockShape(Shape):
    """Something that stands against a release, and who can fix it. `what`: in words; `link`: the page where it is fixed."""

    kind: Literal["item", "record", "signature", "hold", "laboratory", "verdict", "log"]
    what: str
    who: list[str]
    step: str
    key: str
    at: str
    reason: str
    have: int
    want: int
    link: str


class ListedShape(Shape):
    """A declaration on the desk."""

    number: str
    state: State
    enterprise: str
    reference: str
    changed_ms: float
    task: str | None
    inspectors: list[str]
    blocks: list[BlockShape]
    may_approve: bool = Field(description="whether the asker may approve it: nobody who was on the inspection may")


class OverriddenShape(Shape):
    """A release against the evidence; `against` is null where its sheet was erased."""

    number: str
    position: int
    at_ms: float
    state: State
    by: str | None
    second: str | None
    reason: str | None
    against: list[str] | None


class DeskAnswer(Shape):
    """The release desk; `more`: so many of the older are not shown."""

    ready: list[ListedShape]
    blocked: list[ListedShape]
    overridden: list[OverriddenShape]
    more: int
    names: dict[str, str] = Field(description="how people read each login's name")


class JudgementShape(Shape):
    """An evaluation that was made."""

    position: int
    verdict: Verdict
    at_ms: float
    by: str | None
    reason: str | None
    findings: list[str]


class ActShape(Shape):
    """A release, an override or a recall. `root`: over its evidence; `size`: of the log that was looked at."""

    position: int
    act: Literal["released", "overridden", "recalled"]
    at_ms: float
    rule: str | None
    size: int
    root: str
    items: int
    by: str | None
    second: str | None
    reason: str | None
    against: list[str]


class GateAnswer(Shape):
    """How a declaration stands before the evidence gate, and what the asker may do."""

    number: str
    state: State
    task: str | None
    inspectors: list[str]
    blocks: list[BlockShape]
    verdicts: list[Verdict]
    may_approve: bool
    may_override: bool
    may_recall: bool
    judgements: list[JudgementShape]
    acts: list[ActShape]
    names: dict[str, str]
