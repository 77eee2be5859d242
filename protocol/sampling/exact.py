"""Read the numbers of sampling rules exactly: lots, rates, probabilities.

Guarantees: what is read is the fraction that was written, never a rounded one; what is no number, or beyond all sense, is named.
"""

import re
from fractions import Fraction

from protocol.errors import MalformedError

MAX_LOT = 10**9
_SHAPE = re.compile(r"(\d{1,6})(?:\.(\d{1,12}))?(%)?|(\d{1,12})/(\d{1,12})", re.ASCII)


def read_fraction(text: str, name: str) -> Fraction:
    """Give the number that `0.005`, `0.5%` or `1/200` says; raise MalformedError for anything else."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None or (found[5] is not None and int(found[5]) == 0):
        raise MalformedError(f"{text[:40]!r} is no number such as 0.005, 0.5% or 1/200", where=name)
    if found[4] is not None:
        return Fraction(int(found[4]), int(found[5]))
    whole, digits = found[1], found[2] or ""
    return Fraction(int(whole + digits), 10 ** len(digits) * (100 if found[3] else 1))


def read_share(text: str, name: str) -> Fraction:
    """Give a share of more than nought and at most one; raise MalformedError naming the unit that was perhaps meant."""
    value = read_fraction(text, name)
    if value <= 0:
        raise MalformedError("must be more than 0", where=name)
    if value > 1:
        raise MalformedError(f"{text[:40]} is more than the whole; write {text[:40]}% for a percentage", where=name)
    return value


def read_lot(text: str, name: str = "lot") -> int:
    """Give a lot's size, 1 to 10^9; raise MalformedError for anything else."""
    if not re.fullmatch(r"[0-9]{1,12}", text.strip()):
        raise MalformedError(f"{text[:40]!r} is no whole number of units", where=name)
    return check_lot(int(text), name)


def check_lot(size: int, name: str = "lot") -> int:
    """Give a lot's size back; raise MalformedError when it is not within 1 to 10^9."""
    if not 1 <= size <= MAX_LOT:
        raise MalformedError(f"{size} is not within 1 to {MAX_LOT}", where=name)
    return size
