"""Ask the other parts of an inspection what the evidence gate must know, and tell credit of what went out of the gate unreleased.

Guarantees: all is read within the transaction that decides; a report that was answered by treatment since stands no longer in the way.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, select

from hub.exchange.effects import Effects
from hub.inspection.credit import CreditDraft, stage_credit
from hub.inspection.releasing.clearing import Sources
from hub.inspection.sample_tables import lab_of, samples_of
from hub.inspection.states import State
from protocol.clearing import record_line
from protocol.errors import MalformedError
from protocol.instants import Instant
from storage.schema import declarants, declaration_steps, leaves

GATE_OUT_ITEM = "gate-out-without-release"
CREDIT_RULE = "gate-out/1"
NOT_COUNTED = "credit event not put on record"
_ANSWERED_BY = (State.TREATMENT.value, State.RECTIFY.value)


def laboratory(connection: Connection, number: str) -> Sequence[str]:
    """Say which samples stand in the way: without report, with a broken chain, or positive and not treated since."""
    state = lab_of(connection, number)
    mine = (declaration_steps.c.declaration == number, declaration_steps.c.act.in_(_ANSWERED_BY))
    answered = connection.execute(select(func.max(declaration_steps.c.position)).where(*mine)).scalar()
    places = {row["sample"]: row["position"] for row in samples_of(connection, number)}
    positive = tuple(one for one in state.positive if answered is None or places[one] > answered)
    return replace(state, positive=positive).obstacles()


def samples_evidence(connection: Connection, number: str) -> Sequence[str]:
    """Give the evidence of samples: their newest records."""
    places = [row["position"] for row in samples_of(connection, number)]
    query = select(leaves).where(leaves.c.position.in_(places))
    return [record_line(row.issuer, row.epoch, row.record_position, bytes(row.leaf)) for row in connection.execute(query)]


def sources() -> Sources:
    """Give what the gate asks."""
    return Sources(laboratory=laboratory, evidence=samples_evidence)


def count_gate_out(effects: Effects, declaration: str, message: int) -> None:
    """Put a gate-out without release on the declarant's record, in the transaction of the message that told it."""
    mine = select(declarants.c.enterprise).where(declarants.c.declaration == declaration)
    enterprise = effects.connection.execute(mine).scalar()
    if enterprise is None:
        return
    evidence = (f"message {message}", f"declaration {declaration}")
    draft = CreditDraft(enterprise, GATE_OUT_ITEM, f"{declaration} left the port without release", evidence)
    try:
        stage_credit(effects.connection, draft, Instant(effects.now_ns, 0, "synced", 0), CREDIT_RULE)
    except MalformedError as error:  # a port's own rule sets may have no such item
        effects.alarm(NOT_COUNTED, declaration, str(error))
