"""Check a box's state folder against the invariants S1 to S4, reading only.

Guarantees: names every fault it finds; changes nothing. For a box that does not run.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.pruning import FINAL
from protocol import kinds, messages
from protocol.errors import PortwitnessError, StorageError, VerificationError
from protocol.identifiers import BoxId, StreamId
from protocol.journals import Journal, SealCounter, verify_seal
from protocol.ledger import Ledger
from protocol.merkle import Frontier
from protocol.messages import Receipt
from protocol.records import Record, read
from protocol.signatures import PublicKey
from storage.files import SegmentFolder
from storage.spool import BlobRow, EpochRow, Spool

PAGE = 1000
_CHUNK = 1 << 20


@dataclass(slots=True)
class Findings:
    """What a check saw. `pieces`: for each stream, [from, to, what] in wall ns, in the order recorded; `bodies`: segments, disposals."""

    records: int = 0
    segments: int = 0
    faults: list[str] = field(default_factory=list)
    pieces: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    bodies: list[tuple[int, int, str, kinds.Body]] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


def check_box(state: Path, box: BoxId, identities: Sequence[PublicKey]) -> Findings:
    """Check journal, segments, coverage and removals; raise StorageError when the spool cannot be opened."""
    spool = Spool(state / "spool.db")
    spool.open()
    try:
        out = Findings(faults=[f"spool: {fault}" for fault in spool.check()])
        _check_journals(spool, box, tuple(identities), out)
        _check_files(spool, SegmentFolder(state / "segments"), out)
        _check_removals(spool, out)
    finally:
        spool.close()
    return out


def _check_journals(spool: Spool, box: BoxId, identities: tuple[PublicKey, ...], out: Findings) -> None:
    """S3: every record at its place under the right key, each epoch naming the head of the one before."""
    before: tuple[int, int, bytes] | None = None
    counter = SealCounter()
    for row in spool.epochs():
        journal = Journal(box, row.epoch, identities, counter=counter.value)
        if row.pruned:
            try:
                _resume(spool, row, journal, before, out)
            except PortwitnessError as error:
                out.faults.append(f"S3 epoch {row.epoch}: {error}")
                before = None
                continue
        while journal.frontier.size < row.size:
            page = spool.records(row.epoch, journal.frontier.size, PAGE)
            if not page:
                out.faults.append(f"S3 epoch {row.epoch}: position {journal.frontier.size} is missing")
                break
            try:
                for stored in page:
                    signed = read(stored.data)
                    journal.append(signed)
                    _take(signed.record, journal.usage, out)
                    _count(signed.record, counter, out)
                    _check_boot(signed.record.body, before, out)
            except PortwitnessError as error:
                out.faults.append(f"S3 epoch {row.epoch}: {error}")
                break
        if journal.frontier.size == row.size and journal.frontier.encode() != row.frontier:
            out.faults.append(f"S3 epoch {row.epoch}: the kept head is not that of its records")
        before = row.epoch, row.size, journal.frontier.root()


def _resume(spool: Spool, row: EpochRow, journal: Journal, before: tuple[int, int, bytes] | None, out: Findings) -> None:
    """Begin behind pruned records: kept receipts must cover them without hole, up to the very tree that is kept in their place.

    Raises PortwitnessError when that cannot be shown.
    """
    where = f"below position {row.pruned}"
    covered, last = 0, None
    for each in spool.receipts(row.epoch):
        if each.first <= covered < each.end <= row.pruned:
            covered, last = each.end, each
    if last is None or covered != row.pruned:
        raise StorageError(f"records went that no kept receipt covers (from {covered})", where=where)
    final = spool.fact(f"{FINAL}{row.epoch}")
    if final is None or int(final) < row.pruned:
        out.faults.append(f"S4 epoch {row.epoch}: records {where} went without the witnesses' quorum")
    boot, session = spool.newest_below(kinds.Boot.KIND, row.epoch, 1), spool.newest_below(kinds.Session.KIND, row.epoch, row.pruned)
    if boot is None or session is None:
        raise StorageError("its boot or session record is missing", where=where)
    first, opened = read(boot.data), read(session.data)
    for signed in (first, opened):
        journal.check_signature(signed)
    if not isinstance(opened.record.body, kinds.Session) or opened.record.epoch != row.epoch or opened.record.position != session.position:
        raise VerificationError("is no session record of this epoch", where=f"position {session.position}")
    _check_boot(first.record.body, before, out)
    journal.frontier = Frontier.decode(row.pruned, row.base)
    journal.session = PublicKey.from_ed25519(opened.record.body.key)
    journal.session_until_ns, journal.usage = opened.record.body.until_mono_ns, opened.record.body.usage
    seal = read(messages.expect(Receipt, last.data).seal).record.body
    if not isinstance(seal, kinds.Seal):
        raise VerificationError("a kept receipt holds no seal", where=where)
    head = verify_seal(seal, journal.box, row.epoch, journal.session)
    if (head.size, head.root) != (row.pruned, journal.frontier.root()):
        raise VerificationError("the tree that is kept is not the one that was receipted", where=where)


def _count(record: Record, counter: SealCounter, out: Findings) -> None:
    """Follow the counter that seals take a value of."""
    if isinstance(record.body, kinds.Seal):
        wrong = counter.take(record.epoch, record.body)
        if wrong:
            out.faults.append(f"S3 epoch {record.epoch} position {record.position}: seal {wrong}")


def _take(record: Record, usage: str, out: Findings) -> None:
    """Keep what later checks need, and S2: the account of the record's stream."""
    out.records += 1
    out.faults += [f"S2 {fault}" for fault in out.ledger.take(record, usage)]
    body = record.body
    if isinstance(body, kinds.Segment | kinds.Disposal):
        out.bodies.append((record.epoch, record.position, record.subject, body))
    if isinstance(body, kinds.Segment | kinds.Gap):
        what = body.state if isinstance(body, kinds.Segment) else body.cause
        out.pieces.setdefault(record.subject, []).append((body.wall_from, body.wall_to, what))


def _check_boot(body: kinds.Body, before: tuple[int, int, bytes] | None, out: Findings) -> None:
    if not isinstance(body, kinds.Boot) or before is None:
        return
    if (body.previous_epoch, body.previous_size, body.previous_root) != before:
        out.faults.append(f"S3 epoch {before[0] + 1}: names another head of epoch {before[0]}")


def _check_files(spool: Spool, folder: SegmentFolder, out: Findings) -> None:
    """S1: every segment's file is there and hashes to its record, unless it was removed by record."""
    recorded = {(subject, body.number): body for _, _, subject, body in out.bodies if isinstance(body, kinds.Segment)}
    disposed = {blob for *_, body in out.bodies if isinstance(body, kinds.Disposal) for blob in body.blobs}
    rows = {(row.stream, row.number): row for row in spool.blobs()}
    pruned = {row.epoch: row.pruned for row in spool.epochs()}
    for key, kept in rows.items():  # a segment whose record was pruned still has to be what its row says
        if key not in recorded and kept.position < pruned.get(kept.epoch, 0) and not kept.removed:
            _check_file(folder.path(StreamId(key[0]).source, key[1]), kept, f"{key[0]} segment {key[1]}", out)
    for key, body in recorded.items():
        out.segments += 1
        row = rows.get(key)
        if row is None or row.sha256 != body.sha256:
            out.faults.append(f"S1 {key[0]} segment {key[1]}: the spool does not know it")
        elif row.removed:
            if body.sha256 not in disposed and not any(pruned.values()):
                out.faults.append(f"S1 {key[0]} segment {key[1]}: removed without a record")
        else:
            _check_file(folder.path(StreamId(key[0]).source, key[1]), body, f"{key[0]} segment {key[1]}", out)


def _check_file(path: Path, body: "kinds.Segment | BlobRow", name: str, out: Findings) -> None:
    if not path.is_file():
        out.faults.append(f"S1 {name}: its file is missing")
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.digest() != body.sha256 or path.stat().st_size != body.size:
        out.faults.append(f"S1 {name}: its file does not hash to its record")


def _check_removals(spool: Spool, out: Findings) -> None:
    """S4: nothing is removed that is not stored and receipted."""
    receipted = {row.epoch: row.receipted for row in spool.epochs()}
    out.faults += [
        f"S4 {row.stream} segment {row.number}: removed before it was stored and receipted"
        for row in spool.blobs()
        if row.removed and not _may_go(row, receipted)
    ]


def _may_go(row: BlobRow, receipted: dict[int, int]) -> bool:
    return bool(row.stored) and row.position < receipted.get(row.epoch, 0)
