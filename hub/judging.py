"""Judge a batch of a box's records before any of it is committed.

Guarantees: what is accepted is a run of records that each fit the mirrored journal and whose signatures hold; the first that
does not is named with its fault, and nothing behind it is looked at. Signatures were checked by checkers in other processes, or
are checked here side by side in threads, since the library lets go of the interpreter. What a checker did not let pass, or does
not fit, is read and judged here, so that a fault has one wording and one place. Pure but for the threads it is given.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from queue import SimpleQueue

from hub.checker import Head
from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.journals import Journal
from protocol.records import Record, SignedRecord, read, read_again
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
    record: Record


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record that holds: its bytes, what its row needs, and itself; None for a heartbeat, which means no more than its row."""

    data: bytes
    head: Head
    signed: SignedRecord | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The accepted run, the mirror after it, its seals, and what was wrong with the record behind it (None: nothing)."""

    accepted: tuple[Accepted, ...]
    mirror: Mirror
    seals: tuple[Sealing, ...]
    fault: PortwitnessError | None
    refused: bytes | None = None

    @property
    def signed(self) -> tuple[SignedRecord, ...]:
        """Give the accepted records that mean more than their rows: all but heartbeats."""
        return tuple(each.signed for each in self.accepted if each.signed is not None)


def judge(mirror: Mirror, data: Sequence[bytes], heads: Sequence[Head], threads: Executor, helpers: int) -> Judgement:
    """Judge records that follow what the mirror holds.

    `heads`: what checkers said of the leading ones, under the mirror's session key. Of the others, `helpers` of `threads` check
    the signatures while later ones are read.
    """
    walk, checking = _Walk(mirror), _Checking()
    passed = walk.pass_checked(data, heads)
    fault: PortwitnessError | None = None
    helping = [threads.submit(checking.help) for _ in range(helpers if len(data) - passed > SLICE else 0)]
    try:
        for each in data[passed:]:
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
        at, wrong = passed + bad[0], bad[1]
        return replace(_rerun(mirror, walk.accepted[:at]), fault=_placed(wrong, mirror, at), refused=data[at])
    if fault is not None:  # the step that failed may have changed the walk's journal
        return replace(_rerun(mirror, walk.accepted), fault=fault, refused=data[len(walk.accepted)])
    return walk.judgement()


def _placed(error: PortwitnessError, mirror: Mirror, at: int) -> VerificationError:
    journal = mirror.journal
    return VerificationError(error.what, where=f"box:{journal.box} epoch {journal.epoch} position {mirror.size + at}")


def _rerun(mirror: Mirror, accepted: Sequence[Accepted]) -> Judgement:
    """Take again records whose places and signatures were found to hold."""
    walk = _Walk(mirror)
    for each in accepted:
        walk.step(each)
    return walk.judgement()


class _Walk:
    """Follows the journal record by record, on a copy, and collects what signatures there are to check."""

    def __init__(self, mirror: Mirror) -> None:
        self.journal = replace(mirror.journal, frontier=mirror.journal.frontier.copy())
        self.sealed_frontier = mirror.sealed_frontier
        self.accepted: list[Accepted] = []
        self.seals: list[Sealing] = []

    def pass_checked(self, data: Sequence[bytes], heads: Sequence[Head]) -> int:
        """Take the leading records that checkers let pass and that fit here; give their number."""
        journal, count = self.journal, 0
        for each, head in zip(data, heads, strict=False):
            fits = head.root == journal.frontier.root() and journal.last_mono_ns <= head.mono_ns <= journal.session_until_ns
            fits = fits and journal.usage == "live"  # what an import session may sign is looked at below
            if not fits:
                break
            signed = read_again(each) if head.kind != kinds.Heartbeat.KIND else None
            try:
                self.step(Accepted(each, head, signed), note_checked=True)
            except (MalformedError, VerificationError):  # found again, and named, by who takes it from here
                break
            count += 1
        return count

    def take(self, data: bytes) -> tuple[Envelope, PublicKey]:
        signed = read(data)
        self.journal.check_place(signed)
        key = self.journal.key_for(signed)
        if key.algorithm != signed.envelope.algorithm:
            raise VerificationError(f"signed with algorithm {signed.envelope.algorithm}", where=f"position {signed.record.position}")
        record = signed.record
        head = Head(signed.leaf, record.root, record.kind, record.subject, record.at.wall_ns, record.at.mono_ns)
        self.step(Accepted(data, head, None if isinstance(record.body, kinds.Heartbeat) else signed))
        return signed.envelope, key

    def step(self, accepted: Accepted, *, note_checked: bool = False) -> None:
        journal, signed = self.journal, accepted.signed
        if signed is None:
            journal.frontier.append(accepted.head.leaf)
            journal.last_mono_ns = accepted.head.mono_ns
        elif isinstance(signed.record.body, kinds.Seal):
            self._seal(signed, note_checked=note_checked)
        else:
            journal.take(signed)
        self.accepted.append(accepted)

    def _seal(self, signed: SignedRecord, *, note_checked: bool) -> None:
        journal, record = self.journal, signed.record
        if len(signed.data) > MAX_ENTRY_BYTES:
            raise MalformedError(f"seal of {len(signed.data)} bytes, at most {MAX_ENTRY_BYTES}", where=f"position {record.position}")
        sealing, frontier = Sealing(record.position, journal.sealed, self.sealed_frontier, record), journal.frontier.encode()
        journal.take(signed, note_checked=note_checked)
        self.seals.append(sealing)
        self.sealed_frontier = frontier

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
