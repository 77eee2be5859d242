"""Draw which boxes are opened and which packages are taken out, by the seed of the double draw that was published.

Guarantees: the result follows from the seed and what was declared, and from nothing else, so that anybody recomputes it; boxes and
packages are drawn by orders of their own; who chooses nothing steers nothing. Bounded: at most 10^6 packages.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest

from protocol.errors import MalformedError
from protocol.sampling.strata import allocate

MAX_PACKAGES = 1_000_000
SEED_BYTES = 32


@dataclass(frozen=True, slots=True)
class Opened:
    """Which boxes are opened, in the order of the draw, and which packages (numbered from 1) are taken out of each."""

    boxes: tuple[str, ...]
    packages: Mapping[str, tuple[int, ...]]


def draw_packages(seed: bytes, declaration: str, packages: Mapping[str, int], *, boxes: int, sample: int) -> Opened:
    """Draw boxes out of those declared (container number to its count of packages), then packages out of these, in proportion.

    A box's place is HMAC-SHA256(seed, `box/<declaration>/<container>`), a package's HMAC-SHA256(seed,
    `package/<declaration>/<container>/<number>`); the smallest are drawn. Raises MalformedError for counts that cannot be.
    """
    if len(seed) != SEED_BYTES:
        raise MalformedError(f"has {len(seed)} bytes, not {SEED_BYTES}", where="seed")
    if any("/" in name or not name for name in (declaration, *packages)):
        raise MalformedError("a number is empty or holds a stroke", where="packages")
    if sum(packages.values()) > MAX_PACKAGES or any(count < 0 for count in packages.values()):
        raise MalformedError(f"a box has 0 packages or more, all together {MAX_PACKAGES} at most", where="packages")
    if not 0 <= boxes <= len(packages):
        raise MalformedError(f"{boxes} is not within 0 to {len(packages)}", where="boxes")
    opened = sorted(packages, key=lambda box: _place(seed, f"box/{declaration}/{box}"))[:boxes]
    shares = allocate({box: packages[box] for box in opened}, sample)
    taken = {box: tuple(sorted(_first(seed, f"package/{declaration}/{box}", packages[box], shares[box]))) for box in opened if shares[box]}
    return Opened(tuple(opened), taken)


def _first(seed: bytes, prefix: str, count: int, wanted: int) -> list[int]:
    return nsmallest(wanted, range(1, count + 1), key=lambda number: _place(seed, f"{prefix}/{number}"))


def _place(seed: bytes, name: str) -> bytes:
    return hmac.digest(seed, name.encode(), "sha256")
