"""Check tariff codes of the Harmonized System: chapter, heading, subheading, and the country's own further digits."""

import re

from protocol.errors import MalformedError

_SHAPE = re.compile(r"\d{6}(\d{2}(\d{2}(\d{3})?)?)?", re.ASCII)
LAST_CHAPTER = 97
RESERVED = 77  # kept free for later use by the convention


def check_hs(text: str) -> str:
    """Give a code of 6, 8, 10 or 13 digits back when its chapter exists; raise MalformedError saying what is wrong with it."""
    if not _SHAPE.fullmatch(text):
        raise MalformedError("is not written as a tariff code: 6, 8, 10 or 13 digits", where="hs")
    chapter = int(text[:2])
    if not 1 <= chapter <= LAST_CHAPTER or chapter == RESERVED:
        raise MalformedError(f"names chapter {text[:2]}, which does not exist", where="hs")
    return text
