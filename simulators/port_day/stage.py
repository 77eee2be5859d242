"""Set up a port in this process: a hub under a virtual clock with keys by seed, reference data, people, boxes; and settle it after acts.

Guarantees: the same seed gives the same keys and people; nothing listens on a network; after `rest` nothing waits inside the hub, so that
what follows happens in the same order each time.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.access import PersonDraft
from hub.app import Hub, open_hub
from hub.check import check_hub
from hub.config import BlobSettings, DatabaseSettings, HubSettings, InspectionSettings, LogSettings, MqttSettings, PortSettings
from protocol.instants import SECOND_NS
from simulators.adversary.premises import settle
from simulators.evidence import SITE
from simulators.people.cargo import COMMODITIES, Firm
from simulators.port_day.boxes import DayBox, enrol_boxes
from simulators.port_day.clock import VirtualClock
from simulators.reference_data import bay, goods_kinds, partners
from storage.keys import write_new

MORNING_NS = 1_795_996_800 * SECOND_NS  # 30 November 2026, 08:00 in Dalian
DRAW_S = 600
ADMINISTRATOR, SUPERVISOR, SECOND, APPROVER = "admin", "chen.min", "zhou.jun", "sun.hao"
INSPECTORS = ("li.wei", "wang.fang", "zhao.lei", "he.jun", "ma.chao", "xu.ning")
BAYS = {"bay-1": "box-1", "bay-2": "box-2"}


@dataclass(slots=True)
class Stage:
    """A port on which a day is played."""

    hub: Hub
    clock: VirtualClock
    folder: Path
    seed: int
    boxes: dict[str, DayBox] = field(default_factory=dict)

    @property
    def today(self) -> date:
        """Give the port's day."""
        return datetime.fromtimestamp(self.clock.wall_ns // SECOND_NS, UTC).date()

    async def rest(self) -> None:
        """Wait until nothing waits inside the hub."""
        await settle(self.hub)

    async def check(self) -> tuple[str, ...]:
        """Check every invariant of the hub (S1 to S8); give what does not hold."""
        await self.rest()
        return (await check_hub(self.hub.core.settings)).problems

    async def draw(self) -> list[str]:
        """Call a draw, let its time come, and give who was selected."""
        called = await self.hub.draws.call(self.clock.wall_ns + DRAW_S * SECOND_NS)
        self.clock.pass_s(DRAW_S + 1)
        while (await self.hub.draws.get(called.number)).drawn_at is None:
            await self.hub.draws.go_on()
        await self.hub.draws.go_on()
        while await self.hub.second_looks.go_on():  # the draw's seed also says which finished tasks are looked at again
            await self.rest()
        await self.rest()
        final = [line.split("\t")[0] for line in json.loads(await self.hub.draws.bundle(called.number))["final"]]
        return sorted(final)


def settings_of(state: Path) -> HubSettings:
    """Give the settings of a day's hub: no network, no waiting for company in the log, screening when it is asked for."""
    return HubSettings(
        port=PortSettings(site=SITE, state=state),
        database=DatabaseSettings(url=""),
        log=LogSettings(batch_ms=0, stored_ms=10),
        blobs=BlobSettings(),
        mqtt=MqttSettings(broker="none"),
        inspection=InspectionSettings(automatic=False),
    )


def make_keys(folder: Path, seed: int) -> None:
    """Keep the keys of a seed where a hub looks for them: for simulations only."""
    folder.mkdir(parents=True)
    key = Ed25519PrivateKey.from_private_bytes(_secret(seed, "log"))
    write_new(folder / "log.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_new(folder / "draw.key", _secret(seed, "draw").hex().encode() + b"\n")


def _secret(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"port day {seed} {name}".encode()).digest()


@asynccontextmanager
async def open_stage(folder: Path, seed: int = 1, firms: tuple[Firm, ...] = (), begins_ns: int = MORNING_NS) -> AsyncIterator[Stage]:
    """Set up a port in a folder, with its people, reference data, boxes and a policy for draws.

    Its passwords are hashed cheaply: nobody guesses at them.
    """
    settings, clock = settings_of(folder / "hub"), VirtualClock(begins_ns)
    await asyncio.to_thread(make_keys, settings.keys, seed)
    async with open_hub(settings, clock) as hub:
        stage = Stage(hub, clock, folder, seed)
        hub.access.hasher = type(hub.access.hasher)(time_cost=1, memory_cost=64, parallelism=1)
        await _people(hub)
        await _references(hub, firms)
        policy = await hub.draws.proposal()
        await hub.draws.set_policy(replace(policy, answer_s=60), ADMINISTRATOR, SUPERVISOR, "for the day")
        stage.boxes = await enrol_boxes(hub, clock, folder / "blobs", tuple(BAYS.values()), seed)
        await stage.rest()
        yield stage


def password_of(name: str) -> str:
    """Give a person's password on a stage."""
    return f"long enough {name}"


async def _people(hub: Hub) -> None:
    for name in (SUPERVISOR, SECOND, APPROVER):
        await hub.access.add(PersonDraft(name, "supervisor", name.title(), password_of(name)), f"hub:{hub.core.hub_id}")
    for name in INSPECTORS:
        await hub.access.add(PersonDraft(name, "inspector", name.title(), password_of(name)), f"hub:{hub.core.hub_id}")


async def _references(hub: Hub, firms: tuple[Firm, ...]) -> None:
    for category, key, value in reference_data(firms):
        await hub.references.put(category, key, value, ADMINISTRATOR, "for the day")


def reference_data(firms: tuple[Firm, ...] = ()) -> list[tuple[str, str, dict[str, Any]]]:
    """Give the reference data of a simulated port, as (category, key, entry)."""
    made: list[tuple[str, str, dict[str, Any]]] = [("enterprise", firm.code, firm.entry()) for firm in firms]
    made += [("goods", key, value) for key, value in goods_kinds().items()]
    for origin in sorted({origin for one in COMMODITIES for origin in one.origins}):
        made.append(("origin", origin, {"name": origin, "name_en": origin}))
    made += [("bay", name, bay(name, [f"{box}/cam-1"])) for name, box in BAYS.items()]
    for name in INSPECTORS:
        made.append(("inspector", name, {"display": name.title(), "qualifications": sorted(goods_kinds())}))
    made += [("partner", key, value) for key, value in partners().items()]
    return made
