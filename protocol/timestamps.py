"""Ask for RFC 3161 time-stamps and judge them: an outside authority's word on when a checkpoint existed at the latest.

Guarantees: a token counts only when it is over the given bytes, signed by a certificate whose only use is time-stamping, which
leads to one of the given anchors; certificates are judged at the token's own time, so that it can be judged years later. The
certificates in a token may stand in any order. Input is bounded; what is wrong is an error with a name. Sources: RFC 3161,
RFC 5816 (ESSCertIDv2), RFC 5652 (CMS), RFC 5280.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from protocol import der
from protocol.der import Element
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.instants import SECOND_NS
from protocol.notes import Checkpoint

MAX_TOKEN_BYTES = 32_768
MAX_ANCHORS = 16
MAX_CERTIFICATES = 16  # in one token
MAX_CHAIN = 8
MIN_RSA_BITS = 2048
CHAIN = "timestamp.chain"  # where a token is wrong whose authority is not trusted
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_DIGESTS: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    _SHA256: hashes.SHA256,
    "2.16.840.1.101.3.4.2.2": hashes.SHA384,
    "2.16.840.1.101.3.4.2.3": hashes.SHA512,
}
_RSA = "1.2.840.113549.1.1.1"
_SIGNATURES = {  # the algorithm of a signer info: its digest, None where the digest is told apart
    _RSA: None,
    "1.2.840.113549.1.1.11": _SHA256,
    "1.2.840.113549.1.1.12": "2.16.840.1.101.3.4.2.2",
    "1.2.840.113549.1.1.13": "2.16.840.1.101.3.4.2.3",
    "1.2.840.10045.4.3.2": _SHA256,
    "1.2.840.10045.4.3.3": "2.16.840.1.101.3.4.2.2",
    "1.2.840.10045.4.3.4": "2.16.840.1.101.3.4.2.3",
    "1.3.101.112": "",
}
_DER = Encoding.DER
_E = TypeVar("_E", bound=x509.ExtensionType)
_TIME = re.compile(rb"([0-9]{14})(?:\.([0-9]{1,9}))?Z")
_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
_KNOWN_CRITICAL = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName, x509.CertificatePolicies)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an authority says: when, how exactly, under which number and policy, and whose certificate signed.

    `time_ns` is as written; the true time lies in [earliest_ns, latest_ns]: `accuracy_ns` on both sides (0: none stated) and,
    above, what the written time leaves off (`step_ns`, the unit of its last digit).
    """

    time_ns: int
    accuracy_ns: int
    step_ns: int
    serial: int
    policy: str
    signer: str

    @property
    def earliest_ns(self) -> int:
        """Give the first instant at which the token can have been made."""
        return self.time_ns - self.accuracy_ns

    @property
    def latest_ns(self) -> int:
        """Give the last instant at which it can have been made."""
        return self.time_ns + self.step_ns + self.accuracy_ns


def stamped_bytes(checkpoint: Checkpoint) -> bytes:
    """Give what a token over a checkpoint is a token of: its text (origin, size, root), without the signatures."""
    return checkpoint.text().encode()


def request(data: bytes, nonce: int | None = None) -> bytes:
    """Give the request for a token over `data` by its SHA-256, with the authority's certificate in it (RFC 3161 2.4.1)."""
    algorithm = der.write(der.SEQUENCE, der.write_oid(_SHA256), der.write(der.NULL))
    imprint = der.write(der.SEQUENCE, algorithm, der.write(der.OCTETS, hashlib.sha256(data).digest()))
    number = b"" if nonce is None else der.write_integer(nonce)
    return der.write(der.SEQUENCE, der.write_integer(1), imprint, number, der.write(der.BOOLEAN, b"\xff"))


def open_response(data: bytes) -> bytes:
    """Give the token of an authority's answer; raise MalformedError, or RefusedError when it gave none (RFC 3161 2.4.2)."""
    _bound(data)
    items = der.read_one(data, "timestamp").items(der.SEQUENCE, "timestamp")
    if not 1 <= len(items) <= 2:
        raise MalformedError(f"{len(items)} parts, expected status and token", where="timestamp")
    status = items[0].items(der.SEQUENCE, "timestamp.status")
    code = status[0].integer("timestamp.status") if status else -1
    if code not in (0, 1):  # granted, granted with modifications
        raise RefusedError(f"the authority gave no token (status {code})", where="timestamp.status")
    if len(items) != 2:
        raise MalformedError("granted without a token", where="timestamp")
    return items[1].raw


def as_response(token: bytes) -> bytes:
    """Give a token as the answer that `openssl ts -verify -in` reads."""
    return der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.write_integer(0)), token)


def verify(token: bytes, data: bytes, anchors: Sequence[bytes], nonce: int | None = None) -> Stamp:
    """Check a token over `data` against the anchors (DER certificates) and give what it says.

    With `nonce` the token must repeat it. Raises MalformedError for what is no token or too long; VerificationError, naming
    imprint, nonce, signature or chain, for a token that does not count.
    """
    parsed = _parse(token)
    info = _read_info(parsed.content)
    if info.digest != hashlib.new(_DIGESTS[info.algorithm].name, data).digest():
        raise VerificationError("is a token over other bytes", where="timestamp.imprint")
    if nonce is not None and info.nonce != nonce:
        raise VerificationError("does not repeat the nonce of the request", where="timestamp.nonce")
    signer = parsed.signer
    _check_signature(parsed, signer)
    _check_chain(signer, parsed.certificates, anchors, info.stamp.time_ns)
    return replace(info.stamp, signer=signer.subject.rfc4514_string()[:200])


def check_spelling(token: bytes) -> None:
    """Check that a token says nothing that no signature covers; raise MalformedError.

    That is: no attributes outside of the signature, no revocation lists, each certificate the issuer of one before, and no other
    way to write the rest. For a token that nothing else covers, so that no bit of it can be changed unseen.
    """
    parsed = _parse(token)
    signed = _parts(der.read_one(token, "timestamp"), 2, "timestamp")[1].inner(0xA0, "timestamp")
    parts = _parts(signed, 4, "timestamp.signed")
    info = _parts(_parts(parts[-1], 1, "timestamp.signers", der.SET)[0], 6, "timestamp.signer")
    version = 1 if info[1].tag == der.SEQUENCE else 3
    algorithms = [_algorithm(one) for one in (info[2], info[4])]
    again = der.write(der.SEQUENCE, der.write_integer(version), info[1].raw, info[2].raw, info[3].raw, info[4].raw, info[5].raw)
    held = [part.raw for part in parts[3:-1] if part.tag == 0xA0]
    body = (der.write_integer(3), der.write(der.SET, info[2].raw), parts[2].raw, *held[:1], der.write(der.SET, again))
    whole = der.write(der.SEQUENCE, der.write_oid(_SIGNED_DATA), der.write(0xA0, der.write(der.SEQUENCE, *body)))
    if whole != token or not all(algorithms):
        raise MalformedError("holds more than what its signature covers, or in another spelling", where="timestamp")
    chain = [parsed.signer]
    for _ in range(MAX_CHAIN):
        chain += [one for one in parsed.certificates if one not in chain and _issued(one, chain[-1])][:1]
    if len(chain) != len(parsed.certificates):
        raise MalformedError("holds certificates that its signer's does not lead to", where="timestamp.certificates")


def _algorithm(element: Element) -> bool:
    """Tell whether an algorithm has no parameters, or only NULL."""
    parts = _parts(element, 1, "timestamp.algorithm")
    return len(parts) == 1 or (len(parts) == 2 and parts[1].raw == b"\x05\x00")


@dataclass(frozen=True, slots=True)
class _Token:
    """A parsed token: the time-stamp info, its one signer's attributes and signature, the certificates beside it."""

    content: bytes
    attributes: Element
    digest: str
    algorithm: str
    signature: bytes
    signer: x509.Certificate
    certificates: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class _Info:
    algorithm: str
    digest: bytes
    nonce: int | None
    stamp: Stamp


def _bound(data: bytes) -> None:
    if len(data) > MAX_TOKEN_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_TOKEN_BYTES}", where="timestamp")


def _parts(element: Element, least: int, where: str, tag: int = der.SEQUENCE) -> list[Element]:
    items = element.items(tag, where)
    if len(items) < least:
        raise MalformedError(f"{len(items)} parts, at least {least}", where=where)
    return items


def _parse(token: bytes) -> _Token:
    _bound(token)
    kind, wrapped = _exactly(_parts(der.read_one(token, "timestamp"), 2, "timestamp"), 2, "timestamp")
    if kind.oid("timestamp") != _SIGNED_DATA:
        raise MalformedError("is no signed data", where="timestamp")
    parts = _parts(wrapped.inner(0xA0, "timestamp"), 4, "timestamp.signed")
    kind, content = _exactly(_parts(parts[2], 2, "timestamp.content"), 2, "timestamp.content")
    if kind.oid("timestamp.content") != _TST_INFO:
        raise MalformedError("holds something else than a time", where="timestamp.content")
    signers = parts[-1].items(der.SET, "timestamp.signers")
    if len(signers) != 1:
        raise MalformedError(f"{len(signers)} signers, expected one", where="timestamp.signers")
    held = [part for part in parts[3:-1] if part.tag == 0xA0]
    certificates = _certificates(held[0].items(0xA0, "timestamp.certificates") if held else [])
    return _signer_info(signers[0], content.inner(0xA0, "timestamp.content").need(der.OCTETS, "timestamp.content").body, certificates)


def _exactly(items: list[Element], count: int, where: str) -> list[Element]:
    if len(items) != count:
        raise MalformedError(f"{len(items)} parts, expected {count}", where=where)
    return items


def _certificates(items: Sequence[Element]) -> tuple[x509.Certificate, ...]:
    if len(items) > MAX_CERTIFICATES:
        raise MalformedError(f"{len(items)} certificates, at most {MAX_CERTIFICATES}", where="timestamp.certificates")
    return tuple(load_certificate(item.raw) for item in items if item.tag == der.SEQUENCE)


def load_certificate(data: bytes) -> x509.Certificate:
    """Read a DER certificate of any key; raise MalformedError when it is none."""
    try:
        found = x509.load_der_x509_certificate(data)
        _ = (found.extensions, found.subject, found.issuer, found.not_valid_before_utc, found.not_valid_after_utc, found.public_key())
    except _UNREADABLE as error:
        raise MalformedError(f"not a certificate: {type(error).__name__}", where="timestamp.certificates") from error
    return found


def parse_anchors(pem: bytes) -> tuple[bytes, ...]:
    """Read the certificates of a PEM file as DER; raise MalformedError when there is none or too many."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except _UNREADABLE as error:
        raise MalformedError("not PEM certificates", where="time authorities") from error
    if len(found) > MAX_ANCHORS:
        raise MalformedError(f"{len(found)} certificates, at most {MAX_ANCHORS}", where="time authorities")
    return tuple(one.public_bytes(_DER) for one in found)


def encode_anchors(anchors: Sequence[bytes]) -> str:
    """Give anchors as one PEM text; raise MalformedError when one is no certificate."""
    return b"".join(load_certificate(one).public_bytes(Encoding.PEM) for one in anchors).decode()


def _signer_info(info: Element, content: bytes, certificates: tuple[x509.Certificate, ...]) -> _Token:
    where = "timestamp.signer"
    parts = _parts(info, 6, where)
    digest = _parts(parts[2], 1, where)[0].oid(where)
    algorithm = _parts(parts[4], 1, where)[0].oid(where)
    if digest not in _DIGESTS or algorithm not in _SIGNATURES:
        raise VerificationError(f"signed with {algorithm} and {digest}, which are not known", where=where)
    signer = next((one for one in certificates if _is_named(one, parts[1])), None)
    if signer is None:
        raise VerificationError("the certificate of its signer is not in it", where=where)
    return _Token(content, parts[3].need(0xA0, where), digest, algorithm, parts[5].need(der.OCTETS, where).body, signer, certificates)


def _is_named(certificate: x509.Certificate, name: Element) -> bool:
    """Tell whether a signer identifier names a certificate: by issuer and serial number, or by key identifier (RFC 5652 5.3)."""
    if name.tag == 0x80:
        found = _extension(certificate, x509.SubjectKeyIdentifier)
        return found is not None and found.digest == name.body
    issuer, serial = _exactly(_parts(name, 2, "timestamp.signer"), 2, "timestamp.signer")
    return issuer.raw == certificate.issuer.public_bytes() and serial.integer("timestamp.signer") == certificate.serial_number


def _read_info(content: bytes) -> _Info:
    where = "timestamp.info"
    parts = _parts(der.read_one(content, where), 5, where)
    if parts[0].integer(where) != 1:
        raise MalformedError("version is not 1", where=where)
    algorithm, digest = _exactly(_parts(parts[2], 2, where), 2, where)
    name = _parts(algorithm, 1, where)[0].oid(where)
    if name not in _DIGESTS:
        raise VerificationError(f"its imprint is made with {name}, which is not known", where="timestamp.imprint")
    time_ns, step_ns = _time(parts[4])
    accuracy = next((_accuracy(part) for part in parts[5:] if part.tag == der.SEQUENCE), 0)
    nonce = next((part.integer(where) for part in parts[5:] if part.tag == der.INTEGER), None)
    stamp = Stamp(time_ns, accuracy, step_ns, parts[3].integer(where), parts[1].oid(where), "")
    return _Info(name, digest.need(der.OCTETS, where).body, nonce, stamp)


def _time(element: Element) -> tuple[int, int]:
    """Give a GeneralizedTime in Unix ns, and the unit of its last digit."""
    found = _TIME.fullmatch(element.need(der.TIME, "timestamp.time").body)
    if found is None:
        raise MalformedError("not a time in UTC", where="timestamp.time")
    try:
        seconds = int(datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise MalformedError("not a time in UTC", where="timestamp.time") from error
    digits = (found[2] or b"").decode()
    return seconds * SECOND_NS + int(digits.ljust(9, "0") or 0), SECOND_NS // 10 ** len(digits)


def _accuracy(element: Element) -> int:
    total = 0
    units = {der.INTEGER: SECOND_NS, 0x80: SECOND_NS // 1000, 0x81: SECOND_NS // 1_000_000}
    for part in element.items(der.SEQUENCE, "timestamp.accuracy"):
        if part.tag not in units:
            raise MalformedError("not seconds, milli- or microseconds", where="timestamp.accuracy")
        value = part.integer("timestamp.accuracy", part.tag)
        if not 0 <= value <= 1_000_000:
            raise MalformedError(f"{value} is out of bounds", where="timestamp.accuracy")
        total += value * units[part.tag]
    return total


def _check_signature(token: _Token, signer: x509.Certificate) -> None:
    """Check the signed attributes and the signature over them (RFC 5652 5.4, RFC 3161 2.4.2, RFC 5816)."""
    where = "timestamp.signature"
    found: dict[str, Element] = {}
    for attribute in der.read_all(token.attributes.body, where):
        kind, values = _exactly(_parts(attribute, 2, where), 2, where)
        found[kind.oid(where)] = _exactly(values.items(der.SET, where), 1, where)[0]
    if _CONTENT_TYPE not in found or found[_CONTENT_TYPE].oid(where) != _TST_INFO:
        raise VerificationError("its attributes name another content", where=where)
    digest = hashlib.new(_DIGESTS[token.digest].name, token.content).digest()
    if _MESSAGE_DIGEST not in found or found[_MESSAGE_DIGEST].need(der.OCTETS, where).body != digest:
        raise VerificationError("its attributes name other contents", where=where)
    _check_named(found, signer)
    _check_key(token, signer, der.write(der.SET, token.attributes.body))


def _check_named(found: dict[str, Element], signer: x509.Certificate) -> None:
    """Check that the signer signed which certificate is meant: SHA-1 (RFC 3161) here only backs what issuer and number said."""
    where = "timestamp.signature"
    certificate = signer.public_bytes(_DER)
    if _SIGNING_CERTIFICATE_V2 in found:
        first = _parts(_parts(_parts(found[_SIGNING_CERTIFICATE_V2], 1, where)[0], 1, where)[0], 1, where)
        name = _parts(first[0], 1, where)[0].oid(where) if first[0].tag == der.SEQUENCE else _SHA256
        value = first[1] if first[0].tag == der.SEQUENCE and len(first) > 1 else first[0]
        digest = hashlib.new(_DIGESTS[name].name, certificate).digest() if name in _DIGESTS else b""
    elif _SIGNING_CERTIFICATE in found:
        value = _parts(_parts(_parts(found[_SIGNING_CERTIFICATE], 1, where)[0], 1, where)[0], 1, where)[0]
        digest = hashlib.sha1(certificate, usedforsecurity=False).digest()
    else:
        raise VerificationError("does not say which certificate signed", where=where)
    if value.need(der.OCTETS, where).body != digest:
        raise VerificationError("means another certificate than the one beside it", where=where)


def _check_key(token: _Token, signer: x509.Certificate, data: bytes) -> None:
    key, expected = signer.public_key(), _SIGNATURES[token.algorithm]
    algorithm = _DIGESTS[expected or token.digest]()
    if expected and expected != token.digest:
        raise VerificationError("two digests are named", where="timestamp.signature")
    try:
        if isinstance(key, rsa.RSAPublicKey) and token.algorithm.startswith("1.2.840.113549.1.1.") and key.key_size >= MIN_RSA_BITS:
            key.verify(token.signature, data, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and token.algorithm.startswith("1.2.840.10045."):
            key.verify(token.signature, data, ec.ECDSA(algorithm))
        elif isinstance(key, ed25519.Ed25519PublicKey) and expected == "":
            key.verify(token.signature, data)
        else:
            raise VerificationError("its certificate's key does not sign in the named way", where="timestamp.signature")
    except (InvalidSignature, UnsupportedAlgorithm) as error:
        raise VerificationError("the signature does not hold", where="timestamp.signature") from error


def _check_chain(signer: x509.Certificate, others: Sequence[x509.Certificate], anchors: Sequence[bytes], at_ns: int) -> None:
    """Lead the signer to an anchor, all certificates valid at the token's time; raise VerificationError saying what is wrong."""
    where = CHAIN
    usage = _find_extension(signer, x509.ExtendedKeyUsage)
    if usage is None or not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise VerificationError("its signer's certificate is not for time-stamping alone", where=where)  # RFC 3161 2.3
    trusted = [load_certificate(one) for one in anchors[:MAX_ANCHORS]]
    known = {one.public_bytes(_DER) for one in trusted}
    current = signer
    for depth in range(MAX_CHAIN):
        _check_valid(current, at_ns, depth)
        if current.public_bytes(_DER) in known:
            return
        issuer = next((one for one in (*trusted, *others) if _issued(one, current)), None)
        if issuer is None or issuer == current:
            break
        current = issuer
    raise VerificationError(f"{signer.subject.rfc4514_string()[:120]} does not lead to a trusted time authority", where=where)


def _check_valid(certificate: x509.Certificate, at_ns: int, depth: int) -> None:
    where, name = CHAIN, certificate.subject.rfc4514_string()[:120]
    at = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise VerificationError(f"{name} was not valid at the token's time", where=where)
    strange = [one.oid.dotted_string for one in certificate.extensions if one.critical and not isinstance(one.value, _KNOWN_CRITICAL)]
    if strange:
        raise VerificationError(f"{name} has a critical extension that is not known ({strange[0]})", where=where)
    if depth:
        _check_authority(certificate, depth, name)


def _check_authority(certificate: x509.Certificate, depth: int, name: str) -> None:
    basic, usage = _extension(certificate, x509.BasicConstraints), _extension(certificate, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        raise VerificationError(f"{name} may not issue certificates", where=CHAIN)
    if basic.path_length is not None and basic.path_length < depth - 1:
        raise VerificationError(f"{name} may not stand so high in a chain", where=CHAIN)


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer or isinstance(certificate.signature_hash_algorithm, hashes.SHA1 | hashes.MD5):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _find_extension(certificate: x509.Certificate, kind: type[_E]) -> x509.Extension[_E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _extension(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    found = _find_extension(certificate, kind)
    return None if found is None else found.value
