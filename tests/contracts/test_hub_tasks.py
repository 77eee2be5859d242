"""Tasks, pairings and lanes, on SQLite and on PostgreSQL alike."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.check import check_hub
from hub.tasks import TaskDraft
from hub.values import Lane
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.messages import BoxReport, Claim, EndTask, Pair, Refusal, Reply
from protocol.records import read
from storage.clock import SystemClock
from storage.keys import create_ed25519
from tests.hub_parts import BOX, TestBox, chunks, enrol, mail, opened_leaf, receipts_until, running_hub, send, settings_for, settled

TASK = "T-20261123-0001"
RECORDER, CAMERA = "box-1/rec-1", "box-1/cam-1"


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
    async with running_hub(settings_for(tmp_path, database_url), key) as running:
        yield running


@pytest.fixture
async def box(hub: Hub) -> TestBox:
    """Give an enrolled box whose wall clock is the hub's."""
    made = TestBox(wall_ns=SystemClock().now().wall_ns)
    await enrol(hub, made)
    made.boot()
    await send(hub, made)
    return made


def draft(**changes: Any) -> TaskDraft:
    facts = TaskDraft(task=TASK, title="Container 1", bay="bay-1", cameras=(CAMERA,), inspectors=("li", "wang"), facts=(("goods", "tea"),))
    return replace(facts, **changes)


async def commands(hub: Hub, kind: type[Any]) -> list[Any]:
    return [message for message in await mail(hub, BOX, 1.0) if isinstance(message, kind)]


async def follow(hub: Hub, box: TestBox, order: Pair) -> None:
    """Do as an edge box: write the pairing record that names the order, and answer."""
    signed = read(order.order)
    body = signed.record.body
    assert isinstance(body, kinds.Pairing)
    first = len(box.written)
    box.add(replace(body, order=signed.leaf), order.task)
    await send(hub, box, first)
    await hub.ingest.accept(BOX, Reply(order.command, True))


async def test_a_task_is_opened_and_ended_once_by_records(hub: Hub, box: TestBox) -> None:
    opened = await hub.tasks.open(draft(), "chen")
    assert (opened.state, opened.inspectors, opened.cameras, opened.facts) == ("opened", ("li", "wang"), (CAMERA,), (("goods", "tea"),))
    with pytest.raises(RefusedError, match="opened before"):
        await hub.tasks.open(draft(), "chen")
    ended = await hub.tasks.end(TASK, "chen")
    assert ended.ended_ns is not None
    assert await hub.tasks.end(TASK, "chen") == ended
    assert [task.state for task in await hub.tasks.list()] == ["ended"]
    record = read((await hub.records.get("hub:hub-1", 0, 1)).data).record
    assert (record.body.KIND, record.subject, record.position) == ("task", TASK, 1)
    assert [command.task for command in await commands(hub, EndTask)] == [TASK]  # the bay's camera is at this box


@pytest.mark.parametrize("wrong", [{"task": "no spaces"}, {"bay": "Bay/1"}, {"cameras": ("cam",)}, {"title": " "}, {"inspectors": ("Li",)}])
async def test_a_wrong_task_is_refused(hub: Hub, wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        await hub.tasks.open(draft(**wrong), "chen")
    assert await hub.tasks.list() == []


async def test_a_pairing_counts_from_the_box_s_record(hub: Hub, box: TestBox) -> None:
    await hub.tasks.open(draft(), "chen")
    assert (await hub.pairings.pair(TASK, RECORDER, "li")).state == "pending"
    (order,) = await commands(hub, Pair)
    assert (order.task, order.source, order.state) == (TASK, "rec-1", "paired")
    await follow(hub, box, order)
    (state,) = await hub.pairings.states(TASK)
    assert (state.state, state.effective_ns) == ("paired", box.wall_ns)
    assert await hub.pairings.pair(TASK, RECORDER, "li") == state
    await hub.pairings.unpair(TASK, RECORDER, "li")
    box.pass_time(5)
    (order,) = await commands(hub, Pair)
    await follow(hub, box, order)
    (state,) = await hub.pairings.states(TASK)
    assert (state.state, state.ended_ns) == ("unpaired", box.wall_ns)
    assert (await hub.tasks.get(TASK)).pairings == (state,)


async def test_a_recorder_is_bound_to_one_task(hub: Hub, box: TestBox) -> None:
    for name in (TASK, "T-2"):
        await hub.tasks.open(draft(task=name), "chen")
    await hub.pairings.pair(TASK, RECORDER, "li")
    with pytest.raises(RefusedError, match=TASK):
        await hub.pairings.pair("T-2", RECORDER, "li")
    with pytest.raises(RefusedError, match="not paired with task T-2"):
        await hub.pairings.unpair("T-2", RECORDER, "li")
    with pytest.raises(RefusedError, match="not enrolled"):
        await hub.pairings.pair(TASK, "box-9/rec-1", "li")
    await hub.tasks.end(TASK, "chen")
    with pytest.raises(RefusedError, match="has ended"):
        await hub.pairings.pair(TASK, RECORDER, "li")
    assert (await hub.pairings.pair("T-2", RECORDER, "li")).state == "pending"


async def test_a_refused_order_frees_the_recorder(hub: Hub, box: TestBox) -> None:
    for name in (TASK, "T-2"):
        await hub.tasks.open(draft(task=name), "chen")
    await hub.pairings.pair(TASK, RECORDER, "li")
    (order,) = await commands(hub, Pair)
    await hub.ingest.accept(BOX, Reply(order.command, False, "no such source"))
    assert [state.state for state in await hub.pairings.states(TASK)] == ["refused"]
    assert (await hub.pairings.pair("T-2", RECORDER, "li")).state == "pending"
    assert [alarm.kind for alarm in await hub.alarms.list()] == ["pairing refused"]


async def test_a_late_pairing_needs_a_second_person_and_a_reason(hub: Hub, box: TestBox) -> None:
    await hub.tasks.open(draft(cameras=()), "chen")
    since = box.wall_ns - 60 * SECOND_NS
    for second, reason in ((None, "forgot"), ("li", "forgot"), ("wang", None), ("wang", " ")):
        with pytest.raises(MalformedError):
            await hub.pairings.pair(TASK, RECORDER, "li", since, second, reason)
    with pytest.raises(MalformedError, match="future"):
        await hub.pairings.pair(TASK, RECORDER, "li", box.wall_ns + 3600 * SECOND_NS, "wang", "forgot")
    state = await hub.pairings.pair(TASK, RECORDER, "li", since, "wang", "forgot")
    assert (state.late_from, state.second, state.reason) == (since, "wang", "forgot")
    (order,) = await commands(hub, Pair)
    await follow(hub, box, order)
    (lane,) = (await hub.timeline.task(TASK)).lanes
    assert lane.late
    assert lane.stretches[0][0] == since


async def test_a_code_pairs_the_recorder_that_was_told_it(hub: Hub, box: TestBox) -> None:
    await hub.tasks.open(draft(), "chen")
    code = await hub.tasks.code(TASK)
    assert len(code.code) == 6
    assert code.expires_ns > SystemClock().now().wall_ns
    wrong = f"{(int(code.code) + 1) % 10**6:06}"
    assert isinstance((await hub.ingest.accept(BOX, Claim("c-0", BOX, "rec-1", wrong)))[0], Refusal)
    assert await hub.ingest.accept(BOX, Claim("c-1", BOX, "rec-1", code.code)) == []
    assert [state.stream for state in await hub.pairings.states(TASK)] == [RECORDER]
    for number in range(5):
        (answer,) = await hub.ingest.accept(BOX, Claim(f"g-{number}", BOX, "rec-2", f"{number:06}"))
    (answer,) = await hub.ingest.accept(BOX, Claim("g-9", BOX, "rec-2", (await hub.tasks.code(TASK)).code))
    assert isinstance(answer, Refusal)
    assert "wrong codes" in answer.reason


async def test_orders_and_ends_reach_a_box_that_was_away_and_a_hub_that_was_killed(hub: Hub, box: TestBox) -> None:
    await hub.tasks.open(draft(), "chen")
    await hub.pairings.pair(TASK, RECORDER, "li")
    await hub.tasks.end(TASK, "chen")
    first = await mail(hub, BOX)
    assert {type(message) for message in first} >= {Pair, EndTask}
    for message in first:
        if isinstance(message, Pair | EndTask):
            await hub.ingest.accept(BOX, Reply(message.command, True))
    assert not [message for message in await mail(hub, BOX) if isinstance(message, Pair | EndTask)]
    await hub.tasks.reconcile()
    await hub.pairings.reconcile()
    assert not [message for message in await mail(hub, BOX) if isinstance(message, Pair | EndTask)]


# ---------------------------------------------------------------------------------------------------------------- lanes


async def lane_of(hub: Hub, stream: str = CAMERA) -> Lane:
    return next(lane for lane in (await hub.timeline.task(TASK)).lanes if lane.stream == stream)


async def test_a_lane_shows_what_is_verified_pending_failed_and_missing(hub: Hub, box: TestBox) -> None:
    first = len(box.written)
    await hub.tasks.open(draft(), "chen")
    box.pass_time(1)
    box.recording()
    start = box.wall_ns
    _, stored = box.segment()
    box.segment()
    box.gap(seconds=4)
    _, refused = box.segment(size=1)
    box.pass_time(2)
    box.segment()
    await hub.blobs.put(BOX, hashlib.sha256(refused).digest(), len(refused), chunks(refused))
    await send(hub, box, first)
    await hub.blobs.put(BOX, hashlib.sha256(stored).digest(), len(stored), chunks(stored))
    lane = await lane_of(hub)
    assert [(piece.state, piece.detail) for piece in lane.segments] == [
        ("pending", "no receipt yet"),
        ("pending", "bytes not here yet, no receipt yet"),
        ("failed", "the bytes do not fit the record"),
        ("pending", "bytes not here yet, no receipt yet"),
    ]
    box.seal()
    await send(hub, box, len(box.written) - 1)
    await receipts_until(hub, BOX, len(box.written) - 1)
    lane = await lane_of(hub)
    assert [piece.state for piece in lane.segments] == ["verified", "pending", "failed", "pending"]
    assert [(gap.cause, gap.wall_to - gap.wall_from) for gap in lane.gaps] == [("camera lost", 4 * SECOND_NS)]
    assert lane.role == "camera"
    assert lane.unexplained == ((start + 34 * SECOND_NS, start + 36 * SECOND_NS),)


async def test_coverage_names_what_neither_segment_nor_gap_explains(hub: Hub, box: TestBox) -> None:
    box.wall_ns -= 100 * SECOND_NS
    first = len(box.written)
    box.add(kinds.BoxState("test"), BOX)
    await hub.tasks.open(draft(cameras=()), "chen")
    since = box.wall_ns
    box.recording("rec-1", way="whip")
    box.segment("rec-1", seconds=10)
    box.gap("rec-1", seconds=5, cause="recorder lost")
    box.segment("rec-1", seconds=10)
    box.pass_time(3)
    box.segment("rec-1", seconds=10)
    box.recording("rec-1", "stopped", "whip")
    box.pass_time(1)
    await send(hub, box, first)
    await hub.pairings.pair(TASK, RECORDER, "li", since, "wang", "late")
    (order,) = await commands(hub, Pair)
    await follow(hub, box, order)
    lane = await lane_of(hub, RECORDER)
    assert lane.role == "recorder"
    assert lane.unexplained == ((since + 25 * SECOND_NS, since + 28 * SECOND_NS),)
    (account,) = lane.coverage
    assert (account.recorded_ns, account.gap_ns) == (30 * SECOND_NS, 5 * SECOND_NS)
    assert lane.unexplained_ms == 3000


async def test_lanes_find_long_pieces_that_began_long_before(hub: Hub, box: TestBox) -> None:
    first = len(box.written)
    box.add(kinds.BoxState("clock"), BOX)
    box.wall_ns -= 7200 * SECOND_NS
    box.recording("rec-1", way="whip")
    box.segment("rec-1", seconds=3600)
    since = box.wall_ns - SECOND_NS
    box.gap("rec-1", seconds=3500, cause="recorder lost")
    await send(hub, box, first)
    await hub.tasks.open(draft(cameras=()), "chen")
    await hub.pairings.pair(TASK, RECORDER, "li", since, "wang", "late")
    (order,) = await commands(hub, Pair)
    await follow(hub, box, order)
    lane = await lane_of(hub, RECORDER)
    assert [piece.number for piece in lane.segments] == [0]
    assert [gap.cause for gap in lane.gaps] == ["recorder lost"]


async def test_views_are_records_from_start_to_end(hub: Hub) -> None:
    await hub.tasks.open(draft(), "chen")
    view = await hub.views.playback_started(TASK, "chen")
    await hub.views.ended(view)
    await hub.views.ended(view)
    bodies = [await opened_leaf(hub, index) for index in range(hub.log.published_size())]
    views = [(record.body.state, record.body.viewer, record.subject) for record in bodies if isinstance(record.body, kinds.View)]
    assert views == [("started", "chen", TASK), ("ended", "chen", TASK)]


async def test_devices_and_streams_tell_what_boxes_report(hub: Hub, box: TestBox) -> None:
    now = SystemClock().now().wall_ns
    report = BoxReport(
        box=BOX, epoch=1, wall_ns=now + 2 * SECOND_NS, mono_ns=1, sync="synced", software="0.1", transport="https", journal_size=2,
        unsent_records=0, unsent_blobs=0, unsent_bytes=0, unreceipted=2, free_bytes=1, disk="ok", sources=(),
    )  # fmt: skip
    assert await hub.ingest.accept(BOX, report) == []
    (device,) = await hub.devices.list()
    assert (device.online, device.enrolled, device.journal_size) == (True, True, 2)
    assert device.offset_ms is not None
    assert 1000 <= device.offset_ms <= 2001
    await hub.ingest.accept(BOX, replace(report, online=False))
    assert [each.online for each in await hub.devices.list()] == [False]
    first = len(box.written)
    box.recording()
    await send(hub, box, first)
    assert [stream.stream for stream in await hub.streams.list()] == [CAMERA]


async def test_the_check_finds_nothing_wrong_and_then_what_was_changed(hub: Hub, box: TestBox, database_url: str) -> None:
    await hub.tasks.open(draft(), "chen")
    await hub.pairings.pair(TASK, RECORDER, "li")
    first = len(box.written)
    box.recording()
    _, data = box.segment()
    box.gap()
    box.seal()
    await send(hub, box, first)
    await hub.blobs.put(BOX, hashlib.sha256(data).digest(), len(data), chunks(data))
    await receipts_until(hub, BOX, len(box.written) - 1)
    await settled(hub)  # the word that the blob is stored is a leaf too
    settings = hub.core.settings
    answer = await check_hub(settings)
    assert answer.problems == ()
    assert (answer.journals, answer.records, answer.blobs, answer.blob_bytes) == (1, len(box.written), 1, len(data))
    path = await hub.blobs.open(hashlib.sha256(data).digest())
    path.write_bytes(data[:-1] + b"?")
    (settings.port.state / "log" / "tile" / "0" / "000.p" / str(hub.log.published_size())).unlink()
    problems = (await check_hub(settings)).problems
    assert [problem.split(":")[0] for problem in problems] == ["S3 port log", f"S1 blob {path.name}"]
    if not database_url:
        with sqlite3.connect(settings.port.state / "hub.db") as other:
            other.execute("UPDATE segments SET number = 7")
        assert any(problem.startswith("S6 segments") for problem in (await check_hub(settings)).problems)


async def test_many_boxes_at_once_keep_their_order(hub: Hub) -> None:
    boxes = [TestBox(box=type(BOX)(f"box-{number}")) for number in range(5)]
    for each in boxes:
        await enrol(hub, each)
        each.boot()
        each.recording()
        for _ in range(40):
            each.segment()
            each.seal()
    await asyncio.gather(*(send(hub, each) for each in boxes))
    for each in boxes:
        await receipts_until(hub, each.box, len(each.written) - 1)
    assert (await check_hub(hub.core.settings)).problems == ()
    assert StreamId.of(boxes[0].box, "cam-1") in [stream.stream for stream in await hub.streams.list()]
