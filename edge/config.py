"""State the settings of a box and read them: the TOML file, the environment, and what enrolment wrote.

The one module of the box that reads the environment.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protocol.errors import MalformedError, StorageError
from protocol.identifiers import BoxId, SiteId, SourceId
from protocol.settings import read, setting

PREFIX = "PORTWITNESS_EDGE"
MAX_FILE_BYTES = 1 << 20
MIB = 1 << 20

EXAMPLE = """state = "/var/lib/portwitness-edge"

[[cameras]]
source = "cam-1"
url = "rtsp://192.0.2.10/stream1"
username = "viewer"
password_file = "/etc/portwitness/cam-1.password"

[[recorders]]
source = "rec-1"
token_sha256 = "..."  # of the token that the recorder was given

[door]
port = 8080
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptureSettings:
    """How streams are cut and held."""

    segment_seconds: float = setting("Length near which a segment ends, at the next keyframe.", default=10.0, unit="s", bounds=(2, 60))
    pending_mib: int = setting("Memory for what a slow disk has not taken yet, for each stream.", default=12, unit="MiB", bounds=(1, 256))
    audio: bool = setting("Whether sound is recorded with the pictures.", default=True)
    stall_seconds: float = setting("Silence after which a camera counts as stalled.", default=5.0, unit="s", bounds=(1, 60))


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskSettings:
    """What becomes of the disk when it fills."""

    full_mib: int = setting("Free space below which new video is refused.", default=512, unit="MiB", bounds=(1, None))
    low_mib: int = setting("Free space below which the oldest receipted video is removed.", default=2048, unit="MiB", bounds=(1, None))
    ballast_mib: int = setting("Space held back so that the journal goes on on a full disk.", default=16, unit="MiB", bounds=(1, 1024))
    removes: bool = setting("Whether video that the hub stored and receipted is removed when space is needed.", default=True)
    journal_days: int = setting(
        "Days that records stay after a receipt with the witnesses' quorum.", default=90, unit="days", bounds=(1, 3650)
    )

    def __post_init__(self) -> None:
        if self.low_mib <= self.full_mib:
            raise MalformedError(f"expected more than disk.full_mib ({self.full_mib}), got {self.low_mib}", where="low_mib")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySettings:
    """Where the box's identity key is, and what its seals are counted by."""

    identity: str = setting(
        "`file` (in the state folder), or a key in a token: `pkcs11:...` (RFC 7512, PIN by pin-source).", default="file"
    )
    counter: str = setting("Counter outside the box's disk that each seal takes a value of, file:/path; empty: none.", default="")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSettings:
    """How the box speaks with the hub. Addresses come from enrolment unless given here."""

    transport: Literal["auto", "mqtt", "https"] = setting("Carrier of records; `auto`: MQTT when the hub names a broker.", default="auto")
    device_url: str = setting("The hub's device port, https://host:port.", default="")
    mqtt_url: str = setting("The broker, mqtts://host:port.", default="")
    uploads: int = setting("Segments uploaded at the same time.", default=2, bounds=(1, 16))
    renew_percent: int = setting("Share of its life after which the TLS certificate is renewed.", default=66, unit="%", bounds=(1, 95))


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorSettings:
    """The box's small server: recorders publish here, and its page shows how it does."""

    host: str = setting("Address to listen on.", default="127.0.0.1")
    port: int = setting("Port to listen on; 0: any free one.", default=8080, bounds=(0, 65535))
    certificate: Path | None = setting("Certificate chain in PEM; without it the door speaks plain HTTP.", default=None)
    key: Path | None = setting("Private key of the certificate in PEM.", default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveSettings:
    """Live pictures to the hub and from recorders."""

    enabled: bool = setting("Whether the box publishes to the hub while somebody watches.", default=True)
    first_port: int = setting("First UDP port for media; 0: any.", default=0, bounds=(0, 65535))
    last_port: int = setting("Last UDP port for media; 0: any.", default=0, bounds=(0, 65535))
    hosts: tuple[str, ...] = setting("Addresses offered to peers; empty: all of this machine.", default=())
    turn_url: str = setting("TURN server, if peers cannot be reached directly.", default="")
    turn_username: str = setting("Login at the TURN server.", default="")
    turn_password: str = setting("Password at the TURN server.", default="", secret=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraSettings:
    """A camera that the box pulls by RTSP."""

    source: SourceId = setting("Name of the camera at this box.")
    url: str = setting("Its stream, rtsp://host:port/path.")
    username: str = setting("Login at the camera.", default="")
    password: str = setting("Password at the camera.", default="", secret=True)
    allows_basic: bool = setting("Whether a camera that knows nothing better gets the password in clear (RFC 7617).", default=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecorderSettings:
    """A recorder that publishes to the box by WHIP."""

    source: SourceId = setting("Name of the recorder at this box.")
    token_sha256: str = setting("SHA-256 of its token, in hex.")


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeSettings:
    """All settings of a box."""

    state: Path = setting("Folder of keys, journal and video.")
    log_level: Literal["debug", "info", "warning", "error"] = setting("What is logged.", default="info")
    capture: CaptureSettings = setting("How streams are cut and held.", default=CaptureSettings())
    disk: DiskSettings = setting("What becomes of the disk when it fills.", default=DiskSettings())
    keys: KeySettings = setting("Where the identity key is.", default=KeySettings())
    hub: HubSettings = setting("How the box speaks with the hub.", default=HubSettings())
    live: LiveSettings = setting("Live pictures.", default=LiveSettings())
    door: DoorSettings | None = setting("The box's small server; without the table there is none.", default=None)
    cameras: tuple[CameraSettings, ...] = setting("The cameras.", default=())
    recorders: tuple[RecorderSettings, ...] = setting("The recorders.", default=())

    def __post_init__(self) -> None:
        names = [each.source for each in self.cameras] + [each.source for each in self.recorders]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise MalformedError(f"source {twice!r} is named twice", where="cameras")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What enrolment wrote beside the keys: who this box is and where its hub is."""

    box: BoxId
    site: SiteId
    device_url: str
    mqtt_url: str | None

    @classmethod
    def load(cls, path: Path) -> "Enrolled":
        """Read `box.json`; raise StorageError when there is none, MalformedError when it is wrong."""
        try:
            fields = json.loads(_read_text(path))
        except ValueError as error:
            raise MalformedError("not JSON", where=str(path)) from error
        if not isinstance(fields, dict):
            raise MalformedError("not an object", where=str(path))
        texts = [fields.get(name) for name in ("box", "site", "hub_device_url")]
        mqtt = fields.get("hub_mqtt_url")
        if not all(isinstance(text, str) for text in texts) or not isinstance(mqtt, str | None):
            raise MalformedError("expected box, site and hub_device_url as text", where=str(path))
        box, site, url = (str(text) for text in texts)
        return cls(BoxId(box), SiteId(site), url, mqtt or None)


def load(path: Path, environ: Mapping[str, str] | None = None) -> EdgeSettings:
    """Read the settings file; raise StorageError when it cannot be read, MalformedError naming file, line and key."""
    found = os.environ if environ is None else environ
    return read(EdgeSettings, _read_text(path), file=str(path), environ=found, prefix=PREFIX, read_secret=_read_secret)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StorageError(f"cannot read: {error.strerror}", where=str(path)) from error
    if len(data) > MAX_FILE_BYTES:
        raise MalformedError(f"more than {MAX_FILE_BYTES} bytes", where=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("not UTF-8", where=str(path)) from error


def _read_secret(path: str) -> str:
    return _read_text(Path(path))
