"""People, their rights, and API tokens: for administrators."""

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute

from hub.access import PersonDraft
from web import schemas, shaping
from web.guards import Administrator, Overseeing, TheHub, roles_of

router = APIRouter(tags=["people"])


@router.get("/people", summary="List people")
async def list_people(caller: Overseeing, hub: TheHub) -> schemas.PeopleAnswer:
    """Give all people; supervisors need them to name inspectors."""
    return schemas.PeopleAnswer(people=[shaping.person(found) for found in await hub.access.people()])


@router.get("/people/rights", summary="List what each role may do")
async def list_rights(request: Request, caller: Overseeing) -> schemas.RightsAnswer:
    """Give every act of the interface with the roles that may ask for it, as the routes themselves name them."""
    routes: tuple[APIRoute, ...] = request.app.state.routes
    found = [
        schemas.RightShape(group=str(route.tags[0]), act=route.summary or route.name, method=method, path=route.path, roles=list(roles))
        for route in routes
        if (roles := roles_of(route)) is not None
        for method in sorted(route.methods or ())
    ]
    return schemas.RightsAnswer(rights=found)


@router.post("/people", status_code=201, summary="Add a person")
async def add(ask: schemas.PersonAsk, caller: Administrator, hub: TheHub) -> schemas.PersonAnswer:
    """Add a person; a generated password is given this once."""
    draft = PersonDraft(ask.name, ask.role, ask.display, ask.password, ask.party)
    return shaping.person(*await hub.access.add(draft, caller.person))


@router.patch("/people/{name}", summary="Change a person")
async def change(name: str, ask: schemas.PersonChange, caller: Administrator, hub: TheHub) -> schemas.PersonAnswer:
    """Change role and party, name or state, or give a fresh password; their sessions end where it matters."""
    person = await hub.access.change(name, caller.person, role=ask.role, party=ask.party, display=ask.display, disabled=ask.disabled)
    password = await hub.access.set_password(name, caller.person) if ask.new_password else None
    return shaping.person(person, password)


@router.get("/tokens", summary="List API tokens")
async def list_tokens(caller: Administrator, hub: TheHub) -> schemas.ApiTokensAnswer:
    """Give the API tokens that hold, without their secrets."""
    return schemas.ApiTokensAnswer(tokens=[shaping.api_token(found) for found in await hub.access.tokens()])


@router.post("/tokens", status_code=201, summary="Make an API token")
async def make_token(ask: schemas.ApiTokenAsk, caller: Administrator, hub: TheHub) -> schemas.ApiTokenAnswer:
    """Make a token that acts for a person; it is shown this once."""
    return shaping.api_token(await hub.access.make_token(ask.person, ask.label, ask.days, caller.person))


@router.delete("/tokens/{token}", status_code=204, summary="Revoke an API token")
async def revoke_token(token: str, caller: Administrator, hub: TheHub) -> None:
    """End an API token at once."""
    await hub.access.revoke_token(token, caller.person)
