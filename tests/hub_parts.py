"""What the tests of the hub share: a box made of the protocol alone, a clock that is told, and a hub on a database by URL."""

import hashlib
import secrets
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.app import Hub, open_hub
from hub.config import BlobSettings, DatabaseSettings, HubSettings, InspectionSettings, LogSettings, MqttSettings, PortSettings
from hub.erasing import revealed
from protocol import kinds
from protocol.certificates import Authority, Certificate, Identity, Validity, issue_box, issue_root, issue_site_ca
from protocol.identifiers import BoxId, Issuer, SiteId, StreamId
from protocol.instants import SECOND_NS, Instant
from protocol.journals import origin
from protocol.merkle import Frontier
from protocol.messages import JournalBatch, Message, Receipt, decode
from protocol.notes import Checkpoint, sign_checkpoint
from protocol.receipts import verify_receipt
from protocol.records import Record, SignedRecord
from protocol.signatures import Ed25519Signer, P256Signer
from simulators.adversary.premises import settle
from storage.clock import SystemClock
from storage.database import Database

SITE = SiteId("dayaowan")
BOX = BoxId("box-1")
HOUR_NS = 3600 * SECOND_NS
START_NS = 1_800_000_000 * SECOND_NS


def log_signer() -> Ed25519Signer:
    return Ed25519Signer.of(Ed25519PrivateKey.generate())


@dataclass
class SiteCa:
    """A site's root and CA, to make boxes' certificates."""

    now_ns: int = field(default_factory=lambda: SystemClock().now().wall_ns)
    serial: int = 100

    def __post_init__(self) -> None:
        root_key, self.key = P256Signer.of(ec.generate_private_key(ec.SECP256R1())), P256Signer.of(ec.generate_private_key(ec.SECP256R1()))
        self.root = issue_root(root_key, SITE, self._validity())
        self.ca = issue_site_ca(self.key.public, SITE, Authority(self.root, root_key), self._validity())
        self.authority = Authority(self.ca, self.key)

    def _validity(self) -> Validity:
        self.serial += 1
        return Validity.backdated(self.now_ns, 90 * 24 * HOUR_NS, self.serial)

    def box(self, box: BoxId, key: P256Signer, usage: Any = "records") -> Certificate:
        return issue_box(key.public, Identity(SITE, box), usage, self.authority, self._validity())


@dataclass
class TestBox:
    """Writes one epoch of a box journal, as an edge box would."""

    __test__ = False
    box: BoxId = BOX
    epoch: int = 1
    identity: P256Signer = field(default_factory=lambda: P256Signer.of(ec.generate_private_key(ec.SECP256R1())))
    session: Ed25519Signer = field(default_factory=log_signer)
    frontier: Frontier = field(default_factory=Frontier)
    written: list[SignedRecord] = field(default_factory=list)
    wall_ns: int = START_NS
    mono_ns: int = 10 * SECOND_NS
    numbers: dict[str, int] = field(default_factory=dict)

    def boot(self, before: "TestBox | None" = None, **changes: Any) -> None:
        facts: dict[str, Any] = {}
        if before is not None:
            facts = {"previous_epoch": before.epoch, "previous_size": before.frontier.size, "previous_root": before.frontier.root()}
        self.add(kinds.Boot(b"boot", "0.1", **(facts | changes)), str(self.box), self.identity)
        self.add(kinds.Session(self.session.public.raw(), self.mono_ns + 24 * HOUR_NS, "live"), str(self.box), self.identity)

    def make(self, body: kinds.Body, subject: str, signer: P256Signer | Ed25519Signer | None = None, **changes: Any) -> SignedRecord:
        facts: dict[str, Any] = {
            "issuer": Issuer.of_box(self.box),
            "epoch": self.epoch,
            "position": self.frontier.size,
            "root": self.frontier.root(),
            "subject": subject,
            "at": Instant(self.wall_ns, self.mono_ns, "synced", 5),
            "body": body,
        }
        return Record(**(facts | changes)).sign(signer or self.session)

    def take(self, signed: SignedRecord) -> SignedRecord:
        self.frontier.append(signed.leaf)
        self.written.append(signed)
        return signed

    def add(self, body: kinds.Body, subject: str, signer: P256Signer | Ed25519Signer | None = None) -> SignedRecord:
        return self.take(self.make(body, subject, signer))

    def pass_time(self, seconds: float) -> None:
        self.wall_ns += int(seconds * SECOND_NS)
        self.mono_ns += int(seconds * SECOND_NS)

    def heartbeat(self) -> SignedRecord:
        self.pass_time(0.001)
        return self.add(kinds.Heartbeat(()), str(self.box))

    def recording(self, source: str = "cam-1", state: Any = "started", way: Any = "rtsp") -> SignedRecord:
        number = self.numbers.setdefault(source, 0)
        return self.add(kinds.Recording(state, "start", way, number), StreamId.of(self.box, source))

    def segment(self, source: str = "cam-1", data: bytes | None = None, seconds: int = 10, **changes: Any) -> tuple[SignedRecord, bytes]:
        """Close a segment of the next `seconds`; give its record and its bytes."""
        blob = data if data is not None else secrets.token_bytes(300)
        number = self.numbers[source] = self.numbers.get(source, 0)
        facts: dict[str, Any] = {
            "number": number,
            "sha256": hashlib.sha256(blob).digest(),
            "size": len(blob),
            "mono_from": self.mono_ns,
            "mono_to": self.mono_ns + seconds * SECOND_NS,
            "wall_from": self.wall_ns,
            "run": 0,
            "media_from": number * seconds * 90_000,
            "frames": seconds * 25,
            "config": None,
            "state": "live",
        }
        self.pass_time(seconds)
        self.numbers[source] += 1
        return self.add(kinds.Segment(**(facts | changes)), StreamId.of(self.box, source)), blob

    def gap(self, source: str = "cam-1", seconds: int = 3, cause: Any = "camera lost") -> SignedRecord:
        start, mono = self.wall_ns, self.mono_ns
        self.pass_time(seconds)
        return self.add(kinds.Gap(cause, start, self.wall_ns, mono, self.mono_ns), StreamId.of(self.box, source))

    def seal(self, reason: Any = "interval", **changes: Any) -> SignedRecord:
        name = origin(self.box, self.epoch)
        facts: dict[str, Any] = {"origin": name, "size": self.frontier.size, "root": self.frontier.root()}
        note = sign_checkpoint(Checkpoint(**(facts | changes)), self.session)
        return self.add(kinds.Seal(note, (), reason), str(self.box))

    def batch(self, first: int = 0, end: int | None = None) -> JournalBatch:
        return JournalBatch(self.box, self.epoch, first, tuple(signed.data for signed in self.written[first:end]))

    def batches(self, width: int = 256, first: int = 0) -> list[JournalBatch]:
        return [self.batch(at, at + width) for at in range(first, len(self.written), width)]

    def check(self, receipt: Receipt, hub: Hub) -> int:
        """Verify a receipt as a box does; give the end of what it covers."""
        leaves = [signed.leaf for signed in self.written[receipt.first : receipt.end]]
        verify_receipt(receipt, leaves, self.session.public, hub.log.key)
        return receipt.end


@cache
def _new_tables() -> bytes:
    """Give a SQLite database with the newest tables and nothing in them: the migrations run once in a process."""
    with tempfile.TemporaryDirectory(prefix="portwitness-tables-") as folder:
        database = Database(f"sqlite:///{folder}/new.db")
        database.open()
        database.close()
        return (Path(folder) / "new.db").read_bytes()


def settings_for(state: Path, url: str = "", **changes: Any) -> HubSettings:
    tables_file = state / "hub.db"
    if not url and not tables_file.exists():
        state.mkdir(parents=True, exist_ok=True)
        tables_file.write_bytes(_new_tables())
    tables: dict[str, Any] = {
        "port": PortSettings(site=SITE, state=state),
        "database": DatabaseSettings(url=url),
        "log": LogSettings(batch_ms=10, stored_ms=20),
        "blobs": BlobSettings(),
        "mqtt": MqttSettings(broker="none"),
        "inspection": InspectionSettings(shipped=False, automatic=False),  # a log that begins empty, and moves by the test's hand
    }
    return HubSettings(**(tables | changes))


@asynccontextmanager
async def running_hub(settings: HubSettings, signer: Ed25519Signer) -> AsyncIterator[Hub]:
    async with open_hub(settings, SystemClock(), signer) as hub:
        yield hub


async def enrol(hub: Hub, box: TestBox, authority: SiteCa | None = None) -> Certificate:
    """Make a box count, by the record that says so."""
    certificate = (authority or SiteCa()).box(box.box, box.identity)
    await hub.log.issue(kinds.Enrolment("issued", certificate.der, "admin"), box.box)
    return certificate


async def chunks(data: bytes, size: int = 64) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def send(hub: Hub, box: TestBox, first: int = 0) -> list[Message]:
    """Send what was written, in batches; give all that was answered."""
    answers: list[Message] = []
    for batch in box.batches(first=first):
        answers += await hub.ingest.accept(box.box, batch)
    return answers


async def receipts_until(hub: Hub, box: BoxId, end: int, epoch: int = 1) -> list[Receipt]:
    """Take mail until a receipt reaches `end`."""
    found: list[Receipt] = []
    for _ in range(100):
        found += [message for message in await mail(hub, box, 1.0) if isinstance(message, Receipt)]
        if any(receipt.epoch == epoch and receipt.end >= end for receipt in found):
            return found
    raise AssertionError(f"no receipt up to {end}")


async def settled(hub: Hub) -> None:
    """Wait until nothing waits to be logged and all that is logged is published."""
    await settle(hub)


async def opened_leaf(hub: Hub, index: int) -> Record:
    """Give a published leaf, with the body of a concealed one where it is kept."""
    data = await hub.log.leaf(index)
    return (await hub.core.database.read(lambda connection: revealed(connection, data))).record


async def mail(hub: Hub, box: str, wait_s: float = 0.0) -> Sequence[Message]:
    return [decode(data) for data in await hub.mail.take(box, wait_s)]
