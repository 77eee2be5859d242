"""Retention on a real hub, both databases: what is due goes, with its record first; holds, open tasks and wrong clocks keep everything."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select, update

from hub.app import Hub, open_hub
from hub.check import check_hub
from hub.config import RetentionSettings
from hub.keeping import Keeping
from hub.tasks import TaskDraft
from protocol import kinds
from protocol.errors import MalformedError, RefusedError, StorageError
from protocol.identifiers import StreamId
from protocol.retention import DAY_NS
from storage.clock import SystemClock
from storage.keys import create_ed25519
from storage.schema import blobs, retention_clock
from tests.hub_parts import BOX, TestBox, chunks, enrol, receipts_until, send, settings_for, settled
from tests.web_parts import ToldClock

CAMERA = StreamId.of(BOX, "cam-1")


@dataclass
class Store:
    hub: Hub
    clock: ToldClock
    box: TestBox
    kept: list[bytes]
    boot: str = "first"

    @property
    def keeping(self) -> Keeping:
        return self.hub.keeping

    async def record(self, segments: int) -> None:
        """Record segments, and bring their bytes; all receipted."""
        first = len(self.box.written)
        for _ in range(segments):
            _, data = self.box.segment()
            self.kept.append(data)
        self.box.seal()
        await send(self.hub, self.box, first)
        for data in self.kept[-segments:]:
            await self.hub.blobs.put(BOX, hashlib.sha256(data).digest(), len(data), chunks(data))
        await receipts_until(self.hub, BOX, self.box.written[-1].record.position, self.box.epoch)
        await settled(self.hub)

    async def here(self) -> list[bytes]:
        return [data for data in self.kept if await self.hub.blobs.head(hashlib.sha256(data).digest()) is not None]

    async def look_twice(self) -> int:
        """Look, let the disposal be published, and look again; give how many went."""
        gone = await self.keeping.look()
        await settled(self.hub)
        return gone + await self.keeping.look()


@asynccontextmanager
async def open_store(folder: Path, url: str = "", share: float = 100.0) -> AsyncIterator[Store]:
    clock = ToldClock()
    settings = settings_for(folder, url, retention=RetentionSettings(share_percent=share))
    folder.joinpath("keys").mkdir()
    async with open_hub(settings, clock, create_ed25519(folder / "keys" / "log.key")) as hub:
        box = TestBox(wall_ns=SystemClock().now().wall_ns)
        store = Store(hub, clock, box, [])
        hub.keeping.boot = lambda: store.boot
        await enrol(hub, box)
        box.boot()
        box.recording()
        await send(hub, box)
        await hub.keeping.look()  # retention's own time begins
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url: str = "" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    async with open_store(tmp_path, url) as made:
        yield made


async def test_what_is_due_goes_and_its_record_and_proof_stay(store: Store) -> None:
    await store.record(3)
    store.clock.pass_time(182 * 86_400)
    assert await store.look_twice() == 0
    store.clock.pass_time(2 * 86_400)
    assert await store.look_twice() == 3
    assert await store.here() == []
    name = hashlib.sha256(store.kept[0]).digest()
    with pytest.raises(StorageError, match="disposed of"):
        await store.hub.blobs.open(name)
    answer = await store.hub.blobs.put(BOX, name, len(store.kept[0]), chunks(store.kept[0]))
    assert answer.blobs == (name,)  # the box may let go of its own copy
    assert await store.here() == []
    assert (await check_hub(store.hub.core.settings)).problems == ()
    position = store.box.written[2].record.position
    assert (await store.hub.records.get("box:box-1", store.box.epoch, position)).receipted


async def test_bytes_that_vanish_without_a_record_are_a_fault(store: Store) -> None:
    await store.record(1)
    name = hashlib.sha256(store.kept[0]).digest()
    await store.hub.core.database.write(lambda connection: connection.execute(update(blobs).values(state="disposed")))
    (await store.hub.keeping.store.path(name)).unlink()
    problems = (await check_hub(store.hub.core.settings)).problems
    assert any("no record says why" in problem for problem in problems)


async def test_holds_and_open_tasks_and_classes_beat_the_calendar(store: Store) -> None:
    await store.hub.tasks.open(TaskDraft(task="T-1", title="x", cameras=(CAMERA,)), "chen")
    store.box.wall_ns = store.clock.now().wall_ns
    await store.record(2)
    store.clock.pass_time(3000 * 86_400)
    assert await store.look_twice() == 0  # the task is open
    await store.hub.tasks.end("T-1", "chen")
    await settled(store.hub)
    assert await store.look_twice() == 0  # three years from its end
    await store.keeping.decide("T-1", kinds.Keeping("classed", "chen", "small matter", "copy"))
    await store.keeping.decide("T-1", kinds.Keeping("held", "chen", "case 7"))
    store.clock.pass_time(400 * 86_400)
    assert await store.look_twice() == 0  # held
    held = await store.keeping.get("T-1")
    assert (held.kept_as, held.held) == ("copy", True)
    await store.keeping.decide("T-1", kinds.Keeping("freed", "chen", "case closed"))
    assert await store.look_twice() == 2
    assert [segment.state for lane in (await store.hub.timeline.task("T-1")).lanes for segment in lane.segments] == ["disposed"] * 2
    assert (await check_hub(store.hub.core.settings)).problems == ()


async def test_a_wall_clock_that_jumps_years_forward_removes_nothing(store: Store) -> None:
    await store.record(2)
    real = store.clock.real

    class Jumped:
        def now(self) -> object:
            now = real.now()
            return type(now)(now.wall_ns + 4000 * DAY_NS, now.mono_ns, now.sync, now.error_ms)

        def monotonic_ns(self) -> int:
            return real.monotonic_ns()

    store.clock.real = Jumped()  # type: ignore[assignment]
    assert await store.look_twice() == 0
    for boot in ("second", "third"):
        store.boot = boot
        assert await store.look_twice() == 0
    assert len(await store.here()) == 2


async def test_much_at_once_waits_for_a_person(tmp_path: Path) -> None:
    async with open_store(tmp_path, share=10.0) as store:
        await store.record(5)
        store.clock.pass_time(200 * 86_400)
        assert await store.look_twice() == 0
        assert any(alarm.kind == "disposal stopped" for alarm in await store.hub.alarms.list())
        with pytest.raises(MalformedError, match="reason"):
            await store.keeping.confirm("admin", " ")
        await store.keeping.confirm("admin", "looked through the list")
        assert await store.look_twice() == 5


async def test_a_removal_that_a_kill_interrupted_is_finished(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await store.record(2)
        store.clock.pass_time(200 * 86_400)
        await store.keeping.look()
        await settled(store.hub)  # recorded and published, and the bytes are still there
        states = await store.hub.core.database.read(lambda connection: connection.execute(select(blobs.c.state)).scalars().all())
        assert set(states) == {"disposing"}
        again = Keeping(store.hub.core, store.keeping.store, boot=lambda: "second")
        async with again:
            assert await again.look() == 2
        row = await store.hub.core.database.read(lambda connection: connection.execute(select(retention_clock)).one())
        assert row.day_bytes == sum(len(data) for data in store.kept)


async def test_wrong_decisions_are_named(store: Store) -> None:
    with pytest.raises(RefusedError, match="no such task"):
        await store.keeping.decide("T-9", kinds.Keeping("held", "chen", "case 7"))
    for body in (
        kinds.Keeping("classed", "chen", "x", "gold"),
        kinds.Keeping("held", "chen", "x", "copy"),
        kinds.Keeping("classed", "chen", "x"),
    ):
        with pytest.raises(MalformedError, match="none of"):
            await store.keeping.decide("T-9", body)
