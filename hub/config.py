"""Hold the hub's settings: one table per part, every key documented here and in docs/reference.

The file is TOML; `PORTWITNESS_HUB_<TABLE>_<KEY>` in the environment overrides it. Defaults serve one port on one machine.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protocol.identifiers import HubId, SiteId, ZoneName
from protocol.settings import read, setting

PREFIX = "PORTWITNESS_HUB"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSettings:
    """Who this hub is and where it keeps its state."""

    site: SiteId = setting("The port site, as in every certificate and topic.")
    id: HubId = setting("The hub's own name; it issues records as hub:<id>.", default=HubId("hub-1"))
    state: Path = setting("Directory of database, blobs, log and keys.", default=Path("hub-state"))
    time_zone: ZoneName = setting(
        "The zone in which pages show all times, such as Asia/Shanghai; empty: each reader's own.", default=ZoneName("")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the tables are."""

    url: str = setting("SQLAlchemy URL; empty: SQLite at <state>/hub.db. PostgreSQL: postgresql+psycopg://...", default="", secret=True)
    busy_seconds: float = setting("How long to wait for another writer of the same SQLite file.", default=10.0, unit="s", bounds=(0, 300))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobSettings:
    """Where segments are kept, and how much may wait."""

    url: str = setting("dir:///absolute/path; empty: <state>/blobs.", default="")
    largest_mb: int = setting("Largest single blob taken.", default=512, unit="MB", bounds=(1, 65_536))
    quarantine_mb: int = setting("Per box: blobs that came before their record.", default=2048, unit="MB", bounds=(1, 1_048_576))
    quarantine_days: int = setting("Blobs that no record ever named are removed after this.", default=30, unit="days", bounds=(1, 3650))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """What people may send in parts: photographs, clips, attachments."""

    largest_mb: int = setting("Largest single file taken.", default=256, unit="MB", bounds=(1, 65_536))
    waiting_mb: int = setting("Per owner: bytes that are announced and not whole yet.", default=4096, unit="MB", bounds=(1, 1_048_576))
    waiting_files: int = setting("Per owner: files that are announced and not whole yet.", default=1000, bounds=(1, 100_000))
    waiting_days: int = setting("A file that never became whole is forgotten after this.", default=14, unit="days", bounds=(1, 365))
    day_mb: int = setting("Per owner: bytes that are taken within a day.", default=20_480, unit="MB", bounds=(1, 1_048_576))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldworkSettings:
    """Work on site."""

    key_hours: int = setting("How long the key of a phone is certified at a login.", default=24, unit="h", bounds=(1, 720))
    ticket_seconds: int = setting("How long a ticket for a recorder holds.", default=300, unit="s", bounds=(30, 300))
    video_hours: int = setting("Full video may follow this long after a task ended.", default=24, unit="h", bounds=(1, 720))


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """How what boxes send is verified."""

    checkers: int = setting(
        "Processes that check signatures of large batches, about 25 MB each, started when the first comes; 0: the hub's own process "
        "does; -1: one per core, four at most, none on a single core.",
        default=-1,
        bounds=(-1, 64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How the port log is written."""

    batch_ms: int = setting("Leaves are gathered this long before one checkpoint.", default=200, unit="ms", bounds=(0, 1000))
    stored_ms: int = setting("Stored blobs are gathered this long into one record.", default=1000, unit="ms", bounds=(10, 60_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessSettings:
    """An outside party that cosigns the port log (tlog-witness)."""

    name: str = setting("What it is called here.")
    url: str = setting("Its submission prefix: http(s)://host:port[/path].")
    vkey: str = setting("Its verifier key: Ed25519 cosignature (type 4) or ML-DSA-44 (type 6).")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessingSettings:
    """Which outside parties must agree to a checkpoint before records count as finally receipted."""

    policy: Path | None = setting("C2SP tlog-policy file with URLs of witnesses and the quorum; none: the list `witnesses`.", default=None)
    quorum: int = setting("How many of the list `witnesses` must cosign; 0: none is needed.", default=0, bounds=(0, 64))
    interval_ms: int = setting("Pause between checkpoints that are sent to witnesses.", default=500, unit="ms", bounds=(10, 1000))
    timeout_seconds: float = setting("How long a witness may take.", default=5.0, unit="s", bounds=(0.1, 60))
    alarm_seconds: float = setting("How long there may be no quorum before the alarm.", default=10.0, unit="s", bounds=(0.1, 3600))
    start: Literal["go on", "wait"] = setting(
        "When too few witnesses answer at start to know that this state is no old copy: go on with an alarm, or sign nothing.",
        default="go on",
    )
    start_seconds: float = setting("How long they are asked at start before that.", default=5.0, unit="s", bounds=(0, 3600))


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSettings:
    """The port for people."""

    host: str = setting("Address to listen on.", default="127.0.0.1")
    port: int = setting("TCP port; 0 takes a free one.", default=8080, bounds=(0, 65_535))
    certificate: Path | None = setting("PEM certificate chain; none: plain HTTP, for 127.0.0.1 only.", default=None)
    key: Path | None = setting("PEM key of that certificate.", default=None)
    session_minutes: int = setting("A login ends after this without use.", default=480, unit="min", bounds=(1, 10_080))
    lockout_failures: int = setting(
        "Wrong passwords before a name is locked at an address; before that, from the third on, the next try waits 2, 4, ... s. "
        "All addresses together: 10 a day at a name, then one try every 3 s.",
        default=5,
        bounds=(1, 100),
    )
    lockout_minutes: int = setting("The first lock; each failure more doubles it up to an hour.", default=15, unit="min", bounds=(1, 1440))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """The port for boxes: TLS that requires a client certificate of the site."""

    host: str = setting("Address to listen on.", default="127.0.0.1")
    port: int = setting("TCP port; 0 takes a free one.", default=8443, bounds=(0, 65_535))
    public_url: str = setting("How boxes reach it, told at enrolment; empty: https://<host>:<port>.", default="")
    certificate: Path | None = setting("PEM chain of the server certificate; none: <state>/keys/device.pem.", default=None)
    key: Path | None = setting("Its PEM key; none: <state>/keys/device.key.", default=None)
    authorities: Path | None = setting("PEM of the site CA that signs boxes; none: <state>/keys/site.pem.", default=None)
    offline_seconds: float = setting("A box is offline after this without a word.", default=15.0, unit="s", bounds=(1, 3600))


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """The broker. Without one the HTTPS transport serves."""

    broker: Literal["spawn", "external", "none"] = setting("Run mosquitto as a child, use one that runs, or use none.", default="spawn")
    host: str = setting("Address on which boxes reach the broker (spawn).", default="127.0.0.1")
    port: int = setting("TLS port of the broker for boxes (spawn).", default=8883, bounds=(0, 65_535))
    local_port: int = setting("The hub's own way in on 127.0.0.1; 0 takes a free one (spawn).", default=0, bounds=(0, 65_535))
    public_url: str = setting("How boxes reach it, told at enrolment; empty: mqtts://<host>:<port>.", default="")
    program: str = setting("The mosquitto program; looked for in PATH and /usr/sbin.", default="mosquitto")
    url: str = setting("mqtt(s)://user:password@host:port of the broker that runs (external).", default="", secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IceSettings:
    """A STUN or TURN server for live pictures."""

    urls: str = setting("stun:host:port or turn:host:port.")
    username: str | None = setting("TURN user.", default=None)
    credential: str | None = setting("TURN password.", default=None, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """Live pictures."""

    grace_seconds: float = setting("A box goes on publishing this long after the last viewer.", default=10.0, unit="s", bounds=(0, 600))
    start_seconds: float = setting("How long a viewer waits for the box to publish.", default=8.0, unit="s", bounds=(1, 60))
    first_port: int = setting("First UDP port for media; 0: any.", default=0, bounds=(0, 65_535))
    last_port: int = setting("Last UDP port for media; 0: any.", default=0, bounds=(0, 65_535))
    hosts: tuple[str, ...] = setting("Addresses offered for media; empty: all of this machine.", default=())
    max_viewers: int = setting("Viewers at a time, all streams together.", default=200, bounds=(1, 10_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAuthoritySettings:
    """Outside time authorities (RFC 3161) that stamp the port log's checkpoints."""

    urls: tuple[str, ...] = setting("Where they are asked; none: no tokens. Two that do not depend on each other are best.", default=())
    anchors: Path | None = setting("PEM certificates that their tokens must lead to.", default=None)
    every_minutes: int = setting("A token at least this often while the log grows.", default=10, unit="min", bounds=(1, 1440))
    timeout_seconds: float = setting("How long to wait for an answer.", default=15.0, unit="s", bounds=(1, 120))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSettings:
    """Tasks and pairing."""

    code_seconds: int = setting("A short code ends after this.", default=300, unit="s", bounds=(30, 300))
    claim_failures: int = setting("Wrong codes per recorder in one code life before it must wait.", default=5, bounds=(1, 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """When and how carefully video whose time is over is disposed of."""

    enabled: bool = setting("Dispose of video whose time is over; off: nothing is ever removed here.", default=False)
    every_minutes: int = setting("Pause between looks.", default=60, unit="min", bounds=(1, 1440))
    share_percent: float = setting(
        "When more than this share of all bytes comes due within a day, nothing goes until a person confirms.",
        default=2.0,
        unit="%",
        bounds=(0.01, 100),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionClassSettings:
    """How long video of a sort is kept."""

    name: str = setting("Its name; `routine` (linked to no task) and `inspection` (linked) must be among them.")
    days: int = setting("Days it is kept; 0: for ever.", bounds=(0, 36_500))
    source: str = setting("Which rule says so.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class NationalPortSettings:
    """A port whose log this hub takes."""

    vkey: str = setting("The port log's verifier key; its name is the log's origin. Several entries may name one origin.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NationalSettings:
    """The national log: where this port's checkpoints go, or, at the national hub, whose it takes."""

    url: str = setting("The national hub's API: http(s)://host/api/v1; empty: none.", default="")
    vkey: str = setting("The national log's verifier key.", default="")
    every_minutes: int = setting("The newest checkpoint is brought there this often.", default=10, unit="min", bounds=(1, 1440))
    timeout_seconds: float = setting("How long an answer may take.", default=30.0, unit="s", bounds=(0.1, 300))
    ports: tuple[NationalPortSettings, ...] = setting("The ports whose logs this hub takes; any makes it a national hub.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionSettings:
    """What the hub does of an inspection by itself."""

    shipped: bool = setting("Whether the operating procedures that ship with the hub are published at the first start.", default=True)
    automatic: bool = setting("Whether declarations are accepted and screened by rule; else people do it, by the API.", default=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """Messages with the port's other systems."""

    edifact_id: str = setting("Our identification in EDIFACT interchanges (UNB).", default="PORTWITNESS")
    office: str = setting("Code of the office in CUSRES (LOC 22).", default="000000")
    utc_offset_minutes: int = setting("Zone of EDIFACT times, which name none.", default=480, unit="min", bounds=(-720, 840))
    attempts: int = setting("A message that is not taken is given up after so many attempts.", default=12, bounds=(1, 1000))
    retry_seconds: float = setting(
        "Pause after the first failure; each one more doubles it, up to an hour.", default=5.0, unit="s", bounds=(0, 3600)
    )
    timeout_seconds: float = setting("How long a partner may take to answer.", default=10.0, unit="s", bounds=(0.1, 120))


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSettings:
    """All settings of a hub."""

    port: PortSettings = setting("Who this hub is.")
    database: DatabaseSettings = DatabaseSettings()
    blobs: BlobSettings = BlobSettings()
    files: FileSettings = FileSettings()
    fieldwork: FieldworkSettings = FieldworkSettings()
    ingest: IngestSettings = IngestSettings()
    log: LogSettings = LogSettings()
    witnessing: WitnessingSettings = WitnessingSettings()
    witnesses: tuple[WitnessSettings, ...] = setting("Outside parties that cosign the port log; none by default.", default=())
    national: NationalSettings = NationalSettings()
    browser: BrowserSettings = BrowserSettings()
    device: DeviceSettings = DeviceSettings()
    mqtt: MqttSettings = MqttSettings()
    live: LiveSettings = LiveSettings()
    ice: tuple[IceSettings, ...] = setting("STUN and TURN servers; none by default.", default=())
    tasks: TaskSettings = TaskSettings()
    inspection: InspectionSettings = InspectionSettings()
    time_authority: TimeAuthoritySettings = TimeAuthoritySettings()
    exchange: ExchangeSettings = ExchangeSettings()
    retention: RetentionSettings = RetentionSettings()
    retention_classes: tuple[RetentionClassSettings, ...] = setting("Retention classes; none: the table that is shipped.", default=())

    @property
    def database_url(self) -> str:
        """Give the database's URL with its default."""
        return self.database.url or f"sqlite:///{self.port.state.absolute() / 'hub.db'}"

    @property
    def blob_url(self) -> str:
        """Give the blob store's URL with its default."""
        return self.blobs.url or f"dir://{self.port.state.absolute() / 'blobs'}"

    @property
    def keys(self) -> Path:
        """Give the directory of the hub's keys."""
        return self.port.state / "keys"

    @property
    def log_origin(self) -> str:
        """Give the origin line of the port log, which is also its key's name."""
        return f"portwitness.port/{self.port.site}/{self.port.id}"


def load(path: Path) -> HubSettings:
    """Read a settings file and the environment.

    Raises MalformedError naming file, line and what was expected.
    """
    return read(HubSettings, path.read_text(), file=str(path), environ=os.environ, prefix=PREFIX, read_secret=_read_secret)


def _read_secret(path: str) -> str:
    return Path(path).read_text()
