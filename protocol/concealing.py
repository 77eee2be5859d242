"""Keep personal data out of the log and bind it all the same: a record holds a salted hash, the body stands beside the log.

    commitment = SHA-256("portwitness/concealed/v1" || 0x00 || salt of 32 bytes || inner)
    inner      = canonical CBOR of [kind, subject, body by numbered fields]
    opening    = salt || inner                      what is kept beside the log, travels with a bundle, and may be erased

Guarantees: an opening either is the one that was committed to, or is refused; without it nobody can tell or guess the body, since
the salt is as long as the hash; the tree and every proof stand on the outer record alone, with or without the opening.
"""

import hashlib
from dataclasses import replace

from protocol import canonical, kinds
from protocol.errors import MalformedError, VerificationError
from protocol.records import MAX_SUBJECT, SignedRecord

SALT_BYTES = 32
MAX_OPENING_BYTES = SALT_BYTES + canonical.MAX_BYTES
PERSONAL = frozenset({kinds.Access.KIND, kinds.View.KIND})
SUBJECT_STAYS = frozenset({kinds.View.KIND})  # about a stream or a task: no person, and custody lists are made by it
_DOMAIN = b"portwitness/concealed/v1\0"


def is_personal(body: kinds.Body) -> bool:
    """Tell whether records of this kind enter the log concealed (docs/adr: concealed records)."""
    return body.KIND in PERSONAL


def commitment(opening: bytes) -> bytes:
    """Give the hash that binds an opening."""
    return hashlib.sha256(_DOMAIN + opening).digest()


def conceal(body: kinds.Body, subject: str, issuer: str, salt: bytes) -> tuple[kinds.Concealed, str, bytes]:
    """Give the outer body, the outer subject and the opening; `salt`: 32 fresh random bytes. Raises MalformedError."""
    if len(salt) != SALT_BYTES:
        raise MalformedError(f"salt of {len(salt)} bytes, expected {SALT_BYTES}", where="concealed")
    opening = salt + canonical.encode([body.KIND, subject, kinds.encode_body(body)])
    outer = kinds.Concealed(body.KIND, commitment(opening))
    return outer, subject if body.KIND in SUBJECT_STAYS else issuer, opening


def reveal(signed: SignedRecord, opening: bytes) -> SignedRecord:
    """Give a concealed record with its inner subject and body in place; bytes, envelope and leaf stay those of the log.

    Raises VerificationError when the opening is not the one committed to, MalformedError when what was committed to is no body.
    """
    outer = signed.record.body
    if not isinstance(outer, kinds.Concealed):
        raise MalformedError(f"a {signed.record.kind} has nothing concealed", where="opening")
    if commitment(opening) != outer.commitment:
        raise VerificationError("is not what the record's commitment binds", where="opening")
    kind, subject, body = _parse(opening[SALT_BYTES:])
    if kind != outer.of or kind not in PERSONAL:
        raise MalformedError(f"holds a {kind[:40]!r}, the record says {outer.of[:40]!r}", where="opening")
    if kind in SUBJECT_STAYS and subject != signed.record.subject:
        raise MalformedError("names another subject than the record", where="opening")
    return replace(signed, record=replace(signed.record, subject=subject, body=kinds.decode_body(kind, body)))


def _parse(inner: bytes) -> tuple[str, str, object]:
    value = canonical.decode(inner)
    if not isinstance(value, list) or len(value) != 3:
        raise MalformedError("not [kind, subject, body]", where="opening")
    kind, subject, body = value
    if not isinstance(kind, str) or not isinstance(subject, str) or len(subject) > MAX_SUBJECT:
        raise MalformedError("kind or subject has the wrong type, or is too long", where="opening")
    return kind, subject, body
