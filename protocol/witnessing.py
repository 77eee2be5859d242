"""Speak tlog-witness (c2sp.org/tlog-witness): the add-checkpoint request, its answers, and the rules by which a witness judges.

Guarantees: pure; an answer is decided from the request, the keys a witness trusts for the origin, and the newest head it
cosigned. Whoever keeps that head must compare and set it in one step with the judgement, and flush it before it answers.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from protocol.errors import MalformedError, VerificationError
from protocol.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from protocol.notes import MAX_NOTE_BYTES, Checkpoint, NoteKey, Signature, SignedCheckpoint, has_signed

PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
TEXT_TYPE = "text/plain; charset=utf-8"
MAX_PROOF_LINES = 63
MAX_REQUEST_BYTES = MAX_NOTE_BYTES + 64 * 48  # the note, the old size, and 63 lines of 45 bytes
MAX_SIZE = 2**63 - 1
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the tree size the witness is thought to hold, the proof from there, and the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Give the request's body."""
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "AddCheckpoint":
        """Read a request's body; raise MalformedError."""
        if len(data) > MAX_REQUEST_BYTES:
            raise MalformedError(f"{len(data)} bytes, at most {MAX_REQUEST_BYTES}", where="add-checkpoint")
        head, cut, checkpoint = data.partition(b"\n\n")
        lines = head.decode("ascii", "replace").split("\n")
        if not cut or not lines[0].startswith("old "):
            raise MalformedError("not an old size, a proof, an empty line and a checkpoint", where="add-checkpoint")
        if len(lines) - 1 > MAX_PROOF_LINES:
            raise MalformedError(f"{len(lines) - 1} lines of proof, at most {MAX_PROOF_LINES}", where="add-checkpoint")
        return cls(_size(lines[0].removeprefix("old ")), tuple(_hash(line) for line in lines[1:]), checkpoint)


def _size(text: str) -> int:
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise MalformedError(f"{text[:24]!r} is no tree size", where="add-checkpoint")
    return int(text)


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError as error:
        raise MalformedError("a line of the proof is not base64", where="add-checkpoint") from error
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != line:
        raise MalformedError("a line of the proof is no hash", where="add-checkpoint")
    return data


@dataclass(frozen=True, slots=True)
class Head:
    """The newest tree of a log that a witness cosigned; that of size 0 when it cosigned none."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness says: HTTP status, body, its type. `fork`: the log signed what cannot stand beside the held head."""

    status: int
    body: bytes
    kind: str = TEXT_TYPE
    fork: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A checkpoint that may be cosigned once it is kept in place of `before`."""

    before: Head
    checkpoint: Checkpoint
    note: bytes
    text: str

    @property
    def head(self) -> Head:
        """Give the head to keep."""
        return Head(self.checkpoint.size, self.checkpoint.root)


def conflict(size: int, *, fork: bool = False) -> Answer:
    """Give the answer that names the size a witness holds."""
    return Answer(HTTPStatus.CONFLICT, f"{size}\n".encode(), SIZE_TYPE, fork)


def parse_conflict(body: bytes) -> int:
    """Read the size in a 409; raise MalformedError."""
    return _size(body[:32].decode("ascii", "replace").removesuffix("\n"))


def success(signatures: Sequence[Signature]) -> Answer:
    """Give the answer that carries cosignatures."""
    return Answer(HTTPStatus.OK, "".join(signature.line() for signature in signatures).encode())


def origin_of(request: AddCheckpoint) -> str:
    """Give the origin a request speaks of; raise MalformedError when its checkpoint does not parse."""
    return SignedCheckpoint.parse(request.checkpoint).checkpoint.origin


def judge(request: AddCheckpoint, logs: Mapping[str, Sequence[NoteKey]], held: Head) -> Accepted | Answer:
    """Judge a request by the keys trusted per origin and the head held of its origin, in the order of the specification."""
    try:
        signed = SignedCheckpoint.parse(request.checkpoint)
    except MalformedError as error:
        return refuse(HTTPStatus.BAD_REQUEST, str(error))
    checkpoint = signed.checkpoint
    keys = logs.get(checkpoint.origin)
    if keys is None:
        return refuse(HTTPStatus.NOT_FOUND, "this log is not known here")
    if not _is_signed(signed, keys):
        return refuse(HTTPStatus.FORBIDDEN, "no signature of a trusted key of this log")
    if request.old > checkpoint.size or checkpoint.size > MAX_SIZE:
        return refuse(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's")
    if request.old != held.size:
        return conflict(held.size, fork=checkpoint.size == held.size and checkpoint.root != held.root)
    if request.old == checkpoint.size and checkpoint.root != held.root:
        return conflict(held.size, fork=True)
    try:
        verify_consistency(held.size, held.root, checkpoint.size, checkpoint.root, request.proof)
    except VerificationError as error:
        return refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    return Accepted(held, checkpoint, request.checkpoint, signed.note.text)


def _is_signed(signed: SignedCheckpoint, keys: Sequence[NoteKey]) -> bool:
    """Tell whether a trusted key signed; a trusted key's signature that does not hold spoils the note (signed-note)."""
    named = [key for key in keys if has_signed(signed.note, key)]
    try:
        for key in named:
            signed.verify(key, origin=signed.checkpoint.origin)
    except VerificationError:
        return False
    return bool(named)


def refuse(status: int, why: str) -> Answer:
    """Give an answer that says why not."""
    return Answer(status, f"{why}\n".encode())
