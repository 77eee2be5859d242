"""Spoil bundles by chance: one bit, a cut end, an exchange, a copy too many; by seed, and undone again.

Guarantees: a bit is drawn uniformly over all bytes of the bundle; every case really changes what the bundle holds; the folder is
as it was when the context ends. What judges is the shipped verifier, in this process.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from protocol import bundle
from protocol.errors import PortwitnessError
from protocol.trust import Trust
from simulators.adversary.bags import Bag
from storage.bundles import write_zip
from storage.verify import verify

ZIP_EVERY = 20  # one case of so many hits the zip file instead of the folder

Change = dict[str, bytes | None]  # what a file holds afterwards; None: it is gone


@dataclass(slots=True)
class Noise:
    """Random damage to one bundle's folder."""

    folder: Path
    draw: random.Random
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bag = Bag(self.folder)
        self.files = {name: bag.read(name) for name in bag.names()}

    @contextmanager
    def case(self) -> Iterator[tuple[str, str]]:
        """Damage the folder; give the kind of damage and what was hit."""
        kind, change = self._draw()
        bag = Bag(self.folder)
        for name, data in change.items():
            if data is None:
                bag.drop(name)
            else:
                bag.write(name, data)
        try:
            yield kind, ", ".join(sorted(change))
        finally:
            for name in change:
                if name in self.files:
                    bag.write(name, self.files[name])
                else:
                    bag.drop(name)

    def _draw(self) -> tuple[str, Change]:
        kinds: tuple[tuple[str, int, Callable[[], Change]], ...] = (
            ("bit", 55, self._bit),
            ("truncation", 15, self._truncation),
            ("permutation", 15, self._permutation),
            ("duplication", 15, self._duplication),
        )
        while True:
            kind, _, make = self.draw.choices(kinds, [weight for _, weight, _ in kinds])[0]
            change = make()
            if any(self.files.get(name) != data for name, data in change.items()):
                return kind, change

    def _bit(self) -> Change:
        name = self.draw.choices(list(self.files), [len(data) for data in self.files.values()])[0]
        data = bytearray(self.files[name])
        data[self.draw.randrange(len(data))] ^= 1 << self.draw.randrange(8)
        return {name: bytes(data)}

    def _truncation(self) -> Change:
        """Cut a file's end or beginning off, or take it away."""
        name = self.draw.choice(list(self.files))
        data = self.files[name]
        keep = self.draw.randrange(len(data))
        how = self.draw.randrange(8)
        return {name: None if how == 0 else data[-keep:] if how == 1 and keep else data[:keep]}

    def _permutation(self) -> Change:
        """Exchange two files, two records of a journal, or two stretches of a file."""
        how = self.draw.randrange(3)
        if how == 0:
            one, two = self.draw.sample(list(self.files), 2)
            return {one: self.files[two], two: self.files[one]}
        if how == 1:
            name, records = self._journal()
            one_at, two_at = self.draw.sample(range(len(records)), 2)
            records[one_at], records[two_at] = records[two_at], records[one_at]
            return {name: bundle.encode_records(records)}
        name = self.draw.choice(list(self.files))
        data = self.files[name]
        a, b, c = sorted(self.draw.randrange(len(data) + 1) for _ in range(3))
        return {name: data[:a] + data[b:c] + data[a:b] + data[c:]}

    def _duplication(self) -> Change:
        """Copy a file over another or under a new name, a record of a journal, or a stretch of a file."""
        how = self.draw.randrange(4)
        if how == 0:
            one, two = self.draw.sample(list(self.files), 2)
            return {two: self.files[one]}
        name = self.draw.choice(list(self.files))
        if how == 1:
            stem, dot, suffix = name.rpartition(".")
            return {f"{stem}0{dot}{suffix}" if f"{stem}0{dot}{suffix}" not in self.files else f"{name}.copy": self.files[name]}
        if how == 2:
            name, records = self._journal()
            at = self.draw.randrange(len(records))
            return {name: bundle.encode_records([*records[: at + 1], *records[at:]])}
        data = self.files[name]
        a, b = sorted(self.draw.randrange(len(data) + 1) for _ in range(2))
        return {name: data[:b] + data[a:]}

    def _journal(self) -> tuple[str, list[bytes]]:
        name = self.draw.choice([name for name in self.files if (parsed := bundle.parse_journal(name)) and parsed[2] == "bin"])
        return name, bundle.parse_records(self.files[name])


@dataclass(slots=True)
class Tally:
    """What came of many cases: how many of each kind, refused as unreadable, and each false OK by kind, place and number."""

    kinds: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    false: list[tuple[int, str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return f"{sum(self.kinds.values())} cases ({kinds}): {self.unreadable} unreadable, {len(self.false)} called valid though damaged"


def endure(bundle_folder: Path, trust: Trust, cases: int, seed: int = 1) -> Tally:
    """Damage a bundle so often and have it verified each time; the folder must be one of its own, the zip file is put beside it."""
    tally, noise = Tally(), Noise(bundle_folder, random.Random(seed))  # noqa: S311 - repeatable by seed, no secret
    packed = bundle_folder.parent / "noise.zip"
    write_zip(bundle_folder, packed)
    whole = packed.read_bytes()
    for number in range(cases):
        if number % ZIP_EVERY == ZIP_EVERY - 1:
            kind, place = "zip bit", _flip(packed, whole, noise.draw)
            _judge(tally, packed, trust, (number, kind, place))
        else:
            with noise.case() as (kind, place):
                _judge(tally, bundle_folder, trust, (number, kind, place))
    packed.unlink()
    return tally


def _flip(packed: Path, whole: bytes, draw: random.Random) -> str:
    data, at = bytearray(whole), draw.randrange(len(whole))
    data[at] ^= 1 << draw.randrange(8)
    packed.write_bytes(data)
    return f"byte {at}"


def _judge(tally: Tally, path: Path, trust: Trust, what: tuple[int, str, str]) -> None:
    tally.kinds[what[1]] += 1
    try:
        if verify(path, trust).valid:
            tally.false.append(what)
    except PortwitnessError:
        tally.unreadable += 1
