"""Parts of a box for tests: a clock that obeys, a stream of units with real parameter sets, a box on a folder, a hub of protocol only."""

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from edge.capture import Capture, Since
from edge.fsck import Findings, check_box
from edge.journal import Box, Journal
from edge.recorder import Durable, Recorder
from edge.worker import Worker
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol import kinds, messages
from protocol.errors import VerificationError
from protocol.identifiers import BoxId, Issuer, SourceId, StreamId
from protocol.instants import SECOND_NS, Instant
from protocol.journals import Journal as Follower
from protocol.merkle import EMPTY_ROOT, Frontier, NodeReader, consistency_proof, inclusion_proof, leaf_hash, node_hash, range_proof
from protocol.messages import Consistency, JournalBatch, Persisted, Prove, Receipt, Resend
from protocol.notes import ED25519, Checkpoint, NoteKey, sign_checkpoint
from protocol.records import Record, SignedRecord, read
from protocol.signatures import Ed25519Signer, P256Signer, PublicKey
from protocol.trust import log_origin
from storage.files import Ballast, SegmentFolder, SpaceWatch
from storage.spool import Spool

_P = ParamSpec("_P")
_R = TypeVar("_R")

BOX = BoxId("box-1")
CAMERA = StreamId("box-1/cam-1")
SPS = bytes.fromhex("674d400dda0507e840000003004000000ca3c50aa8")
PPS = bytes.fromhex("68ef3c80")
OTHER_SPS = bytes.fromhex("6764001eacb40501ed080000030008000003019478b175")
OTHER_PPS = bytes.fromhex("68ef3cb0")
VIDEO = TrackFormat(0, "h264", 90_000, (SPS, PPS))
STEP = 3600  # of presentation times at 25 pictures a second
STEP_NS = SECOND_NS // 25
WALL = 1_790_000_000 * SECOND_NS


@dataclass(slots=True)
class TestClock:
    """A clock that stands still until it is moved; `offset_ns` is wall against monotonic time."""

    __test__ = False
    mono_ns: int = 1000 * SECOND_NS
    offset_ns: int = WALL

    def now(self) -> Instant:
        return Instant(self.mono_ns + self.offset_ns, self.mono_ns, "synced", 5)

    def monotonic_ns(self) -> int:
        return self.mono_ns

    def advance(self, seconds: float) -> None:
        self.mono_ns += int(seconds * SECOND_NS)


def unit(number: int, mono_ns: int, *, gop: int = 50, size: int = 400, key: bool | None = None, pts: int | None = None) -> MediaUnit:
    """Give picture `number` of a stream of 25 a second."""
    is_key = number % gop == 0 if key is None else key
    body = hashlib.shake_128(number.to_bytes(8, "big")).digest(size)
    slice_nal = bytes((0x65 if is_key else 0x41, 0x88)) + body.replace(b"\x00", b"\x01")
    payloads = (SPS, PPS, slice_nal) if is_key else (slice_nal,)
    return MediaUnit(0, payloads, number * STEP if pts is None else pts, is_key, mono_ns)


def units(clock: TestClock, first: int, count: int, *, gop: int = 50, size: int = 400) -> Iterator[MediaUnit]:
    """Give `count` pictures, moving the clock with each."""
    for number in range(first, first + count):
        yield unit(number, clock.mono_ns, gop=gop, size=size)
        clock.mono_ns += STEP_NS


def make_identity() -> P256Signer:
    return P256Signer.of(ec.generate_private_key(ec.SECP256R1()))


@dataclass(slots=True)
class Place:
    """A box's folder with spool and journal; `restart` is what a new process does."""

    folder: Path
    identity: P256Signer = field(default_factory=make_identity)
    clock: TestClock = field(default_factory=TestClock)
    spool: Spool = field(init=False)
    journal: Journal = field(init=False)
    boot: int = 0

    def __post_init__(self) -> None:
        self.spool = Spool(self.folder / "spool.db")
        self.spool.open()
        self.journal = self._journal()

    def _journal(self) -> Journal:
        self.boot += 1
        return Journal(self.spool, Box(BOX, self.identity, self.boot.to_bytes(16, "big"), "test"), self.clock)

    @property
    def segments(self) -> SegmentFolder:
        return SegmentFolder(self.folder / "segments")

    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool(self.folder / "spool.db")
        self.spool.open()
        self.journal = self._journal()

    def bodies(self, kind: type[kinds.Body]) -> list[tuple[str, kinds.Body]]:
        """Give subject and body of all records of a kind, in order."""
        out = []
        for row in self.spool.epochs():
            for stored in self.spool.records(row.epoch, 0, 1_000_000):
                record = read(stored.data).record
                if isinstance(record.body, kind):
                    out.append((record.subject, record.body))
        return out

    def close(self) -> None:
        self.spool.close()


@dataclass(slots=True)
class Mirror:
    """What the test's hub has of one epoch."""

    journal: Follower
    records: list[SignedRecord] = field(default_factory=list)
    receipted: int = 0


class TestHub:
    """A hub of nothing but the protocol: verifies journals, mirrors them, logs seals, gives receipts; keeps blobs by hash."""

    __test__ = False

    def __init__(self, identity: PublicKey) -> None:
        self.identity = identity
        self.signer = Ed25519Signer.of(ed25519.Ed25519PrivateKey.generate())
        self.log_key = NoteKey(log_origin("dayaowan", "hub-1"), ED25519, self.signer.public)
        self.mirrors: dict[int, Mirror] = {}
        self.leaves: list[bytes] = []
        self.blobs: dict[bytes, bytes] = {}
        self.duplicates = 0

    def take(self, batch: JournalBatch) -> list[messages.Message]:
        """Take a batch; give what a hub answers."""
        mirror = self.mirrors.setdefault(batch.epoch, Mirror(Follower(BOX, batch.epoch, (self.identity,))))
        if batch.first > len(mirror.records):
            return [Resend(batch.box, batch.epoch, len(mirror.records))]
        out: list[messages.Message] = []
        for at, data in enumerate(batch.records, batch.first):
            if at < len(mirror.records):
                if mirror.records[at].data != data:
                    raise VerificationError("another record at a known position", where=str(at))
                self.duplicates += 1
                continue
            signed = read(data)
            mirror.journal.append(signed)
            mirror.records.append(signed)
            if isinstance(signed.record.body, kinds.Seal):
                out.append(self._receipt(batch.epoch, mirror, signed))
        return [Persisted(batch.box, batch.epoch, len(mirror.records)), *out]

    def _receipt(self, epoch: int, mirror: Mirror, seal: SignedRecord) -> Receipt:
        self.leaves.append(leaf_hash(seal.data))
        log = Frontier()
        for leaf in self.leaves:
            log.append(leaf)
        note = sign_checkpoint(Checkpoint(self.log_key.name, log.size, log.root()), self.signer)
        end, index = seal.record.position, len(self.leaves) - 1
        left, right = range_proof(mirror.receipted, end, end, _reader([one.leaf for one in mirror.records]))
        path = inclusion_proof(index, log.size, _reader(self.leaves))
        receipt = Receipt(BOX, epoch, mirror.receipted, end, tuple(left), tuple(right), seal.data, index, tuple(path), note)
        mirror.receipted = end
        return receipt

    def prove(self, asked: Prove) -> Consistency:
        """Give the proof a box asks for."""
        return Consistency(asked.old, asked.new, tuple(consistency_proof(asked.old, asked.new, _reader(self.leaves))))

    def order(self, task: str, stream: str, state: str, **more: object) -> bytes:
        """Give a signed pairing order."""
        body = kinds.Pairing(state, stream, "li.wei")  # type: ignore[arg-type]  # a test may name any state
        body = replace(body, **more)  # type: ignore[arg-type]  # fields of a pairing
        return self._signed(task, body)

    def ending(self, task: str) -> bytes:
        """Give a signed end of a task."""
        return self._signed(task, kinds.Task("ended", "chen.min", "dayaowan"))

    def _signed(self, task: str, body: kinds.Body) -> bytes:
        return Record(Issuer.of_hub("hub-1"), 0, 0, EMPTY_ROOT, task, Instant(WALL, 1), body).sign(self.signer).data


def _reader(leaves: list[bytes]) -> NodeReader:
    def node(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))

    return node


class Folder(SegmentFolder):
    """A segment folder on a disk of limited size: writes beyond it fail as a full disk does."""

    __slots__ = ("room",)

    def __init__(self, root: Path, room: int = 1 << 40) -> None:
        super().__init__(root)
        self.room = room
        self.write = self._write

    def _write(self, fd: int, data: memoryview) -> int:
        size = min(len(data), self.room)
        if not size:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= size
        return os.write(fd, data[:size])


@dataclass(slots=True)
class Desk:
    """A recorder without its loop: captures, flushes and commits when told to, all in the test's thread."""

    place: Place
    folder: Folder = field(init=False)
    recorder: Recorder = field(init=False)
    free: int = 1 << 40

    def __post_init__(self) -> None:
        self.folder = Folder(self.place.folder / "segments")
        space = SpaceWatch(self.place.folder, 1 << 20, 2 << 20, lambda _: self.free)
        durable = Durable(self.folder, space, Ballast(self.place.folder / "ballast", 4096))
        worker = Inline("inline")
        self.recorder = Recorder(BOX, self.place.journal, self.place.clock, durable, worker, worker)
        self.recorder.start()

    def camera(self, source: str = "cam-1", since: Since | None = None) -> Capture:
        return self.recorder.add(SourceId(source), "rtsp", cause="configured", since=since)

    def beat(self) -> None:
        asyncio.run(self.recorder.beat())

    def feed(self, capture: Capture, first: int, count: int, *, beats: int = 25) -> None:
        """Deliver pictures, with a beat after each `beats` of them."""
        for number, each in enumerate(units(self.place.clock, first, count), 1):
            capture.on_unit(each)
            if number % beats == 0:
                self.beat()

    def close(self) -> None:
        asyncio.run(self.recorder.close("shutdown"))


class Inline(Worker):
    """A worker that works at once, in the caller's thread."""

    async def run(self, work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return work(*args, **kwargs)


def check_place(place: Place) -> Findings:
    """Run the checker over a box's folder."""
    return check_box(place.folder, BOX, (place.identity.public,))
