"""Policies, requests and cosignatures as the specifications write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.identifiers import HubId
from protocol.merkle import root_of
from protocol.notes import (
    COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    Checkpoint,
    NoteKey,
    SignedCheckpoint,
    cosign,
    cosigner,
    parse_signatures,
    sign_checkpoint,
)
from protocol.policies import Policy, Witness
from protocol.signatures import MlDsa44Signer, PublicKey, Signer
from protocol.trust import Trust, log_origin
from protocol.witnessing import AddCheckpoint
from tests.hub_parts import SITE, log_signer

# the examples of c2sp.org/tlog-witness and tlog-cosignature, byte for byte
REQUEST = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()
ANSWER = """\
— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
""".encode()
ORIGIN = log_origin("dayaowan", "hub-1")
HEAD = Checkpoint(ORIGIN, 7, root_of([bytes(32)] * 7))


def test_the_example_request_and_answer_are_read_and_written_alike() -> None:
    request = AddCheckpoint.parse(REQUEST)
    assert (request.old, len(request.proof)) == (20852014, 4)
    assert request.encode() == REQUEST
    assert SignedCheckpoint.parse(request.checkpoint).checkpoint.size == 20852163
    found = parse_signatures(ANSWER)
    assert [one.name for one in found] == ["witness.example/w1", "witness.example/w1", "witness.example/w2"]
    assert "".join(one.line() for one in found).encode() == ANSWER
    assert {len(one.data) for one in found} == {72}


@given(st.integers(0, len(REQUEST) - 1), st.integers(1, 255))
def test_a_spoilt_request_is_a_named_error_or_another_request(at: int, flip: int) -> None:
    data = bytearray(REQUEST)
    data[at] ^= flip
    with contextlib.suppress(MalformedError):
        assert AddCheckpoint.parse(bytes(data)).encode() == bytes(data)


def lattice() -> MlDsa44Signer:
    try:
        return MlDsa44Signer.of(bytes(range(32)))
    except MalformedError as error:
        pytest.skip(str(error))


def test_ml_dsa_44_cosignatures_bind_name_time_origin_size_and_root() -> None:
    signer = lattice()
    key = cosigner("witness.example/pq", signer.public)
    assert key.kind == ML_DSA_44_COSIGNATURE
    assert NoteKey.parse(key.vkey()) == key
    text = HEAD.text()
    signature = cosign(text, key.name, signer, 1_679_315_147)
    assert len(signature.data) == 8 + 2420

    def verify(checkpoint: Checkpoint, by: NoteKey = key, **changes: bytes) -> int | None:
        line = type(signature)(by.name, by.hash, changes.get("data", signature.data))
        note = sign_checkpoint(checkpoint, log_signer(), (line,))
        return SignedCheckpoint.parse(note).verify(by, origin=checkpoint.origin)

    assert verify(HEAD) == 1_679_315_147
    # extension lines are not part of the signed message (tlog-cosignature)
    assert verify(Checkpoint(HEAD.origin, HEAD.size, HEAD.root, ("extension",))) == 1_679_315_147
    for wrong in (Checkpoint(ORIGIN, 8, HEAD.root), Checkpoint(ORIGIN, 7, bytes(32)), Checkpoint(f"{ORIGIN}x", 7, HEAD.root)):
        with pytest.raises(VerificationError):
            verify(wrong)
    with pytest.raises(VerificationError):
        verify(HEAD, NoteKey("witness.example/other", ML_DSA_44_COSIGNATURE, signer.public))
    later = (1_679_315_148).to_bytes(8, "big") + signature.data[8:]
    with pytest.raises(VerificationError):
        verify(HEAD, data=later)
    with pytest.raises(VerificationError, match="no time"):
        verify(HEAD, data=b"\xff" * 8 + signature.data[8:])


def test_the_message_signed_with_ml_dsa_44_is_the_specified_one() -> None:
    signer = lattice()
    signature = cosign(HEAD.text(), "w", signer, 5)
    name, origin = b"\x01w", bytes((len(ORIGIN),)) + ORIGIN.encode()
    message = b"subtree/v1\n\x00" + name + (5).to_bytes(8, "big") + origin + bytes(8) + (7).to_bytes(8, "big") + HEAD.root
    signer.public.verify(signature.data[8:], message)


def test_ml_dsa_keys_sign_no_records() -> None:
    with pytest.raises(MalformedError):
        PublicKey.from_spki(lattice().public.spki)


def test_unknown_kinds_of_keys_are_refused() -> None:
    key = NoteKey("w", COSIGNATURE, log_signer().public)
    name, _, encoded = key.vkey().split("+", 2)
    for other in (f"{name}+00000000+Bw{encoded[2:]}", f"{name}+00000000+", f"{name}+00000000+BQ=="):
        with pytest.raises(MalformedError):
            NoteKey.parse(other)


SIGNERS: dict[str, Signer] = {name: log_signer() for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")}
LOG = log_signer()
LOG_KEY = NoteKey(ORIGIN, 1, LOG.public)


def vkey(name: str) -> str:
    return cosigner(f"{name}.example", SIGNERS[name].public).vkey()


def example(quorum: str = "X-and-Y") -> bytes:
    """Give the example of c2sp.org/tlog-policy, with keys."""
    lines = [
        f"log {LOG_KEY.vkey()}", "", *(f"witness {name} {vkey(name)}" for name in ("X1", "X2", "X3")), "group X-witnesses 2 X1 X2 X3", "",
        "# the others", *(f"witness {name}  \t{vkey(name)} https://{name}.example/" for name in ("Y1", "Y2", "Y3")),
        "\tgroup Y-witnesses any Y1 Y2 Y3 ", "", "group X-and-Y all X-witnesses Y-witnesses", f"quorum {quorum}",
    ]  # fmt: skip
    return "".join(f"{line}\n" for line in lines).encode()


def cosigned(*names: str, signers: dict[str, Signer] | None = None) -> SignedCheckpoint:
    more = [cosign(HEAD.text(), f"{name}.example", (signers or SIGNERS)[name], 9) for name in names]
    return SignedCheckpoint.parse(sign_checkpoint(HEAD, LOG, more))


def test_the_example_policy_asks_for_two_of_one_party_and_one_of_the_other() -> None:
    policy = Policy.parse(example())
    assert Policy.parse(policy.encode()) == policy
    assert (len(policy.logs), len(policy.witnesses), len(policy.groups)) == (1, 6, 3)
    assert policy.witnesses[3].url == "https://Y1.example/"
    for names in (("X1", "X3", "Y2"), ("X1", "X2", "X3", "Y1")):
        assert set(policy.check(cosigned(*names))) == set(names)
    for few in ((), ("X1", "X2"), ("X1", "Y1", "Y2", "Y3"), ("Y1",)):
        with pytest.raises(VerificationError, match="no quorum"):
            policy.check(cosigned(*few))
    assert set(Policy.parse(example("X2")).check(cosigned("X2"))) == {"X2"}
    assert not Policy.parse(example("none")).asks
    assert Policy.parse(example("none")).check(cosigned()) == {}


def test_a_cosignature_that_does_not_hold_is_no_cosignature_left_out() -> None:
    liar: dict[str, Signer] = {**SIGNERS}
    note = cosigned("X1", "X3", "Y2")
    spoilt = note.note.encode().replace(b"7\n", b"8\n", 1)
    with pytest.raises(VerificationError):
        Policy.parse(example()).check(SignedCheckpoint.parse(spoilt))
    liar["X1"] = log_signer()
    with pytest.raises(VerificationError, match="no quorum"):
        Policy.parse(example()).check(cosigned("X1", "X3", "Y2", signers=liar))


@pytest.mark.parametrize(
    "line",
    [
        "group G 0 X1", "group G 2 X1", "group G 01 X1", "group G X1", "group G any", "group G any X1 X1", "group G any none",
        "group X1 any X2", "group none any X1", "group G any G", "group G any later", "quorum X2", "quorum", "quorum X1 X2",
        "witness Z", "log", "frob X1", "group G -1 X1", f"witness Z {vkey('X1')}", f"witness X1 {vkey('Y1')}",
        f"witness Z {LOG_KEY.vkey()}", f"log {vkey('X1')}", "witness Z not-a-key", f"witness Z {cosigner('z', LOG.public).vkey()}",
        f"log {LOG_KEY.vkey()}", "witness Z\x01 x", "\r",
    ],
    ids=lambda line: line.split("+")[0],  # keys are other ones in each process
)  # fmt: skip
def test_a_policy_that_says_something_else_is_refused(line: str) -> None:
    base = f"log {LOG_KEY.vkey()}\nwitness X1 {vkey('X1')}\nwitness X2 {vkey('X2')}\n"
    Policy.parse(f"{base}quorum X1\n".encode())
    with pytest.raises(MalformedError):
        Policy.parse(f"{base}{line}\nquorum X1\n".encode())


def test_names_are_opaque_bytes() -> None:
    policy = Policy.parse(f"witness \udce2\udc84 {vkey('X1')}\nquorum \udce2\udc84\n".encode("utf-8", "surrogateescape"))
    assert set(policy.check(cosigned("X1"))) == {"\udce2\udc84"}
    with pytest.raises(MalformedError):
        Policy.parse(f"witness \u00a0K {vkey('X1')}\nquorum K\n".encode())
    with pytest.raises(MalformedError):
        Policy.parse(b"witness K \xff+00000000+AQ==\nquorum K\n")
    with pytest.raises(MalformedError, match="no quorum"):
        Policy.parse(f"witness K {vkey('X1')}\n".encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_policy_or_a_named_error(data: bytes) -> None:
    try:
        Policy.parse(data)
    except PortwitnessError as error:
        assert error.what


def test_a_trust_file_carries_a_policy_and_judges_by_it() -> None:
    given = Trust(SITE, HubId("hub-1"), "ab" * 32, LOG_KEY, policy=Policy.parse(example()))
    site = Trust.parse(given.encode())
    assert site == given
    assert site.policy == Policy.parse(example())
    assert site.check_checkpoint(cosigned("X1", "X2", "Y3")) is None
    with pytest.raises(VerificationError, match="no quorum"):
        site.check_checkpoint(cosigned("X1", "X2"))
    flat = Trust(site.site, site.hub, "ab" * 32, LOG_KEY, (cosigner("X1.example", SIGNERS["X1"].public),), 1)
    assert flat.check_checkpoint(cosigned("X1")) is None
    with pytest.raises(VerificationError, match="the policy asks for 1"):
        flat.check_checkpoint(cosigned("X2"))
    with pytest.raises(MalformedError, match="the log's own"):
        Trust(site.site, site.hub, "ab" * 32, LOG_KEY, (cosigner("outside", LOG.public),), 1)


def test_how_many_must_be_heard_follows_from_k_of_n() -> None:
    witnesses = [Witness(name, cosigner(name, SIGNERS[name].public)) for name in ("X1", "X2", "X3")]
    assert [Policy.threshold(k, witnesses).blocking for k in range(4)] == [0, 3, 2, 1]
    assert Policy.parse(example()).blocking == 6
