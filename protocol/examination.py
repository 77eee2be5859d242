"""Check every signature and proof of a bundle's records: port log leaves, certificates, journal ranges.

Nothing in a bundle is believed: the checkpoint must be signed by the trusted log, every leaf must lead to it, every box
certificate to the trusted root, and every journal record must follow the one before. Faults are collected, each with the name
of its file, so that one look shows all that is wrong.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from protocol import bundle, kinds
from protocol.certificates import Certificate, check_signer, parse_pem
from protocol.concealing import reveal
from protocol.errors import PortwitnessError, VerificationError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import SECOND_NS
from protocol.journals import Journal, SealCounter
from protocol.merkle import fold, verify_consistency, verify_inclusion
from protocol.notes import Checkpoint, SignedCheckpoint
from protocol.records import Seen, SignedRecord, read
from protocol.signatures import PublicKey
from protocol.trust import Trust

MAX_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong, and the file it is in."""

    file: str
    what: str


@dataclass(slots=True)
class Faults:
    """Collect faults; the first of each kind in each file is enough."""

    found: list[Fault] = field(default_factory=list)

    def add(self, file: str, what: str) -> None:
        """Note a fault."""
        fault = Fault(file, what)
        if fault not in self.found[-16:] and len(self.found) < MAX_FAULTS:
            self.found.append(fault)

    @contextmanager
    def of(self, file: str) -> Iterator[None]:
        """Note an error of the block as a fault of `file`."""
        try:
            yield
        except PortwitnessError as error:
            self.add(file, str(error))


@dataclass(frozen=True, slots=True)
class Signing:
    """A box's identity certificate and the leaf of its enrolment; `until`: the leaf of its revocation."""

    certificate: Certificate
    index: int
    until: int | None = None


@dataclass(slots=True)
class Range:
    """A contiguous, checked range of one epoch of a box. `sealed`: (position, log index) of its seals in the port log."""

    box: BoxId
    epoch: int
    first: int
    records: list[SignedRecord]
    root: bytes  # of the tree at `end`
    whole: bool  # False when a record was refused and the rest was not read
    sealed: list[tuple[int, int]] = field(default_factory=list)
    identities: list[tuple[int, bytes]] = field(default_factory=list)  # (position, key id) of what an identity key signed

    def identity_at(self, position: int) -> bytes | None:
        """Give the key id of the identity that certified the session key in force at a position."""
        return next((key for at, key in reversed(self.identities) if at <= position), None)

    @property
    def file(self) -> str:
        """Give the file's name."""
        return bundle.journal_name(self.box, self.epoch)

    @property
    def end(self) -> int:
        """Give the position after the last."""
        return self.first + len(self.records)


@dataclass(slots=True)
class Exhibits:
    """What a bundle shows and was checked."""

    trust: Trust
    checkpoint: Checkpoint | None = None
    checkpoint_ns: int | None = None  # by the hub's cosignature
    leaves: dict[int, SignedRecord] = field(default_factory=dict)
    signings: dict[BoxId, list[Signing]] = field(default_factory=dict)
    ranges: dict[BoxId, list[Range]] = field(default_factory=dict)
    seen: dict[int, bytes] = field(default_factory=dict)  # size and root of checkpoints shown to be of the same log
    notes: dict[int, SignedCheckpoint] = field(default_factory=dict)  # checkpoints of the log with their cosignatures, by size

    def hub_leaves(self) -> list[tuple[int, int]]:
        """Give (index, wall ns) of the hub's own records, in order."""
        return [(index, one.record.at.wall_ns) for index, one in sorted(self.leaves.items()) if one.record.issuer.role == "hub"]


def examine(files: Mapping[str, bytes], trust: Trust, faults: Faults) -> Exhibits:
    """Check all but the videos; `files` holds every other file of the bundle."""
    exhibits = Exhibits(trust)
    with faults.of(bundle.CHECKPOINT):
        signed = SignedCheckpoint.parse(_get(files, bundle.CHECKPOINT))
        seconds = trust.check_checkpoint(signed)
        exhibits.checkpoint = signed.checkpoint
        exhibits.checkpoint_ns = None if seconds is None else seconds * SECOND_NS
        exhibits.notes[signed.checkpoint.size] = signed
    for name in sorted(files):
        leaf = bundle.parse_leaf(name)
        if leaf and leaf[1] == "cose":
            with faults.of(name):
                exhibits.leaves[leaf[0]] = _leaf(leaf[0], files, exhibits, faults)
        elif leaf and bundle.leaf_name(leaf[0]) not in files:
            faults.add(bundle.leaf_name(leaf[0]), "missing: its proof is there")
    _enrolments(files, exhibits, faults)
    _journals(files, exhibits, faults)
    _seals(exhibits, faults)
    _epochs(exhibits, faults)
    _seen(files, exhibits, faults)
    return exhibits


def _get(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise VerificationError("missing", where=name)
    return files[name]


def _leaf(index: int, files: Mapping[str, bytes], exhibits: Exhibits, faults: Faults) -> SignedRecord:
    name, trust = bundle.leaf_name(index), exhibits.trust
    signed = read(files[name])
    record = signed.record
    with faults.of(bundle.leaf_name(index, "tlog-proof")):
        proof = bundle.LogProof.parse(_get(files, bundle.leaf_name(index, "tlog-proof")))
        if proof.index != index or proof.checkpoint != files.get(bundle.CHECKPOINT):
            raise VerificationError("is of another leaf or another checkpoint", where="proof")
        if exhibits.checkpoint is not None:
            verify_inclusion(signed.leaf, index, exhibits.checkpoint.size, proof.path, exhibits.checkpoint.root)
        if record.issuer.role == "hub" and record.root != _root_before(index, proof, exhibits.checkpoint):
            raise VerificationError("the record names another tree before it", where=name)
    if record.issuer.role == "hub":
        if record.issuer != Issuer.of_hub(trust.hub) or record.position != index or record.epoch != 0:
            raise VerificationError(f"issued by {record.issuer} at position {record.position}", where="record")
        signed.envelope.verify(trust.log.public)
    elif record.issuer.role != "box" or not isinstance(record.body, kinds.Seal):
        raise VerificationError(f"a {record.kind} of {record.issuer} is no leaf of the port log", where="record")
    return _opened(index, signed, files, faults)


def _opened(index: int, signed: SignedRecord, files: Mapping[str, bytes], faults: Faults) -> SignedRecord:
    """Give a concealed leaf with its body when that is shown and is the one bound; without it the leaf stays as it is."""
    name = bundle.leaf_name(index, "opening")
    if name in files:
        with faults.of(name):
            return reveal(signed, files[name])
    return signed


def _root_before(index: int, proof: bundle.LogProof, checkpoint: Checkpoint | None) -> bytes:
    """Give the root of the tree before a leaf: the left siblings of its path are that tree's complete subtrees."""
    fn, sn = index, (checkpoint.size if checkpoint else index + 1) - 1
    left: list[bytes] = []
    for sibling in proof.path:
        if fn & 1 or fn == sn:
            left.append(sibling)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    return fold(left[::-1])


def _enrolments(files: Mapping[str, bytes], exhibits: Exhibits, faults: Faults) -> None:
    others: list[Certificate] = []
    for name in (bundle.ROOT, bundle.SITE_CA):
        with faults.of(name):
            data = _get(files, name)
            found = parse_pem(data)
            if len(found) != 1 or found[0].pem() != data:
                raise VerificationError("not exactly one certificate", where="certificates")
            if name == bundle.ROOT and found[0].fingerprint != exhibits.trust.root_sha256:
                raise VerificationError(f"fingerprint {found[0].fingerprint[:16]}... is not the trusted root's", where="root")
            others += found
    for index, signed in sorted(exhibits.leaves.items()):
        if isinstance(signed.record.body, kinds.Enrolment):
            with faults.of(bundle.leaf_name(index)):
                _enrol(index, signed, signed.record.body, others, exhibits)


def _enrol(index: int, signed: SignedRecord, body: kinds.Enrolment, others: list[Certificate], exhibits: Exhibits) -> None:
    certificate = Certificate.parse(body.certificate)
    box = BoxId(signed.record.subject)
    known = exhibits.signings.setdefault(box, [])
    if body.state == "revoked":
        known[:] = [replace(one, until=index) if one.certificate == certificate and one.until is None else one for one in known]
        return
    if any(one.certificate == certificate and one.until is not None for one in known):
        raise VerificationError("a revoked certificate cannot be enrolled again", where=f"enrolment of {box}")
    at_ns = signed.record.at.wall_ns
    identity = check_signer(certificate, others, root_sha256=exhibits.trust.root_sha256, at_ns=at_ns)
    if identity.box != box or identity.site != exhibits.trust.site:
        raise VerificationError(f"certificate is for {identity.urn()}", where=f"enrolment of {box}")
    known.append(Signing(certificate, index))


def _journals(files: Mapping[str, bytes], exhibits: Exhibits, faults: Faults) -> None:
    names = {(found[0], found[1]) for name in files if (found := bundle.parse_journal(name))}
    for box, epoch in sorted(names):
        name = bundle.journal_name(box, epoch)
        with faults.of(bundle.journal_name(box, epoch, "range")):
            place = bundle.JournalRange.parse(_get(files, bundle.journal_name(box, epoch, "range")))
            with faults.of(name):
                range_ = _follow(box, epoch, place, _get(files, name), exhibits, faults)
                exhibits.ranges.setdefault(box, []).append(range_)


def _follow(box: BoxId, epoch: int, place: bundle.JournalRange, data: bytes, exhibits: Exhibits, faults: Faults) -> Range:
    identities, importers = _keys(exhibits.signings.get(box, []))
    if not identities:
        raise VerificationError("no enrolment record of this box is shown", where=box)
    journal = Journal(box, epoch, identities, place.frontier(), last_mono_ns=0, importers=importers)
    if place.session is not None:
        _open_session(journal, place, place.session)
    range_ = Range(box, epoch, place.first, [], b"", whole=True)
    if place.session is not None:
        range_.identities.append((-1, read(place.session).envelope.key_id))
    with faults.of(range_.file):
        for one in bundle.parse_records(data):
            signed = read(one)
            journal.append(signed)
            range_.records.append(signed)
            if isinstance(signed.record.body, kinds.Boot | kinds.Session):
                range_.identities.append((signed.record.position, signed.envelope.key_id))
        if not range_.records:
            raise VerificationError("holds no record", where=f"{box} epoch {epoch}")
    range_.whole = not any(fault.file == range_.file for fault in faults.found)
    range_.root = journal.frontier.root()
    return range_


def _keys(signings: Sequence[Signing]) -> tuple[tuple[PublicKey, ...], tuple[PublicKey, ...]]:
    """Give the identity keys for live capture, and those for imports."""
    kinds_of = [("imports" in one.certificate.usages, one.certificate.public) for one in signings]
    return tuple(key for imports, key in kinds_of if not imports), tuple(key for imports, key in kinds_of if imports)


def _open_session(journal: Journal, place: bundle.JournalRange, data: bytes) -> None:
    signed = read(data)
    record = signed.record
    if record.issuer != Issuer.of_box(journal.box) or record.epoch != journal.epoch or not isinstance(record.body, kinds.Session):
        raise VerificationError("is no session record of this journal", where="range.session")
    verify_inclusion(signed.leaf, record.position, place.first, place.path, journal.frontier.root())
    journal.check_signature(signed)
    journal.session = PublicKey.from_ed25519(record.body.key)
    journal.session_until_ns, journal.usage = record.body.until_mono_ns, record.body.usage


def _seals(exhibits: Exhibits, faults: Faults) -> None:
    """Find the seals of the ranges among the leaves of the port log; each such leaf must be one of them."""
    for index, signed in sorted(exhibits.leaves.items()):
        record = signed.record
        if record.issuer.role != "box":
            continue
        ranges = exhibits.ranges.get(BoxId(record.issuer.name), [])
        found = next((one for one in ranges if one.epoch == record.epoch and one.first <= record.position < one.end), None)
        if found is None or found.records[record.position - found.first].data != signed.data:
            faults.add(bundle.leaf_name(index), f"seal at position {record.position} is in no journal range shown")
            continue
        found.sealed.append((record.position, index))


def _epochs(exhibits: Exhibits, faults: Faults) -> None:
    """Check that ranges of one box follow each other without a hole, and that each ends where a seal or a boot says."""
    for ranges in exhibits.ranges.values():
        ranges.sort(key=lambda one: one.epoch)
        _check_counters(ranges, faults)
        for before, after in zip(ranges, [*ranges[1:], None], strict=True):
            if after is None:
                if before.whole and (not before.sealed or before.sealed[-1][0] != before.end - 1):
                    faults.add(before.file, "does not end with a seal that the port log holds")
                continue
            with faults.of(after.file):
                _check_boot(before, after, faults)


def _check_counters(ranges: Sequence[Range], faults: Faults) -> None:
    """Check that no seal is missing between those shown, and none went back, by the boxes' counters (where they have one)."""
    counter = SealCounter()
    for range_ in ranges:
        for signed in range_.records:
            if isinstance(signed.record.body, kinds.Seal):
                what = counter.take(range_.epoch, signed.record.body)
                if what:
                    faults.add(range_.file, f"seal at position {signed.record.position}: {what}")


def _check_boot(before: Range, after: Range, faults: Faults) -> None:
    where = f"{after.box} epoch {after.epoch}"
    if after.first != 0 or not after.records:
        raise VerificationError(f"does not start at its boot, though it follows epoch {before.epoch}", where=where)
    boot = after.records[0].record.body
    if not isinstance(boot, kinds.Boot) or boot.previous_epoch != before.epoch:
        raise VerificationError(f"its boot does not follow epoch {before.epoch}: an epoch is missing", where=where)
    size = boot.previous_size or 0
    if not before.whole or size < before.first:
        return
    if size > before.end:
        faults.add(before.file, f"ends at position {before.end}, the next boot knows {size} records: the tail is missing")
    elif size and (before.root if size == before.end else before.records[size - before.first].record.root) != boot.previous_root:
        raise VerificationError(f"its boot names another head of epoch {before.epoch}", where=where)


def _seen(files: Mapping[str, bytes], exhibits: Exhibits, faults: Faults) -> None:
    """Check that every checkpoint that a box named, the hub published or an authority stamped is of one log, as far as it is shown."""
    notes = _notes(files, exhibits, faults)
    named = _named(exhibits, notes)
    for forked, shown in sorted(named.items()):
        if len(shown) > 1:
            faults.add(bundle.CHECKPOINT, f"{len(shown)} different logs of size {forked} were shown: the log was forked")
    for name in sorted(files):
        size = bundle.parse_seen(name)
        if size is None or exhibits.checkpoint is None:
            continue
        with faults.of(name):
            roots = named.get(size, set())
            if len(roots) != 1:
                raise VerificationError("no record shown names a checkpoint of this size", where=name)
            head = exhibits.checkpoint
            verify_consistency(size, next(iter(roots)), head.size, head.root, bundle.parse_consistency(files[name]))
            exhibits.seen[size] = next(iter(roots))
            if size in notes:
                exhibits.notes[size] = notes[size]
    _newest_named(exhibits, faults)


def _newest_named(exhibits: Exhibits, faults: Faults) -> None:
    """Demand that the newest checkpoint each range names is proven to be of this log: else a log made anew would pass for it."""
    for range_ in (one for ranges in exhibits.ranges.values() for one in ranges):
        newest = max((one.record.seen.size for one in range_.records if one.record.seen is not None), default=0)
        if exhibits.checkpoint is None or not newest or newest in exhibits.seen:
            continue
        name, size = bundle.seen_name(newest), exhibits.checkpoint.size
        if newest > size:
            faults.add(bundle.CHECKPOINT, f"{range_.box} had seen {newest} leaves of the log, {size} are shown: it was cut short")
        else:
            faults.add(name, f"no proof shows that what {range_.box} saw of the log at {newest} leaves is in the log shown")


def _named(exhibits: Exhibits, notes: Mapping[int, SignedCheckpoint]) -> dict[int, set[bytes]]:
    """Give the roots that were named for each size of the log."""
    named: dict[int, set[bytes]] = {size: {signed.checkpoint.root} for size, signed in notes.items()}
    for ranges in exhibits.ranges.values():
        for range_ in ranges:
            for signed in range_.records:
                _note_seen(signed.record.seen, named)
    for signed in exhibits.leaves.values():
        if isinstance(signed.record.body, kinds.TimeToken):
            _note_seen(Seen(signed.record.body.size, signed.record.body.root), named)
    return named


def _notes(files: Mapping[str, bytes], exhibits: Exhibits, faults: Faults) -> dict[int, SignedCheckpoint]:
    """Read the earlier checkpoints that the log signed; each needs its proof of consistency beside it."""
    out: dict[int, SignedCheckpoint] = {}
    for name in sorted(files):
        size = bundle.parse_note(name)
        if size is None:
            continue
        with faults.of(name):
            signed = SignedCheckpoint.parse(files[name])
            signed.verify(exhibits.trust.log, origin=exhibits.trust.log.name)
            if signed.checkpoint.size != size or bundle.seen_name(size) not in files:
                raise VerificationError("is of another size, or no proof of consistency stands beside it", where=name)
            out[size] = signed
    return out


def _note_seen(seen: Seen | None, named: dict[int, set[bytes]]) -> None:
    if seen is not None:
        named.setdefault(seen.size, set()).add(seen.root)
