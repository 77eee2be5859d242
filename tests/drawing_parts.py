"""Make policies and pools for tests of the draw."""

import hashlib
import random

from protocol.drawing import vrf
from protocol.drawing.policy import PARTS, Lane, Named, Policy
from protocol.drawing.pool import Count, Entry, Inspector, Pool

ORIGIN = "portwitness.port/dayaowan/hub-1"
SEEDS = {name: hashlib.sha256(name.encode()).digest() for name in ("hub", "customs", "port")}
LANES = {
    "red": Lane(PARTS // 20, 0, certain=True),
    "yellow": Lane(PARTS // 50, PARTS // 2),
    "blue": Lane(PARTS // 100, PARTS // 4),
    "green": Lane(PARTS // 200, PARTS // 10),
}
GRADES = {"AA": 0, "A": 0, "B": 10_000_000, "C": 100_000_000, "D": 300_000_000}


def make_policy(rate: int = PARTS // 20, *, needed: int = 3, strata: dict[str, int] | None = None) -> Policy:
    """Make a policy of three named keys."""
    named = tuple(Named(name, vrf.public_key(seed)) for name, seed in SEEDS.items())
    return Policy("draw-rules/1", ORIGIN, named, needed, 600, rate, strata or {}, LANES, GRADES)


def make_entries(count: int, seed: int = 1) -> list[Entry]:
    """Make declarations of all sorts."""
    chance = random.Random(seed)
    return [
        Entry(
            f"D-20261124-{at:07d}",
            chance.choice(("fruit/AU", "meat/BR", "scrap/JP")),
            chance.choices(tuple(LANES), (1, 10, 20, 69))[0],
            chance.randrange(PARTS // 5),
            chance.choice(tuple(GRADES)),
            (chance.choice(("fruit", "meat", "scrap")),),
            (f"E{chance.randrange(200):04d}",),
            100 + at,
            10**9 * at,
        )
        for at in range(count)
    ]


def make_inspectors(count: int, seed: int = 2) -> list[Inspector]:
    """Make inspectors with duty, loads, qualifications and recusals."""
    chance = random.Random(seed)
    subjects = ("fruit", "meat", "scrap")
    return [
        Inspector(
            f"i-{at:04d}",
            chance.random() < 0.9,
            chance.randrange(4),
            tuple(sorted(chance.sample(subjects, chance.randrange(1, 4)))),
            (f"E{chance.randrange(200):04d}",) if chance.random() < 0.3 else (),
        )
        for at in range(count)
    ]


def make_pool(entries: int = 200, inspectors: int = 30, number: int = 1, counts: tuple[Count, ...] = ()) -> Pool:
    """Make a closed pool."""
    return Pool.of(number, 10**15, make_entries(entries), make_inspectors(inspectors), counts)
