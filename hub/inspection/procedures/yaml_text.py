"""Read the plain part of YAML: mappings, lists, texts, integers, true, false and null, each with its place.

Guarantees: no tags, anchors or aliases, no key twice, no fractions (a decimal number stays the text it is written as), no dates or
"yes" turned into something else; size, depth and number of values are bounded; each fault names line and column.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from protocol.errors import MalformedError

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 16
MAX_VALUES = 400_000
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says, and where: line and column by path such as `sections[2].items[0].key`."""

    value: Any
    places: dict[str, tuple[int, int]]

    def place(self, path: str) -> str:
        """Give the nearest place of a path, in words."""
        while path not in self.places and path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        line, column = self.places.get(path, (1, 1))
        return f"line {line}, column {column}"


def read_yaml(data: bytes) -> Written:
    """Read a file; raise MalformedError naming line and column."""
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="YAML")
    try:
        text = data.decode("utf-8", "strict")
        _refuse_references(text)
        root = yaml.SafeLoader(text).get_single_node()
    except UnicodeDecodeError as error:
        raise MalformedError(f"is no UTF-8 at byte {error.start}", where="YAML") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "YAML"
        raise MalformedError(str(error.problem)[:120], where=where) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise MalformedError(f"cannot be read: {str(error)[:120]}", where="YAML") from error
    if root is None:
        raise MalformedError("is empty", where="YAML")
    builder = _Builder({})
    return Written(builder.build(root, "", 0), builder.places)


def _refuse_references(text: str) -> None:
    """Refuse anchors and aliases before anything is built of them, and depth before anything recurses."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise MalformedError("anchors and aliases are not read here", where=_at(event.start_mark))
        if getattr(event, "tag", None) is not None:
            raise MalformedError("tags are not read here", where=_at(event.start_mark))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            what = f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"more than {MAX_VALUES} values"
            raise MalformedError(what, where=_at(event.start_mark))


def _at(mark: Any) -> str:  # noqa: ANN401 - the library's marks have no type
    return f"line {mark.line + 1}, column {mark.column + 1}"


class _Builder:
    def __init__(self, places: dict[str, tuple[int, int]]) -> None:
        self.places = places

    def build(self, node: Node, path: str, depth: int) -> Any:  # noqa: ANN401 - JSON
        self.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, MappingNode):
            return dict(self._pairs(node, path, depth))
        if isinstance(node, SequenceNode):
            return [self.build(one, f"{path}[{number}]", depth + 1) for number, one in enumerate(node.value)]
        return _scalar(node)

    def _pairs(self, node: MappingNode, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.value in seen:
                raise MalformedError("is there twice" if isinstance(key, ScalarNode) else "is no name", where=_at(key.start_mark))
            seen.add(key.value)
            yield key.value, self.build(value, f"{path}.{key.value}" if path else key.value, depth + 1)


def _scalar(node: Node) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(node, ScalarNode) or node.style is not None:
        return node.value
    if node.value in _WORDS:
        return _WORDS[node.value]
    return int(node.value) if _INTEGER.fullmatch(node.value) else node.value
