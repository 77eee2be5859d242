"""Build the hub: the one composition root below the face, and the facade that `web` calls.

    async with open_hub(settings, clock=SystemClock()) as hub: ...

The facade (all coroutines unless marked sync; errors are those of protocol.errors):

    hub.core        Core: settings, site, hub_id, clock, database, sequencer, events, alarms (what sub-parts are built from)
    hub.ingest      accept(box, message) -> list[Message]                       box is the authenticated BoxId
    hub.mail        take(box, wait_s) -> list[bytes]                            long poll; encoded messages
    hub.blobs       put(box, sha256, length, chunks) -> StoredBlobs             blobs == () : kept in quarantine (answer 202)
                    head(sha256) -> int | None ; open(sha256) -> Path ; acknowledge(box, sha256) -> StoredBlobs | None
    hub.tasks       open(draft: TaskDraft, by) -> TaskFacts ; end(task, by) -> TaskFacts ; get(task) ; list(state=None, limit=100)
                    code(task) -> Code
    hub.pairings    pair(task, stream, by, late_from=None, second=None, reason=None) -> PairingState
                    unpair(task, stream, by) -> PairingState ; claim(box, claim) (used by ingest)
    hub.timeline    task(task) -> Timeline ; segment(sha256) -> Path
    hub.devices     list() -> list[Device] ; streams() -> list[StreamState]     (hub.streams.list is the same)
    hub.alarms      list(open_only=True) -> list[Alarm] ; acknowledge(id, by) ; ring(kind, subject, detail, evidence=None)
    hub.events      subscribe() -> async iterator of dict[str, object]          (sync; use `async with hub.events.subscribe() as it`)
    hub.live        view(stream, viewer, offer) -> (view id, answer) ; end(view)
                    publish(box, source, offer) -> (location id, answer) ; unpublish(box, location)
    hub.views       playback_started(task, viewer) -> view id ; ended(view id)
    hub.log         checkpoint() -> bytes ; tile(path) -> bytes ; proof(index) -> list[bytes] ; vkey (sync property)
    hub.records     get(issuer, epoch, position) -> StoredRecord
    hub.access      hub/access.py      class Access(core: Core)
    hub.enrolment   hub/enrolment.py   class Enrolment(core: Core)
    hub.export      hub/export.py      class Export(core: Core, blobs: Blobs)
"""
# For other parts: `await core.sequencer.issue(body, subject)` logs a hub record and gives it back signed once published;
# `await core.database.read(fn)` / `.write(fn)` run `fn(connection)` (SQLAlchemy Core) in a transaction off the loop.
