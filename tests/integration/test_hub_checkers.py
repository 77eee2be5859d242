"""Processes that check signatures: what they let pass, that refusals stay as they were, and that their death loses nothing."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.app import Hub
from hub.checker import Question, answer, check, decode_heads, encode_heads, encode_question, frame
from hub.checkers import BACKLOG_BATCH, SLICE, Checkers
from hub.config import IngestSettings
from protocol import kinds
from protocol.errors import MalformedError
from protocol.identifiers import Issuer
from protocol.instants import Instant
from protocol.merkle import root_at
from protocol.messages import JournalBatch, Message, Persisted, Resend
from protocol.signatures import Ed25519Signer
from storage.clock import SystemClock
from storage.logs import JournalLog, reader
from tests.hub_parts import BOX, TestBox, enrol, log_signer, receipts_until, running_hub, settings_for

ISSUER = Issuer.of_box(BOX)
WAIT_S = 60


def journal(count: int) -> TestBox:
    """Write an epoch of heartbeats with a segment and a seal among them."""
    box = TestBox()
    box.boot()
    box.recording()
    while len(box.written) < count:
        box.heartbeat()
        if len(box.written) == 40:
            box.segment()
            box.seal()
    return box


def question(box: TestBox, first: int, end: int | None = None) -> Question:
    return Question(ISSUER, box.epoch, first, box.session.public.spki, [signed.data for signed in box.written[first:end]])


def forged(data: bytes) -> bytes:
    return data[:-1] + bytes((data[-1] ^ 1,))


def changed(asked: Question, at: int, data: bytes) -> Question:
    records = list(asked.records)
    records[at] = data
    return asked._replace(records=records)


def test_what_passes_is_what_was_written() -> None:
    box = journal(60)
    heads = check(question(box, 2))
    assert [(head.leaf, head.root, head.kind, head.subject, head.wall_ns, head.mono_ns) for head in heads] == [
        (each.leaf, each.record.root, each.record.kind, each.record.subject, each.record.at.wall_ns, each.record.at.mono_ns)
        for each in box.written[2:]
    ]


@pytest.mark.parametrize(
    "wrong",
    ["signature", "garbage", "another key", "another epoch", "another issuer", "another position", "boot", "a time beyond a row"],
)
def test_it_stops_at_the_first_that_is_not_plain(wrong: str) -> None:
    box = journal(30)
    asked = question(box, 2)
    other = box.written[12]
    stranger = Ed25519Signer.of(Ed25519PrivateKey.generate())
    beat = kinds.Heartbeat(())
    at: dict[str, Any] = {"position": 12, "root": other.record.root}
    changes: dict[str, Callable[[], bytes]] = {
        "signature": lambda: forged(other.data),
        "garbage": lambda: b"\xd2\x84garbage",
        "another key": lambda: box.make(beat, BOX, stranger, **at).data,
        "another epoch": lambda: box.make(beat, BOX, **(at | {"epoch": 2})).data,
        "another issuer": lambda: box.make(beat, BOX, **(at | {"issuer": Issuer("box:box-2")})).data,
        "another position": lambda: box.make(beat, BOX, **(at | {"position": 13})).data,
        "boot": lambda: box.make(kinds.Boot(b"boot", "1"), BOX, **at).data,
        "a time beyond a row": lambda: box.make(beat, BOX, **(at | {"at": _late(box)})).data,
    }
    assert len(check(changed(asked, 10, changes[wrong]()))) == 10


def _late(box: TestBox) -> Instant:
    return replace(box.written[5].record.at, mono_ns=1 << 63)


def test_questions_and_answers_keep_their_form() -> None:
    box = journal(50)
    heads = check(question(box, 2))
    assert decode_heads(encode_heads(heads)) == heads
    sink = io.BytesIO()
    answer(io.BytesIO(frame(encode_question(question(box, 2))) + frame(encode_question(question(box, 2, 2)))), sink)
    assert sink.getvalue() == frame(encode_heads(heads)) + frame(encode_heads([]))
    with pytest.raises(MalformedError):
        decode_heads(encode_heads(heads)[:-1])


@pytest.fixture
async def checkers() -> AsyncIterator[Checkers]:
    async with Checkers(SystemClock(), 2, restart_s=0.1) as made:
        assert await made.started() == 2
        yield made


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(WAIT_S):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def busy(checkers: Checkers, pid: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while not checkers.busy(pid):  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_answers_of_several_processes_are_put_together_in_order(checkers: Checkers) -> None:
    box = journal(2 + 6 * SLICE)
    asked = question(box, 2)
    assert await checkers.check(asked) == check(asked)
    cut = await checkers.check(changed(asked, 3 * SLICE + 5, forged(asked.records[3 * SLICE + 5])))
    assert cut == check(asked)[: 3 * SLICE + 5]
    assert await asyncio.gather(*(checkers.check(asked) for _ in range(4))) == [check(asked)] * 4


async def test_a_small_batch_is_not_worth_a_process() -> None:
    box = journal(BACKLOG_BATCH)
    async with Checkers(SystemClock(), 2) as made:
        assert await made.check(question(box, 2, 60)) == []
        assert made.pids == []
    async with Checkers(SystemClock(), 0) as made:
        assert await made.started() == 0


async def test_a_dead_process_costs_its_answers_and_is_started_again(checkers: Checkers) -> None:
    asked = question(journal(2 + 6 * SLICE), 2)
    whole = check(asked)
    before = checkers.pids
    stopped = before[0]
    os.kill(stopped, signal.SIGSTOP)  # it takes questions and does not answer
    asking = asyncio.create_task(checkers.check(asked))
    await busy(checkers, stopped)
    os.kill(stopped, signal.SIGKILL)
    found = await asking
    assert found == whole[: len(found)]
    await gone([stopped])
    os.kill(before[1], signal.SIGKILL)
    await gone([before[1]])
    async with asyncio.timeout(WAIT_S):
        while len(checkers.pids) < 2 or set(checkers.pids) & set(before):
            await checkers.started()
            await asyncio.sleep(0.05)
    assert await checkers.check(asked) == whole


async def test_leaving_ends_them() -> None:
    async with Checkers(SystemClock(), 2) as made:
        await made.started()
        pids = made.pids
        os.kill(pids[0], signal.SIGTERM)  # as the whole group gets it: the hub decides
        os.kill(pids[1], signal.SIGINT)
        assert len(await made.check(question(journal(100), 2))) == 98
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_they_do_not_outlive_a_hub_that_was_killed() -> None:
    program = (
        "import asyncio\nfrom hub.checkers import Checkers\nfrom storage.clock import SystemClock\n"
        "async def run():\n    async with Checkers(SystemClock(), 2) as made:\n        await made.started()\n"
        "        print(*made.pids, flush=True)\n        await asyncio.sleep(60)\nasyncio.run(run())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:  # noqa: ASYNC220
        assert child.stdout is not None
        line = await asyncio.to_thread(child.stdout.readline)
        pids = [int(pid) for pid in line.split()]
        child.kill()
    assert len(pids) == 2
    await gone(pids)


# --------------------------------------------------------------------------------------------------------- in a hub


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(settings_for(tmp_path, ingest=IngestSettings(checkers=2)), log_signer()) as running:
        assert running.ingest.checkers is not None
        assert await running.ingest.checkers.started() == 2
        yield running


async def send_batches(hub: Hub, box: TestBox, width: int = 100) -> list[Message]:
    answers: list[Message] = []
    for batch in box.batches(width):
        answers += await hub.ingest.accept(BOX, batch)
    return answers


async def test_a_backlog_is_persisted_and_receipted(hub: Hub) -> None:
    box = journal(300)
    box.seal()
    await enrol(hub, box)
    await hub.mail.take(BOX, 0)
    sizes = [answer.size for answer in await send_batches(hub, box) if isinstance(answer, Persisted)]
    assert sizes == [100, 200, 300, 301]
    assert [box.check(receipt, hub) for receipt in await receipts_until(hub, BOX, 300)] == [41, 300]
    for position in (3, 40, 41, 150, 299):
        kept = await hub.records.get(str(ISSUER), 1, position)
        assert kept.data == box.written[position].data
    assert await hub.alarms.list() == []


@pytest.mark.parametrize("width", [100, 256])
async def test_the_mirrored_tree_is_the_same_however_it_came(hub: Hub, width: int) -> None:
    box = journal(600)
    await enrol(hub, box)
    assert (await send_batches(hub, box, width))[-1] == Persisted(BOX, 1, 600)
    log = JournalLog(str(ISSUER), 1)
    assert await hub.core.database.read(lambda connection: root_at(600, reader(connection, log))) == box.frontier.root()


@pytest.mark.parametrize("bad", [0, 1, 70, 150, 199])
async def test_a_fault_is_named_as_without_them(hub: Hub, tmp_path: Path, bad: int) -> None:
    box = journal(300)
    records = [signed.data for signed in box.written]
    start, end = 50, 250
    records[start + bad] = forged(records[start + bad])
    batches = [JournalBatch(BOX, 1, 0, tuple(records[:start])), JournalBatch(BOX, 1, start, tuple(records[start:end]))]
    said = []
    async with running_hub(settings_for(tmp_path / "alone", ingest=IngestSettings(checkers=0)), log_signer()) as alone:
        for each in (hub, alone):
            await enrol(each, box)
            said.append([await each.ingest.accept(BOX, batch) for batch in batches])
    assert said[0] == said[1]
    (refusal,) = [answer for answer in said[0][1] if isinstance(answer, Resend)]
    assert refusal.size == start + bad
    assert f"position {start + bad}: signature does not hold" in str(refusal.verdict)
    assert await hub.ingest.accept(BOX, box.batch(start + bad, end)) == [Persisted(BOX, 1, end)]


async def test_a_wrong_root_time_or_seal_is_named_as_without_them(hub: Hub) -> None:
    box = journal(150)
    await enrol(hub, box)
    assert await hub.ingest.accept(BOX, box.batch(0, 100)) == [Persisted(BOX, 1, 100)]
    good = [signed.data for signed in box.written[100:]]
    at: dict[str, Any] = {"position": 120, "root": box.written[120].record.root}
    faults = {
        "another tree": box.make(kinds.Heartbeat(()), BOX, **(at | {"root": bytes(32)})),
        "backwards": box.make(kinds.Heartbeat(()), BOX, **(at | {"at": box.written[3].record.at})),
    }
    for said, record in faults.items():
        answers = await hub.ingest.accept(BOX, JournalBatch(BOX, 1, 100, (*good[:20], record.data, *good[21:])))
        verdicts = [answer.verdict for answer in answers if isinstance(answer, Resend)]
        assert len(verdicts) == 1
        assert said in str(verdicts[0])
        assert "position 120" in str(verdicts[0])
    assert await hub.ingest.accept(BOX, box.batch(120)) == [Persisted(BOX, 1, 150)]


async def test_a_new_session_key_amid_a_backlog_is_followed(hub: Hub) -> None:
    box = journal(80)
    box.session = log_signer()
    box.add(kinds.Session(box.session.public.raw(), box.mono_ns + (1 << 40), "live"), str(BOX), box.identity)
    for _ in range(150):
        box.heartbeat()
    await enrol(hub, box)
    sizes = [answer.size for answer in await send_batches(hub, box, 110) if isinstance(answer, Persisted)]
    assert sizes == [110, 220, 231]


async def test_their_death_loses_nothing(hub: Hub) -> None:
    box = journal(700)
    await enrol(hub, box)
    batches = box.batches(100)
    assert await hub.ingest.accept(BOX, batches[0]) == [Persisted(BOX, 1, 100)]
    checkers = hub.ingest.checkers
    assert checkers is not None
    first, second = checkers.pids
    os.kill(first, signal.SIGSTOP)
    accepting = asyncio.create_task(hub.ingest.accept(BOX, batches[1]))
    await busy(checkers, first)
    os.kill(first, signal.SIGKILL)
    assert await accepting == [Persisted(BOX, 1, 200)]
    os.kill(second, signal.SIGKILL)
    for number, batch in enumerate(batches[2:], 3):
        assert await hub.ingest.accept(BOX, batch) == [Persisted(BOX, 1, 100 * number)]
    assert await hub.alarms.list() == []
