"""Be a time authority (RFC 3161) over HTTP, by the `openssl ts` of this machine; refuse, lie or stay silent when told to.

Guarantees: keys are made anew in the folder given, the root is `root.pem`; the authority's certificate is issued by the root and
good for time-stamping alone, so that every known verifier takes its tokens. Answers are OpenSSL's own.
"""

import argparse
import asyncio
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import h11
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from protocol import timestamps
from protocol.errors import UnavailableError
from protocol.instants import SECOND_NS
from storage.clock import SystemClock

MAX_REQUEST_BYTES = 4096
OPENSSL_S = 10.0
YEARS = 10
Mood = Literal["honest", "silent", "refusing", "garbled", "other bytes"]
MOODS: tuple[Mood, ...] = ("honest", "silent", "refusing", "garbled", "other bytes")
_KINDS = "application/timestamp-query", "application/timestamp-reply"
_SETTINGS = """[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
signer_cert = {folder}/authority.pem
signer_key = {folder}/authority.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.4146.2.3
digests = sha256, sha384, sha512
accuracy = millisecs:500
ess_cert_id_alg = sha256
ordering = no
tsa_name = no
"""


def make_keys(folder: Path) -> None:
    """Make root and authority in a folder, where there are none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "authority.pem").exists():
        return
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("Simulated time root"), _name("Simulated time authority")
    root = _build(root_name, root_name, root_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = _build(name, root_name, key.public_key()).add_extension(only, critical=True)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    (folder / "root.pem").write_bytes(root.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    (folder / "authority.pem").write_bytes(leaf.sign(root_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "authority.key").touch(mode=0o600)
    (folder / "authority.key").write_bytes(secret)
    (folder / "serial").write_text("01\n")
    (folder / "openssl.cnf").write_text(_SETTINGS.format(folder=folder.absolute()))


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Portwitness simulators"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def _build(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.fromtimestamp(SystemClock().now().wall_ns // SECOND_NS, UTC)
    made = x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(key)
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
    made = made.not_valid_after(now + timedelta(days=365 * YEARS))
    return made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


async def answer(folder: Path, query: bytes) -> bytes:
    """Have OpenSSL answer a request; raise UnavailableError when it does not."""
    name = f"query-{id(query)}.tsq"
    await asyncio.to_thread((folder / name).write_bytes, query)
    command = ["openssl", "ts", "-reply", "-config", str(folder / "openssl.cnf"), "-queryfile", str(folder / name)]
    try:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        async with asyncio.timeout(OPENSSL_S):
            out, error = await process.communicate()
    except (OSError, TimeoutError) as failure:
        raise UnavailableError(f"openssl ts: {failure}", where="time authority") from failure
    finally:
        await asyncio.to_thread((folder / name).unlink, missing_ok=True)
    if process.returncode or not out:
        raise UnavailableError(f"openssl ts: {error.decode('utf-8', 'replace')[-300:]}", where="time authority")
    return out


@dataclass(slots=True)
class TimeAuthority:
    """The server on 127.0.0.1. Use as an async context manager; `mood` may change while it runs."""

    folder: Path
    port: int = 0
    mood: Mood = "honest"
    answered: int = 0
    _server: asyncio.Server | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # OpenSSL keeps its serial number in a file

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(make_keys, self.folder)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Give its address."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def root(self) -> Path:
        """Give the file of its root certificate."""
        return self.folder / "root.pem"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            body = await _read(connection, reader)
            status, data = await self._answer(body)
            headers = [("Content-Type", _KINDS[1]), ("Content-Length", str(len(data))), ("Connection", "close")]
            for event in (h11.Response(status_code=status, headers=headers), h11.Data(data), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
        except (OSError, h11.ProtocolError, EOFError):
            pass  # the caller went away or does not speak HTTP: nothing to answer
        finally:
            writer.close()

    async def _answer(self, body: bytes) -> tuple[int, bytes]:
        if self.mood == "silent":
            return 503, b""
        if self.mood == "refusing":
            return 200, bytes.fromhex("30053003020102")  # status 2: rejection
        if self.mood == "garbled":
            return 200, b"\x30\x84\xff\xff\xff\xff" + bytes(40)
        async with self._turn:
            data = await answer(self.folder, timestamps.request(b"something else") if self.mood == "other bytes" else body)
        self.answered += 1
        return 200, data


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_REQUEST_BYTES:
                raise EOFError
        elif isinstance(event, h11.EndOfMessage):
            return bytes(body)
        elif not isinstance(event, h11.Request):
            raise EOFError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--folder", type=Path, default=Path("time-authority"), help="where keys are kept (default: ./time-authority)")
    parser.add_argument("--port", type=int, default=3318, help="TCP port on 127.0.0.1; 0 takes a free one (default: 3318)")
    parser.add_argument("--mood", choices=MOODS, default="honest", help="how to answer (default: honest)")
    parser.epilog = "example:\n  portwitness-sim time-authority --folder /tmp/tsa --port 3318"


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    asyncio.run(_run(TimeAuthority(args.folder, args.port, args.mood)))
    return 0


async def _run(authority: TimeAuthority) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with authority:
        print(f"time authority at {authority.url}, root {authority.root}", flush=True)  # noqa: T201 - what the command says
        await ended.wait()
