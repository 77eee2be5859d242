"""A certificate says whether its key certifies live sessions or sessions for imports; one that says both counts for neither."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.certificates import (
    IDENTITY_NS,
    IMPORT_SIGNING,
    RECORD_SIGNING,
    Authority,
    Certificate,
    Identity,
    Usage,
    Validity,
    check_box,
    check_signer,
    issue_box,
    issue_root,
    issue_site_ca,
)
from protocol.errors import VerificationError
from protocol.identifiers import BoxId, SiteId
from protocol.instants import SECOND_NS
from simulators.evidence import fixed_p256

NOW = 1_795_000_000 * SECOND_NS
SITE, BOX = SiteId("testport"), Identity(SiteId("testport"), BoxId("box-1"))
ROOT_KEY, SITE_KEY, BOX_KEY = (fixed_p256(number) for number in (1, 2, 3))
VALID = Validity.backdated(NOW, IDENTITY_NS, 77)
ROOT = issue_root(ROOT_KEY, SITE, VALID)
SITE_CA = issue_site_ca(SITE_KEY.public, SITE, Authority(ROOT, ROOT_KEY), VALID)


def issued(usage: Usage) -> Certificate:
    return issue_box(BOX_KEY.public, BOX, usage, Authority(SITE_CA, SITE_KEY), VALID)


@pytest.mark.parametrize("usage", ["records", "imports"])
def test_each_usage_is_known_and_no_other_is_taken_for_it(usage: Usage) -> None:
    leaf, others = issued(usage), [SITE_CA, ROOT]
    assert leaf.usages == {usage}
    assert check_signer(leaf, others, root_sha256=ROOT.fingerprint, at_ns=NOW) == BOX
    wrong: Usage = "imports" if usage == "records" else "records"
    with pytest.raises(VerificationError, match=f"not for {wrong}"):
        check_box(leaf, others, root_sha256=ROOT.fingerprint, at_ns=NOW, usage=wrong)


def test_a_certificate_for_tls_signs_no_sessions() -> None:
    with pytest.raises(VerificationError, match="not for records"):
        check_signer(issued("client"), [SITE_CA, ROOT], root_sha256=ROOT.fingerprint, at_ns=NOW)


def test_one_for_both_counts_for_neither() -> None:
    plain = issued("records").x509
    made = x509.CertificateBuilder().subject_name(plain.subject).issuer_name(plain.issuer).public_key(plain.public_key())
    made = made.serial_number(78).not_valid_before(plain.not_valid_before_utc).not_valid_after(plain.not_valid_after_utc)
    for extension in plain.extensions:
        value = extension.value
        if isinstance(value, x509.ExtendedKeyUsage):
            value = x509.ExtendedKeyUsage([RECORD_SIGNING, IMPORT_SIGNING])
        made = made.add_extension(value, critical=extension.critical)
    both = Certificate.parse(made.sign(SITE_KEY.key, hashes.SHA256()).public_bytes(Encoding.DER))
    with pytest.raises(VerificationError, match="is for live capture and for imports"):
        check_signer(both, [SITE_CA, ROOT], root_sha256=ROOT.fingerprint, at_ns=NOW)
