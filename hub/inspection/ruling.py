"""Let targeting rules come and go: proposed by one person, approved or rejected by another, withdrawn by two, tried on past data before.

Guarantees: each act is a record in the log; nobody approves what they proposed; a version number is used once; a dry run changes nothing
and looks at a bounded number of declarations.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, and_, func, select

from hub.core import Core
from hub.inspection.catalogue import check_key
from hub.inspection.forms import Form
from hub.inspection.publishing import need_reason
from hub.inspection.risk.facts import day_of, premises_of
from hub.inspection.risk.fields import values_of
from hub.inspection.risk.grades import grade_of
from hub.inspection.risk.language import Declared
from hub.inspection.risk.matching import rules_of
from hub.inspection.risk.rule_documents import TargetRule, read_rule
from hub.inspection.rule_tables import InForce, RuleVersion, rule_versions, rules_in_force
from hub.inspection.sheets import keep, said
from protocol.errors import MalformedError, RefusedError
from protocol.instants import SECOND_NS
from protocol.rule_kinds import RuleAct
from protocol.sheets import SALT_BYTES, make_sheet
from storage.schema import declaration_steps, standings

MAX_DRY = 5_000  # declarations that one dry run looks at, the newest first
MAX_DAYS = 366
LISTED = 200
DAY_NS = 86_400 * SECOND_NS


@dataclass(frozen=True, slots=True)
class DryHit:
    """A declaration that a rule would have hit, and how it stands now."""

    declaration: str
    enterprise: str
    day: str
    state: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a rule would have hit: of `looked_at` declarations lodged since `since`; `failed`: of the hits, by inspection.

    `truncated`: there were more than one run looks at.
    """

    since: str
    looked_at: int
    hits: int
    failed: int
    by_day: tuple[tuple[str, int], ...]
    listed: tuple[DryHit, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """The targeting rules of one port, and the figures of its risk score."""

    core: Core

    async def propose(self, key: str, value: Any, by: str, reason: str) -> RuleVersion:  # noqa: ANN401 - JSON
        """Propose a version; raise FaultsError with all that is wrong with it."""
        check_key("notice", key)  # letters, digits, dots and hyphens
        document = read_rule(key, value)
        words = {"rule": document.model_dump(mode="json"), "by": by, "reason": need_reason(reason)}
        sheet = make_sheet(words, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, RuleAct]:
            version = 1 + max((one.version for one in rule_versions(connection, key)), default=0)
            keep(connection, sheet)
            return key, RuleAct("proposed", version, sheet.commitment)

        signed = await self.core.sequencer.decide(decide)
        assert isinstance(signed.record.body, RuleAct)
        return await self._told(key, signed.record.body.version)

    async def approve(self, key: str, version: int, by: str, reason: str) -> RuleVersion:
        """Put in force what another person proposed; raise RefusedError for the proposer, or when it is no open proposal."""
        return await self._decide(key, version, "approved", {"by": by, "reason": need_reason(reason)})

    async def reject(self, key: str, version: int, by: str, reason: str) -> RuleVersion:
        """Reject a proposal; its proposer may take it back so. Raises RefusedError when it is no open proposal."""
        return await self._decide(key, version, "rejected", {"by": by, "reason": need_reason(reason)})

    async def withdraw(self, key: str, version: int, by: str, second: str, reason: str) -> RuleVersion:
        """Take an approved version out of force, by two persons; the version before, if it still stands, is in force again."""
        if by == second:
            raise MalformedError("the second person must be another", where="second")
        return await self._decide(key, version, "withdrawn", {"by": by, "second": second, "reason": need_reason(reason)})

    async def _decide(
        self, key: str, version: int, act: Literal["approved", "rejected", "withdrawn"], words: dict[str, Any]
    ) -> RuleVersion:
        sheet = make_sheet(words, os.urandom(SALT_BYTES))
        wanted = "approved" if act == "withdrawn" else "proposed"

        def decide(connection: Connection, _size: int) -> tuple[str, RuleAct]:
            now = _find(connection, key, version)
            if now.state != wanted:
                raise RefusedError(f"is {now.state}, not {wanted}", where=f"rule {key} version {version}")
            if act == "approved" and now.proposer in (None, words["by"]):
                raise RefusedError("was proposed by the same person: somebody else must approve it", where=f"rule {key}")
            keep(connection, sheet)
            return key, RuleAct(act, version, sheet.commitment)

        await self.core.sequencer.decide(decide)
        return await self._told(key, version)

    async def list(self, key: str | None = None) -> Sequence[RuleVersion]:
        """Give every version, of one key or of all, by key and version."""
        return await self.core.database.read(lambda connection: rule_versions(connection, key))

    async def get(self, key: str, version: int) -> RuleVersion:
        """Give a version; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: _find(connection, key, version))

    async def in_force(self) -> InForce:
        """Give what screening decides by now."""
        return await self.core.database.read(rules_in_force)

    async def dry_run(self, value: Any, days: int) -> DryRun:  # noqa: ANN401 - JSON
        """Try a targeting rule on the declarations of the last days, whatever its own days; raise as `propose`."""
        rule = read_rule("dry-run", value)
        if not isinstance(rule, TargetRule) or not 1 <= days <= MAX_DAYS:
            raise MalformedError(f"not 1 to {MAX_DAYS} days", where="days")
        since_ns = self.core.clock.now().wall_ns - days * DAY_NS
        return await self.core.database.read(lambda connection: _dry_run(connection, rule, since_ns))

    async def _told(self, key: str, version: int) -> RuleVersion:
        found = await self.get(key, version)
        self.core.events.tell("rule", key=key, version=version, state=found.state)
        return found


def _find(connection: Connection, key: str, version: int) -> RuleVersion:
    found = next((one for one in rule_versions(connection, key) if one.version == version), None)
    if found is None:
        raise RefusedError("is not known", where=f"rule {key[:64]} version {version}")
    return found


def _dry_run(connection: Connection, rule: TargetRule, since_ns: int) -> DryRun:
    kind_of = premises_of(connection).kind_of
    always = rule.model_copy(update={"start": "0001-01-01", "end": None})  # every day counts
    found: list[DryHit] = []
    grades: dict[tuple[str, str], str] = {}
    rows = _lodged(connection, since_ns)
    for row in rows[:MAX_DRY]:
        words = said(connection, bytes(row.sheet))
        if words is None:
            continue
        form = Form.model_validate(words["form"])
        day = day_of(row.lodged_ns)
        about = form.enterprise, day
        if about not in grades:
            grades[about] = grade_of(connection, *about).grade
        declared = Declared(*values_of(form, day, grades[about], kind_of))
        if rules_of({"dry-run": (1, always)}, day, declared):
            found.append(DryHit(row.declaration, form.enterprise, day, row.state))
    by_day = tuple(sorted(Counter(one.day for one in found).items()))
    failed = sum(1 for one in _failed(connection, [one.declaration for one in found]))
    looked_at = min(len(rows), MAX_DRY)
    return DryRun(day_of(since_ns), looked_at, len(found), failed, by_day, tuple(found[:LISTED]), len(rows) > MAX_DRY)


def _lodged(connection: Connection, since_ns: int) -> Sequence[Any]:
    """Give the declarations lodged since then, newest first, each with its newest form."""
    steps = declaration_steps
    told = select(steps.c.declaration, func.max(steps.c.position).label("position")).where(steps.c.act.in_(("lodged", "amended")))
    newest = told.group_by(steps.c.declaration).subquery()
    query = select(standings.c.declaration, standings.c.state, standings.c.lodged_ns, steps.c.sheet)
    query = query.join(newest, newest.c.declaration == standings.c.declaration).join(steps, steps.c.position == newest.c.position)
    query = query.where(standings.c.lodged_ns >= since_ns, steps.c.kind == "declaration")
    return connection.execute(query.order_by(standings.c.lodged_ns.desc(), standings.c.declaration.desc()).limit(MAX_DRY + 1)).all()


def _failed(connection: Connection, numbers: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(numbers), 500):
        mine = and_(declaration_steps.c.declaration.in_(numbers[start : start + 500]), declaration_steps.c.act == "failed")
        yield from connection.execute(select(declaration_steps.c.declaration).where(mine).distinct()).scalars()
