"""Check ship numbers of the International Maritime Organization (resolution A.1117(30))."""

import re

from protocol.errors import MalformedError

_SHAPE = re.compile(r"[1-9]\d{6}", re.ASCII)


def check_imo(text: str) -> str:
    """Give a ship's number back, seven digits, when it is one; raise MalformedError saying what is wrong with it."""
    if not _SHAPE.fullmatch(text):
        raise MalformedError("is not written as an IMO number: seven digits", where="imo")
    expected = sum(int(digit) * weight for digit, weight in zip(text, range(7, 1, -1), strict=False)) % 10
    if int(text[6]) != expected:
        raise MalformedError(f"has check digit {text[6]}, its other digits give {expected}", where="imo")
    return text
