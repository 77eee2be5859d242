"""Put a box together and run it: recover, record, forward, obey, show.

Guarantees: recording begins before anything that may wait - network, media library, hub; a part that fails is reported and
started again while recording goes on; at the end every segment is closed and the journal sealed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edge.capture import Capture, CutRules
from edge.config import MIB, CameraSettings, EdgeSettings, Enrolled
from edge.configuration import record_configuration
from edge.courier import Courier, HubAddress
from edge.forward import Forwarder, Sources
from edge.journal import Box, Entry, Journal
from edge.orders import PLANNED, Orders
from edge.pruning import Pruning
from edge.recorder import Durable, Recorder
from edge.recovery import Recovered, Recovery
from edge.removal import Removal
from edge.supervision import Supervision
from edge.transports import Transport
from edge.worker import Worker
from firmware_adapters.abilities import Streams
from protocol import kinds, messages
from protocol.errors import PortwitnessError, RefusedError
from protocol.identifiers import SourceId
from protocol.instants import Clock
from protocol.messages import BoxReport
from protocol.signatures import Signer
from protocol.trust import Trust
from storage.counters import open_counter
from storage.files import Ballast, SegmentFolder, SpaceWatch, free_bytes, make_folder
from storage.spool import Spool

if TYPE_CHECKING:
    from edge.live import LiveRoom
    from edge.renewal import Renewal

SOFTWARE = "portwitness-edge 0.1.0"
REPORT_S = 2.0
REMOVAL_S = 10.0
RESTART_S = 2.0

log = logging.getLogger(__name__)

MakeCamera = Callable[[CameraSettings, EdgeSettings, Clock], Streams]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a box is: what enrolment left in its key folder."""

    enrolled: Enrolled
    signer: Signer
    trust: Trust | None
    keys: Path

    def address(self, url: str) -> HubAddress:
        """Give a hub address with this box's TLS key."""
        return HubAddress(url, self.keys / "tls.pem", self.keys / "tls.pem", self.keys / "chain.pem")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a box needs of its machine; tests replace parts of it."""

    clock: Clock
    boot_id: bytes
    make_camera: MakeCamera
    measure: Callable[[Path], int] = free_bytes
    folder: Callable[[Path], SegmentFolder] = SegmentFolder


def make_rtsp_camera(camera: CameraSettings, settings: EdgeSettings, clock: Clock) -> Streams:
    """Make the real thing."""
    from firmware_adapters.rtsp import RtspCamera, RtspSettings

    capture = settings.capture
    rules = RtspSettings(stall_s=capture.stall_seconds, allows_basic=camera.allows_basic, takes_audio=capture.audio)
    return RtspCamera(camera.url, clock=clock, username=camera.username, password=camera.password, settings=rules)


@dataclass(slots=True)
class Agent:
    """One box. `run` lasts until `stop`; `started` is set when recording began."""

    settings: EdgeSettings
    identity: Identity
    around: Surroundings
    started: asyncio.Event = field(default_factory=asyncio.Event)
    recovered: Recovered = field(default_factory=Recovered)
    door_port: int | None = None
    faults: list[str] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _parts: "_Parts | None" = None

    def stop(self) -> None:
        """Ask for the orderly end."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`; raise StorageError when state cannot be opened."""
        async with AsyncExitStack() as stack:
            parts = self._parts = await self._build(stack)
            self.started.set()
            await self._serve(stack, parts)

    async def _build(self, stack: AsyncExitStack) -> "_Parts":
        """Open the state, recover, and open every capture."""
        settings, around, box = self.settings, self.around, self.identity.enrolled.box
        make_folder(settings.state)
        files = await stack.enter_async_context(Worker("files"))
        records = await stack.enter_async_context(Worker("records"))
        spool = Spool(settings.state / "spool.db")
        await records.run(spool.open)
        stack.push_async_callback(records.run, spool.close)
        ballast = Ballast(settings.state / "ballast", settings.disk.ballast_mib * MIB)
        counter = open_counter(settings.keys.counter, settings.state)
        writer = Box(box, self.identity.signer, around.boot_id, SOFTWARE, counter=counter)
        journal = Journal(spool, writer, around.clock, make_room=ballast.release)
        await records.run(journal.start)
        await records.run(record_configuration, journal, spool, settings)
        folder = around.folder(settings.state / "segments")
        self.recovered = await records.run(Recovery(spool, journal, folder, settings.state / "quarantine").run)
        space = SpaceWatch(settings.state, settings.disk.full_mib * MIB, settings.disk.low_mib * MIB, around.measure)
        rules = CutRules(settings.capture.segment_seconds, settings.capture.pending_mib * MIB)
        recorder = Recorder(box, journal, around.clock, Durable(folder, space, ballast), files, records, rules)
        recorder.start()
        cameras = {each.source: around.make_camera(each, settings, around.clock) for each in settings.cameras}
        supervision = Supervision(recorder, around.clock, cameras, tuple(each.source for each in settings.recorders))
        parts = _Parts(spool, journal, folder, recorder, supervision, files, records)
        await self._open_captures(parts)
        ballast.hold()
        return parts

    async def _open_captures(self, parts: "_Parts") -> None:
        recorder, box = parts.recorder, self.identity.enrolled.box
        paired = {row.source: row.task for row in await parts.records.run(parts.spool.pairings)}
        for source in parts.supervision.cameras:
            capture = recorder.add(source, "rtsp", cause="configured", since=recorder.interrupted(f"{box}/{source}"))
            if source in paired:
                await self._link(parts, capture, paired[source])
        for stream, row in list(parts.journal.streams.items()):
            source = SourceId(stream.split("/", 1)[1])
            if source in parts.supervision.cameras:
                continue
            since = recorder.interrupted(stream)
            if since is not None:
                capture = recorder.add(source, "whip" if row.origin == "whip" else "rtsp", cause="restart", since=since)
                if source in paired:
                    await self._link(parts, capture, paired[source])
                else:
                    capture.close("not paired after a restart")
        await recorder.beat()

    async def _link(self, parts: "_Parts", capture: Capture, task: str) -> None:
        """Link a capture to a task that it was paired to before."""
        planned = await parts.records.run(parts.spool.fact, f"{PLANNED}{task}")
        capture.link(task, int(planned) if planned is not None else None)

    async def _serve(self, stack: AsyncExitStack, parts: "_Parts") -> None:
        """Record, and do everything else beside it."""
        beating = asyncio.create_task(self._keep("recorder", parts.recorder.run))
        capturing = asyncio.create_task(self._keep("supervision", parts.supervision.run))
        tasks = [beating, capturing]
        try:
            tasks += await self._connect(stack, parts)
            await self._stop.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await parts.recorder.close("shutdown")

    async def _connect(self, stack: AsyncExitStack, parts: "_Parts") -> "list[asyncio.Task[None]]":
        settings, identity = self.settings, self.identity
        renewal = await self._renewal()
        courier = Courier(identity.address(settings.hub.device_url or identity.enrolled.device_url), settings.hub.uploads)
        await stack.enter_async_context(courier)
        log_key = identity.trust.log if identity.trust is not None else None
        box = identity.enrolled.box
        orders = parts.orders = Orders(box, parts.recorder, parts.spool, parts.records, log_key, parts.supervision.kind_of, parts.send)
        await orders.load()
        sources = Sources(parts.spool, parts.journal, parts.folder, parts.records, self.around.clock, log_key, identity.trust)
        transport = parts.transport = self._transport(courier, parts)
        forwarder = parts.forwarder = Forwarder(box, sources, transport, courier, orders.take, settings.hub.uploads)
        parts.recorder.on_commit = forwarder.tell
        forwarder.tell_fork = lambda detail: self._note_fork(parts, detail)
        runs: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("forward", forwarder.run),
            ("orders", orders.run),
            ("report", lambda: self._report(parts)),
            ("removal", lambda: self._remove(parts)),
        ]
        if renewal is not None:
            parts.renewal, renewal.taken_up = renewal, transport.refresh
            runs.append(("renewal", renewal.run))
        if settings.live.enabled or settings.recorders:
            await self._live(stack, parts, courier)
        if settings.door is not None:
            await self._open_door(stack, parts)
        return [asyncio.create_task(self._keep(name, run)) for name, run in runs]

    async def _note_fork(self, parts: "_Parts", detail: str) -> None:
        """Record that the hub showed a log that is not the one this box has pinned."""
        self.faults = [*self.faults[-9:], f"port log refused: {detail}"]
        box = str(self.identity.enrolled.box)
        await parts.recorder.record([Entry(box, kinds.BoxState("port log refused", detail[:500]))])

    def _transport(self, courier: Courier, parts: "_Parts") -> Transport:
        hub, enrolled = self.settings.hub, self.identity.enrolled
        url = hub.mqtt_url or enrolled.mqtt_url or ""
        if hub.transport == "https" or not url:
            return courier
        from edge.bus import Bus

        return Bus(enrolled.site, enrolled.box, self.identity.address(url), lambda: messages.encode(parts.farewell()))

    async def _renewal(self) -> "Renewal | None":
        """Make what keeps the TLS certificate fresh; None on a box that has no trust file to judge a new one by."""
        from edge.renewal import Renewal, join_pair
        from protocol.certificates import Identity as Named

        identity, hub = self.identity, self.settings.hub
        await asyncio.to_thread(join_pair, identity.keys)
        if identity.trust is None:
            return None
        named = Named(identity.enrolled.site, identity.enrolled.box)
        address = identity.address(hub.device_url or identity.enrolled.device_url)
        return Renewal(identity.keys, named, identity.trust, address, self.around.clock, hub.renew_percent / 100)

    async def _live(self, stack: AsyncExitStack, parts: "_Parts", courier: Courier) -> None:
        from edge.live import LiveRoom

        room = LiveRoom(self.around.clock, self.settings.live, courier, parts.recorder)
        parts.live = await stack.enter_async_context(room)
        if self.settings.live.enabled and parts.orders is not None:
            parts.orders.live = room

    async def _open_door(self, stack: AsyncExitStack, parts: "_Parts") -> None:
        from edge.carriers import Carriers
        from edge.door import Door, Handlers
        from edge.page import render

        assert self.settings.door is not None and parts.orders is not None

        async def page(language: str) -> str:
            return render(await self.status(), language)

        carriers = Carriers(self.identity.enrolled.box, parts.journal, parts.spool, parts.records, self.identity.trust)
        await carriers.load()
        by_hand = (carriers.bring, carriers.head, carriers.picture)
        handlers = Handlers(self._publish, self._release, parts.orders.claim, self.status, page, *by_hand)
        door = await stack.enter_async_context(Door(self.settings.door, self.settings.recorders, handlers))
        self.door_port = door.port
        log.info("door on port %d", door.port)

    # ---------------------------------------------------------------------------------------------------- recorders

    async def _publish(self, source: SourceId, offer: str) -> str:
        parts = self._use()
        if parts.live is None:
            raise RefusedError("this box takes no recorders", where="door")
        capture = parts.recorder.add(source, "whip", cause="recorder connected")
        for task in parts.orders.tasks_of(source) if parts.orders is not None else ():
            await self._link(parts, capture, task)
        return await parts.live.take(source, offer, capture)

    async def _release(self, source: SourceId) -> bool:
        parts = self._use()
        return await parts.live.release(source) if parts.live is not None else False

    def _close_idle_recorders(self, parts: "_Parts") -> None:
        """End the period of a recorder that went and is meant for no task."""
        for capture in parts.recorder.captures.values():
            if capture.origin == "whip" and capture.is_open and capture.interruption is not None and not capture.tasks:
                capture.close(f"recorder {capture.interruption}")

    # ------------------------------------------------------------------------------------------------- background

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part for ever; a defect in it is reported and it is started again."""
        while True:
            try:
                await run()
                return
            except Exception as error:
                log.exception("%s failed", name)
                self.faults = [*self.faults[-9:], f"{name}: {type(error).__name__}: {error}"]
            await asyncio.sleep(RESTART_S)

    async def _report(self, parts: "_Parts") -> None:
        while True:
            self._close_idle_recorders(parts)
            try:
                await parts.send(await self.report())
            except PortwitnessError as error:
                log.debug("report: %s", error)
            await asyncio.sleep(REPORT_S)

    async def _remove(self, parts: "_Parts") -> None:
        removal = Removal(parts.spool, parts.folder, parts.recorder, parts.records, parts.files)
        pruning = Pruning(parts.spool, parts.recorder, parts.records, self.settings.disk.journal_days)
        await removal.finish()
        while True:
            if self.settings.disk.removes and parts.recorder.disk != "ok":
                open_tasks = {task for capture in parts.recorder.captures.values() for task in capture.tasks}
                while await removal.make_room(open_tasks) and parts.recorder.durable.space.look() != "ok":
                    pass
            await pruning.step(parts.forwarder.hub_wall_ns if parts.forwarder is not None else None)
            await asyncio.sleep(REMOVAL_S)

    # ----------------------------------------------------------------------------------------------------- status

    def _use(self) -> "_Parts":
        if self._parts is None:
            raise RefusedError("the box is not running", where="agent")
        return self._parts

    async def report(self) -> BoxReport:
        """Give the telemetry of now."""
        parts = self._use()
        now = self.around.clock.now()
        backlog = await parts.records.run(parts.spool.backlog)
        return BoxReport(
            box=self.identity.enrolled.box,
            epoch=parts.journal.epoch,
            wall_ns=now.wall_ns,
            mono_ns=now.mono_ns,
            sync=now.sync,
            software=SOFTWARE,
            transport=parts.transport.name if parts.transport is not None else "none",
            journal_size=parts.journal.size,
            unsent_records=backlog["records"],
            unsent_blobs=backlog["blobs"],
            unsent_bytes=backlog["bytes"],
            unreceipted=backlog["unreceipted"],
            free_bytes=parts.recorder.durable.space.free,
            disk=parts.recorder.durable.space.state,
            sources=parts.supervision.states(),
        )

    async def status(self) -> Mapping[str, object]:
        """Give the state of the box for people and tools, as plain values."""
        parts = self._use()
        report = await self.report()
        now = self.around.clock.now()
        hub_wall = parts.forwarder.hub_wall_ns if parts.forwarder is not None else None
        faults = [*self.faults, *parts.recorder.faults, *(parts.forwarder.faults if parts.forwarder is not None else [])]
        faults += [parts.journal.fault] if parts.journal.fault else []
        tls = parts.renewal.standing if parts.renewal is not None else None
        if tls is not None and tls.state in ("failed", "ended"):
            faults.append(f"TLS certificate: {tls.detail}")
        return {
            "box": report.box,
            "site": self.identity.enrolled.site,
            "software": SOFTWARE,
            "epoch": report.epoch,
            "journal": {"size": report.journal_size, "root": parts.journal.root.hex(), "unreceipted": report.unreceipted},
            "backlog": {"records": report.unsent_records, "segments": report.unsent_blobs, "bytes": report.unsent_bytes},
            "disk": {"state": report.disk, "free_bytes": report.free_bytes},
            "hub": {
                "transport": report.transport,
                "up": parts.transport.is_up if parts.transport is not None else False,
                "reason": parts.transport.last_error if parts.transport is not None and not parts.transport.is_up else "",
            },
            "clock": {
                "sync": now.sync, "error_ms": now.error_ms, "wall": now.iso(),
                "hub_offset_ms": None if hub_wall is None else (now.wall_ns - hub_wall) // 1_000_000,
            },
            "trust": self.identity.trust is not None,
            "certificate": tls.shown() if tls is not None else None,
            "recovered": {"segments": self.recovered.segments, "unbound_bytes": self.recovered.unbound, "lost": self.recovered.lost},
            "sources": [
                {
                    "source": state.source, "role": state.role, "state": state.state, "detail": state.detail,
                    "bitrate": state.bitrate, "frames": state.frames, "lost": state.lost, "task": state.task,
                }
                for state in report.sources
            ],
            "faults": faults[-10:],
        }  # fmt: skip


@dataclass(slots=True)
class _Parts:
    """What a running box consists of."""

    spool: Spool
    journal: Journal
    folder: SegmentFolder
    recorder: Recorder
    supervision: Supervision
    files: Worker
    records: Worker
    orders: Orders | None = None
    forwarder: Forwarder | None = None
    transport: Transport | None = None
    live: "LiveRoom | None" = None
    renewal: "Renewal | None" = None

    async def send(self, message: messages.Message) -> None:
        """Send a message to the hub."""
        if self.forwarder is not None:
            await self.forwarder.send(message)

    def farewell(self) -> BoxReport:
        """Give the report that the broker publishes when the box vanished."""
        now = self.recorder.clock.now()
        name = self.recorder.box
        return BoxReport(name, self.journal.epoch, now.wall_ns, now.mono_ns, now.sync, SOFTWARE, "mqtt", 0, 0, 0, 0, 0, 0, "ok", (), False)
