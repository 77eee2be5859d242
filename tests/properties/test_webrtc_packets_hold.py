"""Whatever is sent comes back byte for byte, or is missing as a whole and counted."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_adapters.webrtc_packets import Assembled, PictureAssembler, depacketize, equal_runs, packetize
from protocol.errors import MalformedError

nal = st.builds(
    lambda kind, body: bytes((0x60 | kind, 0x80)) + body,
    st.sampled_from([1, 5, 6, 7, 8, 9]),
    st.binary(min_size=1, max_size=4000),
)


@given(st.lists(nal, min_size=1, max_size=12), st.integers(64, 1500))
def test_cutting_and_joining_is_the_identity(nals: list[bytes], limit: int) -> None:
    payloads = packetize(nals, limit)
    assert depacketize(payloads) == tuple(nals)
    assert all(len(payload) <= limit for payload in payloads)


@given(st.lists(st.integers(1, 4), max_size=60), st.integers(1, 10))
def test_runs_cover_all_and_are_equal_but_for_a_shorter_last(sizes: list[int], limit: int) -> None:
    payloads = [bytes(size) for size in sizes]
    runs = equal_runs(payloads, limit)
    assert [number for start, end in runs for number in range(start, end)] == list(range(len(payloads)))
    for start, end in runs:
        inside = sizes[start:end]
        assert end - start <= limit
        assert all(size == inside[0] for size in inside[:-1])
        assert inside[-1] <= inside[0]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_arbitrary_payloads_are_joined_or_refused(payloads: list[bytes]) -> None:
    try:
        depacketize(payloads)
    except MalformedError as error:
        assert error.where == "rtp payload"


@given(
    st.lists(st.integers(1, 5000), min_size=3, max_size=20),
    st.integers(0, 65_535),
    st.data(),
)
def test_under_loss_and_disorder_whole_pictures_come_in_order(sizes: list[int], first: int, data: st.DataObject) -> None:
    units: list[tuple[bytes, ...]] = [(b"\x09\xf0", bytes((0x41, 0x80, number)) * size) for number, size in enumerate(sizes)]
    packets: list[tuple[int, int, bool, bytes]] = []
    for at, nals in enumerate(units):
        payloads = packetize(nals)
        packets += [
            ((first + len(packets) + index) & 0xFFFF, at * 3600, index == len(payloads) - 1, payload)
            for index, payload in enumerate(payloads)
        ]
    lost = data.draw(st.sets(st.integers(1, len(packets) - 1), max_size=4))
    order = sorted((number for number in range(len(packets)) if number not in lost), key=lambda n: n + (0 if n == 0 else 2 * (n % 3 == 1)))
    got: list[Assembled] = []
    assembler = PictureAssembler(got.append)
    for now, number in enumerate(order):
        assembler.add(*packets[number], now)
    later = 10**12
    while assembler.expire(later):
        later += 10**12
    places = [units.index(unit.nals) for unit in got]
    assert places == sorted(set(places))
    touched = {packets[number][1] // 3600 for number in lost}
    assert set(range(len(units))) - touched <= set(places)
    assert not touched & set(places)
    assert len(order) + len(lost) == len(packets)
