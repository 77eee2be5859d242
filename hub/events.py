"""Tell whoever listens what happens, as small dicts.

Guarantees: telling never waits; a listener that falls behind loses the oldest and is told `{"event": "lagging"}`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType

Event = dict[str, object]
KEPT = 256


@dataclass(slots=True, eq=False)
class Subscription:
    """One listener. Use as an async context manager, iterate over it."""

    owner: "Events"
    _kept: deque[Event] = field(default_factory=deque)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> "Subscription":
        self.owner.listeners.add(self)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.owner.listeners.discard(self)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._kept:
            self._news.clear()
            await self._news.wait()
        return self._kept.popleft()

    def put(self, event: Event) -> None:
        """Keep an event for this listener."""
        if len(self._kept) >= KEPT:
            self._kept.clear()
            self._kept.append({"event": "lagging"})
        self._kept.append(event)
        self._news.set()


@dataclass(slots=True)
class Events:
    """The fan-out."""

    listeners: set[Subscription] = field(default_factory=set)

    def subscribe(self) -> Subscription:
        """Give a subscription; it listens while its context is open."""
        return Subscription(self)

    def tell(self, event: str, **facts: object) -> None:
        """Tell all listeners."""
        for listener in self.listeners:
            listener.put({"event": event, **facts})
