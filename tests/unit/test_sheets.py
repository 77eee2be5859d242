"""Sheets: one spelling for each value, bound by a salted hash."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, VerificationError
from protocol.sheets import MAX_BYTES, MAX_DEPTH, Sheet, decode, encode, make_sheet, open_sheet

SALT = bytes(range(32))
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_a_value_comes_back_and_has_one_spelling(value: object) -> None:
    data = encode(value)
    assert decode(data) == value
    assert encode(json.loads(data)) == data
    if (loose := json.dumps(value, indent=1).encode()) != data:
        with pytest.raises(MalformedError, match="canonical"):
            decode(loose)


@given(values, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_only_the_bound_sheet_opens(value: object, salt: bytes, other: bytes) -> None:
    sheet = make_sheet(value, salt)
    assert sheet.commitment == hashlib.sha256(b"portwitness/sheet/v1\x00" + salt + sheet.data).digest()
    assert open_sheet(sheet.commitment, sheet) == value
    if salt != other:
        with pytest.raises(VerificationError):
            open_sheet(sheet.commitment, Sheet(other, sheet.data))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.5, "float has no canonical form"),
        ({"a": [1, {"b": b"x"}]}, r"sheet\.a\[1\]\.b: a bytes"),
        ({1: "x"}, "a name is not a text"),
        ("\ud800", "half a character"),
        ("x" * (MAX_BYTES + 1), "at most"),
    ],
)
def test_what_has_no_canonical_form_is_named(value: object, said: str) -> None:
    with pytest.raises(MalformedError, match=said):
        make_sheet(value, SALT)


def test_hostile_text_is_refused() -> None:
    deep = "[" * 5000 + "]" * 5000
    nested: object = 0
    for _ in range(MAX_DEPTH + 1):
        nested = [nested]
    for data in (b"", b"\xff", b"{", deep.encode(), b'{"a":1,"a":2}', b'{"b":1,"a":2}', b"1.0", b"NaN", b" 1", bytes(MAX_BYTES + 1)):
        with pytest.raises(MalformedError):
            decode(data)
    with pytest.raises(MalformedError, match="nested deeper"):
        encode(nested)
    with pytest.raises(MalformedError, match="salt of 3"):
        make_sheet(1, b"abc")
