"""Account for what the epoch before left open: before anything new is recorded.

Guarantees: parts that a heartbeat bound are kept as `recovered`, whole parts beyond them are kept and labelled by `bound`, torn
bytes are cut, signed bytes that are missing become a gap `bytes lost`; files that nobody knows are set aside, never removed.
A power cut in the middle changes nothing of the result.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.journal import Entry, Journal
from protocol import fmp4, kinds
from protocol.errors import MalformedError
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.mp4 import read_tracks
from protocol.records import read
from protocol.samples import SampleTree, tree_of
from storage.files import SegmentFolder, cut_file, read_file, set_aside
from storage.spool import BlobRow, Changes, DraftRow, Spool

HEARTBEATS = 600  # how far back bounds are looked for: the longest segment is shorter
LAST_HEARTBEATS = 20  # enough when nothing that was signed is missing
MAX_SEGMENT_BYTES = 1 << 30
TORN_ZEROS = 8  # sound may end in a zero or two

Bounds = dict[tuple[str, int], list[kinds.OpenSegment]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recovered:
    """What a recovery did."""

    segments: int = 0
    unbound: int = 0  # bytes kept beyond what was signed
    lost: int = 0  # stretches of signed bytes that are gone
    cut: int = 0  # torn bytes
    set_aside: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Media:
    """What the parts of a file say: bytes of the head, whole bytes, and for each part its end, samples and lasting ns."""

    head: int
    whole: int
    first_time: int  # decode time of the leading track's first sample, 90 kHz
    parts: tuple[tuple[int, int, int], ...]

    def frames(self, size: int) -> int:
        """Count the leading track's samples in the first `size` bytes."""
        return sum(samples for end, samples, _ in self.parts if end <= size)

    def lasting(self, start: int, end: int) -> int:
        """Give how long the parts between two sizes last, in ns."""
        return sum(length for at, _, length in self.parts if start < at <= end)


def read_media(data: bytes | memoryview) -> Media:
    """Walk the whole parts of a segment; raise MalformedError when its head is none."""
    whole = fmp4.whole_parts(data)
    if not whole:
        raise MalformedError("no whole head", where="segment")
    tops = list(fmp4.boxes(data, 0, whole))
    head = tops[1].end
    track, rate = _leading(data, tops[1])
    first: int | None = None
    parts = []
    for moof, mdat in zip(tops[2::2], tops[3::2], strict=True):
        samples = length = 0
        for run in fmp4.runs(data[moof.start : moof.end]):
            if run.track == track:
                samples, length = samples + run.samples, length + run.duration
                first = run.decode_time if first is None else first
        parts.append((mdat.end, samples, length * SECOND_NS // rate))
    return Media(head, whole, (first or 0) * 90_000 // rate, tuple(parts))


def _leading(data: bytes | memoryview, moov: fmp4.Box) -> tuple[int, int]:
    """Give number and time scale of the first track of pictures, else of the first track."""
    found: list[tuple[bool, int, int]] = []
    for trak in fmp4.boxes(data, moov.start + moov.head, moov.end):
        if trak.type != b"trak":
            continue
        number, rate, is_video = 0, 90_000, False
        for box in fmp4.boxes(data, trak.start + trak.head, trak.end):
            body = box.start + box.head
            if box.type == b"tkhd":
                number = int.from_bytes(data[body + 12 : body + 16], "big")
            elif box.type == b"mdia":
                rate, is_video = _media_header(data, box)
        found.append((not is_video, number, rate))
    if not found:
        raise MalformedError("no tracks", where="moov")
    return min(found)[1:]


def _media_header(data: bytes | memoryview, mdia: fmp4.Box) -> tuple[int, bool]:
    rate, is_video = 90_000, False
    for box in fmp4.boxes(data, mdia.start + mdia.head, mdia.end):
        body = box.start + box.head
        if box.type == b"mdhd":
            rate = int.from_bytes(data[body + 12 : body + 16], "big") or 90_000
        elif box.type == b"hdlr":
            is_video = bytes(data[body + 8 : body + 12]) == b"vide"
    return rate, is_video


@dataclass(slots=True)
class Recovery:
    """One recovery of one box; `run` after the journal began its epoch and before captures open."""

    spool: Spool
    journal: Journal
    folder: SegmentFolder
    quarantine: Path

    def run(self) -> Recovered:
        """Recover every draft, then set aside what is unknown; raise StorageError."""
        out = Recovered()
        bounds: dict[int, Bounds] = {}
        for draft in self.spool.drafts():
            if draft.epoch not in bounds:
                bounds[draft.epoch] = self._bounds(draft.epoch, LAST_HEARTBEATS)
            self._recover(draft, bounds[draft.epoch].get((draft.stream, draft.number), []), out)
        self._set_aside_unknown(out)
        return out

    def _bounds(self, epoch: int, limit: int) -> Bounds:
        """Give what heartbeats signed of each open segment, newest first."""
        wanted = {(draft.stream, draft.number) for draft in self.spool.drafts()}
        found: Bounds = {}
        for row in self.spool.newest("heartbeat", epoch, limit):
            body = read(row.data).record.body
            for item in body.open if isinstance(body, kinds.Heartbeat) else ():
                if (item.stream, item.number) in wanted:
                    found.setdefault((item.stream, item.number), []).append(item)
        return found

    def _recover(self, draft: DraftRow, bounds: Sequence[kinds.OpenSegment], out: Recovered) -> None:
        changes = Changes(drafts_gone=[(draft.stream, draft.number)])
        if self.spool.blob(draft.stream, draft.number) is not None:
            self.spool.apply(changes)  # its record was committed, its row outlived it
            return
        path = self.folder.path(StreamId(draft.stream).source, draft.number)
        data = self._read(path)
        kept, bound = _judge(data, bounds)
        if bounds and bound is not bounds[0]:  # what was signed last is not there: look for what still is
            bounds = self._bounds(draft.epoch, HEARTBEATS).get((draft.stream, draft.number), [])
            kept, bound = _judge(data, bounds)
        entries = []
        end = draft.mono_from
        if kept is not None:
            size = kept.whole
            if len(data) > size:
                cut_file(path, size)
                out.cut += len(data) - size
            end = (bound.mono_to if bound is not None else draft.mono_from) + kept.lasting(bound.size if bound else 0, size)
            entries.append(_segment(draft, data[:size], kept, bound, end))
            out.segments += 1
            out.unbound += size - (bound.size if bound is not None else 0)
        elif path.exists():
            out.set_aside.append(set_aside(path, self.quarantine))
        signed_to = max((item.mono_to for item in bounds), default=draft.mono_from)
        if signed_to > end:
            wall = draft.wall_from - draft.mono_from
            detail = f"segment {draft.number} was signed for more than what is left of it"
            gap = kinds.Gap("bytes lost", wall + end, wall + signed_to, end, signed_to, detail, epoch=draft.epoch)
            entries.append(Entry(draft.stream, gap))
            out.lost += 1
        self.journal.append(entries, changes)
        log.warning("%s: segment %d recovered, %d bytes", draft.stream, draft.number, kept.whole if kept else 0)

    def _read(self, path: Path) -> bytes:
        return read_file(path, MAX_SEGMENT_BYTES) if path.exists() else b""

    def _set_aside_unknown(self, out: Recovered) -> None:
        """Move away files that no record names: an unbound beginning, or somebody's."""
        heads = {stream: row.next_number for stream, row in self.journal.streams.items()}
        if not self.folder.root.is_dir():
            return
        for below in sorted(self.folder.root.iterdir()):
            head = next((number for stream, number in heads.items() if stream.endswith(f"/{below.name}")), 0)
            for path in sorted(below.iterdir()) if below.is_dir() else ():
                if path.suffix != ".mp4" or not path.stem.isdigit() or int(path.stem) >= head:
                    out.set_aside.append(set_aside(path, self.quarantine))


def _judge(data: bytes, bounds: Sequence[kinds.OpenSegment]) -> tuple[Media | None, kinds.OpenSegment | None]:
    """Give what of a file is kept, and the newest signature that holds for it."""
    try:
        media = read_media(data)
    except MalformedError:
        return None, None
    bound = next((item for item in bounds if item.size <= len(data) and _hash(data[: item.size]) == item.sha256), None)
    if bounds and (bound is None or bound is not bounds[0]):
        # Bytes that contradict a signature are not evidence: keep what an older one covers, or nothing.
        if bound is None:
            return None, None
        media = replace(media, whole=min(media.whole, bound.size))
    media = replace(media, whole=_sound(data, media, bound.size if bound is not None else 0))
    return (media, bound) if media.whole > media.head else (None, None)


def _sound(data: bytes, media: Media, signed: int) -> int:
    """Give where the parts end that nobody signed and that were written whole: file systems fill what they lost with zeros.

    No coded picture ends in zeros (H.264 7.4.1, H.265 7.4.2), so a part beyond the signed bytes that does was torn.
    """
    whole = media.head
    for end, *_ in media.parts:
        if end > media.whole or (end > signed and not any(data[end - TORN_ZEROS : end])):
            return whole
        whole = end
    return whole


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _segment(draft: DraftRow, data: bytes, media: Media, bound: kinds.OpenSegment | None, mono_to: int) -> Entry:
    digest = _hash(data)
    tree = _sample_tree(draft, data)
    body = kinds.Segment(
        number=draft.number,
        sha256=digest,
        size=len(data),
        mono_from=draft.mono_from,
        mono_to=mono_to,
        wall_from=draft.wall_from,
        run=draft.run,
        media_from=media.first_time,
        frames=media.frames(len(data)),
        config=None,
        state="recovered",
        lost=draft.lost,
        bound=bound.size if bound is not None else 0,
        epoch=draft.epoch,
        device_from=draft.device_from,
        sample_root=tree.root() if tree is not None else None,
        starts=tree.starts() if tree is not None else None,
    )
    blob = BlobRow(digest, draft.stream, draft.number, len(data), draft.tasks, draft.wall_from, draft.mono_from)
    return Entry(draft.stream, body, blob)


def _sample_tree(draft: DraftRow, data: bytes) -> SampleTree | None:
    try:
        return tree_of(data, read_tracks(data))
    except MalformedError as error:
        log.warning("%s: segment %d has no sample root: %s", draft.stream, draft.number, error)
        return None
