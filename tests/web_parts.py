"""What the tests of the face share: a hub with people behind its API, a clock that is told, and segments that a browser can play."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from sqlalchemy import Connection, func, select

from hub.access import PersonDraft, Role
from hub.app import Hub, open_hub
from hub.config import BrowserSettings
from hub.erasing import revealed
from protocol import kinds
from protocol.instants import SECOND_NS, Clock, Instant
from protocol.records import SignedRecord
from protocol.signatures import Ed25519Signer
from storage import schema
from storage.clock import SystemClock
from tests.hub_parts import log_signer, settings_for
from web.browser_app import browser_app

PEOPLE: tuple[tuple[str, Role], ...] = (
    ("chen.min", "supervisor"),
    ("zhou.jun", "supervisor"),
    ("li.wei", "inspector"),
    ("wang.fang", "inspector"),
    ("admin", "administrator"),
)
OUTSIDE: tuple[tuple[str, Role, str], ...] = (
    ("shen.mao", "trader", "91210200MA0SIM001X"),
    ("gu.hai", "trader", "4403960001"),
    ("port.desk", "partner", "customs-1"),
)
HOST = "http://hub.test"
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # tests log in often


def password_of(name: str) -> str:
    return f"correct horse {name}"


@dataclass
class ToldClock:
    """The machine's clock, moved on by the test."""

    ahead_ns: int = 0
    real: Clock = field(default_factory=SystemClock)

    def now(self) -> Instant:
        now = self.real.now()
        return Instant(now.wall_ns + self.ahead_ns, now.mono_ns + self.ahead_ns, now.sync, now.error_ms)

    def monotonic_ns(self) -> int:
        return self.real.monotonic_ns() + self.ahead_ns

    def pass_time(self, seconds: float) -> None:
        self.ahead_ns += int(seconds * SECOND_NS)


@dataclass
class Face:
    """A hub behind its browser port, without a socket."""

    hub: Hub
    app: Any
    clock: ToldClock
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        made = httpx.AsyncClient(transport=transport, base_url=HOST, headers={"accept-language": "en", **headers})
        self.clients.append(made)
        return made

    async def login(self, name: str) -> httpx.AsyncClient:
        client = self.client()
        answer = await client.post("/api/v1/session", json={"name": name, "password": password_of(name)})
        assert answer.status_code == 200, answer.text
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        return client

    async def bearer(self, name: str) -> httpx.AsyncClient:
        made = await self.hub.access.make_token(name, "test", 1, "admin")
        return self.client(authorization=f"Bearer {made.token}")

    async def records(self, kind: str) -> list[Any]:
        """Give the bodies of the hub's logged records of one kind, oldest first."""
        for _ in range(200):
            staged = await self.hub.core.database.read(_count_staged)
            if staged == 0:
                break
            await asyncio.sleep(0.01)
        rows = await self.hub.core.database.read(lambda connection: _rows(connection, kind))
        return [signed.record.body for signed in rows]


def _count_staged(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(schema.staged)).scalar_one())


def _rows(connection: Connection, kind: str) -> list[SignedRecord]:
    table = schema.records
    named = table.c.kind.in_((kind, kinds.Concealed.KIND))
    query = select(table.c.data).where(named, table.c.issuer.like("hub:%")).order_by(table.c.position)
    found = [revealed(connection, bytes(data)) for data in connection.execute(query).scalars()]
    return [signed for signed in found if signed.record.kind == kind]


@asynccontextmanager
async def open_face(state: Path, signer: Ed25519Signer | None = None, **changes: Any) -> AsyncIterator[Face]:
    clock = ToldClock()
    settings = settings_for(state, **({"browser": BrowserSettings(port=0)} | changes))
    async with open_hub(settings, clock, signer or log_signer()) as hub:
        hub.access.hasher = CHEAP
        for name, role in PEOPLE:
            await hub.access.add(PersonDraft(name, role, name.title(), password_of(name)), "hub:hub-1")
        for name, role, party in OUTSIDE:
            await hub.access.add(PersonDraft(name, role, name.title(), password_of(name), party), "hub:hub-1")
        face = Face(hub, browser_app(hub, secure=False, closing=asyncio.Event()), clock)
        try:
            yield face
        finally:
            for client in face.clients:
                await client.aclose()
            await face.app.state.watching.close()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
