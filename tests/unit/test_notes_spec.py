"""Notes, checkpoints and cosignatures as C2SP writes them."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, VerificationError
from protocol.notes import (
    COSIGNATURE,
    ED25519,
    MAX_SIGNATURES,
    Checkpoint,
    Note,
    NoteKey,
    SignedCheckpoint,
    cosign,
    parse_note,
    sign_checkpoint,
    sign_note,
    verify_note,
)
from simulators.evidence import fixed_ed25519

# The published example of the Go checksum database's note package, an implementation nobody here wrote.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
SIGNER = fixed_ed25519(4)
HEAD = Checkpoint("example.com/log", 123, bytes(range(32)))


def test_a_note_of_another_implementation_verifies() -> None:
    key = NoteKey.parse(NEUMANN)
    note = parse_note(NOTE)
    assert verify_note(note, key) is None
    assert note.encode() == NOTE
    assert key.vkey() == NEUMANN


def test_its_text_changed_does_not() -> None:
    with pytest.raises(VerificationError):
        verify_note(parse_note(NOTE.replace(b"answer", b"reason")), NoteKey.parse(NEUMANN))


def test_the_key_hash_is_that_of_the_specification() -> None:
    key = NoteKey("example.com/log", ED25519, SIGNER.public)
    assert key.hash == hashlib.sha256(b"example.com/log\n\x01" + SIGNER.public.raw()).digest()[:4]


def test_a_checkpoint_and_cosignature_by_the_letter() -> None:
    data = sign_checkpoint(HEAD, SIGNER, (cosign(HEAD.text(), "example.com/witness", SIGNER, 1_795_000_000),))
    text, _, lines = data.decode().partition("\n\n")
    assert text == "example.com/log\n123\n" + base64.b64encode(HEAD.root).decode()
    public = Ed25519PublicKey.from_public_bytes(SIGNER.public.raw())
    first, second = (base64.b64decode(line.split(" ")[2])[4:] for line in lines.splitlines())
    public.verify(first, (text + "\n").encode())
    assert int.from_bytes(second[:8], "big") == 1_795_000_000
    public.verify(second[8:], f"cosignature/v1\ntime 1795000000\n{text}\n".encode())
    signed = SignedCheckpoint.parse(data)
    assert signed.verify(NoteKey("example.com/witness", COSIGNATURE, SIGNER.public), origin="example.com/log") == 1_795_000_000


def test_signatures_of_unknown_keys_are_ignored_and_of_known_ones_must_hold() -> None:
    key = NoteKey("known", ED25519, SIGNER.public)
    stranger = sign_note("text\n", "stranger", fixed_ed25519(5))
    assert verify_note(Note("text\n", (stranger, sign_note("text\n", "known", SIGNER))), key) is None
    with pytest.raises(VerificationError, match="not signed"):
        verify_note(Note("text\n", (stranger,)), key)
    with pytest.raises(VerificationError):
        verify_note(Note("text\n", (sign_note("other\n", "known", SIGNER),)), key)


def test_another_origin_is_refused() -> None:
    signed = SignedCheckpoint.parse(sign_checkpoint(HEAD, SIGNER))
    with pytest.raises(VerificationError, match="origin"):
        signed.verify(NoteKey("example.com/log", ED25519, SIGNER.public), origin="example.com/other")


BAD_NOTES = (
    b"", b"text\n", b"text\n\n", b"text\n\n- a AAAAAAA=\n", b"text\n\n\xe2\x80\x94 a AAAA\n", b"t\x00\n\n\xe2\x80\x94 a AAAAAAA=\n",
    b"\xff\n\n\xe2\x80\x94 a AAAAAAA=\n", b"text\n\n\xe2\x80\x94 a AAAAAAB=\n",
    b"text\n\n" + "— a AAAAAAA=\n".encode() * (MAX_SIGNATURES + 1),
    b"x" * 70_000,
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD_NOTES)))
def test_what_is_no_note_is_refused(number: int) -> None:
    with pytest.raises(MalformedError):
        parse_note(BAD_NOTES[number])


ROOT = base64.b64encode(bytes(32)).decode()
BAD_HEADS = (
    "", "origin\n1\n", f"origin\n01\n{ROOT}\n", f"origin\n-1\n{ROOT}\n", f"origin\n1\n{ROOT[:-4]}\n", f"\n1\n{ROOT}\n",
    f"origin\n1\n{ROOT}",
    f"origin\n١\n{ROOT}\n", f"origin\n{'9' * 20}\n{ROOT}\n", f"origin\n1\n{ROOT}\n\n",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD_HEADS)))
def test_what_is_no_checkpoint_is_refused(number: int) -> None:
    with pytest.raises(MalformedError):
        Checkpoint.parse(BAD_HEADS[number])


BAD_KEYS = ("", "a+b", NEUMANN.replace("c74f20a3", "c74f20a4"), NEUMANN[:-4], "a b+00000000+AA==", NEUMANN.replace("ARpc", "CRpc"))


@pytest.mark.parametrize("number", range(len(BAD_KEYS)))
def test_what_is_no_key_is_refused(number: int) -> None:
    with pytest.raises(MalformedError):
        NoteKey.parse(BAD_KEYS[number])


@given(st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.lists(st.text("abc =", min_size=1), max_size=3))
def test_checkpoints_read_back(size: int, root: bytes, extensions: list[str]) -> None:
    head = Checkpoint("example.com/log", size, root, tuple(extensions))
    assert SignedCheckpoint.parse(sign_checkpoint(head, SIGNER)).checkpoint == head
