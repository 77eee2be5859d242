"""Make a whole port's evidence in memory: boxes, journals, segments, tasks, the port log; deterministic, without devices.

It speaks the protocol as boxes and a hub do, so what it makes verifies like the real thing, and it can be told to misbehave.
Segments are random bytes, or films (`simulators.films`) whose samples are judged too; nothing that judges evidence decodes a picture.
"""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol import bundle, kinds
from protocol.certificates import (
    EXPORT_NS,
    IDENTITY_NS,
    ROOT_NS,
    SITE_CA_NS,
    Authority,
    Certificate,
    Identity,
    Validity,
    issue_box,
    issue_exporter,
    issue_root,
    issue_site_ca,
)
from protocol.concealing import conceal, is_personal, reveal
from protocol.errors import MalformedError
from protocol.identifiers import BoxId, HubId, Issuer, SiteId, StreamId
from protocol.instants import SECOND_NS, Instant
from protocol.journals import origin
from protocol.merkle import Frontier, NodeReader, node_hash
from protocol.mp4 import read_tracks
from protocol.notes import ED25519, Checkpoint, NoteKey, cosign, sign_checkpoint
from protocol.reckoning import Scope
from protocol.records import Record, Seen, SignedRecord
from protocol.samples import tree_of
from protocol.signatures import Ed25519Signer, P256Signer, Signer
from protocol.trust import Trust, log_origin
from protocol.work_kinds import Ticket

SITE, HUB = SiteId("testport"), HubId("hub-1")
EPOCH_NS = 1_795_000_000 * SECOND_NS  # November 2026
SEGMENT_NS = 10 * SECOND_NS
SESSION_NS = 3600 * SECOND_NS


def fixed_p256(seed: int) -> P256Signer:
    """Give the P-256 key of a seed: for tests and simulations only."""
    return P256Signer.of(
        ec.derive_private_key(int.from_bytes(hashlib.sha256(f"p256 {seed}".encode()).digest(), "big") >> 1, ec.SECP256R1())
    )


def fixed_ed25519(seed: int) -> Ed25519Signer:
    """Give the Ed25519 key of a seed: for tests and simulations only."""
    return Ed25519Signer.of(ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"ed25519 {seed}".encode()).digest()))


EXPORT_KEY = fixed_p256(3)


def nodes_of(leaves: list[bytes]) -> NodeReader:
    """Read a tree over leaf hashes in memory."""

    def read(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))

    return read


def sample_fields(data: bytes) -> dict[str, Any]:
    """Give what a segment's record says of its samples: nothing when it is no film."""
    try:
        tree = tree_of(data, read_tracks(data))
    except MalformedError:
        return {}
    return {"sample_root": tree.root(), "starts": tree.starts()}


@dataclass(slots=True)
class MemoryLog:
    """A port log in memory."""

    signer: Ed25519Signer = field(default_factory=lambda: fixed_ed25519(1))
    entries: list[SignedRecord] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    openings: dict[int, bytes] = field(default_factory=dict)  # salts and bodies of concealed leaves

    def append(self, signed: SignedRecord) -> int:
        """Append a leaf; give its index."""
        self.entries.append(signed)
        self.frontier.append(signed.leaf)
        return len(self.entries) - 1

    def issue(self, body: kinds.Body, subject: str, at: Instant) -> SignedRecord:
        """Log a record of the hub."""
        position, opening, issuer = len(self.entries), None, Issuer.of_hub(HUB)
        if is_personal(body):
            body, subject, opening = conceal(body, subject, str(issuer), hashlib.sha256(b"salt %d" % position).digest())
            self.openings[position] = opening
        signed = Record(issuer, 0, position, self.frontier.root(), subject, at, body).sign(self.signer)
        self.append(signed)
        return signed if opening is None else reveal(signed, opening)

    def shown(self, index: int) -> SignedRecord:
        """Give a leaf, with the body of a concealed one where it is kept."""
        signed = self.entries[index]
        return reveal(signed, self.openings[index]) if index in self.openings else signed

    def head(self) -> Checkpoint:
        """Give the head, unsigned."""
        return Checkpoint(log_origin(SITE, HUB), self.frontier.size, self.frontier.root())

    def checkpoint(self, seconds: int) -> bytes:
        """Give the signed head, with the hub's timestamped cosignature."""
        head = self.head()
        return sign_checkpoint(head, self.signer, (cosign(head.text(), f"{head.origin}/time", self.signer, seconds),))


@dataclass(slots=True)
class MemoryBox:
    """A box's journals in memory; time is given, nothing runs."""

    port: "MemoryPort"
    box: BoxId
    identity: P256Signer
    epoch: int = -1
    session: Ed25519Signer = field(default_factory=lambda: fixed_ed25519(0))
    journals: dict[int, list[SignedRecord]] = field(default_factory=dict)
    frontier: Frontier = field(default_factory=Frontier)
    numbers: dict[str, int] = field(default_factory=dict)
    logged: list[tuple[int, int, int]] = field(default_factory=list)  # epoch, position, log index
    seen: Seen | None = None
    began_ns: int = 0

    def at(self) -> Instant:
        """Read the port's clock as this box."""
        return self.port.box_time(self)

    def write(self, body: kinds.Body, subject: str, signer: Signer | None = None) -> SignedRecord:
        """Append a record to the journal."""
        journal = self.journals[self.epoch]
        record = Record(Issuer.of_box(self.box), self.epoch, len(journal), self.frontier.root(), subject, self.at(), body, self.seen)
        signed = record.sign(signer or self.session)
        journal.append(signed)
        self.frontier.append(signed.leaf)
        return signed

    def boot(self) -> None:
        """Begin an epoch."""
        previous = (self.epoch, self.frontier.size, self.frontier.root()) if self.epoch >= 0 else (None, None, None)
        self.epoch += 1
        self.began_ns = self.port.now_ns - SECOND_NS
        self.journals[self.epoch], self.frontier = [], Frontier()
        self.write(kinds.Boot(bytes([self.epoch]) * 16, "simulated", *previous), self.box, self.identity)
        self.certify()

    def certify(self, usage: str = "live", identity: P256Signer | None = None) -> None:
        """Begin a session key."""
        self.session = fixed_ed25519(1000 * (self.epoch + 1) + len(self.journals[self.epoch]) + int(self.box.rpartition("-")[2]) * 100_000)
        until = self.at().mono_ns + SESSION_NS
        body = kinds.Session(self.session.public.raw(), until, usage)  # type: ignore[arg-type]  # one of two words
        self.write(body, self.box, identity or self.identity)

    def seal(self, reason: str = "interval", counter: int | None = None) -> int:
        """Write a seal and have the port log take it; give its log index."""
        name = origin(self.box, self.epoch)
        note = sign_checkpoint(Checkpoint(name, self.frontier.size, self.frontier.root()), self.session)
        heads = tuple(kinds.StreamHead(StreamId.of(self.box, source), number - 1) for source, number in sorted(self.numbers.items()))
        signed = self.write(kinds.Seal(note, heads, reason, counter), self.box)  # type: ignore[arg-type]  # one of three words
        index = self.port.log.append(signed)
        self.logged.append((self.epoch, signed.record.position, index))
        return index

    def segment(self, source: str, data: bytes, length_ns: int, *, bound: int | None = None, closing: bool = True) -> SignedRecord | None:
        """Record `length_ns` up to now as a segment: a heartbeat over half of it, then its record if it is closed."""
        number = self.numbers.get(source, 0)
        stream, now = StreamId.of(self.box, source), self.at()
        start, half = now.mono_ns - length_ns, len(data) // 2
        beat = kinds.OpenSegment(stream, number, half, hashlib.sha256(data[:half]).digest(), start, now.mono_ns)
        self.write(kinds.Heartbeat((beat,)), self.box)
        if not closing:
            return None
        return self.close(source, data, (start, now.mono_ns), bound=bound)

    def close(self, source: str, data: bytes, mono: tuple[int, int], *, bound: int | None = None) -> SignedRecord:
        """Write a segment's record and store its bytes."""
        number = self.numbers.get(source, 0)
        self.numbers[source] = number + 1
        digest = hashlib.sha256(data).digest()
        self.port.store(digest, data)
        state, now = ("live" if bound is None else "recovered"), self.at()
        body = kinds.Segment(
            number, digest, len(data), mono[0], mono[1], now.wall_ns - now.mono_ns + mono[0], 0, 0, 250, None, state, bound=bound,  # type: ignore[arg-type]
            **sample_fields(data),
        )  # fmt: skip
        return self.write(body, StreamId.of(self.box, source))


@dataclass(slots=True)
class MemoryPort:
    """A port in memory: what `hub.gathering` asks of a hub, and the acts that fill it."""

    folder: Path
    seed: int = 1
    segment_bytes: int = 4096
    now_ns: int = EPOCH_NS
    log: MemoryLog = field(default_factory=MemoryLog)
    boxes: dict[str, MemoryBox] = field(default_factory=dict)
    film: Callable[[int], bytes] | None = None  # gives the bytes of a segment by its number; random ones otherwise
    chain: tuple[Certificate, ...] = ()  # site CA, root
    site_key: P256Signer = field(default_factory=lambda: fixed_p256(2))
    notes: dict[int, bytes] = field(default_factory=dict)  # published checkpoints by size
    exporter: Certificate | None = None  # of the key that signs exports

    def found(self) -> None:
        """Make the site's root and CA."""
        root_key = fixed_p256(1)
        root = issue_root(root_key, SITE, Validity.backdated(self.now_ns, ROOT_NS, 11))
        site_ca = issue_site_ca(self.site_key.public, SITE, Authority(root, root_key), Validity.backdated(self.now_ns, SITE_CA_NS, 12))
        self.chain = (site_ca, root)

    def certify_exports(self) -> None:
        """Give the port an export key."""
        validity = Validity.backdated(self.now_ns, EXPORT_NS, 13)
        self.exporter = issue_exporter(EXPORT_KEY.public, SITE, HUB, Authority(self.chain[0], self.site_key), validity)

    def trust(self) -> Trust:
        """Give the trust that a verifier has from outside."""
        return Trust(SITE, HUB, self.chain[1].fingerprint, NoteKey(log_origin(SITE, HUB), ED25519, self.log.signer.public))

    def box_time(self, box: MemoryBox) -> Instant:
        """Read the clock of a box: the port's own, where no box lies."""
        return Instant(self.now_ns, self.now_ns - box.began_ns, "synced", 5)

    def hub_time(self) -> Instant:
        """Read the clock as the hub."""
        return Instant(self.now_ns, self.now_ns - EPOCH_NS + SECOND_NS, "synced", 5)

    def issue(self, body: kinds.Body, subject: str) -> SignedRecord:
        """Log a record of the hub now."""
        return self.log.issue(body, subject, self.hub_time())

    def enrol(self, name: str) -> MemoryBox:
        """Enrol a box and boot it."""
        box = MemoryBox(self, BoxId(name), fixed_p256(10 + len(self.boxes)))
        validity = Validity.backdated(self.now_ns, IDENTITY_NS, 100 + len(self.boxes))
        authority = Authority(self.chain[0], self.site_key)
        certificate = issue_box(box.identity.public, Identity(SITE, box.box), "records", authority, validity)
        self.issue(kinds.Enrolment("issued", certificate.der, "admin"), box.box)
        self.boxes[name] = box
        box.boot()
        return box

    def store(self, digest: bytes, data: bytes) -> None:
        """Keep a blob."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / digest.hex()).write_bytes(data)

    def publish(self) -> None:
        """Publish a checkpoint of now."""
        self.notes[self.log.frontier.size] = self.log.checkpoint(self.now_ns // SECOND_NS)

    def beacon(self) -> None:
        """Publish a checkpoint and show it to every box."""
        self.publish()
        for box in self.boxes.values():
            box.seen = Seen(self.log.frontier.size, self.log.frontier.root())

    def video(self, box: str, source: str, number: int) -> bytes:
        """Give the bytes of a segment, by seed."""
        if self.film is not None:
            return self.film(number)
        return random.Random(f"{self.seed}/{box}/{source}/{number}").randbytes(self.segment_bytes + number)  # noqa: S311 - a simulation

    def record_for(self, seconds: int, sources: dict[str, list[str]], until: Callable[[], bool] = lambda: False) -> None:
        """Let time run: each box closes a segment per source and seals every ten seconds, and the hub says what is stored."""
        for _ in range(seconds // 10):
            self.now_ns += SEGMENT_NS
            self.beacon()
            for name, names in sources.items():
                box = self.boxes[name]
                done = [box.segment(source, self.video(name, source, box.numbers.get(source, 0)), SEGMENT_NS) for source in names]
                box.seal()
                digests = tuple(one.record.body.sha256 for one in done if one and isinstance(one.record.body, kinds.Segment))
                if digests:
                    self.issue(kinds.Stored(digests), name)
            self.publish()
            if until():
                return

    def open_task(self, task: str, cameras: tuple[str, ...]) -> SignedRecord:
        """Open a task."""
        facts = (("container", "TESU1234567"),)
        body = kinds.Task("opened", "li.wei", SITE, "bay-1", "Test inspection", ("li.wei", "wang.fang"), cameras, facts)
        return self.issue(body, task)

    def end_task(self, task: str) -> SignedRecord:
        """End a task."""
        return self.issue(kinds.Task("ended", "li.wei", SITE), task)

    def pair(self, task: str, box: str, source: str, state: str = "paired", late_from: int | None = None) -> None:
        """Order a pairing and let the box confirm it."""
        stream = StreamId.of(box, source)
        late = (late_from, "wang.fang", "forgotten at the start") if late_from is not None else (None, None, None)
        order = self.issue(kinds.Pairing(state, stream, "li.wei", None, *late), task)  # type: ignore[arg-type]  # one of two words
        confirmed = kinds.Pairing(state, stream, "li.wei", order.leaf, *late)  # type: ignore[arg-type]
        self.boxes[box].write(confirmed, task)

    def join(self, task: str, box: str, source: str, seconds: int = 300) -> None:
        """Let a box bind a recorder by a ticket that holds for some seconds from now."""
        ticket = self.issue(Ticket(bytes(16), self.now_ns + seconds * SECOND_NS, "li.wei"), task)
        self.boxes[box].write(kinds.Pairing("paired", StreamId.of(box, source), "li.wei", ticket.leaf), task)

    # ------------------------------------------------------------------------------------------- hub.gathering.Port

    def task_leaves(self, task: str) -> list[int]:
        """Give the leaves of a task."""
        wanted = (kinds.Task, kinds.Pairing, Ticket)
        return [index for index, one in enumerate(self.log.entries) if one.record.subject == task and isinstance(one.record.body, wanted)]

    def ticketed(self, task: str) -> frozenset[StreamId]:
        """Give the recorders that joined by a ticket."""
        leaves = {one.leaf for one in self.log.entries if one.record.subject == task and isinstance(one.record.body, Ticket)}
        bodies = [one.record.body for box in self.boxes.values() for journal in box.journals.values() for one in journal]
        return frozenset(StreamId(one.stream) for one in bodies if isinstance(one, kinds.Pairing) and one.order in leaves)

    def enrolment_leaves(self, box: str) -> list[int]:
        """Give the enrolments of a box."""
        mine = (kinds.Enrolment,)
        return [index for index, one in enumerate(self.log.entries) if one.record.subject == box and isinstance(one.record.body, mine)]

    def leaf(self, index: int) -> bytes:
        """Give a leaf."""
        return self.log.entries[index].data

    def opening(self, index: int) -> bytes | None:
        """Give salt and body of a concealed leaf."""
        return self.log.openings.get(index)

    def hub_leaf_before(self, index: int) -> int | None:
        """Give the last stored record below."""
        return max((one for one in self._stored() if one < index), default=None)

    def hub_leaf_after(self, index: int) -> int | None:
        """Give the first stored record above."""
        return min((one for one in self._stored() if one > index), default=None)

    def _stored(self) -> list[int]:
        return [index for index, one in enumerate(self.log.entries) if isinstance(one.record.body, kinds.Stored)]

    def head_leaves(self, box: str) -> list[int]:
        """Give the heads of a box that were brought by hand."""
        mine = (kinds.HeadSeen,)
        return [index for index, one in enumerate(self.log.entries) if one.record.subject == box and isinstance(one.record.body, mine)]

    def checkpoints(self, first: int, last: int) -> list[bytes]:
        """Give the kept checkpoints of these sizes, and the next one."""
        found = sorted(size for size in self.notes if size >= first)
        count = sum(size <= last for size in found) + 1
        return [self.notes[size] for size in found[:count]]

    def tokens(self, first: int, last: int) -> list[tuple[int, int, bytes]]:
        """Give the tokens of these leaves, one before, two after."""
        bodies = [(index, one.record.body) for index, one in enumerate(self.log.entries)]
        found = [(index, body.size, body.root) for index, body in bodies if isinstance(body, kinds.TimeToken)]
        before = [one for one in found if one[0] < first][-1:]
        return before + [one for one in found if first <= one[0] <= last] + [one for one in found if one[0] > last][:2]

    def log_nodes(self) -> NodeReader:
        """Read the log's tree."""
        return nodes_of([one.leaf for one in self.log.entries])

    def epochs(self, box: str) -> list[tuple[int, int]]:
        """Give the epochs of a box."""
        return [(epoch, len(journal)) for epoch, journal in sorted(self.boxes[box].journals.items())] if box in self.boxes else []

    def first_after(self, box: str, epoch: int, wall_ns: int) -> int | None:
        """Give the first later position."""
        found = (one.record.position for one in self.boxes[box].journals[epoch] if one.record.at.wall_ns > wall_ns)
        return next(found, None)

    def session_before(self, box: str, epoch: int, position: int) -> int | None:
        """Give the newest session below."""
        journal = self.boxes[box].journals[epoch][:position]
        return max((one.record.position for one in journal if isinstance(one.record.body, kinds.Session)), default=None)

    def records(self, box: str, epoch: int, first: int, end: int) -> list[bytes]:
        """Give records."""
        return [one.data for one in self.boxes[box].journals[epoch][first:end]]

    def seals(self, box: str, epoch: int, first: int) -> list[tuple[int, int]]:
        """Give logged seals."""
        return [(position, index) for at, position, index in self.boxes[box].logged if at == epoch and position >= first]

    def journal_nodes(self, box: str, epoch: int) -> NodeReader:
        """Read a journal's tree."""
        return nodes_of([one.leaf for one in self.boxes[box].journals[epoch]])

    def blob(self, sha256: bytes) -> Path | None:
        """Give a blob's file."""
        path = self.folder / sha256.hex()
        return path if path.exists() else None

    def authorities(self) -> tuple[Certificate, Certificate]:
        """Give (site CA, root)."""
        return self.chain[0], self.chain[1]

    def claims(self) -> dict[str, bytes]:
        """Give the policy, and the export certificate if there is one."""
        found = {bundle.POLICY: self.trust().rule.encode()}
        return found | ({bundle.EXPORTER: self.exporter.pem()} if self.exporter is not None else {})

    def custody_leaves(self, scope: Scope) -> list[int]:
        """Give views and exports of a task, and live views of its streams in its time."""
        return [index for index in range(len(self.log.entries)) if _is_custody(self.log.shown(index).record, scope)]


def _is_custody(record: Record, scope: Scope) -> bool:
    body = record.body
    if isinstance(body, kinds.Concealed):  # its body was erased
        return record.subject == scope.subject
    if isinstance(body, kinds.View) and body.way == "live":
        return record.subject in scope.streams and scope.start <= record.at.wall_ns <= scope.end
    return isinstance(body, kinds.View | kinds.Export) and record.subject == scope.subject
