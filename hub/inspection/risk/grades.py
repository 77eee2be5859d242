"""Give the credit grade of an enterprise on a day, as risk and draw use it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from hub.inspection import entries
from hub.inspection.credit_tables import grade_on
from hub.inspection.risk.rule_documents import GRADES, Grade
from hub.inspection.sheets import said


@dataclass(frozen=True, slots=True)
class Graded:
    """A grade; `known`: whether the enterprise stands in the reference data, in use."""

    grade: Grade
    joint_list: bool
    known: bool
    retired: bool = False


def grade_of(connection: Connection, enterprise: str, day: str) -> Graded:
    """Give an enterprise's grade on a day, the worse of both rule sets'; nothing on record is the ordinary one."""
    row = entries.newest(connection, "enterprise", enterprise)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    grades = grade_on(connection, enterprise, day)
    joint = grades.joint_list or (words is not None and bool(words["entry"].get("joint_list")))
    return Graded(_grade(grades.draw), joint, row is not None and not row["retired"], row is not None and bool(row["retired"]))


def _grade(name: str) -> Grade:
    return next((grade for grade in GRADES if grade == name), "D")
