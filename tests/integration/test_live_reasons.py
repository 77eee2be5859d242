"""Why a live picture does not come: each cause is told in words, in the viewer's language, instead of a wait."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from aiortc import RTCSessionDescription

from hub.config import LiveSettings
from hub.live import REORDERED
from protocol.messages import BoxReport, Live, Reply, SourceState
from simulators.devices.footage import synthesize
from simulators.devices.recorder import Recorder, SentList
from tests.hub_parts import BOX, TestBox, enrol, mail
from tests.web_parts import Face, open_face
from tests.webrtc_parts import SMALL, DecodingViewer, small_footage, until
from web.wording import say

API = "/api/v1"
SDP = {"content-type": "application/sdp"}
SOON_S = 3.0  # far below `start_seconds` of these tests, except where that is what ends the view


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path, live=LiveSettings(hosts=("127.0.0.1",), start_seconds=30, grace_seconds=0.2)) as opened:
        await enrol(opened.hub, TestBox())
        yield opened


async def report(face: Face, state: str = "recording", detail: str = "", online: bool = True) -> None:
    names = ("epoch", "wall_ns", "mono_ns", "journal_size", "unsent_records", "unsent_blobs", "unsent_bytes", "unreceipted", "free_bytes")
    source = SourceState("cam-1", "camera", state, detail, None, 0, 0, 0)  # type: ignore[arg-type]
    numbers = dict.fromkeys(names, 1)
    rest = {"sync": "synced", "software": "0", "transport": "https", "disk": "ok", "sources": (source,), "online": online}
    await face.hub.ingest.accept(BOX, BoxReport(box=BOX, **numbers, **rest))  # type: ignore[arg-type]


class Watcher:
    """A viewer at the browser port; use as an async context manager."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client, self.peer = client, DecodingViewer()

    async def __aenter__(self) -> "Watcher":
        await self.peer.connection.setLocalDescription(await self.peer.connection.createOffer())
        offer = self.peer.connection.localDescription.sdp
        self.answer = await self.client.post(f"{API}/streams/{BOX}/cam-1/whep", content=offer, headers=SDP)
        if self.answer.status_code == 201:
            await self.peer.connection.setRemoteDescription(RTCSessionDescription(self.answer.text, "answer"))
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.peer.connection.close()

    async def told(self, wait_s: float = 0) -> tuple[str, str]:
        place = self.answer.headers["location"].removeprefix("/")
        found = (await self.client.get(f"/{place}", params={"wait": wait_s})).json()
        return found["state"], found["reason"]


async def command(face: Face, act: str = "start") -> Live:
    async with asyncio.timeout(10):
        while True:
            for message in await mail(face.hub, BOX, 1.0):
                if isinstance(message, Live) and message.act == act:
                    return message


class Door:
    def __init__(self, face: Face) -> None:
        self.live = face.hub.live

    async def post(self, offer: str) -> tuple[str, str]:
        location, answer = await self.live.publish(BOX, "cam-1", offer)
        return answer, location

    async def delete(self, location: str) -> None:
        await self.live.unpublish(BOX, location)


@pytest.mark.parametrize(
    ("state", "detail", "online", "english", "chinese"),
    [
        ("recording", "", False, "the box box-1 is offline", "边缘盒 box-1 离线"),
        ("lost", "no answer", True, "the camera cam-1 gives no picture: no answer", "cam-1 没有画面（信号丢失）：no answer"),
        ("refused", "codec H265", True, "the camera cam-1 is refused by the box: codec H265", "边缘盒拒绝了 cam-1 的码流：codec H265"),
        ("stopped", "", True, "the camera cam-1 is stopped", "cam-1 已停止"),
    ],
)  # fmt: skip
async def test_what_the_box_said_before_is_told_at_once(
    face: Face, state: str, detail: str, online: bool, english: str, chinese: str
) -> None:
    await report(face, state, detail)
    if not online:
        await report(face, state, detail, online=False)
    client = await face.login("chen.min")
    for language, words in (("en", english), ("zh-CN", chinese)):
        client.headers["accept-language"] = language
        async with Watcher(client) as watcher:
            assert watcher.answer.status_code == 503
            stream = f"{BOX}/cam-1"
            assert watcher.answer.json()["error"] == {"kind": "unavailable", "what": words, "where": stream, "about": stream}
    assert await face.records("view") == []  # nothing was shown


async def test_a_box_that_cannot_publish_says_why(face: Face) -> None:
    await report(face)
    async with Watcher(await face.login("chen.min")) as watcher:
        order = await command(face)
        assert await watcher.told() == ("starting", "")
        before = face.hub.log.published_size()
        await face.hub.ingest.accept(BOX, Reply(order.command, False, "offer: video must be H.264"))
        async with asyncio.timeout(SOON_S):
            assert await watcher.told(10) == ("ended", "the box cannot publish: offer: video must be H.264")
    await until(lambda: face.hub.log.published_size() > before, "the end is on record")
    (_, ended) = await face.records("view")
    assert (ended.state, ended.detail) == ("ended", "the box cannot publish: offer: video must be H.264")


async def test_a_box_that_does_not_publish_in_time_is_named(tmp_path: Path) -> None:
    async with open_face(tmp_path, live=LiveSettings(hosts=("127.0.0.1",), start_seconds=1, grace_seconds=0.2)) as face:
        await enrol(face.hub, TestBox())
        client = await face.login("chen.min")
        client.headers["accept-language"] = "zh-CN"
        async with Watcher(client) as watcher:
            await face.hub.ingest.accept(BOX, Reply((await command(face)).command, True))
            async with asyncio.timeout(1 + SOON_S):
                assert await watcher.told(10) == ("ended", "边缘盒在 1 秒内没有送出画面")
        await command(face, "stop")


async def test_a_view_is_live_with_its_first_picture_and_others_may_not_ask(face: Face, tmp_path: Path) -> None:
    async with Watcher(await face.login("chen.min")) as watcher:
        await command(face)
        recorder = Recorder(Door(face), small_footage(tmp_path), ledger=SentList())
        await recorder.start()
        try:
            assert await watcher.told(15) == ("live", "")
            assert (await watcher.peer.picture()).width == SMALL.width
            other = await face.login("zhou.jun")
            place = watcher.answer.headers["location"]
            assert (await other.get(place)).status_code == 403
            assert (await other.get(f"{API}/views/unknown")).status_code == 404
            assert (await watcher.client.delete(place)).status_code == 204
            assert await watcher.told() == ("ended", "")
        finally:
            await recorder.close()


async def test_a_stream_that_turns_out_to_have_b_frames_is_named(face: Face, tmp_path: Path) -> None:
    async with Watcher(await face.login("chen.min")) as watcher:
        await command(face)
        recorder = Recorder(Door(face), synthesize(replace(SMALL, b_frames=2), tmp_path), ledger=SentList())
        await recorder.start()
        try:
            (outcome,) = face.hub.live._outcomes.values()
            await until(lambda: outcome.state == "ended", "the hub saw that pictures come out of order")
            assert await watcher.told() == ("ended", REORDERED)
        finally:
            await recorder.close()


def test_each_reason_has_a_chinese_sentence() -> None:
    for reason in (
        "the box box-1 is offline",
        "the recorder rec-1 gives no picture",
        "the camera cam-1 is refused by the box: H265",
        "the camera cam-1 is stopped: by hand",
        "the box did not publish a picture within 8 s",
        "the box cannot publish: cam-1 delivers nothing",
        REORDERED,
    ):
        words = say("unavailable", reason, "zh-CN")
        assert "暂时不可用" not in words
        assert say("unavailable", reason, "en") == reason
