"""Keep private keys in PEM files that only their owner can read.

Guarantees: a key file appears whole, flushed and with mode 0600, or not at all; an existing key is never overwritten; a file
that others can read is refused. Keys are P-256 (identity, TLS, certificate authority) or Ed25519 (log).
"""

import os
import stat
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from protocol.errors import MalformedError, StorageError
from protocol.signatures import Ed25519Signer, P256Signer

MAX_KEY_BYTES = 16_384
PRIVATE = 0o600
PUBLIC = 0o644
Kind = Literal["p256", "ed25519"]


def load_signer(path: Path) -> P256Signer | Ed25519Signer:
    """Read a private key and give its signer.

    Raises StorageError when the file is missing or others may read it; MalformedError when it is not a P-256 or Ed25519 key.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise StorageError(f"mode is {mode:04o}: others may read this key (expected 0600)", where=str(path))
        with path.open("rb") as file:
            data = file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise StorageError(f"cannot read the key: {error.strerror}", where=str(path)) from error
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedError("not an unencrypted private key in PEM", where=str(path)) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Signer.of(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256Signer.of(key)
    raise MalformedError("only Ed25519 and P-256 keys are used", where=str(path))


def load_p256(path: Path) -> P256Signer:
    """Read a P-256 key; raise as `load_signer`, and MalformedError when it is of the other kind."""
    signer = load_signer(path)
    if not isinstance(signer, P256Signer):
        raise MalformedError("an Ed25519 key, expected P-256", where=str(path))
    return signer


def load_ed25519(path: Path) -> Ed25519Signer:
    """Read an Ed25519 key; raise as `load_signer`, and MalformedError when it is of the other kind."""
    signer = load_signer(path)
    if not isinstance(signer, Ed25519Signer):
        raise MalformedError("a P-256 key, expected Ed25519", where=str(path))
    return signer


def create_p256(path: Path) -> P256Signer:
    """Make a P-256 key, keep it at `path`; raise StorageError when a file is there already."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return P256Signer.of(key)


def create_ed25519(path: Path) -> Ed25519Signer:
    """Make an Ed25519 key, keep it at `path`; raise StorageError when a file is there already."""
    key = ed25519.Ed25519PrivateKey.generate()
    write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Ed25519Signer.of(key)


def create_signer(path: Path, kind: Kind = "p256") -> P256Signer | Ed25519Signer:
    """Make a key of `kind`, keep it at `path`; raise StorageError when a file is there already."""
    return create_p256(path) if kind == "p256" else create_ed25519(path)


def read_secret_seed(path: Path) -> bytes:
    """Read a 32-byte seed kept as hex; raise StorageError when it is missing or others may read it, MalformedError for no seed."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()[:MAX_KEY_BYTES]
    except OSError as error:
        raise StorageError(f"cannot read the key: {error.strerror}", where=str(path)) from error
    if mode & 0o077:
        raise StorageError(f"mode is {mode:04o}: others may read this key (expected 0600)", where=str(path))
    try:
        return bytes.fromhex(data.decode("ascii").strip())
    except ValueError as error:
        raise MalformedError("not a seed in hex", where=str(path)) from error


def load_or_create_ed25519(path: Path) -> Ed25519Signer:
    """Read the Ed25519 key at `path`, or make it when there is none."""
    return load_ed25519(path) if path.exists() else create_ed25519(path)


def load_or_create_p256(path: Path) -> P256Signer:
    """Read the P-256 key at `path`, or make it when there is none."""
    return load_p256(path) if path.exists() else create_p256(path)


def write_new(path: Path, data: bytes, mode: int = PRIVATE) -> None:
    """Write a file that must not exist yet: whole, flushed, with `mode`; raise StorageError otherwise."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        staged = _stage(path, data, mode)
        try:
            os.link(staged, path)  # fails when the name is taken, where a rename would overwrite
        finally:
            staged.unlink()
        flush_folder(path.parent)
    except FileExistsError as error:
        raise StorageError("exists already and is not overwritten", where=str(path)) from error
    except OSError as error:
        raise StorageError(f"cannot write: {error.strerror}", where=str(path)) from error


def replace_whole(path: Path, data: bytes, mode: int = PUBLIC) -> None:
    """Write a file or replace it whole and flushed; raise StorageError when that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _stage(path, data, mode).replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write: {error.strerror}", where=str(path)) from error


def _stage(path: Path, data: bytes, mode: int) -> Path:
    staged = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, PRIVATE)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())
    return staged


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
