"""Hold the pool of a draw in its one canonical form: what was fixed when it closed, line by line, under one Merkle root.

    H <number> <closing time, Unix ns>                                                            the head
    C <stratum> <arrivals> <checked>                                                              counts before this draw
    X <declaration|inspector> <id> <position of its record>                                       left out by two persons
    I <id> <on duty 0|1> <load> <qualifications> <recusals>                                       inspectors
    D <id> <stratum> <lane> <risk> <grade> <needs> <parties> <position> <entered, Unix ns>        declarations

Fields are parted by tabs, lists by commas; H comes first, then C, X, I and D, each sorted by its id (ASCII) and each id once. The tree
is that of RFC 6962 with the lines as leaves. Guarantees: a pool has one text and one root, so whoever adds, drops or changes anything,
or sorts it otherwise, gets another root; `parse` takes no other spelling.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from protocol.drawing.policy import PARTS
from protocol.errors import MalformedError
from protocol.merkle import EMPTY_ROOT

MAX_LINES = 400_000
_T = r"[A-Za-z0-9][A-Za-z0-9._/:+-]{0,63}"
_LIST = rf"(?:{_T}(?:,{_T})*)?"
_N = r"(?:0|[1-9][0-9]{0,18})"
_PATTERNS = {
    "H": re.compile(rf"H\t({_N})\t({_N})"),
    "C": re.compile(rf"C\t({_T})\t({_N})\t({_N})"),
    "X": re.compile(rf"X\t(declaration|inspector)\t({_T})\t({_N})"),
    "I": re.compile(rf"I\t({_T})\t([01])\t({_N})\t({_LIST})\t({_LIST})"),
    "D": re.compile(rf"D\t({_T})\t({_T})\t({_T})\t({_N})\t({_T})\t({_LIST})\t({_LIST})\t({_N})\t({_N})"),
}
_ORDER = "HCXID"


class Count(NamedTuple):
    """How many of a stratum came, and how many of them the national rate chose, before this draw."""

    stratum: str
    arrivals: int
    checked: int


class Left(NamedTuple):
    """A declaration or an inspector that two persons left out; `position`: of their record in the port log."""

    kind: Literal["declaration", "inspector"]
    id: str
    position: int


class Inspector(NamedTuple):
    """An inspector as the pool closed; `recusals`: parties whose goods are not for this one; `load`: open inspections."""

    id: str
    duty: bool
    load: int
    qualifications: tuple[str, ...] = ()
    recusals: tuple[str, ...] = ()


class Entry(NamedTuple):
    """A declaration in the pool: what the probability is made of, what inspectors must be qualified in, and whose goods they are.

    `risk`: parts in 10^9; `position` and `entered_ns`: the leaf of the port log by which it came in, and its time.
    """

    id: str
    stratum: str
    lane: str
    risk: int
    grade: str
    needs: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    position: int = 0
    entered_ns: int = 0


@dataclass(frozen=True, slots=True)
class Pool:
    """A closed pool. Raises MalformedError when an id stands twice, a stratum of an entry is not counted, or something is not sorted."""

    number: int
    closes_ns: int
    counts: tuple[Count, ...]
    left: tuple[Left, ...]
    inspectors: tuple[Inspector, ...]
    entries: tuple[Entry, ...]

    @classmethod
    def of(
        cls,
        number: int,
        closes_ns: int,
        entries: Iterable[Entry],
        inspectors: Iterable[Inspector] = (),
        counts: Iterable[Count] = (),
        left: Iterable[Left] = (),
    ) -> "Pool":
        """Bring a pool into its canonical form; a stratum without a count begins at nought."""
        listed = sorted(_sorted_lists(one) for one in entries)
        known = {one.stratum: one for one in counts}
        known |= {name: Count(name, 0, 0) for name in {one.stratum for one in listed} - known.keys()}
        people = sorted(
            one._replace(qualifications=tuple(sorted(set(one.qualifications))), recusals=tuple(sorted(set(one.recusals))))
            for one in inspectors
        )
        pool = cls(number, closes_ns, tuple(sorted(known.values())), tuple(sorted(left)), tuple(people), tuple(listed))
        return parse_pool(pool.lines())

    def lines(self) -> list[str]:
        """Give the canonical lines."""
        found = [f"H\t{self.number}\t{self.closes_ns}"]
        found += [f"C\t{name}\t{arrivals}\t{checked}" for name, arrivals, checked in self.counts]
        found += [f"X\t{kind}\t{name}\t{position}" for kind, name, position in self.left]
        for who, duty, load, qualifications, recusals in self.inspectors:
            found.append(f"I\t{who}\t{int(duty)}\t{load}\t{','.join(qualifications)}\t{','.join(recusals)}")
        for name, stratum, lane, risk, grade, needs, parties, position, at_ns in self.entries:
            found.append(f"D\t{name}\t{stratum}\t{lane}\t{risk}\t{grade}\t{','.join(needs)}\t{','.join(parties)}\t{position}\t{at_ns}")
        return found


def _sorted_lists(one: Entry) -> Entry:
    if len(one.needs) < 2 and len(one.parties) < 2:
        return one
    return one._replace(needs=tuple(sorted(set(one.needs))), parties=tuple(sorted(set(one.parties))))


def parse_pool(lines: Sequence[str]) -> Pool:
    """Read canonical lines; raise MalformedError naming the line that is not in order."""
    if not 1 <= len(lines) <= MAX_LINES:
        raise MalformedError(f"{len(lines)} lines, expected 1 to {MAX_LINES}", where="pool")
    parts: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in _ORDER}
    stage = 0
    for number, line in enumerate(lines, 1):
        kind = line[:1]
        pattern = _PATTERNS.get(kind)
        found = pattern.fullmatch(line) if pattern is not None else None
        if found is None or _ORDER.index(kind) < stage:
            raise MalformedError(f"line {number} is none, or stands in the wrong place: {line[:80]!r}", where="pool")
        stage = _ORDER.index(kind)
        parts[kind].append(found.groups())
    if len(parts["H"]) != 1:
        raise MalformedError("has not exactly one head", where="pool")
    head, closes = parts["H"][0]
    counts = tuple(Count(name, int(arrivals), int(checked)) for name, arrivals, checked in parts["C"])
    left = tuple(Left("declaration" if kind == "declaration" else "inspector", name, int(at)) for kind, name, at in parts["X"])
    pool = Pool(int(head), int(closes), counts, left, _inspectors(parts["I"]), _entries(parts["D"]))
    _check(pool)
    return pool


def _inspectors(rows: Iterable[tuple[str, ...]]) -> tuple[Inspector, ...]:
    return tuple(Inspector(who, duty == "1", int(load), _list(able), _list(recused)) for who, duty, load, able, recused in rows)


def _entries(rows: Iterable[tuple[str, ...]]) -> tuple[Entry, ...]:
    return tuple(
        Entry(name, stratum, lane, int(risk), grade, _list(needs), _list(parties), int(position), int(at_ns))
        for name, stratum, lane, risk, grade, needs, parties, position, at_ns in rows
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _check(pool: Pool) -> None:
    _check_sorted([one.stratum for one in pool.counts], "stratum")
    _check_sorted([f"{one.kind}\t{one.id}" for one in pool.left], "id left out")
    _check_sorted([one.id for one in pool.inspectors], "inspector")
    _check_sorted([one.id for one in pool.entries], "declaration")
    for names in {names for one in pool.inspectors for names in (one.qualifications, one.recusals)}:
        _check_sorted(names, "name in a list")
    for names in {names for one in pool.entries for names in (one.needs, one.parties)}:
        _check_sorted(names, "name in a list")
    counted = {one.stratum for one in pool.counts}
    if any(one.checked > one.arrivals for one in pool.counts) or {one.stratum for one in pool.entries} - counted:
        raise MalformedError("a stratum has no count, or more were checked than came", where="pool")
    if any(one.risk > PARTS for one in pool.entries):
        raise MalformedError(f"a risk is more than {PARTS}", where="pool")
    ids = {"declaration": {one.id for one in pool.entries}, "inspector": {one.id for one in pool.inspectors}}
    for one in pool.left:
        if one.id in ids[one.kind]:
            raise MalformedError(f"{one.kind} {one.id} is left out and stands in it too", where="pool")


def _check_sorted(names: Sequence[str], noun: str) -> None:
    for before, name in pairwise(names):
        if before >= name:
            raise MalformedError(f"{noun} {name} stands twice or is not sorted", where="pool")


def pool_root(lines: Iterable[str]) -> bytes:
    """Give the Merkle root of lines (RFC 6962 §2.1), level by level: a pair gives a node, an odd last one goes up as it is."""
    sha256 = hashlib.sha256
    level = [sha256(b"\x00" + line.encode("ascii")).digest() for line in lines]
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        above = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]
