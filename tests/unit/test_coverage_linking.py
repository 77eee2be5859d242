"""What belongs to a task, and that recorded + gaps + unexplained is always the whole period."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.coverage import GapSpan, account, clip, subtract
from protocol.errors import MalformedError
from protocol.identifiers import StreamId
from protocol.instants import Interval
from protocol.linking import FOREVER_NS, Bond, TaskSpan, belongs, check_late, merge, planned_end, stretches

CAMERA, RECORDER = StreamId("box-1/cam-1"), StreamId("box-1/rec-1")
INTERVALS = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: Interval(min(pair), max(pair)))
PERIODS = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda pair: Interval(pair[0], pair[0] + pair[1]))


def instants(intervals: list[Interval]) -> set[int]:
    return {at for interval in intervals for at in range(interval.start, interval.end)}


@given(PERIODS, st.lists(INTERVALS, max_size=8), st.lists(INTERVALS, max_size=5))
def test_every_instant_is_accounted_for_once(period: Interval, segments: list[Interval], gaps: list[Interval]) -> None:
    found = account(period, segments, [GapSpan(gap, "restart") for gap in gaps], slack_ns=0)
    assert found.recorded_ns + found.gap_ns + found.unexplained_ns == period.length
    whole = instants([period])
    assert found.recorded_ns == len(whole & instants(segments))
    assert found.gap_ns == len((whole & instants(gaps)) - instants(segments))
    assert instants(list(found.unexplained)) == whole - instants(segments) - instants(gaps)


@given(PERIODS, st.lists(INTERVALS, max_size=8), st.integers(0, 5))
def test_slack_only_ever_explains_small_holes(period: Interval, segments: list[Interval], slack: int) -> None:
    found = account(period, segments, [], slack_ns=slack)
    assert found.recorded_ns + found.unexplained_ns == period.length
    assert all(hole.length > slack for hole in found.unexplained)


@given(st.lists(INTERVALS, max_size=8), st.lists(INTERVALS, max_size=8), PERIODS)
def test_merge_clip_subtract_are_those_of_sets(one: list[Interval], two: list[Interval], period: Interval) -> None:
    merged = merge(one)
    assert instants(merged) == instants(one)
    assert all(before.end < after.start for before, after in pairwise(merged))
    assert instants(clip(merged, period)) == instants(one) & instants([period])
    assert instants(subtract(merged, merge(two))) == instants(one) - instants(two)


def test_an_empty_period_is_whole() -> None:
    assert account(Interval(5, 5), [], []).percent == 100.0


def test_cameras_belong_from_opening_to_end_and_recorders_while_paired() -> None:
    found = stretches(TaskSpan(10, 50, (CAMERA,)), [Bond(RECORDER, 20, 30), Bond(RECORDER, 40)])
    assert found == {CAMERA: [Interval(10, 50)], RECORDER: [Interval(20, 30), Interval(40, 50)]}


def test_an_open_task_lasts() -> None:
    assert stretches(TaskSpan(10, None, ()), [Bond(RECORDER, 20)]) == {RECORDER: [Interval(20, FOREVER_NS)]}


def test_a_late_pairing_reaches_back() -> None:
    assert stretches(TaskSpan(10, 50, ()), [Bond(RECORDER, 20, 30, late_from=5)]) == {RECORDER: [Interval(5, 30)]}


def test_what_was_open_at_an_edge_is_in() -> None:
    linked = stretches(TaskSpan(10, 50, (CAMERA,)), [])
    assert [belongs(Interval(*piece), CAMERA, linked) for piece in ((0, 10), (0, 11), (49, 60), (50, 60))] == [False, True, True, False]
    assert not belongs(Interval(10, 50), RECORDER, linked)


@pytest.mark.parametrize(("second", "reason"), [(None, "late"), ("li.wei", "late"), ("wang.fang", None), ("wang.fang", " ")])
def test_a_late_pairing_needs_a_second_person_and_a_reason(second: str | None, reason: str | None) -> None:
    with pytest.raises(MalformedError, match="late pairing"):
        check_late(5, second, reason, "li.wei")
    check_late(None, second, reason, "li.wei")
    check_late(5, "wang.fang", "forgotten", "li.wei")


def test_an_interval_does_not_end_before_it_starts() -> None:
    with pytest.raises(MalformedError):
        Interval(2, 1)


def test_the_planned_end_of_a_task_is_a_time_with_an_offset() -> None:
    assert planned_end([("declaration", "D-1")]) is None
    assert planned_end([("planned end", "2026-03-01T17:30:00+08:00")]) == 1_772_357_400 * 10**9
    for wrong in ("17:30", "2026-03-01T17:30:00", "soon"):
        with pytest.raises(MalformedError, match="planned end"):
            planned_end([("planned end", wrong)])
