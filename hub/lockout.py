"""Slow down who guesses passwords, without shutting out who knows theirs.

Guarantees, across restarts:
- one address (of IPv6: one /64 network) gets at one name the free failures, then tries that are seconds apart, then a lock that
  doubles up to an hour: with the usual settings at most 30 guesses in the first day;
- all addresses together get `NAME_FREE` failures at one name in a day, then one try every `SPACING_S`: at most 28 800 guesses a
  day, however many addresses there are;
- nobody is locked out by others: an address from which the person logged in within `KNOWN_NS` does not wait for strangers, one
  without failures goes before those with failures, and waits at most for the tries of others like it.
"""

import asyncio
import hashlib
import ipaddress
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, delete, or_, select

from protocol.errors import MalformedError, RefusedError
from protocol.identifiers import PersonId
from protocol.instants import SECOND_NS, Clock
from storage.database import upsert
from storage.schema import login_failures

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
FREE_FAILURES = 2  # wrong passwords in a row before each next try must wait
PER_ADDRESS = 4  # an address may fail this many times as often as a name from it: people share addresses
NAME_FREE = 10  # failures at one name within a day, all addresses together, before its tries are spaced
SPACING_S = 3.0
LANE_PLACES = 4  # tries that may wait at one name
KNOWN_NS = 30 * DAY_NS


@dataclass(frozen=True, slots=True)
class Guess:
    """Who tries to be whom, as the keys under which failures are counted. A name that can be nobody's is kept as its hash."""

    name: str
    place: str

    @classmethod
    def of(cls, name: str, address: str) -> "Guess":
        """Give the keys' parts for a name as it was typed and the peer's address."""
        try:
            label = str(PersonId(name))
        except MalformedError:
            label = f"?{_short(name)}"
        return cls(label, _short(_network(address)))

    @property
    def pair(self) -> str:
        """Give the key of this name from this address."""
        return f"pair:{self.name}:{self.place}"

    @property
    def address(self) -> str:
        """Give the key of the address, whatever names it tries."""
        return f"address:{self.place}"

    @property
    def everywhere(self) -> str:
        """Give the key of the name, wherever it is tried from."""
        return f"name:{self.name}"

    @property
    def known(self) -> str:
        """Give the key that tells that this person logged in from this address."""
        return f"known:{self.name}:{self.place}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings: failures before the lock, and its first length."""

    failures: int
    lock_ns: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a guess stands: `slowed` must pass the name's lane, where `fresh` goes before those that failed."""

    slowed: bool
    fresh: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """What a failure brought: the number of this name from this address, and from everywhere."""

    pair: int
    everywhere: int


def check(connection: Connection, guess: Guess, now_ns: int) -> Standing:
    """Tell how a guess stands; raise RefusedError while its address is locked, for this name or for all."""
    rows = {row.key: row for row in connection.execute(select(login_failures).where(login_failures.c.key.in_(_keys(guess))))}
    locked = [rows[key].until_ns for key in (guess.pair, guess.address) if key in rows]
    until = max(locked, default=0)
    if until > now_ns:
        raise _too_many(-((now_ns - until) // SECOND_NS))
    counts = {key: _count(row, now_ns) for key, row in rows.items()}
    is_known = guess.known in rows and now_ns - rows[guess.known].last_ns <= KNOWN_NS
    return Standing(counts.get(guess.everywhere, 0) >= NAME_FREE and not is_known, counts.get(guess.pair, 0) == 0)


def count_failure(connection: Connection, guess: Guess, now_ns: int, limits: Limits) -> Counted:
    """Count a failure; give the counts with it."""
    counts = []
    for key, share in ((guess.pair, 1), (guess.address, PER_ADDRESS), (guess.everywhere, 0)):
        row = connection.execute(select(login_failures).where(login_failures.c.key == key)).first()
        count = 1 + (_count(row, now_ns) if row is not None else 0)
        until = now_ns + wait_after(count // share, limits.failures, limits.lock_ns) if share else 0
        upsert(connection, login_failures, {"key": key, "count": count, "last_ns": now_ns, "until_ns": until})
        counts.append(count)
    known = login_failures.c.key.startswith("known:")
    old = and_(~known, login_failures.c.last_ns < now_ns - DAY_NS, login_failures.c.until_ns < now_ns)
    connection.execute(delete(login_failures).where(or_(old, and_(known, login_failures.c.last_ns < now_ns - KNOWN_NS))))
    return Counted(counts[0], counts[2])


def count_success(connection: Connection, guess: Guess, now_ns: int) -> None:
    """Forget the failures at this name from this address; what others failed still counts."""
    rows = {row.key: row for row in connection.execute(select(login_failures).where(login_failures.c.key.in_(_keys(guess))))}
    own, everywhere = rows.get(guess.pair), rows.get(guess.everywhere)
    connection.execute(delete(login_failures).where(login_failures.c.key == guess.pair))
    if own is not None and everywhere is not None:
        rest = max(0, _count(everywhere, now_ns) - _count(own, now_ns))
        row = {"key": guess.everywhere, "count": rest, "last_ns": everywhere.last_ns, "until_ns": 0}
        upsert(connection, login_failures, row)
    upsert(connection, login_failures, {"key": guess.known, "count": 0, "last_ns": now_ns, "until_ns": 0})


def forget_name(connection: Connection, name: str) -> None:
    """Forget all that is counted at a name: it has a new password."""
    key = login_failures.c.key
    mine = or_(key == f"name:{name}", *(key.startswith(f"{sort}:{name}:", autoescape=True) for sort in ("pair", "known")))
    connection.execute(delete(login_failures).where(mine))


def wait_after(count: int, allowed: int, lock_ns: int) -> int:
    """Give how long the next try must wait in ns: nothing at first, then seconds, then the lock, doubled by each further failure."""
    if count >= allowed:
        return min(lock_ns << min(count - allowed, 20), max(HOUR_NS, lock_ns))
    return SECOND_NS << (count - FREE_FAILURES) if count > FREE_FAILURES and count < 8 else 0


@dataclass(slots=True, eq=False)
class _Ticket:
    place: str
    fresh: bool
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    displaced: bool = False


@dataclass(slots=True)
class _Lane:
    next_ns: int = 0
    waiting: list[_Ticket] = field(default_factory=list)  # who is first goes next


@dataclass(slots=True)
class Lanes:
    """The tries that wait at names where much failed: one passes every `spacing_s`."""

    clock: Clock
    spacing_s: float = SPACING_S
    _lanes: dict[str, _Lane] = field(default_factory=dict)

    async def wait(self, guess: Guess, fresh: bool) -> None:
        """Wait for one's turn at a name.

        Raises RefusedError when as many wait already that are not behind this one, or one from the same address.
        """
        self._sweep()
        lane = self._lanes.setdefault(guess.name, _Lane())
        ticket = self._join(lane, _Ticket(guess.place, fresh))
        try:
            while not self._is_due(lane, ticket):
                ticket.moved.clear()
                left_s = (lane.next_ns - self.clock.monotonic_ns()) / SECOND_NS
                await _within(ticket.moved, left_s if lane.waiting[0] is ticket else None)
                if ticket.displaced:
                    raise self._full()
            lane.next_ns = self.clock.monotonic_ns() + int(self.spacing_s * SECOND_NS)
        finally:
            if ticket in lane.waiting:
                lane.waiting.remove(ticket)
            for other in lane.waiting:
                other.moved.set()

    def _join(self, lane: _Lane, ticket: _Ticket) -> _Ticket:
        if any(other.place == ticket.place for other in lane.waiting):
            raise self._full()
        if len(lane.waiting) >= LANE_PLACES:
            if not ticket.fresh or lane.waiting[-1].fresh:
                raise self._full()
            last = lane.waiting.pop()
            last.displaced = True
            last.moved.set()
        lane.waiting.append(ticket)
        lane.waiting.sort(key=lambda each: not each.fresh)  # stable: else by arrival
        return ticket

    def _is_due(self, lane: _Lane, ticket: _Ticket) -> bool:
        return bool(lane.waiting) and lane.waiting[0] is ticket and self.clock.monotonic_ns() >= lane.next_ns

    def _full(self) -> RefusedError:
        return _too_many(max(1, round(LANE_PLACES * self.spacing_s)))

    def _sweep(self) -> None:
        now_ns = self.clock.monotonic_ns()
        for name in [name for name, lane in self._lanes.items() if not lane.waiting and lane.next_ns < now_ns]:
            del self._lanes[name]


async def _within(happened: asyncio.Event, timeout_s: float | None) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await happened.wait()
    except TimeoutError:
        return


def _too_many(seconds: int) -> RefusedError:
    return RefusedError(f"too many failures; try again in {seconds} s", where="login.locked")


def _keys(guess: Guess) -> tuple[str, ...]:
    return guess.pair, guess.address, guess.everywhere, guess.known


def _count(row: object, now_ns: int) -> int:
    """Give a row's count, as long as it was failed at within a day."""
    facts = row._mapping  # type: ignore[attr-defined]  # `count` is a method of rows
    return int(facts["count"]) if now_ns - facts["last_ns"] <= DAY_NS else 0


def _short(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def _network(address: str) -> str:
    """Give what one subscriber has: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), 64), strict=False))
    return address
