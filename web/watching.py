"""Keep who is watching what, so that each view that began also ends, and no segment is shown outside a recorded view.

A playback opens the segments of one task to one person; it ends when they say so, log out, lose their role, or have fetched
nothing for half an hour. A live view belongs to the person who began it, and ends with their login, too.
"""

from dataclasses import dataclass, field

from hub.app import Hub
from protocol.errors import ForbiddenError, RefusedError
from protocol.instants import SECOND_NS
from web.guards import Caller
from web.presence import Presence

IDLE_NS = 1800 * SECOND_NS
REFRESH_NS = SECOND_NS  # a task's list of segments is asked for again at most this often
LOGIN_ENDED = "the viewer's login or role ended"
MAX_PLAYBACKS = 16  # per person: enough for every lane on two screens


@dataclass(slots=True)
class Playback:
    """One person's running playback of one task."""

    view: str
    viewer: str
    task: str
    used_ns: int
    read_ns: int = 0
    segments: frozenset[bytes] = frozenset()


@dataclass(slots=True)
class Watching:
    """The playbacks that run now; live views are the hub's own."""

    hub: Hub
    presence: Presence
    playbacks: dict[str, Playback] = field(default_factory=dict)

    def _now(self) -> int:
        return self.hub.core.clock.monotonic_ns()

    async def begin(self, task: str, caller: Caller) -> str:
        """Record that a playback starts; give its view."""
        viewer = str(caller.person)
        await self.sweep()
        own = [playback for playback in self.playbacks.values() if playback.viewer == viewer]
        if len(own) >= MAX_PLAYBACKS:
            await self._end(min(own, key=lambda playback: playback.used_ns))
        view = await self.hub.views.playback_started(task, viewer)
        playback = self.playbacks[view] = Playback(view, viewer, task, self._now())
        self.presence.enter(caller, lambda: self._end(playback, LOGIN_ENDED), lambda: view in self.playbacks)
        return view

    async def end(self, view: str, viewer: str) -> None:
        """Record that a playback ended; raise RefusedError when there is none, ForbiddenError when it is another's."""
        playback = self.playbacks.get(view)
        if playback is None:
            raise RefusedError(f"view {view[:40]} is not known", where="missing")
        if playback.viewer != viewer:
            raise ForbiddenError("this view is another person's", where="view")
        await self._end(playback)

    async def check(self, sha256: bytes, viewer: str) -> None:
        """Pass when a running playback of this person opens the segment; raise ForbiddenError otherwise."""
        now = self._now()
        for playback in [one for one in self.playbacks.values() if one.viewer == viewer]:
            if sha256 not in playback.segments and now - playback.read_ns > REFRESH_NS:
                line = await self.hub.timeline.task(playback.task)
                playback.read_ns = now
                playback.segments = frozenset(segment.sha256 for lane in line.lanes for segment in lane.segments)
            if sha256 in playback.segments:
                playback.used_ns = now
                return
        raise ForbiddenError("start a playback first: POST tasks/{task}/playbacks", where="segment")

    def live_began(self, view: str, caller: Caller) -> None:
        """End a live view with the login it began under."""
        hub = self.hub
        self.presence.enter(caller, lambda: hub.live.end(view, LOGIN_ENDED), lambda: hub.views.viewer(view) is not None)

    async def live_ended(self, view: str, viewer: str) -> None:
        """End a live view; one that has ended changes nothing. Raises ForbiddenError when it is another's."""
        owner = self.hub.views.viewer(view)
        if owner is None:
            return
        if owner != viewer:
            raise ForbiddenError("this view is another person's", where="view")
        await self.hub.live.end(view)

    async def leave(self, viewer: str) -> None:
        """End all playbacks of a person."""
        for playback in [one for one in self.playbacks.values() if one.viewer == viewer]:
            await self._end(playback)

    async def sweep(self) -> None:
        """End playbacks nobody has used for long."""
        now = self._now()
        for playback in [one for one in self.playbacks.values() if now - one.used_ns > IDLE_NS]:
            await self._end(playback)

    async def close(self) -> None:
        """End all playbacks: the hub stops."""
        await self.presence.close()
        for playback in list(self.playbacks.values()):
            await self._end(playback)

    async def _end(self, playback: Playback, detail: str = "") -> None:
        if self.playbacks.pop(playback.view, None) is not None:
            await self.hub.views.ended(playback.view, detail)
