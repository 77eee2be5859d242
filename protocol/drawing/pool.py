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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import lt
from typing import Literal, NamedTuple

from protocol.drawing.policy import PARTS, TOKEN
from protocol.errors import MalformedError
from protocol.merkle import EMPTY_ROOT

MAX_LINES = 400_000
MAX_COUNTS = 1000  # strata; the result record holds them all
MAX_NUMBER = 2**63
MAX_LOAD = 2**20


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
        _check(pool)
        return pool

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
    parts: dict[str, list[str]] = {kind: [] for kind in "HCXID"}
    for number, line in enumerate(lines, 1):
        if line[:1] not in parts:
            raise MalformedError(f"line {number} is none: {line[:80]!r}", where="pool")
        parts[line[:1]].append(line)
    if len(parts["H"]) != 1:
        raise MalformedError("has not exactly one head", where="pool")
    pool = _read(parts)
    again = pool.lines()
    if again != list(lines):
        number = next(at for at, (mine, line) in enumerate(zip(again, lines, strict=True), 1) if mine != line)
        raise MalformedError(f"line {number} is in the wrong place, or is another spelling: {lines[number - 1][:80]!r}", where="pool")
    _check(pool)
    return pool


def _read(parts: Mapping[str, Sequence[str]]) -> Pool:
    lists: dict[str, tuple[str, ...]] = {"": ()}

    def listed(text: str) -> tuple[str, ...]:
        if text not in lists:
            lists[text] = tuple(text.split(","))
        return lists[text]

    def rows(kind: str) -> Iterator[list[str]]:
        return (line.split("\t") for line in parts[kind])

    try:
        _, number, closes_ns = next(rows("H"))
        return Pool(
            int(number),
            int(closes_ns),
            tuple(Count(name, int(arrivals), int(checked)) for _, name, arrivals, checked in rows("C")),
            tuple(Left("declaration" if kind == "declaration" else "inspector", name, int(at)) for _, kind, name, at in rows("X")),
            tuple(Inspector(who, duty == "1", int(load), listed(able), listed(out)) for _, who, duty, load, able, out in rows("I")),
            tuple(
                Entry(name, stratum, lane, int(risk), grade, listed(needs), listed(parties), int(position), int(at_ns))
                for _, name, stratum, lane, risk, grade, needs, parties, position, at_ns in rows("D")
            ),
        )
    except ValueError as error:
        raise MalformedError(f"a line has other fields, or a number is none: {str(error)[:60]}", where="pool") from error


def _check_tokens(names: Iterable[str]) -> None:
    matches = TOKEN.fullmatch
    for name in names:
        if not matches(name):
            raise MalformedError(f"{name[:70]!r} is no name", where="pool")


def _check(pool: Pool) -> None:
    ids, strata, lanes, risks, grades, needs, parties, positions, times = zip(*pool.entries, strict=True) if pool.entries else ((),) * 9
    lists = {*needs, *parties, *(names for one in pool.inspectors for names in (one.qualifications, one.recusals))}
    _check_tokens(ids)
    _check_tokens({*strata, *lanes, *grades, *(name for names in lists for name in names)})
    _check_tokens([*(one.id for one in pool.inspectors), *(one.stratum for one in pool.counts), *(one.id for one in pool.left)])
    numbers = [pool.number, pool.closes_ns, *(number for one in pool.counts for number in one[1:]), *(one.position for one in pool.left)]
    _check_bounds([*numbers, *positions, *times], MAX_NUMBER)
    _check_bounds([one.load for one in pool.inspectors], MAX_LOAD)
    _check_bounds(risks, PARTS + 1)
    _check_sorted([one.stratum for one in pool.counts], "stratum")
    _check_sorted([f"{one.kind}\t{one.id}" for one in pool.left], "id left out")
    _check_sorted([one.id for one in pool.inspectors], "inspector")
    _check_sorted(ids, "declaration")
    for names in lists:
        _check_sorted(names, "name in a list")
    if len(pool.counts) > MAX_COUNTS:
        raise MalformedError(f"{len(pool.counts)} strata, at most {MAX_COUNTS}", where="pool")
    if any(one.checked > one.arrivals for one in pool.counts) or {*strata} - {one.stratum for one in pool.counts}:
        raise MalformedError("a stratum has no count, or more were checked than came", where="pool")
    known = {"declaration": {*ids}, "inspector": {one.id for one in pool.inspectors}} if pool.left else {}
    for one in pool.left:
        if one.id in known[one.kind]:
            raise MalformedError(f"{one.kind} {one.id} is left out and stands in it too", where="pool")


def _check_bounds(numbers: Sequence[int], limit: int) -> None:
    if numbers and not 0 <= min(numbers) <= max(numbers) < limit:
        raise MalformedError(f"a number is not from 0 to below {limit}", where="pool")


def _check_sorted(names: Sequence[str], noun: str) -> None:
    if all(map(lt, names, names[1:])):
        return
    name = next(name for before, name in pairwise(names) if before >= name)
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
