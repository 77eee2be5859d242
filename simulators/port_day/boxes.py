"""Be the boxes of a port's docks in memory: journals of protocol records, segments of random bytes, orders obeyed at once.

Guarantees: what a box says is signed and in order, as an edge box would say it; the same seed gives the same records and bytes. Nothing
waits: a stretch of recording is written when it is over.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from hub.app import Hub
from protocol import kinds
from protocol.identifiers import BoxId, StreamId
from protocol.messages import EndTask, JournalBatch, Pair, Reply, decode
from protocol.records import read
from simulators.adversary.premises import settle
from simulators.evidence import SESSION_NS, MemoryBox, MemoryPort
from simulators.port_day.clock import VirtualClock

CAMERA = "cam-1"
MAX_BATCH = 200


@dataclass(slots=True)
class DayBox:
    """A box: its journal in memory, and what it has handed over to the hub."""

    hub: Hub
    clock: VirtualClock
    memory: MemoryBox
    sent: int = 0
    certified_ns: int = 0  # of its monotonic clock
    recording: dict[str, int] = field(default_factory=dict)  # to when it is in segments, monotonic ns, by source

    @property
    def box(self) -> BoxId:
        """Give its name."""
        return self.memory.box

    async def obey(self) -> None:
        """Do what the hub ordered, sign that it is done, and hand the journal over."""
        answers = []
        for data in await self.hub.mail.take(self.box, 0.0):
            message = decode(data)
            if isinstance(message, Pair):
                order = read(message.order)
                assert isinstance(order.record.body, kinds.Pairing)
                self._tick()
                self.memory.write(replace(order.record.body, order=order.leaf), message.task)
                answers.append(Reply(message.command, done=True))
            elif isinstance(message, EndTask):
                answers.append(Reply(message.command, done=True))
        await self.hand_over()
        for answer in answers:
            await self.hub.ingest.accept(self.box, answer)

    def start(self, source: str) -> None:
        """Begin to record a source."""
        self._tick()
        reason = "configured" if source.startswith("cam") else "claimed"
        self.memory.write(
            kinds.Recording("started", reason, _way(source), self.memory.numbers.get(source, 0)), StreamId.of(self.box, source)
        )
        self.recording[source] = self.memory.at().mono_ns

    async def cut(self) -> None:
        """Close a segment of each running source, up to now, and hand it over under a seal."""
        self._tick()
        for source in self.recording:
            self._close(source)
        self.memory.seal()
        await self.hand_over()

    async def lose(self, seconds: float) -> None:
        """Lose the picture of every running source for a while, and say so by signed gaps."""
        await self.cut()
        before = self.memory.at()
        self.clock.pass_s(seconds)
        self._tick()
        now = self.memory.at()
        for source in self.recording:
            gap = kinds.Gap("camera lost", before.wall_ns, now.wall_ns, before.mono_ns, now.mono_ns)
            self.memory.write(gap, StreamId.of(self.box, source))
            self.recording[source] = now.mono_ns

    def _close(self, source: str) -> None:
        now = self.memory.at().mono_ns
        data = self.memory.port.video(str(self.box), source, self.memory.numbers.get(source, 0))
        self.memory.segment(source, data, now - self.recording[source])
        self.recording[source] = now

    async def stop(self, source: str) -> None:
        """End the recording of a source."""
        self._tick()
        self._close(source)
        del self.recording[source]
        number = self.memory.numbers.get(source, 0)
        self.memory.write(kinds.Recording("stopped", "configured", _way(source), number), StreamId.of(self.box, source))
        self.memory.seal()
        await self.hand_over()

    async def hand_over(self) -> None:
        """Send what the hub has not got: records, then the bytes of their segments."""
        journal, first = self.memory.journals[self.memory.epoch], self.sent
        for at in range(first, len(journal), MAX_BATCH):
            batch = tuple(one.data for one in journal[at : at + MAX_BATCH])
            await self.hub.ingest.accept(self.box, JournalBatch(self.box, self.memory.epoch, at, batch))
        self.sent = len(journal)
        for one in journal[first:]:
            if isinstance(one.record.body, kinds.Segment):
                path = self.memory.port.folder / one.record.body.sha256.hex()
                await self.hub.blobs.put(self.box, one.record.body.sha256, one.record.body.size, _whole(path))
                await settle(self.hub)  # each has a record of its own, whatever the machine's pace

    def _tick(self) -> None:
        """Bring the box's clock up to the stage's, and keep its session key in force."""
        self.clock.pass_s(0.001)
        self.memory.port.now_ns = self.clock.wall_ns
        if self.memory.at().mono_ns > self.certified_ns + SESSION_NS // 2:  # in good time before the session key ends
            self.certified_ns = self.memory.at().mono_ns
            self.memory.certify()


def _way(source: str) -> Literal["rtsp", "whip"]:
    return "rtsp" if source.startswith("cam") else "whip"


async def _whole(path: Path) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)


async def enrol_boxes(hub: Hub, clock: VirtualClock, folder: Path, names: tuple[str, ...], seed: int) -> dict[str, DayBox]:
    """Enrol boxes at a hub and boot them."""
    port = MemoryPort(folder, seed=seed, now_ns=clock.wall_ns, segment_bytes=600)
    port.found()
    made = {}
    for name in names:
        memory = port.enrol(name)
        await hub.log.issue(port.log.entries[-1].record.body, name)
        box = DayBox(hub, clock, memory)
        memory.seal()
        await box.hand_over()
        made[name] = box
    return made
