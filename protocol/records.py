"""Hold the record: the one signed statement that everything in Portwitness is made of.

A record is canonical CBOR in a COSE_Sign1. Its map has integer keys, fixed for ever:

    1 version   2 kind   3 issuer   4 epoch   5 position   6 root of the issuer's tree before it   7 subject
    8 wall ns   9 monotonic ns   10 [sync state, error ms or null]
    11 newest hub checkpoint seen [size, root] or null   12 body, by kind (`protocol.kinds`)

`position` is the leaf's index in the issuer's log of that epoch; the leaf's data is the whole signed record.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from protocol import canonical, kinds
from protocol.errors import MalformedError
from protocol.identifiers import Issuer
from protocol.instants import SYNC_STATES, Instant
from protocol.merkle import HASH_BYTES, leaf_hash
from protocol.signatures import Envelope, Signer, open1, sign1

VERSION = 1
MAX_SUBJECT = 128
_KEYS = frozenset(range(1, 13))


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest hub checkpoint an issuer knew when it wrote: the record cannot be older."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One statement: who, where in its log, about what, when, and what."""

    issuer: Issuer
    epoch: int
    position: int
    root: bytes
    subject: str
    at: Instant
    body: kinds.Body
    seen: Seen | None = None

    @property
    def kind(self) -> str:
        """Give the kind's name."""
        return self.body.KIND

    def payload(self) -> bytes:
        """Give the canonical bytes that are signed; raise MalformedError when a field is out of bounds."""
        seen = [self.seen.size, self.seen.root] if self.seen else None
        clock = [SYNC_STATES.index(self.at.sync), self.at.error_ms]
        body = kinds.encode_body(self.body)
        head = (VERSION, self.kind, str(self.issuer), self.epoch, self.position, self.root, self.subject)
        values = (*head, self.at.wall_ns, self.at.mono_ns, clock, seen, body)
        return canonical.encode(dict(enumerate(values, 1)))

    def sign(self, signer: Signer) -> "SignedRecord":
        """Give the signed record."""
        return read(sign1(self.payload(), signer))


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record, the bytes that carry it, and its parsed envelope; the signature is checked by who knows the key."""

    record: Record
    data: bytes
    envelope: Envelope

    @property
    def leaf(self) -> bytes:
        """Give the leaf hash in the issuer's log."""
        return leaf_hash(self.data)


def read(data: bytes) -> SignedRecord:
    """Parse a signed record; raise MalformedError naming the field that is wrong. Nothing is verified yet."""
    envelope = open1(data)
    return SignedRecord(_parse(envelope.payload), data, envelope)


def read_again(data: bytes) -> SignedRecord:
    """Parse bytes that `read` has accepted before, without a second look at their spelling."""
    envelope = open1(data)
    return SignedRecord(_record(canonical.decode_again(envelope.payload)), data, envelope)


def _parse(payload: bytes) -> Record:
    return _record(canonical.decode(payload))


def _record(fields: Any) -> Record:  # noqa: ANN401
    if not isinstance(fields, dict) or fields.keys() != _KEYS:
        raise MalformedError("fields are not exactly 1 to 12", where="record")
    version, kind, issuer, epoch, position, root, subject = (fields[key] for key in range(1, 8))
    if version != VERSION:
        raise MalformedError(f"version {version!r} is not known (known: {VERSION})", where="record.version")
    _need(type(epoch) is int and epoch >= 0, "epoch")
    _need(type(position) is int and position >= 0, "position")
    _need(type(root) is bytes and len(root) == HASH_BYTES, "root")
    _need(type(subject) is str and len(subject) <= MAX_SUBJECT, "subject")
    return Record(
        issuer=_issuer(issuer),
        epoch=epoch,
        position=position,
        root=root,
        subject=subject,
        at=_instant(fields[8], fields[9], fields[10]),
        body=kinds.decode_body(kind, fields[12]),
        seen=_seen(fields[11]),
    )


def _issuer(text: Any) -> Issuer:  # noqa: ANN401
    if not isinstance(text, str):
        raise MalformedError("not text", where="record.issuer")
    return _known_issuer(text)


@lru_cache(maxsize=4096)
def _known_issuer(text: str) -> Issuer:
    return Issuer(text)


def _instant(wall: Any, mono: Any, clock: Any) -> Instant:  # noqa: ANN401
    _need(type(wall) is int and type(mono) is int and mono >= 0, "time")
    _need(isinstance(clock, list) and len(clock) == 2, "clock")
    state, error = clock
    _need(type(state) is int and 0 <= state < len(SYNC_STATES), "clock.sync")
    _need(error is None or (type(error) is int and error >= 0), "clock.error_ms")
    return Instant(wall, mono, SYNC_STATES[state], error)


def _seen(value: Any) -> Seen | None:  # noqa: ANN401
    if value is None:
        return None
    _need(isinstance(value, list) and len(value) == 2 and type(value[0]) is int and value[0] >= 0, "seen")
    _need(type(value[1]) is bytes and len(value[1]) == HASH_BYTES, "seen.root")
    return Seen(value[0], value[1])


def _need(holds: bool, field: str) -> None:
    if not holds:
        raise MalformedError("wrong type or out of bounds", where=f"record.{field}")
