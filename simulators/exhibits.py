"""Read what an exported bundle holds of each stream, and spoil bundles on purpose.

Guarantees: reads names and records only; whether they are genuine is for `portwitness-verify` to say.
"""

import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from protocol import bundle, kinds
from protocol.coverage import GapSpan
from protocol.errors import MalformedError
from protocol.instants import Interval
from protocol.records import SignedRecord, read
from simulators.judgement import Sample, samples_of


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of the bundle: its file, its interval, and whether a seal in the port log covers its record."""

    file: Path
    wall: Interval
    frames: int
    state: str
    is_receipted: bool


@dataclass(slots=True)
class Lane:
    """What a bundle holds of one stream."""

    stream: str
    pieces: list[Piece] = field(default_factory=list)
    gaps: list[GapSpan] = field(default_factory=list)

    def samples(self) -> Iterator[Sample]:
        """Give all video samples in order."""
        for piece in sorted(self.pieces, key=lambda each: each.wall.start):
            yield from samples_of(piece.file, piece.wall.start)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a bundle, with what stands beside its folder; give the folder.

    Raises MalformedError when it holds anything else.
    """
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        tops = {name.split("/", 1)[0] for name in names if "/" in name}
        beside = {f"{top}.{part}" for top in tops for part in ("p7s", "tsr")}
        strange = [name for name in names if ".." in name.split("/") or name.startswith("/") or ("/" not in name and name not in beside)]
        if len(tops) != 1 or strange:
            raise MalformedError(f"holds {sorted(tops)[:4]} and {strange[:4]} instead of one folder", where=str(archive))
        opened.extractall(folder)
    return folder / tops.pop()


def lanes_of(folder: Path) -> dict[str, Lane]:
    """Read an unpacked bundle."""
    lanes: dict[str, Lane] = {}
    journals = sorted((folder / "data/journals").glob("*.bin"))
    signed = [read(data) for path in journals for data in bundle.parse_records(path.read_bytes())]
    sealed = _sealed(folder, signed)
    for each in signed:
        _take(lanes, folder, each, sealed)
    return lanes


def _sealed(folder: Path, signed: list[SignedRecord]) -> dict[tuple[str, int], int]:
    """Give, by issuer and epoch, the position before which the port log's seals cover everything.

    A seal covers its epoch's boot record, and with it the end of the epoch before, which that names.
    """
    found: dict[tuple[str, int], int] = {}
    for path in (folder / "data/log").glob("*.cose"):
        record = read(path.read_bytes()).record
        if isinstance(record.body, kinds.Seal):
            key = (str(record.issuer), record.epoch)
            found[key] = max(found.get(key, 0), record.position)
    for record in sorted((each.record for each in signed), key=lambda each: -each.epoch):
        boot = record.body
        if isinstance(boot, kinds.Boot) and boot.previous_epoch is not None and found.get((str(record.issuer), record.epoch)):
            found[(str(record.issuer), boot.previous_epoch)] = boot.previous_size or 0
    return found


def _take(lanes: dict[str, Lane], folder: Path, signed: SignedRecord, sealed: dict[tuple[str, int], int]) -> None:
    record, body = signed.record, signed.record.body
    if isinstance(body, kinds.Segment):
        file = folder / bundle.video_name(record.subject, body.number)
        if file.exists():
            covered = record.position < sealed.get((str(record.issuer), record.epoch), 0)
            piece = Piece(file, Interval(body.wall_from, body.wall_to), body.frames, body.state, covered)
            lanes.setdefault(record.subject, Lane(record.subject)).pieces.append(piece)
    elif isinstance(body, kinds.Gap):
        span = GapSpan(Interval(body.wall_from, max(body.wall_from, body.wall_to)), body.cause)
        lanes.setdefault(record.subject, Lane(record.subject)).gaps.append(span)


def flip_a_bit(folder: Path, seed: int) -> str:
    """Flip one bit of one file, both chosen by seed; give the file's name and the byte."""
    draw = random.Random(seed)  # noqa: S311 - repeatable by seed, no secret
    chosen = draw.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size))
    data = bytearray(chosen.read_bytes())
    at = draw.randrange(len(data))
    data[at] ^= 1 << draw.randrange(8)
    chosen.write_bytes(data)
    return f"{chosen.relative_to(folder)} byte {at}"
