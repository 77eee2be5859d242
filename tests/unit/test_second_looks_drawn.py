"""Second looks are drawn by the seed alone: recomputed by anybody, steered by nobody, at the rate that the record names."""

from dataclasses import replace

import pytest

from protocol.drawing.second_look import MOST, PARTS, draw_round, judge_round, make_round, pool_hash
from protocol.errors import MalformedError, VerificationError

SEED = bytes(range(32))
TASKS = [f"T-{number:05d}" for number in range(4000)]


def test_the_order_and_the_repetition_of_names_change_nothing() -> None:
    assert draw_round(SEED, TASKS[:50]) == draw_round(SEED, TASKS[:50][::-1] + TASKS[:9])
    assert pool_hash(TASKS[:50]) == pool_hash(TASKS[:50][::-1] + TASKS[:9])
    assert pool_hash(["ab", "c"]) != pool_hash(["a", "bc"])


def test_the_rate_is_kept_and_a_small_pool_still_gives_one() -> None:
    drawn = draw_round(SEED, TASKS)
    assert 150 <= len(drawn) <= 250  # one in twenty of 4000
    assert len(draw_round(SEED, TASKS[:3])) == 1
    assert draw_round(SEED, []) == ()
    assert len(draw_round(SEED, TASKS, PARTS)) == MOST
    seeds = [bytes([number]) * 32 for number in range(200)]
    assert len({draw_round(seed, TASKS[:8]) for seed in seeds}) >= 8  # each of them can be the one
    with pytest.raises(MalformedError, match="no rate"):
        draw_round(SEED, TASKS, PARTS + 1)


def test_a_round_is_judged_by_seed_and_pool() -> None:
    said = make_round(7, SEED, TASKS[:60])
    judge_round(said, SEED, TASKS[:60])
    for changed, tasks, seed, why in (
        (said, TASKS[:59], SEED, "pool of 60"),
        (said, [*TASKS[:59], "T-other"], SEED, "pool of 60"),
        (said, TASKS[:60], bytes(32), "other tasks"),
        (replace(said, chosen=()), TASKS[:60], SEED, "other tasks"),
        (replace(said, parts=PARTS), TASKS[:60], SEED, "other tasks"),
        (replace(said, rule="mine/1"), TASKS[:60], SEED, "drawn by mine/1"),
    ):
        with pytest.raises(VerificationError, match=why):
            judge_round(changed, seed, tasks)
