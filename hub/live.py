"""Relay live pictures: boxes publish by WHIP only while somebody watches, viewers take them by WHEP.

Guarantees: frames pass through encoded; many viewers share one publication; the box is told to stop a while after the last
viewer left; nothing is shown before the view's start is a record; a viewer that goes, however it goes, ends its view; a view that cannot
be shown ends with a reason that a person can read, within `live.start_seconds`.
"""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from firmware_adapters.webrtc import Feed, Frame, IceServer, MediaPeers, PeerSettings, WhepViewer, WhipIngest
from hub.config import HubSettings
from hub.core import Core
from hub.mail import Mail
from hub.views import Views
from protocol.errors import ForbiddenError, RefusedError, UnavailableError
from protocol.identifiers import BoxId, SourceId, StreamId
from protocol.messages import Live as LiveCommand
from protocol.messages import Reply
from protocol.topics import PATH_WHIP

ASK_AGAIN_S = 3.0
OUTCOMES_KEPT = 512  # of views that ended, for viewers that ask why
REORDERED = "the stream reorders pictures (B-frames), which WebRTC cannot play"


@dataclass(slots=True, eq=False)
class ViewOutcome:
    """What became of a live view: `starting` until the first picture, `ended` with a reason when the viewer did not end it."""

    stream: StreamId
    viewer: str
    state: Literal["starting", "live", "ended"] = "starting"
    reason: str = ""
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # not starting any more

    def become(self, state: Literal["live", "ended"], reason: str = "") -> None:
        """Move on; an end is final."""
        if self.state != "ended":
            self.state, self.reason = state, reason
        self.settled.set()
        self.moved.set()


@dataclass(slots=True, eq=False)
class _Stream:
    """One stream while it is watched, and a while after."""

    name: StreamId
    feed: Feed = field(default_factory=Feed)
    viewers: dict[str, WhepViewer] = field(default_factory=dict)
    ingest: WhipIngest | None = None
    location: str = ""
    command: str = ""
    coming: int = 0  # viewers whose start is being recorded
    showing: bool = False  # the publication brought a picture
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: set[ViewOutcome] = field(default_factory=set)  # of views that are open

    def on_frame(self, frame: Frame) -> None:
        """Note the first picture of a publication, and that pictures came out of order."""
        if frame.kind == "video" and (self.feed.needs_fallback or not self.showing):
            self.showing = True
            for outcome in self.outcomes:
                outcome.moved.set()


@dataclass(slots=True)
class Live:
    """The live pictures of the port. Use as an async context manager."""

    core: Core
    mail: Mail
    views: Views
    peers: MediaPeers
    _streams: dict[StreamId, _Stream] = field(default_factory=dict)
    obstacle: Callable[[StreamId], str | None] = lambda stream: None  # why a stream cannot be shown, as far as its box said
    _of_view: dict[str, StreamId] = field(default_factory=dict)
    _outcomes: dict[str, ViewOutcome] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> "Live":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for view in list(self._of_view):
            await self.end(view)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def view(self, stream: str, viewer: str, offer: str) -> tuple[str, str]:
        """Begin a live view; give its id and the SDP answer.

        Raises MalformedError for a bad offer, RefusedError for a codec or stream that cannot be shown or too many viewers,
        UnavailableError without a free port, or when the box said that it is away or has no picture.
        """
        if len(self._of_view) >= self.core.settings.live.max_viewers:
            raise RefusedError(f"{len(self._of_view)} viewers watch already", where="live.max_viewers")
        reason = self.obstacle(StreamId(stream))
        if reason is not None:
            raise UnavailableError(reason, where=stream)
        watched = self._watched(StreamId(stream))
        watched.coming += 1
        try:
            watched.changed.set()
            peer = self.peers.viewer(watched.feed)
            answer = await peer.answer(offer)
            try:
                view = await self.views.started("live", stream, viewer)
            except BaseException:
                await peer.close()
                raise
        finally:
            watched.coming -= 1
            watched.changed.set()
        watched.viewers[view] = peer
        self._of_view[view] = watched.name
        outcome = self._outcomes[view] = ViewOutcome(watched.name, viewer)
        watched.outcomes.add(outcome)
        self._spawn(self._watch_viewer(view, peer))
        self._spawn(self._see_to(view, watched, outcome))
        return view, answer

    async def outcome(self, view: str, viewer: str, wait_s: float = 0.0) -> ViewOutcome:
        """Tell what became of a view; wait while it starts.

        Raises RefusedError when it is not known, ForbiddenError when it is another's.
        """
        found = self._outcomes.get(view)
        if found is None:
            raise RefusedError(f"view {view[:40]} is not known", where="missing")
        if found.viewer != viewer:
            raise ForbiddenError("this view is another person's", where="view")
        await _happened(found.settled, wait_s)
        return found

    async def end(self, view: str, detail: str = "") -> None:
        """End a live view, saying why when it was not the viewer; one that is not known changes nothing."""
        name = self._of_view.pop(view, None)
        if name is None:
            return
        watched = self._streams[name]
        peer = watched.viewers.pop(view)
        watched.outcomes.discard(self._outcomes[view])
        self._outcomes[view].become("ended", detail)
        self._forget_outcomes()
        watched.changed.set()
        await peer.close()
        await self.views.ended(view, detail)

    async def publish(self, box: BoxId, source: str, offer: str) -> tuple[str, str]:
        """Take a box's publication of a stream that somebody watches; give its location and the SDP answer.

        Raises RefusedError when nobody watches, and as `view`.
        """
        watched = self._streams.get(StreamId.of(box, SourceId(source)))
        if watched is None:
            raise RefusedError("nobody watches", where=f"{box}/{source}")
        ingest = self.peers.ingest(watched.feed)
        answer = await ingest.answer(offer)
        before, watched.ingest, watched.location = watched.ingest, ingest, uuid.uuid4().hex
        watched.showing = False
        if before is not None:
            await before.close()
        watched.changed.set()
        self._spawn(self._watch_publisher(watched, ingest))
        return watched.location, answer

    async def unpublish(self, box: BoxId, location: str) -> None:
        """End a publication; one that is not the box's changes nothing."""
        for watched in self._streams.values():
            if watched.name.box == box and watched.location == location and watched.ingest is not None:
                await watched.ingest.close()

    async def answered(self, box: BoxId, reply: Reply) -> None:
        """Take a box's answer to a command: when it cannot publish, who waits for the stream is told why."""
        if reply.done:
            return
        for watched in self._streams.values():
            if watched.name.box == box and watched.command == reply.command:
                for outcome in watched.outcomes:
                    if outcome.state == "starting":
                        outcome.reason = f"the box cannot publish: {reply.reason[:300]}"
                        outcome.moved.set()

    def count(self, stream: str) -> tuple[int, bool]:
        """Give the viewers of a stream, and whether it is published here now."""
        watched = self._streams.get(StreamId(stream))
        return (0, False) if watched is None else (len(watched.viewers), watched.ingest is not None)

    def _watched(self, name: StreamId) -> _Stream:
        watched = self._streams.get(name)
        if watched is None:
            watched = self._streams[name] = _Stream(name)
            watched.feed.subscribe(watched)
            self._spawn(self._keep(watched))
        return watched

    async def _keep(self, watched: _Stream) -> None:
        """Have the box publish while somebody watches, and stop it a while after."""
        grace_s = self.core.settings.live.grace_seconds
        while True:
            watched.changed.clear()
            if watched.viewers or watched.coming:
                if watched.ingest is None:
                    await self._command(watched, "start")
                    await _changed(watched, ASK_AGAIN_S)
                else:
                    await watched.changed.wait()
            elif not await _changed(watched, grace_s):
                break
        del self._streams[watched.name]
        await self._command(watched, "stop")
        if watched.ingest is not None:
            await watched.ingest.close()

    async def _command(self, watched: _Stream, act: Literal["start", "stop"]) -> None:
        box, source = watched.name.box, watched.name.source
        self.mail.withdraw(box, watched.command)
        watched.command = f"live:{uuid.uuid4().hex}"
        await self.mail.command(box, LiveCommand(watched.command, source, act, f"{PATH_WHIP}/{source}"), lasting=False)

    async def _see_to(self, view: str, watched: _Stream, outcome: ViewOutcome) -> None:
        """End a view with its reason when it cannot be shown, or not in time."""
        start_s = self.core.settings.live.start_seconds
        try:
            async with asyncio.timeout(start_s):
                while outcome.state == "starting" and not (outcome.reason or watched.showing):
                    await outcome.moved.wait()
                    outcome.moved.clear()
        except TimeoutError:
            outcome.reason = self.obstacle(watched.name) or f"the box did not publish a picture within {start_s:g} s"
        if watched.showing and not outcome.reason:
            outcome.become("live")
        while outcome.state == "live" and not watched.feed.needs_fallback:
            outcome.moved.clear()
            await outcome.moved.wait()
        if outcome.state != "ended":
            await self._end_or_ring(view, REORDERED if outcome.state == "live" else outcome.reason)

    def _forget_outcomes(self) -> None:
        ended = [view for view, outcome in self._outcomes.items() if outcome.state == "ended"]
        for view in ended[:-OUTCOMES_KEPT]:
            del self._outcomes[view]

    async def _watch_viewer(self, view: str, peer: WhepViewer) -> None:
        await peer.wait_closed()
        await self._end_or_ring(view)

    async def _end_or_ring(self, view: str, reason: str = "") -> None:
        try:
            await self.end(view, reason)
        except UnavailableError as error:
            await self.core.alarms.ring("view not recorded", view, str(error))

    async def _watch_publisher(self, watched: _Stream, ingest: WhipIngest) -> None:
        await ingest.wait_closed()
        if watched.ingest is ingest:
            watched.ingest, watched.location = None, ""
            watched.changed.set()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _changed(watched: _Stream, timeout_s: float) -> bool:
    return await _happened(watched.changed, timeout_s)


async def _happened(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


def peer_settings(settings: HubSettings) -> PeerSettings:
    """Give how media peers are reached, from the settings."""
    live = settings.live
    ports = (live.first_port, live.last_port) if live.first_port and live.last_port else None
    servers = tuple(IceServer(server.urls, server.username, server.credential) for server in settings.ice)
    return PeerSettings(ice_servers=servers, ports=ports, hosts=live.hosts)
