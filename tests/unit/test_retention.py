"""Retention: holds beat periods, the longest class counts, and no clock can make a store go empty."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.retention import CLASSES, DAY_NS, LARGEST_LEAP_NS, Kept, Link, RetentionClass, advance, check_classes, plan, rule

BY_NAME = check_classes(CLASSES)
START = 20_000 * DAY_NS
BLOB = Kept(bytes(32), 5_000_000, START, is_proven=True)
TASK = Link("T-1", is_open=False, is_held=False, kept_as="inspection", ended_ns=START + DAY_NS)


def test_unlinked_video_goes_after_half_a_year_and_linked_video_after_its_class_counted_from_the_tasks_end() -> None:
    assert not rule(BLOB, BY_NAME, START + 182 * DAY_NS).may_go
    assert rule(BLOB, BY_NAME, START + 183 * DAY_NS).may_go
    linked = replace(BLOB, links=(TASK,))
    assert rule(linked, BY_NAME, START + 1096 * DAY_NS).until_ns == START + 1097 * DAY_NS
    assert rule(linked, BY_NAME, START + 1097 * DAY_NS).may_go


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (replace(BLOB, is_held=True), "legal hold"),
        (replace(BLOB, links=(TASK, replace(TASK, task="T-2", is_held=True))), "legal hold on T-2"),
        (replace(BLOB, links=(replace(TASK, is_open=True, ended_ns=None),)), "is open"),
        (replace(BLOB, is_proven=False), "not receipted"),
        (replace(BLOB, links=(TASK, replace(TASK, kept_as="evidence"))), "for ever"),
        (replace(BLOB, links=(replace(TASK, kept_as="gone"),)), "not known"),
    ],
)
def test_what_must_stay_stays_whatever_the_time(kept: Kept, said: str) -> None:
    found = rule(kept, BY_NAME, START + 10_000 * DAY_NS)
    assert not found.may_go and found.until_ns is None and said in found.reason


def test_the_longest_of_several_classes_counts() -> None:
    both = replace(BLOB, links=(replace(TASK, kept_as="copy"), TASK))
    assert "inspection" in rule(both, BY_NAME, START).reason


steps = st.lists(st.tuples(st.integers(-4000 * DAY_NS, 4000 * DAY_NS), st.integers(0, 30 * DAY_NS), st.booleans()), min_size=1, max_size=30)


@given(steps)
def test_no_wall_clock_moves_retention_faster_than_real_time(moves: list[tuple[int, int, bool]]) -> None:
    """Whatever the wall clock shows, retention's time moves on by at most the real time, and three days a restart."""
    boot, real, mono = 0, 0, 0
    tick, restarts = advance(None, START, 0, "0"), 0
    for offset, passed, restarted in moves:
        real += passed
        boot, mono, restarts = (boot + 1, 0, restarts + 1) if restarted else (boot, mono + passed, restarts)
        before, tick = tick, advance(tick, START + real + offset, mono, str(boot))
        assert tick.time_ns <= min(START + real + restarts * LARGEST_LEAP_NS, START + real + offset)
        assert tick.time_ns - before.time_ns <= max(passed, LARGEST_LEAP_NS)


@given(st.integers(1, 2000), st.integers(0, 2000))
def test_a_signed_outside_time_lets_it_catch_up_but_never_lead(away_days: int, vouched_days: int) -> None:
    tick = advance(None, START, 0, "a")
    after = advance(tick, START + away_days * DAY_NS, 5, "b", START + vouched_days * DAY_NS)
    own = min(away_days * DAY_NS, LARGEST_LEAP_NS)
    assert after.time_ns == START + max(own, min(vouched_days, away_days) * DAY_NS)


def test_a_jump_forward_inside_a_boot_makes_nothing_due() -> None:
    tick = advance(None, START, 0, "a")
    jumped = advance(tick, START + 3650 * DAY_NS, DAY_NS, "a")
    assert jumped.time_ns == START + DAY_NS
    assert not rule(BLOB, BY_NAME, jumped.time_ns).may_go


def test_a_clock_that_ran_ahead_and_was_set_right_makes_nothing_due_either() -> None:
    tick = advance(None, START + 3650 * DAY_NS, 0, "a")
    tick = advance(tick, START, DAY_NS, "a")
    assert tick.time_ns == START
    again = advance(tick, START + 3650 * DAY_NS, 2 * DAY_NS, "a")
    assert again.time_ns == START + DAY_NS


def test_too_much_at_once_asks_for_a_person() -> None:
    many = [replace(BLOB, sha256=bytes((number,)) * 32) for number in range(20)]
    assert len(plan(many, 1000 * BLOB.size, 5).chosen) == 20
    stopped = plan(many, 100 * BLOB.size, 5)
    assert stopped.chosen == () and "20.0 %" in stopped.stopped


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ((*CLASSES, CLASSES[0]), "one name"),
        (CLASSES[:1], "inspection"),
        ((*CLASSES, RetentionClass("x", 0, "")), "0 days"),
    ],
)
def test_bad_classes_are_named(classes: tuple[RetentionClass, ...], said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        check_classes(classes)
