"""Bind what stands beside the log - forms, reasons, inputs of rules - by a salted hash of canonical JSON.

    commitment = SHA-256("portwitness/sheet/v1" || 0x00 || salt of 32 bytes || JSON)

The JSON is UTF-8 with sorted keys and no blanks, of objects, lists, texts, integers, true, false and null: a decimal number is a text,
so that everybody writes the same bytes. Guarantees: a sheet is the one that was bound, or is refused; without salt and text the hash
tells nothing, so both may be erased and the record stays.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from protocol.errors import MalformedError, VerificationError

SALT_BYTES = 32
MAX_BYTES = 4 * 2**20
MAX_DEPTH = 24
_DOMAIN = b"portwitness/sheet/v1\0"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet's salt and its text as bytes."""

    salt: bytes
    data: bytes

    @property
    def commitment(self) -> bytes:
        """Give the hash that a record binds."""
        return hashlib.sha256(_DOMAIN + self.salt + self.data).digest()

    def value(self) -> Any:  # noqa: ANN401
        """Read it; raise MalformedError when it is not canonical."""
        return decode(self.data)


def make_sheet(value: Any, salt: bytes) -> Sheet:  # noqa: ANN401
    """Write a value as a sheet; `salt`: 32 fresh random bytes. Raises MalformedError for what has no canonical form."""
    if len(salt) != SALT_BYTES:
        raise MalformedError(f"salt of {len(salt)} bytes, expected {SALT_BYTES}", where="sheet")
    return Sheet(salt, encode(value))


def open_sheet(commitment: bytes, sheet: Sheet) -> Any:  # noqa: ANN401
    """Read the sheet that a record binds; raise VerificationError when it is another, MalformedError when it is none."""
    if sheet.commitment != commitment:
        raise VerificationError("is not the one that the record binds", where="sheet")
    return sheet.value()


def encode(value: Any) -> bytes:  # noqa: ANN401
    """Give the canonical bytes of a value; raise MalformedError naming what has none."""
    _check(value, "sheet", 0)
    data = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8", "strict")
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="sheet")
    return data


def decode(data: bytes) -> Any:  # noqa: ANN401
    """Read canonical bytes; raise MalformedError for any others."""
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="sheet")
    try:
        value = json.loads(data.decode("utf-8", "strict"))
        same = encode(value) == data
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where="sheet") from error
    if not same:
        raise MalformedError("is not in canonical form", where="sheet")
    return value


def _check(value: Any, where: str, depth: int) -> None:  # noqa: ANN401
    if depth > MAX_DEPTH:
        raise MalformedError(f"nested deeper than {MAX_DEPTH}", where=where[:200])
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, where)
            _check(item, f"{where}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            _check(item, f"{where}[{number}]", depth + 1)
    elif isinstance(value, str):
        _check_text(value, where)
    elif value is not None and not isinstance(value, bool) and type(value) is not int:
        raise MalformedError(f"a {type(value).__name__} has no canonical form; write decimals as text", where=where[:200])


def _check_text(text: Any, where: str) -> None:  # noqa: ANN401
    if not isinstance(text, str):
        raise MalformedError("a name is not a text", where=where[:200])
    try:
        text.encode("utf-8", "strict")
    except UnicodeEncodeError as error:
        raise MalformedError("a text has half a character", where=where[:200]) from error
