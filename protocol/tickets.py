"""Write a ticket as the text of a QR code, and verify it where there is no network: under the log key that the site CA vouches for.

    PWT1.<base64url of the signed record, without padding>

Guarantees: only the hub of the box's own site opens anything; a ticket ends after five minutes at most, by the box's clock; one that was
changed, or is of another hub, is refused with its reason.
"""

import base64
import binascii
from dataclasses import dataclass

from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.identifiers import TaskId
from protocol.instants import SECOND_NS
from protocol.notes import NoteKey
from protocol.records import SignedRecord, read
from protocol.work_kinds import Ticket

PREFIX = "PWT1."
MAX_TEXT = 2048
LONGEST_NS = 300 * SECOND_NS
AHEAD_NS = 120 * SECOND_NS  # how far a box's clock may run behind the hub's


@dataclass(frozen=True, slots=True)
class Opened:
    """A ticket that holds: the task, who showed it, its nonce, and the leaf that the box's record names."""

    task: TaskId
    by: str
    nonce: bytes
    leaf: bytes


def encode_ticket(data: bytes) -> str:
    """Give a signed ticket as text."""
    return PREFIX + base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode_ticket(text: str) -> SignedRecord:
    """Read the text of a ticket; raise MalformedError when it is none. Nothing is verified yet."""
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise MalformedError("is no ticket", where="ticket")
    body = text.removeprefix(PREFIX)
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("is no ticket", where="ticket") from error
    signed = read(data)
    if not isinstance(signed.record.body, Ticket):
        raise MalformedError(f"is a record of kind {signed.record.kind}", where="ticket")
    return signed


def open_ticket(text: str, key: NoteKey | None, now_ns: int) -> Opened:
    """Verify a ticket at an instant; raise MalformedError, VerificationError for what is not of this site's hub, RefusedError when over."""
    signed = decode_ticket(text)
    record, body = signed.record, signed.record.body
    assert isinstance(body, Ticket)
    if key is None:
        raise VerificationError("there is no log key to judge it by", where="ticket")
    if record.issuer.role != "hub":
        raise VerificationError(f"issued by {record.issuer}", where="ticket")
    if record.issuer.name != key.name.rsplit("/", 1)[-1]:
        raise VerificationError(f"issued by another hub, {record.issuer.name}", where="ticket")
    signed.envelope.verify(key.public)
    if not 0 < body.until_ns - record.at.wall_ns <= LONGEST_NS:
        raise VerificationError("holds for longer than five minutes", where="ticket")
    if record.at.wall_ns > now_ns + AHEAD_NS:
        raise RefusedError("begins later than now: check the clock of this box", where="ticket")
    if now_ns >= body.until_ns:
        raise RefusedError("has ended: ask for a new one", where="ticket")
    return Opened(TaskId(record.subject), body.by, body.nonce, signed.leaf)
