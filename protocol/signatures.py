"""Sign and verify bytes as COSE_Sign1 (RFC 9052 §4.2) with EdDSA (Ed25519) or ES256 (P-256).

The protected header holds the algorithm (1) and the key id (4): the first 8 bytes of SHA-256 over the key's
SubjectPublicKeyInfo. A key id only finds a key; nothing is believed because of it. ML-DSA-44 (FIPS 204) keys sign
cosignatures of logs, never records: `from_spki` refuses them.
"""

import hashlib
import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from protocol import canonical
from protocol.errors import MalformedError, VerificationError

ES256 = -7  # RFC 9053 §2.1
EDDSA = -8  # RFC 9053 §2.2
ML_DSA_44 = -48  # IANA COSE algorithms; FIPS 204
ALGORITHMS = (ES256, EDDSA)
SIGNATURE_BYTES = 64
ML_DSA_44_BYTES = 2420
ML_DSA_44_KEY_BYTES = 1312
KEY_ID_BYTES = 8
_ES256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A verification key: its COSE algorithm and its SubjectPublicKeyInfo in DER."""

    algorithm: int
    spki: bytes

    @property
    def key_id(self) -> bytes:
        """Give the 8-byte key id."""
        return hashlib.sha256(self.spki).digest()[:KEY_ID_BYTES]

    @property
    def fingerprint(self) -> str:
        """Give SHA-256 of the SubjectPublicKeyInfo in hex."""
        return hashlib.sha256(self.spki).hexdigest()

    @classmethod
    def from_spki(cls, spki: bytes) -> "PublicKey":
        """Take a DER SubjectPublicKeyInfo; raise MalformedError when it is neither Ed25519 nor P-256."""
        key = _load(spki)
        return cls(EDDSA if isinstance(key, ed25519.Ed25519PublicKey) else ES256, spki)

    @classmethod
    def from_ed25519(cls, raw: bytes) -> "PublicKey":
        """Take a raw 32-byte Ed25519 key."""
        try:
            key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
        except ValueError as error:
            raise MalformedError(f"{len(raw)} bytes are not an Ed25519 key", where="key") from error
        return cls(EDDSA, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    @classmethod
    def from_ml_dsa_44(cls, raw: bytes) -> "PublicKey":
        """Take a raw 1312-byte ML-DSA-44 key; raise MalformedError, also where the library or its OpenSSL lacks ML-DSA."""
        if len(raw) != ML_DSA_44_KEY_BYTES:
            raise MalformedError(f"{len(raw)} bytes are not an ML-DSA-44 key", where="key")
        try:
            key = _mldsa().MLDSA44PublicKey.from_public_bytes(raw)
            return cls(ML_DSA_44, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedError("not an ML-DSA-44 key, or not supported by the installed OpenSSL", where="key") from error

    def raw(self) -> bytes:
        """Give the raw bytes of Ed25519 (32) or ML-DSA-44 (1312), or the compressed point (33 bytes) of P-256."""
        if self.algorithm == ML_DSA_44:
            return self.spki[-ML_DSA_44_KEY_BYTES:]  # the key is the end of its DER form
        key = _load(self.spki)
        if isinstance(key, ed25519.Ed25519PublicKey):
            return key.public_bytes_raw()
        return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature (64 bytes, r||s for ES256; 2420 for ML-DSA-44); raise VerificationError when it does not hold."""
        if self.algorithm == ML_DSA_44:
            return self._verify_ml_dsa_44(signature, data)
        if len(signature) != SIGNATURE_BYTES:
            raise VerificationError(f"signature of {len(signature)} bytes, expected {SIGNATURE_BYTES}", where="signature")
        key = _load(self.spki)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            else:
                half = SIGNATURE_BYTES // 2
                pair = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
                key.verify(encode_dss_signature(*pair), data, _ES256)
        except InvalidSignature as error:
            raise VerificationError(f"signature does not hold under key {self.key_id.hex()}", where="signature") from error

    def _verify_ml_dsa_44(self, signature: bytes, data: bytes) -> None:
        if len(signature) != ML_DSA_44_BYTES:
            raise VerificationError(f"signature of {len(signature)} bytes, expected {ML_DSA_44_BYTES}", where="signature")
        try:
            _mldsa().MLDSA44PublicKey.from_public_bytes(self.raw()).verify(signature, data)
        except (InvalidSignature, UnsupportedAlgorithm) as error:
            raise VerificationError(f"signature does not hold under key {self.key_id.hex()}", where="signature") from error


def _mldsa() -> Any:  # noqa: ANN401 - a module that older releases of the library lack
    """Give the library's ML-DSA; raise MalformedError where it offers none."""
    try:
        return importlib.import_module("cryptography.hazmat.primitives.asymmetric.mldsa")
    except ImportError as error:
        raise MalformedError("the installed cryptography library offers no ML-DSA-44", where="key") from error


@lru_cache(maxsize=1024)
def _load(spki: bytes) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, TypeError) as error:
        raise MalformedError("not a SubjectPublicKeyInfo", where="key") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise MalformedError("only Ed25519 and P-256 keys are used", where="key")


class Signer(Protocol):
    """Signs with a key that may live in memory, a file, a token or a TPM."""

    @property
    def public(self) -> PublicKey:
        """Give the verification key."""

    def sign(self, data: bytes) -> bytes:
        """Give the 64-byte signature over `data`."""


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """Sign with an Ed25519 key held in memory."""

    key: ed25519.Ed25519PrivateKey
    public: PublicKey

    @classmethod
    def of(cls, key: ed25519.Ed25519PrivateKey) -> "Ed25519Signer":
        """Wrap a private key."""
        return cls(key, PublicKey.from_ed25519(key.public_key().public_bytes_raw()))

    def sign(self, data: bytes) -> bytes:
        """Give the Ed25519 signature (RFC 8032)."""
        return self.key.sign(data)


@dataclass(frozen=True, slots=True)
class MlDsa44Signer:
    """Sign with an ML-DSA-44 key (FIPS 204) held in memory, made from its 32-byte seed."""

    seed: bytes
    public: PublicKey

    @classmethod
    def of(cls, seed: bytes) -> "MlDsa44Signer":
        """Take a 32-byte seed; raise MalformedError when it is none, or the library offers no ML-DSA."""
        try:
            raw = _mldsa().MLDSA44PrivateKey.from_seed_bytes(seed).public_key().public_bytes_raw()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise MalformedError("not a seed of ML-DSA-44, or not supported by the installed OpenSSL", where="key") from error
        return cls(seed, PublicKey.from_ml_dsa_44(raw))

    def sign(self, data: bytes) -> bytes:
        """Give the 2420-byte signature with an empty context (FIPS 204 §5.2)."""
        signature: bytes = _mldsa().MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(data)
        return signature


@dataclass(frozen=True, slots=True)
class P256Signer:
    """Sign with a P-256 key held in memory."""

    key: ec.EllipticCurvePrivateKey
    public: PublicKey

    @classmethod
    def of(cls, key: ec.EllipticCurvePrivateKey) -> "P256Signer":
        """Wrap a private key."""
        return cls(key, PublicKey(ES256, key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)))

    def sign(self, data: bytes) -> bytes:
        """Give the ES256 signature as r||s (RFC 9053 §2.1)."""
        r, s = decode_dss_signature(self.key.sign(data, _ES256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed COSE_Sign1, not yet verified."""

    algorithm: int
    key_id: bytes
    payload: bytes
    signature: bytes
    signed: bytes  # the Sig_structure the signature covers

    def verify(self, key: PublicKey) -> None:
        """Check the signature under `key`; raise VerificationError when algorithm or signature do not hold."""
        if key.algorithm != self.algorithm:
            raise VerificationError(f"signed with algorithm {self.algorithm}, the key is for {key.algorithm}", where="signature")
        key.verify(self.signature, self.signed)


@lru_cache(maxsize=1024)
def _protected(algorithm: int, key_id: bytes) -> bytes:
    return canonical.encode({1: algorithm, 4: key_id})


@lru_cache(maxsize=1024)
def _parse_protected(protected: bytes) -> tuple[int, bytes]:
    header = canonical.decode(protected, limit=64)
    if not isinstance(header, dict) or set(header) != {1, 4}:
        raise MalformedError("protected header is not {1: algorithm, 4: key id}", where="cose")
    algorithm, key_id = header[1], header[4]
    if algorithm not in ALGORITHMS:
        raise MalformedError(f"algorithm {algorithm!r} is not allowed", where="cose")
    if not isinstance(key_id, bytes) or len(key_id) != KEY_ID_BYTES:
        raise MalformedError(f"key id is not {KEY_ID_BYTES} bytes", where="cose")
    return algorithm, key_id


def _head(length: int) -> bytes:
    """Give the CBOR head of a byte string of `length` bytes."""
    if length < 24:
        return bytes((0x40 | length,))
    if length < 0x100:
        return bytes((0x58, length))
    if length < 0x10000:
        return b"\x59" + length.to_bytes(2, "big")
    return b"\x5a" + length.to_bytes(4, "big")


def _sig_structure(protected: bytes, payload: bytes) -> bytes:
    # RFC 9052 §4.4: ["Signature1", protected, external_aad (empty), payload]
    return b"\x84\x6aSignature1" + _head(len(protected)) + protected + b"\x40" + _head(len(payload)) + payload


def sign1(payload: bytes, signer: Signer) -> bytes:
    """Give the tagged COSE_Sign1 of `payload`, unprotected header empty."""
    public = signer.public
    protected = _protected(public.algorithm, public.key_id)
    signature = signer.sign(_sig_structure(protected, payload))
    body = _head(len(protected)) + protected + b"\xa0" + _head(len(payload)) + payload
    # 0xd2: CBOR tag 18, COSE_Sign1; 0x84: array of four
    return b"\xd2\x84" + body + _head(len(signature)) + signature


def open1(data: bytes, *, limit: int = canonical.MAX_BYTES) -> Envelope:
    """Parse a tagged COSE_Sign1 in canonical form; raise MalformedError otherwise. Nothing is verified yet."""
    if len(data) > limit:
        raise MalformedError(f"{len(data)} bytes, at most {limit} allowed", where="cose")
    if data[:2] != b"\xd2\x84":
        raise MalformedError("not a tagged COSE_Sign1", where="cose")
    protected, at = _byte_string(data, 2)
    if data[at : at + 1] != b"\xa0":
        raise MalformedError("unprotected header is not empty", where="cose")
    payload, at = _byte_string(data, at + 1)
    signature, at = _byte_string(data, at)
    if at != len(data):
        raise MalformedError("bytes follow the signature", where="cose")
    algorithm, key_id = _parse_protected(protected)
    return Envelope(algorithm, key_id, payload, signature, _sig_structure(protected, payload))


def _byte_string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a byte string with the shortest head at `at`; give it and where it ends."""
    first = data[at] if at < len(data) else 0
    width = {0x58: 1, 0x59: 2, 0x5A: 4}.get(first, 0)
    start = at + 1 + width
    length = int.from_bytes(data[at + 1 : start], "big") if width else first - 0x40
    end = start + length
    if length < 0 or end > len(data) or data[at:start] != _head(length):
        raise MalformedError(f"no byte string at byte {at}", where="cose")
    return data[start:end], end
