"""Show by counting that draws are uniform, that chance alone neither spares nor condemns anybody, and that a hub gains nothing by trying.

Seeds are fixed, so the counts are the same on every machine; bounds are those of chi-square at one in a thousand.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from protocol.drawing.inspectors import draw_teams
from protocol.drawing.judging import judge
from protocol.drawing.policy import PARTS
from protocol.drawing.pool import Count, Entry, Inspector, Pool, pool_root
from protocol.drawing.published import DrawBundle
from protocol.drawing.rates import CEILING
from protocol.drawing.selection import FIRST_CHAIN, alpha_of, seed_of, select
from protocol.drawing.vrf import prove
from protocol.errors import VerificationError
from tests.draw_log_parts import Staging
from tests.drawing_parts import GRADES, LANES, SEEDS, make_policy, make_pool

DRAWS = 1200
HIGH = {59: 98, 9: 28}  # chi-square, one in a thousand, by degrees of freedom


def seeds(count: int, name: str) -> Iterator[bytes]:
    for at in range(count):
        yield hashlib.sha256(f"{name} {at}".encode()).digest()


def entries(count: int, lane: str = "green", risk: int = 0, grade: str = "AA") -> list[Entry]:
    return [Entry(f"D-{at:04d}", "fruit/AU", lane, risk, grade) for at in range(count)]


def chi(counts: list[int], expected: Fraction) -> Fraction:
    return Fraction(sum((Fraction(count) - expected) ** 2 / expected for count in counts))


def test_every_declaration_of_a_pool_is_drawn_equally_often() -> None:
    policy, pool = make_policy(PARTS // 5), Pool.of(1, 0, entries(60))
    hits: Counter[str] = Counter()
    for seed in seeds(DRAWS, "equal"):
        hits.update(one.entry.id for one in select(policy, pool, seed).selected)
    total = sum(hits.values())
    assert len(hits) == 60
    assert chi(list(hits.values()), Fraction(total, 60)) < HIGH[59]
    assert abs(total - DRAWS * 60 // 5) < DRAWS * 60 // 50


@pytest.mark.parametrize("lane", [name for name, lane in LANES.items() if not lane.certain])
@pytest.mark.parametrize("grade", GRADES)
def test_chance_alone_neither_condemns_nor_spares_anybody(lane: str, grade: str) -> None:
    """The highest risk may still pass, the best trader in the greenest lane may still be drawn, wherever the controller stands."""
    policy = make_policy(PARTS // 20)
    for risk, counts in ((0, (Count("fruit/AU", 2000, 400),)), (PARTS, (Count("fruit/AU", 2000, 1),))):
        pool = Pool.of(2, 0, entries(1, lane, risk, grade), counts=counts)
        drawn = [bool(select(policy, pool, seed).selected) for seed in seeds(700, f"{lane} {grade} {risk}")]
        assert any(drawn) and not all(drawn)
        assert 0 < select(policy, pool, bytes(32)).drawn[0].parts.total <= CEILING < PARTS


def test_the_minimum_rate_holds_over_many_draws_of_many_traders() -> None:
    """Two hundred runs of the whole draw: what a stratum is short of its rate never exceeds six, at any moment between draws."""
    policy, worst = make_policy(PARTS // 20), 0
    for run in range(200):
        counts: tuple[Count, ...] = ()
        for number in range(1, 5):
            pool = Pool.of(number, 0, [Entry(f"D-{number}-{at}", "fruit/AU", "green", 0, "AA") for at in range(50)], counts=counts)
            counts = select(policy, pool, hashlib.sha256(b"%d %d" % (run, number)).digest()).counts
            worst = max(worst, counts[0].arrivals // 20 - counts[0].checked)
    assert 0 < worst <= 6


def test_every_inspector_leads_equally_often() -> None:
    people = [Inspector(f"i-{at}", True, 0) for at in range(10)]
    pool = Pool.of(1, 0, entries(1), people)
    leads: Counter[str] = Counter()
    pairs: Counter[tuple[str, ...]] = Counter()
    for seed in seeds(4000, "people"):
        team = draw_teams(pool, pool.entries, seed)[0].members
        leads[team[0]] += 1
        pairs[team] += 1
    assert chi(list(leads.values()), Fraction(400)) < HIGH[9]
    assert len(pairs) == 90  # every ordered pair is met: nobody can count on a friend


def steering(friend: str) -> Iterator[Pool]:
    """Give pools that a hub could close in place of the honest one: inspectors' loads, order of arrival, a declaration more or less."""
    honest = make_pool()
    for at in range(1, 40):
        people = list(honest.inspectors)
        people[0] = people[0]._replace(load=people[0].load + at)
        yield replace(honest, inspectors=tuple(people))
        others = tuple(one for one in honest.entries if one.id != honest.entries[-at].id or one.id == friend)
        yield replace(honest, entries=others)


def spares(pool: Pool, friend: str, answering: tuple[str, ...]) -> bool:
    policy = make_policy()
    alpha = alpha_of(1, pool_root(pool.lines()), policy.hash, FIRST_CHAIN)
    seed = seed_of(policy, {name: prove(SEEDS[name], alpha).beta for name in answering})
    return friend not in {one.entry.id for one in select(policy, pool, seed).selected}


def test_a_hub_that_tries_other_pools_to_steer_a_draw_is_caught() -> None:
    """It finds pools that would spare its friend, were all keys its own; whichever it then shows, the verifier refuses it."""
    honest = make_pool()
    staging = Staging()
    staging.make()
    friend = next(one.entry.id for one in staging.selection.selected if one.why in ("national", "risk"))
    liked = [pool for pool in steering(friend) if spares(pool, friend, ("hub",))][:3]
    assert liked
    for pool in liked:
        alone = Staging(pool=pool, answering=("hub",))  # the outside keys answered the first pool: they give no second answer
        found = judge(alone.make(), alone.log.trust())
        assert found.fallen_back and friend in {one.id for one in found.teams}
        old = alpha_of(1, pool_root(honest.lines()), make_policy().hash, FIRST_CHAIN)
        for staged, match in (
            (Staging(pool=pool, closed_pool=honest), "not the one that the closing bound"),
            (Staging(pool=pool, alpha=old), "answer of hub is not its key's"),
        ):
            bundle = DrawBundle.parse(staged.make().encode())
            with pytest.raises(VerificationError, match=match):
                judge(bundle, staged.log.trust())
