"""Read settings: a TOML text and an environment become frozen dataclasses, or an error that names file, line and key.

A schema is a frozen dataclass (`kw_only=True`); each field is made by `setting("What it does.", default=..., unit="s")`. A field
whose type is a dataclass is a TOML table, `tuple[Dataclass, ...]` an array of tables. Allowed leaf types: bool, int, float, str,
classes made from text (identifiers, paths), Literal choices, tuples of these, and `X | None`.

Guarantees: nothing unknown is accepted, nothing wrong is guessed, and no secret is repeated in an error. `<PREFIX>_<TABLE>_<KEY>` in
the environment overrides the file (an array of tables is given as a TOML array); a secret may be given as a file named by
`KEY_FILE`. `describe` gives the rows of which the reference pages are made.
"""

import difflib
import math
import re
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from protocol import toml_lines
from protocol.errors import MalformedError
from protocol.toml_lines import Place

T = TypeVar("T")
ReadSecret = Callable[[str], str]
_SHOWN = 60  # characters of a wrong value that an error repeats


@dataclass(frozen=True, slots=True)
class About:
    """What a setting means, beside its type and default."""

    doc: str = ""
    unit: str = ""
    least: float | None = None
    most: float | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a reference page. `default` is None when the setting must be given."""

    key: str
    variable: str
    expected: str
    default: str | None
    doc: str
    secret: bool


def setting(
    doc: str, *, default: object = MISSING, unit: str = "", bounds: tuple[float | None, float | None] = (None, None), secret: bool = False
) -> Any:  # noqa: ANN401 - as dataclasses.field, whose place it takes
    """Make a field of a schema. `bounds`: least and most allowed value; `secret`: never shown, may be given as a file."""
    about = About(doc, unit, *bounds, secret)
    return field(default=default, metadata={"about": about})


def read(schema: type[T], text: str, *, file: str, environ: Mapping[str, str], prefix: str, read_secret: ReadSecret | None = None) -> T:
    """Give the settings; raise MalformedError "edge.toml:12: capture.segment_seconds: expected ..., got ...".

    `environ` is searched for `prefix` + "_" + table + "_" + key; `<PREFIX>_CONFIG` is left to the program. `read_secret` reads the
    file that a `KEY_FILE` names.
    """
    given = _parse(text, file)
    reader = _Reader(file, toml_lines.find(text), environ, prefix, read_secret)
    reader.refuse_unknown_variables(schema)
    made: T = reader.table(schema, given, ())
    return made


def describe(schema: type[Any], prefix: str) -> tuple[Row, ...]:
    """Give one row for each setting, in the order of the schema."""
    return tuple(_rows(schema, prefix, ""))


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at (?:line (\d+), column (\d+)|end of document)\)", str(error))
        line = place[1] if place and place[1] else str(max(1, len(text.splitlines())))
        what = re.sub(r"\s*\(at [^)]*\)", "", str(error))
        raise MalformedError(f"not TOML: {what}", where=f"{file}:{line}") from error


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A setting's name, type without None, and meaning."""

    name: str
    hint: Any
    about: About
    optional: bool
    default: Any

    @property
    def schema(self) -> type[Any] | None:
        """Give the dataclass when the field is a table."""
        return self.hint if isinstance(self.hint, type) and is_dataclass(self.hint) else None

    @property
    def element(self) -> type[Any] | None:
        """Give the dataclass when the field is an array of tables."""
        item = get_args(self.hint)[0] if get_origin(self.hint) is tuple else None
        return item if isinstance(item, type) and is_dataclass(item) else None


def _leaves(schema: type[Any]) -> Iterator[_Leaf]:
    hints = get_type_hints(schema)
    for each in fields(schema):
        hint, optional = _strip_none(hints[each.name])
        yield _Leaf(each.name, hint, each.metadata.get("about", About()), optional, _default(each))


def _default(each: Field[Any]) -> Any:  # noqa: ANN401
    if each.default_factory is not MISSING:
        return each.default_factory()
    return each.default


def _strip_none(hint: Any) -> tuple[Any, bool]:  # noqa: ANN401
    if get_origin(hint) not in (Union, types.UnionType):
        return hint, False
    kept = [part for part in get_args(hint) if part is not type(None)]
    if len(kept) != 1:
        raise TypeError(f"a setting has one type, not {hint}")
    return kept[0], True


@dataclass(frozen=True, slots=True)
class _Reader:
    file: str
    lines: dict[Place, int]
    environ: Mapping[str, str]
    prefix: str
    read_secret: ReadSecret | None

    def table(self, schema: type[Any], given: Any, place: Place) -> Any:  # noqa: ANN401
        if not isinstance(given, dict):
            raise self.wrong(place, "a table", given)
        leaves = tuple(_leaves(schema))
        self.refuse_unknown_keys(leaves, given, place)
        values = {leaf.name: self.value(leaf, given, (*place, leaf.name)) for leaf in leaves}
        try:
            return schema(**{name: value for name, value in values.items() if value is not MISSING})
        except MalformedError as error:  # a rule between settings, from __post_init__; its `where` may name the key
            raise MalformedError(error.what, where=self.where((*place, error.where) if error.where else place)) from error

    def value(self, leaf: _Leaf, given: dict[str, Any], place: Place) -> Any:  # noqa: ANN401
        if leaf.schema is not None:
            absent = leaf.name not in given and not self.has_variables(place)
            return None if absent and leaf.optional else self.table(leaf.schema, given.get(leaf.name, {}), place)
        found = self.from_environment(leaf, place)
        if found is MISSING:
            found = self.from_file(leaf, given, place)
        if found is MISSING and leaf.default is MISSING and not leaf.optional:
            also = f", here or as {self.variable(place)}" if self.variable(place) else ""
            raise MalformedError(f"missing: expected {_expected(leaf.hint, leaf.about)}{also}", where=self.where(place))
        return None if found is MISSING and leaf.default is MISSING else found

    def from_file(self, leaf: _Leaf, given: dict[str, Any], place: Place) -> Any:  # noqa: ANN401
        named = f"{leaf.name}_file"
        if leaf.about.secret and named in given:
            if leaf.name in given:
                raise MalformedError(f"given twice, as {leaf.name} and as {named}", where=self.where(place))
            return self.secret(leaf, given[named], self.where((*place[:-1], named)))
        if leaf.name not in given:
            return MISSING
        if leaf.element is not None:
            return self.array(leaf.element, given[leaf.name], place)
        return _check(leaf.hint, given[leaf.name], leaf.about, self.where(place))

    def from_environment(self, leaf: _Leaf, place: Place) -> Any:  # noqa: ANN401
        variable = self.variable(place)
        if not variable:
            return MISSING
        where = f"{variable} in the environment"
        if leaf.about.secret and f"{variable}_FILE" in self.environ:
            return self.secret(leaf, self.environ[f"{variable}_FILE"], where.replace(variable, f"{variable}_FILE"))
        if variable not in self.environ:
            return MISSING
        value = _from_text(leaf.hint, self.environ[variable], leaf.about, where)
        if leaf.element is not None:
            return _Reader(where, {}, {}, "", self.read_secret).array(leaf.element, value, place)
        return _check(leaf.hint, value, leaf.about, where)

    def array(self, element: type[Any], given: Any, place: Place) -> tuple[Any, ...]:  # noqa: ANN401
        if not isinstance(given, list):
            raise self.wrong(place, "an array of tables", given)
        return tuple(self.table(element, item, (*place, index)) for index, item in enumerate(given))

    def secret(self, leaf: _Leaf, path: Any, where: str) -> Any:  # noqa: ANN401
        if not isinstance(path, str) or self.read_secret is None:
            raise MalformedError("expected the path of a file that holds the secret", where=where)
        try:
            text = self.read_secret(path)
        except (OSError, UnicodeDecodeError) as error:
            raise MalformedError(f"cannot read {path!r}: {getattr(error, 'strerror', None) or 'not text'}", where=where) from error
        return _check(leaf.hint, text.rstrip("\r\n"), leaf.about, where)

    def variable(self, place: Place) -> str:
        """Give the variable that overrides a place; empty inside arrays, which are overridden whole."""
        if not self.prefix or any(isinstance(part, int) for part in place):
            return ""
        return "_".join((self.prefix, *(str(part) for part in place))).upper()

    def has_variables(self, place: Place) -> bool:
        start = self.variable(place)
        return bool(start) and any(name.startswith(f"{start}_") for name in self.environ)

    def refuse_unknown_keys(self, leaves: tuple[_Leaf, ...], given: dict[str, Any], place: Place) -> None:
        known = [leaf.name for leaf in leaves]
        known += [f"{leaf.name}_file" for leaf in leaves if leaf.about.secret]
        for name in given:
            if name not in known:
                raise MalformedError(f"not a setting{_suggest(name, known)}", where=self.where((*place, name)))

    def refuse_unknown_variables(self, schema: type[Any]) -> None:
        start = f"{self.prefix}_"
        known = [row.variable for row in describe(schema, self.prefix) if row.variable]
        known += [f"{row.variable}_FILE" for row in describe(schema, self.prefix) if row.secret]
        for name in sorted(self.environ):
            if self.prefix and name.startswith(start) and name not in known and name != f"{start}CONFIG":
                raise MalformedError(f"not a setting{_suggest(name, known)}", where=f"{name} in the environment")

    def where(self, place: Place) -> str:
        line = toml_lines.line_of(self.lines, place)
        return ": ".join(part for part in (self.file if line is None else f"{self.file}:{line}", _dotted(place)) if part)

    def wrong(self, place: Place, expected: str, given: Any) -> MalformedError:  # noqa: ANN401
        return MalformedError(f"expected {expected}, got {_show(given)}", where=self.where(place))


def _dotted(place: Place) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _suggest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(known)}" if len(known) <= 12 else ""


def _show(value: Any) -> str:  # noqa: ANN401
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check(hint: Any, value: Any, about: About, where: str) -> Any:  # noqa: ANN401
    """Give `value` as the type of the setting; raise MalformedError saying what was expected."""
    if get_origin(hint) is tuple and isinstance(value, list):
        item = get_args(hint)[0]
        return tuple(_check(item, each, about, f"{where}[{index}]") for index, each in enumerate(value))
    if _fits(hint, value) and _within(value, about):
        if isinstance(value, int) and hint is float:
            return float(value)
        return value if hint in (bool, int, float, str) or get_origin(hint) is Literal else _made(hint, value, about, where)
    got = "a value that is not shown" if about.secret else _show(value)
    near = _suggest(value, list(get_args(hint))) if get_origin(hint) is Literal and isinstance(value, str) and not about.secret else ""
    raise MalformedError(f"expected {_expected(hint, about)}, got {got}{near if 'mean' in near else ''}", where=where)


def _made(hint: Any, value: Any, about: About, where: str) -> Any:  # noqa: ANN401
    try:
        return hint(value)
    except MalformedError as error:
        got = "" if about.secret else f", got {_show(value)}: {error.what}"
        raise MalformedError(f"expected {_expected(hint, about)}{got}", where=where) from error


def _fits(hint: Any, value: Any) -> bool:  # noqa: ANN401
    if get_origin(hint) is Literal:
        return type(value) is str and value in get_args(hint)
    if hint is float:
        return type(value) in (int, float)
    if hint in (bool, int):
        return type(value) is hint
    return type(value) is str and isinstance(hint, type) and issubclass(hint, str | PurePath)


def _within(value: Any, about: About) -> bool:  # noqa: ANN401
    if type(value) not in (int, float):
        return True
    low, high = about.least, about.most
    return bool(math.isfinite(value) and (low is None or value >= low) and (high is None or value <= high))


def _from_text(hint: Any, text: str, about: About, where: str) -> Any:  # noqa: ANN401
    """Give the TOML value that an environment variable spells; text that spells none is left to `_check` to refuse."""
    if get_origin(hint) is tuple:
        if not text.lstrip().startswith("["):
            return [part.strip() for part in text.split(",") if part.strip()]
    elif hint not in (bool, int, float):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if hint in (bool, int, float):
            return text
        got = "" if about.secret else f", got {_show(text)}"
        raise MalformedError(f"expected {_expected(hint, about)} as a TOML array{got}", where=where) from None


def _expected(hint: Any, about: About) -> str:  # noqa: ANN401
    unit = f" ({about.unit})" if about.unit else ""
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        tables = isinstance(item, type) and is_dataclass(item)
        return "an array of tables" if tables else f"a list, each {_expected(item, about)}"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(repr(choice) for choice in get_args(hint))}"
    if hint in (int, float):
        return f"{'a whole number' if hint is int else 'a number'}{_range(about)}{unit}"
    if hint is bool:
        return "true or false"
    return f"{_noun(hint)}{unit}"


def _range(about: About) -> str:
    low = "" if about.least is None else f"{about.least:g}" if about.least % 1 else f"{about.least:.0f}"
    high = "" if about.most is None else f"{about.most:g}" if about.most % 1 else f"{about.most:.0f}"
    if low and high:
        return f" from {low} to {high}"
    return f" of at least {low}" if low else f" of at most {high}" if high else ""


def _noun(hint: Any) -> str:  # noqa: ANN401
    if hint is str:
        return "text"
    if issubclass(hint, PurePath):
        return "a path"
    words: str = getattr(hint, "noun", hint.__name__.lower())
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _rows(schema: type[Any], prefix: str, path: str) -> Iterator[Row]:
    for leaf in _leaves(schema):
        key = f"{path}.{leaf.name}" if path else leaf.name
        variable = f"{prefix}_{leaf.name}".upper() if prefix else ""
        if leaf.schema is not None:
            yield from _rows(leaf.schema, variable, key)
            continue
        yield Row(key, variable, _expected(leaf.hint, leaf.about), _shown_default(leaf), leaf.about.doc, leaf.about.secret)
        if leaf.element is not None:
            yield from _rows(leaf.element, "", f"{key}[]")


def _shown_default(leaf: _Leaf) -> str | None:
    if leaf.default is None or (leaf.default is MISSING and leaf.optional):
        return "none"
    if leaf.default is MISSING:
        return None
    if isinstance(leaf.default, bool):
        return str(leaf.default).lower()
    if isinstance(leaf.default, tuple):
        return f"[{', '.join(str(item) for item in leaf.default)}]"
    return f'"{leaf.default}"' if isinstance(leaf.default, str | PurePath) else f"{leaf.default}"
