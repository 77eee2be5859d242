"""Faults as text, and the ledger on disk."""

from pathlib import Path

import pytest

from protocol.errors import MalformedError
from simulators.devices.camera_faults import Fault, read_fault
from simulators.devices.ledger import LedgerWriter, Run, read_ledger
from tests.rtsp_parts import footage


def test_faults_are_read() -> None:
    assert read_fault("cam=1,at=12,kind=stall,seconds=8") == Fault("stall", 1, 12.0, 8.0)
    assert read_fault("kind=loss,cam=all,value=0.2") == Fault("loss", None, 0.0, 5.0, 0.2)
    assert read_fault("kind=loss").strength == 0.05


@pytest.mark.parametrize(
    "text",
    ["", "kind=flood", "stall", "kind=stall,at=soon", "kind=stall,cam=-1", "kind=stall,kind=slow", "kind=offline,cam=2", "kind=slow,at=-1"],
)
def test_broken_faults_say_what_was_expected(text: str) -> None:
    with pytest.raises(MalformedError, match=r"expected|all"):
        read_fault(text)


def test_ledger_tells_what_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "new" / "truth.jsonl"
    source = footage()
    with LedgerWriter(path) as ledger:
        ledger.note("start", program="camera", cameras=1)
        ledger.describe(source)
        ledger.note("connect", cam=0, peer="a", moment=(1, 1))
        ledger.note("fault_begin", cam=0, kind="stall", moment=(5, 5))
        ledger.note("fault_end", cam=0, kind="stall", moment=(9, 9))
        ledger.write(Run(0, source.name, 48, 48, 1000, 1, (10**12, 10**9), [0, 40_000, 80_000], [0, 3600, 3600], [1]))
        ledger.write(Run(0, source.name, 90, 40, 9000, 0, (2 * 10**12, 2 * 10**9), [0], [0]))
    ledger_read = read_ledger(path)
    truth = ledger_read.camera(0)
    assert [(frame.n, frame.index, frame.pts, frame.is_key, frame.is_damaged) for frame in truth.frames] == [
        (48, 48, 1000, False, False),
        (49, 49, 4600, False, True),
        (50, 0, 8200, True, False),
        (90, 40, 9000, True, False),
    ]
    assert truth.frames[2].unix_ns == 10**12 + 80_000_000
    assert truth.frames[2].sha256 == source.units[0].sha256
    assert truth.intervals(100_000_000) == [(10**12, 10**12 + 80_000_000)]
    assert truth.intervals(1000) == [(10**12, 10**12), (10**12 + 80_000_000, 10**12 + 80_000_000)]
    assert (truth.faults[0].began_ns, truth.faults[0].ended_ns) == (5, 9)
    assert truth.connections[0].ended_ns is None
    assert ledger_read.has_ended


def test_ledger_of_a_killed_program_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with LedgerWriter(path) as ledger:
        ledger.note("start")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    assert not read_ledger(path).has_ended
    path.write_bytes(b'{"event":"frames"}\n' + whole)
    with pytest.raises(MalformedError, match=r"truth\.jsonl:1"):
        read_ledger(path)
