"""Follow a box journal record by record and refuse the first that does not fit: the rule of hub and verifier alike.

An epoch starts with a boot record at position 0 and a session record, both signed by the box's identity key; what follows
is signed by the newest session key before its monotonic end. Each record stands at the next position and names the root
of the tree before it, so nothing can be left out, added or moved. Imported files and live capture have keys of their own: an
import session is certified by an identity key for imports alone, and neither kind of session signs what is the other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol import kinds
from protocol.errors import EquivocationError, VerificationError
from protocol.identifiers import BoxId
from protocol.merkle import Frontier
from protocol.notes import ED25519, Checkpoint, NoteKey, SignedCheckpoint
from protocol.records import Record, SignedRecord, read
from protocol.signatures import EDDSA, PublicKey


def origin(box: str, epoch: int) -> str:
    """Give the origin line of a box journal's checkpoints."""
    return f"portwitness.box/{box}/{epoch}"


@dataclass(slots=True)
class Journal:
    """What must be remembered of one epoch to judge its next record.

    `identities`: the box's identity keys that count (by the log), any of which may sign boot and live session; `importers`: those
    that may sign import sessions. When following starts in the middle (a bundle), the caller gives frontier and session key.
    `usage`: of the session in force. `counter`: of the newest seal that had one, in this epoch or before.
    """

    box: BoxId
    epoch: int
    identities: tuple[PublicKey, ...]
    frontier: Frontier = field(default_factory=Frontier)
    session: PublicKey | None = None
    session_until_ns: int = 0
    last_mono_ns: int = 0
    sealed: int = 0  # positions below are covered by a seal
    importers: tuple[PublicKey, ...] = ()
    usage: str = "live"
    counter: int | None = None

    def append(self, signed: SignedRecord) -> None:
        """Take the next record; raise VerificationError naming what is wrong, and then nothing has changed."""
        self.check_place(signed)
        self.check_signature(signed)
        self.take(signed)

    def check_place(self, signed: SignedRecord) -> None:
        """Check issuer, epoch, position, root and monotonic order."""
        record = signed.record
        fault = self._place_fault(record)
        if fault:
            raise VerificationError(fault, where=f"{self.box} epoch {self.epoch} position {record.position}")

    def _place_fault(self, record: Record) -> str:
        """Say what is wrong with a record's place; empty when nothing is."""
        if record.issuer != f"box:{self.box}" or record.epoch != self.epoch:
            return f"issued by {record.issuer} epoch {record.epoch}"
        if record.position != self.frontier.size:
            return f"expected position {self.frontier.size}"
        if record.root != self.frontier.root():
            return "names another tree before it"
        if record.at.mono_ns < self.last_mono_ns:
            return "monotonic time runs backwards"
        if (record.position == 0) != isinstance(record.body, kinds.Boot):
            return f"{record.kind} is out of place"
        return usage_fault(record.body, self.usage)

    def key_for(self, signed: SignedRecord) -> PublicKey:
        """Give the key that has to have signed the record; raise VerificationError when there is none."""
        record, envelope = signed.record, signed.envelope
        if isinstance(record.body, kinds.Boot | kinds.Session):
            imports = isinstance(record.body, kinds.Session) and record.body.usage == "import"
            for identity in self.importers if imports else self.identities:
                if identity.key_id == envelope.key_id:
                    return identity
            what = f"no identity of {self.box}{' for imports' if imports else ''}"
            raise VerificationError(f"key {envelope.key_id.hex()} is {what}", where=f"position {record.position}")
        if self.session is None:
            raise VerificationError("no session key yet", where=f"position {record.position}")
        if record.at.mono_ns > self.session_until_ns:
            raise VerificationError("session key has ended", where=f"position {record.position}")
        return self.session

    def check_signature(self, signed: SignedRecord) -> None:
        """Check the signature; raise VerificationError."""
        signed.envelope.verify(self.key_for(signed))

    def take(self, signed: SignedRecord, *, note_checked: bool = False) -> None:
        """Append a record whose place and signature were checked; raise VerificationError when it means what it may not.

        `note_checked`: the signature of a seal's own checkpoint was checked, too, by `verify_seal` under the session key.
        """
        record = signed.record
        fault = usage_fault(record.body, self.usage)
        if fault:
            raise VerificationError(fault, where=f"{self.box} epoch {self.epoch} position {record.position}")
        if isinstance(record.body, kinds.Session):
            self.session = PublicKey.from_ed25519(record.body.key)
            self.session_until_ns, self.usage = record.body.until_mono_ns, record.body.usage
        elif isinstance(record.body, kinds.Seal):
            self._check_seal(record.position, record.root, record.body, note_checked=note_checked)
            self.sealed = record.position
        self.frontier.append(signed.leaf)
        self.last_mono_ns = record.at.mono_ns

    def _check_seal(self, position: int, root: bytes, seal: kinds.Seal, *, note_checked: bool = False) -> None:
        if self.session is None:
            raise VerificationError("seal before a session key", where=f"position {position}")
        read = SignedCheckpoint.parse
        checkpoint = read(seal.note).checkpoint if note_checked else verify_seal(seal, self.box, self.epoch, self.session)
        if checkpoint.size != position or checkpoint.root != root:
            raise EquivocationError("seal names another tree than its journal", where=f"{self.box} position {position}")
        if seal.counter is None:
            return
        if self.counter is not None and seal.counter <= self.counter:
            what = f"counter went back from {self.counter} to {seal.counter}: the box was rolled back, or runs twice"
            raise VerificationError(what, where=f"{self.box} epoch {self.epoch} position {position}")
        self.counter = seal.counter


def usage_fault(body: kinds.Body, usage: str) -> str:
    """Say why a session of this usage may not sign a record; empty when it may."""
    if isinstance(body, kinds.Boot | kinds.Session):
        return ""
    imported = (isinstance(body, kinds.Recording) and body.origin == "import") or (
        isinstance(body, kinds.Segment) and body.state == "imported"
    )
    if usage == "import" and not imported and not isinstance(body, kinds.Gap):
        return f"a {body.KIND} of live capture under an import session"
    if usage != "import" and imported:
        return f"an imported {body.KIND} under a session for live capture"
    return ""


@dataclass(slots=True)
class SealCounter:
    """Follow a box's seals over its epochs and tell when some are missing: each takes the next value of its counter."""

    value: int | None = None
    epoch: int = 0

    def take(self, epoch: int, seal: kinds.Seal) -> str:
        """Take the next seal in the order of the journal; say what is wrong, empty when nothing is.

        A power cut between counter and commit loses one value, so each epoch may begin one value later.
        """
        before, start = self.value, self.epoch
        if seal.counter is None:
            return "" if before is None else f"names no counter, the seal before it named {before}"
        self.value, self.epoch = seal.counter, epoch
        if before is None:
            return ""
        if seal.counter <= before:
            return f"counter went back from {before} to {seal.counter}"
        missing = seal.counter - before - 1
        return f"{missing} seals are missing before it by its counter" if missing > max(0, epoch - start) else ""


def verify_seal(seal: kinds.Seal, box: str, epoch: int, session: PublicKey) -> Checkpoint:
    """Check a seal's signed checkpoint under the session key; give it. Raises VerificationError."""
    if session.algorithm != EDDSA:
        raise VerificationError("seals are signed with Ed25519", where="seal")
    name = origin(box, epoch)
    signed = SignedCheckpoint.parse(seal.note)
    signed.verify(NoteKey(name, ED25519, session), origin=name)
    return signed.checkpoint


def check_rollback(proof: kinds.Rollback, box: str, identities: Sequence[PublicKey]) -> None:
    """Check that a rollback record convicts its box: both records are the box's, and they cannot both stand.

    Raises VerificationError when it does not, MalformedError when a record in it does not parse.
    """
    boot, known, session = (read(data) for data in (proof.boot, proof.known, proof.session))
    where = f"rollback of {box}"
    if any(one.record.issuer != f"box:{box}" for one in (boot, known, session)):
        raise VerificationError("a record is not of this box", where=where)
    if not isinstance(boot.record.body, kinds.Boot) or not isinstance(session.record.body, kinds.Session):
        raise VerificationError("holds no boot, or no session", where=where)
    _verify_by(boot, identities, where)
    _verify_by(session, identities, where)
    if isinstance(known.record.body, kinds.Boot | kinds.Session):
        _verify_by(known, identities, where)
    else:
        known.envelope.verify(PublicKey.from_ed25519(session.record.body.key))
    if session.record.epoch != known.record.epoch or not _denies(boot.record.epoch, boot.record.body, known.record):
        raise VerificationError("its records can both stand", where=where)


def _denies(epoch: int, boot: kinds.Boot, known: Record) -> bool:
    """Tell whether a boot of `epoch` denies a record: it knows fewer records of that epoch, or skips the epoch."""
    previous = -1 if boot.previous_epoch is None else boot.previous_epoch
    if known.epoch == previous:
        return known.position >= (boot.previous_size or 0)
    return previous < known.epoch < epoch


def _verify_by(signed: SignedRecord, keys: Sequence[PublicKey], where: str) -> None:
    for key in keys:
        if key.key_id == signed.envelope.key_id:
            signed.envelope.verify(key)
            return
    raise VerificationError(f"{signed.record.kind} is not signed by an identity key of the box", where=where)


def check_equal(known: bytes, other: SignedRecord, keys: Sequence[PublicKey]) -> None:
    """Compare a record with the one already known at its position.

    Raises EquivocationError when it differs and one of `keys` signed it; VerificationError when it differs and none did.
    """
    if known == other.data:
        return
    where = f"{other.record.issuer} epoch {other.record.epoch} position {other.record.position}"
    for key in keys:
        if key.key_id == other.envelope.key_id:
            other.envelope.verify(key)
            raise EquivocationError("two signed records at one position", where=where)
    raise VerificationError("another record stands at this position, and this one is not signed by the box", where=where)
