"""Read what ships with the hub: the scheme with its rules, ways and devices, the fourteen procedures, the catalogue of violations.

Guarantees: each file is read as strictly as one that a person uploads, and names only violations that the catalogue has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from hub.inspection.procedures.writing import from_yaml
from hub.inspection.procedures.yaml_text import read_yaml
from protocol.errors import MalformedError
from protocol.procedures.model import Procedure
from protocol.procedures.reading import Node


@dataclass(frozen=True, slots=True)
class Part:
    """A rule, a way of recording or a class of devices; `parts`: its articles, in Chinese and English."""

    key: str
    zh: str
    en: str
    verified: bool
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """What is forbidden, by what, and what it costs; (Chinese, English) each."""

    key: str
    zh: str
    en: str
    legal: tuple[str, str]
    penalty: tuple[str, str]
    verified: bool


@dataclass(frozen=True, slots=True)
class Scheme:
    """The scheme, its rules, ways and devices; `sets`, `steps`: what short forms in procedures stand for."""

    version: int
    effective: str
    scheme: Part
    rules: tuple[Part, ...]
    ways: tuple[Part, ...]
    devices: tuple[Part, ...]
    sets: Mapping[str, Any]
    steps: Mapping[str, Any]


def shipped_names() -> list[str]:
    """Give the names of the shipped procedures' files, by number."""
    folder = resources.files("hub.inspection.procedures") / "shipped"
    return sorted(one.name for one in folder.iterdir() if one.name.endswith(".yaml") and one.name[0].isdigit())


def shipped_text(name: str) -> bytes:
    """Give a shipped file."""
    return (resources.files("hub.inspection.procedures") / "shipped" / name).read_bytes()


@lru_cache(maxsize=1)
def shipped_scheme() -> Scheme:
    """Read the scheme; raise MalformedError where the file is wrong."""
    node = Node(read_yaml(shipped_text("scheme.yaml")).value, "")
    node.one_of("format", ("portwitness-scheme/1",))
    for name in ("verified", "basis"):
        node.get(name)
    triggers = node.get("triggers")
    found = Scheme(
        version=node.count("version", 1, 10**6),
        effective=node.day("effective"),
        scheme=_part(Node(node.get("scheme") | {"verified": False}, "scheme")),
        rules=node.each("rules", _part, (3, 3)),
        ways=node.each("ways", _part, (6, 6)),
        devices=node.each("devices", _part, (1, 20)),
        sets=node.get("options"),
        steps={key: _step(key, step, triggers) for key, step in node.get("steps").items()},
    )
    node.done()
    return found


@lru_cache(maxsize=1)
def shipped_violations() -> tuple[Violation, ...]:
    """Read the catalogue of violations; raise MalformedError where the file is wrong."""
    node = Node(read_yaml(shipped_text("violations.yaml")).value, "")
    node.one_of("format", ("portwitness-violations/1",))
    node.count("version", 1, 10**6)
    node.day("effective")
    found = node.each("violations", _violation, (1, 500))
    node.done()
    return found


@lru_cache(maxsize=1)
def shipped_procedures() -> tuple[Procedure, ...]:
    """Read the fourteen procedures, by number; raise MalformedError naming file, line and column."""
    scheme = shipped_scheme()
    return tuple(_read(name, scheme) for name in shipped_names())


def _read(name: str, scheme: Scheme) -> Procedure:
    try:
        procedure = from_yaml(shipped_text(name), scheme.sets, scheme.steps)
        known = {violation.key for violation in shipped_violations()}
        strange = sorted({item.violation for _, item in procedure.items.values() if item.violation} - known)
        if strange:
            raise MalformedError(f"names violations that the catalogue lacks: {', '.join(strange)}", where="items")
    except MalformedError as error:
        raise MalformedError(error.what, where=f"{name}, {error.where}") from error
    return procedure


def _part(node: Node) -> Part:
    pairs: tuple[tuple[str, str], ...] = node.each("parts", lambda inner: (inner.text("zh"), inner.text("en")), (0, 50), ())
    return Part(node.text("key"), node.text("zh"), node.text("en"), node.flag("verified", False), pairs)


def _violation(node: Node) -> Violation:
    key, zh, en, verified = node.key("key"), node.text("zh"), node.text("en"), node.flag("verified")
    legal, penalty = (Node(node.get(name), node.at(name)) for name in ("legal", "penalty"))
    return Violation(key, zh, en, (legal.text("zh"), legal.text("en")), (penalty.text("zh"), penalty.text("en")), verified)


def _step(key: str, step: Mapping[str, Any], triggers: Mapping[str, Any]) -> dict[str, Any]:
    starts, ends = ({"key": step[name]} | triggers[step[name]] for name in ("from", "to"))
    return {"key": key, "zh": step["zh"], "en": step["en"], "starts": starts, "ends": ends, "records": step["records"]}
