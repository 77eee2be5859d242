"""COSE receipts (RFC 9942): made here, read by a library of others; every broken twin is refused."""

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from scitt_cose.merkle import inclusion_proof as their_proof
from scitt_cose.receipt import verify_receipt

from protocol.cose_receipts import make_receipt, parse_receipt
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.merkle import leaf_hash, root_of
from protocol.signatures import Ed25519Signer, P256Signer

SIGNER = Ed25519Signer.of(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def receipt_of(entries: list[bytes], index: int) -> bytes:
    path = [bytes.fromhex(node) for node in their_proof([entry.hex() for entry in entries], index)]
    return make_receipt(len(entries), index, path, root_of(leaf_hash(entry) for entry in entries), SIGNER)


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_receipts_hold_here_and_for_a_library_of_others(place: tuple[int, int]) -> None:
    size, index = place
    entries = [b"record %d" % number for number in range(size)]
    data = receipt_of(entries, index)
    root = parse_receipt(data).verify(leaf_hash(entries[index]), SIGNER.public)
    pem = SIGNER.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    judged = verify_receipt(data, leaf_entry_hex=entries[index].hex(), log_public_key_pem=pem)
    assert judged.ok and judged.root == root.hex()


def test_no_flipped_bit_passes_but_in_the_size_that_is_not_signed() -> None:
    """RFC 9942 signs the root alone: another size that asks for the same path proves the same leaf under the same root."""
    entries = [b"record %d" % number for number in range(13)]
    intact = receipt_of(entries, 5)
    root = root_of(leaf_hash(entry) for entry in entries)
    passed = []
    for bit in range(8 * len(intact)):
        data = bytearray(intact)
        data[bit // 8] ^= 1 << bit % 8
        try:
            receipt = parse_receipt(bytes(data))
            assert receipt.verify(leaf_hash(entries[5]), SIGNER.public) == root
        except PortwitnessError:
            continue
        passed.append((receipt.size, receipt.index))
    assert sorted(passed) == [(9, 5), (12, 5), (15, 5)]


def test_another_leaf_another_key_or_another_algorithm_is_refused() -> None:
    receipt = parse_receipt(receipt_of([b"a", b"b", b"c"], 1))
    for leaf, key in (
        (leaf_hash(b"a"), SIGNER.public),
        (leaf_hash(b"b"), Ed25519Signer.of(Ed25519PrivateKey.generate()).public),
        (leaf_hash(b"b"), P256Signer.of(ec.generate_private_key(ec.SECP256R1())).public),
    ):
        with pytest.raises(VerificationError):
            receipt.verify(leaf, key)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        (2, b"root", "payload"),
        (1, {}, "inclusion proof"),
        (1, {396: {-1: []}}, "inclusion proof"),
        (1, {396: {-1: [b"\x80"]}}, "size, index, path"),
        (1, {396: {-1: [cbor2.dumps([3, 1, [b"short"]])]}}, "list of hashes"),
        (1, {396: {-1: [cbor2.dumps([3, 1, [bytes(32)] * 65])]}}, "list of hashes"),
        (0, cbor2.dumps({1: -8}), "algorithm"),
        (0, cbor2.dumps({1: -8, 4: bytes(3), 395: 1}), "key id"),
        (3, "text", "byte string"),
    ],
)
def test_what_is_no_receipt_is_named(part: int, value: object, said: str) -> None:
    parts = list(cbor2.loads(receipt_of([b"a", b"b", b"c"], 1)).value)
    parts[part] = value
    with pytest.raises(MalformedError, match=said):
        parse_receipt(cbor2.dumps(cbor2.CBORTag(18, parts), canonical=True))


@pytest.mark.parametrize("data", [b"", b"\xd2", b"\xd2\x84", bytes(9000), b"\x9f" * 5000, cbor2.dumps([1, 2, 3, 4])])
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_receipt(data)
