"""Keep earlier published checkpoints with their cosignatures: what bounds, later and offline, when records were made.

Guarantees: about one a second is kept, as it was published; the log never waits for it, and a crash loses the newest second at
most, which only widens an interval.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, select

from hub.sequencer import Publication
from hub.witnesses import Witnessed
from protocol.errors import StorageError, UnavailableError
from protocol.instants import MILLISECOND_NS, Clock
from storage.database import Database, upsert
from storage.schema import checkpoints

STEP_NS = 900 * MILLISECOND_NS  # a batch a second, give or take
RETRY_S = 2.0
WAITING = 4096
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class CheckpointHistory:
    """The earlier checkpoints. Use as an async context manager; `published` listens to the sequencer."""

    database: Database
    clock: Clock
    _waiting: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=WAITING))
    _kept_ns: int | None = None
    _witnessed_ns: int | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="checkpoint history")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._write()

    async def published(self, publication: Publication) -> None:
        """Take what was published."""
        now = self.clock.monotonic_ns()
        if publication.size and (self._kept_ns is None or now - self._kept_ns >= STEP_NS):
            self._kept_ns = now
            self._waiting.append((publication.size, publication.checkpoint))
            self._wake.set()

    async def witnessed(self, head: Witnessed) -> None:
        """Take a checkpoint that outside witnesses cosigned: it stands in the place of the one without them."""
        now = self.clock.monotonic_ns()
        if self._witnessed_ns is None or now - self._witnessed_ns >= STEP_NS:
            self._witnessed_ns = now
            self._waiting.append((head.size, head.note))
            self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not await self._write():
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _write(self) -> bool:
        """Write what waits; False when it could not be."""
        rows = list(self._waiting)
        if not rows:
            return True

        def keep(connection: Connection) -> None:
            for size, note in rows:
                upsert(connection, checkpoints, {"size": size, "note": note})

        try:
            await self.database.write(keep)
        except (StorageError, UnavailableError) as error:
            _LOG.warning("checkpoint history: %s", error)
            return False
        for row in rows:
            if self._waiting and self._waiting[0] == row:
                self._waiting.popleft()
        return True


def kept_checkpoints(connection: Connection, first: int, last: int) -> list[bytes]:
    """Give the kept checkpoints with first <= size <= last and the next one, in the order of sizes."""
    query = select(checkpoints.c.note).order_by(checkpoints.c.size)
    mine = [bytes(note) for note in connection.execute(query.where(checkpoints.c.size >= first, checkpoints.c.size <= last)).scalars()]
    return mine + [bytes(note) for note in connection.execute(query.where(checkpoints.c.size > last).limit(1)).scalars()]
