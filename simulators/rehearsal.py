"""Rehearse a consignment's way from declaration to gate-out and verified export, with a power cut on the way; judge it by the ledgers.

Guarantees: the verdict is made of what the simulated devices wrote down, what the exported bundle holds and what the stand-alone
verifier says; nothing the hub says about itself counts but that it is done.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from protocol.errors import PortwitnessError, UnavailableError
from protocol.instants import MILLISECOND_NS, SECOND_NS, Interval
from simulators.clearance import ILLEGAL, Clearance
from simulators.exhibits import Lane, flip_a_bit, lanes_of, unpack
from simulators.judgement import Account, Sent, account, frames_of_camera, frames_of_recorder, with_silence
from simulators.people.api import HubApi
from simulators.people.watching import watching
from simulators.port import Port
from simulators.programs import POLL_S, Outcome, program
from storage.clock import SystemClock

SETTLE_S = 90.0
ACTS = 16  # of a checklist until its boxes are closed, about
STEPS_FILMED = 2  # before opening, and opening
UNEXPLAINED_LIMIT_MS = 1000  # what a power cut may cost beyond what is signed

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Script:
    """What happens: how long the inspection lasts after pairing, what is killed, whether the export is spoiled."""

    seconds: float = 62.0
    victims: tuple[str, ...] = ("box-1",)
    cut_at: float = 0.4  # of the inspection's length
    tamper: bool = False
    seed: int = 1
    watches: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of it, as printed."""

    segments: int
    receipts: int
    coverage_percent: float
    gaps: int
    unexplained_ms: int
    verified: bool
    live_first_picture_ms: float | None
    seconds: float
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
class Findings:
    """The verdict with its grounds."""

    verdict: Verdict
    accounts: list[Account] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Tell whether all is well."""
        return not self.faults

    def line(self) -> str:
        """Give the verdict as one JSON object."""
        return json.dumps(asdict(self.verdict))


@dataclass(slots=True)
class Rehearsal:
    """One inspection at a running port."""

    port: Port
    script: Script
    say: Say
    clock: SystemClock = field(default_factory=SystemClock)
    first_picture_ms: float | None = None
    faults: list[str] = field(default_factory=list)
    clearance: Clearance = field(init=False)

    def __post_init__(self) -> None:
        self.clearance = Clearance(self.port, self.say, self.script.seed)

    async def run(self) -> Findings:
        """Do it all and judge."""
        started = self.clock.monotonic_ns()
        async with self.port.supervisor() as supervisor:
            await self.port.await_streams(supervisor)
            task = await self.clearance.dispatched(supervisor)
            if self.script.watches:
                await self._watch(supervisor)
            await self._inspect(task, supervisor)
            await self.clearance.released(supervisor)
            await self.clearance.stolen(supervisor)
            await self.clearance.told()
            await self._verify_draw(supervisor)
            shown = await self._settle(supervisor, task)
            await self._look_for_alarms(supervisor)
            folder = await self._export(supervisor, task)
        await self.port.stop_devices()
        spans = {lane["stream"]: _span(lane["linked"]) for lane in shown["lanes"]}
        lanes = await asyncio.to_thread(lanes_of, folder)
        accounts = await asyncio.to_thread(self._accounts, lanes, spans)
        verified = await self._verify(folder)
        self.faults += await self.port.check()
        seconds = (self.clock.monotonic_ns() - started) / SECOND_NS
        return self._judge(lanes, spans, accounts, verified=verified, seconds=seconds)

    async def _watch(self, supervisor: HubApi) -> None:
        camera = self.port.cameras[0]
        async with watching(supervisor, camera, self.clock) as first:
            self.first_picture_ms = first.ms
            self.say(f"first live picture of {camera} after {first.ms:.0f} ms (cold), {first.width}x{first.height}")

    async def _inspect(self, task: str, supervisor: HubApi) -> None:
        """Pair and work the checklist; the power is cut between the last opened box and the new seal, where no must-record is filmed."""
        stream, lead = self.port.boxes[0].recorder, self.clearance.team[0]
        async with self.port.session_of(lead) as inspector:
            await inspector.pair(task, stream)
            await self.port.await_paired(supervisor, task, stream)
        self.say(f"{stream} paired with {task}; inspecting for {self.script.seconds:.0f} s")
        loop = asyncio.get_running_loop()
        began, cut_s = loop.time(), self.script.seconds * self.script.cut_at
        ended = 0
        async for act in self.clearance.work(task):
            await asyncio.sleep(cut_s / ACTS)
            ended += act == "step end"
            if ended == STEPS_FILMED:
                ended += 1
                await asyncio.sleep(max(0.0, began + cut_s - loop.time()))
                for victim in self.script.victims:
                    await self.port.cut_power(victim)
                    self.say(f"{victim} was killed and is back")
        self.say(
            f"checklist worked: {self.clearance.counts.answers} answers, {self.clearance.counts.photographs} photographs, signed by all"
        )
        await asyncio.sleep(max(0.0, began + self.script.seconds - loop.time()))
        await supervisor.end_task(task)
        self.say(f"{task} ended; waiting for its last segments")

    async def _settle(self, api: HubApi, task: str) -> dict[str, Any]:
        """Wait until everything of the task is stored, verified and receipted; give the timeline."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_S
        while True:
            shown = await api.timeline(task)
            waits = _waits_for(shown)
            if not waits:
                return shown
            if loop.time() > deadline:
                raise UnavailableError(f"not settled after {SETTLE_S:.0f} s: {waits[:5]}", where=task)
            await asyncio.sleep(10 * POLL_S)

    async def _look_for_alarms(self, api: HubApi) -> None:
        for alarm in (await api.call("GET", "/alarms"))["alarms"]:
            if (alarm["kind"], alarm["subject"]) == (ILLEGAL, self.clearance.stray):
                continue  # it has to ring
            self.faults.append(f"alarm {alarm['kind']} on {alarm['subject']}: {alarm['what']}")

    async def _export(self, api: HubApi, task: str) -> Path:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_S
        job = ""
        while not job:
            try:
                job = (await api.call("POST", f"/tasks/{task}/exports", {}))["export"]
            except UnavailableError:  # the last seal is on its way
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(10 * POLL_S)
        while (state := await api.call("GET", f"/exports/{job}"))["state"] != "done":
            if state["state"] == "failed" or loop.time() > deadline:
                raise UnavailableError(f"export {state}", where=task)
            await asyncio.sleep(2 * POLL_S)
        archive = self.port.plan.state / "bundle.zip"
        await api.download(f"/exports/{job}/bundle.zip", archive)
        return await asyncio.to_thread(unpack, archive, self.port.plan.state / "bundle")

    async def _verify_draw(self, api: HubApi) -> None:
        """Have the stand-alone verifier make the draw again from its published bundle."""
        path = self.port.plan.state / "draw.json"
        await api.download(f"/draws/{self.clearance.draw}/bundle", path)
        done = await self.port.programs.outcome(program("storage.verify", "draw", path, "--trust", self.port.trust, "--json"))
        self.clearance.counts.draw_verified = done.code == 0
        if done.code != 0:
            self.faults.append(f"portwitness-verify draw ended with {done.code}: {(done.out + done.err).strip()[:500]}")

    async def _verify(self, folder: Path) -> bool:
        if self.script.tamper:
            self.say(f"flipped a bit: {await asyncio.to_thread(flip_a_bit, folder, self.script.seed)}")
        done = await self.port.programs.outcome(program("storage.verify", folder, "--trust", self.port.trust, "--json"))
        if done.code != 0:
            self.faults.append(f"portwitness-verify ended with {done.code}: {_first_faults(done)}")
        return done.code == 0

    def _accounts(self, lanes: dict[str, Lane], spans: dict[str, Interval]) -> list[Account]:
        found = []
        for stream, within in spans.items():
            lane = lanes.get(stream, Lane(stream))
            sent = with_silence(self._sent(stream), within)
            found.append(account(stream, sent, lane.samples(), lane.gaps, within))
        return found

    def _sent(self, stream: str) -> list[Sent]:
        if stream in self.port.cameras:
            ledger, number = self.port.camera_ledger(stream)
            return frames_of_camera(ledger, number)
        return frames_of_recorder(self.port.recorder_ledger)

    def _judge(
        self, lanes: dict[str, Lane], spans: dict[str, Interval], accounts: list[Account], *, verified: bool, seconds: float
    ) -> Findings:
        pieces = [piece for lane in lanes.values() for piece in lane.pieces]
        receipts = sum(1 for piece in pieces if piece.is_receipted)
        gaps = sum(1 for stream, lane in lanes.items() for gap in lane.gaps if stream in spans and gap.interval.overlaps(spans[stream]))
        sent_ns = sum(each.sent_ns for each in accounts)
        percent = 100.0 * sum(each.recorded_ns for each in accounts) / sent_ns if sent_ns else 0.0
        unexplained_ms = sum(each.unexplained_ns for each in accounts) // MILLISECOND_NS
        verdict = Verdict(
            segments=len(pieces),
            receipts=receipts,
            coverage_percent=round(percent, 3),
            gaps=gaps,
            unexplained_ms=unexplained_ms,
            verified=verified,
            live_first_picture_ms=self.first_picture_ms,
            seconds=round(seconds, 1),
            **asdict(self.clearance.counts),
        )
        self.faults += _faults_of(verdict, accounts)
        return Findings(verdict, accounts, self.faults)


def _faults_of(verdict: Verdict, accounts: list[Account]) -> list[str]:
    found = [] if verdict.segments else ["the bundle holds no segment"]
    if verdict.receipts != verdict.segments:
        found.append(f"{verdict.segments - verdict.receipts} segments have no receipt")
    if verdict.unexplained_ms > UNEXPLAINED_LIMIT_MS:
        found.append(f"{verdict.unexplained_ms} ms of what was sent are in no segment and no gap")
    for each in accounts:
        if each.foreign or each.twice or not each.sent:
            found.append(f"{each.stream}: {each.sent} frames sent, {each.foreign} foreign samples, {each.twice} stored twice")
    return found


def _first_faults(done: Outcome) -> str:
    try:
        faults = json.loads(done.out)["faults"]
    except (ValueError, KeyError, TypeError):
        return (done.out + done.err).strip()[:500]
    return "; ".join(
        [f"{fault['file']}: {fault['what']}" for fault in faults[:3]] + ([f"{len(faults) - 3} more"] if len(faults) > 3 else [])
    )


def _span(linked: list[list[float]]) -> Interval:
    """Give the whole stretch of a stream that belongs to the task."""
    return Interval(round(linked[0][0] * MILLISECOND_NS), round(linked[-1][1] * MILLISECOND_NS))


def _waits_for(shown: dict[str, Any]) -> list[str]:
    waits = []
    for lane in shown["lanes"]:
        states = [piece["state"] for piece in lane["segments"]]
        if not states or any(state != "verified" for state in states):
            waits.append(f"{lane['stream']} {states}")
        if lane["coverage"]["unexplained_ms"] > 0:
            waits.append(f"{lane['stream']} {lane['coverage']['unexplained_ms']:.0f} ms not accounted for yet")
    return waits


async def rehearse(port: Port, script: Script, say: Say) -> Findings:
    """Rehearse at a running port; a failure on the way is a fault among the findings."""
    rehearsal = Rehearsal(port, script, say)
    try:
        return await rehearsal.run()
    except PortwitnessError as error:
        empty = Verdict(0, 0, 0.0, 0, 0, False, rehearsal.first_picture_ms, 0.0)
        return Findings(empty, [], [*rehearsal.faults, f"{type(error).__name__}: {error}"])
