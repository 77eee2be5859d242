"""Find the line of each key of a TOML text, which the standard parser does not tell.

Guarantees: for every text that `tomllib` accepts, `find` names the line on which a key, a table header or an element of an
array of tables begins; keys inside inline tables and arrays are found by the line of the key that holds them (`line_of`).
"""

import re
import tomllib
from typing import Any

Place = tuple[str | int, ...]  # keys and, inside arrays of tables, indexes: ("cameras", 0, "url")

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*'))*)\s*=""")
_TOKEN = re.compile(r'#.*|"""|\'\'\'|"(?:\\.|[^"\\])*"|\'[^\']*\'|[\[\]{}]')


def find(text: str) -> dict[Place, int]:
    """Give the line (from 1) of every key and table header of a text that is valid TOML."""
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not depth and not quote:
            header, key = _HEADER.match(line), _KEY.match(line)
            if header:
                table = _open_table(header, counts)
                lines.setdefault(table, number)
                continue
            if key:
                _note(lines, table, _parts(key[1]), number)
        depth, quote = _scan(line, depth, quote)
    return lines


def line_of(lines: dict[Place, int], place: Place) -> int | None:
    """Give the line of a place or of the nearest place that holds it; None when the text has neither."""
    for length in range(len(place), 0, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return None


def _open_table(header: re.Match[str], counts: dict[Place, int]) -> Place:
    """Give the place of a `[table]` or `[[element]]`; an array's name on the way means its newest element."""
    place: Place = ()
    parts = _parts(header[2])
    for index, part in enumerate(parts):
        place = (*place, part)
        if header[1] == "[[" and index == len(parts) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _note(lines: dict[Place, int], table: Place, parts: tuple[str, ...], number: int) -> None:
    for length in range(1, len(parts) + 1):
        lines.setdefault((*table, *parts[:length]), number)


def _parts(dotted: str) -> tuple[str, ...]:
    """Split a dotted key as TOML does."""
    value: Any = tomllib.loads(f"{dotted} = 0")
    parts: list[str] = []
    while isinstance(value, dict):
        [(part, value)] = value.items()
        parts.append(part)
    return tuple(parts)


def _scan(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Follow brackets and multi-line strings over one line."""
    position = 0
    while True:
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return depth, quote
            position, quote = end + len(quote), ""
        token = _TOKEN.search(line, position)
        if token is None or token[0].startswith("#"):
            return depth, quote
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "[{":
            depth += 1
        elif token[0] in "]}":
            depth -= 1
