"""The verifier redoes sample trees, and judges remuxed segments, sub-clips and single frames by the records of a bundle."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest

from protocol import bundle
from protocol.samples import sample_root
from simulators.cases import TASK, Case, busy_port, write_case
from simulators.evidence import sample_fields
from simulators.films import film
from storage import clips
from storage.verify import run, verify
from tests.media_parts import remux


def make(folder: Path) -> Case:
    return write_case(busy_port(folder / "blobs", minutes=1, film=lambda number: film(number)), folder / f"case-{TASK}")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    found = make(tmp_path_factory.mktemp("films"))
    (found.folder.parent / "trust.json").write_bytes(found.trust.encode())
    return found


def judged(case: Case, *arguments: str | Path, lang: str = "en") -> tuple[int, str]:
    out, err = StringIO(), StringIO()
    trust = case.folder.parent / "trust.json"
    status = run([str(case.folder), "--trust", str(trust), "--lang", lang, *map(str, arguments)], out, err)
    return status, out.getvalue() + err.getvalue()


def cut(case: Case, folder: Path, *arguments: str) -> Path:
    out, err = StringIO(), StringIO()
    target = folder / "clip.mp4"
    segment = case.folder / bundle.video_name("box-1/cam-1", 8)
    assert clips.run([str(segment), *arguments, "--out", str(target)], out, err) == 0, err.getvalue()
    return target


def test_every_segment_says_that_its_samples_hold(case: Case) -> None:
    report = verify(case.folder, case.trust)
    assert report.valid
    assert {one.samples for one in report.segments} == {"ok"}
    assert {one.completeness.partition(",")[0] for one in report.segments} == {"whole", "recovered"}


def test_a_box_that_signed_another_root_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lying(data: bytes) -> dict[str, object]:
        found = sample_fields(data)
        if found and sample_root(data) == sample_root(film(8)):
            found["sample_root"] = bytes(32)
        elif found and sample_root(data) == sample_root(film(9)):
            found["starts"] = (5,)
        return found

    monkeypatch.setattr("simulators.evidence.sample_fields", lying)
    report = verify((made := make(tmp_path)).folder, made.trust)
    faults = {one.file: one.what for one in report.faults}
    assert faults[bundle.video_name("box-1/cam-1", 8)] == "its samples do not give the sample root of its record"
    assert faults[bundle.video_name("box-1/cam-1", 9)] == "its tracks do not start against each other as its record says"
    assert {one.number for one in report.segments if one.samples == "altered"} <= {8, 9}


def test_a_remuxed_file_in_the_bundle_is_altered_but_its_samples_hold(case: Case, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(case.folder, tmp_path / case.folder.name))
    name = bundle.video_name("box-1/cam-1", 7)
    data = (copy / name).read_bytes()
    (copy / name).unlink()
    (copy / name).write_bytes(data + b"\x00\x00\x00\x08free")
    report = verify(copy, case.trust)
    assert any(one.file == name and "only" not in one.what and "its samples are those recorded" in one.what for one in report.faults)
    [finding] = [one for one in report.segments if one.file == name]
    assert (finding.integrity, finding.samples) == ("altered", "ok")


def test_a_remuxed_segment_is_found_by_its_samples(case: Case, tmp_path: Path) -> None:
    copy = tmp_path / "remuxed.mp4"
    copy.write_bytes(remux((case.folder / bundle.video_name("box-1/cam-1", 8)).read_bytes()))
    status, text = judged(case, "--clip", copy)
    assert status == 0, text
    assert "whole segment" in text and "/8\n" in text and text.endswith("VALID\n")
    spoilt = bytearray(copy.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    copy.write_bytes(spoilt)
    status, text = judged(case, "--clip", copy)
    assert status == 1
    assert "remuxed.mp4: sample tree: no record of the bundle has the sample root of this file" in text


def test_a_clip_is_judged_by_its_proof(case: Case, tmp_path: Path) -> None:
    clip = cut(case, tmp_path, "--from", "1.1", "--to", "1.6")
    proof = clip.with_suffix(".samples")
    status, text = judged(case, "--clip", clip, "--proof", proof, "--json")
    found = json.loads(text)
    assert (status, found["valid"], found["kind"], found["stream"], found["number"]) == (0, True, "sub-clip", "box-1/cam-1", 8)
    assert found["segment"]["integrity"] == "ok"
    assert found["box_time"][0].endswith("01.000Z") and found["box_time"][1].endswith("01.600Z")
    clip.write_bytes(remux(clip.read_bytes()))
    status, text = judged(case, "--clip", clip, "--proof", proof, lang="zh")
    assert (status, text.splitlines()[-1]) == (0, "有效")
    status, text = judged(case, "--clip", clip)  # without its proof it is no whole segment
    assert status == 1
    clip.write_bytes(clip.read_bytes().replace(b"avcC", b"avcX"))
    status, text = judged(case, "--clip", clip, "--proof", proof)
    assert (status, "clip.mp4: avcC: missing" in text) == (1, True)
    proof.write_bytes(proof.read_bytes()[:-1])
    status, text = judged(case, "--clip", clip, "--proof", proof)
    assert (status, "clip.samples: cbor" in text) == (1, True)


def test_a_frame_is_judged_by_its_proof(case: Case, tmp_path: Path) -> None:
    frame = cut(case, tmp_path, "--at", "1.21")
    proof = frame.with_suffix(".samples")
    status, text = judged(case, "--clip", frame, "--proof", proof)
    assert status == 0, text
    assert "single sample" in text and ":01.200Z" in text
    frame.write_bytes(frame.read_bytes() + b"\x00")
    assert judged(case, "--clip", frame, "--proof", proof)[0] == 1


def test_a_clip_of_a_segment_without_its_bytes_is_still_proven(case: Case, tmp_path: Path) -> None:
    clip = cut(case, tmp_path, "--from", "0", "--to", "1")
    copy = Path(shutil.copytree(case.folder, tmp_path / case.folder.name))
    (copy / bundle.video_name("box-1/cam-1", 8)).unlink()
    assert not verify(copy, case.trust).valid
    bare = Case(copy, case.port, case.trust)
    (tmp_path / "trust.json").write_bytes(case.trust.encode())
    arguments = ("--clip", clip, "--proof", clip.with_suffix(".samples"))
    assert judged(bare, *arguments)[0] == 0
    journal = next((copy / "data/journals").glob("box-1-*.bin"))
    data = journal.read_bytes()
    journal.unlink()
    journal.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    status, text = judged(bare, *arguments)  # a bundle whose records do not hold proves nothing
    assert status == 1, text


def test_a_clip_of_another_segment_is_refused(case: Case, tmp_path: Path) -> None:
    clip = cut(case, tmp_path, "--from", "0", "--to", "1", "--number", "9")
    status, text = judged(case, "--clip", clip, "--proof", clip.with_suffix(".samples"))
    assert (status, "sample root of the record" in text) == (1, True)
    clip = cut(case, tmp_path, "--from", "0", "--to", "1", "--stream", "box-1/cam-9")
    status, text = judged(case, "--clip", clip, "--proof", clip.with_suffix(".samples"))
    assert (status, "has no record of box-1/cam-9 segment 8" in text) == (1, True)


def test_wrong_orders_are_named(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = StringIO(), StringIO()
    segment = str(case.folder / bundle.video_name("box-1/cam-1", 8))
    assert clips.run([segment, "--from", "30", "--to", "20", "--out", str(tmp_path / "c.mp4")], out, err) == 2
    assert clips.run([segment, "--at", "30", "--out", str(tmp_path / "c.mp4")], out, err) == 2
    assert clips.run([str(tmp_path / "no.mp4"), "--at", "1", "--out", str(tmp_path / "c.mp4")], out, err) == 2
    assert "shows nothing then" in err.getvalue() and "give --stream and --number" in err.getvalue()
    for arguments in ([segment, "--from", "3", "--out", "c"], [segment, "--at", "1", "--from", "3", "--to", "4", "--out", "c"]):
        with pytest.raises(SystemExit) as caught:
            clips.run(arguments, out, err)
        assert caught.value.code == 2
    with pytest.raises(SystemExit):
        judged(case, "--proof", tmp_path / "c.samples")
    assert "give --clip too" in capsys.readouterr().err


def test_records_made_before_sample_roots_are_said_to_have_none(tmp_path: Path) -> None:
    made = write_case(busy_port(tmp_path / "blobs", minutes=1), tmp_path / "case")
    report = verify(made.folder, made.trust)
    assert report.valid
    assert {one.samples for one in report.segments} == {"not recorded"}
