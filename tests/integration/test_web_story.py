"""Stories, marks, instructions, second looks and the board over HTTP: who may see and do what, and what it looks like."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.inspection.states import State
from hub.tasks import TaskDraft
from tests.contracts.test_draws import TWO, drawn, inspectors, policy_for, screen
from tests.contracts.test_stories import film
from tests.web_parts import Face, open_face
from web.schemas import TimelineAnswer

API = "/api/v1"
TASK = "T-1"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[Face]:
    async with open_face(tmp_path) as opened:
        yield opened


async def dispatched(face: Face) -> str:
    hub = face.hub
    await inspectors(hub)
    await hub.draws.set_policy(await policy_for(hub), *TWO)
    number = (await screen(hub, 1, "red"))[0]
    await drawn(hub)
    await hub.declarations.step(number, State.HELD, {}, rule="hold/1")
    await hub.tasks.open(TaskDraft(task=TASK, title="durians", inspectors=("li.wei",), facts=(("declaration", number),)), "chen.min")
    await hub.declarations.step(number, State.DISPATCHED, {"task": TASK}, by="chen.min")
    return number


async def test_a_story_is_told_to_those_it_concerns(face: Face) -> None:
    number = await dispatched(face)
    chief, own, other = await face.login("chen.min"), await face.login("li.wei"), await face.login("wang.fang")
    story = (await chief.get(f"{API}/tasks/{TASK}/story")).json()
    assert story["declaration"] == number and story["is_now"] and story["standing"]["state"] == "dispatched"
    opened = next(entry for entry in story["entries"] if entry["kind"] == "task")
    assert opened["who"] == "chen.min" and story["names"]["chen.min"] == "Chen.Min"
    place = opened["record"]
    record = (await chief.get(f"{API}/records/{place['issuer']}/{place['epoch']}/{place['position']}")).json()
    assert record["kind"] == "task" and record["log_index"] == opened["log_index"]
    assert (await chief.get(f"{API}/log/leaf/{opened['log_index']}")).json() == place
    lodged = story["entries"][0]
    early = (await chief.get(f"{API}/declarations/{number}/story", params={"as_of_ms": lodged["from_ms"] + 0.001})).json()
    assert early["standing"]["state"] == "lodged" and len(early["entries"]) == 1 and not early["is_now"]
    assert (await own.get(f"{API}/tasks/{TASK}/story")).status_code == 200
    assert (await own.get(f"{API}/declarations/{number}/story")).status_code == 200
    assert (await other.get(f"{API}/tasks/{TASK}/story")).status_code == 403
    assert (await other.get(f"{API}/declarations/{number}/story")).status_code == 403
    assert (await chief.get(f"{API}/declarations/D-none/story")).status_code == 404


async def test_what_is_written_past_the_models_reads_as_they_say(face: Face) -> None:
    await film(face.hub)
    chief = await face.login("chen.min")
    for detail, what in (("pieces", "segments"), ("spans", "spans")):
        answer = await chief.get(f"{API}/tasks/{TASK}/timeline", params={"detail": detail})
        read = TimelineAnswer.model_validate_json(answer.content)
        assert read.detail == detail and getattr(read.lanes[0], what)
        assert json.loads(read.model_dump_json()) == answer.json()


async def test_marks_and_instructions_go_to_the_site_and_back(face: Face) -> None:
    await dispatched(face)
    chief, own, other = await face.login("chen.min"), await face.login("li.wei"), await face.login("wang.fang")
    marked = await chief.post(f"{API}/tasks/{TASK}/annotations", json={"from_ms": 1000, "to_ms": 2000, "text": "seal"})
    assert marked.status_code == 201
    assert (await own.post(f"{API}/tasks/{TASK}/annotations", json={"from_ms": 1, "to_ms": 2, "text": "x"})).status_code == 403
    told = (await chief.post(f"{API}/tasks/{TASK}/instructions", json={"text": "open the second box"})).json()["position"]
    assert (await other.get(f"{API}/tasks/{TASK}/instructions")).status_code == 403
    read = await own.post(f"{API}/tasks/{TASK}/instructions/{told}/acknowledge")
    assert read.status_code == 201
    shown = (await own.get(f"{API}/tasks/{TASK}/instructions")).json()["instructions"]
    assert [(one["text"], one["by"], one["read_by"]) for one in shown] == [("open the second box", "chen.min", "li.wei")]
    entries = (await chief.get(f"{API}/tasks/{TASK}/story")).json()["entries"]
    assert [(entry["kind"], entry["act"]) for entry in entries if entry["lane"] == "supervision"] == [
        ("annotation", ""),
        ("instruction", "given"),
        ("instruction", "acknowledged"),
    ]


async def test_the_board_puts_each_inspection_where_its_next_step_is(face: Face) -> None:
    number = await dispatched(face)
    await face.hub.tasks.open(TaskDraft(task="T-2", title="patrol", inspectors=("wang.fang",)), "chen.min")
    await face.hub.alarms.ring("evidence missing", TASK, "x")
    chief, own = await face.login("chen.min"), await face.login("li.wei")
    board = (await chief.get(f"{API}/board")).json()
    assert board["columns"] == ["dispatch", "position", "work", "laboratory", "evaluate", "release", "done"]
    cards = {card["task"]: card for card in board["cards"]}
    assert (cards[TASK]["column"], cards[TASK]["declaration"], cards[TASK]["alarms"]) == ("position", number, 1)
    assert (cards["T-2"]["column"], cards["T-2"]["people"]) == ("work", ["wang.fang"])
    assert [card["task"] for card in (await own.get(f"{API}/board")).json()["cards"]] == [TASK]
