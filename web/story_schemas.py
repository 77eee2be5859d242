"""Describe the JSON about stories, marks, instructions, second looks and the board; the rest stands in `web.schemas`."""

from typing import Annotated, Literal

from pydantic import Field

from web.schemas import RecordPlace, Shape

Text = Annotated[str, Field(min_length=1, max_length=2000)]
Person = Annotated[str, Field(min_length=1, max_length=40)]
Instant = Annotated[float, Field(ge=0, le=4e12)]


class StoryEntry(Shape):
    """One thing that happened; `record` opens what says so, `log_index` is the leaf of the port log that covers it."""

    from_ms: float
    to_ms: float
    lane: str
    kind: str
    act: str
    who: str | None
    second: str | None
    text: str
    rule: str | None
    stream: str | None
    facts: dict[str, str]
    files: list[str] = Field(description="SHA-256 of photographs and the like that it names")
    erased: bool
    record: RecordPlace
    log_index: int | None


class RuleShape(Shape):
    """A rule in force at the moment, with the place of the record that says so."""

    what: str
    version: str
    position: int | None


class StandingShape(Shape):
    """Where things stood at the moment."""

    state: str | None
    version: int | None
    since_ms: float | None
    rule: str | None
    holds: list[str]
    task_state: str | None
    rules: list[RuleShape]


class StoryAnswer(Shape):
    """A story as the log held it when it was `size` long; `checkpoint`: the newest kept one that is no longer than that."""

    tasks: list[str]
    declaration: str | None
    as_of_ms: float
    is_now: bool
    size: int
    checkpoint: str | None
    standing: StandingShape
    entries: list[StoryEntry]
    cut: bool
    names: dict[str, str]


class AnnotationAsk(Shape):
    """A mark on a moment or a stretch of a task; `corrects`: the place of the mark that it replaces."""

    from_ms: Instant
    to_ms: Instant
    text: Text
    stream: Annotated[str, Field(max_length=65)] | None = None
    corrects: int | None = None


class InstructionAsk(Shape):
    """What the people of a task are told."""

    text: Text


class PlaceAnswer(Shape):
    """Where a record stands in the port log."""

    position: int


class InstructionShape(Shape):
    """An instruction, and who read it when."""

    position: int
    at_ms: float
    by: str | None
    text: str | None
    read_ms: float | None
    read_by: str | None


class InstructionsAnswer(Shape):
    """The instructions of a task, in order."""

    instructions: list[InstructionShape]


class LookShape(Shape):
    """A finished task that was drawn to be looked at again."""

    task: str
    drawn_at: int
    drawn_ms: float
    assigned_at: int | None
    to: str | None
    found_at: int | None
    found_ms: float | None
    outcome: Literal["confirmed", "findings"] | None
    by: str | None
    text: str | None
    declaration: str | None
    enterprise: str | None


class LooksAnswer(Shape):
    """Second looks, newest first."""

    looks: list[LookShape]
    names: dict[str, str]


class AssignmentAsk(Shape):
    """To whom a second look is given."""

    to: Person


class FoundAsk(Shape):
    """What a second look found."""

    outcome: Literal["confirmed", "findings"]
    text: Text


class BadgesAnswer(Shape):
    """What waits for the caller, by name; and which first steps were taken."""

    counts: dict[str, int]
    begun: dict[str, bool]


class CardShape(Shape):
    """A declaration, a task, or both, and since when it stands there."""

    column: Literal["dispatch", "position", "work", "laboratory", "evaluate", "release", "done"]
    declaration: str | None
    task: str | None
    title: str
    state: str
    since_ms: float
    people: list[str]
    bay: str | None
    alarms: int
    held: bool
    have: int | None
    want: int | None


class BoardAnswer(Shape):
    """The board: its columns in order, and the cards, longest waiting first in each."""

    columns: list[str]
    cards: list[CardShape]
    names: dict[str, str]
    now_ms: float
