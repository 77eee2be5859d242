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


@dataclass(frozen=True, slots=True)
class DrawPolicy:
    """The policy of draws from now on (`protocol.drawing.policy`); the subject is its rule version. `sheet`: who set it, with whom, why."""

    KIND: ClassVar[str] = "draw-policy"
    document: bytes
    sheet: bytes


@dataclass(frozen=True, slots=True)
class DrawCall:
    """A draw was announced before its pool closes; the subject is the draw. `chain`: the seed of the draw before, 32 zero bytes if none."""

    KIND: ClassVar[str] = "draw-call"
    number: int
    closes_ns: int
    policy: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class DrawClosing:
    """A draw's pool closed: nothing that decides can change any more. `root`: of the pool's lines (`protocol.drawing.pool`)."""

    KIND: ClassVar[str] = "draw-closing"
    number: int
    root: bytes
    entries: int
    inspectors: int
    policy: bytes
    chain: bytes


@dataclass(frozen=True, slots=True)
class DrawResult:
    """A draw was made. `answers`: (name, VRF proof) in the policy's order; `counts`: (stratum, arrivals, checked) after it.

    `outcome`: drawn, or fallen back to everything because too few answered; `result`: root of the lines of the result.
    """

    KIND: ClassVar[str] = "draw-result"
    number: int
    answers: tuple[tuple[str, bytes], ...]
    missing: tuple[str, ...]
    outcome: Literal["drawn", "fallen back"]
    seed: bytes
    selected: int
    result: bytes
    counts: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class DrawAct:
    """Two persons changed what a draw does; the subject is the draw, of an exclusion before the call the port. `sheet`: what, who, why.

    excluded: a declaration or an inspector stays out of pools until `readmitted`; refused: an inspector steps back from a declaration;
    overridden: another team, or none, for a declaration.
    """

    KIND: ClassVar[str] = "draw-act"
    act: Literal["excluded", "readmitted", "refused", "overridden"]
    sheet: bytes
