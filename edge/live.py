"""Live pictures of a box: recorders come in by WHIP, streams go to the hub by WHIP while somebody watches.

Guarantees: recording never waits for it; the media library is loaded when it is first needed, or ahead of time on request; one
session per source and direction.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from edge.capture import Capture
from edge.config import LiveSettings
from edge.courier import Courier
from edge.pictures import Joining, stored_pictures
from edge.recorder import Recorder
from firmware_adapters.abilities import MediaUnit
from protocol.errors import PortwitnessError, RefusedError
from protocol.identifiers import SourceId
from protocol.instants import Clock

if TYPE_CHECKING:
    from firmware_adapters.gop import Feed
    from firmware_adapters.webrtc import MediaPeers, WhipIngest, WhipPublisher

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveRoom:
    """All live sessions of a box. Use as an async context manager."""

    clock: Clock
    settings: LiveSettings
    courier: Courier
    recorder: Recorder
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _peers: "MediaPeers | None" = None
    _publishers: dict[SourceId, tuple["WhipPublisher", Joining, Capture]] = field(default_factory=dict)
    _recorders: dict[SourceId, "WhipIngest"] = field(default_factory=dict)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asking: set["asyncio.Task[None]"] = field(default_factory=set)

    async def __aenter__(self) -> "LiveRoom":
        return self

    async def __aexit__(self, *error: object) -> None:
        for source in list(self._publishers):
            await self.stop(source)
        await self._stack.aclose()

    async def warm(self) -> "MediaPeers":
        """Load the media library, so that the first viewer need not wait for it."""
        async with self._opening:
            if self._peers is None:
                webrtc = await asyncio.to_thread(_load)
                settings = self.settings
                ports = (settings.first_port, settings.last_port) if settings.first_port else None
                turn = webrtc.IceServer(settings.turn_url, settings.turn_username or None, settings.turn_password or None)
                peer_settings = webrtc.PeerSettings(ice_servers=(turn,) if settings.turn_url else (), ports=ports, hosts=settings.hosts)
                webrtc.install_hooks()
                self._peers = await self._stack.enter_async_context(webrtc.MediaPeers(self.clock, peer_settings))
            assert self._peers is not None
            return self._peers

    # ------------------------------------------------------------------------------------------------ to the hub

    async def start(self, source: SourceId, path: str) -> None:
        """Publish a source to a path of the hub; a session that is open already goes on."""
        capture = self.recorder.captures.get(source)
        if capture is None:
            raise RefusedError(f"{source} delivers nothing", where="live")
        known = self._publishers.get(source)
        if known is not None and known[0].connected:
            return
        await self.stop(source)
        peers = await self.warm()
        from firmware_adapters.gop import Feed

        feed = Feed()
        joining = await self._join(capture, feed)

        async def post(offer: str) -> tuple[str, str]:
            return await self.courier.offer(path, offer)

        publisher = peers.publisher(feed, post, self.courier.withdraw)
        try:
            await publisher.start()
        except PortwitnessError:
            capture.unlisten(joining)
            raise
        self._publishers[source] = publisher, joining, capture

    async def _join(self, capture: Capture, feed: "Feed") -> Joining:
        """Hand a stream to a feed, beginning with the newest keyframe, wherever its pictures are by now."""
        joining = Joining(feed)
        capture.listen(joining)
        feed.on_formats(capture.formats)
        older: list[MediaUnit] = []
        if capture.writing is not None:
            draft, muxer = capture.writing
            waiting = muxer.waiting()
            if not any(unit.is_key for unit in waiting):
                # Parts that are on their way are written before this is read: one thread does both, in order.
                older = await self.recorder.files.run(stored_pictures, self.recorder.durable.folder, draft, muxer)
            older += waiting
        joining.begin(older)
        return joining

    async def stop(self, source: SourceId) -> None:
        """Publish a source no more."""
        known = self._publishers.pop(source, None)
        if known is None:
            return
        publisher, joining, capture = known
        capture.unlisten(joining)
        try:
            await publisher.close()
        except PortwitnessError as error:
            log.info("%s: live session ended without the hub's word: %s", source, error)

    # -------------------------------------------------------------------------------------------- from recorders

    async def take(self, source: SourceId, offer: str, capture: Capture) -> str:
        """Take a recorder's offer and give the answer; an older session of the same recorder ends.

        Raises MalformedError, RefusedError or UnavailableError.
        """
        peers = await self.warm()
        older = self._recorders.pop(source, None)
        if older is not None:
            await older.close()
        ingest = peers.ingest(capture)
        answer = await ingest.answer(offer)
        self._recorders[source] = ingest
        capture.ask_key = lambda: self._ask_key(ingest)
        return answer

    def _ask_key(self, ingest: "WhipIngest") -> None:
        if not ingest.connected:
            return
        task = asyncio.get_running_loop().create_task(ingest.ask_keyframe())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def release(self, source: SourceId) -> bool:
        """End a recorder's session; False when there is none."""
        ingest = self._recorders.pop(source, None)
        if ingest is None:
            return False
        await ingest.close()
        return True


def _load() -> ModuleType:
    from firmware_adapters import webrtc

    return webrtc
