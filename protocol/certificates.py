"""Make, read and check the X.509 certificates of a site: root, site CA, then boxes and the hub's ports.

A box has two certificates: one signs records (own extended key usage), one opens TLS connections. Both name the box as common
name and as URI `urn:portwitness:<site>:<box>`; a site CA names its site as `urn:portwitness:<site>` and vouches for that
site only. All keys are P-256. Instants are Unix ns and are always given by the caller.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import BoxId, SiteId
from protocol.instants import SECOND_NS, iso
from protocol.signatures import ES256, P256Signer, PublicKey

Usage = Literal["records", "client", "server", "exports", "imports"]
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336; C2PA asks for it or for one of its own
RECORD_SIGNING = x509.ObjectIdentifier("2.25.121024536163472583784080664971775462288")  # arc of a UUID (ITU-T X.667)
IMPORT_SIGNING = x509.ObjectIdentifier("2.25.258639158587577803627900524760188699747")  # likewise
_USAGES: dict[Usage, x509.ObjectIdentifier] = {
    "records": RECORD_SIGNING,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "exports": DOCUMENT_SIGNING,
    "imports": IMPORT_SIGNING,
}
MAX_CERTIFICATE_BYTES = 8192
MAX_CHAIN = 8
DAY_NS = 86_400 * SECOND_NS
BACKDATE_NS = DAY_NS  # a box whose clock runs behind still accepts what was issued today
IDENTITY_NS = 3 * 365 * DAY_NS  # longer than any outage a box must survive
TLS_NS = 90 * DAY_NS
EXPORT_NS = 3 * 365 * DAY_NS  # a C2PA sidecar without a token is trusted only until its signer's certificate ends
SITE_CA_NS = 15 * 365 * DAY_NS
ROOT_NS = 30 * 365 * DAY_NS
_URN = "urn:portwitness:"
_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
_KNOWN_CRITICAL = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)


@dataclass(frozen=True, slots=True)
class Identity:
    """A box of a site."""

    site: SiteId
    box: BoxId

    def urn(self) -> str:
        """Give the name as it stands in certificates."""
        return f"{_URN}{self.site}:{self.box}"


@dataclass(frozen=True)
class Certificate:
    """A parsed certificate; nothing about it is believed before `check_chain`."""

    der: bytes
    x509: x509.Certificate

    @classmethod
    def parse(cls, der: bytes) -> "Certificate":
        """Read a DER certificate; raise MalformedError when it is none or its key is not P-256."""
        if len(der) > MAX_CERTIFICATE_BYTES:
            raise MalformedError(f"{len(der)} bytes, at most {MAX_CERTIFICATE_BYTES}", where="certificate")
        try:
            parsed = x509.load_der_x509_certificate(der)
            key = parsed.public_key()
            _ = (parsed.extensions, parsed.subject, parsed.issuer, parsed.not_valid_before_utc, parsed.not_valid_after_utc)
        except _UNREADABLE as error:
            raise MalformedError(f"not a certificate: {type(error).__name__}", where="certificate") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise MalformedError("only P-256 keys are certified", where="certificate")
        if der[-len(parsed.signature) - 1]:  # bits left over in a BIT STRING are none in DER (X.690 §11.2.2); a parser lets them pass
            raise MalformedError("not the only spelling of its signature", where="certificate")
        return cls(bytes(der), parsed)

    @property
    def fingerprint(self) -> str:
        """Give SHA-256 of the certificate in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def public(self) -> PublicKey:
        """Give the certified key."""
        return PublicKey(ES256, self.x509.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @property
    def serial(self) -> str:
        """Give the serial number in hex."""
        return f"{self.x509.serial_number:x}"

    @property
    def not_before_ns(self) -> int:
        """Give the first instant of validity."""
        return int(self.x509.not_valid_before_utc.timestamp()) * SECOND_NS

    @property
    def not_after_ns(self) -> int:
        """Give the last instant of validity."""
        return int(self.x509.not_valid_after_utc.timestamp()) * SECOND_NS

    @property
    def common_name(self) -> str:
        """Give the subject's common name; raise MalformedError when there is not exactly one."""
        names = self.x509.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if len(names) != 1 or not isinstance(names[0].value, str):
            raise MalformedError("not exactly one common name", where="certificate")
        return names[0].value

    @property
    def is_authority(self) -> bool:
        """Tell whether it may sign certificates."""
        basic = _extension(self.x509, x509.BasicConstraints)
        usage = _extension(self.x509, x509.KeyUsage)
        return basic is not None and basic.ca and usage is not None and usage.key_cert_sign

    @property
    def usages(self) -> frozenset[Usage]:
        """Give what the key may be used for."""
        found = _extension(self.x509, x509.ExtendedKeyUsage)
        return frozenset(name for name, oid in _USAGES.items() if found is not None and oid in found)

    @property
    def site(self) -> SiteId:
        """Give the site a site CA or box certificate names; raise VerificationError when it names none."""
        return SiteId(_urn_parts(self.x509)[0])

    @property
    def identity(self) -> Identity:
        """Give the box a certificate names; raise VerificationError when common name and URI do not agree."""
        return _identity(self.x509, self.common_name)

    def pem(self) -> bytes:
        """Give the certificate in PEM."""
        return self.x509.public_bytes(Encoding.PEM)


_Named = x509.Certificate | x509.CertificateSigningRequest
_Ext = TypeVar("_Ext", bound=x509.ExtensionType)


def _extension(holder: _Named, kind: type[_Ext]) -> _Ext | None:
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _urn_parts(holder: _Named) -> list[str]:
    names = _extension(holder, x509.SubjectAlternativeName)
    found = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    ours = [name.removeprefix(_URN) for name in found if name.startswith(_URN)]
    if len(ours) != 1:
        raise VerificationError(f"names {len(ours)} of {_URN}..., expected one", where="certificate")
    return ours[0].split(":")


def _identity(holder: _Named, common_name: str) -> Identity:
    parts = _urn_parts(holder)
    if len(parts) != 2:
        raise VerificationError(f"{':'.join(parts)[:80]!r} does not name a box of a site", where="certificate")
    identity = Identity(SiteId(parts[0]), BoxId(parts[1]))
    if common_name != identity.box:
        raise VerificationError(f"common name {common_name[:40]!r} is not its box {identity.box}", where="certificate")
    return identity


def parse_pem(data: bytes) -> tuple[Certificate, ...]:
    """Read the certificates of a PEM file in their order; raise MalformedError when there is none or one does not parse."""
    if len(data) > MAX_CHAIN * 2 * MAX_CERTIFICATE_BYTES:
        raise MalformedError(f"{len(data)} bytes are too long", where="certificates")
    try:
        found = x509.load_pem_x509_certificates(data)
    except _UNREADABLE as error:
        raise MalformedError("no certificate in PEM", where="certificates") from error
    if len(found) > MAX_CHAIN:
        raise MalformedError(f"{len(found)} certificates, at most {MAX_CHAIN}", where="certificates")
    return tuple(Certificate.parse(one.public_bytes(Encoding.DER)) for one in found)


def encode_pem(chain: Sequence[Certificate]) -> bytes:
    """Give certificates as one PEM file."""
    return b"".join(certificate.pem() for certificate in chain)


def check_chain(leaf: Certificate, others: Sequence[Certificate], *, root_sha256: str, at_ns: int) -> tuple[Certificate, Certificate]:
    """Check leaf, site CA and root at an instant; give (site CA, root).

    `others` are candidates in any order; the root counts by its fingerprint alone. Raises VerificationError with the reason.
    """
    root = next((one for one in others if one.fingerprint == root_sha256.lower()), None)
    if root is None:
        raise VerificationError(f"no certificate with the trusted fingerprint {root_sha256[:16]}...", where="root certificate")
    _check_authority(root, at_ns, "root certificate")
    _check_issued(root, root, "root certificate")
    candidates = [one for one in others if one is not root and one.x509.subject == leaf.x509.issuer and one.is_authority]
    if not candidates:
        raise VerificationError(f"its issuer {_shown(leaf.x509.issuer)} is not given", where=_shown(leaf.x509.subject))
    fault: VerificationError | None = None
    for authority in candidates:
        try:
            _check_path(leaf, authority, root, at_ns)
        except VerificationError as error:
            fault = error
        else:
            return authority, root
    raise fault or VerificationError("no chain", where="certificate")


def check_box(leaf: Certificate, others: Sequence[Certificate], *, root_sha256: str, at_ns: int, usage: Usage) -> Identity:
    """Check a box certificate's chain and usage; give the box. Raises VerificationError, also when the site CA is of another site."""
    authority, _ = check_chain(leaf, others, root_sha256=root_sha256, at_ns=at_ns)
    identity = leaf.identity
    if usage not in leaf.usages:
        raise VerificationError(f"not for {usage} (for: {', '.join(sorted(leaf.usages)) or 'nothing known'})", where=identity.urn())
    if identity.site != authority.site:
        raise VerificationError(f"issued by the site CA of {authority.site}", where=identity.urn())
    return identity


def check_signer(leaf: Certificate, others: Sequence[Certificate], *, root_sha256: str, at_ns: int) -> Identity:
    """Check a certificate of a key that signs sessions: for live capture or for imports, never both; give the box.

    Raises VerificationError as `check_box`.
    """
    if {"records", "imports"} <= leaf.usages:
        raise VerificationError("is for live capture and for imports", where=leaf.common_name)
    usage: Usage = "imports" if "imports" in leaf.usages else "records"
    return check_box(leaf, others, root_sha256=root_sha256, at_ns=at_ns, usage=usage)


def _check_path(leaf: Certificate, authority: Certificate, root: Certificate, at_ns: int) -> None:
    _check_authority(authority, at_ns, "site CA certificate")
    _check_issued(authority, root, "site CA certificate")
    where = _shown(leaf.x509.subject)
    _check_time(leaf, at_ns, where)
    _check_critical(leaf, where)
    if leaf.is_authority:
        raise VerificationError("is an authority, not a box or a port", where=where)
    _check_issued(leaf, authority, where)


def _check_authority(certificate: Certificate, at_ns: int, where: str) -> None:
    if not certificate.is_authority:
        raise VerificationError("may not sign certificates", where=where)
    _check_time(certificate, at_ns, where)
    _check_critical(certificate, where)


def _check_time(certificate: Certificate, at_ns: int, where: str) -> None:
    if not certificate.not_before_ns <= at_ns <= certificate.not_after_ns:
        start, end = iso(certificate.not_before_ns), iso(certificate.not_after_ns)
        raise VerificationError(f"valid from {start} to {end}, not at {iso(at_ns)}", where=where)


def _check_critical(certificate: Certificate, where: str) -> None:
    for extension in certificate.x509.extensions:
        if extension.critical and not isinstance(extension.value, _KNOWN_CRITICAL):  # RFC 5280 §4.2
            raise VerificationError(f"critical extension {extension.oid.dotted_string} is not known", where=where)


def _check_issued(certificate: Certificate, issuer: Certificate, where: str) -> None:
    try:
        certificate.x509.verify_directly_issued_by(issuer.x509)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise VerificationError(f"not signed by {_shown(issuer.x509.subject)}", where=where) from error


def _shown(name: x509.Name) -> str:
    return name.rfc4514_string()[:120]


def make_request(signer: P256Signer, identity: Identity) -> bytes:
    """Give the certificate signing request (PKCS #10, DER) of a box for its key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(identity.box))
    builder = builder.add_extension(_uris(identity.urn()), critical=False)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def check_request(der: bytes, identity: Identity) -> PublicKey:
    """Check that a request holds its key, is P-256 and names `identity`; give the key.

    Raises MalformedError when it does not parse, VerificationError when it is wrong.
    """
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise MalformedError(f"{len(der)} bytes, at most {MAX_CERTIFICATE_BYTES}", where="certificate request")
    try:
        request = x509.load_der_x509_csr(der)
        holds = request.is_signature_valid
        key = request.public_key()
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        found = _identity(request, str(names[0].value) if len(names) == 1 else "")
    except _UNREADABLE as error:
        raise MalformedError(f"not a certificate request: {type(error).__name__}", where="certificate request") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VerificationError("only P-256 keys are certified", where="certificate request")
    if not holds:
        raise VerificationError("is not signed by the key it asks for", where="certificate request")
    if found != identity:
        raise VerificationError(f"names {found.urn()}, expected {identity.urn()}", where="certificate request")
    return PublicKey(ES256, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, with its key."""

    certificate: Certificate
    signer: P256Signer


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate holds, and its serial number (random, 64 bits or more)."""

    start_ns: int
    length_ns: int
    serial: int

    @classmethod
    def backdated(cls, now_ns: int, length_ns: int, serial: int) -> "Validity":
        """Hold from a day ago until `length_ns` from now."""
        return cls(now_ns - BACKDATE_NS, length_ns + BACKDATE_NS, serial)


def issue_root(signer: P256Signer, site: SiteId, validity: Validity) -> Certificate:
    """Give the self-signed root of a site."""
    name = _name(f"Portwitness root {site}")
    builder = _builder(name, name, signer.public, validity).add_extension(_uris(f"{_URN}{site}"), critical=False)
    return _signed(_authority_extensions(builder, None), signer)


def issue_site_ca(public: PublicKey, site: SiteId, root: Authority, validity: Validity) -> Certificate:
    """Give the certificate of a site CA, which may sign leaves only."""
    builder = _builder(_name(f"Portwitness site CA {site}"), root.certificate.x509.subject, public, validity)
    builder = builder.add_extension(_uris(f"{_URN}{site}"), critical=False)
    return _signed(_authority_extensions(builder, root, path_length=0), root.signer)


def issue_box(public: PublicKey, identity: Identity, usage: Usage, authority: Authority, validity: Validity) -> Certificate:
    """Give a box's certificate for `records`, `imports` or `client`."""
    builder = _builder(_name(identity.box), authority.certificate.x509.subject, public, validity)
    builder = builder.add_extension(_uris(identity.urn()), critical=False)
    return _signed(_leaf_extensions(builder, (usage,), authority), authority.signer)


def issue_port(public: PublicKey, name: str, hosts: Sequence[str], authority: Authority, validity: Validity) -> Certificate:
    """Give the certificate of a hub's port or broker: a server by `hosts` (DNS names, IP addresses), or a client when there are none."""
    builder = _builder(_name(name), authority.certificate.x509.subject, public, validity)
    usage: Usage = "server" if hosts else "client"
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return _signed(_leaf_extensions(builder, (usage,), authority), authority.signer)


def issue_exporter(public: PublicKey, site: SiteId, hub: str, authority: Authority, validity: Validity) -> Certificate:
    """Give the certificate of the key with which a hub signs its exports, by CMS and C2PA, whose profile asks for an organisation.

    It is for e-mail too: stock tools take signed messages, and C2PA validators with anchors of their own, by that usage alone.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Portwitness {site}"), *_name(hub)])
    builder = _builder(subject, authority.certificate.x509.subject, public, validity)
    return _signed(_leaf_extensions(builder, ("exports",), authority), authority.signer)


def check_exporter(leaf: Certificate, others: Sequence[Certificate], *, hub: str, root_sha256: str, at_ns: int) -> None:
    """Check the chain, usage and hub of an export signer's certificate; raise VerificationError saying what is wrong."""
    check_chain(leaf, others, root_sha256=root_sha256, at_ns=at_ns)
    if leaf.usages != {"exports"}:
        raise VerificationError(f"not for exports alone (for: {', '.join(sorted(leaf.usages)) or 'nothing known'})", where=leaf.common_name)
    if leaf.common_name != hub:
        raise VerificationError(f"is of hub {leaf.common_name[:40]!r}, expected {hub}", where="export certificate")


def issue_crl(authority: Authority, revoked: Mapping[int, int], number: int, now_ns: int) -> bytes:
    """Give the list of revoked certificates (RFC 5280 §5, PEM): serial -> instant of revocation; `number` grows with each list.

    It holds as long as its authority: one that ended would shut out every box.
    """
    made = x509.CertificateRevocationListBuilder().issuer_name(authority.certificate.x509.subject)
    made = made.last_update(_date(now_ns - BACKDATE_NS)).next_update(_date(authority.certificate.not_after_ns))
    made = made.add_extension(x509.CRLNumber(number), critical=False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.signer.key.public_key()), critical=False)
    for serial, at_ns in sorted(revoked.items()):
        made = made.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_date(at_ns)).build())
    return made.sign(authority.signer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def check_crl(pem: bytes, authorities: Sequence[Certificate], at_ns: int) -> frozenset[int]:
    """Check that a list of revoked certificates is signed by one of `authorities` and holds at an instant; give its serials.

    Raises MalformedError when it does not parse, VerificationError when it is wrong.
    """
    try:
        crl = x509.load_pem_x509_crl(pem)
        signed = any(crl.issuer == one.x509.subject and crl.is_signature_valid(_public_key(one)) for one in authorities)
        end = crl.next_update_utc
        serials = frozenset(one.serial_number for one in crl)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise MalformedError(f"no list of revoked certificates: {type(error).__name__}", where="crl") from error
    if not signed:
        raise VerificationError("is not signed by an authority of this site", where="crl")
    if end is None or int(end.timestamp()) * SECOND_NS < at_ns:
        raise VerificationError("has ended", where="crl")
    return serials


def _public_key(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.x509.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedError("only P-256 keys are certified", where="certificate")
    return key


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _uris(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name) for name in names])


def _builder(subject: x509.Name, issuer: x509.Name, public: PublicKey, validity: Validity) -> x509.CertificateBuilder:
    key = load_der_public_key(public.spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedError("only P-256 keys are certified", where="certificate")
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(validity.serial)
    builder = builder.not_valid_before(_date(validity.start_ns)).not_valid_after(_date(validity.start_ns + validity.length_ns))
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _date(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _issuer_key(builder: x509.CertificateBuilder, issuer: Authority | None) -> x509.CertificateBuilder:
    if issuer is None:
        return builder
    value = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.signer.key.public_key())
    return builder.add_extension(value, critical=False)


def _authority_extensions(
    builder: x509.CertificateBuilder, issuer: Authority | None, path_length: int | None = None
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return _issuer_key(builder.add_extension(_key_usage(authority=True), critical=True), issuer)


def _leaf_extensions(builder: x509.CertificateBuilder, usages: Sequence[Usage], issuer: Authority) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    oids = [_USAGES[usage] for usage in usages] + ([ExtendedKeyUsageOID.EMAIL_PROTECTION] if "exports" in usages else [])
    builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
    return _issuer_key(builder, issuer)


def _signed(builder: x509.CertificateBuilder, signer: P256Signer) -> Certificate:
    return Certificate.parse(builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER))
