"""Take consignments through a running port, from declaration to gate-out, as its people and partners do: by the public API alone.

Guarantees: each step waits for what the hub says it has done; files are at the hub before the act that names them; nothing is released by
more than the hub allows. What the port was told is checked by the terminal's own means.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from protocol.errors import RefusedError, UnavailableError, VerificationError
from protocol.instants import MILLISECOND_NS, SECOND_NS
from simulators.partners.port_moves import Event, Move, Pen
from simulators.partners.terminal import HubGate, Terminal
from simulators.people.api import HubApi
from simulators.people.cargo import Cargo, Firm, Truth, cargo
from simulators.people.diary import Diary
from simulators.people.site_work import SiteWork
from simulators.port import BAY, Port
from simulators.port_trade import SEEN_ALWAYS, TRADER_FIRM
from simulators.programs import POLL_S
from storage.clock import SystemClock

SCREENED_S, DRAWN_S, HELD_S, RELEASED_S, COMPLETE_S, TOLD_S = 30.0, 60.0, 30.0, 30.0, 90.0, 30.0
DRAW_AHEAD_S = 3
ILLEGAL = "gate-out without release"
Say = Callable[[str], None]


@dataclass(slots=True)
class Counts:
    """What came of the consignments. `notices`: what the terminal was told under a signature that holds."""

    declarations: int = 0
    selected: int = 0
    released: int = 0
    gate_outs: int = 0
    illegal_gate_outs: int = 0
    answers: int = 0
    photographs: int = 0
    notices: int = 0
    draw_verified: bool = False


@dataclass(slots=True)
class Clearance:
    """The consignments of one demonstration. `inspected`: the one that a draw selects; `direct`: those that go without inspection."""

    port: Port
    say: Say
    seed: int = 1
    inspected: str = ""
    direct: list[str] = field(default_factory=list)
    stray: str = ""
    tasks: list[str] = field(default_factory=list)
    team: tuple[str, ...] = ()
    draw: int = 0
    counts: Counts = field(default_factory=Counts)
    cargoes: dict[str, Cargo] = field(default_factory=dict)
    _clock: SystemClock = field(default_factory=SystemClock)
    _made: int = 0

    # ------------------------------------------------------------------------------------------------ declaration to dispatch

    async def dispatched(self, supervisor: HubApi) -> str:
        """Lodge consignments, have them screened and drawn, and send inspectors to the one that is held; give their task."""
        async with self.port.session("trader") as trader:
            self.inspected = await self.lodge(trader, SEEN_ALWAYS)
            self.direct = [await self.lodge(trader, "general") for _ in range(3)]
        await self._until(supervisor, [self.inspected, *self.direct], {"screened"}, SCREENED_S)
        self.say(f"{len(self.direct) + 1} consignments lodged and screened; a draw is called")
        await self._draw(supervisor)
        await self._until(supervisor, [self.inspected], {"held"}, HELD_S)
        found = await supervisor.call("POST", f"/declarations/{self.inspected}/dispatch", {"bay": BAY})
        self.tasks = list(dict.fromkeys(found["tasks"]))
        self.team = tuple((await supervisor.call("GET", f"/work/{self.tasks[0]}"))["team"])
        self.say(f"{self.inspected} was drawn, held and sent to {BAY}: {' and '.join(self.team)} inspect it as {self.tasks[0]}")
        await self._position(supervisor)
        return self.tasks[0]

    async def lodge(self, trader: HubApi, kind: str) -> str:
        """Have the trader lodge a consignment of a kind of goods, all as declared; give its number."""
        self._made += 1
        now_ns = self._clock.now().wall_ns
        today = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).date()
        draw = random.Random(f"clearance {self.seed} {self._made}")  # noqa: S311 - repeatable by seed, no secret
        made = cargo(draw, Firm(TRADER_FIRM.code, TRADER_FIRM.name, (kind,)), today, self._made)
        form = made.form | {"reference": f"DEMO-{now_ns // SECOND_NS}-{self._made:03d}"}
        number = str((await trader.call("POST", "/declarations", form))["number"])
        self.cargoes[number] = Cargo(made.commodity, made.firm, form, Truth())
        self.counts.declarations += 1
        return number

    async def _draw(self, supervisor: HubApi) -> None:
        closes_ms = self._clock.now().wall_ns // MILLISECOND_NS + 1000 * DRAW_AHEAD_S
        self.draw = int((await supervisor.call("POST", "/draws", {"closes_ms": closes_ms}))["number"])

        async def is_over() -> bool:
            return (await supervisor.call("GET", f"/draws/{self.draw}"))["state"] in ("drawn", "fallen back")

        await wait_until(is_over, DRAWN_S, f"draw {self.draw}")
        shown = await supervisor.call("GET", f"/draws/{self.draw}")
        self.counts.selected += int(shown["selected"])

    async def _position(self, supervisor: HubApi) -> None:
        form = self.cargoes[self.inspected].form
        await self._move("DISC", self.inspected)
        await self._move("DROP", self.inspected, BAY)
        if any(box["reefer"] for box in form["containers"]):
            told = {"container": form["containers"][0]["number"], "set": "13.0", "highest": "13.6"}
            ask = {"key": "temperature-log", "source": "reefer-monitor", "told": told}
            await supervisor.call("POST", f"/declarations/{self.inspected}/system-notes", ask)

    # ----------------------------------------------------------------------------------------------------------- inspection

    async def work(self, task: str) -> AsyncIterator[str]:
        """Work a task's checklist on the lead's phone and have all sign; give each act's kind and event after the hub has it."""
        async with self.port.session_of(self.team[0]) as lead:
            mine = await SiteWork.of(lead, self.team[0], self._clock)
            checklist = await mine.checklist(task, seed=self.seed)
            async for act in mine.work(checklist):
                yield f"{act.kind} {json.loads(act.text)['payload'].get('event', '')}".strip()
            await mine.sign(checklist, "lead", self.team[0])
            for name in self.team[1:]:
                async with self.port.session_of(name) as second:
                    theirs = await SiteWork.of(second, name, self._clock)
                    await theirs.sign(checklist, "assistant", name)
            await mine.sign(checklist, "owner", "货主代理 agent of the owner")
        self.counts.answers += len(checklist.answers)
        self.counts.photographs += len(checklist.files)

    # ---------------------------------------------------------------------------------------------------- evaluation to gate

    async def released(self, supervisor: HubApi) -> None:
        """Judge the inspection once its evidence is complete, see the goods released, and have trucks fetch everything."""
        await self._complete(supervisor)
        words = {"verdict": "pass", "reason": "证据齐全，符合要求 evidence complete, conforms"}
        await supervisor.call("POST", f"/declarations/{self.inspected}/evaluation", words)
        await self._until(supervisor, [self.inspected], {"released", "passed"}, RELEASED_S)
        await self._approve()
        await self._until(supervisor, [self.inspected], {"released"}, RELEASED_S)
        self.say(f"{self.inspected} passed and was released; its release message rests on {self.counts.answers} answers and the video")
        free = [number for number in self.direct if await self._state(supervisor, number) == "released"]
        for number in [self.inspected, *free]:
            await self._move("GTOT", number, "gate-1")
        await self._until(supervisor, [self.inspected, *free], {"gate-out"}, RELEASED_S)
        self.counts.released += 1 + len(free)
        self.counts.gate_outs += 1 + len(free)
        self.say(f"{len(free)} consignments were released without inspection; {1 + len(free)} went out through the gate")

    async def stolen(self, supervisor: HubApi) -> None:
        """Have a truck leave with a consignment that nobody released: the hub has to ring."""
        async with self.port.session("trader") as trader:
            self.stray = await self.lodge(trader, "general")
        await self._until(supervisor, [self.stray], {"screened"}, SCREENED_S)
        await self._move("GTOT", self.stray, "gate-1")
        alarms = (await supervisor.call("GET", "/alarms"))["alarms"]
        if not any(alarm["kind"] == ILLEGAL and alarm["subject"] == self.stray for alarm in alarms):
            raise VerificationError("left without a release, and no alarm rang", where=self.stray)
        self.counts.illegal_gate_outs += 1
        self.say(f"{self.stray} left without a release: an alarm rings, and it counts against the declarant")

    async def told(self) -> None:
        """Check by the terminal's own means that it was told of hold and release, each under the hub's signature."""
        receiver = self.port.receiver

        def kinds() -> set[str]:
            mine = [one.value for one in receiver.good() if one.value.get("declarationReference") == self.inspected]
            return {str(value["messageType"]) for value in mine}

        async def is_told() -> bool:
            return {"HOLD", "RELEASE"} <= kinds()

        await wait_until(is_told, TOLD_S, "the terminal's notices of hold and release")
        bad = [one.why for one in receiver.deliveries if one.judged == "bad"]
        if bad:
            raise VerificationError(f"{len(bad)} notices are not the hub's: {bad[0]}", where="terminal")
        self.counts.notices = len(receiver.good())

    async def _complete(self, supervisor: HubApi) -> None:
        missing: list[Any] = []

        async def is_complete() -> bool:
            missing[:] = (await supervisor.call("GET", f"/declarations/{self.inspected}/missing"))["missing"]
            return not missing

        try:
            await wait_until(is_complete, COMPLETE_S, "complete evidence")
        except UnavailableError as error:
            named = ", ".join(f"{one['step']}/{one['key']}: {one['reason']}" for one in missing[:5])
            raise RefusedError(f"evidence is missing: {named}", where=self.inspected) from error

    async def _approve(self) -> None:
        """Release what no rule released: by a supervisor who was not on the inspection."""
        second = next(login for login in reversed(self.port.logins) if login.role == "supervisor")
        async with self.port.session_of(second.name) as other:
            if await self._state(other, self.inspected) == "passed":
                try:
                    await other.call("POST", f"/declarations/{self.inspected}/release", {"reason": "同意放行 agreed"})
                except RefusedError:
                    if await self._state(other, self.inspected) != "released":  # else the rule was faster
                        raise

    async def _move(self, event: Event, number: str, place: str | None = None) -> list[str]:
        async with self.port.session("partner") as gate:
            with Diary(self._clock, "terminal", self.port.ledgers / "terminal.jsonl") as diary:
                now_ms = self._clock.now().wall_ns // MILLISECOND_NS
                self._made += 1
                pen = Pen(seed=now_ms // 1000 % 10_000, number=self._made)
                moves = [Move(event, box, now_ms, number, place) for box in self.cargoes[number].containers]
                return await Terminal(HubGate(gate), pen, diary, self.seed).tell(moves, note=f"{event} {number}")

    async def _state(self, api: HubApi, number: str) -> str:
        return str((await api.call("GET", f"/declarations/{number}"))["state"])

    async def _until(self, api: HubApi, numbers: list[str], states: set[str], limit_s: float) -> None:
        async def are_there() -> bool:
            return {await self._state(api, number) for number in numbers} <= states

        await wait_until(are_there, limit_s, f"{', '.join(numbers)} to be {' or '.join(sorted(states))}")


async def wait_until(holds: Callable[[], Any], limit_s: float, what: str) -> None:
    """Wait until something holds; raise UnavailableError when it takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not await holds():
        if loop.time() > deadline:
            raise UnavailableError(f"waited {limit_s:.0f} s", where=what)
        await asyncio.sleep(3 * POLL_S)
