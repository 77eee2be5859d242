"""Take declarations that come at the same time together: one look at the tables, one decision, a record for each.

Guarantees: each is judged by itself, in the transaction that logs it, and gets its own answer; what was sent twice, also within one group,
is taken once; a group waits for nobody - it is what came while the group before it was being written.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, or_, select

from hub.core import Core
from hub.inspection.forms import Form
from hub.inspection.states import State
from protocol.errors import PortwitnessError, UnavailableError
from protocol.inspection_kinds import Declaration
from protocol.records import SignedRecord
from protocol.sheets import Sheet
from storage.database import insert_many
from storage.schema import declarants, sheets, standings

MOST = 256  # in one decision
_SHEETS, _DECLARANTS = ("commitment", "salt", "data"), ("declaration", "enterprise", "reference")
Known = Callable[[Connection, Form, str], PortwitnessError]


@dataclass(slots=True)
class Lodged:
    """A declaration on its way into the log."""

    form: Form
    sheet: Sheet
    prefix: str  # of its number: its day
    done: "asyncio.Future[SignedRecord]"
    number: str = ""
    refusal: PortwitnessError | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Give by what it is known when it is sent again."""
        return self.form.enterprise, self.form.reference


@dataclass(slots=True)
class Lodging:
    """The desk where declarations are handed in. `known` says why one whose reference names another is not taken anew."""

    core: Core
    known: Known
    _waiting: list[Lodged] = field(default_factory=list)
    _task: asyncio.Task[None] | None = None

    async def take(self, form: Form, sheet: Sheet, prefix: str) -> SignedRecord:
        """Log a declaration under the next number that begins with `prefix`; raises what `known` gives, and as the sequencer."""
        mine = Lodged(form, sheet, prefix, asyncio.get_running_loop().create_future())
        self._waiting.append(mine)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="lodging")
        return await mine.done

    async def _run(self) -> None:
        while self._waiting:
            group, rest = list[Lodged](), list[Lodged]()
            keys: set[tuple[str, str]] = set()
            for one in self._waiting:
                fits = len(group) < MOST and one.key not in keys and (not group or one.prefix == group[0].prefix)
                (group if fits else rest).append(one)
                keys.add(one.key)
            self._waiting = rest
            await self._log(group)

    async def _log(self, group: list[Lodged]) -> None:
        try:
            logged = await self.core.sequencer.decide_all(lambda connection, _size: self._decide(connection, group))
            records = {record.record.subject: record for record in logged}
            for one in group:
                if one.refusal is None and not one.done.done():
                    one.done.set_result(records[one.number])
        except PortwitnessError as error:
            for one in group:
                _refuse(one, one.refusal or error)
        finally:  # nobody is left waiting, whatever happened
            for one in group:
                _refuse(one, one.refusal or UnavailableError("the hub is stopping", where="declaration"))

    def _decide(self, connection: Connection, group: Sequence[Lodged]) -> list[tuple[str, Declaration]]:
        before = _known(connection, group)
        for one in group:
            one.refusal = self.known(connection, one.form, before[one.key]) if one.key in before else None
        taken = [one for one in group if one.refusal is None]
        if not taken:
            raise next(one.refusal for one in group if one.refusal is not None)
        prefix = taken[0].prefix
        first = _last_number(connection, prefix) + 1
        for number, one in enumerate(taken, first):
            one.number = f"{prefix}{number:07d}"
        insert_many(
            connection, sheets, _SHEETS, [(one.sheet.commitment, one.sheet.salt, one.sheet.data) for one in taken], leave_known=True
        )
        insert_many(connection, declarants, _DECLARANTS, [(one.number, *one.key) for one in taken])
        return [(one.number, Declaration("lodged", 1, State.LODGED, one.sheet.commitment)) for one in taken]


def _refuse(one: Lodged, error: PortwitnessError) -> None:
    if not one.done.done():
        one.done.set_exception(error)


def _known(connection: Connection, group: Sequence[Lodged]) -> dict[tuple[str, str], str]:
    """Give the numbers of those that were lodged before, by enterprise and reference."""
    by_enterprise: dict[str, list[str]] = {}
    for one in group:
        by_enterprise.setdefault(one.form.enterprise, []).append(one.form.reference)
    table = declarants.c
    mine = or_(*(and_(table.enterprise == enterprise, table.reference.in_(found)) for enterprise, found in by_enterprise.items()))
    rows = connection.execute(select(table.enterprise, table.reference, table.declaration).where(mine))
    return {(row.enterprise, row.reference): row.declaration for row in rows}


def _last_number(connection: Connection, prefix: str) -> int:
    mine = and_(standings.c.declaration > prefix, standings.c.declaration < f"{prefix}:")
    last = connection.execute(select(standings.c.declaration).where(mine).order_by(standings.c.declaration.desc()).limit(1)).scalar()
    return int(last.rsplit("-", 1)[1]) if last else 0
