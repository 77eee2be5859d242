"""List the kinds of records by which an inspection is supervised: marks on what was seen, words to the site, second looks.

As in `protocol.inspection_kinds` they bind a sheet where a person wrote something or is named. Fields are only ever appended.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Annotation:
    """A supervisor marked a moment or a stretch of a task; the subject is the task. It changes nothing that it points at.

    `stream`: what was looked at, None for the task as a whole; `corrects`: the place of the annotation that this one replaces, which
    stays. `sheet`: who and what they wrote.
    """

    KIND: ClassVar[str] = "annotation"
    from_ns: int
    to_ns: int
    sheet: bytes
    stream: str | None = None
    corrects: int | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """A supervisor told the people of a task something, or one of them said that it was read; the subject is the task.

    `answers`: of an acknowledgement, the place of the instruction. `sheet`: who, and what they wrote.
    """

    KIND: ClassVar[str] = "instruction"
    act: Literal["given", "acknowledged"]
    sheet: bytes
    answers: int | None = None


@dataclass(frozen=True, slots=True)
class SecondRound:
    """Which finished tasks are looked at again, drawn by the seed of a draw; the subject is the draw.

    `pool`: hash of the tasks' names as `protocol.drawing.second_look` writes them, all that had ended before the draw's pool closed and
    were in no round before; `chosen`: those drawn. `rule`: name and version of the rule; `parts`: the rate in parts of 10^9.
    """

    KIND: ClassVar[str] = "second-round"
    draw: int
    rule: str
    parts: int
    pool: bytes
    size: int
    chosen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SecondLook:
    """A drawn second look was given to somebody who was not on the inspection, or its result was found; the subject is the task.

    `outcome`: of a result, whether the first inspection is borne out. `sheet`: who, to whom or what was found, and why.
    """

    KIND: ClassVar[str] = "second-look"
    act: Literal["assigned", "found"]
    sheet: bytes
    outcome: Literal["confirmed", "findings"] | None = None
