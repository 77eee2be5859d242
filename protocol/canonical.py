"""Encode values as canonical CBOR and refuse every other spelling of them (RFC 8949 §4.2.1).

Only null, booleans, 64-bit integers, byte strings, text, arrays and maps are allowed: no floats, no tags, no simple values, no
indefinite lengths. The keys of a map are all text or all whole numbers from 0 up: only then is cbor2's key order (shorter first)
also the bytewise order of RFC 8949.
"""

from typing import Any

import cbor2

from protocol.errors import MalformedError

MAX_BYTES = 65_536  # a record of more enters the log by hash
MAX_DEPTH = 12
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_PLAIN = frozenset((bytes, str, bool, type(None)))
_TEXT, _NUMBER = frozenset((str,)), frozenset((int,))

Value = Any  # None | bool | int | bytes | str | list[Value] | dict[int | str, Value]; recursion makes mypy slow and tells no more


def encode(value: Value) -> bytes:
    """Encode `value`; raise MalformedError naming the place of a type that is not allowed."""
    _check(value, "$", 0)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, limit: int = MAX_BYTES) -> Value:
    """Decode `data`; raise MalformedError when it is too long, not CBOR, or not the canonical spelling of its value."""
    if len(data) > limit:
        raise MalformedError(f"{len(data)} bytes, at most {limit} allowed", where="cbor")
    value = decode_again(data)
    maps: list[dict[Value, Value]] = []
    if not _allowed(value, 0, maps):
        _name_fault(value, "$", 0)
    # maps keep the order they were read in: written again as they stand, only the order of keys is left to look at
    if cbor2.dumps(value) != data or not all(map(_ordered, maps)):
        raise MalformedError("not in canonical form, or bytes follow the value", where="cbor")
    return value


def decode_again(data: bytes) -> Value:
    """Decode bytes that `decode` has accepted before, and look no second time; raise MalformedError when they are not CBOR."""
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, RecursionError, ValueError, OverflowError, TypeError, MemoryError) as error:
        raise MalformedError(f"not CBOR: {type(error).__name__}", where="cbor") from error


def _check(value: Value, place: str, depth: int) -> None:
    if not _allowed(value, depth):
        _name_fault(value, place, depth)


def _allowed(value: Value, depth: int, maps: list[dict[Value, Value]] | None = None) -> bool:
    """Look at a value level by level, and gather its maps: a call for each item would cost most of the time that a record takes."""
    level = [value]
    while level:
        below: list[Value] = []
        for item in level:
            kind = type(item)
            if kind is int:
                if not _INT_MIN <= item <= _INT_MAX:
                    return False
            elif kind not in _PLAIN:
                if not _opened(item, kind, depth, below):
                    return False
                if kind is dict and maps is not None:
                    maps.append(item)
        level, depth = below, depth + 1
    return True


def _opened(item: Value, kind: type[Any], depth: int, below: list[Value]) -> bool:
    """Put a container's items on the level below; tell whether it is one that is allowed here."""
    if kind is dict:
        below += item.values()
        return depth < MAX_DEPTH and _keys_allowed(item)
    if kind is list or kind is tuple:
        below += item
        return depth < MAX_DEPTH
    return isinstance(item, str)  # validated identifiers are text


def _keys_allowed(value: dict[Value, Value]) -> bool:
    types = set(map(type, value))
    return types <= _TEXT or (types == _NUMBER and min(value) >= 0)


def _ordered(value: dict[Value, Value]) -> bool:
    """Tell whether an allowed map's keys stand in canonical order: numbers by value, text by length and then bytewise."""
    keys = list(value)
    if keys and type(keys[0]) is str:
        return keys == sorted(keys, key=_text_order)
    return keys == sorted(keys)


def _text_order(key: str) -> tuple[int, bytes]:
    data = key.encode()
    return len(data), data


def _name_fault(value: Value, place: str, depth: int) -> None:
    """Raise MalformedError naming the first place that `_allowed` refuses; give back nothing when there is none."""
    if _allowed(value, depth):
        return
    kind = type(value)
    if kind in (dict, list, tuple) and depth >= MAX_DEPTH:
        raise MalformedError(f"nested deeper than {MAX_DEPTH}", where=place)
    if kind is dict:
        if not _keys_allowed(value):
            raise MalformedError("keys are neither all text nor all whole numbers from 0 up", where=place)
        for key, item in value.items():
            _name_fault(item, f"{place}.{key}", depth + 1)
    elif kind is list or kind is tuple:
        for index, item in enumerate(value):
            _name_fault(item, f"{place}[{index}]", depth + 1)
    elif kind is int:
        raise MalformedError("integer wider than 64 bits", where=place)
    raise MalformedError(f"type {kind.__name__} is not allowed", where=place)
