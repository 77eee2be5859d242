"""Describe the JSON about targeting rules, screening and operating procedures; the rest stands in `web.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from web.schemas import FaultShape, Name, Password, Shape

Key = Annotated[str, Field(min_length=1, max_length=64)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Expression = Annotated[str, Field(max_length=4000)]
Text = Annotated[str, Field(max_length=4_000_000)]
RuleValue = Annotated[dict[str, Any], Field(description="a targeting rule, or under the key `risk-score` the figures of the score")]


class ActShape(Shape):
    """What was done with a version: by whom, with whom, why, by which rule, and where that stands in the port log."""

    act: Literal["proposed", "approved", "published", "rejected", "withdrawn"]
    position: int
    at_ms: float
    by: str | None
    second: str | None
    reason: str | None
    rule: str | None = None


class RuleShape(Shape):
    """A version of a rule; `rule` is null where it was erased."""

    key: str
    version: int
    state: Literal["proposed", "approved", "rejected", "withdrawn"]
    in_force: bool = Field(description="whether screening looks at it now; its own days still count")
    rule: dict[str, Any] | None
    sha256: str | None
    acts: list[ActShape]


class RulesAnswer(Shape):
    """Every version of every rule, by key and version; the figures of the score that are in force, and whether they ship with the hub."""

    rules: list[RuleShape]
    score: dict[str, Any]
    score_version: int


class FieldShape(Shape):
    """A field that an expression may ask about."""

    name: str
    kind: Literal["text", "number", "day", "flag"]
    zh: str
    en: str


class FieldsAnswer(Shape):
    """The fields of a declaration, and those of each of its lists."""

    fields: list[FieldShape]
    lists: dict[str, list[FieldShape]]


class ExpressionAsk(Shape):
    """An expression to be read."""

    when: Expression


class ExpressionAnswer(Shape):
    """Whether an expression reads; else what is wrong, at which character, counted from 1."""

    reads: bool
    at: int | None = None
    en: str | None = None
    zh: str | None = None


class RuleAsk(Shape):
    """A version to be proposed."""

    rule: RuleValue
    reason: Reason


class DryRunAsk(Shape):
    """A targeting rule to be tried on the declarations of the last days."""

    rule: RuleValue
    days: Annotated[int, Field(ge=1, le=366)] = 30


class DryHitShape(Shape):
    """A declaration that the rule would have hit, and how it stands."""

    declaration: str
    enterprise: str
    day: str
    state: str


class DryRunAnswer(Shape):
    """What a rule would have hit; `failed`: of the hits by inspection. `truncated`: one run looks at the newest 5000 alone."""

    since: str
    looked_at: int
    hits: int
    failed: int
    by_day: list[tuple[str, int]]
    listed: list[DryHitShape]
    truncated: bool


class DecisionAsk(Shape):
    """What another person decides about a proposal."""

    accept: bool
    reason: Reason


class WithdrawalAsk(Shape):
    """Take a version out of force: the second person vouches by password."""

    second: Name
    second_password: Password
    reason: Reason


class ReasonShape(Shape):
    """Why a declaration is left to a person, by name and in both languages."""

    code: str
    zh: str
    en: str


class LeftShape(Shape):
    """A declaration that the rule of acceptance leaves to a person."""

    declaration: str
    state: str
    lodged_ms: float
    enterprise: str
    reasons: list[ReasonShape]


class LeftAnswer(Shape):
    """What waits for a person, the oldest first; `automatic`: whether the hub accepts and screens by itself."""

    left: list[LeftShape]
    automatic: bool


class RiskPart(Shape):
    """A part of a risk, in parts of 10^9: `share` of its `weight`, what it `counts`, and what it was made of."""

    name: str
    weight: int
    share: int
    counts: int
    made_of: dict[str, Any]


class ForcedShape(Shape):
    """A lane that something forces, whatever the score."""

    lane: Literal["red", "yellow", "blue", "green"]
    by: str


class FloorShape(Shape):
    """What the draw's policy selects in this lane at the least, by chance alone, in parts of 10^9."""

    policy: str
    least: int
    national: int
    certain: bool
    grade: int


class RiskShape(Shape):
    """A risk with all its parts."""

    total: int
    scored: Literal["red", "yellow", "blue", "green"]
    lane: Literal["red", "yellow", "blue", "green"]
    parts: list[RiskPart]
    forced: list[ForcedShape]
    rules: str
    rules_version: int
    verified: bool
    lanes: dict[str, int]
    floor: FloorShape | None


class RuleHitShape(Shape):
    """A targeting rule that hit, in the version that did."""

    key: str
    version: int
    sha256: str
    effect: Literal["lane", "weight", "hold"]
    lane: str | None
    weight: int | None


class ScreeningAnswer(Shape):
    """The newest screening of a declaration; `risk` is null where its sheet was erased, `stands` false once it was amended since."""

    declaration: str
    position: int
    at_ms: float
    rule: str | None
    stands: bool
    risk: RiskShape | None
    rules: list[RuleHitShape]
    draw: dict[str, Any] | None


class MismatchesAnswer(Shape):
    """What can be wrong in papers, by name: Chinese and English."""

    mismatches: dict[str, tuple[str, str]]


# ------------------------------------------------------------------------------------------------------- procedures


class CountsShape(Shape):
    """How much a procedure asks: items, must- and may-records, and how much of it nobody read at its source."""

    items: int
    must: int
    may: int
    unverified: int


class VersionShape(Shape):
    """A version of a procedure, and what was done with it."""

    key: str
    version: int
    state: Literal["proposed", "published", "rejected", "withdrawn"]
    in_force: bool
    sha256: str
    effective: str
    until: str | None
    acts: list[ActShape]


class ProcedureShape(Shape):
    """A procedure by its key: what it is called in its newest version, what that asks, and every version."""

    key: str
    number: int
    zh: str
    en: str
    verified: bool
    goods: list[str]
    counts: CountsShape
    versions: list[VersionShape]


class ProceduresAnswer(Shape):
    """Every procedure, by number."""

    procedures: list[ProcedureShape]


class ProcedureDetail(VersionShape):
    """A version with the procedure itself: as canonical JSON, and as YAML to read and change."""

    counts: CountsShape
    procedure: dict[str, Any]
    yaml: str


class ProcedureTextAsk(Shape):
    """A procedure as YAML to be read."""

    text: Text


class ProcedureAsk(ProcedureTextAsk):
    """A procedure as YAML to be proposed as a new version."""

    reason: Reason


class ProcedureCheck(Shape):
    """Whether a YAML text is a procedure; else what is wrong, at which line and column."""

    reads: bool
    what: str | None = None
    line: int | None = None
    column: int | None = None
    key: str | None = None
    version: int | None = None
    next_version: int | None = Field(default=None, description="the lowest number that is still free")
    counts: CountsShape | None = None


class YamlAnswer(Shape):
    """A procedure as YAML, made of a spreadsheet of forms; `faults`: all that is wrong with it, and then no text."""

    text: str | None
    faults: list[FaultShape]


class PartShape(Shape):
    """A rule, a way of recording or a class of devices, with its articles."""

    key: str
    zh: str
    en: str
    verified: bool
    parts: list[tuple[str, str]]


class ViolationShape(Shape):
    """What is forbidden, by what, and what it costs; (Chinese, English) each."""

    key: str
    zh: str
    en: str
    legal: tuple[str, str]
    penalty: tuple[str, str]
    verified: bool


class SchemeAnswer(Shape):
    """The scheme, its three rules, six ways of recording, classes of devices, and the catalogue of violations."""

    version: int
    effective: str
    scheme: PartShape
    rules: list[PartShape]
    ways: list[PartShape]
    devices: list[PartShape]
    violations: list[ViolationShape]
