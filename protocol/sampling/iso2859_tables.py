"""The tables of ISO 2859-1 (GB/T 2828.1) for single sampling, as values that a site may replace by its own.

Guarantees: a cell that was not checked against the printed standard is marked, and every plan that passes through it says so. The master
tables run along diagonals: row + column decides, so that a diagonal stands for all its cells.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["normal", "tightened", "reduced"]
LETTERS = "ABCDEFGHJKLMNPQRS"
LOT_BOUNDS = (8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000)  # table 1; beyond the last: one more band
LEVELS: Mapping[str, str] = MappingProxyType(
    {
        "S-1": "AAAABBBBCCCCDDD",
        "S-2": "AAABBBCCCDDDEEE",
        "S-3": "AABBCCDDEEFFGGH",
        "S-4": "AABCCDEEFGGHJJK",
        "I": "AABCCDEFGHJKLMN",
        "II": "ABCDEFGHJKLMNPQ",
        "III": "BCDEFGHJKLMNPQR",
    }
)
AQLS = (
    "0.010", "0.015", "0.025", "0.040", "0.065", "0.10", "0.15", "0.25", "0.40", "0.65", "1.0", "1.5", "2.5", "4.0", "6.5",
    "10", "15", "25", "40", "65", "100", "150", "250", "400", "650", "1000",
)  # fmt: skip
Cell = int | Literal["up", "down"]  # an acceptance number, or where the arrow points


@dataclass(frozen=True, slots=True)
class Master:
    """A master table: sample sizes by letter, and the cell of each diagonal; beyond the diagonals one goes down before, up behind.

    `wide`: diagonals that hold for letters A to E only. `unchecked`: diagonals not checked against print; `checked` false: none was.
    """

    sizes: tuple[int, ...]
    diagonals: Mapping[int, Cell]
    wide: Mapping[int, Cell]
    unchecked: frozenset[int] = frozenset()
    checked: bool = True


NORMAL = Master(  # table 2-A
    sizes=(2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000),
    diagonals=MappingProxyType({14: 0, 15: "up", 16: "down", 17: 1, 18: 2, 19: 3, 20: 5, 21: 7, 22: 10, 23: 14, 24: 21}),
    wide=MappingProxyType({25: 30, 26: 44}),
)
TIGHTENED = Master(  # table 2-B; what stands between acceptance numbers 0 and 1 was not checked, nor what small lots meet beyond 18
    sizes=(*NORMAL.sizes, 3150),
    diagonals=MappingProxyType({15: 0, 16: "down", 17: "down", 18: 1, 19: 2, 20: 3, 21: 5, 22: 8, 23: 12, 24: 18}),
    wide=MappingProxyType({25: 27, 26: 41}),
    unchecked=frozenset({16, 17, 25, 26}),
)
REDUCED = Master(  # table 2-C, from memory of its edition of 1999
    sizes=(2, 2, 2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800),
    diagonals=MappingProxyType({14: 0, 15: "up", 16: "down", 17: 1, 18: 1, 19: 2, 20: 3, 21: 5, 22: 6, 23: 8, 24: 10}),
    wide=MappingProxyType({25: 14, 26: 21}),
    checked=False,
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The three master tables in use, and what they are called."""

    normal: Master = NORMAL
    tightened: Master = TIGHTENED
    reduced: Master = REDUCED
    name: str = "ISO 2859-1:1999"

    def of(self, severity: Severity) -> Master:
        """Give the table of a severity."""
        return {"normal": self.normal, "tightened": self.tightened, "reduced": self.reduced}[severity]
