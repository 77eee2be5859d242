"""Let operating procedures come and go: proposed by one person, published or rejected by another, withdrawn by two.

Guarantees: each act is a record in the log; nothing is published by the one who proposed it; a version number is used once; what ships
with the hub is published once, by rule; what was published is never changed, only followed by a later version.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection

from hub.core import Core
from hub.inspection.procedures.shipped_files import Violation, shipped_procedures, shipped_scheme
from hub.inspection.procedures.writing import from_yaml
from hub.inspection.published import (
    PublishedProcedure,
    Version,
    all_in_force,
    document_of,
    in_force,
    keep_procedure,
    procedure_of,
    versions,
)
from hub.inspection.sheets import keep
from hub.inspection.violations import check_violations, violations_of
from protocol.errors import MalformedError, RefusedError
from protocol.instants import SECOND_NS
from protocol.procedures.model import Procedure
from protocol.rule_kinds import ProcedureAct
from protocol.sheets import SALT_BYTES, make_sheet

SHIPPED_RULE = "shipped/1"
MAX_REASON = 1000


@cache
def _shipped_documents() -> tuple[tuple[Procedure, bytes], ...]:
    return tuple((one, document_of(one)) for one in shipped_procedures())


@dataclass(frozen=True, slots=True)
class Procedures:
    """The operating procedures of one port."""

    core: Core

    async def publish_shipped(self) -> int:
        """Publish what ships with the hub and was never heard of here; give how many that were."""
        known = {one.key for one in await self.core.database.read(versions)}
        missing = [(one, data) for one, data in _shipped_documents() if one.key not in known]
        await asyncio.gather(*(self._publish_shipped(one, data) for one, data in missing))
        return len(missing)

    async def _publish_shipped(self, one: Procedure, data: bytes) -> None:
        sheet = make_sheet({"reason": "ships with the hub"}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, ProcedureAct]:
            if versions(connection, one.key):
                raise RefusedError("is known already", where=f"procedure {one.key}")
            keep(connection, sheet)
            name = keep_procedure(connection, data)
            return one.key, ProcedureAct("published", one.version, name, one.effective, sheet.commitment, one.until, SHIPPED_RULE)

        await self.core.sequencer.decide(decide)

    async def read(self, text: bytes) -> Procedure:
        """Read a procedure as YAML, short forms allowed; raise MalformedError naming line and column, or violations that are none."""
        scheme = shipped_scheme()
        procedure = await asyncio.to_thread(from_yaml, text, scheme.sets, scheme.steps)
        await self.core.database.read(lambda connection: check_violations(connection, procedure))
        return procedure

    async def propose(self, procedure: Procedure, by: str, reason: str) -> Version:
        """Propose a new version; raise RefusedError unless its number lies above every one of its key, MalformedError for bad words."""
        data = document_of(procedure)
        sheet = make_sheet({"by": by, "reason": need_reason(reason)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, ProcedureAct]:
            last = max((one.version for one in versions(connection, procedure.key)), default=0)
            if procedure.version <= last:
                raise RefusedError(f"version {last} is there already: give it number {last + 1}", where=f"procedure {procedure.key}")
            check_violations(connection, procedure)
            keep(connection, sheet)
            name = keep_procedure(connection, data)
            return procedure.key, ProcedureAct("proposed", procedure.version, name, procedure.effective, sheet.commitment, procedure.until)

        await self.core.sequencer.decide(decide)
        return await self._told(procedure.key, procedure.version)

    async def publish(self, key: str, version: int, by: str, reason: str) -> Version:
        """Publish what another person proposed; raise RefusedError for the proposer, or when it is no open proposal."""
        return await self._decide(key, version, "published", {"by": by, "reason": need_reason(reason)})

    async def reject(self, key: str, version: int, by: str, reason: str) -> Version:
        """Reject a proposal; its proposer may take it back so. Raises RefusedError when it is no open proposal."""
        return await self._decide(key, version, "rejected", {"by": by, "reason": need_reason(reason)})

    async def withdraw(self, key: str, version: int, by: str, second: str, reason: str) -> Version:
        """Take a published version out of force, by two persons; what began with it goes on with it."""
        if by == second:
            raise MalformedError("the second person must be another", where="second")
        return await self._decide(key, version, "withdrawn", {"by": by, "second": second, "reason": need_reason(reason)})

    async def _decide(self, key: str, version: int, act: Literal["published", "rejected", "withdrawn"], words: dict[str, Any]) -> Version:
        sheet = make_sheet(words, os.urandom(SALT_BYTES))
        wanted = "published" if act == "withdrawn" else "proposed"

        def decide(connection: Connection, _size: int) -> tuple[str, ProcedureAct]:
            now = _find(connection, key, version)
            if now.state != wanted:
                raise RefusedError(f"is {now.state}, not {wanted}", where=f"procedure {key} version {version}")
            if act == "published" and proposer_of(now) in (None, words["by"]):
                raise RefusedError("was proposed by the same person: somebody else must publish it", where=f"procedure {key}")
            keep(connection, sheet)
            return key, ProcedureAct(act, version, now.sha256, now.effective, sheet.commitment, now.until)

        await self.core.sequencer.decide(decide)
        return await self._told(key, version)

    async def in_force(self, name: str, day: str) -> PublishedProcedure:
        """Give the procedure for a kind of goods, or of a key, on a day; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: in_force(connection, name, day))

    async def list(self, day: str | None = None) -> Sequence[PublishedProcedure]:
        """Give every procedure in force on a day, by number; None: today, by the hub's clock (UTC)."""

        def read(connection: Connection) -> list[PublishedProcedure]:
            found = all_in_force(connection, day or self.today()).values()
            return [PublishedProcedure(one.key, one.version, one.sha256, procedure_of(connection, one.sha256)) for one in found]

        return sorted(await self.core.database.read(read), key=lambda one: one.procedure.number)

    async def versions(self, key: str | None = None) -> Sequence[Version]:
        """Give every version, of one key or of all, with what was done with it."""
        return await self.core.database.read(lambda connection: versions(connection, key))

    async def get(self, key: str, version: int) -> tuple[Version, Procedure]:
        """Give a version, whatever its state; raise RefusedError when there is none."""

        def read(connection: Connection) -> tuple[Version, Procedure]:
            found = _find(connection, key, version)
            return found, procedure_of(connection, found.sha256)

        return await self.core.database.read(read)

    async def violations(self) -> Sequence[Violation]:
        """Give the catalogue of violations, by key."""
        return await self.core.database.read(violations_of)

    async def by_hash(self, sha256: bytes) -> Procedure:
        """Give a procedure by the hash of its canonical JSON; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: procedure_of(connection, sha256))

    def today(self) -> str:
        """Give the day by the hub's clock, in UTC."""
        return datetime.fromtimestamp(self.core.clock.now().wall_ns // SECOND_NS, UTC).date().isoformat()

    async def _told(self, key: str, version: int) -> Version:
        found, _ = await self.get(key, version)
        self.core.events.tell("procedure", key=key, version=version, state=found.state)
        return found


def proposer_of(version: Version) -> str | None:
    """Give who proposed a version; None where that was erased, or nobody did."""
    first = version.done[0]
    return None if first.act != "proposed" or first.said is None else first.said.get("by")


def need_reason(text: str) -> str:
    """Give a reason; raise MalformedError when there is none or it is too long."""
    if not text.strip() or len(text) > MAX_REASON:
        raise MalformedError(f"a reason has 1 to {MAX_REASON} characters", where="reason")
    return text.strip()


def _find(connection: Connection, key: str, version: int) -> Version:
    found = next((one for one in versions(connection, key) if one.version == version), None)
    if found is None:
        raise RefusedError("is not known", where=f"procedure {key[:64]} version {version}")
    return found
