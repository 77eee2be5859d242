"""What the API tells people when something is refused, unknown or over: in their language, at once, without breaking their session."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.tasks import TaskDraft
from protocol.instants import SECOND_NS
from protocol.messages import BoxReport, Pair
from tests.contracts.test_hub_tasks import follow
from tests.hub_parts import BOX, TestBox, enrol, mail, send
from tests.web_parts import Face, open_face, password_of

API = "/api/v1"
TASK = "T-1"
RAW = re.compile(r"[\[\]\\^]|\{\d|expected |String should|Input should")  # patterns and the words of a library
LATIN = re.compile(r"[A-Za-z]{3,}")


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


async def boxed(face: Face) -> TestBox:
    """Give an enrolled box that records a camera of an open task."""
    box = TestBox()
    await enrol(face.hub, box)
    box.wall_ns = face.clock.now().wall_ns
    draft = TaskDraft(task=TASK, title="kiwifruit", cameras=("box-1/cam-1",), inspectors=("li.wei",), facts=(("goods", "tea"),))
    await face.hub.tasks.open(draft, "chen.min")
    box.boot()
    box.recording()
    box.segment(seconds=10)
    await send(face.hub, box)
    return box


def report(unsent: int = 0, online: bool = True) -> BoxReport:
    numbers: dict[str, Any] = dict.fromkeys(("wall_ns", "mono_ns", "unsent_blobs", "unsent_bytes", "unreceipted"), 0)
    rest: dict[str, Any] = {"sync": "synced", "software": "0", "transport": "https", "disk": "ok", "sources": (), "free_bytes": 1}
    return BoxReport(BOX, 1, **numbers, **rest, journal_size=1, unsent_records=unsent, online=online)


async def holes(client: httpx.AsyncClient) -> list[str]:
    (lane,) = (await client.get(f"{API}/tasks/{TASK}/timeline")).json()["lanes"]
    return [gap["state"] for gap in lane["gaps"]]


async def test_time_of_a_silent_box_is_unknown_until_it_has_sent_all(face: Face) -> None:
    await boxed(face)
    client = await face.login("chen.min")
    face.clock.pass_time(120)
    assert await holes(client) == ["unknown"]  # not heard since the hub's start
    await face.hub.ingest.accept(BOX, report(unsent=3))
    assert await holes(client) == ["unknown"]
    await face.hub.ingest.accept(BOX, report())
    assert await holes(client) == ["failed"]  # it has sent all, and nothing of it explains the time
    await face.hub.ingest.accept(BOX, report(online=False))
    assert await holes(client) == ["unknown"]


async def test_a_hole_before_what_is_here_stays_failed_whatever_the_box_owes(face: Face) -> None:
    box = await boxed(face)
    box.pass_time(5)
    first = len(box.written)
    box.segment(seconds=10)
    await send(face.hub, box, first)
    face.clock.pass_time(16)
    assert await holes(await face.login("chen.min")) == ["failed"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tasks", {"task": "not a task"}),
        ("/tasks", {"task": "T-2", "bay": "Bay/1"}),
        ("/tasks", {"task": "T-2", "cameras": ["cam"]}),
        ("/tasks", {"task": "T-2", "inspectors": ["Li Wei"]}),
        ("/tasks", {"task": ""}),
        ("/tasks", {"task": "x" * 65}),
        ("/tasks", {}),
        ("/tasks", {"task": TASK}),
        (f"/tasks/{TASK}/pairings", {"stream": "box-9/rec-1"}),
        (f"/tasks/{TASK}/exports", None),
        (f"/tasks/{TASK}/keeping", {"state": "nonsense", "reason": "x"}),
    ],
)
async def test_a_refusal_has_plain_words_in_both_languages(face: Face, path: str, body: Any) -> None:
    await boxed(face)
    client = await face.login("chen.min")
    english = (await client.post(f"{API}{path}", json=body)).json()["error"]
    assert not RAW.search(english["what"]), english
    chinese = (await client.post(f"{API}{path}", json=body, headers={"accept-language": "zh-CN"})).json()["error"]
    typed = str(list(body.values())) if body else ""
    rest = [word for word in LATIN.findall(chinese["what"]) if word not in typed and word not in ("box", "cam")]
    assert rest == [], chinese


async def test_an_error_names_what_it_is_about_and_keeps_codes_for_programs(face: Face) -> None:
    client = await face.login("chen.min")
    missing = (await client.get(f"{API}/tasks/T-77")).json()["error"]
    assert (missing["what"], missing["about"]) == ("is not known", "task T-77")
    chinese = (await client.get(f"{API}/tasks/T-77", headers={"accept-language": "zh-CN"})).json()["error"]
    assert (chinese["what"], chinese["about"]) == ("没有找到", "任务 T-77")
    for _ in range(3):
        await face.client().post(f"{API}/session", json={"name": "li.wei", "password": "wrong"})
    locked = (await face.client().post(f"{API}/session", json={"name": "li.wei", "password": "wrong"})).json()["error"]
    assert (locked["where"], locked["about"]) == ("login.locked", "")


async def test_a_locked_second_person_does_not_end_the_askers_session(face: Face) -> None:
    client = await face.login("chen.min")
    opened = (await client.post(f"{API}/tasks", json={"task": TASK})).json()
    ask = {"stream": "box-1/rec-1", "late_from_ms": opened["opened_ms"] - 1000, "reason": "forgot", "second": "zhou.jun"}
    states = [
        (await client.post(f"{API}/tasks/{TASK}/pairings", json=ask | {"second_password": "wrong password"})).status_code for _ in range(4)
    ]
    assert states == [403, 403, 403, 429]
    assert (await client.get(f"{API}/session")).status_code == 200


async def test_ending_a_view_again_changes_nothing(face: Face) -> None:
    client = await face.login("chen.min")
    for _ in range(2):
        assert (await client.delete(f"{API}/views/ended-long-ago")).status_code == 204


async def test_an_address_that_is_none_is_a_page_for_people_and_json_for_programs(face: Face) -> None:
    page = await face.client(accept="text/html,application/xhtml+xml").get("/nosuch")
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (404, "text/html")
    assert "<port-witness>" in page.text
    for path in (f"{API}/nosuch", "/static/nosuch.js"):
        answer = await face.client(accept="text/html").get(path)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "missing")
    assert (await face.client().get("/nosuch")).json()["error"]["kind"] == "missing"


async def test_a_task_names_its_people_and_its_pairings_end_with_it(face: Face) -> None:
    box = await boxed(face)
    client = await face.login("li.wei")
    await client.post(f"{API}/tasks/{TASK}/pairings", json={"stream": "box-1/rec-1"})
    (order,) = [message for message in await mail(face.hub, BOX, 1.0) if isinstance(message, Pair)]
    await follow(face.hub, box, order)
    boss = await face.login("chen.min")
    ended = (await boss.post(f"{API}/tasks/{TASK}/end")).json()
    assert ended["names"] == {"chen.min": "Chen.Min", "li.wei": "Li.Wei"}
    (bond,) = ended["paired"]
    assert bond["to_ms"] == max(ended["ended_ms"], bond["from_ms"])
    box.wall_ns = face.clock.now().wall_ns + 5 * SECOND_NS
    assert (await client.get(f"{API}/tasks/{TASK}")).json()["paired"][0]["to_ms"] == bond["to_ms"]


async def test_the_devices_page_never_shows_more_persisted_than_written(face: Face) -> None:
    await boxed(face)
    await face.hub.ingest.accept(BOX, report())  # written before the newest records came
    (device,) = (await (await face.login("chen.min")).get(f"{API}/devices")).json()["devices"]
    assert device["report"]["journal_size"] == device["persisted"] > 1


async def test_too_many_logins_at_once_are_no_ended_session(face: Face) -> None:
    face.hub.access._waiting["unknown"] = face.hub.access._waiting["127.0.0.1"] = 99
    try:
        answer = await face.client().post(f"{API}/session", json={"name": "li.wei", "password": password_of("li.wei")})
    finally:
        face.hub.access._waiting.clear()
    assert answer.status_code == 503
