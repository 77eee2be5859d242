"""Prove a record up to the national log: journal, seal, port log, the port's checkpoint as a leaf of the national log, its checkpoint.

A national log is a port log whose leaves hold checkpoints of other logs (`kinds.PortCheckpoint`). Its proof is a C2SP tlog-proof whose
extra data is the leaf: the national hub's signed record. Guarantees: pure; each step is checked under the keys that the caller brings.
"""

import base64
import binascii
from dataclasses import dataclass

from protocol import canonical, kinds
from protocol.bundle import LogProof
from protocol.errors import MalformedError, VerificationError
from protocol.journals import verify_seal
from protocol.merkle import leaf_hash, verify_inclusion
from protocol.notes import Checkpoint, NoteKey, SignedCheckpoint
from protocol.policies import Policy
from protocol.records import SignedRecord, read
from protocol.signatures import PublicKey

_EXTRA = "extra "
MAX_PROOF_BYTES = 4 * canonical.MAX_BYTES  # a leaf in base64, a path, and a checkpoint with many cosignatures


@dataclass(frozen=True, slots=True)
class NationalProof:
    """A leaf of the national log with what proves it: the answer that a port gets and keeps."""

    record: bytes
    proof: LogProof

    def encode(self) -> bytes:
        """Give the proof as C2SP tlog-proof with extra data."""
        first, _, rest = self.proof.encode().partition(b"\n")
        return first + b"\n" + _EXTRA.encode() + base64.b64encode(self.record) + b"\n" + rest

    @classmethod
    def parse(cls, data: bytes) -> "NationalProof":
        """Read a proof; raise MalformedError when it is none, too long, or not in its only spelling."""
        if len(data) > MAX_PROOF_BYTES:
            raise MalformedError(f"{len(data)} bytes, at most {MAX_PROOF_BYTES}", where="national proof")
        first, _, rest = data.partition(b"\n")
        extra, _, rest = rest.partition(b"\n")
        if not extra.startswith(_EXTRA.encode()):
            raise MalformedError("holds no leaf", where="national proof")
        try:
            record = base64.b64decode(extra.removeprefix(_EXTRA.encode()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedError("its leaf is not base64", where="national proof") from error
        found = cls(record, LogProof.parse(first + b"\n" + rest))
        if found.encode() != data:
            raise MalformedError("not the only spelling of its proof", where="national proof")
        return found


@dataclass(frozen=True, slots=True)
class National:
    """What a national proof shows: which checkpoint of a port stands in the national log, and under which national checkpoint."""

    port: SignedCheckpoint
    national: Checkpoint
    index: int


def verify_national(shown: NationalProof, port: NoteKey, nation: NoteKey, policy: Policy | None = None) -> National:
    """Check that a checkpoint of `port` is a leaf of the log of `nation`; with `policy` also that its quorum cosigned that log's head.

    Raises VerificationError when a step does not hold, MalformedError when it does not parse.
    """
    signed = read(shown.record)
    body = _checkpoint_of(signed, port.name)
    signed.envelope.verify(nation.public)
    inner = SignedCheckpoint.parse(body.note)
    inner.verify(port, origin=port.name)
    head = SignedCheckpoint.parse(shown.proof.checkpoint)
    head.verify(nation, origin=nation.name)
    if policy is not None and not policy.is_met(policy.agreed(head)):
        raise VerificationError("no quorum of the policy cosigned the national checkpoint", where="national proof")
    if signed.record.position != shown.proof.index or signed.record.issuer.role != "hub":
        raise VerificationError(f"the leaf says it stands at {signed.record.position}", where="national proof")
    checkpoint = head.checkpoint
    verify_inclusion(signed.leaf, shown.proof.index, checkpoint.size, shown.proof.path, checkpoint.root)
    return National(inner, checkpoint, shown.proof.index)


def _checkpoint_of(signed: SignedRecord, origin: str) -> kinds.PortCheckpoint:
    body = signed.record.body
    if not isinstance(body, kinds.PortCheckpoint):
        raise VerificationError(f"holds a {signed.record.kind} instead of a port's checkpoint", where="national proof")
    if signed.record.subject != origin:
        raise VerificationError(f"is of {signed.record.subject[:80]!r}, expected {origin!r}", where="national proof")
    return body


@dataclass(frozen=True, slots=True)
class Chain:
    """All that leads from a box's record to the national log. `path`: in the tree that `seal` seals; `port`: of the seal's leaf."""

    record: bytes
    path: tuple[bytes, ...]
    seal: bytes
    port: LogProof
    national: NationalProof


def verify_chain(chain: Chain, session: PublicKey, port: NoteKey, nation: NoteKey, policy: Policy | None = None) -> National:
    """Check a record from its box's journal up to the national log.

    `session`: the key that signed record and seal. The port's proof leads to the very checkpoint that the national log holds. Raises as
    `verify_national`.
    """
    signed, seal = read(chain.record), read(chain.seal)
    record, body = signed.record, seal.record.body
    if not isinstance(body, kinds.Seal):
        raise VerificationError(f"holds a {seal.record.kind} instead of a seal", where="chain")
    if record.issuer.role != "box" or (record.issuer, record.epoch) != (seal.record.issuer, seal.record.epoch):
        raise VerificationError(f"the seal is of {seal.record.issuer} epoch {seal.record.epoch}", where="chain")
    signed.envelope.verify(session)
    seal.envelope.verify(session)
    head = verify_seal(body, record.issuer.name, record.epoch, session)
    verify_inclusion(signed.leaf, record.position, head.size, chain.path, head.root)
    found = verify_national(chain.national, port, nation, policy)
    if SignedCheckpoint.parse(chain.port.checkpoint).checkpoint != found.port.checkpoint:
        raise VerificationError("the port's proof leads to another checkpoint than the national log holds", where="chain")
    verify_inclusion(leaf_hash(chain.seal), chain.port.index, found.port.checkpoint.size, chain.port.path, found.port.checkpoint.root)
    return found
