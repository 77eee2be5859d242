"""A CMS signature is read by stock tools, has one spelling, and no bit of it changes unseen."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from protocol import cms
from protocol.certificates import (
    EXPORT_NS,
    ROOT_NS,
    SITE_CA_NS,
    Authority,
    Certificate,
    Identity,
    Validity,
    check_exporter,
    issue_box,
    issue_exporter,
    issue_root,
    issue_site_ca,
)
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS
from simulators.evidence import EPOCH_NS, HUB, SITE, fixed_p256

CONTENT = b"0" * 64 + b"  data/x\n"
KEY = fixed_p256(3)


def chain() -> tuple[Certificate, Certificate, Certificate]:
    root_key, site_key = fixed_p256(1), fixed_p256(2)
    root = issue_root(root_key, SITE, Validity.backdated(EPOCH_NS, ROOT_NS, 11))
    site = issue_site_ca(site_key.public, SITE, Authority(root, root_key), Validity.backdated(EPOCH_NS, SITE_CA_NS, 12))
    leaf = issue_exporter(KEY.public, SITE, HUB, Authority(site, site_key), Validity.backdated(EPOCH_NS, EXPORT_NS, 13))
    return leaf, site, root


LEAF, SITE_CERTIFICATE, ROOT = chain()
DATA = cms.sign(CONTENT, KEY, LEAF, SITE_CERTIFICATE, EPOCH_NS)


def openssl(folder: Path, data: bytes, content: bytes = CONTENT, at_ns: int = EPOCH_NS) -> subprocess.CompletedProcess[str]:
    (folder / "x.p7s").write_bytes(data)
    (folder / "content").write_bytes(content)
    (folder / "root.pem").write_bytes(ROOT.pem())
    command = "openssl cms -verify -binary -inform DER -in x.p7s -content content -CAfile root.pem -purpose any"
    command += f" -attime {at_ns // SECOND_NS} -out out"
    return subprocess.run(command.split(), cwd=folder, capture_output=True, text=True, check=False)


def test_it_is_read_back_and_by_openssl(tmp_path: Path) -> None:
    signed = cms.verify(DATA, CONTENT)
    assert (signed.leaf, signed.authority, signed.at_ns) == (LEAF, SITE_CERTIFICATE, EPOCH_NS)
    check_exporter(signed.leaf, [signed.authority, ROOT], hub=HUB, root_sha256=ROOT.fingerprint, at_ns=EPOCH_NS)
    done = openssl(tmp_path, DATA)
    assert done.returncode == 0, done.stderr
    assert openssl(tmp_path, DATA, content=CONTENT[:-1]).returncode != 0
    assert openssl(tmp_path, DATA, at_ns=EPOCH_NS + 2 * EXPORT_NS).returncode != 0


def test_a_year_beyond_2049_is_written_whole() -> None:
    late = EPOCH_NS + 30 * 366 * 86_400 * SECOND_NS
    assert cms.verify(cms.sign(CONTENT, KEY, LEAF, SITE_CERTIFICATE, late), CONTENT).at_ns == late


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_every_bit_counts() -> None:
    for at in range(8 * len(DATA)):
        wrong = bytearray(DATA)
        wrong[at // 8] ^= 1 << at % 8
        with pytest.raises((MalformedError, VerificationError)):
            signed = cms.verify(bytes(wrong), CONTENT)
            others = [signed.authority, ROOT]
            check_exporter(signed.leaf, others, hub=HUB, root_sha256=ROOT.fingerprint, at_ns=signed.at_ns)


@given(st.binary(max_size=300))
def test_what_is_no_signature_is_refused(data: bytes) -> None:
    for one in (data, DATA[: len(data)], DATA + data[:1] or b"\0"):
        if one != DATA:
            with pytest.raises((MalformedError, VerificationError)):
                cms.verify(one, CONTENT)


def test_the_other_value_of_a_signature_is_refused() -> None:
    """An ECDSA signature (r, n - s) holds as well: only one of the two is taken."""
    cut = DATA.rindex(b"\x02\x20", len(DATA) - 40) if b"\x02\x20" in DATA[-40:] else DATA.rindex(b"\x02", len(DATA) - 38)
    low = int.from_bytes(DATA[cut + 2 :], "big")
    high = (cms._ORDER - low).to_bytes(33, "big")
    grown = DATA[:cut] + b"\x02" + bytes([len(high)]) + high
    with pytest.raises(PortwitnessError):
        cms.verify(grown, CONTENT)


def test_another_spelling_is_refused_though_openssl_takes_it(tmp_path: Path) -> None:
    builder = pkcs7.PKCS7SignatureBuilder().set_data(CONTENT).add_signer(LEAF.x509, KEY.key, hashes.SHA256())
    other = builder.add_certificate(SITE_CERTIFICATE.x509).sign(
        Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    )
    assert openssl(tmp_path, other).returncode == 0
    with pytest.raises(PortwitnessError):
        cms.verify(other, CONTENT)


def test_a_box_cannot_sign_an_export() -> None:
    box = issue_box(
        KEY.public, Identity(SITE, BoxId("box-1")), "records", Authority(SITE_CERTIFICATE, fixed_p256(2)),
        Validity.backdated(EPOCH_NS, EXPORT_NS, 14),
    )  # fmt: skip
    with pytest.raises(VerificationError, match="not for exports"):
        check_exporter(box, [SITE_CERTIFICATE, ROOT], hub=HUB, root_sha256=ROOT.fingerprint, at_ns=EPOCH_NS)
    with pytest.raises(VerificationError, match="expected hub-2"):
        check_exporter(LEAF, [SITE_CERTIFICATE, ROOT], hub="hub-2", root_sha256=ROOT.fingerprint, at_ns=EPOCH_NS)
