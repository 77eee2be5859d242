"""Read a procedure from JSON values, strictly, and write it so that it reads the same.

Guarantees: a field that is not known, missing, of another type or out of bounds is refused by its path, such as
`sections[2].items[4].least`; keys are unique; a condition asks only about items before it, in the same section or in one that is
not repeated; no item has a field by which an answer could be preselected. Limits of numbers are texts of decimals.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar, get_args

from protocol.errors import MalformedError
from protocol.procedures import conditions
from protocol.procedures.model import (
    ATTACHED,
    DEVICES,
    FORMAT,
    TYPES,
    WAYS,
    Basis,
    Item,
    Need,
    Option,
    Procedure,
    Section,
    Step,
    Stored,
    Trigger,
    Wanted,
)

MAX_ITEMS = 20_000
MAX_SECTIONS = 500
MAX_OPTIONS = 300
MAX_TEXT = 500
MAX_REPEATS = 2_000
_KEY = re.compile(r"[a-z][a-z0-9-]{0,63}")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,6})?")
T = TypeVar("T")


class PathError(MalformedError):
    """A value that cannot be read; `path` names its place."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(what, where=path or "procedure")
        self.path = path


class Node:
    """A value with its path, from which fields are taken one by one; what is left over at the end is refused."""

    def __init__(self, value: Any, path: str) -> None:  # noqa: ANN401 - JSON
        self.value, self.path, self.taken = value, path, set[str]()
        if not isinstance(value, dict):
            raise PathError(path, "is no object")

    def at(self, name: str) -> str:
        """Give the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str, default: Any = ...) -> Any:  # noqa: ANN401 - JSON
        """Take a field; raise PathError when it is missing and has no default."""
        self.taken.add(name)
        if name not in self.value:
            if default is ...:
                raise PathError(self.at(name), "is missing")
            return default
        return self.value[name]

    def text(self, name: str, default: Any = ...) -> Any:  # noqa: ANN401
        """Take a line of text."""
        found = self.get(name, default)
        if found is default:
            return found
        if not isinstance(found, str) or not 0 < len(found.strip()) == len(found) <= MAX_TEXT or any(ord(one) < 32 for one in found):
            raise PathError(self.at(name), f"is no line of 1 to {MAX_TEXT} characters without blanks at its ends")
        return found

    def key(self, name: str, default: Any = ...) -> Any:  # noqa: ANN401
        """Take a key: small letters, digits and hyphens."""
        found = self.get(name, default)
        if found is not default and (not isinstance(found, str) or not _KEY.fullmatch(found)):
            raise PathError(self.at(name), "is no key of small letters, digits and hyphens")
        return found

    def flag(self, name: str, default: Any = ...) -> bool:  # noqa: ANN401
        """Take true or false."""
        found = self.get(name, default)
        if not isinstance(found, bool):
            raise PathError(self.at(name), "is neither true nor false")
        return found

    def count(self, name: str, least: int, most: int, default: Any = ...) -> int:  # noqa: ANN401
        """Take an integer within bounds."""
        found = self.get(name, default)
        if type(found) is not int or not least <= found <= most:
            raise PathError(self.at(name), f"is no integer from {least} to {most}")
        return found

    def one_of(self, name: str, allowed: Sequence[str], default: Any = ...) -> Any:  # noqa: ANN401
        """Take one of some words."""
        found = self.get(name, default)
        if found is not default and found not in allowed:
            raise PathError(self.at(name), f"is none of {', '.join(allowed)}")
        return found

    def day(self, name: str, default: Any = ...) -> Any:  # noqa: ANN401
        """Take a day written as 2026-11-24."""
        found = self.get(name, default)
        if found is default or (found is None and default is None):
            return found
        try:
            if not isinstance(found, str) or date.fromisoformat(found).isoformat() != found:
                raise ValueError(found)
        except ValueError as error:
            raise PathError(self.at(name), "is no day written as 2026-11-24") from error
        return found

    def each(self, name: str, read: Callable[["Node"], T], bounds: tuple[int, int], default: Any = ...) -> tuple[T, ...]:  # noqa: ANN401
        """Take a list of objects."""
        found = self.get(name, default)
        if not isinstance(found, list | tuple) or not bounds[0] <= len(found) <= bounds[1]:
            raise PathError(self.at(name), f"is no list of {bounds[0]} to {bounds[1]}")
        made = []
        for number, value in enumerate(found):
            node = Node(value, f"{self.at(name)}[{number}]")
            made.append(read(node))
            node.done()
        return tuple(made)

    def words(self, name: str, allowed: Sequence[str] | None, default: Any = ...) -> tuple[str, ...]:  # noqa: ANN401
        """Take a list of words, each once."""
        found = self.get(name, default)
        if not isinstance(found, list | tuple) or len(found) > 100 or len(set(map(str, found))) != len(found):
            raise PathError(self.at(name), "is no list of different words")
        for number, one in enumerate(found):
            if not isinstance(one, str) or (one not in allowed if allowed is not None else not _KEY.fullmatch(one)):
                what = "is no key" if allowed is None else f"is none of {', '.join(allowed)}"
                raise PathError(f"{self.at(name)}[{number}]", what)
        return tuple(found)

    def done(self) -> None:
        """Refuse what was not taken."""
        left = sorted(map(str, set(self.value) - self.taken))
        if left:
            raise PathError(self.at(left[0]), "is not known here")


def read_procedure(value: Any) -> Procedure:  # noqa: ANN401 - JSON
    """Read a procedure; raise PathError (a MalformedError) naming the first place that is wrong."""
    node = Node(value, "")
    node.one_of("format", (FORMAT,))
    found = Procedure(
        key=node.key("key"),
        number=node.count("number", 1, 999),
        version=node.count("version", 1, 10**6),
        zh=node.text("zh"),
        en=node.text("en"),
        effective=node.day("effective"),
        until=node.day("until", None),
        goods=node.words("goods", None, ()),
        keep=node.key("keep"),
        verified=node.flag("verified"),
        basis=node.each("basis", _basis, (0, 50)),
        steps=node.each("steps", _step, (1, 50)),
        sections=node.each("sections", _section, (1, MAX_SECTIONS)),
    )
    node.done()
    if found.until is not None and found.until < found.effective:
        raise PathError("until", "lies before the day from which it is in force")
    _check_whole(found)
    return found


def value_of(procedure: Procedure) -> dict[str, Any]:
    """Write a procedure as JSON values, so that `read_procedure` gives the same."""
    made: dict[str, Any] = _plain(procedure)
    return {"format": FORMAT} | made


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, conditions.Test | conditions.Joined):
        return conditions.written(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "__dataclass_fields__"):
        found = {each.name: getattr(value, each.name) for each in fields(value)}
        return {name: _plain(one) for name, one in found.items() if one is not None and one != ()} | (
            {"basis": _plain(value.basis)} if isinstance(value, Procedure) else {}
        )
    return value


def _basis(node: Node) -> Basis:
    return Basis(node.text("zh"), node.text("en"), node.flag("verified"))


def _trigger(node: Node, name: str) -> Trigger:
    inner = Node(node.get(name), node.at(name))
    found = Trigger(inner.key("key"), inner.text("zh"), inner.text("en"))
    inner.done()
    return found


def _step(node: Node) -> Step:
    key, zh, en = node.key("key"), node.text("zh"), node.text("en")
    starts, ends = _trigger(node, "starts"), _trigger(node, "ends")
    return Step(key, zh, en, starts, ends, node.each("records", _wanted, (0, 100), ()))


def _wanted(node: Node) -> Wanted:
    return Wanted(
        key=node.key("key"),
        way=node.one_of("way", WAYS),
        devices=node.words("devices", DEVICES),
        need=node.one_of("need", get_args(Need)),
        zh=node.text("zh"),
        en=node.text("en"),
        least=node.count("least", 1, 1000, 1),
        stored=node.one_of("stored", get_args(Stored), "log"),
        unbroken=node.flag("unbroken", False),
        gap_s=node.count("gap_s", 0, 86_400, 0),
        when=_condition(node),
        verified=node.flag("verified", True),
    )


def _section(node: Node) -> Section:
    found = Section(
        key=node.key("key"),
        zh=node.text("zh"),
        en=node.text("en"),
        step=node.key("step"),
        basic=node.flag("basic", False),
        per=node.key("per", None),
        most=node.count("most", 1, MAX_REPEATS, 1),
        items=node.each("items", _item, (1, MAX_ITEMS)),
    )
    if (found.per is None) != (found.most == 1) and found.per is None:
        raise PathError(node.at("most"), "goes with `per` only")
    return found


def _item(node: Node) -> Item:
    item = Item(
        key=node.key("key"),
        type=node.one_of("type", TYPES),
        zh=node.text("zh"),
        en=node.text("en"),
        required=node.flag("required"),
        options=node.each("options", _option, (0, MAX_OPTIONS), ()),
        unit=node.text("unit", None),
        least=_decimal(node, "least"),
        most=_decimal(node, "most"),
        places=node.count("places", 0, 6, 0),
        when=_condition(node),
        violation=node.key("violation", None),
        basis=node.text("basis", None),
        verified=node.flag("verified", True),
    )
    _check_item(node, item)
    return item


def _option(node: Node) -> Option:
    option = Option(node.key("key"), node.text("zh"), node.text("en"), node.flag("conforms", False), node.flag("fails", False))
    if option.conforms and option.fails:
        raise PathError(node.at("fails"), "an option that conforms is no finding")
    return option


def _decimal(node: Node, name: str) -> str | None:
    found = node.get(name, None)
    if found is not None and (not isinstance(found, str) or not _DECIMAL.fullmatch(found)):
        raise PathError(node.at(name), "is no decimal number written as a text")
    return found


def _condition(node: Node) -> conditions.Condition | None:
    text = node.get("when", None)
    if text is None:
        return None
    if not isinstance(text, str):
        raise PathError(node.at("when"), "is no text")
    try:
        return conditions.parse(text)
    except MalformedError as error:
        raise PathError(node.at("when"), error.what) from error


def _check_item(node: Node, item: Item) -> None:
    chosen = item.type in ("choice", "multi")
    if chosen != bool(item.options):
        raise PathError(node.at("options"), "a choice has options, and nothing else has")
    if len({option.key for option in item.options}) != len(item.options):
        raise PathError(node.at("options"), "names an option twice")
    if sum(option.conforms for option in item.options) > 1:
        raise PathError(node.at("options"), "at most one option conforms")
    if item.type != "number" and (item.unit is not None or item.places):
        raise PathError(node.at("unit" if item.unit is not None else "places"), "only numbers have it")
    if item.type not in ("number", *ATTACHED) and (item.least is not None or item.most is not None):
        raise PathError(node.at("least"), "only numbers and files have limits")
    if item.least is not None and item.most is not None and Decimal(item.least) > Decimal(item.most):
        raise PathError(node.at("most"), "is below `least`")
    if item.type in ATTACHED and any(limit is not None and not 0 <= int(Decimal(limit)) <= 200 for limit in (item.least, item.most)):
        raise PathError(node.at("least"), "files are counted from 0 to 200")


def _check_whole(procedure: Procedure) -> None:
    steps = [step.key for step in procedure.steps]
    _check_once("steps", steps)
    for number, step in enumerate(procedure.steps):
        _check_once(f"steps[{number}].records", [wanted.key for wanted in step.records])
    _check_once("sections", [section.key for section in procedure.sections])
    before: dict[str, str | None] = {}  # item -> the repeated section it stands in
    for number, section in enumerate(procedure.sections):
        path = f"sections[{number}]"
        if section.step not in steps:
            raise PathError(f"{path}.step", "names no step of this procedure")
        for at, item in enumerate(section.items):
            where = f"{path}.items[{at}]"
            if item.key in before:
                raise PathError(f"{where}.key", f"{item.key} is there before")
            _check_condition(f"{where}.when", item, section, before)
            before[item.key] = section.key if section.per else None
    _check_records(procedure, before)
    if len(before) > MAX_ITEMS:
        raise PathError("sections", f"has more than {MAX_ITEMS} items")


def _check_records(procedure: Procedure, asked: dict[str, str | None]) -> None:
    for number, step in enumerate(procedure.steps):
        for at, wanted in enumerate(step.records):
            for name in conditions.names(wanted.when) if wanted.when is not None else ():
                if asked.get(name, "") is not None:
                    raise PathError(f"steps[{number}].records[{at}].when", f"{name} is no item that is asked once")


def _check_condition(path: str, item: Item, section: Section, before: dict[str, str | None]) -> None:
    for name in conditions.names(item.when) if item.when is not None else ():
        if name not in before:
            raise PathError(path, f"{name} is no item before this one")
        if before[name] not in (None, section.key):
            raise PathError(path, f"{name} is asked in another section, once for each")


def _check_once(path: str, keys: list[str]) -> None:
    seen: set[str] = set()
    for number, key in enumerate(keys):
        if key in seen:
            raise PathError(f"{path}[{number}].key", f"{key} is there before")
        seen.add(key)
