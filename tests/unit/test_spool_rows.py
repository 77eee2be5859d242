"""The spool's promises: all of a commit or nothing, on disk when it returns, full disks told apart."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from protocol.errors import DiskFullError, StorageError
from storage.spool import BlobRow, Changes, DraftRow, EpochRow, PairingRow, ReceiptRow, RecordRow, SessionRow, Spool, StreamRow


def epoch(size: int, number: int = 0) -> EpochRow:
    return EpochRow(number, bytes(16), size, b"f", 0, 0)


def record(position: int, kind: str = "heartbeat", size: int = 10) -> RecordRow:
    return RecordRow(0, position, kind, bytes((position % 256,)) * size, position.to_bytes(32, "big"))


def blob(number: int, tasks: str = "[]", position: int = 0) -> BlobRow:
    return BlobRow(number.to_bytes(32, "big"), "box-1/cam-1", number, 100, tasks, number * 10, number * 10, 0, position)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool.db")
    made.open()
    yield made
    made.close()


def test_write_ahead_log_and_full_durability_are_on(spool: Spool) -> None:
    assert spool._read("PRAGMA journal_mode") == [("wal",)]
    assert spool._read("PRAGMA synchronous") == [(2,)]
    assert spool._read("PRAGMA busy_timeout") == [(5000,)]


def test_a_commit_is_whole(spool: Spool) -> None:
    changes = Changes(
        drafts=[DraftRow("box-1/cam-1", 3, 0, 0, 1, 2, None, "[]", 0)],
        blobs=[blob(2)],
        streams=[StreamRow("box-1/cam-1", "rtsp", 3, 1, 1, 9, 9, 0)],
        paired=[PairingRow("T-1", "cam-1", "li.wei")],
        replies={"c-1": b"done"},
        facts={"beacon": b"note"},
    )
    spool.commit(epoch(2), [record(0), record(1)], [SessionRow(0, 1, b"k" * 32)], changes)
    assert [row.position for row in spool.records(0, 0, 9)] == [0, 1]
    assert spool.leaves(0, 1, 2) == [record(1).leaf]
    assert (spool.session_at(0, 1), spool.session_at(0, 2)) == (None, b"k" * 32)
    assert [row.number for row in spool.drafts()] == [3]
    assert spool.streams()["box-1/cam-1"].next_number == 3
    assert spool.pairings() == changes.paired
    assert (spool.reply("c-1"), spool.reply("c-2")) == (b"done", None)
    assert (spool.fact("beacon"), spool.fact("other")) == (b"note", None)
    assert spool.backlog() == {"records": 2, "unreceipted": 2, "blobs": 1, "bytes": 100}
    assert spool.check() == []


def test_one_position_holds_one_record_for_ever(spool: Spool) -> None:
    spool.commit(epoch(1), [record(0)])
    with pytest.raises(StorageError):
        spool.commit(epoch(2), [record(1), record(0, "other")], changes=Changes(facts={"x": b"y"}))
    assert [row.kind for row in spool.records(0, 0, 9)] == ["heartbeat"]
    assert spool.fact("x") is None
    assert spool.epochs()[0].size == 1


def test_a_full_disk_is_told_and_changes_nothing(spool: Spool) -> None:
    spool.commit(epoch(1), [record(0)])
    pages = spool._read("PRAGMA page_count")[0][0]
    spool._read(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFullError):
        spool.commit(epoch(9), [record(position, size=50_000) for position in range(1, 9)])
    assert spool.epochs()[0].size == 1
    spool._read("PRAGMA max_page_count = 100000")
    spool.commit(epoch(2), [record(1)])
    assert spool.check() == []


def test_acknowledgements_survive_a_later_commit(spool: Spool) -> None:
    spool.commit(epoch(3), [record(0), record(1), record(2)])
    spool.set_persisted(0, 2)
    spool.set_refused(0, "no")
    spool.commit(epoch(4), [record(3)])
    row = spool.epochs()[0]
    assert (row.size, row.persisted, row.refused) == (4, 2, "no")
    spool.set_persisted(0, 4)
    assert spool.epochs()[0].refused is None


def test_receipts_count_when_they_continue(spool: Spool) -> None:
    spool.commit(epoch(30), [record(position) for position in range(30)])
    spool.add_receipt(ReceiptRow(0, 10, 20, b"later"))
    assert spool.epochs()[0].receipted == 0
    spool.add_receipt(ReceiptRow(0, 0, 10, b"first"))
    spool.add_receipt(ReceiptRow(0, 10, 20, b"later"))
    assert spool.epochs()[0].receipted == 20
    assert [row.data for row in spool.receipts(0)] == [b"first", b"later"]


def test_a_dead_epochs_tail_counts_with_the_next_boot(spool: Spool) -> None:
    spool.commit(epoch(5), [record(position) for position in range(5)])
    spool.set_persisted(0, 5)
    spool.add_receipt(ReceiptRow(0, 0, 3, b""))
    spool.commit(epoch(2, 1), [])
    assert spool.epochs()[0].receipted == 3
    spool.add_receipt(ReceiptRow(1, 0, 1, b""))
    assert [row.receipted for row in spool.epochs()] == [5, 1]


def test_task_video_waits_first_and_nothing_goes_before_its_receipt(spool: Spool) -> None:
    rows = [blob(0, position=1), blob(1, '["T-1"]', 2), blob(2, position=3)]
    spool.commit(epoch(9), [record(position) for position in range(9)], changes=Changes(blobs=rows))
    assert [row.number for row in spool.waiting_blobs(9)] == [1, 0, 2]
    assert spool.set_stored([rows[0].sha256, rows[1].sha256, b"?" * 32]) == 2
    assert [row.number for row in spool.waiting_blobs(9)] == [2]
    assert spool.removable_blobs(9) == []
    spool.add_receipt(ReceiptRow(0, 0, 2, b""))
    assert [row.number for row in spool.removable_blobs(9)] == [0]
    spool.apply(Changes(removed=[("box-1/cam-1", 0)]))
    assert spool.removable_blobs(9) == []
    assert [row.number for row in spool.removed_blobs(9)] == [0]


def test_no_query_of_every_second_reads_the_history(spool: Spool) -> None:
    statements = [
        "SELECT * FROM blobs WHERE stored = 0 AND removed = 0 AND tasks <> '[]' ORDER BY epoch, position LIMIT 9",
        "SELECT * FROM blobs WHERE stored = 0 AND removed = 0 AND tasks = '[]' ORDER BY epoch, position LIMIT 9",
        "SELECT COUNT(*), SUM(size) FROM blobs WHERE stored = 0 AND removed = 0",
        "SELECT * FROM blobs WHERE stored = 1 AND removed = 0 ORDER BY epoch, position LIMIT 9",
        "SELECT * FROM blobs WHERE removed = 1 ORDER BY epoch DESC, position DESC LIMIT 9",
        "SELECT * FROM blobs WHERE sha256 = x'00'",
        "SELECT * FROM records WHERE epoch = 0 AND position >= 5 ORDER BY position LIMIT 9",
        "SELECT * FROM records WHERE kind = 'seal' AND epoch = 0 ORDER BY position DESC LIMIT 9",
    ]
    for statement in statements:
        plan = " ".join(str(row[3]) for row in spool._read(f"EXPLAIN QUERY PLAN {statement}"))
        assert "INDEX" in plan and "TEMP B-TREE" not in plan, (statement, plan)


def test_late_links_hurry_what_was_recorded_before(spool: Spool) -> None:
    spool.commit(epoch(1), [record(0)], changes=Changes(blobs=[blob(0), blob(1)]))
    spool.link_blobs("box-1/cam-1", "T-9", [1, 77])
    assert [row.number for row in spool.waiting_blobs(9)] == [1, 0]
    assert spool.blobs()[1].task_names() == ["T-9"]


def test_an_open_spool_may_be_looked_at_by_another(spool: Spool, tmp_path: Path) -> None:
    spool.commit(epoch(1), [record(0)])
    with spool._database.atomic():
        spool._rows("UPDATE epochs SET persisted = 1")
        other = Spool(tmp_path / "spool.db")
        other.open()
        assert other.epochs()[0].persisted == 0
        other.close()


def test_another_schema_is_refused_by_name(tmp_path: Path) -> None:
    made = Spool(tmp_path / "spool.db")
    made.open()
    made._rows("PRAGMA user_version = 99")
    made.close()
    with pytest.raises(StorageError, match="schema version 99"):
        Spool(tmp_path / "spool.db").open()
    with pytest.raises(StorageError, match="not open"):
        made.epochs()


def test_many_may_open_a_new_spool_at_once(tmp_path: Path) -> None:
    def opened(at: int, gate: threading.Barrier) -> int:
        spool = Spool(tmp_path / str(at) / "spool.db")
        gate.wait(10)
        spool.open()
        try:
            return len(spool.epochs())
        finally:
            spool.close()

    for at in range(8):
        (tmp_path / str(at)).mkdir()
        gate = threading.Barrier(5)
        with ThreadPoolExecutor(5) as threads:
            found = [threads.submit(opened, at, gate) for _ in range(5)]
        assert [each.result() for each in found] == [0] * 5
