"""Video of a stretch of work: any of its recorders counts, breaks are measured and explained, what is not sealed is not there."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from hub.inspection.fieldwork.footage import SKEW_NS, Film, Footage
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS, Interval
from protocol.procedures.acts import Swapped
from storage.database import Database
from storage.schema import blobs, gaps, journals, seals, segments, streams

ONE, TWO = StreamId("box-1/rec-1"), StreamId("box-1/rec-2")
START = 10_000 * SECOND_NS
END = START + 100 * SECOND_NS


def put(connection: Connection, stream: str, start_s: float, end_s: float, position: int) -> None:
    at = START + int(start_s * SECOND_NS)
    row = {
        "box": "box-1",
        "epoch": 1,
        "position": position,
        "stream": stream,
        "number": position,
        "sha256": bytes([position]) * 32,
        "size": 1,
    }
    row |= {
        "wall_from": at,
        "wall_to": START + int(end_s * SECOND_NS),
        "run": 0,
        "media_from": 0,
        "frames": 1,
        "state": "live",
        "bound": None,
    }
    connection.execute(insert(segments).values(row))


def gap(connection: Connection, stream: str, start_s: float, end_s: float, position: int) -> None:
    row = {"box": "box-1", "epoch": 1, "position": position, "stream": stream, "cause": "recorder lost", "detail": ""}
    row |= {"wall_from": START + int(start_s * SECOND_NS), "wall_to": START + int(end_s * SECOND_NS)}
    connection.execute(insert(gaps).values(row))


@pytest.fixture
def connection(tmp_path: Path) -> Connection:  # type: ignore[misc] # yields
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    database.open()
    assert database._writer is not None
    with database._writer.begin() as found:
        for stream in (ONE, TWO):
            row = {"stream": stream, "box": "box-1", "origin": "whip", "last_number": 9, "longest_segment_ns": 100 * SECOND_NS}
            found.execute(insert(streams).values(row | {"longest_gap_ns": 100 * SECOND_NS}))
        found.execute(insert(journals).values(box="box-1", epoch=1, size=50, frontier=b""))
        found.execute(insert(seals).values(box="box-1", epoch=1, position=49, first=0, left=b"", log_index=7, delivered=False))
        yield found
    database.close()


def judged(connection: Connection, *, excused: tuple[Interval, ...] = (), swaps: tuple[Swapped, ...] = (), end: int = END) -> Footage:
    linked = {ONE: [Interval(START, END)], TWO: [Interval(START, END)]}
    film = Film(connection, linked, {}, START)
    return film.judge(linked, Interval(START, end), excused, swaps)


def test_two_recorders_fill_each_others_breaks(connection: Connection) -> None:
    put(connection, ONE, 0, 40, 1)
    put(connection, ONE, 70, 100, 2)
    put(connection, TWO, 39, 71, 3)
    found = judged(connection)
    assert (found.pieces, found.break_s, found.explained, found.verified, found.stored, found.to_follow) == (3, 0, True, True, "box", 3)


def test_a_break_is_measured_and_explained_by_a_signed_gap_alone(connection: Connection) -> None:
    put(connection, ONE, 0, 40, 1)
    put(connection, ONE, 47.2, 100, 2)
    assert (judged(connection).break_s, judged(connection).explained) == (8, False)
    gap(connection, ONE, 40, 47.2, 3)
    assert (judged(connection).break_s, judged(connection).explained) == (8, True)


def test_a_swap_explains_what_lies_between_the_two_recorders(connection: Connection) -> None:
    put(connection, ONE, 0, 40, 1)
    put(connection, TWO, 49, 100, 2)
    assert not judged(connection).explained
    assert judged(connection, swaps=(Swapped(ONE, TWO, "flat battery"),)).explained
    assert not judged(connection, swaps=(Swapped(TWO, ONE, "the wrong way round"),)).explained


def test_a_pause_need_not_be_filmed_and_the_ends_are_left_to_clocks(connection: Connection) -> None:
    put(connection, ONE, 2.5, 40, 1)
    put(connection, ONE, 80, 97.5, 2)
    assert judged(connection).break_s == 40
    assert judged(connection, excused=(Interval(START + 40 * SECOND_NS, START + 80 * SECOND_NS),)).break_s == 0
    assert SKEW_NS == 3 * SECOND_NS


def test_what_no_logged_seal_covers_is_not_there(connection: Connection) -> None:
    put(connection, ONE, 0, 50, 1)
    put(connection, ONE, 50, 100, 60)
    found = judged(connection)
    assert (found.pieces, found.break_s) == (1, 47)


def test_bytes_that_do_not_fit_are_not_verified_and_stored_ones_follow_no_more(connection: Connection) -> None:
    put(connection, ONE, 0, 100, 1)
    row = {"sha256": bytes([1]) * 32, "length": 1, "box": "box-1", "state": "stored", "at_ns": 1, "logged": True}
    connection.execute(insert(blobs).values(row))
    assert (judged(connection).stored, judged(connection).to_follow) == ("hub", 0)
    connection.execute(blobs.update().values(state="refused"))
    assert not judged(connection).verified


def test_nothing_filmed_is_one_break_and_a_short_stretch_is_none(connection: Connection) -> None:
    assert (judged(connection).pieces, judged(connection).break_s) == (0, 94)
    assert judged(connection, end=START + 5 * SECOND_NS).break_s == 0


def test_what_a_recorder_filmed_before_it_was_bound_is_not_of_the_task(connection: Connection) -> None:
    put(connection, ONE, 0, 8, 1)
    put(connection, ONE, 8, 20, 2)
    linked = {ONE: [Interval(START + 10 * SECOND_NS, END)]}
    film = Film(connection, linked, {}, START)

    def at(moment_s: int) -> Interval:
        return Interval(START + moment_s * SECOND_NS, START + moment_s * SECOND_NS)

    assert [film.judge(linked, at(moment), (), ()).pieces for moment in (5, 9, 15)] == [0, 0, 1]
