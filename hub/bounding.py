"""Choose what an export shows about time: the checkpoints, seals and tokens that bound a box's instants most tightly.

Each minute of a box keeps the seal that was covered soonest and the checkpoint that was named soonest: by the box's monotonic
clock these bound all of that minute. What is chosen is shown with its proof; the verifier computes the intervals anew.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.examination import Range
from protocol.instants import SECOND_NS
from protocol.notes import SignedCheckpoint
from protocol.records import Record, Seen

WINDOW_NS = 60 * SECOND_NS
COSIGNATURE_BYTES = 72  # c2sp.org/tlog-cosignature: a time and an Ed25519 signature


class Archive(Protocol):
    """What is asked of whoever keeps the log's earlier checkpoints and tokens."""

    def checkpoints(self, first: int, last: int) -> list[bytes]:
        """Give the kept checkpoints with first <= size <= last, and the next one after, in the order of sizes."""

    def tokens(self, first: int, last: int) -> list[tuple[int, int, bytes]]:
        """Give (leaf, stamped size, its root) of tokens in leaves [first, last], the last one before and two after."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An earlier checkpoint, and the hub's own time under it."""

    size: int
    at_ns: int
    note: bytes


def moments(notes: Iterable[bytes]) -> list[Moment]:
    """Read kept checkpoints; one without the hub's time is left out."""
    out: list[Moment] = []
    for note in notes:
        signed = SignedCheckpoint.parse(note)
        name = f"{signed.checkpoint.origin}/time"
        # the time is only read to choose by; whoever verifies the bundle checks the signature
        lines = [one.data for one in signed.note.signatures if one.name == name and len(one.data) == COSIGNATURE_BYTES]
        if lines:
            out.append(Moment(signed.checkpoint.size, int.from_bytes(lines[0][:8], "big") * SECOND_NS, note))
    return out


def best_seals(range_: Range, known: Sequence[Moment]) -> list[tuple[int, int]]:
    """Give, per minute of a range, the seal that a checkpoint covered soonest, by the box's monotonic clock."""
    sizes = [one.size for one in known]
    best: dict[int, tuple[int, tuple[int, int]]] = {}
    for position, index in range_.sealed:
        place = bisect_right(sizes, index)
        if place < len(known):
            mono = _record(range_, position).at.mono_ns
            late = known[place].at_ns - mono
            best[mono // WINDOW_NS] = min(best.get(mono // WINDOW_NS, (late, (position, index))), (late, (position, index)))
    return sorted(place for _, place in best.values())


def best_seen(range_: Range, known: Sequence[Moment]) -> dict[int, bytes]:
    """Give size and root of checkpoints that records named: per minute of a range the one named soonest, and the newest of all.

    The newest binds the log shown to the log that the box saw.
    """
    sizes = [one.size for one in known]
    best: dict[int, tuple[int, int, bytes]] = {}
    last, newest = -1, Seen(0, b"")
    for signed in range_.records:
        seen, mono = signed.record.seen, signed.record.at.mono_ns
        if seen is None or seen.size in (0, last):
            continue
        last, newest = seen.size, max(newest, seen, key=lambda one: one.size)
        place = bisect_right(sizes, seen.size)
        early = (known[place - 1].at_ns if place else 0) - mono
        best[mono // WINDOW_NS] = max(best.get(mono // WINDOW_NS, (early, seen.size, seen.root)), (early, seen.size, seen.root))
    return {size: root for _, size, root in best.values()} | ({newest.size: newest.root} if newest.size else {})


def covering(indices: Iterable[int], known: Sequence[Moment]) -> dict[int, bytes]:
    """Give, by size, the first kept checkpoint that covers each of these leaves."""
    sizes = [one.size for one in known]
    places = {bisect_right(sizes, index) for index in indices}
    return {known[place].size: known[place].note for place in places if place < len(known)}


def _record(range_: Range, position: int) -> Record:
    return range_.records[position - range_.first].record
