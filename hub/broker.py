"""Run mosquitto as a child of the hub, with a configuration made from the settings.

Guarantees: boxes come in by mutual TLS only, and each may use its own topics only: the certificate's name is user name and
client id; the hub's own way in is on 127.0.0.1 with a generated password; nobody is let in without a name. What the site CA's
list of revoked certificates (`crl.pem` in the key folder) names is refused, and thrown out when it is in. A broker that ends is
started again; one that a killed hub left behind is ended first. Without the program the HTTPS transport serves, said once.
"""

import asyncio
import base64
import hashlib
import logging
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from hub.config import HubSettings
from protocol.certificates import check_crl, parse_pem
from protocol.errors import PortwitnessError, StorageError, UnavailableError
from protocol.instants import Clock
from protocol.topics import FROM_BOX, TO_BOX
from storage.logs import write_whole

_LOG = logging.getLogger(__name__)
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # not on the path of ordinary users
USER = "hub"
RESTART_S = 1.0
LOOK_S = 1.0  # for a new list of revoked certificates
CRL = "crl.pem"
START_S = 10.0
_ITERATIONS = 101  # mosquitto's own; the password is random and 256 bits long
_PACKET_BYTES = 1_100_000  # a message of ours and its MQTT header


@dataclass(slots=True)
class Broker:
    """The child. Use as an async context manager; `url` is the hub's own way in, None when there is no broker."""

    settings: HubSettings
    clock: Clock
    url: str | None = None
    state: str = "stopped"
    _program: str = ""
    _local_port: int = 0
    _child: asyncio.subprocess.Process | None = None
    _task: asyncio.Task[None] | None = None
    _crl_stamp: int | None = None
    _secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    async def __aenter__(self) -> "Broker":
        found = shutil.which(self.settings.mqtt.program, path=":".join((*os.get_exec_path(), *FOLDERS)))
        if found is None:
            self.state = f"{self.settings.mqtt.program} is not installed; boxes use the HTTPS transport"
            _LOG.warning("broker: %s", self.state)
            return self
        self._program = found
        await asyncio.to_thread(self._prepare)
        self._task = asyncio.create_task(self._run(), name="broker")
        self.url = f"mqtt://{USER}:{self._secret}@127.0.0.1:{self._local_port}"
        await self._wait_listening()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        child = self._child
        if child is not None and child.returncode is None:
            child.terminate()
            await child.wait()
        await asyncio.to_thread((self._folder / "pid").unlink, missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.settings.port.state.absolute() / "broker"

    def _prepare(self) -> None:
        """End what a killed hub left behind, and write the configuration, so that a fault of it is told at the start."""
        end_leftover(self._folder)
        self._local_port = self.settings.mqtt.local_port or _free_port()
        self._drop_stale_crl()
        self._take_crl()
        self._configure()

    def _configure(self) -> None:
        folder = self._folder
        for name, text in configuration(self.settings, self._local_port, self._secret).items():
            write_whole(folder / name, text.encode())
            (folder / name).chmod(0o600)

    def _check_crl(self, pem: bytes) -> int:
        """Give how many certificates a list names; raise when this site's CA did not sign it."""
        return len(check_crl(pem, parse_pem(_authorities(self.settings).read_bytes()), self.clock.now().wall_ns))

    def _drop_stale_crl(self) -> None:
        """Remove the list taken up before when it is of another site CA: with it nobody would come in."""
        kept = self._folder / CRL
        try:
            self._check_crl(kept.read_bytes())
        except FileNotFoundError:
            return
        except (PortwitnessError, OSError) as error:
            _LOG.error("broker: the list of revoked certificates of before is dropped: %s", error)
            kept.unlink(missing_ok=True)

    def _take_crl(self) -> bool:
        """Take the list of revoked certificates if it is another and the site CA signed it; with a wrong one nobody would come in."""
        path = self.settings.keys / CRL
        stamp = _stamp(path)
        if stamp in (None, self._crl_stamp):
            return False
        self._crl_stamp = stamp
        try:
            pem = path.read_bytes()
            count = self._check_crl(pem)
            write_whole(self._folder / CRL, pem)
            self._configure()
        except (PortwitnessError, OSError) as error:
            _LOG.error("broker: %s is not taken up, the list before stays: %s", path, error)
            return False
        _LOG.info("broker: %d certificates are revoked", count)
        return True

    async def _watch(self, child: asyncio.subprocess.Process) -> bool:
        """Wait for the child's end; end it when there is another list of revoked certificates. Tell whether we did.

        Mosquitto reads the list at its start only, and whoever is in would stay in.
        """
        ended = asyncio.ensure_future(child.wait())
        try:
            while not ended.done():
                await asyncio.wait((ended,), timeout=LOOK_S)
                if not ended.done() and await asyncio.to_thread(self._take_crl):
                    child.terminate()
                    await ended
                    return True
        finally:
            ended.cancel()
        return False

    async def _run(self) -> None:
        while True:
            with (self._folder / "mosquitto.log").open("wb") as log:
                self._child = await asyncio.create_subprocess_exec(
                    self._program, "-c", str(self._folder / "mosquitto.conf"), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
                )
            (self._folder / "pid").write_text(str(self._child.pid))
            self.state = "running"
            if await self._watch(self._child):
                self.state = "starts anew with another list of revoked certificates"
                continue
            self.state = f"ended with {self._child.returncode}: {self._last_words()}"
            _LOG.error("broker: %s", self.state)
            await asyncio.sleep(RESTART_S)

    def _last_words(self) -> str:
        lines = (self._folder / "mosquitto.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def _wait_listening(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                while not await _listens(self._local_port):  # noqa: ASYNC110 - a child has no event to wait for
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise UnavailableError(f"does not listen after {START_S:.0f} s: {self.state}", where="broker") from None


def configuration(settings: HubSettings, local_port: int, secret: str) -> dict[str, str]:
    """Give the files that mosquitto reads, by name."""
    folder, mqtt = settings.port.state.absolute() / "broker", settings.mqtt
    site, keys = settings.port.site, settings.keys.absolute()
    topics = f"v1/{site}/%u/"
    boxes = [f"pattern write {topics}{channel}" for channel in FROM_BOX] + [f"pattern read {topics}{channel}" for channel in TO_BOX]
    own = [f"user {USER}"]
    revoked = [f"crlfile {folder / CRL}"] if (folder / CRL).is_file() else []
    own += [f"topic read v1/{site}/+/{channel}" for channel in FROM_BOX] + [f"topic write v1/{site}/+/{channel}" for channel in TO_BOX]
    lines = [
        "per_listener_settings true",
        "persistence false",  # honest: the boxes' outboxes are the persistence
        f"user {pwd.getpwuid(os.geteuid()).pw_name}",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "set_tcp_nodelay true",  # a TLS handshake costs 44 ms otherwise
        "max_inflight_messages 0",
        "max_queued_messages 5000",
        f"max_packet_size {_PACKET_BYTES}",
        "max_keepalive 60",
        "",
        f"listener {mqtt.port} {mqtt.host}",
        f"cafile {_authorities(settings)}",
        *revoked,
        f"certfile {_first(keys, 'broker.pem', 'device.pem')}",
        f"keyfile {_first(keys, 'broker.key', 'device.key')}",
        "require_certificate true",
        "use_identity_as_username true",
        "use_username_as_clientid true",  # nobody can end another's session by taking its name
        "allow_anonymous false",
        f"acl_file {folder / 'boxes.acl'}",
        "",
        f"listener {local_port} 127.0.0.1",
        "allow_anonymous false",
        f"password_file {folder / 'passwords'}",
        f"acl_file {folder / 'hub.acl'}",
    ]
    password = f"{USER}:{_hashed(secret)}"
    files = {"mosquitto.conf": lines, "boxes.acl": boxes, "hub.acl": own, "passwords": [password]}
    return {name: "\n".join(text) + "\n" for name, text in files.items()}


def _authorities(settings: HubSettings) -> Path:
    return settings.device.authorities or settings.keys.absolute() / "site.pem"


def _stamp(path: Path) -> int | None:
    """Give when a file last changed; None when there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise StorageError(f"is not there: make it with portwitness-ca server ({' or '.join(names)})", where=str(folder / names[0]))


def _hashed(secret: str) -> str:
    """Give a password as mosquitto 2 keeps it: PBKDF2 with SHA-512."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def end_leftover(folder: Path) -> None:
    """End the broker that a killed hub left behind, if it is still the one that read our configuration."""
    try:
        pid = int((folder / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return
    if str(folder / "mosquitto.conf").encode() not in command:
        return
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait_ended(handle)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _wait_ended(handle: int) -> None:
    ready, _, _ = select.select([handle], [], [], START_S)
    if not ready:
        raise UnavailableError("a broker left behind does not end", where="broker")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
