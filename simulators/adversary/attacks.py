"""Say what an attack is: whom it is made on, what its author owns, and which shipped program must name it with which words."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Target = Literal["bundle", "day", "box", "hub", "log", "zip"]
Level = Literal["a copy", "the box", "the hub", "the box and the hub"]

TARGETS: dict[str, str] = {
    "bundle": "an exported bundle's folder",
    "day": "a stage: a day at a port is worked through again, with the attacker in it",
    "box": "a box's state folder",
    "hub": "a hub's state folder",
    "log": "a folder with a log's leaves and key",
    "zip": "an exported bundle's folder; a zip file is made",
}
LEVELS: dict[str, str] = {
    "a copy": "has a copy of the evidence and no key; re-makes every manifest",
    "the box": "owns the box: its disk and its session key, not its identity key; re-signs what it changed",
    "the hub": "owns the hub: its disk and the log's key; re-signs the log and re-makes manifests and exports",
    "the box and the hub": "owns both at once",
}


@dataclass(frozen=True, slots=True)
class Strike:
    """One attack at work: `folder` is the copy it may edit, `stage` where loot and other evidence stand, `draw` its dice."""

    folder: Path
    stage: Path
    draw: random.Random


@dataclass(frozen=True, slots=True)
class Sign:
    """How an attack shows: the program that names it, and words that its answer must hold; `where`: words of the place."""

    detector: str
    reason: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack by name; `residual`: what is left of the danger all the same, in plain words."""

    name: str
    target: Target
    level: Level
    act: Callable[[Strike], None]
    signs: tuple[Sign, ...]
    residual: str = ""

    @property
    def sentence(self) -> str:
        """Give what it does: the first line of its act's docstring."""
        return (self.act.__doc__ or "").strip().splitlines()[0]


def verify(reason: str, where: str = "") -> Sign:
    """Expect `portwitness-verify` to say so."""
    return Sign("portwitness-verify", reason, where)


def clip(reason: str) -> Sign:
    """Expect `portwitness-verify --clip` to say so of the changed segment."""
    return Sign("portwitness-verify --clip", reason)


def times(reason: str) -> Sign:
    """Expect `portwitness-verify` to say so of the times, though nothing is altered."""
    return Sign("portwitness-verify, time intervals", reason)


def whole_c2pa(reason: str, where: str = "") -> Sign:
    """Expect `portwitness-verify --whole-c2pa` to say so."""
    return Sign("portwitness-verify --whole-c2pa", reason, where)
