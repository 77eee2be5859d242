"""Sign bytes beside them as CMS (RFC 5652, detached; CAdES-BES attributes) and check such signatures: one spelling only.

Guarantees: what `verify` lets pass is byte for byte what `sign` writes - one signer, ECDSA P-256 with the lower of its two values,
SHA-256, its certificate and its issuer's inside - so that no bit can be changed without it showing. Whether the certificate counts
is for the caller (`certificates.check_exporter`). Stock tools read it: `openssl cms -verify -binary -inform DER -content ...`.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from protocol import der
from protocol.certificates import Certificate
from protocol.der import Element
from protocol.errors import MalformedError, VerificationError
from protocol.instants import SECOND_NS
from protocol.signatures import Signer

MAX_SIGNATURE_BYTES = 32_768
_DATA, _SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
_CONTENT_TYPE, _MESSAGE_DIGEST, _SIGNING_TIME = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"  # RFC 5035: which certificate is meant is signed, too
_SHA256, _ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
_UTC_TIME, _NESTED = 0x17, 0xA0
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2 §2.4.2)
_WHERE = "cms"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed, by which authority's certificate, and when by the signer's own clock (Unix ns, whole seconds)."""

    leaf: Certificate
    authority: Certificate
    at_ns: int


def sign(content: bytes, signer: Signer, leaf: Certificate, authority: Certificate, at_ns: int) -> bytes:
    """Give the signature over `content` as DER; raise MalformedError when the time cannot be written."""
    signed = Signed(leaf, authority, at_ns // SECOND_NS * SECOND_NS)
    digest = hashlib.sha256(content).digest()
    return _encode(signed, digest, signer.sign(der.write(der.SET, _attributes(signed, digest))))


def verify(data: bytes, content: bytes) -> Signed:
    """Check a signature over `content` and give whose it is.

    Raises MalformedError for what is none or not in its only spelling, VerificationError for one that does not hold.
    """
    if len(data) > MAX_SIGNATURE_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_SIGNATURE_BYTES}", where=_WHERE)
    parts = _exactly(der.read_one(data, _WHERE).items(der.SEQUENCE, _WHERE), 2)
    body = _exactly(parts[1].inner(_NESTED, _WHERE).items(der.SEQUENCE, _WHERE), 5)
    info = _exactly(_exactly(body[4].items(der.SET, _WHERE), 1)[0].items(der.SEQUENCE, _WHERE), 6)
    leaf, authority = _pair(_exactly(body[3].items(_NESTED, _WHERE), 2), info[1])
    found = dict(_attribute(one) for one in info[3].items(_NESTED, _WHERE))
    if _SIGNING_TIME not in found or _MESSAGE_DIGEST not in found:
        raise MalformedError("has no time or no digest", where=_WHERE)
    signed = Signed(leaf, authority, _read_time(found[_SIGNING_TIME]))
    digest = found[_MESSAGE_DIGEST].need(der.OCTETS, _WHERE).body
    signature = _read_signature(info[5])
    if _encode(signed, digest, signature) != data:
        raise MalformedError("not the only spelling of its signature", where=_WHERE)
    if digest != hashlib.sha256(content).digest():
        raise VerificationError("is a signature over other bytes", where=_WHERE)
    leaf.public.verify(signature, der.write(der.SET, _attributes(signed, digest)))
    return signed


def _exactly(items: list[Element], count: int) -> list[Element]:
    if len(items) != count:
        raise MalformedError(f"{len(items)} parts, expected {count}", where=_WHERE)
    return items


def _pair(held: list[Element], name: Element) -> tuple[Certificate, Certificate]:
    """Tell the signer's certificate from its issuer's."""
    found = [Certificate.parse(one.raw) for one in held]
    mine = [one for one in found if _name(one) == name.raw]
    if len(mine) != 1:
        raise MalformedError("the certificate of its signer is not in it", where=_WHERE)
    return mine[0], next(one for one in found if one is not mine[0])


def _attribute(item: Element) -> tuple[str, Element]:
    kind, values = _exactly(item.items(der.SEQUENCE, _WHERE), 2)
    return kind.oid(_WHERE), _exactly(values.items(der.SET, _WHERE), 1)[0]


def _encode(signed: Signed, digest: bytes, signature: bytes) -> bytes:
    sha256 = der.write(der.SEQUENCE, der.write_oid(_SHA256))
    info = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        _name(signed.leaf),
        sha256,
        der.write(_NESTED, _attributes(signed, digest)),
        der.write(der.SEQUENCE, der.write_oid(_ECDSA_SHA256)),
        der.write(der.OCTETS, _write_signature(signature)),
    )
    body = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        der.write(der.SET, sha256),
        der.write(der.SEQUENCE, der.write_oid(_DATA)),
        der.write(_NESTED, *sorted((signed.leaf.der, signed.authority.der))),
        der.write(der.SET, info),
    )
    return der.write(der.SEQUENCE, der.write_oid(_SIGNED_DATA), der.write(_NESTED, body))


def _name(leaf: Certificate) -> bytes:
    """Give the issuer and serial number by which a signer is named (RFC 5652 §5.3)."""
    return der.write(der.SEQUENCE, leaf.x509.issuer.public_bytes(), der.write_integer(leaf.x509.serial_number))


def _attributes(signed: Signed, digest: bytes) -> bytes:
    certificate = der.write(der.SEQUENCE, der.write(der.OCTETS, hashlib.sha256(signed.leaf.der).digest()))
    values = {
        _CONTENT_TYPE: der.write_oid(_DATA),
        _SIGNING_TIME: _write_time(signed.at_ns),
        _MESSAGE_DIGEST: der.write(der.OCTETS, digest),
        _SIGNING_CERTIFICATE: der.write(der.SEQUENCE, der.write(der.SEQUENCE, certificate)),
    }
    return b"".join(sorted(der.write(der.SEQUENCE, der.write_oid(kind), der.write(der.SET, value)) for kind, value in values.items()))


def _write_time(at_ns: int) -> bytes:
    """Give a time as RFC 5652 §11.3 wants it: two digits of the year until 2049."""
    try:
        at = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise MalformedError(f"{at_ns} is no time", where=_WHERE) from error
    text = at.strftime("%Y%m%d%H%M%SZ").rjust(15, "0").encode()
    return der.write(_UTC_TIME, text[2:]) if 1950 <= at.year < 2050 else der.write(der.TIME, text)


def _read_time(element: Element) -> int:
    text = element.body.decode("ascii", "replace")
    century = "" if element.tag == der.TIME else ("19" if text[:2] >= "50" else "20")
    try:
        at = datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        return int(at.timestamp()) * SECOND_NS
    except (ValueError, OverflowError) as error:
        raise MalformedError("not a time in UTC", where=_WHERE) from error


def _write_signature(raw: bytes) -> bytes:
    """Give r and s, the lower of the two s that hold, so that a signature cannot be said in another way."""
    first, second = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    return der.write(der.SEQUENCE, der.write_integer(first), der.write_integer(min(second, _ORDER - second)))


def _read_signature(element: Element) -> bytes:
    first, second = _exactly(der.read_one(element.need(der.OCTETS, _WHERE).body, _WHERE).items(der.SEQUENCE, _WHERE), 2)
    values = [one.integer(_WHERE) for one in (first, second)]
    if not all(0 < value < _ORDER for value in values):
        raise MalformedError("not a signature by P-256", where=_WHERE)
    return b"".join(value.to_bytes(32, "big") for value in values)
