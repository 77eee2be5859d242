"""Know how boxes and their streams do: newest report, last word, clock offset; say when a box falls silent.

Reports are telemetry: kept in memory, never evidence. A box that stays silent rings; when it returns the alarm is over by itself.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from sqlalchemy import Connection, func, select

from hub.core import Core
from hub.mail import Mail, unreceipted
from hub.values import Device, StreamState
from protocol.errors import StorageError
from protocol.identifiers import BoxId, StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS
from protocol.messages import BoxReport, Message, SourceState
from storage.schema import identities, journals, seals, streams

NO_PICTURE = {"lost": "gives no picture", "refused": "is refused by the box", "stopped": "is stopped"}  # by SourceState.state
TICK_S = 1.0
OFFLINE = "box offline"
RING_S = 60.0  # so long after a box counts as offline it rings: a restart is no alarm
LACKING_REPORTS = 3  # in so many reports in a row a box must say that it lacks receipts before they are repeated
REPEAT_RECEIPTS_NS = 10 * SECOND_NS
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    """What one box last said."""

    report: BoxReport | None = None
    wall_ns: int = 0
    mono_ns: int = 0
    online: bool = False
    offset_ms: int | None = None
    lacking: int = 0
    repeated_ns: int = 0
    rang: bool | None = None  # whether its silence rang; not known after the hub's start


@dataclass(slots=True)
class Devices:
    """The boxes. Use as an async context manager."""

    core: Core
    mail: Mail
    viewers: Callable[[str], tuple[int, bool]] = lambda stream: (0, False)  # viewers of a stream, and whether it is live here
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None
    _began_ns: int = 0

    async def __aenter__(self) -> "Devices":
        self._began_ns = self.core.clock.monotonic_ns()
        self._task = asyncio.create_task(self._run(), name="devices")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def reported(self, box: BoxId, report: BoxReport) -> list[Message]:
        """Take a report of a box; a will of an older epoch than the newest one says nothing."""
        seen = self._seen.setdefault(box, _Seen())
        if seen.report is not None and report.epoch < seen.report.epoch:
            return []
        now = self.core.clock.now()
        if not report.online:
            self._set_online(box, seen, online=False)
            return []
        seen.report, seen.offset_ms = report, (report.wall_ns - now.wall_ns) // MILLISECOND_NS
        self.heard(box)
        self.core.events.tell("device", box=box, online=True)
        await self._check_receipts(box, seen, report, now.mono_ns)
        return []

    def heard(self, box: str) -> None:
        """Note that a box said something."""
        now, seen = self.core.clock.now(), self._seen.setdefault(box, _Seen())
        seen.wall_ns, seen.mono_ns = now.wall_ns, now.mono_ns
        self._set_online(box, seen, online=True)

    def obstacle(self, stream: StreamId) -> str | None:
        """Say why a stream cannot be shown now, as far as its box said; None when nothing speaks against it."""
        seen = self._seen.get(stream.box)
        if seen is None:  # not heard of since the hub's start: it may come
            return None
        if not seen.online:
            return f"the box {stream.box} is offline"
        for source in seen.report.sources if seen.report else ():
            if source.source == stream.source and source.state in NO_PICTURE:
                return f"the {source.role} {source.source} {NO_PICTURE[source.state]}" + (f": {source.detail}" if source.detail else "")
        return None

    def owes(self, box: str) -> bool:
        """Tell whether records of a box may be on their way: it is not heard, or says that it has not sent all."""
        seen = self._seen.get(box)
        return seen is None or not seen.online or seen.report is None or seen.report.unsent_records > 0

    async def streams(self) -> list[StreamState]:
        """Give every stream that records or reports name."""
        rows = await self.core.database.read(lambda connection: connection.execute(select(streams)).all())
        found = {row.stream: self._stream(row.stream, None, row.origin, row.last_number) for row in rows}
        for box, seen in self._seen.items():
            for source in seen.report.sources if seen.report else ():
                name = StreamId.of(box, source.source)
                number = found[name].last_number if name in found else None
                found[name] = self._stream(name, source if seen.online else None, "whip" if source.role == "recorder" else "rtsp", number)
        return [found[name] for name in sorted(found)]

    async def list(self) -> list[Device]:
        """Give every box that is enrolled or sent records."""
        rows = await self.core.database.read(_box_rows)
        return [self._device(box, facts) for box, facts in sorted(rows.items())]

    def _stream(self, name: str, source: SourceState | None, origin: str, number: int | None) -> StreamState:
        viewers, live = self.viewers(name)
        role: Literal["camera", "recorder"] = "recorder" if origin == "whip" else "camera"
        return StreamState(
            stream=name,
            role=source.role if source else role,
            state=source.state if source else "offline",
            detail=source.detail if source else "",
            task=source.task if source else None,
            bitrate=source.bitrate if source else 0,
            frames=source.frames if source else 0,
            lost=source.lost if source else 0,
            viewers=viewers,
            live=live,
            last_number=number,
        )

    def _device(self, box: str, facts: dict[str, Any]) -> Device:
        seen = self._seen.get(box, _Seen())
        return Device(
            box=box,
            enrolled=facts.get("enrolled", False),
            online=seen.online,
            last_seen_ns=seen.wall_ns or None,
            offset_ms=seen.offset_ms,
            epoch=facts.get("epoch"),
            journal_size=facts.get("size", 0),
            receipted=facts.get("receipted", 0),
            report=seen.report,
        )

    async def _check_receipts(self, box: BoxId, seen: _Seen, report: BoxReport, mono_ns: int) -> None:
        """Repeat receipts when a box keeps saying that it lacks more than the hub has left open."""
        left_open = await self.core.database.read(lambda connection: unreceipted(connection, box))
        seen.lacking = seen.lacking + 1 if report.unreceipted > left_open + report.unsent_records else 0
        if seen.lacking >= LACKING_REPORTS and mono_ns - seen.repeated_ns > REPEAT_RECEIPTS_NS:
            seen.repeated_ns, seen.lacking = mono_ns, 0
            await self.mail.repeat_receipts(box)

    def _set_online(self, box: str, seen: _Seen, *, online: bool) -> None:
        if seen.online != online:
            seen.online = online
            self.core.events.tell("device", box=box, online=online)

    async def _run(self) -> None:
        limit_ns = int(self.core.settings.device.offline_seconds * SECOND_NS)
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = self.core.clock.monotonic_ns()
            for box, seen in self._seen.items():
                if seen.online and now_ns - seen.mono_ns > limit_ns:
                    self._set_online(box, seen, online=False)
            try:
                await self._ring(now_ns, limit_ns + int(RING_S * SECOND_NS))
            except StorageError as error:  # supervision: tried again at the next tick
                _LOG.warning("alarm of a silent box not kept: %s", error)

    async def _ring(self, now_ns: int, limit_ns: int) -> None:
        """Ring for boxes that stay silent, once; take the alarm back when they return."""
        if now_ns - self._began_ns > limit_ns:
            for box in await self.core.database.read(_enrolled_boxes):
                seen = self._seen.get(box)
                if seen is None:  # not heard since the hub's start
                    await self._rang(box)
                    self._seen[box] = _Seen(rang=True)
                elif not seen.online and not seen.rang and now_ns - seen.mono_ns > limit_ns:
                    seen.rang = True
                    await self._rang(box)
        for box, seen in list(self._seen.items()):
            if seen.online and seen.rang is not False:
                seen.rang = False
                await self.core.alarms.over(OFFLINE, box, str(self.core.issuer))

    async def _rang(self, box: str) -> None:
        await self.core.alarms.ring(OFFLINE, box, "no word from the box; what it records now is kept at the box until it returns")


@dataclass(frozen=True, slots=True)
class Streams:
    """The streams, listed."""

    devices: Devices

    async def list(self) -> list[StreamState]:
        """Give every stream that records or reports name."""
        return await self.devices.streams()


def _enrolled_boxes(connection: Connection) -> list[str]:
    return sorted(connection.execute(select(identities.c.box).where(identities.c.until.is_(None)).distinct()).scalars())


def _box_rows(connection: Connection) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for box in connection.execute(select(identities.c.box).where(identities.c.until.is_(None)).distinct()).scalars():
        found[box] = {"enrolled": True}
    newest = select(journals.c.box, func.max(journals.c.epoch).label("epoch")).group_by(journals.c.box)
    for row in connection.execute(newest).all():
        mine = (journals.c.box == row.box) & (journals.c.epoch == row.epoch)
        size = connection.execute(select(journals.c.size).where(mine)).scalar_one()
        sealed = (seals.c.box == row.box) & (seals.c.epoch == row.epoch) & seals.c.log_index.is_not(None)
        receipted = connection.execute(select(func.max(seals.c.position)).where(sealed)).scalar() or 0
        found.setdefault(row.box, {}).update(epoch=row.epoch, size=size, receipted=receipted)
    return found
