"""Do what people, partners and rules do at a port, one act at a time, through the hub's facade: lodge, screen, draw, hold, release, gate.

Guarantees: each act is over when it returns and nothing of it waits inside the hub; what rules do by themselves in a running hub is done
here when it is asked for, so that a day is the same each time.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.inspection.declarations import Declared
from hub.inspection.laboratory import Finding
from hub.inspection.releasing.releasing import Verdict
from hub.inspection.states import State
from protocol.errors import RefusedError
from simulators.devices.phone import Phone
from simulators.partners.laboratory import Laboratory, Report
from simulators.partners.port_moves import Event, Move, Pen, Sending
from simulators.partners.terminal import Terminal
from simulators.people.cargo import Cargo
from simulators.people.diary import Diary
from simulators.port_day.stage import APPROVER, SECOND, SUPERVISOR, Stage
from simulators.reference_data import LABORATORY, TERMINAL

OPEN = (State.LODGED, State.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Gate:
    """The exchange of the stage's hub, as a partner reaches it."""

    stage: Stage
    partner: str = TERMINAL

    async def post(self, sending: Sending) -> dict[str, Any]:
        """Hand in a message."""
        taken = await self.stage.hub.exchange.take(self.partner, sending.raw, sending.content_type)
        await self.stage.rest()
        return {"outcome": taken.outcome, "again": taken.again, "events": [{"outcome": one.outcome} for one in taken.events]}


@dataclass(frozen=True, slots=True)
class TradeCounter:
    """The desk for declarations of the stage's hub, as a trader reaches it."""

    stage: Stage

    async def lodge(self, form: Mapping[str, Any]) -> str:
        """Hand in a declaration."""
        return (await self.stage.hub.declarations.lodge(form, "trader")).number

    async def amend(self, number: str, form: Mapping[str, Any], reason: str) -> str:
        """Hand in a new version of it."""
        return (await self.stage.hub.declarations.amend(number, form, "trader", reason)).number

    async def withdraw(self, number: str, reason: str) -> str:
        """Take it back."""
        return (await self.stage.hub.declarations.withdraw(number, "trader", reason)).number


@dataclass(slots=True)
class Port:
    """The acts of a port on a stage; `cargoes` by declaration."""

    stage: Stage
    terminal: Terminal
    cargoes: dict[str, Cargo] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)  # by person
    lab: Laboratory = field(default_factory=Laboratory)
    sent: set[str] = field(default_factory=set)  # files that are at the hub

    @classmethod
    def of(cls, stage: Stage, tricks: int = 0) -> "Port":
        """Make the acts of a stage; `tricks`: of a hundred of the terminal's messages so many are spoiled, and so many sent twice."""
        diary = Diary(stage.clock, TERMINAL)
        return cls(stage, Terminal(Gate(stage), Pen(seed=stage.seed), diary, stage.seed, tricks))

    async def lodge(self, cargo: Cargo) -> str:
        """Have a trader lodge a consignment, and have it accepted and screened by rule; give its number."""
        number = await TradeCounter(self.stage).lodge(cargo.form)
        self.cargoes[number] = cargo
        await self.screen()
        return number

    async def screen(self) -> None:
        """Have rules accept and screen what waits; a person accepts what no rule decides."""
        screening = self.stage.hub.screening
        while await screening.go_on():
            pass
        for left in await screening.left():
            await screening.decide(left.declaration, accept=True, by=SUPERVISOR, reason="证单已核对 papers compared")
        while await screening.go_on():
            pass
        await self.stage.rest()

    async def by_rule(self) -> list[str]:
        """Hold what was selected and release what is free, as the hub does by rule; give what could not be done."""
        faults = []
        hub = self.stage.hub
        for declared in await self.standing(State.SELECTED):
            await hub.releases.hold(declared.number)
        for declared in await self.standing(State.DIRECT_RELEASE):
            try:
                await hub.releases.release_by_rule(declared.number)
            except RefusedError as error:
                faults.append(f"{declared.number}: {error.what}")
        await self.stage.rest()
        return faults

    async def standing(self, state: State) -> list[Declared]:
        """Give the declarations that stand at a state, the oldest first."""
        return sorted(await self.stage.hub.declarations.list(state=state, limit=500), key=lambda one: one.number)

    async def state(self, number: str) -> State:
        """Give where a declaration stands."""
        return (await self.stage.hub.declarations.get(number)).state

    async def move(self, number: str, event: Event, place: str | None = None, *, expected: str = "") -> list[str]:
        """Have the terminal tell that all boxes of a declaration moved; give the outcomes."""
        boxes = self.cargoes[number].containers
        moves = [Move(event, box, self.stage.clock.now_ms(), number, place) for box in boxes]
        return await self.terminal.tell(moves, expected=[expected] * len(boxes) if expected else (), note=f"{event} {number}")

    async def test(self, number: str) -> list[Report]:
        """Have the laboratory receive, test and report on the samples of a declaration; give its reports."""
        hub, reports = self.stage.hub, []
        for sample in sorted(await hub.laboratory.list(declaration=number), key=lambda one: one.number):
            if sample.state == "handed-over":
                await hub.laboratory.receive(sample.number, LABORATORY, "lab.clerk", sealed=True, fit=True)
                report = self.lab.test(sample.number, self.cargoes[number].truth)
                values = tuple((name, value) for name, _, value in report.tests)
                paper = hashlib.sha256(report.document()).hexdigest()
                await hub.laboratory.report(sample.number, LABORATORY, "lab.head", Finding(report.number, report.result, values, paper))
                reports.append(report)
        await self.stage.rest()
        return reports

    async def told(self, number: str) -> list[str]:
        """Give what the terminal was told of a declaration, in order: HOLD, RELEASE ... once for each way that it is told in."""
        found = await self.stage.hub.exchange.list(limit=500)
        mine = [one for one in found if one.declaration == number and one.way == "out"]
        return [one.about for one in sorted(mine, key=lambda one: one.position)]

    async def evaluate(self, number: str, verdict: Verdict, reason: str) -> None:
        """Have a supervisor judge an inspection."""
        await self.stage.hub.releases.evaluate(number, verdict, SUPERVISOR, reason)
        await self.stage.rest()

    async def release(self, number: str, *, by_rule: bool = False) -> None:
        """Release what was passed, by rule or by a person who was not on the inspection."""
        releases = self.stage.hub.releases
        await (releases.release_by_rule(number) if by_rule else releases.approve(number, APPROVER, "证据齐全 evidence is complete"))
        await self.stage.rest()

    async def override(self, number: str, reason: str) -> None:
        """Release against the evidence, by two persons."""
        await self.stage.hub.releases.override(number, SUPERVISOR, SECOND, reason)
        await self.stage.rest()
