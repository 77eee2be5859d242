"""The abilities a device can have, as small Protocols, and the values that pass through them.

A unit is what the device sent: NAL units or audio packets byte for byte (SEI, AUD and parameter sets kept), never decoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

VIDEO_CLOCK_HZ = 90_000

Codec = Literal["h264", "aac", "opus"]


@dataclass(frozen=True, slots=True)
class TrackFormat:
    """What a decoder must know before the first unit of a track.

    `config` holds the AudioSpecificConfig (AAC); it is empty for H.264 and Opus. `parameter_sets` holds SPS then PPS NAL units,
    without start codes, as announced out of band (H.264 only; in-band sets win when they differ).
    """

    track: int
    codec: Codec
    clock_hz: int
    parameter_sets: tuple[bytes, ...] = ()
    config: bytes = b""
    channels: int = 0

    @property
    def is_video(self) -> bool:
        """Tell whether the track carries pictures."""
        return self.codec == "h264"


@dataclass(frozen=True, slots=True)
class MediaUnit:
    """One access unit (video) or one frame (audio), as received.

    `payloads`: NAL units without start codes for H.264, one element for audio. `pts`: presentation time in the track's clock,
    unwrapped, continuous within one connection. `mono_ns`: our monotonic clock at the arrival of the unit's last packet.
    `device_ns`: the device's own wall clock for this unit (Unix ns, from RTCP sender reports), None before the first report.
    `lost_before`: packets known lost directly before this unit.
    """

    track: int
    payloads: tuple[bytes, ...]
    pts: int
    is_key: bool
    mono_ns: int
    device_ns: int | None = None
    lost_before: int = 0


Interruption = Literal["refused", "unauthorized", "unreachable", "stalled", "closed", "protocol", "unsupported", "stopped"]


class UnitSink(Protocol):
    """Takes what a stream delivers. Calls come on the event loop and must not block."""

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        """Take the tracks of a new connection; units of older formats will not follow."""

    def on_unit(self, unit: MediaUnit) -> None:
        """Take one unit."""

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        """Take the end of a connection; a later `on_formats` means it came back."""


class Streams(Protocol):
    """A device that delivers live units into a sink until closed."""

    async def run(self, sink: UnitSink) -> None:
        """Deliver units, reconnecting with back-off, until cancelled."""


class AsksKeyframes(Protocol):
    """A device that can be asked to send a keyframe now."""

    async def ask_keyframe(self) -> None:
        """Ask for a keyframe; a device may ignore it."""
