"""Ask the other parts of an inspection what the evidence gate must know, and tell credit of what went out of the gate unreleased.

Guarantees: all is read within the transaction that decides; a report that was answered by treatment since stands no longer in the way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, and_, func, select

from hub.exchange import tables as exchange
from hub.exchange.effects import Effects
from hub.inspection.credit import CreditDraft, stage_credit
from hub.inspection.fieldwork.completeness import judge_all, missing_of
from hub.inspection.fieldwork.footage import Film
from hub.inspection.fieldwork.tables import acts_of, all_tasks_of, form_of, inspectors_of, notes_of, task_of, tasks_of
from hub.inspection.releasing.clearing import Sources
from hub.inspection.sample_tables import lab_of, samples_of
from hub.inspection.sheets import said
from hub.inspection.states import State
from protocol.clearing import blob_line, record_line
from protocol.errors import MalformedError
from protocol.identifiers import Issuer, StreamId
from protocol.instants import Instant, Interval
from storage.schema import blobs, declarants, declaration_steps, leaves, records, segments, streams

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


def boxes(connection: Connection, number: str) -> Sequence[str]:
    """Say which boxes of a declaration are held under another one: what is told of the one would free the other."""
    mine = sorted({box["number"] for box in form_of(connection, number).get("containers", ())})
    return [f"box {box} is held under declaration {other}" for box, other in exchange.held_elsewhere(connection, number, mine)]


def people(connection: Connection, number: str) -> frozenset[str]:
    """Give everyone from whom evidence of an inspection comes: who was ever on it, and who entered what a system told."""
    sheets = (said(connection, bytes(row.sheet)) for row in notes_of(connection, number))
    return inspectors_of(connection, number) | {str(sheet["by"]) for sheet in sheets if sheet is not None and "by" in sheet}


def evidence(connection: Connection, number: str) -> Iterable[str]:
    """Give the evidence of an inspection: what was done on site and at the laboratory, the video of it, and the files that it names."""
    places = {row["position"] for row in samples_of(connection, number)}
    places |= {row.position for row in notes_of(connection, number)}
    tasks = all_tasks_of(connection, number)
    for task in tasks:
        places |= {task.position} | {row.position for row in acts_of(connection, task.task)}
    query = select(leaves).where(leaves.c.position.in_(sorted(places)))
    yield from (record_line(row.issuer, row.epoch, row.record_position, bytes(row.leaf)) for row in connection.execute(query))
    for judged in judge_all(connection, tasks_of(connection, number)):
        yield from (blob_line(bytes.fromhex(name)) for name in judged.facts.blobs)
    film = Film.of(connection, tasks)
    for linked in (film.recorders, film.cameras):
        for stream, parts in linked.items():
            yield from _video(connection, stream, parts)


def _video(connection: Connection, stream: StreamId, parts: Iterable[Interval]) -> Iterable[str]:
    """Give the records of a stream's segments within some stretches, and the files that are stored of them."""
    longest = connection.execute(select(streams.c.longest_segment_ns).where(streams.c.stream == stream)).scalar() or 0
    issuer = str(Issuer.of_box(stream.box))
    same = and_(records.c.issuer == issuer, records.c.epoch == segments.c.epoch, records.c.position == segments.c.position)
    columns = (segments.c.epoch, segments.c.position, segments.c.sha256, records.c.leaf, blobs.c.state)
    table = segments.join(records, same).outerjoin(blobs, blobs.c.sha256 == segments.c.sha256)
    for part in parts:
        inside = and_(segments.c.wall_from > part.start - longest - 1, segments.c.wall_from < part.end, segments.c.wall_to > part.start)
        for row in connection.execute(select(*columns).select_from(table).where(segments.c.stream == stream, inside)):
            yield record_line(issuer, row.epoch, row.position, bytes(row.leaf))
            if row.state == "stored":
                yield blob_line(bytes(row.sha256))


def sources() -> Sources:
    """Give what the gate asks."""
    return Sources(missing_of, people, task_of, laboratory, boxes, evidence)


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
