"""Judge inspections, hold, release and recall goods: the facade.

Guarantees: the look at the evidence, the release, its record and the message to the port are one transaction; whoever approves was not on
the inspection; a release against the evidence needs two persons and is marked for ever; what goes bad before the gate is recalled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import Connection

from hub.core import Core
from hub.exchange.effects import Effects
from hub.exchange.tables import read_boxes_of
from hub.exchange.telling import DETAIN, HOLD, RECALL, RETURN, TREAT, Kind, Told, boxes_untold, listeners, tell_port, tell_release
from hub.inspection.references import find
from hub.inspection.releasing import tables
from hub.inspection.releasing.clearing import Cleared, Judged, Sources, clear, clear_against_evidence, judge
from hub.inspection.releasing.desk import VERDICTS, Desk, desk
from hub.inspection.sheets import said as said_in
from hub.inspection.states import STEPS, State, check_step
from protocol.clearing import encode_evidence
from protocol.clearing_kinds import Evaluation, Release
from protocol.errors import MalformedError, RefusedError
from protocol.kinds import Body

Verdict = Literal["pass", "treat", "rectify", "re-inspect", "return", "destroy", "detain", "case"]
_TOLD: Mapping[str, Kind] = {"treat": TREAT, "return": RETURN, "detain": DETAIN}
_STANDING = {State.DETAINED: DETAIN, State.TREATMENT: TREAT, State.RETURN: RETURN}  # what else than a hold goods are under
HOLD_RULE, RELEASE_RULE, RECALL_RULE = "hold/1", "release/1", "recall/1"
NOBODY_TO_TELL = "nobody to tell of a hold"
OVERRIDDEN, RECALLED = "release against the evidence", "release recalled"
MAX_REASON, MAX_FINDINGS = 1000, 4000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision came to: where the declaration stands, and the places of the records it logged."""

    number: str
    state: State
    position: int
    root: bytes | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """An evaluation that was made; what its sheet says is None where that was erased."""

    position: int
    verdict: str
    wall_ns: int
    by: str | None
    reason: str | None
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Act:
    """A release, an override or a recall; as for `Judgement`."""

    position: int
    act: str
    wall_ns: int
    rule: str | None
    size: int
    root: bytes
    items: int
    by: str | None
    second: str | None
    reason: str | None
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """What was judged and done of a declaration."""

    judgements: tuple[Judgement, ...]
    acts: tuple[Act, ...]


@dataclass(slots=True)
class Releases:
    """Evaluations and releases of one port."""

    core: Core
    sources: Sources = field(default_factory=Sources)

    async def judged(self, number: str) -> Judged:
        """Give how a declaration stands now and what is missing, with the evidence found; raise RefusedError when there is none."""
        size = self.core.sequencer.size
        return await self.core.database.read(lambda connection: judge(connection, size, number, self.sources))

    async def desk(self, limit: int = 100) -> Desk:
        """Give the release desk: ready, blocked, overridden."""
        size = self.core.sequencer.size
        return await self.core.database.read(lambda connection: desk(connection, size, self.sources, limit))

    async def past(self, number: str) -> Past:
        """Give what was judged and released of a declaration, in order, with what the sheets say."""
        return await self.core.database.read(lambda connection: _past(connection, number))

    async def evidence(self, root: bytes) -> bytes:
        """Give the list of what a release rests on, by its root; raise RefusedError when there is none."""
        found = await self.core.database.read(lambda connection: tables.evidence(connection, root))
        if found is None:
            raise RefusedError("is not known", where=f"evidence {root.hex()}")
        return found

    async def evaluate(self, number: str, verdict: Verdict, by: str, reason: str, findings: Sequence[str] = ()) -> Outcome:
        """Judge an inspection, and take the step that follows; raise RefusedError naming the guard that does not hold."""
        if verdict not in get_args(Verdict):
            raise MalformedError(f"is none of {', '.join(get_args(Verdict))}", where="verdict")
        if len(findings) > 100 or any(not 1 <= len(one) <= MAX_FINDINGS for one in findings):
            raise MalformedError(f"up to 100 findings of 1 to {MAX_FINDINGS} characters", where="findings")
        said = {"by": by, "reason": _reason(reason), "findings": list(findings), "verdict": verdict}

        def decide(effects: Effects) -> None:
            judged = judge(effects.connection, effects.size, number, self.sources)
            path = _path(judged, VERDICTS[verdict], by)
            if verdict == "pass" and judged.laboratory:
                raise RefusedError("; ".join(judged.laboratory), where=f"declaration {number}")
            place = effects.add(number, Evaluation(verdict, effects.size, effects.sheet(said)))
            for state in path:
                effects.step(number, state, {"by": by, "evaluation": place})
            if verdict in _TOLD:
                tell_port(effects, self.core.settings.exchange, _TOLD[verdict], Told(number, place))

        return await self._decided(number, decide)

    async def approve(self, number: str, by: str, reason: str = "") -> Outcome:
        """Release by a person who was not on the inspection; raise RefusedError with everything that stands against it."""
        return await self._release(number, {"by": by, "reason": _reason(reason, needed=False)}, by, None)

    async def release_by_rule(self, number: str) -> Outcome:
        """Release what needs no person: goods of a direct lane, and what a person outside the inspection passed with full evidence."""
        return await self._release(number, {}, None, RELEASE_RULE)

    async def _release(self, number: str, said: dict[str, Any], by: str | None, rule: str | None) -> Outcome:
        def decide(effects: Effects) -> None:
            if rule is not None:
                self._check_rule(effects, number)
            read_boxes_of(effects.connection)
            cleared = clear(effects.connection, effects.size, number, self.sources, by)
            self._log_release(effects, cleared, said, rule)

        return await self._decided(number, decide)

    def _check_rule(self, effects: Effects, number: str) -> None:
        """Refuse what a rule may not release: what was passed by somebody of the inspection needs a second pair of eyes."""
        state = effects.standing(number).state
        if state is State.DIRECT_RELEASE:
            return
        if state is not State.PASSED:
            raise RefusedError(f"stands at {state}: a person decides", where=f"declaration {number}")
        judge_name = _judge_of(effects.connection, number)
        if judge_name is None or judge_name in self.sources.inspectors(effects.connection, number):
            raise RefusedError("was passed by somebody of the inspection: another person must approve", where=f"declaration {number}")

    async def override(self, number: str, by: str, second: str, reason: str) -> Outcome:
        """Release against the evidence, by two persons who answer for it; raise RefusedError where even they cannot."""
        if by == second:
            raise RefusedError("needs a second person", where="second")
        said = {"by": by, "second": second, "reason": _reason(reason)}

        def decide(effects: Effects) -> None:
            read_boxes_of(effects.connection)
            cleared = clear_against_evidence(effects.connection, effects.size, number, self.sources, (by, second))
            self._log_release(effects, cleared, said, None)
            effects.alarm(OVERRIDDEN, number, "; ".join(cleared.overridden))

        return await self._decided(number, decide)

    def _log_release(self, effects: Effects, cleared: Cleared, said: Mapping[str, Any], rule: str | None) -> None:
        """Log the steps, the record of the release and the messages, behind one another."""
        number, words = cleared.number, dict(said) | ({"against": list(cleared.overridden)} if cleared.overridden else {})
        if effects.standing(number).state is not State.RELEASE_APPROVED:
            effects.step(number, State.RELEASE_APPROVED, words, rule)
        effects.step(number, State.RELEASED, words, rule)
        tables.keep_evidence(effects.connection, cleared.root, encode_evidence(cleared.lines))
        act: Literal["released", "overridden"] = "overridden" if cleared.overridden else "released"
        body = Release(act, cleared.size, cleared.root, len(cleared.lines), effects.sheet(words), rule)
        place = effects.add(number, body)
        tell_release(effects, self.core.settings.exchange, cleared, place, self.core.sequencer.origin)

    async def refuse(self, number: str, by: str, reason: str) -> Outcome:
        """Refuse a release: what was inspected is inspected again, what was not is looked at by a person."""
        said = {"by": by, "reason": _reason(reason)}

        def decide(effects: Effects) -> None:
            judged = judge(effects.connection, effects.size, number, self.sources)
            to = State.DOC_CHECK if judged.standing.state is State.DIRECT_RELEASE else State.RE_INSPECT
            check_step(judged.standing, to, by)
            if by in judged.standing.inspectors:
                raise RefusedError(f"{by} was on the inspection: somebody else must decide", where=f"declaration {number}")
            effects.step(number, to, said)

        return await self._decided(number, decide)

    async def recall(self, number: str, reason: str, by: str | None = None) -> Outcome:
        """Take a release back before the goods are out of the gate, by a person or (None) by rule."""
        said = {"reason": _reason(reason)} | ({} if by is None else {"by": by})

        def decide(effects: Effects) -> None:
            judged = judge(effects.connection, effects.size, number, self.sources)
            check_step(judged.standing, State.RECALLED, by)
            if by is None and not bad(judged):
                raise RefusedError("nothing stands against it any more", where=f"declaration {number}")
            self._log_recall(effects, number, said, None if by is not None else RECALL_RULE)

        return await self._decided(number, decide)

    def _log_recall(self, effects: Effects, number: str, said: Mapping[str, Any], rule: str | None) -> None:
        released = tables.releases_of(effects.connection, number)
        last = next((row for row in reversed(released) if row["act"] != "recalled"), None)
        root, items = (bytes(last["root"]), last["items"]) if last is not None else (bytes(32), 0)
        effects.step(number, State.RECALLED, said, rule)
        place = effects.add(number, Release("recalled", effects.size, root, items, effects.sheet(said), rule))
        tell_port(effects, self.core.settings.exchange, RECALL, Told(number, place))
        effects.alarm(RECALLED, number, str(said["reason"]))

    async def look_back(self, number: str) -> Outcome | None:
        """Recall a release whose evidence went bad; give what was done, None when all is well."""
        judged = await self.judged(number)
        if judged.standing.state is not State.RELEASED or not bad(judged):
            return None
        answered = await self.core.database.read(lambda connection: _answered_for(connection, number))
        if answered is not None and not _new(judged, answered):
            return None
        return await self.recall(number, "; ".join(bad(judged))[:MAX_REASON])

    async def hold(self, number: str) -> Outcome:
        """Hold what was selected, and tell the port; raise RefusedError when there is nobody to tell."""

        def decide(effects: Effects) -> None:
            check_step(effects.standing(number), State.HELD)
            if not listeners(effects.connection):
                raise RefusedError("no terminal is known to tell of the hold", where=f"declaration {number}")
            place = effects.step(number, State.HELD, {"why": "selected"}, HOLD_RULE)
            tell_port(effects, self.core.settings.exchange, HOLD, Told(number, place))

        return await self._decided(number, decide)

    async def hold_added(self, number: str) -> Outcome | None:
        """Tell the port of boxes that came to goods on hold; give None where it knows all of them.

        The notice is of the kind that stands: what is detained stays detained. Raises RefusedError when there is nobody to tell.
        """

        def decide(effects: Effects) -> None:
            now = effects.standing(number)
            place, boxes = boxes_untold(effects.connection, number)
            if not now.held or not boxes:
                raise RefusedError("names no box that the port was not told to hold", where=f"declaration {number}")
            if not tell_port(effects, self.core.settings.exchange, _STANDING.get(now.state, HOLD), Told(number, place)):
                raise RefusedError(f"no terminal is known to tell of box {boxes[0]}", where=f"declaration {number}")

        _, boxes = await self.core.database.read(lambda connection: boxes_untold(connection, number))
        return await self._decided(number, decide) if boxes else None

    async def position(self, number: str, bay: str, by: str, reason: str) -> Outcome:
        """Say by hand that the goods stand in a bay, where the terminal did not."""
        said = {"by": by, "reason": _reason(reason), "place": bay}

        def decide(effects: Effects) -> None:
            find(effects.connection, "bay", bay)
            check_step(effects.standing(number), State.POSITIONED, by)
            effects.step(number, State.POSITIONED, said)

        return await self._decided(number, decide)

    async def _decided(self, number: str, decide: Callable[[Effects], None]) -> Outcome:
        made: list[Effects] = []

        def whole(connection: Connection, size: int) -> Sequence[tuple[str, Body]]:
            effects = Effects(connection, size, self.core.clock.now().wall_ns)
            made[:] = [effects]
            decide(effects)
            return effects.named

        logged = await self.core.sequencer.decide_all(whole)
        for kind, subject, detail in made[0].alarms:
            self.core.events.tell("alarm", kind=kind, subject=subject, detail=detail)
        mine = [one.record for one in logged if one.record.subject == number] or [one.record for one in logged]
        state = made[0].standing(number).state
        self.core.events.tell("declaration", declaration=number, state=state.value)
        root = next((record.body.root for record in mine if isinstance(record.body, Release)), None)
        return Outcome(number, state, mine[-1].position, root)


def bad(judged: Judged) -> list[str]:
    """Give what stands against goods that were released already: evidence that is missing now, a hold, a bad report."""
    found = [f"must-record {name} is missing or not verified" for name in judged.standing.missing]
    return found + [f"{authority} holds it" for authority in sorted(judged.standing.holds)] + list(judged.laboratory)


def _past(connection: Connection, number: str) -> Past:
    judgements = []
    for row in tables.evaluations_of(connection, number):
        sheet = said_in(connection, bytes(row["sheet"])) or {}
        words = (sheet.get("by"), sheet.get("reason"), tuple(sheet.get("findings", ())))
        judgements.append(Judgement(row["position"], row["verdict"], row["wall_ns"], *words))
    acts = []
    for row in tables.releases_of(connection, number):
        sheet = said_in(connection, bytes(row["sheet"])) or {}
        facts = (row["position"], row["act"], row["wall_ns"], row["rule"], row["size"], bytes(row["root"]), row["items"])
        acts.append(Act(*facts, sheet.get("by"), sheet.get("second"), sheet.get("reason"), tuple(sheet.get("against", ()))))
    return Past(tuple(judgements), tuple(acts))


def _new(judged: Judged, answered: Sequence[str]) -> bool:
    """Tell whether more stands against an overridden release than missing evidence, and what two persons answered for by name."""
    return bool(judged.standing.holds or set(judged.laboratory) - set(answered))


def _answered_for(connection: Connection, number: str) -> Sequence[str] | None:
    """Give what two persons answered for, where a declaration was released last against the evidence; else None."""
    rows = tables.releases_of(connection, number)
    if not rows or rows[-1]["act"] != "overridden":
        return None
    return tuple((said_in(connection, bytes(rows[-1]["sheet"])) or {}).get("against", ()))


def _judge_of(connection: Connection, number: str) -> str | None:
    """Give who passed it last; None where that was erased."""
    rows = tables.evaluations_of(connection, number)
    sheet = said_in(connection, bytes(rows[-1]["sheet"])) if rows else None
    return None if sheet is None else sheet.get("by")


def _path(judged: Judged, to: State, by: str) -> list[State]:
    """Give the steps to what a verdict asks for: a measure follows a failed inspection."""
    now = judged.standing
    path = [to]
    if to not in STEPS[now.state] and State.FAILED in STEPS[now.state] and to in STEPS[State.FAILED]:
        path = [State.FAILED, to]
    check_step(now, path[0], by)
    return path


def _reason(text: str, *, needed: bool = True) -> str:
    if (needed and not text.strip()) or len(text) > MAX_REASON:
        raise MalformedError(f"a reason has 1 to {MAX_REASON} characters", where="reason")
    return text.strip()
