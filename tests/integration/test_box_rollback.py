"""A box whose disk was set back to an older image, seen by the hub: by the next boot, with a proof that anybody can check."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from edge.journal import Box, Entry, Journal
from hub.app import Hub
from protocol import kinds
from protocol.errors import VerificationError
from protocol.identifiers import BoxId
from protocol.journals import check_rollback
from protocol.messages import JournalBatch
from protocol.records import read
from protocol.signatures import P256Signer
from storage.counters import FileCounter
from storage.logs import port_entries
from storage.schema import journals
from tests.edge_parts import BOX, Place
from tests.hub_parts import SiteCa, TestBox, log_signer, running_hub, settings_for, settled


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(settings_for(tmp_path / "hub"), log_signer()) as running:
        yield running


async def enrol_place(hub: Hub, place: Place) -> None:
    assert isinstance(place.identity, P256Signer)
    certificate = SiteCa().box(BoxId(BOX), place.identity)
    await hub.log.issue(kinds.Enrolment("issued", certificate.der, "admin"), BOX)


async def send_all(hub: Hub, place: Place) -> None:
    """Send every epoch as it stands on the box's disk."""
    for row in place.spool.epochs():
        rows = place.spool.records(row.epoch, 0, 1000)
        batch = JournalBatch(BOX, row.epoch, 0, tuple(one.data for one in rows))
        await hub.ingest.accept(BoxId(BOX), batch)


def write(place: Place, count: int) -> None:
    for at in range(count):
        place.journal.append([Entry(BOX, kinds.BoxState("test", str(at)))])
    place.journal.append([Entry(BOX, kinds.BoxState("test", "end"))], seal="interval")


async def logged(hub: Hub, kind: type[Any]) -> list[Any]:
    await settled(hub)
    entries = await hub.core.database.read(lambda connection: port_entries(connection, 0, hub.log.size))
    bodies = [read(entry).record.body for entry in entries]
    return [body for body in bodies if isinstance(body, kind)]


def disk(folder: Path) -> Path:
    """Give the box's disk, a folder."""
    made = folder / "disk"
    made.mkdir(exist_ok=True)
    return made


def image(folder: Path, name: str) -> Path:
    """Take or restore an image of a box's disk: a copy of all files."""
    copied = folder.parent / name
    shutil.copytree(folder, copied)
    return copied


async def test_an_image_of_the_same_boot_is_seen_at_the_next(hub: Hub, tmp_path: Path) -> None:
    place = Place(disk(tmp_path))
    place.journal.start()
    await enrol_place(hub, place)
    write(place, 5)
    place.close()
    old = image(tmp_path / "disk", "image")
    place = Place(disk(tmp_path), identity=place.identity)
    place.journal.start()
    write(place, 7)
    await send_all(hub, place)
    place.close()
    back = Place(old, identity=place.identity)
    back.journal.start()  # the same epoch again, with other content
    write(back, 3)
    await send_all(hub, back)
    back.close()
    found = await logged(hub, kinds.Equivocation)
    assert len(found) == 1
    assert "equivocation" in {alarm.kind for alarm in await hub.alarms.list()}


async def test_an_image_that_lost_a_sent_tail_is_proven_to_anybody(hub: Hub, tmp_path: Path) -> None:
    place = Place(disk(tmp_path))
    place.journal.start()
    await enrol_place(hub, place)
    write(place, 5)
    old = image(tmp_path / "disk", "image")
    write(place, 6)
    await send_all(hub, place)
    place.close()
    back = Place(old, identity=place.identity)
    back.journal.start()
    write(back, 2)
    await send_all(hub, back)
    await send_all(hub, back)
    back.close()
    found = await logged(hub, kinds.Rollback)
    assert len(found) == 1
    proof = found[0]
    check_rollback(proof, BOX, (place.identity.public,))
    boot, known = read(proof.boot).record, read(proof.known).record
    assert isinstance(boot.body, kinds.Boot)
    assert known.position == boot.body.previous_size == proof.size < proof.held
    assert "lost head" in {alarm.kind for alarm in await hub.alarms.list()}
    for wrong in (proof.session, proof.boot):
        with pytest.raises(VerificationError):
            check_rollback(replace(proof, known=wrong), BOX, (place.identity.public,))
    with pytest.raises(VerificationError):
        check_rollback(proof, "box-9", (place.identity.public,))


async def test_a_boot_that_skips_epochs_is_proven(hub: Hub, tmp_path: Path) -> None:
    place = Place(disk(tmp_path))
    place.journal.start()
    await enrol_place(hub, place)
    write(place, 2)
    place.restart()
    place.journal.start()
    write(place, 2)
    await send_all(hub, place)
    boot = kinds.Boot(b"boot", "0.1", 0, 3, bytes(32))
    assert isinstance(place.identity, P256Signer)
    liar = TestBox(BoxId(BOX), epoch=9, identity=place.identity)
    liar.add(boot, BOX, place.identity)
    await hub.ingest.accept(BoxId(BOX), liar.batch())
    place.close()
    found = await logged(hub, kinds.Rollback)
    assert found
    for one in found:
        check_rollback(one, BOX, (place.identity.public,))


@pytest.mark.parametrize("back", [False, True])
async def test_a_seal_whose_counter_went_back_is_refused_over_restarts_of_box_and_hub(tmp_path: Path, back: bool) -> None:
    place, counter = Place(disk(tmp_path)), FileCounter(tmp_path / "counter")
    names = [Box(BoxId(BOX), place.identity, bytes([boot]) * 16, "test", counter=counter) for boot in range(2)]
    settings = settings_for(tmp_path / "hub")
    async with running_hub(settings, log_signer()) as hub:
        await enrol_place(hub, place)
        place.journal = Journal(place.spool, names[0], place.clock)
        place.journal.start()
        for _ in range(5):
            write(place, 1)
        await send_all(hub, place)
        assert await hub.core.database.read(lambda one: one.execute(select(journals.c.counter)).scalars().all()) == [5]
    if back:
        (tmp_path / "counter").write_text("2\n")  # the box has a copy of the medium, too
    async with running_hub(settings, log_signer()) as hub:
        place.restart()
        place.journal = Journal(place.spool, names[1], place.clock)
        place.journal.start()
        write(place, 1)
        await send_all(hub, place)
        held = dict(await hub.core.database.read(lambda one: one.execute(select(journals.c.epoch, journals.c.size)).all()))
        assert held[0] == place.spool.epochs()[0].size
        sizes = {"all": place.journal.size, "but the seal": place.journal.size - 1}
        assert held[1] == sizes["but the seal" if back else "all"]
        if back:
            assert any("counter went back from 5 to 3" in str(alarm) for alarm in await hub.alarms.list())
    place.close()


async def test_a_hub_without_keys_for_imports_takes_no_import(hub: Hub, tmp_path: Path) -> None:
    place = Place(disk(tmp_path))
    await enrol_place(hub, place)
    box = Box(BoxId(BOX), place.identity, bytes(16), "test", importer=place.identity)  # live capture's own key
    place.journal = Journal(place.spool, box, place.clock)
    place.journal.start()
    place.journal.append([Entry(f"{BOX}/dock", kinds.Recording("started", "card", "import", 0))], usage="import")
    await send_all(hub, place)
    held = await hub.core.database.read(lambda one: one.execute(select(journals.c.size)).scalars().all())
    assert held == [2]  # boot and live session; the session for imports is refused
    place.close()
