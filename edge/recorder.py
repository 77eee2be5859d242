"""Beat once a second for all streams: write and flush what came, sign one heartbeat for it, commit once.

Guarantees: bytes are durable before the heartbeat that binds them is signed, and that is durable before anybody hears of it; a
slow disk delays the beat and never a camera; a full disk refuses new video with a signed gap, and takes it again when space
came back; a stepped wall clock is recorded and splits segments without a gap in monotonic time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.capture import Anchor, Capture, CutRules, Origin, Since
from edge.drafts import Draft, Flushed, Lane, flush, is_full, write_ahead
from edge.journal import Entry, Journal, SealReason
from edge.worker import Worker
from protocol import kinds
from protocol.errors import MalformedError, PortwitnessError, StorageError
from protocol.identifiers import BoxId, SourceId, StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS, Clock
from storage.files import Ballast, SegmentFolder, SpaceWatch
from storage.spool import Changes

BEAT_S = 1.0
IDLE_BEATS = 10
SEAL_NS = 10 * SECOND_NS
STEP_NS = 200 * MILLISECOND_NS  # a wall clock that moved by more than this against the monotonic one has stepped
KEPT_ENTRIES = 4096  # records that wait for a disk that takes them again
MAX_ENTRIES = 512  # of one commit

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Durable:
    """Where the recorder keeps things: segment files, the ballast, and the watch over free space."""

    folder: SegmentFolder
    space: SpaceWatch
    ballast: Ballast


@dataclass(slots=True)
class Recorder:
    """All captures of a box. `on_commit` hears after each commit that there is something to send."""

    box: BoxId
    journal: Journal
    clock: Clock
    durable: Durable
    files: Worker
    records: Worker
    rules: CutRules = field(default_factory=CutRules)
    on_commit: Callable[[], None] | None = None
    captures: dict[SourceId, Capture] = field(default_factory=dict)
    anchor: Anchor = field(default_factory=lambda: Anchor(0))
    faults: list[str] = field(default_factory=list)
    _waiting: list[Entry] = field(default_factory=list)
    _changes: Changes | None = None
    _sealed_ns: int = 0
    _beats: int = 0
    _disk: str = "ok"
    _told_disk: bool = False  # its state is recorded once at the start, then each time it changes
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def start(self) -> None:
        """Tie the wall clock to the monotonic one; before any capture opens."""
        now = self.clock.now()
        self.anchor = Anchor(now.wall_ns - now.mono_ns)
        self._sealed_ns = now.mono_ns

    # -------------------------------------------------------------------------------------------------- captures

    def add(self, source: SourceId, origin: Origin, *, cause: str, since: Since | None = None) -> Capture:
        """Open the recording period of a source, or go on with the one that a restart interrupted."""
        capture = self.captures.get(source)
        if capture is None:
            stream = StreamId.of(self.box, source)
            row = self.journal.streams.get(stream)
            lane = Lane(stream, row.next_number if row else 0)
            capture = Capture(stream, origin, self.clock, self.rules, self.anchor, lane, row.next_run if row else 0)
            self.captures[source] = capture
            if self._disk == "full":
                capture.refuse("disk full", "no space for new video")
        if not capture.is_open:
            capture.open(cause, since)
        return capture

    def interrupted(self, stream: str) -> Since | None:
        """Give where the account of a stream's unfinished period stands; None when it has none."""
        row = self.journal.streams.get(stream)
        if row is None or not row.is_open:
            return None
        return Since(row.wall_to, None)

    # ------------------------------------------------------------------------------------------------- the beat

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time() + BEAT_S
        while True:
            await asyncio.sleep(max(0.0, due - BEAT_S / 2 - loop.time()))
            await self.write_ahead()
            await asyncio.sleep(max(0.0, due - loop.time()))
            due = max(due + BEAT_S, loop.time())
            await self.beat()

    async def write_ahead(self) -> None:
        """Write what came since the beat, so that memory holds half of it; it becomes durable and signed with the next one."""
        await _whole(self._write_ahead())

    async def _write_ahead(self) -> None:
        async with self._turn:
            captures = [(capture, piece) for capture in self.captures.values() if (piece := capture.take_ahead()) is not None]
            if not captures:
                return
            work = [(capture.lane, piece) for capture, piece in captures]
            for (capture, _), size in zip(captures, await self.files.run(write_ahead, self.durable.folder, work), strict=True):
                capture.flushed(size)

    async def beat(self, *, seal: SealReason | None = None, extra: Sequence[Entry] = (), changes: Changes | None = None) -> None:
        """Write, flush, sign and commit what came since the last beat; it ends even when its caller is cancelled."""
        await _whole(self._beat(seal, extra, changes))

    async def _beat(self, seal: SealReason | None, extra: Sequence[Entry], changes: Changes | None) -> None:
        async with self._turn:
            now = self.clock.now()
            before = self._watch_clock(now.wall_ns, now.mono_ns) + self._watch_space()
            captures = list(self.captures.values())
            for capture in captures:
                capture.beat(now.mono_ns)
            work = [(capture.lane, capture.take()) for capture in captures]
            flushed = await self.files.run(flush, self.durable.folder, work)
            changes = self._carried(changes)
            entries = [*before, *self._settle(captures, flushed, changes), *extra]
            beat = self._heartbeat(flushed, changes)
            if beat is not None:
                entries.append(beat)
            await self._commit(entries, changes, seal)

    async def record(self, entries: Sequence[Entry], changes: Changes | None = None) -> list[int]:
        """Commit records between two beats; give their positions. Raises StorageError."""
        async with self._turn:
            signed = await self.records.run(self.journal.append, entries, changes)
        self._tell()
        return [one.record.position for one in signed if one.record.kind != "session"]

    def _settle(self, captures: Sequence[Capture], flushed: Sequence[Flushed], changes: Changes) -> list[Entry]:
        out: list[Entry] = []
        for capture, result in zip(captures, flushed, strict=True):
            capture.flushed(result.size)
            for item in result.done:
                out += self._record_draft(capture, item, changes) if isinstance(item, Draft) else [item]
        return out

    def _record_draft(self, capture: Capture, draft: Draft, changes: Changes) -> list[Entry]:
        out = []
        if draft.has_media:
            out.append(draft.entry())
            if draft.is_recorded:
                changes.drafts_gone.append((draft.stream, draft.number))
        if draft.failure is not None:
            log.error("%s: segment ended: %s", draft.stream, draft.failure)
            gap = capture.fail(draft, draft.failure.what, is_full=is_full(draft.failure))
            out += [gap] if gap is not None else []
        return out

    def _heartbeat(self, flushed: Sequence[Flushed], changes: Changes) -> Entry | None:
        drafts = [result.open for result in flushed if result.open is not None and result.open.has_media]
        self._beats += 1
        if not drafts and self._beats % IDLE_BEATS:
            return None
        for draft in drafts:
            if not draft.is_recorded:
                draft.is_recorded = True
                changes.drafts.append(draft.row(self.journal.epoch))
        return Entry(str(self.box), kinds.Heartbeat(tuple(draft.open_segment() for draft in drafts)))

    async def _commit(self, entries: list[Entry], changes: Changes, seal: SealReason | None) -> None:
        waiting = self._waiting + entries
        now = self.clock.monotonic_ns()
        if seal is None and now - self._sealed_ns >= SEAL_NS:
            seal = "interval"
        try:
            while len(waiting) > MAX_ENTRIES:
                await self.records.run(self.journal.append, waiting[:MAX_ENTRIES], None)
                waiting = waiting[MAX_ENTRIES:]
            if waiting or seal is not None or _is_filled(changes):
                await self.records.run(self.journal.append, waiting, changes, seal=seal)
        except PortwitnessError as error:
            if isinstance(error, MalformedError):
                waiting = self._sift(waiting)
            self._keep(waiting, changes, error)
            return
        self._waiting, self._changes = [], None
        if seal is not None:
            self._sealed_ns = now
        self._tell()

    def _sift(self, entries: list[Entry]) -> list[Entry]:
        """Leave out what can never be written, so that one defect does not hold up the journal for ever; it is told."""
        kept = []
        for entry in entries:
            try:
                kinds.encode_body(entry.body)
                kept.append(entry)
            except MalformedError as error:
                self._fault(f"record of {entry.subject} left out: {error}")
        return kept

    def _carried(self, changes: Changes | None) -> Changes:
        """Give the changes that a failed commit left, with those of now."""
        kept, self._changes = self._changes, None
        if kept is None or changes is None:
            return kept or changes or Changes()
        for name in ("drafts", "drafts_gone", "blobs", "removed", "streams", "paired", "unpaired"):
            getattr(kept, name).extend(getattr(changes, name))
        kept.replies.update(changes.replies)
        kept.facts.update(changes.facts)
        return kept

    def _keep(self, entries: list[Entry], changes: Changes, error: PortwitnessError) -> None:
        """Keep what the journal could not take; the heartbeats among it are worthless later."""
        log.error("journal does not take records: %s", error)
        self._fault(f"journal: {error}")
        kept = [entry for entry in entries if not isinstance(entry.body, kinds.Heartbeat)]
        self._waiting, self._changes = kept[-KEPT_ENTRIES:], changes

    def _tell(self) -> None:
        if self.on_commit is not None:
            self.on_commit()

    # ------------------------------------------------------------------------------------------ clock and space

    def _watch_clock(self, wall_ns: int, mono_ns: int) -> list[Entry]:
        expected = self.anchor.wall(mono_ns)
        step = wall_ns - expected
        if abs(step) <= STEP_NS:
            return []
        self.anchor = Anchor(wall_ns - mono_ns)
        log.warning("the wall clock stepped by %d ms", step // MILLISECOND_NS)
        for capture in self.captures.values():
            capture.set_anchor(self.anchor)
        return [Entry(str(self.box), kinds.ClockStep(expected, wall_ns, step))]

    def _watch_space(self) -> list[Entry]:
        space = self.durable.space
        try:
            state = space.look()
        except StorageError as error:
            self._fault(f"disk: {error}")
            return []
        before, self._disk = self._disk, state
        if state == before and self._told_disk:
            return []
        self._told_disk = True
        if (state == "full") != (before == "full"):
            self._turn_video(state)
        return [Entry(str(self.box), kinds.BoxState(f"disk {state}", f"{space.free} bytes free"))]

    def _turn_video(self, state: str) -> None:
        """Refuse new video on a full disk, and take it again when space came back."""
        space = self.durable.space
        if state == "full":
            log.error("disk full: %d bytes free; new video is refused", space.free)
            for capture in self.captures.values():
                capture.refuse("disk full", f"{space.free} bytes free")
        else:
            log.info("disk has space again: %d bytes free", space.free)
            self.durable.ballast.hold()
            for capture in self.captures.values():
                capture.allow()

    @property
    def disk(self) -> str:
        """Give the state of the disk: ok, low or full."""
        return self._disk

    def _fault(self, text: str) -> None:
        self.faults = [*self.faults[-9:], text]

    # ------------------------------------------------------------------------------------------------- the end

    async def cut(
        self,
        sources: Sequence[SourceId],
        seal: SealReason,
        limit_s: float,
        extra: Sequence[Entry] = (),
        changes: Changes | None = None,
    ) -> None:
        """End the open segments of these sources at their next keyframes, record `extra` behind them, then seal."""
        captures = [self.captures[source] for source in sources if source in self.captures]
        for capture in captures:
            capture.cut_soon()
        end = self.clock.monotonic_ns() + int(limit_s * SECOND_NS)
        while not all(capture.is_cut for capture in captures) and self.clock.monotonic_ns() < end:  # noqa: ASYNC110 - device's turn
            await asyncio.sleep(0.05)
        await self.beat(seal=seal, extra=extra, changes=changes)

    async def close(self, cause: str) -> None:
        """End every recording period, seal, and erase the session key."""
        for capture in self.captures.values():
            capture.close(cause)
        await self.beat(seal="shutdown")
        await self.records.run(self.journal.forget)


def _is_filled(changes: Changes) -> bool:
    return changes != Changes()


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Do all of `work` though the caller is cancelled in the middle, and only then pass that on.

    What a beat has taken from the captures is nowhere else: half a beat would leave a segment on disk that no record names.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("beat: %s", error)
        raise
