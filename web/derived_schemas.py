"""Describe the JSON about sub-clips and derived files; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.derivation import MAX_AREAS, MAX_POINTS, SCALE
from web.schemas import RecordPlace, Shape, Stream, Text

Millis = Annotated[int, Field(ge=0, le=3_600_000)]
Edge = Annotated[int, Field(ge=0, le=SCALE, description="in 1/10000 of the picture")]
Way = Literal["black", "blur"]
AreaPoint = tuple[Millis, Edge, Edge, Edge, Edge]


class StretchAsk(Shape):
    """A stretch of one of a task's lanes, by the box's clock."""

    stream: Stream
    from_ms: Annotated[float, Field(ge=0, le=4e12)]
    to_ms: Annotated[float, Field(ge=0, le=4e12)]


class AreaShape(Shape):
    """A rectangle over time: points (ms since the stretch begins, left, top, right, bottom) joined by straight lines, until `until_ms`."""

    points: Annotated[list[AreaPoint], Field(min_length=1, max_length=MAX_POINTS)]
    until_ms: Millis
    way: Way = "black"


class RedactionAsk(StretchAsk):
    """What is to be destroyed: drawn areas, and the accepted ones among a job's proposals."""

    areas: Annotated[list[AreaShape], Field(max_length=MAX_AREAS, default_factory=list)]
    proposals: Annotated[str | None, Field(max_length=32, description="the job that proposed; all its proposals must be decided")] = None
    proposals_way: Way = "black"
    sound: Literal["kept", "muted"] = "muted"
    reason: Text = ""


class DecisionAsk(Shape):
    """A person's word on a proposal."""

    accepted: bool


class ProposalAnswer(Shape):
    """An area that a detector found. `accepted` is null until a person decides."""

    number: int
    points: list[AreaPoint]
    until_ms: int
    label: str
    accepted: bool | None
    by: str


class JobAnswer(Shape):
    """How far a job is; `derived` is the new file's SHA-256."""

    job: str
    act: Literal["propose", "redact"]
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done_ms: int
    total_ms: int
    what: str
    proposals: list[ProposalAnswer]
    derived: str | None


class DerivedAnswer(Shape):
    """A derived file: never the original. Its record says of which segments, by whom and how it was made."""

    record: RecordPlace
    sha256: str
    size: int
    by: str
    made_ms: float
    stream: str
    from_ms: float
    to_ms: float
    segments: list[int]
    areas: int
    sound: Literal["kept", "muted", "none"]
    reason: str


class ExcerptAnswer(Shape):
    """A zip file that verifies alone, for the one who asked; that it was made is an export record."""

    excerpt: str
    name: str
    size: int
    address: str
