"""Judge a published draw: recompute everything, by trust from outside of the bundle.

Guarantees: a draw is found good only if its policy was logged before it was called, it was called before its pool closed, the closing was
under a signed checkpoint before the result, every answer is the one of the named key for this pool, every probability, selection and team
comes out alike, and whoever changed anything did it by two persons with a reason. Else VerificationError says what is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from protocol.drawing import vrf
from protocol.drawing.inspectors import Team, draw_teams
from protocol.drawing.policy import Policy
from protocol.drawing.pool import Pool, parse_pool, pool_root
from protocol.drawing.published import DrawBundle, result_hash
from protocol.drawing.selection import FIRST_CHAIN, Selection, alpha_of, everything_falls_back, seed_of, select
from protocol.errors import MalformedError, VerificationError
from protocol.identifiers import Issuer
from protocol.inspection_kinds import DrawAct, DrawCall, DrawClosing, DrawPolicy, DrawResult
from protocol.merkle import verify_consistency, verify_inclusion
from protocol.notes import SignedCheckpoint
from protocol.records import SignedRecord, read
from protocol.sheets import open_sheet
from protocol.trust import Trust

_B = TypeVar("_B")
Leaves = Mapping[int, SignedRecord]


@dataclass(frozen=True, slots=True)
class Act:
    """What two persons changed: the record's place, its kind, and what its sheet says."""

    position: int
    act: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A draw that was found good. `unchecked`: what no bundle can show, or what the trust file leaves open."""

    number: int
    closed_ns: int
    policy: Policy
    pool: Pool
    seed: bytes
    answered: tuple[str, ...]
    missing: tuple[str, ...]
    fallen_back: bool
    selection: Selection
    teams: tuple[Team, ...]
    final: tuple[Team, ...]
    acts: tuple[Act, ...]
    checkpoint_size: int
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Records:
    """The records of one draw and their places."""

    policy: tuple[int, SignedRecord, DrawPolicy]
    call: tuple[int, SignedRecord, DrawCall]
    closing: tuple[int, SignedRecord, DrawClosing]
    result: tuple[int, SignedRecord, DrawResult]
    before: tuple[int, SignedRecord, DrawResult] | None


def judge(bundle: DrawBundle, trust: Trust) -> Judgement:
    """Recompute a draw; raise VerificationError or MalformedError naming what is wrong."""
    signed = SignedCheckpoint.parse(bundle.checkpoint.encode())
    trust.check_checkpoint(signed)
    leaves = _leaves(bundle, signed, trust)
    records = _records(leaves)
    _check_closing(bundle, signed, records, trust)
    policy = _policy(bundle, records, trust)
    pool = _pool(bundle, records)
    answers = _answers(policy, records)
    seed = seed_of(policy, answers)
    result = records.result[2]
    fallen_back = everything_falls_back(policy, list(answers))
    _same(result.seed, seed, "the result names another seed than its answers give")
    _same(result.outcome, "fallen back" if fallen_back else "drawn", "the outcome is not the one that its answers give")
    selection = select(policy, pool, seed, everything=fallen_back)
    _compare(bundle.probabilities, [one.line() for one in selection.drawn], "probabilities")
    chosen = [one.entry for one in selection.selected]
    teams = draw_teams(pool, chosen, seed)
    _compare(bundle.teams, [one.line() for one in teams], "teams")
    _same(result.result, result_hash(bundle.probabilities, bundle.teams), "the result record binds other lines")
    _same(result.selected, len(chosen), "the result record counts another number of selected declarations")
    _same(result.counts, tuple(tuple(one) for one in selection.counts), "the result record names other counts")
    acts = _acts(bundle, leaves)
    _check_left(pool, acts, records)
    final = final_teams(pool, selection, seed, [one for one in acts if one.position > records.result[0]], teams)
    _compare(bundle.final, [one.line() for one in final], "final")
    return Judgement(
        number=pool.number,
        closed_ns=records.closing[1].record.at.wall_ns,
        policy=policy,
        pool=pool,
        seed=seed,
        answered=tuple(answers),
        missing=result.missing,
        fallen_back=fallen_back,
        selection=selection,
        teams=tuple(teams),
        final=tuple(final),
        acts=acts,
        checkpoint_size=signed.checkpoint.size,
        unchecked=_unchecked(trust, acts),
    )


def _unchecked(trust: Trust, acts: Sequence[Act]) -> tuple[str, ...]:
    found = ["that the pool held every declaration that was due: compare it with the port log's steps"]
    found += ["that no second pool of this draw was logged: ask a named witness, or audit the port log"]
    if not trust.draw_keys:
        found.append("whose the answering keys are: the trust file names none (draw_keys)")
    if any(not one.said for one in acts):
        found.append("who did what was erased: its record stands, its sheet is gone")
    return tuple(found)


def _leaves(bundle: DrawBundle, signed: SignedCheckpoint, trust: Trust) -> dict[int, SignedRecord]:
    found = {}
    for leaf in bundle.leaves:
        where = f"leaf {leaf.index}"
        one = read(leaf.record)
        verify_inclusion(one.leaf, leaf.index, signed.checkpoint.size, leaf.path, signed.checkpoint.root)
        record = one.record
        if record.issuer != Issuer.of_hub(trust.hub) or record.position != leaf.index or record.epoch != 0:
            raise VerificationError(f"issued by {record.issuer} at position {record.position}", where=where)
        one.envelope.verify(trust.log.public)
        found[leaf.index] = one
    return found


def _one(leaves: Leaves, kind: type[_B], number: int | None = None) -> tuple[int, SignedRecord, _B]:
    found = [(at, one, one.record.body) for at, one in leaves.items() if isinstance(one.record.body, kind)]
    if number is not None:
        found = [one for one in found if getattr(one[2], "number", None) == number]
    if len(found) != 1:
        raise VerificationError(f"{len(found)} records of {getattr(kind, 'KIND', '')}, expected one", where="draw leaves")
    return found[0]


def _records(leaves: Leaves) -> _Records:
    call = _one(leaves, DrawCall)
    number = call[2].number
    policy, closing, result = _one(leaves, DrawPolicy), _one(leaves, DrawClosing), _one(leaves, DrawResult, number)
    before = _one(leaves, DrawResult, number - 1) if number > 1 else None
    _same(closing[2].number, number, "the closing is of another draw number than the call")
    if not policy[0] < call[0] < closing[0] < result[0]:
        raise VerificationError("policy, call, closing and result were not logged in this order", where="draw leaves")
    if before is not None and before[0] >= call[0]:
        raise VerificationError("the draw before was not over when this one was called", where="draw leaves")
    chain = FIRST_CHAIN if before is None else before[2].seed
    for one in (call[2], closing[2]):
        _same(one.chain, chain, "does not go on from the draw before")
        _same(one.policy, call[2].policy, "call and closing name two policies")
    if call[1].record.at.wall_ns >= call[2].closes_ns:
        raise VerificationError("the closing time was not logged before it came", where="draw call")
    if closing[1].record.at.wall_ns < call[2].closes_ns:
        raise VerificationError("the pool closed before the time that was logged", where="draw closing")
    return _Records(policy, call, closing, result, before)


def _check_closing(bundle: DrawBundle, signed: SignedCheckpoint, records: _Records, trust: Trust) -> None:
    """Check that the closing stood under a signed checkpoint that ends before the result."""
    early = SignedCheckpoint.parse(bundle.closing.checkpoint.encode())
    trust.check_checkpoint(early)
    at, closing, _ = records.closing
    size, head = early.checkpoint.size, signed.checkpoint
    if not at < size <= records.result[0]:
        raise VerificationError("no checkpoint between closing and result covers the closing", where="draw closing")
    verify_inclusion(closing.leaf, at, size, bundle.closing.path, early.checkpoint.root)
    verify_consistency(size, early.checkpoint.root, head.size, head.root, bundle.closing.consistency)


def _policy(bundle: DrawBundle, records: _Records, trust: Trust) -> Policy:
    document = records.policy[2].document
    _same(bundle.policy.encode(), document, "the policy is not the one that was logged")
    policy = Policy.parse(document)
    _same(records.call[2].policy, policy.hash, "the draw was called for another policy")
    _same(policy.log, trust.log.name, "the policy is of another port's log")
    named = {one.name: one.key for one in policy.witnesses}
    for name, key in trust.draw_keys:
        if named.get(name) != key:
            raise VerificationError(f"the policy does not name {name} with the trusted key", where="draw policy")
    return policy


def _pool(bundle: DrawBundle, records: _Records) -> Pool:
    at, _, closing = records.closing
    if pool_root(bundle.pool) != closing.root:
        raise VerificationError("is not the one that the closing bound: something was added, dropped or changed", where="draw pool")
    pool = parse_pool(bundle.pool)
    _same(pool.number, closing.number, "the pool is of another draw number")
    _same(pool.closes_ns, records.call[2].closes_ns, "the pool names another closing time than the call")
    _same((closing.entries, closing.inspectors), (len(pool.entries), len(pool.inspectors)), "the closing counts another pool")
    for entry in pool.entries:
        if entry.entered_ns > pool.closes_ns or entry.position >= at:
            raise VerificationError(f"declaration {entry.id} came after the closing time", where="draw pool")
    before = {name: (arrivals, checked) for name, arrivals, checked in records.before[2].counts} if records.before else {}
    for name, arrivals, checked in pool.counts:
        if before.pop(name, (0, 0)) != (arrivals, checked):
            raise VerificationError(f"the counts of {name} do not go on from the draw before", where="draw pool")
    if before:
        raise VerificationError(f"the counts of {min(before)} were dropped", where="draw pool")
    return pool


def _answers(policy: Policy, records: _Records) -> dict[str, bytes]:
    closing, result = records.closing[2], records.result[2]
    alpha = alpha_of(closing.number, closing.root, closing.policy, closing.chain)
    keys = {one.name: one.key for one in policy.witnesses}
    names = [name for name, _ in result.answers]
    _same(names, [name for name in keys if name in names], "answers are not of the named keys, each once and in their order")
    _same(list(result.missing), [name for name in keys if name not in names], "the missing answers are not named")
    found = {}
    for name, pi in result.answers:
        try:
            found[name] = vrf.verify(keys[name], alpha, pi)
        except (VerificationError, MalformedError) as error:
            raise VerificationError(f"the answer of {name} is not its key's for this pool: {error.what}", where="draw answers") from error
    return found


def _acts(bundle: DrawBundle, leaves: Leaves) -> tuple[Act, ...]:
    found = []
    for at, one in sorted(leaves.items()):
        body = one.record.body
        if isinstance(body, DrawAct):
            if at not in bundle.sheets:
                raise VerificationError("its sheet is missing", where=f"draw act {at}")
            said = open_sheet(body.sheet, bundle.sheets[at])
            check_act(body.act, said, at)
            found.append(Act(at, body.act, said))
    if strange := set(bundle.sheets) - {one.position for one in found}:
        raise VerificationError("is of no act that is shown", where=f"draw sheet {min(strange)}")
    return tuple(found)


def check_act(act: str, said: Any, at: int) -> None:  # noqa: ANN401 - JSON
    """Check that an act was done by two persons with a reason, and says of what; raise VerificationError."""
    where = f"draw act {at}"
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) and said[name].strip() for name in ("by", "second", "reason")):
        raise VerificationError("does not name two persons and a reason", where=where)
    if said["by"] == said["second"]:
        raise VerificationError(f"was done by one person, {said['by']}, alone", where=where)
    wanted = {
        "excluded": ("kind", "id"),
        "readmitted": ("kind", "id"),
        "refused": ("declaration", "inspector"),
        "overridden": ("declaration",),
    }
    if not all(isinstance(said.get(name), str) for name in wanted[act]):
        raise VerificationError(f"does not say {' and '.join(wanted[act])}", where=where)
    members = said.get("members")
    if act == "overridden" and (not isinstance(members, list) or not all(isinstance(one, str) for one in members)):
        raise VerificationError("does not say which team takes its place", where=where)


def _check_left(pool: Pool, acts: Sequence[Act], records: _Records) -> None:
    """Check that everything left out has its record, and every exclusion that is shown holds or was taken back before the closing."""
    at = {one.position: one for one in acts if one.act == "excluded"}
    for left in pool.left:
        act = at.pop(left.position, None)
        if act is None or act.position >= records.closing[0] or (act.said["kind"], act.said["id"]) != (left.kind, left.id):
            raise VerificationError(f"{left.kind} {left.id} was left out without a record of two persons", where="draw pool")


def final_teams(pool: Pool, selection: Selection, seed: bytes, acts: Sequence[Act], drawn: Sequence[Team] | None = None) -> list[Team]:
    """Give the teams after what was done since the draw, in order: who steps back is followed by the next, an override stands.

    `drawn`: the teams as first drawn, where they are known. Raises VerificationError for one who steps back and was not drawn.
    """
    refused: dict[str, list[str]] = {}
    for one in acts:
        if one.act == "refused":
            refused.setdefault(one.said["declaration"], []).append(one.said["inspector"])
    chosen = [one.entry for one in selection.selected]
    if strange := sorted(set(refused) - {entry.id for entry in chosen}):
        raise VerificationError(f"an inspector steps back from {strange[0]}, which was not selected", where="draw acts")
    made = drawn if drawn is not None and not refused else draw_teams(pool, chosen, seed, refused)
    teams = {team.id: team for team in made}
    known = {entry.id for entry in pool.entries} if any(one.act == "overridden" for one in acts) else set()
    for one in acts:
        if one.act == "overridden":
            number = one.said["declaration"]
            if number not in known:
                raise VerificationError(f"{number} is overridden and was not in the pool", where="draw acts")
            if one.said["members"]:
                teams[number] = Team(number, tuple(one.said["members"]))
            else:
                teams.pop(number, None)
    return [teams[number] for number in sorted(teams)]


def _same(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise VerificationError(what, where="draw")


def _compare(found: Sequence[str], expected: Sequence[str], name: str) -> None:
    """Name the first line that differs."""
    if list(found) == list(expected):
        return
    for at, (line, mine) in enumerate(zip(found, expected, strict=False), 1):
        if line != mine:
            raise VerificationError(f"line {at} says {line[:100]!r}, recomputed {mine[:100]!r}", where=f"draw {name}")
    raise VerificationError(f"{len(found)} lines, recomputed {len(expected)}", where=f"draw {name}")
