"""Judge a batch of a box's records before any of it is committed.

Guarantees: what is accepted is a run of records that each fit the mirrored journal and whose signatures hold; the first that
does not is named with its fault, and nothing behind it is looked at. Signatures are checked side by side in threads, since the
library lets go of the interpreter. Pure but for the threads it is given.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from queue import SimpleQueue

from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.journals import Journal
from protocol.records import SignedRecord, read
from protocol.signatures import Envelope, PublicKey
from protocol.tiles import MAX_ENTRY_BYTES

SLICE = 8  # signatures per piece of work


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


def judge(mirror: Mirror, data: Sequence[bytes], threads: Executor, helpers: int) -> Judgement:
    """Judge records that follow what the mirror holds; `helpers` of `threads` check signatures while later records are read."""
    walk, checking = _Walk(mirror), _Checking()
    fault: PortwitnessError | None = None
    helping = [threads.submit(checking.help) for _ in range(helpers if len(data) > SLICE else 0)]
    try:
        for each in data:
            checking.add(walk.take(each))
    except (MalformedError, VerificationError) as error:
        fault = error
    finally:
        checking.finish()
    for helper in helping:
        if not helper.cancel():  # one that never began is not needed any more
            helper.result()
    bad = checking.first_bad
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


class _Checking:
    """Signatures to check, in slices, and whoever takes them: helpers while records are still read, the reader at the end."""

    def __init__(self) -> None:
        self._gathered: list[tuple[Envelope, PublicKey]] = []
        self._slices: SimpleQueue[tuple[int, list[tuple[Envelope, PublicKey]]] | None] = SimpleQueue()
        self._count = 0
        self._bad: list[tuple[int, PortwitnessError]] = []

    @property
    def first_bad(self) -> tuple[int, PortwitnessError] | None:
        """Give the first signature that does not hold, once all are checked."""
        return min(self._bad, key=_place) if self._bad else None

    def add(self, check: tuple[Envelope, PublicKey]) -> None:
        self._gathered.append(check)
        if len(self._gathered) == SLICE:
            self._put()

    def finish(self) -> None:
        """Say that no more comes, and help with what is left."""
        self._put()
        self._slices.put(None)
        self.help()

    def help(self) -> None:
        """Check slices until there are no more; the sign of the end is put back for the others."""
        while (part := self._slices.get()) is not None:
            start, checks = part
            for at, (envelope, key) in enumerate(checks, start):
                try:
                    envelope.verify(key)
                except (VerificationError, MalformedError) as error:
                    self._bad.append((at, error))
                    break
        self._slices.put(None)

    def _put(self) -> None:
        self._slices.put((self._count, self._gathered))
        self._count += len(self._gathered)
        self._gathered = []


def _place(bad: tuple[int, PortwitnessError]) -> int:
    return bad[0]
