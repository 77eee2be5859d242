"""The outbox against a hub of nothing but the protocol, over a line that loses, repeats and reorders."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.forward import Forwarder, Sources
from edge.orders import Orders
from edge.removal import Removal
from protocol import kinds, messages
from protocol.errors import ForbiddenError, MalformedError, RefusedError, UnavailableError, VerificationError
from protocol.identifiers import HubId, SiteId, SourceId
from protocol.merkle import leaf_hash
from protocol.messages import (
    Beacon,
    EndTask,
    JournalBatch,
    Live,
    Pair,
    Persisted,
    Prove,
    Receipt,
    Refusal,
    Reply,
    Resend,
    StoredBlobs,
    pair_command,
)
from protocol.notes import Checkpoint, SignedCheckpoint, cosign, cosigner, parse_note, sign_checkpoint
from protocol.records import read
from protocol.signatures import Ed25519Signer
from protocol.topics import Channel
from protocol.trust import Trust
from storage.spool import Changes
from tests.edge_parts import BOX, VIDEO, Desk, Inline, Place, TestHub, check_place, units

LIMIT_S = 60


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110 - conditions of several objects
            await asyncio.sleep(0.005)


@dataclass(slots=True)
class Line:
    """A transport and a blob door onto the test's hub. `spoil` may change what the hub answers."""

    hub: TestHub
    spoil: Callable[[list[messages.Message]], list[messages.Message]] = lambda answers: answers
    sent: list[tuple[Channel, messages.Message]] = field(default_factory=list)
    is_up: bool = True
    last_error: str = ""
    name: str = "test"
    refusal: Exception | None = None
    stored: list[bytes] = field(default_factory=list)
    _inbox: Callable[[bytes], None] = lambda message: None

    async def run(self, inbox: Callable[[bytes], None]) -> None:
        self._inbox = inbox
        await asyncio.Event().wait()

    def refresh(self) -> None: ...

    async def send(self, channel: Channel, message: bytes) -> None:
        if not self.is_up:
            raise UnavailableError("the line is cut")
        known = messages.decode(message)
        self.sent.append((channel, known))
        if isinstance(known, JournalBatch):
            for answer in self.spoil(self.hub.take(known)):
                self._inbox(messages.encode(answer))
        if isinstance(known, Prove) and known.new <= len(self.hub.leaves):
            self._inbox(messages.encode(self.hub.prove(known)))

    async def put(self, sha256: bytes, path: Path, size: int) -> bytes:
        if not self.is_up:
            raise UnavailableError("the line is cut")
        if self.refusal is not None:
            raise self.refusal
        self.hub.blobs[sha256] = await asyncio.to_thread(path.read_bytes)
        assert len(self.hub.blobs[sha256]) == size
        self.stored.append(sha256)
        return messages.encode(StoredBlobs(BOX, (sha256,)))


@dataclass(slots=True)
class Room:
    """A box at its desk with a forwarder on a line."""

    place: Place
    desk: Desk
    hub: TestHub
    line: Line
    forwarder: Forwarder
    orders: Orders

    def known(self) -> int:
        """Give how many records the hub has."""
        return sum(len(mirror.records) for mirror in self.hub.mirrors.values())

    def produced(self) -> int:
        return sum(row.size for row in self.place.spool.epochs())

    async def settle(self) -> None:
        await until(lambda: self.known() == self.produced() == sum(row.persisted for row in self.place.spool.epochs()))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    place = Place(tmp_path)
    place.journal.start()
    desk = Desk(place)
    hub = TestHub(place.identity.public)
    line = Line(hub)
    worker = Inline("inline")
    sources = Sources(place.spool, place.journal, desk.folder, worker, place.clock, hub.log_key)

    async def send(message: messages.Message) -> None:
        await forwarder.send(message)

    orders = Orders(BOX, desk.recorder, place.spool, worker, hub.log_key, lambda source: "camera" if source == "cam-1" else None, send)
    forwarder = Forwarder(BOX, sources, line, line, orders.take)
    desk.recorder.on_commit = forwarder.tell
    running = asyncio.create_task(forwarder.run())
    obeying = asyncio.create_task(orders.run())
    yield Room(place, desk, hub, line, forwarder, orders)
    for task in (running, obeying):
        task.cancel()
    await asyncio.gather(running, obeying, return_exceptions=True)
    place.close()


async def film(room: Room, first: int, count: int) -> None:
    camera = room.desk.camera()
    if not camera._formats:
        camera.on_formats([VIDEO])
    for number, each in enumerate(units(room.place.clock, first, count), 1):
        camera.on_unit(each)
        if number % 25 == 0:
            await room.desk.recorder.beat()


async def test_everything_reaches_the_hub_and_is_receipted(room: Room) -> None:
    await film(room, 0, 1000)
    await room.desk.recorder.close("shutdown")
    await room.settle()
    await until(lambda: room.place.spool.epochs()[0].receipted == room.produced() - 1)
    await until(lambda: room.place.spool.backlog()["blobs"] == 0)
    assert set(room.hub.blobs) == {row.sha256 for row in room.place.spool.blobs()}
    assert all(row.stored for row in room.place.spool.blobs())
    assert room.place.journal.seen is not None
    assert check_place(room.place).faults == []


async def test_a_silent_line_loses_nothing(room: Room) -> None:
    room.line.is_up = False
    known = room.known()
    await film(room, 0, 300)
    assert room.known() == known < room.produced()
    room.line.is_up = True
    await room.settle()


async def test_a_resend_goes_back(room: Room) -> None:
    await film(room, 0, 100)
    await room.settle()
    room.hub.mirrors.clear()  # the hub lost its disk
    await room.forwarder.handle(Resend(BOX, 0, 0))
    await room.settle()
    assert room.hub.duplicates == 0


async def test_a_refused_epoch_waits_until_it_is_asked_for(room: Room) -> None:
    await film(room, 0, 50)
    await room.settle()
    known = room.known()
    await room.forwarder.handle(Resend(BOX, 0, known, "signature does not hold"))
    await film(room, 50, 50)
    room.line.sent.clear()
    await asyncio.sleep(0.05)
    assert [message for _, message in room.line.sent if isinstance(message, JournalBatch)] == []
    assert any("signature does not hold" in fault for fault in room.forwarder.faults)
    await room.forwarder.handle(Resend(BOX, 0, known))
    await room.settle()


@pytest.mark.parametrize("size", [10**6, 2**40])
async def test_acknowledgements_of_what_was_never_written_count_for_nothing(room: Room, size: int) -> None:
    await film(room, 0, 50)
    await room.settle()
    with pytest.raises(VerificationError, match="never written"):
        await room.forwarder.handle(Persisted(BOX, 0, size))
    with pytest.raises(VerificationError, match="is for box-2"):
        await room.forwarder.handle(Persisted("box-2", 0, 1))
    assert room.place.spool.epochs()[0].persisted == room.produced()


async def test_receipts_that_do_not_prove_count_for_nothing(room: Room) -> None:
    receipts: list[Receipt] = []

    def hold_back(answers: list[messages.Message]) -> list[messages.Message]:
        receipts.extend(answer for answer in answers if isinstance(answer, Receipt))
        return [answer for answer in answers if not isinstance(answer, Receipt)]

    room.line.spoil = hold_back
    await film(room, 0, 300)
    await room.settle()
    good = receipts[0]
    bad = [
        Receipt(BOX, 0, good.first, good.end, good.left, good.right, good.seal, good.log_index + 1, good.path, good.checkpoint),
        Receipt(BOX, 0, good.first, good.end - 1, good.left, good.right, good.seal, good.log_index, good.path, good.checkpoint),
        Receipt(
            BOX, 0, good.first, good.end, good.left, good.right, good.seal, good.log_index, good.path, good.checkpoint[:-8] + b"AAAAAA=\n"
        ),
    ]
    for each in bad:
        with pytest.raises((VerificationError, MalformedError)):
            await room.forwarder.handle(each)
    await until(lambda: bool(room.hub.blobs))
    assert room.place.spool.epochs()[0].receipted == 0
    assert room.place.spool.removable_blobs(9) == []
    await room.forwarder.handle(good)
    assert room.place.spool.epochs()[0].receipted == good.end
    assert [row.number for row in room.place.spool.removable_blobs(9)] == [0]


async def test_a_refused_blob_holds_up_no_other(room: Room) -> None:
    room.line.refusal = RefusedError("hash mismatch")
    await film(room, 0, 275)
    await until(lambda: bool(room.forwarder.faults))
    room.line.refusal = None
    await film(room, 275, 250)
    await until(lambda: len(room.hub.blobs) == 1)
    assert [row.stored for row in room.place.spool.blobs()] == [0, 1]


async def test_task_video_goes_first(room: Room) -> None:
    room.line.is_up = False
    await film(room, 0, 500)
    room.desk.camera().link("T-1")
    await film(room, 500, 500)
    room.desk.camera().unlink("T-1")
    await film(room, 1000, 260)
    rows = room.place.spool.waiting_blobs(10)
    linked = [row.sha256 for row in room.place.spool.blobs() if row.task_names()]
    assert linked and [row.sha256 for row in rows[: len(linked)]] == linked


async def test_beacons_are_named_in_records_and_a_forked_log_is_told(room: Room) -> None:
    def beacon(size: int, root: bytes) -> Beacon:
        return Beacon(sign_checkpoint(Checkpoint(room.hub.log_key.name, size, root), room.hub.signer), 5)

    await room.forwarder.handle(beacon(7, b"r" * 32))
    await room.forwarder.handle(beacon(3, b"o" * 32))
    await film(room, 0, 25)
    newest = read(room.place.spool.records(0, 0, 1000)[-1].data).record.seen
    assert newest is not None and (newest.size, newest.root) == (7, b"r" * 32)
    with pytest.raises(VerificationError, match="two trees"):
        await room.forwarder.handle(beacon(7, b"x" * 32))
    other = TestHub(room.place.identity.public)
    with pytest.raises(VerificationError):
        await room.forwarder.handle(Beacon(sign_checkpoint(Checkpoint(room.hub.log_key.name, 9, b"r" * 32), other.signer), 5))


async def test_a_receipt_of_another_log_is_refused_and_recorded(room: Room) -> None:
    told: list[str] = []

    async def tell(detail: str) -> None:
        told.append(detail)

    room.forwarder.tell_fork = tell
    await film(room, 0, 600)
    await room.settle()
    await until(lambda: room.forwarder.pins.newest is not None and not room.forwarder._parked)
    pinned = room.forwarder.pins.newest
    assert pinned is not None
    receipted = room.place.spool.backlog()["unreceipted"]
    room.hub.leaves = [leaf_hash(bytes((at,))) for at in range(len(room.hub.leaves))]  # history written anew
    await film(room, 600, 600)
    await room.settle()
    await until(lambda: bool(told))
    assert "does not extend" in told[0]
    assert room.forwarder.pins.newest == pinned
    assert room.place.spool.backlog()["unreceipted"] > receipted
    fork = Checkpoint(room.hub.log_key.name, pinned.size, b"x" * 32)
    with pytest.raises(VerificationError, match="two trees"):
        await room.forwarder.handle(Beacon(sign_checkpoint(fork, room.hub.signer), 5))
    proof = room.place.spool.fact("fork")
    assert proof is not None and proof.count(room.hub.log_key.name.encode()) == 4  # two whole signed checkpoints
    assert len(told) == 2


async def test_a_log_that_does_not_extend_what_was_carried_in_is_told(room: Room) -> None:
    told: list[str] = []

    async def tell(detail: str) -> None:
        told.append(detail)

    room.forwarder.tell_fork = tell
    await film(room, 0, 600)
    await room.settle()
    await until(lambda: room.forwarder.pins.newest is not None and not room.forwarder._parked)
    carried = Checkpoint(room.hub.log_key.name, 1, b"x" * 32)  # signed by the hub, and another log
    room.place.spool.apply(Changes(facts={"carried": sign_checkpoint(carried, room.hub.signer)}))
    newest = room.forwarder.pins.newest
    assert newest is not None and newest.size > 1
    beacon = Beacon(sign_checkpoint(Checkpoint(room.hub.log_key.name, newest.size, newest.root), room.hub.signer), 5)
    with suppress(VerificationError):
        await room.forwarder.handle(beacon)
    await until(lambda: bool(told))


async def test_receipts_without_a_quorum_are_not_final(room: Room) -> None:
    outside = Ed25519Signer.of(Ed25519PrivateKey.generate())
    witness = cosigner("outside.example", outside.public)
    trust = Trust(SiteId("dayaowan"), HubId("hub-1"), "ab" * 32, room.hub.log_key, (witness,), 1)
    room.forwarder.sources.trust = trust
    await film(room, 0, 600)
    await room.settle()
    await until(lambda: bool(room.place.spool.receipts(0)))
    row = room.place.spool.epochs()[0]
    assert row.receipted > 0  # under the hub's signature: a blob may go
    assert await room.forwarder.final_size(0) == 0  # a record may not
    for kept in room.place.spool.receipts(0):
        receipt = messages.expect(Receipt, kept.data)
        text = SignedCheckpoint.parse(receipt.checkpoint).note.text
        note = parse_note(receipt.checkpoint).with_signatures((cosign(text, witness.name, outside, 9),)).encode()
        await room.forwarder.handle(replace(receipt, checkpoint=note))
    assert await room.forwarder.final_size(0) == room.place.spool.receipts(0)[-1].end


def replies(room: Room) -> list[Reply]:
    return [message for _, message in room.line.sent if isinstance(message, Reply)]


async def test_a_pairing_is_done_once_and_survives_a_restart(room: Room) -> None:
    order = room.hub.order("T-1", "box-1/cam-1", "paired")
    command = Pair(pair_command(leaf_hash(order)), "T-1", "cam-1", "paired", "li.wei", order)
    await film(room, 0, 25)
    for _ in range(3):
        await room.forwarder.handle(command)
    await until(lambda: len(replies(room)) == 3)
    assert {(each.command, each.done) for each in replies(room)} == {(command.command, True)}
    pairings = room.place.bodies(kinds.Pairing)
    assert len(pairings) == 1
    body = pairings[0][1]
    assert isinstance(body, kinds.Pairing) and body.by == "li.wei" and (body.order, body.stream) == (leaf_hash(order), "box-1/cam-1")
    assert room.desk.camera().tasks == {"T-1"}
    again = Orders(BOX, room.desk.recorder, room.place.spool, Inline("x"), room.hub.log_key, lambda _: "camera", room.forwarder.send)
    await again.load()
    assert again.tasks_of("cam-1") == ["T-1"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"source": "cam-9"}, "no source"),
        ({"task": "T-2"}, "says something else"),
        ({"state": "unpaired"}, "says something else"),
        ({"command": "pair:again"}, "replayed"),
    ],
)
async def test_orders_that_do_not_hold_are_refused_and_change_nothing(room: Room, change: dict[str, str], reason: str) -> None:
    order = room.hub.order("T-1", "box-1/cam-1", "paired")
    fields = {"command": pair_command(leaf_hash(order)), "task": "T-1", "source": "cam-1", "state": "paired", "by": "li.wei", **change}
    await room.forwarder.handle(Pair(order=order, **fields))  # type: ignore[arg-type]  # a test may name any state
    await until(lambda: bool(replies(room)))
    assert not replies(room)[0].done and reason in replies(room)[0].reason
    assert room.place.bodies(kinds.Pairing) == []


async def test_an_order_that_the_hub_did_not_sign_is_refused(room: Room) -> None:
    order = TestHub(room.place.identity.public).order("T-1", "box-1/cam-1", "paired")
    await room.forwarder.handle(Pair(pair_command(leaf_hash(order)), "T-1", "cam-1", "paired", "li.wei", order))
    await until(lambda: bool(replies(room)))
    assert not replies(room)[0].done
    assert room.place.bodies(kinds.Pairing) == []


async def test_a_source_of_one_task_is_not_given_to_another(room: Room) -> None:
    for task in ("T-1", "T-2"):
        order = room.hub.order(task, "box-1/cam-1", "paired")
        await room.forwarder.handle(Pair(pair_command(leaf_hash(order)), task, "cam-1", "paired", "li.wei", order))
    await until(lambda: len(replies(room)) == 2)
    assert [each.done for each in replies(room)] == [True, False]
    assert "paired to T-1" in replies(room)[1].reason


async def test_the_end_of_a_task_cuts_seals_and_frees(room: Room) -> None:
    await film(room, 0, 25)
    order = room.hub.order("T-1", "box-1/cam-1", "paired")
    await room.forwarder.handle(Pair(pair_command(leaf_hash(order)), "T-1", "cam-1", "paired", "li.wei", order))
    await until(lambda: len(replies(room)) == 1)
    await film(room, 25, 50)
    await room.forwarder.handle(EndTask("c-2", "T-1", room.hub.ending("T-1")))
    await until(lambda: not room.desk.camera().is_cut)
    await film(room, 75, 50)
    await until(lambda: len(replies(room)) == 2)
    seals = [body.reason for _, body in room.place.bodies(kinds.Seal) if isinstance(body, kinds.Seal)]
    assert "task" in seals
    bodies = [body for _, body in room.place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]
    assert [each.frames for each in bodies] == [100]
    assert [row.task_names() for row in room.place.spool.blobs(stream="box-1/cam-1")] == [["T-1"]]
    states = [body.state for _, body in room.place.bodies(kinds.Pairing) if isinstance(body, kinds.Pairing)]
    assert states == ["paired", "unpaired"]
    assert room.desk.camera().tasks == set()


async def test_an_end_that_the_hub_did_not_sign_frees_nothing(room: Room) -> None:
    await film(room, 0, 25)
    order = room.hub.order("T-1", "box-1/cam-1", "paired")
    await room.forwarder.handle(Pair(pair_command(leaf_hash(order)), "T-1", "cam-1", "paired", "li.wei", order))
    other = TestHub(room.place.identity.public)
    for number, said in enumerate((other.ending("T-1"), room.hub.ending("T-2"), order, b"")):
        await room.forwarder.handle(EndTask(f"c-{number}", "T-1", said))
    await until(lambda: len(replies(room)) == 5)
    assert [each.done for each in replies(room)] == [True, False, False, False, False]
    assert room.desk.camera().tasks == {"T-1"}


async def test_a_claim_is_answered_by_pairing_or_refusal(room: Room) -> None:
    claiming = asyncio.create_task(room.orders.claim(SourceId("cam-1"), "123456"))
    await until(lambda: any(isinstance(message, messages.Claim) for _, message in room.line.sent))
    claim = next(message for _, message in room.line.sent if isinstance(message, messages.Claim))
    await room.forwarder.handle(Refusal(claim.claim, "the code has ended"))
    with pytest.raises(RefusedError, match="the code has ended"):
        await claiming


async def test_live_without_the_ability_is_refused(room: Room) -> None:
    await room.forwarder.handle(Live("c-9", "cam-1", "start", "/device/v1/whip/cam-1"))
    await until(lambda: bool(replies(room)))
    assert not replies(room)[0].done


async def test_only_what_the_hub_has_and_no_open_task_needs_is_removed(room: Room) -> None:
    await film(room, 0, 250)
    room.desk.camera().link("T-1")
    await film(room, 250, 500)
    room.desk.camera().unlink("T-1")
    await film(room, 750, 775)
    await room.settle()
    await until(lambda: room.place.spool.backlog()["blobs"] == 0)
    worker = Inline("inline")
    removal = Removal(room.place.spool, room.desk.folder, room.desk.recorder, worker, worker)
    assert await removal.make_room({"T-1"}) == 3
    gone = [row.number for row in room.place.spool.blobs() if row.removed]
    assert all(room.desk.folder.path("cam-1", row.number).exists() != bool(row.removed) for row in room.place.spool.blobs())
    assert not {row.number for row in room.place.spool.blobs() if row.task_names()}.intersection(gone)
    disposals = [body for _, body in room.place.bodies(kinds.Disposal) if isinstance(body, kinds.Disposal)]
    assert len(disposals) == 1 and len(disposals[0].blobs) == 3
    assert await removal.make_room(set()) > 0
    assert await removal.make_room(set()) == 0
    await room.desk.recorder.close("shutdown")
    assert check_place(room.place).faults == []


async def test_nothing_of_a_forbidden_box_is_forgotten(room: Room) -> None:
    room.line.refusal = ForbiddenError("revoked")
    await film(room, 0, 275)
    await until(lambda: any("revoked" in fault for fault in room.forwarder.faults))
    assert room.place.spool.backlog()["blobs"] == 1


async def test_a_stop_says_when_it_was_to_be_expected(room: Room) -> None:
    room.orders.known = lambda source: "recorder"
    planned = room.place.clock.now().wall_ns + 3600 * 10**9
    order = room.hub.order("T-1", "box-1/rec-1", "paired", planned_end_ns=planned)
    await room.forwarder.handle(Pair(pair_command(leaf_hash(order)), "T-1", "rec-1", "paired", "li.wei", order))
    await until(lambda: len(replies(room)) == 1)
    room.desk.recorder.captures[SourceId("rec-1")].on_interruption("closed", "battery")
    room.place.clock.advance(60)
    await room.desk.recorder.beat()
    free = room.hub.order("T-1", "box-1/rec-1", "unpaired")
    await room.forwarder.handle(Pair(pair_command(leaf_hash(free)), "T-1", "rec-1", "unpaired", "li.wei", free))
    await until(lambda: len(replies(room)) == 2)
    await room.desk.recorder.beat()
    found = [body for _, body in room.place.bodies(kinds.Recording) if isinstance(body, kinds.Recording)]
    assert [(each.state, each.expected_end_ns) for each in found] == [("started", None), ("stopped", planned)]
    paired = [body for _, body in room.place.bodies(kinds.Pairing) if isinstance(body, kinds.Pairing)]
    assert [each.planned_end_ns for each in paired] == [planned, None]
    assert room.place.spool.fact("planned-T-1") == str(planned).encode()  # a box that starts again knows it, too
    assert check_place(room.place).faults == []
