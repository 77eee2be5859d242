"""Describe the JSON about declarations and reference data; the rest stands in `web.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from web.schemas import FaultShape, Password, RecordPlace, Shape

Reason = Annotated[str, Field(min_length=1, max_length=1000)]
Authority = Annotated[str, Field(min_length=1, max_length=40, description="the partner's key; a partner's own when left out")]
State = Literal[
    "lodged", "rejected", "accepted", "screened", "direct-release", "doc-check", "selected", "held", "dispatched", "positioned", "paired",
    "inspecting", "sampled", "lab-pending", "treatment", "passed", "failed", "rectify", "re-inspect", "return", "destroy", "detained",
    "moved-under-control", "case-filed", "release-approved", "released", "recalled", "gate-out", "follow-up", "withdrawn", "archived",
]  # fmt: skip


class DeclarationWishes(Shape):
    """Which declarations are asked for."""

    state: State | None = None
    enterprise: Annotated[str, Field(max_length=40)] | None = None
    begins: Annotated[str, Field(max_length=64, description="with what number or reference begins")] | None = None
    before: Annotated[str, Field(max_length=64, description="the `next` of the page before")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class DeclarationAnswer(Shape):
    """Where a declaration stands."""

    number: str
    state: State
    version: int
    selected: bool = Field(description="drawn for inspection; it stays so, whatever is amended")
    held: bool = Field(description="our own hold is in force at the port")
    holds: list[str] = Field(description="other authorities that hold it")
    enterprise: str
    reference: str
    lodged_ms: float
    changed_ms: float
    record: RecordPlace = Field(description="its newest record")


class DeclarationsAnswer(Shape):
    """Declarations, newest first; `next`: give it as `before` for the page behind, null at the end."""

    declarations: list[DeclarationAnswer]
    next: str | None


class OnwardShape(Shape):
    """A step that may come next, and what stands in its way."""

    to: State
    obstacles: list[str]


class DeclarationDetail(DeclarationAnswer):
    """A declaration with what may come next."""

    onward: list[OnwardShape]
    may_amend: bool
    may_withdraw: bool


class CheckAnswer(Shape):
    """All that keeps a form from being taken; nothing does when it is empty."""

    faults: list[FaultShape]


class WithdrawalAsk(Shape):
    """Take a declaration back."""

    reason: Reason


class HoldAsk(Shape):
    """Place or lift another authority's hold."""

    reason: Reason
    authority: Authority | None = None


class LiftAsk(HoldAsk):
    """Lift an authority's hold; `second` and their password: where the port does it in the authority's place."""

    second: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    second_password: Password | None = None


class FileShape(Shape):
    """A file that a declaration names: here and hashed, or not here yet."""

    name: str
    kind: str
    sha256: str
    size: int
    state: Literal["here", "awaited"]


class FormAnswer(Shape):
    """A version of a declaration as it reads, and how its files stand."""

    version: int
    form: dict[str, Any] = Field(description="as `DeclarationForm`")
    files: list[FileShape]


class StepAnswer(Shape):
    """One record of a declaration. `said`: what its sheet says beside who and why; null where that was erased or is not shown."""

    record: RecordPlace
    kind: Literal["declaration", "step", "hold"]
    act: str = Field(description="lodged, amended, withdrawn; the state reached; placed, lifted")
    version: int | None
    authority: str | None
    rule: str | None = Field(description="by which rule and version it was decided")
    at_ms: float
    by: str | None
    reason: str | None
    said: dict[str, Any] | None


class HistoryAnswer(Shape):
    """Every record of a declaration, in order."""

    number: str
    steps: list[StepAnswer]


class CategoryShape(Shape):
    """A category of reference data: the JSON schema that its entries follow."""

    name: str
    entries: int
    form: dict[str, Any] = Field(description="JSON schema of an entry")
    key: str = Field(description="what a key looks like, as a regular expression")


class CategoriesAnswer(Shape):
    """What kinds of reference data there are."""

    categories: list[CategoryShape]


class KeptShape(Shape):
    """A version of an entry; `value` is null where it is retired or was erased."""

    category: str
    key: str
    version: int
    retired: bool
    at_ms: float
    value: dict[str, Any] | None
    by: str | None
    reason: str | None
    record: RecordPlace


class EntriesAnswer(Shape):
    """Entries of a category by key, or all versions of one in order."""

    entries: list[KeptShape]


class RetirementAsk(Shape):
    """Take an entry out of use; it stays readable."""

    reason: Reason
