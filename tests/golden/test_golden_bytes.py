"""Formats never change unseen: bytes made now equal those kept, every one reads back, and every broken twin is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from protocol import bundle, canonical, clips, kinds, messages, records
from protocol.errors import MalformedError, VerificationError
from protocol.mp4 import read_tracks
from protocol.notes import NoteKey, SignedCheckpoint
from protocol.sample_proofs import Anchor, SampleProof, check_clip
from protocol.samples import sample_root
from protocol.signatures import open1, sign1
from protocol.tiles import decode_bundle
from protocol.trust import Trust
from tests.golden_making import AT, BODIES, FILM, FOLDER, LATER, MESSAGES, SIGNER, STREAM, make

SAMPLE_ROOT = "d333c93299eabe78130824365063a3c845bff874bf672415092cc9b00bb60679"
KEPT = {path.stem: bytes.fromhex(path.read_text()) for path in FOLDER.glob("*.hex")}
READERS: dict[str, Callable[[bytes], Any]] = {
    "record": records.read,
    "message": messages.decode,
    "vkey": lambda data: NoteKey.parse(data.decode()),
    "checkpoint": SignedCheckpoint.parse,
    "tlog-proof": bundle.LogProof.parse,
    "journal-range": bundle.JournalRange.parse,
    "sample-proof": SampleProof.parse,
    "manifest": lambda data: bundle.parse_manifest(data, "manifest"),
    "entry-bundle": decode_bundle,
    "trust": Trust.parse,
    "canonical": canonical.decode,
}


def reader(name: str) -> Callable[[bytes], Any]:
    return READERS.get(name) or READERS[name.split("-")[0]]


def test_made_now_equals_what_is_kept() -> None:
    assert make() == KEPT


def test_sample_root_and_proof_stand_still() -> None:
    proof = SampleProof.parse(KEPT["sample-proof"])
    anchor = Anchor(bytes.fromhex(SAMPLE_ROOT), (13 * 14_700,), 2_000_000_000)
    assert sample_root(FILM).hex() == SAMPLE_ROOT
    tracks = read_tracks(FILM)
    found = check_clip(clips.cut(FILM, tracks, {one.place: (one.first, one.first + one.count) for one in proof.shown}), proof, anchor)
    assert (found.stream, found.number, found.samples) == (STREAM, 7, 64)


def test_every_kind_and_message_is_kept() -> None:
    assert set(BODIES) == set(kinds.KINDS)
    assert {one.KIND for one in MESSAGES} == set(messages.MESSAGES)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_reads_back(name: str) -> None:
    found = reader(name)(KEPT[name])
    if name.startswith("record-"):
        subject, body = (BODIES | LATER)[name.removeprefix("record-")]
        assert (found.record.subject, found.record.body, found.record.at) == (subject, body, AT)
        found.envelope.verify(SIGNER.public)
    elif name.startswith("message-"):
        assert found in MESSAGES


CUT_ALLOWED = {"entry-bundle", "checkpoint"}  # a bundle may end after any entry, a note may end after any signature


@pytest.mark.parametrize("name", sorted(KEPT))
def test_cut_twins_are_refused(name: str) -> None:
    data, read = KEPT[name], reader(name)
    for end in range(0, len(data), max(1, len(data) // 40)):
        if name in CUT_ALLOWED and data[:end].endswith(b"\n"):
            continue
        if name == "entry-bundle" and end in (0, 2, 7):
            continue
        if name == "manifest" and end == 0:
            continue
        if name == "tlog-proof" and b"\n\n" in data[:end]:
            continue  # the checkpoint inside is read by its own reader
        with pytest.raises(MalformedError):
            read(data[:end])


@pytest.mark.parametrize("name", sorted(name for name in KEPT if name not in CUT_ALLOWED | {"tlog-proof", "trust"}))
def test_twins_with_a_byte_more_are_refused(name: str) -> None:
    with pytest.raises(MalformedError):
        reader(name)(KEPT[name] + b"\x00")


@pytest.mark.parametrize("name", sorted(name for name in KEPT if name.startswith("record-")))
def test_flipped_records_never_verify(name: str) -> None:
    data = KEPT[name]
    for bit in range(0, 8 * len(data), 7):
        wrong = bytearray(data)
        wrong[bit // 8] ^= 1 << bit % 8
        with pytest.raises((MalformedError, VerificationError)):
            records.read(bytes(wrong)).envelope.verify(SIGNER.public)


def twin(name: str = "record-segment", *, payload: Callable[[dict[int, Any]], Any]) -> bytes:
    """Give a record with changed fields, well formed and truly signed."""
    fields = canonical.decode(open1(KEPT[name]).payload)
    payload(fields)
    return sign1(canonical.encode(fields), SIGNER)


NONSENSE: tuple[tuple[Callable[[dict[int, Any]], Any], str], ...] = (
    (lambda fields: fields.update({1: 2}), "version"),
    (lambda fields: fields.update({2: "secret"}), "kind"),
    (lambda fields: fields.update({2: 5}), "kind"),
    (lambda fields: fields.update({3: "box:BOX"}), "issuer"),
    (lambda fields: fields.update({3: None}), "issuer"),
    (lambda fields: fields.update({4: -1}), "epoch"),
    (lambda fields: fields.update({5: -1}), "position"),
    (lambda fields: fields.update({5: True}), "position"),
    (lambda fields: fields.update({6: bytes(31)}), "root"),
    (lambda fields: fields.update({7: "x" * 129}), "subject"),
    (lambda fields: fields.update({9: -1}), "time"),
    (lambda fields: fields.update({10: [3, None]}), "clock"),
    (lambda fields: fields.update({10: [0, -1]}), "clock"),
    (lambda fields: fields.update({11: [1, bytes(31)]}), "seen"),
    (lambda fields: fields.update({11: [-1, bytes(32)]}), "seen"),
    (lambda fields: fields.update({13: 1}), "record"),
    (lambda fields: fields.pop(8), "record"),
    (lambda fields: fields[12].pop(2), "segment.sha256"),
    (lambda fields: fields[12].update({2: "text"}), "segment.sha256"),
    (lambda fields: fields[12].update({11: "dead"}), "segment.state"),
    (lambda fields: fields[12].update({99: 1}), "segment"),
    (lambda fields: fields[12].update({16: "T-1"}), "segment.tasks"),
    (lambda fields: fields.update({12: []}), "segment"),
)


@pytest.mark.parametrize("number", range(len(NONSENSE)))
def test_signed_nonsense_is_refused_by_name(number: int) -> None:
    change, where = NONSENSE[number]
    with pytest.raises(MalformedError) as caught:
        records.read(twin(payload=change))
    assert where in caught.value.where


def test_an_oversize_record_is_refused() -> None:
    with pytest.raises(MalformedError, match="65536"):
        records.read(twin(payload=lambda fields: fields[12].update({16: ["x" * 60_000, "y" * 6_000]})))
