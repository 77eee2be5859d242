"""Two other implementations of COSE read and verify our envelopes, and we theirs."""

import cbor2
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cwt import COSE, COSEKey
from pycose.algorithms import EdDSA, Es256
from pycose.headers import KID, Algorithm
from pycose.keys.curves import P256, Ed25519
from pycose.keys.ec2 import EC2Key
from pycose.keys.okp import OKPKey
from pycose.messages.sign1message import Sign1Message

from protocol.errors import MalformedError, VerificationError
from protocol.records import read
from protocol.signatures import ES256, Ed25519Signer, P256Signer, PublicKey, open1, sign1
from simulators.evidence import fixed_ed25519, fixed_p256
from tests.golden_making import record

PAYLOAD = b"what is signed"
SIGNERS: tuple[Ed25519Signer | P256Signer, ...] = (fixed_ed25519(3), fixed_p256(3))


def pycose_key(signer: Ed25519Signer | P256Signer) -> EC2Key | OKPKey:
    if isinstance(signer, Ed25519Signer):
        return OKPKey(crv=Ed25519, x=signer.public.raw(), d=signer.key.private_bytes_raw())
    numbers = signer.key.private_numbers()
    point = numbers.public_numbers
    return EC2Key(crv=P256, x=point.x.to_bytes(32, "big"), y=point.y.to_bytes(32, "big"), d=numbers.private_value.to_bytes(32, "big"))


def cwt_key(signer: Ed25519Signer | P256Signer) -> object:
    pem = load_der_public_key(signer.public.spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return COSEKey.from_pem(pem, kid=signer.public.key_id)


@pytest.mark.parametrize("number", [0, 1])
def test_pycose_verifies_ours(number: int) -> None:
    signer = SIGNERS[number]
    message = Sign1Message.decode(sign1(PAYLOAD, signer))
    message.key = pycose_key(signer)
    assert message.payload == PAYLOAD
    assert message.phdr[KID] == signer.public.key_id
    assert message.verify_signature()


@pytest.mark.parametrize("number", [0, 1])
def test_cwt_verifies_ours(number: int) -> None:
    signer = SIGNERS[number]
    assert COSE.new().decode(sign1(PAYLOAD, signer), cwt_key(signer)) == PAYLOAD


@pytest.mark.parametrize("number", [0, 1])
def test_we_verify_pycose(number: int) -> None:
    signer = SIGNERS[number]
    algorithm = Es256 if signer.public.algorithm == ES256 else EdDSA
    message = Sign1Message(phdr={Algorithm: algorithm, KID: signer.public.key_id}, payload=PAYLOAD, key=pycose_key(signer))
    envelope = open1(message.encode())
    assert (envelope.payload, envelope.key_id) == (PAYLOAD, signer.public.key_id)
    envelope.verify(signer.public)
    with pytest.raises(VerificationError):
        envelope.verify(fixed_ed25519(99).public)


def test_cbor2_reads_a_record_as_we_do() -> None:
    data = record("segment")
    tag = cbor2.loads(data)
    assert (tag.tag, cbor2.loads(tag.value[2])[2]) == (18, "segment")
    assert cbor2.loads(tag.value[2])[6] == read(data).record.root


@pytest.mark.parametrize("number", [0, 1])
def test_a_signature_under_the_other_algorithm_is_refused(number: int) -> None:
    envelope = open1(sign1(PAYLOAD, SIGNERS[number]))
    with pytest.raises(VerificationError, match="algorithm"):
        envelope.verify(SIGNERS[1 - number].public)


@pytest.mark.parametrize("change", range(5))
def test_other_spellings_of_an_envelope_are_refused(change: int) -> None:
    signer = SIGNERS[0]
    data = sign1(PAYLOAD, signer)
    header, unprotected, payload, signature = cbor2.loads(data).value
    wrong = (
        data[1:],  # untagged
        cbor2.dumps(cbor2.CBORTag(18, [header, {4: b"x"}, payload, signature])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -8}), unprotected, payload, signature])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -36, 4: signer.public.key_id}), unprotected, payload, signature])),
        b"\xd2\x9f" + data[2:] + b"\xff",  # indefinite length
    )[change]
    with pytest.raises(MalformedError):
        open1(wrong)


def test_keys_of_other_curves_are_refused() -> None:
    with pytest.raises(MalformedError):
        PublicKey.from_spki(b"0\x00")
    with pytest.raises(MalformedError):
        PublicKey.from_ed25519(bytes(31))
