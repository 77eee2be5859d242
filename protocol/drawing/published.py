"""Hold the published bundle of a draw: one canonical JSON file with all that somebody needs to draw again by himself.

    format         portwitness-draw/1
    policy         the policy's canonical text
    pool           the pool's lines             probabilities, teams, final     the result's lines
    leaves         [{index, record, path}] of the port log (base64): policy, call, closing, result, result of the draw before, acts
    sheets         {position: {salt, text}} of the acts' sheets
    closing        {checkpoint, path, consistency}: the checkpoint that covered the closing before anybody was asked for an answer
    checkpoint     the signed checkpoint that all leaves lead to

Guarantees: one bundle has one spelling; `parse` takes no other, and nothing in it is believed before `judge`.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.drawing.pool import pool_root
from protocol.errors import MalformedError
from protocol.merkle import HASH_BYTES
from protocol.sheets import Sheet

FORMAT = "portwitness-draw/1"
MAX_BYTES = 128 * 2**20
MAX_LEAVES = 10_000
_FIELDS = {"format", "policy", "pool", "probabilities", "teams", "final", "leaves", "sheets", "closing", "checkpoint"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A record of the port log, its index, and its path to the bundle's checkpoint."""

    index: int
    record: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """The checkpoint that covered the closing first: its note, the closing's path to it, and its proof to the bundle's checkpoint."""

    checkpoint: str
    path: tuple[bytes, ...]
    consistency: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DrawBundle:
    """A draw as it is published."""

    policy: str
    pool: tuple[str, ...]
    probabilities: tuple[str, ...]
    teams: tuple[str, ...]
    final: tuple[str, ...]
    leaves: tuple[Leaf, ...]
    closing: Closed
    checkpoint: str
    sheets: Mapping[int, Sheet] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Give the file."""
        return _dump(
            {
                "format": FORMAT,
                "policy": self.policy,
                "pool": self.pool,
                "probabilities": self.probabilities,
                "teams": self.teams,
                "final": self.final,
                "leaves": [{"index": one.index, "record": _text(one.record), "path": _texts(one.path)} for one in self.leaves],
                "sheets": {str(at): {"salt": one.salt.hex(), "text": one.data.decode()} for at, one in self.sheets.items()},
                "closing": {
                    "checkpoint": self.closing.checkpoint,
                    "path": _texts(self.closing.path),
                    "consistency": _texts(self.closing.consistency),
                },
                "checkpoint": self.checkpoint,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> "DrawBundle":
        """Read a file; raise MalformedError naming what is wrong."""
        value = _load(data)
        closing, leaves, sheets = value["closing"], value["leaves"], value["sheets"]
        _need(isinstance(closing, dict) and set(closing) == {"checkpoint", "consistency", "path"}, "closing")
        _need(isinstance(leaves, list) and len(leaves) <= MAX_LEAVES and isinstance(sheets, dict), "leaves")
        bundle = cls(
            _string(value["policy"], "policy"),
            _lines(value["pool"], "pool"),
            _lines(value["probabilities"], "probabilities"),
            _lines(value["teams"], "teams"),
            _lines(value["final"], "final"),
            tuple(_leaf(one) for one in leaves),
            Closed(_string(closing["checkpoint"], "closing"), _path(closing["path"]), _path(closing["consistency"])),
            _string(value["checkpoint"], "checkpoint"),
            {_index(at): _sheet(one) for at, one in sheets.items()},
        )
        if [one.index for one in bundle.leaves] != sorted({one.index for one in bundle.leaves}):
            raise MalformedError("leaves are not sorted, or one stands twice", where="draw bundle")
        return bundle


def result_hash(probabilities: Sequence[str], teams: Sequence[str]) -> bytes:
    """Give what the result record binds: the Merkle root of the probabilities' lines and then the teams'."""
    return pool_root([*probabilities, *teams])


def _dump(value: Any) -> bytes:  # noqa: ANN401 - JSON
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _load(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_BYTES}", where="draw bundle")
    try:
        value = json.loads(data.decode("utf-8", "strict"))
        same = isinstance(value, dict) and _dump(value) == data
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"is no JSON: {str(error)[:80]}", where="draw bundle") from error
    if not same or set(value) != _FIELDS or value["format"] != FORMAT:
        raise MalformedError(f"is not in canonical form, or not of the format {FORMAT}", where="draw bundle")
    found: dict[str, Any] = value
    return found


def _need(holds: bool, name: str) -> None:
    if not holds:
        raise MalformedError("is not of its form", where=f"draw bundle {name}")


def _string(value: Any, name: str) -> str:  # noqa: ANN401 - JSON
    _need(isinstance(value, str), name)
    return str(value)


def _lines(value: Any, name: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    _need(isinstance(value, list) and set(map(type, value)) <= {str}, name)
    lines: tuple[str, ...] = tuple(value)
    _need(all(map(str.isascii, lines)), name)
    return lines


def _index(value: Any) -> int:  # noqa: ANN401 - JSON
    _need(isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 and str(int(value)) == value, "sheets")
    return int(value)


def _sheet(value: Any) -> Sheet:  # noqa: ANN401 - JSON
    _need(isinstance(value, dict) and set(value) == {"salt", "text"}, "sheets")
    salt, text = _string(value["salt"], "sheets"), _string(value["text"], "sheets")
    try:
        return Sheet(bytes.fromhex(salt), text.encode())
    except ValueError as error:
        raise MalformedError("a salt is not hex", where="draw bundle sheets") from error


def _leaf(value: Any) -> Leaf:  # noqa: ANN401 - JSON
    _need(isinstance(value, dict) and set(value) == {"index", "path", "record"}, "leaves")
    _need(type(value["index"]) is int and 0 <= value["index"] < 2**63, "leaves")
    return Leaf(value["index"], _bytes(value["record"]), _path(value["path"]))


def _path(value: Any) -> tuple[bytes, ...]:  # noqa: ANN401 - JSON
    _need(isinstance(value, list) and len(value) <= 64, "path")
    found = tuple(_bytes(one) for one in value)
    _need(all(len(one) == HASH_BYTES for one in found), "path")
    return found


def _bytes(value: Any) -> bytes:  # noqa: ANN401 - JSON
    try:
        data = base64.b64decode(_string(value, "base64"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("is not base64", where="draw bundle") from error
    _need(_text(data) == value, "base64")
    return data


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _texts(found: Sequence[bytes]) -> list[str]:
    return [_text(one) for one in found]
