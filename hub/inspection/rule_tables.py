"""Keep what was done with each version of each targeting rule, by its records, and find those in force.

Guarantees: rows depend on records alone; of each key the highest version that was approved and not withdrawn is in force; what was
decided by a version can be looked up as it read then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select

from hub.inspection.risk.rule_documents import SCORE_KEY, Document, ScoreRules, TargetRule, read_rule, shipped_score
from hub.inspection.sheets import said
from protocol.records import Record
from protocol.rule_kinds import RuleAct
from storage.database import insert_new
from storage.schema import rule_acts as acts

State = Literal["proposed", "approved", "rejected", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Done:
    """One act on a version; `said`: who, with whom, why, of a proposal the rule; None where that was erased."""

    act: State
    position: int
    wall_ns: int
    said: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A version of a rule with all that was done with it, in order; `document` is None where its sheet was erased."""

    key: str
    version: int
    document: Document | None
    done: tuple[Done, ...]

    @property
    def state(self) -> State:
        """Give how it stands."""
        return self.done[-1].act

    @property
    def proposer(self) -> str | None:
        """Give who proposed it; None where that was erased."""
        words = self.done[0].said
        return None if words is None else words.get("by")


def project_rule(connection: Connection, record: Record, body: RuleAct) -> None:
    """Insert a record's row."""
    row = {"position": record.position, "key": record.subject, "version": body.version, "act": body.act}
    connection.execute(insert_new(connection, acts), [row | {"sheet": body.sheet, "wall_ns": record.at.wall_ns}])


def rule_versions(connection: Connection, key: str | None = None) -> list[RuleVersion]:
    """Give every version of a rule, or of all, by key and version."""
    query = select(acts).order_by(acts.c.key, acts.c.version, acts.c.position)
    found: dict[tuple[str, int], list[RowMapping]] = {}
    for row in connection.execute(query if key is None else query.where(acts.c.key == key)).mappings():
        found.setdefault((row["key"], row["version"]), []).append(row)
    return [_version(connection, rows) for rows in found.values()]


def _version(connection: Connection, rows: list[RowMapping]) -> RuleVersion:
    key = rows[0]["key"]
    done = tuple(Done(row["act"], row["position"], row["wall_ns"], said(connection, bytes(row["sheet"]))) for row in rows)
    words = done[0].said
    return RuleVersion(key, rows[0]["version"], None if words is None else read_rule(key, words["rule"]), done)


@dataclass(frozen=True, slots=True)
class InForce:
    """What screening decides by: the figures of the score, and the targeting rules with their versions, by key."""

    score: ScoreRules
    score_version: int  # 0: what ships with the hub
    targets: Mapping[str, tuple[int, TargetRule]]


def rules_in_force(connection: Connection) -> InForce:
    """Give what was approved and not withdrawn; the days of a targeting rule are its own to judge."""
    newest: dict[str, RuleVersion] = {one.key: one for one in rule_versions(connection) if one.state == "approved"}
    score = newest.pop(SCORE_KEY, None)
    targets = {key: (one.version, one.document) for key, one in newest.items() if isinstance(one.document, TargetRule)}
    if score is not None and isinstance(score.document, ScoreRules):
        return InForce(score.document, score.version, targets)
    return InForce(shipped_score(), 0, targets)
