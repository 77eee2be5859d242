"""Make a small port log that holds a draw, and the bundle of it, without a hub."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.drawing import vrf
from protocol.drawing.inspectors import draw_teams
from protocol.drawing.judging import Act, final_teams
from protocol.drawing.policy import Policy
from protocol.drawing.pool import Pool, pool_root
from protocol.drawing.published import Closed, DrawBundle, Leaf, result_hash
from protocol.drawing.selection import FIRST_CHAIN, alpha_of, everything_falls_back, seed_of, select
from protocol.identifiers import HubId, Issuer, SiteId
from protocol.inspection_kinds import DrawAct, DrawCall, DrawClosing, DrawPolicy, DrawResult
from protocol.instants import Instant
from protocol.kinds import Body
from protocol.merkle import consistency_proof, inclusion_proof, leaf_hash, node_hash, root_of
from protocol.notes import ED25519, Checkpoint, NoteKey, sign_checkpoint
from protocol.records import Record
from protocol.sheets import Sheet, make_sheet
from protocol.signatures import Ed25519Signer
from protocol.trust import Trust, log_origin
from tests.drawing_parts import SEEDS, make_policy, make_pool

SALT = bytes(32)
ORIGIN = log_origin("dayaowan", "hub-1")


@dataclass
class DrawLog:
    """A port log in memory."""

    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer.of(Ed25519PrivateKey.from_private_bytes(b"\3" * 32)))
    records: list[bytes] = field(default_factory=list)
    sheets: dict[int, Sheet] = field(default_factory=dict)

    def add(self, body: Body, subject: str, at_ns: int) -> int:
        """Log a record; give its place."""
        at = Instant(at_ns, 1, "synced", 1)
        record = Record(Issuer.of_hub("hub-1"), 0, len(self.records), bytes(32), subject, at, body)
        self.records.append(record.sign(self.signer).data)
        return len(self.records) - 1

    def act(self, act: Any, said: Any, at_ns: int) -> int:
        """Log an act with its sheet."""
        sheet = make_sheet(said, SALT)
        place = self.add(DrawAct(act, sheet.commitment), "draw-000001", at_ns)
        self.sheets[place] = sheet
        return place

    def node(self, level: int, index: int) -> bytes:
        """Give a complete subtree's hash."""
        if level == 0:
            return leaf_hash(self.records[index])
        return node_hash(self.node(level - 1, 2 * index), self.node(level - 1, 2 * index + 1))

    def note(self, size: int) -> str:
        """Give the signed checkpoint of a size."""
        root = root_of(leaf_hash(one) for one in self.records[:size])
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), self.signer).decode()

    def trust(self, **more: Any) -> Trust:
        """Give what a verifier trusts."""
        keys = tuple((name, vrf.public_key(seed)) for name, seed in SEEDS.items() if name != "hub")
        key = NoteKey(ORIGIN, ED25519, self.signer.public)
        return replace(Trust(SiteId("dayaowan"), HubId("hub-1"), "0" * 64, key, draw_keys=keys), **more)


@dataclass
class Staging:
    """A draw as a hub would make it, with places where a dishonest one can take hold."""

    pool: Pool = field(default_factory=make_pool)
    policy: Policy = field(default_factory=make_policy)
    answering: tuple[str, ...] = tuple(SEEDS)
    log: DrawLog = field(default_factory=DrawLog)
    before_call: Callable[[DrawLog], None] = lambda _: None
    closed_pool: Pool | None = None  # what the closing binds, when it is another one
    closing_number: int | None = None
    closing_policy: Policy | None = None
    lines: list[str] | None = None  # of the pool, when they stand in another order
    called_ns: int = 10**15 - 10**9
    closed_ns: int = 10**15 + 1
    early: int = 0  # leaves that the closing's checkpoint holds more or less than it should
    alpha: bytes | None = None
    chain: bytes = FIRST_CHAIN
    seeds: dict[str, bytes] = field(default_factory=lambda: dict(SEEDS))
    after: Callable[["Staging"], list[Act]] = lambda _: []

    def make(self) -> DrawBundle:
        """Log the draw and give its bundle."""
        log, policy = self.log, self.policy
        start = len(log.records) - (self.pool.number > 1)  # the result of the draw before stands last
        log.add(DrawPolicy(policy.encode(), hashlib.sha256(b"").digest()), policy.rules, 1)
        self.before_call(log)
        closed = self.closed_pool or self.pool
        root = pool_root(self.lines or closed.lines())
        number = self.pool.number
        name = f"draw-{number:06d}"
        log.add(DrawCall(number, self.pool.closes_ns, policy.hash, self.chain), name, self.called_ns)
        counts = len(closed.entries), len(closed.inspectors)
        while len(log.records) < 350:  # what else a port logs meanwhile
            log.records.append(b"other %d" % len(log.records))
        other = (self.closing_policy or policy).hash
        closing = log.add(DrawClosing(self.closing_number or number, root, *counts, other, self.chain), name, self.closed_ns)
        alpha = self.alpha or alpha_of(number, root, policy.hash, self.chain)
        answers = {one: vrf.prove(self.seeds[one], alpha) for one in SEEDS if one in self.answering}
        seed = seed_of(policy, {one: answer.beta for one, answer in answers.items()})
        fallen = everything_falls_back(policy, list(answers))
        selection = select(policy, self.pool, seed, everything=fallen)
        chosen = [one.entry for one in selection.selected]
        teams = draw_teams(self.pool, chosen, seed)
        missing = tuple(one for one in SEEDS if one not in answers)
        proofs = tuple((one, answer.pi) for one, answer in answers.items())
        outcome: Any = "fallen back" if fallen else "drawn"
        tally = tuple((one.stratum, one.arrivals, one.checked) for one in selection.counts)
        body = DrawResult(
            number,
            proofs,
            missing,
            outcome,
            seed,
            len(chosen),
            result_hash([one.line() for one in selection.drawn], [one.line() for one in teams]),
            tally,
        )
        log.add(body, name, self.closed_ns + 10**9)
        self.seed, self.selection, self.teams, self.closing = seed, selection, teams, closing
        final = final_teams(self.pool, selection, seed, self.after(self))
        size, early = len(log.records), closing + 1 + self.early
        shown = [at for at, one in enumerate(log.records) if at >= start and not one.startswith(b"other")]
        return DrawBundle(
            policy.encode().decode(),
            tuple(self.lines or self.pool.lines()),
            tuple(one.line() for one in selection.drawn),
            tuple(one.line() for one in teams),
            tuple(one.line() for one in final),
            tuple(Leaf(at, log.records[at], tuple(inclusion_proof(at, size, log.node))) for at in shown),
            Closed(
                log.note(early),
                tuple(inclusion_proof(closing, early, log.node)) if closing < early else (),
                tuple(consistency_proof(early, size, log.node)),
            ),
            log.note(size),
            dict(log.sheets),
        )


def changed(bundle: DrawBundle, **parts: Any) -> DrawBundle:
    """Give a bundle with other parts, encoded and read again."""
    return DrawBundle.parse(replace(bundle, **parts).encode())


def as_json(bundle: DrawBundle) -> Any:
    """Give a bundle's plain values."""
    return json.loads(bundle.encode())
