"""Turn the hub's values into the JSON shapes of the API: ns to ms, bytes to hex, names as they are."""

from collections.abc import Mapping

from hub.access import ApiToken, Person
from hub.app import Hub
from hub.values import Alarm, Device, PairingState, StreamState, TaskFacts
from protocol.identifiers import StreamId
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
