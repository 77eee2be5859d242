"""RFC 3161 tokens made by OpenSSL are judged as OpenSSL judges them; what is wrong has a name, and nothing else gets through."""

import asyncio
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import der, timestamps
from protocol.errors import MalformedError, PortwitnessError, RefusedError, VerificationError
from protocol.identifiers import HubId, SiteId
from protocol.instants import SECOND_NS, iso
from protocol.notes import ED25519, NoteKey
from protocol.trust import Trust, log_origin
from simulators.evidence import fixed_ed25519
from simulators.partners.time_authority import answer, make_keys
from storage.clock import SystemClock

DATA = b"portwitness.port/testport/hub-1\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


@dataclass(frozen=True)
class Stamped:
    folder: Path
    token: bytes
    response: bytes
    anchors: tuple[bytes, ...]


@pytest.fixture(scope="module")
def stamped(tmp_path_factory: pytest.TempPathFactory) -> Stamped:
    folder = tmp_path_factory.mktemp("tsa")
    make_keys(folder)
    response = asyncio.run(answer(folder, timestamps.request(DATA, nonce=2**63 + 5)))
    anchors = timestamps.parse_anchors((folder / "root.pem").read_bytes())
    return Stamped(folder, timestamps.open_response(response), response, anchors)


def openssl_agrees(stamped: Stamped, response: bytes, data: bytes) -> bool:
    (stamped.folder / "x.tsr").write_bytes(response)
    (stamped.folder / "x.txt").write_bytes(data)
    command = ["openssl", "ts", "-verify", "-data", "x.txt", "-in", "x.tsr", "-CAfile", "root.pem"]
    return subprocess.run(command, cwd=stamped.folder, capture_output=True, check=False).returncode == 0


def test_a_token_says_when(stamped: Stamped) -> None:
    stamp = timestamps.verify(stamped.token, DATA, stamped.anchors, nonce=2**63 + 5)
    assert abs(stamp.time_ns - SystemClock().now().wall_ns) < 120 * SECOND_NS
    assert stamp.accuracy_ns == SECOND_NS // 2
    assert stamp.step_ns == SECOND_NS
    assert stamp.policy == "1.3.6.1.4.1.4146.2.3"
    assert stamp.serial >= 1
    assert "Simulated time authority" in stamp.signer
    assert stamp.earliest_ns < stamp.time_ns < stamp.latest_ns


def test_openssl_agrees_and_reads_our_answer(stamped: Stamped) -> None:
    assert timestamps.open_response(timestamps.as_response(stamped.token)) == stamped.token
    assert openssl_agrees(stamped, timestamps.as_response(stamped.token), DATA)
    assert not openssl_agrees(stamped, stamped.response, DATA + b"x")


def test_our_request_is_what_openssl_writes(stamped: Stamped) -> None:
    (stamped.folder / "q.txt").write_bytes(DATA)
    command = ["openssl", "ts", "-query", "-data", "q.txt", "-sha256", "-cert", "-no_nonce"]
    theirs = subprocess.run(command, cwd=stamped.folder, capture_output=True, check=True).stdout
    assert timestamps.request(DATA) == theirs


def test_what_is_wrong_has_a_name(stamped: Stamped, tmp_path: Path) -> None:
    make_keys(tmp_path)
    others = timestamps.parse_anchors((tmp_path / "root.pem").read_bytes())
    cases: list[tuple[dict[str, Any], type[PortwitnessError], str]] = [
        ({"data": DATA + b"x"}, VerificationError, "imprint"),
        ({"nonce": 7}, VerificationError, "nonce"),
        ({"anchors": others}, VerificationError, "does not lead to a trusted"),
        ({"anchors": ()}, VerificationError, "does not lead to a trusted"),
        ({"token": b""}, MalformedError, "cut"),
        ({"token": stamped.token + b"\x00"}, MalformedError, "stand behind"),
        ({"token": stamped.token[:-1]}, MalformedError, "announced"),
        ({"token": bytes(timestamps.MAX_TOKEN_BYTES + 1)}, MalformedError, "at most"),
        ({"token": b"\x30\x80\x00\x00"}, MalformedError, "indefinite"),
        ({"token": b"\x30\x84\x7f\xff\xff\xff"}, MalformedError, "announced"),
    ]
    for changes, family, text in cases:
        facts: dict[str, Any] = {"token": stamped.token, "data": DATA, "anchors": stamped.anchors}
        with pytest.raises(family, match=text):
            timestamps.verify(**(facts | changes))


def test_a_refusal_is_no_token(stamped: Stamped) -> None:
    with pytest.raises(RefusedError, match="status 2"):
        timestamps.open_response(bytes.fromhex("30053003020102"))
    with pytest.raises(MalformedError):
        timestamps.open_response(bytes.fromhex("30053003020100"))
    with pytest.raises(RefusedError, match="gave no token"):
        timestamps.open_response(asyncio.run(answer(stamped.folder, b"not a request")))


def test_no_changed_bit_passes(stamped: Stamped) -> None:
    genuine = timestamps.verify(stamped.token, DATA, stamped.anchors)
    for at in range(len(stamped.token)):
        for bit in (0, 5):
            spoiled = bytearray(stamped.token)
            spoiled[at] ^= 1 << bit
            try:
                found = timestamps.verify(bytes(spoiled), DATA, stamped.anchors)
            except PortwitnessError:
                continue
            assert found == genuine  # only what says nothing may differ: lists of algorithms, versions, a number's name


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_named_error(stamped: Stamped, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(("random", "cut", "spliced")))
    token = stamped.token
    if kind == "random":
        token = data.draw(st.binary(max_size=300))
    else:
        start = data.draw(st.integers(0, len(token) - 1))
        end = data.draw(st.integers(start, len(token)))
        token = token[:start] + (b"" if kind == "cut" else data.draw(st.binary(max_size=20))) + token[end:]
    try:
        found = timestamps.verify(token, DATA, stamped.anchors)
    except PortwitnessError:
        return
    assert found == timestamps.verify(stamped.token, DATA, stamped.anchors)


# -------------------------------------------------------------------------------------------- authorities of other shapes


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _chain(folder: Path, *, usages: Any, key: Any, days: tuple[int, int] = (-1, 300), ca: bool = True) -> tuple[bytes, ...]:
    """Make root, intermediate and authority into the folder, with the chain embedded in tokens; give the anchors."""
    make_keys(folder)
    now = datetime.now(UTC)
    keys = [rsa.generate_private_key(65_537, 2048), ec.generate_private_key(ec.SECP384R1()), key]
    names = [_name("Root"), _name("Middle"), _name("Authority")]
    made: list[x509.Certificate] = []
    for level, (one, name) in enumerate(zip(keys, names, strict=True)):
        above = max(level - 1, 0)
        first, last = days if level == 2 else (-10, 3000)
        builder = x509.CertificateBuilder().issuer_name(names[above]).subject_name(name).public_key(one.public_key())
        builder = builder.serial_number(1000 + level).not_valid_before(now + timedelta(days=first))
        builder = builder.not_valid_after(now + timedelta(days=last))
        if level < 2:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca or level == 0, path_length=None), critical=True)
        elif usages is not None:
            builder = builder.add_extension(usages, critical=True)
        made.append(builder.sign(keys[above], hashes.SHA256()))
    pem = [one.public_bytes(Encoding.PEM) for one in made]
    (folder / "root.pem").write_bytes(pem[0])
    (folder / "middle.pem").write_bytes(pem[1])
    (folder / "authority.pem").write_bytes(pem[2])
    (folder / "authority.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    text = (folder / "openssl.cnf").read_text()
    (folder / "openssl.cnf").write_text(text + f"certs = {folder}/middle.pem\n")
    return timestamps.parse_anchors(pem[0])


STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])


@pytest.mark.parametrize("kind", ["rsa", "p-384"])
def test_a_chain_in_the_token_leads_to_the_root(tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65_537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    anchors = _chain(tmp_path, usages=STAMPING, key=key)
    token = timestamps.open_response(asyncio.run(answer(tmp_path, timestamps.request(DATA))))
    assert timestamps.verify(token, DATA, anchors).signer == "CN=Authority"
    assert openssl_agrees(Stamped(tmp_path, token, b"", anchors), timestamps.as_response(token), DATA)


def test_a_middle_that_may_not_issue(tmp_path: Path) -> None:
    anchors = _chain(tmp_path, usages=STAMPING, key=ec.generate_private_key(ec.SECP256R1()), ca=False)
    token = timestamps.open_response(asyncio.run(answer(tmp_path, timestamps.request(DATA))))
    with pytest.raises(VerificationError, match="may not issue"):
        timestamps.verify(token, DATA, anchors)


def test_an_authority_whose_certificate_had_ended(tmp_path: Path) -> None:
    anchors = _chain(tmp_path, usages=STAMPING, key=ec.generate_private_key(ec.SECP256R1()), days=(-5, -2))
    token = timestamps.open_response(asyncio.run(answer(tmp_path, timestamps.request(DATA))))
    with pytest.raises(VerificationError, match="was not valid at the token's time"):
        timestamps.verify(token, DATA, anchors)


def test_numbers_and_names_are_read_as_they_are_written() -> None:
    for value in (0, 1, 127, 128, 255, 256, -1, -129, 2**64, 2**200):
        assert der.read_one(der.write_integer(value), "n").integer("n") == value
    for text in ("1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "0.4.0.2023.1.1"):
        assert der.read_one(der.write_oid(text), "o").oid("o") == text
    with pytest.raises(MalformedError, match="shortest"):
        der.read_one(b"\x02\x02\x00\x05", "n").integer("n")


def test_the_trust_file_names_time_authorities(stamped: Stamped) -> None:
    key = NoteKey(log_origin("testport", "hub-1"), ED25519, fixed_ed25519(1).public)
    trust = Trust(SiteId("testport"), HubId("hub-1"), "0" * 64, key, time_authorities=stamped.anchors)
    assert Trust.parse(trust.encode()) == trust
    plain = Trust(SiteId("testport"), HubId("hub-1"), "0" * 64, key)
    assert b"time_authorities" not in plain.encode()
    with pytest.raises(MalformedError, match="time authorities"):
        Trust.parse(trust.encode().replace(b"BEGIN", b"BEGUN"))


def test_a_year_that_is_none_is_still_an_instant() -> None:
    assert iso(-(10**30)) == "-1000000000000000000000 s after 1970"
