"""Speak MQTT 5 with the broker of the site: the one module that knows paho.

Guarantees: mutual TLS; each message is confirmed by the broker before `send` returns; the order of the journal topic is that of
the calls; reports are retained, and the broker says `offline` for a box that vanished. Delivery to the hub is acknowledged by
the hub's own messages only.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.courier import HubAddress
from edge.transports import Inbox
from protocol.errors import RefusedError, UnavailableError
from protocol.identifiers import BoxId, SiteId
from protocol.topics import TO_BOX, Channel, Topic

KEEPALIVE_S = 15
CONFIRM_S = 10.0
SESSION_S = 3600
WILL_DELAY_S = 10
MAX_QUEUED = 64
_NO_SUBSCRIBERS = 0x10
_FORBIDDEN = 0x87

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Bus:
    """The MQTT side of a box: a `Transport`. `will` gives the encoded report that says offline."""

    site: SiteId
    box: BoxId
    address: HubAddress  # url: mqtts://host:port
    will: Callable[[], bytes]
    is_up: bool = False
    last_error: str = ""
    _client: mqtt.Client | None = None
    _confirmed: dict[int, "asyncio.Future[int]"] = field(default_factory=dict)
    _early: dict[int, int] = field(default_factory=dict)
    _inbox: Inbox | None = None
    _renewed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """Give the transport's name."""
        return "mqtt"

    def _topic(self, channel: Channel) -> str:
        return str(Topic(self.site, self.box, channel))

    async def run(self, inbox: Inbox) -> None:
        """Stay connected until cancelled; paho reconnects with growing pauses."""
        self._inbox = inbox
        while True:
            self._renewed.clear()
            await self._connect_until_renewed()

    async def _connect_until_renewed(self) -> None:
        client = self._client = self._make(asyncio.get_running_loop())
        parts = urlsplit(self.address.url)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        properties.SessionExpiryInterval = SESSION_S
        client.connect_async(parts.hostname or "", parts.port or 8883, KEEPALIVE_S, clean_start=False, properties=properties)
        client.loop_start()
        try:
            await self._renewed.wait()
        finally:
            self.is_up, self._client = False, None
            await asyncio.to_thread(self._stop, client)
            self._forget_unconfirmed()  # the next client counts its messages from one again

    def _forget_unconfirmed(self) -> None:
        self._early.clear()
        for future in self._confirmed.values():
            if not future.done():
                future.set_exception(UnavailableError("connects anew", where=self.address.url))
        self._confirmed.clear()

    def _stop(self, client: mqtt.Client) -> None:
        client.disconnect()
        client.loop_stop()

    def _make(self, loop: asyncio.AbstractEventLoop) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.box, protocol=MQTTProtocolVersion.MQTTv5)
        client.tls_set_context(self.address.context())
        client.reconnect_delay_set(1, 30)
        client.max_queued_messages_set(MAX_QUEUED)
        properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]  # paho
        properties.WillDelayInterval = WILL_DELAY_S
        client.will_set(self._topic("state"), self.will(), qos=1, retain=True, properties=properties)

        def call(handler: Callable[..., None], *args: Any) -> None:  # noqa: ANN401
            if not loop.is_closed():
                loop.call_soon_threadsafe(handler, *args)

        client.on_connect = lambda client, _data, _flags, code, _properties: call(self._connected, client, code)
        # paho calls this where it caught the cause, and does not hand it over
        client.on_connect_fail = lambda _client, _data: call(self._lost, _cause(sys.exc_info()[1]))
        client.on_disconnect = lambda _client, _data, _flags, code, _properties: call(self._lost, str(code))
        client.on_publish = lambda _client, _data, mid, code, _properties: call(self._publish_done, mid, code.value)
        client.on_message = lambda _client, _data, message: call(self._message, message.payload)
        return client

    def _connected(self, client: mqtt.Client, code: Any) -> None:  # noqa: ANN401 - paho's ReasonCode
        if code.is_failure:
            self._lost(str(code))
            return
        client.subscribe([(self._topic(channel), 1) for channel in TO_BOX])
        if not self.is_up:
            log.info("%s: connected", self.address.url)
        self.is_up, self.last_error = True, ""

    def _lost(self, reason: str) -> None:
        if self.is_up or reason != self.last_error:
            log.warning("%s: %s", self.address.url, reason)
        self.is_up, self.last_error = False, reason

    def _publish_done(self, mid: int, code: int) -> None:
        future = self._confirmed.pop(mid, None)
        if future is None:
            self._early[mid] = code
            while len(self._early) > MAX_QUEUED:
                self._early.pop(next(iter(self._early)))
        elif not future.done():
            future.set_result(code)

    def _message(self, payload: bytes) -> None:
        if self._inbox is not None:
            self._inbox(payload)

    def refresh(self) -> None:
        """Connect anew with the certificate in place now; the broker keeps the session, and what was not confirmed is sent again."""
        self._renewed.set()

    async def send(self, channel: Channel, message: bytes) -> None:
        """Publish one message and wait for the broker; reports go without."""
        client = self._client
        if client is None or not self.is_up:
            raise UnavailableError(self.last_error or "not connected", where=self.address.url)
        is_report = channel == "state"
        info = client.publish(self._topic(channel), message, qos=0 if is_report else 1, retain=is_report)
        if info.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN):
            raise UnavailableError(mqtt.error_string(info.rc), where=self.address.url)
        if not is_report:
            self._judge(await self._confirm(info.mid))

    async def _confirm(self, mid: int) -> int:
        if mid in self._early:
            return self._early.pop(mid)
        future = self._confirmed[mid] = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(future, CONFIRM_S)
        except TimeoutError:
            raise UnavailableError(f"the broker did not confirm within {CONFIRM_S:g} s", where=self.address.url) from None
        finally:
            self._confirmed.pop(mid, None)

    def _judge(self, code: int) -> None:
        if code == _NO_SUBSCRIBERS:
            raise UnavailableError("no hub listens at the broker", where=self.address.url)
        if code == _FORBIDDEN:
            raise RefusedError("the broker does not let this box publish here", where=self.address.url)
        if code >= 0x80:
            raise UnavailableError(f"the broker refuses with reason 0x{code:02x}", where=self.address.url)


def _cause(error: BaseException | None) -> str:
    """Say why a connection failed, in the words of the system or of TLS."""
    return f"cannot connect: {error}" if error is not None else "cannot connect"
