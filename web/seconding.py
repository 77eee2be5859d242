"""Have a second person vouch for what two persons do at one desk: by their own name and password, never by a name alone."""

from fastapi import Request

from hub.app import Hub
from protocol.errors import ForbiddenError, MalformedError, UnavailableError
from protocol.identifiers import PersonId
from web.guards import Caller, address_of


async def second_person(request: Request, hub: Hub, caller: Caller, second: str, password: str) -> PersonId:
    """Give the second person's name; raise MalformedError for the caller's own, ForbiddenError when name or password is wrong."""
    if second == caller.person:
        raise MalformedError("the second person must be another", where="second")
    try:
        return (await hub.access.vouch(second, password, address_of(request))).name
    except ForbiddenError as error:  # the asker's own login stands: it is another's password that is wrong
        raise ForbiddenError("the second person's name or password is wrong", where="second_password") from error
    except UnavailableError as error:
        raise UnavailableError(error.what, where="second_password") from error
