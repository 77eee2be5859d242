"""The account of a stream: whole periods pass, over clock steps and restarts; every hole, overlap and lie about order is named."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import kinds
from protocol.identifiers import Issuer
from protocol.instants import MILLISECOND_NS, SECOND_NS, Instant
from protocol.ledger import Ledger
from protocol.records import Record

STREAM = "box-1/cam-1"
DAY_NS = 86_400 * SECOND_NS


class Teller:
    """Tells a journal's records of one stream; `offset` is what the wall clock shows at monotonic zero."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.epoch, self.number, self.mono, self.offset = 0, 0, 5 * SECOND_NS, 1_800_000_000 * SECOND_NS

    def tell(self, body: kinds.Body) -> None:
        at = Instant(self.mono + self.offset, self.mono, "synced", 5)
        self.records.append(Record(Issuer("box:box-1"), self.epoch, len(self.records), bytes(32), STREAM, at, body))

    def turn(self, state: str) -> None:
        self.tell(kinds.Recording(state, "x", "rtsp", self.number, at_mono=self.mono))  # type: ignore[arg-type]

    def segment(self, seconds: float = 10.0) -> None:
        start, self.mono = self.mono, self.mono + int(seconds * SECOND_NS)
        facts = (self.number, bytes(32), 1000, start, self.mono, start + self.offset, 0, 0, 250, bytes(32), "live")
        self.number += 1
        self.tell(kinds.Segment(*facts))  # type: ignore[arg-type]

    def gap(self, cause: kinds.GapCause = "camera lost", seconds: float = 3.0) -> None:
        start, self.mono = self.mono, self.mono + int(seconds * SECOND_NS)
        self.tell(kinds.Gap(cause, start + self.offset, self.mono + self.offset, start, self.mono))

    def pass_unseen(self, seconds: float) -> None:
        self.mono += int(seconds * SECOND_NS)

    def count(self, number: int) -> None:
        self.number = number

    def restart(self, *, away_s: float = 20.0, wall_back_ns: int = 0) -> None:
        """Go on in the next boot; the wall clock may come up wrong."""
        wall = self.mono + self.offset
        self.epoch, self.mono = self.epoch + 1, 2 * SECOND_NS
        self.offset = wall + int(away_s * SECOND_NS) - wall_back_ns - self.mono
        now = self.mono + self.offset
        self.tell(kinds.Gap("restart", wall, max(now, wall), None, self.mono))


def faults_of(records: list[Record]) -> list[str]:
    ledger = Ledger()
    return [fault for record in records for fault in ledger.take(record)]


def a_day() -> Teller:
    told = Teller()
    told.turn("started")
    told.gap("starting", 0.4)
    told.segment()
    told.segment()
    told.gap()
    told.segment()
    told.offset += 3600 * SECOND_NS  # the wall clock steps: nothing is missing by the monotonic one
    told.segment()
    told.restart()
    told.segment()
    told.turn("stopped")
    return told


def test_a_whole_period_adds_up_over_gaps_steps_and_restarts() -> None:
    told, ledger = a_day(), Ledger()
    assert [fault for record in told.records for fault in ledger.take(record)] == []
    account = ledger.accounts[STREAM]
    assert (account.segments, account.recorded_ns, account.is_open) == (5, 50 * SECOND_NS, False)
    assert account.gap_ns == {"starting": int(0.4 * SECOND_NS), "camera lost": 3 * SECOND_NS, "restart": 20 * SECOND_NS}


def test_a_clock_that_comes_up_a_day_early_after_a_restart_breaks_nothing() -> None:
    told = Teller()
    told.turn("started")
    told.segment()
    told.restart(wall_back_ns=DAY_NS)
    told.segment()
    assert faults_of(told.records) == []


@given(st.integers(1, 8))
def test_no_record_of_a_period_can_be_left_out(at: int) -> None:
    records = a_day().records
    assert faults_of(records[:at] + records[at + 1 :])


@given(st.sampled_from([1, 2, 3, 5, 6, 8]), st.integers(2, 5000), st.booleans())
def test_no_piece_can_be_moved_or_cut_by_more_than_the_slack(at: int, by_ms: int, late: bool) -> None:
    records = a_day().records
    shift = by_ms * MILLISECOND_NS * (1 if late else -1)
    body = records[at].body
    assert isinstance(body, kinds.Segment | kinds.Gap) and body.mono_from is not None
    records[at] = replace(records[at], body=replace(body, mono_from=body.mono_from + shift, wall_from=body.wall_from + shift))
    assert faults_of(records)


Step = tuple[str, tuple[object, ...]]
START: Step = ("turn", ("started",))
STOP: Step = ("turn", ("stopped",))
SEGMENT: Step = ("segment", ())
SECOND: Step = ("pass_unseen", (1.0,))


@pytest.mark.parametrize(
    ("story", "said"),
    [
        ([START, START], "started twice"),
        ([START, SEGMENT, STOP, SEGMENT], "outside a recording period"),
        ([START, SEGMENT, ("count", (5,)), SEGMENT], "segment 5, expected 1"),
        ([START, SEGMENT, SECOND, STOP], "the period's end"),
        ([START, SECOND, SEGMENT], "the period's start"),
        ([START, ("gap", ("camera lost", -1.0))], "ends before it begins"),
        ([START, ("count", (3,)), STOP], "expected 0"),
    ],
)
def test_each_lie_has_its_name(story: list[Step], said: str) -> None:
    told = Teller()
    for act, given_to in story:
        getattr(told, act)(*given_to)
    assert any(said in fault for fault in faults_of(told.records))


def test_a_piece_cannot_lie_in_the_future_of_its_record() -> None:
    told = Teller()
    told.turn("started")
    told.segment()
    late = told.records[-1]
    told.records[-1] = replace(late, at=replace(late.at, mono_ns=late.at.mono_ns - 3 * SECOND_NS))
    assert any("after the record" in fault for fault in faults_of(told.records))


def test_following_may_begin_in_the_middle() -> None:
    assert faults_of(a_day().records[3:]) == []
