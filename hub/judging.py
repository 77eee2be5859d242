"""Judge a batch of a box's records before any of it is committed.

Guarantees: what is accepted is a run of records that each fit the mirrored journal and whose signatures hold; the first that
does not is named with its fault, and nothing behind it is looked at. Signatures are checked side by side in threads, since the
library lets go of the interpreter. Pure but for the threads it is given.
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.journals import Journal
from protocol.records import SignedRecord, read
from protocol.signatures import Envelope, PublicKey
from protocol.tiles import MAX_ENTRY_BYTES

SLICE = 32  # signatures per piece of work


@dataclass(frozen=True, slots=True)
class Mirror:
    """What is held of one epoch: the journal's state and its frontier at the newest seal. Never changed, only replaced."""

    journal: Journal
    sealed_frontier: bytes = b""

    @property
    def size(self) -> int:
        """Give the number of records held."""
        return self.journal.frontier.size


@dataclass(frozen=True, slots=True)
class Sealing:
    """A verified seal at `position`: a receipt under it covers [first, position); `left` is the frontier at `first`."""

    position: int
    first: int
    left: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """The accepted run, the mirror after it, its seals, and what was wrong with the record behind it (None: nothing)."""

    accepted: tuple[SignedRecord, ...]
    mirror: Mirror
    seals: tuple[Sealing, ...]
    fault: PortwitnessError | None
    refused: bytes | None = None


def judge(mirror: Mirror, data: Sequence[bytes], threads: Executor) -> Judgement:
    """Judge records that follow what the mirror holds; signatures are checked in `threads` while later records are read."""
    walk = _Walk(mirror)
    checks: list[tuple[Envelope, PublicKey]] = []
    pieces: list[Future[tuple[int, PortwitnessError] | None]] = []
    fault: PortwitnessError | None = None
    for each in data:
        try:
            checks.append(walk.take(each))
        except (MalformedError, VerificationError) as error:
            fault = error
            break
        if len(checks) % SLICE == 0:
            pieces.append(threads.submit(_check, checks[-SLICE:]))
    pieces.append(threads.submit(_check, checks[len(pieces) * SLICE :]))
    bad = _first_bad(pieces)
    if bad is not None:
        at, wrong = bad
        return replace(_rerun(mirror, walk.accepted[:at]), fault=_placed(wrong, walk.accepted[at]), refused=walk.accepted[at].data)
    if fault is not None:  # the step that failed may have changed the walk's journal
        return replace(_rerun(mirror, walk.accepted), fault=fault, refused=data[len(walk.accepted)])
    return walk.judgement()


def _placed(error: PortwitnessError, signed: SignedRecord) -> VerificationError:
    record = signed.record
    return VerificationError(error.what, where=f"{record.issuer} epoch {record.epoch} position {record.position}")


def _rerun(mirror: Mirror, signed: Sequence[SignedRecord]) -> Judgement:
    """Take again records whose signatures were found to hold."""
    walk = _Walk(mirror)
    for each in signed:
        walk.step(each)
    return walk.judgement()


class _Walk:
    """Follows the journal record by record, on a copy, and collects what signatures there are to check."""

    def __init__(self, mirror: Mirror) -> None:
        self.journal = replace(mirror.journal, frontier=mirror.journal.frontier.copy())
        self.sealed_frontier = mirror.sealed_frontier
        self.accepted: list[SignedRecord] = []
        self.seals: list[Sealing] = []

    def take(self, data: bytes) -> tuple[Envelope, PublicKey]:
        signed = read(data)
        self.journal.check_place(signed)
        key = self.journal.key_for(signed)
        if key.algorithm != signed.envelope.algorithm:
            raise VerificationError(f"signed with algorithm {signed.envelope.algorithm}", where=f"position {signed.record.position}")
        self.step(signed)
        return signed.envelope, key

    def step(self, signed: SignedRecord) -> None:
        journal, record = self.journal, signed.record
        sealing = None
        if isinstance(record.body, kinds.Seal):
            if len(signed.data) > MAX_ENTRY_BYTES:
                raise MalformedError(f"seal of {len(signed.data)} bytes, at most {MAX_ENTRY_BYTES}", where=f"position {record.position}")
            sealing = Sealing(record.position, journal.sealed, self.sealed_frontier), journal.frontier.encode()
        journal.take(signed)
        if sealing is not None:
            self.seals.append(sealing[0])
            self.sealed_frontier = sealing[1]
        self.accepted.append(signed)

    def judgement(self) -> Judgement:
        return Judgement(tuple(self.accepted), Mirror(self.journal, self.sealed_frontier), tuple(self.seals), None)


def _first_bad(pieces: Sequence["Future[tuple[int, PortwitnessError] | None]"]) -> tuple[int, PortwitnessError] | None:
    """Wait for all pieces; give the first signature that does not hold."""
    found = [piece.result() for piece in pieces]
    for number, bad in enumerate(found):
        if bad is not None:
            return number * SLICE + bad[0], bad[1]
    return None


def _check(checks: Sequence[tuple[Envelope, PublicKey]]) -> tuple[int, PortwitnessError] | None:
    for at, (envelope, key) in enumerate(checks):
        try:
            envelope.verify(key)
        except (VerificationError, MalformedError) as error:
            return at, error
    return None
