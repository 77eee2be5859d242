"""Files in parts at the hub, on SQLite and on PostgreSQL alike: only a full match counts, nothing that came is lost, all is bounded."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.app import Hub
from hub.check import check_hub
from hub.config import FileSettings
from hub.files import FileState, Manifest, at_hub
from protocol import kinds
from protocol.errors import MalformedError, RefusedError, StorageError, VerificationError
from protocol.records import read
from storage.keys import create_ed25519, load_ed25519
from storage.schema import stored_files
from tests.hub_parts import chunks, running_hub, settings_for, settled

LIMITS = FileSettings(largest_mb=1, waiting_mb=2, waiting_files=3, day_mb=4)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    key = create_ed25519(tmp_path / "keys" / "log.key")
    async with running_hub(settings_for(tmp_path, database_url, files=LIMITS), key) as running:
        yield running


ONE = pytest.mark.parametrize("database_url", [""])  # what depends on no database runs on one


def manifest(data: bytes, **changes: object) -> Manifest:
    facts = {"sha256": hashlib.sha256(data).digest(), "size": len(data), "name": "photo.jpg", "kind": "photo"}
    return Manifest(**(facts | changes))  # type: ignore[arg-type]


async def send(hub: Hub, data: bytes, owner: str = "li.wei", offset: int = 0, end: int | None = None) -> FileState:
    return await hub.files.put_part(owner, hashlib.sha256(data).digest(), offset, chunks(data[offset:end], 1000))


async def logged(hub: Hub, data: bytes) -> None:
    """Wait until the `Stored` record of a file is in the log: the event of a checkpoint says when to look."""
    name = hashlib.sha256(data).hexdigest()
    async with hub.events.subscribe() as told, asyncio.timeout(60):
        while not await hub.core.database.read(lambda connection: at_hub(connection, {name})):
            await anext(told)


async def sound(hub: Hub, data: bytes) -> None:
    await logged(hub, data)
    await settled(hub)
    assert (await check_hub(hub.core.settings)).problems == ()


async def test_only_the_whole_counts_and_a_record_names_it(hub: Hub) -> None:
    data = random.Random(1).randbytes(700_000)
    state = await hub.files.announce("li.wei", manifest(data, about="task T-1"))
    assert (state.state, state.have_bytes) == ("announced", 0)
    state = await send(hub, data, end=300_000)
    assert (state.state, state.have_bytes) == ("announced", 300_000)
    with pytest.raises(StorageError, match="not whole"):
        await hub.files.open(state.sha256)
    assert (await hub.files.announce("li.wei", manifest(data))).have_bytes == 300_000
    state = await send(hub, data, offset=300_000)
    assert (state.state, state.have_bytes) == ("stored", len(data))
    assert (await hub.files.open(state.sha256))[1].read_bytes() == data
    await logged(hub, data)
    place = await hub.core.database.read(lambda connection: connection.execute(select(stored_files.c.position)).scalar_one())
    record = read(await hub.log.leaf(place)).record
    assert isinstance(record.body, kinds.Stored) and record.body.blobs == (state.sha256,)
    assert record.subject == "port/files"  # names nobody
    assert (await send(hub, data)).state == "stored"  # sent again it is the same
    await sound(hub, data)


async def test_parts_may_come_twice_and_out_of_order_and_nothing_is_lost(hub: Hub) -> None:
    data = random.Random(2).randbytes(50_000)
    await hub.files.announce("li.wei", manifest(data))
    with pytest.raises(MalformedError, match="0 bytes are here, this part begins at 20000"):
        await send(hub, data, offset=20_000)
    assert (await send(hub, data, end=20_000)).have_bytes == 20_000
    assert (await send(hub, data, offset=5_000, end=15_000)).have_bytes == 20_000
    both = await asyncio.gather(send(hub, data, offset=10_000, end=30_000), send(hub, data, offset=0, end=25_000))
    assert both[-1].have_bytes == 30_000
    with pytest.raises(MalformedError, match="30000 bytes are here"):
        await send(hub, data, offset=30_001)
    assert (await send(hub, data, offset=30_000)).state == "stored"


@ONE
async def test_a_cut_part_keeps_what_came(hub: Hub) -> None:
    data = random.Random(3).randbytes(600_000)
    name = (await hub.files.announce("li.wei", manifest(data))).sha256

    async def cut() -> AsyncIterator[bytes]:
        yield data[:400_000]
        raise MalformedError("was cut: what came is kept", where="files")

    with pytest.raises(MalformedError, match="was cut"):
        await hub.files.put_part("li.wei", name, 0, cut())
    assert (await hub.files.state(name)).have_bytes == 400_000
    assert (await send(hub, data, offset=400_000)).state == "stored"


@ONE
async def test_other_bytes_are_thrown_away_and_said(hub: Hub) -> None:
    data = random.Random(4).randbytes(10_000)
    name = (await hub.files.announce("li.wei", manifest(data))).sha256
    with pytest.raises(VerificationError, match="send it anew from 0"):
        await hub.files.put_part("li.wei", name, 0, chunks(data[:-1] + b"x"))
    assert (await hub.files.state(name)).have_bytes == 0
    with pytest.raises(MalformedError, match="more than the 10000 bytes"):
        await hub.files.put_part("li.wei", name, 0, chunks(data + b"more"))
    assert (await send(hub, data)).state == "stored"
    await sound(hub, data)


@ONE
async def test_wrong_manifests_are_refused(hub: Hub) -> None:
    data = b"photo"
    for wrong in ({"size": 0}, {"size": 2_000_000}, {"kind": "program"}, {"name": ""}, {"name": "a\nb"}, {"sha256": b"short"}):
        with pytest.raises(MalformedError):
            await hub.files.announce("li.wei", manifest(data, **wrong))
    await hub.files.announce("li.wei", manifest(data))
    with pytest.raises(RefusedError, match="announced with 5 bytes, now with 6"):
        await hub.files.announce("li.wei", manifest(data, size=6))
    with pytest.raises(RefusedError, match="announce it first"):
        await send(hub, b"never said")
    with pytest.raises(RefusedError, match="not known"):
        await hub.files.state(bytes(32))


async def test_what_waits_and_what_comes_in_a_day_is_bounded_for_each_owner(hub: Hub) -> None:
    many = [random.Random(seed).randbytes(900_000) for seed in range(5)]
    await hub.files.announce("li.wei", manifest(many[0]))
    await hub.files.announce("li.wei", manifest(many[1]))
    with pytest.raises(RefusedError, match="finish them first"):
        await hub.files.announce("li.wei", manifest(many[2]))
    await hub.files.announce("wang.fang", manifest(many[2]))  # another's room is another's
    for data in many[:2]:
        await send(hub, data)
    for data in many[2:4]:
        await hub.files.announce("li.wei", manifest(data))
        await send(hub, data)
    with pytest.raises(RefusedError, match="within a day"):
        await hub.files.announce("li.wei", manifest(many[4]))


async def test_a_hash_alone_gives_a_stranger_nothing(hub: Hub) -> None:
    data = random.Random(5).randbytes(3000)
    await hub.files.announce("party:A", manifest(data))
    await send(hub, data, "party:A")
    name = hashlib.sha256(data).digest()
    assert (await hub.files.announce("party:B", manifest(data))).state == "announced"
    with pytest.raises(StorageError):
        await hub.files.open(name, "party:B")
    assert (await send(hub, data, "party:B")).state == "stored"
    assert (await hub.files.announce("li.wei", manifest(data), trusted=True)).state == "stored"
    await sound(hub, data)


async def test_abandoned_parts_end_and_whole_files_survive_a_restart(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    create_ed25519(tmp_path / "keys" / "log.key")
    whole, part = random.Random(6).randbytes(400_000), random.Random(7).randbytes(400_000)
    settings = settings_for(tmp_path, database_url, files=LIMITS)
    async with running_hub(settings, load_ed25519(tmp_path / "keys" / "log.key")) as hub:
        await hub.files.announce("li.wei", manifest(part))
        await send(hub, part, end=100_000)
        name = (await hub.files.announce("li.wei", manifest(whole))).sha256
        incoming = next(path for path in (tmp_path / "incoming-files").iterdir() if path.name.startswith(hashlib.sha256(part).hexdigest()))
        (incoming.parent / incoming.name.replace(hashlib.sha256(part).hexdigest(), name.hex())).write_bytes(whole)
    async with running_hub(settings, load_ed25519(tmp_path / "keys" / "log.key")) as hub:
        assert (await hub.files.announce("li.wei", manifest(part))).have_bytes == 100_000
        assert (await hub.files.announce("li.wei", manifest(whole))).state == "stored"  # only its record was missing
        await hub.core.database.write(lambda connection: connection.exec_driver_sql("UPDATE files SET changed_ns = 1"))
        assert await hub.files.expire() == 1
        assert [path.name for path in (tmp_path / "incoming-files").iterdir()] == []
        with pytest.raises(RefusedError):
            await send(hub, part)
        await sound(hub, whole)
