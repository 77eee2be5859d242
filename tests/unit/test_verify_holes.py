"""What a hostile hub or box once got past the verifier must be named; what is honest and looks alike must pass."""

from pathlib import Path

import pytest

from hub.gathering import Gathered, _place, gather
from protocol import bundle, kinds
from protocol.certificates import IDENTITY_NS, Authority, Identity, Validity, issue_box
from protocol.examination import Faults
from protocol.reckoning import expect
from protocol.records import read
from protocol.verdict import Report
from simulators.adversary.days import altered, relog
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.evidence import SITE, MemoryBox, MemoryPort, fixed_p256
from storage.verify import verify

SOURCES = {"box-2": ["cam-2", "rec-1"]}
CAMERA, RECORDER = "box-2/cam-2", "box-2/rec-1"


def judged(case: Case) -> Report:
    return verify(case.folder, case.trust)


def working_port(folder: Path) -> tuple[MemoryPort, MemoryBox]:
    """Give a port whose box records a camera and a recorder, before any task."""
    port = MemoryPort(folder, segment_bytes=512)
    port.found()
    box = port.enrol("box-2")
    for source in SOURCES["box-2"]:
        box.write(kinds.Recording("started", "configured", "rtsp", 0), f"box-2/{source}")
    port.record_for(30, SOURCES)
    return port, box


def shrink(port: MemoryPort, gathered: Gathered, box: str, pick: int) -> None:
    """Show of a box nothing but one logged seal."""
    range_ = gathered.exhibits.ranges[next(one for one in gathered.exhibits.ranges if one == box)][-1]
    position, index = port.seals(box, range_.epoch, 0)[pick]
    gathered.indices = {one for one in gathered.indices if str(port.log.entries[one].record.issuer) != f"box:{box}"} | {index}
    for name in [name for name in gathered.files if (leaf := bundle.parse_leaf(name)) and leaf[0] not in gathered.indices]:
        del gathered.files[name]
    gathered.files[bundle.leaf_name(index)] = port.leaf(index)
    range_.records, range_.first = [read(data) for data in port.records(box, range_.epoch, position, position + 1)], position
    gathered.files[bundle.journal_name(box, range_.epoch)] = bundle.encode_records(one.data for one in range_.records)
    gathered.files[bundle.journal_name(box, range_.epoch, "range")] = _place(port, range_).encode()
    gathered.wanted = expect(gathered.exhibits, Faults(), TASK)
    gathered.videos = {name: video for name, video in gathered.videos.items() if name in gathered.wanted.wanted}


def test_a_camera_hidden_behind_one_seal_outside_the_task(tmp_path: Path) -> None:
    for pick in (0, -1):
        port = busy_port(tmp_path / f"blobs{pick}")
        gathered = gather(port, TASK, port.trust())
        shrink(port, gathered, "box-1", pick)
        report = judged(write_case(port, tmp_path / f"case{pick}", gathered=gathered))
        assert any("belongs to the task" in fault.what for fault in report.faults)
        camera = next(one for one in report.streams if one.stream == "box-1/cam-1")
        assert camera.percent == 0
        assert camera.unexplained_ns > 0


def test_a_camera_that_stopped_long_before_the_task_is_shown_to_be_idle(tmp_path: Path) -> None:
    port, box = working_port(tmp_path / "blobs")
    box.write(kinds.Recording("stopped", "configured", "rtsp", 3), CAMERA)
    only = {"box-2": ["rec-1"]}
    port.record_for(100, only)
    port.open_task(TASK, (CAMERA,))
    port.record_for(60, only)
    port.end_task(TASK)
    port.record_for(20, only)
    report = judged(write_case(port, tmp_path / "case"))
    assert report.faults == ()
    camera = next(one for one in report.streams if one.stream == CAMERA)
    assert camera.idle == camera.stretches
    assert camera.percent == 0


def test_a_box_that_was_off_when_the_task_began(tmp_path: Path) -> None:
    port, box = working_port(tmp_path / "blobs")
    box.write(kinds.Recording("stopped", "power", "rtsp", 3), CAMERA)
    box.seal()
    port.now_ns += 10**10
    port.open_task(TASK, (CAMERA,))
    port.now_ns += 10**10
    box.boot()
    box.write(kinds.Recording("started", "restart", "rtsp", 3), CAMERA)
    port.record_for(40, {"box-2": ["cam-2"]})
    port.end_task(TASK)
    port.record_for(20, {"box-2": ["cam-2"]})
    assert judged(write_case(port, tmp_path / "case")).faults == ()


def second_identity(port: MemoryPort, box: MemoryBox, *, renew: bool) -> None:
    """Revoke the box's identity and enrol another; `renew` gives the new key to the box."""
    first = next(one.record.body for one in port.log.entries if isinstance(one.record.body, kinds.Enrolment))
    port.issue(kinds.Enrolment("revoked", first.certificate, "admin", "stolen"), box.box)
    key, authority = fixed_p256(4242), Authority(port.chain[0], port.site_key)
    validity = Validity.backdated(port.now_ns, IDENTITY_NS, 777)
    certificate = issue_box(key.public, Identity(SITE, box.box), "records", authority, validity)
    port.issue(kinds.Enrolment("issued", certificate.der, "admin"), box.box)
    if renew:
        box.identity = key
    box.boot()
    box.write(kinds.Recording("started", "configured", "rtsp", 3), CAMERA)


@pytest.mark.parametrize("renew", [False, True])
def test_a_revoked_key_does_not_count_beside_a_second_identity(tmp_path: Path, renew: bool) -> None:
    port, box = working_port(tmp_path / "blobs")
    second_identity(port, box, renew=renew)
    only = {"box-2": ["cam-2"]}
    port.record_for(30, only)
    port.open_task(TASK, (CAMERA,))
    port.record_for(60, only)
    port.end_task(TASK)
    port.record_for(20, only)
    report = judged(write_case(port, tmp_path / "case"))
    assert report.valid is renew
    assert renew or all("revoked" in fault.what for fault in report.faults)


def recorder_report(report: Report) -> list[float]:
    found = next(one for one in report.streams if one.stream == RECORDER)
    return [stretch.length / 10**9 for stretch in found.stretches]


def test_a_box_cannot_shorten_a_task_by_freeing_its_recorder(tmp_path: Path) -> None:
    port, box = working_port(tmp_path / "blobs")
    port.open_task(TASK, (CAMERA,))
    port.pair(TASK, "box-2", "rec-1")
    port.record_for(30, SOURCES)
    box.write(kinds.Pairing("unpaired", RECORDER, "task end"), TASK)
    port.record_for(120, SOURCES)
    port.end_task(TASK)
    box.write(kinds.Pairing("unpaired", RECORDER, "task end"), TASK)
    port.record_for(20, SOURCES)
    report = judged(write_case(port, tmp_path / "case"))
    assert report.faults == ()
    assert recorder_report(report) == [150.0]


def test_a_late_pairing_does_not_replace_the_first(tmp_path: Path) -> None:
    port, _ = working_port(tmp_path / "blobs")
    port.open_task(TASK, (CAMERA,))
    port.pair(TASK, "box-2", "rec-1")
    port.record_for(30, SOURCES)
    port.pair(TASK, "box-2", "rec-1", late_from=port.now_ns - 10**10)
    port.record_for(30, SOURCES)
    port.pair(TASK, "box-2", "rec-1", "unpaired")
    port.record_for(30, SOURCES)
    port.end_task(TASK)
    port.record_for(20, SOURCES)
    report = judged(write_case(port, tmp_path / "case"))
    assert report.faults == ()
    assert recorder_report(report) == [60.0]


@pytest.mark.parametrize(("by", "again", "word"), [("li.wei", True, "used before"), ("mallory", False, "something else")])
def test_an_order_counts_once_and_as_it_was_given(tmp_path: Path, by: str, again: bool, word: str) -> None:
    port, box = working_port(tmp_path / "blobs")
    port.open_task(TASK, (CAMERA,))
    order = port.issue(kinds.Pairing("paired", RECORDER, "li.wei"), TASK)
    if again:
        box.write(kinds.Pairing("paired", RECORDER, "li.wei", order.leaf), TASK)
        port.record_for(30, SOURCES)
        port.pair(TASK, "box-2", "rec-1", "unpaired")
    box.write(kinds.Pairing("paired", RECORDER, by, order.leaf), TASK)
    port.record_for(60, SOURCES)
    port.end_task(TASK)
    port.record_for(20, SOURCES)
    report = judged(write_case(port, tmp_path / "case"))
    assert any(word in fault.what for fault in report.faults)


def test_a_log_made_anew_cannot_pass_by_showing_no_checkpoint_that_boxes_saw(tmp_path: Path) -> None:
    port, box = working_port(tmp_path / "blobs")
    only = {"box-2": ["cam-2"]}
    box.write(kinds.Recording("stopped", "configured", "rtsp", 3), RECORDER)
    port.open_task(TASK, (CAMERA,))
    port.record_for(60, only)
    port.end_task(TASK)
    port.record_for(20, only)
    facts = (("container", "TESU7654321"),)
    relog(port, [altered(one, facts=facts) if isinstance(one.record.body, kinds.Task) else one for one in port.log.entries])
    gathered = gather(port, TASK, port.trust())
    for size in gathered.exhibits.notes:
        gathered.files.pop(bundle.note_name(size), None)
    gathered.exhibits.seen.clear()
    gathered.exhibits.notes.clear()
    faults = judged(write_case(port, tmp_path / "case", gathered=gathered)).faults
    assert [fault.what for fault in faults if "saw of the log" in fault.what]
    assert {bundle.parse_seen(fault.file) is not None for fault in faults} == {True}  # nothing else would have told
