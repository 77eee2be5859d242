"""Take a fragmented segment apart into frames and put them together again, changed: what an editor of evidence does.

Guarantees: what is put together unchanged has the samples of the original in another container; whatever is changed is well-formed,
so that only proofs can tell.
"""

import struct
from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.fmp4 import boxes
from protocol.mp4 import read_tracks

_SYNC, _NON_SYNC = 0x0200_0000, 0x0101_0000
_RUN_FLAGS = 0x1 | 0x100 | 0x200 | 0x400 | 0x800


@dataclass(slots=True)
class Frame:
    """One sample; `due` and `shown` in ticks, `lasts` until the next."""

    due: int
    shown: int
    lasts: int
    is_key: bool
    data: bytes


@dataclass(slots=True)
class Strip:
    """The samples of one track."""

    track: int
    kind: str
    timescale: int
    frames: list[Frame]

    def close_up(self) -> None:
        """Move frames together, so that no hole tells of what was taken out."""
        at = self.frames[0].due if self.frames else 0
        for frame in self.frames:
            frame.shown += at - frame.due
            frame.due = at
            at += frame.lasts


@dataclass(slots=True)
class Reel:
    """A segment taken apart: its `ftyp` and `moov`, and its samples."""

    head: bytes
    strips: list[Strip]

    @classmethod
    def read(cls, data: bytes) -> "Reel":
        """Take a segment apart; raise MalformedError when it is none."""
        head = b"".join(data[box.start : box.end] for box in boxes(data) if box.type in (b"ftyp", b"moov"))
        strips = []
        for track in read_tracks(data):
            ends = [*track.dts[1:], track.end]
            columns = zip(track.dts, track.pts, ends, track.syncs, track.places, track.sizes, strict=True)
            frames = [Frame(due, shown, end - due, key, data[at : at + size]) for due, shown, end, key, at, size in columns]
            strips.append(Strip(track.id, track.kind, track.timescale, frames))
        return cls(head, strips)

    def strip(self, kind: str) -> Strip:
        """Give the first track of a kind (`vide`, `soun`); raise MalformedError when there is none."""
        found = next((strip for strip in self.strips if strip.kind == kind and strip.frames), None)
        if found is None:
            raise MalformedError(f"has no track {kind!r} to attack", where="segment")
        return found

    @property
    def pictures(self) -> Strip:
        """Give the video track."""
        return self.strip("vide")

    @property
    def sound(self) -> Strip:
        """Give the audio track."""
        return self.strip("soun")

    def encode(self) -> bytes:
        """Put it together: the head, one `moof`, one `mdat`."""
        return self.head + fragment(self.strips)


def fragment(strips: list[Strip]) -> bytes:
    """Give `moof` and `mdat` of these samples."""
    used = [strip for strip in strips if strip.frames]
    sizes = [64 + 16 * len(strip.frames) for strip in used]
    offset = 8 + 16 + sum(sizes) + 8
    trafs, media = [], []
    for strip in used:
        data = b"".join(frame.data for frame in strip.frames)
        trafs.append(_traf(strip, offset))
        media.append(data)
        offset += len(data)
    body = b"".join(trafs)
    whole = b"".join(media)
    moof = struct.pack(">I4sI4sII", 24 + len(body), b"moof", 16, b"mfhd", 0, 1) + body
    return moof + struct.pack(">I4s", 8 + len(whole), b"mdat") + whole


def _traf(strip: Strip, offset: int) -> bytes:
    rows = [
        struct.pack(">IIIi", frame.lasts, len(frame.data), _SYNC if frame.is_key else _NON_SYNC, frame.shown - frame.due)
        for frame in strip.frames
    ]
    run = struct.pack(">I4sIIi", 20 + 16 * len(rows), b"trun", 1 << 24 | _RUN_FLAGS, len(rows), offset) + b"".join(rows)
    head = struct.pack(">I4sI4sII", 64 + 16 * len(rows), b"traf", 16, b"tfhd", 0x02_0000, strip.track)
    return head + struct.pack(">I4sIQ", 20, b"tfdt", 1 << 24, strip.frames[0].due) + run
