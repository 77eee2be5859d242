"""Check a receipt: the box's own leaves, through the seal, to a published checkpoint of the port log."""

from collections.abc import Sequence

from protocol import kinds
from protocol.errors import VerificationError
from protocol.journals import verify_seal
from protocol.merkle import leaf_hash, verify_inclusion, verify_range
from protocol.messages import Receipt
from protocol.notes import Checkpoint, NoteKey, SignedCheckpoint
from protocol.records import read
from protocol.signatures import PublicKey


def verify_receipt(receipt: Receipt, leaves: Sequence[bytes], session: PublicKey, log_key: NoteKey) -> Checkpoint:
    """Check that `leaves` (positions first to end) are covered, and give the port log checkpoint that covers them.

    `session` is the key that sealed. Raises VerificationError when any step does not hold, MalformedError when it does not parse.
    """
    where = f"receipt {receipt.box} epoch {receipt.epoch} [{receipt.first}, {receipt.end})"
    if receipt.end - receipt.first != len(leaves):
        raise VerificationError(f"is for {receipt.end - receipt.first} records, {len(leaves)} given", where=where)
    seal = read(receipt.seal)
    if not isinstance(seal.record.body, kinds.Seal):
        raise VerificationError(f"holds a {seal.record.kind} instead of a seal", where=where)
    seal.envelope.verify(session)
    head = verify_seal(seal.record.body, receipt.box, receipt.epoch, session)
    verify_range(receipt.first, leaves, head.size, receipt.left, receipt.right, head.root)
    signed = SignedCheckpoint.parse(receipt.checkpoint)
    signed.verify(log_key, origin=log_key.name)
    checkpoint = signed.checkpoint
    verify_inclusion(leaf_hash(receipt.seal), receipt.log_index, checkpoint.size, receipt.path, checkpoint.root)
    return checkpoint
