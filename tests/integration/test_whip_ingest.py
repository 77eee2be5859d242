"""A recorder publishes by WHIP; what arrives is what it sent, and every fault has its name."""

import hashlib
import socket

import pytest

from firmware_adapters.webrtc import PeerSettings
from protocol.errors import MalformedError, RefusedError, UnavailableError
from simulators.devices.footage import Footage, synthesize
from simulators.devices.recorder import Recorder, SentList, make_tone
from tests.webrtc_parts import LARGER, Memory, ToIngest, peers, recorder_into, small_footage, until


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return small_footage(tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="module")
def larger_film(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return synthesize(LARGER, tmp_path_factory.mktemp("footage"))


def digest(payloads: tuple[bytes, ...]) -> str:
    return hashlib.sha256(b"".join(len(nal).to_bytes(4) + nal for nal in payloads)).hexdigest()


async def test_pictures_and_sound_arrive_byte_for_byte_with_the_senders_time(film: Footage) -> None:
    tone = make_tone()
    async with peers() as rtc:
        sink = Memory()
        recorder, sent = recorder_into(rtc.ingest(sink), film, tone=tone)
        async with recorder:
            await until(lambda: len(sink.pictures) >= 60 and sink.pictures[-1].device_ns, "60 pictures and a sender report")
        (formats,) = sink.formats
        assert [track.codec for track in formats] == ["h264", "opus"]
        assert formats[0].parameter_sets == (film.sps, film.pps)
        got = [digest(unit.payloads) for unit in sink.pictures]
        hashes = [sha256 for _, sha256 in sent.frames]
        first = hashes.index(got[0])
        assert got == hashes[first : first + len(got)]
        assert sink.pictures[0].is_key
        steps = {later.pts - unit.pts for unit, later in zip(sink.pictures, sink.pictures[1:], strict=False)}
        assert steps == {3600}
        assert {unit.payloads[0] for unit in sink.units if unit.track == 1} <= set(tone)
        newest = sink.pictures[-1]
        assert newest.device_ns is not None
        now = rtc.clock.now()
        arrived_ns = now.wall_ns - now.mono_ns + newest.mono_ns
        assert abs(arrived_ns - newest.device_ns) < 1_000_000_000
        await until(lambda: sink.ends, "the end")
        assert [cause for cause, _ in sink.ends] == ["closed"]
        assert rtc.open_peers == 0


async def test_another_codec_is_refused_by_name_and_leaves_nothing(film: Footage) -> None:
    async with peers() as rtc:
        sink = Memory()
        recorder = Recorder(ToIngest(rtc.ingest(sink)), film, ledger=SentList(), codec="VP8")
        with pytest.raises(RefusedError, match=r"H\.264.*offered: VP8"):
            await recorder.start()
        assert rtc.open_peers == 0
        assert sink.ends == []


async def test_an_offer_that_only_looks_like_one_is_malformed() -> None:
    text = (
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video x UDP/TLS/RTP/SAVPF 102\r\na=mid:0\r\na=ice-ufrag:a\r\na=ice-pwd:b\r\n"
        "a=fingerprint:sha-256 AA\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\n"
    )
    async with peers() as rtc:
        with pytest.raises(MalformedError, match="offer: cannot be read"):
            await rtc.ingest(Memory()).answer(text)
        assert rtc.open_peers == 0


async def test_a_new_resolution_announces_new_formats(film: Footage, larger_film: Footage) -> None:
    async with peers() as rtc:
        sink = Memory()
        recorder, _ = recorder_into(rtc.ingest(sink), film)
        async with recorder:
            await until(lambda: len(sink.pictures) >= 10, "pictures")
            recorder.change_footage(larger_film)
            await until(lambda: len(sink.formats) == 2, "new formats")
            await until(lambda: sink.pictures[-1].payloads and len(sink.pictures) >= 20, "pictures of the new size")
        assert [formats[0].parameter_sets[0] for formats in sink.formats] == [film.sps, larger_film.sps]


async def test_lost_packets_are_counted_and_nothing_half_is_handed_out(film: Footage) -> None:
    async with peers() as rtc:
        sink = Memory()
        ingest = rtc.ingest(sink)
        recorder, sent = recorder_into(ingest, film)
        async with recorder:
            await until(lambda: len(sink.pictures) >= 5, "pictures")
            recorder.lose(lambda count: 40 <= count < 44, repaired=False)
            await until(lambda: any(unit.lost_before for unit in sink.pictures), "a counted loss")
            await until(lambda: sink.pictures[-1].is_key, "a keyframe after it")
        hashes = {sha256 for _, sha256 in sent.frames}
        assert {digest(unit.payloads) for unit in sink.pictures} <= hashes
        assert sum(unit.lost_before for unit in sink.pictures) >= 1
        assert ingest.lost >= 1


async def test_a_few_lost_packets_are_repaired(film: Footage) -> None:
    async with peers() as rtc:
        sink = Memory()
        recorder, sent = recorder_into(rtc.ingest(sink), film)
        async with recorder:
            await until(lambda: len(sink.pictures) >= 5, "pictures")
            recorder.lose(lambda count: count % 20 == 0)
            await until(lambda: recorder.dropped >= 5 and len(sink.pictures) >= 60, "losses and pictures")
        hashes = [sha256 for _, sha256 in sent.frames]
        got = [digest(unit.payloads) for unit in sink.pictures]
        assert got == hashes[hashes.index(got[0]) :][: len(got)]


async def test_a_keyframe_comes_when_asked_for(film: Footage) -> None:
    async with peers() as rtc:
        sink = Memory()
        ingest = rtc.ingest(sink)
        await ingest.ask_keyframe()
        recorder, _ = recorder_into(ingest, film)
        async with recorder:
            await until(lambda: len(sink.pictures) >= 3 and not sink.pictures[-1].is_key, "pictures")
            before = len(sink.pictures)
            await ingest.ask_keyframe()
            await until(lambda: any(unit.is_key for unit in sink.pictures[before:]), "a keyframe")
            after = next(number for number, unit in enumerate(sink.pictures[before:]) if unit.is_key)
        assert after < 20


async def test_media_that_stops_is_a_stall(film: Footage) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), stall_s=0.5)) as rtc:
        sink = Memory()
        ingest = rtc.ingest(sink)
        recorder, _ = recorder_into(ingest, film)
        async with recorder:
            await until(lambda: sink.pictures, "a picture")
            recorder.stop_media()
            await until(lambda: sink.ends, "the end")
        assert sink.ends == [("stalled", "no media for 0.5 s")]
        await ingest.wait_closed()
        assert rtc.open_peers == 0


async def test_a_publisher_that_vanishes_is_a_stall(film: Footage) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), stall_s=0.5)) as rtc:
        sink = Memory()
        recorder, _ = recorder_into(rtc.ingest(sink), film)
        async with recorder:
            await until(lambda: sink.pictures, "a picture")
            recorder.vanish()
            await until(lambda: sink.ends, "the end")
        assert sink.ends[0][0] == "stalled"


async def test_a_publisher_that_never_connects_is_unreachable(film: Footage) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), connect_s=0.3)) as rtc:
        sink = Memory()
        ingest = rtc.ingest(sink)

        class Deaf(ToIngest):
            async def post(self, offer: str) -> tuple[str, str]:
                await super().post(offer)
                raise RefusedError("the answer got lost", where="test")

        with pytest.raises(RefusedError):
            await Recorder(Deaf(ingest), film, ledger=SentList()).start()
        await until(lambda: sink.ends, "the end")
        assert sink.ends[0][0] == "unreachable"
        assert rtc.open_peers == 0


async def test_ports_stay_within_their_range_and_run_out_with_a_name(film: Footage, free_udp_pair: tuple[int, int]) -> None:
    async with peers(PeerSettings(hosts=("127.0.0.1",), ports=free_udp_pair)) as rtc:
        used: list[int] = []
        recorders = []
        for _ in range(2):
            ingest = rtc.ingest(Memory())

            class Noting(ToIngest):
                async def post(self, offer: str) -> tuple[str, str]:
                    answer, location = await super().post(offer)
                    used.extend(int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate:"))
                    return answer, location

            recorders.append(Recorder(Noting(ingest), film, ledger=SentList()))
            await recorders[-1].start()
        with pytest.raises(UnavailableError, match="no free media port"):
            await Recorder(ToIngest(rtc.ingest(Memory())), film, ledger=SentList()).start()
        assert sorted(used) == list(free_udp_pair)
        for recorder in recorders:
            await recorder.close()


@pytest.fixture
def free_udp_pair() -> tuple[int, int]:
    for first in range(41_000, 60_000, 2):
        try:
            with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
                one.bind(("127.0.0.1", first))
                two.bind(("127.0.0.1", first + 1))
                return first, first + 1
        except OSError:
            continue
    pytest.skip("no two free UDP ports")


async def test_the_answer_holds_bit_rate_and_offers_h264_alone(film: Footage) -> None:
    answers: list[str] = []
    async with peers() as rtc:

        class Noting(ToIngest):
            async def post(self, offer: str) -> tuple[str, str]:
                answer, location = await super().post(offer)
                answers.append(answer)
                return answer, location

        recorder = Recorder(Noting(rtc.ingest(Memory())), film, ledger=SentList(), tone=make_tone())
        async with recorder:
            pass
    assert "x-google-start-bitrate=2000;x-google-min-bitrate=1000" in answers[0]
    assert "VP8" not in answers[0]
    assert "PCMA" not in answers[0]
    assert "opus" in answers[0]
