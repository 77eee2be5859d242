"""Live pictures through the hub: from the first viewer's command to the box, to the last viewer's record."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCSessionDescription

from hub.app import Hub
from hub.config import LiveSettings
from protocol import kinds
from protocol.errors import MalformedError, RefusedError
from protocol.messages import Live, Reply
from protocol.records import Record
from simulators.devices.recorder import Recorder, SentList
from tests.hub_parts import BOX, TestBox, enrol, log_signer, mail, opened_leaf, running_hub, settings_for
from tests.webrtc_parts import SMALL, DecodingViewer, small_footage, until

STREAM = "box-1/cam-1"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    live = LiveSettings(grace_seconds=0.3, hosts=("127.0.0.1",), max_viewers=2)
    async with running_hub(settings_for(tmp_path, live=live), log_signer()) as running:
        await enrol(running, TestBox())
        yield running


class Door:
    """The device port's WHIP routes without HTTP."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def post(self, offer: str) -> tuple[str, str]:
        location, answer = await self.hub.live.publish(BOX, "cam-1", offer)
        return answer, location

    async def delete(self, location: str) -> None:
        await self.hub.live.unpublish(BOX, location)


async def next_command(hub: Hub, act: str) -> Live:
    async with asyncio.timeout(15):
        while True:
            for message in await mail(hub, BOX, 1.0):
                if isinstance(message, Live) and message.act == act:
                    await hub.ingest.accept(BOX, Reply(message.command, True))
                    return message


async def watch(hub: Hub, who: str) -> tuple[DecodingViewer, str]:
    viewer = DecodingViewer()
    await viewer.connection.setLocalDescription(await viewer.connection.createOffer())
    try:
        view, answer = await hub.live.view(STREAM, who, viewer.connection.localDescription.sdp)
    except RefusedError:
        await viewer.connection.close()
        raise
    await viewer.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return viewer, view


def views_logged(records: list[Record]) -> list[tuple[str, str]]:
    bodies = [record.body for record in records]
    return [(body.state, body.viewer) for body in bodies if isinstance(body, kinds.View)]


async def leaves(hub: Hub) -> list[Record]:
    return [await opened_leaf(hub, index) for index in range(hub.log.published_size())]


async def test_a_box_publishes_while_somebody_watches_and_views_are_records(hub: Hub, tmp_path: Path) -> None:
    first, view = await watch(hub, "chen")
    command = await next_command(hub, "start")
    assert (command.source, command.path) == ("cam-1", "/device/v1/whip/cam-1")
    recorder = Recorder(Door(hub), small_footage(tmp_path), ledger=SentList())
    await recorder.start()
    try:
        assert (await first.picture()).width == SMALL.width
        second, other = await watch(hub, "wang")
        assert (await second.picture()).width == SMALL.width
        assert hub.live.count(STREAM) == (2, True)
        with pytest.raises(RefusedError, match="watch already"):
            await watch(hub, "third")
        await hub.live.end(view)
        await hub.live.end(view)
        await second.connection.close()  # goes without a word to the hub
        await next_command(hub, "stop")
        await until(lambda: hub.live.count(STREAM) == (0, False), "nothing is published any more")
        assert hub.views.viewer(other) is None
    finally:
        await recorder.close()
        await first.connection.close()
    logged = views_logged(await leaves(hub))
    assert sorted(logged) == [("ended", "chen"), ("ended", "wang"), ("started", "chen"), ("started", "wang")]


async def test_nobody_s_publication_is_refused(hub: Hub) -> None:
    with pytest.raises(RefusedError, match="nobody watches"):
        await hub.live.publish(BOX, "cam-1", "v=0")
    await hub.live.unpublish(BOX, "unknown")


async def test_a_bad_offer_leaves_no_view(hub: Hub) -> None:
    with pytest.raises(MalformedError):
        await hub.live.view(STREAM, "chen", "nonsense")
    await next_command(hub, "stop")
    assert hub.live.count(STREAM) == (0, False)
    assert views_logged(await leaves(hub)) == []
