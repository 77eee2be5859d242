"""What is carried by hand: a checkpoint into a box that has no network, a sealed head out of it; both bound time when they arrive."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from edge.carriers import Carriers
from edge.config import DoorSettings, EdgeSettings
from edge.door import Door, Handlers
from edge.journal import Entry
from edge.page import render
from edge.status import bring, head
from edge.worker import Worker
from hub.app import Hub
from protocol import kinds
from protocol.carriers import SealHead
from protocol.errors import EquivocationError, MalformedError, PortwitnessError, RefusedError, VerificationError
from protocol.identifiers import HubId, SiteId
from protocol.notes import ED25519, Checkpoint, NoteKey, cosign, sign_checkpoint
from protocol.records import read
from protocol.signatures import Ed25519Signer
from protocol.trust import Trust, log_origin
from storage.keys import create_ed25519
from tests import hub_parts
from tests.edge_parts import BOX, Place
from tests.integration.test_edge_door import STATUS, Told

SITE, HUB = SiteId("dayaowan"), HubId("hub-1")
ORIGIN = log_origin(SITE, HUB)


def note(signer: Ed25519Signer, size: int, root: bytes = bytes(32), seconds: int = 1_800_000_000) -> bytes:
    head = Checkpoint(ORIGIN, size, root)
    return sign_checkpoint(head, signer, (cosign(head.text(), f"{ORIGIN}/time", signer, seconds),))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    made.journal.start()
    yield made
    made.close()


@pytest.fixture
def signer() -> Ed25519Signer:
    return hub_parts.log_signer()


@pytest.fixture
async def carriers(place: Place, signer: Ed25519Signer) -> AsyncIterator[Carriers]:
    trust = Trust(SITE, HUB, "0" * 64, NoteKey(ORIGIN, ED25519, signer.public))
    async with Worker("records") as records:
        yield Carriers(BOX, place.journal, place.spool, records, trust)


async def test_records_name_a_checkpoint_that_was_brought(place: Place, carriers: Carriers, signer: Ed25519Signer) -> None:
    assert await carriers.bring(note(signer, 40)) == "checkpoint 40 of 2027-01-15T08:00:00.000Z"
    place.journal.append([Entry(str(BOX), kinds.Heartbeat(()))])
    seen = read(place.spool.records(0, 2, 1)[0].data).record.seen
    assert seen is not None
    assert seen.size == 40
    place.journal.seen = None  # as after a restart
    await carriers.load()
    assert place.journal.seen == seen


async def test_what_is_not_a_newer_checkpoint_of_the_log_is_refused(carriers: Carriers, signer: Ed25519Signer) -> None:
    await carriers.bring(note(signer, 40))
    with pytest.raises(RefusedError, match="knows one of 40"):
        await carriers.bring(note(signer, 39))
    with pytest.raises(VerificationError, match="two trees"):
        await carriers.bring(note(signer, 40, b"x" * 32))
    with pytest.raises(VerificationError):
        await carriers.bring(note(hub_parts.log_signer(), 41))
    with pytest.raises(MalformedError):
        await carriers.bring(b"anything\n")
    with pytest.raises(RefusedError, match="no log key"):
        await replace(carriers, trust=None).bring(note(signer, 41))


async def test_the_head_goes_out_by_code_and_verifies(place: Place, carriers: Carriers) -> None:
    with pytest.raises(RefusedError, match="nothing is sealed"):
        await carriers.head()
    place.journal.append([], seal="interval")
    sealed = place.journal.size - 1
    carried = SealHead.parse(await carriers.head())
    checkpoint = carried.verify((place.identity.public,))
    assert (checkpoint.size, checkpoint.root) == (sealed, read(place.spool.newest("seal", 0, 1)[0].data).record.root)
    drawing = ElementTree.fromstring(await carriers.picture())
    assert drawing.tag.endswith("svg")
    assert len(carried.encode()) < 1200  # a code that a phone still reads
    with pytest.raises(VerificationError, match="no identity"):
        carried.verify((hub_parts.TestBox().identity.public,))
    with pytest.raises(PortwitnessError):
        replace(carried, epoch=7).verify((place.identity.public,))
    for spoiled in ("PWH1.", carried.encode()[:-1], carried.encode() + "A", "x" * 5000, carried.encode()[:-2] + "=="):
        with pytest.raises(MalformedError):
            SealHead.parse(spoiled)


async def test_page_and_command_line_carry_both_ways(place: Place, carriers: Carriers, signer: Ed25519Signer) -> None:
    place.journal.append([], seal="interval")
    told = Told()
    handlers = Handlers(told.publish, told.release, told.claim, told.status, told.page, carriers.bring, carriers.head, carriers.picture)
    async with (
        Door(DoorSettings(port=0), (), handlers) as door,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", trust_env=False) as client,
        Worker("command line") as away,
    ):
        form = await client.post("/checkpoint", data={"note": note(signer, 7).decode().replace("\n", "\r\n")})
        assert form.json() == {"taken": "checkpoint 7 of 2027-01-15T08:00:00.000Z"}
        assert (await client.post("/checkpoint", content=note(signer, 7))).status_code == 409
        assert (await client.get("/head.svg")).headers["content-type"] == "image/svg+xml"
        settings = EdgeSettings(state=place.folder, door=DoorSettings(port=door.port))
        assert (await away.run(bring, settings, note(signer, 9))).startswith("checkpoint 9")
        with pytest.raises(RefusedError, match="knows one of 9"):
            await away.run(bring, settings, note(signer, 8))
        assert SealHead.parse(await away.run(head, settings)).box == BOX
    page = render(STATUS, "zh")
    assert "/head.svg" in page
    assert "<textarea" in page


# ----------------------------------------------------------------------------------------------------------------- the hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    async with hub_parts.running_hub(hub_parts.settings_for(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


def head_of(box: hub_parts.TestBox) -> str:
    seal = next(one for one in reversed(box.written) if isinstance(one.record.body, kinds.Seal)).record.body
    session = next(one for one in box.written if isinstance(one.record.body, kinds.Session))
    assert isinstance(seal, kinds.Seal)
    return SealHead(box.box, box.epoch, seal.note, session.data).encode()


async def test_the_hub_logs_a_head_before_the_box_is_back(hub: Hub) -> None:
    box = hub_parts.TestBox()
    with pytest.raises(VerificationError, match="no identity"):
        box.boot()
        box.seal()
        await hub.carried.take(head_of(box), "li.wei")
    await hub_parts.enrol(hub, box)
    signed = await hub.carried.take(head_of(box), "li.wei")
    assert isinstance(signed.record.body, kinds.HeadSeen)
    assert (signed.record.subject, signed.record.body.by) == ("box-1", "li.wei")
    await hub_parts.send(hub, box)  # later the journal comes, and agrees
    again = await hub.carried.take(head_of(box), "li.wei", "file")
    assert again.record.position > signed.record.position


async def test_a_head_of_another_journal_is_an_alarm(hub: Hub) -> None:
    box = hub_parts.TestBox()
    await hub_parts.enrol(hub, box)
    box.boot()
    box.heartbeat()
    box.seal()
    await hub_parts.send(hub, box)
    other = hub_parts.TestBox(identity=box.identity, session=box.session)
    other.boot()
    other.pass_time(5)
    other.heartbeat()
    other.seal()
    with pytest.raises(EquivocationError, match="another journal"):
        await hub.carried.take(head_of(other), "li.wei")
    assert [alarm.kind for alarm in await hub.alarms.list()] == ["equivocation"]
