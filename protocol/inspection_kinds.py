"""List the kinds of records by which an inspection is decided: what a port declares, and each step of it.

They name a state and bind a sheet (`protocol.sheets`); who, why and by what inputs stand in the sheet, which is kept beside the log and
may be erased while the record stays. As in `protocol.kinds`, fields are only ever appended.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class Declaration:
    """A declaration was lodged, amended or withdrawn; the subject is its number. `version` counts from 1 over lodging and amendments.

    `state`: where it stands after this; `sheet`: the declaration as it now reads, or why it was withdrawn.
    """

    KIND: ClassVar[str] = "declaration"
    act: Literal["lodged", "amended", "withdrawn"]
    version: int
    state: str
    sheet: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """A declaration took a step; the subject is its number. `rule`: name and version of the rule that decided, None for a person.

    `sheet`: who decided, with which second person, why, and the rule's inputs and parts.
    """

    KIND: ClassVar[str] = "step"
    state: str
    sheet: bytes
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """An authority other than ours placed a hold on a declaration or lifted it; the subject is the declaration's number."""

    KIND: ClassVar[str] = "hold"
    state: Literal["placed", "lifted"]
    authority: str
    sheet: bytes


@dataclass(frozen=True, slots=True)
class Reference:
    """An entry of the managed reference data was set or retired; the subject is `category/key`.

    `version` counts from 1; `sheet`: the entry as it now reads, who set it, and why.
    """

    KIND: ClassVar[str] = "reference"
    act: Literal["set", "retired"]
    version: int
    sheet: bytes
