"""Keep what was done with each version of each targeting rule, by its records.

Guarantees: rows depend on records alone.
"""

from sqlalchemy import Connection

from protocol.records import Record
from protocol.rule_kinds import RuleAct
from storage.database import insert_new
from storage.schema import rule_acts as acts


def project_rule(connection: Connection, record: Record, body: RuleAct) -> None:
    """Insert a record's row."""
    row = {"position": record.position, "key": record.subject, "version": body.version, "act": body.act}
    connection.execute(insert_new(connection, acts), [row | {"sheet": body.sheet, "wall_ns": record.at.wall_ns}])
