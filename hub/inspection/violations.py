"""Keep the catalogue of violations: what ships with the hub, as the port's reference data has changed it since.

Guarantees: an entry of the port stands before the one that ships under the same key; what the port has retired is named by no procedure
that is proposed from then on, and stays readable.
"""

from typing import Any

from sqlalchemy import Connection

from hub.inspection import entries
from hub.inspection.catalogue import Violation as Entry
from hub.inspection.procedures.shipped_files import Violation, shipped_violations
from hub.inspection.references import in_use
from protocol.errors import MalformedError
from protocol.procedures.model import Procedure

CATEGORY = "violation"


def shipped_entries() -> dict[str, dict[str, Any]]:
    """Give what ships with the hub, as entries of the reference data."""
    found = {}
    for one in shipped_violations():
        (legal, legal_en), (penalty, penalty_en) = one.legal, one.penalty
        words = {"legal": legal, "legal_en": legal_en, "penalty": penalty, "penalty_en": penalty_en}
        found[one.key] = {"name": one.zh, "name_en": one.en, "verified": one.verified, **words}
    return found


def violations_of(connection: Connection) -> list[Violation]:
    """Give the catalogue as it stands, by key."""
    heard_of = {row["key"] for row in entries.standing(connection, CATEGORY, retired=True)}
    found = [one for one in shipped_violations() if one.key not in heard_of]
    for kept in in_use(connection, CATEGORY):
        if isinstance(kept.value, Entry):
            one = kept.value
            laws = ((one.legal, one.legal_en), (one.penalty, one.penalty_en))
            found.append(Violation(kept.key, one.name, one.name_en, *laws, one.verified))
    return sorted(found, key=lambda one: one.key)


def check_violations(connection: Connection, procedure: Procedure) -> None:
    """Check that a procedure names violations of the catalogue alone; raise MalformedError naming the others."""
    named = {item.violation for _, item in procedure.items.values() if item.violation}
    if strange := sorted(named - {one.key for one in violations_of(connection)}):
        raise MalformedError(f"names violations that the catalogue lacks: {', '.join(strange)[:200]}", where="items")
