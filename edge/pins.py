"""Pin the newest checkpoint of the port log that this box saw, and refuse every one that is not of the same log.

Guarantees: pure; a checkpoint is taken only when it is the first ever, equal to one taken before, or proven to extend or precede
one (RFC 6962 §2.1.2); two trees of one size are kept as they came, for two signed checkpoints are proof for anybody.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from protocol.errors import EquivocationError, MalformedError, VerificationError
from protocol.merkle import verify_consistency
from protocol.messages import Consistency
from protocol.records import Seen

KEPT = 256  # heads known to be of the pinned log, beside the newest
WAITING = 256  # heads that wait for a proof


@dataclass(slots=True)
class Pins:
    """Heads of the port log that are known to belong together; `newest` is the pin."""

    newest: Seen | None = None
    fork: tuple[bytes, bytes] | None = None  # two signed checkpoints that cannot both stand
    _heads: "OrderedDict[int, tuple[bytes, bytes]]" = field(default_factory=OrderedDict)  # size: root, note
    _waiting: "OrderedDict[int, tuple[bytes, bytes]]" = field(default_factory=OrderedDict)

    def load(self, seen: Seen, note: bytes) -> None:
        """Take up the pin of an earlier run."""
        self.newest = seen
        self._heads[seen.size] = (seen.root, note)

    def knows(self, seen: Seen, note: bytes) -> bool:
        """Tell whether a signed checkpoint belongs to the pinned log; the first ever does.

        Raises EquivocationError when another tree of its size is known: then both are kept.
        """
        known = self._heads.get(seen.size)
        if known is None:
            if self.newest is not None:
                return False
            self.load(seen, note)
            return True
        if known[0] != seen.root:
            self.fork = (known[1], note)
            raise EquivocationError(f"the port log shows two trees of {seen.size}", where="checkpoint")
        return True

    def wait(self, seen: Seen, note: bytes) -> tuple[int, int]:
        """Keep a checkpoint until it is proven; give the sizes (old, new) that the proof must be between."""
        newest = self.newest
        if newest is None:
            raise MalformedError("nothing is pinned that it could be proven from", where="checkpoint")
        self._waiting[seen.size] = (seen.root, note)
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        return min(seen.size, newest.size), max(seen.size, newest.size)

    def prove(self, proof: Consistency) -> Seen:
        """Take a proof between a known and a waiting checkpoint; give the one that is known from now on.

        Raises VerificationError when it does not hold, or is between others.
        """
        for known, other in ((proof.old, proof.new), (proof.new, proof.old)):
            if known in self._heads and other in self._waiting:
                return self._check(proof, other)
        raise VerificationError(f"nobody waits for the proof from {proof.old} to {proof.new}", where="consistency")

    def _check(self, proof: Consistency, other: int) -> Seen:
        all_heads = {**self._heads, other: self._waiting[other]}
        old, new = all_heads[proof.old][0], all_heads[proof.new][0]
        verify_consistency(proof.old, old, proof.new, new, proof.proof)
        root, note = self._waiting.pop(other)
        self._learn(Seen(other, root), note)
        return Seen(other, root)

    def _learn(self, seen: Seen, note: bytes) -> None:
        self._heads[seen.size] = (seen.root, note)
        if self.newest is None or seen.size > self.newest.size:
            self.newest = seen
        while len(self._heads) > KEPT:
            oldest = next(size for size in self._heads if size != self.newest.size)
            del self._heads[oldest]

    def note(self) -> bytes:
        """Give the pinned checkpoint as it came; empty before the first."""
        return self._heads[self.newest.size][1] if self.newest is not None else b""
