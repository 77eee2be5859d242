"""Log in, tell who is logged in, log out."""

from fastapi import APIRouter, Request, Response

from hub.access import Session
from hub.app import Hub
from web import schemas, shaping
from web.guards import TheHub, address_of, cookies_of, session_of

router = APIRouter(prefix="/session", tags=["session"])


@router.post("", summary="Log in")
async def log_in(ask: schemas.LoginAsk, request: Request, response: Response, hub: TheHub) -> schemas.SessionAnswer:
    """Begin a session by cookie. Wrong passwords are slowed and then locked, per name and per address."""
    session = await hub.access.log_in(ask.name, ask.password, address_of(request))
    cookies = cookies_of(request)
    response.set_cookie(cookies.session, session.token, httponly=True, secure=cookies.secure, samesite="strict", path="/")
    response.set_cookie(cookies.csrf, session.csrf, httponly=False, secure=cookies.secure, samesite="strict", path="/")
    return _shape(session, hub)


@router.get("", summary="Who is logged in")
async def who(request: Request, hub: TheHub) -> schemas.SessionAnswer:
    """Give the running session."""
    return _shape(await session_of(request), hub)


@router.delete("", status_code=204, summary="Log out")
async def log_out(request: Request, response: Response, hub: TheHub) -> None:
    """End the session and the playbacks that hang on it."""
    session = await session_of(request)
    cookies = cookies_of(request)
    await request.app.state.watching.leave(session.person.name)
    await hub.access.log_out(request.cookies[cookies.session])
    response.delete_cookie(cookies.session, path="/", secure=cookies.secure, httponly=True, samesite="strict")
    response.delete_cookie(cookies.csrf, path="/", secure=cookies.secure, samesite="strict")


def _shape(session: Session, hub: Hub) -> schemas.SessionAnswer:
    person = session.person
    return schemas.SessionAnswer(
        person=person.name,
        name=person.display,
        role=person.role,
        csrf=session.csrf,
        expires_ms=shaping.ms(session.expires_ns),
        party=person.party,
        time_zone=hub.core.settings.port.time_zone,
    )
