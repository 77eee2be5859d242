"""Turn assembled pictures and Opus packets into media units with the sender's own time.

Guarantees: nothing is handed out before the first keyframe with its parameter sets; changed sets announce new formats before
the keyframe that brings them; presentation time runs on over the wrap of RTP's 32 bits; the sender's wall time comes from its
RTCP sender reports alone (RFC 3550 6.4.1). Pure.
"""

from dataclasses import dataclass, field

from firmware_adapters.abilities import VIDEO_CLOCK_HZ, MediaUnit, TrackFormat, UnitSink
from firmware_adapters.gop import FrameKind
from firmware_adapters.webrtc_packets import IDR, PPS, SPS, Assembled, nal_type

OPUS_CLOCK_HZ = 48_000
VIDEO_TRACK = 0
AUDIO_TRACK = 1
NTP_EPOCH_S = 2_208_988_800  # 1900 to 1970
CLOCKS: dict[FrameKind, int] = {"video": VIDEO_CLOCK_HZ, "audio": OPUS_CLOCK_HZ}


def ntp_to_unix_ns(ntp: int) -> int:
    """Turn a 64-bit NTP timestamp into Unix ns."""
    return ((ntp * 1_000_000_000) >> 32) - NTP_EPOCH_S * 1_000_000_000


def unix_ns_to_ntp(unix_ns: int) -> int:
    """Turn Unix ns into a 64-bit NTP timestamp."""
    return -(-((unix_ns + NTP_EPOCH_S * 1_000_000_000) << 32) // 1_000_000_000)


def signed_step(later: int, earlier: int) -> int:
    """Give the difference of two 32-bit timestamps as the shorter way round."""
    return ((later - earlier + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@dataclass(slots=True)
class SenderClock:
    """One track's time: unwrapped timestamps, and the sender's wall time by its newest report."""

    clock_hz: int
    _last: int | None = None
    _unwrapped: int = 0
    _report: tuple[int, int] | None = None

    def unwrap(self, timestamp: int) -> int:
        """Continue the presentation time over the wrap of 32 bits."""
        if self._last is None:
            self._unwrapped = timestamp
        else:
            self._unwrapped += signed_step(timestamp, self._last)
        self._last = timestamp
        return self._unwrapped

    def report(self, ntp: int, timestamp: int) -> None:
        """Keep a sender report; one of a sender without a wall clock (0) is ignored."""
        if ntp:
            self._report = (ntp_to_unix_ns(ntp), timestamp)

    def device_ns(self, timestamp: int) -> int | None:
        """Give the sender's wall time of a timestamp; None before its first report."""
        if self._report is None:
            return None
        wall_ns, at = self._report
        return wall_ns + signed_step(timestamp, at) * 1_000_000_000 // self.clock_hz


@dataclass(slots=True)
class UnitMaker:
    """Feeds a sink from one WebRTC connection."""

    sink: UnitSink
    has_audio: bool
    parameter_sets: tuple[bytes, ...] = ()
    announced: bool = False
    skipped: int = 0
    clocks: dict[FrameKind, SenderClock] = field(
        default_factory=lambda: {"video": SenderClock(VIDEO_CLOCK_HZ), "audio": SenderClock(OPUS_CLOCK_HZ)}
    )
    _audio_next: int | None = None
    _lost_skipped: int = 0

    def on_picture(self, picture: Assembled) -> None:
        """Hand one access unit on, announcing formats first where they are new."""
        kinds = [nal_type(nal) for nal in picture.nals]
        is_key = IDR in kinds
        self._lost_skipped += picture.lost_before
        if SPS in kinds and PPS in kinds:
            self._learn([nal for nal, kind in zip(picture.nals, kinds, strict=True) if kind in (SPS, PPS)])
        if is_key and not self.announced and self.parameter_sets:
            self._announce()
        clock = self.clocks["video"]
        pts = clock.unwrap(picture.timestamp)
        if not self.announced:
            self.skipped += 1
            return
        device_ns = clock.device_ns(picture.timestamp)
        lost, self._lost_skipped = self._lost_skipped, 0
        self.sink.on_unit(MediaUnit(VIDEO_TRACK, picture.nals, pts, is_key, picture.mono_ns, device_ns, lost))

    def on_audio(self, sequence: int, timestamp: int, payload: bytes, mono_ns: int) -> None:
        """Hand one Opus packet on; late and doubled ones are dropped, missing ones counted."""
        lost = 0
        if self._audio_next is not None:
            step = ((sequence - self._audio_next + 0x8000) & 0xFFFF) - 0x8000
            if -100 < step < 0:
                return
            lost = step if 0 < step < 0x4000 else 0
        self._audio_next = (sequence + 1) & 0xFFFF
        clock = self.clocks["audio"]
        pts = clock.unwrap(timestamp)
        if self.announced and payload:
            self.sink.on_unit(MediaUnit(AUDIO_TRACK, (payload,), pts, True, mono_ns, clock.device_ns(timestamp), lost))

    def _learn(self, found: list[bytes]) -> None:
        sets = tuple(dict.fromkeys(sorted(found, key=lambda nal: nal_type(nal) != SPS)))
        if sets != self.parameter_sets:
            self.parameter_sets = sets
            self.announced = False  # pictures wait for the keyframe that uses the new sets

    def _announce(self) -> None:
        formats = [TrackFormat(VIDEO_TRACK, "h264", VIDEO_CLOCK_HZ, self.parameter_sets)]
        if self.has_audio:
            formats.append(TrackFormat(AUDIO_TRACK, "opus", OPUS_CLOCK_HZ, channels=2))
        self.announced = True
        self.sink.on_formats(tuple(formats))
