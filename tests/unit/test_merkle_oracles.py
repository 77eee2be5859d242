"""Trees and proofs agree with pymerkle and with the definition of RFC 9162, for every shape up to 40 leaves."""

import hashlib
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from protocol import merkle
from protocol.errors import MalformedError, VerificationError
from protocol.tiles import TILE_WIDTH, new_tiles, node_reader, parse_path, tiles_of
from simulators.evidence import nodes_of

ENTRIES = [f"entry {number}".encode() for number in range(40)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
READ = nodes_of(LEAVES)


def oracle() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


def by_definition(leaves: list[bytes]) -> bytes:
    """Give MTH as RFC 9162 §2.1.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def test_roots_agree() -> None:
    tree = oracle()
    for size in range(41):
        expected = by_definition(LEAVES[:size])
        assert merkle.root_of(LEAVES[:size]) == merkle.root_at(size, READ) == expected
        if size:
            assert tree.get_root(size) == expected


def test_inclusion_proofs_agree_both_ways() -> None:
    tree = oracle()
    for size in (1, 2, 3, 7, 8, 13, 32, 33, 40):
        root = merkle.root_at(size, READ)
        for index in range(size):
            path = merkle.inclusion_proof(index, size, READ)
            merkle.verify_inclusion(LEAVES[index], index, size, path, root)
            theirs = tree.prove_inclusion(index + 1, size)
            assert theirs.path[1:] == path
            verify_inclusion(LEAVES[index], root, theirs)


def test_consistency_proofs_hold_and_theirs_too() -> None:
    tree = oracle()
    for old, new in product(range(1, 41), repeat=2):
        if old <= new:
            roots = merkle.root_at(old, READ), merkle.root_at(new, READ)
            merkle.verify_consistency(old, roots[0], new, roots[1], merkle.consistency_proof(old, new, READ))
            verify_consistency(*roots, tree.prove_consistency(old, new))


def test_range_proofs_hold_for_every_range() -> None:
    for size in (1, 5, 8, 21):
        root = merkle.root_at(size, READ)
        for start, end in product(range(size + 1), repeat=2):
            if start < end <= size:
                left, right = merkle.range_proof(start, end, size, READ)
                merkle.verify_range(start, LEAVES[start:end], size, left, right, root)
                with pytest.raises(VerificationError):
                    merkle.verify_range(start, LEAVES[start : end - 1], size, left, right, root)


@given(st.data())
def test_a_wrong_proof_never_holds(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 40))
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion_proof(index, size, READ)
    root = merkle.root_at(size, READ)
    at = data.draw(st.integers(0, len(path) - 1))
    bit = data.draw(st.integers(0, 255))
    broken = bytearray(path[at])
    broken[bit // 8] ^= 1 << bit % 8
    wrong = [[*path[:at], bytes(broken), *path[at + 1 :]], path[:-1], [*path, path[0]]][data.draw(st.integers(0, 2))]
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(LEAVES[index], index, size, wrong, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index))
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(LEAVES[other], index, size, path, root)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 300))
def test_a_rewritten_past_is_not_consistent(old: int, new: int, bit: int) -> None:
    old, new = min(old, new), max(old, new)
    changed = list(LEAVES)
    changed[0] = merkle.leaf_hash(b"rewritten")
    read = nodes_of(changed)
    path = merkle.consistency_proof(old, new, read)
    with pytest.raises(VerificationError):
        merkle.verify_consistency(old, merkle.root_at(old, READ), new, merkle.root_at(new, read), path)


def test_impossible_questions_are_refused() -> None:
    for ask in (
        lambda: merkle.inclusion_proof(5, 5, READ),
        lambda: merkle.consistency_proof(6, 5, READ),
        lambda: merkle.range_proof(3, 3, 5, READ),
        lambda: merkle.Frontier.decode(3, bytes(32)),
        lambda: parse_path("tile/0/../1"),
        lambda: parse_path("tile/0/1"),
        lambda: parse_path("tile/9/001"),
        lambda: parse_path("tile/0/001.p/256"),
    ):
        with pytest.raises(MalformedError):
            ask()


@given(st.integers(0, 10**7))
def test_tile_names_read_back(index: int) -> None:
    for tile in list(tiles_of(index % 70_000))[-3:]:
        assert parse_path(tile.path()) == tile


@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_growing_writes_exactly_the_tiles_that_are_new(one: int, two: int) -> None:
    old, new = min(one, two), max(one, two)
    before, after = set(tiles_of(old)), set(tiles_of(new))
    assert set(new_tiles(old, new)) == after - before


def test_nodes_read_from_tiles_are_those_of_the_tree() -> None:
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(TILE_WIDTH * 2 + 5)]
    direct = nodes_of(leaves)
    rows = {0: leaves, 1: [direct(8, 0), direct(8, 1)]}
    read = node_reader(lambda level, index: b"".join(rows[level][index * TILE_WIDTH : (index + 1) * TILE_WIDTH]))
    size = len(leaves)
    assert merkle.root_at(size, read) == merkle.root_of(leaves)
    assert merkle.inclusion_proof(300, size, read) == merkle.inclusion_proof(300, size, direct)
    with pytest.raises(MalformedError):
        read(0, size)
