"""Show that a pool has one text and one root, and that other spellings are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.drawing.pool import Count, Entry, Inspector, Left, Pool, parse_pool, pool_root
from protocol.errors import MalformedError
from protocol.merkle import leaf_hash, root_of
from tests.drawing_parts import make_entries, make_inspectors, make_pool

GOOD = make_pool(3, 2).lines()


def test_a_pool_is_sorted_whatever_order_it_came_in() -> None:
    entries, people = make_entries(40), make_inspectors(9)
    lines = Pool.of(1, 5, entries, people).lines()
    assert Pool.of(1, 5, entries[::-1], people[::-1]).lines() == lines
    assert parse_pool(lines).lines() == lines
    assert parse_pool(lines).entries == tuple(entries)


@given(st.lists(st.text("abc\t", max_size=5), max_size=70))
def test_the_root_is_that_of_rfc_6962(lines: list[str]) -> None:
    assert pool_root(lines) == root_of(leaf_hash(line.encode()) for line in lines)


def test_every_change_gives_another_root() -> None:
    root = pool_root(GOOD)
    for at in range(len(GOOD)):
        assert pool_root(GOOD[:at] + GOOD[at + 1 :]) != root
        assert pool_root([*GOOD[:at], GOOD[at] + "0", *GOOD[at + 1 :]]) != root
    assert pool_root([*GOOD[:-2], GOOD[-1], GOOD[-2]]) != root


@pytest.mark.parametrize(
    "lines",
    [
        [],
        GOOD[1:],
        [GOOD[0], *GOOD],
        [*GOOD, GOOD[-1]],
        [*GOOD[:-2], GOOD[-1], GOOD[-2]],
        [*GOOD, GOOD[1]],
        [line for line in GOOD if not line.startswith("C")],
        [*GOOD, "D\tD-9\tfruit/AU\tgreen\t2000000000\tA\t\t\t0\t0"],
        [*GOOD, "D\tD-9\tfruit/AU\tgreen\t-1\tA\t\t\t0\t0"],
        [*GOOD, "D\tD-9\tfruit/AU\tgreen\t01\tA\t\t\t0\t0"],
        [*GOOD, "D\tD-9\tfruit/AU\tgreen\t1\tA\tb,a\t\t0\t0"],
        [*GOOD, "D\tD-9\tfruit/AU\tgreen\t1\tA\t\t\t0"],
        [*GOOD, "Z\t1"],
        [*GOOD, "D\u00e9"],
        ["H\t1\t5", "C\ta\t1\t2"],
        ["H\t1\t5", "X\tinspector\ti-1\t4", "I\ti-1\t1\t0\t\t"],
    ],
)
def test_another_spelling_is_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedError):
        parse_pool(lines)


def test_an_id_that_stands_twice_is_refused() -> None:
    with pytest.raises(MalformedError, match="twice"):
        Pool.of(1, 5, [*make_entries(3), make_entries(2)[1]._replace(risk=1)])


def test_counts_and_exclusions_are_kept() -> None:
    pool = Pool.of(
        2, 5, [Entry("D-1", "a", "green", 0, "A")], [Inspector("i-1", True, 0)], [Count("b", 9, 1)], [Left("inspector", "i-2", 7)]
    )
    assert pool.counts == (Count("a", 0, 0), Count("b", 9, 1))
    assert parse_pool(pool.lines()) == pool
