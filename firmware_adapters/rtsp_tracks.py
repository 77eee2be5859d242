"""From the packets of one track to the units that a sink takes, and back to the camera's receiver reports.

Guarantees: units in arrival order, only whole ones; every missing packet is counted once, before the next unit that leaves;
a restarted source is told before its first unit. No I/O and no clock: times come with the packets.
"""

from collections.abc import Callable
from typing import Protocol

from firmware_adapters.aac import AacDepacketizer, read_audio_config
from firmware_adapters.abilities import MediaUnit, TrackFormat
from firmware_adapters.h264 import H264Depacketizer, Piece
from firmware_adapters.rtp import (
    HEADER_BYTES,
    PLAIN_HEADER,
    SECOND_NS,
    Reception,
    SenderReport,
    Timeline,
    payload_bounds,
    read_control,
    receiver_report,
    sequence_gap,
    unpack_header,
)
from protocol.errors import MalformedError


class Depacketizer(Protocol):
    """Puts payloads together again; one for each codec."""

    def push(self, data: bytearray, start: int, end: int) -> bool:
        """Take a payload; True when what it belongs to is whole without a marker."""

    def finish(self) -> tuple[Piece, ...]:
        """End at a marker."""

    def flush(self) -> tuple[Piece, ...]:
        """End at a new timestamp."""

    def spoil(self) -> None:
        """Know that packets of the current unit are missing."""

    def drop(self) -> None:
        """Forget the current unit."""


class Track:
    """One track of a connection.

    `deliver` takes units; `on_restart` is called with the moment when the source starts anew and must reset every track.
    """

    __slots__ = (
        "_deliver",
        "_depacketizer",
        "_early",
        "_expected",
        "_format",
        "_lost",
        "_number",
        "_on_restart",
        "_origin_ns",
        "_payload_type",
        "_reception",
        "_ssrc",
        "_timeline",
        "_timestamp",
        "_transit",
        "has_ended",
        "last_unit_ns",
    )

    def __init__(
        self, track: TrackFormat, payload_type: int, deliver: Callable[[MediaUnit], None], on_restart: Callable[[int], None]
    ) -> None:
        self._format = track
        self._number = track.track
        self._payload_type = payload_type
        self._deliver = deliver
        self._on_restart = on_restart
        self._timeline = Timeline(track.clock_hz)
        self.last_unit_ns = 0
        self.has_ended = False
        self.reset(0)

    @property
    def is_video(self) -> bool:
        """Tell whether the track carries pictures."""
        return self._format.is_video

    def reset(self, origin_ns: int) -> None:
        """Begin anew; `origin_ns` is the moment that gets the presentation time 0."""
        self._origin_ns = origin_ns
        self._depacketizer = _depacketizer(self._format)
        self._timeline.restart()
        self._expected = -1
        self._ssrc = -1
        self._timestamp = -1
        self._lost = 0
        self._transit: int | None = None
        self._early: SenderReport | None = None
        self._reception = Reception()

    def take_packet(self, data: bytearray, start: int, end: int, now_ns: int) -> None:
        """Take the RTP packet in data[start:end].

        Raises MalformedError for bytes that are no packet of this track's codec.
        """
        if end - start < HEADER_BYTES:
            raise MalformedError("packet is shorter than its header", where="rtp")
        flags, kind, sequence, timestamp, ssrc = unpack_header(data, start)
        if flags == PLAIN_HEADER:
            start += HEADER_BYTES
        else:
            start, end = payload_bounds(data, start, end)
        if kind & 0x7F != self._payload_type:
            return
        has_gap = False
        if sequence != self._expected or ssrc != self._ssrc:
            missing = self._follow(sequence, ssrc, now_ns)
            if missing < 0:
                return
            has_gap = missing > 0
        self._expected = (sequence + 1) & 0xFFFF
        self._reception.received += 1
        if timestamp != self._timestamp:
            self._turn(timestamp, has_gap, now_ns)
        elif has_gap:
            self._depacketizer.spoil()
        if (start < end and self._depacketizer.push(data, start, end)) or kind & 0x80:
            self._leave(self._depacketizer.finish(), now_ns)

    def take_control(self, data: bytearray, start: int, end: int, now_ns: int) -> None:
        """Take the RTCP packet in data[start:end].

        Raises MalformedError when its lengths do not fit.
        """
        control = read_control(data, start, end)
        report = control.report
        if report is not None and self._ssrc < 0:
            self._early = report
        elif report is not None and report.ssrc == self._ssrc:
            self._timeline.tie(report)
            self._reception.report_middle = report.middle
            self._reception.report_ns = now_ns
        self.has_ended = self.has_ended or control.is_bye

    def report(self, own_ssrc: int, name: bytes, now_ns: int) -> bytes:
        """Return the receiver report since the last one, empty before the first packet."""
        if self._ssrc < 0:
            return b""
        self._raise_highest()
        return receiver_report(own_ssrc, self._reception.block(now_ns), name)

    def _follow(self, sequence: int, ssrc: int, now_ns: int) -> int:
        """Return how many packets are missing before this one; negative: leave it out."""
        if self._ssrc >= 0:
            missing = sequence_gap(self._expected, sequence) if ssrc == self._ssrc else None
            if missing is not None:
                if missing > 0:
                    self._lost += missing
                    self._reception.lost += missing
                return missing
            self._on_restart(now_ns)
        self._adopt(ssrc, sequence)
        return 0

    def _adopt(self, ssrc: int, sequence: int) -> None:
        self._ssrc = self._reception.ssrc = ssrc
        self._reception.highest = sequence

    def _raise_highest(self) -> None:
        # Called at least once a unit, so that no wrap of the 16 bits goes unseen.
        sequence = (self._expected - 1) & 0xFFFF
        highest = self._reception.highest
        cycles = highest >> 16
        if sequence < highest & 0xFFFF:
            cycles += 1
        self._reception.highest = cycles << 16 | sequence

    def _turn(self, timestamp: int, has_gap: bool, now_ns: int) -> None:
        """Begin a new timestamp."""
        depacketizer = self._depacketizer
        if has_gap:
            depacketizer.drop()  # the end of the unit before, or the beginning of this one, may be among the lost
        else:
            pieces = depacketizer.flush()
            if pieces:
                self._leave(pieces, now_ns)
        if not self._timeline.advance(timestamp, now_ns, self._origin_ns):
            ssrc, expected = self._ssrc, self._expected
            self._on_restart(now_ns)
            self._adopt(ssrc, (expected - 1) & 0xFFFF)
            self._expected = expected
            self._timeline.advance(timestamp, now_ns, self._origin_ns)
        self._timestamp = timestamp
        if self._early is not None:
            early, self._early = self._early, None
            if early.ssrc == self._ssrc:
                self._timeline.tie(early)
        self._raise_highest()

    def _leave(self, pieces: tuple[Piece, ...], now_ns: int) -> None:
        if not pieces:
            return
        timeline = self._timeline
        pts = timeline.pts
        for payloads, offset, is_key in pieces:
            at = pts + offset
            unit = MediaUnit(self._number, payloads, at, is_key, now_ns, timeline.device_ns(at), self._lost)
            self._lost = 0
            self.last_unit_ns = now_ns
            self._deliver(unit)
        transit = now_ns * self._format.clock_hz // SECOND_NS - pts
        if self._transit is not None:
            # RFC 3550 A.8, once a unit: within a unit all packets have one timestamp.
            self._reception.jitter += (abs(transit - self._transit) - self._reception.jitter) // 16
        self._transit = transit


def _depacketizer(track: TrackFormat) -> Depacketizer:
    if track.is_video:
        return H264Depacketizer()
    config = read_audio_config(track.config)
    return AacDepacketizer(config.frame_samples * track.clock_hz // config.frequency)
