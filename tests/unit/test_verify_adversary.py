"""Alter, remove, add and re-make bundles; nothing wrong may ever be called valid, and the file at fault is named."""

import json
import random
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from hub.gathering import gather
from protocol import bundle, kinds
from protocol.examination import Faults
from protocol.reckoning import expect
from protocol.trust import Trust
from protocol.verdict import Report
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.evidence import MemoryPort, fixed_ed25519
from storage.bundles import write_zip
from storage.verify import run, verify


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("case")
    return write_case(busy_port(folder / "blobs"), folder / f"case-{TASK}")


@pytest.fixture
def copy(case: Case, tmp_path: Path) -> Path:
    return Path(shutil.copytree(case.folder, tmp_path / case.folder.name))


def names_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def faulty_files(report: Report) -> set[str]:
    assert not report.valid
    return {fault.file for fault in report.faults}


def replace_bytes(path: Path, data: bytes) -> None:
    path.unlink()  # a copy may share its bytes with the original
    path.write_bytes(data)


def rewrap(folder: Path) -> None:
    """Re-make the outer manifests, as anybody can."""
    hashes = {name: bundle.sha256((folder / name).read_bytes()) for name in names_of(folder) if name.startswith("data/")}
    hashes[bundle.README] = bundle.sha256((folder / bundle.README).read_bytes())
    for name, data in bundle.wrap(hashes, (folder / bundle.BAG_INFO).read_bytes()).items():
        replace_bytes(folder / name, data)


def test_the_case_is_valid_and_tells_what_happened(case: Case) -> None:
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert report.valid
    assert {one.stream for one in report.streams} == {"box-1/cam-1", "box-2/cam-2", "box-2/rec-1"}
    causes = {gap.cause for one in report.streams for coverage in one.coverage for gap in coverage.gaps}
    assert causes == {"restart"}
    assert all(one.unexplained_ns == 0 for one in report.streams)
    recovered = [one for one in report.segments if one.completeness.startswith("recovered")]
    assert {one.stream for one in recovered} == {"box-2/cam-2", "box-2/rec-1"}
    assert all(one.not_before and one.not_after and one.not_before <= one.not_after for one in report.segments)
    assert any("witness" in line for line in report.unchecked)


def test_removing_any_one_file_is_named(case: Case, copy: Path) -> None:
    for name in names_of(case.folder):
        data = (copy / name).read_bytes()
        (copy / name).unlink()
        assert name in faulty_files(verify(copy, case.trust)), name
        (copy / name).write_bytes(data)
    assert verify(copy, case.trust).valid


def test_altering_any_one_file_is_named(case: Case, copy: Path) -> None:
    dice = random.Random(5)
    for name in names_of(case.folder):
        data = (copy / name).read_bytes()
        bit = dice.randrange(8 * len(data))
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        replace_bytes(copy / name, bytes(wrong))
        files = faulty_files(verify(copy, case.trust))
        assert name in files or name in (bundle.TAG_MANIFEST, bundle.MANIFEST, bundle.EVIDENCE), (name, files)
        replace_bytes(copy / name, data)


def test_no_bit_flip_is_ever_valid(case: Case, copy: Path) -> None:
    dice = random.Random(77)
    names = names_of(case.folder)
    small = [name for name in names if not bundle.parse_video(name)]
    for number in range(330):
        name = dice.choice(small if number % 3 else names)
        data = (copy / name).read_bytes()
        bit = dice.randrange(8 * len(data))
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        replace_bytes(copy / name, bytes(wrong))
        if number % 2 and name not in (bundle.MANIFEST, bundle.TAG_MANIFEST):
            rewrap(copy)  # what protects it must be more than the outer manifests
            assert not verify(copy, case.trust).valid or name in (bundle.README, bundle.BAGIT), (name, bit)
        else:
            assert not verify(copy, case.trust).valid, (name, bit)
        replace_bytes(copy / name, data)
        rewrap(copy)
    assert verify(copy, case.trust).valid


@pytest.mark.parametrize("keep", [0, 1, -1])
def test_truncated_files_are_named(case: Case, copy: Path, keep: int) -> None:
    for name in names_of(case.folder)[::3]:
        data = (copy / name).read_bytes()
        replace_bytes(copy / name, data[:keep])
        files = faulty_files(verify(copy, case.trust))
        assert name in files, (name, files)
        replace_bytes(copy / name, data)


def test_an_added_file_is_named(case: Case, copy: Path) -> None:
    for name in ("data/video/box-1/cam-1/999.mp4", "data/more.txt", "evil.sh", "data/log/999.cose"):
        (copy / name).write_bytes(b"\x00" * 10)
        assert name in faulty_files(verify(copy, case.trust)), name
        (copy / name).unlink()


def test_two_swapped_segments_are_named(case: Case, copy: Path) -> None:
    one, two = [name for name in names_of(copy) if bundle.parse_video(name)][:2]
    first, second = (copy / one).read_bytes(), (copy / two).read_bytes()
    replace_bytes(copy / one, second)
    replace_bytes(copy / two, first)
    rewrap(copy)
    assert {one, two} <= faulty_files(verify(copy, case.trust))


def test_a_duplicated_segment_is_named(case: Case, copy: Path) -> None:
    one, two = [name for name in names_of(copy) if bundle.parse_video(name)][:2]
    replace_bytes(copy / two, (copy / one).read_bytes())
    rewrap(copy)
    assert two in faulty_files(verify(copy, case.trust))


class TestHostileHub:
    """The hub holds the log key, re-makes every manifest, logs a new export record; the boxes' signatures stop it."""

    @pytest.fixture
    def port(self, tmp_path: Path) -> MemoryPort:
        return busy_port(tmp_path / "blobs")

    def test_leaving_out_the_last_segment(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        last = max((name for name in gathered.videos if "/rec-1/" in name), key=lambda name: gathered.videos[name][1].body.number)
        del gathered.videos[last]
        case = write_case(port, tmp_path / "case", gathered=gathered)
        assert last in faulty_files(verify(case.folder, case.trust))

    def test_shortening_the_journal_to_hide_the_last_segments(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        range_ = gathered.exhibits.ranges[next(iter(gathered.exhibits.ranges))][-1]
        seals = port.seals(range_.box, range_.epoch, range_.first)
        position, index = [one for one in seals if one[0] < range_.end - 1][-1]
        hidden = {
            piece.name for piece in gathered.wanted.wanted.values() if piece.range is range_ and piece.signed.record.position > position
        }
        assert hidden
        range_.records = range_.records[: position - range_.first + 1]
        gathered.files[bundle.journal_name(range_.box, range_.epoch)] = bundle.encode_records(one.data for one in range_.records)
        for name in [
            name for name in gathered.files if (leaf := bundle.parse_leaf(name)) and self._seal_of(port, leaf[0], range_.box, position)
        ]:
            del gathered.files[name]
        gathered.indices = {one for one in gathered.indices if bundle.leaf_name(one) in gathered.files} | {index}
        gathered.files[bundle.leaf_name(index)] = port.leaf(index)
        gathered.videos = {name: video for name, video in gathered.videos.items() if name not in hidden}
        gathered.wanted = expect(gathered.exhibits, Faults(), TASK)
        case = write_case(port, tmp_path / "case", gathered=gathered)
        assert hidden & faulty_files(verify(case.folder, case.trust))

    def _seal_of(self, port: MemoryPort, index: int, box: str, position: int) -> bool:
        record = port.log.entries[index].record
        return record.issuer.name == box and record.issuer.role == "box" and record.position > position

    def test_leaving_out_an_epoch(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        dropped = gathered.exhibits.ranges[next(box for box in gathered.exhibits.ranges if box == "box-2")].pop(0)
        for part in ("bin", "range"):
            del gathered.files[bundle.journal_name("box-2", dropped.epoch, part)]
        case = write_case(port, tmp_path / "case", gathered=gathered)
        assert not verify(case.folder, case.trust).valid

    def test_leaving_out_a_record_in_the_middle(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        name = bundle.journal_name("box-1", 0)
        records = bundle.parse_records(gathered.files[name])
        gathered.files[name] = bundle.encode_records([*records[:5], *records[6:]])
        case = write_case(port, tmp_path / "case", gathered=gathered)
        assert name in faulty_files(verify(case.folder, case.trust))

    def test_leaving_out_the_pairing_order(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        order = next(i for i in gathered.indices if isinstance(port.log.entries[i].record.body, kinds.Pairing))
        gathered.indices.remove(order)
        del gathered.files[bundle.leaf_name(order)]
        case = write_case(port, tmp_path / "case", gathered=gathered)
        report = verify(case.folder, case.trust)
        assert any("order" in fault.what and "box-2" in fault.file for fault in report.faults)

    def test_a_second_task_end_to_shorten_the_task(self, port: MemoryPort, tmp_path: Path) -> None:
        gathered = gather(port, TASK, port.trust())
        again = port.end_task(TASK)
        gathered.indices.add(again.record.position)
        gathered.files[bundle.leaf_name(again.record.position)] = again.data
        case = write_case(port, tmp_path / "case", gathered=gathered)
        assert bundle.leaf_name(again.record.position) in faulty_files(verify(case.folder, case.trust))

    def test_another_file_list_than_the_export_record(self, port: MemoryPort, tmp_path: Path) -> None:
        case = write_case(port, tmp_path / "case")
        other = write_case(port, tmp_path / "other")
        for name in names_of(other.folder):
            if name not in names_of(case.folder) or not bundle.parse_video(name):
                continue
        evidence = (case.folder / bundle.EVIDENCE).read_bytes()
        replace_bytes(case.folder / bundle.EVIDENCE, evidence.replace(evidence[:8], b"00000000", 1))
        rewrap(case.folder)
        assert bundle.EVIDENCE in faulty_files(verify(case.folder, case.trust))

    def test_another_log_key(self, port: MemoryPort, tmp_path: Path) -> None:
        case = write_case(port, tmp_path / "case")
        log = replace(case.trust.log, public=fixed_ed25519(99).public)
        report = verify(case.folder, replace(case.trust, log=log))
        assert bundle.CHECKPOINT in faulty_files(report)

    def test_another_root(self, port: MemoryPort, tmp_path: Path) -> None:
        case = write_case(port, tmp_path / "case")
        report = verify(case.folder, replace(case.trust, root_sha256="0" * 64))
        assert bundle.ROOT in faulty_files(report)

    def test_a_box_that_was_revoked_before(self, tmp_path: Path) -> None:
        port = MemoryPort(tmp_path / "blobs")
        port.found()
        box = port.enrol("box-1")
        enrolment = port.log.entries[0].record.body
        assert isinstance(enrolment, kinds.Enrolment)
        box.write(kinds.Recording("started", "configured", "rtsp", 0), "box-1/cam-1")
        port.issue(kinds.Enrolment("revoked", enrolment.certificate, "admin", "stolen"), "box-1")
        port.open_task(TASK, ("box-1/cam-1",))
        port.record_for(60, {"box-1": ["cam-1"]})
        port.end_task(TASK)
        port.record_for(20, {"box-1": ["cam-1"]})
        case = write_case(port, tmp_path / "case")
        assert any("revoked" in fault.what for fault in verify(case.folder, case.trust).faults)


class TestZip:
    @pytest.fixture
    def zipped(self, case: Case, tmp_path: Path) -> Path:
        write_zip(case.folder, tmp_path / "bundle.zip")
        return tmp_path / "bundle.zip"

    @pytest.fixture
    def trust_file(self, case: Case, tmp_path: Path) -> Path:
        (tmp_path / "trust.json").write_bytes(case.trust.encode())
        return tmp_path / "trust.json"

    def status(self, path: Path, trust_file: Path) -> tuple[int, dict[str, object]]:
        out = StringIO()
        code = run([str(path), "--trust", str(trust_file), "--json"], out, StringIO())
        return code, json.loads(out.getvalue())

    def test_says_the_same_as_the_folder(self, case: Case, zipped: Path) -> None:
        assert verify(zipped, case.trust) == verify(case.folder, case.trust)

    def test_no_bit_flip_of_the_container_is_valid(self, zipped: Path, trust_file: Path) -> None:
        data = zipped.read_bytes()
        dice = random.Random(3)
        directory = len(data) - data.rfind(b"PK\x05\x06")
        for number in range(120):
            wrong = bytearray(data)
            at = dice.randrange(len(data)) if number % 2 else len(data) - 1 - dice.randrange(directory + 4000)
            wrong[at] ^= 1 << dice.randrange(8)
            zipped.write_bytes(wrong)
            code, answer = self.status(zipped, trust_file)
            assert code in (1, 2), at
            assert answer["valid"] is False

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "case/../x", "case//x", "case/./x", "case\\x", "case/", "x" * 400])
    def test_names_that_leave_the_folder(self, trust_file: Path, tmp_path: Path, name: str) -> None:
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            archive.writestr(name, b"")
        code, answer = self.status(tmp_path / "evil.zip", trust_file)
        assert code == 2
        assert answer["unreadable"]

    def test_a_bomb(self, trust_file: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bagit.txt", bytes(50_000_000))
        code, answer = self.status(tmp_path / "bomb.zip", trust_file)
        assert (code, "compressed" in str(answer)) == (2, True)

    def test_a_size_that_lies(self, zipped: Path, trust_file: Path) -> None:
        data = bytearray(zipped.read_bytes())
        at = data.rfind(b"PK\x01\x02")
        data[at + 20 : at + 28] = b"\xf0\xff\xff\xff" * 2
        zipped.write_bytes(data)
        assert self.status(zipped, trust_file)[0] == 2

    def test_one_name_twice(self, trust_file: Path, tmp_path: Path) -> None:
        with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
            for _ in range(2):
                archive.writestr(zipfile.ZipInfo("bagit.txt"), b"")
        assert self.status(tmp_path / "twice.zip", trust_file)[0] == 2

    def test_what_is_no_bundle(self, trust_file: Path, tmp_path: Path) -> None:
        (tmp_path / "garbage").write_bytes(b"PK\x03\x04" + bytes(100))
        (tmp_path / "empty").mkdir()
        for name in ("garbage", "empty", "absent"):
            assert self.status(tmp_path / name, trust_file)[0] == 2, name

    def test_a_link_out_of_the_folder(self, copy: Path, trust_file: Path) -> None:
        (copy / "data/link").symlink_to("/etc/passwd")
        assert self.status(copy, trust_file)[0] == 2


class TestHugeNumbers:
    """Bytes that nobody can sign honestly still must be refused in bounded time, by name."""

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("data/journals/box-1-0.range", bundle.JournalRange(2**62, (bytes(32),), b"x").encode()),
            ("data/journals/box-1-0.bin", b"\xff\xff\xff\xff" * 1000),
            ("data/journals/box-1-0.bin", bytes(4) * 100_000),
            ("data/log/checkpoint", b"a\n9999999999999999999\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 a AAAAAAA=\n"),
            ("data/evidence-sha256.txt", b"0" * 64 + b"  x\n" * 100_000),
        ],
    )
    def test_refused_by_name(self, case: Case, copy: Path, name: str, data: bytes) -> None:
        replace_bytes(copy / name, data)
        assert name in faulty_files(verify(copy, case.trust))

    def test_huge_numbers_in_names(self, case: Case, copy: Path) -> None:
        name = f"data/log/{10**18}.tlog-proof"
        (copy / name).write_bytes(b"c2sp.org/tlog-proof@v1\nindex 1000000000000000000\n\nx\n")
        assert name in faulty_files(verify(copy, case.trust))


class TestProgram:
    @pytest.fixture
    def trust_file(self, case: Case, tmp_path: Path) -> Iterator[Path]:
        (tmp_path / "trust.json").write_bytes(case.trust.encode())
        yield tmp_path / "trust.json"

    def test_tables_in_both_languages(self, case: Case, trust_file: Path) -> None:
        for language, word in (("en", "VALID"), ("zh", "有效")):
            out = StringIO()
            assert run([str(case.folder), "--trust", str(trust_file), "--lang", language], out, StringIO()) == 0
            assert out.getvalue().rstrip().endswith(word)

    def test_a_wrong_trust_file_is_unreadable_input(self, case: Case, tmp_path: Path) -> None:
        (tmp_path / "wrong.json").write_text("{}")
        err = StringIO()
        assert run([str(case.folder), "--trust", str(tmp_path / "wrong.json")], StringIO(), err) == 2
        assert "trust" in err.getvalue()

    def test_json_names_faults(self, case: Case, copy: Path, trust_file: Path) -> None:
        victim = next(name for name in names_of(copy) if bundle.parse_video(name))
        (copy / victim).unlink()
        out = StringIO()
        assert run([str(copy), "--trust", str(trust_file), "--json"], out, StringIO()) == 1
        assert victim in [fault["file"] for fault in json.loads(out.getvalue())["faults"]]

    def test_the_trust_file_survives_a_round(self, case: Case) -> None:
        assert Trust.parse(case.trust.encode()) == case.trust


def test_a_late_pairing_is_labelled(tmp_path: Path) -> None:
    case = write_case(busy_port(tmp_path / "blobs", late=True), tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert report.faults == ()
    assert {one.stream for one in report.streams if one.late} == {"box-2/rec-1"}


def test_a_journal_whose_first_record_is_refused_is_named(case: Case, copy: Path) -> None:
    name = bundle.journal_name("box-2", 1)
    data = (copy / name).read_bytes()
    for wrong in (data[:30], data[4:], data[:10] + b"\xff" + data[11:], bytes(4) + data):
        replace_bytes(copy / name, wrong)
        assert name in faulty_files(verify(copy, case.trust))
