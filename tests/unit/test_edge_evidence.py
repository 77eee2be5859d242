"""What a box's journal says beyond video: configuration, disk, counters of seals, keys by the hour, imports apart from live capture."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.config import CameraSettings, CaptureSettings, EdgeSettings
from edge.configuration import describe, record_configuration
from edge.journal import SESSION_S, Box, Entry, Journal
from protocol import kinds
from protocol.errors import EquivocationError, MalformedError, RefusedError, StorageError, VerificationError
from protocol.identifiers import SourceId
from protocol.instants import SECOND_NS
from protocol.journals import Journal as Follower
from protocol.journals import SealCounter
from protocol.ledger import Ledger
from protocol.records import Record, read
from protocol.signatures import Ed25519Signer
from storage.counters import FileCounter, open_counter
from tests.edge_parts import BOX, CAMERA, VIDEO, Desk, Place, check_place, make_identity, units

IMPORTED = "box-1/dock-1"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    (tmp_path / "box").mkdir()
    made = Place(tmp_path / "box")
    yield made
    made.close()


def journal_of(place: Place, **more: object) -> Journal:
    box = Box(BOX, place.identity, bytes(16), "test", **more)  # type: ignore[arg-type]  # a counter, or another signer
    place.journal = Journal(place.spool, box, place.clock)
    place.journal.start()
    return place.journal


def beat(place: Place, count: int = 1) -> None:
    place.journal.append([Entry(str(BOX), kinds.Heartbeat(()))] * count)


def follow(place: Place, epoch: int, follower: Follower | None = None) -> Follower:
    follower = follower or Follower(BOX, epoch, (place.identity.public,))
    for row in place.spool.records(epoch, follower.frontier.size, 100_000):
        follower.append(read(row.data))
    return follower


def seals(place: Place) -> list[kinds.Seal]:
    return [body for _, body in place.bodies(kinds.Seal) if isinstance(body, kinds.Seal)]


# ----------------------------------------------------------------------------------------------------------- configuration, disk


def settings(folder: Path, **more: Any) -> EdgeSettings:
    camera = CameraSettings(source=SourceId("cam-1"), url="rtsp://viewer:geheim@10.0.0.8/main", password="geheim")
    return replace(EdgeSettings(state=folder, cameras=(camera,)), **more)


def test_the_configuration_is_a_record_at_each_start_and_says_when_it_changed(place: Place) -> None:
    first = settings(place.folder)
    for each in (first, first, replace(first, capture=CaptureSettings(segment_seconds=4.0)), first):
        place.restart()
        place.journal.start()
        record_configuration(place.journal, place.spool, each)
    found = [body for _, body in place.bodies(kinds.Configuration) if isinstance(body, kinds.Configuration)]
    assert [each.changed for each in found] == [False, False, True, True]
    assert found[0].sha256 == found[1].sha256 == found[3].sha256 != found[2].sha256
    facts = dict(found[2].facts)
    assert (facts["camera cam-1"], facts["capture.segment_seconds"]) == ("rtsp://10.0.0.8/main", "4.0")
    assert check_place(place).faults == []


def test_no_secret_is_in_a_configuration_nor_in_its_hash(place: Place) -> None:
    body = describe(settings(place.folder), None)
    assert "geheim" not in str(body.facts) and "viewer" not in str(body.facts)
    other = CameraSettings(source=SourceId("cam-1"), url="rtsp://viewer:anders@10.0.0.8/main", password="anders")
    assert describe(settings(place.folder, cameras=(other,)), None).sha256 == body.sha256
    moved = replace(other, url="rtsp://10.0.0.9/main")
    assert describe(settings(place.folder, cameras=(moved,)), None).sha256 != body.sha256


def test_the_disk_tells_its_state_at_the_start_and_whenever_it_changes(place: Place) -> None:
    place.journal.start()
    desk = Desk(place)
    for free in (1 << 40, 1 << 40, (1 << 20) + 1, 1000, 1000, 1 << 40):
        desk.free = free
        desk.beat()
    found = [body.state for _, body in place.bodies(kinds.BoxState) if isinstance(body, kinds.BoxState)]
    assert found == ["disk ok", "disk low", "disk full", "disk ok"]


# ---------------------------------------------------------------------------------------------------------------- seals


def test_an_idle_box_beats_and_seals_every_ten_seconds(place: Place) -> None:
    place.journal.start()
    desk = Desk(place)
    for _ in range(40):
        place.clock.advance(1)
        desk.beat()
    assert len(place.bodies(kinds.Heartbeat)) == 4
    assert [each.reason for each in seals(place)] == ["interval"] * 4
    desk.close()
    assert seals(place)[-1].reason == "shutdown"


def test_seals_count_over_restarts_and_a_power_cut_may_lose_one_value(place: Place, tmp_path: Path) -> None:
    counter = FileCounter(tmp_path / "counter")
    for _ in range(2):
        journal_of(place, counter=counter)
        beat(place)
        place.journal.append([], seal="interval")
        place.journal.append([], seal="shutdown")
    assert [each.counter for each in seals(place)] == [1, 2, 3, 4]
    counter.advance()  # taken, then the power went
    journal_of(place, counter=counter)
    place.journal.append([], seal="interval")
    assert seals(place)[-1].counter == 6
    assert check_place(place).faults == []


def test_a_seal_that_was_not_written_costs_no_value(place: Place, tmp_path: Path) -> None:
    journal_of(place, counter=FileCounter(tmp_path / "counter"))
    place.spool._read(f"PRAGMA max_page_count = {place.spool._read('PRAGMA page_count')[0][0]}")
    for _ in range(3):
        with pytest.raises(StorageError):
            place.journal.append([Entry(str(BOX), kinds.BoxState("x" * 1000, "y" * 50_000))] * 4, seal="interval")
    place.spool._read("PRAGMA max_page_count = 100000")
    place.journal.append([], seal="interval")
    assert [each.counter for each in seals(place)] == [1]


def test_a_disk_that_was_set_back_shows_by_its_counter(place: Place, tmp_path: Path) -> None:
    counter = FileCounter(tmp_path / "counter")
    journal_of(place, counter=counter)
    place.journal.append([], seal="interval")
    rows = place.spool.records(0, 0, 100)
    image = {path.name: path.read_bytes() for path in place.folder.iterdir()}
    for _ in range(5):
        place.journal.append([], seal="interval")
    place.spool.close()
    for path in place.folder.iterdir():
        path.unlink()
    for name, data in image.items():
        (place.folder / name).write_bytes(data)
    place.spool.open()
    assert place.spool.records(0, 0, 100) == rows  # the disk is as it was
    journal_of(place, counter=counter)
    place.journal.append([], seal="interval")
    assert any("5 seals are missing before it by its counter" in fault for fault in check_place(place).faults)


def test_a_counter_that_went_back_is_refused(place: Place, tmp_path: Path) -> None:
    counter = FileCounter(tmp_path / "counter")
    journal_of(place, counter=counter)
    place.journal.append([], seal="interval")
    place.journal.append([], seal="interval")
    (tmp_path / "counter").write_text("0\n")
    place.journal.append([], seal="interval")
    with pytest.raises(VerificationError, match="counter went back from 2 to 1"):
        follow(place, 0)
    fresh = Follower(BOX, 0, (place.identity.public,), counter=7)  # what the hub knows of the epochs before
    with pytest.raises(VerificationError, match="counter went back from 7 to 1"):
        follow(place, 0, fresh)


def test_missing_and_repeated_values_are_told_apart() -> None:
    def taken(*values: tuple[int, int | None]) -> list[str]:
        counter = SealCounter()
        return [counter.take(epoch, kinds.Seal(b"", (), "interval", value)) for epoch, value in values]

    assert taken((0, None), (0, 5), (0, 6), (1, 8), (3, 11)) == [""] * 5  # each boot may have lost one
    assert taken((0, 5), (0, 7)) == ["", "1 seals are missing before it by its counter"]
    assert taken((0, 5), (1, 9)) == ["", "3 seals are missing before it by its counter"]
    assert taken((0, 5), (1, 5)) == ["", "counter went back from 5 to 5"]
    assert taken((0, 5), (0, None), (0, 6)) == ["", "names no counter, the seal before it named 5", ""]


def test_a_counter_that_cannot_be_reached_stops_no_seal_and_is_told(place: Place, tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    journal_of(place, counter=FileCounter(medium / "counter"))
    place.journal.append([], seal="interval")
    (medium / "counter").rename(tmp_path / "away")
    medium.rmdir()
    place.journal.append([], seal="interval")
    assert [each.counter for each in seals(place)] == [1, None]
    assert "its folder is not there" in place.journal.fault
    medium.mkdir()
    (tmp_path / "away").rename(medium / "counter")
    place.journal.append([], seal="interval")
    assert (seals(place)[-1].counter, place.journal.fault) == (2, "")


def test_counters_are_named_by_settings_that_make_sense(tmp_path: Path) -> None:
    assert open_counter("", tmp_path) is None
    assert open_counter(f"file:{tmp_path.parent / 'counter'}", tmp_path) == FileCounter(tmp_path.parent / "counter")
    for wrong in ("/counter", "file:counter", f"file:{tmp_path / 'counter'}", "tpm:0x1500001"):
        with pytest.raises(MalformedError, match=r"keys\.counter"):
            open_counter(wrong, tmp_path)
    (tmp_path / "junk").write_text("seven")
    with pytest.raises(MalformedError, match="holds no number"):
        FileCounter(tmp_path / "junk").advance()


# --------------------------------------------------------------------------------------------------------------- session keys


def test_the_key_changes_at_the_hour_while_recording_and_no_picture_is_lost(place: Place) -> None:
    place.journal.start()
    desk = Desk(place)
    camera = desk.camera()
    camera.on_formats([VIDEO])
    place.clock.advance(SESSION_S - 20)  # the key's hour ends in the middle of what follows
    desk.beat()
    for number, each in enumerate(units(place.clock, 0, 1000), 1):
        camera.on_unit(each)
        if number % 25 == 0:
            desk.beat()
    desk.close()
    sessions = [body for _, body in place.bodies(kinds.Session) if isinstance(body, kinds.Session)]
    assert len({each.key for each in sessions}) == len(sessions) == 2
    found = [body for _, body in place.bodies(kinds.Segment) if isinstance(body, kinds.Segment)]
    assert sum(each.frames for each in found) == 1000
    gaps = [body for _, body in place.bodies(kinds.Gap) if isinstance(body, kinds.Gap)]
    assert {each.cause for each in gaps} <= {"starting", "operator stop"}
    assert check_place(place).faults == []
    assert follow(place, 0).frontier.root() == place.journal.root


def test_no_reference_to_an_old_key_stays(place: Place) -> None:
    class Watched:
        def __init__(self, key: Ed25519PrivateKey) -> None:
            self.key = key

        def sign(self, data: bytes) -> bytes:
            return self.key.sign(data)

    place.journal.start()
    session = place.journal._session
    assert session is not None
    watched = Watched(session.signer.key)
    session.signer = Ed25519Signer(watched, session.signer.public)  # type: ignore[arg-type]  # signs alike, and can be watched
    gone = weakref.ref(watched)
    del watched, session
    beat(place)
    assert gone() is not None
    place.clock.advance(SESSION_S + 1)
    beat(place)
    gc.collect()
    assert gone() is None
    Desk(place).close()
    assert place.journal._session is None


def test_a_crash_of_the_program_writes_no_memory_to_disk() -> None:
    code = """
import ctypes, resource
from edge.__main__ import keep_memory_private
keep_memory_private()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["0", "0", "0"]  # PR_GET_DUMPABLE: not dumpable


# ------------------------------------------------------------------------------------------------------------------- imports


def imports(place: Place, *, state: str = "imported", origin: str = "import") -> list[Entry]:
    now = place.clock.mono_ns
    segment = kinds.Segment(0, b"h" * 32, 9, now, now + SECOND_NS, 0, 0, 0, 25, b"c" * 32, state)  # type: ignore[arg-type]
    started = kinds.Recording("started", "card read", origin, 0, at_mono=now)  # type: ignore[arg-type]
    stopped = kinds.Recording("stopped", "card read", origin, 1, at_mono=now + SECOND_NS)  # type: ignore[arg-type]
    return [Entry(IMPORTED, started), Entry(IMPORTED, segment), Entry(IMPORTED, stopped)]


def test_imports_have_a_key_and_an_identity_of_their_own(place: Place) -> None:
    importer = make_identity()
    journal_of(place, importer=importer)
    beat(place)
    place.journal.append(imports(place), usage="import")
    beat(place)
    place.journal.append([], seal="interval")
    rows = [read(row.data) for row in place.spool.records(0, 0, 100)]
    assert [one.record.kind for one in rows] == [
        "boot", "session", "heartbeat", "session", "recording", "segment", "recording", "session", "heartbeat", "seal",
    ]  # fmt: skip
    assert [one.envelope.key_id for one in rows if one.record.kind == "session"] == [
        place.identity.public.key_id, importer.public.key_id, place.identity.public.key_id,
    ]  # fmt: skip
    assert len({one.envelope.key_id for one in rows[4:7]}) == 1 and rows[4].envelope.key_id not in {rows[2].envelope.key_id}
    follower, ledger = Follower(BOX, 0, (place.identity.public,), importers=(importer.public,)), Ledger()
    for one in rows:
        follower.append(one)
        assert ledger.take(one.record, follower.usage) == []
    with pytest.raises(VerificationError, match="is no identity of box-1 for imports"):
        follow(place, 0)


def test_a_box_without_a_key_for_imports_imports_nothing(place: Place) -> None:
    place.journal.start()
    with pytest.raises(RefusedError, match="no identity key for imports"):
        place.journal.append(imports(place), usage="import")


def test_no_key_signs_what_is_the_other_keys(place: Place) -> None:
    importer = make_identity()
    for usage, entries, why in (
        ("live", imports(place), "an imported recording under a session for live capture"),
        ("live", imports(place)[1:2], "an imported segment under a session for live capture"),
        ("import", imports(place, origin="whip"), "a recording of live capture under an import session"),
        ("import", imports(place, state="live")[1:2], "a segment of live capture under an import session"),
        ("import", [Entry(str(BOX), kinds.Heartbeat(()))], "a heartbeat of live capture under an import session"),
    ):
        journal = journal_of(place, importer=importer)
        journal.append(entries, usage=usage)  # type: ignore[arg-type]
        with pytest.raises(VerificationError, match=why):
            follow(place, journal.epoch, Follower(BOX, journal.epoch, (place.identity.public,), importers=(importer.public,)))


def test_the_identity_for_imports_certifies_no_live_session(place: Place) -> None:
    importer = make_identity()
    place.journal = Journal(place.spool, Box(BOX, importer, bytes(16), "test"), place.clock)
    place.journal.start()
    with pytest.raises(VerificationError, match="is no identity of box-1"):
        follow(place, 0, Follower(BOX, 0, (place.identity.public,), importers=(importer.public,)))


def test_the_account_does_not_mix_imports_with_live_capture(place: Place) -> None:
    place.journal.start()
    at = place.clock.now()

    def told(ledger: Ledger, body: kinds.Body, usage: str) -> list[str]:
        return ledger.take(Record(place.journal._issuer, 0, 0, bytes(32), CAMERA, at, body), usage)

    started = kinds.Recording("started", "x", "rtsp", 0, at_mono=at.mono_ns)
    gap = kinds.Gap("starting", at.wall_ns, at.wall_ns, at.mono_ns, at.mono_ns)
    segment = kinds.Segment(0, b"h" * 32, 9, at.mono_ns, at.mono_ns, at.wall_ns, 0, 0, 1, b"c" * 32, "imported")
    ledger = Ledger()
    assert told(ledger, started, "live") == []
    assert any("signed for import in a period of rtsp" in fault for fault in told(ledger, gap, "import"))
    assert any("(imported) in a period of rtsp" in fault for fault in told(ledger, segment, "import"))
    assert any("was started" in fault for fault in told(ledger, kinds.Recording("stopped", "x", "import", 1), "live"))
    again = Ledger.decode(ledger.encode())
    assert again.accounts[CAMERA].origin == ledger.accounts[CAMERA].origin


def test_a_seal_over_another_tree_is_still_found(place: Place) -> None:
    place.journal.start()
    place.journal.append([], seal="interval")
    follower = Follower(BOX, 0, (place.identity.public,))
    rows = [read(row.data) for row in place.spool.records(0, 0, 10)]
    for one in rows[:2]:
        follower.append(one)
    body = rows[2].record.body
    assert isinstance(body, kinds.Seal)
    with pytest.raises(EquivocationError):
        follower._check_seal(1, rows[2].record.root, body)


def test_the_recorder_erases_its_key_at_the_end(place: Place) -> None:
    place.journal.start()
    desk = Desk(place)
    desk.beat()
    asyncio.run(desk.recorder.close("shutdown"))
    assert place.journal._session is None
    assert seals(place)[-1].reason == "shutdown"
