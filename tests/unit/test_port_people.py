"""Simulated people: tasks are the same by seed, container numbers obey ISO 6346, answers become the errors they name."""

import json
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ForbiddenError, MalformedError, PortwitnessError, RefusedError, UnavailableError
from protocol.instants import Instant
from simulators.__main__ import main
from simulators.people.api import HubApi, hub_api, refusal
from simulators.people.containers import check_digit, container_number, is_container_number
from simulators.people.diary import Diary
from simulators.people.tasks import TaskPlan, TaskSource


class StoppedClock:
    def now(self) -> Instant:
        return Instant(17, 5)

    def monotonic_ns(self) -> int:
        return 5


def source(seed: int) -> TaskSource:
    plan = TaskPlan("bay-1", ("box-1/cam-1",), ("li.wei", "wang.fang"))
    return TaskSource(HubApi(httpx.AsyncClient()), plan, Diary(StoppedClock(), "tasks"), seed)


def test_the_standards_own_example_holds() -> None:
    assert check_digit("CSQU305438") == 3  # ISO 6346 annex A
    assert is_container_number("CSQU3054383")
    assert not is_container_number("CSQU3054384")


@given(st.randoms(use_true_random=False), st.integers(0, 9), st.integers(1, 9))
def test_one_wrong_digit_is_seen(draw: object, place: int, step: int) -> None:
    number = container_number(draw)  # type: ignore[arg-type]
    assert is_container_number(number)
    at = 4 + place % 7
    wrong = number[:at] + str((int(number[at]) + step) % 10) + number[at + 1 :]
    # a remainder of 10 also writes 0: the one slip that the standard's digit cannot see
    assert not is_container_number(wrong) or number[10] == "0"


def test_same_seed_same_tasks() -> None:
    one, other = source(7), source(7)
    first = [one.next_task() for _ in range(5)]
    assert first == [other.next_task() for _ in range(5)]
    assert first[0] != source(8).next_task()
    assert len({task["task"] for task in first}) == 5
    assert all(is_container_number(task["facts"]["container"]) for task in first)


def test_a_bad_camera_is_named() -> None:
    with pytest.raises(MalformedError, match="stream id"):
        TaskPlan("bay-1", ("cam-1",), ())


@pytest.mark.parametrize(
    ("status", "body", "family", "words"),
    [
        (403, {"error": {"kind": "forbidden", "what": "not yours", "where": "task"}}, ForbiddenError, "not yours"),
        (400, {"error": {"kind": "malformed", "what": "no bay", "where": "bay"}}, MalformedError, "no bay"),
        (503, {"error": {"kind": "unavailable", "what": "later", "where": ""}}, UnavailableError, "later"),
        (500, "<html>", UnavailableError, "500"),
        (404, ["x"], RefusedError, "404"),
    ],
)
def test_answers_become_the_errors_they_name(status: int, body: object, family: type[PortwitnessError], words: str) -> None:
    request = httpx.Request("POST", "http://hub/api/v1/tasks")
    content = body if isinstance(body, str) else json.dumps(body)
    error = refusal(httpx.Response(status, content=content, request=request))
    assert type(error) is family
    assert words in str(error)
    assert "/api/v1/tasks" in error.where


async def test_a_hub_that_is_away_is_named() -> None:
    async with hub_api("http://127.0.0.1:9") as api:
        with pytest.raises(UnavailableError, match="GET /tasks"):
            await api.call("GET", "/tasks")


def test_the_diary_is_one_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a" / "diary.jsonl"
    with Diary(StoppedClock(), "li.wei", path) as diary:
        diary.note("took", task="T-1")
        assert json.loads(path.read_text()) == {"wall_ns": 17, "who": "li.wei", "act": "took", "task": "T-1"}


@pytest.mark.parametrize("command", ["tasks", "inspector"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"portwitness-sim {command} --hub" in capsys.readouterr().out


def test_a_failure_is_one_line_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--hub", "http://127.0.0.1:9", "--bay", "bay-1"]) == 1
    assert capsys.readouterr().err.startswith("portwitness-sim tasks: ")
