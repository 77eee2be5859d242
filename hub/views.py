"""Record who watches what: the start and the end of each live view and each playback is a record of the hub."""

import uuid
from dataclasses import dataclass, field
from typing import Literal

from hub.core import Core
from protocol import kinds
from protocol.errors import RefusedError

Way = Literal["live", "playback"]
MAX_OPEN = 10_000


@dataclass(frozen=True, slots=True)
class _Open:
    viewer: str
    way: Way
    subject: str


@dataclass(slots=True)
class Views:
    """The views that are open now."""

    core: Core
    _open: dict[str, _Open] = field(default_factory=dict)

    async def started(self, way: Way, subject: str, viewer: str) -> str:
        """Record that a view starts; give its id. Nothing is shown before this returns."""
        if len(self._open) >= MAX_OPEN:
            raise RefusedError(f"{MAX_OPEN} views are open", where="views")
        view = uuid.uuid4().hex
        await self.core.sequencer.issue(kinds.View("started", viewer, way, view), subject)
        self._open[view] = _Open(viewer, way, subject)
        return view

    async def playback_started(self, task: str, viewer: str) -> str:
        """Record that somebody plays a task; give the view's id."""
        return await self.started("playback", task, viewer)

    async def ended(self, view: str, detail: str = "") -> None:
        """Record that a view ended; ending it again, or one that is not known, changes nothing."""
        known = self._open.pop(view, None)
        if known is not None:
            await self.core.sequencer.issue(kinds.View("ended", known.viewer, known.way, view, detail), known.subject)

    def viewer(self, view: str) -> str | None:
        """Give who watches, None when the view is not open."""
        known = self._open.get(view)
        return known.viewer if known is not None else None

    async def close(self) -> None:
        """End what is open: the hub stops."""
        for view in list(self._open):
            await self.ended(view, "the hub stops")
