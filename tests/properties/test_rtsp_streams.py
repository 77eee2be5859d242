"""Any chunking gives the same units; losses never give a broken one; garbage gives nothing but MalformedError."""

import struct
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_adapters.aac import AacDepacketizer
from firmware_adapters.abilities import MediaUnit, TrackFormat
from firmware_adapters.digest import read_challenges
from firmware_adapters.h264 import MAX_UNIT_NALS, H264Depacketizer
from firmware_adapters.rtp import read_control
from firmware_adapters.rtsp_messages import MAX_HEAD_BYTES, InterleavedReader, Message, read_head
from firmware_adapters.rtsp_tracks import Track
from firmware_adapters.sdp import audio_format, read_description, video_format
from protocol.errors import MalformedError, PortwitnessError
from simulators.devices.rtp_sender import fragments, picture_payloads, sound_payload

VIDEO = TrackFormat(0, "h264", 90_000)
SOUND = TrackFormat(1, "aac", 48_000, config=bytes.fromhex("1190"), channels=2)
MS = 1_000_000
PATTERN = bytes(index * 7 % 251 for index in range(6000))


def nal(kind: int, body: bytes) -> bytes:
    return bytes((0x60 | kind,)) + body


# First slices have first_mb_in_slice 0: their highest bit is set (Exp-Golomb).
bodies = st.binary(min_size=1, max_size=40) | st.integers(1000, 6000).map(lambda size: PATTERN[:size])
first_slices = st.builds(lambda kind, body: nal(kind, b"\x80" + body), st.sampled_from([1, 5]), bodies)
later_slices = st.builds(lambda body: nal(1, b"\x40" + body), bodies)
preludes = st.sampled_from([[], [nal(9, b"\x10")], [nal(7, b"sps"), nal(8, b"pps")], [nal(9, b"\xf0"), nal(6, b"sei" * 30)]])
units = st.builds(lambda before, first, rest: (*before, first, *rest), preludes, first_slices, st.lists(later_slices, max_size=2))
pictures = st.lists(units, min_size=1, max_size=12)


def packets(found: Sequence[tuple[bytes, ...]], *, has_markers: bool = True) -> list[bytes]:
    sequence, all_packets = 65_530, []
    for number, unit in enumerate(found):
        payloads = picture_payloads(unit)
        for at, payload in enumerate(payloads):
            marker = 0x80 if has_markers and at == len(payloads) - 1 else 0
            timestamp = (0xFFFF_F000 + number * 3600) & 0xFFFF_FFFF
            all_packets.append(struct.pack("!BBHII", 0x80, 96 | marker, sequence & 0xFFFF, timestamp, 7) + payload)
            sequence += 1
    return all_packets


class Receiver:
    """A track that keeps its units."""

    def __init__(self, track: TrackFormat, payload_type: int = 96) -> None:
        self.units: list[MediaUnit] = []
        self.restarts = 0
        self.track = Track(track, payload_type, self.units.append, self._restart)
        self.track.reset(0)

    def _restart(self, now_ns: int) -> None:
        self.restarts += 1
        self.track.reset(now_ns)

    def take(self, packet: bytes, now_ns: int = 0) -> None:
        self.track.take_packet(bytearray(packet), 0, len(packet), now_ns)

    @property
    def payloads(self) -> list[tuple[bytes, ...]]:
        return [unit.payloads for unit in self.units]


@settings(max_examples=60)
@given(pictures, st.booleans(), st.data())
def test_any_chunking_gives_the_units_byte_for_byte(found: list[tuple[bytes, ...]], has_markers: bool, data: st.DataObject) -> None:
    receiver = Receiver(VIDEO)
    messages: list[Message] = []
    reader = InterleavedReader(messages.append)
    reader.takers[4] = receiver.track.take_packet
    answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 4\r\n\r\n$\0\0\1"
    stream = b"".join(answer + b"$\x04" + len(packet).to_bytes(2, "big") + packet for packet in packets(found, has_markers=has_markers))
    at, count = 0, 0
    while at < len(stream):
        size = data.draw(st.integers(1, 5000)) if count < 30 else 30_000
        chunk = stream[at : at + size]
        reader.space()[: len(chunk)] = chunk
        reader.filled(len(chunk), count * MS)
        at, count = at + size, count + 1
    complete = found if has_markers else found[:-1]
    assert receiver.payloads == complete
    assert [unit.pts for unit in receiver.units] == [receiver.units[0].pts + 3600 * at for at in range(len(complete))]
    assert [unit.is_key for unit in receiver.units] == [any(item[0] & 31 == 5 for item in unit) for unit in complete]
    assert {message.body for message in messages} == {"$\0\0\1"}


@settings(max_examples=60)
@given(pictures, st.sets(st.integers(0, 80)), st.booleans())
def test_losses_never_give_a_unit_that_was_not_sent(found: list[tuple[bytes, ...]], missing: set[int], has_markers: bool) -> None:
    receiver = Receiver(VIDEO)
    sent = packets(found, has_markers=has_markers)
    seen = [at for at in range(len(sent)) if at not in missing]
    for at in seen:
        receiver.take(sent[at])
    slices = {tuple(item for item in unit if item[0] & 31 <= 5) for unit in found}
    for payloads in receiver.payloads:
        # A lost delimiter or SEI ahead of a picture cannot always be known; a slice of it always is.
        assert tuple(item for item in payloads if item[0] & 31 <= 5) in slices
    known = sum(later - earlier - 1 for earlier, later in pairwise(seen))
    assert sum(unit.lost_before for unit in receiver.units) <= known


def test_a_loss_is_counted_before_the_next_whole_unit() -> None:
    found = [(nal(1, b"\x80" + bytes([at]) * 5000),) for at in range(4)]
    receiver = Receiver(VIDEO)
    for at, packet in enumerate(packets(found)):
        if at not in (5, 6):  # of the second picture
            receiver.take(packet)
    assert receiver.payloads == [found[0], found[2], found[3]]
    assert [unit.lost_before for unit in receiver.units] == [0, 2, 0]


def test_a_picture_whose_end_is_missing_never_leaves() -> None:
    found = [(nal(1, b"\x80" + bytes([at]) * 3000),) for at in range(3)]
    sent = packets(found)
    receiver = Receiver(VIDEO)
    for at in (0, 1, 2, 3, 4, 6, 7, 8):  # 5 is the last of the second picture
        receiver.take(sent[at])
    assert receiver.payloads == [found[0], found[2]]


def test_a_picture_whose_first_slice_or_delimiter_is_missing_never_leaves() -> None:
    found = [(nal(9, b"\x10"), nal(1, b"\x80" + b"a" * 2000), nal(1, b"\x40" + b"b" * 2000)) for _ in range(4)]
    sent = packets(found)
    size = len(sent) // 4
    receiver = Receiver(VIDEO)
    for at, packet in enumerate(sent):
        if at not in (size, 2 * size, 2 * size + 1, 2 * size + 2):
            receiver.take(packet)
    assert receiver.payloads == [found[0], found[3]]


def test_late_and_repeated_packets_change_nothing() -> None:
    found = [(nal(1, b"\x80" + bytes([at]) * 3000),) for at in range(3)]
    sent = packets(found)
    receiver = Receiver(VIDEO)
    for at in (0, 0, 1, 0, 2, 3, 1, 4, 5, 6, 7, 8, 8):
        receiver.take(sent[at])
    assert receiver.payloads == found


@pytest.mark.parametrize("jump", [90_000 * 11, -90_000 * 11, 2_000_000_000])
def test_restarted_timestamps_are_told_and_the_unit_after_them_leaves(jump: int) -> None:
    receiver = Receiver(VIDEO)
    for number, at in enumerate((0, 3600, 7200 + jump, 10_800 + jump)):
        receiver.take(struct.pack("!BBHII", 0x80, 0xE0, number, at & 0xFFFF_FFFF, 7) + nal(5, b"\x80"), number * 40 * MS)
    assert receiver.restarts == 1
    assert [unit.pts for unit in receiver.units] == [0, 3600, 0, 3600]
    receiver.take(struct.pack("!BBHII", 0x80, 0xE0, 9, 0, 8) + nal(5, b"\x80"), 200 * MS)  # another source
    assert receiver.restarts == 2


def test_parameter_sets_with_a_marker_of_their_own_stay_with_their_picture() -> None:
    receiver = Receiver(VIDEO)
    for number, payload in enumerate((nal(7, b"s"), nal(8, b"p"), nal(5, b"\x80k"))):
        receiver.take(struct.pack("!BBHII", 0x80, 0xE0, number, number * 10, 7) + payload)
    assert receiver.payloads == [(nal(7, b"s"), nal(8, b"p"), nal(5, b"\x80k"))]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x1c",
        b"\x1c\x85",
        b"\x18",
        b"\x18\x00",
        b"\x18\x00\x00",
        b"\x18\x00\x05ab",
        b"\x18\x00\x01\x18",
        b"\x00",
        b"\x1d\x85ab",
        b"\x1a",
        b"\x61",
    ],
)
def test_broken_picture_payloads_are_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        H264Depacketizer().push(bytearray(payload), 0, len(payload))


def test_endless_pictures_are_malformed() -> None:
    depacketizer = H264Depacketizer()
    with pytest.raises(MalformedError):
        for _ in range(MAX_UNIT_NALS + 1):
            depacketizer.push(bytearray(nal(6, b"x")), 0, 2)
    depacketizer = H264Depacketizer()
    first, middle, *_ = (bytearray(part) for part in fragments(nal(5, b"\x80" + bytes(200_000)), 65_000))
    depacketizer.push(first, 0, len(first))
    with pytest.raises(MalformedError):
        for _ in range(1000):
            depacketizer.push(middle, 0, len(middle))


@given(st.lists(st.lists(st.binary(min_size=1, max_size=700), min_size=1, max_size=4), min_size=1, max_size=8))
def test_sound_leaves_frame_by_frame(groups: list[list[bytes]]) -> None:
    receiver = Receiver(SOUND, 97)
    done = 0
    for number, group in enumerate(groups):
        receiver.take(struct.pack("!BBHII", 0x80, 0xE1, number, done * 1024, 7) + sound_payload(group))
        done += len(group)
    assert [payload for (payload,) in receiver.payloads] == [frame for group in groups for frame in group]
    assert [unit.pts for unit in receiver.units] == [1024 * at for at in range(done)]


@given(st.binary(min_size=3, max_size=8191), st.integers(1, 3))
def test_sound_in_fragments(frame: bytes, count: int) -> None:
    header = b"\x00\x10" + (len(frame) << 3).to_bytes(2, "big")
    step = -(-len(frame) // (count + 1))
    parts = [frame[at : at + step] for at in range(0, len(frame), step)]
    receiver = Receiver(SOUND, 97)
    for number, part in enumerate(parts):
        marker = 0x80 if number == len(parts) - 1 else 0
        receiver.take(struct.pack("!BBHII", 0x80, 97 | marker, number, 0, 7) + header + part)
    assert receiver.payloads == [(frame,)]
    broken = Receiver(SOUND, 97)
    for number, part in enumerate(parts[1:], 1):
        broken.take(struct.pack("!BBHII", 0x80, 97 | (0x80 if number == len(parts) - 1 else 0), number, 0, 7) + header + part)
    assert broken.payloads == []


@pytest.mark.parametrize("payload", ["", "0010", "00000000", "001100080000", "fff00008", "00100009aa", "0020001000100a", "00100000"])
def test_broken_sound_payloads_are_malformed(payload: str) -> None:
    data = bytearray.fromhex(payload)
    with pytest.raises(MalformedError):
        AacDepacketizer(1024).push(data, 0, len(data))


@settings(max_examples=150)
@given(st.binary(max_size=3000) | st.binary(max_size=200).map(lambda tail: b"$\0" + len(tail).to_bytes(2, "big") + tail), st.data())
def test_garbage_on_the_wire_is_malformed_or_ignored(garbage: bytes, data: st.DataObject) -> None:
    video, sound = Receiver(VIDEO, 0), Receiver(SOUND, 1)
    reader = InterleavedReader(lambda message: None)
    for channel in range(256):
        reader.takers[channel] = (video, sound)[channel % 2].track.take_packet if channel % 4 < 2 else video.track.take_control
    cut = data.draw(st.integers(0, len(garbage)))
    try:
        for chunk in (garbage[:cut], garbage[cut:]):
            reader.space()[: len(chunk)] = chunk
            reader.filled(len(chunk), MS)
    except MalformedError:
        pass
    assert len(reader.space()) > 0


@settings(max_examples=150)
@given(st.binary(max_size=200))
def test_garbage_in_the_parts_is_malformed_or_read(garbage: bytes) -> None:
    data = bytearray(garbage or b"\0")
    for part in (
        lambda: H264Depacketizer().push(data, 0, len(data)),
        lambda: AacDepacketizer(1024).push(data, 0, len(data)),
        lambda: read_control(data, 0, len(data)),
        lambda: read_head(data),
        lambda: read_challenges([data.decode("latin-1")]),
    ):
        try:
            part()
        except MalformedError:
            continue


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(["v=0", "m=video 0 RTP/AVP 96", "m=audio 0 RTP/AVP 97", "a=control:", "a=rtpmap:96 ", "a=fmtp:97 "])
        | st.text(max_size=40)
    )
)
def test_garbage_in_descriptions_is_of_the_error_tree(lines: list[str]) -> None:
    try:
        for media in read_description("v=0\r\n" + "\r\n".join(lines)).media:
            for read in (video_format, audio_format):
                read(media, 0)
    except PortwitnessError:
        pass


def test_endless_heads_and_bodies_are_malformed() -> None:
    for stream in (
        b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * MAX_HEAD_BYTES,
        b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 70000\r\n\r\n",
        b"RTSP/1.0 200 OK\r\n: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x00\x01\x02\x03",
    ):
        reader = InterleavedReader(lambda message: None)
        with pytest.raises(MalformedError):
            for at in range(0, len(stream), 30_000):
                chunk = stream[at : at + 30_000]
                reader.space()[: len(chunk)] = chunk
                reader.filled(len(chunk), 0)
