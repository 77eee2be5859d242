"""Build and check Merkle trees of logs (RFC 6962 §2.1, RFC 9162 §2.1): roots, inclusion, consistency and range proofs.

Trees are read through a `NodeReader`, so that the same code serves memory, SQLite and tiles; a proof reads log n nodes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from protocol.errors import MalformedError, VerificationError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

NodeReader = Callable[[int, int], bytes]
"""Give the hash of the complete subtree (level, index): 2**level leaves from index * 2**level on."""


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The complete subtrees of a growing tree, largest first: all that is needed to append and to give the root."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            size >>= 1
        self.hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Give the root of the tree so far."""
        return fold(self.hashes)

    def copy(self) -> "Frontier":
        """Give an independent copy."""
        return Frontier(self.size, list(self.hashes))

    def encode(self) -> bytes:
        """Give the hashes in a row, for keeping beside the size."""
        return b"".join(self.hashes)

    @classmethod
    def decode(cls, size: int, data: bytes) -> "Frontier":
        """Take what `encode` gave; raise MalformedError when the number of hashes does not fit the size."""
        if size < 0 or len(data) != HASH_BYTES * size.bit_count():
            raise MalformedError(f"{len(data)} bytes are no frontier of size {size}", where="frontier")
        return cls(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])


def fold(subtrees: Sequence[bytes]) -> bytes:
    """Give the root over complete subtrees in descending size; the empty root for none."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Give the root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """Give the complete subtrees (level, index) that cover leaves [start, end), left to right."""
    covers = []
    while start < end:
        level = ((start & -start).bit_length() - 1) if start else 62
        level = min(level, (end - start).bit_length() - 1)
        covers.append((level, start >> level))
        start += 1 << level
    return covers


def _span(start: int, end: int, read: NodeReader) -> bytes:
    """Give the hash of the (possibly incomplete) subtree over [start, end) as RFC 6962 splits it."""
    return fold([read(level, index) for level, index in subtrees(start, end)])


def root_at(size: int, read: NodeReader) -> bytes:
    """Give the root of the first `size` leaves."""
    return _span(0, size, read) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Give the audit path of leaf `index` in the tree of `size` (RFC 9162 §2.1.3.1).

    Raises MalformedError when the index is outside the tree.
    """
    if not 0 <= index < size:
        raise MalformedError(f"leaf {index} is outside a tree of {size}", where="inclusion proof")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            path.append(_span(split, end, read))
            end = split
        else:
            path.append(_span(start, split, read))
            start = split
    return path[::-1]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """Give the proof that the tree of `old` leaves is a prefix of that of `new` (RFC 9162 §2.1.4.1).

    Raises MalformedError when old > new.
    """
    if not 0 <= old <= new:
        raise MalformedError(f"no tree of {new} extends one of {old}", where="consistency proof")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while True:
        if old == end:
            if not whole:
                path.append(_span(start, end, read))
            return path[::-1]
        split = start + _split(end - start)
        if old <= split:
            path.append(_span(split, end, read))
            end = split
        else:
            path.append(_span(start, split, read))
            start, whole = split, False


def range_proof(start: int, end: int, size: int, read: NodeReader) -> tuple[list[bytes], list[bytes]]:
    """Give the subtrees left and right of leaves [start, end) in a tree of `size`: a proof for a whole batch in log n.

    Raises MalformedError when the range is empty or outside the tree.
    """
    _check_range(start, end, size)
    left = [read(level, index) for level, index in subtrees(0, start)]
    right = [read(level, index) for level, index in subtrees(end, size)]
    return left, right


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check an audit path (RFC 9162 §2.1.3.2); raise VerificationError when it does not lead from `leaf` to `root`."""
    if root_from_inclusion(leaf, index, size, path) != root:
        raise VerificationError(f"leaf {index} is not in the tree of {size}", where="inclusion proof")


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Give the root to which an audit path leads; raise VerificationError when it is too long or too short for the tree."""
    if not 0 <= index < size:
        raise VerificationError(f"leaf {index} is outside a tree of {size}", where="inclusion proof")
    fn, sn, found = index, size - 1, leaf
    for sibling in path:
        if sn == 0:
            raise VerificationError("path is too long", where="inclusion proof")
        if fn & 1 or fn == sn:
            found = node_hash(sibling, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise VerificationError(f"path is too short for leaf {index} in a tree of {size}", where="inclusion proof")
    return found


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the tree (old, old_root) is a prefix of (new, new_root) (RFC 9162 §2.1.4.2).

    Raises VerificationError when it is not.
    """
    if not 0 < old < new:
        _check_trivial(old, old_root, new, new_root, path)
        return
    hashes = list(path)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        raise VerificationError("proof is empty", where="consistency proof")
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = hashes[0]
    for sibling in hashes[1:]:
        if sn == 0:
            raise VerificationError("proof is too long", where="consistency proof")
        if fn & 1 or fn == sn:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn or first != old_root or second != new_root:
        raise VerificationError(f"tree of {new} does not extend the tree of {old}", where="consistency proof")


def verify_range(start: int, leaves: Sequence[bytes], size: int, left: Sequence[bytes], right: Sequence[bytes], root: bytes) -> None:
    """Check that `leaves` stand at `start` in the tree (size, root); raise VerificationError when they do not."""
    end = start + len(leaves)
    if not 0 <= start < end <= size:
        raise VerificationError(f"leaves [{start}, {end}) are no range of a tree of {size}", where="range proof")
    before, after = subtrees(0, start), subtrees(end, size)
    if len(left) != len(before) or len(right) != len(after):
        raise VerificationError("proof has the wrong number of hashes", where="range proof")
    frontier = Frontier(start, list(left))
    for leaf in leaves:
        frontier.append(leaf)
    for (level, _), subtree in zip(after, right, strict=True):
        _append_subtree(frontier, level, subtree)
    if frontier.root() != root:
        raise VerificationError(f"leaves [{start}, {end}) are not in the tree of {size}", where="range proof")


def _append_subtree(frontier: Frontier, level: int, subtree: bytes) -> None:
    size = frontier.size >> level
    while size & 1:
        subtree = node_hash(frontier.hashes.pop(), subtree)
        size >>= 1
    frontier.hashes.append(subtree)
    frontier.size += 1 << level


def _check_trivial(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    if not 0 <= old <= new:
        raise VerificationError(f"no tree of {new} extends one of {old}", where="consistency proof")
    if path:
        raise VerificationError("proof should be empty", where="consistency proof")
    if old == new and old_root != new_root:
        raise VerificationError(f"two different trees of {old}", where="consistency proof")
    if old == 0 and old_root != EMPTY_ROOT:
        raise VerificationError("the empty tree has another root", where="consistency proof")


def _check_range(start: int, end: int, size: int) -> None:
    if not 0 <= start < end <= size:
        raise MalformedError(f"[{start}, {end}) is no range of a tree of {size}", where="range proof")


def _split(size: int) -> int:
    """Give the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
