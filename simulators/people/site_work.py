"""Work a task's checklist at a hub by its public API, as the inspector's page does: key, files before the acts that name them, acts.

Guarantees: an act is given back after the hub has it; a file is sent once, and only what the hub has not got of it.
"""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from protocol.instants import MILLISECOND_NS, Clock
from protocol.procedures.reading import read_procedure
from simulators.devices.phone import Phone, SignedAct
from simulators.people.api import HubApi
from simulators.people.cargo import Truth
from simulators.people.checklist import Checklist, Scene, Style


@dataclass(slots=True)
class SiteWork:
    """One person's work on tasks, on one phone."""

    api: HubApi
    name: str
    phone: Phone
    sent: set[str] = field(default_factory=set)

    @classmethod
    async def of(cls, api: HubApi, name: str, clock: Clock) -> "SiteWork":
        """Take a new phone, and have its key certified for whoever is logged in."""
        phone = Phone.of_seed(f"{name} {clock.now().wall_ns}", lambda: clock.now().wall_ns // MILLISECOND_NS)
        answer = await api.call("POST", "/work/keys", {"spki": phone.spki, "device": f"phone of {name}"})
        phone.key_id = str(answer["key_id"])
        return cls(api, name, phone)

    async def checklist(self, task: str, style: Style = "well", seed: int = 1, truth: Truth | None = None) -> Checklist:
        """Fetch a task, and take its checklist in hand."""
        shown = await self.api.call("GET", f"/work/{quote(task)}")
        boxes: list[Mapping[str, Any]] = shown["declaration"]["containers"]
        seals = {str(box["number"]): str(box["seals"][0]) for box in boxes if box.get("seals")}
        parts = {"container": [str(box["number"]) for box in boxes]}
        procedure = read_procedure(shown["procedure"])
        scene = Scene(task, procedure, shown["procedure_sha256"], parts, seals, truth=truth or Truth())
        return Checklist(scene, self.phone, style, seed)

    async def work(self, checklist: Checklist) -> AsyncIterator[SignedAct]:
        """Do what the checklist asks; give each act after the hub has it."""
        for act in checklist.work():
            await self.hand_in(checklist, act)
            yield act

    async def sign(self, checklist: Checklist, role: str, name: str) -> None:
        """Sign what stands, on this phone."""
        await self.hand_in(checklist, checklist.sign(role, name, self.phone))

    async def hand_in(self, checklist: Checklist, act: SignedAct) -> None:
        """Send the files that an act names, then the act."""
        text = json.dumps(json.loads(act.text)["payload"])
        for name, data in checklist.files.items():
            if name not in self.sent and name in text:
                await self.api.send_file(data, f"{name[:8]}.png", "photo", f"task {checklist.scene.task}")
                self.sent.add(name)
        await self.api.call("POST", f"/work/{quote(checklist.scene.task)}/acts", act.body())
