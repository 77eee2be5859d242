"""Draw two inspectors for each selected declaration, weighted by their load, in integers that all verifiers agree on.

    u_j = the j-th 8 bytes of SHAKE-256("portwitness/inspectors/v1" || 0x00 || seed || declaration id), j: place in the pool's list
    key = L(u_j) * (1 + load), L(u) = -ln((2u + 1) / 2^65) in units of 2^-80; the smallest key leads, the next assists, ties by id

Eligible is who is on duty, has every qualification that the goods need, and is recused from none of their parties. A load rises by one
with each inspection, within the draw too. Guarantees: `minus_log` is less than two units (2^-79) below the true value and never above,
and it falls strictly as u rises (by nearly 2^16 units a step), so of inspectors with one load the largest u has the smallest key.
"""

import hashlib
import struct
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol.drawing.pool import Entry, Inspector, Pool
from protocol.errors import VerificationError

UNIT_BITS = 80
ERROR_UNITS = 2
U_BITS = 64
TEAM = 2
_DOMAIN = b"portwitness/inspectors/v1\0"
_GUARD = 24  # further bits while reckoning
_BITS = UNIT_BITS + _GUARD


def _log(numerator: int, denominator: int) -> int:
    """Give ln(numerator / denominator), a ratio from 1 to 2, in units of 2^-104: 2 artanh t with t = (n - d) / (n + d) up to 1/3.

    All is positive and rounded down. Of the at most 34 terms each lacks less than 3 units, so the sum lacks less than 2^7, doubled 2^8.
    """
    power = ((numerator - denominator) << _BITS) // (numerator + denominator)
    square = power * power >> _BITS
    total, odd = power, 1
    while power:
        power = power * square >> _BITS
        odd += 2
        total += power // odd
    return 2 * total


_LN2 = _log(2, 1)


def minus_log(u: int) -> int:
    """Give -ln((2u + 1) / 2^65) in units of 2^-80, rounded down, for u from 0 to 2^64 - 1.

    With e the bits of 2u + 1 it is ln(2^e / (2u + 1)) + (65 - e) ln 2: less than 66 * 2^8 < 2^15 of the inner units are lacking.
    """
    odd = 2 * u + 1
    exponent = odd.bit_length()
    return (U_BITS + 1 - exponent) * _LN2 + _log(1 << exponent, odd) >> _GUARD


@dataclass(frozen=True, slots=True)
class Team:
    """Who inspects a declaration: lead, then assistant; fewer where fewer are eligible."""

    id: str
    members: tuple[str, ...]

    def line(self) -> str:
        """Give the published line."""
        return f"{self.id}\t{','.join(self.members)}"


def numbers_of(seed: bytes, name: str, count: int) -> Sequence[int]:
    """Give the u of each inspector of the pool's list for a declaration."""
    data = hashlib.shake_256(_DOMAIN + seed + name.encode("ascii")).digest(8 * count)
    return struct.unpack(f">{count}Q", data)


def is_eligible(inspector: Inspector, entry: Entry) -> bool:
    """Tell whether an inspector may be drawn for a declaration."""
    able = set(entry.needs) <= set(inspector.qualifications)
    return inspector.duty and able and not set(entry.parties) & set(inspector.recusals)


def draw_teams(pool: Pool, selected: Sequence[Entry], seed: bytes, refused: Mapping[str, Sequence[str]] | None = None) -> list[Team]:
    """Draw a team for each selected declaration, in the pool's order.

    `refused`: by declaration, who was drawn and then stepped back; the next by key stands in. Loads of the declarations behind it stay
    as first drawn, so that one who steps back changes no other team. Raises VerificationError for one who was not drawn.
    """
    ready = _Ready.of(pool)
    stepped = refused or {}
    teams = []
    for entry in selected:
        numbers = numbers_of(seed, entry.id, len(pool.inspectors))
        gone = stepped.get(entry.id, ())
        order = ready.first(entry, numbers, TEAM + len(gone))
        teams.append(Team(entry.id, _standing(entry.id, [pool.inspectors[at].id for at in order], gone)))
        ready.burden(order[:TEAM])
    return teams


def _standing(declaration: str, names: list[str], gone: Sequence[str]) -> tuple[str, ...]:
    for who in gone:
        if who not in names[:TEAM]:
            raise VerificationError(f"{who} stepped back from {declaration} and was not drawn for it", where="draw inspectors")
        names.remove(who)
    return tuple(names[:TEAM])


@dataclass(slots=True)
class _Ready:
    """Inspectors on duty by what they can do, and within that by load: of one load only the largest numbers need a logarithm."""

    inspectors: tuple[Inspector, ...]
    loads: list[int]
    recused: dict[str, set[int]]
    groups: dict[tuple[str, ...], dict[int, list[int]]]

    @classmethod
    def of(cls, pool: Pool) -> "_Ready":
        recused: dict[str, set[int]] = {}
        for at, one in enumerate(pool.inspectors):
            for party in one.recusals:
                recused.setdefault(party, set()).add(at)
        return cls(pool.inspectors, [one.load for one in pool.inspectors], recused, {})

    def _able(self, needs: tuple[str, ...]) -> dict[int, list[int]]:
        """Give the places of those on duty and qualified, by load."""
        if needs not in self.groups:
            found: dict[int, list[int]] = {}
            for at, one in enumerate(self.inspectors):
                if one.duty and set(needs) <= set(one.qualifications):
                    found.setdefault(self.loads[at], []).append(at)
            self.groups[needs] = found
        return self.groups[needs]

    def first(self, entry: Entry, numbers: Sequence[int], count: int) -> list[int]:
        """Give the places of the `count` smallest keys among the eligible."""
        out: set[int] = set()
        for party in entry.parties:
            out |= self.recused.get(party, set())
        keys: list[tuple[int, int]] = []
        for load, places in self._able(entry.needs).items():
            free = [at for at in places if at not in out] if out else places
            for at in _largest(numbers, free, count):
                keys.append((minus_log(numbers[at]) * (1 + load), at))
        return [at for _, at in sorted(keys)[:count]]

    def burden(self, places: Sequence[int]) -> None:
        """Add an inspection to the load of these."""
        for at in places:
            load = self.loads[at]
            self.loads[at] = load + 1
            for group in self.groups.values():
                same = group.get(load, [])
                spot = bisect_left(same, at)
                if spot < len(same) and same[spot] == at:
                    del same[spot]
                    if not same:
                        del group[load]
                    insort(group.setdefault(load + 1, []), at)


def _largest(numbers: Sequence[int], places: Sequence[int], count: int) -> list[int]:
    """Give the places of the `count` largest numbers, of equal ones those that stand first (their ids come first)."""
    values = [numbers[at] for at in places]
    found = []
    for _ in range(min(count, len(values))):
        spot = values.index(max(values))
        found.append(places[spot])
        values[spot] = -1
    return found
