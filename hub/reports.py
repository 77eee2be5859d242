"""Take the signed reports of monitors: each becomes a leaf of the log that it judges, and findings ring an alarm."""

from dataclasses import dataclass
from typing import Any

from hub.core import Core
from protocol import canonical, kinds
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.merkle import root_at
from protocol.records import SignedRecord
from protocol.signatures import open1
from storage.logs import PortLog, reader

MAX_REPORT_BYTES = 48 << 10
_KEYS = frozenset({"version", "monitor", "log", "at", "size", "root", "records", "journals", "findings", "found"})


@dataclass(frozen=True, slots=True)
class Reports:
    """The monitors' reports."""

    core: Core

    async def accept(self, report: bytes, by: str) -> SignedRecord:
        """Log a report that `by` handed in; raise MalformedError for what is none, VerificationError when it is about another log.

        The hub holds no monitor's key: whoever trusts a monitor checks its signature.
        """
        facts = parse_report(report)
        size, root = facts["size"], facts["root"]
        sequencer = self.core.sequencer
        if facts["log"] != sequencer.origin or size > sequencer.published_size():
            raise VerificationError(f"is about {size} leaves of {str(facts['log'])[:80]!r}", where="report")
        held = await self.core.database.read(lambda connection: root_at(size, reader(connection, PortLog())))
        if held != root:
            await self.core.alarms.ring("monitor", by, f"replayed another tree of {size} leaves than the hub holds", evidence=report)
            raise RefusedError(f"is about another tree of {size} leaves", where="report")
        if facts["found"]:
            first = facts["findings"][0] if facts["findings"] else ["", "", ""]
            await self.core.alarms.ring("monitor", by, f"{facts['found']} findings, first: {' '.join(first)}"[:500])
        return await sequencer.issue(kinds.AuditReport(by, size, root, facts["found"], report), by)


def parse_report(report: bytes) -> dict[str, Any]:
    """Give what a report says; raise MalformedError when it is none."""
    if len(report) > MAX_REPORT_BYTES:
        raise MalformedError(f"{len(report)} bytes, at most {MAX_REPORT_BYTES}", where="report")
    facts = canonical.decode(open1(report).payload)
    if not isinstance(facts, dict) or facts.keys() != _KEYS or facts["version"] != 1:
        raise MalformedError("is no report of version 1", where="report")
    numbers = all(type(facts[name]) is int and facts[name] >= 0 for name in ("at", "size", "records", "found"))
    findings = facts["findings"]
    texts = isinstance(findings, list) and all(
        isinstance(one, list) and len(one) == 3 and all(isinstance(t, str) for t in one) for one in findings
    )
    if not numbers or not texts or not isinstance(facts["root"], bytes):
        raise MalformedError("a field has the wrong type", where="report")
    return facts
