"""What the hub takes and refuses, on SQLite and on PostgreSQL alike."""

import asyncio
import hashlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, select, update

from hub.app import Hub, open_hub
from hub.config import BlobSettings
from protocol import canonical, kinds
from protocol.errors import DiskFullError, ForbiddenError, MalformedError, PortwitnessError, UnavailableError, VerificationError
from protocol.identifiers import BoxId
from protocol.merkle import EMPTY_ROOT, Frontier
from protocol.messages import JournalBatch, Message, Persisted, Resend, StoredBlobs
from protocol.records import read
from protocol.signatures import P256Signer, sign1
from storage.database import Database
from storage.schema import blobs
from tests.hub_parts import BOX, TestBox, chunks, enrol, log_signer, mail, receipts_until, running_hub, send, settings_for, settled
from tests.web_parts import ToldClock
from tests.webrtc_parts import until


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database of each sort."""
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
async def hub(database_url: str, tmp_path: Path) -> AsyncIterator[Hub]:
    settings = settings_for(tmp_path, database_url, blobs=BlobSettings(quarantine_mb=1, largest_mb=2))
    async with running_hub(settings, log_signer()) as running:
        yield running


@pytest.fixture
async def box(hub: Hub) -> TestBox:
    made = TestBox()
    await enrol(hub, made)
    made.boot()
    return made


def verdict(answers: list[Message]) -> str:
    """Give the one refusal among answers."""
    (found,) = [answer.verdict for answer in answers if isinstance(answer, Resend)]
    assert found is not None
    return found


async def held(hub: Hub) -> int:
    (device,) = await hub.devices.list()
    return device.journal_size


async def test_records_are_persisted_receipted_and_proved(hub: Hub, box: TestBox) -> None:
    await hub.mail.take(BOX, 0)
    box.recording()
    for _ in range(3):
        box.segment()
        box.heartbeat()
        box.seal()
    assert await send(hub, box) == [Persisted(BOX, 1, len(box.written))]
    covered = [box.check(receipt, hub) for receipt in await receipts_until(hub, BOX, len(box.written) - 1)]
    assert covered == [5, 8, 11]
    record = await hub.records.get("box:box-1", 1, 4)
    assert record.receipted
    assert record.data == box.written[4].data


async def test_a_batch_again_late_or_overlapping_changes_nothing(hub: Hub, box: TestBox) -> None:
    for _ in range(10):
        box.heartbeat()
    first, second = box.batch(0, 6), box.batch(4, 12)
    assert await hub.ingest.accept(BOX, first) == [Persisted(BOX, 1, 6)]
    assert await hub.ingest.accept(BOX, first) == [Persisted(BOX, 1, 6)]
    assert await hub.ingest.accept(BOX, second) == [Persisted(BOX, 1, 12)]
    assert await hub.ingest.accept(BOX, box.batch(0, 3)) == [Persisted(BOX, 1, 12)]
    assert await hub.alarms.list() == []


async def test_a_missing_position_is_asked_for(hub: Hub, box: TestBox) -> None:
    for _ in range(6):
        box.heartbeat()
    assert await hub.ingest.accept(BOX, box.batch(3)) == [Resend(BOX, 1, 0)]
    await hub.ingest.accept(BOX, box.batch(0, 2))
    assert await hub.ingest.accept(BOX, box.batch(5)) == [Resend(BOX, 1, 2)]


async def test_a_forged_signature_is_named_and_what_came_before_it_stays(hub: Hub, box: TestBox) -> None:
    for _ in range(4):
        box.heartbeat()
    forged = bytearray(box.written[4].data)
    forged[-1] ^= 1
    batch = JournalBatch(BOX, 1, 0, (*(signed.data for signed in box.written[:4]), bytes(forged), box.written[5].data))
    answers = await hub.ingest.accept(BOX, batch)
    assert answers[0] == Persisted(BOX, 1, 4)
    assert "position 4" in verdict(answers)
    assert "signature" in verdict(answers)
    assert await hub.ingest.accept(BOX, box.batch(4)) == [Persisted(BOX, 1, 6)]
    assert [alarm.kind for alarm in await hub.alarms.list()] == ["record refused"]


async def test_a_key_that_is_not_the_box_s_signs_nothing(hub: Hub, box: TestBox) -> None:
    stranger = TestBox(identity=P256Signer.of(ec.generate_private_key(ec.SECP256R1())))
    stranger.boot()
    assert "no identity of box-1" in verdict(await send(hub, stranger))
    await send(hub, box)
    other = box.make(kinds.Heartbeat(()), BOX, log_signer())
    answers = await hub.ingest.accept(BOX, JournalBatch(BOX, 1, 2, (other.data,)))
    assert "signature" in verdict(answers)
    assert await held(hub) == 2


def _changed(box: TestBox, **changes: object) -> bytes:
    """Give a record signed by the box whose numbered fields were changed."""
    fields = canonical.decode(box.make(kinds.Heartbeat(()), BOX).envelope.payload)
    numbers = {"version": 1, "kind": 2, "issuer": 3, "epoch": 4, "position": 5, "root": 6, "mono": 9, "body": 12}
    fields |= {numbers[name]: value for name, value in changes.items()}
    return sign1(canonical.encode(fields), box.session)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"position": 7}, "expected position 2"),
        ({"root": bytes(32)}, "another tree"),
        ({"kind": "gossip"}, "kind 'gossip' is not known"),
        ({"version": 9}, "version 9 is not known"),
        ({"issuer": "box:box-9"}, "issued by box:box-9"),
        ({"epoch": 5}, "epoch 5"),
        ({"mono": 1}, "backwards"),
        ({"body": {1: "no list"}}, "not a list"),
        ({"body": {1: [], 99: 1}}, "unknown fields"),
    ],
)
async def test_a_record_that_is_wrong_is_refused_by_name(hub: Hub, box: TestBox, changes: dict[str, object], said: str) -> None:
    await send(hub, box)
    answers = await hub.ingest.accept(BOX, JournalBatch(BOX, 1, 2, (_changed(box, **changes),)))
    assert said in verdict(answers)
    assert await held(hub) == 2
    box.heartbeat()
    assert await hub.ingest.accept(BOX, box.batch(2)) == [Persisted(BOX, 1, 3)]


async def test_garbage_and_oversize_are_refused(hub: Hub, box: TestBox) -> None:
    await send(hub, box)
    for bad, said in ((b"", "COSE"), (b"\xd2\x84garbage", "byte string"), (bytes(70_000), "at most")):
        assert said in verdict(await hub.ingest.accept(BOX, JournalBatch(BOX, 1, 2, (bad,))))
    box.heartbeat()
    many = tuple(box.written[2].data for _ in range(257))
    for batch in (JournalBatch(BOX, 1, 2, many), JournalBatch(BOX, 1, 2, ()), JournalBatch(BOX, 1, 2, (bytes(60_000),) * 9)):
        assert "1 to 256 records" in verdict(await hub.ingest.accept(BOX, batch))
    assert await held(hub) == 2


async def test_a_second_record_at_a_position_is_kept_and_alarmed(hub: Hub, box: TestBox) -> None:
    box.heartbeat()
    await send(hub, box)
    other = box.make(kinds.BoxState("other"), BOX, position=2, root=_root_before(box, 2))
    assert other.data != box.written[2].data
    batch = JournalBatch(BOX, 1, 2, (other.data,))
    for _ in range(2):  # said twice, kept once
        assert "two signed records" in verdict(await hub.ingest.accept(BOX, batch))
    kept = [record for record in await _hub_records(hub) if isinstance(record, kinds.Equivocation)]
    assert kept == [kinds.Equivocation(1, 2, box.written[2].leaf, other.data)]
    assert "equivocation" in [alarm.kind for alarm in await hub.alarms.list()]
    box.heartbeat()
    assert await hub.ingest.accept(BOX, box.batch(3)) == [Persisted(BOX, 1, 4)]


async def test_another_record_that_nobody_signed_is_no_evidence_against_a_box(hub: Hub, box: TestBox) -> None:
    box.heartbeat()
    await send(hub, box)
    other = box.make(kinds.BoxState("other"), BOX, log_signer(), position=2, root=_root_before(box, 2))
    assert "not signed by the box" in verdict(await hub.ingest.accept(BOX, JournalBatch(BOX, 1, 2, (other.data,))))
    assert not [record for record in await _hub_records(hub) if isinstance(record, kinds.Equivocation)]


def _root_before(box: TestBox, position: int) -> bytes:
    frontier = Frontier()
    for signed in box.written[:position]:
        frontier.append(signed.leaf)
    return frontier.root()


async def _hub_records(hub: Hub) -> list[kinds.Body]:
    """Give the bodies of the hub's own records, once what is staged is logged."""
    await hub.log.issue(kinds.Access("marker", "test"), "test")
    size = hub.log.published_size()
    leaves = [read(await hub.log.leaf(index)) for index in range(size)]
    return [leaf.record.body for leaf in leaves if leaf.record.issuer.role == "hub"]


async def test_a_seal_must_name_the_mirrored_tree(hub: Hub, box: TestBox) -> None:
    await send(hub, box)
    for change in ({"root": EMPTY_ROOT}, {"size": 1}, {"origin": "portwitness.box/box-2/1"}):
        written = len(box.written)
        frontier = box.frontier.copy()
        box.seal(**change)
        answers = await hub.ingest.accept(BOX, box.batch(2))
        assert "seal" in verdict(answers) or "origin" in verdict(answers)
        del box.written[written:]
        box.frontier = frontier
    box.seal()
    assert await hub.ingest.accept(BOX, box.batch(2)) == [Persisted(BOX, 1, 3)]


async def test_a_new_epoch_is_compared_with_the_head_of_the_one_before(hub: Hub, box: TestBox) -> None:
    box.heartbeat()
    await send(hub, box)
    good = TestBox(epoch=2, identity=box.identity)
    good.boot(box)
    await send(hub, good)
    assert await hub.alarms.list() == []
    shorter = TestBox(epoch=3, identity=box.identity)
    shorter.boot(good, previous_size=1)
    assert await send(hub, shorter) == [Persisted(BOX, 3, 2)]
    another = TestBox(epoch=4, identity=box.identity)
    another.boot(shorter, previous_root=bytes(32))
    await send(hub, another)
    details = [alarm.detail for alarm in await hub.alarms.list() if alarm.kind == "lost head"]
    assert ["lost a tail" in detail for detail in details] == [False, True]


async def test_the_tail_of_an_old_epoch_may_come_after_the_new_one(hub: Hub, box: TestBox) -> None:
    for _ in range(4):
        box.heartbeat()
    await hub.ingest.accept(BOX, box.batch(0, 3))
    new = TestBox(epoch=2, identity=box.identity)
    new.boot(box)
    await send(hub, new)
    assert await hub.ingest.accept(BOX, box.batch(3)) == [Persisted(BOX, 1, 6)]
    assert await hub.alarms.list() == []


async def test_strangers_and_impostors_are_refused(hub: Hub, box: TestBox) -> None:
    stranger = TestBox(box=BoxId("box-9"))
    stranger.boot()
    with pytest.raises(ForbiddenError, match="not enrolled"):
        await hub.ingest.accept(stranger.box, stranger.batch())
    with pytest.raises(ForbiddenError, match="may not speak for"):
        await hub.ingest.accept(BoxId("box-1"), stranger.batch())
    with pytest.raises(MalformedError, match="not for the hub"):
        await hub.ingest.accept(BOX, Persisted(BOX, 1, 1))


async def test_a_revoked_box_is_refused_from_the_record_on(hub: Hub) -> None:
    box = TestBox()
    certificate = await enrol(hub, box)
    box.boot()
    await send(hub, box)
    await hub.log.issue(kinds.Enrolment("revoked", certificate.der, "admin", "stolen"), BOX)
    box.heartbeat()
    with pytest.raises(ForbiddenError, match="revoked"):
        await hub.ingest.accept(BOX, box.batch(2))
    assert (await hub.records.get("box:box-1", 1, 1)).kind == "session"


async def queued(hub: Hub, count: int) -> None:
    """Wait until so much waits for the database's writer."""
    threads = hub.core.database._write_thread
    assert threads is not None
    await until(lambda: threads._work_queue.qsize() >= count, f"{count} writes wait")


async def test_a_batch_on_its_way_when_its_box_is_revoked_is_not_committed(hub: Hub) -> None:
    box, blocked = TestBox(), threading.Event()
    certificate = await enrol(hub, box)
    box.boot()
    await send(hub, box)
    box.heartbeat()
    holding = asyncio.create_task(hub.core.database.write(lambda connection: blocked.wait(10)))
    revoking = asyncio.create_task(hub.log.issue(kinds.Enrolment("revoked", certificate.der, "admin", "stolen"), BOX))
    await queued(hub, 1)
    sending = asyncio.create_task(hub.ingest.accept(BOX, box.batch(2)))  # judged by the key that still counts
    await queued(hub, 2)
    blocked.set()
    await asyncio.gather(holding, revoking)
    with pytest.raises(UnavailableError, match="identities changed"):
        await sending
    with pytest.raises(ForbiddenError, match="revoked"):
        await hub.ingest.accept(BOX, box.batch(2))
    assert (await hub.records.get("box:box-1", 1, 1)).kind == "session"
    with pytest.raises(PortwitnessError):
        await hub.records.get("box:box-1", 1, 2)


@dataclass
class LateAnswers:
    """A database whose answers reach the asker late."""

    real: Database
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, question: Callable[[Connection], Any]) -> Any:
        answer = await self.real.read(question)
        self.asked.set()
        await self.let_go.wait()
        return answer

    async def write(self, change: Callable[[Connection], Any]) -> Any:
        return await self.real.write(change)


async def test_what_was_read_before_a_revocation_is_not_remembered_after(hub: Hub) -> None:
    box = TestBox()
    certificate = await enrol(hub, box)
    box.boot()
    hub.ingest.forget(BOX)
    late = LateAnswers(hub.core.database)
    core, hub.ingest.core = hub.ingest.core, replace(hub.core, database=cast(Database, late))
    reading = asyncio.create_task(hub.ingest.identities(BOX))
    await late.asked.wait()
    await hub.log.issue(kinds.Enrolment("revoked", certificate.der, "admin", "stolen"), BOX)
    await settled(hub)
    late.let_go.set()
    assert len(await reading) == 1  # true when it was asked
    hub.ingest.core = core
    with pytest.raises(ForbiddenError, match="revoked"):
        await hub.ingest.accept(BOX, box.batch())


# ---------------------------------------------------------------------------------------------------------------- blobs


async def test_a_blob_after_its_record_is_stored_at_once_and_named_by_a_record(hub: Hub, box: TestBox) -> None:
    _, data = box.segment()
    await send(hub, box)
    name = hashlib.sha256(data).digest()
    for _ in range(2):  # repeated: the same answer
        assert await hub.blobs.put(BOX, name, len(data), chunks(data)) == StoredBlobs(BOX, (name,))
    assert (await hub.blobs.open(name)).read_bytes() == data
    async with hub.events.subscribe() as events:
        if not any(isinstance(body, kinds.Stored) for body in await _hub_records(hub)):
            await anext(events)
    while not (stored := [body for body in await _hub_records(hub) if isinstance(body, kinds.Stored)]):
        pass
    assert stored == [kinds.Stored((name,))]


async def test_an_early_blob_waits_for_its_record(hub: Hub, box: TestBox) -> None:
    _, data = box.segment()
    name = hashlib.sha256(data).digest()
    assert await hub.blobs.put(BOX, name, len(data), chunks(data)) == StoredBlobs(BOX, ())
    assert await hub.blobs.acknowledge(BOX, name) == StoredBlobs(BOX, ())
    assert await send(hub, box) == [Persisted(BOX, 1, 3), StoredBlobs(BOX, (name,))]
    assert await hub.blobs.acknowledge(BOX, name) == StoredBlobs(BOX, (name,))


async def test_an_early_blob_whose_record_says_another_length_is_refused(hub: Hub, box: TestBox) -> None:
    data = secrets.token_bytes(100)
    name = hashlib.sha256(data).digest()
    await hub.blobs.put(BOX, name, len(data), chunks(data))
    box.segment(data=data, size=99)
    assert await send(hub, box) == [Persisted(BOX, 1, 3)]
    assert await hub.blobs.acknowledge(BOX, name) is None
    assert [alarm.kind for alarm in await hub.alarms.list()] == ["blob length"]


async def test_a_blob_that_does_not_fit_is_refused_and_may_come_right(hub: Hub, box: TestBox) -> None:
    _, data = box.segment()
    await send(hub, box)
    name = hashlib.sha256(data).digest()
    wrong = bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(VerificationError, match="hashes to"):
        await hub.blobs.put(BOX, name, len(wrong), chunks(wrong))
    with pytest.raises(VerificationError, match="record says"):
        await hub.blobs.put(BOX, name, len(data) - 1, chunks(data[:-1]))
    with pytest.raises(MalformedError, match="cut short"):
        await hub.blobs.put(BOX, name, len(data), chunks(data[:-10]))
    with pytest.raises(MalformedError, match="more than"):
        await hub.blobs.put(BOX, name, len(data), chunks(data + b"more"))
    assert await hub.blobs.head(name) is None
    assert (await hub.blobs.put(BOX, name, len(data), chunks(data))).blobs == (name,)


async def test_the_quarantine_is_bounded_per_box(hub: Hub, box: TestBox) -> None:
    async def put(data: bytes) -> StoredBlobs:
        return await hub.blobs.put(BOX, hashlib.sha256(data).digest(), len(data), chunks(data, 100_000))

    await put(secrets.token_bytes(700_000))
    with pytest.raises(DiskFullError, match="records first"):
        await put(secrets.token_bytes(700_000))
    await put(secrets.token_bytes(200_000))
    with pytest.raises(MalformedError, match="allowed"):
        await put(bytes(2_000_001))


async def second_box(hub: Hub) -> TestBox:
    other = TestBox(box=BoxId("box-2"))
    await enrol(hub, other)
    other.boot()
    return other


async def put_as(hub: Hub, box: TestBox, data: bytes) -> tuple[bytes, ...]:
    return (await hub.blobs.put(box.box, hashlib.sha256(data).digest(), len(data), chunks(data, 100_000))).blobs


async def owners(hub: Hub) -> list[tuple[str, str]]:
    query = select(blobs.c.box, blobs.c.state)
    return [(row.box, row.state) for row in await hub.core.database.read(lambda connection: connection.execute(query).all())]


async def test_a_blob_that_another_box_brought_early_serves_the_record_that_names_it(hub: Hub, box: TestBox) -> None:
    other = await second_box(hub)
    _, data = box.segment()
    name = hashlib.sha256(data).digest()
    assert await put_as(hub, other, data) == ()
    assert await send(hub, box) == [Persisted(BOX, 1, 3), StoredBlobs(BOX, (name,))]
    assert await owners(hub) == [(BOX, "stored")]
    assert await put_as(hub, other, data) == (name,)


async def test_a_blob_that_another_box_brings_after_the_record_is_stored_at_once(hub: Hub, box: TestBox) -> None:
    other = await second_box(hub)
    _, data = box.segment()
    name = hashlib.sha256(data).digest()
    await send(hub, box)
    assert await put_as(hub, other, data) == (name,)
    assert await hub.blobs.acknowledge(BOX, name) == StoredBlobs(BOX, (name,))
    assert await owners(hub) == [(BOX, "stored")]


async def test_a_blob_that_hung_in_another_box_s_quarantine_is_freed_when_it_is_asked_for(hub: Hub, box: TestBox) -> None:
    _, data = box.segment()
    name = hashlib.sha256(data).digest()
    await send(hub, box)
    await put_as(hub, box, data)
    hang = update(blobs).where(blobs.c.sha256 == name).values(box="box-2", state="quarantine")
    await hub.core.database.write(lambda connection: connection.execute(hang))
    assert await put_as(hub, box, data) == (name,)
    assert await owners(hub) == [(BOX, "stored")]


async def test_two_boxes_may_record_the_same_bytes(hub: Hub, box: TestBox) -> None:
    other, data = await second_box(hub), secrets.token_bytes(400)
    name = hashlib.sha256(data).digest()
    box.segment(data=data)
    other.segment(data=data)
    assert await put_as(hub, other, data) == ()
    assert await put_as(hub, box, data) == ()
    assert StoredBlobs(BOX, (name,)) in await send(hub, box)
    assert StoredBlobs(other.box, (name,)) in await send(hub, other)


async def test_what_one_box_says_wrongly_of_a_blob_changes_nothing_for_another(hub: Hub, box: TestBox) -> None:
    other, data = await second_box(hub), secrets.token_bytes(400)
    name = hashlib.sha256(data).digest()
    assert await put_as(hub, box, data) == ()
    other.segment(data=data, size=399)
    assert await send(hub, other) == [Persisted(other.box, 1, 3)]
    assert [alarm.kind for alarm in await hub.alarms.list()] == ["blob length"]
    with pytest.raises(VerificationError, match="record says 399"):
        await hub.blobs.acknowledge(other.box, name)
    box.segment(data=data)
    assert StoredBlobs(BOX, (name,)) in await send(hub, box)


async def test_a_box_pays_for_what_it_brought_until_a_record_of_any_box_names_it(hub: Hub, box: TestBox) -> None:
    other, data = await second_box(hub), secrets.token_bytes(700_000)
    box.segment(data=data)
    assert await put_as(hub, other, data) == ()
    assert await put_as(hub, box, data) == ()  # here already: nothing is counted twice
    assert await put_as(hub, box, secrets.token_bytes(700_000)) == ()
    with pytest.raises(DiskFullError, match="records first"):
        await put_as(hub, other, secrets.token_bytes(700_000))
    await send(hub, box)
    assert await put_as(hub, other, secrets.token_bytes(700_000)) == ()


async def test_what_no_record_names_goes_and_what_one_names_stays(database_url: str, tmp_path: Path) -> None:
    clock, box = ToldClock(), TestBox()
    async with open_hub(settings_for(tmp_path, database_url), clock, log_signer()) as hub:
        await enrol(hub, box)
        box.boot()
        _, kept = box.segment()
        lost = secrets.token_bytes(100)
        assert await put_as(hub, box, kept) == await put_as(hub, box, lost) == ()
        await send(hub, box)
        clock.pass_time(31 * 86_400)
        await hub.blobs.expire()
        assert await hub.blobs.acknowledge(BOX, hashlib.sha256(lost).digest()) is None
        assert await put_as(hub, box, lost) == ()
        assert (await hub.blobs.open(hashlib.sha256(kept).digest())).read_bytes() == kept


async def test_receipts_that_were_not_fetched_come_after_a_restart(database_url: str, tmp_path: Path) -> None:
    signer, box = log_signer(), TestBox()
    settings = settings_for(tmp_path, database_url)
    async with running_hub(settings, signer) as hub:
        await enrol(hub, box)
        box.boot()
        box.seal()
        await send(hub, box)
        before = await _published(hub, 2)
    async with running_hub(settings, signer) as hub:
        assert await hub.log.checkpoint() == before
        found = await receipts_until(hub, BOX, 2)
        assert [box.check(receipt, hub) for receipt in found] == [2]
        assert not [message for message in await mail(hub, BOX) if message.KIND == "receipt"]
        assert await hub.mail.repeat_receipts(BOX) == 1


async def _published(hub: Hub, size: int) -> bytes:
    async with hub.events.subscribe() as events:
        while hub.log.published_size() < size:
            await anext(events)
    return await hub.log.checkpoint()
