"""Write journals of boxes far ahead of any clock, and bring them to a real hub in this process: what log and re-ingest benchmarks share.

The hub is whole - database, checkers, sequencer, tiles, receipts - only the network is not there: batches go to its ingest as the HTTPS and
MQTT doors hand them over.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.app import Hub, open_hub
from hub.config import HubSettings, MqttSettings, PortSettings
from protocol import kinds, messages
from protocol.certificates import Authority, Identity, Validity, issue_box, issue_root, issue_site_ca
from protocol.identifiers import BoxId, Issuer, SiteId, StreamId
from protocol.instants import SECOND_NS, Instant
from protocol.journals import origin
from protocol.merkle import Frontier, leaf_hash
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.records import Record, Seen
from protocol.signatures import Ed25519Signer, P256Signer, PublicKey, sign1
from storage.clock import SystemClock

SITE = SiteId("benchport")
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
STEP_NS = 10 * SECOND_NS
PER_BATCH = messages.MAX_BATCH_RECORDS
WAIT_S = 600.0


def _p256() -> P256Signer:
    return P256Signer.of(ec.generate_private_key(ec.SECP256R1()))


def _ed25519() -> Ed25519Signer:
    return Ed25519Signer.of(Ed25519PrivateKey.generate())


@dataclass(slots=True)
class Writer:
    """Writes one epoch of a box's journal by a clock of its own. `records`: those not handed over yet, `first` their position."""

    box: BoxId
    wall_ns: int
    seen: Seen
    mono_ns: int = SECOND_NS
    identity: P256Signer = field(default_factory=_p256)
    session: Ed25519Signer = field(default_factory=_ed25519)
    frontier: Frontier = field(default_factory=Frontier)
    number: int = 0
    first: int = 0
    hour: int = -1
    records: list[bytes] = field(default_factory=list)
    checks: list[tuple[PublicKey, bytes]] = field(default_factory=list)

    def add(self, body: kinds.Body, subject: str, *, identity: bool = False) -> None:
        """Append a record."""
        at = Instant(self.wall_ns, self.mono_ns, "synced", 5)
        record = Record(Issuer.of_box(self.box), 0, self.frontier.size, self.frontier.root(), subject, at, body, self.seen)
        data = sign1(record.payload(), self.identity if identity else self.session)
        self.frontier.append(leaf_hash(data))
        self.records.append(data)
        if not identity:
            self.checks.append((self.session.public, data))

    def start(self, cameras: int) -> None:
        """Boot, certify the first session, and begin to record."""
        self.add(kinds.Boot(os.urandom(16), "benchmark"), self.box, identity=True)
        self._certify()
        for camera in range(cameras):
            self.add(kinds.Recording("started", "benchmark", "rtsp", 0), self._stream(camera))

    def _stream(self, camera: int) -> StreamId:
        return StreamId.of(self.box, f"cam-{camera}")

    def _certify(self) -> None:
        """Take a new session key at each hour of the journal's own clock, as boxes do."""
        if self.mono_ns // HOUR_NS != self.hour:
            self.hour, self.session = self.mono_ns // HOUR_NS, _ed25519()
            self.add(kinds.Session(self.session.public.raw(), self.mono_ns + 2 * HOUR_NS, "live"), self.box, identity=True)

    def step(self, cameras: int) -> None:
        """Let ten seconds pass: a segment of each camera, and a seal."""
        start_mono, start_wall = self.mono_ns, self.wall_ns
        self.mono_ns, self.wall_ns = start_mono + STEP_NS, start_wall + STEP_NS
        self._certify()
        for camera in range(cameras):
            digest = hashlib.sha256(b"%d %d" % (camera, self.number)).digest()
            body = kinds.Segment(
                number=self.number, sha256=digest, size=5_000_000, mono_from=start_mono, mono_to=self.mono_ns, wall_from=start_wall,
                run=0, media_from=self.number * 900_000, frames=250, config=None, state="live", sample_root=digest, starts=(0,),
            )  # fmt: skip
            self.add(body, self._stream(camera))
        self.number += 1
        self.seal()

    def beat(self) -> None:
        """Write a heartbeat over four open segments."""
        self.mono_ns, self.wall_ns = self.mono_ns + SECOND_NS // 100, self.wall_ns + SECOND_NS // 100
        still = (kinds.OpenSegment(self._stream(at), 7, 1 << 20, bytes(32), 0, 1) for at in range(4))
        self.add(kinds.Heartbeat(tuple(still)), self.box)

    def seal(self) -> None:
        """Seal all that is written."""
        note = sign_checkpoint(Checkpoint(origin(self.box, 0), self.frontier.size, self.frontier.root()), self.session)
        self.add(kinds.Seal(note, (), "interval"), self.box)

    def take(self) -> tuple[list[messages.JournalBatch], int]:
        """Give what is written as batches, and the position that a receipt must reach; forget it here."""
        parts = [
            messages.JournalBatch(self.box, 0, self.first + at, tuple(self.records[at : at + PER_BATCH]))
            for at in range(0, len(self.records), PER_BATCH)
        ]
        self.first += len(self.records)
        self.records, self.checks = [], []
        return parts, self.first - 1


@asynccontextmanager
async def running_hub(folder: Path, boxes: int, days: float) -> AsyncIterator[tuple[Hub, list[Writer]]]:
    """Run a hub on disk with boxes enrolled, whose journals begin `days` ago."""
    clock = SystemClock()
    settings = HubSettings(port=PortSettings(site=SITE, state=folder), mqtt=MqttSettings(broker="none"))
    async with open_hub(settings, clock, _ed25519()) as hub:
        now_ns = clock.now().wall_ns
        validity = Validity.backdated(now_ns, 365 * DAY_NS, 7)
        root_key, ca_key = _p256(), _p256()
        root = issue_root(root_key, SITE, validity)
        authority = Authority(issue_site_ca(ca_key.public, SITE, Authority(root, root_key), validity), ca_key)
        writers = []
        for number in range(boxes):
            writer = Writer(BoxId(f"box-{number}"), now_ns - int(days * DAY_NS), Seen(0, Frontier().root()))
            certificate = issue_box(writer.identity.public, Identity(SITE, writer.box), "records", authority, validity)
            await hub.log.issue(kinds.Enrolment("issued", certificate.der, "benchmark"), writer.box)
            writers.append(writer)
        yield hub, writers


async def bring(hub: Hub, writers: Sequence[Writer]) -> float:
    """Bring all that is written to the hub, each box one batch at a time; give the seconds until the last receipt.

    A record counts when its batch was verified and committed, its seal is a leaf of the published log, and the receipt was handed over.
    """
    taken = [writer.take() for writer in writers]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for writer, (batches, end) in zip(writers, taken, strict=True):
            group.create_task(_send(hub, writer.box, batches))
            group.create_task(_receive(hub, writer.box, end))
    return time.monotonic() - began


async def _send(hub: Hub, box: BoxId, batches: Sequence[messages.JournalBatch]) -> None:
    for batch in batches:
        refused = [one for one in await hub.ingest.accept(box, batch) if isinstance(one, messages.Resend)]
        if refused:
            raise SystemExit(f"the hub refused records: {refused[0]}")


async def _receive(hub: Hub, box: BoxId, end: int) -> None:
    covered = 0
    async with asyncio.timeout(WAIT_S):
        while covered < end:
            for data in await hub.mail.take(box, 1.0):
                message = messages.decode(data)
                if isinstance(message, messages.Receipt):
                    covered = max(covered, message.end)
