"""Judge by the port log whether the keys that signed a box's records counted when they signed.

The log alone says when: a record existed when a seal over it was logged, and not provably before. So an identity key counts for
a record when its certificate was enrolled before the first leaf that covers the record, was not revoked before that leaf, and
had not ended at the time of that leaf. Today's date plays no part, and what the box says of its own time only where the log is
silent. Each key answers for what it signed and for what the session keys signed that it certified, the newest and the oldest.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.examination import Exhibits, Faults, Range, Signing
from protocol.identifiers import BoxId
from protocol.instants import iso


@dataclass(frozen=True, slots=True)
class Cover:
    """The leaf of the port log that first covers a record, and the hub's time of it (Unix ns, None unknown)."""

    index: int
    at_ns: int | None


@dataclass(frozen=True, slots=True)
class Covers:
    """Which leaves cover which records: `places` are (epoch, position) of a box's logged seals in order, `leaves` their indices."""

    places: dict[BoxId, list[tuple[int, int]]]
    leaves: dict[BoxId, list[int]]
    hub: list[tuple[int, int]]  # (index, wall ns) of the hub's own leaves
    size: int  # of the whole log
    end_ns: int | None  # time of its checkpoint

    @classmethod
    def of(cls, exhibits: Exhibits) -> "Covers":
        """Read them from what was examined."""
        places: dict[BoxId, list[tuple[int, int]]] = {}
        leaves: dict[BoxId, list[int]] = {}
        for box, ranges in exhibits.ranges.items():
            found = sorted((one.epoch, position, index) for one in ranges for position, index in one.sealed)
            places[box] = [(epoch, position) for epoch, position, _ in found]
            least = [index for *_, index in found]
            for at in reversed(range(len(least) - 1)):  # a later seal covers what an earlier one does
                least[at] = min(least[at], least[at + 1])
            leaves[box] = least
        size = exhibits.checkpoint.size if exhibits.checkpoint is not None else 0
        return cls(places, leaves, exhibits.hub_leaves(), size, exhibits.checkpoint_ns)

    def within(self, range_: Range, first: int, last: int) -> list[Cover]:
        """Give the leaves that first cover the records from `first` to `last` of a range, in order."""
        places, leaves = self.places.get(range_.box, []), self.leaves.get(range_.box, [])
        low, high = (bisect_left(places, (range_.epoch, position)) for position in (first, last))
        indices = leaves[low : high + 1]
        if high == len(places):
            indices = [*indices, self.size]  # no seal shown covers the last: it is only known to be here now
        return [Cover(index, self._time(index)) for index in sorted(set(indices))]

    def _time(self, index: int) -> int | None:
        """Give the time of the hub's first own leaf behind this one, or of the checkpoint, whichever is earlier."""
        at = bisect_right(self.hub, index, key=lambda leaf: leaf[0])
        known = [wall for _, wall in self.hub[at : at + 1]] + ([self.end_ns] if self.end_ns is not None else [])
        return min(known, default=None)


def check_standing(exhibits: Exhibits, covers: Covers, faults: Faults) -> None:
    """Find every stretch of records whose identity key did not count; faults name the journal, the key and why."""
    for box, ranges in exhibits.ranges.items():
        for range_ in ranges:
            for key_id, first, last in _stretches(range_):
                mine = [one for one in exhibits.signings.get(box, []) if one.certificate.public.key_id == key_id]
                why = _fault(mine, covers.within(range_, first, last), range_.records[last - range_.first].record.at.wall_ns)
                if why:
                    key = key_id.hex()[:16]
                    faults.add(range_.file, f"positions {first} to {last}: identity key {key}... of {box} {why}")


def _stretches(range_: Range) -> Iterator[tuple[bytes, int, int]]:
    """Give (key id, first, last) of the records that each identity key answers for; none when the first record was refused."""
    if not range_.identities:
        return
    ends = [position for position, _ in range_.identities[1:]] + [range_.end]
    for (position, key_id), end in zip(range_.identities, ends, strict=True):
        first = max(position, range_.first)
        if first < end:
            yield key_id, first, end - 1


def _fault(mine: Sequence[Signing], shown: Sequence[Cover], wall_ns: int) -> str:
    """Say why none of a key's certificates counted at one of these leaves; empty when one did at each."""
    return next((why for cover in shown if all(reasons := [_reason(one, cover, wall_ns) for one in mine]) for why in reasons[:1]), "")


def _reason(signing: Signing, cover: Cover, wall_ns: int) -> str:
    if signing.index >= cover.index:
        return f"was not enrolled: its enrolment is leaf {signing.index}, the log held what it signed at leaf {cover.index}"
    if signing.until is not None and signing.until <= cover.index:
        return f"was revoked at leaf {signing.until}, and the log held what it signed at leaf {cover.index} only"
    at_ns = cover.at_ns if cover.at_ns is not None else wall_ns
    if at_ns > signing.certificate.not_after_ns:
        end = iso(signing.certificate.not_after_ns)
        return f"had ended: its certificate was valid until {end}, and the log held what it signed at {iso(at_ns)} only"
    return ""
