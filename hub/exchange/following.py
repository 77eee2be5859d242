"""Judge kept events again when their declarations move: what came out of order takes effect when its time has come.

Guarantees: each declaration that a published record concerns is looked at once more, after a restart every one that events wait for; what
cannot be judged yet stays kept.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from sqlalchemy import Connection, select

from hub.core import Core
from hub.exchange import tables
from hub.exchange.taking import Exchange
from hub.sequencer import Publication
from protocol.errors import PortwitnessError
from protocol.inspection_kinds import Declaration, Hold, Step
from storage.exchange_schema import port_events

LOOK_S = 5.0
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Following:
    """The worker. Use as an async context manager."""

    core: Core
    exchange: Exchange
    _moved: set[str] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Following":
        self.core.sequencer.listeners.append(self._published)
        self._moved |= set(await self.core.database.write(_waiting))
        self._woken.set()
        self._task = asyncio.create_task(self._run(), name="kept events")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _published(self, publication: Publication) -> None:
        moved = {one.record.subject for one in publication.records if isinstance(one.record.body, Declaration | Step | Hold)}
        if moved:
            self._moved |= moved
            self._woken.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            self._woken.clear()
            moved, self._moved = self._moved, set()
            if not moved or not await self.core.database.read(_any_kept):
                continue
            for declaration in sorted(moved):
                try:
                    await self.exchange.look_again(declaration)
                except PortwitnessError as error:  # supervision: said, and tried again
                    _LOG.error("kept events of %s: %s", declaration, error)
                    self._moved.add(declaration)


def _any_kept(connection: Connection) -> bool:
    return connection.execute(select(port_events.c.message).where(port_events.c.outcome == "kept").limit(1)).first() is not None


def _waiting(connection: Connection) -> list[str]:
    """Give the declarations that events wait for."""
    rows = connection.execute(select(port_events.c.container, port_events.c.declaration).where(port_events.c.outcome == "kept")).all()
    found = {tables.declaration_of(connection, row.container, row.declaration) for row in rows}
    return sorted(one for one in found if one is not None)
