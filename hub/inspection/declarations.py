"""Take declarations, their amendments and withdrawals, and the steps that decide of them.

Guarantees: each is a record whose guard is judged in the transaction that logs it; a declaration that is sent twice is taken once; what
was lodged stays readable in every version; an amendment never un-selects.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, or_, select

from hub.core import Core
from hub.inspection.forms import Fault, FaultsError, Form, read_form
from hub.inspection.lodging import Lodging
from hub.inspection.sheets import keep, said
from hub.inspection.standings import standing_now, standing_of, standing_row
from hub.inspection.states import Standing, State, after_amendment, check_step
from protocol.errors import MalformedError, RefusedError
from protocol.inspection_kinds import Declaration, Hold, Step
from protocol.instants import SECOND_NS
from protocol.records import SignedRecord
from protocol.sheets import SALT_BYTES, make_sheet
from storage.schema import declarants, declaration_steps, standings

MAX_LISTED = 500
MAX_REASON = 1000
SHORT = 64  # lines of goods that are read at once
Complete = Callable[[Connection, Standing], Standing]


@dataclass(frozen=True, slots=True)
class Declared:
    """Where a declaration stands."""

    number: str
    state: State
    version: int
    selected: bool
    held: bool
    holds: tuple[str, ...]
    enterprise: str
    reference: str
    lodged_ns: int
    changed_ns: int
    position: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a declaration; `said`: its sheet, None where that was erased."""

    position: int
    kind: str
    act: str
    version: int | None
    authority: str | None
    rule: str | None
    wall_ns: int
    said: Mapping[str, Any] | None


class _KnownError(RefusedError):
    """The same declaration was lodged before; `number` is its own."""

    def __init__(self, number: str) -> None:
        super().__init__("was lodged before", where=f"declaration {number}")
        self.number = number


@dataclass(frozen=True, slots=True)
class Declarations:
    """The declarations of one port."""

    core: Core
    lodging: Lodging = field(init=False)

    def __post_init__(self) -> None:
        """Open the desk where declarations are handed in."""
        object.__setattr__(self, "lodging", Lodging(self.core, _why_known))

    async def lodge(self, value: Any, by: str, party: str | None = None) -> Declared:  # noqa: ANN401 - JSON
        """Take a declaration; sent again it is the same one. `party`: the only enterprise whose declarations `by` may write.

        Raises FaultsError with all that is wrong, RefusedError when its reference names another declaration of the enterprise.
        """
        form = await self._read(value, party)
        sheet = make_sheet({"form": form.sheet(), "by": by}, os.urandom(SALT_BYTES))

        try:
            signed = await self.lodging.take(form, sheet, f"D-{self._today():%Y%m%d}-")
        except _KnownError as error:
            return await self.get(error.number)
        record = signed.record
        at, facts = record.at.wall_ns, (form.enterprise, form.reference)
        return self._tell(Declared(record.subject, State.LODGED, 1, False, False, (), *facts, at, at, record.position))

    async def check(self, value: Any, party: str | None = None, number: str | None = None) -> tuple[Fault, ...]:  # noqa: ANN401 - JSON
        """Give all that keeps a declaration from being taken, without taking it; `number`: as a new version of that one.

        Raises MalformedError when it is no object, RefusedError when there is no declaration of this number.
        """
        try:
            form = await self._read(value, party)
        except FaultsError as error:
            return error.faults
        return await self.core.database.read(lambda connection: _conflicts(connection, form, number))

    async def amend(
        self,
        number: str,
        value: Any,  # noqa: ANN401 - JSON
        by: str,
        reason: str,
        *,
        after: int | None = None,
        party: str | None = None,
    ) -> Declared:
        """Take a new version of a declaration, `after`: written from this version, None for whatever stands.

        Raises as `lodge`, and RefusedError once it is released or ended, when another version stands, or when a `party` takes boxes out
        of one that was selected.
        """
        form = await self._read(value, party)
        sheet = make_sheet({"form": form.sheet(), "by": by, "reason": _reason(reason)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Declaration]:
            row = standing_row(connection, number)
            state = after_amendment(standing_of(row))
            if after not in (None, row["version"]):
                what = f"stands at version {row['version']}, not {after}: somebody amended it meanwhile; look again"
                raise RefusedError(what, where=f"declaration {number}")
            _check_same(connection, number, form)
            if party is not None and row["selected"]:
                _check_boxes(connection, number, form)
            keep(connection, sheet)
            return number, Declaration("amended", row["version"] + 1, state, sheet.commitment)

        return await self._told(await self.core.sequencer.decide(decide))

    async def withdraw(self, number: str, by: str, reason: str, *, party: str | None = None) -> Declared:
        """Take a declaration back; a hold on its goods stays. Raises RefusedError once it is released or ended.

        `party`: the enterprise that does; what was selected it cannot take back, only the port can: its goods could be declared anew.
        """
        sheet = make_sheet({"by": by, "reason": _reason(reason)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Declaration]:
            row = standing_row(connection, number)
            check_step(standing_of(row), State.WITHDRAWN, by)
            if party is not None and row["selected"]:
                raise RefusedError("it was selected: the port alone can take it back", where=f"declaration {number}")
            keep(connection, sheet)
            return number, Declaration("withdrawn", row["version"], State.WITHDRAWN, sheet.commitment)

        return await self._told(await self.core.sequencer.decide(decide))

    async def step(
        self,
        number: str,
        to: State,
        said: Mapping[str, Any],
        *,
        by: str | None = None,
        rule: str | None = None,
        complete: Complete | None = None,
    ) -> Declared:
        """Let a declaration take a step, decided by a person or a rule; `said`: who, why, and the rule's inputs, as JSON values.

        `complete` adds, in the transaction that logs it, what other parts know of where it stands. Raises RefusedError naming the
        guard that does not hold, MalformedError for what no sheet can hold.
        """
        if to is State.RELEASED:
            raise RefusedError("goods are released by the evidence gate alone", where=f"declaration {number}")
        sheet = make_sheet(dict(said) | ({} if by is None else {"by": by}), os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, Step]:
            now = standing_now(connection, number)
            check_step(now if complete is None else complete(connection, now), to, by)
            keep(connection, sheet)
            return number, Step(to, sheet.commitment, rule)

        return await self._told(await self.core.sequencer.decide(decide))

    async def hold(self, number: str, authority: str, by: str, reason: str, *, lift: bool = False, second: str | None = None) -> Declared:
        """Place or lift another authority's hold; raise RefusedError when there is nothing to change.

        `second`: who answers for it too, where the port lifts it in the authority's place.
        """
        words = {"by": by, "reason": _reason(reason)} | ({} if second is None else {"second": second})
        sheet = make_sheet(words, os.urandom(SALT_BYTES))
        if not authority.strip() or len(authority) > 40:
            raise MalformedError("an authority has 1 to 40 characters", where="authority")

        def decide(connection: Connection, _size: int) -> tuple[str, Hold]:
            holds = json.loads(standing_row(connection, number)["holds"])
            if (authority in holds) != lift:
                raise RefusedError(f"{authority} {'does not hold it' if lift else 'holds it already'}", where=f"declaration {number}")
            keep(connection, sheet)
            return number, Hold("lifted" if lift else "placed", authority, sheet.commitment)

        return await self._told(await self.core.sequencer.decide(decide))

    async def get(self, number: str) -> Declared:
        """Give a declaration; raise RefusedError when there is none of this number."""
        return await self.core.database.read(lambda connection: _declared(connection, number))

    async def list(
        self,
        *,
        state: State | None = None,
        enterprise: str | None = None,
        before_ns: int | None = None,
        before: str | None = None,
        begins: str | None = None,
        limit: int = 100,
    ) -> Sequence[Declared]:
        """Give declarations, newest first.

        `before_ns`: lodged earlier than this; `before`: behind this number, to turn the page; `begins`: whose number or reference
        begins so. Raises RefusedError when there is none of the number `before`.
        """
        wishes = [] if state is None else [standings.c.state == state.value]
        wishes += [] if enterprise is None else [declarants.c.enterprise == enterprise]
        wishes += [] if before_ns is None else [standings.c.lodged_ns < before_ns]
        if begins:
            named = standings.c.declaration.startswith(begins, autoescape=True)
            wishes.append(named | declarants.c.reference.startswith(begins, autoescape=True))

        def read(connection: Connection) -> list[Declared]:
            more = [] if before is None else [_behind(standing_row(connection, before))]
            return _newest(connection, [*wishes, *more], limit)

        return await self.core.database.read(read)

    async def held_by(self, authority: str, limit: int = 100) -> Sequence[Declared]:
        """Give the declarations that another authority holds, newest first."""
        holds = standings.c.holds.contains(json.dumps(authority, ensure_ascii=False), autoescape=True)
        return await self.core.database.read(lambda connection: _newest(connection, [holds], limit))

    async def history(self, number: str) -> Sequence[Entry]:
        """Give every record of a declaration, in order, with what its sheet says; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: _history(connection, number))

    async def form(self, number: str, version: int | None = None) -> Form:
        """Give a declaration as it reads, now or in a version; raise RefusedError when there is none, or it was erased."""
        entries = [one for one in await self.history(number) if one.act in ("lodged", "amended")]
        found = [one for one in entries if version in (None, one.version)]
        if not found or found[-1].said is None:
            raise RefusedError("is not known in this version, or was erased", where=f"declaration {number}")
        return Form.model_validate(found[-1].said["form"])

    async def _read(self, value: Any, party: str | None) -> Form:  # noqa: ANN401 - JSON
        """Read a form; a long one beside the loop, as it takes a while."""
        goods = value.get("goods") if isinstance(value, dict) else None
        if isinstance(goods, list) and len(goods) <= SHORT:
            return read_form(value, today=self._today(), party=party)
        return await asyncio.to_thread(read_form, value, today=self._today(), party=party)

    async def _told(self, signed: SignedRecord) -> Declared:
        return self._tell(await self.get(signed.record.subject))

    def _tell(self, found: Declared) -> Declared:
        self.core.events.tell("declaration", declaration=found.number, state=found.state.value, enterprise=found.enterprise)
        return found

    def _today(self) -> date:
        return datetime.fromtimestamp(self.core.clock.now().wall_ns // SECOND_NS, UTC).date()


def _reason(text: str) -> str:
    if not text.strip() or len(text) > MAX_REASON:
        raise MalformedError(f"a reason has 1 to {MAX_REASON} characters", where="reason")
    return text.strip()


def _refuse_known(connection: Connection, form: Form) -> None:
    mine = and_(declarants.c.enterprise == form.enterprise, declarants.c.reference == form.reference)
    number = connection.execute(select(declarants.c.declaration).where(mine)).scalar()
    if number is not None:
        raise _why_known(connection, form, number)


def _why_known(connection: Connection, form: Form, number: str) -> RefusedError:
    """Say why a form whose reference names a declaration is not taken: it is that very one, or another."""
    lodged = next((one for one in _history(connection, number) if one.act == "lodged"), None)
    if lodged is not None and lodged.said is not None and lodged.said["form"] == form.sheet():
        return _KnownError(number)
    return RefusedError(f"names declaration {number} already; amend that one, or choose another", where="reference")


def _conflicts(connection: Connection, form: Form, number: str | None) -> tuple[Fault, ...]:
    """Give what is wrong of a sound form beside those that were lodged."""
    try:
        if number is None:
            _refuse_known(connection, form)
        else:
            after_amendment(standing_of(standing_row(connection, number)))
            _check_same(connection, number, form)
    except _KnownError:
        return ()  # the same one: sending it again changes nothing
    except RefusedError as error:
        if error.where not in ("enterprise", "reference"):
            raise
        return (Fault(error.where, "known", error.what, "与已申报的报检单不一致或重复"),)
    return ()


def _newest(connection: Connection, wishes: Sequence[ColumnElement[bool]], limit: int) -> list[Declared]:
    query = select(standings, declarants.c.enterprise, declarants.c.reference)
    query = query.join(declarants, standings.c.declaration == declarants.c.declaration).where(*wishes)
    query = query.order_by(standings.c.lodged_ns.desc(), standings.c.declaration.desc()).limit(min(limit, MAX_LISTED))
    return [_from_row(row) for row in connection.execute(query).mappings()]


def _behind(row: RowMapping) -> ColumnElement[bool]:
    at, number = standings.c.lodged_ns, standings.c.declaration
    return or_(at < row["lodged_ns"], and_(at == row["lodged_ns"], number < row["declaration"]))


def _check_same(connection: Connection, number: str, form: Form) -> None:
    row = connection.execute(select(declarants).where(declarants.c.declaration == number)).one()
    for name, now, before in (("enterprise", form.enterprise, row.enterprise), ("reference", form.reference, row.reference)):
        if now != before:
            raise RefusedError(f"was {before} and cannot become {now[:64]}", where=name)


def _check_boxes(connection: Connection, number: str, form: Form) -> None:
    """Check that a selected declaration keeps every box that it names: one that it loses could go under another declaration."""
    before = next((one.said for one in reversed(_history(connection, number)) if one.act in ("lodged", "amended")), None)
    named = {box["number"] for box in (before or {}).get("form", {}).get("containers", ())}
    lost = sorted(named - {box.number for box in form.containers})
    if lost:
        raise RefusedError(f"it was selected: the port alone can take box {lost[0]} out of it", where=f"declaration {number}")


def _declared(connection: Connection, number: str) -> Declared:
    row = dict(standing_row(connection, number))
    mine = connection.execute(select(declarants).where(declarants.c.declaration == number)).one()
    return _from_row(row | {"enterprise": mine.enterprise, "reference": mine.reference})


def _from_row(row: RowMapping | dict[str, Any]) -> Declared:
    return Declared(
        number=row["declaration"],
        state=State(row["state"]),
        version=row["version"],
        selected=row["selected"],
        held=row["held"],
        holds=tuple(json.loads(row["holds"])),
        enterprise=row["enterprise"],
        reference=row["reference"],
        lodged_ns=row["lodged_ns"],
        changed_ns=row["changed_ns"],
        position=row["position"],
    )


def _history(connection: Connection, number: str) -> list[Entry]:
    standing_row(connection, number)
    table = declaration_steps
    rows = connection.execute(select(table).where(table.c.declaration == number).order_by(table.c.position)).all()
    return [
        Entry(row.position, row.kind, row.act, row.version, row.authority, row.rule, row.wall_ns, said(connection, bytes(row.sheet)))
        for row in rows
    ]
