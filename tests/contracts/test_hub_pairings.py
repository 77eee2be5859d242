"""Pairings at their edges: a claim that orders nothing, a second pairing of one recorder, whose code it was, an end not yet confirmed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.devices import OFFLINE
from hub.tasks import TaskDraft
from protocol.errors import RefusedError
from protocol.instants import SECOND_NS
from protocol.messages import BoxReport, Claim, Pair, Refusal
from storage.clock import SystemClock
from tests.contracts.test_hub_tasks import follow
from tests.hub_parts import BOX, TestBox, enrol, log_signer, mail, running_hub, send, settings_for
from tests.web_parts import open_face

TASK, RECORDER = "T-7", "box-1/rec-1"
SOON_S = 30


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with running_hub(settings_for(tmp_path), log_signer()) as running:
        yield running


@pytest.fixture
async def box(hub: Hub) -> TestBox:
    made = TestBox(wall_ns=SystemClock().now().wall_ns)
    await enrol(hub, made)
    made.boot()
    await send(hub, made)
    await hub.tasks.open(TaskDraft(task=TASK, title="tea", inspectors=("li", "wang")), "chen")
    return made


async def obey(hub: Hub, box: TestBox) -> None:
    for message in await mail(hub, BOX, 1.0):
        if isinstance(message, Pair):
            await follow(hub, box, message)


async def test_a_claim_of_a_recorder_that_is_paired_is_answered_at_once(hub: Hub, box: TestBox) -> None:
    code = await hub.tasks.code(TASK, "li")
    assert await hub.ingest.accept(BOX, Claim("c-1", BOX, "rec-1", code.code)) == []
    await obey(hub, box)
    (answer,) = await hub.ingest.accept(BOX, Claim("c-2", BOX, "rec-1", code.code))
    assert isinstance(answer, Refusal)
    assert (answer.claim, f"is paired with task {TASK} already" in answer.reason) == ("c-2", True)


async def test_a_pairing_by_code_names_who_showed_it_and_the_recorder(hub: Hub, box: TestBox) -> None:
    code = await hub.tasks.code(TASK, "li")
    await hub.ingest.accept(BOX, Claim("c-1", BOX, "rec-1", code.code))
    (state,) = await hub.pairings.states(TASK)
    assert state.by == "li"
    assert (state.reason or "").endswith("rec-1")


async def test_one_recorder_is_not_paired_twice_by_pairing_it_late(hub: Hub, box: TestBox) -> None:
    since = box.wall_ns - 60 * SECOND_NS
    late = [hub.pairings.pair(TASK, RECORDER, "li", since, "wang", "forgot") for _ in range(2)]
    first, second = await asyncio.gather(*late, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, RefusedError)
    assert "unpair it" in second.what
    assert len(await hub.pairings.states(TASK)) == 1


async def test_an_end_that_is_ordered_is_told_before_the_box_confirms_it(hub: Hub, box: TestBox) -> None:
    await hub.pairings.pair(TASK, RECORDER, "li")
    await obey(hub, box)
    state = await hub.pairings.unpair(TASK, RECORDER, "li")
    assert (state.state, state.ending) == ("paired", True)
    box.pass_time(2)
    await obey(hub, box)
    (state,) = await hub.pairings.states(TASK)
    assert (state.state, state.ending) == ("unpaired", False)


def report(online: bool = True) -> BoxReport:
    numbers: dict[str, Any] = dict.fromkeys(("wall_ns", "mono_ns", "journal_size", "unsent_records", "unsent_blobs", "unsent_bytes"), 0)
    return BoxReport(
        BOX, 1, **numbers, unreceipted=0, free_bytes=1, disk="ok", sources=(), sync="synced", software="0", transport="https", online=online
    )


async def test_a_silent_box_rings_once_and_its_return_ends_the_alarm(tmp_path: Path) -> None:
    async with open_face(tmp_path) as face:
        hub, listening = face.hub, face.hub.core.events.subscribe()
        await enrol(hub, TestBox())
        await hub.ingest.accept(BOX, report())
        async with listening, asyncio.timeout(SOON_S):
            face.clock.pass_time(30)
            await heard(listening, "device")  # offline, which rings only when it lasts
            assert await hub.alarms.list() == []
            face.clock.pass_time(60)
            await heard(listening, "alarm")
            ((kind, subject),) = [(alarm.kind, alarm.subject) for alarm in await hub.alarms.list()]
            assert (kind, subject) == (OFFLINE, BOX)
            await hub.ingest.accept(BOX, report())
            await heard(listening, "alarm acknowledged")
        assert await hub.alarms.list() == []
        (over,) = await hub.alarms.list(open_only=False)
        assert (over.acknowledged_by, over.count) == ("hub:hub-1", 1)


async def test_a_box_that_is_not_heard_after_the_hubs_start_rings_too(tmp_path: Path) -> None:
    async with open_face(tmp_path) as face:
        await enrol(face.hub, TestBox())
        async with face.hub.core.events.subscribe() as listening, asyncio.timeout(SOON_S):
            face.clock.pass_time(90)
            await heard(listening, "alarm")
        assert [alarm.subject for alarm in await face.hub.alarms.list()] == [BOX]


async def heard(listening: Any, event: str) -> None:
    async for change in listening:
        if change["event"] == event:
            return
