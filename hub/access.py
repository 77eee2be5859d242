"""Know the people: roles, passwords, sessions, API tokens, lock-out.

Guarantees: passwords are kept as argon2id, tokens as SHA-256; guessing is slowed and locked by `hub.lockout`, which states its
bounds; a burst of guesses passes one by one, each after the failures before it were counted, and only so many may wait; a
disabled person's sessions and tokens end at once; every change of a person, a right or a login is an Access record, staged in
the same transaction.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from argon2.exceptions import VerificationError as WrongPassword
from sqlalchemy import Connection, delete, func, insert, select, update

from hub.alarms import ring
from hub.core import Core
from hub.inspection.catalogue import check_key
from hub.lockout import DAY_NS, MINUTE_NS, NAME_FREE, Guess, Lanes, Limits, Standing, check, count_failure, count_success, forget_name
from hub.sequencer import stage
from protocol import kinds
from protocol.errors import ForbiddenError, MalformedError, RefusedError, StorageError, UnavailableError
from protocol.identifiers import PersonId
from storage.schema import api_tokens, logins, people

T = TypeVar("T")
Role = Literal["supervisor", "inspector", "administrator", "trader", "partner"]
ROLES: tuple[Role, ...] = get_args(Role)
PARTIES: Mapping[Role, str] = {"trader": "enterprise", "partner": "partner"}  # whom these act for, by category of the reference data
LEAST_PASSWORD = 10
MOST_PASSWORD = 256
LONGEST_SESSION_NS = 7 * DAY_NS
KEYS_AT_ONCE = 500  # in one question
GUESSED = "password guessed at"
HASHERS = 2  # argon2id takes 64 MiB each
MOST_WAITING = 64  # logins that may wait for their turn
MOST_WAITING_OF_ADDRESS = 16  # ... from one address: it cannot keep all others out


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody the hub knows; `party`: the enterprise or partner that a trader or a partner acts for, and sees alone."""

    name: PersonId
    display: str
    role: Role
    disabled: bool
    created_ns: int
    party: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A login; `token` is given only when it begins."""

    person: Person
    csrf: str
    expires_ns: int
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token by which a program acts for a person; `token` is given only when it is made."""

    id: str
    person: PersonId
    label: str
    expires_ns: int
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PersonDraft:
    """What is told of a new person."""

    name: str
    role: Role
    display: str = ""
    password: str | None = None
    party: str | None = None


@dataclass(slots=True)
class Access:
    """The people of a hub."""

    core: Core
    lanes: Lanes
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    changed: asyncio.Event = field(default_factory=asyncio.Event)  # a person, a right or a login changed here
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHERS))
    _nobody: str = ""
    _one_login: asyncio.Lock = field(default_factory=asyncio.Lock)
    _waiting: Counter[str] = field(default_factory=Counter)  # by address

    # ------------------------------------------------------------------------------------------------ logging in

    async def log_in(self, name: str, password: str, address: str) -> Session:
        """Begin a session.

        Raises ForbiddenError when name or password is wrong, RefusedError while locked, UnavailableError when too many wait.
        """
        person = await self.vouch(name, password, address)
        token = secrets.token_urlsafe(32)
        now = self._now()

        def begin(connection: Connection) -> None:
            connection.execute(delete(logins).where(logins.c.expires_ns < now))
            row = {"token": key_of(token), "person": person.name, "began_ns": now, "used_ns": now, "expires_ns": now + LONGEST_SESSION_NS}
            connection.execute(insert(logins).values(row))
            self._record(connection, person.name, "logged in", by=person.name, detail=address)

        await self._write(begin)
        return Session(person, csrf_of(token), min(now + self._idle_ns(), now + LONGEST_SESSION_NS), token)

    async def vouch(self, name: str, password: str, address: str) -> Person:
        """Check a password without beginning a session; failures count. Raises as `log_in`."""
        guess, waited = Guess.of(name, address), False
        while True:
            standing, _ = await self._look(guess)  # who is locked need not wait
            if standing.slowed and not waited:
                await self.lanes.wait(guess, standing.fresh)
                waited = True
            async with self._turn(address):  # read again: those before this one may have failed meanwhile
                standing, found = await self._look(guess)
                if waited or not standing.slowed:
                    return await self._judge(guess, found, password, address)

    async def _look(self, guess: Guess) -> "tuple[Standing, _Candidate | None]":
        now = self._now()
        return await self.core.database.read(lambda connection: (check(connection, guess, now), _candidate(connection, guess.name)))

    async def _judge(self, guess: Guess, found: "_Candidate | None", password: str, address: str) -> Person:
        right = await self._verify(found.hash if found else await self._dummy(), password)
        if found is None or not right or found.person.disabled:
            await self._count_failure(guess, found.person if found else None, address)
            raise ForbiddenError("name or password is wrong", where="login")
        now = self._now()
        await self.core.database.write(lambda connection: count_success(connection, guess, now))
        return found.person

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """Let one login after the other pass; raise UnavailableError when too many wait already."""
        if self._waiting.total() >= MOST_WAITING or self._waiting[address] >= MOST_WAITING_OF_ADDRESS:
            raise UnavailableError("too many people log in now; try again", where="login")
        self._waiting[address] += 1
        try:
            async with self._one_login:
                yield
        finally:
            self._waiting[address] -= 1
            self._waiting += Counter()  # drops addresses nobody waits from

    async def session(self, token: str) -> Session | None:
        """Give the running session of a token and count it as used; None when there is none."""
        now, digest = self._now(), key_of(token)
        row = await self.core.database.read(lambda connection: _login_row(connection, digest))
        if row is None or row.disabled or now >= row.expires_ns or now - row.used_ns > self._idle_ns():
            return None
        if now - row.used_ns > MINUTE_NS:
            await self.core.database.write(
                lambda connection: connection.execute(update(logins).where(logins.c.token == digest).values(used_ns=now))
            )
        return Session(_person(row), csrf_of(token), min(now + self._idle_ns(), row.expires_ns))

    async def log_out(self, token: str) -> None:
        """End a session; one that is not there is no error."""
        digest = key_of(token)

        def end(connection: Connection) -> None:
            row = _login_row(connection, digest)
            if row is not None:
                connection.execute(delete(logins).where(logins.c.token == digest))
                self._record(connection, row.name, "logged out", by=row.name)

        await self._write(end)

    async def end_sessions(self, name: str, by: str, *, keep: bytes = b"") -> None:
        """End a person's sessions, but for one (by its key): what was lost or stolen is logged in no more. Raises RefusedError."""

        def put(connection: Connection) -> None:
            person = _known_person(connection, name)
            mine = (logins.c.person == person.name, logins.c.token != keep)
            if connection.execute(delete(logins).where(*mine)).rowcount:
                self._record(connection, person.name, "sessions ended", by=by)

        await self._write(put)

    # ------------------------------------------------------------------------------------------------ people

    async def people(self) -> list[Person]:
        """Give all people by name."""
        rows = await self.core.database.read(lambda connection: connection.execute(select(people).order_by(people.c.name)).all())
        return [_person(row) for row in rows]

    async def person(self, name: str) -> Person | None:
        """Give one person, None when not known."""
        row = await self.core.database.read(lambda connection: connection.execute(select(people).where(people.c.name == name)).first())
        return None if row is None else _person(row)

    async def add(self, draft: PersonDraft, by: str) -> tuple[Person, str | None]:
        """Add a person; give them, and the generated password if none was told.

        Raises MalformedError for a bad name, role, party or password, RefusedError when the name is taken.
        """
        name = PersonId(draft.name)
        if draft.role not in ROLES:
            raise MalformedError(f"{draft.role!r} is none of {', '.join(ROLES)}", where="role")
        _check_party(draft.role, draft.party)
        password = draft.password or generate_password()
        _check_password(password)
        hashed = await self._hash(password)
        person = Person(name, draft.display or name, draft.role, False, self._now(), draft.party)

        def put(connection: Connection) -> None:
            if connection.execute(select(people.c.name).where(people.c.name == name)).first() is not None:
                raise RefusedError(f"person {name} is already known", where="name")
            row = {"name": name, "display": person.display, "role": person.role, "party": person.party, "disabled": False}
            connection.execute(insert(people).values(row | {"created_ns": person.created_ns, "password": hashed}))
            self._record(connection, name, "added", by=by, detail=" of ".join(filter(None, (person.role, person.party))))

        await self._write(put)
        return person, None if draft.password else password

    async def change(
        self,
        name: str,
        by: str,
        *,
        role: Role | None = None,
        party: str | None = None,
        display: str | None = None,
        disabled: bool | None = None,
    ) -> Person:
        """Change what is given; a party is kept only while the role acts for one.

        Raises MalformedError for a role without its party, RefusedError when nobody would be left to administer.
        """

        def put(connection: Connection) -> Person:
            before = _known_person(connection, name)
            after = replace(
                before,
                display=before.display if display is None else display,
                role=role or before.role,
                disabled=before.disabled if disabled is None else disabled,
                party=_party_after(before, role or before.role, party),
            )
            row = {"role": after.role, "party": after.party, "display": after.display, "disabled": after.disabled}
            connection.execute(update(people).where(people.c.name == before.name).values(row))
            _keep_an_administrator(connection)
            if after.disabled:
                connection.execute(delete(logins).where(logins.c.person == before.name))
            self._record(connection, before.name, "changed", by=by, detail=_difference(before, after))
            return after

        return await self._write(put)

    async def set_password(self, name: str, by: str, password: str | None = None) -> str | None:
        """Set a password and end the person's sessions; give the generated one if none was told."""
        chosen = password or generate_password()
        _check_password(chosen)
        hashed = await self._hash(chosen)

        def put(connection: Connection) -> None:
            person = _known_person(connection, name)
            connection.execute(update(people).where(people.c.name == person.name).values(password=hashed))
            connection.execute(delete(logins).where(logins.c.person == person.name))
            forget_name(connection, person.name)
            self._record(connection, person.name, "password set", by=by)

        await self._write(put)
        return None if password else chosen

    # ------------------------------------------------------------------------------------------------ API tokens

    async def make_token(self, person: str, label: str, days: int, by: str) -> ApiToken:
        """Make a token that acts for a person; raise RefusedError when the person is not known."""
        token, identifier = f"pw_{secrets.token_urlsafe(32)}", secrets.token_hex(6)
        now = self._now()

        def put(connection: Connection) -> ApiToken:
            owner = _known_person(connection, person)
            made = ApiToken(identifier, owner.name, label, now + days * DAY_NS, token)
            row = {"id": identifier, "token": key_of(token), "person": owner.name, "label": label, "expires_ns": made.expires_ns}
            connection.execute(insert(api_tokens).values(row | {"made_ns": now}))
            self._record(connection, owner.name, "token made", by=by, detail=f"{identifier} {label}")
            return made

        return await self._write(put)

    async def tokens(self) -> list[ApiToken]:
        """Give all tokens that still hold, without their secrets."""
        now = self._now()
        query = select(api_tokens).where(api_tokens.c.expires_ns > now).order_by(api_tokens.c.made_ns)
        rows = await self.core.database.read(lambda connection: connection.execute(query).all())
        return [ApiToken(row.id, PersonId(row.person), row.label, row.expires_ns) for row in rows]

    async def revoke_token(self, identifier: str, by: str) -> None:
        """End a token; raise RefusedError when it is not known."""

        def end(connection: Connection) -> None:
            row = connection.execute(select(api_tokens).where(api_tokens.c.id == identifier)).first()
            if row is None:
                raise RefusedError(f"token {identifier[:20]} is not known", where="token")
            connection.execute(delete(api_tokens).where(api_tokens.c.id == identifier))
            self._record(connection, row.person, "token revoked", by=by, detail=f"{identifier} {row.label}")

        await self._write(end)

    async def by_token(self, token: str) -> Person | None:
        """Give the person a token acts for; None when it does not hold."""
        now, digest = self._now(), key_of(token)
        query = select(people).join(api_tokens, api_tokens.c.person == people.c.name)
        query = query.where(api_tokens.c.token == digest, api_tokens.c.expires_ns > now, people.c.disabled.is_(False))
        row = await self.core.database.read(lambda connection: connection.execute(query).first())
        return None if row is None else _person(row)

    async def holding(self, keys: set[bytes]) -> dict[bytes, Person]:
        """Give for each key of a session or API token that still holds its person. Asking does not count as use."""
        now = self._now()
        return await self.core.database.read(lambda connection: _holding(connection, sorted(keys), now))

    # ------------------------------------------------------------------------------------------------ inside

    def _now(self) -> int:
        return self.core.clock.now().wall_ns

    def _idle_ns(self) -> int:
        return self.core.settings.browser.session_minutes * MINUTE_NS

    async def _write(self, change: Callable[[Connection], T]) -> T:
        """Commit a change with the records it stages, and have them logged."""
        result = await self.core.database.write(change)
        self.core.sequencer.wake()
        self.changed.set()
        return result

    def _record(self, connection: Connection, subject: str, act: str, *, by: str, detail: str = "") -> None:
        stage(connection, kinds.Access(act=act, by=by, detail=detail[:200]), subject, self.core.clock.now())

    async def _count_failure(self, guess: Guess, person: Person | None, address: str) -> None:
        now, browser = self._now(), self.core.settings.browser
        limits = Limits(browser.lockout_failures, browser.lockout_minutes * MINUTE_NS)

        def put(connection: Connection) -> str:
            counted = count_failure(connection, guess, now, limits)
            if person is None:
                return ""
            hub = str(self.core.issuer)
            if counted.pair == limits.failures:
                self._record(connection, person.name, "locked", by=hub, detail=f"{counted.pair} failures, last from {address}")
            if counted.everywhere != NAME_FREE:
                return ""
            detail = f"{counted.everywhere} failures within a day, last from {address}"
            self._record(connection, person.name, "slowed", by=hub, detail=detail)
            ring(connection, (GUESSED, person.name, detail), now)
            return detail

        if detail := await self._write(put):
            self.core.events.tell("alarm", kind=GUESSED, subject=person.name if person else "", detail=detail)

    async def _hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(self.hasher.hash, password)

    async def _dummy(self) -> str:
        """Give a hash nobody's password has, so that an unknown name takes as long as a known one."""
        if not self._nobody:
            self._nobody = await self._hash(secrets.token_urlsafe(32))
        return self._nobody

    async def _verify(self, hashed: str, password: str) -> bool:
        if len(password) > MOST_PASSWORD:
            return False
        async with self._turns:
            return await asyncio.to_thread(_is_right, self.hasher, hashed, password)


@dataclass(frozen=True, slots=True)
class _Candidate:
    person: Person
    hash: str


def csrf_of(token: str) -> str:
    """Give the CSRF token bound to a session token; one does not tell the other."""
    return hmac.new(token.encode(), b"portwitness csrf", hashlib.sha256).hexdigest()


def generate_password() -> str:
    """Make a password of 100 bits in groups that can be read out."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(4))


def key_of(token: str) -> bytes:
    """Give the key under which a session or an API token is kept; it does not tell the token."""
    return hashlib.sha256(token.encode()).digest()


def _is_right(hasher: PasswordHasher, hashed: str, password: str) -> bool:
    try:
        return hasher.verify(hashed, password)
    except VerifyMismatchError:
        return False
    except (WrongPassword, InvalidHashError) as error:
        raise StorageError("a kept password hash cannot be read", where="people") from error


def _check_password(password: str) -> None:
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise MalformedError(f"a password has at least {LEAST_PASSWORD} characters", where="password")


def _login_row(connection: Connection, digest: bytes) -> Any:  # noqa: ANN401 - a row of two tables
    query = select(people, logins.c.used_ns, logins.c.expires_ns).join(logins, logins.c.person == people.c.name)
    return connection.execute(query.where(logins.c.token == digest)).first()


def _candidate(connection: Connection, name: str) -> _Candidate | None:
    row = connection.execute(select(people).where(people.c.name == name)).first()
    return None if row is None else _Candidate(_person(row), row.password)


def _holding(connection: Connection, keys: list[bytes], now_ns: int) -> dict[bytes, Person]:
    found: dict[bytes, Person] = {}
    for some in (keys[at : at + KEYS_AT_ONCE] for at in range(0, len(keys), KEYS_AT_ONCE)):
        for table in (logins, api_tokens):
            query = select(people, table.c.token).join(table, table.c.person == people.c.name)
            query = query.where(table.c.token.in_(some), table.c.expires_ns > now_ns, people.c.disabled.is_(False))
            found |= {bytes(row.token): _person(row) for row in connection.execute(query)}
    return found


def _person(row: Any) -> Person:  # noqa: ANN401 - a row
    return Person(PersonId(row.name), row.display, row.role, bool(row.disabled), row.created_ns, row.party)


def _check_party(role: Role, party: str | None) -> None:
    category = PARTIES.get(role)
    if category is None and party is not None:
        raise MalformedError(f"is not for the role {role}", where="party")
    if category is not None and party is None:
        raise MalformedError(f"is needed: {'an' if category == 'enterprise' else 'a'} {category} that the {role} acts for", where="party")
    if category is not None and party is not None:
        check_key(category, party)


def _party_after(before: Person, role: Role, party: str | None) -> str | None:
    kept = before.party if party is None and role == before.role else party
    _check_party(role, kept)
    return kept


def _known_person(connection: Connection, name: str) -> Person:
    row = connection.execute(select(people).where(people.c.name == name)).first()
    if row is None:
        raise RefusedError(f"person {name[:40]} is not known", where="person")
    return _person(row)


def _keep_an_administrator(connection: Connection) -> None:
    query = select(func.count()).select_from(people).where(people.c.role == "administrator", people.c.disabled.is_(False))
    if not connection.execute(query).scalar():
        raise RefusedError("the last administrator must stay", where="role")


def _difference(before: Person, after: Person) -> str:
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in ("role", "party", "display", "disabled")]
    return ", ".join(f"{name} {old} -> {new}" for name, old, new in pairs if old != new) or "nothing"
