"""Check container numbers (ISO 6346): owner code, category, serial number, check digit."""

import re

from protocol.errors import MalformedError

_SHAPE = re.compile(r"[A-Z]{3}[UJZ]\d{7}")


def check_digit(text: str) -> int:
    """Give the check digit of the ten characters before it (ISO 6346 annex A); a remainder of ten counts as nought."""
    return sum(_value(letter) << place for place, letter in enumerate(text[:10])) % 11 % 10


def check_container(text: str) -> str:
    """Give a container number back when it is one; raise MalformedError saying what is wrong with it."""
    if not _SHAPE.fullmatch(text) or not text.isascii():
        raise MalformedError("is not written as a container number: three letters, U, J or Z, seven digits", where="container")
    expected = check_digit(text)
    if int(text[10]) != expected:
        raise MalformedError(f"has check digit {text[10]}, its other characters give {expected}", where="container")
    return text


def _value(letter: str) -> int:
    """Give a character's value: digits their own, letters from 10 on without the multiples of 11."""
    if letter.isdigit():
        return int(letter)
    place = ord(letter) - ord("A")
    return place + 10 + (place + 9) // 10
