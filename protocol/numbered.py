"""Encode dataclasses as maps from field number to value, for bodies of records and for messages.

A field's number is its place in its class, counted from 1, so fields are only ever appended. A field that is None is left out;
unknown fields and wrong types are refused by name.
"""

import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from protocol.errors import MalformedError

Plan = tuple[tuple[int, str, Any, bool], ...]


def encode_fields(value: Any) -> dict[int, Any]:  # noqa: ANN401
    """Give the numbered fields of any dataclass that follows the rules of bodies; raise MalformedError on a wrong type."""
    numbered = _encode(value)
    _decode(type(value), numbered, value.KIND)
    return numbered


def decode_fields(kind: type[Any], value: Any, where: str) -> Any:  # noqa: ANN401
    """Read the numbered fields of `kind`; raise MalformedError naming the field that is wrong."""
    return _decode(kind, value, where)


def _encode(body: Any) -> dict[int, Any]:  # noqa: ANN401
    out: dict[int, Any] = {}
    for number, name in enumerate(_names(type(body)), 1):
        value = getattr(body, name)
        if value is not None:
            out[number] = _plain(value)
    return out


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str(value)  # a validated identifier becomes plain text
    return _encode(value) if hasattr(value, "__dataclass_fields__") else value


def _field_names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _field_plan(kind: type[Any]) -> Plan:
    """Give (number, name, type, required) of each field."""
    hints = get_type_hints(kind)
    return tuple(
        (number, field.name, _strip_none(hints[field.name]), field.default is MISSING) for number, field in enumerate(fields(kind), 1)
    )


_names = cast(Callable[[type[Any]], tuple[str, ...]], cache(_field_names))
_plan = cast(Callable[[type[Any]], Plan], cache(_field_plan))


def _admits_none(kind: type[Any], name: str) -> bool:
    return types.NoneType in get_args(get_type_hints(kind)[name])


_may_be_none = cast(Callable[[type[Any], str], bool], cache(_admits_none))


def _strip_none(hint: Any) -> Any:  # noqa: ANN401
    if get_origin(hint) in (types.UnionType, Union):
        return next(part for part in get_args(hint) if part is not types.NoneType)
    return hint


def _decode(kind: type[Any], value: Any, where: str) -> Any:  # noqa: ANN401
    if not isinstance(value, dict):
        raise MalformedError("body is not a map", where=where)
    found: dict[str, Any] = {}
    absent = 0
    for number, name, hint, required in _plan(kind):
        if number in value:
            item = value[number]
            found[name] = item if type(item) is hint else _take(hint, item, where, name)
        elif required:
            if not _may_be_none(kind, name):
                raise MalformedError("missing", where=f"{where}.{name}")
            found[name], absent = None, absent + 1
    if len(found) - absent != len(value):
        raise MalformedError(f"unknown fields {sorted(set(value) - {row[0] for row in _plan(kind)}, key=str)}", where=where)
    return kind(**found)


def _take(hint: Any, value: Any, where: str, name: str) -> Any:  # noqa: ANN401
    if hint in (int, str, bytes, bool):
        if type(value) is not hint:
            raise MalformedError(f"{type(value).__name__}, expected {hint.__name__}", where=f"{where}.{name}")
        return value
    return _take_compound(hint, value, where, name)


def _take_compound(hint: Any, value: Any, where: str, name: str) -> Any:  # noqa: ANN401
    origin = get_origin(hint)
    if origin is Literal:
        if not isinstance(value, str) or value not in get_args(hint):
            raise MalformedError(f"{str(value)[:40]!r} is none of {', '.join(get_args(hint))}", where=f"{where}.{name}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise MalformedError("not a list", where=f"{where}.{name}")
        return _take_tuple(get_args(hint), value, where, name)
    return _decode(hint, value, f"{where}.{name}")


def _take_tuple(parts: tuple[Any, ...], value: list[Any], where: str, name: str) -> tuple[Any, ...]:
    if parts[-1] is Ellipsis:
        part = parts[0]
        if hasattr(part, "__dataclass_fields__"):  # the common case, without a look at each item's type
            within = f"{where}.{name}"
            return tuple([_decode(part, item, within) for item in value])
        return tuple(item if type(item) is part else _take(part, item, where, name) for item in value)
    if len(parts) != len(value):
        raise MalformedError(f"{len(value)} items, expected {len(parts)}", where=f"{where}.{name}")
    return tuple(_take(part, item, where, name) for part, item in zip(parts, value, strict=True))
