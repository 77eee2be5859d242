"""Whether a key counted is judged at the place it signed, by the log: revoked, not yet enrolled or ended then, not today.

Each wrong case has a twin that differs in the one thing that matters and must be valid.
"""

from pathlib import Path

import pytest

from protocol import kinds
from protocol.certificates import IDENTITY_NS, Authority, Certificate, Identity, Validity, issue_box
from protocol.instants import SECOND_NS
from protocol.signatures import P256Signer
from protocol.verdict import Report
from simulators.cases import TASK, write_case
from simulators.evidence import SEGMENT_NS, SITE, MemoryBox, MemoryPort, fixed_p256
from storage.verify import verify

NAME, CAMERA, SOURCES = "box-2", "box-2/cam-2", {"box-2": ["cam-2"]}
HOUR_NS = 3600 * SECOND_NS


class Story:
    """A port with one box and one camera, told step by step."""

    def __init__(self, folder: Path, length_ns: int = IDENTITY_NS) -> None:
        self.folder, self.port = folder, MemoryPort(folder / "blobs", segment_bytes=512)
        self.port.found()
        self.box = MemoryBox(self.port, NAME, fixed_p256(10))  # type: ignore[arg-type]  # a name is enough
        self.port.boxes[NAME] = self.box
        self.first = self.certificate(self.box.identity, length_ns, 100)
        self.enrol(self.first)
        self.box.boot()
        self.box.write(kinds.Recording("started", "configured", "rtsp", 0), CAMERA)
        self.record(30)

    def certificate(self, key: P256Signer, length_ns: int = IDENTITY_NS, serial: int = 777) -> Certificate:
        validity = Validity.backdated(self.port.now_ns, length_ns, serial)
        identity = Identity(SITE, self.box.box)
        return issue_box(key.public, identity, "records", Authority(self.port.chain[0], self.port.site_key), validity)

    def enrol(self, certificate: Certificate, state: str = "issued") -> None:
        self.port.issue(kinds.Enrolment(state, certificate.der, "admin"), NAME)  # type: ignore[arg-type]  # one of two words

    def record(self, seconds: int) -> None:
        self.port.record_for(seconds, SOURCES)

    def record_unsealed(self, segments: int) -> None:
        for _ in range(segments):
            self.port.now_ns += SEGMENT_NS
            self.box.segment("cam-2", self.port.video(NAME, "cam-2", self.box.numbers["cam-2"]), SEGMENT_NS)

    def take_key(self, key: P256Signer) -> None:
        """Go on in the same epoch under a session that another identity key certified."""
        self.box.identity = key
        self.box.certify()

    def judged(self, seconds: int = 30) -> Report:
        self.record(seconds)
        self.port.end_task(TASK)
        self.record(20)
        case = write_case(self.port, self.folder / "case")
        return verify(case.folder, case.trust)

    def open(self) -> None:
        self.port.open_task(TASK, (CAMERA,))


def told(report: Report) -> list[tuple[str, str]]:
    return [(fault.file, fault.what) for fault in report.faults]


@pytest.mark.parametrize("revoked", [True, False])
def test_an_older_session_of_a_revoked_key_does_not_hide_behind_a_newer_one(tmp_path: Path, revoked: bool) -> None:
    story, second = Story(tmp_path), fixed_p256(4242)
    story.open()
    if revoked:
        story.enrol(story.first, "revoked")
    story.enrol(story.certificate(second))
    story.record_unsealed(3)  # under the old identity, first covered by a seal under the new one
    story.take_key(second)
    report = story.judged()
    assert report.valid is not revoked
    assert not revoked or all("was revoked at leaf" in what and file.endswith(".bin") for file, what in told(report))
    if revoked:
        old, new = (key.public.key_id.hex()[:16] for key in (fixed_p256(10), second))
        assert old in report.faults[0].what
        assert new not in report.faults[0].what


def test_what_was_logged_before_the_revocation_stays_valid(tmp_path: Path) -> None:
    story, second = Story(tmp_path), fixed_p256(4242)
    story.open()
    story.record(30)
    story.box.seal("task")
    story.enrol(story.first, "revoked")
    story.enrol(story.certificate(second))
    story.take_key(second)
    report = story.judged(90)
    assert told(report) == []
    assert {one.signer.rpartition(" ")[2] for one in report.segments} == {key.public.key_id.hex() for key in (fixed_p256(10), second)}


def test_a_revocation_after_the_task_takes_nothing_back(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.open()
    story.record(60)
    story.port.end_task(TASK)
    story.record(20)
    story.enrol(story.first, "revoked")
    case = write_case(story.port, tmp_path / "case")
    assert told(verify(case.folder, case.trust)) == []


@pytest.mark.parametrize("late", [True, False])
def test_a_key_that_signed_before_it_was_enrolled(tmp_path: Path, late: bool) -> None:
    story, second = Story(tmp_path), fixed_p256(4242)
    certificate = story.certificate(second)
    story.open()
    if not late:
        story.enrol(certificate)
    story.take_key(second)
    story.record(30)
    if late:
        story.enrol(certificate)
    report = story.judged()
    assert report.valid is not late
    assert not late or any("was not enrolled" in what for _, what in told(report))


@pytest.mark.parametrize("beside", [False, True])
def test_a_certificate_that_had_ended_when_its_key_signed(tmp_path: Path, beside: bool) -> None:
    story = Story(tmp_path, HOUR_NS)
    if beside:  # a second certificate of the box that ends later says nothing of this key
        story.enrol(story.certificate(fixed_p256(4242)))
    story.port.now_ns += 2 * HOUR_NS
    story.box.certify()
    story.open()
    report = story.judged(60)
    assert any("had ended: its certificate was valid until" in what for _, what in told(report))


def test_a_certificate_that_has_ended_since_stays_good_for_what_it_signed(tmp_path: Path) -> None:
    story = Story(tmp_path, HOUR_NS)
    story.open()
    story.record(60)
    story.port.end_task(TASK)
    story.record(20)
    story.port.now_ns += 1000 * 24 * HOUR_NS
    case = write_case(story.port, tmp_path / "case")
    assert told(verify(case.folder, case.trust)) == []


@pytest.mark.parametrize("hours", [0, 2])
def test_what_the_log_held_only_after_the_end_is_not_known_to_be_older(tmp_path: Path, hours: int) -> None:
    story = Story(tmp_path, HOUR_NS)
    story.open()
    story.record_unsealed(6)
    story.port.end_task(TASK)
    story.record_unsealed(2)
    story.box.seal()  # by the box's own clock, in time
    story.port.now_ns += hours * HOUR_NS
    story.port.issue(kinds.Stored((bytes(32),)), NAME)
    case = write_case(story.port, tmp_path / "case")
    report = verify(case.folder, case.trust)
    assert report.valid is (hours == 0)
    assert hours == 0 or any("had ended" in what for _, what in told(report))


@pytest.mark.parametrize("again", ["revoked", "issued"])
def test_a_revocation_is_neither_moved_nor_undone(tmp_path: Path, again: str) -> None:
    story = Story(tmp_path)
    story.open()
    story.enrol(story.first, "revoked")
    if again == "issued":
        story.enrol(story.first, again)
    story.record(30)
    if again == "revoked":
        story.enrol(story.first, again)
    report = story.judged()
    assert any("was revoked at leaf" in what for _, what in told(report))


YEARS_NS = 365 * 24 * HOUR_NS


@pytest.mark.parametrize("years", [0, 2, 5, 9])
def test_evidence_is_judged_years_later_by_what_the_log_said_then(tmp_path: Path, years: int) -> None:
    story = Story(tmp_path)
    story.open()
    story.record(60)
    story.port.end_task(TASK)
    story.record(20)
    story.port.now_ns += years * YEARS_NS  # the certificates of box and session ended after three
    case = write_case(story.port, tmp_path / "case")
    assert told(verify(case.folder, case.trust)) == []


@pytest.mark.parametrize("years", [0, 5])
def test_a_key_that_signs_again_years_later_does_not_count(tmp_path: Path, years: int) -> None:
    story = Story(tmp_path)
    story.port.now_ns += years * YEARS_NS
    story.box.certify()
    story.open()
    report = story.judged(60)
    assert report.valid is (years == 0)
    assert years == 0 or any("had ended: its certificate was valid until" in what for _, what in told(report))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ((4, 5, 6), ""),
        ((4, 6, 7), "1 seals are missing before it by its counter"),
        ((4, 5, 5), "counter went back from 5 to 5"),
        ((4, 9, 3), "counter went back from 9 to 3"),
        ((4, None, 5), "names no counter, the seal before it named 4"),
    ],
)
def test_the_counters_of_seals_are_judged(tmp_path: Path, values: tuple[int | None, ...], why: str) -> None:
    story = Story(tmp_path)
    story.open()
    for value in values:
        story.record_unsealed(1)
        story.box.seal(counter=value)
    story.port.end_task(TASK)
    story.record_unsealed(1)
    last = [value for value in values if value is not None][-1]
    story.box.seal("task", counter=last + 1)
    case = write_case(story.port, tmp_path / "case")
    found = told(verify(case.folder, case.trust))
    assert found == [] if not why else any(why in what for _, what in found)


@pytest.mark.parametrize("usage", ["imports", "records", "both"])
def test_sessions_for_imports_are_certified_by_a_key_for_imports(tmp_path: Path, usage: str) -> None:
    story, importer = Story(tmp_path), fixed_p256(4242)
    story.open()
    validity = Validity.backdated(story.port.now_ns, IDENTITY_NS, 778)
    authority = Authority(story.port.chain[0], story.port.site_key)
    certificate = issue_box(
        importer.public, Identity(SITE, story.box.box), "imports" if usage == "imports" else "records", authority, validity
    )
    story.enrol(certificate)
    story.box.certify("import", importer)
    story.box.write(kinds.Recording("started", "card read", "import", 0), "box-2/dock-2")
    story.box.write(kinds.Recording("stopped", "card read", "import", 0), "box-2/dock-2")
    if usage == "both":  # a key for live capture signs the session that follows: only then does it hold
        story.box.certify("import")
    story.box.certify()
    report = story.judged(60)
    assert report.valid is (usage == "imports")
    assert usage == "imports" or any("is no identity of box-2 for imports" in what for _, what in told(report))
