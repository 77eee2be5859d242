"""Give the credit grade of an enterprise on a day, as risk and draw use it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from hub.inspection import entries
from hub.inspection.credit_tables import grade_on
from hub.inspection.risk.rule_documents import Grade
from hub.inspection.sheets import said


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade; `known`: whether the enterprise stands in the reference data, in use."""

    grade: Grade
    joint_list: bool
    known: bool
    retired: bool = False


def grade_of(connection: Connection, enterprise: str, day: str) -> Graded:
    """Give an enterprise's grade by what is on record of it; of one of which nothing is it is B, the ordinary one."""
    row = entries.newest(connection, "enterprise", enterprise)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    joint = words is not None and bool(words["entry"].get("joint_list"))
    grades = grade_on(connection, enterprise, day)
    grade: Any = grades.draw
    return Graded(grade, joint or grades.joint_list, row is not None and not row["retired"], row is not None and bool(row["retired"]))
