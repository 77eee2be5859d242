"""Say how a declaration moves from lodging to archive, and what must be true before it may.

Guarantees: no step is taken that the table does not name, and none whose guard does not hold; a declaration that was selected stays
selected, whatever is amended; nothing is released while a must-record is missing, a hold is open or the approver was on the
inspection. All is a pure function of a `Standing`, so the hub decides it in the transaction that logs the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from protocol.errors import RefusedError


class State(StrEnum):
    """Where a declaration stands; the codes of container work and of CUSRES (GIS) are in the reference."""

    LODGED = "lodged"
    REJECTED = "rejected"
    ACCEPTED = "accepted"
    SCREENED = "screened"
    DIRECT_RELEASE = "direct-release"
    DOC_CHECK = "doc-check"
    SELECTED = "selected"
    HELD = "held"
    DISPATCHED = "dispatched"
    POSITIONED = "positioned"
    PAIRED = "paired"
    INSPECTING = "inspecting"
    SAMPLED = "sampled"
    LAB_PENDING = "lab-pending"
    TREATMENT = "treatment"
    PASSED = "passed"
    FAILED = "failed"
    RECTIFY = "rectify"
    RE_INSPECT = "re-inspect"
    RETURN = "return"
    DESTROY = "destroy"
    DETAINED = "detained"
    MOVED_UNDER_CONTROL = "moved-under-control"
    CASE_FILED = "case-filed"
    RELEASE_APPROVED = "release-approved"
    RELEASED = "released"
    RECALLED = "recalled"
    GATE_OUT = "gate-out"
    FOLLOW_UP = "follow-up"
    WITHDRAWN = "withdrawn"
    ARCHIVED = "archived"


S = State
_MEASURES = (S.RECTIFY, S.RE_INSPECT, S.RETURN, S.DESTROY, S.DETAINED, S.MOVED_UNDER_CONTROL, S.CASE_FILED, S.TREATMENT)
_VERDICTS = (S.PASSED, S.FAILED)

STEPS: Mapping[State, tuple[State, ...]] = {
    S.LODGED: (S.ACCEPTED, S.REJECTED, S.WITHDRAWN),
    S.REJECTED: (S.ARCHIVED,),
    S.ACCEPTED: (S.SCREENED, S.REJECTED, S.WITHDRAWN),
    S.SCREENED: (S.DIRECT_RELEASE, S.DOC_CHECK, S.SELECTED, S.WITHDRAWN),
    S.DIRECT_RELEASE: (S.RELEASE_APPROVED, S.DOC_CHECK, S.SELECTED, S.WITHDRAWN),
    S.DOC_CHECK: (*_VERDICTS, S.SELECTED, S.WITHDRAWN),
    S.SELECTED: (S.HELD, S.WITHDRAWN),
    S.HELD: (S.DISPATCHED, S.WITHDRAWN),
    S.DISPATCHED: (S.POSITIONED, S.WITHDRAWN),
    S.POSITIONED: (S.PAIRED, S.WITHDRAWN),
    S.PAIRED: (S.INSPECTING, S.WITHDRAWN),
    S.INSPECTING: (S.SAMPLED, S.TREATMENT, S.RE_INSPECT, *_VERDICTS, S.WITHDRAWN),
    S.SAMPLED: (S.LAB_PENDING, S.INSPECTING, S.WITHDRAWN),
    S.LAB_PENDING: (S.TREATMENT, S.RE_INSPECT, *_VERDICTS, S.WITHDRAWN),
    S.TREATMENT: (S.RE_INSPECT, *_VERDICTS, S.WITHDRAWN),
    S.PASSED: (S.RELEASE_APPROVED, S.RE_INSPECT, S.FAILED, S.WITHDRAWN),
    S.FAILED: (*_MEASURES, S.WITHDRAWN),
    S.RECTIFY: (S.RE_INSPECT, *_VERDICTS, S.WITHDRAWN),
    S.RE_INSPECT: (S.DISPATCHED, S.INSPECTING, S.WITHDRAWN),
    S.RETURN: (S.GATE_OUT, S.DETAINED, S.ARCHIVED),
    S.DESTROY: (S.FOLLOW_UP, S.ARCHIVED),
    S.DETAINED: (S.RE_INSPECT, S.RETURN, S.DESTROY, S.MOVED_UNDER_CONTROL, S.CASE_FILED),
    S.MOVED_UNDER_CONTROL: (S.RE_INSPECT, S.DETAINED, S.RETURN, S.DESTROY, S.CASE_FILED),
    S.CASE_FILED: (S.RE_INSPECT, S.DETAINED, S.RETURN, S.DESTROY, S.ARCHIVED),
    S.RELEASE_APPROVED: (S.RELEASED, S.RECALLED, S.WITHDRAWN),
    S.RELEASED: (S.GATE_OUT, S.RECALLED),
    S.RECALLED: (S.RE_INSPECT, S.FAILED, S.RELEASE_APPROVED),
    S.GATE_OUT: (S.FOLLOW_UP, S.ARCHIVED),
    S.FOLLOW_UP: (S.ARCHIVED,),
    S.WITHDRAWN: (S.ARCHIVED,),
    S.ARCHIVED: (),
}

BEFORE_SELECTION = frozenset({S.LODGED, S.ACCEPTED, S.SCREENED, S.DIRECT_RELEASE, S.DOC_CHECK})
AFTER_RELEASE = frozenset({S.RELEASED, S.GATE_OUT, S.FOLLOW_UP, S.ARCHIVED, S.REJECTED, S.WITHDRAWN, S.RETURN, S.DESTROY, S.CASE_FILED})
JUDGED = frozenset({S.PASSED, S.FAILED, S.RELEASE_APPROVED, S.RECALLED})
OVERRIDABLE = frozenset(  # from where two persons may release against the evidence, and answer for it
    {S.DIRECT_RELEASE, S.DOC_CHECK, S.HELD, S.DISPATCHED, S.POSITIONED, S.PAIRED, S.INSPECTING, S.SAMPLED, S.LAB_PENDING, S.TREATMENT}
    | {S.PASSED, S.RECTIFY, S.RE_INSPECT, S.RELEASE_APPROVED, S.RECALLED}
)


@dataclass(frozen=True, slots=True)
class Standing:
    """All that guards look at.

    `held`: our own hold is in force at the port, as it is from selection to release; `holds`: other authorities with an open hold;
    `missing`: must-records that are not there or not verified; `inspectors`: who worked on the inspection; `direct`: screening
    allows release without inspection; `verdict`: of the newest evaluation; `laboratory`: what its samples have against passing it.
    """

    state: State
    selected: bool = False
    held: bool = False
    holds: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    inspectors: frozenset[str] = frozenset()
    direct: bool = False
    verdict: State | None = None
    laboratory: tuple[str, ...] = ()


def check_step(now: Standing, to: State, by: str | None = None) -> None:
    """Check that a declaration may take a step, by a person or (None) by rule; raise RefusedError saying why not."""
    if to not in STEPS[now.state]:
        possible = ", ".join(STEPS[now.state]) or "nothing"
        raise RefusedError(f"stands at {now.state}; from there it may go to {possible}, not to {to}", where="declaration")
    for reason in obstacles(now, to, by):
        raise RefusedError(reason, where="declaration")


def obstacles(now: Standing, to: State, by: str | None = None) -> list[str]:
    """Give every reason why the guard of a step does not hold; none when it does."""
    found: list[str] = []
    if to in (S.POSITIONED, S.DISPATCHED) and not now.held:
        found.append("no hold is in force: the port must hold it before a box is moved")
    if to is S.DIRECT_RELEASE and now.selected:
        found.append("it was selected, and stays so")
    if to in _VERDICTS or to in (S.RELEASE_APPROVED, S.RELEASED):
        found += [f"must-record {name} is missing or not verified" for name in now.missing]
    if to in (S.PASSED, S.RELEASE_APPROVED, S.RELEASED):
        found += now.laboratory
    if to in (S.RELEASE_APPROVED, S.RELEASED):
        found += _release_obstacles(now, by)
    return found


def _release_obstacles(now: Standing, by: str | None) -> list[str]:
    found = [f"{authority} holds it" for authority in sorted(now.holds)]
    if now.selected and now.verdict is not S.PASSED:
        found.append("it was selected, and no evaluation has passed it")
    if not now.selected and not now.direct and now.verdict is not S.PASSED:
        found.append("screening did not allow release without a check, and no evaluation has passed it")
    if by is not None and by in now.inspectors:
        found.append(f"{by} was on the inspection: somebody else must approve")
    return found


def after_amendment(now: Standing) -> State:
    """Give where an amended declaration stands: screened anew before selection; after it, what was judged is judged again.

    Raises RefusedError once it is released, or ended.
    """
    if now.state in AFTER_RELEASE:
        raise RefusedError(f"stands at {now.state}: it can no longer be amended", where="declaration")
    if now.state in BEFORE_SELECTION and not now.selected:
        return State.LODGED
    return State.RE_INSPECT if now.state in JUDGED else now.state


def can_amend(state: State) -> bool:
    """Tell whether a declaration that stands so may be amended at all."""
    return state not in AFTER_RELEASE


def diagram() -> str:
    """Draw the steps as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> lodged"]
    lines += [f"    {_name(state)} --> {_name(to)}" for state, onward in STEPS.items() for to in onward]
    lines += [f"    {_name(state)} --> [*]" for state, onward in STEPS.items() if not onward]
    return "\n".join(lines) + "\n"


def guards() -> dict[State, list[str]]:
    """Give for each state the sentences that may keep a declaration from it, as the guards themselves say them."""
    worst = {"holds": frozenset({"AUTHORITY"}), "missing": ("RECORD",), "inspectors": frozenset({"PERSON"})}
    found: dict[State, list[str]] = {}
    for state in State:
        for selected in (True, False):
            told = obstacles(Standing(State.LODGED, selected=selected, **worst), state, "PERSON")  # type: ignore[arg-type]
            mine = found.setdefault(state, [])
            mine += [sentence for sentence in told if sentence not in mine]
    return {state: sentences for state, sentences in found.items() if sentences}


def _name(state: State) -> str:
    return state.value.replace("-", "_")
