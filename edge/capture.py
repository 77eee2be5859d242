"""Turn the units of one source into segments and gaps that together cover its whole recording period.

Guarantees: from `open` to `close` every instant belongs to exactly one segment or one gap with a cause; segments begin at
keyframes and are self-contained; a change of parameter sets begins a new run; memory is bounded, and what does not fit is
dropped with a signed gap. Runs on the event loop and never blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edge.drafts import Draft, Item, Lane, Piece
from edge.journal import Entry
from edge.muxer import Muxer
from firmware_adapters.abilities import Interruption, MediaUnit, TrackFormat, UnitSink
from protocol import kinds
from protocol.errors import MalformedError
from protocol.identifiers import StreamId
from protocol.instants import MILLISECOND_NS, SECOND_NS, Clock

Origin = Literal["rtsp", "whip"]
HOLE_NS = SECOND_NS  # media missing for longer is a gap, not a lost packet
CUT_EARLY_NS = 250 * MILLISECOND_NS  # a keyframe this much before its time ends a segment: arrival jitters
FIRST_PIECE_NS = 10 * SECOND_NS  # an open gap is recorded after this, then each PIECE_NS: a crash must not hide its cause
PIECE_NS = 60 * SECOND_NS
MAX_PENDING_BYTES = 12 << 20


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the wall clock says against the monotonic one; both run alike until it steps."""

    offset_ns: int

    def wall(self, mono_ns: int) -> int:
        """Give the wall time of a monotonic instant."""
        return self.offset_ns + mono_ns


@dataclass(frozen=True, slots=True)
class CutRules:
    """How long segments are, and how much may wait in memory."""

    segment_s: float = 10.0
    pending_bytes: int = MAX_PENDING_BYTES


@dataclass(frozen=True, slots=True)
class Since:
    """Where the account of an interrupted period stands: a wall instant, and a monotonic one when it is of this boot."""

    wall_ns: int
    mono_ns: int | None


@dataclass(slots=True)
class _OpenGap:
    cause: kinds.GapCause
    detail: str = ""
    dropped: int = 0
    since: Since | None = None
    pieces: int = 0


@dataclass(slots=True)
class Counters:
    """What a source delivered since the box started."""

    frames: int = 0
    lost: int = 0
    size: int = 0
    last_unit_ns: int | None = None


@dataclass(slots=True)
class Capture:
    """The sink of one source; `lane` belongs to the flush. `ask_key` asks the device for a keyframe, if it can be asked."""

    stream: StreamId
    origin: Origin
    clock: Clock
    rules: CutRules
    anchor: Anchor
    lane: Lane
    next_run: int = 0
    ask_key: Callable[[], None] | None = None
    counters: Counters = field(default_factory=Counters)
    tasks: set[str] = field(default_factory=set)
    planned_ends: dict[str, int] = field(default_factory=dict)  # of tasks, wall ns
    is_open: bool = False
    interruption: Interruption | None = None
    detail: str = ""
    _formats: tuple[TrackFormat, ...] = ()
    _lead: int = -1
    _usual_step: int = 0  # of presentation times, in ticks: no hole
    _muxer: Muxer | None = None
    _draft: Draft | None = None
    _gap: _OpenGap | None = None
    _refused: kinds.GapCause | None = None
    _refusal_detail: str = ""
    _covered_ns: int = 0
    _last: MediaUnit | None = None
    _wants_cut: bool = False
    _next_anchor: Anchor | None = None
    _queue: list[Item] = field(default_factory=list)
    _queued: int = 0
    _listeners: list[UnitSink] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------------- the period

    def open(self, cause: str, since: Since | None = None) -> None:
        """Begin a recording period now, or go on with one that a restart interrupted (`since`)."""
        now = self.clock.monotonic_ns()
        self._adopt_anchor()
        self._covered_ns = now
        self.is_open = True
        if since is None:
            self._queue.append(Entry(self.stream, kinds.Recording("started", cause, self.origin, self.lane.next_number, at_mono=now)))
            self._gap = _OpenGap("starting")
        else:
            self._gap = _OpenGap("restart", since=since)
        if self._refused is not None:
            self._change_gap(self._refused, self._refusal_detail)

    def close(self, cause: str) -> None:
        """End the recording period: the open segment or gap ends now."""
        if not self.is_open:
            return
        self._end_draft()
        now = max(self.clock.monotonic_ns(), self._covered_ns)
        if self._gap is None:
            self._gap = _OpenGap("operator stop")
        self._record_gap(now)
        self._gap = None
        self.is_open = False
        expected = max(self.planned_ends.values(), default=None)
        self._queue.append(Entry(self.stream, kinds.Recording("stopped", cause, self.origin, self.lane.next_number, expected, now)))
        self.planned_ends.clear()

    # --------------------------------------------------------------------------------------------------- the sink

    def on_formats(self, formats: Sequence[TrackFormat]) -> None:
        """Take the tracks of a new connection: a new run begins."""
        self._end_draft("starting")
        self._muxer = None
        self._formats = tuple(formats)
        lead = next((track for track in formats if track.is_video), formats[0] if formats else None)
        self._lead = lead.track if lead is not None else -1
        self._usual_step = lead.clock_hz * HOLE_NS // SECOND_NS if lead is not None else 0
        self._last = None
        self.interruption, self.detail = None, ""
        for listener in self._listeners:
            listener.on_formats(self._formats)

    def on_unit(self, unit: MediaUnit) -> None:
        """Take one unit."""
        counters = self.counters
        counters.last_unit_ns = unit.mono_ns
        counters.lost += unit.lost_before
        if self.is_open:
            self._take(unit)
        for listener in self._listeners:
            listener.on_unit(unit)

    def on_interruption(self, cause: Interruption, detail: str) -> None:
        """End the segment and open a gap with its cause."""
        self.interruption, self.detail = cause, detail
        self._end_draft()
        self._last = None
        if self.is_open:
            self._change_gap(self._cause_of(cause), detail[:200])
        for listener in self._listeners:
            listener.on_interruption(cause, detail)

    def _cause_of(self, cause: Interruption) -> kinds.GapCause:
        if self._refused is not None:
            return self._refused
        if cause == "stopped":
            return "operator stop"
        if cause == "unsupported":
            return "unsupported"
        if self.origin == "whip":
            return "recorder lost"
        return "camera stalled" if cause == "stalled" else "camera lost"

    def _take(self, unit: MediaUnit) -> None:
        is_lead = unit.track == self._lead
        if is_lead:
            last = self._last
            if last is not None and self._draft is not None and not 0 < unit.pts - last.pts <= self._usual_step:
                self._watch_hole(unit, last)
            if unit.is_key:
                self._turn(unit)
        draft, muxer = self._draft, self._muxer
        if draft is None or muxer is None:
            if is_lead and self._gap is not None:
                self._gap.dropped += 1
            return
        if muxer.add(unit):
            draft.lost += unit.lost_before
            if is_lead:
                self.counters.frames += 1
                self._last = unit
            if muxer.pending + self._queued > self.rules.pending_bytes:
                self._refuse_slow()

    def _watch_hole(self, unit: MediaUnit, last: MediaUnit) -> None:
        """Look closer at a step that is not the usual one: missing media is a gap."""
        muxer = self._muxer
        if muxer is None:
            return
        rate = next(track.clock_hz for track in self._formats if track.track == self._lead)
        missing_ns = (unit.pts - last.pts) * SECOND_NS // rate
        if -PIECE_NS < missing_ns <= max(HOLE_NS, 3 * muxer.step_ns):
            return
        self._end_draft()
        if not -PIECE_NS < missing_ns < PIECE_NS:
            self._muxer = None  # the device began to count anew: a new run
        stalled: kinds.GapCause = "camera stalled" if self.origin == "rtsp" else "recorder lost"
        self._change_gap("frames lost" if unit.lost_before else stalled, f"{missing_ns // MILLISECOND_NS} ms without pictures")

    def _turn(self, unit: MediaUnit) -> None:
        """Begin a segment at a keyframe, if there is none, if its time is over, or if the decoder must be set up anew."""
        if self._refused is not None:
            return
        formats = self._updated_formats(unit)
        draft = self._draft
        if draft is not None:
            age = unit.mono_ns - draft.mono_from
            is_due = age >= self.rules.segment_s * SECOND_NS - CUT_EARLY_NS or self._wants_cut
            if formats is None and not is_due:
                return
            self._end_draft(at=unit)
        if formats is not None:
            self._formats, self._muxer = formats, None
        self._begin(unit)

    def _updated_formats(self, unit: MediaUnit) -> tuple[TrackFormat, ...] | None:
        """Give the formats with the unit's own parameter sets when they differ from what is known; they win."""
        own = tuple(nal for nal in unit.payloads if nal and nal[0] & 0x1F in (7, 8))
        if not own:
            return None
        for at, track in enumerate(self._formats):
            if track.track != self._lead or not track.is_video:
                continue
            kept = _merge_sets(track.parameter_sets, own)
            if kept == track.parameter_sets:
                return None
            changed = TrackFormat(track.track, track.codec, track.clock_hz, kept, track.config, track.channels)
            return (*self._formats[:at], changed, *self._formats[at + 1 :])
        return None

    def _begin(self, unit: MediaUnit) -> None:
        if self._muxer is None:
            try:
                self._muxer = Muxer(self._formats)
            except MalformedError as error:
                self._change_gap("unsupported", str(error)[:200])
                return
            self.next_run += 1
        start = max(unit.mono_ns, self._covered_ns)
        if self._gap is not None:
            self._record_gap(start)
            self._gap = None
        self._adopt_anchor(start)
        self._covered_ns = start
        media_from = self._media_time(unit)
        self._draft = Draft(
            self.stream, self.next_run - 1, self._muxer.init, start, self.anchor.wall(start), media_from, unit.device_ns, set(self.tasks)
        )
        self._draft.bound_to = start
        self._wants_cut = False

    def _media_time(self, unit: MediaUnit) -> int:
        muxer = self._muxer
        assert muxer is not None
        rate = next(track.clock_hz for track in self._formats if track.track == self._lead)
        return muxer.begins_at(unit) * 90_000 // rate

    def _end_draft(self, cause: kinds.GapCause | None = None, *, at: MediaUnit | None = None) -> None:
        """End the open segment: at the unit that follows it, or behind its last one."""
        draft, muxer = self._draft, self._muxer
        if draft is None or muxer is None:
            return
        part = muxer.take(final=True, following=at)
        end = self._covered_ns
        if at is not None:
            end = at.mono_ns
        elif self._last is not None:
            end = self._last.mono_ns + muxer.step_ns
        draft.mono_to = self._covered_ns = max(end, draft.mono_from)
        self._queue.append(Piece(draft, part, closes=True))
        self._queued += part.size if part is not None else 0
        self._draft = None
        if cause is not None and self.is_open:
            self._gap = _OpenGap(cause)

    # ----------------------------------------------------------------------------------------------------- gaps

    def _change_gap(self, cause: kinds.GapCause, detail: str) -> None:
        """Go on in a gap of another cause."""
        gap = self._gap
        if gap is not None and gap.cause == cause:
            gap.detail = detail
            return
        if gap is not None:
            self._record_gap(max(self.clock.monotonic_ns(), self._covered_ns))
        self._gap = _OpenGap(cause, detail)

    def _record_gap(self, to_ns: int) -> None:
        """Record the open gap up to an instant, and account for it."""
        gap = self._gap
        start, end = self._covered_ns, max(to_ns, self._covered_ns)
        if gap is None:
            return
        since, gap.since = gap.since, None
        wall_from = self.anchor.wall(start) if since is None else since.wall_ns
        wall_to = max(self.anchor.wall(end), wall_from)
        mono_from = start if since is None else since.mono_ns
        if wall_to > wall_from or end > start:
            body = kinds.Gap(gap.cause, wall_from, wall_to, mono_from, end, gap.detail, gap.dropped or None)
            self._queue.append(Entry(self.stream, body))
        gap.dropped = 0
        gap.pieces += 1
        self._covered_ns = end
        self._adopt_anchor(end)

    def beat(self, now_ns: int) -> None:
        """Once a second: record long gaps piece by piece, ask for the keyframe that ends a segment, look at the pressure."""
        gap, draft = self._gap, self._draft
        if gap is not None and now_ns - self._covered_ns >= (PIECE_NS if gap.pieces else FIRST_PIECE_NS):
            self._record_gap(now_ns)
        if self._refused == "disk slow" and self._queued < self.rules.pending_bytes // 2:
            self.allow()
        if draft is not None and self.ask_key is not None and (self._wants_cut or self._is_nearly_due(draft, now_ns)):
            self.ask_key()

    def _is_nearly_due(self, draft: Draft, now_ns: int) -> bool:
        return now_ns - draft.mono_from >= (self.rules.segment_s - 0.5) * SECOND_NS

    # -------------------------------------------------------------------------------------------- orders from above

    def refuse(self, cause: kinds.GapCause, detail: str = "") -> None:
        """Take no more media until `allow`: the segment ends, a gap begins."""
        if self._refused == cause:
            return
        self._end_draft()
        self._refused, self._refusal_detail = cause, detail
        if self.is_open:
            self._change_gap(cause, detail)

    def _refuse_slow(self) -> None:
        self.refuse("disk slow", f"{self._queued >> 20} MiB wait to be written")

    def allow(self) -> None:
        """Take media again, from the next keyframe on."""
        self._refused = None
        if self.ask_key is not None:
            self.ask_key()

    def fail(self, draft: Draft, detail: str, *, is_full: bool) -> Entry | None:
        """Learn that a draft ended at its last durable byte; give the gap for what it lost if it had ended already."""
        cause: kinds.GapCause = "disk full" if is_full else "bytes lost"
        if draft is not self._draft:
            end = draft.mono_to if draft.mono_to is not None else draft.bound_to
            if end <= draft.bound_to:
                return None
            wall = draft.wall_from - draft.mono_from
            return Entry(self.stream, kinds.Gap(cause, wall + draft.bound_to, wall + end, draft.bound_to, end, detail[:200]))
        if self._muxer is not None:
            self._muxer.take(final=True)
        self._draft = None
        self._covered_ns = draft.bound_to
        if self.is_open:
            self._gap = _OpenGap(cause, detail[:200])
        return None

    def cut_soon(self) -> None:
        """End the open segment at the next keyframe."""
        if self._draft is not None:
            self._wants_cut = True
            if self.ask_key is not None:
                self.ask_key()

    @property
    def is_cut(self) -> bool:
        """Tell whether nothing waits for `cut_soon` any more."""
        return not self._wants_cut or self._draft is None

    def link(self, task: str, planned_end_ns: int | None = None) -> None:
        """Link what is recorded from now on to a task, the open segment included; it is to last until its planned end."""
        self.tasks.add(task)
        if planned_end_ns is not None:
            self.planned_ends[task] = planned_end_ns
        if self._draft is not None:
            self._draft.tasks.add(task)

    def unlink(self, task: str) -> None:
        """Link no further segments to a task."""
        self.tasks.discard(task)
        if self.origin != "whip":  # a recorder's period ends with its task, and says when it was to end
            self.planned_ends.pop(task, None)

    def set_anchor(self, anchor: Anchor) -> None:
        """Take a stepped wall clock: it counts from the next cut on, which comes soon."""
        self._next_anchor = anchor
        if self._gap is not None:
            self._record_gap(max(self.clock.monotonic_ns(), self._covered_ns))
        else:
            self.cut_soon()

    def _adopt_anchor(self, at_ns: int | None = None) -> None:
        """Change over to the stepped clock; a step forward leaves a stretch of wall time in which nothing happened."""
        old, new = self.anchor, self._next_anchor
        if new is None:
            return
        self.anchor, self._next_anchor = new, None
        if at_ns is not None and new.offset_ns > old.offset_ns and self.is_open:
            step_ms = (new.offset_ns - old.offset_ns) // MILLISECOND_NS
            body = kinds.Gap("clock step", old.wall(at_ns), new.wall(at_ns), at_ns, at_ns, f"the wall clock stepped by {step_ms} ms")
            self._queue.append(Entry(self.stream, body))

    # ------------------------------------------------------------------------------------------------- the flush

    def take(self) -> list[Item]:
        """Give what is to be written and recorded, in order."""
        draft, muxer = self._draft, self._muxer
        if draft is not None and muxer is not None:
            part = muxer.take()
            self._queue.append(Piece(draft, part))  # without a part it says that the segment is still open
            self._queued += part.size if part is not None else 0
        items, self._queue = self._queue, []
        return items

    def take_ahead(self) -> Piece | None:
        """Give a part of the open segment that may be written before its beat; None while anything else has to go first."""
        draft, muxer = self._draft, self._muxer
        if draft is None or muxer is None or self._queue or draft.failure is not None:
            return None
        part = muxer.take()
        if part is None:
            return None
        self._queued += part.size
        return Piece(draft, part)

    def flushed(self, size: int) -> None:
        """Learn that bytes left memory."""
        self._queued -= size
        self.counters.size += size

    @property
    def is_recording(self) -> bool:
        """Tell whether pictures go to a segment now."""
        return self._draft is not None

    @property
    def gap_cause(self) -> str | None:
        """Give the cause of the open gap."""
        return self._gap.cause if self._gap is not None else None

    # ---------------------------------------------------------------------------------------------------- viewers

    @property
    def formats(self) -> tuple[TrackFormat, ...]:
        """Give the tracks of the connection; empty before the first."""
        return self._formats

    @property
    def writing(self) -> tuple[Draft, Muxer] | None:
        """Give the open segment and its muxer."""
        draft, muxer = self._draft, self._muxer
        return (draft, muxer) if draft is not None and muxer is not None else None

    def listen(self, listener: UnitSink) -> None:
        """Hand units to a listener from now on."""
        self._listeners.append(listener)

    def unlisten(self, listener: UnitSink) -> None:
        """Hand it no more."""
        self._listeners = [each for each in self._listeners if each is not listener]


def _merge_sets(known: tuple[bytes, ...], own: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Replace the kinds of sets that a keyframe brings; a kind that it lacks stays."""
    out: list[bytes] = []
    for kind in (7, 8):
        brought = [nal for nal in dict.fromkeys(own) if nal[0] & 0x1F == kind]
        out += brought or [nal for nal in known if nal[0] & 0x1F == kind]
    return tuple(out)
