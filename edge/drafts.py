"""Hold a segment while it is written, and write the parts of all streams in one go.

Guarantees: what `flush` reports as bound is on disk and hashes to what it says; bytes written are never rewritten; a fault on one
segment ends that segment at its last durable byte and touches no other. `flush` runs in one worker thread.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge.journal import Entry, tasks_text
from edge.muxer import Part
from protocol import kinds
from protocol.errors import DiskFullError, MalformedError, StorageError
from protocol.identifiers import StreamId
from protocol.samples import SampleTree
from storage.files import SegmentFile, SegmentFolder
from storage.spool import BlobRow, DraftRow

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Draft:
    """A segment from its first unit to its record. The upper fields belong to the event loop, the lower to the flush."""

    stream: StreamId
    run: int
    init: bytes
    mono_from: int
    wall_from: int
    media_from: int
    device_from: int | None
    tasks: set[str]
    lost: int = 0
    mono_to: int | None = None  # set when it ends

    number: int = -1
    file: SegmentFile | None = None
    size: int = 0
    frames: int = 0
    bound_to: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    samples: SampleTree | None = None  # None before the first part, and when its times fit no sample tree
    sample_root: bytes | None = None
    failure: StorageError | None = None
    undo: "Undo | None" = None  # the state before this flush
    is_done: bool = False
    is_recorded: bool = False  # its row is in the spool

    @property
    def has_media(self) -> bool:
        """Tell whether durable media follow the head."""
        return self.size > len(self.init)

    def open_segment(self) -> kinds.OpenSegment:
        """Give what a heartbeat binds."""
        return kinds.OpenSegment(self.stream, self.number, self.size, self.digest.digest(), self.mono_from, self.bound_to)

    def entry(self) -> Entry:
        """Give the record of the segment as far as it is durable, and its blob."""
        mono_to = self.bound_to if self.failure is not None or self.mono_to is None else self.mono_to
        digest = self.digest.digest()
        body = kinds.Segment(
            number=self.number,
            sha256=digest,
            size=self.size,
            mono_from=self.mono_from,
            mono_to=max(mono_to, self.mono_from),
            wall_from=self.wall_from,
            run=self.run,
            media_from=self.media_from,
            frames=self.frames,
            config=None,
            state="live",
            lost=self.lost,
            device_from=self.device_from,
            sample_root=self.sample_root,
            starts=self.samples.starts() if self.samples is not None else None,
        )
        blob = BlobRow(digest, self.stream, self.number, self.size, tasks_text(self.tasks), self.wall_from, self.mono_from)
        return Entry(self.stream, body, blob)

    def row(self, epoch: int) -> DraftRow:
        """Give what recovery must know."""
        return DraftRow(
            self.stream, self.number, epoch, self.run, self.mono_from, self.wall_from, self.device_from, tasks_text(self.tasks), self.lost
        )


@dataclass(frozen=True, slots=True)
class Piece:
    """A part to be written to its draft; `closes` it behind the part. Without a part it only closes."""

    draft: Draft
    part: Part | None
    closes: bool = False


Item = Piece | Entry


@dataclass(slots=True)
class Lane:
    """The flush's side of one stream: its name and next segment number."""

    stream: StreamId
    next_number: int


@dataclass(slots=True)
class Flushed:
    """What a flush achieved for one stream, in order: drafts that ended, entries; then the draft that goes on."""

    done: list[Draft | Entry] = field(default_factory=list)
    open: Draft | None = None
    size: int = 0


def flush(folder: SegmentFolder, work: Sequence[tuple[Lane, Sequence[Item]]]) -> list[Flushed]:
    """Write all parts, then make all of them durable, then the names of new files; give what became of each stream."""
    out = [Flushed() for _ in work]
    touched: dict[int, tuple[Lane, Draft]] = {}
    for (lane, items), result in zip(work, out, strict=True):
        for item in items:
            if isinstance(item, Entry):
                result.done.append(item)
                continue
            draft = item.draft
            if item.part is not None:
                result.size += item.part.size
                if draft.failure is None:
                    touched[id(draft)] = lane, draft
                    _write(folder, lane, draft, item.part)
            result.open = None if item.closes else draft
            if item.closes:
                result.done.append(draft)
            if draft.undo is not None:
                touched[id(draft)] = lane, draft  # written ahead of this beat, durable with it
    _sync(folder, list(touched.values()))
    for (lane, _), result in zip(work, out, strict=True):
        _settle(result)
        _number_turns(lane, result)
    return out


def write_ahead(folder: SegmentFolder, work: Sequence[tuple[Lane, Piece]]) -> list[int]:
    """Write parts between two beats, so that less waits in memory; the next `flush` makes them durable. Give their sizes."""
    for lane, piece in work:
        if piece.draft.failure is None and piece.part is not None:
            _write(folder, lane, piece.draft, piece.part)
    return [piece.part.size if piece.part is not None else 0 for _, piece in work]


@dataclass(slots=True)
class Undo:
    """What was durable before a flush."""

    size: int
    frames: int
    bound_to: int
    digest: Any
    samples: SampleTree | None


def _write(folder: SegmentFolder, lane: Lane, draft: Draft, part: Part) -> None:
    if draft.undo is None:
        samples = draft.samples.copy() if draft.samples is not None else None
        draft.undo = Undo(draft.size, draft.frames, draft.bound_to, draft.digest.copy(), samples)
    try:
        if draft.file is None:
            draft.file = folder.create(draft.stream.source, lane.next_number)
            draft.number = lane.next_number
            lane.next_number += 1
            _append(draft, draft.init)
            draft.samples = _begin_samples(draft)
        data = part.encode()
        _append(draft, data)
        _take_samples(draft, part, data)
    except StorageError as error:
        _fail(folder, lane, draft, error)
        return
    draft.frames += part.frames
    draft.bound_to = part.mono_to


def _append(draft: Draft, data: bytes) -> None:
    assert draft.file is not None
    draft.file.append(data)
    draft.digest.update(data)
    draft.size += len(data)


def _begin_samples(draft: Draft) -> SampleTree | None:
    try:
        return SampleTree.of_head(draft.init)
    except MalformedError as error:
        log.warning("%s: segment %d has no sample root: %s", draft.stream, draft.number, error)
        return None


def _take_samples(draft: Draft, part: Part, data: bytes) -> None:
    if draft.samples is None:
        return
    try:
        part.sample(draft.samples, data)
    except MalformedError as error:  # a device may count time as it likes; what it sends is recorded all the same
        log.warning("%s: segment %d has no sample root: %s", draft.stream, draft.number, error)
        draft.samples = None


def _fail(folder: SegmentFolder, lane: Lane, draft: Draft, error: StorageError) -> None:
    """End a draft at what was durable before this flush; one that had nothing yet gives its number back."""
    draft.failure, undo = error, draft.undo
    if undo is not None:
        draft.size, draft.frames, draft.bound_to, draft.digest = undo.size, undo.frames, undo.bound_to, undo.digest
        draft.samples = undo.samples
    file = draft.file
    if file is None:
        return
    try:
        if draft.has_media:
            file.cut(draft.size)
            return
        draft.file = None
        file.close()
        folder.remove(draft.stream.source, draft.number)
        lane.next_number = draft.number
    except StorageError as again:  # a tail stays that recovery or fsck will name; the record says only what is sure
        draft.failure = type(error)(f"{error.what}; and cleaning up failed: {again.what}", where=error.where)


def _sync(folder: SegmentFolder, touched: Sequence[tuple[Lane, Draft]]) -> None:
    for lane, draft in touched:
        if draft.failure is None and draft.file is not None:
            is_new = draft.undo is not None and draft.undo.size == 0
            try:
                draft.file.flush()
                if is_new:
                    folder.sync_names([draft.stream.source])
            except StorageError as error:
                # After a failed flush nothing is known of the pages: only what an earlier flush covered counts.
                _fail(folder, lane, draft, error)
        draft.undo = None


def _settle(result: Flushed) -> None:
    """Close the files of drafts that ended; a draft that failed ends here, whoever thinks it goes on."""
    if result.open is not None and result.open.failure is not None:
        result.done.append(result.open)
        result.open = None
    result.done = [item for item in result.done if not (isinstance(item, Draft) and item.is_done)]
    for item in result.done:
        if isinstance(item, Draft):
            item.is_done = True
            item.sample_root = item.samples.root() if item.samples is not None and item.has_media else None
            if item.file is not None:
                file, item.file = item.file, None
                file.close()


def _number_turns(lane: Lane, result: Flushed) -> None:
    """Give each start and stop of recording the number that the next segment really has, now that numbers are given out."""
    following = lane.next_number if result.open is None or result.open.number < 0 else result.open.number
    for at, item in reversed(list(enumerate(result.done))):
        if isinstance(item, Draft):
            following = item.number if item.has_media else following
        elif isinstance(item.body, kinds.Recording):
            result.done[at] = replace(item, body=replace(item.body, next_number=following))


def is_full(error: StorageError | None) -> bool:
    """Tell whether an error says that no space is left."""
    return isinstance(error, DiskFullError)
