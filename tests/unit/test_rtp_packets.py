"""RTP and RTCP: golden bytes and their broken twins, time that wraps, jumps and restarts."""

import pytest

from firmware_adapters.rtp import (
    Reception,
    SenderReport,
    Timeline,
    ntp_to_unix_ns,
    payload_bounds,
    read_control,
    receiver_report,
    sequence_gap,
)
from protocol.errors import MalformedError

PLAIN = bytes.fromhex("80e0 1234 00000001 cafebabe".replace(" ", "")) + b"payload"
FULL = bytes.fromhex("b2e0 1234 00000001 cafebabe 00000001 00000002 bede0001 10aa0000".replace(" ", "")) + b"payload" + b"\0\0\0\4"
# Sender report of 0xcafebabe at 2026-01-02T03:04:05.5Z, then a source description.
REPORT = bytes.fromhex("80c80006 cafebabe ed01b425 80000000 00015f90 00000007 00000064 81ca0002 cafebabe 01000000".replace(" ", ""))
SECOND = 1_000_000_000


def test_payload_lies_between_header_and_padding() -> None:
    assert PLAIN[slice(*payload_bounds(PLAIN, 0, len(PLAIN)))] == b"payload"
    assert FULL[slice(*payload_bounds(FULL, 0, len(FULL)))] == b"payload"
    shifted = b"xx" + FULL + b"yy"
    assert shifted[slice(*payload_bounds(shifted, 2, 2 + len(FULL)))] == b"payload"


@pytest.mark.parametrize(
    "packet",
    [
        PLAIN[:11],
        b"\x40" + PLAIN[1:],  # version 1
        FULL[:-1] + b"\0",  # padding of nothing
        FULL[:-1] + b"\xff",  # padding beyond the packet
        b"\x8f" + PLAIN[1:],  # fifteen sources that are not there
        b"\x90" + PLAIN[1:14],  # extension cut short
        b"\x90" + PLAIN[1:12] + b"\xbe\xde\xff\xff",  # extension longer than the packet
    ],
)
def test_broken_packets_are_malformed(packet: bytes) -> None:
    with pytest.raises(MalformedError):
        payload_bounds(packet, 0, len(packet))


def test_sender_report_ties_wall_clock_and_timestamp() -> None:
    control = read_control(REPORT, 0, len(REPORT))
    assert control.report == SenderReport(0xCAFEBABE, 1_767_323_045 * SECOND + SECOND // 2, 90_000, 0xB4258000)
    assert not control.is_bye
    assert read_control(bytes.fromhex("81cb0001cafebabe"), 0, 8).is_bye


@pytest.mark.parametrize("packet", [REPORT[:3], REPORT[:20], b"\x00" + REPORT[1:], bytes.fromhex("80c80001cafebabe"), REPORT + b"\x80"])
def test_broken_control_packets_are_malformed(packet: bytes) -> None:
    with pytest.raises(MalformedError):
        read_control(packet, 0, len(packet))


def test_ntp_time_knows_no_clock_and_the_era_after_2036() -> None:
    assert ntp_to_unix_ns(0, 0) is None
    assert ntp_to_unix_ns(2_208_988_800, 1 << 31) == SECOND // 2
    assert ntp_to_unix_ns(0, 1) == ((1 << 32) - 2_208_988_800) * SECOND


def test_sequence_gaps() -> None:
    assert sequence_gap(5, 5) == 0
    assert sequence_gap(65535, 2) == 3
    late = sequence_gap(5, 4)
    assert late is not None
    assert late < 0
    assert sequence_gap(0, 30_000) is None


def test_receiver_report_golden_bytes() -> None:
    reception = Reception(ssrc=0xCAFEBABE, highest=0x1_0002, received=75, lost=25, jitter=9, report_middle=0x88D58000, report_ns=0)
    packet = receiver_report(1, reception.block(SECOND // 2), b"box")
    assert packet.hex() == ("81c9000700000001cafebabe40000019000100020000000988d580000000800081ca0003000000010103626f78000000")
    assert reception.block(SECOND)[4] == 0  # nothing was lost since


def test_timeline_unwraps_and_maps_to_the_devices_clock() -> None:
    timeline = Timeline(90_000)
    assert timeline.advance(0xFFFF_FF00, SECOND, SECOND)
    assert timeline.pts == 0
    assert timeline.device_ns(0) is None
    timeline.tie(SenderReport(1, 5000 * SECOND, 0x0000_0000, 0))  # beyond the wrap
    assert timeline.advance((0xFFFF_FF00 + 90_000) & 0xFFFF_FFFF, 2 * SECOND, SECOND)
    assert timeline.pts == 90_000
    assert timeline.device_ns(0x100) == 5000 * SECOND
    assert timeline.device_ns(0x100 + 90_000) == 5001 * SECOND


def test_timeline_takes_reordering_bursts_and_silence_but_no_restart() -> None:
    timeline = Timeline(90_000)
    assert timeline.advance(1_000_000, 0, 0)
    assert timeline.advance(1_000_000 - 7200, 0, 0)  # a B-frame
    assert timeline.pts == -7200
    assert timeline.advance(1_000_000 + 90_000 * 9, 1, 0)  # a burst
    assert timeline.advance(1_000_000 + 90_000 * 60, 51 * SECOND, 0)  # a silence, counted by both sides
    before = timeline.pts
    assert not timeline.advance(1_000_000 + 90_000 * 90, 51 * SECOND, 0)
    assert not timeline.advance(1_000_000 + 90_000 * 55, 51 * SECOND, 0)
    assert timeline.pts == before
    timeline.restart()
    assert timeline.advance(7, 52 * SECOND, 52 * SECOND)
    assert timeline.pts == 0


def test_report_about_other_timestamps_is_left_out() -> None:
    timeline = Timeline(90_000)
    timeline.advance(0, 0, 0)
    timeline.tie(SenderReport(1, SECOND, 2_000_000_000, 0))
    timeline.tie(SenderReport(1, None, 0, 0))
    assert timeline.device_ns(0) is None
