"""The generated broker configuration, with a real mosquitto: who may come in, and what they may do."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.bus import Bus
from edge.courier import HubAddress
from hub.app import Hub
from hub.config import MqttSettings
from protocol.certificates import encode_pem, issue_crl, issue_port, parse_pem
from protocol.errors import UnavailableError
from protocol.identifiers import BoxId
from protocol.messages import BoxReport, Persisted, Receipt, decode, encode
from protocol.signatures import P256Signer
from storage.clock import SystemClock
from storage.keys import PRIVATE, create_p256, replace_whole
from tests.hub_parts import SITE, SiteCa, TestBox, enrol, log_signer, running_hub, settings_for

pytestmark = pytest.mark.broker
DEADLINE_S = 60.0
NOT_AUTHORIZED = 0x87


@dataclass
class Place:
    hub: Hub
    ca: SiteCa
    folder: Path
    port: int

    def context(self, key: P256Signer | None, ca: SiteCa | None = None, box: str = "box-1") -> ssl.SSLContext:
        """Give a TLS context with a client certificate of `box` from `ca`, or with none."""
        context = ssl.create_default_context(cafile=str(self.folder / "keys" / "site.pem"))
        if key is not None:
            signing = ca or self.ca
            name = self.folder / f"{box}-{id(signing)}"
            if not name.with_suffix(".key").exists():
                key = create_p256(name.with_suffix(".key"))
                name.with_suffix(".pem").write_bytes(encode_pem([signing.box(BoxId(box), key, "client"), signing.ca]))
            context.load_cert_chain(name.with_suffix(".pem"), name.with_suffix(".key"))
        return context

    def client(self, context: ssl.SSLContext | None, name: str = "box-1", **more: Any) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", self.port, identifier=name, tls_context=context, protocol=aiomqtt.ProtocolVersion.V5, timeout=5, **more
        )


@pytest.fixture
async def place(mosquitto: Path, free_port: int, tmp_path: Path) -> AsyncIterator[Place]:
    ca, keys = SiteCa(), tmp_path / "keys"
    keys.mkdir()
    key = create_p256(keys / "broker.key")
    (keys / "broker.pem").write_bytes(encode_pem([issue_port(key.public, "hub-1", ("127.0.0.1",), ca.authority, ca._validity()), ca.ca]))
    (keys / "site.pem").write_bytes(encode_pem([ca.ca, ca.root]))
    mqtt = MqttSettings(broker="spawn", port=free_port, program=str(mosquitto))
    async with running_hub(settings_for(tmp_path, mqtt=mqtt), log_signer()) as hub:
        yield Place(hub, ca, tmp_path, free_port)


def own_key() -> P256Signer:
    return P256Signer.of(ec.generate_private_key(ec.SECP256R1()))


@asynccontextmanager
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(DEADLINE_S):
        yield


def topic(channel: str, box: str = "box-1") -> str:
    return f"v1/{SITE}/{box}/{channel}"


async def test_a_box_sends_records_and_gets_its_receipts(place: Place) -> None:
    box = TestBox()
    await enrol(place.hub, box, place.ca)
    box.boot()
    box.seal()
    async with deadline(), place.client(place.context(own_key())) as client:
        await client.subscribe(topic("ack"), qos=1)
        await wait_for_hub(place.hub)
        await client.publish(topic("journal"), encode(box.batch()), qos=1)
        got: dict[type[Any], Any] = {}
        async for message in client.messages:
            said = decode(payload_of(message))
            got[type(said)] = said
            if isinstance(said, Receipt):
                break
    assert got[Persisted].size == 3
    assert box.check(got[Receipt], place.hub) == 2


def payload_of(message: aiomqtt.Message) -> bytes:
    data: Any = message.payload
    assert isinstance(data, bytes)
    return data


async def wait_for_hub(hub: Hub) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while hub.bus is None or not hub.bus.is_up:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_another_box_s_topics_are_refused(place: Place) -> None:
    async with deadline(), place.client(place.context(own_key())) as client:
        with pytest.raises(aiomqtt.MqttCodeError) as refused:
            await publish_checked(client, topic("journal", "box-2"), b"x")
        assert refused.value.rc == NOT_AUTHORIZED
        for name in (topic("ack"), topic("cmd"), f"v1/{SITE}/#"):
            with pytest.raises(aiomqtt.MqttCodeError):
                await publish_checked(client, name.replace("#", "x"), b"x")


def _settle(done: asyncio.Future[Any], code: Any) -> None:
    if not done.done():
        done.set_result(code)


async def publish_checked(client: aiomqtt.Client, name: str, payload: bytes) -> None:
    """Publish with QoS 1 and raise the broker's reason, which the client library keeps to itself."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    before: Any = client._client.on_publish

    def confirmed(inner: Any, data: Any, mid: int, code: Any, properties: Any) -> None:
        if before is not None:
            before(inner, data, mid, code, properties)
        loop.call_soon_threadsafe(lambda: _settle(done, code))

    client._client.on_publish = confirmed
    await client.publish(name, payload, qos=1)
    code = await asyncio.wait_for(done, 5)
    if code.value >= 0x80:
        raise aiomqtt.MqttCodeError(code.value)


async def test_what_the_hub_says_to_one_box_no_other_hears(place: Place) -> None:
    await wait_for_hub(place.hub)
    async with deadline(), place.client(place.context(own_key(), box="box-2"), "box-2") as other:
        await other.subscribe(f"v1/{SITE}/+/ack", qos=1)
        await other.subscribe(topic("state"), qos=1)
        await other.subscribe(topic("ack", "box-2"), qos=1)
        box, two = TestBox(), TestBox(box=BoxId("box-2"))
        for each in (box, two):
            await enrol(place.hub, each, place.ca)
            each.boot()
        async with place.client(place.context(own_key())) as client:
            await client.publish(topic("journal"), encode(box.batch()), qos=1)
        await other.publish(topic("journal", "box-2"), encode(two.batch()), qos=1)
        async for message in other.messages:
            assert str(message.topic) == topic("ack", "box-2")
            if isinstance(decode(payload_of(message)), Persisted):
                break


async def refused_by_tls(place: Place, context: ssl.SSLContext) -> str:
    """Connect and read: with TLS 1.3 a server's refusal is seen at the first read. Give what it said."""
    async with deadline():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context)
            try:
                assert await reader.read(1) == b""
            finally:
                writer.close()
        except (ssl.SSLError, OSError) as error:
            return str(error)
    return "closed"


async def test_nobody_comes_in_without_a_certificate(place: Place) -> None:
    assert "CERTIFICATE_REQUIRED" in (await refused_by_tls(place, place.context(None))).upper().replace(" ", "_")


async def test_a_certificate_of_another_authority_is_refused(place: Place) -> None:
    assert "UNKNOWN_CA" in (await refused_by_tls(place, place.context(own_key(), SiteCa()))).upper().replace(" ", "_")


async def test_the_local_way_in_wants_the_password(place: Place) -> None:
    text = (place.folder / "broker" / "mosquitto.conf").read_text()
    local = int(next(line.split()[1] for line in text.splitlines() if line.endswith("127.0.0.1") and str(place.port) not in line))
    assert "allow_anonymous true" not in text
    for login in ({}, {"username": "hub", "password": "guess"}):
        with pytest.raises(aiomqtt.MqttError):
            async with deadline(), aiomqtt.Client("127.0.0.1", local, timeout=5, **login):  # type: ignore[arg-type]
                pass


async def test_a_box_that_is_not_enrolled_is_named_in_an_alarm(place: Place) -> None:
    await wait_for_hub(place.hub)
    box = TestBox()
    box.boot()
    async with deadline(), place.hub.events.subscribe() as events, place.client(place.context(own_key())) as client:
        await client.publish(topic("journal"), encode(box.batch()), qos=1)
        async for event in events:
            if event["event"] == "alarm":
                break
    assert any(alarm.kind == "message refused" and "not enrolled" in alarm.detail for alarm in await place.hub.alarms.list())


async def test_a_killed_broker_comes_back_and_serves_again(place: Place) -> None:
    await wait_for_hub(place.hub)
    box = TestBox()
    await enrol(place.hub, box, place.ca)
    box.boot()
    pid = int((place.folder / "broker" / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    async with deadline():
        while (place.folder / "broker" / "pid").read_text() == str(pid) or place.hub.bus is None or not place.hub.bus.is_up:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        async with place.client(place.context(own_key())) as client:
            await client.subscribe(topic("ack"), qos=1)
            await client.publish(topic("journal"), encode(box.batch()), qos=1)
            async for message in client.messages:
                if isinstance(said := decode(payload_of(message)), Persisted):
                    assert (said.epoch, said.size) == (box.epoch, len(box.written))
                    break
    assert (place.folder / "broker" / "pid").read_text() != str(pid)


async def test_a_report_makes_a_box_known_and_its_will_ends_that(place: Place) -> None:
    await wait_for_hub(place.hub)
    box = TestBox()
    await enrol(place.hub, box, place.ca)
    facts = {"box": "box-1", "epoch": 1, "wall_ns": 1, "mono_ns": 1, "sync": "synced", "software": "0", "transport": "mqtt"}
    numbers = dict.fromkeys(("journal_size", "unsent_records", "unsent_blobs", "unsent_bytes", "unreceipted", "free_bytes"), 0)
    report = BoxReport(**facts, **numbers, disk="ok", sources=())  # type: ignore[arg-type]
    gone = BoxReport(**facts, **numbers, disk="ok", sources=(), online=False)  # type: ignore[arg-type]
    async with deadline(), place.hub.events.subscribe() as events, place.client(place.context(own_key())) as client:
        for said, online in ((report, True), (gone, False)):
            await client.publish(topic("state"), encode(said), qos=1, retain=True)
            async for event in events:
                if event["event"] == "device" and event["online"] is online:
                    break
            assert [device.online for device in await place.hub.devices.list()] == [online]


def revoke(place: Place, box: str, ca: SiteCa | None = None) -> None:
    """Put a list of revoked certificates that names a box's into the hub's key folder, as portwitness-ca does."""
    signing = ca or place.ca
    (certificate, *_) = parse_pem((place.folder / f"{box}-{id(place.ca)}.pem").read_bytes())
    now = SystemClock().now().wall_ns
    replace_whole(place.folder / "keys" / "crl.pem", issue_crl(signing.authority, {certificate.x509.serial_number: now}, 1, now))


def pid_of(place: Place) -> str:
    return (place.folder / "broker" / "pid").read_text()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_revoked_box_is_thrown_out_and_stays_out(place: Place) -> None:
    await wait_for_hub(place.hub)
    revoked, other = place.context(own_key()), place.context(own_key(), box="box-2")
    async with deadline():
        with pytest.raises(aiomqtt.MqttError):
            async with place.client(revoked) as client:
                await client.subscribe(topic("ack"), qos=1)
                revoke(place, "box-1")
                await anext(client.messages)
    async with deadline():
        while "CONNECT_CALL_FAILED" in (said := (await refused_by_tls(place, revoked)).upper().replace(" ", "_")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # the broker starts again with the list
    assert "CERTIFICATE_REVOKED" in said
    await until(lambda: place.hub.bus is not None and place.hub.bus.is_up)
    async with deadline(), place.client(other, "box-2") as client:
        await client.subscribe(topic("ack", "box-2"), qos=1)
    for suffix in (".key", ".pem"):  # enrolled anew under the same name
        (place.folder / f"box-1-{id(place.ca)}").with_suffix(suffix).unlink()
    async with deadline(), place.client(place.context(own_key())) as client:
        await client.subscribe(topic("ack"), qos=1)


async def test_a_list_by_a_stranger_shuts_nobody_out(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    await wait_for_hub(place.hub)
    context, pid = place.context(own_key()), pid_of(place)
    revoke(place, "box-1", SiteCa())
    await until(lambda: "is not taken up" in caplog.text)
    assert "not signed by an authority of this site" in caplog.text
    async with deadline(), place.client(context) as client:
        await client.subscribe(topic("ack"), qos=1)
    assert pid_of(place) == pid


async def test_a_box_with_a_renewed_certificate_connects_anew_and_loses_nothing(place: Place) -> None:
    await wait_for_hub(place.hub)
    box = TestBox()
    await enrol(place.hub, box, place.ca)
    box.boot()
    for _ in range(40):
        box.heartbeat()
    place.context(own_key())
    old = place.folder / f"box-1-{id(place.ca)}"
    pair, chain = place.folder / "tls.pem", place.folder / "keys" / "site.pem"
    replace_whole(pair, old.with_suffix(".key").read_bytes() + old.with_suffix(".pem").read_bytes(), PRIVATE)
    held: list[int] = []

    def inbox(data: bytes) -> None:
        said = decode(data)
        if isinstance(said, Persisted):
            held.append(said.size)

    bus = Bus(SITE, BoxId("box-1"), HubAddress(f"mqtts://127.0.0.1:{place.port}", pair, pair, chain), lambda: b"offline")
    running = asyncio.create_task(bus.run(inbox))
    try:
        await until(lambda: bus.is_up)
        for batch in box.batches(4):
            if batch.first == 20:
                new = create_p256(place.folder / "new.key")
                certificate = place.ca.box(BoxId("box-1"), new, "client")
                key = (place.folder / "new.key").read_bytes()
                replace_whole(pair, key + encode_pem([certificate, place.ca.ca]), PRIVATE)
                bus.refresh()
                revoke(place, "box-1")  # the old one is good for nothing now
            await deliver(bus, encode(batch))
        await until(lambda: bool(held) and max(held) == len(box.written))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [head.size for head in await place.hub.journals.list()] == [len(box.written)]


async def deliver(bus: Bus, message: bytes) -> None:
    """Send until the broker has it and a hub listens, as the outbox of a box does."""
    async with deadline():
        while True:
            try:
                await bus.send("journal", message)
                return
            except UnavailableError:
                await asyncio.sleep(0.05)
