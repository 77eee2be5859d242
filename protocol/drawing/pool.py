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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from protocol.drawing.policy import PARTS, TOKEN
from protocol.errors import MalformedError
from protocol.merkle import EMPTY_ROOT

MAX_LINES = 400_000
MAX_COUNTS = 1000  # strata; the result record holds them all
MAX_NUMBER = 2**63
MAX_LOAD = 2**20
_WIDTHS = {"H": 3, "C": 4, "X": 4, "I": 6, "D": 10}


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
    parts: dict[str, list[list[str]]] = {kind: [] for kind in _WIDTHS}
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if _WIDTHS.get(fields[0]) != len(fields):
            raise MalformedError(f"line {number} is none: {line[:80]!r}", where="pool")
        parts[fields[0]].append(fields)
    if len(parts["H"]) != 1:
        raise MalformedError("has not exactly one head", where="pool")
    pool = _read(parts)
    again = pool.lines()
    if again != list(lines):
        number = next(at for at, (mine, line) in enumerate(zip(again, lines, strict=True), 1) if mine != line)
        raise MalformedError(f"line {number} is in the wrong place, or is another spelling: {lines[number - 1][:80]!r}", where="pool")
    _check(pool)
    return pool


def _read(parts: Mapping[str, Sequence[Sequence[str]]]) -> Pool:
    lists: dict[str, tuple[str, ...]] = {"": ()}

    def listed(text: str) -> tuple[str, ...]:
        if text not in lists:
            lists[text] = tuple(text.split(","))
        return lists[text]

    try:
        return Pool(
            int(parts["H"][0][1]),
            int(parts["H"][0][2]),
            tuple(Count(name, int(arrivals), int(checked)) for _, name, arrivals, checked in parts["C"]),
            tuple(Left("declaration" if kind == "declaration" else "inspector", name, int(at)) for _, kind, name, at in parts["X"]),
            tuple(Inspector(who, duty == "1", int(load), listed(able), listed(out)) for _, who, duty, load, able, out in parts["I"]),
            tuple(
                Entry(name, stratum, lane, int(risk), grade, listed(needs), listed(parties), int(position), int(at_ns))
                for _, name, stratum, lane, risk, grade, needs, parties, position, at_ns in parts["D"]
            ),
        )
    except ValueError as error:
        raise MalformedError(f"a number is none: {str(error)[:60]}", where="pool") from error


def _check_tokens(names: Iterable[str]) -> None:
    for name in names:
        if not TOKEN.fullmatch(name):
            raise MalformedError(f"{name[:70]!r} is no name", where="pool")


def _check(pool: Pool) -> None:
    _check_tokens(one.id for one in pool.entries)
    _check_tokens({name for one in pool.entries for name in (one.stratum, one.lane, one.grade)})
    _check_tokens({name for names in {one.needs for one in pool.entries} | {one.parties for one in pool.entries} for name in names})
    _check_tokens(name for one in pool.inspectors for name in (one.id, *one.qualifications, *one.recusals))
    _check_tokens([*(one.stratum for one in pool.counts), *(one.id for one in pool.left)])
    numbers = [pool.number, pool.closes_ns, *(number for one in pool.counts for number in one[1:])]
    if not 0 <= min(numbers) <= max(numbers) < MAX_NUMBER or any(one.load >= MAX_LOAD or one.load < 0 for one in pool.inspectors):
        raise MalformedError("a number is out of bounds", where="pool")
    if any(not (0 <= one.position < MAX_NUMBER and 0 <= one.entered_ns < MAX_NUMBER) for one in pool.entries):
        raise MalformedError("a position or time is out of bounds", where="pool")
    _check_sorted([one.stratum for one in pool.counts], "stratum")
    _check_sorted([f"{one.kind}\t{one.id}" for one in pool.left], "id left out")
    _check_sorted([one.id for one in pool.inspectors], "inspector")
    _check_sorted([one.id for one in pool.entries], "declaration")
    for names in {names for one in pool.inspectors for names in (one.qualifications, one.recusals)}:
        _check_sorted(names, "name in a list")
    for names in {names for one in pool.entries for names in (one.needs, one.parties)}:
        _check_sorted(names, "name in a list")
    counted = {one.stratum for one in pool.counts}
    if len(pool.counts) > MAX_COUNTS:
        raise MalformedError(f"{len(pool.counts)} strata, at most {MAX_COUNTS}", where="pool")
    if any(one.checked > one.arrivals for one in pool.counts) or {one.stratum for one in pool.entries} - counted:
        raise MalformedError("a stratum has no count, or more were checked than came", where="pool")
    if any(not 0 <= one.risk <= PARTS for one in pool.entries):
        raise MalformedError(f"a risk is not 0 to {PARTS}", where="pool")
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
