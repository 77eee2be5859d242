"""Find out who asks and whether they may: cookie session with CSRF token, or API token.

Guarantees: a write by cookie needs the token that only our own pages can read, bound to that session; every API route names
the roles that may use it; traders and partners come from outside and reach only routes that name them, for their own party.
"""

import hmac
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from hub.access import PARTIES, Role, Session, key_of
from hub.app import Hub
from hub.values import TaskFacts
from protocol.errors import ForbiddenError
from protocol.identifiers import PersonId
from web.answering import SESSION

SUPERVISOR: Role = "supervisor"
INSPECTOR: Role = "inspector"
ADMINISTRATOR: Role = "administrator"
TRADER: Role = "trader"
PARTNER: Role = "partner"
ALL_ROLES: tuple[Role, ...] = (SUPERVISOR, INSPECTOR, ADMINISTRATOR)  # the inside ones: others reach only what names them
OVERSEERS: tuple[Role, ...] = (SUPERVISOR, ADMINISTRATOR)
CSRF_HEADER = "x-csrf-token"
_READS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Cookies:
    """Names and the Secure flag of our cookies; plain HTTP exists on loopback only, where no prefix is possible."""

    secure: bool

    @property
    def session(self) -> str:
        """Give the name of the session cookie."""
        return "__Host-portwitness" if self.secure else "portwitness"

    @property
    def csrf(self) -> str:
        """Give the name of the CSRF cookie, which pages may read."""
        return "__Host-portwitness-csrf" if self.secure else "portwitness-csrf"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which way."""

    person: PersonId
    role: Role
    way: Literal["session", "token"]
    key: bytes = field(default=b"", repr=False, compare=False)  # by which `hub.access` tells whether the login still holds
    party: str | None = None  # the enterprise or partner that a trader or partner acts for

    def may_see(self, task: TaskFacts) -> bool:
        """Tell whether a task is open to them: an inspector sees their own, who comes from outside none."""
        return self.role in (SUPERVISOR, ADMINISTRATOR) or (self.role == INSPECTOR and str(self.person) in task.inspectors)

    def need(self, task: TaskFacts) -> TaskFacts:
        """Give the task back; raise ForbiddenError when it is not theirs."""
        if not self.may_see(task):
            raise ForbiddenError("not your task", where=f"task {task.task}")
        return task

    def need_party(self, party: str, where: str) -> None:
        """Check that something of a party is theirs, where they act for one; raise ForbiddenError otherwise."""
        if self.role in PARTIES and self.party != party:
            raise ForbiddenError("belongs to another party", where=where)


def hub_of(request: Request) -> Hub:
    """Give the hub behind the face."""
    hub: Hub = request.app.state.hub
    return hub


def cookies_of(request: Request) -> Cookies:
    """Give the names of the cookies."""
    cookies: Cookies = request.app.state.cookies
    return cookies


def address_of(request: Request) -> str:
    """Give the peer's address, for lock-out by address."""
    return request.client.host if request.client else "unknown"


async def session_of(request: Request) -> Session:
    """Give the cookie's session; raise ForbiddenError when there is none or a write lacks its token."""
    cookies = cookies_of(request)
    token = request.cookies.get(cookies.session)
    session = await hub_of(request).access.session(token) if token else None
    if session is None:
        raise ForbiddenError("log in first", where=SESSION)
    if request.method not in _READS:
        _check_csrf(request, session, cookies)
    return session


def _check_csrf(request: Request, session: Session, cookies: Cookies) -> None:
    header = request.headers.get(CSRF_HEADER, "").encode()
    cookie = request.cookies.get(cookies.csrf, "").encode()
    wanted = session.csrf.encode()
    if not (hmac.compare_digest(header, wanted) and hmac.compare_digest(cookie, wanted)):
        raise ForbiddenError("the token of this page is missing or old: load the page again", where="csrf")


async def caller_of(request: Request) -> Caller:
    """Give who asks; raise ForbiddenError when nobody known does."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        person = await hub_of(request).access.by_token(token.strip())
        if person is None:
            raise ForbiddenError("log in first", where=SESSION)
        return Caller(person.name, person.role, "token", key_of(token.strip()), person.party)
    session = await session_of(request)
    key = key_of(request.cookies[cookies_of(request).session])
    return Caller(session.person.name, session.person.role, "session", key, session.person.party)


@dataclass(frozen=True, slots=True)
class RoleGuard:
    """The guard of a route that only these roles may use."""

    roles: tuple[Role, ...]

    async def __call__(self, request: Request) -> Caller:
        """Give who asks; raise ForbiddenError when the role is none of these."""
        caller = await caller_of(request)
        if caller.role not in self.roles:
            raise ForbiddenError(f"only for {', '.join(self.roles)}", where=request.url.path[:80])
        return caller


def need_role(*roles: Role) -> RoleGuard:
    """Make the guard of a route that only these roles may use."""
    return RoleGuard(roles)


def roles_of(route: APIRoute) -> tuple[Role, ...] | None:
    """Tell which roles a route names; None when it names none."""
    waiting, found = [route.dependant], list[RoleGuard]()
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        found += [dependant.call] if isinstance(dependant.call, RoleGuard) else []
    return tuple(role for role in get_args(Role) if all(role in guard.roles for guard in found)) if found else None


TheHub = Annotated[Hub, Depends(hub_of)]
Following = Annotated[Caller, Depends(need_role(*ALL_ROLES, TRADER, PARTNER))]  # what each is told of is judged change by change
Reading = Annotated[Caller, Depends(need_role(*ALL_ROLES, TRADER))]  # records: which, is judged by each
Anyone = Annotated[Caller, Depends(need_role(*ALL_ROLES))]
Supervisor = Annotated[Caller, Depends(need_role(SUPERVISOR))]
Inspecting = Annotated[Caller, Depends(need_role(SUPERVISOR, INSPECTOR))]
Overseeing = Annotated[Caller, Depends(need_role(*OVERSEERS))]
Trading = Annotated[Caller, Depends(need_role(TRADER, SUPERVISOR, ADMINISTRATOR))]
Holding = Annotated[Caller, Depends(need_role(PARTNER, SUPERVISOR))]  # other authorities' holds
Exchanging = Annotated[Caller, Depends(need_role(PARTNER, SUPERVISOR, ADMINISTRATOR))]
Sampling = Annotated[Caller, Depends(need_role(*ALL_ROLES, PARTNER))]  # a laboratory sees the samples that are for it
Partnering = Annotated[Caller, Depends(need_role(PARTNER, ADMINISTRATOR))]
Administrator = Annotated[Caller, Depends(need_role(ADMINISTRATOR))]
