"""Hold a P-256 key in a PKCS#11 token - a smart card, an HSM, SoftHSM2 - that makes it, signs with it and never gives it out.

A key is named by a URI (RFC 7512): `pkcs11:token=LABEL;object=LABEL;id=%01?module-path=/lib.so&pin-source=file:/path`. The PIN stands in
a file of its own that others cannot read, never in the URI. Guarantees: no session stays open between two signatures, so a token that
was drawn and put back serves again; every fault of the token is a StorageError. The one module that speaks PKCS#11.
"""

import hashlib
import stat
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from protocol.errors import MalformedError, StorageError
from protocol.signatures import P256Signer
from storage.keys import load_or_create_p256, load_p256

SCHEME = "pkcs11:"
MAX_URI = 2048
MAX_PIN_BYTES = 256
_PATH, _QUERY = {"token", "serial", "manufacturer", "model", "object", "id", "type"}, {"module-path", "pin-source"}
_POINT_BYTES = 65  # uncompressed: 04, x, y (SEC 1 2.3.3)


@dataclass(frozen=True, slots=True)
class TokenUri:
    """What a URI names: the token by label or serial, the key by label or id, the library, and the file of the PIN."""

    module: Path
    pin_file: Path | None
    token: str | None
    serial: str | None
    label: str | None
    key_id: bytes | None

    @classmethod
    def parse(cls, uri: str) -> "TokenUri":
        """Read a URI (RFC 7512 2.3); raise MalformedError naming what is wrong."""
        if not uri.startswith(SCHEME) or len(uri) > MAX_URI:
            raise MalformedError(f"is no {SCHEME} URI of at most {MAX_URI} characters", where="keys.identity")
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        found = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if "module-path" not in found or not ({"token", "serial"} & found.keys()) or not ({"object", "id"} & found.keys()):
            raise MalformedError("needs token or serial, object or id, and module-path", where="keys.identity")
        if found.get("type", b"private") != b"private":
            raise MalformedError("names no private key", where="keys.identity")
        texts = {name: value.decode("utf-8", "replace") for name, value in found.items()}
        pin = texts.get("pin-source")
        pin_file = Path(pin.removeprefix("file:")) if pin is not None else None
        return cls(Path(texts["module-path"]), pin_file, texts.get("token"), texts.get("serial"), texts.get("object"), found.get("id"))

    def pin(self) -> str | None:
        """Read the PIN; raise StorageError when its file is missing or others may read it."""
        if self.pin_file is None:
            return None
        try:
            mode = stat.S_IMODE(self.pin_file.stat().st_mode)
            data = self.pin_file.read_bytes()[:MAX_PIN_BYTES]
        except OSError as error:
            raise StorageError(f"cannot read the PIN: {error.strerror}", where=str(self.pin_file)) from error
        if mode & 0o077:
            raise StorageError(f"mode is {mode:04o}: others may read this PIN (expected 0600)", where=str(self.pin_file))
        return data.decode("utf-8", "replace").strip()


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, _, value = part.partition("=")
        if name == "pin-value":
            raise MalformedError("a PIN does not belong into the settings: use pin-source=file:/path", where="keys.identity")
        if name not in known or name in found:
            raise MalformedError(f"attribute {name[:40]!r} is not known, or is there twice", where="keys.identity")
        found[name] = urllib.parse.unquote_to_bytes(value)
    return found


@dataclass(slots=True)
class Token:
    """The token that a URI names. One process uses one PKCS#11 library."""

    uri: TokenUri
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> P256Signer | None:
        """Give the signer of the key that the URI names; None when the token holds none. Raises StorageError, MalformedError."""
        with self._session() as (session, pkcs11):
            found = list(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, **self._name(pkcs11)}))
            if len(found) > 1:
                raise MalformedError(f"{len(found)} keys are meant by its URI", where="token")
            return self._signer(bytes(found[0][pkcs11.Attribute.EC_POINT])) if found else None

    def create(self) -> P256Signer:
        """Make the key inside the token: it signs, and can never be read out. Raises StorageError, also when it is there already."""
        if self.load() is not None:
            raise StorageError("the token holds this key already", where="token")
        with self._session(writes=True) as (session, pkcs11):
            from pkcs11.util.ec import encode_named_curve_parameters

            curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
            parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
            secret = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SIGN: True}
            public, _ = parameters.generate_keypair(
                store=True, label=self.uri.label, id=self.uri.key_id, capabilities=_sign_only(pkcs11), private_template=secret
            )
            return self._signer(bytes(public[pkcs11.Attribute.EC_POINT]))

    def sign(self, digest: bytes) -> bytes:
        """Give r||s over a SHA-256 digest (PKCS#11 CKM_ECDSA); raise StorageError."""
        with self._session() as (session, pkcs11):
            key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=self.uri.label, id=self.uri.key_id)
            return bytes(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))

    def _name(self, pkcs11: Any) -> dict[Any, Any]:  # noqa: ANN401 - the library, loaded late
        named = {pkcs11.Attribute.LABEL: self.uri.label, pkcs11.Attribute.ID: self.uri.key_id}
        return {attribute: value for attribute, value in named.items() if value is not None}

    def _signer(self, point: bytes) -> P256Signer:
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point[-_POINT_BYTES:])  # behind an OCTET STRING's head
        except ValueError as error:
            raise MalformedError("the token's key is not P-256", where="token") from error
        return P256Signer.of(TokenKey(self, key))

    @contextmanager
    def _session(self, *, writes: bool = False) -> Iterator[tuple[Any, Any]]:
        try:
            import pkcs11
        except ImportError as error:
            raise StorageError("the package python-pkcs11 is not installed (extra `pkcs11`)", where="keys.identity") from error
        named = {"token_label": self.uri.token, "token_serial": self.uri.serial.encode() if self.uri.serial is not None else None}
        pin = self.uri.pin()
        with self._turn:
            try:
                token = pkcs11.lib(str(self.uri.module)).get_token(**{name: value for name, value in named.items() if value is not None})
                with token.open(rw=writes, user_pin=pin) as session:
                    yield session, pkcs11
            except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:  # the library of a token may be missing, or another one loaded
                raise StorageError(f"{type(error).__name__} {error}".strip(), where="token") from error


def _sign_only(pkcs11: Any) -> Any:  # noqa: ANN401 - the library, loaded late
    return pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY


class TokenKey(ec.EllipticCurvePrivateKey):
    """A private key that stays in its token, in the shape that certificate requests are signed with."""

    def __init__(self, token: Token, public: ec.EllipticCurvePublicKey) -> None:
        self._token = token
        self._public = public

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ANN401 - as the library types it
        """Give the DER signature over SHA-256 of `data`; raise StorageError."""
        raw = self._token.sign(hashlib.sha256(bytes(data)).digest())
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Give the public key."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """Give P-256."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Give its size in bits."""
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Refuse: the key signs only."""
        raise StorageError("the key signs only", where="token")

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Refuse: the key stays in its token."""
        raise StorageError("the key stays in its token", where="token")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the library's name
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> bytes:
        """Refuse: the key stays in its token."""
        raise StorageError("the key stays in its token", where="token")

    def __copy__(self) -> "TokenKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "TokenKey":
        return self


def load_identity(setting: str, path: Path) -> P256Signer:
    """Give the signer of a box's identity: of the file at `path`, or of the token that a URI names.

    Raises StorageError when there is none, MalformedError when the setting is none of both.
    """
    if setting == "file":
        return load_p256(path)
    signer = Token(TokenUri.parse(setting)).load()
    if signer is None:
        raise StorageError("the token holds no such key", where="keys.identity")
    return signer


def load_or_create_identity(setting: str, path: Path) -> P256Signer:
    """Give the signer of a box's identity, or make its key: in the file, or inside the token. Raises as `load_identity`."""
    if setting == "file":
        return load_or_create_p256(path)
    token = Token(TokenUri.parse(setting))
    return token.load() or token.create()
