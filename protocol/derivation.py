"""Rule on redacted copies: which areas there may be, which pixels a frame loses, and what a derived file proves of its parents.

Guarantees: an area that counts at any instant of the time a frame is shown is taken from that frame whole, at all the places it has
meanwhile, rounded outwards to even pixels (a chroma sample belongs to four); a proposal becomes an area only by a person's name; a
derived file is judged by the record that names its hash and by its parents' records, and is never the original. See docs/adr/0015.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor
from typing import Literal

from protocol import kinds
from protocol.errors import MalformedError, RefusedError, VerificationError
from protocol.instants import MILLISECOND_NS, Interval
from protocol.reckoning import Piece
from protocol.records import SignedRecord

SCALE = 10_000  # edges of areas are in these parts of the picture's width and height
MAX_AREAS = 128
MAX_POINTS = 1024  # of all areas of a file: its record stays under 64 KiB
MAX_LENGTH_MS = 10 * 60_000
MAX_PARENTS = 128
Point = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: edges in 1/10000 of the picture or in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    def joined(self, other: "Box") -> "Box":
        """Give the smallest rectangle around both."""
        return Box(min(self.left, other.left), min(self.top, other.top), max(self.right, other.right), max(self.bottom, other.bottom))

    def pixels(self, width: int, height: int) -> "Box":
        """Give it in pixels of a picture, outwards to even ones."""
        left, top = self.left * width // SCALE // 2 * 2, self.top * height // SCALE // 2 * 2
        right, bottom = -(-self.right * width // SCALE // 2) * 2, -(-self.bottom * height // SCALE // 2) * 2
        return Box(left, top, min(right, width), min(bottom, height))


@dataclass(frozen=True, slots=True)
class Proposal:
    """An area that a detector found; `accepted`: what a person said of it (None: nothing yet), and who."""

    number: int
    points: tuple[Point, ...]
    until: int
    label: str
    accepted: bool | None = None
    by: str = ""

    def decided(self, *, accepted: bool, by: str) -> "Proposal":
        """Give it with a person's word on it."""
        return Proposal(self.number, self.points, self.until, self.label, accepted, by)


def confirmed(proposals: Iterable[Proposal], way: str) -> tuple[kinds.Area, ...]:
    """Give the areas of the proposals that a person accepted; raise RefusedError while one is undecided."""
    found = list(proposals)
    waiting = sum(one.accepted is None for one in found)
    if waiting:
        raise RefusedError(f"{waiting} proposals wait for a person's word", where="proposals")
    return tuple(kinds.Area(one.points, one.until, _way(way), "proposed", one.by) for one in found if one.accepted)


def _way(way: str) -> Literal["black", "blur"]:
    if way not in ("black", "blur"):
        raise MalformedError(f"{way[:20]!r} is neither black nor blur", where="areas.way")
    return "black" if way == "black" else "blur"


def check_areas(areas: Sequence[kinds.Area], length_ms: int) -> None:
    """Raise MalformedError naming the area that cannot be, or RefusedError when there are none or too many."""
    if not 1 <= len(areas) <= MAX_AREAS or sum(len(area.points) for area in areas) > MAX_POINTS:
        raise RefusedError(f"draw 1 to {MAX_AREAS} areas with at most {MAX_POINTS} points in all", where="areas")
    for number, area in enumerate(areas):
        where = f"areas.{number}"
        _check_points(area.points, where)
        if not 0 <= area.points[0][0] < area.until or area.points[-1][0] > area.until or area.points[0][0] >= length_ms:
            raise MalformedError("its times do not lie in the film", where=where)
        _way(area.way)


def _check_points(points: Sequence[Point], where: str) -> None:
    if not points:
        raise MalformedError("has no point", where=where)
    if any(one[0] >= other[0] for one, other in pairwise(points)):
        raise MalformedError("its points are not in the order of time", where=where)
    for _, left, top, right, bottom in points:
        if not (0 <= left < right <= SCALE and 0 <= top < bottom <= SCALE):
            raise MalformedError("an area lies outside of the picture, or is empty", where=where)


def boxes_during(areas: Iterable[kinds.Area], start_ms: float, end_ms: float) -> list[tuple[kinds.Area, Box]]:
    """Give what a frame that is shown from `start_ms` until `end_ms` loses: each area that counts meanwhile, at all its places."""
    found = []
    for area in areas:
        first = area.points[0][0]
        if start_ms < area.until and end_ms > first:
            at = [
                max(start_ms, first),
                min(max(end_ms, first), area.until),
                *(point[0] for point in area.points if start_ms < point[0] < end_ms),
            ]
            box = place_at(area.points, at[0])
            for moment in at[1:]:
                box = box.joined(place_at(area.points, moment))
            found.append((area, box))
    return found


def place_at(points: Sequence[Point], at_ms: float) -> Box:
    """Give where an area is: on a straight line between two points, rounded outwards; before the first and after the last it stays."""
    if at_ms <= points[0][0]:
        return Box(*points[0][1:])
    for before, after in pairwise(points):
        if at_ms <= after[0]:
            share = (at_ms - before[0]) / (after[0] - before[0])
            left, top, right, bottom = (one + (other - one) * share for one, other in zip(before[1:], after[1:], strict=True))
            return Box(floor(left), floor(top), min(SCALE, ceil(right)), min(SCALE, ceil(bottom)))
    return Box(*points[-1][1:])


# ------------------------------------------------------------------------------------------------------ the verdict


@dataclass(frozen=True, slots=True)
class Descent:
    """What a derived file was proven to be: the record that names it, where that stands in the port log, and its parents."""

    index: int
    record: SignedRecord
    body: kinds.Derived
    parents: tuple[Piece, ...]


def judge_descent(sha256: bytes, size: int, leaves: Mapping[int, SignedRecord], pieces: Iterable[Piece]) -> Descent:
    """Find the record that names a derived file and prove its parents; raise VerificationError naming what does not hold.

    `leaves` of the port log and `pieces` (segments by their journals' records) were examined before.
    """
    found = [(index, one, one.record.body) for index, one in sorted(leaves.items()) if isinstance(one.record.body, kinds.Derived)]
    mine = next(((index, one, body) for index, one, body in found if (body.sha256, body.size) == (sha256, size)), None)
    if mine is None:
        what = "no derived record of the bundle names this file: it was changed, or is of another origin"
        raise VerificationError(what, where="derived file")
    index, signed, body = mine
    check_areas(body.areas, -(-(body.end_ns - body.start_ns) // MILLISECOND_NS))
    known = {(str(piece.stream), piece.body.number): piece for piece in pieces}
    parents = tuple(_parent(body, one, known) for one in body.parents)
    if not parents:
        raise VerificationError("its record names no parent", where="derived file")
    return Descent(index, signed, body, parents)


def _parent(body: kinds.Derived, parent: kinds.Parent, known: Mapping[tuple[str, int], Piece]) -> Piece:
    where = f"parent {body.stream} segment {parent.number}"
    piece = known.get((body.stream, parent.number))
    if piece is None:
        raise VerificationError("the bundle has no record of it", where=where)
    place = (piece.range.epoch, piece.signed.record.position)
    if (piece.signed.leaf, piece.body.sha256, *place) != (parent.leaf, parent.sha256, parent.epoch, parent.position):
        raise VerificationError("is another than the derived record names", where=where)
    if not Interval(piece.body.wall_from, piece.body.wall_to).overlaps(Interval(body.start_ns, body.end_ns)):
        raise VerificationError("shows nothing of the time that the derived record names", where=where)
    return piece
