"""Make container numbers with the check digit of ISO 6346, and check them."""

import random
import re

_PATTERN = re.compile(r"[A-Z]{3}[UJZ]\d{7}")
_OWNERS = ("CSQ", "COS", "OOL", "MSC", "TGH", "TCL")


def _letter_values() -> dict[str, int]:
    values, value = {}, 10
    for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if value % 11 == 0:  # ISO 6346 annex A: multiples of 11 are left out
            value += 1
        values[letter] = value
        value += 1
    return values


def check_digit(first_ten: str) -> int:
    """Compute the check digit of an owner code, category and serial number (ISO 6346 annex A)."""
    values = _letter_values()
    total = sum((values[sign] if sign.isalpha() else int(sign)) << place for place, sign in enumerate(first_ten))
    return total % 11 % 10


def is_container_number(text: str) -> bool:
    """Tell whether `text` is a container number whose check digit holds."""
    return bool(_PATTERN.fullmatch(text)) and check_digit(text[:10]) == int(text[10])


def container_number(draw: random.Random) -> str:
    """Draw a container number; serial numbers whose remainder is 10 are avoided, as the standard advises."""
    while True:
        first_ten = f"{draw.choice(_OWNERS)}U{draw.randrange(1_000_000):06d}"
        values = _letter_values()
        if sum((values[s] if s.isalpha() else int(s)) << place for place, s in enumerate(first_ten)) % 11 != 10:
            return f"{first_ten}{check_digit(first_ten)}"
