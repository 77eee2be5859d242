"""The two carriers against real servers: mutual TLS, answers, faults; a broker that dies."""

import asyncio
import hashlib
import http.server
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from edge.bus import Bus
from edge.courier import Courier, HubAddress
from protocol import canonical, messages
from protocol.certificates import encode_pem, issue_port
from protocol.errors import ForbiddenError, MalformedError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import BoxId
from protocol.messages import JournalBatch, Persisted, StoredBlobs
from storage.keys import create_p256
from tests.edge_parts import BOX
from tests.hub_parts import SITE, SiteCa

LIMIT_S = 60


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110 - what is waited for happens in another program
            await asyncio.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make the keys of a box, of a server and of a stranger."""
    ca, other = SiteCa(), SiteCa()
    for name, authority in (("tls", ca), ("stranger", other)):
        key = create_p256(tmp_path / f"{name}.key")
        (tmp_path / f"{name}.pem").write_bytes(encode_pem([authority.box(BoxId(BOX), key, "client"), authority.ca]))
    key = create_p256(tmp_path / "server.key")
    (tmp_path / "server.pem").write_bytes(
        encode_pem([issue_port(key.public, "hub-1", ("127.0.0.1",), ca.authority, ca._validity()), ca.ca])
    )
    (tmp_path / "chain.pem").write_bytes(encode_pem([ca.ca, ca.root]))
    (tmp_path / "other.pem").write_bytes(encode_pem([other.ca, other.root]))
    return tmp_path


class Desk(http.server.ThreadingHTTPServer):
    """A device port that answers what a test says, and writes down what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.mail: list[bytes] = []
        self.got: list[bytes] = []
        self.blobs: dict[str, bytes] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of the desk."""

    protocol_version = "HTTP/1.1"
    server: Desk

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass

    def answer(self, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.send_response(self.server.status)
        for name, value in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"] or 0))

    def do_GET(self) -> None:
        mail, self.server.mail = self.server.mail, []
        self.answer(canonical.encode(mail))

    def do_POST(self) -> None:
        self.server.got.append(self.body())
        if self.headers["Content-Type"] == "application/sdp":
            self.answer(b"v=0 answer", (("Location", "/device/v1/whip/cam-1/7"),))
        else:
            self.answer(canonical.encode([messages.encode(Persisted(BOX, 0, 1))]))

    def do_PUT(self) -> None:
        data = self.body()
        name = self.path.rsplit("/", 1)[1]
        self.server.blobs[name] = data
        self.answer(messages.encode(StoredBlobs(BOX, (hashlib.sha256(data).digest(),))))

    def do_DELETE(self) -> None:
        self.server.got.append(self.path.encode())
        self.answer(b"")


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    server = Desk()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "chain.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(folder: Path, port: int, *, name: str = "tls", chain: str = "chain", scheme: str = "https") -> HubAddress:
    return HubAddress(f"{scheme}://127.0.0.1:{port}", folder / f"{name}.pem", folder / f"{name}.key", folder / f"{chain}.pem")


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[list[messages.Message]]:
    inbox: list[messages.Message] = []
    async with courier:
        task = asyncio.create_task(courier.run(lambda data: inbox.append(messages.decode(data))))
        yield inbox
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_mail_and_blobs_pass(desk: Desk, folder: Path) -> None:
    path = folder / "segment"
    path.write_bytes(bytes(range(256)) * 5000)
    digest = hashlib.sha256(path.read_bytes()).digest()
    async with running(Courier(address(folder, desk.server_port))) as inbox:
        courier = Courier(address(folder, desk.server_port))
        async with running(courier) as answers:
            await until(lambda: courier.is_up)
            desk.mail.append(messages.encode(Persisted(BOX, 0, 9)))
            batch = messages.encode(JournalBatch(BOX, 0, 0, (b"r",)))
            await courier.send("journal", batch)
            await until(lambda: Persisted(BOX, 0, 1) in answers and Persisted(BOX, 0, 9) in answers + inbox)
            stored = await courier.put(digest, path, path.stat().st_size)
            assert messages.decode(stored) == StoredBlobs(BOX, (digest,))
            assert await courier.offer("/device/v1/whip/cam-1", "v=0") == ("v=0 answer", "/device/v1/whip/cam-1/7")
            await courier.withdraw("/device/v1/whip/cam-1/7")
        assert desk.got == [batch, b"v=0", b"/device/v1/whip/cam-1/7"]
    assert desk.blobs == {digest.hex(): path.read_bytes()}


@pytest.mark.parametrize(
    ("status", "family"),
    [(403, ForbiddenError), (401, ForbiddenError), (409, RefusedError), (413, RefusedError), (400, RefusedError), (503, UnavailableError),
     (507, UnavailableError), (500, UnavailableError), (429, UnavailableError)],
)  # fmt: skip
async def test_what_a_hub_refuses_is_told_apart(desk: Desk, folder: Path, status: int, family: type[Exception]) -> None:
    path = folder / "segment"
    path.write_bytes(b"video")
    desk.status = status
    async with Courier(address(folder, desk.server_port)) as courier:
        with pytest.raises(family):
            await courier.put(b"h" * 32, path, 5)
        with pytest.raises(family):
            await courier.send("journal", b"x")
        desk.status = 200
        await courier.send("journal", b"y")


async def test_a_file_that_shrank_is_our_fault_and_harms_no_other(desk: Desk, folder: Path) -> None:
    path = folder / "segment"
    path.write_bytes(b"video")
    async with Courier(address(folder, desk.server_port), uploads=1) as courier:
        with pytest.raises(StorageError, match="too early"):
            await courier.put(b"h" * 32, path, 500)
        with pytest.raises(StorageError):
            await courier.put(b"h" * 32, folder / "missing", 5)
        await courier.put(hashlib.sha256(b"video").digest(), path, 5)
    assert hashlib.sha256(b"video").hexdigest() in desk.blobs


async def test_wrong_certificates_open_no_line(desk: Desk, folder: Path) -> None:
    async with Courier(address(folder, desk.server_port, chain="other")) as courier:  # the hub is not of our site
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            await courier.send("journal", b"x")
    async with Courier(address(folder, desk.server_port, name="stranger")) as courier:  # we are not of its site
        with pytest.raises(UnavailableError):
            await courier.send("journal", b"x")
    async with Courier(address(folder, desk.server_port, name="missing")) as courier:
        with pytest.raises(StorageError, match="TLS"):
            await courier.send("journal", b"x")
    assert desk.got == []


async def test_nobody_there_and_nonsense_are_unavailable(folder: Path, free_port: int) -> None:
    async with Courier(address(folder, free_port)) as courier:
        with pytest.raises(UnavailableError):
            await courier.send("journal", b"x")
    async with Courier(address(folder, free_port, scheme="http")) as courier:
        with pytest.raises(UnavailableError, match="not an https address"):
            await courier.send("journal", b"x")


async def test_an_answer_that_is_no_list_of_messages_is_malformed(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "do_POST", lambda self: (self.body(), self.answer(b"\x01")))
    async with Courier(address(folder, desk.server_port)) as courier:
        with pytest.raises(MalformedError):
            await courier.send("journal", b"x")


# ------------------------------------------------------------------------------------------------------------- MQTT


class Broker:
    """A mosquitto of one's own, that can be killed and come back."""

    def __init__(self, program: Path, folder: Path, port: int) -> None:
        self.port, self._program, self._config = port, program, folder / "broker.conf"
        self._config.write_text(
            f"listener {port} 127.0.0.1\ncafile {folder / 'chain.pem'}\ncertfile {folder / 'server.pem'}\nkeyfile {folder / 'server.key'}\n"
            "require_certificate true\nuse_identity_as_username true\nallow_anonymous false\npersistence false\nuser root\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen([self._program, "-c", self._config], stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def broker(mosquitto: Path, folder: Path, free_port: int) -> Iterator[Broker]:
    made = Broker(mosquitto, folder, free_port)
    made.start()
    yield made
    made.kill()


def hub_client(folder: Path, port: int) -> aiomqtt.Client:
    context = ssl.create_default_context(cafile=str(folder / "chain.pem"))
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    return aiomqtt.Client("127.0.0.1", port, identifier="hub", tls_context=context, protocol=aiomqtt.ProtocolVersion.V5, timeout=5)


def make_bus(folder: Path, port: int, name: str = "tls") -> Bus:
    return Bus(SITE, BOX, address(folder, port, name=name, scheme="mqtts"), lambda: b"offline")


@pytest.mark.broker
async def test_the_bus_keeps_order_and_comes_back_after_a_dead_broker(broker: Broker, folder: Path) -> None:
    bus, inbox = make_bus(folder, broker.port), list[bytes]()
    running_bus = asyncio.create_task(bus.run(inbox.append))
    try:
        await until(lambda: bus.is_up)
        async with hub_client(folder, broker.port) as hub:
            await hub.subscribe(f"v1/{SITE}/{BOX}/#", qos=1)
            for number in range(20):
                await bus.send("journal", f"{number}".encode())
            got = [(await anext(hub.messages)).payload for _ in range(20)]
            assert got == [f"{number}".encode() for number in range(20)]
            await hub.publish(f"v1/{SITE}/{BOX}/ack", b"ack", qos=1)
            await until(lambda: inbox == [b"ack"])
        broker.kill()
        await until(lambda: not bus.is_up)
        with pytest.raises(UnavailableError):
            await bus.send("journal", b"lost")
        broker.start()
        await until(lambda: bus.is_up)
        async with hub_client(folder, broker.port) as hub:
            await hub.subscribe(f"v1/{SITE}/{BOX}/#", qos=1)
            await bus.send("reply", b"again")
            assert (await anext(hub.messages)).payload == b"again"
            await hub.publish(f"v1/{SITE}/{BOX}/cmd", b"cmd", qos=1)
            await until(lambda: inbox == [b"ack", b"cmd"])
    finally:
        running_bus.cancel()
        await asyncio.gather(running_bus, return_exceptions=True)


@pytest.mark.broker
async def test_nobody_listening_is_no_delivery(broker: Broker, folder: Path) -> None:
    bus = make_bus(folder, broker.port)
    running_bus = asyncio.create_task(bus.run(lambda data: None))
    await until(lambda: bus.is_up)
    with pytest.raises(UnavailableError, match="no hub listens"):
        await bus.send("journal", b"x")
    running_bus.cancel()
    await asyncio.gather(running_bus, return_exceptions=True)


@pytest.mark.broker
async def test_a_strangers_certificate_opens_no_bus(broker: Broker, folder: Path) -> None:
    bus = make_bus(folder, broker.port, "stranger")
    running_bus = asyncio.create_task(bus.run(lambda data: None))
    await until(lambda: bool(bus.last_error))
    with pytest.raises(UnavailableError):
        await bus.send("journal", b"x")
    running_bus.cancel()
    await asyncio.gather(running_bus, return_exceptions=True)
