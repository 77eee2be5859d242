"""Draw the declarations of a closed pool by a seed that nobody could know or choose when it closed.

    alpha = draw number (8 bytes, big-endian) || pool root || policy hash || chain
    seed  = SHA-256(betas in the policy's order)          chain = the seed of the draw before, 32 zero bytes for the first
    u     = HMAC-SHA256(seed, declaration id)             selected when u * 10^9 < p * 2^256

The pool's root covers everything that decides besides the policy: declarations, inspectors, counts, exclusions, closing time. Named keys
of the policy answer one alpha a draw. When fewer than the policy needs have answered in time, every declaration is selected: silence
helps nobody out of an inspection. Guarantees: the same pool, policy and betas give the same draw everywhere.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hmac import digest
from typing import NamedTuple

from protocol.drawing.policy import PARTS, Policy
from protocol.drawing.pool import Count, Entry, Pool
from protocol.drawing.rates import Parts, probability
from protocol.drawing.vrf import BETA_BYTES
from protocol.errors import MalformedError, VerificationError

CHAIN_BYTES = 32
FIRST_CHAIN = bytes(CHAIN_BYTES)
MAX_NUMBER = 2**63 - 1


class Drawn(NamedTuple):
    """A declaration's draw: what its probability was made of, and why it was selected (empty: it was not).

    `why`: rule (a lane or rate makes certain), national (the minimum rate alone chose it), risk (risk and credit did), fall-back.
    """

    entry: Entry
    parts: Parts
    why: str

    def line(self) -> str:
        """Give the published line."""
        parts = self.parts
        numbers = f"{parts.national}\t{parts.risk}\t{parts.credit}\t{parts.floor}\t{parts.total}"
        return f"{self.entry.id}\t{numbers}\t{parts.rule}\t{self.why}"


@dataclass(frozen=True, slots=True)
class Selection:
    """All declarations of a pool as drawn, and the counts after it."""

    drawn: tuple[Drawn, ...]
    counts: tuple[Count, ...]

    @property
    def selected(self) -> list[Drawn]:
        """Give the selected ones, in the pool's order."""
        return [one for one in self.drawn if one.why]


def alpha_of(number: int, root: bytes, policy_hash: bytes, chain: bytes) -> bytes:
    """Give what the named keys answer; raise MalformedError for a number or a hash that is none."""
    if not 0 < number <= MAX_NUMBER or any(len(one) != 32 for one in (root, policy_hash, chain)):
        raise MalformedError("a draw's number is from 1 up, its hashes are 32 bytes", where="draw")
    return number.to_bytes(8, "big") + root + policy_hash + chain


def seed_of(policy: Policy, betas: Mapping[str, bytes]) -> bytes:
    """Give the seed of the answers that came, in the policy's order; raise VerificationError for a name the policy does not know."""
    names = [one.name for one in policy.witnesses]
    if strange := sorted(set(betas) - set(names)):
        raise VerificationError(f"{strange[0]} is not named by the policy", where="draw answers")
    if any(len(beta) != BETA_BYTES for beta in betas.values()) or not betas:
        raise MalformedError("no answer, or one of another length", where="draw answers")
    return hashlib.sha256(b"".join(betas[name] for name in names if name in betas)).digest()


def number_of(seed: bytes, name: str) -> int:
    """Give the number u of a declaration, below 2^256."""
    return int.from_bytes(digest(seed, name.encode("ascii"), "sha256"), "big")


def select(policy: Policy, pool: Pool, seed: bytes, *, everything: bool = False) -> Selection:
    """Draw a pool in its order; `everything`: the fall-back for missing answers. Raises MalformedError for what the policy lacks.

    The controller of each stratum goes on from entry to entry; what the fall-back selects does not count for it.
    """
    counts = {one.stratum: [one.arrivals, one.checked] for one in pool.counts}
    drawn = []
    for entry in pool.entries:
        count = counts[entry.stratum]
        parts = probability(policy, entry, count[0], count[1])
        if parts.rule or everything:
            drawn.append(Drawn(entry, parts, "rule" if parts.rule else "fall-back"))
            continue
        u = int.from_bytes(digest(seed, entry.id.encode(), "sha256"), "big") * PARTS
        chosen = u < parts.national << 256
        count[0] += 1
        count[1] += chosen
        drawn.append(Drawn(entry, parts, "national" if chosen else "risk" if u < parts.total << 256 else ""))
    after = tuple(Count(name, arrivals, checked) for name, (arrivals, checked) in sorted(counts.items()))
    return Selection(tuple(drawn), after)


def everything_falls_back(policy: Policy, answered: Sequence[str]) -> bool:
    """Tell whether so few answered that every declaration is selected."""
    return len(answered) < policy.needed
