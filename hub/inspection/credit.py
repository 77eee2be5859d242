"""Keep the credit of enterprises: put events on record, take appeals, decide them, set rule sets, and grade on any day.

Guarantees: each is a record whose guard is judged in the transaction that logs it; nothing on record is changed or removed; an appeal is
decided by somebody who neither put the event there nor appealed; an appeal that is not answered in time raises an alarm.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping

from hub.core import Core
from hub.inspection import entries
from hub.inspection.catalogue import check_key
from hub.inspection.credit_tables import (
    Grades,
    appeal_rows,
    event_row,
    event_rows,
    grade_on,
    gradings_on,
    joined,
    on_record,
    open_appeals,
    rules_on,
)
from hub.inspection.crediting.shipped import KEYS, shipped_document, shipped_rules
from hub.inspection.rule_sets import SetOfRules, document_on, listed, next_version
from hub.inspection.sheets import keep, said
from hub.sequencer import stage
from protocol.conduct_kinds import Appeal, CreditEvent, RuleSet
from protocol.crediting.model import Event, Grading, Item
from protocol.crediting.model import RuleSet as CreditRules
from protocol.crediting.reading import check_event, parse_rules
from protocol.errors import MalformedError, PortwitnessError, RefusedError
from protocol.instants import SECOND_NS, Instant
from protocol.sheets import SALT_BYTES, Sheet, make_sheet

ANSWER_DAYS = 20  # an objection is answered within
MAX_APPEALS = 3  # against one event
MAX_TEXT = 1000
MAX_FILES = 20
DAY_NS = 86_400 * SECOND_NS
LOOK_S = 60.0
OVERDUE = "appeal overdue"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CreditDraft:
    """Something to put on record. `item`: of the rule sets; `day`: None for today; `evidence`: record places and hashes."""

    enterprise: str
    item: str
    detail: str
    evidence: tuple[str, ...] = ()
    expires_day: str | None = None
    day: str | None = None
    points: int | None = None
    facts: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AppealFact:
    """An act of an appeal; `said`: who, why, files; None where that was erased."""

    position: int
    act: Literal["filed", "upheld", "rejected"]
    wall_ns: int
    said: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class CreditFact:
    """An event on record, and its appeals in order; `due_ns`: by when an open appeal is to be answered."""

    position: int
    enterprise: str
    item: str
    day: str
    expires: str | None
    points: int | None
    rule: str | None
    wall_ns: int
    said: Mapping[str, Any] | None
    appeals: tuple[AppealFact, ...] = ()

    @property
    def appeal(self) -> str:
        """Give how its newest appeal stands."""
        return self.appeals[-1].act if self.appeals else "none"

    @property
    def due_ns(self) -> int | None:
        """Give by when an open appeal is to be answered."""
        return self.appeals[-1].wall_ns + ANSWER_DAYS * DAY_NS if self.appeal == "filed" else None


@dataclass(frozen=True, slots=True)
class Standing:
    """An enterprise on a day: both gradings with their reckoning, what follows, and all that is on record by the time asked for."""

    enterprise: str
    name: str | None
    day: str
    grades: Grades
    gradings: Mapping[str, Grading]
    rules: Mapping[str, CreditRules]
    facts: tuple[CreditFact, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """An enterprise in the list. `open`: its appeals that wait for a decision."""

    enterprise: str
    name: str | None
    grades: Grades
    events: int
    open: int


@dataclass(slots=True)
class Credits:
    """The credit of a port's enterprises. Use as an async context manager: while it runs, it looks for appeals that are overdue."""

    core: Core
    _task: asyncio.Task[None] | None = field(default=None)

    async def __aenter__(self) -> "Credits":
        self._task = asyncio.create_task(self._run(), name="credit")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    # ------------------------------------------------------------------------------------------------ what is put on record

    async def add(self, draft: CreditDraft, by: str | None, rule: str | None = None) -> CreditFact:
        """Put an event on record, by a person or a rule; raise MalformedError for an item, day or points that cannot be.

        Raises RefusedError for the very same one again: it would count twice.
        """
        today = self.today()

        def decide(connection: Connection, _size: int) -> tuple[str, CreditEvent]:
            body, sheet = _made(connection, draft, today, by, rule)
            _refuse_twice(connection, draft, body)
            keep(connection, sheet)
            return draft.enterprise, body

        signed = await self.core.sequencer.decide(decide)
        self.core.events.tell("credit", enterprise=draft.enterprise, act="event")
        return await self.fact(signed.record.position)

    async def fact(self, position: int) -> CreditFact:
        """Give an event by the place of its record; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: _fact(connection, position))

    async def appeal(
        self, position: int, by: str, reason: str, files: Sequence[Mapping[str, str]] = (), party: str | None = None
    ) -> CreditFact:
        """Appeal against an event; `party`: the enterprise that the appellant acts for, None for anyone's.

        Raises RefusedError for another's event, one with an open or an upheld appeal, or one appealed against too often.
        """
        words = {"by": by, "reason": _text(reason, "reason"), "files": _files(files)}
        sheet = make_sheet(words, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Appeal]:
            now = _fact(connection, position)
            if party is not None and party != now.enterprise:
                raise RefusedError("is on record of another enterprise", where=f"credit event {position}")
            if now.appeal in ("filed", "upheld"):
                raise RefusedError("has an open appeal" if now.appeal == "filed" else "counts no more", where=f"credit event {position}")
            if sum(one.act == "filed" for one in now.appeals) >= MAX_APPEALS:
                raise RefusedError(f"was appealed against {MAX_APPEALS} times", where=f"credit event {position}")
            keep(connection, sheet)
            return now.enterprise, Appeal(position, "filed", sheet.commitment)

        return await self._appealed(position, "filed", decide)

    async def decide(self, position: int, by: str, reason: str, *, upheld: bool) -> CreditFact:
        """Decide an open appeal; raise RefusedError for who put the event on record, or appealed, and when no appeal is open."""
        sheet = make_sheet({"by": by, "reason": _text(reason, "reason")}, os.urandom(SALT_BYTES))
        act: Literal["upheld", "rejected"] = "upheld" if upheld else "rejected"

        def decide(connection: Connection, _size: int) -> tuple[str, Appeal]:
            now = _fact(connection, position)
            if now.appeal != "filed":
                raise RefusedError("has no open appeal", where=f"credit event {position}")
            if by == (now.said or {}).get("by"):
                raise RefusedError("was put on record by the same person: somebody else must decide", where=f"credit event {position}")
            if by == (now.appeals[-1].said or {}).get("by"):
                raise RefusedError("whoever appealed does not decide", where=f"credit event {position}")
            keep(connection, sheet)
            return now.enterprise, Appeal(position, act, sheet.commitment)

        found = await self._appealed(position, act, decide)
        await self.core.alarms.over(OVERDUE, str(position), f"hub:{self.core.hub_id}")
        return found

    async def _appealed(self, position: int, act: str, decide: Any) -> CreditFact:  # noqa: ANN401 - a decision of the sequencer
        await self.core.sequencer.decide(decide)
        found = await self.fact(position)
        self.core.events.tell("credit", enterprise=found.enterprise, act=act)
        return found

    async def set_rules(self, document: bytes, by: str, second: str, reason: str) -> int:
        """Put a rule set in force from its day on, by two persons; give the place of its record.

        Raises MalformedError naming what is wrong, RefusedError for one person alone, or a version that is not the next one.
        """
        if not second.strip() or by == second:
            raise RefusedError("needs a second person", where="second")
        rules = parse_rules(document)
        if rules.key not in KEYS:
            raise MalformedError(f"is none of {', '.join(KEYS)}", where="key")
        sheet = make_sheet({"by": by, "second": second, "reason": _text(reason, "reason")}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, RuleSet]:
            wanted = next_version(connection, "credit", rules.key, shipped_rules(rules.key).version)
            if rules.version != wanted:
                raise RefusedError(f"the next version is {wanted}, not {rules.version}", where=f"rule set {rules.key}")
            keep(connection, sheet)
            return f"credit/{rules.key}/{rules.version}", RuleSet("credit", document, sheet.commitment)

        signed = await self.core.sequencer.decide(decide)
        self.core.events.tell("credit", act="rules", key=rules.key)
        return signed.record.position

    # ------------------------------------------------------------------------------------------------------- what is told

    def today(self) -> str:
        """Give the day by the hub's clock, in UTC."""
        return _day_of(self.core.clock.now().wall_ns).isoformat()

    async def grade(self, enterprise: str, day: str | None = None) -> Grades:
        """Give how an enterprise is graded on a day, None: today."""
        at = day or self.today()
        return await self.core.database.read(lambda connection: grade_on(connection, enterprise, at))

    async def get(self, enterprise: str, day: str | None = None, *, as_known: bool = False) -> Standing:
        """Give an enterprise on a day; `as_known`: by what was on record at the end of that day, not by what is now."""
        check_key("enterprise", enterprise)
        at = day or self.today()
        known_ns = _end_ns(at) if as_known else None
        return await self.core.database.read(lambda connection: _standing(connection, enterprise, at, known_ns))

    async def list(self, search: str = "", after: str = "", limit: int = 100) -> Sequence[Listed]:
        """Give the enterprises of the reference data and those of which anything is on record, by code, with today's grades."""
        today = self.today()
        return await self.core.database.read(lambda connection: _list(connection, search.strip().lower(), after, limit, today))

    async def rules(self, key: str, day: str | None = None) -> tuple[CreditRules, Sequence[SetOfRules]]:
        """Give the rule set in force on a day, and those that people set."""
        at = day or self.today()
        return await self.core.database.read(lambda connection: (rules_on(connection, key, at), listed(connection, "credit", key)))

    async def rules_text(self, key: str, day: str | None = None) -> bytes:
        """Give the rule set in force on a day as its canonical text."""
        at = day or self.today()
        found = await self.core.database.read(lambda connection: document_on(connection, "credit", key, at))
        return shipped_document(key) if found is None else found

    async def items(self) -> Sequence[Item]:
        """Give the items that both rule sets in force know, by key; of one that both know, that with points or the stricter one."""
        today = self.today()
        both = await self.core.database.read(lambda connection: [rules_on(connection, key, today) for key in reversed(KEYS)])
        found = {key: item for rules in both for key, item in rules.items.items()}
        return [found[key] for key in sorted(found)]

    # ------------------------------------------------------------------------------------------------ appeals past due

    async def look(self) -> Sequence[int]:
        """Ring for every appeal that waited too long; give the places of their events."""
        now_ns = self.core.clock.now().wall_ns
        rows = await self.core.database.read(open_appeals)
        late = [row for row in rows if row["wall_ns"] + ANSWER_DAYS * DAY_NS < now_ns]
        known = {alarm.subject for alarm in await self.core.alarms.list() if alarm.kind == OVERDUE} if late else set()
        for row in late:
            if str(row["event"]) not in known:
                due = _day_of(row["wall_ns"] + ANSWER_DAYS * DAY_NS).isoformat()
                await self.core.alarms.ring(OVERDUE, str(row["event"]), f"{row['enterprise']}: answer was due on {due}")
        return [row["event"] for row in late]

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("credit: %s", error)
            await asyncio.sleep(LOOK_S)


def stage_credit(connection: Connection, draft: CreditDraft, at: Instant, rule: str, by: str | None = None) -> None:
    """Put an event on record in another part's own transaction, which made it necessary; wake the sequencer after.

    Raises MalformedError for an item, day or points that cannot be.
    """
    body, sheet = _made(connection, draft, _day_of(at.wall_ns).isoformat(), by, rule)
    keep(connection, sheet)
    stage(connection, body, draft.enterprise, at)


def _made(connection: Connection, draft: CreditDraft, today: str, by: str | None, rule: str | None) -> tuple[CreditEvent, Sheet]:
    check_key("enterprise", draft.enterprise)
    if (by is None) == (rule is None):
        raise MalformedError("is put there by a person or by a rule", where="credit event")
    day = draft.day or today
    if day > today:
        raise MalformedError("lies in the future", where="day")
    event = Event("new", draft.item, _day(day, "day"), draft.expires_day, draft.points, draft.facts)
    if draft.expires_day is not None:
        _day(draft.expires_day, "expires")
    known = [rules for rules in (rules_on(connection, key, today) for key in KEYS) if draft.item in rules.items]
    if not known:
        raise MalformedError(f"{draft.item[:64]!r} is in no rule set", where="item")
    for rules in known if draft.points is None else known[:1]:  # points are those of the first that knows the item
        check_event(event, rules)
    words = {"detail": _text(draft.detail, "detail"), "evidence": [_text(one, "evidence") for one in draft.evidence[:100]], "by": by}
    sheet = make_sheet(words, os.urandom(SALT_BYTES))
    facts = tuple(sorted(draft.facts))
    return CreditEvent(draft.item, day, sheet.commitment, draft.expires_day, draft.points, facts, rule), sheet


def _refuse_twice(connection: Connection, draft: CreditDraft, body: CreditEvent) -> None:
    """Refuse what is on record already word for word, with the same evidence: a form that was sent twice."""
    for row in event_rows(connection, draft.enterprise):
        if (row["item"], row["day"], row["points"]) != (body.item, body.day, body.points):
            continue
        words = said(connection, bytes(row["sheet"])) or {}
        if words.get("detail") == draft.detail.strip() and words.get("evidence") == [one.strip() for one in draft.evidence[:100]]:
            raise RefusedError("is on record already, with the same words and evidence", where=f"credit event {row['position']}")


def _fact(connection: Connection, position: int) -> CreditFact:
    row = event_row(connection, position)
    if row is None:
        raise RefusedError("is not known", where=f"credit event {position}")
    return _told(connection, row, [one for one in appeal_rows(connection, row["enterprise"]) if one["event"] == position])


def _told(connection: Connection, row: RowMapping, appeals: Sequence[RowMapping]) -> CreditFact:
    acts = tuple(AppealFact(one["position"], one["act"], one["wall_ns"], said(connection, bytes(one["sheet"]))) for one in appeals)
    names = ("position", "enterprise", "item", "day", "expires", "points", "rule", "wall_ns")
    return CreditFact(**{name: row[name] for name in names}, said=said(connection, bytes(row["sheet"])), appeals=acts)


def _standing(connection: Connection, enterprise: str, day: str, known_ns: int | None) -> Standing:
    gradings = gradings_on(connection, enterprise, day, known_ns=known_ns)
    rules = {key: rules_on(connection, key, day, known_ns=known_ns) for key in KEYS}
    appeals = appeal_rows(connection, enterprise, known_ns=known_ns)
    facts = tuple(
        _told(connection, row, [one for one in appeals if one["event"] == row["position"]])
        for row in event_rows(connection, enterprise, known_ns=known_ns)
    )
    return Standing(enterprise, _name(connection, enterprise), day, joined(gradings, rules), gradings, rules, facts)


def _name(connection: Connection, enterprise: str) -> str | None:
    row = entries.newest(connection, "enterprise", enterprise)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    return None if words is None else words.get("entry", {}).get("name")


def _list(connection: Connection, search: str, after: str, limit: int, today: str) -> list[Listed]:
    rows = entries.standing(connection, "enterprise")
    codes = sorted({*on_record(connection), *(row["key"] for row in rows)})
    waiting = [row["enterprise"] for row in open_appeals(connection)]
    found: list[Listed] = []
    for code in (one for one in codes if one > after):
        name = _name(connection, code)
        if search and search not in code.lower() and search not in (name or "").lower():
            continue
        found.append(Listed(code, name, grade_on(connection, code, today), len(event_rows(connection, code)), waiting.count(code)))
        if len(found) >= limit:
            break
    return found


def _files(files: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    found = [{"name": str(one.get("name", "")), "sha256": str(one.get("sha256", ""))} for one in files]
    for one in found:
        sound = len(one["sha256"]) == 64 and set(one["sha256"]) <= set("0123456789abcdef") and 0 < len(one["name"]) <= 200
        if not sound:
            raise MalformedError("a file has a name and a SHA-256 in hex", where="files")
    if len(found) > MAX_FILES:
        raise MalformedError(f"at most {MAX_FILES} files", where="files")
    return found


def _text(text: str, where: str) -> str:
    if not text.strip() or len(text) > MAX_TEXT:
        raise MalformedError(f"has 1 to {MAX_TEXT} characters", where=where)
    return text.strip()


def _day(text: str, where: str) -> str:
    try:
        if date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise MalformedError(f"{text[:20]!r} is no day written as 2026-11-24", where=where)


def _day_of(wall_ns: int) -> date:
    return datetime.fromtimestamp(wall_ns // SECOND_NS, UTC).date()


def _end_ns(day: str) -> int:
    """Give the last instant of a day, UTC."""
    begin = datetime.combine(date.fromisoformat(_day(day, "on")), datetime.min.time(), UTC)
    return int((begin + timedelta(days=1)).timestamp()) * SECOND_NS - 1
