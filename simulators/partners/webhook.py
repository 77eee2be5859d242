"""Be the system of a partner that a hub posts its notices to: check every signature by own means, answer well or badly, keep a ledger.

Guarantees: nothing of the hub's code checks what it signed: headers, domain and key are read here from the published description alone. A
delivery is *good* when its signature holds over its own bytes, *again* when its message came before with the same bytes, and *bad* else.
"""

import asyncio
import base64
import binascii
import hashlib
import json
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h11
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.instants import SECOND_NS, Clock
from simulators.people.diary import Diary
from storage.clock import SystemClock

Judged = Literal["good", "again", "bad"]
Mood = Literal["taking", "down", "slow to confirm"]
MOODS: tuple[Mood, ...] = ("taking", "down", "slow to confirm")
MAX_BYTES = 4_000_000
TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was posted, and how it was judged."""

    message: str
    judged: Judged
    why: str
    content_type: str
    body: bytes

    @property
    def value(self) -> dict[str, Any]:
        """Give a JSON notice's members; empty for EDIFACT."""
        return dict(json.loads(self.body)) if self.content_type.startswith("application/json") else {}


@dataclass(slots=True)
class WebhookReceiver:
    """The server on 127.0.0.1; `key`: the hub's raw Ed25519 key. `mood` may change while it runs; `failing`: answer so many with 503.

    Use as an async context manager.
    """

    key: bytes
    clock: Clock
    port: int = 0
    mood: Mood = "taking"
    failing: int = 0
    heard: Callable[[Delivery], Awaitable[None]] | None = None
    deliveries: list[Delivery] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)  # SHA-256 of the body, by message
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
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
        return f"http://127.0.0.1:{self.port}/notices"

    def good(self) -> list[Delivery]:
        """Give what came for the first time under a signature that holds."""
        return [one for one in self.deliveries if one.judged == "good"]

    async def take(self, headers: dict[str, str], body: bytes) -> int:
        """Judge one delivery; give the status to answer with."""
        if self.mood == "down" or self.failing > 0:
            self.failing = max(0, self.failing - 1)
            return 503
        one = self.judge(headers, body)
        self.deliveries.append(one)
        if one.judged == "bad":
            return 401
        if self.heard is not None and one.judged == "good":
            await self.heard(one)
        return 503 if self.mood == "slow to confirm" and one.judged == "good" else 200

    def judge(self, headers: dict[str, str], body: bytes) -> Delivery:
        """Check signature, time and novelty of a delivery."""
        message, kind = headers.get("portwitness-message", ""), headers.get("content-type", "")
        why = self._fault(message, headers.get("portwitness-time", ""), headers.get("portwitness-signature", ""), body)
        digest = hashlib.sha256(body).hexdigest()
        before = self.known.get(message)
        if not why and before is not None and before != digest:
            why = "the same message with other content"
        if why:
            return Delivery(message, "bad", why, kind, body)
        self.known[message] = digest
        return Delivery(message, "good" if before is None else "again", "", kind, body)

    def _fault(self, message: str, seconds: str, signature: str, body: bytes) -> str:
        parts = signature.split(" ")
        if not message or not seconds.isdigit() or len(parts) != 3 or parts[0] != "ed25519":
            return "not signed"
        if parts[1] != hashlib.sha256(self.key).hexdigest()[:16]:
            return "signed by another key"
        if abs(int(seconds) - self.clock.now().wall_ns // SECOND_NS) > TOLERANCE_S:
            return "signed at another time"
        signed = f"portwitness/webhook/v1\n{message}\n{seconds}\n{hashlib.sha256(body).hexdigest()}\n"
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(base64.b64decode(parts[2], validate=True), signed.encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return "the signature does not hold"
        return ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        try:
            headers, body = await _read(connection, reader)
            status = await self.take(headers, body)
            plain = [("Content-Length", "0"), ("Connection", "close")]
            for event in (h11.Response(status_code=status, headers=plain), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
        except (OSError, h11.ProtocolError, EOFError):
            pass  # the caller went away or does not speak HTTP: nothing to answer
        finally:
            writer.close()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    headers: dict[str, str] = {}
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BYTES:
                raise EOFError
        elif isinstance(event, h11.EndOfMessage):
            return headers, bytes(body)
        else:
            raise EOFError


def add_arguments(parser: ArgumentParser) -> None:
    """Declare what `portwitness-sim webhook` understands."""
    parser.add_argument("--key", required=True, metavar="HEX", type=bytes.fromhex, help="the hub's Ed25519 key for deliveries")
    parser.add_argument("--port", type=int, default=9400, help="TCP port on 127.0.0.1; 0 takes a free one (default: 9400)")
    parser.add_argument("--mood", choices=MOODS, default="taking", help="how to answer (default: taking)")
    parser.add_argument("--failing", type=int, default=0, metavar="N", help="answer the first N with 503")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="append what came to this file, one JSON object a line")
    parser.epilog = "example:\n  portwitness-sim webhook --key $(cat hub.key) --port 9400 --failing 2"


def run(args: Namespace) -> int:
    """Serve until told to stop; give 1 where anything came under a signature that does not hold."""
    return asyncio.run(_run(args))


async def _run(args: Namespace) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    clock = SystemClock()
    with Diary(clock, "webhook", args.ledger) as diary:

        async def heard(one: Delivery) -> None:
            text = one.value or one.body.decode("utf-8", "replace")
            diary.note("taken", message=one.message, content=text)
            sys.stdout.write(
                f"{one.message} {one.value.get('messageType', one.content_type)} {one.value.get('declarationReference', '')}\n"
            )
            sys.stdout.flush()

        async with WebhookReceiver(args.key, clock, args.port, args.mood, args.failing, heard) as receiver:
            sys.stdout.write(f"notices are taken at {receiver.url}\n")
            sys.stdout.flush()
            await ended.wait()
        for one in receiver.deliveries:
            if one.judged == "bad":
                diary.note("refused", message=one.message, why=one.why)
        return 1 if any(one.judged == "bad" for one in receiver.deliveries) else 0
