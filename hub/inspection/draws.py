"""Draw declarations and inspectors so that the hub itself cannot steer it: call, close, ask, draw, step, publish.

Guarantees: a draw's policy and closing time are logged before its pool closes, the pool before anybody is asked, each in a transaction that
refuses a second one of that number; a new draw is called only when the last is over, and its result is the one that the named keys' answers
give. After a crash a draw goes on to the same result, or falls back by its policy; it is never made again. What was selected stays
selected, whatever is amended meanwhile.
"""

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, select

from hub.core import Core
from hub.inspection.declarations import Declarations
from hub.inspection.draw_answers import OWN, Answers, Asked
from hub.inspection.draw_pools import Waiting, gather, screened_at, team_of, undone
from hub.inspection.draw_tables import (
    CALLED,
    CLOSED,
    PORT,
    acts_of,
    document,
    draw_row,
    keep_document,
    newest_draw,
    newest_policy,
    policy_of,
    pool_lines,
    pool_of,
    result_lines,
)
from hub.inspection.sample_plans import Before, before_of, planned
from hub.inspection.sheets import keep
from hub.inspection.states import STEPS, State
from protocol.drawing.inspectors import draw_teams
from protocol.drawing.judging import Act, check_act, final_teams
from protocol.drawing.policy import Lane, Named, Policy
from protocol.drawing.pool import Pool, pool_root
from protocol.drawing.published import Closed, DrawBundle, Leaf, result_hash
from protocol.drawing.selection import FIRST_CHAIN, Selection, alpha_of, everything_falls_back, seed_of
from protocol.drawing.selection import select as select_drawn
from protocol.drawing.vrf import verify
from protocol.errors import MalformedError, PortwitnessError, RefusedError, VerificationError
from protocol.inspection_kinds import DrawAct, DrawCall, DrawClosing, DrawPolicy, DrawResult
from protocol.instants import SECOND_NS
from protocol.merkle import consistency_proof, inclusion_proof
from protocol.notes import SignedCheckpoint
from protocol.records import read_again
from protocol.sheets import SALT_BYTES, Sheet, make_sheet
from storage.logs import PortLog, port_entries, reader
from storage.schema import draw_acts, draws, sheets

RULE = "draw/1"
NO_DIRECT = ("C", "D")  # grades for which release without any check is not open
LOOK_S = 1.0
MAX_AHEAD_NS = 7 * 86_400 * SECOND_NS
PROPOSAL = Path(__file__).with_name("draw-policy.json")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DrawState:
    """A draw as it stands."""

    number: int
    state: str
    closes_ns: int
    entries: int | None
    inspectors: int | None
    selected: int | None
    called_at: int
    closed_at: int | None
    drawn_at: int | None


@dataclass(slots=True)
class Draws:
    """The draws of one port. Use as an async context manager: while it runs, draws go on by themselves."""

    core: Core
    declarations: Declarations
    faults: tuple[str, ...] = ()
    _task: asyncio.Task[None] | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    _settled: set[int] = field(default_factory=set)  # draws whose declarations have all taken their step

    async def __aenter__(self) -> "Draws":
        self._task = asyncio.create_task(self._run(), name="draws")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def answers(self) -> Answers:
        """Give the way to the named keys' answers."""
        return Answers(self.core)

    # ------------------------------------------------------------------------------------------------ what people decide

    async def set_policy(self, policy: Policy, by: str, second: str, reason: str) -> int:
        """Put a policy in force for draws called from now on; give its place in the log. Raises RefusedError, MalformedError."""
        if policy.log != self.core.sequencer.origin:
            raise MalformedError(f"is of {policy.log[:80]}, this log is {self.core.sequencer.origin}", where="policy.log")
        sheet = make_sheet(_two(by, second, reason), os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, DrawPolicy]:
            keep(connection, sheet)
            return policy.rules, DrawPolicy(policy.encode(), sheet.commitment)

        return (await self.core.sequencer.decide(decide)).record.position

    async def policy(self) -> Policy:
        """Give the policy in force; raise RefusedError when none was set."""
        return (await self.core.database.read(newest_policy))[1]

    async def proposal(self) -> Policy:
        """Give the policy that is shipped, with the hub's own key alone: unverified figures to begin with."""
        value = json.loads(await asyncio.to_thread(PROPOSAL.read_bytes))
        lanes = {name: Lane(**lane) for name, lane in value["lanes"].items()}
        own = Named(OWN, await self.answers.own_key())
        rates = {"strata": value["strata"], "lanes": lanes, "grades": value["grades"]}
        return Policy(value["rules"], self.core.sequencer.origin, (own,), 1, value["answer_s"], value["rate"], **rates)

    async def call(self, closes_ns: int) -> DrawState:
        """Announce a draw; its pool closes at a time ahead. Raises RefusedError while another is not over, or without a policy."""
        now_ns = self.core.clock.now().wall_ns
        if not now_ns < closes_ns <= now_ns + MAX_AHEAD_NS:
            raise MalformedError("the closing time is not ahead, or more than a week ahead", where="draw call")

        def decide(connection: Connection, _size: int) -> tuple[str, DrawCall]:
            policy = newest_policy(connection)[1]
            last = newest_draw(connection)
            if last is not None and last["drawn_at"] is None:
                raise RefusedError(f"draw {last['number']} is not over", where="draw call")
            number = 1 if last is None else last["number"] + 1
            chain = FIRST_CHAIN if last is None else bytes(last["seed"])
            return name_of(number), DrawCall(number, closes_ns, policy.hash, chain)

        signed = await self.core.sequencer.decide(decide)
        self._wake.set()
        return await self.get(_number(signed.record.subject))

    async def exclude(self, kind: str, name: str, by: str, second: str, reason: str, *, readmit: bool = False) -> int:
        """Leave a declaration or an inspector out of pools from now on, or take that back; give the record's place."""
        if kind not in ("declaration", "inspector"):
            raise MalformedError("is neither declaration nor inspector", where="kind")
        return await self._act(PORT, "readmitted" if readmit else "excluded", _two(by, second, reason) | {"kind": kind, "id": name})

    async def refuse(self, number: int, declaration: str, inspector: str, by: str, second: str, reason: str) -> int:
        """Let an inspector step back from a declaration; the next by key stands in. Raises VerificationError for one not drawn."""
        words = _two(by, second, reason) | {"declaration": declaration, "inspector": inspector}
        return await self._after(number, "refused", words)

    async def override(self, number: int, declaration: str, members: Sequence[str], by: str, second: str, reason: str) -> int:
        """Put another team, or none, in the place of the one that was drawn; it stands in the record for ever.

        A declaration that was not drawn is selected by it, where it can still be; none that was selected is un-selected.
        """
        words = _two(by, second, reason) | {"declaration": declaration, "members": list(members)}
        position = await self._after(number, "overridden", words)
        standing = await self.declarations.get(declaration)
        if members and not standing.selected and State.SELECTED in STEPS[standing.state]:
            told = _two(by, second, reason) | {"draw": number, "override": position, "inspectors": list(members)}
            await self.declarations.step(declaration, State.SELECTED, told, by=by)
        return position

    async def team(self, declaration: str) -> tuple[str, ...]:
        """Give who inspects a declaration now, lead first; nobody where it was not selected by a draw."""
        return await self.core.database.read(lambda connection: team_of(connection, declaration))

    async def _after(self, number: int, act: Any, words: dict[str, Any]) -> int:  # noqa: ANN401 - a literal of the record
        made = await self.core.database.read(lambda connection: _made(connection, number))
        final_teams(made.pool, made.selection(), made.seed, [*made.acts, Act(0, act, words)])
        return await self._act(name_of(number), act, words)

    async def _act(self, subject: str, act: Any, words: dict[str, Any]) -> int:  # noqa: ANN401 - a literal of the record
        check_act(act, words, 0)
        sheet = make_sheet(words, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, DrawAct]:
            keep(connection, sheet)
            return subject, DrawAct(act, sheet.commitment)

        signed = await self.core.sequencer.decide(decide)
        self.core.events.tell("draw", subject=subject, act=act)
        return signed.record.position

    # ------------------------------------------------------------------------------------------------------- what is told

    async def get(self, number: int) -> DrawState:
        """Give a draw; raise RefusedError when there is none of this number."""
        return _state(await self.core.database.read(lambda connection: draw_row(connection, number)))

    async def list(self, limit: int = 100) -> Sequence[DrawState]:
        """Give draws, newest first."""
        query = select(draws).order_by(draws.c.number.desc()).limit(min(limit, 500))
        rows = await self.core.database.read(lambda connection: connection.execute(query).mappings().all())
        return [_state(dict(row)) for row in rows]

    async def bundle(self, number: int) -> bytes:
        """Give a draw's bundle, as it is published; raise RefusedError before it is over."""
        made = await self.core.database.read(lambda connection: _made(connection, number))
        newest = max([made.row["drawn_at"], *(one.position for one in made.acts)])
        note = self.core.sequencer.checkpoint_now()
        if self.core.witnesses is not None:
            note = await self.core.witnesses.over(newest, note)
        found = await self.core.database.read(lambda connection: _bundle(connection, made, note))
        return await asyncio.to_thread(found.encode)

    # -------------------------------------------------------------------------------------------------- a draw's own course

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.go_on()
            except PortwitnessError as error:  # supervision: said, and tried again
                _LOG.error("draws: %s", error)

    async def go_on(self) -> DrawState | None:
        """Bring the newest draw as far as it can go now; give it. Raises what stands in its way."""
        async with self._busy:
            row = await self.core.database.read(newest_draw)
            if row is None:
                return None
            number = row["number"]
            if row["state"] == CALLED and self.core.clock.now().wall_ns >= row["closes_ns"]:
                await self._close(number)
                row = await self.core.database.read(lambda connection: draw_row(connection, number))
            if row["state"] == CLOSED:
                await self._draw(row)
            await self._step_all()
            return await self.get(number)

    async def _close(self, number: int) -> None:
        """Close the pool, once: the tables are looked at in the transaction that logs its root."""

        def decide(connection: Connection, _size: int) -> tuple[str, DrawClosing]:
            row = draw_row(connection, number)
            if row["state"] != CALLED:
                raise RefusedError("is closed already", where=f"draw {number}")
            policy = policy_of(connection, bytes(row["policy"]), row["called_at"])[1]
            pool = gather(connection, policy, number, row["closes_ns"])
            lines = pool.lines()
            root = pool_root(lines)
            keep_document(connection, root, "\n".join(lines).encode("ascii"))
            counts = len(pool.entries), len(pool.inspectors)
            return row["name"], DrawClosing(number, root, *counts, bytes(row["policy"]), bytes(row["chain"]))

        await self.core.sequencer.decide(decide)
        self.core.events.tell("draw", subject=name_of(number), act=CLOSED)

    async def _draw(self, row: dict[str, Any]) -> None:
        """Ask, and log the result when all have answered, or when the policy's time is over."""
        await self._keep_closing(row)
        policy, pool = await self.core.database.read(lambda connection: _closed(connection, row))
        alpha = alpha_of(row["number"], bytes(row["root"]), bytes(row["policy"]), bytes(row["chain"]))
        asked = await self.answers.ask_all(policy, alpha, row["closed_at"])
        self.faults = tuple(f"{one.name}: {one.fault}" for one in asked if one.pi is None)
        waits = self.core.clock.now().wall_ns < row["closed_ns"] + policy.answer_s * SECOND_NS
        if self.faults and (waits or all(one.pi is None for one in asked)):
            return
        if self.faults:
            await self.core.alarms.ring("draw answers missing", row["name"], "; ".join(self.faults)[:900])
        data, body = await asyncio.to_thread(_result, policy, pool, alpha, asked)

        def decide(connection: Connection, _size: int) -> tuple[str, DrawResult]:
            if draw_row(connection, row["number"])["state"] != CLOSED:
                raise RefusedError("was drawn already", where=row["name"])
            keep_document(connection, body.result, data)
            return row["name"], body

        await self.core.sequencer.decide(decide)
        self.core.events.tell("draw", subject=row["name"], act=body.outcome)

    async def _keep_closing(self, row: dict[str, Any]) -> None:
        """Keep the checkpoint that covers the closing, before anybody is asked: it is part of the proof."""

        def name(connection: Connection) -> tuple[bytes, bool]:
            leaf = read_again(port_entries(connection, row["closed_at"], row["closed_at"] + 1)[0]).leaf
            return leaf, document(connection, leaf) is not None

        leaf, known = await self.core.database.read(name)
        if known:
            return
        note = self.core.sequencer.checkpoint_now()
        if self.core.witnesses is not None:
            note = await self.core.witnesses.over(row["closed_at"], note)
        await self.core.database.write(lambda connection: keep_document(connection, leaf, note))

    async def _step_all(self) -> None:
        """Let every declaration that was drawn take its step; one that was amended meanwhile takes it once it is screened again."""
        undecided = await self.core.database.read(lambda connection: undone(connection, self._settled))
        places = await self.core.database.read(lambda connection: {number: screened_at(connection, number) for number in undecided})
        befores: dict[int, Before] = {}
        for waiting in undecided.values():
            number = waiting.entry.id
            now = await self.declarations.get(number)
            row = await self.get(waiting.number)
            same = places[number] == waiting.entry.position
            if now.state is not State.SCREENED or not (waiting.is_selected or same):
                continue
            to = State.SELECTED if waiting.is_selected else self._unselected(waiting)
            said: dict[str, Any] = {"draw": waiting.number, "result": row.drawn_at, "why": waiting.why, "parts": dict(waiting.parts)}
            if waiting.is_selected:
                said |= {"inspectors": list(waiting.members)} | await self._plan(number, row, befores)
            await self.declarations.step(number, to, said, rule=RULE)
        unsettled = {waiting.number for waiting in undecided.values()}
        over = select(draws.c.number).where(draws.c.drawn_at.is_not(None)).order_by(draws.c.number.desc()).limit(50)
        numbers = await self.core.database.read(lambda connection: connection.execute(over).scalars().all())
        self._settled = {number for number in numbers if number not in unsettled}

    async def _plan(self, number: str, draw: DrawState, befores: dict[int, Before]) -> dict[str, Any]:
        """Plan the sampling of a declaration by its draw's seed; one that cannot be planned is told why, and goes on."""
        assert draw.closed_at is not None
        closed_at = draw.closed_at

        def make(connection: Connection) -> dict[str, Any]:
            if draw.number not in befores:
                befores[draw.number] = before_of(connection, closed_at)
            seed = bytes(draw_row(connection, draw.number)["seed"])
            return planned(connection, number, befores[draw.number], seed)

        try:
            return {"plan": await self.core.database.read(make)}
        except (MalformedError, RefusedError) as error:
            return {"plan": None, "unplanned": str(error)[:200]}

    def _unselected(self, waiting: Waiting) -> State:
        """Give where an entry goes that was not selected: its documents are checked by its lane, or by its credit."""
        checked = waiting.entry.lane == "yellow" or waiting.entry.grade in NO_DIRECT
        return State.DOC_CHECK if checked else State.DIRECT_RELEASE


def name_of(number: int) -> str:
    """Give a draw's name, the subject of its records."""
    return f"draw-{number:06d}"


def _number(name: str) -> int:
    return int(name.removeprefix("draw-"))


def _two(by: str, second: str, reason: str) -> dict[str, Any]:
    """Give what a decision of two persons says; raise RefusedError for one person alone, MalformedError without a reason."""
    if not second.strip() or by == second:
        raise RefusedError("needs a second person", where="second")
    if not reason.strip() or len(reason) > 1000:
        raise MalformedError("a reason has 1 to 1000 characters", where="reason")
    return {"by": by, "second": second, "reason": reason.strip()}


def _state(row: dict[str, Any]) -> DrawState:
    names = ("number", "state", "closes_ns", "entries", "inspectors", "selected", "called_at", "closed_at", "drawn_at")
    return DrawState(**{name: row[name] for name in names})


def _closed(connection: Connection, row: dict[str, Any]) -> tuple[Policy, Pool]:
    return policy_of(connection, bytes(row["policy"]), row["called_at"])[1], pool_of(connection, bytes(row["root"]))


def _result(policy: Policy, pool: Pool, alpha: bytes, asked: Sequence[Asked]) -> tuple[bytes, DrawResult]:
    """Draw by the answers that came; give the result's lines and its record."""
    keys = {one.name: one.key for one in policy.witnesses}
    proofs = tuple((one.name, one.pi) for one in asked if one.pi is not None)
    betas = {name: verify(keys[name], alpha, pi) for name, pi in proofs}
    seed = seed_of(policy, betas)
    fallen = everything_falls_back(policy, list(betas))
    selection = select_drawn(policy, pool, seed, everything=fallen)
    chosen = [one.entry for one in selection.selected]
    teams = draw_teams(pool, chosen, seed)
    lines = {"probabilities": [one.line() for one in selection.drawn], "teams": [one.line() for one in teams]}
    missing = tuple(one.name for one in asked if one.pi is None)
    counts = tuple((one.stratum, one.arrivals, one.checked) for one in selection.counts)
    outcome: Any = "fallen back" if fallen else "drawn"
    bound = result_hash(lines["probabilities"], lines["teams"])
    body = DrawResult(pool.number, proofs, missing, outcome, seed, len(chosen), bound, counts)
    return json.dumps(lines).encode(), body


@dataclass(frozen=True, slots=True)
class _Made:
    """A draw that is over, as kept."""

    row: dict[str, Any]
    policy_at: int
    policy: Policy
    pool: Pool
    acts: tuple[Act, ...]
    left: tuple[int, ...]
    fallen_back: bool

    @property
    def seed(self) -> bytes:
        return bytes(self.row["seed"])

    def selection(self) -> Selection:
        return select_drawn(self.policy, self.pool, self.seed, everything=self.fallen_back)


def _made(connection: Connection, number: int) -> _Made:
    row = draw_row(connection, number)
    if row["drawn_at"] is None:
        raise RefusedError("is not over", where=f"draw {number}")
    at, policy = policy_of(connection, bytes(row["policy"]), row["called_at"])
    pool = pool_of(connection, bytes(row["root"]))
    acts = tuple(acts_of(connection, row["name"]))
    return _Made(row, at, policy, pool, acts, tuple(one.position for one in pool.left), row["state"] == "fallen back")


def _bundle(connection: Connection, made: _Made, note: bytes) -> DrawBundle:
    """Gather a draw's bundle under a checkpoint."""
    row, size = made.row, SignedCheckpoint.parse(note).checkpoint.size
    places = {made.policy_at, row["called_at"], row["closed_at"], row["drawn_at"], *made.left, *(one.position for one in made.acts)}
    if row["number"] > 1:
        places.add(draw_row(connection, row["number"] - 1)["drawn_at"])
    if size <= max(places):
        raise VerificationError("no checkpoint covers it yet", where=row["name"])
    read = reader(connection, PortLog())
    records = {at: port_entries(connection, at, at + 1)[0] for at in sorted(places)}
    closing = document(connection, read_again(records[row["closed_at"]]).leaf)
    if closing is None:
        raise VerificationError("the checkpoint of its closing is missing", where=row["name"])
    early = SignedCheckpoint.parse(closing).checkpoint.size
    probabilities, teams = result_lines(connection, bytes(row["result"]))
    final = final_teams(made.pool, made.selection(), made.seed, made.acts)
    return DrawBundle(
        policy=made.policy.encode().decode(),
        pool=tuple(pool_lines(connection, bytes(row["root"]))),
        probabilities=tuple(probabilities),
        teams=tuple(teams),
        final=tuple(one.line() for one in final),
        leaves=tuple(Leaf(at, data, tuple(inclusion_proof(at, size, read))) for at, data in records.items()),
        closing=Closed(
            closing.decode(), tuple(inclusion_proof(row["closed_at"], early, read)), tuple(consistency_proof(early, size, read))
        ),
        checkpoint=note.decode(),
        sheets=_sheets(connection, [*made.left, *(one.position for one in made.acts)]),
    )


def _sheets(connection: Connection, places: Sequence[int]) -> dict[int, Sheet]:
    query = select(draw_acts.c.position, sheets.c.salt, sheets.c.data).join(sheets, sheets.c.commitment == draw_acts.c.sheet)
    rows = connection.execute(query.where(draw_acts.c.position.in_(places))).all()
    return {row.position: Sheet(bytes(row.salt), bytes(row.data)) for row in rows}
