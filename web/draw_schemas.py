"""Describe the JSON about draws; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas import Password, Shape

Token = Annotated[str, Field(min_length=1, max_length=64)]
Person = Annotated[str, Field(min_length=1, max_length=40)]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]


class DrawAsk(Shape):
    """A draw to be announced: when its pool closes."""

    closes_ms: Annotated[float, Field(ge=0, le=4e12)]


class DrawAnswer(Shape):
    """A draw as it stands: called, closed, drawn, or fallen back to everything."""

    number: int
    state: Literal["called", "closed", "drawn", "fallen back"]
    closes_ms: float
    declarations: int | None
    inspectors: int | None
    selected: int | None
    position: int = Field(description="of its newest record in the port log")


class DrawsAnswer(Shape):
    """Draws, newest first; `faults`: which named keys have not answered the running one, and why; `acts`: who and what was left out."""

    draws: list[DrawAnswer]
    faults: list[str]
    acts: list["ActShape"] = Field(description="what was left out of pools and taken in again, newest first")


class PartsShape(Shape):
    """What a probability is made of, in parts of 10^9: the total joins the first three, and is no less than the floor."""

    national: int
    risk: int
    credit: int
    floor: int
    total: int


class DrawnShape(Shape):
    """A declaration of a draw. `why`: rule, national, risk, fall-back; empty: not drawn. `final`: its team after two-person acts."""

    declaration: str
    stratum: str
    lane: str
    grade: str
    parts: PartsShape
    why: str
    team: list[str]
    final: list[str]


class ActShape(Shape):
    """What two persons changed, why, and where that stands in the port log."""

    position: int
    act: str
    by: str
    second: str
    reason: str
    declaration: str | None
    inspector: str | None
    members: list[str] | None
    kind: str | None = Field(description="of what is left out or taken in again: declaration or inspector")
    id: str | None = Field(description="of what is left out or taken in again")


class DrawDetail(DrawAnswer):
    """A draw with some of its declarations."""

    rules: str
    named: list[str]
    needed: int
    seed: str | None
    total: int = Field(description="declarations that the wish fits")
    rows: list[DrawnShape]
    acts: list[ActShape]


class TwoAsk(Shape):
    """The second person, who gives the password here, and the reason of what two persons do."""

    second: Person
    second_password: Password
    reason: Reason


class ExclusionAsk(TwoAsk):
    """A declaration or an inspector to leave out of pools from now on, or to take in again."""

    kind: Literal["declaration", "inspector"]
    id: Token
    readmit: bool = False


class RefusalAsk(TwoAsk):
    """An inspector who steps back from a declaration; the next by key stands in."""

    declaration: Token
    inspector: Token


class OverrideAsk(TwoAsk):
    """A team in the place of the one that was drawn; none: the declaration is not inspected."""

    declaration: Token
    members: Annotated[list[Person], Field(max_length=4)]


class PolicyAsk(TwoAsk):
    """A draw policy: its canonical text (`protocol.drawing.policy`)."""

    text: Annotated[str, Field(max_length=60_000)]


class PolicyAnswer(Shape):
    """The draw policy in force, or the one that is shipped while none is."""

    in_force: bool
    text: str
    sha256: str
    key: str = Field(description="the hub's own public key for draws, in hex")


class PlaceAnswer(Shape):
    """Where a record stands in the port log."""

    position: int
