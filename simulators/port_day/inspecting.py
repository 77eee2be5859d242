"""Inspect a held declaration at a bay in virtual time: dispatch, position, pair, work the checklists, sign, film - well or not.

Guarantees: everything goes as a phone, a box and a terminal would send it; what was done wrong is in the checklists' deeds.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from hub.files import Manifest, at_hub
from hub.inspection.fieldwork.acts import Envelope
from hub.inspection.fieldwork.completeness import judge_task, missing_of
from hub.inspection.laboratory import SampleDraft
from hub.inspection.published import procedure_of
from hub.values import TaskFacts
from protocol.procedures.model import Procedure
from protocol.sheets import SALT_BYTES
from simulators.devices.phone import Phone, SignedAct
from simulators.people.checklist import Checklist, Scene, Style
from simulators.port_day.acts import Port
from simulators.port_day.boxes import CAMERA, DayBox
from simulators.port_day.stage import ADMINISTRATOR, BAYS, SUPERVISOR
from simulators.reference_data import LABORATORY

RECORDER = "rec-1"
TEMPERATURE = "temperature-log"
POLL_S = 0.005


@dataclass(slots=True)
class Inspection:
    """The inspection of one declaration at a bay. `unfilmed`: the recorder is paired and never films."""

    port: Port
    number: str
    bay: str = "bay-1"
    style: Style = "well"
    sampled: bool = False
    unfilmed: bool = False
    begun: bool = False
    mended: int = 0  # checklists that were completed after the meter showed what was forgotten
    tasks: list[TaskFacts] = field(default_factory=list)
    checklists: list[Checklist] = field(default_factory=list)

    @property
    def box(self) -> DayBox:
        """Give the box of the bay."""
        return self.port.stage.boxes[BAYS[self.bay]]

    @property
    def found(self) -> bool:
        """Tell whether anything speaks against release."""
        return any(one.found for one in self.checklists)

    @property
    def recorder(self) -> str:
        """Give the recorder of the lead."""
        return f"{self.box.box}/{RECORDER}"

    async def whole(self) -> "Inspection":
        """Do all of it, one thing after the other."""
        async for pause_s in self.course():
            self.port.stage.clock.pass_s(pause_s)
        return self

    async def course(self) -> AsyncIterator[float]:
        """Do all of it, with pauses between."""
        await self.dispatch()
        yield 600
        await self.position()
        yield 300
        await self.begin()
        for task in self.tasks:
            async for pause_s in self.work(task):
                yield pause_s
        if self.sampled:
            await self.sample()
        await self.finish()

    async def dispatch(self) -> None:
        """Send the inspectors that were drawn."""
        hub = self.port.stage.hub
        first = await hub.dispatch.dispatch(self.number, self.bay, SUPERVISOR)
        others = await hub.dispatch.others_of(first.task)
        self.tasks = [first, *[await hub.tasks.get(name) for name in others]]
        await self.port.stage.rest()

    async def position(self) -> None:
        """Have the terminal set the boxes down in the bay; a cooled one tells its temperatures."""
        await self.port.move(self.number, "DROP", self.bay)
        boxes = self.port.cargoes[self.number].form["containers"]
        if any(box["reefer"] for box in boxes):
            told = {"container": boxes[0]["number"], "set": "-18.0", "highest": "-17.2", "hours": 300}
            site = self.port.stage.hub.fieldwork.site
            await site.note(self.number, TEMPERATURE, "reefer-monitor", told, ADMINISTRATOR, os.urandom(SALT_BYTES))

    async def begin(self) -> None:
        """Pair the lead's recorder with the tasks; camera and recorder film from now on."""
        hub, lead = self.port.stage.hub, self.tasks[0].inspectors[0]
        self.box.start(CAMERA)
        if not self.unfilmed:
            self.box.start(RECORDER)
        await self.box.hand_over()
        await hub.pairings.pair(self.tasks[0].task, self.recorder, lead)
        self.begun = True
        await self._settle()

    async def work(self, task: TaskFacts) -> AsyncIterator[float]:
        """Work the checklist of a task on the lead's phone, then have lead, assistant and owner sign."""
        checklist = await self._checklist(task)
        self.checklists.append(checklist)
        for act in checklist.work():
            await self._hand_in(checklist, act, task.inspectors[0])
            yield 20.0
        if checklist.forgotten and await self._lacking():
            checklist.forgotten.clear()  # the meter shows it while the box is open
            self.mended += 1
            for act in checklist.work():
                await self._hand_in(checklist, act, task.inspectors[0])
                yield 20.0
        await self.box.cut()
        for role, name in zip(("lead", "assistant"), task.inspectors, strict=False):
            await self._hand_in(checklist, checklist.sign(role, name, await self.phone(name)), name)
        owner = checklist.sign("owner", "货主代理 agent of the owner")
        await self._hand_in(checklist, owner, task.inspectors[0])
        await self._settle()

    async def sample(self) -> str:
        """Draw a sample of the goods, seal it and hand it over to the laboratory; give its number."""
        laboratory, by = self.port.stage.hub.laboratory, self.tasks[0].inspectors[0]
        cargo = self.port.cargoes[self.number]
        draft = SampleDraft(LABORATORY, cargo.commodity.name, "2.5", "KGM", 1, cargo.containers[0], tests=("residues",), cold=True)
        number = (await laboratory.draw(self.number, draft, by)).number
        await laboratory.seal(number, by, f"LS{self.port.stage.seed:02d}{len(self.port.lab.received):04d}")
        await laboratory.hand_over(number, by, "送样员 courier of the laboratory")
        self.port.lab.receive(number, cargo.commodity.kind)
        await self._settle()
        return number

    async def _lacking(self) -> list[str]:
        """Give the questions that the hub still misses an answer to."""
        found = await self.port.stage.hub.core.database.read(lambda connection: missing_of(connection, self.number))
        return [one.key for one in found if one.what == "item"]

    async def finish(self) -> None:
        """End the work."""
        self.port.stage.clock.pass_s(5)
        await self.box.cut()
        await self.leave()

    async def leave(self) -> None:
        """End pairing, tasks and filming, whatever happened: goods may be withdrawn in the middle of it."""
        hub = self.port.stage.hub
        if self.begun:
            self.begun = False
            await hub.pairings.unpair(self.tasks[0].task, self.recorder, self.tasks[0].inspectors[0])
            await self._settle()
        for task in self.tasks:
            await hub.tasks.end(task.task, SUPERVISOR)
        for source in list(self.box.recording):
            await self.box.stop(source)
        await self._settle()

    async def phone(self, name: str) -> Phone:
        """Give somebody's phone, with a key that the hub certified."""
        stage = self.port.stage
        known = self.port.phones.get(name)
        if known is None:
            known = self.port.phones[name] = Phone.of_seed(f"{stage.seed} {name}", stage.clock.now_ms)
            issued = await stage.hub.fieldwork.keys.issue(name, known.signer.public.spki, f"phone of {name}")
            known.key_id = issued.key_id
        return known

    async def _checklist(self, task: TaskFacts) -> Checklist:
        facts = dict(task.facts)
        digest = facts["procedure-sha256"]
        stage, cargo = self.port.stage, self.port.cargoes[self.number]
        procedure: Procedure = await stage.hub.core.database.read(lambda connection: procedure_of(connection, bytes.fromhex(digest)))
        seals = {box["number"]: box["seals"][0] for box in cargo.form["containers"]}
        scene = Scene(task.task, procedure, digest, {"container": cargo.containers}, seals, truth=cargo.truth, sampled=self.sampled)
        phone = await self.phone(task.inspectors[0])
        made = Checklist(scene, phone, self.style, stage.seed, lambda ms: stage.clock.pass_s(ms / 1000))
        judged = await stage.hub.core.database.read(lambda connection: judge_task(connection, task.task))
        made.answers += judged.facts.answers  # what another phone answered before
        return made

    async def _hand_in(self, checklist: Checklist, act: SignedAct, by: str) -> None:
        """Send the files that an act names, then the act."""
        hub = self.port.stage.hub
        for name in self._files_of(act):
            data = checklist.files[name]
            await hub.files.announce(
                by, Manifest(bytes.fromhex(name), len(data), f"{name[:8]}.png", "photo", f"task {checklist.scene.task}")
            )
            await hub.files.put_part(by, bytes.fromhex(name), 0, _whole(data))
            await self._stored(name)
        body = act.body()
        await hub.fieldwork.acts.take(checklist.scene.task, Envelope(body["act"], body["key_id"], body["signature"]), by)
        await self._settle()

    async def _stored(self, name: str) -> None:
        """Wait until a record says that a file is stored: one by one, so that each has a record of its own, whatever the machine's pace."""
        while True:
            if await self.port.stage.hub.core.database.read(lambda connection: at_hub(connection, frozenset({name}))):
                return
            await asyncio.sleep(POLL_S)

    def _files_of(self, act: SignedAct) -> list[str]:
        payload = json.loads(act.text)["payload"]
        found = [payload["drawn"]] if "drawn" in payload else []
        for row in payload.get("answers", ()):
            found += _named(row["value"])
        fresh = [name for name in dict.fromkeys(found) if name not in self.port.sent]
        self.port.sent.update(fresh)
        return fresh

    async def _settle(self) -> None:
        await self.box.obey()
        await self.port.stage.rest()
        while await self.port.stage.hub.fieldwork.progress.go_on():
            await self.port.stage.rest()


def _named(value: Any) -> list[str]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return [value["drawn"]] if "drawn" in value else []
    return [one for one in value if len(one) == 64] if isinstance(value, list) else []


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
