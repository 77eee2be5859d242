"""Write and read signed notes, checkpoints and cosignatures byte for byte as C2SP defines them.

Sources: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature (timestamped Ed25519, type 0x04; ML-DSA-44, type 0x06, whose
signed message also names the cosigner and is that of the subtree [0, size)). A verifier key (vkey) is
`name+hash+base64(type || key)`; signature lines of unknown keys are ignored, those of a known key must hold.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError, VerificationError
from protocol.merkle import HASH_BYTES
from protocol.signatures import EDDSA, ML_DSA_44, ML_DSA_44_BYTES, SIGNATURE_BYTES, PublicKey, Signer

ED25519 = 0x01
COSIGNATURE = 0x04
ML_DSA_44_COSIGNATURE = 0x06
COSIGNATURES = (COSIGNATURE, ML_DSA_44_COSIGNATURE)
MAX_SECONDS = 2**63 - 1  # tlog-cosignature: of a timestamp
MAX_NOTE_BYTES = 65_536
MAX_SIGNATURES = 64
_DASH = "— "
_ALGORITHMS = {ED25519: EDDSA, COSIGNATURE: EDDSA, ML_DSA_44_COSIGNATURE: ML_DSA_44}
_KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}
_SUBTREE = b"subtree/v1\n\0"


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verification key of notes: who signs, with which kind of signature."""

    name: str
    kind: int
    public: PublicKey

    def __post_init__(self) -> None:
        if not self.name or any(character.isspace() or character == "+" for character in self.name):
            raise MalformedError(f"{self.name!r} holds a space or a plus, or is empty", where="note key")
        if _ALGORITHMS.get(self.kind) != self.public.algorithm:
            raise MalformedError("only Ed25519 notes, and Ed25519 and ML-DSA-44 cosignatures are known", where="note key")

    @property
    def hash(self) -> bytes:
        """Give the 4-byte key hash."""
        data = self.name.encode() + b"\n" + bytes((self.kind,)) + self.public.raw()
        return hashlib.sha256(data).digest()[:4]

    def vkey(self) -> str:
        """Give the key as text."""
        key = base64.b64encode(bytes((self.kind,)) + self.public.raw()).decode()
        return f"{self.name}+{self.hash.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        """Read a vkey; raise MalformedError when it does not parse or its hash is not that of its key."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise MalformedError("not name+hash+key", where="vkey")
        raw = _unbase64(parts[2], "vkey")
        if not raw or raw[0] not in _KEY_BYTES:
            raise MalformedError(f"signature type {raw[0] if raw else 'missing'} is not known", where="vkey")
        if len(raw) != 1 + _KEY_BYTES[raw[0]]:
            raise MalformedError(f"key of {len(raw)} bytes, expected {1 + _KEY_BYTES[raw[0]]}", where="vkey")
        is_lattice = raw[0] == ML_DSA_44_COSIGNATURE
        public = PublicKey.from_ml_dsa_44(raw[1:]) if is_lattice else PublicKey.from_ed25519(raw[1:])
        key = cls(parts[0], raw[0], public)
        if key.hash.hex() != parts[1]:
            raise MalformedError("key hash does not fit name and key", where="vkey")
        return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: name, key hash and the bytes behind it."""

    name: str
    hash: bytes
    data: bytes

    def line(self) -> str:
        """Give the line as it stands in a note."""
        return f"{_DASH}{self.name} {base64.b64encode(self.hash + self.data).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        """Give the note's bytes."""
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()

    def with_signatures(self, more: Iterable[Signature]) -> "Note":
        """Give the note with further signatures."""
        return Note(self.text, (*self.signatures, *more))


def parse_note(data: bytes) -> Note:
    """Read a signed note; raise MalformedError when it is not one."""
    if len(data) > MAX_NOTE_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_NOTE_BYTES}", where="note")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8", where="note") from error
    if any(ord(character) < 0x20 and character != "\n" for character in text):
        raise MalformedError("holds control characters", where="note")
    cut = text.rfind("\n\n")
    if cut < 0 or not text.endswith("\n"):
        raise MalformedError("no blank line before the signatures", where="note")
    lines = text[cut + 2 :].splitlines()
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise MalformedError(f"{len(lines)} signatures, expected 1 to {MAX_SIGNATURES}", where="note")
    return Note(text[: cut + 1], tuple(_parse_signature(line) for line in lines))


def parse_signatures(data: bytes) -> tuple[Signature, ...]:
    """Read signature lines that stand alone, as a witness answers; raise MalformedError."""
    lines = data.decode("utf-8", "replace").split("\n")
    if len(data) > MAX_NOTE_BYTES or lines[-1] or not 2 <= len(lines) <= MAX_SIGNATURES + 1:
        raise MalformedError(f"not 1 to {MAX_SIGNATURES} signature lines", where="note")
    return tuple(_parse_signature(line) for line in lines[:-1])


def has_signed(note: Note, key: NoteKey) -> bool:
    """Tell whether a note names a signature of this key; nothing is verified."""
    return any(one.name == key.name and one.hash == key.hash for one in note.signatures)


def _parse_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = _unbase64(encoded, "note signature")
    if not line.startswith(_DASH) or not name or len(data) < 5:
        raise MalformedError(f"{line[:40]!r} is no signature line", where="note")
    return Signature(name, data[:4], data[4:])


def sign_note(text: str, name: str, signer: Signer) -> Signature:
    """Give the Ed25519 signature line of a note's text; raise MalformedError when the text does not end in a newline."""
    if not text.endswith("\n"):
        raise MalformedError("text does not end in a newline", where="note")
    return Signature(name, NoteKey(name, ED25519, signer.public).hash, signer.sign(text.encode()))


def cosign(text: str, name: str, signer: Signer, seconds: int) -> Signature:
    """Give the timestamped cosignature of a checkpoint's text at Unix `seconds`: type 0x04, or 0x06 for an ML-DSA-44 key."""
    key = cosigner(name, signer.public)
    data = seconds.to_bytes(8, "big") + signer.sign(_cosigned(text, key, seconds))
    return Signature(name, key.hash, data)


def cosigner(name: str, public: PublicKey) -> NoteKey:
    """Give the key under which `cosign` signs."""
    return NoteKey(name, ML_DSA_44_COSIGNATURE if public.algorithm == ML_DSA_44 else COSIGNATURE, public)


def _cosigned(text: str, key: NoteKey, seconds: int) -> bytes:
    if key.kind == COSIGNATURE:
        return f"cosignature/v1\ntime {seconds}\n{text}".encode()
    checkpoint = Checkpoint.parse(text)  # a `cosigned_message` (tlog-cosignature) from leaf 0 on
    name, origin = key.name.encode(), checkpoint.origin.encode()
    if len(name) > 255 or len(origin) > 255:
        raise MalformedError("a name of more than 255 bytes cannot be cosigned with ML-DSA-44", where="cosignature")
    when, start, end = (number.to_bytes(8, "big") for number in (seconds, 0, checkpoint.size))
    return b"".join((_SUBTREE, bytes((len(name),)), name, when, bytes((len(origin),)), origin, start, end, checkpoint.root))


def verify_note(note: Note, key: NoteKey) -> int | None:
    """Check the signature of `key` on `note`; give a cosignature's Unix seconds, None for a plain signature.

    Raises VerificationError when the key did not sign, or its signature does not hold.
    """
    for signature in note.signatures:
        if signature.name == key.name and signature.hash == key.hash:
            return _verify_signature(note.text, signature, key)
    raise VerificationError(f"not signed by {key.name}", where="note")


def _verify_signature(text: str, signature: Signature, key: NoteKey) -> int | None:
    if key.kind == ED25519:
        key.public.verify(signature.data, text.encode())
        return None
    expected = 8 + (ML_DSA_44_BYTES if key.kind == ML_DSA_44_COSIGNATURE else SIGNATURE_BYTES)
    if len(signature.data) != expected:
        raise VerificationError(f"cosignature of {len(signature.data)} bytes, expected {expected}", where=key.name)
    seconds = int.from_bytes(signature.data[:8], "big")
    if seconds > MAX_SECONDS:
        raise VerificationError(f"cosigned at {seconds} s after 1970, which is no time", where=key.name)
    key.public.verify(signature.data[8:], _cosigned(text, key, seconds))
    return seconds


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head (C2SP tlog-checkpoint): origin, size, root, extension lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """Give the note text."""
        extra = "".join(f"{line}\n" for line in self.extensions)
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{extra}"

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read a note text; raise MalformedError when it is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not lines[0]:
            raise MalformedError("not origin, size and root", where="checkpoint")
        size = lines[1]
        if not (size.isascii() and size.isdigit()) or (len(size) > 1 and size[0] == "0") or len(size) > 19:
            raise MalformedError(f"{size[:24]!r} is no size", where="checkpoint")
        root = _unbase64(lines[2], "checkpoint")
        if len(root) != HASH_BYTES or "" in lines[3:-1]:
            raise MalformedError("root is not 32 bytes, or an extension line is empty", where="checkpoint")
        return cls(lines[0], int(size), root, tuple(lines[3:-1]))


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note that carries it."""

    checkpoint: Checkpoint
    note: Note

    @classmethod
    def parse(cls, data: bytes) -> "SignedCheckpoint":
        """Read a signed checkpoint; raise MalformedError when it is none. Nothing is verified yet."""
        note = parse_note(data)
        return cls(Checkpoint.parse(note.text), note)

    def verify(self, key: NoteKey, *, origin: str) -> int | None:
        """Check origin and signature; give a cosignature's time. Raises VerificationError."""
        if self.checkpoint.origin != origin:
            raise VerificationError(f"origin is {self.checkpoint.origin!r}, expected {origin!r}", where="checkpoint")
        return verify_note(self.note, key)


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer, more: Sequence[Signature] = ()) -> bytes:
    """Give the checkpoint signed by its log (the key's name is the origin), with further signatures behind it."""
    text = checkpoint.text()
    return Note(text, (sign_note(text, checkpoint.origin, signer), *more)).encode()


def _unbase64(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("not base64", where=where) from error
    if base64.b64encode(data).decode() != text:
        raise MalformedError("not the only spelling of its base64", where=where)
    return data
