"""Write and read what passes between box, hub and site CA at enrolment.

A request names the box and holds its two certificate requests; what the CA issues is one PEM text: identity certificate (not at
a renewal), TLS certificate, site CA, root, and the trust file signed by the site CA. Both sides check all of it.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from protocol.certificates import Certificate, Identity, check_box, check_request, encode_pem, parse_pem
from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import BoxId, SiteId
from protocol.signatures import PublicKey
from protocol.trust import Trust

MAX_ISSUED_BYTES = 65_536
_TRUST = re.compile(r"-----BEGIN PORTWITNESS TRUST-----\n([A-Za-z0-9+/=\n]+)-----END PORTWITNESS TRUST-----\n")
_CSR = re.compile(r"-----BEGIN CERTIFICATE REQUEST-----(.*)-----END CERTIFICATE REQUEST-----\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Request:
    """A box asks for certificates. `identity_csr` None: only its TLS certificate is renewed."""

    request: str
    identity: Identity
    identity_csr: bytes | None
    tls_csr: bytes

    def check(self) -> tuple[PublicKey | None, PublicKey]:
        """Check both requests; give their keys. Raises MalformedError, VerificationError."""
        signing = check_request(self.identity_csr, self.identity) if self.identity_csr is not None else None
        tls = check_request(self.tls_csr, self.identity)
        if signing == tls:
            raise VerificationError("one key for signing records and for TLS", where=f"request of {self.identity.box}")
        return signing, tls

    def encode(self) -> dict[str, str | None]:
        """Give the request as JSON values."""
        return {
            "request": self.request,
            "site": self.identity.site,
            "box": self.identity.box,
            "identity_csr": encode_bytes(self.identity_csr) if self.identity_csr is not None else None,
            "tls_csr": encode_bytes(self.tls_csr),
        }


@dataclass(frozen=True, slots=True)
class Issued:
    """What a CA issued: certificates of one box, the chain above them, and the trust file the CA signed."""

    identity: Certificate | None
    tls: Certificate
    site_ca: Certificate
    root: Certificate
    trust: bytes

    def encode(self) -> str:
        """Give the PEM text."""
        leaves = [one for one in (self.identity, self.tls) if one is not None]
        text = base64.encodebytes(self.trust).decode()
        certificates = encode_pem([*leaves, self.site_ca, self.root]).decode()
        return f"{certificates}-----BEGIN PORTWITNESS TRUST-----\n{text}-----END PORTWITNESS TRUST-----\n"

    @classmethod
    def parse(cls, text: str) -> "Issued":
        """Read what `encode` gave; raise MalformedError."""
        found = _TRUST.search(text)
        if len(text) > MAX_ISSUED_BYTES or found is None:
            raise MalformedError("too long, or without the signed trust file", where="issued certificates")
        chain = parse_pem(text[: found.start()].encode())
        if len(chain) not in (3, 4):
            raise MalformedError(f"{len(chain)} certificates, expected 3 or 4", where="issued certificates")
        tls, site_ca, root = chain[-3:]
        return cls(chain[0] if len(chain) == 4 else None, tls, site_ca, root, decode_bytes(found[1].replace("\n", ""), "trust"))

    def check(self, request: Request, *, root_sha256: str, at_ns: int) -> Trust:
        """Check that this answers `request` under the given root; give the trust file. Raises VerificationError."""
        signing, tls = request.check()
        others = (self.site_ca, self.root)
        if (signing is None) != (self.identity is None):
            raise VerificationError("identity certificate is missing, or was not asked for", where="issued certificates")
        if self.identity is not None and signing is not None:
            found = check_box(self.identity, others, root_sha256=root_sha256, at_ns=at_ns, usage="records")
            _same(found, self.identity, request, signing)
        found = check_box(self.tls, others, root_sha256=root_sha256, at_ns=at_ns, usage="client")
        _same(found, self.tls, request, tls)
        trust = Trust.verify(self.trust, self.site_ca.public)
        if trust.root_sha256 != root_sha256.lower() or trust.site != request.identity.site:
            raise VerificationError(f"names another root or site ({trust.site})", where="trust file of the site CA")
        return trust


def _same(found: Identity, certificate: Certificate, request: Request, key: PublicKey) -> None:
    if found != request.identity or certificate.public != key:
        raise VerificationError(f"is for {found.urn()} or another key than asked for", where="issued certificate")


def encode_bytes(data: bytes) -> str:
    """Give bytes in base64."""
    return base64.b64encode(data).decode()


def decode_bytes(text: str, where: str) -> bytes:
    """Read base64; raise MalformedError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("not base64", where=where) from error


def read_csr(text: str, where: str) -> bytes:
    """Read a certificate request in base64 DER or PEM; raise MalformedError."""
    found = _CSR.fullmatch(text.strip() + "\n")
    return decode_bytes("".join((found[1] if found else text).split()), where)


def decode_request(value: Any) -> Request:  # noqa: ANN401 - JSON from outside
    """Read what `Request.encode` gave; further keys are ignored. Raises MalformedError."""
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("request", "site", "box", "tls_csr")):
        raise MalformedError("not {request, site, box, identity_csr, tls_csr}", where="enrolment request")
    identity_csr = value.get("identity_csr")
    if identity_csr is not None and not isinstance(identity_csr, str):
        raise MalformedError("not text", where="enrolment request.identity_csr")
    identity = Identity(SiteId(value["site"]), BoxId(value["box"]))
    signing = read_csr(identity_csr, "identity_csr") if identity_csr else None
    return Request(value["request"][:64], identity, signing, read_csr(value["tls_csr"], "tls_csr"))
