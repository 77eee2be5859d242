"""What is gathered for an export is what verifies; what has not arrived is named and nothing is exported."""

from pathlib import Path

import pytest

from hub.gathering import check_complete, gather
from protocol import kinds
from protocol.errors import RefusedError, UnavailableError
from simulators.cases import SOURCES, TASK, busy_port, write_case
from simulators.evidence import MemoryPort
from storage.verify import verify


def test_a_task_that_is_not_known_or_not_ended(tmp_path: Path) -> None:
    port = MemoryPort(tmp_path)
    port.found()
    with pytest.raises(RefusedError, match="not known"):
        gather(port, TASK, port.trust())
    port.open_task(TASK, ())
    with pytest.raises(RefusedError, match="not ended"):
        gather(port, TASK, port.trust())


def test_a_blob_that_has_not_arrived_is_named(tmp_path: Path) -> None:
    port = busy_port(tmp_path / "blobs")
    gathered = gather(port, TASK, port.trust())
    check_complete(gathered)
    path, piece = next(iter(gathered.videos.values()))
    path.unlink()
    with pytest.raises(UnavailableError, match=f"{piece.stream} segment {piece.body.number} has not arrived"):
        check_complete(gather(port, TASK, port.trust()))


def test_a_journal_that_has_not_arrived_is_named(tmp_path: Path) -> None:
    port = MemoryPort(tmp_path)
    port.found()
    for name, sources in SOURCES.items():
        box = port.enrol(name)
        for source in sources:
            box.write(kinds.Recording("started", "configured", "rtsp", 0), f"{name}/{source}")
    port.record_for(20, SOURCES)
    port.open_task(TASK, ("box-1/cam-1", "box-2/cam-2"))
    port.record_for(20, SOURCES)
    port.now_ns += 5
    port.end_task(TASK)
    port.record_for(20, {"box-1": ["cam-1"]})
    with pytest.raises(UnavailableError, match="journal of box-2"):
        check_complete(gather(port, TASK, port.trust()))
    port.now_ns -= 20_000_000_000
    port.record_for(20, {"box-2": ["cam-2", "rec-1"]})
    check_complete(gather(port, TASK, port.trust()))


def test_an_order_that_nobody_followed_does_not_hold_up_the_export(tmp_path: Path) -> None:
    port = busy_port(tmp_path / "blobs")
    entries = [index for index in port.task_leaves(TASK) if isinstance(port.log.entries[index].record.body, kinds.Pairing)]
    assert entries
    port.issue(kinds.Pairing("paired", "box-9/rec-9", "li.wei"), TASK)
    case = write_case(port, tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert not any(one.stream.startswith("box-9") for one in report.streams)


def test_every_export_is_a_record_that_covers_its_evidence(tmp_path: Path) -> None:
    port = busy_port(tmp_path / "blobs")
    first, second = write_case(port, tmp_path / "one"), write_case(port, tmp_path / "two")
    exports = [one for one in port.log.entries if isinstance(one.record.body, kinds.Export)]
    assert len(exports) == 2
    assert verify(first.folder, first.trust).valid
    assert verify(second.folder, second.trust).valid


def test_a_recorder_that_stops_just_after_the_task_leaves_no_hole(tmp_path: Path) -> None:
    port = MemoryPort(tmp_path / "blobs")
    port.found()
    box = port.enrol("box-1")
    box.write(kinds.Recording("started", "page opened", "whip", 0), "box-1/rec-1")
    port.record_for(20, {"box-1": ["rec-1"]})
    port.open_task(TASK, ())
    port.pair(TASK, "box-1", "rec-1")
    port.record_for(20, {"box-1": ["rec-1"]})
    port.now_ns += 50_000_000  # the last picture came 50 ms before the task ended, the page closed 50 ms after
    port.end_task(TASK)
    port.now_ns += 50_000_000
    box.write(kinds.Recording("stopped", "page closed", "whip", 4), "box-1/rec-1")
    box.seal("task")
    case = write_case(port, tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert [one.unexplained_ns for one in report.streams] == [0]


def test_a_recorder_that_joined_by_a_ticket_is_exported_and_verifies(tmp_path: Path) -> None:
    port = _joined(tmp_path, seconds=300)
    case = write_case(port, tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert [(one.stream, one.unexplained_ns) for one in report.streams] == [("box-1/rec-1", 0)]


def test_a_ticket_that_had_ended_is_found_out(tmp_path: Path) -> None:
    port = _joined(tmp_path, seconds=0)
    case = write_case(port, tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert not report.valid
    assert any("its ticket had ended" in str(fault) for fault in report.faults)


def _joined(tmp_path: Path, seconds: int) -> MemoryPort:
    port = MemoryPort(tmp_path / "blobs")
    port.found()
    box = port.enrol("box-1")
    box.write(kinds.Recording("started", "page opened", "whip", 0), "box-1/rec-1")
    port.record_for(20, {"box-1": ["rec-1"]})
    port.open_task(TASK, ())
    port.join(TASK, "box-1", "rec-1", seconds)
    port.record_for(20, {"box-1": ["rec-1"]})
    port.now_ns += 50_000_000
    port.end_task(TASK)
    port.now_ns += 50_000_000
    box.write(kinds.Recording("stopped", "page closed", "whip", 4), "box-1/rec-1")
    box.seal("task")
    return port
