"""Give the credit grade of an enterprise on a day, as risk and draw use it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from hub.inspection import entries
from hub.inspection.risk.rule_documents import Grade
from hub.inspection.sheets import said


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade; `known`: whether the enterprise stands in the reference data, in use."""

    grade: Grade
    joint_list: bool
    known: bool
    retired: bool = False


def grade_of(connection: Connection, enterprise: str, _day: str) -> Graded:
    """Give an enterprise's grade; of one that nobody graded it is B, the ordinary one."""
    row = entries.newest(connection, "enterprise", enterprise)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    joint = words is not None and bool(words["entry"].get("joint_list"))
    return Graded("B", joint, row is not None and not row["retired"], row is not None and bool(row["retired"]))
