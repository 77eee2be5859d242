"""Bring what is queued to partners: signed, in order, again and again until it is taken or given up.

Guarantees: a message leaves the queue only by a record that says so, so that after a crash it is posted again under the same key and
nothing is lost; to one partner the next message goes when the one before was taken or given up; one partner's silence holds up no other.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx
from sqlalchemy import Connection, and_, func, select

from hub.core import Core
from hub.exchange import tables
from hub.inspection.catalogue import Partner
from hub.inspection.references import find
from protocol.errors import PortwitnessError, RefusedError, UnavailableError
from protocol.exchange_kinds import Delivery
from protocol.instants import SECOND_NS
from protocol.port_messages import sign_delivery
from protocol.signatures import Ed25519Signer
from storage.database import upsert
from storage.exchange_schema import delivery_attempts, exchange_messages
from storage.keys import load_or_create_ed25519

KEY = "exchange.key"
LOOK_S = 2.0
LONGEST_PAUSE_S = 3600.0
GIVEN_UP = "message given up"
TYPES = {"json": "application/json", "edifact": "application/edifact"}
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Delivering:
    """The queue's worker. Use as an async context manager."""

    core: Core
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _signer: Ed25519Signer | None = None
    _client: httpx.AsyncClient | None = None
    _task: asyncio.Task[None] | None = None
    _going: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def __aenter__(self) -> "Delivering":
        self._signer = await asyncio.to_thread(load_or_create_ed25519, self.core.settings.keys / KEY)
        self._task = asyncio.create_task(self._run(), name="deliveries")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        tasks = [task for task in (self._task, *self._going.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def key(self) -> bytes:
        """Give the public key by which what is posted is signed."""
        if self._signer is None:
            raise UnavailableError("not started", where="deliveries")
        return self._signer.public.raw()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.woken.wait()
            self.woken.clear()
            try:
                for partner in await self.core.database.read(_with_queue):
                    if partner not in self._going:
                        self._going[partner] = asyncio.create_task(self._serve(partner), name=f"deliveries to {partner}")
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("deliveries: %s", error)

    async def _serve(self, partner: str) -> None:
        try:
            while await self.deliver_next(partner):
                pass
        except PortwitnessError as error:  # supervision: said, and tried again
            _LOG.error("deliveries to %s: %s", partner, error)
        finally:
            self._going.pop(partner, None)

    async def deliver_next(self, partner: str) -> bool:
        """Try the first message in a partner's queue, if its time has come; tell whether it left the queue."""
        now_ns = self.core.clock.now().wall_ns
        found = await self.core.database.read(lambda connection: _first(connection, partner, now_ns))
        if found is None:
            return False
        row, raw, entry = found
        fault = await self._post(row, raw, entry)
        attempts = row["tries"] + 1
        if fault is None:
            return await self._log(row, "delivered", attempts)
        limit = self.core.settings.exchange.attempts
        await self._note(row["position"], attempts, fault)
        if attempts < limit:
            return False
        await self.core.alarms.ring(GIVEN_UP, partner, f"message {row['number']} ({row['about']}) after {attempts} attempts: {fault}"[:900])
        return await self._log(row, "dead", attempts)

    async def _post(self, row: dict[str, Any], raw: bytes, partner: Partner) -> str | None:
        """Post once, bounded in time; give why it was not taken."""
        if self._signer is None or partner.address is None:
            return "is not started"
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self.core.settings.exchange.timeout_seconds, trust_env=False)
        seconds = self.core.clock.now().wall_ns // SECOND_NS
        headers = sign_delivery(self._signer, tables.key_of(row["partner"], row["number"]), seconds, raw)
        headers |= {"Content-Type": TYPES[row["form"]], "Portwitness-About": row["about"]}
        try:
            async with asyncio.timeout(self.core.settings.exchange.timeout_seconds):
                async with self._client.stream("POST", partner.address, content=raw, headers=headers) as answer:
                    return None if 200 <= answer.status_code < 300 else f"answers {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return f"does not answer: {type(error).__name__}"

    async def _log(self, row: dict[str, Any], state: Any, attempts: int) -> bool:  # noqa: ANN401 - a literal of the record
        def decide(connection: Connection, _size: int) -> tuple[str, Delivery]:
            if tables.message_row(connection, row["position"])["state"] != tables.QUEUED:
                raise RefusedError("left the queue already", where=f"message {row['position']}")
            return row["partner"], Delivery(row["position"], state, attempts)

        with suppress(RefusedError):
            await self.core.sequencer.decide(decide)
        self.core.events.tell("exchange", partner=row["partner"], position=row["position"], state=state)
        return True

    async def _note(self, position: int, attempts: int, fault: str) -> None:
        base = self.core.settings.exchange.retry_seconds
        pause_s = min(LONGEST_PAUSE_S, base * 2 ** min(attempts - 1, 20))
        next_ns = self.core.clock.now().wall_ns + int(pause_s * SECOND_NS)
        row = {"position": position, "attempts": attempts, "next_ns": next_ns, "fault": fault[:200]}
        await self.core.database.write(lambda connection: upsert(connection, delivery_attempts, row))
        self.core.events.tell("exchange", position=position, fault=fault[:200])


def _with_queue(connection: Connection) -> list[str]:
    query = select(exchange_messages.c.partner).where(exchange_messages.c.state == tables.QUEUED).distinct()
    return list(connection.execute(query).scalars())


def _first(connection: Connection, partner: str, now_ns: int) -> tuple[dict[str, Any], bytes, Partner] | None:
    """Give the first message of a queue with its bytes and its partner; None when there is none, no address, or it is not its time."""
    table = exchange_messages
    columns = (table, func.coalesce(delivery_attempts.c.attempts, 0).label("tries"), delivery_attempts.c.next_ns)
    query = select(*columns).outerjoin(delivery_attempts, delivery_attempts.c.position == table.c.position)
    mine = and_(table.c.state == tables.QUEUED, table.c.partner == partner)
    row = connection.execute(query.where(mine).order_by(table.c.number).limit(1)).mappings().first()
    if row is None or (row["next_ns"] is not None and row["next_ns"] > now_ns):
        return None
    try:
        entry = find(connection, "partner", partner).value
    except RefusedError:
        return None  # retired: its queue waits
    if not isinstance(entry, Partner) or entry.address is None:
        return None
    return dict(row), tables.body_of(connection, bytes(row["sha256"])), entry
