"""Follow samples from the goods to the laboratory and its report: drawn, sealed, handed over, received, reported on, or given up.

Guarantees: each act is a record whose guard is judged in the transaction that logs it; nothing is reported of a sample that the laboratory
did not receive sound; a broken seal is a finding that stays until two persons give the sample up; only the laboratory that it is for
receives a sample and reports on it. The declaration takes its steps by rule, in the same transaction.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select

from hub.core import Core
from hub.inspection import entries
from hub.inspection.declarations import Declarations
from hub.inspection.draw_pools import team_of
from hub.inspection.fieldwork.tables import inspectors_of
from hub.inspection.rule_sets import SetOfRules, document_on, listed, next_version
from hub.inspection.sample_plans import plan_of
from hub.inspection.sample_tables import LabState, act_rows, lab_of, sample_row, samples_of
from hub.inspection.sampling.shipped import KEY, sampling_rules, shipped_document
from hub.inspection.sheets import keep, said
from hub.inspection.standings import standing_row
from hub.inspection.states import State
from protocol.conduct_kinds import RuleSet, Sample
from protocol.errors import MalformedError, RefusedError
from protocol.inspection_kinds import Step
from protocol.instants import SECOND_NS
from protocol.kinds import Body
from protocol.sheets import SALT_BYTES, make_sheet
from storage.conduct_schema import samples

RULE = "laboratory/1"
BROKEN, POSITIVE = "sample seal broken", "laboratory positive"
MAX_SAMPLES = 500  # of one declaration
MAX_LISTED = 500
Act = Literal["drawn", "sealed", "handed-over", "received", "reported", "voided"]
_BEFORE: Mapping[Act, tuple[str, ...]] = {
    "sealed": ("drawn",),
    "handed-over": ("sealed",),
    "received": ("handed-over",),
    "reported": ("received",),
    "voided": ("drawn", "sealed", "handed-over", "received"),
}
_DRAWING = (State.INSPECTING, State.SAMPLED)


@dataclass(frozen=True, slots=True)
class SampleDraft:
    """A sample as it is drawn: from which line, box and packages, how much of what, for which tests of which laboratory.

    `signatures`: what refers to the sampler's and the owner's signature (an act, a file's hash), or why the owner refused.
    """

    laboratory: str
    what: str
    amount: str
    unit: str
    line: int | None = None
    box: str | None = None
    packages: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    cold: bool = False
    signatures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the laboratory reports: its own number, values by name, verdict, and the hash of the report's file."""

    number: str
    verdict: Literal["negative", "positive"]
    values: tuple[tuple[str, str], ...]
    sha256: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class SampleAct:
    """An act on a sample; `said`: who, and what of it; None where that was erased."""

    act: str
    position: int
    wall_ns: int
    said: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SampleFact:
    """A sample as it stands, with its chain of custody in order."""

    number: str
    declaration: str
    state: str
    laboratory: str | None
    sound: bool | None
    verdict: str | None
    report: str | None
    drawn_ns: int
    changed_ns: int
    acts: tuple[SampleAct, ...] = ()


@dataclass(frozen=True, slots=True)
class Laboratory:
    """The samples of one port."""

    core: Core
    declarations: Declarations

    # ---------------------------------------------------------------------------------------------------- on the site

    async def draw(self, declaration: str, draft: SampleDraft, by: str) -> SampleFact:
        """Draw a sample; the declaration then stands at `sampled`. Raises RefusedError outside an inspection, or for one not on it."""
        words = _drawn_words(draft) | {"by": by}
        sheet = make_sheet(words, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> list[tuple[str, Body]]:
            state = State(standing_row(connection, declaration)["state"])
            if state not in _DRAWING:
                raise RefusedError(f"stands at {state}: samples are drawn while it is inspected", where=f"declaration {declaration}")
            _need_on_inspection(connection, declaration, by)
            _need_laboratory(connection, draft.laboratory)
            known = len(samples_of(connection, declaration))
            if known >= MAX_SAMPLES:
                raise RefusedError(f"has {known} samples, the most there can be", where=f"declaration {declaration}")
            keep(connection, sheet)
            number = f"{declaration}-S{known + 1:02d}"
            record: Body = Sample("drawn", declaration, sheet.commitment, draft.laboratory)
            return [(number, record), *_steps(connection, declaration, {number: "drawn"})]

        return await self._told((await self.core.sequencer.decide_all(decide))[0].record.subject)

    async def seal(self, number: str, by: str, seal: str, *, oversees: bool = False) -> SampleFact:
        """Seal a sample, with the number of its seal; raise RefusedError for one not on the inspection, unless they oversee it."""
        return await self._act(number, "sealed", {"by": by, "seal": _line(seal, "seal")}, on_it=not oversees)

    async def hand_over(self, number: str, by: str, to: str, note: str = "", *, oversees: bool = False) -> SampleFact:
        """Hand a sealed sample over, to somebody by name; of the last one the declaration waits for the laboratory. Raises as `seal`."""
        words = {"by": by, "to": _line(to, "to"), "note": note.strip()[:1000]}
        return await self._act(number, "handed-over", words, on_it=not oversees)

    async def void(self, number: str, by: str, second: str, reason: str) -> SampleFact:
        """Give a sample up, by two persons: lost, broken, drawn by mistake. Raises RefusedError once it is reported on."""
        if not second.strip() or by == second:
            raise RefusedError("needs a second person", where="second")
        return await self._act(number, "voided", {"by": by, "second": second, "reason": _line(reason, "reason", 1000)})

    # -------------------------------------------------------------------------------------------------- at the laboratory

    async def receive(self, number: str, laboratory: str, by: str, *, sealed: bool, fit: bool, note: str = "") -> SampleFact:
        """Confirm that a sample came, whether its seal was whole and its condition fit; if not, it is a finding and rings."""
        words = {"by": by, "sealed": sealed, "fit": fit, "note": note.strip()[:1000]}
        found = await self._act(number, "received", words, laboratory=laboratory, sound=sealed and fit)
        if found.sound is False:
            what = "seal broken" if not sealed else "condition not fit"
            await self.core.alarms.ring(BROKEN, number, f"{what} when {laboratory} received it")
        return found

    async def report(self, number: str, laboratory: str, by: str, finding: Finding) -> SampleFact:
        """Report on a sample; raise RefusedError for one that was not received, or not sound."""
        words: dict[str, Any] = {"by": by, "number": _line(finding.number, "number"), "remark": finding.remark.strip()[:1000]}
        words |= {"values": [[_line(name, "values"), _line(value, "values")] for name, value in finding.values[:200]]}
        report = _sha256(finding.sha256)
        found = await self._act(number, "reported", words, laboratory=laboratory, verdict=finding.verdict, report=report)
        if finding.verdict == "positive":
            await self.core.alarms.ring(POSITIVE, number, f"{laboratory}: report {finding.number}")
        return found

    async def _act(
        self,
        number: str,
        act: Act,
        words: dict[str, Any],
        *,
        laboratory: str | None = None,
        on_it: bool = False,
        **found: Any,  # noqa: ANN401 - fields of the record
    ) -> SampleFact:
        sheet = make_sheet(words, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> list[tuple[str, Body]]:
            row = sample_row(connection, number)
            if on_it:
                _need_on_inspection(connection, row["declaration"], words["by"])
            _check_act(row, act, laboratory)
            keep(connection, sheet)
            record: Body = Sample(act, row["declaration"], sheet.commitment, **found)
            return [(number, record), *_steps(connection, row["declaration"], {number: act})]

        await self.core.sequencer.decide_all(decide)
        return await self._told(number)

    async def _told(self, number: str) -> SampleFact:
        found = await self.get(number)
        self.core.events.tell("sample", sample=number, declaration=found.declaration, state=found.state)
        self.core.events.tell(
            "declaration", declaration=found.declaration, state=(await self.declarations.get(found.declaration)).state.value
        )
        return found

    # ------------------------------------------------------------------------------------------------------- what is told

    async def get(self, number: str) -> SampleFact:
        """Give a sample with its chain of custody; raise RefusedError when there is none of this number."""
        return await self.core.database.read(lambda connection: _whole(connection, sample_row(connection, number)))

    async def list(self, *, declaration: str | None = None, laboratory: str | None = None, limit: int = 100) -> Sequence[SampleFact]:
        """Give samples, the last drawn first, without their chain."""
        wishes = [] if declaration is None else [samples.c.declaration == declaration]
        wishes += [] if laboratory is None else [samples.c.laboratory == laboratory]
        query = select(samples).where(*wishes).order_by(samples.c.drawn_ns.desc(), samples.c.sample.desc()).limit(min(limit, MAX_LISTED))
        rows = await self.core.database.read(lambda connection: connection.execute(query).mappings().all())
        return [_fact(row) for row in rows]

    async def plan(self, declaration: str) -> Mapping[str, Any] | None:
        """Give the plan by which a declaration is sampled; None where it was not selected."""
        return await self.core.database.read(lambda connection: plan_of(connection, declaration))

    async def state(self, declaration: str) -> LabState:
        """Give what the laboratory knows of a declaration's samples."""
        return await self.core.database.read(lambda connection: lab_of(connection, declaration))

    async def set_rules(self, document: bytes, by: str, second: str, reason: str) -> int:
        """Put rules of sampling in force from their day on, by two persons; raise as `hub.credits.set_rules`."""
        if not second.strip() or by == second:
            raise RefusedError("needs a second person", where="second")
        rules = sampling_rules(document)
        if rules.key != KEY:
            raise MalformedError(f"is not {KEY}", where="key")
        sheet = make_sheet({"by": by, "second": second, "reason": _line(reason, "reason", 1000)}, os.urandom(SALT_BYTES))

        def decide(connection: Connection, _size: int) -> tuple[str, RuleSet]:
            wanted = next_version(connection, "sampling", KEY, sampling_rules(None).version)
            if rules.version != wanted:
                raise RefusedError(f"the next version is {wanted}, not {rules.version}", where=f"rule set {KEY}")
            keep(connection, sheet)
            return f"sampling/{KEY}/{rules.version}", RuleSet("sampling", document, sheet.commitment)

        return (await self.core.sequencer.decide(decide)).record.position

    async def rules(self) -> tuple[bytes, Sequence[SetOfRules]]:
        """Give the rules of sampling in force now, as their canonical text, and those that people set."""

        def read(connection: Connection) -> tuple[bytes, Sequence[SetOfRules]]:
            today = datetime.fromtimestamp(self.core.clock.now().wall_ns // SECOND_NS, UTC).date().isoformat()
            return document_on(connection, "sampling", KEY, today) or shipped_document(), listed(connection, "sampling", KEY)

        return await self.core.database.read(read)


def _steps(connection: Connection, declaration: str, changed: Mapping[str, str]) -> list[tuple[str, Body]]:
    """Give the steps that a declaration takes with what is done to its samples: sampled with the first, to the laboratory with the last."""
    state = State(standing_row(connection, declaration)["state"])
    states = {row["sample"]: row["state"] for row in samples_of(connection, declaration)} | dict(changed)
    standing = {number: state for number, state in states.items() if state != "voided"}
    wanted: list[State] = []
    if state is State.INSPECTING and standing:
        wanted.append(State.SAMPLED)
    if (wanted or state is State.SAMPLED) and standing and not set(standing.values()) & {"drawn", "sealed"}:
        wanted.append(State.LAB_PENDING)
    if state is State.SAMPLED and not standing:
        wanted.append(State.INSPECTING)
    found: list[tuple[str, Body]] = []
    for to in wanted:
        sheet = make_sheet({"samples": sorted(standing)}, os.urandom(SALT_BYTES))
        keep(connection, sheet)
        found.append((declaration, Step(to, sheet.commitment, RULE)))
    return found


def _need_on_inspection(connection: Connection, declaration: str, by: str) -> None:
    """Check that somebody was drawn for an inspection or took it over; raise RefusedError. Where nobody is on it anybody may act."""
    people = inspectors_of(connection, declaration) | set(team_of(connection, declaration))
    if people and by not in people:
        raise RefusedError("is not on this inspection", where=by)


def _check_act(row: RowMapping, act: Act, laboratory: str | None) -> None:
    """Check that a sample may be acted on so, and by this laboratory where one acts; raise RefusedError."""
    where = f"sample {row['sample']}"
    if laboratory is not None and laboratory != row["laboratory"]:
        raise RefusedError("is for another laboratory", where=where)
    if row["state"] not in _BEFORE[act]:
        raise RefusedError(f"is {row['state']}: it must be {' or '.join(_BEFORE[act])} before it is {act}", where=where)
    if act == "reported" and row["sound"] is not True:
        raise RefusedError("did not arrive sound: nothing can be reported on it", where=where)


def _need_laboratory(connection: Connection, key: str) -> None:
    row = entries.newest(connection, "partner", key)
    words = None if row is None or row["retired"] else said(connection, bytes(row["sheet"]))
    if words is None or words.get("entry", {}).get("role") != "laboratory":
        raise RefusedError("is no laboratory among the partners", where=f"laboratory {key[:64]}")


def _fact(row: RowMapping, acts: tuple[SampleAct, ...] = ()) -> SampleFact:
    names = ("declaration", "state", "laboratory", "sound", "verdict", "drawn_ns", "changed_ns")
    report = None if row["report"] is None else bytes(row["report"]).hex()
    return SampleFact(number=row["sample"], report=report, acts=acts, **{name: row[name] for name in names})


def _whole(connection: Connection, row: RowMapping) -> SampleFact:
    rows = act_rows(connection, row["sample"])
    return _fact(row, tuple(SampleAct(one["act"], one["position"], one["wall_ns"], said(connection, bytes(one["sheet"]))) for one in rows))


def _drawn_words(draft: SampleDraft) -> dict[str, Any]:
    if draft.line is not None and not 1 <= draft.line <= 10_000:
        raise MalformedError("is no line of goods", where="line")
    strange = set(draft.signatures) - {"sampler", "owner", "owner_name", "refused"}
    if strange:
        raise MalformedError(f"{sorted(strange)[0][:40]} is no signature", where="signatures")
    return {
        "what": _line(draft.what, "what"),
        "amount": _line(draft.amount, "amount", 40),
        "unit": _line(draft.unit, "unit", 20),
        "line": draft.line,
        "box": None if draft.box is None else _line(draft.box, "box", 20),
        "packages": [_line(one, "packages", 40) for one in draft.packages[:1000]],
        "tests": [_line(one, "tests") for one in draft.tests[:50]],
        "cold": draft.cold,
        "signatures": {name: _line(text, "signatures", 400) for name, text in draft.signatures.items()},
    }


def _line(text: str, where: str, most: int = 200) -> str:
    if not text.strip() or len(text) > most:
        raise MalformedError(f"has 1 to {most} characters", where=where)
    return text.strip()


def _sha256(text: str) -> bytes:
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise MalformedError("is no SHA-256 in hex", where="sha256")
    return bytes.fromhex(text)
