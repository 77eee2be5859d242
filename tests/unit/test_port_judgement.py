"""The judge itself must see a lost frame, a gap without cause, a foreign sample and one stored twice."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from protocol.coverage import GapSpan
from protocol.instants import SECOND_NS, Interval
from simulators.judgement import Sample, Sent, account, sample_hashes, with_silence

STEP_NS = SECOND_NS // 25


def frames(count: int) -> list[Sent]:
    return [Sent(at * STEP_NS, (f"frame-{at}",)) for at in range(count)]


def samples(sent: list[Sent], late_ns: int = 3_000_000) -> list[Sample]:
    return [Sample(each.wall_ns + late_ns, each.hashes) for each in sent]


WHOLE = Interval(0, 1000 * SECOND_NS)


def test_everything_recorded() -> None:
    sent = frames(100)
    found = account("box-1/cam-1", sent, samples(sent), [], WHOLE)
    assert (found.sent, found.recorded, found.percent, found.unexplained_ns) == (100, 100, 100.0, 0)


def test_a_loop_repeats_its_hashes_and_each_round_is_told_apart() -> None:
    sent = [Sent(at * STEP_NS, (f"frame-{at % 200}",)) for at in range(600)]
    kept = [each for at, each in enumerate(sent) if at != 250]
    found = account("box-1/cam-1", sent, samples(kept), [], WHOLE)
    assert (found.recorded, found.unexplained) == (599, (250 * STEP_NS,))


def test_a_foreign_sample_and_one_stored_twice_are_seen() -> None:
    sent = frames(10)
    found = account("box-1/cam-1", sent, [*samples(sent), samples(sent)[3], Sample(0, ("forged",))], [], WHOLE)
    assert (found.foreign, found.twice) == (1, 1)


def test_a_sample_far_from_its_frame_in_time_is_foreign() -> None:
    sent = frames(10)
    assert account("box-1/cam-1", sent, samples(sent, late_ns=60 * SECOND_NS), [], WHOLE).foreign == 10


@given(st.sets(st.integers(0, 99)), st.integers(0, 99), st.integers(0, 99))
def test_sent_is_recorded_or_in_a_gap_or_unexplained(lost: set[int], one: int, other: int) -> None:
    sent = frames(100)
    kept = [each for at, each in enumerate(sent) if at not in lost]
    gap = GapSpan(Interval(sent[min(one, other)].wall_ns, sent[max(one, other)].wall_ns), "restart")
    found = account("box-1/cam-1", sent, samples(kept), [gap], WHOLE)
    assert found.recorded + found.in_gaps + len(found.unexplained) == found.sent == 100
    assert found.recorded == 100 - len(lost)
    assert all(not min(one, other) < at // STEP_NS < max(one, other) for at in found.unexplained)


def test_only_frames_of_the_interval_count() -> None:
    sent = frames(100)
    found = account("box-1/cam-1", sent, [], [], Interval(sent[10].wall_ns, sent[20].wall_ns))
    assert (found.sent, len(found.unexplained), found.unexplained_ns) == (10, 10, 10 * STEP_NS)


def test_slices_are_known_again_when_other_nal_units_moved() -> None:
    parameter_set, slice_unit = b"\x67abc", b"\x65picture"
    plain = len(slice_unit).to_bytes(4, "big") + slice_unit
    with_set = len(parameter_set).to_bytes(4, "big") + parameter_set + plain
    assert sample_hashes(plain)[1] == sample_hashes(with_set)[1] == hashlib.sha256(plain).hexdigest()
    assert sample_hashes(plain)[0] != sample_hashes(with_set)[0]


def test_time_without_anybody_to_send_to_needs_a_gap_too() -> None:
    sent = [each for each in frames(250) if not 2 * SECOND_NS < each.wall_ns < 6 * SECOND_NS]
    within = Interval(0, 10 * SECOND_NS)
    whole = with_silence(sent, within)
    bare = account("box-1/cam-1", whole, samples(sent), [], within)
    assert 3.8e9 < bare.unexplained_ns < 4.1e9
    told = account("box-1/cam-1", whole, samples(sent), [GapSpan(Interval(2 * SECOND_NS, 6 * SECOND_NS), "restart")], within)
    assert told.unexplained_ns == 0
    assert told.in_gaps == len(bare.unexplained)
