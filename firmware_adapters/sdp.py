"""What a device says it sends (SDP, RFC 8866), as far as RTSP uses it: tracks, their codecs and their control addresses.

Guarantees: pure and bounded; unknown lines and attributes are stepped over; a track with an unknown codec is named, not guessed.
"""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from firmware_adapters.aac import read_audio_config
from firmware_adapters.abilities import TrackFormat
from firmware_adapters.h264 import PPS, SPS
from protocol.errors import MalformedError, RefusedError

MAX_SDP_BYTES = 1 << 16
MAX_MEDIA = 16
MAX_PARAMETER_SETS = 32

# RFC 3551 table 4 and 5: what a payload type means when no rtpmap says so.
_STATIC: Final = {0: "PCMU/8000", 3: "GSM/8000", 8: "PCMA/8000", 14: "MPA/90000", 26: "JPEG/90000", 32: "MPV/90000", 33: "MP2T/90000"}


@dataclass(frozen=True, slots=True)
class Media:
    """One media section. `encoding` is upper case, as in `H264`."""

    kind: str
    payload_type: int
    encoding: str
    clock_hz: int
    control: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """A session: its own control address ("" when absent) and its media in order."""

    control: str
    media: tuple[Media, ...]


@dataclass(slots=True)
class _Section:
    kind: str
    payload_type: int
    maps: dict[int, str] = field(default_factory=dict)
    formats: dict[int, str] = field(default_factory=dict)
    control: str = ""


def read_description(text: str) -> Description:
    """Read a session description.

    Raises MalformedError when it is none, or beyond the limits.
    """
    if len(text) > MAX_SDP_BYTES:
        raise MalformedError(f"description exceeds {MAX_SDP_BYTES} bytes", where="sdp")
    lines = text.splitlines()
    if not lines or not lines[0].startswith("v="):
        raise MalformedError("description does not begin with v=", where="sdp")
    control = ""
    sections: list[_Section] = []
    for line in lines:
        if line.startswith("m="):
            if len(sections) >= MAX_MEDIA:
                raise MalformedError(f"more than {MAX_MEDIA} media", where="sdp")
            sections.append(_read_media_line(line))
        elif line.startswith("a=control:") and not sections:
            control = line[10:].strip()
        elif line.startswith("a=") and sections:
            _read_attribute(sections[-1], line[2:])
    return Description(control, tuple(_finish(section) for section in sections))


def _read_media_line(line: str) -> _Section:
    parts = line[2:].split()
    if len(parts) < 4:
        raise MalformedError("media line is cut short", where="sdp")
    return _Section(parts[0].lower(), _number(parts[3], 127, "payload type"))


def _read_attribute(section: _Section, attribute: str) -> None:
    name, _, value = attribute.partition(":")
    if name == "control":
        section.control = value.strip()
    elif name in ("rtpmap", "fmtp"):
        number, _, rest = value.strip().partition(" ")
        into = section.maps if name == "rtpmap" else section.formats
        into[_number(number, 127, "payload type")] = rest.strip()


def _finish(section: _Section) -> Media:
    kind = section.payload_type
    mapped = section.maps.get(kind) or _STATIC.get(kind, "")
    parts = mapped.split("/")
    clock = _number(parts[1], 1_000_000, "clock rate") if len(parts) > 1 else 0
    parameters: dict[str, str] = {}
    for item in section.formats.get(kind, "").split(";"):
        name, sign, value = item.strip().partition("=")
        if sign:
            parameters[name.strip().lower()] = value.strip()
    return Media(section.kind, kind, parts[0].upper(), clock, section.control, parameters)


def _number(text: str, limit: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= limit):
        raise MalformedError(f"{what} is not a number up to {limit}", where="sdp")
    return int(text)


def video_format(media: Media, track: int) -> TrackFormat:
    """Return the format of a video track.

    Raises RefusedError for a codec or packing that this adapter does not speak; MalformedError for broken parameter sets.
    """
    if media.encoding != "H264":
        raise RefusedError(f"video codec {media.encoding or 'unknown'} is not supported yet by this adapter")
    if media.clock_hz != 90_000:
        raise RefusedError(f"H264 with a clock of {media.clock_hz} Hz is not supported")
    if media.parameters.get("packetization-mode", "0") not in ("0", "1"):
        raise RefusedError("H264 in interleaved packetization mode is not supported")
    return TrackFormat(track, "h264", 90_000, _parameter_sets(media.parameters.get("sprop-parameter-sets", "")))


def _parameter_sets(text: str) -> tuple[bytes, ...]:
    items = [item for item in text.split(",") if item]
    if len(items) > MAX_PARAMETER_SETS:
        raise MalformedError(f"more than {MAX_PARAMETER_SETS} parameter sets", where="sdp")
    try:
        # Some cameras leave the padding out.
        sets = [base64.b64decode(item + "=" * (-len(item) % 4), validate=True) for item in items]
    except (binascii.Error, ValueError) as error:
        raise MalformedError("parameter sets are not base64", where="sdp") from error
    of_kind = {kind: [nal for nal in sets if nal and nal[0] & 0x1F == kind] for kind in (SPS, PPS)}
    return (*of_kind[SPS], *of_kind[PPS])


def audio_format(media: Media, track: int) -> TrackFormat:
    """Return the format of an audio track.

    Raises RefusedError for a codec or packing that this adapter does not speak; MalformedError for a broken configuration.
    """
    parameters = media.parameters
    if media.encoding != "MPEG4-GENERIC":
        raise RefusedError(f"audio codec {media.encoding or 'unknown'} is not supported yet by this adapter")
    mode = parameters.get("mode", "").lower()
    sizes = tuple(parameters.get(name, "") for name in ("sizelength", "indexlength", "indexdeltalength"))
    if mode != "aac-hbr" or sizes != ("13", "3", "3"):
        raise RefusedError(f"AAC in mode {mode or 'unknown'} is not supported yet by this adapter")
    try:
        config = bytes.fromhex(parameters.get("config", ""))
    except ValueError as error:
        raise MalformedError("audio configuration is not hexadecimal", where="sdp") from error
    if not media.clock_hz:
        raise MalformedError("audio without a clock rate", where="sdp")
    return TrackFormat(track, "aac", media.clock_hz, config=config, channels=read_audio_config(config).channels)
