"""A journal is followed record by record; the first that does not fit is refused and changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from protocol import kinds
from protocol.errors import EquivocationError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import SECOND_NS
from protocol.journals import Journal, check_equal, origin
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.records import Record, SignedRecord
from protocol.signatures import Signer
from simulators.evidence import MemoryBox, MemoryPort, fixed_ed25519, fixed_p256


@pytest.fixture
def box(tmp_path: Path) -> MemoryBox:
    port = MemoryPort(tmp_path)
    port.found()
    box = port.enrol("box-1")
    port.record_for(20, {"box-1": ["cam-1"]})
    return box


def follow(box: MemoryBox, count: int | None = None) -> Journal:
    journal = Journal(box.box, box.epoch, (box.identity.public,))
    for signed in box.journals[box.epoch][:count]:
        journal.append(signed)
    return journal


def test_a_true_journal_is_taken(box: MemoryBox) -> None:
    journal = follow(box)
    assert journal.frontier.root() == box.frontier.root()
    assert journal.sealed == len(box.journals[0]) - 1


CHANGES: dict[str, Callable[[Record], Record]] = {
    "another box": lambda record: replace(record, issuer=Issuer.of_box("box-2")),
    "another epoch": lambda record: replace(record, epoch=9),
    "a position left out": lambda record: replace(record, position=record.position + 1),
    "a position again": lambda record: replace(record, position=record.position - 1),
    "another tree": lambda record: replace(record, root=bytes(32)),
    "time backwards": lambda record: replace(record, at=replace(record.at, mono_ns=0)),
    "a boot in the middle": lambda record: replace(record, body=kinds.Boot(b"boot", "x")),
    "after the session": lambda record: replace(record, at=replace(record.at, mono_ns=record.at.mono_ns + 2 * 3600 * SECOND_NS)),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_what_does_not_fit_is_refused_and_changes_nothing(box: MemoryBox, name: str) -> None:
    journal = follow(box, 5)
    before = (journal.frontier.size, journal.frontier.root(), journal.last_mono_ns)
    wrong = CHANGES[name](box.journals[0][5].record).sign(box.session)
    with pytest.raises(VerificationError):
        journal.append(wrong)
    assert (journal.frontier.size, journal.frontier.root(), journal.last_mono_ns) == before
    journal.append(box.journals[0][5])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_wrong_key_is_refused(box: MemoryBox, number: int) -> None:
    signers: tuple[Signer, ...] = (fixed_ed25519(50), fixed_p256(50), box.identity)
    journal = follow(box, 5)
    with pytest.raises(VerificationError):
        journal.append(box.journals[0][5].record.sign(signers[number]))


def test_a_session_of_a_stranger_is_refused(box: MemoryBox) -> None:
    journal = follow(box, 1)
    with pytest.raises(VerificationError, match="identity"):
        journal.append(box.journals[0][1].record.sign(fixed_p256(50)))


def test_a_seal_over_another_tree_is_equivocation(box: MemoryBox) -> None:
    journal = follow(box)
    note = sign_checkpoint(Checkpoint(origin(box.box, 0), box.frontier.size, bytes(32)), box.session)
    signed = box.write(kinds.Seal(note, (), "interval"), box.box)
    with pytest.raises(EquivocationError):
        journal.append(signed)


def test_two_records_at_one_position(box: MemoryBox) -> None:
    known = box.journals[0][5]
    keys = [box.session.public]
    check_equal(known.data, known, keys)
    other = replace(known.record, subject="box-1/other").sign(box.session)
    with pytest.raises(EquivocationError, match="two signed records"):
        check_equal(known.data, other, keys)
    forged: SignedRecord = replace(known.record, subject="box-1/other").sign(fixed_ed25519(50))
    with pytest.raises(VerificationError, match="not signed by the box"):
        check_equal(known.data, forged, keys)


def test_names_its_box() -> None:
    assert origin(BoxId("box-1"), 3) == "portwitness.box/box-1/3"
