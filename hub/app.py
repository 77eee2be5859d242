"""Build the hub: the one composition root below the face, and the facade that `web` calls.

    async with open_hub(settings, SystemClock()) as hub: ...

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
    hub.live        view(stream, viewer, offer) -> (view id, answer) ; end(view) ; outcome(view, viewer, wait_s) -> ViewOutcome
                    publish(box, source, offer) -> (location id, answer) ; unpublish(box, location)
    hub.views       playback_started(task, viewer) -> view id ; ended(view id)
    hub.log         checkpoint() -> bytes ; tile(path) -> bytes ; proof(index) -> list[bytes] ; leaf(index) -> bytes ; vkey (sync)
    hub.journals    list() ; checkpoint(box, epoch) ; tile(box, epoch, path) ; receipt(issuer, epoch, position) -> COSE receipt
    hub.witnesses   head, mode, policy, stopped, states() (sync)                 the outside parties that cosign the log
    hub.reports     accept(report, by) -> SignedRecord                          a monitor's signed report
    hub.carried     take(head text, by, way="code") -> SignedRecord             a box's head that was brought by hand
    hub.keeping     get(task) ; decide(task, kinds.Keeping) ; confirm(by, reason)       retention classes and legal holds
    hub.erasing     erase(position, by, reason) -> leaves                       bodies of concealed records
    hub.ports       add_checkpoint(body) -> Answer ; held(origin)               a national hub's ports
    hub.nation      newest, push() -> NationalProof | None                      this port's place in the national log
    hub.records     get(issuer, epoch, position) -> StoredRecord
    hub.access      hub/access.py      class Access(core: Core)
    hub.bus         is_up, state (sync); None when the HTTPS transport serves alone
    hub.enrolment   hub/enrolment.py   class Enrolment(core: Core)
    hub.export      hub/export.py      class Export(core: Core, blobs: Blobs)
    hub.references  put(category, key, value, by, reason, after) ; retire, get, list, history       managed reference data
    hub.declarations  lodge(value, by) ; amend, withdraw, step, hold, get, list, history, form    what traders declare
    hub.rules       propose(key, value, by, reason) ; approve, reject, withdraw, list, get, in_force, dry_run    targeting rules
    hub.screening   go_on() -> steps ; decide(number, accept, by, reason) ; left() ; of(number) -> Screened      acceptance and risk
    hub.procedures  in_force(name, day) ; propose, publish, reject, withdraw, versions, get, by_hash     operating procedures
    hub.dispatch    dispatch(number, bay, by) -> TaskFacts ; task_of, inspectors_of(number)      inspectors to a held declaration
    hub.fieldwork   keys, acts, site, tickets: phones' keys, signed acts, what people see, tickets for recorders
    hub.files       announce(owner, manifest) ; put_part(owner, sha256, offset, chunks) ; state, open(sha256)     what people send
    hub.draws       set_policy, call(closes_ns), exclude, refuse, override, list, get, bundle(number)   the double draw
    hub.stories     task(task, at_ns=None) ; declaration(number, at_ns=None) ; lanes(task, at_ns, wish)   what happened, as of any moment
    hub.waiting     of(person, role)                                            what waits for somebody
    hub.board       read(person=None) -> cards by column                        what stands where in the house
    hub.supervision annotate(task, span, text, by) ; instruct, acknowledge, instructions, marks     what supervisors say of tasks
    hub.second_looks  assign(task, to, by) ; find(task, outcome, text, by) ; get, list         finished tasks drawn to be looked at again
    hub.exchange    take(partner, raw, content_type) -> Taken ; send, resend, list, get, raw, shown, health   messages with the port
    hub.deliveries  key (sync) ; deliver_next(partner)                         what is queued to partners
    hub.credits     add(draft, by, rule) ; appeal, decide(position, by, reason, upheld), set_rules, grade, get, list      enterprises
    hub.releases    judged(number), evaluate, approve, refuse, override, recall, hold, position   no evidence, no release
    hub.laboratory  draw(declaration, draft, by) ; seal, hand_over, receive, report, void, get, list, plan, state      samples
    hub.derivation  propose(stretch, by) ; redact(wish, by) -> Job ; get, decide, cancel(job) ; made(task)   redacted copies
    hub.excerpts    clips(stretch, by) ; derived(task, sha256, by) -> Excerpt ; path(excerpt, by)            parts that verify alone

For other parts: `await core.sequencer.issue(body, subject)` logs a hub record and gives it back signed once published;
`await core.database.read(fn)` / `.write(fn)` run `fn(connection)` (SQLAlchemy Core) in a transaction off the loop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firmware_adapters.webrtc import MediaPeers
from hub.access import Access
from hub.alarms import Alarms
from hub.broker import Broker
from hub.bus import Bus
from hub.carried import Carried
from hub.codes import Codes
from hub.config import HubSettings
from hub.core import Core
from hub.derivation import Derivation
from hub.devices import Devices, Streams
from hub.enrolment import Enrolment
from hub.erasing import Erasing, erased
from hub.events import Events
from hub.excerpts import Excerpts
from hub.exchange.delivering import Delivering
from hub.exchange.following import Following
from hub.exchange.taking import Exchange
from hub.export import Export
from hub.files import Files
from hub.history import CheckpointHistory
from hub.ingest import Ingest
from hub.inspection.credit import Credits
from hub.inspection.declarations import Declarations
from hub.inspection.draws import Draws
from hub.inspection.fieldwork.dispatch import Dispatch
from hub.inspection.fieldwork.office import Fieldwork, open_fieldwork
from hub.inspection.laboratory import Laboratory
from hub.inspection.publishing import Procedures
from hub.inspection.references import References
from hub.inspection.releasing.asking import count_gate_out, sources
from hub.inspection.releasing.following import ByRule
from hub.inspection.releasing.releasing import Releases
from hub.inspection.ruling import Rules
from hub.inspection.screening import Screening
from hub.inspection.story.board import Board
from hub.inspection.story.stories import Stories
from hub.inspection.story.waiting import Waiting
from hub.inspection.supervision.marks import Supervision
from hub.inspection.supervision.second_looks import SecondLooks
from hub.inspection.violations import CATEGORY as VIOLATION
from hub.inspection.violations import shipped_entries
from hub.journals import Journals
from hub.keeping import Keeping
from hub.live import Live, peer_settings
from hub.lockout import Lanes
from hub.lookups import Records
from hub.mail import Mail
from hub.nation import Nation
from hub.pairings import Pairings
from hub.ports import Ports
from hub.reports import Reports
from hub.sequencer import Publication, Sequencer
from hub.tasks import Tasks
from hub.timeline import TaskTimeline
from hub.timestamps import TimeStamps
from hub.uploads import Blobs
from hub.views import Views
from hub.witnesses import Witnessed, Witnesses, read_policy
from protocol import kinds
from protocol.errors import MalformedError, RefusedError, UnavailableError
from protocol.exchange_kinds import MessageOut
from protocol.identifiers import BoxId
from protocol.instants import Clock
from protocol.messages import BoxReport, Claim, Message, Prove, Reply
from protocol.records import SignedRecord
from protocol.signatures import Ed25519Signer
from storage.blobs import open_blobs
from storage.database import Database
from storage.keys import load_ed25519
from storage.logs import LogFolder

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub, running: what the face calls."""

    core: Core
    ingest: Ingest
    mail: Mail
    blobs: Blobs
    tasks: Tasks
    pairings: Pairings
    timeline: TaskTimeline
    devices: Devices
    streams: Streams
    live: Live
    views: Views
    records: Records
    journals: Journals
    witnesses: Witnesses
    reports: Reports
    keeping: Keeping
    erasing: Erasing
    ports: Ports
    nation: Nation
    carried: Carried
    access: Access
    enrolment: Enrolment
    export: Export
    derivation: Derivation
    excerpts: Excerpts
    references: References
    declarations: Declarations
    draws: Draws
    credits: Credits
    laboratory: Laboratory
    procedures: Procedures
    rules: Rules
    screening: Screening
    board: Board
    second_looks: SecondLooks
    stories: Stories
    waiting: Waiting
    supervision: Supervision
    dispatch: Dispatch
    fieldwork: Fieldwork
    files: Files
    exchange: Exchange
    deliveries: Delivering
    releases: Releases
    bus: Bus | None = None

    @property
    def alarms(self) -> Alarms:
        """Give the alarms."""
        return self.core.alarms

    @property
    def events(self) -> Events:
        """Give the fan-out of events."""
        return self.core.events

    @property
    def log(self) -> Sequencer:
        """Give the port log."""
        return self.core.sequencer


@asynccontextmanager
async def open_hub(settings: HubSettings, clock: Clock, signer: Ed25519Signer | None = None) -> AsyncIterator[Hub]:
    """Build the hub, run it, and stop it in reverse order.

    `signer`: the log's key; None reads <state>/keys/log.key. Raises MalformedError for wrong settings, StorageError for state
    that cannot be used, UnavailableError when the database does not answer.
    """
    key = signer if signer is not None else await asyncio.to_thread(load_ed25519, settings.keys / "log.key")
    async with AsyncExitStack() as stack:
        hub = await _build(settings, clock, key, stack)
        await hub.views.reconcile()
        await hub.pairings.reconcile()
        await hub.tasks.reconcile()
        if settings.inspection.shipped:
            await _publish_shipped(hub)
        bus = await _start_bus(hub, stack)
        yield replace(hub, bus=bus)
        await hub.views.close()


async def _publish_shipped(hub: Hub) -> None:
    """Publish what ships and was never heard of here; a log that cannot be written now gets it at the next start."""
    try:
        await hub.references.put_shipped(VIOLATION, shipped_entries())
        await hub.procedures.publish_shipped()
    except (UnavailableError, RefusedError) as error:
        _LOG.warning("what ships with the hub is not published yet: %s", error)


async def _open_core(settings: HubSettings, clock: Clock, key: Ed25519Signer, stack: AsyncExitStack) -> tuple[Core, Witnesses]:
    """Open the database and the port log, with its witnesses, its history and its time stamps."""
    database = await stack.enter_async_context(Database(settings.database_url, settings.database.busy_seconds))
    events = Events()
    alarms = Alarms(database, clock, events)
    folder = LogFolder(Path(settings.port.state) / "log")
    sequencer = Sequencer(settings, clock, database, key, folder)
    policy = await asyncio.to_thread(read_policy, settings, sequencer.key)
    witnesses = await stack.enter_async_context(Witnesses(settings, clock, database, alarms, folder, key, policy))
    sequencer.guard = witnesses.guard
    core = Core(settings, clock, database, sequencer, alarms, events, witnesses)
    history = await stack.enter_async_context(CheckpointHistory(database, clock))
    sequencer.listeners.append(history.published)
    witnesses.listeners.append(history.witnessed)
    await stack.enter_async_context(sequencer)
    stamps = await stack.enter_async_context(TimeStamps(core))
    sequencer.listeners.append(stamps.published)
    return core, witnesses


async def _build(settings: HubSettings, clock: Clock, key: Ed25519Signer, stack: AsyncExitStack) -> Hub:
    core, witnesses = await _open_core(settings, clock, key, stack)
    mail = Mail(core.database, clock, core.sequencer, witnesses)
    store = await stack.enter_async_context(open_blobs(settings.blob_url))
    blobs = await stack.enter_async_context(Blobs(core, store))
    ingest = await stack.enter_async_context(Ingest(core, mail, blobs))
    tasks = Tasks(core, mail, Codes(core))
    pairings = Pairings(core, mail, tasks)
    devices = await stack.enter_async_context(Devices(core, mail))
    views = Views(core)
    peers = await stack.enter_async_context(MediaPeers(clock, peer_settings(settings)))
    live = await stack.enter_async_context(Live(core, mail, views, peers))
    devices.viewers = live.count
    live.obstacle = devices.obstacle
    ports = Ports(core)
    ports.known()
    export = await stack.enter_async_context(Export(core, blobs))
    derivation = await stack.enter_async_context(Derivation(core, blobs))
    exchange, deliveries = await _open_exchange(core, stack)
    releases = Releases(core, sources())
    await stack.enter_async_context(ByRule(core, releases, settings.inspection.automatic))
    hub = Hub(
        core=core,
        ingest=ingest,
        mail=mail,
        blobs=blobs,
        tasks=tasks,
        pairings=pairings,
        timeline=TaskTimeline(core, blobs),
        devices=devices,
        streams=Streams(devices),
        live=live,
        views=views,
        records=Records(core),
        journals=Journals(core),
        witnesses=witnesses,
        reports=Reports(core),
        keeping=await stack.enter_async_context(Keeping(core, store, vouched=witnesses.vouched_ns)),
        erasing=Erasing(core),
        ports=ports,
        nation=await stack.enter_async_context(Nation(core)),
        carried=Carried(core, ingest),
        access=Access(core, Lanes(core.clock)),
        enrolment=Enrolment(core),
        export=export,
        derivation=derivation,
        excerpts=await stack.enter_async_context(Excerpts(core, export, derivation)),
        references=References(core),
        declarations=Declarations(core),
        draws=await stack.enter_async_context(Draws(core, Declarations(core))),
        credits=await stack.enter_async_context(Credits(core)),
        laboratory=Laboratory(core, Declarations(core)),
        procedures=Procedures(core),
        rules=Rules(core),
        screening=await stack.enter_async_context(Screening(core, Declarations(core))),
        board=Board(core),
        stories=Stories(core),
        waiting=Waiting(core),
        second_looks=await stack.enter_async_context(SecondLooks(core)),
        supervision=Supervision(core),
        dispatch=Dispatch(core, tasks),
        fieldwork=await open_fieldwork(core, stack),
        files=await stack.enter_async_context(Files(core, blobs)),
        exchange=exchange,
        deliveries=deliveries,
        releases=releases,
    )
    _wire(hub)
    return hub


async def _open_exchange(core: Core, stack: AsyncExitStack) -> tuple[Exchange, Delivering]:
    """Open the exchange with the port's other systems, and bring what is queued to them."""
    deliveries = await stack.enter_async_context(Delivering(core))
    exchange = Exchange(core, count_gate_out, [deliveries.woken])
    await stack.enter_async_context(Following(core, exchange))

    async def published(publication: Publication) -> None:
        if any(isinstance(one.record.body, MessageOut) for one in publication.records):
            deliveries.woken.set()

    core.sequencer.listeners.append(published)
    return exchange, deliveries


async def _start_bus(hub: Hub, stack: AsyncExitStack) -> Bus | None:
    """Run or find the broker; last, so that nothing comes in before the rest is ready."""
    settings = hub.core.settings
    url: str | None = settings.mqtt.url or None
    if settings.mqtt.broker == "none":
        return None
    if settings.mqtt.broker == "spawn":
        url = (await stack.enter_async_context(Broker(settings, hub.core.clock))).url
    elif url is None:
        raise MalformedError("an external broker needs its address", where="mqtt.url")
    if url is None:
        return None
    authorities = settings.device.authorities or settings.keys / "site.pem"
    bus = Bus(url, hub.core.site, hub.ingest, hub.mail, hub.alarms, authorities)
    return await stack.enter_async_context(bus)


def _wire(hub: Hub) -> None:
    """Tell the parts of each other what they must know."""

    async def answered(box: BoxId, reply: Reply) -> list[Message]:
        await hub.live.answered(box, reply)
        return await hub.pairings.answered(box, reply)

    handlers: dict[type[Any], Any] = {Reply: answered, Claim: hub.pairings.claim, BoxReport: hub.devices.reported}
    handlers[Prove] = hub.mail.consistency
    hub.ingest.handlers.update(handlers)

    def accepted(box: BoxId, signed: tuple[SignedRecord, ...]) -> None:
        hub.devices.heard(box)
        hub.pairings.note(box, signed)
        seen = signed[-1].record.seen if signed else None
        if seen is not None:
            hub.witnesses.seen_by(box, seen.size, hub.log.published_size())
        pieces = [record.record.subject for record in signed if isinstance(record.record.body, kinds.Segment | kinds.Gap)]
        if pieces:
            hub.events.tell("lanes", box=box, streams=sorted(set(pieces)))

    async def published(publication: Publication) -> None:
        for signed in publication.records:
            _tell(hub, signed)
        if any(erased(signed.record.body) for signed in publication.records):
            await hub.core.database.settle()
        hub.witnesses.published(publication.size, publication.checkpoint)
        await hub.mail.published(publication)
        boxes = sorted({receipt.box for receipt in publication.receipts})
        hub.events.tell("checkpoint", size=publication.size, boxes=boxes)

    hub.ingest.listeners += [accepted, hub.fieldwork.accepted]
    hub.core.sequencer.listeners.append(published)
    _wire_witnesses(hub)


def _wire_witnesses(hub: Hub) -> None:
    """Let receipts follow what outside parties cosigned."""

    async def witnessed(head: Witnessed) -> None:
        hub.log.cosigned(head.size, head.note)
        await hub.mail.witnessed(head)

    hub.witnesses.listeners.append(witnessed)
    hub.witnesses.when_lost.append(hub.mail.quorum_lost)
    if hub.log.published_size():
        hub.witnesses.published(hub.log.published_size(), hub.log.checkpoint_now())


def _tell(hub: Hub, signed: SignedRecord) -> None:
    """Tell the parts that wait for a published record of the hub."""
    if isinstance(signed.record.body, kinds.Disposal):
        hub.keeping.wake()
    elif isinstance(signed.record.body, kinds.Enrolment):
        hub.ingest.forget(signed.record.subject)
