"""Draw two inspectors for each selected declaration, weighted by their load, in integers that all verifiers agree on.

    v_j = the j-th 4 bytes of SHAKE-256("portwitness/inspectors/v1" || 0x00 || seed || declaration id), j: place in the pool's list
    u_j = 1 - (2 v_j + 1) / 2^33, key = -ln(u_j) * (1 + load) in units of 2^-80; the smallest key leads, the next assists, ties by id

Eligible is who is on duty, has every qualification that the goods need, and is recused from none of their parties. A load rises by one
with each inspection, within the draw too. Guarantees: `minus_log` is less than two units (2^-79) below the true value and never above,
and it rises strictly with v (by nearly 2^48 units a step or more).
"""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter, mul
from typing import Any

from protocol.drawing.pool import Entry, Inspector, Pool
from protocol.errors import VerificationError

UNIT_BITS = 80
ERROR_UNITS = 2
V_BITS = 32
TEAM = 2
_DOMAIN = b"portwitness/inspectors/v1\0"
_GUARD = 24  # further bits while reckoning
_BITS = UNIT_BITS + _GUARD
_WHOLE = 1 << V_BITS + 1
_NEVER = 1 << 128


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


def minus_log(v: int) -> int:
    """Give -ln(1 - (2v + 1) / 2^33) in units of 2^-80, rounded down, for v from 0 to 2^32 - 1.

    With r = 2^33 - 2v - 1 and e its bits it is ln(2^e / r) + (33 - e) ln 2: less than 34 * 2^8 < 2^14 of the inner units are lacking.
    """
    rest = _WHOLE - 2 * v - 1
    exponent = rest.bit_length()
    return (V_BITS + 1 - exponent) * _LN2 + _log(1 << exponent, rest) >> _GUARD


@dataclass(frozen=True, slots=True)
class Team:
    """Who inspects a declaration: lead, then assistant; fewer where fewer are eligible."""

    id: str
    members: tuple[str, ...]

    def line(self) -> str:
        """Give the published line."""
        return f"{self.id}\t{','.join(self.members)}"


def numbers_of(seed: bytes, name: str, count: int) -> Sequence[int]:
    """Give the v of each inspector of the pool's list for a declaration."""
    data = hashlib.shake_256(_DOMAIN + seed + name.encode("ascii")).digest(4 * count)
    return struct.unpack(f">{count}I", data)


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
class _Able:
    """Inspectors who are on duty and can do what some goods need: their places, 1 + load of each, and how to pick their numbers."""

    places: list[int]
    weights: list[int]
    pick: Any  # an itemgetter
    most: int  # the largest weight

    @classmethod
    def of(cls, places: list[int], loads: Sequence[int]) -> "_Able":
        weights = [1 + loads[at] for at in places]
        return cls(places, weights, itemgetter(*places) if len(places) > 1 else None, max(weights, default=1))

    def first(self, numbers: Sequence[int], out: set[int], count: int) -> list[int]:
        """Give the places of the `count` smallest keys among those not in `out`.

        -ln(1 - x) is at least x and at most x / (1 - x): whoever these bounds rule out needs no logarithm.
        """
        if self.pick is None:
            return [at for at in self.places if at not in out]
        picked = self.pick(numbers)
        close = self._close(list(map(mul, picked, self.weights)), count + len(out))
        keys = [(minus_log(picked[spot]) * self.weights[spot], self.places[spot]) for spot in close if self.places[spot] not in out]
        return [at for _, at in sorted(keys)[:count]]

    def _close(self, lower: list[int], count: int) -> Sequence[int]:
        """Give the spots that can have one of the `count` smallest keys; `lower` are the bounds below, in 2^-32, and are used up."""
        found: list[int] = []
        limit = _NEVER
        while len(found) < len(lower) and (least := min(lower)) <= limit:
            spot = lower.index(least)
            lower[spot] = _NEVER
            found.append(spot)
            if len(found) == count:
                if 2 * least >= 1 << V_BITS:
                    return range(len(lower))
                # x is at most (least + 1) / 2^32 as no weight is below 1, and 1 / (1 - x) at most 1 + 2 x
                limit = least + (2 * least * least >> V_BITS) + 2 * self.most + 2
        return found


@dataclass(slots=True)
class _Ready:
    """Who can be drawn, by what they can do, with loads that rise."""

    inspectors: tuple[Inspector, ...]
    loads: list[int]
    recused: dict[str, set[int]]
    groups: dict[tuple[str, ...], _Able]

    @classmethod
    def of(cls, pool: Pool) -> "_Ready":
        recused: dict[str, set[int]] = {}
        for at, one in enumerate(pool.inspectors):
            for party in one.recusals:
                recused.setdefault(party, set()).add(at)
        return cls(pool.inspectors, [one.load for one in pool.inspectors], recused, {})

    def first(self, entry: Entry, numbers: Sequence[int], count: int) -> list[int]:
        """Give the places of the `count` smallest keys among the eligible."""
        if entry.needs not in self.groups:
            needs = set(entry.needs)
            places = [at for at, one in enumerate(self.inspectors) if one.duty and needs <= set(one.qualifications)]
            self.groups[entry.needs] = _Able.of(places, self.loads)
        out = {at for party in entry.parties for at in self.recused.get(party, ())}
        return self.groups[entry.needs].first(numbers, out, count)

    def burden(self, places: Sequence[int]) -> None:
        """Add an inspection to the load of these."""
        for at in places:
            self.loads[at] += 1
            for group in self.groups.values():
                spot = bisect_left(group.places, at)
                if spot < len(group.places) and group.places[spot] == at:
                    group.weights[spot] += 1
                    group.most = max(group.most, group.weights[spot])
