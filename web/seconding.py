"""Have a second person vouch for what two persons do at one desk: by their own name and password, never by a name alone."""

from fastapi import Request

from hub.access import Role
from hub.app import Hub
from protocol.errors import ForbiddenError, MalformedError, UnavailableError
from protocol.identifiers import PersonId
from web.guards import ALL_ROLES, Caller, address_of


async def second_person(
    request: Request, hub: Hub, caller: Caller, named: tuple[str, str], roles: tuple[Role, ...] = ALL_ROLES
) -> PersonId:
    """Give who vouches by (name, password): another than the caller, of one of these roles.

    Raises MalformedError for the caller's own name, ForbiddenError when name or password is wrong or the role is another. A wrong
    password counts against the name at this address, as at login.
    """
    name, password = named
    if name == caller.person:
        raise MalformedError("the second person must be another", where="second")
    try:
        found = await hub.access.vouch(name, password, address_of(request))
    except ForbiddenError as error:  # the asker's own login stands: it is another's password that is wrong
        raise ForbiddenError("the second person's name or password is wrong", where="second_password") from error
    except UnavailableError as error:
        raise UnavailableError(error.what, where="second_password") from error
    if found.role not in roles:
        raise ForbiddenError(f"only for {', '.join(roles)}", where="second")
    return found.name
