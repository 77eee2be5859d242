"""Speak MQTT 5 with the broker: the hub's one module that knows paho.

Guarantees: who speaks is the box named in the topic, which the broker allows to that box's certificate alone; each box's messages
are handled in order, at its own pace, in a bounded queue; what is published to a box is confirmed by the broker before more is
sent, and comes back to the mail when nobody there takes it. A broker that is away is waited for.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hub.alarms import Alarms
from hub.ingest import Ingest
from hub.mail import Mail
from protocol.errors import ForbiddenError, MalformedError, PortwitnessError, StorageError, UnavailableError
from protocol.identifiers import BoxId, SiteId
from protocol.messages import EndTask, Live, Message, Pair, Refusal, decode, encode
from protocol.topics import FROM_BOX, Channel, Topic

_LOG = logging.getLogger(__name__)
KEEPALIVE_S = 15
CONFIRM_S = 10.0
QUEUED = 32  # batches of one box that wait; more are dropped and come again
MAIL_WAIT_S = 20.0
SILENT_S = 90.0  # a box that was not heard for this long gets nothing more on this way until it speaks again
COMMAND_EXPIRY_S = 30
MAX_BOXES = 4096
_NO_SUBSCRIBERS = 0x10
_LOST = 0xFF


@dataclass(slots=True)
class _Line:
    """One box on the bus: what it sent and waits, and who works for it."""

    box: BoxId
    waiting: asyncio.Queue[tuple[Channel, bytes]] = field(default_factory=lambda: asyncio.Queue(QUEUED))
    heard: float = 0.0
    taker: asyncio.Task[None] | None = None
    pump: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Bus:
    """The hub on the broker. `url`: mqtt(s)://user:password@host:port. Use as an async context manager."""

    url: str
    site: SiteId
    ingest: Ingest
    mail: Mail
    alarms: Alarms
    authorities: Path | None = None
    is_up: bool = False
    state: str = "connecting"
    _client: mqtt.Client | None = None
    _lines: dict[str, _Line] = field(default_factory=dict)
    _confirmed: dict[int, "asyncio.Future[int]"] = field(default_factory=dict)
    _early: dict[int, int] = field(default_factory=dict)

    async def __aenter__(self) -> "Bus":
        client = self._client = self._make(asyncio.get_running_loop())
        parts = urlsplit(self.url)
        client.connect_async(parts.hostname or "127.0.0.1", parts.port or 1883, KEEPALIVE_S, clean_start=True)
        client.loop_start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        tasks = [task for line in self._lines.values() for task in (line.taker, line.pump) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await asyncio.to_thread(_stop, self._client)

    def _make(self, loop: asyncio.AbstractEventLoop) -> mqtt.Client:
        parts = urlsplit(self.url)
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"hub-{self.site}", protocol=MQTTProtocolVersion.MQTTv5)
        if parts.username:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set(ca_certs=str(self.authorities) if self.authorities else None)
        client.reconnect_delay_set(1, 5)

        def call(handler: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
            if not loop.is_closed():
                loop.call_soon_threadsafe(handler, *args)

        client.on_connect = lambda client, _data, _flags, code, _properties: call(self._connected, client, code)
        client.on_connect_fail = lambda _client, _data: call(self._lost, "cannot connect")
        client.on_disconnect = lambda _client, _data, _flags, code, _properties: call(self._lost, str(code))
        client.on_publish = lambda _client, _data, mid, code, _properties: call(self._publish_done, mid, code.value)
        client.on_message = lambda _client, _data, message: call(self._message, message.topic, message.payload)
        return client

    # ---------------------------------------------------------------------------------- on the loop, from paho's thread

    def _connected(self, client: mqtt.Client, code: Any) -> None:  # noqa: ANN401 - paho's ReasonCode
        if code.is_failure:
            self._lost(str(code))
            return
        client.subscribe([(f"v1/{self.site}/+/{channel}", 1) for channel in FROM_BOX])
        self.is_up, self.state = True, "connected"

    def _lost(self, reason: str) -> None:
        self.is_up, self.state = False, reason
        for waiting in self._confirmed.values():
            if not waiting.done():
                waiting.set_result(_LOST)

    def _publish_done(self, mid: int, code: int) -> None:
        waiting = self._confirmed.pop(mid, None)
        if waiting is None:
            self._early[mid] = code  # confirmed before the publisher was back
            while len(self._early) > QUEUED:
                self._early.pop(next(iter(self._early)))
        elif not waiting.done():
            waiting.set_result(code)

    def _message(self, name: str, payload: bytes) -> None:
        try:
            topic = Topic.parse(name)
        except MalformedError as error:
            _LOG.warning("bus: %s", error)
            return
        line = self._line(topic.box)
        if line is None or not payload:
            return
        line.heard = asyncio.get_running_loop().time()
        try:
            line.waiting.put_nowait((topic.channel, payload))
        except asyncio.QueueFull:
            _LOG.warning("bus: %s sends faster than it is handled; it will repeat", topic.box)

    def _line(self, box: BoxId) -> _Line | None:
        line = self._lines.get(box)
        if line is None:
            if len(self._lines) >= MAX_BOXES:
                return None
            line = self._lines[box] = _Line(box)
            line.taker = asyncio.create_task(self._take(line), name=f"bus-{box}")
        return line

    # ------------------------------------------------------------------------------------------------------- one box

    async def _take(self, line: _Line) -> None:
        """Handle what a box sent, in order."""
        while True:
            channel, payload = await line.waiting.get()
            try:
                message = decode(payload)
                answers = await self.ingest.accept(line.box, message)
            except (MalformedError, ForbiddenError) as error:
                await self._alarm(line.box, f"{channel}: {error}")
                continue
            except (UnavailableError, StorageError) as error:  # nothing is acknowledged: the box will repeat
                _LOG.error("bus: %s: %s", line.box, error)
                continue
            if (line.pump is None or line.pump.done()) and getattr(message, "online", True):
                line.pump = asyncio.create_task(self._pump(line), name=f"mail-{line.box}")
            await self._publish(line.box, answers)

    async def _pump(self, line: _Line) -> None:
        """Hand over what waits for a box, until it is gone."""
        loop = asyncio.get_running_loop()
        while loop.time() - line.heard < SILENT_S:
            found = await self.mail.fetch(line.box, MAIL_WAIT_S)
            if not found:
                continue
            if await self._publish(line.box, found):
                await self.mail.delivered(line.box, found)
            else:
                self.mail.put_back(line.box, found)
                return

    async def _publish(self, box: BoxId, found: list[Message] | list[Message | bytes]) -> bool:
        """Publish messages in order; tell whether somebody took all of them."""
        codes = [await self._send(box, message) for message in found]
        return all(code < _NO_SUBSCRIBERS for code in codes)

    async def _send(self, box: BoxId, message: Message | bytes) -> int:
        client = self._client
        if client is None or not self.is_up:
            return _LOST
        is_command = isinstance(message, bytes | Pair | EndTask | Live | Refusal)
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if is_command:
            properties.MessageExpiryInterval = COMMAND_EXPIRY_S
        topic = str(Topic(self.site, box, "cmd" if is_command else "ack"))
        data = message if isinstance(message, bytes) else encode(message)
        info = client.publish(topic, data, qos=1, properties=properties)
        return _LOST if info.rc != mqtt.MQTT_ERR_SUCCESS else await self._confirmation(info.mid)

    async def _confirmation(self, mid: int) -> int:
        if mid in self._early:
            return self._early.pop(mid)
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._confirmed[mid] = waiting
        try:
            async with asyncio.timeout(CONFIRM_S):  # wait_for of Python 3.11 loses a cancellation that meets the result
                return await waiting
        except TimeoutError:
            return _LOST
        finally:
            self._confirmed.pop(mid, None)

    async def _alarm(self, box: BoxId, detail: str) -> None:
        try:
            await self.alarms.ring("message refused", box, detail[:500])
        except PortwitnessError as error:
            _LOG.error("bus: %s: %s", box, error)


def _stop(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
