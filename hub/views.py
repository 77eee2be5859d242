"""Record who watches what: the start and the end of each live view and each playback is a record of the hub.

Guarantees: each view that began has one end on record; where the hub was killed, the next start writes it and says between
which times it lies.
"""

import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, select

from hub.core import Core
from hub.sequencer import stage
from protocol import canonical, kinds
from protocol.errors import RefusedError
from protocol.instants import iso
from storage.schema import records, staged, views

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

    async def reconcile(self) -> int:
        """End on record what was open when the hub was killed, before anything new begins; give how many there were."""
        ended = await self.core.database.write(self._end_left)
        self.core.sequencer.wake()
        return ended

    def _end_left(self, connection: Connection) -> int:
        """Stage all ends in one transaction: a kill in between must not look like a sign of life after them."""
        now, known = self.core.clock.now(), _staged_ends(connection)
        last_ns = _last_sign_of_life(connection, str(self.core.issuer))
        left = [row for row in _without_end(connection) if row.view not in known]
        for row in left:
            after = iso(max(row.wall_ns, last_ns or 0))
            detail = f"the hub was restarted: the end is not known, it lies after {after} and before this record"
            stage(connection, kinds.View("ended", row.viewer, row.way, row.view, detail), row.subject, now)
        return len(left)

    async def close(self) -> None:
        """End what is open: the hub stops."""
        for view in list(self._open):
            await self.ended(view, "the hub stops")


def _without_end(connection: Connection) -> list[Row[Any]]:
    ends = views.alias("ends")
    ended = select(ends.c.view).where(ends.c.view == views.c.view, ends.c.state == "ended").exists()
    return list(connection.execute(select(views).where(views.c.state == "started", ~ended).order_by(views.c.position)).all())


def _staged_ends(connection: Connection) -> set[str]:
    """Give the views whose end waits to be logged: a kill may come between staging and logging."""
    waiting = connection.execute(select(staged.c.body).where(staged.c.kind == kinds.View.KIND)).scalars()
    bodies = (kinds.decode_body(kinds.View.KIND, canonical.decode(bytes(body))) for body in waiting)
    return {body.view for body in bodies if isinstance(body, kinds.View)}


def _last_sign_of_life(connection: Connection, issuer: str) -> int | None:
    """Give when the hub wrote its newest record."""
    mine = select(records.c.wall_ns).where(records.c.issuer == issuer, records.c.epoch == 0)
    return connection.execute(mine.order_by(records.c.position.desc()).limit(1)).scalar()
