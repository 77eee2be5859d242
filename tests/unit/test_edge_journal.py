"""Positions, keys and seals of a box's journal, as the protocol judges them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.journal import SESSION_S, Entry
from protocol import kinds
from protocol.errors import DiskFullError
from protocol.journals import Journal as Follower
from protocol.records import Seen, read
from tests.edge_parts import BOX, CAMERA, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def follow(place: Place, epoch: int) -> Follower:
    """Judge an epoch as a hub does."""
    follower = Follower(BOX, epoch, (place.identity.public,))
    for row in place.spool.records(epoch, 0, 100_000):
        follower.append(read(row.data))
    return follower


def beat(place: Place) -> None:
    place.journal.append([Entry(str(BOX), kinds.Heartbeat(()))])


def test_an_epoch_begins_with_boot_and_session(place: Place) -> None:
    assert place.journal.start() is None
    kinds_found = [row.kind for row in place.spool.records(0, 0, 10)]
    assert kinds_found == ["boot", "session"]
    assert follow(place, 0).frontier.root() == place.journal.root


def test_session_keys_change_by_the_hour_and_every_record_holds(place: Place) -> None:
    place.journal.start()
    for _ in range(10):
        place.clock.advance(SESSION_S / 4 + 1)
        beat(place)
        place.journal.append([], seal="interval")
    assert [row.kind for row in place.spool.records(0, 0, 100)].count("session") == 4 - 1
    assert follow(place, 0).sealed == place.journal.size - 1


def test_the_next_epoch_names_the_head_of_the_one_before(place: Place) -> None:
    place.journal.start()
    beat(place)
    head = place.journal.size, place.journal.root
    place.restart()
    place.clock.advance(5)
    before = place.journal.start()
    assert before is not None and before.epoch == 0
    boot = read(place.spool.records(1, 0, 1)[0].data).record.body
    assert isinstance(boot, kinds.Boot)
    assert (boot.previous_epoch, boot.previous_size, boot.previous_root) == (0, *head)
    assert not boot.clean
    place.journal.append([], seal="shutdown")
    place.restart()
    place.journal.start()
    boot = read(place.spool.records(2, 0, 1)[0].data).record.body
    assert isinstance(boot, kinds.Boot) and boot.clean


def test_a_clock_that_runs_back_is_held(place: Place) -> None:
    place.journal.start()
    place.clock.advance(-500)
    beat(place)
    assert follow(place, 0).frontier.size == 3


def test_what_the_hub_published_is_named(place: Place) -> None:
    place.journal.start()
    place.journal.seen = Seen(12, b"x" * 32)
    beat(place)
    assert read(place.spool.records(0, 2, 1)[0].data).record.seen == Seen(12, b"x" * 32)


def test_a_full_disk_changes_nothing_and_room_is_made_once(place: Place) -> None:
    place.journal.start()
    size, root = place.journal.size, place.journal.root
    pages = place.spool._read("PRAGMA page_count")[0][0]
    place.spool._read(f"PRAGMA max_page_count = {pages}")
    entries = [Entry(str(BOX), kinds.BoxState("x" * 1000, "y" * 20_000))] * 8
    with pytest.raises(DiskFullError):
        place.journal.append(entries)
    assert (place.journal.size, place.journal.root) == (size, root)
    assert place.spool.epochs()[0].size == size

    def make_room() -> bool:
        place.spool._read("PRAGMA max_page_count = 100000")
        return True

    place.journal._make_room = make_room
    place.journal.append(entries)
    assert place.journal.size == size + 8
    assert follow(place, 0).frontier.root() == place.journal.root


def test_seals_name_each_streams_last_number(place: Place) -> None:
    place.journal.start()
    body = kinds.Segment(0, b"h" * 32, 9, 1, 2, 3, 0, 0, 1, b"c" * 32, "live")
    place.journal.append(
        [Entry(CAMERA, kinds.Recording("started", "x", "rtsp", 0)), Entry("box-1/cam-2", kinds.Recording("started", "x", "rtsp", 0))]
    )
    place.journal.append([Entry(CAMERA, body)], seal="interval")
    seal = read(place.spool.newest("seal", 0, 1)[0].data).record.body
    assert isinstance(seal, kinds.Seal)
    assert {head.stream: head.number for head in seal.streams} == {CAMERA: 0, "box-1/cam-2": None}
