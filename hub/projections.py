"""Derive the hub's tables from records: pure rows from a record, and their insertion in the record's own transaction.

Guarantees: a projection row depends on its record alone, never on the order in which journals and log arrive; replaying all
records gives the same tables (`hub.check` compares, invariant S6).
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, select, update

from hub.exchange.tables import ExchangeBody, project_message
from hub.inspection.credit_tables import project_credit
from hub.inspection.draw_tables import DrawBody, project_draw
from hub.inspection.entries import project_reference
from hub.inspection.fieldwork.tables import WorkBody, project_site_task, project_work
from hub.inspection.published import project_procedure
from hub.inspection.releasing.tables import project_clearing
from hub.inspection.rule_tables import project_rule
from hub.inspection.sample_tables import project_sample
from hub.inspection.standings import project_step
from hub.inspection.supervision.tables import SupervisionBody, project_supervision
from hub.stream_hours import project_hours
from protocol import inspection_kinds as inspection
from protocol import kinds
from protocol.certificates import Certificate
from protocol.clearing_kinds import Evaluation, Release
from protocol.concealing import reveal
from protocol.conduct_kinds import Appeal, CreditEvent, RuleSet, Sample
from protocol.merkle import leaf_hash
from protocol.notes import SignedCheckpoint
from protocol.records import Record, SignedRecord
from protocol.rule_kinds import ProcedureAct, RuleAct
from storage import conduct_schema, exchange_schema, fieldwork_schema, schema
from storage.database import insert_many, insert_new, upsert
from storage.schema import stream_hours

Row = dict[str, Any]
Rows = list[tuple[Table, Row]]
FILES = "port/files"  # the subject of `Stored` records of files that people sent: no box, no person


def box_rows(record: Record) -> Rows:
    """Give the projection rows of a box's record, without the stream's summary."""
    make = _BOX_ROWS.get(type(record.body))
    if make is None:
        return []
    table, row = make(record, record.body)
    return [(table, {"box": record.issuer.name, "epoch": record.epoch, "position": record.position, **row})]


def _session(_: Record, body: kinds.Session) -> tuple[Table, Row]:
    return schema.sessions, {"key": body.key}


def _segment(record: Record, body: kinds.Segment) -> tuple[Table, Row]:
    row = {
        "stream": record.subject,
        "number": body.number,
        "sha256": body.sha256,
        "size": body.size,
        "wall_from": body.wall_from,
        "wall_to": body.wall_to,
        "run": body.run,
        "media_from": body.media_from,
        "frames": body.frames,
        "state": body.state,
        "bound": body.bound,
    }
    return schema.segments, row


def _gap(record: Record, body: kinds.Gap) -> tuple[Table, Row]:
    row = {"stream": record.subject, "cause": body.cause, "detail": body.detail, "wall_from": body.wall_from, "wall_to": body.wall_to}
    return schema.gaps, row


def _recording(record: Record, body: kinds.Recording) -> tuple[Table, Row]:
    row = {"stream": record.subject, "state": body.state, "cause": body.cause, "origin": body.origin, "wall_ns": record.at.wall_ns}
    return schema.recordings, row


def _bond(record: Record, body: kinds.Pairing) -> tuple[Table, Row]:
    row = {
        "task": record.subject,
        "stream": body.stream,
        "state": body.state,
        "by": body.by,
        "order_leaf": body.order,
        "late_from": body.late_from,
        "wall_ns": record.at.wall_ns,
    }
    return schema.bonds, row


_BOX_ROWS: dict[type[Any], Callable[[Record, Any], tuple[Table, Row]]] = {
    kinds.Session: _session,
    kinds.Segment: _segment,
    kinds.Gap: _gap,
    kinds.Recording: _recording,
    kinds.Pairing: _bond,
}


def project_box(connection: Connection, records: Iterable[Record]) -> None:
    """Insert the rows of a batch of a box's records."""
    rows: defaultdict[Table, list[Row]] = defaultdict(list)
    for record in records:
        for table, row in box_rows(record):
            rows[table].append(row)
    for table, found in rows.items():
        names = tuple(found[0])
        insert_many(connection, table, names, [tuple(row.values()) for row in found], leave_known=True)
    _summarize(connection, rows)


def _summarize(connection: Connection, rows: dict[Table, list[Row]]) -> None:
    """Keep per stream what makes its queries cheap: origin, last number, longest pieces."""
    changed: dict[str, Row] = {}
    for row in rows.get(schema.recordings, ()):
        changed.setdefault(row["stream"], {})["origin"] = row["origin"]
    for row in rows.get(schema.segments, ()):
        summary = changed.setdefault(row["stream"], {})
        _raise_to(summary, "last_number", row["number"])
        _raise_to(summary, "longest_segment_ns", row["wall_to"] - row["wall_from"])
    for row in rows.get(schema.gaps, ()):
        _raise_to(changed.setdefault(row["stream"], {}), "longest_gap_ns", row["wall_to"] - row["wall_from"])
    if changed:
        _keep_summaries(connection, changed)
    project_hours(connection, rows)


def _raise_to(summary: Row, name: str, value: int) -> None:
    summary[name] = max(value, summary.get(name, value))


def _keep_summaries(connection: Connection, changed: dict[str, Row]) -> None:
    query = select(schema.streams).where(schema.streams.c.stream.in_(changed))
    known = {row["stream"]: dict(row) for row in connection.execute(query).mappings()}
    for stream, found in changed.items():
        row: Row = {"stream": stream, "box": stream.split("/", 1)[0], "origin": "rtsp", "last_number": None}
        row |= {"longest_segment_ns": 0, "longest_gap_ns": 0}
        row |= known.get(stream, {})
        if "origin" in found:
            row["origin"] = found["origin"]
        for name in ("last_number", "longest_segment_ns", "longest_gap_ns"):
            if name in found:
                row[name] = found[name] if row[name] is None else max(row[name], found[name])
        if row != known.get(stream):
            upsert(connection, schema.streams, row)


def project_hub(connection: Connection, outer: SignedRecord, opening: bytes | None = None) -> None:
    """Insert what a record of the hub means; of a concealed one also what its opening says, where that is still kept.

    Raises VerificationError when the opening is not the one that the record binds.
    """
    signed = outer
    if isinstance(outer.record.body, kinds.Concealed):
        _project_concealed(connection, outer.record, outer.record.body)
        if opening is None:
            return
        signed = reveal(outer, opening)
    body, record = signed.record.body, signed.record
    position = record.position
    if isinstance(body, kinds.Task):
        _project_task(connection, record, body)
    elif isinstance(body, kinds.Pairing):
        row = {"task": record.subject, "stream": body.stream, "state": body.state, "by": body.by, "late_from": body.late_from}
        row |= {"second": body.second, "reason": body.reason, "wall_ns": record.at.wall_ns}
        _insert(connection, schema.orders, {"position": position, "leaf": signed.leaf, **row})
    elif isinstance(body, kinds.View):
        row = {"view": body.view, "state": body.state, "viewer": body.viewer, "way": body.way, "subject": record.subject}
        _insert(connection, schema.views, {"position": position, "wall_ns": record.at.wall_ns, **row})
    elif isinstance(body, kinds.Enrolment):
        _project_enrolment(connection, record, body)
    elif isinstance(body, kinds.Equivocation):
        other = leaf_hash(body.other)
        place = {"issuer": record.subject, "epoch": body.epoch, "record_position": body.position}
        _insert(connection, schema.equivocations, {"position": position, "other_leaf": other, **place})
    else:
        _project_other(connection, record, body)


def _project_other(connection: Connection, record: Record, body: kinds.Body) -> None:
    for meant, project in _OTHERS:
        if isinstance(body, meant):
            project(connection, record, body)
            return


def _project_stored(connection: Connection, record: Record, body: kinds.Stored) -> None:
    if record.subject != FILES:
        return  # of a box: its segments' records name them
    for name in body.blobs:
        _insert(connection, schema.stored_files, {"sha256": name, "position": record.position})


def _project_port(connection: Connection, record: Record, body: kinds.PortCheckpoint) -> None:
    head = SignedCheckpoint.parse(body.note).checkpoint
    row = {"origin": record.subject, "position": record.position, "size": head.size, "root": head.root}
    upsert(connection, schema.port_heads, row)


def _project_concealed(connection: Connection, record: Record, body: kinds.Concealed) -> None:
    row = {"position": record.position, "of": body.of, "subject": record.subject, "wall_ns": record.at.wall_ns, "disposal": None}
    _insert(connection, schema.concealed, row)


def _erase(connection: Connection, positions: Sequence[int], disposal: int) -> None:
    """Remove salts and bodies of concealed records, and all that was derived from them; their rows in `concealed` say so."""
    table = schema.concealed
    mine = update(table).where(table.c.position.in_(positions), table.c.disposal.is_(None))
    connection.execute(mine.values(disposal=disposal))
    for each in (schema.openings, schema.views):
        connection.execute(delete(each).where(each.c.position.in_(positions)))


def _project_keeping(connection: Connection, record: Record, body: kinds.Keeping | kinds.Disposal | kinds.Derived) -> None:
    if isinstance(body, kinds.Derived):
        copy = {"position": record.position, "task": record.subject, "sha256": body.sha256, "size": body.size}
        return _insert(connection, schema.derivations, copy)
    if isinstance(body, kinds.Disposal):
        for name in body.blobs:
            _insert(connection, schema.disposals, {"sha256": name, "position": record.position})
        if body.records:
            _erase(connection, body.records, record.position)
        return
    table = schema.keepings
    known = connection.execute(select(table).where(table.c.task == record.subject)).mappings().first()
    row: Row = {"kept_as": None, "held": False} | dict(known or {}) | {"task": record.subject, "position": record.position}
    if body.state == "classed":
        row["kept_as"] = body.kept_as
    else:
        row["held"] = body.state == "held"
    upsert(connection, table, row)


def _project_times(connection: Connection, record: Record, body: kinds.TimeToken | kinds.HeadSeen | kinds.PortCheckpoint) -> None:
    if isinstance(body, kinds.PortCheckpoint):
        return _project_port(connection, record, body)
    if isinstance(body, kinds.TimeToken):
        row = {"size": body.size, "root": body.root, "authority": body.authority[:200]}
        return _insert(connection, schema.time_tokens, {"position": record.position, **row})
    head = SignedCheckpoint.parse(body.note).checkpoint
    row = {"box": record.subject, "epoch": body.epoch, "size": head.size}
    _insert(connection, schema.heads_seen, {"position": record.position, **row})


def _insert(connection: Connection, table: Table, row: Row) -> None:
    connection.execute(insert_new(connection, table), [row])


def _project_task(connection: Connection, record: Record, body: kinds.Task) -> None:
    if body.state == "ended":
        change = update(schema.tasks).where(schema.tasks.c.task == record.subject, schema.tasks.c.state == "opened")
        connection.execute(change.values(state="ended", ended_ns=record.at.wall_ns, ended_at=record.position))
        return
    row = {
        "task": record.subject,
        "state": "opened",
        "title": body.title or "",
        "site": body.site,
        "bay": body.bay,
        "by": body.by,
        "opened_ns": record.at.wall_ns,
        "ended_ns": None,
        "opened_at": record.position,
        "ended_at": None,
        "inspectors": json.dumps(body.inspectors or ()),
        "cameras": json.dumps(body.cameras or ()),
        "facts": json.dumps(body.facts or (), ensure_ascii=False),
    }
    _insert(connection, schema.tasks, row)
    project_site_task(connection, record, body)


def _project_enrolment(connection: Connection, record: Record, body: kinds.Enrolment) -> None:
    table = schema.identities
    if body.state == "revoked":
        mine = update(table).where(table.c.box == record.subject, table.c.certificate == body.certificate, table.c.until.is_(None))
        connection.execute(mine.values(until=record.position))
        return
    spki = Certificate.parse(body.certificate).public.spki
    row = {"position": record.position, "box": record.subject, "spki": spki, "certificate": body.certificate, "until": None}
    _insert(connection, table, row)


_OTHERS: Sequence[tuple[Any, Callable[[Connection, Record, Any], None]]] = (
    (kinds.TimeToken | kinds.HeadSeen | kinds.PortCheckpoint, _project_times),
    (kinds.Keeping | kinds.Disposal | kinds.Derived, _project_keeping),
    (inspection.Declaration | inspection.Step | inspection.Hold, project_step),
    (DrawBody, project_draw),
    (inspection.Reference, project_reference),
    (ProcedureAct, project_procedure),
    (RuleAct, project_rule),
    (SupervisionBody, project_supervision),
    (kinds.Stored, _project_stored),
    (ExchangeBody, project_message),
    (Evaluation | Release, project_clearing),
    (CreditEvent | Appeal | RuleSet, project_credit),
    (Sample, project_sample),
    (WorkBody, project_work),
)
BOX_TABLES: Sequence[Table] = (schema.sessions, schema.segments, schema.gaps, schema.recordings, schema.bonds, schema.streams, stream_hours)
HUB_TABLES: Sequence[Table] = (
    schema.identities,
    schema.tasks,
    schema.orders,
    schema.equivocations,
    schema.views,
    schema.time_tokens,
    schema.heads_seen,
    schema.keepings,
    schema.disposals,
    schema.derivations,
    schema.concealed,
    schema.declaration_steps,
    schema.standings,
    schema.reference_entries,
    schema.port_heads,
    schema.stored_files,
    schema.draws,
    schema.draw_policies,
    schema.draw_acts,
    schema.procedure_acts,
    schema.rule_acts,
    conduct_schema.credit_events,
    conduct_schema.credit_appeals,
    conduct_schema.rule_sets,
    conduct_schema.sample_acts,
    conduct_schema.samples,
    schema.annotations,
    schema.instructions,
    schema.second_rounds,
    schema.second_looks,
    exchange_schema.exchange_messages,
    exchange_schema.exchange_units,
    exchange_schema.port_events,
    exchange_schema.evaluations,
    exchange_schema.releases,
    fieldwork_schema.inspection_tasks,
    fieldwork_schema.device_keys,
    fieldwork_schema.work_acts,
    fieldwork_schema.system_notes,
    fieldwork_schema.tickets,
)
