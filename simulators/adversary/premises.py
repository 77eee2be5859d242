"""Make a hub's state folder to attack: a real hub runs for a moment, takes a box's records and videos, and is stopped."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import Connection, func, select

from hub.access import PersonDraft
from hub.app import Hub, open_hub
from hub.config import DatabaseSettings, HubSettings, InspectionSettings, LogSettings, MqttSettings, PortSettings
from protocol import kinds
from protocol.errors import UnavailableError
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS
from protocol.messages import JournalBatch
from protocol.trust import Trust
from simulators.evidence import HUB, SITE, MemoryBox, MemoryPort
from storage.clock import SystemClock
from storage.keys import create_ed25519
from storage.schema import blobs, log_state, staged

BOX = BoxId("box-1")
AUDITOR = "chen.min"
_SEGMENTS = 4
_WAIT_S = 30.0


def hub_settings(state: Path) -> HubSettings:
    """Give the settings of a stage's hub."""
    return HubSettings(
        port=PortSettings(site=SITE, state=state),
        database=DatabaseSettings(url=""),
        log=LogSettings(batch_ms=10, stored_ms=20),
        mqtt=MqttSettings(broker="none"),
        inspection=InspectionSettings(shipped=False, automatic=False),
    )


async def make_hub(stage: Path) -> None:
    """Make `hub/`, with the trust, certificates and auditor's token that a monitor of it needs (`hub-*`)."""
    clock, settings = SystemClock(), hub_settings(stage / "hub")
    settings.keys.mkdir(parents=True)
    create_ed25519(settings.keys / "log.key")
    port = MemoryPort(stage / ".blobs", now_ns=clock.now().wall_ns - 3600 * SECOND_NS)
    port.found()
    box = port.enrol(BOX)
    _record(port, box)
    async with open_hub(settings, clock) as hub:
        (stage / "hub-trust.json").write_bytes(Trust(SITE, HUB, port.chain[1].fingerprint, hub.log.key).encode())
        await hub.access.add(PersonDraft(AUDITOR, "supervisor", "Chen Min", "correct horse battery"), f"hub:{HUB}")
        (stage / "hub-token").write_text((await hub.access.make_token(AUDITOR, "monitor", 1, "admin")).token)
        await _hand_over(hub, port, box)
    (stage / "hub-chain.pem").write_bytes(b"".join(one.pem() for one in port.chain))


def _record(port: MemoryPort, box: MemoryBox) -> None:
    box.write(kinds.Recording("started", "configured", "rtsp", 0), f"{BOX}/cam-1")
    for number in range(_SEGMENTS):
        port.now_ns += 10 * SECOND_NS
        box.segment("cam-1", port.video(BOX, "cam-1", number), 10 * SECOND_NS)
        box.seal()


async def _hand_over(hub: Hub, port: MemoryPort, box: MemoryBox) -> None:
    enrolment = port.log.entries[0].record.body
    await hub.log.issue(enrolment, BOX)
    journal = box.journals[0]
    await hub.ingest.accept(BOX, JournalBatch(BOX, 0, 0, tuple(one.data for one in journal)))
    for one in journal:
        if isinstance(one.record.body, kinds.Segment):
            video = await asyncio.to_thread((port.folder / one.record.body.sha256.hex()).read_bytes)
            await hub.blobs.put(BOX, one.record.body.sha256, one.record.body.size, _whole(video))
    await settle(hub)


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def settle(hub: Hub) -> None:
    """Wait until all is logged and published; raise UnavailableError when that takes too long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_S
    while await hub.core.database.read(_waiting) != (0, 0, hub.log.published_size()):
        if loop.time() > deadline:
            raise UnavailableError("does not come to rest", where="hub")
        hub.log.wake()
        await asyncio.sleep(0.01)


def _waiting(connection: Connection) -> tuple[int, int, int | None]:
    """Give how many records wait for the log, how many stored blobs no record names yet, and the size of the log."""
    records = select(func.count()).select_from(staged)
    unnamed = select(func.count()).select_from(blobs).where(blobs.c.state == "stored", blobs.c.logged.is_(False))
    size = connection.execute(select(log_state.c.size)).scalar()
    return int(connection.execute(records).scalar_one()), int(connection.execute(unnamed).scalar_one()), size
