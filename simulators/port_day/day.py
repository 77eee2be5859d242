"""Play a whole day of a port in virtual time: traders, rules, draws, inspections, a laboratory, trucks; and count what came of it.

Guarantees: the same plan gives the same day and the same summary; at the end every invariant of the hub holds, or is named.
"""

import random
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from hub.devices import OFFLINE
from hub.inspection.releasing.releasing import Verdict
from hub.inspection.states import State
from protocol.drawing.policy import PARTS
from protocol.errors import RefusedError
from protocol.instants import SECOND_NS
from simulators.people.checklist import Style
from simulators.people.diary import Diary
from simulators.people.trader import Trader
from simulators.people.trading import TradeDay, TradePlan, plan_trade, surprises
from simulators.port_day.acts import Port, TradeCounter
from simulators.port_day.course import Agenda
from simulators.port_day.inspecting import Inspection
from simulators.port_day.stage import ADMINISTRATOR, BAYS, MORNING_NS, SUPERVISOR, Stage, open_stage
from storage.conduct_schema import credit_events

DRAW_EVERY_S = 2 * 3600
LAST_DRAW_S = 9 * 3600
CHECKED = PARTS // 5  # at least so many of what comes
INVARIANTS = ("S1", "S2", "S3", "S5", "S6", "S7", "S8")  # what `hub.check` looks at; S4 is the box's
STYLES: dict[Style, int] = {"well": 80, "badly": 12, "dishonestly": 8}


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a day is like: how many consignments, how honest its inspectors, how orderly its terminal; of a hundred `leaving`:
    trucks that leave without a release, `unfilmed`: inspections whose recorder does not film, `sampled`: of which a
    sample goes to the laboratory.
    """

    declarations: int = 24
    seed: int = 1
    styles: dict[Style, int] = field(default_factory=lambda: dict(STYLES))
    tricks: int = 10
    leaving: int = 8
    unfilmed: int = 5
    sampled: int = 25


@dataclass(slots=True)
class Summary:
    """What came of a day."""

    seed: int
    declarations: int = 0
    refused: int = 0
    withdrawn: int = 0
    selected: int = 0
    inspected: int = 0
    mended: int = 0
    without_evidence: int = 0
    passed: int = 0
    failed: int = 0
    treated: int = 0
    laboratory_positive: int = 0
    released: int = 0
    direct: int = 0
    overridden: int = 0
    gate_outs: int = 0
    illegal_gate_outs: int = 0
    alarms: int = 0
    credit_events: int = 0
    records: int = 0
    states: dict[str, int] = field(default_factory=dict)
    invariants: tuple[str, ...] = INVARIANTS
    problems: tuple[str, ...] = ()
    surprises: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        """Tell whether every invariant holds and every act was answered as by a sound hub."""
        return not self.problems and not self.surprises

    def value(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


@dataclass(slots=True)
class Day:
    """A day under way."""

    stage: Stage
    plan: DayPlan
    trade: TradeDay
    port: Port
    agenda: Agenda
    summary: Summary
    bays: list[str] = field(default_factory=lambda: sorted(BAYS))  # that are free
    seen: set[str] = field(default_factory=set)  # declarations whose next course has begun
    _draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"day {self.plan.seed}")  # noqa: S311 - repeatable by seed, no secret

    async def run(self) -> None:
        """Play it from morning to night."""
        self.agenda.start(self._trading())
        self.agenda.start(self._drawing(), DRAW_EVERY_S)
        await self.agenda.run()

    def _at_s(self) -> float:
        return (self.stage.clock.wall_ns - self.stage.clock.begins_ns) / SECOND_NS

    async def _trading(self) -> AsyncIterator[float]:
        """Have the traders do their acts, each at its time, and have rules screen what was lodged."""
        with Diary(self.stage.clock, "traders") as diary:
            trader = Trader(TradeCounter(self.stage), diary)
            for act in self.trade.acts:
                yield max(0.0, act.at_s - self._at_s())
                await trader.do(act)
                number = trader.numbers.get(act.reference)
                if number is not None:
                    self.port.cargoes[number] = self.trade.cargoes[act.reference]
                await self.port.screen()
        self.summary.surprises += tuple(surprises(self.trade.acts, diary.acts))
        self.summary.refused = sum(1 for line in diary.acts if line["answer"] == "refused")

    async def _drawing(self) -> AsyncIterator[float]:
        """Draw every two hours; what is held goes to a bay, what is released to the gate."""
        while True:
            await self.port.screen()
            self.summary.selected += len(await self.stage.draw())
            await self.port.by_rule()
            await self._send_on()
            if self._at_s() > LAST_DRAW_S:
                return
            yield DRAW_EVERY_S

    async def _send_on(self) -> None:
        """Begin the next course of what was decided."""
        for state, course in ((State.HELD, self._inspection), (State.RELEASED, self._departure)):
            for declared in await self.port.standing(state):
                if (key := f"{declared.number} {state}") not in self.seen:
                    self.seen.add(key)
                    self.agenda.start(course(declared.number), self._draw.randrange(300, 5400))
                    if state is State.HELD and self._draw.randrange(100) < self.plan.leaving:
                        self.agenda.start(self._theft(declared.number), 200)

    async def _inspection(self, number: str) -> AsyncIterator[float]:
        """Inspect what is held, once a bay is free, and see it to its end."""
        while not self.bays:
            yield 600.0
        bay = self.bays.pop(0)
        style = self._draw.choices(list(self.plan.styles), list(self.plan.styles.values()))[0]
        unfilmed, sampled = self._draw.randrange(100) < self.plan.unfilmed, self._draw.randrange(100) < self.plan.sampled
        inspection = Inspection(self.port, number, bay, style, sampled=sampled, unfilmed=unfilmed)
        try:
            async for pause_s in inspection.course():
                yield pause_s
        except RefusedError as error:  # withdrawn on the way
            if await self.port.state(number) is not State.WITHDRAWN:
                self.summary.surprises += (f"{number}: {error}",)
            return
        finally:
            await inspection.leave()
            self.bays.append(bay)
        self.summary.inspected += 1
        self.summary.mended += inspection.mended
        self.agenda.start(self._judged(number, inspection), self._draw.randrange(600, 3600))

    async def _judged(self, number: str, inspection: Inspection) -> AsyncIterator[float]:
        """Judge an inspection as a supervisor does: by what was found and reported, and only where the evidence allows."""
        if inspection.sampled:
            yield self._draw.randrange(2, 9) * 3600.0
            if any(report.result == "positive" for report in await self.port.test(number)):
                self.summary.laboratory_positive += 1
                self.summary.failed += 1
                await self.port.evaluate(number, "destroy", "检测不合格 the laboratory found residues")
                return
        if inspection.found:
            self.summary.failed += 1
            async for pause_s in self._measures(number):
                yield pause_s
            return
        try:
            await self._pass(number)
        except RefusedError as error:
            self.summary.without_evidence += 1
            if not inspection.unfilmed and inspection.style != "dishonestly":  # photographs used again are counted once
                self.summary.surprises += (f"{number}: {error}",)
            await self.port.override(number, "证据缺失，两人担责 evidence is missing: two persons answer for it")
            self.summary.overridden += 1
            self.agenda.start(self._departure(number), 600)

    async def _pass(self, number: str) -> None:
        await self.port.evaluate(number, "pass", "符合要求 conforms")
        self.summary.passed += 1
        await self.port.release(number, by_rule=self._draw.randrange(100) < 60)
        self.agenda.start(self._departure(number), 600)

    async def _measures(self, number: str) -> AsyncIterator[float]:
        """Take the measure that a finding asks for: pests are treated, a seal is put right, what was hidden goes back."""
        truth = self.port.cargoes[number].truth
        if truth.hidden:
            await self.port.evaluate(number, "return", "夹藏未申报货物 goods that were not declared")
            yield 7200.0
            await self.port.move(number, "GTOT", "gate-1", expected="applied")
            return
        verdict: Verdict = "treat" if truth.pest else "rectify"
        await self.port.evaluate(number, verdict, "检出问题 something was found")
        yield 4 * 3600.0
        self.summary.treated += truth.pest
        await self._pass(number)

    async def _departure(self, number: str) -> AsyncIterator[float]:
        """Have a truck fetch what was released."""
        yield self._draw.randrange(60, 1800)
        if await self.port.state(number) is State.RELEASED:
            await self.port.move(number, "GTOT", "gate-1", expected="applied")

    async def _theft(self, number: str) -> AsyncIterator[float]:
        """Have a truck leave with what is not released: a sound hub rings and counts it against the declarant."""
        yield self._draw.randrange(60, 900)
        if await self.port.state(number) in (State.HELD, State.SELECTED, State.DISPATCHED):
            outcomes = await self.port.move(number, "GTOT", "gate-1")
            self.summary.illegal_gate_outs += 1
            if set(outcomes) != {"illegal"}:
                self.summary.surprises += (f"{number} left without a release: {', '.join(outcomes)}",)


async def play(folder: Path, plan: DayPlan) -> Summary:
    """Play a day in an empty folder; give what came of it."""
    trade = plan_trade(TradePlan(datetime.fromtimestamp(MORNING_NS // SECOND_NS, UTC).date(), plan.declarations, plan.seed))
    summary = Summary(plan.seed)
    async with open_stage(folder, plan.seed, trade.traders) as stage:
        policy = replace(await stage.hub.draws.policy(), rate=CHECKED)
        await stage.hub.draws.set_policy(policy, ADMINISTRATOR, SUPERVISOR, "for the day")
        day = Day(stage, plan, trade, Port.of(stage, plan.tricks), Agenda(stage.clock), summary)
        await day.run()
        await _count(day, summary)
        summary.problems = await stage.check()
    return summary


async def _count(day: Day, summary: Summary) -> None:
    """Count what stands at the hub at night."""
    hub, port = day.stage.hub, day.port
    await day.stage.rest()
    summary.declarations = len(port.cargoes)
    for state in State:
        found = len(await port.standing(state))
        if found:
            summary.states[state.value] = found
    summary.withdrawn = summary.states.get(State.WITHDRAWN.value, 0)
    for number in sorted(port.cargoes):
        acts = [one.act for one in await hub.declarations.history(number)]
        summary.released += State.RELEASED.value in acts
        summary.direct += State.RELEASED.value in acts and State.SELECTED.value not in acts
        summary.gate_outs += State.GATE_OUT.value in acts
    rung = {(one.kind, one.subject) for one in await hub.alarms.list() if one.kind != OFFLINE}  # boxes of a day speak while they film alone
    summary.alarms = len(rung)
    summary.credit_events = await hub.core.database.read(_credit_events)
    summary.records = hub.log.published_size()
    summary.surprises += tuple(port.terminal.surprises)


def _credit_events(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(credit_events)).scalar_one())
