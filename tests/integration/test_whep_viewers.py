"""Viewers by WHEP: a picture at once, nobody harmed by a slow one, nothing left behind; and the relay to another peer."""

import asyncio

import pytest
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket

from firmware_adapters.abilities import MediaUnit, TrackFormat
from firmware_adapters.webrtc import Feed, MediaPeers, PeerSettings
from firmware_adapters.webrtc_sdp import PLAYOUT_DELAY
from protocol.errors import RefusedError, UnavailableError
from simulators.devices.footage import Footage
from simulators.devices.recorder import make_tone
from tests.webrtc_parts import DecodingViewer, Memory, peers, recorder_into, small_footage, until


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return small_footage(tmp_path_factory.mktemp("footage"))


class Camera:
    """Plays footage into a feed in real time."""

    def __init__(self, film: Footage, feed: Feed, rtc: MediaPeers) -> None:
        self._film, self._feed, self._rtc = film, feed, rtc
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Camera":
        self._feed.on_formats((TrackFormat(0, "h264", 90_000, (self._film.sps, self._film.pps)),))
        self._task = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        started = loop.time()
        while True:
            rounds, at = divmod(number, len(self._film.units))
            unit = self._film.units[at]
            pts = rounds * self._film.duration + unit.pts
            await asyncio.sleep(max(0.0, started + pts / 90_000 - loop.time()))
            self._feed.on_unit(MediaUnit(0, unit.nals, pts, unit.is_key, self._rtc.clock.monotonic_ns()))
            number += 1


async def test_a_late_viewer_sees_a_picture_at_once(film: Footage) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            await until(lambda: len(feed.gop()) == 10 and feed.frames > 25, "the middle of a group of pictures")
            viewer, watcher = rtc.viewer(feed), DecodingViewer()
            await watcher.watch(viewer)
            first = await watcher.picture()
            assert (first.width, first.height) == (film.width, film.height)
            assert feed.frames < 50, "it did not wait for the next keyframe"
            for _ in range(30):
                await watcher.picture()
            assert viewer.sender.counts()["dropped"] == 0
            await watcher.connection.close()
            await asyncio.wait_for(viewer.wait_closed(), 5)
        assert (rtc.open_peers, feed.listeners) == (0, 0)


@pytest.mark.parametrize("takes_delays", [True, False])
async def test_a_viewer_that_takes_playout_delays_is_told_to_show_pictures_at_once(film: Footage, takes_delays: bool) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            viewer, watcher = rtc.viewer(feed), DecodingViewer()
            packets = watcher.overhear()
            await watcher.watch(viewer, extmap=f"a=extmap:9 {PLAYOUT_DELAY}" if takes_delays else "")
            assert (f"a=extmap:9 {PLAYOUT_DELAY}\r\n" in watcher.answer) is takes_delays
            await watcher.picture()
            told = [read_extensions(packet) for packet in packets]
            assert {found.get(9) for found in told} == ({b"\0\0\0"} if takes_delays else {None})
            assert all(found.keys() - {9} for found in told), "mid and time are still there"
            await watcher.connection.close()


def read_extensions(packet: bytes) -> dict[int, bytes]:
    """Read the one-byte header extensions of an RTP packet (RFC 8285 4.2)."""
    at = 12 + 4 * (packet[0] & 15)
    assert packet[0] & 16
    assert packet[at : at + 2] == b"\xbe\xde"
    end = at + 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    at, found = at + 4, dict[int, bytes]()
    while at < end:
        number, size = packet[at] >> 4, (packet[at] & 15) + 1
        if number:
            found[number] = packet[at + 1 : at + 1 + size]
        at += 1 + size if number else 1
    return found


async def test_closing_by_us_ends_the_viewer_and_leaves_nothing(film: Footage) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            watchers = [DecodingViewer() for _ in range(3)]
            viewers = [rtc.viewer(feed) for _ in watchers]
            for viewer, watcher in zip(viewers, watchers, strict=True):
                await watcher.watch(viewer)
                await watcher.picture()
            assert (rtc.open_peers, feed.listeners) == (3, 3)
            await viewers[0].close()
            await viewers[0].close()
            assert (rtc.open_peers, feed.listeners) == (2, 2)
            watchers.append(DecodingViewer())
            with pytest.raises(RefusedError, match="used once"):
                await watchers[-1].watch(viewers[0])
        await rtc.close()
        assert (rtc.open_peers, feed.listeners) == (0, 0)
        for watcher in watchers:
            await watcher.connection.close()


async def test_a_viewer_that_vanishes_is_reaped(film: Footage) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), silence_s=2.5)) as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            viewer, watcher = rtc.viewer(feed), DecodingViewer()
            await watcher.watch(viewer)
            await watcher.picture()
            await until(lambda: viewer.sender.heard_ns, "a receiver report")
            watcher.vanish()
            await until(lambda: rtc.open_peers == 0, "the end of the vanished viewer")
            assert feed.listeners == 0
            await watcher.connection.close()


async def test_a_viewer_that_never_connects_is_dropped(film: Footage) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), connect_s=0.3)) as rtc:
        watcher = DecodingViewer()
        await watcher.connection.setLocalDescription(await watcher.connection.createOffer())
        await rtc.viewer(Feed()).answer(watcher.connection.localDescription.sdp)
        assert rtc.open_peers == 1
        await until(lambda: rtc.open_peers == 0, "the end")
        await watcher.connection.close()


async def test_a_slow_viewer_drops_to_the_next_keyframe_and_touches_no_other(film: Footage) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            slow, good = rtc.viewer(feed), rtc.viewer(feed)
            slow_watcher, good_watcher = DecodingViewer(), DecodingViewer()
            await slow_watcher.watch(slow)
            await good_watcher.watch(good)
            await slow_watcher.picture()
            await good_watcher.picture()
            transport = slow_watcher.receiver.transport
            ssrc = next(iter(slow_watcher.receiver.getSynchronizationSources())).source
            report = RtcpReceiverInfo(ssrc=ssrc, fraction_lost=128, packets_lost=9, highest_sequence=1, jitter=0, lsr=0, dlsr=0)
            await transport._send_rtp(bytes(RtcpRrPacket(ssrc=1, reports=[report])))
            await until(lambda: slow.sender.dropped > 0, "pictures dropped")
            dropped, frames = slow.sender.dropped, slow.sender.frames
            await until(lambda: slow.sender.frames > frames + 5, "pictures again after the next keyframe")
            assert dropped > 0
            assert good.sender.dropped == 0
            assert good.sender.frames > slow.sender.frames
            await slow_watcher.connection.close()
            await good_watcher.connection.close()


async def test_lost_packets_are_sent_again(film: Footage) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            viewer, watcher = rtc.viewer(feed), DecodingViewer()
            watcher.lose(lambda count: count % 15 == 0)
            await watcher.watch(viewer)
            for _ in range(50):
                await watcher.picture()
            assert viewer.sender.counts()["repaired"] > 0
            await watcher.connection.close()


async def test_a_viewer_that_lost_its_picture_is_helped_but_not_more_than_once_a_second(film: Footage) -> None:
    async with peers() as rtc:
        feed = Feed()
        async with Camera(film, feed, rtc):
            viewer, watcher = rtc.viewer(feed), DecodingViewer()
            await watcher.watch(viewer)
            await watcher.picture()
            source = next(iter(watcher.receiver.getSynchronizationSources())).source
            for _ in range(20):
                await watcher.receiver._send_rtcp_pli(source)
            await until(lambda: viewer.sender.refreshes, "pictures sent again")
            for _ in range(25):
                await watcher.picture()
            assert viewer.sender.refreshes == 1
            await watcher.connection.close()


async def test_a_stream_with_reordered_pictures_is_refused_by_name() -> None:
    feed = Feed()
    feed.on_formats((TrackFormat(0, "h264", 90_000, (b"\x67x", b"\x68x")),))
    for number, pts in enumerate((0, 10_800, 3600)):
        feed.on_unit(MediaUnit(0, (b"\x65\x88x",), pts, number == 0, number))
    async with peers() as rtc:
        with pytest.raises(RefusedError, match="B-frames"):
            await rtc.viewer(feed).answer("v=0")


async def test_a_published_feed_arrives_with_its_sound_and_capture_time(film: Footage) -> None:
    deleted: list[str] = []
    async with peers() as box, peers() as hub:
        near, far = Feed(), Feed()
        recorder, _ = recorder_into(box.ingest(near), film, tone=make_tone())
        async with recorder:
            await until(lambda: len(near.gop()) > 5, "pictures on the box")
            sink = Memory(far)
            ingest = hub.ingest(sink)

            async def post(offer: str) -> tuple[str, str]:
                return await ingest.answer(offer), "/whip/7"

            async def delete(location: str) -> None:
                deleted.append(location)
                await ingest.close()

            async with box.publisher(near, post, delete) as publisher:
                await until(lambda: len(sink.pictures) > 40 and sink.pictures[-1].device_ns, "pictures in the hub")
                viewer, watcher = hub.viewer(far), DecodingViewer()
                await watcher.watch(viewer)
                assert (await watcher.picture()).width == film.width
                await watcher.connection.close()
                assert publisher.sender.counts()["frames"] > 40
            assert near.listeners == 0
        assert deleted == ["/whip/7"]
        assert sink.pictures[0].is_key
        assert far.has_audio
        units = {unit.nals for unit in film.units}
        assert {picture.payloads for picture in sink.pictures} <= units


async def test_a_hub_that_refuses_leaves_no_publisher_behind(film: Footage) -> None:
    async def post(offer: str) -> tuple[str, str]:
        raise UnavailableError("the hub is away", where="whip")

    async def delete(location: str) -> None:
        raise AssertionError(location)

    async with peers() as rtc:
        with pytest.raises(UnavailableError, match="the hub is away"):
            await rtc.publisher(Feed(), post, delete).start()
        assert rtc.open_peers == 0
