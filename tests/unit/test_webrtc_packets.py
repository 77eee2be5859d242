"""RTP payloads of H.264: cutting, joining, ordering, losing."""

import pytest

from firmware_adapters.webrtc_packets import (
    HELD_LIMIT,
    PAYLOAD_LIMIT,
    Assembled,
    PictureAssembler,
    depacketize,
    equal_runs,
    nal_type,
    packetize,
    starts_picture,
)
from protocol.errors import MalformedError

SPS = b"\x67\x42\x00\x1f"
PPS = b"\x68\xce\x3c\x80"
IDR = b"\x65\x88" + bytes(range(1, 250)) * 20


def pictures(count: int, *, size: int = 3000) -> list[tuple[bytes, ...]]:
    return [(b"\x09\xf0", b"\x41\x80" + bytes([number]) * size) for number in range(count)]


class Receiver:
    def __init__(self) -> None:
        self.got: list[Assembled] = []
        self.assembler = PictureAssembler(self.got.append)
        self.now_ns = 0

    def add(self, packet: tuple[int, int, bool, bytes]) -> bool:
        self.now_ns += 1_000_000
        return self.assembler.add(*packet, self.now_ns)


def packets_of(units: list[tuple[bytes, ...]], *, first: int = 65_500, marker: bool = True) -> list[tuple[int, int, bool, bytes]]:
    packets = []
    number = first
    for at, nals in enumerate(units):
        payloads = packetize(nals)
        for index, payload in enumerate(payloads):
            packets.append((number & 0xFFFF, at * 3600, marker and index == len(payloads) - 1, payload))
            number += 1
    return packets


def test_small_units_share_a_packet_and_large_ones_are_cut_evenly() -> None:
    payloads = packetize((SPS, PPS, IDR))
    assert nal_type(payloads[0]) == 24
    assert all(nal_type(payload) == 28 for payload in payloads[1:])
    assert {len(payload) for payload in payloads[1:-1]} == {PAYLOAD_LIMIT}
    assert depacketize(payloads) == (SPS, PPS, IDR)


def test_runs_hold_equal_lengths_with_a_shorter_last() -> None:
    sizes = [10, 1200, 1200, 700, 1200, 3]
    assert equal_runs([bytes(size) for size in sizes]) == ((0, 1), (1, 4), (4, 6))
    assert equal_runs([]) == ()
    assert equal_runs([bytes(8)] * 100, limit=44) == ((0, 44), (44, 88), (88, 100))


@pytest.mark.parametrize(
    ("payloads", "what"),
    [
        ([b"\x7c\x05abc"], "lacks the piece before"),
        ([b"\x7c\x85abc"], "without its last piece"),
        ([b"\x7c\x85abc", b"\x41\x80"], "without its last piece"),
        ([b"\x7c\x85"], "shorter than its headers"),
        ([b"\x78\x00\x09ab"], "cut short"),
        ([b"\x78\x00\x00"], "cut short"),
        ([b"\x1e\x00"], "payload type 30"),
        ([b""], "payload type 0"),
    ],
)
def test_bad_payloads_are_named(payloads: list[bytes], what: str) -> None:
    with pytest.raises(MalformedError, match=what):
        depacketize(payloads)


def test_a_delimiter_or_sps_surely_starts_a_picture() -> None:
    assert starts_picture(packetize((SPS, PPS, IDR))[0])
    assert starts_picture(b"\x09\xf0")
    assert not any(starts_picture(payload) for payload in packetize((IDR,)))
    assert not starts_picture(b"\x41\x80")
    assert not starts_picture(b"")


def test_after_a_hole_a_picture_that_may_lack_its_front_is_not_handed_out() -> None:
    receiver = Receiver()
    for number in (1, 2, 4, 5, 6):
        receiver.add((number, number * 3600, True, b"\x09\xf0" if number == 1 else b"\x41\x80%d" % number))
    receiver.assembler.expire(receiver.now_ns + 1_000_000_000)
    assert [unit.nals[0][2:] for unit in receiver.got[1:]] == [b"2", b"5", b"6"]
    assert [unit.lost_before for unit in receiver.got] == [0, 0, 2, 0]


def test_a_stream_joined_in_the_middle_starts_with_a_whole_picture() -> None:
    units = pictures(3)
    receiver = Receiver()
    for packet in packets_of(units)[1:]:
        receiver.add(packet)
    assert [unit.nals for unit in receiver.got] == units[1:]


def test_order_is_restored_over_the_wrap_of_sequence_numbers() -> None:
    units = pictures(40)
    packets = packets_of(units)
    packets[3], packets[4] = packets[4], packets[3]
    packets[50], packets[55] = packets[55], packets[50]
    receiver = Receiver()
    for packet in packets:
        receiver.add(packet)
    assert [unit.nals for unit in receiver.got] == units
    assert sum(unit.lost_before for unit in receiver.got) == 0


def test_repeated_packets_change_nothing() -> None:
    units = pictures(5)
    receiver = Receiver()
    for packet in packets_of(units):
        receiver.add(packet)
        receiver.add(packet)
    assert [unit.nals for unit in receiver.got] == units


def test_a_repaired_loss_delivers_all_that_waited() -> None:
    units = pictures(6)
    packets = packets_of(units)
    late = packets.pop(4)
    receiver = Receiver()
    for packet in packets:
        receiver.add(packet)
    assert len(receiver.got) == 1
    assert receiver.assembler.missing() == [late[0]]
    receiver.add(late)
    assert [unit.nals for unit in receiver.got] == units


def test_an_unrepaired_loss_costs_one_picture_and_is_counted_before_the_next() -> None:
    units = pictures(6)
    packets = packets_of(units)
    per_picture = len(packets) // 6
    receiver = Receiver()
    for packet in packets[: per_picture + 1] + packets[per_picture + 2 :]:
        receiver.add(packet)
    assert not receiver.assembler.expire(receiver.now_ns)
    assert receiver.assembler.expire(receiver.now_ns + 1_000_000_000)
    assert [unit.nals for unit in receiver.got] == [units[0], *units[2:]]
    assert receiver.got[1].lost_before == per_picture
    assert receiver.assembler.lost == 1


def test_a_lost_end_spares_the_picture_after_it() -> None:
    units = pictures(4)
    packets = packets_of(units)
    per_picture = len(packets) // 4
    receiver = Receiver()
    for packet in packets[: per_picture - 1] + packets[per_picture:]:
        receiver.add(packet)
    receiver.assembler.expire(receiver.now_ns + 1_000_000_000)
    assert [unit.nals for unit in receiver.got] == units[1:]


def test_without_marker_bits_the_next_time_ends_a_picture() -> None:
    units = pictures(5)
    receiver = Receiver()
    for packet in packets_of(units, marker=False):
        receiver.add(packet)
    assert [unit.nals for unit in receiver.got] == units[:-1]


def test_padding_is_no_loss() -> None:
    units = pictures(2)
    first, second = packets_of(units[:1], first=10), packets_of(units[1:], first=20)
    padding = [(number, 0, False, b"") for number in range(10 + len(first), 20)]
    receiver = Receiver()
    for packet in first + padding + second:
        receiver.add(packet)
    assert [unit.lost_before for unit in receiver.got] == [0, 0]


@pytest.mark.parametrize("restart", [20_000, 60_000])
def test_a_sender_that_starts_anew_goes_on(restart: int) -> None:
    units = pictures(4)
    receiver = Receiver()
    for packet in packets_of(units[:2], first=40_000) + packets_of(units[2:], first=restart):
        receiver.add(packet)
    assert [unit.nals for unit in receiver.got] == units


def test_held_packets_are_bounded() -> None:
    receiver = Receiver()
    wants = [receiver.add((number & 0xFFFF, number * 90, True, b"\x09\xf0")) for number in range(HELD_LIMIT * 2) if number != 5]
    assert wants.count(True) == 1
    assert receiver.assembler.lost == 1
    assert len(receiver.got) == HELD_LIMIT * 2 - 1


def test_garbage_between_markers_is_counted_and_skipped() -> None:
    receiver = Receiver()
    receiver.add((1, 0, True, b"\x09\xf0"))
    receiver.add((2, 3600, True, b"\x1f\x00"))
    receiver.add((3, 7200, True, b"\x41\x80b"))
    assert [unit.nals for unit in receiver.got] == [(b"\x09\xf0",), (b"\x41\x80b",)]
    assert receiver.got[1].lost_before == 1
    assert receiver.assembler.broken == 1
