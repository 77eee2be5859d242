"""Show that the random function is that of RFC 9381: its vectors, an oracle for its keys, and twins with one thing broken."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.drawing import vrf
from protocol.errors import MalformedError, PortwitnessError, VerificationError

# RFC 9381, appendix B.3: examples 16, 17 and 18 (seed, key, alpha, pi, beta)
VECTORS = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed1f479d97"
        "27d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d03450451af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea45c92a465"
        "301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b54c70a848a0bef4553a41befc57663b56373a5031",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "9bc0f79119cc5604bf02d23b4caede71393cedfbb191434dd016d30177ccbf8096bb474e53895c362d8628ee9f9ea3c0"
        "e52c7a5c691b6c18c9979866568add7a2d41b00b05081ed0f58ee5e31b3a970e",
        "645427e5d00c62a23fb703732fa5d892940935942101e456ecca7bb217c61c452118fec1219202a0edcf038bb6373241578be7217ba85a2687f7a0310b2df19f",
    ),
)
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("seed", "key", "alpha", "pi", "beta"), VECTORS, ids=("16", "17", "18"))
def test_gives_the_vectors_of_the_rfc(seed: str, key: str, alpha: str, pi: str, beta: str) -> None:
    assert vrf.public_key(bytes.fromhex(seed)).hex() == key
    answer = vrf.prove(bytes.fromhex(seed), bytes.fromhex(alpha))
    assert (answer.pi.hex(), answer.beta.hex()) == (pi, beta)
    assert vrf.verify(bytes.fromhex(key), bytes.fromhex(alpha), bytes.fromhex(pi)).hex() == beta
    assert vrf.proof_to_hash(bytes.fromhex(pi)).hex() == beta


@pytest.mark.parametrize("at", [0, 31, 32, 47, 48, 79])
def test_refuses_a_proof_with_one_bit_changed(at: int) -> None:
    _, key, alpha, pi, _ = VECTORS[1]
    broken = bytearray.fromhex(pi)
    broken[at] ^= 1
    with pytest.raises(PortwitnessError):
        vrf.verify(bytes.fromhex(key), bytes.fromhex(alpha), bytes(broken))


def test_refuses_another_key_and_another_alpha() -> None:
    _, key, alpha, pi, _ = VECTORS[2]
    with pytest.raises(VerificationError):
        vrf.verify(bytes.fromhex(VECTORS[0][1]), bytes.fromhex(alpha), bytes.fromhex(pi))
    with pytest.raises(VerificationError):
        vrf.verify(bytes.fromhex(key), bytes.fromhex(alpha) + b"\0", bytes.fromhex(pi))


def test_refuses_a_second_spelling_of_the_scalar() -> None:
    _, key, alpha, pi, _ = VECTORS[0]
    data = bytes.fromhex(pi)
    other = data[:48] + (int.from_bytes(data[48:], "little") + Q).to_bytes(32, "little")
    with pytest.raises(MalformedError, match="canonical"):
        vrf.verify(bytes.fromhex(key), bytes.fromhex(alpha), other)


@pytest.mark.parametrize(
    "key",
    [
        (1).to_bytes(32, "little"),  # the neutral point
        (P - 1).to_bytes(32, "little"),  # order 2
        bytes(32),  # order 4
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # order 8
        (P + 1).to_bytes(32, "little"),  # another spelling of the neutral point
        (1 | 1 << 255).to_bytes(32, "little"),  # x = 0 with a sign
        (2).to_bytes(32, "little"),  # not on the curve
        b"\1" * 31,
    ],
)
def test_refuses_keys_of_small_order_and_no_keys(key: bytes) -> None:
    with pytest.raises(MalformedError):
        vrf.check_key(key)
    with pytest.raises(MalformedError):
        vrf.verify(key, b"", bytes.fromhex(VECTORS[0][3]))


@pytest.mark.parametrize("length", [0, 79, 81])
def test_refuses_proofs_of_another_length(length: int) -> None:
    with pytest.raises(MalformedError):
        vrf.verify(bytes.fromhex(VECTORS[0][1]), b"", bytes(length))
    with pytest.raises(MalformedError):
        vrf.proof_to_hash(bytes(length))
    with pytest.raises(MalformedError):
        vrf.prove(bytes(length), b"")


@settings(max_examples=12, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80))
def test_what_is_proven_verifies_and_keys_are_those_of_ed25519(seed: bytes, alpha: bytes) -> None:
    key = vrf.public_key(seed)
    assert key == Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    answer = vrf.prove(seed, alpha)
    assert vrf.verify(key, alpha, answer.pi) == answer.beta == vrf.proof_to_hash(answer.pi)
    assert vrf.prove(seed, alpha) == answer
