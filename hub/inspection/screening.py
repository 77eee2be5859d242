"""Accept and screen declarations by rule, as they come: LODGED to ACCEPTED or REJECTED, ACCEPTED to SCREENED.

Guarantees: each decision is a record with its rule and its inputs; it is taken only of the version it looked at, so an amendment in
between makes it look again; after a crash nothing is decided twice; what calls for a person is left to one, with the reason; one
declaration that cannot be judged does not hold up the others.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.declarations import Declarations, Declared
from hub.inspection.publishing import need_reason
from hub.inspection.risk.facts import Facts, Premises, day_of, facts_of, keep_names, premises_of
from hub.inspection.risk.judging import ACCEPTANCE, SCREENING, Acceptance, Reason, judge_acceptance, screening_sheet
from hub.inspection.sheets import said
from hub.inspection.standings import standing_row
from hub.inspection.states import Standing, State, check_step
from protocol.errors import MalformedError, PortwitnessError, RefusedError, VerificationError
from storage.schema import declaration_steps, standings

LOOK_S = 1.0
BATCH = 50
MAX_WAITING = 500
HOLDER = "targeting:"  # authority of holds that targeting rules place
_OPEN = (State.LODGED.value, State.ACCEPTED.value)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """A declaration that is left to a person, and why."""

    declaration: str
    state: State
    lodged_ns: int
    enterprise: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Screened:
    """The newest screening of a declaration; `sheet`: every input and part, None where it was erased; `stands`: of this version still."""

    declaration: str
    position: int
    wall_ns: int
    rule: str | None
    stands: bool
    sheet: Mapping[str, Any] | None


@dataclass(slots=True)
class Screening:
    """Acceptance and screening of one port. Use as an async context manager: while it runs, declarations are judged by themselves."""

    core: Core
    declarations: Declarations
    _task: asyncio.Task[None] | None = None
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _left: dict[str, tuple[int, str]] = field(default_factory=dict)  # to people: the version and state that were looked at, by number

    async def __aenter__(self) -> "Screening":
        if self.core.settings.inspection.automatic:
            self._task = asyncio.create_task(self._run(), name="screening")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        async with self.core.events.subscribe() as news:
            while True:
                try:
                    while await self.go_on():
                        pass
                except PortwitnessError as error:  # supervision: said, and tried again
                    _LOG.error("screening: %s", error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        async for event in news:
                            if event["event"] in ("declaration", "lagging"):
                                break

    async def go_on(self) -> int:
        """Judge some of what waits; give how many took a step. None did: nothing waits but for people."""
        async with self._busy:
            waiting = await self.core.database.read(self._waiting)
            if not waiting:
                return 0
            today = day_of(self.core.clock.now().wall_ns)
            premises, found = await self.core.database.read(lambda connection: _gathered(connection, waiting, today))
            done = await asyncio.gather(*(self._judge(premises, one) for one in found))
            return sum(done)

    def _waiting(self, connection: Connection) -> list[str]:
        query = (
            select(standings.c.declaration, standings.c.version, standings.c.state)
            .where(standings.c.state.in_(_OPEN))
            .order_by(standings.c.lodged_ns)
        )
        rows = connection.execute(query).all()
        now = {row.declaration: (row.version, row.state) for row in rows}
        for number in [number for number, looked_at in self._left.items() if now.get(number) != looked_at]:
            del self._left[number]
        return [number for number in now if number not in self._left][:BATCH]

    async def _judge(self, premises: Premises, found: Facts | Left) -> bool:
        if isinstance(found, Left):
            now = await self.declarations.get(found.declaration)
            self._left[now.number] = now.version, now.state.value
            return False
        try:
            return await (self._accept(found, premises) if found.state is State.LODGED else self._screen(found, premises))
        except RefusedError as error:  # amended, withdrawn or decided by a person meanwhile: looked at again
            _LOG.info("screening: %s", error)
            return True
        except (MalformedError, VerificationError) as error:  # this one alone cannot be judged
            _LOG.error("screening: %s", error)
            self._left[found.number] = found.version, found.state.value
            return False

    async def _accept(self, facts: Facts, premises: Premises) -> bool:
        judged = judge_acceptance(facts)
        if judged.verdict == "person":
            self._left[facts.number] = facts.version, facts.state.value
            self.core.events.tell("screening", declaration=facts.number, left=True)
            return False
        to = State.ACCEPTED if judged.verdict == "accept" else State.REJECTED
        names = partial(keep_names, facts=facts, kind_of=premises.kind_of)  # so that what is screened next to it sees them
        await self._step(facts, to, _accepted_words(facts, judged), ACCEPTANCE, names)
        return True

    async def _screen(self, facts: Facts, premises: Premises) -> bool:
        for hit in facts.inputs.rules:
            holder = f"{HOLDER}{hit.key}"[:40]
            if hit.effect == "hold" and holder not in facts.holds:
                title = premises.rules.targets[hit.key][1].title
                await self.declarations.hold(facts.number, holder, SCREENING, f"{title} ({hit.key} {hit.version})")
        sheet = screening_sheet(facts, premises)
        await self._step(facts, State.SCREENED, sheet, SCREENING, partial(keep_names, facts=facts, kind_of=premises.kind_of))
        return True

    async def _step(self, facts: Facts, to: State, words: dict[str, Any], rule: str, more: Any = None) -> Declared:  # noqa: ANN401
        def complete(connection: Connection, now: Standing) -> Standing:
            if standing_row(connection, facts.number)["version"] != facts.version:
                raise RefusedError("was amended meanwhile", where=f"declaration {facts.number}")
            check_step(now, to)
            if more is not None:
                more(connection)
            return now

        return await self.declarations.step(facts.number, to, words, rule=rule, complete=complete)

    # ------------------------------------------------------------------------------------------------------ for people

    async def decide(self, number: str, *, accept: bool, by: str, reason: str) -> Declared:
        """Let a person accept or reject a declaration that was lodged; raise RefusedError when it is not open for it."""
        words = {"reason": need_reason(reason), "way": "person"}
        return await self.declarations.step(number, State.ACCEPTED if accept else State.REJECTED, words, by=by)

    async def left(self) -> Sequence[Left]:
        """Give what waits for a person, the oldest first, with the reasons as they are now."""
        today = day_of(self.core.clock.now().wall_ns)

        def read(connection: Connection) -> list[Left]:
            query = select(standings.c.declaration).where(standings.c.state == State.LODGED.value).order_by(standings.c.lodged_ns)
            numbers = list(connection.execute(query.limit(MAX_WAITING)).scalars())
            rows = {number: standing_row(connection, number)["lodged_ns"] for number in numbers}
            found = _gathered(connection, numbers, today)[1] if numbers else []
            return [one for one in (_left_of(each, rows) for each in found) if one is not None]

        return await self.core.database.read(read)

    async def of(self, number: str) -> Screened:
        """Give the newest screening of a declaration; raise RefusedError when there is none."""
        return await self.core.database.read(lambda connection: _screened(connection, number))


def _accepted_words(facts: Facts, judged: Acceptance) -> dict[str, Any]:
    reasons = [asdict(one) for one in judged.reasons]
    said = {"reason": "；".join(f"{one.zh} ({one.en})" for one in judged.reasons)} if reasons else {}  # as those who declared are told
    return said | {"version": facts.version, "reasons": reasons, "mismatches": list(facts.inputs.mismatches)}


def _gathered(connection: Connection, numbers: Sequence[str], today: str) -> tuple[Premises, list[Facts | Left]]:
    premises = premises_of(connection)
    found: list[Facts | Left] = []
    for number in numbers:
        try:
            found.append(facts_of(connection, premises, number, today))
        except PortwitnessError as error:
            found.append(Left(number, State.LODGED, 0, "", (_unreadable(error),)))
    return premises, found


def _unreadable(error: PortwitnessError) -> Reason:
    return Reason("unreadable", f"无法判定：{error}", f"cannot be judged: {error}")


def _left_of(one: Facts | Left, lodged: Mapping[str, int]) -> Left | None:
    if isinstance(one, Left):
        return one
    judged = judge_acceptance(one)
    if judged.verdict != "person":
        return None
    return Left(one.number, one.state, lodged[one.number], one.form.enterprise, judged.reasons)


def _screened(connection: Connection, number: str) -> Screened:
    row = standing_row(connection, number)
    steps = declaration_steps
    mine = select(steps).where(steps.c.declaration == number, steps.c.kind == "step", steps.c.act == State.SCREENED.value)
    step = connection.execute(mine.order_by(steps.c.position.desc()).limit(1)).first()
    if step is None:
        raise RefusedError("is not known to be screened", where=f"declaration {number[:64]}")
    sheet = said(connection, bytes(step.sheet))
    stands = sheet is not None and sheet.get("version") == row["version"]
    return Screened(number, step.position, step.wall_ns, step.rule, stands, sheet)
