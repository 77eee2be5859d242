"""List the kinds of records by which an inspection is judged and goods are released.

As in `protocol.kinds`, fields are only ever appended; who and why stand in a sheet (`protocol.sheets`).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An inspection was judged; the subject is the declaration, `size` that of the log whose records were judged.

    `sheet`: who judged, why, and the findings.
    """

    KIND: ClassVar[str] = "evaluation"
    verdict: Literal["pass", "treat", "rectify", "re-inspect", "return", "destroy", "detain", "case"]
    size: int
    sheet: bytes


@dataclass(frozen=True, slots=True)
class Release:
    """Goods were released, by right or against the evidence by two persons, or recalled; the subject is the declaration.

    `size`: of the log that was looked at; `root`: of the evidence that it rests on (`protocol.clearing`), `items` of it; `rule`: name and
    version of the rule that decided, None for a person; `sheet`: who decided, with which second person, why, and what was missing.
    """

    KIND: ClassVar[str] = "release"
    act: Literal["released", "overridden", "recalled"]
    size: int
    root: bytes
    items: int
    sheet: bytes
    rule: str | None = None
