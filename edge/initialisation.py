"""Write the head of a fragmented MP4 file: `ftyp` and `moov` for H.264, AAC and Opus tracks (ISO/IEC 14496-12, -14, -15).

Guarantees: the same formats give the same bytes; nothing in them names a time, a machine or a writer.
"""

import struct
from collections.abc import Sequence

from edge.sps import PictureFormat, read_sps
from firmware_adapters.abilities import TrackFormat
from protocol.errors import MalformedError

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_UNDETERMINED = 0x55C4  # language "und"
_SELF_CONTAINED = 1
OPUS_HZ = 48_000


def box(kind: bytes, *parts: bytes) -> bytes:
    """Give a box."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Give a box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def parameter_sets(track: TrackFormat) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Give the SPS and the PPS NAL units of a track."""
    sets = track.parameter_sets
    return tuple(nal for nal in sets if nal[0] & 0x1F == 7), tuple(nal for nal in sets if nal[0] & 0x1F == 8)


def codec_string(track: TrackFormat) -> str:
    """Give the RFC 6381 name that a browser is asked with."""
    if track.codec == "h264":
        return f"avc1.{parameter_sets(track)[0][0][1:4].hex()}"
    if track.codec == "aac":
        kind = track.config[0] >> 3
        return f"mp4a.40.{kind if kind != 31 else 32 + (track.config[0] << 8 | track.config[1]) // 32 % 64}"
    return "opus"


def media_hz(track: TrackFormat) -> int:
    """Give the time scale of a track."""
    return track.clock_hz


def initialisation(tracks: Sequence[TrackFormat]) -> bytes:
    """Give `ftyp` and `moov`; track ids count from 1 in the order given.

    Raises MalformedError when a format lacks what a decoder must know.
    """
    head = box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6iso5mp41")
    movie = full_box(
        b"mvhd", 0, 0, struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100), _MATRIX, bytes(24), struct.pack(">I", len(tracks) + 1)
    )
    extends = [full_box(b"trex", 0, 0, struct.pack(">IIIII", number, 1, 0, 0, 0)) for number, _ in enumerate(tracks, 1)]
    return head + box(b"moov", movie, *(_track(number, track) for number, track in enumerate(tracks, 1)), box(b"mvex", *extends))


def _track(number: int, track: TrackFormat) -> bytes:
    picture = _picture(track) if track.is_video else None
    width, height = (picture.width, picture.height) if picture else (0, 0)
    header = full_box(
        b"tkhd",
        0,
        3,  # enabled, in movie
        struct.pack(">IIIII8xHHH2x", 0, 0, number, 0, 0, 0, 0, 0 if picture else 0x100),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )
    media = full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, media_hz(track), 0, _UNDETERMINED, 0))
    kind, name = (b"vide", b"pictures\0") if picture else (b"soun", b"sound\0")
    handler = full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name)
    media_head = full_box(b"vmhd", 0, 1, bytes(8)) if picture else full_box(b"smhd", 0, 0, bytes(4))
    data = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, _SELF_CONTAINED)))
    entry = _picture_entry(track, picture) if picture else _sound_entry(track)
    empty = bytes(4)
    table = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        full_box(b"stts", 0, 0, empty),
        full_box(b"stsc", 0, 0, empty),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, empty),
    )
    return box(b"trak", header, box(b"mdia", media, handler, box(b"minf", media_head, data, table)))


def _picture(track: TrackFormat) -> PictureFormat:
    sequence, picture = parameter_sets(track)
    if not sequence or not picture:
        raise MalformedError("parameter sets are missing", where=f"track {track.track}")
    return read_sps(sequence[0])


def _picture_entry(track: TrackFormat, picture: PictureFormat) -> bytes:
    visual = struct.pack(">6xH16xHHIIIH32sHh", 1, picture.width, picture.height, 0x480000, 0x480000, 0, 1, b"", 0x18, -1)
    return box(b"avc1", visual, _decoder_configuration(track, picture))


def _decoder_configuration(track: TrackFormat, picture: PictureFormat) -> bytes:
    # ISO/IEC 14496-15 5.3.3.1: NAL unit lengths have four bytes
    sequence, pictures = parameter_sets(track)
    if len(sequence) > 31 or len(pictures) > 255:
        raise MalformedError("too many parameter sets", where=f"track {track.track}")
    out = [struct.pack(">BBBBBB", 1, picture.profile, picture.compatibility, picture.level, 0xFF, 0xE0 | len(sequence))]
    out += [struct.pack(">H", len(nal)) + nal for nal in sequence]
    out.append(bytes((len(pictures),)))
    out += [struct.pack(">H", len(nal)) + nal for nal in pictures]
    if picture.is_high:
        out.append(bytes((0xFC | picture.chroma, 0xF8 | picture.luma_depth - 8, 0xF8 | picture.chroma_depth - 8, 0)))
    return box(b"avcC", *out)


def _sound_entry(track: TrackFormat) -> bytes:
    channels = track.channels or 2
    sound = struct.pack(">6xH8xHHHHI", 1, channels, 16, 0, 0, min(track.clock_hz, 0xFFFF) << 16)
    if track.codec == "opus":
        # Opus in ISO BMFF 4.3.2: version, channels, pre-skip, input rate, gain, mapping family
        return box(b"Opus", sound, box(b"dOps", struct.pack(">BBHIhB", 0, channels, 0, OPUS_HZ, 0, 0)))
    if not track.config:
        raise MalformedError("audio configuration is missing", where=f"track {track.track}")
    return box(b"mp4a", sound, full_box(b"esds", 0, 0, _elementary_stream(track.config)))


def _elementary_stream(config: bytes) -> bytes:
    # ISO/IEC 14496-1 7.2.6: MPEG-4 audio (0x40), audio stream (5 << 2 | 1)
    specific = _descriptor(0x05, config)
    decoder = _descriptor(0x04, struct.pack(">BB3xII", 0x40, 0x15, 0, 0) + specific)
    return _descriptor(0x03, struct.pack(">HB", 0, 0) + decoder + _descriptor(0x06, b"\x02"))


def _descriptor(tag: int, body: bytes) -> bytes:
    if len(body) > 0x7F:
        raise MalformedError(f"descriptor of {len(body)} bytes", where="esds")
    return bytes((tag, len(body))) + body
