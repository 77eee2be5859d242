"""What is held open under a login ends with it: event streams, live views, playbacks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from hub.config import LiveSettings
from hub.founding import open_house
from hub.tasks import TaskDraft
from storage.keys import create_ed25519
from tests.hub_parts import BOX, TestBox, enrol
from tests.web_parts import Face, open_face
from tests.webrtc_parts import DecodingViewer, until

API = "/api/v1"
SDP = {"content-type": "application/sdp"}
SOON_S = 30  # the look of 2 s, and a slow machine


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path, live=LiveSettings(hosts=("127.0.0.1",), start_seconds=60)) as opened:
        await enrol(opened.hub, TestBox())
        yield opened


async def follow(face: Face, client: httpx.AsyncClient) -> asyncio.Task[httpx.Response]:
    """Open an event stream; its answer is complete when the hub ends it."""
    before = list(face.hub.events.listeners)  # one of them may end meanwhile
    task = asyncio.create_task(client.get(f"{API}/events"))
    await until(lambda: any(all(one is not old for old in before) for one in face.hub.events.listeners), "the stream is open")
    return task


async def watch(client: httpx.AsyncClient) -> tuple[DecodingViewer, str]:
    viewer = DecodingViewer()
    await viewer.connection.setLocalDescription(await viewer.connection.createOffer())
    offer = viewer.connection.localDescription.sdp
    answer = await client.post(f"{API}/streams/{BOX}/cam-1/whep", content=offer, headers=SDP)
    assert answer.status_code == 201, answer.text
    return viewer, answer.headers["location"].rsplit("/", 1)[1]


Loss = Callable[[Face, httpx.AsyncClient], Awaitable[object]]
LOSSES: dict[str, Loss] = {
    "another role": lambda face, _: face.hub.access.change("chen.min", "admin", role="inspector"),
    "disabled": lambda face, _: face.hub.access.change("chen.min", "admin", disabled=True),
    "a new password": lambda face, _: face.hub.access.set_password("chen.min", "admin"),
    "logged out": lambda _, client: client.delete(f"{API}/session"),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_all_that_is_open_ends_when_a_login_or_role_ends(face: Face, loss: str) -> None:
    leaving, staying = await face.login("chen.min"), await face.login("zhou.jun")
    await face.hub.tasks.open(TaskDraft(task="T-1", title="x"), "chen.min")
    ended, kept = await follow(face, leaving), await follow(face, staying)
    viewer, view = await watch(leaving)
    other, other_view = await watch(staying)
    played = (await leaving.post(f"{API}/tasks/T-1/playbacks")).json()["view"]
    before = face.hub.log.published_size()
    try:
        await LOSSES[loss](face, leaving)
        async with asyncio.timeout(SOON_S):
            assert (await ended).status_code == 200
        await until(lambda: face.hub.views.viewer(view) is None, "the live view has ended")
        await until(lambda: face.hub.views.viewer(played) is None, "the playback has ended")
        assert not kept.done()
        assert face.hub.views.viewer(other_view) == "zhou.jun"
    finally:
        face.app.state.closing.set()
        await kept
        await viewer.connection.close()
        await other.connection.close()
    await until(lambda: face.hub.log.published_size() >= before + 3, "the change and two ends are on record")
    ends = [body for body in await face.records("view") if body.state == "ended" and body.view == view]
    assert [body.detail for body in ends] == ["the viewer's login or role ended"]


async def test_a_token_that_is_revoked_ends_what_it_opened(face: Face) -> None:
    stream = await follow(face, await face.bearer("chen.min"))
    (token,) = await face.hub.access.tokens()
    await face.hub.access.revoke_token(token.id, "admin")
    async with asyncio.timeout(SOON_S):
        assert (await stream).status_code == 200


async def test_a_change_by_the_command_line_reaches_the_hub_that_serves(face: Face) -> None:
    settings = face.hub.core.settings
    settings.keys.mkdir(exist_ok=True)
    create_ed25519(settings.keys / "log.key")  # another than the one that serves: it only stages
    stream = await follow(face, await face.login("chen.min"))
    async with open_house(settings) as house:
        await house.access.change("chen.min", "hub:hub-1", disabled=True)
    async with asyncio.timeout(SOON_S):
        assert (await stream).status_code == 200


async def test_what_stays_is_left_alone_and_what_ended_is_forgotten(face: Face) -> None:
    client = await face.login("chen.min")
    viewer, view = await watch(client)
    assert len(face.app.state.presence._guests) == 1
    await face.hub.access.change("chen.min", "admin", display="Chen Min")
    await face.hub.access.set_password("zhou.jun", "admin")
    await face.hub.live.end(view)
    await until(lambda: not face.app.state.presence._guests, "the view is forgotten")
    await viewer.connection.close()
