"""Let a second person answer for an act at the same desk, by their own password."""

from hub.access import Role
from hub.app import Hub
from protocol.errors import ForbiddenError, MalformedError, UnavailableError
from protocol.identifiers import PersonId
from web.guards import Caller


async def second_person(hub: Hub, caller: Caller, named: tuple[str, str], address: str, *roles: Role) -> PersonId:
    """Give who vouches by (name, password); raise ForbiddenError when it is wrong, or they may not do such an act.

    A wrong password counts against the name at this address, as at login.
    """
    name, password = named
    if name == caller.person:
        raise MalformedError("the second person must be another", where="second")
    try:
        found = await hub.access.vouch(name, password, address)
    except ForbiddenError as error:  # the asker's own login stands: it is another's password that is wrong
        raise ForbiddenError("the second person's name or password is wrong", where="second_password") from error
    except UnavailableError as error:
        raise UnavailableError(error.what, where="second_password") from error
    if roles and found.role not in roles:
        raise ForbiddenError(f"only for {', '.join(roles)}", where="second")
    return found.name
