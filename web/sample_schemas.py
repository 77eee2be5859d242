"""Describe the JSON about samples and the laboratory; the rest stands in `web.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from web.schemas import Password, Shape

Line = Annotated[str, Field(min_length=1, max_length=200)]
Note = Annotated[str, Field(max_length=1000)]
Act = Literal["drawn", "sealed", "handed-over", "received", "reported", "voided"]


class SampleActShape(Shape):
    """An act on a sample, with its place in the port log; `said` is null where that was erased."""

    act: Act
    position: int
    at_ms: float
    said: dict[str, Any] | None


class SampleShape(Shape):
    """A sample as it stands. `sound`: whether it arrived with its seal whole and fit; `report`: SHA-256 of the report's file."""

    number: str
    declaration: str
    state: Act
    laboratory: str | None
    sound: bool | None
    verdict: Literal["negative", "positive"] | None
    report: str | None
    report_here: bool | None = Field(default=None, description="whether the laboratory brought the report's bytes; null in lists")
    drawn_ms: float
    changed_ms: float
    acts: list[SampleActShape]


class SamplesAnswer(Shape):
    """Samples, the last drawn first, without their acts."""

    samples: list[SampleShape]


class SampleAsk(Shape):
    """A sample that is drawn. `signatures`: what refers to the sampler's and the owner's signature, or why the owner refused."""

    declaration: Annotated[str, Field(min_length=1, max_length=64)]
    laboratory: Annotated[str, Field(min_length=1, max_length=64)]
    what: Line
    amount: Annotated[str, Field(min_length=1, max_length=40)]
    unit: Annotated[str, Field(min_length=1, max_length=20)]
    line: Annotated[int, Field(ge=1, le=10_000)] | None = None
    box: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    packages: Annotated[list[Annotated[str, Field(min_length=1, max_length=40)]], Field(max_length=1000)] = Field(default_factory=list)
    tests: Annotated[list[Line], Field(max_length=50)] = Field(default_factory=list)
    cold: bool = False
    signatures: dict[Literal["sampler", "owner", "owner_name", "refused"], Annotated[str, Field(min_length=1, max_length=400)]] = Field(
        default_factory=dict
    )


class SealAsk(Shape):
    """The number of the seal that was put on."""

    seal: Line


class HandOverAsk(Shape):
    """Whom the sample was handed over to, and how it travels."""

    to: Line
    note: Note = ""


class ReceiptAsk(Shape):
    """How the sample arrived at the laboratory."""

    sealed: bool = Field(description="the seal is whole and has its number")
    fit: bool = Field(description="condition and temperature are fit for the tests")
    note: Note = ""


class ReportAsk(Shape):
    """What the laboratory found; the file of the report by the SHA-256 under which it was sent (`POST files`)."""

    number: Line
    verdict: Literal["negative", "positive"]
    values: Annotated[list[tuple[Line, Line]], Field(max_length=200)] = Field(default_factory=list)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    remark: Note = ""


class VoidAsk(Shape):
    """Why a sample is given up, and the second person, who gives the password here."""

    second: Annotated[str, Field(min_length=1, max_length=40)]
    second_password: Password
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class LaboratoryState(Shape):
    """What the laboratory knows of a declaration: numbers of samples; `obstacles`: why it cannot pass."""

    open: list[str]
    positive: list[str]
    broken: list[str]
    negative: list[str]
    obstacles: list[str]


class LinePlanShape(Shape):
    """Which packages of a line are taken, by container (numbers from 1, of this line in it)."""

    line: int
    n: int
    packages: dict[str, list[int]]


class LotPlanShape(Shape):
    """The sample of all lines under one rule. `n` null: no plan, `why` says so; `share_ppm`: of consignments that the laboratory tests."""

    rule: str
    origin: str
    lot: int
    n: int | None
    accept: int | None
    why: str
    unverified: bool
    laboratory: bool
    severity: str
    share_ppm: int
    parts: dict[str, Any]
    lines: list[LinePlanShape]


class SamplePlanAnswer(Shape):
    """The plan by which a declaration is sampled, by the seed of its draw; `before`: the place of the log that it looks back from."""

    declaration: str
    rules: str
    seed: str
    boxes: list[str]
    laboratory: bool
    held: list[tuple[int, list[tuple[str, int]]]] = Field(description="packages of each line that are taken to be in each container")
    lots: list[LotPlanShape]
    before: int
    amended: bool
    counted: bool = False
    state: LaboratoryState
