"""Replay a port log and the journals under it, and say what is not as it must be: the rules of a monitor, as values.

An `Audit` takes the log's leaves in order, then each journal's records up to its newest logged seal, and remembers where it stands;
so what was replayed once is not replayed again, and a hub that changed anything before that point is found by the next root. It
believes the hub nothing: it needs the trust file and the site's certificates, both from outside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol import canonical, kinds
from protocol.certificates import Certificate, check_signer
from protocol.errors import MalformedError, PortwitnessError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import MILLISECOND_NS, SECOND_NS, iso
from protocol.journals import Journal, SealCounter
from protocol.ledger import Ledger
from protocol.merkle import Frontier
from protocol.notes import Checkpoint
from protocol.records import Record, SignedRecord, read
from protocol.signatures import PublicKey
from protocol.trust import Trust

SILENT_NS = 30 * SECOND_NS  # a heartbeat comes each second while recording, each 10 s when idle
CLOCK_NS = 10 * SECOND_NS  # how far a box's synced clock may be from what the log allows
STATE_BYTES = 64 << 20
MAX_FINDINGS = 1000
REPORTED = 100  # of them in a report; all are in the monitor's own output
_STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be: which invariant, where, what."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} {self.where}: {self.what}"


@dataclass(slots=True)
class Enrolled:
    """An identity key of a box; `since` and `until` are leaf indices."""

    spki: bytes
    certificate: bytes
    since: int
    until: int | None = None

    @property
    def imports(self) -> bool:
        """Tell whether it certifies sessions for imports, and not for live capture."""
        return "imports" in Certificate.parse(self.certificate).usages


@dataclass(frozen=True, slots=True)
class LoggedSeal:
    """A box's seal as a leaf of the port log."""

    index: int
    data: bytes
    position: int


@dataclass(slots=True)
class Followed:
    """One epoch of a box as far as it was replayed. `beat_ns`: monotonic time of its last heartbeat."""

    journal: Journal
    beat_ns: int | None = None
    broken: bool = False  # a record did not follow; nothing behind it is judged


@dataclass(slots=True)
class Audit:
    """What a monitor knows. `roots`: the log's root at each size replayed by this run."""

    trust: Trust
    authorities: Sequence[Certificate]
    log: Frontier = field(default_factory=Frontier)
    hub_wall_ns: int = 0
    enrolled: dict[str, list[Enrolled]] = field(default_factory=dict)
    seals: dict[tuple[str, int], list[LoggedSeal]] = field(default_factory=dict)  # not yet replayed
    followed: dict[tuple[str, int], Followed] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    counters: dict[str, SealCounter] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    records: int = 0
    _hub_times: list[tuple[int, int]] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Give what is to be reported: how far was replayed, how much, and the findings."""
        newest = {str(box): [epoch, found.journal.frontier.size] for (box, epoch), found in sorted(self.followed.items())}
        return {
            "size": self.log.size,
            "root": self.log.root(),
            "records": self.records,
            "journals": newest,
            "findings": [[one.rule, one.where[:100], one.what[:200]] for one in self.findings[:REPORTED]],
            "found": len(self.findings),
        }

    def find(self, rule: str, where: str, what: str) -> None:
        """Note a finding, up to a bound."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(rule, where, what))

    # ---------------------------------------------------------------------------------------------------- the port log

    def take_leaves(self, entries: Iterable[bytes]) -> None:
        """Take the log's next leaves."""
        for data in entries:
            index = self.log.size
            try:
                signed = read(data)
                self._take_leaf(index, signed)
                leaf = signed.leaf
            except PortwitnessError as error:
                self.find("S3", f"port log leaf {index}", str(error))
                raise
            self.log.append(leaf)
            self.roots[self.log.size] = self.log.root()
            self.records += 1

    def check_head(self, head: Checkpoint) -> None:
        """Compare the replayed tree with a checkpoint of its size; note when it differs."""
        if (head.size, head.root) != (self.log.size, self.log.root()):
            self.find("S3", "port log", f"the checkpoint of {head.size} leaves has another root than what was replayed")

    def _take_leaf(self, index: int, signed: SignedRecord) -> None:
        record = signed.record
        if record.issuer.role == "box":
            if not isinstance(record.body, kinds.Seal):
                raise MalformedError(f"a box's {record.kind} is no leaf of the port log", where="leaf")
            key = (str(record.issuer.name), record.epoch)
            self.seals.setdefault(key, []).append(LoggedSeal(index, signed.data, record.position))
            return
        self._take_own(index, signed)

    def _take_own(self, index: int, signed: SignedRecord) -> None:
        record, where = signed.record, f"port log leaf {index}"
        if record.issuer != Issuer.of_hub(self.trust.hub):
            self.find("S3", where, f"is issued by {record.issuer}")
        signed.envelope.verify(self.trust.log.public)
        if record.position != index or record.root != self.log.root():
            self.find("S3", where, f"says it is leaf {record.position}, or names another tree before it")
        if record.at.wall_ns < self.hub_wall_ns - SECOND_NS:
            self.find("time", where, f"the hub's clock went back from {iso(self.hub_wall_ns)} to {iso(record.at.wall_ns)}")
        self.hub_wall_ns = max(self.hub_wall_ns, record.at.wall_ns)
        self._hub_times.append((index, record.at.wall_ns))
        if isinstance(record.body, kinds.Enrolment):
            self._take_enrolment(index, record, record.body)
        elif isinstance(record.body, kinds.Equivocation):
            self.find("S3", record.subject, f"two signed records stand at epoch {record.body.epoch} position {record.body.position}")

    def _take_enrolment(self, index: int, record: Record, body: kinds.Enrolment) -> None:
        known = self.enrolled.setdefault(str(record.subject), [])
        if body.state == "revoked":
            for one in known:
                if one.certificate == body.certificate and one.until is None:
                    one.until = index
            return
        try:
            certificate = Certificate.parse(body.certificate)
            facts = {"root_sha256": self.trust.root_sha256, "at_ns": record.at.wall_ns}
            identity = check_signer(certificate, list(self.authorities), **facts)  # type: ignore[arg-type]
        except PortwitnessError as error:
            self.find("keys", f"port log leaf {index}", f"enrols {record.subject} without right: {error}")
            return
        if identity.box != record.subject or identity.site != self.trust.site:
            self.find("keys", f"port log leaf {index}", f"enrols {record.subject} with a certificate for {identity.urn()}")
            return
        known.append(Enrolled(certificate.public.spki, body.certificate, index))

    # ------------------------------------------------------------------------------------------------------- journals

    def waiting(self) -> list[tuple[str, int, int, int]]:
        """Give (box, epoch, first, end) of the journal records that logged seals cover and that were not replayed, in order."""
        out = []
        for (box, epoch), seals in sorted(self.seals.items()):
            known = self.followed.get((box, epoch))
            first = known.journal.frontier.size if known else 0
            end = max(seal.position for seal in seals)
            if not (known and known.broken):
                out.append((box, epoch, first, end))
        return out

    def tail_before(self, box: str, epoch: int, entry: bytes) -> tuple[int, int, int] | None:
        """Give (epoch, first, end) of records that the boot record `entry` vouches for and no seal of their own epoch covers.

        Take them by `take_journal` before this epoch. Raises MalformedError when `entry` is no record.
        """
        body = read(entry).record.body
        if not isinstance(body, kinds.Boot) or body.previous_epoch is None or body.previous_size is None:
            return None
        before = self.followed.get((box, body.previous_epoch))
        first = before.journal.frontier.size if before is not None else 0
        if body.previous_size <= first or (before is not None and before.broken) or body.previous_epoch >= epoch:
            return None
        return body.previous_epoch, first, body.previous_size

    def take_journal(self, box: str, epoch: int, entries: Iterable[bytes]) -> None:
        """Take a journal's next records, then every logged seal that stands right behind them."""
        known = self._follow(box, epoch)
        seals = {seal.position: seal for seal in self.seals.pop((box, epoch), [])}
        cover = min(seals.values(), key=lambda seal: seal.position, default=None)
        for data in entries:
            if not self._take_record(known, data, seals, cover):
                return
            if cover is not None and known.journal.frontier.size > cover.position:
                cover = min((s for s in seals.values() if s.position >= known.journal.frontier.size), key=_position, default=None)
        while (seal := seals.get(known.journal.frontier.size)) is not None:
            if not self._take_record(known, seal.data, seals, seal):
                return
        for position in sorted(set(seals) - set(range(known.journal.frontier.size))):
            self.find(
                "S3", f"{box} epoch {epoch}", f"the log holds a seal at {position}, the journal ends at {known.journal.frontier.size}"
            )

    def _follow(self, box: str, epoch: int) -> Followed:
        known = self.followed.get((box, epoch))
        mine = [(one.imports, PublicKey.from_spki(one.spki)) for one in self.enrolled.get(box, [])]
        if known is None:
            known = self.followed[box, epoch] = Followed(Journal(BoxId(box), epoch, ()))
        known.journal.identities = tuple(key for imports, key in mine if not imports)
        known.journal.importers = tuple(key for imports, key in mine if imports)
        return known

    def _take_record(self, known: Followed, data: bytes, seals: Mapping[int, LoggedSeal], cover: LoggedSeal | None) -> bool:
        """Take one record; False when the journal cannot be followed any further."""
        box, epoch, position = known.journal.box, known.journal.epoch, known.journal.frontier.size
        where = f"{box} epoch {epoch} position {position}"
        try:
            signed = read(data)
            known.journal.append(signed)
        except PortwitnessError as error:
            self.find("S3", where, str(error))
            known.broken = True
            return False
        logged = seals.get(position)
        if logged is not None and logged.data != data:
            self.find("S3", where, f"the log's leaf {logged.index} is another seal than the journal's")
        self.records += 1
        self._judge(known, signed, cover, where)
        return True

    def _judge(self, known: Followed, signed: SignedRecord, cover: LoggedSeal | None, where: str) -> None:
        record = signed.record
        for fault in self.ledgers.setdefault(str(known.journal.box), Ledger()).take(record, known.journal.usage):
            self.find("S2", fault, "does not join what was before")
        if isinstance(record.body, kinds.Seal):
            wrong = self.counters.setdefault(str(known.journal.box), SealCounter()).take(record.epoch, record.body)
            if wrong:
                self.find("counter", where, wrong)
        if isinstance(record.body, kinds.Boot):
            self._judge_boot(record, record.body, where)
        if isinstance(record.body, kinds.Boot | kinds.Session):
            self._judge_key(known, signed, cover, where)
        if isinstance(record.body, kinds.Heartbeat):
            if known.beat_ns is not None and record.at.mono_ns - known.beat_ns > SILENT_NS:
                silent = (record.at.mono_ns - known.beat_ns) / SECOND_NS
                self.find("heartbeat", where, f"the box was silent for {silent:.1f} s")
            known.beat_ns = record.at.mono_ns
        self._judge_time(record, cover, where)

    def _judge_boot(self, record: Record, body: kinds.Boot, where: str) -> None:
        before = self.followed.get((record.issuer.name, record.epoch - 1))
        if body.previous_epoch is None:
            if before is not None or record.epoch > 0:
                self.find("S3", where, "its boot names no epoch before it")
            return
        if before is None:
            self.find("S3", where, f"epoch {body.previous_epoch} before it was never sealed into the log")
            return
        head = before.journal.frontier
        if not before.broken and body.previous_size == head.size and body.previous_root != head.root():
            self.find("S3", where, f"its boot names another head of epoch {body.previous_epoch}")
        elif not before.broken and (body.previous_size or 0) < head.size:
            held = f"{body.previous_size} records of epoch {body.previous_epoch}, the log holds {head.size}"
            self.find("S3", where, f"its boot knows {held}: the box was rolled back")

    def _judge_key(self, known: Followed, signed: SignedRecord, cover: LoggedSeal | None, where: str) -> None:
        mine = [one for one in self.enrolled.get(known.journal.box, []) if _key_id(one) == signed.envelope.key_id]
        index = cover.index if cover is not None else self.log.size
        if not any(one.since < index and (one.until is None or one.until > index) for one in mine):
            self.find("keys", where, f"identity key {signed.envelope.key_id.hex()} did not count when the log covered this")

    def _judge_time(self, record: Record, cover: LoggedSeal | None, where: str) -> None:
        seen = record.seen
        if seen is not None and self.roots.get(seen.size, seen.root) != seen.root:
            self.find("S3", where, f"names a checkpoint of {seen.size} leaves that is not of this log: the box was shown another")
        if seen is not None and cover is not None and seen.size > cover.index:
            self.find("time", where, f"names a checkpoint of {seen.size} leaves and is covered by leaf {cover.index} of it")
        if record.at.sync != "synced" or cover is None:
            return
        latest = self._hub_time_after(cover.index)
        if latest is not None and record.at.wall_ns > latest + CLOCK_NS:
            ahead = (record.at.wall_ns - latest) // MILLISECOND_NS
            self.find("time", where, f"its clock says synced and is at least {ahead} ms ahead of the log")

    def _hub_time_after(self, index: int) -> int | None:
        return next((wall for at, wall in self._hub_times if at > index), None) if self._hub_times else None

    # ----------------------------------------------------------------------------------------------------------- state

    def encode(self) -> bytes:
        """Give what the next run must know, as bytes."""
        state = {
            "version": _STATE_VERSION,
            "log": [self.log.size, list(self.log.hashes)],
            "wall": self.hub_wall_ns,
            "enrolled": {box: [[one.spki, one.certificate, one.since, one.until] for one in found] for box, found in self.enrolled.items()},
            "seals": [[box, epoch, [[s.index, s.data, s.position] for s in found]] for (box, epoch), found in sorted(self.seals.items())],
            "journals": [_encode_followed(found) for _, found in sorted(self.followed.items())],
            "ledgers": {box: ledger.encode() for box, ledger in self.ledgers.items()},
            "counters": {box: [found.value, found.epoch] for box, found in self.counters.items()},
        }
        return canonical.encode(state)

    @classmethod
    def decode(cls, data: bytes, trust: Trust, authorities: Sequence[Certificate]) -> "Audit":
        """Read what `encode` gave; raise MalformedError when it is none."""
        state = canonical.decode(data, limit=STATE_BYTES)
        try:
            if state["version"] != _STATE_VERSION:
                raise MalformedError(f"version {state['version']!r} is not known", where="monitor state")
            audit = cls(trust, authorities, Frontier(state["log"][0], list(state["log"][1])), state["wall"])
            audit.enrolled = {box: [Enrolled(*one) for one in found] for box, found in state["enrolled"].items()}
            audit.seals = {(box, epoch): [LoggedSeal(*one) for one in found] for box, epoch, found in state["seals"]}
            for one in state["journals"]:
                found = _decode_followed(one)
                audit.followed[str(found.journal.box), found.journal.epoch] = found
            audit.ledgers = {box: Ledger.decode(found) for box, found in state["ledgers"].items()}
            audit.counters = {box: SealCounter(*found) for box, found in state.get("counters", {}).items()}
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise MalformedError(f"is none: {error!r}", where="monitor state") from error
        return audit


def _position(seal: LoggedSeal) -> int:
    return seal.position


def _key_id(one: Enrolled) -> bytes:
    return PublicKey.from_spki(one.spki).key_id


def _encode_followed(found: Followed) -> list[Any]:
    journal = found.journal
    session = journal.session.spki if journal.session is not None else None
    tree = [journal.frontier.size, list(journal.frontier.hashes)]
    place = [str(journal.box), journal.epoch, tree, session, journal.session_until_ns, journal.last_mono_ns, journal.sealed]
    return [*place, found.beat_ns, found.broken, journal.usage, journal.counter]


def _decode_followed(value: Any) -> Followed:  # noqa: ANN401
    box, epoch, (size, hashes), session, until, last, sealed, beat, broken, *more = value
    usage, counter = more or ("live", None)  # a state of before they were kept
    key = PublicKey.from_spki(session) if session is not None else None
    tree = Frontier(size, list(hashes))
    journal = Journal(BoxId(box), epoch, (), tree, key, until, last, sealed, usage=usage, counter=counter)
    return Followed(journal, beat, broken=broken)
