"""Container, ship and tariff numbers against published ones and against the standards' own words."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from protocol.goods import check_container, check_hs, check_imo
from protocol.goods.containers import check_digit


def oracle(text: str) -> int:
    """Count letter values as the annex of ISO 6346 does: 10, then on by one, leaving out 11, 22, 33."""
    values, value = {}, 10
    for letter in string.ascii_uppercase:
        while value % 11 == 0:
            value += 1
        values[letter] = value
        value += 1
    total = sum((int(one) if one.isdigit() else values[one]) * (1 << place) for place, one in enumerate(text))
    return (total - total // 11 * 11) % 10


bodies = st.tuples(st.from_regex(r"[A-Z]{3}[UJZ]", fullmatch=True), st.from_regex(r"[0-9]{6}", fullmatch=True)).map("".join)


@given(bodies)
def test_the_check_digit_is_that_of_the_standard(body: str) -> None:
    digit = check_digit(body)
    assert digit == oracle(body)
    assert check_container(f"{body}{digit}") == f"{body}{digit}"
    for other in range(10):
        if other != digit:
            with pytest.raises(MalformedError, match=f"give {digit}"):
                check_container(f"{body}{other}")


@pytest.mark.parametrize("text", ["CSQU3054383", "MSKU9070323", "TEMU6079348"])
def test_numbers_that_are_painted_on_boxes_pass(text: str) -> None:
    assert check_container(text) == text


@pytest.mark.parametrize("text", ["", "csqu3054383", "CSQA3054383", "CSQU305438", "CSQU30543833", "CSQU305438３", "CSQU3054383\n"])
def test_what_is_no_container_number_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="not written as"):
        check_container(text)


def test_ship_numbers() -> None:
    for text in ("9074729", "9319466", "8814275"):
        assert check_imo(text) == text
        for other in range(10):
            if str(other) != text[6]:
                with pytest.raises(MalformedError, match="check digit"):
                    check_imo(text[:6] + str(other))
    for wrong in ("", "907472", "IMO9074729", "0074729", "９074729", "90747290"):
        with pytest.raises(MalformedError):
            check_imo(wrong)


def test_tariff_codes() -> None:
    for text in ("080810", "08081000", "0808100000", "0808100000999"):
        assert check_hs(text) == text
    for wrong in ("", "0808", "0808100", "990000", "000000", "770000", "08.0810", "0808１0"):
        with pytest.raises(MalformedError):
            check_hs(wrong)
