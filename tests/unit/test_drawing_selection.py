"""Show that the draw of declarations and inspectors is what brute force gives, by exact logarithms and without shortcuts."""

import hashlib
import hmac
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.drawing import vrf
from protocol.drawing.inspectors import ERROR_UNITS, UNIT_BITS, draw_teams, is_eligible, minus_log, numbers_of
from protocol.drawing.policy import PARTS
from protocol.drawing.pool import Entry, Inspector, Pool, pool_root
from protocol.drawing.rates import national_rate
from protocol.drawing.selection import FIRST_CHAIN, alpha_of, everything_falls_back, seed_of, select
from protocol.errors import MalformedError, VerificationError
from tests.drawing_parts import SEEDS, make_entries, make_inspectors, make_policy, make_pool

SEED = hashlib.sha256(b"seed").digest()


def exact_minus_log(v: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        exact: Decimal = -(1 - Decimal(2 * v + 1) / Decimal(2**33)).ln() * 2**UNIT_BITS
        return exact


@settings(max_examples=400)
@given(st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 2**12), st.integers(2**32 - 2**12, 2**32 - 1)))
def test_the_logarithm_is_within_its_bound(v: int) -> None:
    assert 0 <= exact_minus_log(v) - minus_log(v) < ERROR_UNITS


EDGES = {0, 2**32 - 2, *(2**bit for bit in range(32)), *(2**bit - 1 for bit in range(1, 33))}


@pytest.mark.parametrize("v", sorted(EDGES))
def test_the_logarithm_holds_at_the_edges_and_rises_strictly(v: int) -> None:
    assert 0 <= exact_minus_log(v) - minus_log(v) < ERROR_UNITS
    assert minus_log(v) > 0
    if v:
        assert minus_log(v) - minus_log(v - 1) > 2**47


def test_the_seed_hangs_on_every_part() -> None:
    policy, pool = make_policy(), make_pool(5, 2)
    root = pool_root(pool.lines())
    good = (1, root, policy.hash, FIRST_CHAIN)
    alphas = {alpha_of(*good), alpha_of(2, *good[1:]), alpha_of(1, bytes(32), *good[2:]), alpha_of(1, root, bytes(32), FIRST_CHAIN)}
    alphas.add(alpha_of(1, root, policy.hash, b"\1" * 32))
    assert len(alphas) == 5
    betas = {name: vrf.prove(seed, alpha_of(*good)).beta for name, seed in SEEDS.items()}
    assert seed_of(policy, betas) == hashlib.sha256(betas["hub"] + betas["customs"] + betas["port"]).digest()
    assert seed_of(policy, dict(sorted(betas.items()))) == seed_of(policy, betas)
    with pytest.raises(VerificationError, match="not named"):
        seed_of(policy, betas | {"stranger": bytes(64)})
    for bad in ((0, *good[1:]), (1, b"", *good[2:])):
        with pytest.raises(MalformedError):
            alpha_of(*bad)
    with pytest.raises(MalformedError):
        seed_of(policy, {})


def test_declarations_are_drawn_as_by_brute_force() -> None:
    policy, pool = make_policy(PARTS // 10), make_pool(500, 5)
    found = select(policy, pool, SEED)
    counts: dict[str, list[int]] = {}
    for one, entry in zip(found.drawn, pool.entries, strict=True):
        u = Fraction(int.from_bytes(hmac.new(SEED, entry.id.encode(), hashlib.sha256).digest(), "big"), 2**256)
        count = counts.setdefault(entry.stratum, [0, 0])
        if entry.lane == "red":
            assert one.why == "rule"
            continue
        national = Fraction(national_rate(PARTS // 10, *count), PARTS)
        assert one.parts.national == national * PARTS
        count[0] += 1
        count[1] += u < national
        assert (one.why == "national") == (u < national)
        assert bool(one.why) == (u < Fraction(one.parts.total, PARTS))
    assert {one.stratum: [one.arrivals, one.checked] for one in found.counts} == counts
    assert {one.why for one in found.drawn} == {"", "rule", "national", "risk"}


def test_silence_selects_everything() -> None:
    policy, pool = make_policy(needed=2), make_pool(600, 3)
    assert everything_falls_back(policy, ["hub"])
    assert not everything_falls_back(policy, ["hub", "port"])
    found = select(policy, pool, SEED, everything=True)
    assert {one.why for one in found.drawn} == {"rule", "fall-back"}
    assert found.counts == pool.counts


def brute(pool: Pool, chosen: list[Entry]) -> list[tuple[str, ...]]:
    """Draw teams by 60 digits, without groups: all keys of all eligible, sorted."""
    loads = {one.id: one.load for one in pool.inspectors}
    teams = []
    for entry in chosen:
        keys = [
            (exact_minus_log(v) * (1 + loads[one.id]), one.id)
            for v, one in zip(numbers_of(SEED, entry.id, len(pool.inspectors)), pool.inspectors, strict=True)
            if one.duty and set(entry.needs) <= set(one.qualifications) and not set(entry.parties) & set(one.recusals)
        ]
        team = tuple(name for _, name in sorted(keys)[:2])
        for name in team:
            loads[name] += 1
        teams.append(team)
    return teams


@pytest.mark.parametrize("people", [1, 2, 3, 25, 120])
def test_inspectors_are_drawn_as_by_brute_force(people: int) -> None:
    pool = Pool.of(1, 0, make_entries(80, people), make_inspectors(people, people))
    chosen = list(pool.entries)
    assert [team.members for team in draw_teams(pool, chosen, SEED)] == brute(pool, chosen)


def test_great_and_unequal_loads_are_drawn_as_by_brute_force() -> None:
    people = [one._replace(load=(at % 7) ** 7) for at, one in enumerate(make_inspectors(40))]
    pool = Pool.of(1, 0, make_entries(40), people)
    assert [team.members for team in draw_teams(pool, pool.entries, SEED)] == brute(pool, list(pool.entries))


def test_nobody_off_duty_unqualified_or_recused_is_drawn() -> None:
    pool = Pool.of(1, 0, make_entries(150), make_inspectors(12))
    people = {one.id: one for one in pool.inspectors}
    for entry, team in zip(pool.entries, draw_teams(pool, pool.entries, SEED), strict=True):
        assert all(is_eligible(people[name], entry) for name in team.members)
        assert len(team.members) == min(2, sum(is_eligible(one, entry) for one in pool.inspectors))


def test_less_load_is_drawn_more_often_as_the_weights_say() -> None:
    people = [Inspector("a", True, 0), Inspector("b", True, 1), Inspector("c", True, 3)]
    leads: Counter[str] = Counter()
    for at in range(3000):
        pool = Pool.of(1, 0, [Entry("D-1", "s", "green", 0, "A")], people)
        leads[draw_teams(pool, pool.entries, at.to_bytes(32, "big"))[0].members[0]] += 1
    expected = {"a": Fraction(4, 7), "b": Fraction(2, 7), "c": Fraction(1, 7)}
    chi = sum((leads[name] - 3000 * share) ** 2 / (3000 * share) for name, share in expected.items())
    assert chi < 14  # two degrees of freedom, 0.1 %


def test_loads_even_out_within_a_draw() -> None:
    pool = Pool.of(
        1, 0, [Entry(f"D-{at:04d}", "s", "green", 0, "A") for at in range(400)], [Inspector(f"i-{at}", True, 0) for at in range(8)]
    )
    loads = Counter(name for team in draw_teams(pool, pool.entries, SEED) for name in team.members)
    assert sum(loads.values()) == 800
    assert all(70 < load < 130 for load in loads.values())


def test_who_steps_back_is_followed_by_the_next_and_changes_no_other_team() -> None:
    pool = Pool.of(1, 0, make_entries(30), make_inspectors(25))
    first = draw_teams(pool, pool.entries, SEED)
    lead = first[3].members[0]
    again = draw_teams(pool, pool.entries, SEED, {first[3].id: [lead]})
    assert again[:3] + again[4:] == first[:3] + first[4:]
    assert again[3].members[0] == first[3].members[1]
    assert lead not in again[3].members
    with pytest.raises(VerificationError, match="was not drawn"):
        draw_teams(pool, pool.entries, SEED, {first[3].id: ["i-none"]})
