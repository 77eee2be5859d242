"""What a power cut leaves behind, at every byte, and what is said of it."""

import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edge.drafts import flush
from edge.recovery import TORN_ZEROS, Recovered, Recovery
from protocol import kinds
from protocol.errors import StorageError
from protocol.ledger import Ledger
from protocol.messages import JournalBatch
from storage.spool import Changes
from tests.edge_parts import BOX, VIDEO, Desk, Place, TestHub, check_place, unit, units


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


def record(place: Place, pictures: int = 110, unflushed: int = 0) -> Path:
    """Record, then vanish: no close, no seal. Give the open segment's path."""
    place.journal.start()
    desk = Desk(place)
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, pictures)
    for each in units(place.clock, pictures, unflushed):
        camera.on_unit(each)
    return desk.folder.path("cam-1", 0)


def recover(place: Place) -> Recovered:
    """Start again, and record a little more."""
    place.clock.advance(3)
    place.restart()
    place.journal.start()
    done = Recovery(place.spool, place.journal, place.segments, place.folder / "quarantine").run()
    desk = Desk(place)
    since = desk.recorder.interrupted("box-1/cam-1")
    camera = desk.camera(since=since)
    camera.on_formats([VIDEO])
    for number in range(50):
        camera.on_unit(unit(number, place.clock.mono_ns))
        place.clock.advance(0.04)
    desk.close()
    return done


def segments(place: Place) -> list[kinds.Segment]:
    return [body for _, body in place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]


def gaps(place: Place) -> list[kinds.Gap]:
    return [body for _, body in place.bodies(kinds.Gap) if isinstance(body, kinds.Gap)]


def test_what_heartbeats_bound_is_recovered_whole(place: Place) -> None:
    path = record(place)
    size = path.stat().st_size
    done = recover(place)
    first, second = segments(place)
    assert (first.state, first.bound, first.size, first.frames, first.epoch) == ("recovered", size, size, 100, 0)
    assert (second.state, second.number) == ("live", 1)
    assert [each.cause for each in gaps(place)] == ["restart"]
    assert (done.segments, done.unbound, done.lost) == (1, 0, 0)
    assert check_place(place).faults == []


def test_whole_parts_beyond_the_last_heartbeat_are_kept_and_labelled(place: Place) -> None:
    place.journal.start()
    desk = Desk(place)
    camera = desk.camera()
    camera.on_formats([VIDEO])
    desk.feed(camera, 0, 50)
    bound = desk.folder.path("cam-1", 0).stat().st_size
    # the power fails between the flush of a part and the commit of its heartbeat
    for each in units(place.clock, 50, 25):
        camera.on_unit(each)
    flush(desk.folder, [(camera.lane, camera.take())])
    recover(place)
    first = segments(place)[0]
    assert (first.bound, first.frames) == (bound, 75)
    assert first.size > bound
    assert first.mono_to - first.mono_from == 75 * 40_000_000
    assert check_place(place).faults == []


@pytest.mark.parametrize("torn", [b"\x00" * 5000, b"\x00\x00\x10\x00moof", os.urandom(3000), b"\x00\x00\x00\x08moof\x00\x00\x00\x04mdat"])
def test_a_torn_tail_is_cut(place: Place, torn: bytes) -> None:
    path = record(place)
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(torn)
    done = recover(place)
    assert segments(place)[0].size == size
    assert done.cut == len(torn)
    assert check_place(place).faults == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.77, 0.999])
@pytest.mark.parametrize("is_zeroed", [False, True], ids=["cut", "zeroed"])
def test_signed_bytes_that_are_gone_become_a_gap(place: Place, share: float, is_zeroed: bool) -> None:
    path = record(place)
    whole = path.read_bytes()
    left = int(len(whole) * share)
    path.write_bytes(whole[:left] + (bytes(len(whole) - left) if is_zeroed else b""))
    done = recover(place)
    assert done.lost == 1
    lost = next(each for each in gaps(place) if each.cause == "bytes lost")
    assert (lost.epoch, lost.mono_to) == (0, 1000 * 10**9 + 100 * 40_000_000)
    kept = [each for each in segments(place) if each.state == "recovered"]
    assert sum(each.size for each in kept) <= left
    if kept:
        assert kept[0].bound == kept[0].size
        assert kept[0].mono_to == lost.mono_from
    assert [each.number for each in segments(place)] == list(range(len(kept) + 1))
    assert check_place(place).faults == []


def test_a_file_that_is_gone_is_a_gap(place: Place) -> None:
    record(place).unlink()
    recover(place)
    assert [each.cause for each in gaps(place)] == ["bytes lost", "restart"]
    assert check_place(place).faults == []


def test_changed_bytes_are_not_evidence(place: Place) -> None:
    path = record(place)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    recover(place)
    assert segments(place)[0].size <= len(data) // 2
    assert check_place(place).faults == []


def test_unknown_files_are_set_aside_never_removed(place: Place) -> None:
    path = record(place)
    (path.parent / "7.mp4").write_bytes(b"nobody knows me")
    (path.parent / "notes.txt").write_bytes(b"nor me")
    done = recover(place)
    assert sorted(each.read_bytes() for each in done.set_aside) == [b"nobody knows me", b"nor me"]
    assert check_place(place).faults == []


class PowerCut(Exception):
    """The machine is off."""


@pytest.mark.parametrize("after", range(3))
def test_a_power_cut_in_the_middle_of_recovery_changes_nothing(place: Place, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(place)
    with path.open("ab") as file:
        file.write(b"torn")
    place.restart()
    place.journal.start()
    steps = iter(range(100))
    commit, apply = place.spool.commit, place.spool.apply

    def cut(*args: object, **kwargs: object) -> None:
        if next(steps) >= after:
            raise PowerCut
        commit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(place.spool, "commit", cut)
    with suppress(PowerCut):
        Recovery(place.spool, place.journal, place.segments, place.folder / "quarantine").run()
    monkeypatch.setattr(place.spool, "commit", commit)
    apply(Changes())
    recover(place)
    assert [(each.number, each.state) for each in segments(place)] == [(0, "recovered"), (1, "live")]
    assert check_place(place).faults == []


def test_the_checker_names_what_is_wrong(place: Place) -> None:
    path = record(place)
    recover(place)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    assert any(fault.startswith("S1 box-1/cam-1 segment 0") for fault in check_place(place).faults)
    path.unlink()
    assert any("missing" in fault for fault in check_place(place).faults)
    place.spool._write("UPDATE records SET data = ? WHERE epoch = 0 AND position = 3", (b"\xd2\x84",))
    assert any(fault.startswith("S3 epoch 0") for fault in check_place(place).faults)
    place.spool._write("UPDATE blobs SET removed = 1 WHERE number = ?", (1,))
    found = check_place(place).faults
    assert any(fault.startswith("S4") for fault in found)


def test_a_spool_that_is_no_spool_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool.db").write_bytes(b"this is not a database, however long one looks at it" * 30)
    with pytest.raises(StorageError, match=r"spool\.db"):
        Place(tmp_path)


def damage(path: Path, chance: random.Random, most: int) -> int:
    """Cut or zero a random tail of a file; give how many bytes it hit."""
    data = path.read_bytes()
    hit = chance.randint(0, min(most, len(data)))
    kept = data[: len(data) - hit]
    path.write_bytes(kept if chance.random() < 0.5 else kept + bytes(hit))
    return hit


def judged(place: Place) -> None:
    """Judge a recovered box by all that judge boxes: the checker, and a hub that follows its journals and keeps its accounts."""
    assert check_place(place).faults == []
    hub, ledger = TestHub(place.identity.public), Ledger()
    for row in place.spool.epochs():
        hub.take(JournalBatch(BOX, row.epoch, 0, tuple(each.data for each in place.spool.records(row.epoch, 0, 100_000))))
        mirror = hub.mirrors[row.epoch]
        assert mirror.journal.frontier.encode() == row.frontier
        assert [fault for one in mirror.records for fault in ledger.take(one.record, "live")] == []


def account_for_bytes(place: Place, spoiled: bytes) -> None:
    """Every byte in a segment file is bound by a live record or a heartbeat, or labelled as not; every other file is set aside."""
    known = {(subject, body.number): body for subject, body in place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)}
    bound = {
        (one.stream, one.number, one.size, one.sha256)
        for _, beat in place.bodies(kinds.Heartbeat)
        if isinstance(beat, kinds.Heartbeat)
        for one in beat.open
    }
    for path in (place.folder / "segments").glob("*/*"):
        stream, data = f"{BOX}/{path.parent.name}", path.read_bytes()
        body = known.pop((stream, int(path.stem)))
        assert hashlib.sha256(data).digest() == body.sha256
        if body.state == "recovered":
            assert body.bound is not None
            head = data[: body.bound]
            assert not head or (stream, body.number, body.bound, hashlib.sha256(head).digest()) in bound
            whole = data.rstrip(bytes(1))
            assert spoiled.startswith(whole)  # nothing but what was written
            assert len(data) - len(whole) < TORN_ZEROS
    assert known == {}


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("what", ["segment", "wal", "both"])
def test_random_torn_tails_are_bound_or_labelled_never_silently_whole(place: Place, tmp_path: Path, seed: int, what: str) -> None:
    chance = random.Random(f"{seed} {what}")
    path = record(place, pictures=chance.randint(30, 120), unflushed=chance.randint(0, 30))
    written = path.read_bytes()
    wal = place.folder / "spool.db-wal"
    dead = tmp_path.with_name(f"{tmp_path.name}-dead")
    shutil.copytree(place.folder, dead)  # what a dead machine's disk holds: the write-ahead log is not yet moved into the spool
    assert (dead / wal.name).stat().st_size > 0
    if what != "wal":
        damage(dead / "segments" / path.relative_to(place.segments.root), chance, len(written))
    if what != "segment":
        damage(dead / wal.name, chance, 60_000)
    (dead / "spool.db-shm").unlink(missing_ok=True)
    box = Place(dead, place.identity, replace(place.clock))
    done = recover(box)
    found = segments(box)
    labelled = [each for each in found if each.state == "recovered" and each.bound != each.size]
    if what == "segment":
        assert len(labelled) == 0  # what heartbeats bound is there, or its loss is a gap
    assert len(labelled) <= 1 and done.segments <= 1
    account_for_bytes(box, written)
    judged(box)
    box.close()
