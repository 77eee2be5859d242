"""Make what tests of work on site need: a held declaration with a drawn team, phones with keys, checklists as people work them."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.app import Hub, open_hub
from hub.config import HubSettings
from hub.files import Manifest, at_hub
from hub.inspection.fieldwork.acts import Envelope, Taken
from hub.inspection.states import State
from protocol.drawing.policy import PARTS, Lane, Named, Policy
from protocol.instants import MILLISECOND_NS, SECOND_NS
from protocol.procedures.model import Procedure
from protocol.signatures import Ed25519Signer
from simulators.devices.phone import Phone, SignedAct
from simulators.people.checklist import Checklist, Scene
from tests.hub_parts import BOX, SiteCa, TestBox, chunks, enrol, receipts_until, send, settings_for
from tests.inspection_parts import arriving_soon
from tests.web_parts import ToldClock

TWO = ("wang.fang", "chen.jie", "as agreed")
TEAM = ("li.wei", "zhao.lei")
RECORDER = f"{BOX}/rec-1"
CAMERA = f"{BOX}/cam-1"
BAY = "b-1"
LANES = {"red": Lane(PARTS // 20, 0, certain=True), "green": Lane(PARTS // 100, PARTS // 10)}


@dataclass
class Ground:
    """A hub with a declaration that is held, inspectors, a bay, and a box that films."""

    hub: Hub
    clock: ToldClock
    number: str
    box: TestBox
    sent: int = 0

    def now_ms(self) -> int:
        return self.clock.now().wall_ns // MILLISECOND_NS

    async def phone(self, person: str, *, ahead_ms: int = 0) -> "Worker":
        made = Phone.of_seed(f"{person} {ahead_ms}", self.now_ms, ahead_ms)
        issued = await self.hub.fieldwork.keys.issue(person, made.signer.public.spki, "test phone")
        made.key_id = issued.key_id
        return Worker(self, person, made)

    async def bring(self) -> None:
        """Seal the box's journal and send what is new of it, until it is receipted."""
        self.box.seal()
        await send(self.hub, self.box, self.sent)
        self.sent = len(self.box.written)
        await receipts_until(self.hub, BOX, self.sent - 1)

    async def reached(self, state: State) -> None:
        """Wait until the declaration stands at a state: what brings it there goes on by itself."""
        async with self.hub.events.subscribe() as told, asyncio.timeout(60):
            while (await self.hub.declarations.get(self.number)).state is not state:
                await anext(told)


@dataclass
class Worker:
    """A person with a phone."""

    ground: Ground
    person: str
    phone: Phone

    async def take(self, act: SignedAct, task: str, sent_ms: int | None = None) -> Taken:
        signature = base64.b64encode(act.signature).decode()
        return await self.ground.hub.fieldwork.acts.take(task, Envelope(act.text, act.key_id, signature, sent_ms), self.person)

    async def act(self, task: str, kind: Any, payload: Mapping[str, Any], sha256: str | None = None) -> Taken:
        name = sha256 or await self.sha256(task)
        return await self.take(self.phone.act(task, name, kind, payload), task)

    async def sha256(self, task: str) -> str:
        return (await self.ground.hub.fieldwork.site.need(task, self.person)).sha256.hex()


@asynccontextmanager
async def ground(settings: HubSettings, key: Ed25519Signer, **form: Any) -> AsyncIterator[Ground]:
    """Run a hub with one declaration held and a team drawn for it."""
    clock = ToldClock()
    async with open_hub(settings, clock, key) as hub:
        yield await held(hub, clock, **form)


def settings(state: Path, url: str = "", **changes: Any) -> HubSettings:
    made = settings_for(state, url, **changes)
    return replace(made, inspection=replace(made.inspection, shipped=True))


async def held(hub: Hub, clock: ToldClock, **form: Any) -> Ground:
    for name in (*TEAM, "sun.yan", "he.jun"):
        able = ["meat"] if name == "sun.yan" else ["fruit"]
        recusals = [{"enterprise": "91210200MA0SIM001X", "reason": "kin"}] if name == "he.jun" else []
        value = {"display": name, "qualifications": able, "recusals": recusals}
        await hub.references.put("inspector", name, value, "admin", "listed")
    goods = {"name": "水果", "name_en": "fruit", "hs": ["08"], "qualification": "fruit", "procedure": "fruit", "base_rate_ppm": 10_000}
    await hub.references.put("goods", "fruit", goods, "admin", "listed")
    await hub.references.put("bay", BAY, {"name": "一号查验位", "cameras": [CAMERA]}, "admin", "listed")
    own = Named("hub", await hub.draws.answers.own_key())
    await hub.draws.set_policy(Policy("draw-rules/1", hub.log.origin, (own,), 1, 1, PARTS // 5, {}, LANES, {"A": 0}), *TWO)
    number = (await hub.declarations.lodge(arriving_soon(clock, **form), "trader.wu")).number
    inputs = {
        "stratum": "fruit/TH",
        "lane": "red",
        "risk": PARTS // 10,
        "grade": "A",
        "needs": ["fruit"],
        "parties": ["91210200MA0SIM001X"],
    }
    await hub.declarations.step(number, State.ACCEPTED, {}, by="chen.min")
    await hub.declarations.step(number, State.SCREENED, {"draw": inputs}, rule="test/1")
    called = await hub.draws.call(clock.now().wall_ns + SECOND_NS)
    clock.pass_time(2)
    await hub.draws.go_on()
    assert (await hub.draws.get(called.number)).drawn_at is not None
    assert (await hub.declarations.get(number)).state is State.SELECTED
    await hub.declarations.step(number, State.HELD, {}, rule="hold/1")
    box = TestBox(wall_ns=clock.now().wall_ns)
    await enrol(hub, box, SiteCa())
    return Ground(hub, clock, number, box)


async def lead_and_assistant(ground: Ground) -> tuple[str, str]:
    lead, assistant = await ground.hub.draws.team(ground.number)
    return lead, assistant


async def upload(hub: Hub, owner: str, files: Mapping[str, bytes]) -> None:
    """Bring files to the hub and wait until records name them."""
    for name, data in files.items():
        await hub.files.announce(owner, Manifest(bytes.fromhex(name), len(data), "photo.png", "photo"))
        await hub.files.put_part(owner, bytes.fromhex(name), 0, chunks(data, 4096))
    async with hub.events.subscribe() as told, asyncio.timeout(60):
        while await hub.core.database.read(lambda connection: at_hub(connection, set(files))) != set(files):
            await anext(told)


def checklist(worker: Worker, task: str, procedure: Procedure, sha256: str, **changes: Any) -> Checklist:
    """Give the checklist of a task in a worker's hands."""
    parts = {"container": ("CSQU3054383",)}
    scene = Scene(task, procedure, sha256, parts, {"CSQU3054383": "SH123456"})
    return Checklist(scene, worker.phone, **changes)


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
