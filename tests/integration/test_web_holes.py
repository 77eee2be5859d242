"""What the face must not give away: whole records to strangers, other inspectors' tasks, guesses in a burst, the enrolment queue."""

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hub import enrolment
from hub.access import MOST_WAITING_OF_ADDRESS
from hub.tasks import TaskDraft
from protocol.certificates import Identity, make_request
from protocol.errors import ForbiddenError, PortwitnessError
from protocol.identifiers import BoxId
from protocol.records import read
from protocol.signatures import P256Signer
from protocol.tiles import decode_bundle
from tests.hub_parts import BOX, SITE, TestBox, enrol, send
from tests.web_parts import Face, open_face, password_of
from web.api_events import _Ear
from web.guards import Caller

API = "/api/v1"
THEIRS, OTHER = "T-theirs", "T-other"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


async def open_tasks(face: Face) -> TestBox:
    """Open one task of li.wei on cam-1 and one of wang.fang on cam-2; give a box with a segment of each."""
    for task, person, camera in ((THEIRS, "li.wei", "cam-1"), (OTHER, "wang.fang", "cam-2")):
        await face.hub.tasks.open(TaskDraft(task=task, title=task, cameras=(f"{BOX}/{camera}",), inspectors=(person,)), "chen.min")
    box = TestBox(wall_ns=face.clock.now().wall_ns)
    await enrol(face.hub, box)
    box.boot()
    box.recording("cam-1")
    box.recording("cam-2")
    box.segment("cam-1")
    box.segment("cam-2")
    box.gap("cam-1")
    box.gap("cam-2")
    await send(face.hub, box)
    return box


async def test_strangers_get_hashes_and_no_records(face: Face) -> None:
    await open_tasks(face)
    stranger, inspector = face.client(), await face.login("li.wei")
    size = int((await stranger.get(f"{API}/log/checkpoint")).text.split("\n")[1])
    assert (await stranger.get(f"{API}/log/tile/0/000.p/{size}")).status_code == 200
    bundle = f"{API}/log/tile/entries/000.p/{size}"
    assert (await stranger.get(bundle)).status_code == 401
    assert (await inspector.get(bundle)).status_code == 403
    assert (await stranger.get(bundle.replace("entries/", "entries%2F"))).status_code == 401
    for name in ("chen.min", "admin"):
        answer = await (await face.login(name)).get(bundle)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["cache-control"]
        assert THEIRS in [read(data).record.subject for data in decode_bundle(answer.content)]


async def test_an_inspector_opens_records_of_their_tasks_alone(face: Face) -> None:
    box = await open_tasks(face)
    inspector = await face.login("li.wei")
    seen: dict[str, int] = {}
    for signed in box.written:
        place = f"{API}/records/{signed.record.issuer}/{signed.record.epoch}/{signed.record.position}"
        seen[f"{signed.record.body.KIND} {signed.record.subject}"] = (await inspector.get(place)).status_code
        assert (await (await face.bearer("chen.min")).get(place)).status_code == 200
    allowed = {name for name, status in seen.items() if status == 200}
    assert allowed == {f"segment {BOX}/cam-1", f"gap {BOX}/cam-1"}
    assert set(seen.values()) == {200, 403}
    size = int((await inspector.get(f"{API}/log/checkpoint")).text.split("\n")[1])
    answers = [await inspector.get(f"{API}/records/hub:hub-1/0/{index}") for index in range(size)]
    assert [answer.json()["subject"] for answer in answers if answer.status_code == 200] == [THEIRS]


async def test_a_piece_outside_the_task_is_not_theirs(face: Face) -> None:
    box = TestBox(wall_ns=face.clock.now().wall_ns - 3600 * 10**9)
    await enrol(face.hub, box)
    box.boot()
    box.recording("cam-1")
    early = box.segment("cam-1")[0].record
    await send(face.hub, box)
    await face.hub.tasks.open(TaskDraft(task=THEIRS, title="x", cameras=(f"{BOX}/cam-1",), inspectors=("li.wei",)), "chen.min")
    inspector = await face.login("li.wei")
    assert (await inspector.get(f"{API}/records/{early.issuer}/{early.epoch}/{early.position}")).status_code == 403


async def test_an_inspector_hears_of_their_tasks_alone(face: Face) -> None:
    await open_tasks(face)
    people = {str(person.name): person for person in await face.hub.access.people()}
    inspector = _Ear(face.hub, Caller(people["li.wei"].name, "inspector", "session"))
    supervisor = _Ear(face.hub, Caller(people["chen.min"].name, "supervisor", "session"))
    mine, other = f"{BOX}/cam-1", f"{BOX}/cam-2"
    hidden = (
        {"event": "pairing", "task": OTHER, "stream": other, "state": "paired"},
        {"event": "task", "task": OTHER, "state": "ended"},
        {"event": "pairing", "task": "T-nobodys", "stream": mine, "state": "paired"},
        {"event": "lanes", "box": str(BOX), "streams": [other]},
        {"event": "stored", "box": "box-2", "sha256": "00"},
        {"event": "device", "box": str(BOX), "online": True},
        {"event": "alarm acknowledged", "id": 1, "by": "admin"},
    )
    for change in hidden:
        assert await inspector.hear(dict(change)) is None, change
        assert await supervisor.hear(dict(change)) == change
    own: dict[str, object] = {"event": "pairing", "task": THEIRS, "stream": mine, "state": "paired"}
    assert await inspector.hear(own) == own
    lanes = await inspector.hear({"event": "lanes", "box": str(BOX), "streams": [mine, other]})
    assert lanes == {"event": "lanes", "box": str(BOX), "streams": [mine]}
    assert await inspector.hear({"event": "checkpoint", "size": 9, "boxes": [str(BOX), "box-2"]}) == {
        "event": "checkpoint", "size": 9, "boxes": [str(BOX)],
    }  # fmt: skip


async def test_a_burst_of_guesses_gets_no_more_than_the_limit(face: Face) -> None:
    async def guess(password: str) -> str:
        try:
            await face.hub.access.log_in("li.wei", password, "203.0.113.6")
        except PortwitnessError as error:
            return type(error).__name__
        return "in"

    tries = [guess(f"wrong password {number}") for number in range(10)]
    got = Counter(await asyncio.gather(*tries, guess(password_of("li.wei"))))
    assert got["in"] == 0
    assert got["ForbiddenError"] == 3  # two are free, the third makes the next wait
    assert got["RefusedError"] == 8


async def test_only_so_many_logins_wait_and_others_pass(face: Face) -> None:
    async def enter(address: str) -> str:
        try:
            return (await face.hub.access.log_in("wang.fang", password_of("wang.fang"), address)).person.name
        except PortwitnessError as error:
            return type(error).__name__

    got = Counter(await asyncio.gather(*(enter("203.0.113.6") for _ in range(40)), enter("203.0.113.7")))
    assert got["UnavailableError"] > 0
    assert got["wang.fang"] >= MOST_WAITING_OF_ADDRESS + 1
    assert await enter("203.0.113.6") == "wang.fang"  # nothing is left behind in the queue


def csr(box: str) -> str:
    key = P256Signer.of(ec.generate_private_key(ec.SECP256R1()))
    return base64.b64encode(make_request(key, Identity(SITE, BoxId(box)))).decode()


async def test_one_box_cannot_fill_the_enrolment_queue(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enrolment, "MAX_WAITING", 2)
    hub = face.hub
    first, again = csr("box-1"), csr("box-1")
    name = await hub.enrolment.renew("box-1", first)
    assert await hub.enrolment.renew("box-1", first) == name
    newer = await hub.enrolment.renew("box-1", again)
    assert (await hub.enrolment.renewed(newer, "box-1")).state == "waiting"
    with pytest.raises(ForbiddenError):
        await hub.enrolment.renewed(name, "box-1")
    others = [await hub.enrolment.renew(box, csr(box)) for box in ("box-2", "box-3", "box-4")]
    assert {one.request.request for one in await hub.enrolment.list("waiting")} == {newer, *others}
    token = await hub.enrolment.make_token("box-9", "admin")
    assert await hub.enrolment.ask(token.token, "box-9", csr("box-9"), csr("box-9"))


async def test_a_revoked_box_has_nothing_left_to_wait_for(face: Face) -> None:
    enrolment, box = face.hub.enrolment, TestBox()
    await enrol(face.hub, box)
    asked = await enrolment.make_token(BOX, "admin")
    unspent = await enrolment.make_token(BOX, "admin")
    again = await enrolment.ask(asked.token, BOX, csr(BOX), csr(BOX))
    renewal = await enrolment.renew(BOX, csr(BOX))
    other = await enrolment.renew("box-2", csr("box-2"))
    assert await enrolment.revoke(BOX, "stolen", "admin") == 1
    for answer in (await enrolment.answer(again, asked.token), await enrolment.renewed(renewal, BOX)):
        assert (answer.state, answer.reason) == ("refused", "the box was revoked")
    assert [one.request.request for one in await enrolment.list("waiting")] == [other]
    with pytest.raises(ForbiddenError, match="has ended"):
        await enrolment.ask(unspent.token, BOX, csr(BOX), csr(BOX))
    fresh = await enrolment.make_token(BOX, "admin")  # an administrator may take it back
    assert await enrolment.ask(fresh.token, BOX, csr(BOX), csr(BOX))
