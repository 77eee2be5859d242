"""Show that a published draw is judged by recomputation, and that a hub that steers it is found out."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.drawing import vrf
from protocol.drawing.inspectors import Team
from protocol.drawing.judging import Act, Judgement, judge
from protocol.drawing.policy import PARTS, Named
from protocol.drawing.pool import Count, Left, Pool, pool_root
from protocol.drawing.published import DrawBundle, Leaf
from protocol.drawing.selection import FIRST_CHAIN, alpha_of
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.inspection_kinds import DrawResult
from protocol.merkle import consistency_proof, inclusion_proof
from protocol.records import read
from protocol.signatures import Ed25519Signer
from tests.draw_log_parts import DrawLog, Staging, changed
from tests.drawing_parts import SEEDS, make_entries, make_inspectors, make_policy, make_pool


def judged(staging: Staging, **trust: Any) -> Judgement:
    bundle = staging.make()
    return judge(DrawBundle.parse(bundle.encode()), staging.log.trust(**trust))


def refused(staging: Staging, match: str) -> None:
    with pytest.raises(VerificationError, match=match):
        judged(staging)


def test_an_honest_draw_is_found_good() -> None:
    staging = Staging()
    found = judged(staging)
    assert found.seed == staging.seed
    assert [one.entry.id for one in found.selection.selected] == [one.id for one in found.teams] == [one.id for one in found.final]
    assert (found.answered, found.missing, found.fallen_back) == (tuple(SEEDS), (), False)
    assert len(found.unchecked) == 2
    assert len(judged(Staging(), draw_keys=()).unchecked) == 3


def test_silence_of_a_named_key_selects_everything() -> None:
    found = judged(Staging(answering=("hub", "port")))
    assert found.fallen_back and found.missing == ("customs",)
    assert len(found.teams) == len(found.pool.entries)
    allowed = judged(Staging(answering=("hub", "port"), policy=make_policy(needed=2)))
    assert not allowed.fallen_back and len(allowed.teams) < len(allowed.pool.entries)


def second_of(first: Staging, counts: tuple[Count, ...], chain: bytes) -> Staging:
    pool = replace(make_pool(), number=2, counts=counts, closes_ns=2 * 10**15)
    return Staging(pool=pool, chain=chain, log=first.log, called_ns=10**15 + 10**10, closed_ns=2 * 10**15)


def test_a_second_draw_goes_on_from_the_first() -> None:
    first = Staging()
    judged(first)
    counts = first.selection.counts
    assert judged(second_of(first, counts, first.seed)).number == 2
    for steered, match in (((counts, bytes(32)), "go on from the draw before"), ((make_pool().counts, first.seed), "counts of")):
        first = Staging()
        judged(first)
        refused(second_of(first, *steered), match)


def other_pool(**more: Any) -> Pool:
    return replace(make_pool(), **more)


POOL = make_pool()
LATE = POOL.entries[0]._replace(id="D-99999999-0000001", entered_ns=10**15 + 5)
EASY = POOL.inspectors[0]._replace(load=POOL.inspectors[0].load + 50)
STEERED: dict[str, tuple[Any, str]] = {
    "swapped pool": (lambda: Staging(pool=make_pool(entries=150), closed_pool=POOL), "not the one that the closing bound"),
    "dropped entry": (lambda: Staging(pool=other_pool(entries=POOL.entries[1:]), closed_pool=POOL), "not the one that the closing bound"),
    "entry added after closing": (lambda: Staging(pool=other_pool(entries=(*POOL.entries, LATE)), closed_pool=POOL), "the closing bound"),
    "late entry": (lambda: Staging(pool=other_pool(entries=(*POOL.entries, LATE))), "came after the closing time"),
    "entry from behind the closing": (
        lambda: Staging(pool=other_pool(entries=(POOL.entries[0]._replace(position=400), *POOL.entries[1:]))),
        "came after the closing time",
    ),
    "wrong inspector load": (
        lambda: Staging(pool=other_pool(inspectors=(EASY, *POOL.inspectors[1:])), closed_pool=POOL),
        "not the one that the closing bound",
    ),
    "other policy": (lambda: Staging(closing_policy=make_policy(PARTS // 50)), "call and closing name two policies"),
    "wrong counts": (lambda: Staging(pool=make_pool(counts=(Count("fruit/AU", 100, 50),))), "counts of fruit/AU do not go on"),
    "another draw number": (lambda: Staging(closing_number=2), "another draw number"),
    "answers to another pool": (
        lambda: Staging(alpha=alpha_of(1, pool_root(make_pool(10).lines()), make_policy().hash, FIRST_CHAIN)),
        "answer of hub is not its key's",
    ),
    "answers of another draw": (
        lambda: Staging(alpha=alpha_of(2, pool_root(POOL.lines()), make_policy().hash, FIRST_CHAIN)),
        "answer of hub is not its key's",
    ),
    "foreign key": (lambda: Staging(seeds=SEEDS | {"port": b"\5" * 32}), "answer of port is not its key's"),
    "chain broken": (lambda: Staging(chain=b"\1" * 32), "go on from the draw before"),
    "called after closing": (lambda: Staging(called_ns=10**15 + 1), "closing time was not logged before"),
    "closed early": (lambda: Staging(closed_ns=10**15 - 1), "closed before the time"),
    "closing not published first": (lambda: Staging(early=1), "no checkpoint between"),
    "closing outside its checkpoint": (lambda: Staging(early=-1), "no checkpoint between"),
}


@pytest.mark.parametrize("case", STEERED)
def test_a_hub_that_steers_is_found_out(case: str) -> None:
    make, match = STEERED[case]
    refused(make(), match)


def test_a_pool_in_another_order_is_refused() -> None:
    with pytest.raises(MalformedError, match="not sorted"):
        judged(Staging(lines=[*POOL.lines()[:-2], *POOL.lines()[-2:][::-1]]))


def test_nobody_answers_twice() -> None:
    staging = Staging()
    bundle = staging.make()
    at, last = len(staging.log.records) - 1, read(staging.log.records[-1]).record
    assert isinstance(last.body, DrawResult)
    twice = replace(last.body, answers=(last.body.answers[0], *last.body.answers))
    staging.log.records[at] = replace(last, body=twice).sign(staging.log.signer).data
    leaves = [
        Leaf(one.index, staging.log.records[one.index], tuple(inclusion_proof(one.index, at + 1, staging.log.node)))
        for one in bundle.leaves
    ]
    consistency = tuple(consistency_proof(staging.closing + 1, at + 1, staging.log.node))
    steered = changed(
        bundle, leaves=tuple(leaves), checkpoint=staging.log.note(at + 1), closing=replace(bundle.closing, consistency=consistency)
    )
    with pytest.raises(VerificationError, match="each once"):
        judge(steered, staging.log.trust())


def test_the_draw_comes_out_as_it_always_did() -> None:
    assert hashlib.sha256(Staging().make().encode()).hexdigest() == "ee15b458e2aa88e960feacee82a56cf9f8964cfcd5a9295ee2dcc1d4839cf13e"


def test_a_key_that_the_verifier_does_not_know_is_refused() -> None:
    named = (*make_policy().witnesses[:2], Named("port", vrf.public_key(b"\5" * 32)))
    refused(Staging(policy=replace(make_policy(), witnesses=named), seeds=SEEDS | {"port": b"\5" * 32}), "does not name port")
    alone = replace(make_policy(), witnesses=make_policy().witnesses[:1], needed=1)
    refused(Staging(policy=alone, answering=("hub",)), "does not name customs")


def test_lines_that_do_not_come_out_are_named() -> None:
    staging = Staging()
    bundle, trust = staging.make(), staging.log.trust()
    spared = staging.teams[0].id
    swapped = (Team(staging.teams[0].id, staging.teams[0].members[::-1]).line(), *bundle.teams[1:])
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "policy": ({"policy": make_policy(PARTS // 50).encode().decode()}, "not the one that was logged"),
        "probability": ({"probabilities": (bundle.probabilities[0].replace("\t", "\t1", 1), *bundle.probabilities[1:])}, "line 1 says"),
        "spared": ({"teams": tuple(one for one in bundle.teams if not one.startswith(spared))}, "draw teams: line 1"),
        "added": ({"final": (*bundle.final, "D-9\ti-1")}, "draw final"),
        "team": ({"teams": swapped}, "draw teams: line 1"),
        "leaf": ({"leaves": bundle.leaves[:-1]}, "0 records of draw-result"),
        "path": ({"leaves": (replace(bundle.leaves[0], path=bundle.leaves[0].path[1:]), *bundle.leaves[1:])}, "inclusion proof"),
        "place": ({"leaves": (replace(bundle.leaves[0], index=1), *bundle.leaves[1:])}, "inclusion|sorted"),
        "old checkpoint": ({"checkpoint": bundle.closing.checkpoint}, "inclusion|outside"),
    }
    for parts, match in cases.values():
        with pytest.raises(PortwitnessError, match=match):
            judge(changed(bundle, **parts), trust)
    with pytest.raises(VerificationError):
        judge(bundle, DrawLog(signer=Ed25519Signer.of(Ed25519PrivateKey.from_private_bytes(b"\4" * 32))).trust())


TWO = {"by": "li.wei", "second": "wang.fang", "reason": "ill"}


def after(*said: tuple[str, dict[str, Any]]) -> Any:
    """Give what is done after a draw."""

    def act(staging: Staging) -> list[Act]:
        team = staging.teams[0]
        found = []
        for name, words in said:
            full = {"declaration": team.id, "inspector": team.members[0]} | words
            found.append(Act(staging.log.act(name, full, 10**15 + 10**10), name, full))
        return found

    return act


def test_refusals_and_overrides_of_two_persons_stand_and_are_shown() -> None:
    found = judged(Staging(after=after(("refused", TWO))))
    assert found.final[0].members[0] == found.teams[0].members[1]
    assert [one.act for one in found.acts] == ["refused"]
    found = judged(Staging(after=after(("overridden", TWO | {"members": ["i-0001", "i-0002"]}))))
    assert found.final[0].members == ("i-0001", "i-0002")
    found = judged(Staging(after=after(("overridden", TWO | {"members": []}))))
    assert len(found.final) == len(found.teams) - 1


def test_an_act_on_what_was_not_in_the_pool_or_not_drawn_is_refused() -> None:
    staging = Staging()
    staging.make()
    spared = next(one.entry.id for one in staging.selection.drawn if not one.why)
    with pytest.raises(VerificationError, match="was not in the pool"):
        Staging(after=after(("overridden", TWO | {"declaration": "D-none", "members": ["i-0001"]}))).make()
    with pytest.raises(VerificationError, match="was not selected"):
        Staging(after=after(("refused", TWO | {"declaration": spared}))).make()


@pytest.mark.parametrize(
    ("said", "match"),
    [
        (TWO | {"second": "li.wei"}, "one person"),
        (TWO | {"reason": " "}, "two persons and a reason"),
        ({"by": "li.wei", "reason": "x"}, "two persons"),
        (TWO | {"inspector": 5}, "does not say"),
    ],
)
def test_acts_of_one_person_or_without_reason_are_refused(said: dict[str, Any], match: str) -> None:
    def silent(staging: Staging) -> list[Act]:
        staging.log.act("refused", {"declaration": staging.teams[0].id, "inspector": staging.teams[0].members[0]} | said, 10**16)
        return []

    refused(Staging(after=silent), match)


def test_an_exclusion_needs_its_record() -> None:
    pool = Pool.of(1, 10**15, make_entries(50), make_inspectors(8), left=[Left("inspector", "i-7777", 1)])

    def exclude(log: DrawLog) -> None:
        log.act("excluded", TWO | {"kind": "inspector", "id": "i-7777"}, 5)

    assert judged(Staging(pool=pool, before_call=exclude)).pool.left == pool.left
    refused(Staging(pool=pool), "left out without a record")


def test_files_that_are_no_bundle_are_refused() -> None:
    data = Staging(pool=make_pool(3, 2)).make().encode()
    for bad in (
        b"",
        b"{}",
        data[:-1],
        data + b"\n",
        data.replace(b"portwitness-draw/1", b"portwitness-draw/2"),
        data.replace(b'"path"', b'"pathe"'),
    ):
        with pytest.raises(MalformedError):
            DrawBundle.parse(bad)
    assert DrawBundle.parse(data).encode() == data
