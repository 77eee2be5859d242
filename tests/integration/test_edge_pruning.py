"""A box forgets records that the hub has for good, and the checker still accounts for every one of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge.forward import Forwarder, Sources
from edge.journal import Entry
from edge.pruning import FINAL, KEPT_TAIL, Pruning
from edge.recovery import Recovery
from protocol import kinds, messages
from protocol.errors import StorageError
from protocol.messages import JournalBatch, Prove, Receipt, Resend
from protocol.topics import Channel
from storage.spool import Spool
from tests.edge_parts import BOX, VIDEO, Desk, Inline, Place, TestHub, check_place

DAYS = 90
DAY_S = 86_400


class Line:
    """A transport onto the test's hub, by hand."""

    name, is_up, last_error = "test", True, ""

    def __init__(self, hub: TestHub) -> None:
        self.hub, self.answers = hub, list[messages.Message]()

    async def run(self, inbox: object) -> None: ...

    def refresh(self) -> None: ...

    async def send(self, channel: Channel, message: bytes) -> None:
        known = messages.decode(message)
        if isinstance(known, Prove):
            self.answers.append(self.hub.prove(known))

    async def put(self, sha256: bytes, path: Path, size: int) -> bytes:
        raise StorageError("no blobs here")


@dataclass
class Dock:
    """A box that records, forwards and prunes when it is told to."""

    place: Place
    hub: TestHub = field(init=False)
    forwarder: Forwarder = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        self.hub = TestHub(self.place.identity.public)
        self.begin()

    def begin(self) -> None:
        self.place.journal.start()
        self.desk = Desk(self.place)
        worker = Inline("inline")
        sources = Sources(self.place.spool, self.place.journal, self.desk.folder, worker, self.place.clock, self.hub.log_key)
        line = Line(self.hub)

        async def take(order: object) -> None: ...

        self.forwarder = Forwarder(BOX, sources, line, line, take)
        asyncio.run(self.forwarder._load_beacon())
        self.pruning = Pruning(self.place.spool, self.desk.recorder, worker, DAYS)
        self.line = line

    def restart(self) -> None:
        self.place.clock.advance(5)
        self.place.restart()
        self.begin()
        Recovery(self.place.spool, self.place.journal, self.place.segments, self.place.folder / "quarantine").run()

    def beats(self, count: int) -> None:
        """Record heartbeats, and a seal behind each hundred."""
        for at in range(0, count, 100):
            self.place.clock.advance(100)
            beats = [Entry(str(BOX), kinds.Heartbeat(()))] * min(100, count - at)
            self.place.journal.append(beats, seal="interval")

    def film(self) -> None:
        camera = self.desk.camera()
        camera.on_formats([VIDEO])
        self.desk.feed(camera, 0, 300)
        camera.on_interruption("closed", "pulled")
        self.desk.beat()
        self.place.journal.append([], seal="interval")

    def forward(self) -> None:
        """Bring the journal to the hub, and its receipts back."""
        for row in self.place.spool.epochs():
            while row.persisted < row.size:
                rows = self.place.spool.records(row.epoch, row.persisted, 1000)
                answers = self.hub.take(JournalBatch(BOX, row.epoch, row.persisted, tuple(each.data for each in rows)))
                asyncio.run(self.take(answers))
                row = next(each for each in self.place.spool.epochs() if each.epoch == row.epoch)

    async def take(self, answers: list[messages.Message]) -> None:
        for answer in answers:
            await self.forwarder.handle(answer)
            while self.line.answers:
                await self.forwarder.handle(self.line.answers.pop(0))

    def prune(self, hub_days: float = 0) -> int:
        """Let it prune until there is nothing more; `hub_days`: how far the hub's clock is behind."""
        now = self.place.clock.now().wall_ns - int(hub_days * DAY_S * 10**9)
        total = 0
        while gone := asyncio.run(self.pruning.step(now)):
            total += gone
        return total

    def kept(self, epoch: int) -> list[tuple[int, str]]:
        return [(row.position, row.kind) for row in self.place.spool.records(epoch, 0, 1_000_000)]


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    made = Dock(Place(tmp_path))
    yield made
    made.place.close()


def test_what_is_receipted_and_old_goes_and_the_rest_still_adds_up(dock: Dock) -> None:
    dock.film()
    dock.beats(300)
    size = dock.place.journal.size
    dock.forward()
    dock.restart()
    dock.forward()
    assert dock.prune() == 0  # not old enough
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    assert dock.prune(hub_days=2) == 0  # the box's clock alone hurries nothing
    assert asyncio.run(dock.pruning.step(None)) == 0  # nor does anything go while no hub was heard
    gone = dock.prune()
    row = dock.place.spool.epochs()[0]
    assert row.pruned == size - 1  # all but the last seal, which no receipt of its own epoch covers
    assert dock.kept(0) == [(0, "boot"), (1, "session"), (size - 1, "seal")]
    assert gone == size - 3
    assert check_place(dock.place).faults == []
    assert [body.state for _, body in dock.place.bodies(kinds.BoxState) if isinstance(body, kinds.BoxState)] == ["journal pruned"]
    seals = [one for one in dock.hub.mirrors[0].records if isinstance(one.record.body, kinds.Seal)]
    assert len(dock.place.spool.receipts(0)) == len(seals)  # the proof stays
    dock.restart()
    assert check_place(dock.place).faults == []


def test_the_epoch_at_work_keeps_what_a_recovery_needs(dock: Dock) -> None:
    dock.beats(2 * KEPT_TAIL)
    camera = dock.desk.camera()
    camera.on_formats([VIDEO])
    dock.desk.feed(camera, 0, 100)
    dock.place.journal.append([], seal="interval")
    dock.forward()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    assert dock.prune() > KEPT_TAIL // 2
    row = dock.place.spool.epochs()[0]
    assert row.size - row.pruned >= KEPT_TAIL
    dock.restart()  # without a stop: a power cut
    found = [body for _, body in dock.place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]
    assert [(each.state, each.bound) for each in found] == [("recovered", found[0].size)]
    assert check_place(dock.place).faults == []


def test_nothing_goes_without_the_witnesses(dock: Dock) -> None:
    dock.beats(300)
    dock.forward()
    dock.restart()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    dock.place.spool._write("DELETE FROM facts WHERE name = ?", (f"{FINAL}0",))
    assert dock.prune() == 0
    with pytest.raises(StorageError, match="not receipted"):
        dock.place.spool.prune(0, 10_000, b"")
    assert check_place(dock.place).faults == []


def test_the_checker_asks_for_proof_of_what_is_gone(dock: Dock) -> None:
    dock.beats(300)
    dock.forward()
    dock.restart()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    dock.prune()
    spool, row = dock.place.spool, dock.place.spool.epochs()[0]
    spool._write("UPDATE epochs SET base = ? WHERE epoch = 0", (bytes(len(row.base)),))
    assert any("is not the one that was receipted" in fault for fault in check_place(dock.place).faults)
    spool._write("UPDATE epochs SET base = ? WHERE epoch = 0", (row.base,))
    spool._write("DELETE FROM facts WHERE name = ?", (f"{FINAL}0",))
    assert ["S4 epoch 0" in fault for fault in check_place(dock.place).faults] == [True]
    last = spool.receipts(0)[0]
    spool._write('DELETE FROM receipts WHERE epoch = 0 AND "end" = ?', (last.end,))
    assert any("no kept receipt covers" in fault for fault in check_place(dock.place).faults)


def test_a_receipt_of_another_seal_covers_nothing(dock: Dock) -> None:
    dock.beats(300)
    dock.forward()
    dock.restart()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    dock.prune()
    spool = dock.place.spool
    first, last = spool.receipts(0)[0], spool.receipts(0)[-1]
    wrong = messages.expect(Receipt, first.data)
    spool._write('UPDATE receipts SET data = ? WHERE epoch = 0 AND "end" = ?', (messages.encode(wrong), last.end))
    assert any("is not the one that was receipted" in fault for fault in check_place(dock.place).faults)


def test_a_hub_that_asks_for_what_is_gone_is_told_so_and_holds_up_nothing(dock: Dock) -> None:
    dock.beats(300)
    dock.forward()
    dock.restart()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    dock.prune()
    asyncio.run(dock.forwarder.handle(Resend(BOX, 0, 7)))
    row = dock.place.spool.epochs()[0]
    assert row.refused is not None and "went from here" in row.refused
    assert row.persisted == row.size
    want = dock.forwarder.outbox.next(dock.place.spool.epochs(), 0.0)
    assert want is not None and want.epoch == 1


def test_a_changed_record_behind_the_pruned_ones_is_found(dock: Dock) -> None:
    dock.beats(300)
    dock.forward()
    dock.restart()
    dock.place.clock.advance((DAYS + 1) * DAY_S)
    dock.prune()
    data = bytearray(dock.place.spool.newest("seal", 0, 1)[0].data)
    data[-1] ^= 1
    dock.place.spool._write("UPDATE records SET data = ? WHERE epoch = 0 AND kind = 'seal'", (bytes(data),))
    assert any(fault.startswith("S3 epoch 0") for fault in check_place(dock.place).faults)


def test_a_spool_of_before_is_taken_up(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.journal.start()
    size = place.journal.size
    for name in ("pruned", "base"):
        place.spool._write(f"ALTER TABLE epochs DROP COLUMN {name}", ())
    place.spool._write("PRAGMA user_version = 1", ())
    place.spool.close()
    again = Spool(tmp_path / "spool.db")
    again.open()
    assert [(row.size, row.pruned, row.base) for row in again.epochs()] == [(size, 0, b"")]
    again.close()
