"""Whatever a box's clocks do, the interval contains the true time; online it is narrow, offline no wider than the outage and 2 s."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import kinds
from protocol.dating import Times, date
from protocol.examination import Faults
from protocol.instants import SECOND_NS
from protocol.intervals import BootTimes, Bound, Known, LogTimes, TimeInterval, WallWatch
from protocol.journals import origin
from protocol.notes import Checkpoint, SignedCheckpoint, sign_checkpoint
from simulators.clockwork import BOX, SIGNER, Plan, Trouble, World, run, widths

NEW_YEAR = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS
STARTS = (None, 0, int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * SECOND_NS, NEW_YEAR + 10**9 * SECOND_NS)


def dated(world: World) -> tuple[list[TimeInterval], Times, Faults]:
    """Give the interval of every record of a world, and see that it contains the truth."""
    faults = Faults()
    times = date(world.exhibits, faults)
    found = []
    for truth in world.truths:
        interval = times.at(BOX, truth.epoch, truth.mono_ns, truth.claimed)
        assert interval.earliest is None or interval.earliest <= truth.true_ns, (truth, interval)
        assert interval.latest is None or truth.true_ns <= interval.latest, (truth, interval)
        found.append(interval)
    return found, times, faults


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    seconds = draw(st.integers(20, 240))
    second = st.integers(0, seconds - 1)
    step = st.builds(Trouble, second, st.just("step"), st.integers(-(10**5), 10**5).map(lambda ms: ms * 10**6))
    freeze = st.builds(Trouble, second, st.just("freeze"), st.integers(1, 200).map(lambda s: s * SECOND_NS))
    reboot = st.builds(Trouble, second, st.sampled_from(("reboot", "restart")), st.integers(1, 5000).map(lambda s: s * SECOND_NS))
    sync = st.builds(Trouble, second, st.just("sync"))
    leaps = draw(st.booleans())
    return Plan(
        seconds=seconds,
        drift_ppm=tuple(draw(st.lists(st.integers(-195, 195), min_size=1, max_size=3))),
        wall_start=draw(st.sampled_from(STARTS)),
        troubles=tuple(draw(st.lists(st.one_of(step, freeze, reboot, sync), max_size=4))),
        offline=tuple((first, first + length) for first, length in draw(st.lists(st.tuples(second, st.integers(1, 200)), max_size=2))),
        begins_ns=NEW_YEAR - seconds // 2 * SECOND_NS if leaps else NEW_YEAR + 86_400 * SECOND_NS,
        leap_at=seconds // 2 - 1 if leaps and draw(st.booleans()) else None,
        seed=draw(st.integers(0, 1000)),
    )


@given(plans())
@settings(max_examples=60, deadline=None)
def test_the_interval_contains_the_true_time(plan: Plan) -> None:
    _, times, faults = dated(run(plan))
    assert times.notes == []  # honest clocks within the drift never contradict the log
    assert faults.found == []  # each step is announced by a record


def test_online_the_interval_is_narrow() -> None:
    found, _, _ = dated(run(Plan(1800, drift_ppm=(150, -150, 30))))
    _, p99, worst = widths([one.width for one in found])
    assert p99 <= 3
    assert worst <= 3
    assert all(one.is_inside for one in found)


@pytest.mark.parametrize(
    "troubles", [(), (Trouble(500, "reboot", 60 * SECOND_NS), Trouble(600, "reboot", 5 * SECOND_NS)), (Trouble(500, "restart"),)]
)
def test_offline_it_is_no_wider_than_the_outage(troubles: tuple[Trouble, ...]) -> None:
    found, _, _ = dated(run(Plan(1200, drift_ppm=(150, -190), offline=((300, 900),), troubles=troubles)))
    assert widths([one.width for one in found])[2] <= 600 + 2


def test_without_a_real_time_clock_the_claim_is_outside_and_the_interval_is_narrow() -> None:
    plan = Plan(600, wall_start=0, offline=((0, 200),), troubles=(Trouble(250, "sync"),))
    found, _, _ = dated(run(plan))
    assert widths([one.width for one in found])[2] <= 3  # the monotonic clock carries back what came after
    assert not found[10].is_inside
    assert found[10].error < -(10**9) * SECOND_NS
    assert found[-1].is_inside


def test_a_monotonic_clock_that_lies_is_not_believed() -> None:
    found, times, _ = dated(run(Plan(1200, drift_ppm=(30_000,))))
    assert any("contradicts the log" in note for note in times.notes)
    assert all("contradicts" in one.reasons[0] for one in found)


def test_a_head_brought_by_hand_narrows_an_outage() -> None:
    reboots = (Trouble(150, "reboot", 100 * SECOND_NS), Trouble(300, "reboot", 100 * SECOND_NS))
    world = run(Plan(600, offline=((100, 700),), troubles=reboots))  # the box was never reached again while it ran
    middle = [at for at, truth in enumerate(world.truths) if truth.epoch == 1]
    intervals = dated(world)[0]
    before = [intervals[at] for at in middle]
    range_ = world.exhibits.ranges[BOX][1]
    sealed = next(one.record for one in reversed(range_.records) if isinstance(one.record.body, kinds.Seal))
    brought = world.truths[middle[-1]].true_ns + 30 * SECOND_NS
    index = next(at for at, one in world.leaves.items() if one.record.at.wall_ns > brought)
    head = sign_checkpoint(Checkpoint(origin(BOX, 1), sealed.position, bytes(32)), SIGNER)
    body = kinds.HeadSeen(1, head, "li.wei", "code")
    world.exhibits.leaves[index] = replace(world.leaves[index].record, body=body, subject=str(BOX)).sign(SIGNER)
    size = min(one for one in world.notes if one > index)
    world.exhibits.notes[size] = SignedCheckpoint.parse(world.notes[size])
    after, _, faults = dated(world)
    assert faults.found == []
    assert widths([one.width for one in before])[2] > widths([after[at].width for at in middle])[2]
    forged = replace(body, note=sign_checkpoint(Checkpoint(origin(BOX, 1), sealed.position, b"x" * 32), SIGNER))
    world.exhibits.leaves[index] = replace(world.leaves[index].record, body=forged, subject=str(BOX)).sign(SIGNER)
    assert any("another journal" in fault.what for fault in dated(world)[2].found)


def test_a_wall_clock_that_moves_in_silence_is_named() -> None:
    watch = WallWatch()
    assert [watch.take(at, at, is_step=False) for at in range(0, 10 * SECOND_NS, SECOND_NS)] == [""] * 10
    said = [watch.take(at - 3600 * SECOND_NS, at, is_step=False) for at in range(10 * SECOND_NS, 20 * SECOND_NS, SECOND_NS)]
    assert any("moved by -3600000 ms" in one for one in said)
    announced = WallWatch()
    announced.take(0, 0, is_step=False)
    announced.take(-3600 * SECOND_NS, SECOND_NS, is_step=True)
    assert announced.take(-3590 * SECOND_NS, 11 * SECOND_NS, is_step=False) == ""


def test_bounds_are_carried_by_the_slowest_and_the_fastest_clock() -> None:
    base = NEW_YEAR + 10**6 * SECOND_NS
    boot = BootTimes([Bound(0, base, "named")], [Bound(100 * SECOND_NS, base + 101 * SECOND_NS, "covered")], drift_ppm=200)
    middle = boot.at(50 * SECOND_NS, base)
    assert middle.earliest == base + 50 * SECOND_NS - 10_000_000
    assert middle.latest == base + 51 * SECOND_NS + 10_000_000
    assert middle.error == base - middle.earliest
    assert [one.split(":")[0] for one in middle.reasons] == ["not before", "not after"]
    assert BootTimes([], []).at(5, 7) == TimeInterval(None, None, 7)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10**6)), max_size=20), st.integers(0, 60))
def test_the_log_bounds_by_every_tree_that_is_known(known: list[tuple[int, int]], size: int) -> None:
    found = [Known(one, NEW_YEAR + (time + 10) * SECOND_NS, "") for one, time in known]
    log = LogTimes(found, found)
    after = max((one.time_ns for one in found if one.size <= size), default=None)
    by = min((one.time_ns for one in found if one.size > size), default=None)
    low, high = log.not_before(size), log.not_after(size)
    assert (low.time_ns if low else None) == after
    assert (high.time_ns if high else None) == by
