"""Hold the policy of a draw: rates, lanes, grades, the named keys whose answers make the seed, and how many of them must come.

Guarantees: one policy has one canonical text, whose SHA-256 the log binds before a seed can be known; every rate is a whole number of
parts in 10^9, so that all verifiers reckon alike.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol import sheets
from protocol.drawing.vrf import KEY_BYTES, check_key
from protocol.errors import MalformedError

PARTS = 10**9  # a probability of 1
MAX_RATE = 950_000_000  # a rate above this and below 1 could not be met without making arrivals certain
MAX_NAMES = 16
MAX_ROWS = 1000
TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:+-]{0,63}")
_FIELDS = {"rules", "log", "witnesses", "needed", "answer_s", "rate", "strata", "lanes", "grades"}


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane: selected by rule (`certain`), else with no less than `floor`, and by risk times `weight`; all in parts of 10^9."""

    floor: int
    weight: int
    certain: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A key that answers for the seed, by name."""

    name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy of a port's draws. Raises MalformedError for a rate, name or key that is none.

    `rules`: name and version; `log`: the port log's origin; `needed`: how many of the `witnesses` must have answered within `answer_s`
    of the closing, else every declaration is selected; `rate`: the national minimum where `strata` names none; `grades`: what a
    credit grade adds.
    """

    rules: str
    log: str
    witnesses: tuple[Named, ...]
    needed: int
    answer_s: int
    rate: int
    strata: Mapping[str, int] = field(default_factory=dict)
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    grades: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [one.name for one in self.witnesses]
        _need(1 <= len(names) <= MAX_NAMES and len(set(names)) == len(names), "witnesses", f"not 1 to {MAX_NAMES} names, each once")
        _need(len({one.key for one in self.witnesses}) == len(names), "witnesses", "one key stands under two names")
        for one in self.witnesses:
            check_token(one.name, "policy.witnesses")
            check_key(one.key)
        _need(1 <= self.needed <= len(names), "needed", f"not 1 to {len(names)}")
        _need(0 < self.answer_s <= 86_400, "answer_s", "not 1 to 86400 s")
        _need(0 < len(self.log) <= 200 and 0 < len(self.rules) <= 64, "log", "an empty or overlong name")
        for name, rate in (("rate", self.rate), *self.strata.items()):
            _need(1 <= rate <= MAX_RATE or rate == PARTS, "rate", f"{name[:64]}: not 1 to {MAX_RATE} parts in 10^9, nor all of them")
        self._check_rows()

    def _check_rows(self) -> None:
        rows = (self.strata, self.lanes, self.grades)
        _need(max(map(len, rows)) <= MAX_ROWS and bool(self.lanes) and bool(self.grades), "lanes", "no lanes, no grades, or too many")
        for name in (name for row in rows for name in row):
            check_token(name, "policy")
        for name, lane in self.lanes.items():
            fits = 1 <= lane.floor <= MAX_RATE and 0 <= lane.weight < PARTS
            _need(fits, "lanes", f"{name}: a floor is 1 to {MAX_RATE}, a weight 0 to below {PARTS}")
        for name, part in self.grades.items():
            _need(0 <= part < PARTS, "grades", f"{name}: not 0 to below {PARTS}")

    def encode(self) -> bytes:
        """Give the canonical text."""
        return sheets.encode(
            {
                "rules": self.rules,
                "log": self.log,
                "witnesses": [{"name": one.name, "key": one.key.hex()} for one in self.witnesses],
                "needed": self.needed,
                "answer_s": self.answer_s,
                "rate": self.rate,
                "strata": dict(self.strata),
                "lanes": {name: {"floor": one.floor, "weight": one.weight, "certain": one.certain} for name, one in self.lanes.items()},
                "grades": dict(self.grades),
            }
        )

    @property
    def hash(self) -> bytes:
        """Give the SHA-256 of the canonical text."""
        return hashlib.sha256(self.encode()).digest()

    @classmethod
    def parse(cls, data: bytes) -> "Policy":
        """Read a canonical text; raise MalformedError naming what is wrong."""
        value = sheets.decode(data)
        _need(isinstance(value, dict) and set(value) == _FIELDS, "fields", f"not exactly {', '.join(sorted(_FIELDS))}")
        whole = {name: _whole(value[name], name) for name in ("needed", "answer_s", "rate")}
        strata = {name: _whole(rate, "strata") for name, rate in _map(value["strata"], "strata").items()}
        lanes = {name: _lane(lane) for name, lane in _map(value["lanes"], "lanes").items()}
        grades = {name: _whole(part, "grades") for name, part in _map(value["grades"], "grades").items()}
        _need(isinstance(value["witnesses"], list), "witnesses", "not a list")
        named = tuple(_named(one) for one in value["witnesses"])
        _need(isinstance(value["rules"], str) and isinstance(value["log"], str), "log", "not text")
        return cls(value["rules"], value["log"], named, strata=strata, lanes=lanes, grades=grades, **whole)


def check_token(text: object, where: str) -> str:
    """Give a name that lines and policies may hold; raise MalformedError for any other."""
    if not isinstance(text, str) or not TOKEN.fullmatch(text):
        raise MalformedError(f"{str(text)[:70]!r} is no name of 1 to 64 letters, digits and ._/:+-", where=where)
    return text


def _need(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise MalformedError(what, where=f"policy.{name}")


def _whole(value: Any, name: str) -> int:  # noqa: ANN401 - JSON
    if type(value) is not int:
        raise MalformedError("not a whole number", where=f"policy.{name}")
    return value


def _map(value: Any, name: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    _need(isinstance(value, dict), name, "not an object")
    found: dict[str, Any] = value
    return found


def _lane(value: Any) -> Lane:  # noqa: ANN401 - JSON
    _need(isinstance(value, dict) and set(value) == {"floor", "weight", "certain"}, "lanes", "not exactly certain, floor and weight")
    _need(isinstance(value["certain"], bool), "lanes", "certain is not true or false")
    return Lane(_whole(value["floor"], "lanes"), _whole(value["weight"], "lanes"), value["certain"])


def _named(value: Any) -> Named:  # noqa: ANN401 - JSON
    _need(isinstance(value, dict) and set(value) == {"name", "key"}, "witnesses", "not exactly key and name")
    key = value["key"]
    _need(
        isinstance(key, str) and re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", key) is not None, "witnesses", "a key is not 64 hex digits"
    )
    return Named(value["name"], bytes.fromhex(key))
