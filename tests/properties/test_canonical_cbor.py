"""Canonical CBOR: what is encoded reads back as itself, and no other spelling of it is taken."""

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import canonical, messages, records
from protocol.bundle import LogProof, encode_manifest, encode_records, parse_manifest, parse_records
from protocol.errors import MalformedError, VerificationError
from protocol.notes import parse_note
from protocol.tiles import decode_bundle, encode_bundle, parse_path
from protocol.trust import Trust

INTEGERS = st.integers(-(2**63), 2**64 - 1)
LEAVES = st.none() | st.booleans() | INTEGERS | st.binary(max_size=40) | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5), inner, max_size=5)
        | st.dictionaries(st.integers(0, 70_000), inner, max_size=5)
    ),
    max_leaves=25,
)


@given(VALUES)
def test_reads_back_as_itself(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert cbor2.loads(data) == value


@given(VALUES)
def test_keys_are_in_the_order_of_their_bytes(value: Any) -> None:
    if isinstance(value, dict):
        spelled = [canonical.encode(key) for key in cbor2.loads(canonical.encode(value))]
        assert spelled == sorted(spelled)  # RFC 8949 §4.2.1


@given(VALUES, st.data())
def test_any_other_spelling_is_refused(value: Any, data: st.DataObject) -> None:
    good = canonical.encode(value)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    wrong = bytearray(good)
    wrong[bit // 8] ^= 1 << bit % 8
    try:
        other = canonical.decode(bytes(wrong))
    except MalformedError:
        return
    assert canonical.encode(other) == bytes(wrong)  # it is the one spelling of another value
    assert bytes(wrong) != good


def _shuffled(value: Any, data: st.DataObject) -> Any:
    """Give an equal value whose maps stand in any order."""
    if isinstance(value, dict):
        return {key: _shuffled(value[key], data) for key in data.draw(st.permutations(list(value)))}
    return [_shuffled(item, data) for item in value] if isinstance(value, list) else value


@given(VALUES, st.data())
def test_maps_are_taken_in_one_order_only(value: Any, data: st.DataObject) -> None:
    spelled = cbor2.dumps(_shuffled(value, data))
    good = cbor2.dumps(value, canonical=True)
    assert canonical.encode(value) == good
    if spelled == good:
        assert canonical.decode(spelled) == value
        assert canonical.decode_again(spelled) == value
    else:
        with pytest.raises(MalformedError):
            canonical.decode(spelled)


SPELLINGS = (
    "1801",  # 1 in two bytes
    "190001",
    "1b0000000000000001",
    "5800",  # empty bytes with a long head
    "5f40ff",  # indefinite
    "9fff",
    "bfff",
    "a2616201616101",  # keys out of order
    "a2616101616102",  # a key twice
    "f93c00",  # floats
    "fb3ff0000000000000",
    "c11a00000000",  # tags
    "f7",  # undefined
    "f0",
    "0000",  # bytes behind
    "",
    "a1f500",  # a boolean as key
    "a1410000",  # bytes as key
    "a2600018180a",  # text and number as keys
    "a12000",  # a negative key
    "61ff",  # not UTF-8
    "3bffffffffffffffff",  # -2**64
    "c249010000000000000000",  # a big number
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_known_wrong_spellings(spelling: str) -> None:
    with pytest.raises(MalformedError):
        canonical.decode(bytes.fromhex(spelling))


def test_depth_and_length_are_bounded() -> None:
    deep: Any = 0
    for _ in range(canonical.MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(MalformedError, match="nested"):
        canonical.encode(deep)
    for hostile in (b"\x81" * 60_000 + b"\x00", b"\xa1\x00" * 30_000, b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x5b" + b"\x7f" * 8):
        with pytest.raises(MalformedError):
            canonical.decode(hostile)
    with pytest.raises(MalformedError, match="at most"):
        canonical.decode(bytes(canonical.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "value", [1.5, {1, 2}, {(1,): 2}, {b"x": 1}, {True: 1}, {-1: 1}, {1: 1, "a": 1}, 2**64, -(2**63) - 1, object()], ids=range(10)
)
def test_other_types_are_refused_by_place(value: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        canonical.encode({"field": [value]})
    assert "$.field" in caught.value.where


@given(st.binary(max_size=200))
def test_garbage_is_refused_by_every_reader_without_a_crash(data: bytes) -> None:
    for reader in (records.read, messages.decode, parse_note, LogProof.parse, Trust.parse):
        with pytest.raises((MalformedError, VerificationError)):
            reader(data)
    spellings: tuple[Callable[[], bytes], ...] = (
        lambda: encode_bundle(decode_bundle(data)),
        lambda: encode_records(parse_records(data)),
        lambda: encode_manifest(parse_manifest(data, "x")),
        lambda: parse_path(data.decode("latin-1")).path().encode("latin-1"),
    )
    for spelt in spellings:
        try:
            again = spelt()
        except MalformedError:
            continue
        assert again == data  # few bytes may be rows; then they are these rows only, in their one spelling


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_rows_of_records_and_entries_read_back(rows: list[bytes]) -> None:
    assert parse_records(encode_records(rows)) == rows
    assert decode_bundle(encode_bundle(rows)) == rows
