"""The device port as boxes meet it: mutual TLS on a real socket, each box for itself only, bounds, blobs in pieces."""

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hub.app import Hub
from protocol import canonical, messages
from protocol.certificates import encode_pem, issue_port
from protocol.errors import RefusedError, StorageError
from protocol.identifiers import BoxId, HubId
from protocol.messages import JournalBatch, Persisted, StoredBlobs
from protocol.signatures import P256Signer
from protocol.topics import PATH_BLOBS, PATH_JOURNAL, PATH_MAIL, PATH_WHIP
from storage.database import insert_new
from storage.schema import tls_certificates
from tests.hub_parts import BOX, SiteCa, TestBox, enrol, log_signer, running_hub, settings_for
from web.device_routes import DeviceRoutes
from web.serving import Listener, ServerKeys, check_listener, serve

OTHER = BoxId("box-2")
LARGEST = 6_000_000


@dataclass
class Port:
    hub: Hub
    authority: SiteCa
    folder: Path
    url: str = ""
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def key_files(self, name: str, certificates: bytes, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificates)
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return paths

    async def box(self, name: BoxId, authority: SiteCa | None = None, *, issued: bool = True) -> httpx.AsyncClient:
        """Give a client with a fresh TLS certificate of a box, known to the hub if `issued`."""
        made = authority or self.authority
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = made.box(name, P256Signer.of(key), "client")
        if issued:
            until = certificate.not_after_ns
            row = {"fingerprint": bytes.fromhex(certificate.fingerprint), "box": name, "revoked": False, "since_ns": 0, "until_ns": until}
            await self.hub.core.database.write(lambda connection: connection.execute(insert_new(connection, tls_certificates), [row]))
        return self.client(self.key_files(f"{name}-{certificate.serial}", encode_pem([certificate, made.ca]), key))

    def client(self, keys: tuple[Path, Path] | None = None) -> httpx.AsyncClient:
        context = ssl.create_default_context(cadata=encode_pem([self.authority.ca, self.authority.root]).decode())
        if keys:
            context.load_cert_chain(keys[0], keys[1])
        self.clients.append(httpx.AsyncClient(base_url=self.url, verify=context, trust_env=False, timeout=30))
        return self.clients[-1]


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    async with running_hub(settings_for(tmp_path / "state"), log_signer()) as hub:
        made = Port(hub, SiteCa(), tmp_path)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_port(
            P256Signer.of(key).public, HubId("hub-1"), ["127.0.0.1"], made.authority.authority, made.authority._validity()
        )
        files = made.key_files("device", encode_pem([certificate, made.authority.ca]), key)
        clients = tmp_path / "site.pem"
        clients.write_bytes(encode_pem([made.authority.ca]))
        closing = asyncio.Event()
        listener = Listener("device port", "127.0.0.1", 0, ServerKeys(*files, clients))
        serving = await serve(DeviceRoutes(hub, closing, LARGEST).app(), listener)
        made.url = serving.url
        try:
            yield made
        finally:
            for client in made.clients:
                await client.aclose()
            closing.set()
            await serving.stop()


def journal(box: TestBox) -> bytes:
    return messages.encode(box.batch())


async def booted(port: Port, name: BoxId = BOX) -> TestBox:
    box = TestBox(name)
    await enrol(port.hub, box, port.authority)
    box.boot()
    return box


async def test_a_journal_is_taken_and_what_waits_comes_by_mail(port: Port) -> None:
    client, box = await port.box(BOX), await booted(port)
    answer = await client.post(PATH_JOURNAL, content=journal(box))
    assert answer.status_code == 200, answer.text
    told = [messages.decode(data) for data in canonical.decode(answer.content)]
    told += [messages.decode(data) for data in canonical.decode((await client.get(PATH_MAIL, params={"wait": 1})).content)]
    assert Persisted(BOX, 1, 2) in told


async def test_a_box_speaks_for_itself_only(port: Port) -> None:
    await booted(port)
    other = await port.box(OTHER)
    answer = await other.post(PATH_JOURNAL, content=messages.encode(JournalBatch(BOX, 1, 0, (b"x",))))
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"]["kind"] == "forbidden"


async def test_strangers_do_not_get_past_the_handshake(port: Port) -> None:
    for client in (port.client(), await port.box(BOX, SiteCa(), issued=False)):
        with pytest.raises(httpx.TransportError):
            (await client.get(PATH_MAIL)).raise_for_status()


async def test_a_certificate_the_hub_never_saw_or_revoked_is_refused_by_name(port: Port) -> None:
    unseen = await port.box(BOX, issued=False)
    answer = await unseen.get(PATH_MAIL)
    assert (answer.status_code, answer.json()["error"]["what"]) == (403, "was not issued through this hub")
    assert BOX in answer.json()["error"]["where"]
    client = await port.box(BOX)
    assert (await client.get(PATH_MAIL)).status_code == 200
    await booted(port)
    await port.hub.enrolment.revoke(BOX, "stolen", "admin")
    answer = await client.get(PATH_MAIL)
    assert (answer.status_code, answer.json()["error"]["what"]) == (403, "was revoked")


async def test_a_certificate_for_records_opens_no_connection(port: Port) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = port.authority.box(BOX, P256Signer.of(key), "records")
    client = port.client(port.key_files("records", encode_pem([certificate, port.authority.ca]), key))
    with pytest.raises(httpx.TransportError):
        await client.get(PATH_MAIL)


async def test_blobs_are_named_by_hash_and_idempotent(port: Port) -> None:
    client, box = await port.box(BOX), await booted(port)
    data = os.urandom(5_000_000)
    name = hashlib.sha256(data).hexdigest()
    assert (await client.head(f"{PATH_BLOBS}/{name}")).status_code == 404
    early = await client.put(f"{PATH_BLOBS}/{name}", content=data)
    assert (early.status_code, messages.decode(early.content)) == (202, StoredBlobs(BOX, ()))
    assert (await client.head(f"{PATH_BLOBS}/{name}")).status_code == 202
    box.recording()
    box.segment(data=data)
    assert (await client.post(PATH_JOURNAL, content=journal(box))).status_code == 200
    again = await client.put(f"{PATH_BLOBS}/{name}", content=data)
    assert (again.status_code, messages.decode(again.content)) == (200, StoredBlobs(BOX, (bytes.fromhex(name),)))
    assert (await client.head(f"{PATH_BLOBS}/{name}")).status_code == 200


async def test_bad_blobs_are_refused_and_leave_the_connection_usable(port: Port) -> None:
    client = await port.box(BOX)
    data = os.urandom(1000)
    wrong = hashlib.sha256(b"other").hexdigest()
    mismatch = await client.put(f"{PATH_BLOBS}/{wrong}", content=data)
    assert (mismatch.status_code, mismatch.json()["error"]["kind"]) == (409, "verification")
    large = await client.put(f"{PATH_BLOBS}/{wrong}", content=bytes(LARGEST + 1))
    assert large.status_code == 413
    assert (await client.put(f"{PATH_BLOBS}/xyz", content=data)).status_code == 400

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    unknown_length = await client.put(f"{PATH_BLOBS}/{wrong}", content=pieces())
    assert (unknown_length.status_code, unknown_length.json()["error"]["what"]) == (400, "Content-Length is needed")
    good = hashlib.sha256(data).hexdigest()
    assert (await client.put(f"{PATH_BLOBS}/{good}", content=data)).status_code == 202


async def test_an_upload_cut_short_leaves_nothing(port: Port) -> None:
    client = await port.box(BOX)
    data = os.urandom(2_000_000)
    name = hashlib.sha256(data).hexdigest()

    async def cut() -> AsyncIterator[bytes]:
        yield data[:1_500_000]
        raise ConnectionError("the cable was pulled")

    with pytest.raises(ConnectionError):
        await client.put(f"{PATH_BLOBS}/{name}", content=cut(), headers={"content-length": str(len(data))})
    assert (await client.head(f"{PATH_BLOBS}/{name}")).status_code == 404
    assert (await client.put(f"{PATH_BLOBS}/{name}", content=data)).status_code == 202


async def test_nonsense_is_named(port: Port) -> None:
    client = await port.box(BOX)
    for body, status in ((b"nonsense", 400), (bytes(messages.MAX_MESSAGE_BYTES + 1), 413)):
        answer = await client.post(PATH_JOURNAL, content=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (status, "malformed")
    assert (await client.get(PATH_MAIL, params={"wait": "long"})).status_code == 400
    assert (await client.post(f"{PATH_WHIP}/cam-1", content=b"v=0")).status_code == 400
    assert (await client.get("/api/v1/tasks")).status_code == 404


def test_no_port_speaks_plain_http_to_a_network(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"will not listen on 0\.0\.0\.0 without TLS"):
        check_listener(Listener("browser port", "0.0.0.0", 8080, None))
    check_listener(Listener("browser port", "127.0.0.1", 8080, None))


async def test_keys_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    keys = ServerKeys(tmp_path / "none.pem", tmp_path / "none.key", tmp_path / "site.pem")
    with pytest.raises(StorageError, match=r"none\.pem"):
        await serve(lambda scope, receive, send: asyncio.sleep(0), Listener("device port", "127.0.0.1", 0, keys))
