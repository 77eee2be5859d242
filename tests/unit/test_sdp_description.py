"""Session descriptions as cameras write them, and their broken twins."""

import pytest

from firmware_adapters.aac import read_audio_config
from firmware_adapters.rtsp_connection import InterruptedStreamError
from firmware_adapters.rtsp_session import control_url, read_channels
from firmware_adapters.sdp import MAX_MEDIA, audio_format, read_description, video_format
from protocol.errors import MalformedError, RefusedError

GOLDEN = """v=0\r
o=- 1001 1 IN IP4 192.168.1.64\r
s=VCP IPC Realtime stream\r
m=video 0 RTP/AVP 105\r
c=IN IP4 192.168.1.64\r
a=control:rtsp://192.168.1.64/media/video1/video\r
a=rtpmap:105 H264/90000\r
a=fmtp:105 profile-level-id=64001f; packetization-mode=1; sprop-parameter-sets=Z2QAH6w=,aO48sA\r
a=recvonly\r
m=audio 0 RTP/AVP 97\r
a=fmtp:97 streamtype=5;mode=AAC-hbr;sizeLength=13;indexLength=3;indexDeltaLength=3;config=1408\r
a=rtpmap:97 MPEG4-GENERIC/16000/1\r
a=control:audio\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
"""


def test_golden_description() -> None:
    description = read_description(GOLDEN)
    video, audio, other = description.media
    track = video_format(video, 0)
    assert (track.codec, track.clock_hz) == ("h264", 90_000)
    assert [nal.hex() for nal in track.parameter_sets] == ["6764001fac", "68ee3cb0"]
    assert video.control == "rtsp://192.168.1.64/media/video1/video"
    sound = audio_format(audio, 1)
    assert (sound.codec, sound.clock_hz, sound.config, sound.channels) == ("aac", 16_000, b"\x14\x08", 1)
    assert other.encoding == "VND.ONVIF.METADATA"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("v=0", "x=0"),
        ("RTP/AVP 105\r\nc", "RTP/AVP\r\nc"),
        ("RTP/AVP 105\r\nc", "RTP/AVP -5\r\nc"),
        ("RTP/AVP 105\r\nc", "RTP/AVP 128\r\nc"),
        ("H264/90000", "H264/ninety"),
        ("H264/90000", "H264/99999999999"),
    ],
)
def test_broken_descriptions_are_malformed(old: str, new: str) -> None:
    with pytest.raises(MalformedError):
        read_description(GOLDEN.replace(old, new))


def test_endless_descriptions_are_malformed() -> None:
    with pytest.raises(MalformedError):
        read_description("v=0\r\n" + "a=x\r\n" * 20_000)
    with pytest.raises(MalformedError):
        read_description("v=0\r\n" + "m=video 0 RTP/AVP 96\r\n" * (MAX_MEDIA + 1))


@pytest.mark.parametrize("sets", ["Z2QAH6w=,!!!!", "," + ",".join(["aO48sA=="] * 40)])
def test_broken_parameter_sets_are_malformed(sets: str) -> None:
    media = read_description(GOLDEN.replace("Z2QAH6w=,aO48sA", sets)).media[0]
    with pytest.raises(MalformedError):
        video_format(media, 0)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("H264/90000", "H265/90000", "video codec H265 is not supported yet by this adapter"),
        ("a=rtpmap:105 H264/90000\r\n", "", "video codec unknown is not supported yet by this adapter"),
        ("packetization-mode=1", "packetization-mode=2", "H264 in interleaved packetization mode is not supported"),
    ],
)
def test_other_video_is_refused_by_name(old: str, new: str, says: str) -> None:
    with pytest.raises(RefusedError, match=says):
        video_format(read_description(GOLDEN.replace(old, new)).media[0], 0)


def test_other_audio_is_refused_by_name() -> None:
    static = read_description("v=0\r\nm=audio 0 RTP/AVP 8\r\n").media[0]
    with pytest.raises(RefusedError, match="audio codec PCMA is not supported yet by this adapter"):
        audio_format(static, 1)
    with pytest.raises(RefusedError, match="AAC in mode aac-lbr"):
        audio_format(read_description(GOLDEN.replace("AAC-hbr", "AAC-lbr")).media[1], 1)


@pytest.mark.parametrize("config", ["14", "zz", "", "17ff", "00" * 65])
def test_broken_audio_configurations_are_malformed(config: str) -> None:
    with pytest.raises(MalformedError):
        audio_format(read_description(GOLDEN.replace("config=1408", f"config={config}")).media[1], 1)


def test_audio_configurations() -> None:
    assert read_audio_config(bytes.fromhex("1210")).frequency == 44_100
    assert read_audio_config(bytes.fromhex("119056e500")).channels == 2
    assert read_audio_config(bytes.fromhex("1194")).frame_samples == 960


def test_control_addresses_are_appended_as_cameras_expect() -> None:
    assert control_url("rtsp://h/a/", "track=0") == "rtsp://h/a/track=0"
    assert control_url("rtsp://h/a?x=1", "track=0") == "rtsp://h/a?x=1/track=0"
    assert control_url("rtsp://h/a", "*") == "rtsp://h/a"
    assert control_url("rtsp://h/a", "rtsp://other/b") == "rtsp://other/b"
    for control in ("a b", "a" * 5000, "ü"):
        with pytest.raises(MalformedError):
            control_url("rtsp://h/a", control)


def test_channels_are_the_cameras_choice() -> None:
    assert read_channels("RTP/AVP/TCP;unicast;interleaved=6-7;ssrc=1", 0) == (6, 7)
    assert read_channels("RTP/AVP/TCP;unicast", 2) == (2, 3)
    for transport in ("interleaved=-1-0", "interleaved=1-0", "interleaved=300-301", "interleaved=a-b", "interleaved=1-2-3"):
        with pytest.raises(MalformedError):
            read_channels("RTP/AVP/TCP;" + transport, 0)
    with pytest.raises(InterruptedStreamError):
        read_channels("RTP/AVP;unicast;client_port=1-2", 0)
