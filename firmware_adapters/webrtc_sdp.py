"""Read and adjust session descriptions (RFC 8866) as text: what WHIP and WHEP need beyond the library.

Guarantees: an offer is judged before anything is started for it; only H.264 (packetization mode 1) and Opus pass; every
refusal names what was offered. Pure.
"""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal

from firmware_adapters.webrtc_packets import PPS, SPS, nal_type
from protocol.errors import MalformedError, RefusedError

SDP_LIMIT = 64 << 10  # bytes; a browser's offer has 6 to 8 KiB
KNOWN_PROFILE = "42e01f"  # constrained baseline 3.1: what the library knows by name
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

_CANDIDATE = re.compile(r"a=candidate:([^\r\n]*)(\r?\n|$)")
_RTPMAP = re.compile(r"a=rtpmap:(\d+) ([^/\s]+)/(\d+)")
_FMTP = re.compile(r"a=fmtp:(\d+) (\S.*)")
_PLAYOUT_DELAY = re.compile(rf"a=extmap:(\d{{1,3}}) {re.escape(PLAYOUT_DELAY)}\s*")

Direction = Literal["sendonly", "recvonly", "sendrecv", "inactive"]


@dataclass(slots=True)
class Section:
    """One m= section: its kind, lines, the codec of each payload type and its parameters."""

    kind: str
    lines: list[str] = field(default_factory=list)
    codecs: dict[int, str] = field(default_factory=dict)
    parameters: dict[int, dict[str, str]] = field(default_factory=dict)

    @property
    def direction(self) -> Direction:
        """Give the direction; `sendrecv` when none is named (RFC 8866 6.7)."""
        for name in ("sendonly", "recvonly", "sendrecv", "inactive"):
            if f"a={name}" in self.lines:
                return name
        return "sendrecv"

    def has(self, prefix: str) -> bool:
        """Tell whether a line starts with `prefix`."""
        return any(line.startswith(prefix) for line in self.lines)

    @property
    def offered(self) -> str:
        """Name the codecs for people, helpers such as rtx left out."""
        names = {
            name for name in self.codecs.values() if name.lower() not in ("rtx", "red", "ulpfec", "flexfec-03", "cn", "telephone-event")
        }
        return ", ".join(sorted(names)) or "none"

    def h264_payloads(self) -> list[int]:
        """Give the payload types of H.264 in packetization mode 1."""
        return [
            number
            for number, name in self.codecs.items()
            if name.lower() == "h264" and self.parameters.get(number, {}).get("packetization-mode") == "1"
        ]


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that passed: text for the library, and how to give the answer the offerer's own H.264 profile back.

    `playout_delay`: the number of that header extension of video, 0 where it was not offered.
    """

    text: str
    has_audio: bool
    parameter_sets: tuple[bytes, ...]
    profiles: dict[int, str]
    playout_delay: int = 0


def read_offer(text: str, *, media_from_peer: bool) -> Offer:
    """Judge an offer for WHIP (`media_from_peer`) or WHEP.

    Raises MalformedError for what is no offer, RefusedError for media we do not carry.
    """
    sections = parse_sections(text)
    video = [section for section in sections if section.kind == "video"]
    audio = [section for section in sections if section.kind == "audio"]
    if other := [section.kind for section in sections if section.kind not in ("video", "audio")]:
        raise RefusedError(f"only video and audio are carried, the offer has {other[0]}", where="offer")
    if len(video) != 1 or len(audio) > 1:
        raise RefusedError(f"one video and at most one audio track, the offer has {len(video)} and {len(audio)}", where="offer")
    for section in sections:
        _check_transport(section, session=text.replace("\r\n", "\n").split("\nm=", 1)[0])
        _check_direction(section, media_from_peer)
    if not video[0].h264_payloads():
        raise RefusedError(f"video must be H.264 in packetization mode 1, offered: {video[0].offered}", where="offer")
    if audio and "opus" not in (name.lower() for name in audio[0].codecs.values()):
        raise RefusedError(f"audio must be Opus, offered: {audio[0].offered}", where="offer")
    shown, profiles = _show_known_profile(strip_named_candidates(text), video[0])
    return Offer(shown, bool(audio), _announced_sets(video[0]), profiles, _playout_delay(video[0]))


def parse_sections(text: str) -> list[Section]:
    """Split a description at its m= lines.

    Raises MalformedError when it is none or is too large.
    """
    if len(text) > SDP_LIMIT:
        raise MalformedError(f"larger than {SDP_LIMIT} bytes", where="sdp")
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].strip() != "v=0":
        raise MalformedError("does not start with v=0", where="sdp")
    sections: list[Section] = []
    for line in lines:
        if line.startswith("m="):
            sections.append(Section(line[2:].split(" ", 1)[0]))
        elif sections:
            _take_line(sections[-1], line)
    if not sections:
        raise MalformedError("no media section", where="sdp")
    return sections


def _take_line(section: Section, line: str) -> None:
    section.lines.append(line)
    if found := _RTPMAP.match(line):
        section.codecs[int(found[1])] = found[2]
    elif found := _FMTP.match(line):
        pairs = (part.strip().partition("=") for part in found[2].split(";"))
        section.parameters[int(found[1])] = {name.lower(): value for name, _, value in pairs}


def _check_transport(section: Section, session: str) -> None:
    for prefix, meaning in (
        ("a=ice-ufrag:", "ICE user name"),
        ("a=ice-pwd:", "ICE password"),
        ("a=fingerprint:", "DTLS fingerprint"),
        ("a=setup:", "DTLS role"),
    ):
        if not section.has(prefix) and f"\n{prefix}" not in session:
            raise MalformedError(f"no {meaning}", where=f"sdp {section.kind}")
    if not section.has("a=rtcp-mux"):
        raise RefusedError("RTP and RTCP must share a port (rtcp-mux)", where=f"offer {section.kind}")
    if not section.has("a=mid:"):
        raise MalformedError("no mid", where=f"sdp {section.kind}")


def _check_direction(section: Section, media_from_peer: bool) -> None:
    wrong = ("recvonly", "inactive") if media_from_peer else ("sendonly", "inactive")
    if section.direction in wrong:
        verb = "sends" if media_from_peer else "receives"
        raise RefusedError(f"the offer {verb} no {section.kind} ({section.direction})", where="offer")


def strip_named_candidates(text: str) -> str:
    """Drop candidates that are not addresses: mDNS names cost a second each, others would be looked up for a stranger.

    Peers behind a name are found by their own checks.
    """
    return _CANDIDATE.sub(lambda found: found[0] if _has_address(found[1]) else "", text)


def _has_address(candidate: str) -> bool:
    fields = candidate.split()
    try:
        ipaddress.ip_address(fields[4])
        return 0 < int(fields[5]) < 65536 and fields[6] == "typ"
    except (ValueError, IndexError):
        return False


def _show_known_profile(text: str, video: Section) -> tuple[str, dict[int, str]]:
    """Show the library a profile it knows when only others are offered: frames pass through, no profile is decoded."""
    profiles = {number: video.parameters[number].get("profile-level-id", KNOWN_PROFILE) for number in video.h264_payloads()}
    if any(profile.lower()[:4] in ("4200", "42e0") for profile in profiles.values()):
        return text, {}
    number, profile = next(iter(profiles.items()))
    pattern = re.compile(rf"(a=fmtp:{number} [^\r\n]*profile-level-id=){re.escape(profile)}", re.IGNORECASE)
    return pattern.sub(rf"\g<1>{KNOWN_PROFILE}", text), {number: profile}


def restore_profiles(answer: str, profiles: dict[int, str]) -> str:
    """Give the answer the profiles that the offer named."""
    for number, profile in profiles.items():
        answer = re.sub(rf"(a=fmtp:{number} [^\r\n]*profile-level-id=){KNOWN_PROFILE}", rf"\g<1>{profile}", answer, flags=re.IGNORECASE)
    return answer


def _playout_delay(video: Section) -> int:
    """Give the number under which the offerer takes playout delays; those beyond the one-byte form (RFC 8285 4.2) are not used."""
    found = (_PLAYOUT_DELAY.fullmatch(line) for line in video.lines)
    return next((int(each[1]) for each in found if each is not None and 1 <= int(each[1]) <= 14), 0)


def accept_playout_delay(answer: str, number: int) -> str:
    """Let the answer's video take playout delays by this header extension, which the library does not know; 0 changes nothing."""
    if not number:
        return answer
    return re.sub(r"(m=video .*?a=mid:[^\r\n]*(\r?\n))", rf"\g<1>a=extmap:{number} {PLAYOUT_DELAY}\g<2>", answer, count=1, flags=re.DOTALL)


def _announced_sets(video: Section) -> tuple[bytes, ...]:
    """Read sprop-parameter-sets (RFC 6184 8.1); what does not parse is left out, in-band sets win anyway."""
    for number in video.h264_payloads():
        announced = video.parameters[number].get("sprop-parameter-sets", "")
        sets = []
        for part in filter(None, announced.split(",")):
            try:
                sets.append(base64.b64decode(part + "=" * (-len(part) % 4), validate=True))
            except (binascii.Error, ValueError):
                continue
        if {SPS, PPS} <= {nal_type(nal) for nal in sets}:
            return tuple(sets)
    return ()


def hold_bitrate(answer: str, *, start_kbit: int, min_kbit: int, max_kbit: int) -> str:
    """Ask a browser to start at and keep above a bit rate, so that it does not change its resolution meanwhile."""
    hint = f";x-google-start-bitrate={start_kbit};x-google-min-bitrate={min_kbit};x-google-max-bitrate={max_kbit}"
    h264 = {number for section in parse_sections(answer) for number in section.h264_payloads()}
    return re.sub(r"(a=fmtp:(\d+) [^\r\n]*)", lambda found: found[1] + (hint if int(found[2]) in h264 else ""), answer)
