"""Offers that pass, offers that do not, and what becomes of the answer."""

import base64

import pytest

from firmware_adapters.webrtc_sdp import (
    PLAYOUT_DELAY,
    SDP_LIMIT,
    accept_playout_delay,
    hold_bitrate,
    parse_sections,
    read_offer,
    restore_profiles,
    strip_named_candidates,
)
from protocol.errors import MalformedError, RefusedError

HEAD = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
TRANSPORT = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 AA\r\na=setup:actpass\r\na=rtcp-mux\r\n"
CANDIDATES = (
    "a=candidate:1 1 udp 2113937151 0b1c2d3e-aaaa-bbbb-cccc-0123456789ab.local 51000 typ host\r\n"
    "a=candidate:2 1 udp 2113937151 192.0.2.7 51000 typ host\r\n"
)
H264 = "a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n"
VP8 = "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"


def video(codecs: str, *, direction: str = "sendonly", transport: str = TRANSPORT) -> str:
    return f"m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:0\r\na={direction}\r\n{transport}{CANDIDATES}{codecs}"


def audio(codecs: str) -> str:
    return f"m=audio 9 UDP/TLS/RTP/SAVPF 111 8\r\na=mid:1\r\na=sendonly\r\n{TRANSPORT}{codecs}"


OPUS = "a=rtpmap:111 opus/48000/2\r\n"


def test_only_candidates_with_an_address_are_kept() -> None:
    text = "".join(
        f"a=candidate:1 1 udp 1 {host} {port} typ host\r\n"
        for host, port in [("x.local", 1), ("example.org", 1), ("192.0.2.7", 1), ("fd00::2", 1), ("192.0.2.7", 0), ("192.0.2.8", 70000)]
    )
    kept = strip_named_candidates("v=0\r\n" + text + "a=candidate:short\r\na=mid:0\r\n")
    assert [line.split()[4] for line in kept.splitlines() if line.startswith("a=candidate")] == ["192.0.2.7", "fd00::2"]
    assert kept.endswith("a=mid:0\r\n")


def test_h264_and_opus_pass_without_mdns_candidates() -> None:
    offer = read_offer(HEAD + video(VP8 + H264) + audio(OPUS), media_from_peer=True)
    assert offer.has_audio
    assert ".local" not in offer.text
    assert "192.0.2.7" in offer.text
    assert offer.profiles == {}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (HEAD + video(VP8), "H.264 in packetization mode 1, offered: VP8"),
        (HEAD + video(H264.replace("packetization-mode=1", "packetization-mode=0")), "offered: H264"),
        (HEAD + video(H264) + audio("a=rtpmap:8 PCMA/8000\r\n"), "must be Opus, offered: PCMA"),
        (HEAD + audio(OPUS), "has 0 and 1"),
        (HEAD + video(H264) + video(H264), "has 2 and 0"),
        (HEAD + video(H264, direction="recvonly"), "sends no video"),
        (HEAD + video(H264) + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "has application"),
        (HEAD + video(H264, transport=TRANSPORT.replace("a=rtcp-mux\r\n", "")), "rtcp-mux"),
    ],
)
def test_other_media_is_refused_by_name(text: str, what: str) -> None:
    with pytest.raises(RefusedError, match=what):
        read_offer(text, media_from_peer=True)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "v=0"),
        ("hello", "v=0"),
        (HEAD, "no media section"),
        (HEAD + video(H264, transport=TRANSPORT.replace("a=ice-pwd", "a=x")), "ICE password"),
        (HEAD + video(H264, transport=TRANSPORT.replace("a=fingerprint", "a=x")), "DTLS fingerprint"),
        ("v=0\r\n" + "a=x\r\n" * SDP_LIMIT, "larger than"),
    ],
)
def test_what_is_no_offer_is_malformed(text: str, what: str) -> None:
    with pytest.raises(MalformedError, match=what):
        read_offer(text, media_from_peer=True)


def test_a_viewer_must_receive() -> None:
    read_offer(HEAD + video(H264, direction="recvonly"), media_from_peer=False)
    with pytest.raises(RefusedError, match="receives no video"):
        read_offer(HEAD + video(H264), media_from_peer=False)


def test_transport_lines_may_stand_in_the_session_part() -> None:
    shared = TRANSPORT.replace("a=rtcp-mux\r\n", "")
    offer = read_offer(HEAD + shared + video(H264, transport="a=rtcp-mux\r\n"), media_from_peer=True)
    assert shared in offer.text


def test_another_profile_is_shown_as_a_known_one_and_given_back() -> None:
    offer = read_offer(HEAD + video(H264.replace("42001f", "640028")), media_from_peer=True)
    assert "profile-level-id=42e01f" in offer.text
    answer = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 102\r\na=fmtp:102 packetization-mode=1;profile-level-id=42E01F\r\n"
    assert "profile-level-id=640028" in restore_profiles(answer, offer.profiles)


def test_announced_parameter_sets_are_read() -> None:
    sets = (b"\x67\x42\x00\x1f\x01", b"\x68\xce")
    text = ",".join(base64.b64encode(each).decode() for each in sets)
    h264 = H264.replace("42001f", f"42001f;sprop-parameter-sets={text}")
    assert read_offer(HEAD + video(h264), media_from_peer=True).parameter_sets == sets
    assert read_offer(HEAD + video(h264.replace(text, "!!,##")), media_from_peer=True).parameter_sets == ()


def test_the_answer_holds_the_bit_rate_for_h264_alone() -> None:
    held = hold_bitrate(HEAD + video(VP8 + H264), start_kbit=2000, min_kbit=1000, max_kbit=6000)
    assert "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f;x-google-start-bitrate=2000" in held
    assert "a=fmtp:97 apt=96\r\n" in held
    assert len(parse_sections(held)) == 1


@pytest.mark.parametrize(("number", "taken"), [("6", 6), ("14", 14), ("15", 0), ("0", 0), ("x", 0)])
def test_a_playout_delay_is_accepted_under_the_number_it_was_offered(number: str, taken: int) -> None:
    offered = f"a=extmap:{number} {PLAYOUT_DELAY}\r\n"
    offer = read_offer(HEAD + video(offered + H264, direction="recvonly"), media_from_peer=False)
    assert offer.playout_delay == taken
    answer = HEAD + audio(OPUS) + video(H264)
    accepted = accept_playout_delay(answer, offer.playout_delay)
    lines = [line for line in accepted.split("\r\n") if PLAYOUT_DELAY in line]
    assert lines == ([f"a=extmap:{taken} {PLAYOUT_DELAY}"] if taken else [])
    assert accepted.replace(f"a=extmap:{taken} {PLAYOUT_DELAY}\r\n", "") == answer
    assert all(PLAYOUT_DELAY not in line for section in parse_sections(accepted) if section.kind == "audio" for line in section.lines)
