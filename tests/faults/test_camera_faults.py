"""Each fault of a camera gives the promised interruption, and the stream comes back."""

import asyncio
from dataclasses import replace

import pytest

from simulators.devices.camera_farm import Farm, FarmPlan
from simulators.devices.camera_faults import Fault
from simulators.devices.footage import Footage
from simulators.devices.rtsp_server import Guard
from tests.rtsp_parts import PLAIN, QUICK, footage, watching

HALF = replace(PLAIN, width=160, height=90, kbit=300)
REORDERED = replace(PLAIN, b_frames=2)


def plan(source: Footage) -> FarmPlan:
    return FarmPlan(source, cameras=2, alternatives={"resolution": footage(HALF), "bframes": footage(REORDERED)})


@pytest.fixture
def farm_plan() -> FarmPlan:
    return plan(footage())


@pytest.mark.parametrize(
    ("kind", "cam", "cause"),
    [
        ("refuse", 0, "refused"),
        ("offline", None, "refused"),
        ("unauthorized", 0, "unauthorized"),
        ("stall", 0, "stalled"),
        ("close", 0, "closed"),
        ("garbage", 0, "protocol"),
        ("restart", 0, "protocol"),
    ],
)
async def test_fault_is_told_and_the_stream_comes_back(farm_plan: FarmPlan, kind: str, cam: int | None, cause: str) -> None:
    async with Farm(farm_plan) as farm, watching(farm.url(0)) as memory, watching(farm.url(1)) as neighbour:
        await memory.until(lambda: len(memory.units) >= 5)
        await neighbour.until(lambda: len(neighbour.units) >= 5)
        fault = Fault(kind, cam, seconds=60)
        farm.begin(fault)
        await memory.until(lambda: cause in memory.causes)
        farm.end(fault)
        await memory.recovered_after(cause)
    assert neighbour.causes == ["stopped"] or cam is None
    at = memory.events.index(cause)
    assert "formats" in memory.events[at : at + memory.events[at:].index("unit")]
    assert all(unit.payloads in {unit.nals for unit in farm_plan.footage.units} for unit in memory.pictures)


async def test_restarted_timestamps_cut_without_losing_a_picture(farm_plan: FarmPlan) -> None:
    async with Farm(farm_plan) as farm, watching(farm.url(0)) as memory:
        await memory.until(lambda: len(memory.units) >= 10)
        farm.begin(Fault("restart", 0))
        await memory.until(lambda: len(memory.formats) == 2 and len(memory.units) >= 30)
        assert len(farm.connections) == 1
    assert memory.interruptions[0] == ("protocol", "timestamps restarted")
    loop = [unit.nals for unit in farm_plan.footage.units]
    start = loop.index(memory.units[0].payloads)
    assert [unit.payloads for unit in memory.units] == [loop[(start + at) % len(loop)] for at in range(len(memory.units))]
    cut = memory.events.index("protocol") - 1
    assert memory.units[cut].pts == 0
    assert memory.units[cut + 1].pts == 3600


@pytest.mark.parametrize("kind", ["resolution", "bframes"])
async def test_new_parameter_sets_come_in_the_stream(farm_plan: FarmPlan, kind: str) -> None:
    other = farm_plan.alternatives[kind]
    async with Farm(farm_plan) as farm, watching(farm.url(0)) as memory:
        await memory.until(lambda: len(memory.units) >= 5)
        fault = Fault(kind, 0, seconds=60)
        farm.begin(fault)
        await memory.until(lambda: other.units[11].nals in [unit.payloads for unit in memory.units])
        farm.end(fault)
        seen = len(memory.units)
        await memory.until(lambda: any(unit.is_key and farm_plan.footage.sps in unit.payloads for unit in memory.units[seen:]))
    assert memory.causes == ["stopped"]
    changed = [unit for unit in memory.units if other.sps in unit.payloads]
    assert changed[0].payloads == other.units[0].nals
    assert changed[0].is_key
    pts = [unit.pts for unit in memory.units]
    assert (pts != sorted(pts)) == (kind == "bframes")
    assert len(set(pts)) == len(pts)


async def test_lost_packets_are_counted_and_broken_pictures_left_out(farm_plan: FarmPlan) -> None:
    async with Farm(farm_plan) as farm, watching(farm.url(0), settings=replace(QUICK, stall_s=10)) as memory:
        await memory.until(lambda: len(memory.units) >= 5)
        fault = Fault("loss", 0, seconds=60, value=0.15)
        farm.begin(fault)
        await memory.until(lambda: sum(unit.lost_before for unit in memory.units) >= 5)
        farm.end(fault)
        count = len(memory.units)
        await memory.until(lambda: len(memory.units) >= count + 20)
        (connection,) = farm.connections
        await memory.until(lambda: any(packet[13:16] != b"\0\0\0" for packet in connection.control_packets))
    assert memory.causes == ["stopped"]
    sent = {tuple(nal for nal in unit.nals if nal[0] & 31 <= 5) for unit in farm_plan.footage.units}
    assert {tuple(nal for nal in unit.payloads if nal[0] & 31 <= 5) for unit in memory.units} <= sent


async def test_slow_camera_is_late_and_whole(farm_plan: FarmPlan) -> None:
    async with Farm(farm_plan) as farm, watching(farm.url(0)) as memory:
        await memory.until(lambda: len(memory.units) >= 5)
        farm.begin(Fault("slow", 0, seconds=0.5, value=0.3))
        await memory.until(lambda: len(memory.units) >= 60)
    assert memory.causes == ["stopped"]
    assert [later.pts - unit.pts for unit, later in zip(memory.units, memory.units[1:], strict=False)] == [3600] * (len(memory.units) - 1)


async def test_device_clock_steps_and_skews_and_silences(farm_plan: FarmPlan) -> None:
    async with Farm(farm_plan) as farm:
        farm.begin(Fault("no_reports", 1, seconds=60))
        async with watching(farm.url(0)) as memory, watching(farm.url(1)) as silent:
            await memory.until(lambda: len(memory.units) >= 5)
            farm.begin(Fault("step", 0, seconds=60, value=3600))
            farm.begin(Fault("skew", 0, seconds=60, value=-1e5))
            await memory.until(lambda: (memory.units[-1].device_ns or 0) - (memory.units[0].device_ns or 0) > 3000 * 10**9)
            await silent.until(lambda: len(silent.units) >= 5)
    assert all(unit.device_ns is None for unit in silent.units)
    steps = [
        (later.device_ns or 0) - (unit.device_ns or 0) - (later.pts - unit.pts) * 100_000 // 9
        for unit, later in zip(memory.units, memory.units[1:], strict=False)
    ]
    assert sum(step > 3000 * 10**9 for step in steps) == 1


async def test_wrong_password_is_told_once_and_tried_seldom(farm_plan: FarmPlan) -> None:
    async with (
        Farm(replace(farm_plan, guard=Guard("u", "right"))) as farm,
        watching(farm.url(0), username="u", password="wrong-secret", settings=replace(QUICK, refusal_s=0.05)) as memory,
    ):
        await memory.until(lambda: memory.causes == ["unauthorized"])
        farm.guard = Guard("u", "wrong-secret")
        await memory.until(lambda: len(memory.units) > 3)
    assert memory.causes == ["unauthorized", "stopped"]
    assert "secret" not in str(memory.interruptions)


async def test_basic_login_is_refused_unless_allowed(farm_plan: FarmPlan) -> None:
    async with (
        Farm(replace(farm_plan, guard=Guard("u", "p", offers_basic_only=True))) as farm,
        watching(farm.url(0), username="u", password="p") as memory,
    ):
        await memory.until(lambda: bool(memory.interruptions))
    assert memory.interruptions[0] == ("unauthorized", "no allowed way to log in is offered (offered: basic)")


async def test_scheduled_faults_begin_and_end_by_themselves(farm_plan: FarmPlan) -> None:
    faults = (Fault("stall", 0, at_s=0.3, seconds=1.0),)
    async with Farm(replace(farm_plan, faults=faults)) as farm, watching(farm.url(0)) as memory:
        await memory.recovered_after("stalled")
    assert memory.causes[0] == "stalled"


async def test_cancelled_during_a_pause_stops_at_once(farm_plan: FarmPlan) -> None:
    async with Farm(farm_plan) as farm:
        farm.begin(Fault("offline", seconds=60))
        async with watching(farm.url(0), settings=replace(QUICK, backoff_first_s=60, backoff_limit_s=60)) as memory:
            await memory.until(lambda: bool(memory.interruptions))
            await asyncio.sleep(0)
    assert memory.causes == ["refused", "stopped"]
