"""List the kinds of records by which an inspection's own rules come and go: operating procedures, and rules that target declarations.

As in `protocol.inspection_kinds` they bind a sheet - who, with whom, why - and fields are only ever appended.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True)
class ProcedureAct:
    """A version of an operating procedure was proposed, published, rejected or withdrawn; the subject is its key.

    `sha256`: of its canonical JSON, which is kept under that name; `effective`, `until`: the first and the last day it is in force, None:
    until a later version is; `rule`: name and version of the rule that decided, None for persons.
    """

    KIND: ClassVar[str] = "procedure"
    act: Literal["proposed", "published", "rejected", "withdrawn"]
    version: int
    sha256: bytes
    effective: str
    sheet: bytes
    until: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class RuleAct:
    """A version of a targeting rule was proposed, approved, rejected or withdrawn; the subject is its key.

    `sheet`: of a proposal the rule itself; who and why.
    """

    KIND: ClassVar[str] = "rule"
    act: Literal["proposed", "approved", "rejected", "withdrawn"]
    version: int
    sheet: bytes
