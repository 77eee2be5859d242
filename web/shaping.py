"""Turn the hub's values into the JSON shapes of the API: ns to ms, bytes to hex, names as they are."""

from collections.abc import Collection, Mapping
from typing import Literal

from hub.access import ApiToken, Person
from hub.app import Hub
from hub.values import Alarm, Device, Lane, LaneGap, LaneHour, LaneSegment, PairingState, StreamState, TaskFacts, Timeline
from protocol.identifiers import Issuer, StreamId
from protocol.instants import MILLISECOND_NS
from protocol.messages import SourceState
from web import schemas


def ms(instant_ns: int) -> float:
    """Give ns as ms; a float holds today's instants to the microsecond."""
    return instant_ns / MILLISECOND_NS


def ms_or_none(instant_ns: int | None) -> float | None:
    """Give ns as ms, None as None."""
    return None if instant_ns is None else instant_ns / MILLISECOND_NS


def ns(instant_ms: float) -> int:
    """Give ms as ns."""
    return round(instant_ms * MILLISECOND_NS)


def bond(pairing: PairingState, ended_ns: int | None = None) -> schemas.BondAnswer:
    """Shape a pairing; with its task, it ends at the latest when that ended: what the box freed later belongs to nobody."""
    ends = [end for end in (pairing.ended_ns, ended_ns) if end is not None]
    return schemas.BondAnswer(
        stream=pairing.stream,
        state=pairing.state,
        by=pairing.by,
        ordered_ms=ms(pairing.ordered_ns),
        from_ms=ms_or_none(pairing.effective_ns),
        to_ms=ms_or_none(max(pairing.effective_ns, min(ends)) if ends and pairing.effective_ns is not None else None),
        late_from_ms=ms_or_none(pairing.late_from),
        second=pairing.second,
        reason=pairing.reason,
        detail=pairing.detail,
        ending=pairing.ending,
    )


def task(facts: TaskFacts, names: Mapping[str, str]) -> schemas.TaskAnswer:
    """Shape a task; `names` are those of all people by login."""
    seconds = [pairing.second for pairing in facts.pairings if pairing.second is not None]
    mentioned = {facts.by, *facts.inspectors, *seconds, *(pairing.by for pairing in facts.pairings)}
    return schemas.TaskAnswer(
        task=facts.task,
        title=facts.title,
        site=facts.site,
        bay=facts.bay,
        state="open" if facts.state == "opened" else "ended",
        opened_ms=ms(facts.opened_ns),
        ended_ms=ms_or_none(facts.ended_ns),
        by=facts.by,
        inspectors=list(facts.inspectors),
        cameras=list(facts.cameras),
        facts=dict(facts.facts),
        paired=[bond(pairing, facts.ended_ns) for pairing in facts.pairings],
        names={login: names[login] for login in sorted(mentioned) if login in names},
    )


def timeline(line: Timeline, owing: Collection[str] = ()) -> schemas.TimelineAnswer:
    """Shape a task's lanes; `owing` are the boxes whose newest records may still come."""
    lanes = [_lane(lane, StreamId(lane.stream).box in owing) for lane in line.lanes]
    return schemas.TimelineAnswer(task=line.task.task, from_ms=ms(line.from_ns), to_ms=ms(line.until_ns), lanes=lanes, detail=line.detail)


def _lane(lane: Lane, is_owed: bool) -> schemas.LaneAnswer:
    box = StreamId(lane.stream).box
    signed = [_gap(gap, box) for gap in lane.gaps]
    # a journal comes in order: only behind the last piece that is here can a record be on its way
    newest = max([*(piece.wall_to for piece in lane.segments), *(hole.wall_to for hole in lane.gaps)], default=0)
    unsigned = [_unexplained(start, end, is_owed and end > newest) for start, end in lane.unexplained]
    return schemas.LaneAnswer(
        stream=lane.stream,
        role=lane.role,
        late=lane.late,
        linked=[(ms(start), ms(end)) for start, end in lane.stretches],
        segments=[_segment(segment) for segment in lane.segments],
        gaps=sorted([*signed, *unsigned], key=lambda piece: piece.from_ms),
        coverage=schemas.CoverageAnswer(
            period_ms=sum(ms(part.period.length) for part in lane.coverage),
            recorded_ms=sum(ms(part.recorded_ns) for part in lane.coverage),
            gap_ms=sum(ms(part.gap_ns) for part in lane.coverage),
            unexplained_ms=lane.unexplained_ms,
            percent=lane.percent,
        ),
        hours=[_hour(hour) for hour in lane.hours],
    )


def _hour(hour: LaneHour) -> schemas.LaneHourShape:
    recorded, gap = ms(hour.recorded_ns), ms(hour.gap_ns)
    return schemas.LaneHourShape(from_ms=ms(hour.start_ns), recorded_ms=recorded, gap_ms=gap, pieces=hour.pieces)


def _segment(segment: LaneSegment) -> schemas.SegmentPiece:
    return schemas.SegmentPiece(
        state=segment.state,
        from_ms=ms(segment.wall_from),
        to_ms=ms(segment.wall_to),
        sha256=segment.sha256.hex(),
        size=segment.size,
        number=segment.number,
        run=segment.run,
        media_from=segment.media_from,
        recovered=segment.kind == "recovered",
        bound=segment.bound,
        why=segment.detail,
        record=schemas.RecordPlace(issuer=Issuer.of_box(segment.box), epoch=segment.epoch, position=segment.position),
    )


def _gap(gap: LaneGap, box: str) -> schemas.GapPiece:
    place = schemas.RecordPlace(issuer=Issuer.of_box(box), epoch=gap.epoch, position=gap.position)
    return schemas.GapPiece(state="gap", from_ms=ms(gap.wall_from), to_ms=ms(gap.wall_to), cause=gap.cause, detail=gap.detail, record=place)


def _unexplained(start: int, end: int, is_owed: bool) -> schemas.GapPiece:
    state: Literal["unknown", "failed"] = "unknown" if is_owed else "failed"
    return schemas.GapPiece(state=state, from_ms=ms(start), to_ms=ms(end), cause="unexplained", detail="", record=None)


def stream(state: StreamState) -> schemas.StreamAnswer:
    """Shape a stream as it is now."""
    name = StreamId(state.stream)
    return schemas.StreamAnswer(
        stream=name,
        box=name.box,
        source=name.source,
        role=state.role,
        state=state.state,
        detail=state.detail,
        task=state.task,
        bitrate=state.bitrate,
        frames=state.frames,
        lost=state.lost,
        viewers=state.viewers,
        live=state.live,
        last_number=state.last_number,
    )


def device(box: Device) -> schemas.DeviceAnswer:
    """Shape a box with its newest report."""
    return schemas.DeviceAnswer(
        box=box.box,
        enrolled=box.enrolled,
        online=box.online,
        last_seen_ms=ms_or_none(box.last_seen_ns),
        clock_offset_ms=box.offset_ms,
        epoch=box.epoch,
        persisted=box.journal_size,
        receipted=box.receipted,
        report=None if box.report is None else _report(box),
    )


def _report(box: Device) -> schemas.ReportAnswer:
    report = box.report
    assert report is not None
    return schemas.ReportAnswer(
        sync=report.sync,
        software=report.software,
        transport=report.transport,
        journal_size=max(report.journal_size, box.journal_size if report.epoch == box.epoch else 0),  # the report is the older word
        unsent_records=report.unsent_records,
        unsent_blobs=report.unsent_blobs,
        unsent_bytes=report.unsent_bytes,
        unreceipted=report.unreceipted,
        free_bytes=report.free_bytes,
        disk=report.disk,
        sources=[_source(source) for source in report.sources],
    )


def _source(source: SourceState) -> schemas.SourceAnswer:
    return schemas.SourceAnswer(
        source=source.source,
        role=source.role,
        state=source.state,
        detail=source.detail,
        last_unit_ms=ms_or_none(source.last_unit_ns),
        bitrate=source.bitrate,
        frames=source.frames,
        lost=source.lost,
        task=source.task,
    )


def alarm(found: Alarm) -> schemas.AlarmAnswer:
    """Shape an alarm."""
    return schemas.AlarmAnswer(
        id=found.id,
        kind=found.kind,
        subject=found.subject,
        detail=found.detail,
        first_ms=ms(found.first_ns),
        last_ms=ms(found.last_ns),
        count=found.count,
        acknowledged_ms=ms_or_none(found.acknowledged_ns),
        acknowledged_by=found.acknowledged_by,
    )


def own_place(hub: Hub, position: int) -> schemas.RecordPlace:
    """Give the place of a record of this hub's own."""
    return schemas.RecordPlace(issuer=str(hub.core.issuer), epoch=0, position=position)


def person(found: Person, password: str | None = None) -> schemas.PersonAnswer:
    """Shape a person; the password only where it was just generated."""
    return schemas.PersonAnswer(
        name=found.name,
        display=found.display,
        role=found.role,
        disabled=found.disabled,
        created_ms=ms(found.created_ns),
        party=found.party,
        password=password,
    )


def api_token(found: ApiToken) -> schemas.ApiTokenAnswer:
    """Shape an API token; its secret only where it was just made."""
    return schemas.ApiTokenAnswer(
        id=found.id, person=found.person, label=found.label, expires_ms=ms(found.expires_ns), token=found.token or None
    )
