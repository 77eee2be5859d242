"""A closed bundle is judged by tools that are not ours, and neither signature, token nor any file changes or goes unseen."""

import io
import random
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hub.gathering import check_complete, gather
from protocol import bundle, instructions, kinds, timestamps
from protocol.certificates import Certificate
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.reckoning import Scope
from protocol.trust import Trust
from protocol.verdict import Report
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.evidence import EXPORT_KEY, MemoryPort
from simulators.films import Film, film
from simulators.partners.time_authority import make_keys
from storage import manifests, sidecars
from storage.bundles import write_zip
from storage.clock import SystemClock
from storage.verify import Way, look, report_json, report_text, verify

FOLDER = f"case-{TASK}"
SIGNATURE, TOKEN = bundle.beside_name(FOLDER, "p7s"), bundle.beside_name(FOLDER, "tsr")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
pytestmark = needs_openssl


def stamper(folder: Path) -> Callable[[bytes], bytes]:
    """Give a time authority of this machine's `openssl ts`."""
    make_keys(folder)

    def stamp(data: bytes) -> bytes:
        (folder / "q").write_bytes(timestamps.request(data))
        command = ["openssl", "ts", "-reply", "-config", "openssl.cnf", "-queryfile", "q"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
        return timestamps.as_response(timestamps.open_response(done.stdout))

    return stamp


def a_port(folder: Path, authority: Path) -> MemoryPort:
    """Let a port work now, with films, an export key, views, and a token in its log."""
    stamp = stamper(authority)
    port = busy_port(folder / "blobs", film=lambda number: film(number, Film(picture_bytes=400)), start_ns=_now() - 900 * SECOND_NS)
    port.certify_exports()
    port.issue(kinds.View("started", "chen.min", "playback", "v1"), TASK)
    port.issue(kinds.View("started", "chen.min", "live", "v2"), "box-1/cam-1")
    port.issue(kinds.Export("=cmd()", bytes(32), 3), TASK)
    size, root = port.log.frontier.size, port.log.frontier.root()
    head = port.log.head().text().encode()
    port.issue(kinds.TimeToken(size, root, timestamps.open_response(stamp(head)), "http://localhost/"), port.log.head().origin)
    return port


def _now() -> int:
    return SystemClock().now().wall_ns


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Case:
    folder = tmp_path_factory.mktemp("closed")
    port = a_port(folder, authority)
    gathered = gather(port, TASK, port.trust())
    check_complete(gathered)
    gathered.files[bundle.TIME_AUTHORITIES] = timestamps.encode_anchors(anchors(authority)).encode()
    if sidecars.is_available():
        maker = sidecars.Maker(EXPORT_KEY, b"".join(one.pem() for one in (exporter(port), port.chain[0])), port.chain[1].pem())
        for name, (path, piece) in gathered.videos.items():
            claim = sidecars.SegmentClaim(piece.stream, piece.body.number, piece.body.sha256.hex(), piece.usage)
            gathered.files[bundle.sidecar_name(name)] = maker.make(path, claim)
    made = write_case(port, folder / FOLDER, gathered=gathered, stamper=stamper(authority))
    return replace(made, trust=replace(made.trust, time_authorities=anchors(authority)))


def exporter(port: MemoryPort) -> Certificate:
    assert port.exporter is not None
    return port.exporter


def anchors(authority: Path) -> tuple[bytes, ...]:
    return timestamps.parse_anchors((authority / "root.pem").read_bytes())


@pytest.fixture
def copy(case: Case, tmp_path: Path) -> Path:
    """Give a copy of the folder and of what stands beside it."""
    for part in ("p7s", "tsr"):
        shutil.copyfile(case.folder.parent / f"{FOLDER}.{part}", tmp_path / f"{FOLDER}.{part}")
    return Path(shutil.copytree(case.folder, tmp_path / FOLDER))


def names_of(folder: Path) -> list[str]:
    inside = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted([*inside, SIGNATURE, TOKEN])


def faulty(folder: Path, trust: Trust) -> set[str]:
    report = verify(folder, trust)
    assert not report.valid
    return {one.file for one in report.faults}


def put(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def flipped(data: bytes, bit: int) -> bytes:
    wrong = bytearray(data)
    wrong[bit // 8] ^= 1 << bit % 8
    return bytes(wrong)


def closing(report: Report) -> dict[str, str]:
    found: dict[str, str] = report_json(report)["export"]
    return found


def test_an_intact_bundle_says_how_it_is_closed(case: Case) -> None:
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert closing(report)["signature"].startswith("ok, hub-1")
    assert closing(report)["time_stamp"].startswith("ok, ")
    assert closing(report)["by"] == "li.wei"
    if sidecars.is_available():
        assert closing(report)["c2pa"].endswith("checked by a C2PA validator, each against the SHA-256 of its file")
        assert [line for line in report.unchecked if "C2PA" in line] == [f"C2PA manifests: {manifests.BOXES_LEFT}"]
    assert "签名: ok" in report_text(report, chinese=True)


def test_how_far_manifests_are_judged_is_asked_for_and_said(case: Case) -> None:
    pytest.importorskip("c2pa")
    whole, by_hash = (look(case.folder, case.trust, None, Way(c2pa=judged)).report for judged in ("whole", "by hash"))
    assert closing(whole)["c2pa"].endswith("checked by a C2PA validator")
    assert not any("C2PA" in line for line in whole.unchecked)
    assert closing(by_hash)["c2pa"].endswith("checked by hash alone")
    assert any("no C2PA validator judged them" in line for line in by_hash.unchecked)


def test_a_video_that_was_swapped_under_its_manifest_fails(case: Case, copy: Path) -> None:
    one, two = sorted(path for path in copy.rglob("*.mp4"))[:2]
    put(one, two.read_bytes())
    assert one.relative_to(copy).as_posix() in faulty(copy, case.trust)


def test_without_an_export_key_the_report_says_so(tmp_path: Path) -> None:
    made = write_case(busy_port(tmp_path / "blobs"), tmp_path / FOLDER)
    report = verify(made.folder, made.trust)
    assert report.valid
    assert [closing(report)[name] for name in ("signature", "time_stamp", "c2pa")] == ["not present"] * 3
    assert sum("not present" in line for line in report.unchecked) == 3
    (tmp_path / f"{FOLDER}.p7s").write_bytes(b"0")
    assert SIGNATURE in faulty(made.folder, made.trust)
    assert "签名 (.p7s)" in (made.folder / bundle.README).read_text()


# ------------------------------------------------------------------------------------------------------- tools not ours


def shown_commands(folder: Path) -> list[str]:
    return [line.strip() for line in (folder / bundle.README).read_text().splitlines() if re.match(r"    (openssl|sha256sum) ", line)]


def test_the_commands_of_the_readme_run_as_they_stand_there(case: Case, copy: Path) -> None:
    lines = shown_commands(copy)
    assert {line.split()[0] + line.split()[1] for line in lines} >= {"sha256sum-c", "opensslcms", "opensslts", "opensslx509"}
    for line in lines:
        done = subprocess.run(line, shell=True, cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (line, done.stderr)
        if line.startswith("openssl x509"):
            assert done.stdout.strip().replace(":", "").lower().endswith(case.trust.root_sha256)


def test_the_commands_of_the_readme_find_what_was_changed(copy: Path) -> None:
    video = next(iter(sorted(copy.rglob("*.mp4"))))
    put(video, flipped(video.read_bytes(), 8000))
    put(copy / bundle.TAG_MANIFEST, (copy / bundle.TAG_MANIFEST).read_bytes() + b"\n")
    p7s = copy.parent / f"{FOLDER}.p7s"
    put(p7s, flipped(p7s.read_bytes(), 8 * (p7s.stat().st_size - 3)))
    codes = {line: subprocess.run(line, shell=True, cwd=copy, capture_output=True, check=False).returncode for line in shown_commands(copy)}
    assert codes[f"sha256sum -c --quiet {bundle.MANIFEST}"] != 0
    assert all(code != 0 for line, code in codes.items() if line.startswith("openssl cms"))
    assert all(code != 0 for line, code in codes.items() if line.startswith("openssl ts") and "../" in line)


def test_the_bag_is_whole_by_another_reader(case: Case, copy: Path) -> None:
    bagit = pytest.importorskip("bagit")
    assert bagit.Bag(str(case.folder)).validate()
    info = bagit.Bag(str(case.folder)).info
    payload = [path.stat().st_size for path in (case.folder / "data").rglob("*") if path.is_file()]
    assert info["Payload-Oxum"] == f"{sum(payload)}.{len(payload)}"
    assert info["External-Identifier"] == TASK
    (copy / "data" / "more.txt").write_text("x")
    with pytest.raises(bagit.BagValidationError):
        bagit.Bag(str(copy)).validate()


def test_a_c2pa_validator_trusts_each_segment_under_our_root_alone(case: Case, copy: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    root = (case.folder / bundle.ROOT).read_text()
    offline = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    ours = c2pa.Context.from_dict({"version": 1, "verify": offline, "trust": {"trust_anchors": root}})
    for name in sorted(path for path in names_of(case.folder) if bundle.parse_video(path)):
        video, manifest = (case.folder / name).read_bytes(), (case.folder / bundle.sidecar_name(name)).read_bytes()
        with c2pa.Reader("video/mp4", io.BytesIO(video), manifest_data=manifest, context=ours) as reader:
            assert reader.get_validation_state() == "Trusted"
        with c2pa.Reader("video/mp4", io.BytesIO(flipped(video, 4 * len(video))), manifest_data=manifest, context=ours) as reader:
            assert reader.get_validation_state() == "Invalid"
    strangers = c2pa.Context.from_dict({"version": 1, "verify": offline})
    with c2pa.Reader("video/mp4", io.BytesIO(video), manifest_data=manifest, context=strangers) as reader:
        assert reader.get_validation_state() != "Trusted"


# -------------------------------------------------------------------------------------------------- no file goes unseen


def test_every_file_that_is_removed_or_altered_is_found(case: Case, copy: Path) -> None:
    dice = random.Random(8)
    listings = {bundle.TAG_MANIFEST, bundle.MANIFEST, bundle.EVIDENCE}
    names = names_of(case.folder)
    journals = [name for name in names if name.startswith(("data/log/", "data/video/"))]
    for name in [*(name for name in names if name not in journals), *dice.sample(journals, 12)]:
        data = (copy / name).read_bytes()
        (copy / name).unlink()
        assert name in faulty(copy, case.trust), name
        (copy / name).write_bytes(flipped(data, dice.randrange(8 * len(data))))
        found = faulty(copy, case.trust)
        assert name in found or name in listings, (name, found)
        put(copy / name, data)
    assert verify(copy, case.trust).valid


@pytest.mark.parametrize("name", ["data/more.txt", "data/time/0.tsr", "data/video/box-1/cam-1/900.c2pa", bundle.CRL, "x.p7s", "data/x.p7s"])
def test_a_file_that_was_added_is_found(case: Case, copy: Path, name: str) -> None:
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"added")
    assert name in faulty(copy, case.trust)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("trusting", [True, False])
def test_no_bit_beside_the_folder_changes_unseen(case: Case, authority: Path, trusting: bool) -> None:
    """The token is covered by nothing else: what its signature leaves open has one spelling only."""
    token = timestamps.open_response((case.folder.parent / f"{FOLDER}.tsr").read_bytes())
    signature = (case.folder.parent / f"{FOLDER}.p7s").read_bytes()

    def judged(data: bytes) -> None:
        found = timestamps.open_response(data)
        assert timestamps.as_response(found) == data, "spelling"
        timestamps.check_spelling(found)
        try:
            timestamps.verify(found, signature, anchors(authority) if trusting else ())
        except VerificationError as error:
            if error.where != timestamps.CHAIN or trusting:
                raise

    whole = timestamps.as_response(token)
    judged(whole)
    passed = []
    for bit in range(0, 8 * len(whole), 3):
        try:
            judged(flipped(whole, bit))
        except (MalformedError, VerificationError, RefusedError, AssertionError):
            continue
        passed.append(bit)
    assert passed == []


def test_signature_and_token_of_another_export_are_refused(case: Case, copy: Path, tmp_path: Path) -> None:
    other = write_case(case.port, tmp_path / "other" / FOLDER)
    put(copy.parent / f"{FOLDER}.p7s", (other.folder.parent / f"{FOLDER}.p7s").read_bytes())
    assert {SIGNATURE, TOKEN} <= faulty(copy, case.trust)


def test_an_untrusted_time_authority_is_said_and_nothing_more(case: Case) -> None:
    report = verify(case.folder, replace(case.trust, time_authorities=()))
    assert report.valid
    assert closing(report)["time_stamp"] == "not checked"
    assert any("time-stamp over the signature" in line for line in report.unchecked)


def test_a_zip_holds_what_stands_beside_the_folder(case: Case, tmp_path: Path) -> None:
    write_zip(case.folder, tmp_path / "x.zip")
    assert verify(tmp_path / "x.zip", case.trust).valid
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert {f"{FOLDER}.p7s", f"{FOLDER}.tsr"} <= set(archive.namelist())
    lone = Path(shutil.copytree(case.folder, tmp_path / FOLDER))
    write_zip(lone, tmp_path / "y.zip")
    assert faulty(tmp_path / "y.zip", case.trust) == {SIGNATURE, TOKEN}


# ----------------------------------------------------------------------------------------------------- lists and streams


def test_custody_and_clocks_are_what_the_records_say(case: Case) -> None:
    lines = (case.folder / bundle.CUSTODY).read_bytes().decode().split("\r\n")
    assert lines[0].startswith("leaf,time,record,act,person,subject")
    assert any("view,started,chen.min,T-2026" in line for line in lines)
    assert any(",export,done,'=cmd()," in line for line in lines), "no formula reaches a spreadsheet"
    clock = (case.folder / bundle.CLOCK).read_text()
    assert '"box_minus_true_ms"' in clock
    assert '"clock_states"' in clock


def test_streams_over_a_time_are_exported_like_a_task(case: Case, tmp_path: Path) -> None:
    port = case.port
    wish = Scope("R-20261118T000000-0a0b0c0d", (StreamId("box-2/cam-2"),), port.now_ns - 120 * SECOND_NS, port.now_ns - 40 * SECOND_NS)
    made = write_case(port, tmp_path / f"case-{wish.subject}", wish)
    report = verify(made.folder, made.trust)
    assert report.faults == ()
    assert {one.stream for one in report.segments} == {"box-2/cam-2"}
    assert [one.stretches[0].start for one in report.streams] == [wish.start]
    assert report.task == wish.subject
    assert '"about": "streams over a time"' in (made.folder / bundle.SUMMARY).read_text()
    videos = sorted((made.folder / "data/video/box-2/cam-2").glob("*.mp4"))
    videos[1].unlink()
    assert videos[1].relative_to(made.folder).as_posix() in faulty(made.folder, made.trust)


def test_a_hub_that_shows_less_than_the_time_it_names_is_found(case: Case, tmp_path: Path) -> None:
    port = case.port
    end = port.now_ns - 40 * SECOND_NS
    wish = Scope("R-1", (StreamId("box-1/cam-1"),), end - 40 * SECOND_NS, end)
    gathered = gather(port, wish, port.trust())
    gathered.scope = replace(wish, start=end - 120 * SECOND_NS)
    made = write_case(port, tmp_path / "case-R-1", gathered=gathered)
    assert not verify(made.folder, made.trust).valid


def test_commands_name_only_files_that_are_there() -> None:
    bare = instructions.commands(instructions.Contents("T-1", 0, (), signed=False, stamped=False))
    assert set(bare) == {"hashes", "root"}
