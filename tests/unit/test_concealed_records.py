"""Concealed records: what is bound is what is shown; nothing else passes; a bundle without the body says so and does not fail for it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gathering import gather
from protocol import bundle, canonical, kinds
from protocol.concealing import SALT_BYTES, commitment, conceal, reveal
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.identifiers import HubId, Issuer
from protocol.instants import Instant
from protocol.records import Record, SignedRecord, read
from protocol.verdict import Report
from simulators.cases import TASK, Case, write_case
from simulators.evidence import MemoryPort, fixed_ed25519
from storage.verify import verify

STREAM = "box-1/cam-1"
SIGNER = fixed_ed25519(5)
HUB = Issuer.of_hub(HubId("hub-1"))
VIEW = kinds.View("started", "zhao.mingxuan", "live", "v1")


def sign(body: kinds.Body, subject: str = STREAM) -> SignedRecord:
    return Record(HUB, 0, 3, bytes(32), subject, Instant(1, 1, "synced", 5), body).sign(SIGNER)


@given(st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES), st.text(max_size=40), st.text(max_size=200))
def test_what_is_concealed_is_revealed(salt: bytes, viewer: str, detail: str) -> None:
    body = kinds.Access("changed", viewer, detail)
    outer, subject, opening = conceal(body, "li.wei", str(HUB), salt)
    signed = sign(outer, subject)
    shown = reveal(read(signed.data), opening)
    assert (shown.record.body, shown.record.subject, subject) == (body, "li.wei", "hub:hub-1")
    assert (shown.data, shown.leaf) == (signed.data, signed.leaf)


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
def test_no_other_opening_passes(place: int, bit: int) -> None:
    outer, subject, opening = conceal(VIEW, STREAM, str(HUB), bytes(range(SALT_BYTES)))
    other = bytearray(opening)
    other[place % len(other)] ^= 1 << bit
    with pytest.raises(VerificationError):
        reveal(sign(outer, subject), bytes(other))
    with pytest.raises(VerificationError):
        reveal(sign(outer, subject), opening + b"\0")


@given(st.binary(max_size=200))
def test_what_a_hub_binds_that_is_no_body_is_refused(inner: bytes) -> None:
    opening = bytes(SALT_BYTES) + inner
    with pytest.raises(PortwitnessError):
        reveal(sign(kinds.Concealed("view", commitment(opening))), opening)


@pytest.mark.parametrize(
    "inner",
    [
        ["task", "T-1", kinds.encode_body(kinds.Task("ended", "li.wei", "port"))],  # not a kind that is concealed
        ["access", STREAM, kinds.encode_body(kinds.Access("x", "x"))],  # another than the record says
        ["view", "box-1/cam-2", kinds.encode_body(VIEW)],  # another subject than the record's
        ["view", STREAM, {1: "started"}],
        ["view", STREAM],
        ["view", "x" * 129, kinds.encode_body(VIEW)],
    ],
)
def test_bodies_that_do_not_fit_their_record_are_refused(inner: list[object]) -> None:
    opening = bytes(SALT_BYTES) + canonical.encode(inner)
    with pytest.raises(MalformedError):
        reveal(sign(kinds.Concealed("view", commitment(opening))), opening)


# ------------------------------------------------------------------------------------------------------------- bundles


def watched_port(folder: Path) -> MemoryPort:
    """Give a port whose task was watched."""
    port = MemoryPort(folder, segment_bytes=512)
    port.found()
    box = port.enrol("box-1")
    box.write(kinds.Recording("started", "configured", "rtsp", 0), STREAM)
    sources = {"box-1": ["cam-1"]}
    port.record_for(20, sources)
    port.open_task(TASK, (STREAM,))
    port.record_for(30, sources)
    port.end_task(TASK)
    for state in ("started", "ended"):
        port.issue(kinds.View(state, "zhao.mingxuan", "playback", "v1"), TASK)
    port.record_for(20, sources)
    return port


def judged(case: Case) -> Report:
    return verify(case.folder, case.trust)


def custody(case: Case) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO((case.folder / bundle.CUSTODY).read_text())))
    return [row for row in rows if row[2] in ("view", "concealed")]


def views(port: MemoryPort) -> list[int]:
    return sorted(port.log.openings)


def test_a_bundle_shows_the_body_beside_its_leaf(tmp_path: Path) -> None:
    port = watched_port(tmp_path / "blobs")
    case = write_case(port, tmp_path / "case")
    report = judged(case)
    assert report.faults == ()
    assert [(row[3], row[4]) for row in custody(case)] == [("started", "zhao.mingxuan"), ("ended", "zhao.mingxuan")]
    assert all((case.folder / bundle.leaf_name(index, "opening")).is_file() for index in views(port))
    assert b"zhao" not in (case.folder / bundle.leaf_name(views(port)[0])).read_bytes()


def test_a_bundle_made_after_an_erasure_says_what_it_does_not_show(tmp_path: Path) -> None:
    port = watched_port(tmp_path / "blobs")
    indices = views(port)
    port.issue(kinds.Disposal((), "asked for", "admin", tuple(indices)), "hub-1")
    port.log.openings.clear()
    case = write_case(port, tmp_path / "case")
    report = judged(case)
    assert report.faults == ()
    assert [(row[2], row[3], row[4]) for row in custody(case)] == [("concealed", "not shown", "")] * 2
    assert any("2 concealed records" in one and str(indices[0]) in one for one in report.unchecked)


def test_a_body_that_was_changed_or_taken_from_a_bundle_is_a_fault(tmp_path: Path) -> None:
    port = watched_port(tmp_path / "blobs")
    index = views(port)[0]
    other = port.log.openings[index].replace(b"zhao.mingxuan", b"wang.mingxuan")
    gathered = gather(port, TASK, port.trust())
    gathered.files[bundle.leaf_name(index, "opening")] = other  # by the exporter itself: its manifests agree
    report = judged(write_case(port, tmp_path / "changed", gathered=gathered))
    assert any(fault.file == bundle.leaf_name(index, "opening") and "commitment" in fault.what for fault in report.faults)
    case = write_case(port, tmp_path / "taken")
    (case.folder / bundle.leaf_name(index, "opening")).unlink()
    assert any(bundle.leaf_name(index, "opening") in f"{fault.file} {fault.what}" for fault in judged(case).faults)


def test_a_body_beside_a_leaf_that_conceals_nothing_is_a_fault(tmp_path: Path) -> None:
    port = watched_port(tmp_path / "blobs")
    gathered = gather(port, TASK, port.trust())
    plain = next(index for index in gathered.indices if isinstance(gathered.exhibits.leaves[index].record.body, kinds.Task))
    gathered = replace(gathered, files=gathered.files | {bundle.leaf_name(plain, "opening"): bytes(64)})
    report = judged(write_case(port, tmp_path / "case", gathered=gathered))
    assert any("nothing concealed" in fault.what for fault in report.faults)
