"""People and task sources from the command line, alone, against a running hub: also pairing by the short code."""

import json
from pathlib import Path

import pytest

from simulators.port import Port, PortPlan
from simulators.programs import Outcome, program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_a_task_is_opened_paired_by_code_freed_and_ended(tmp_path: Path, port_footage: Path) -> None:
    plan = PortPlan(tmp_path / "port", "https", footage_folder=port_footage, boxes=1, cameras_per_box=1, size=(320, 240), kbit=300)
    async with Port(plan, say=print) as port:
        box = port.boxes[0]
        async with port.supervisor() as supervisor:
            await port.await_streams(supervisor)
            secrets = _files(tmp_path, {login.name: login.password for login in port.logins} | {"recorder": box.recorder_token})
            ledger = tmp_path / "acts.jsonl"
            tasks = await _simulate(
                port, "tasks", "--login", "chen.min", "--password-file", secrets["chen.min"], "--bay", "bay-1", "--cameras", "box-1/cam-1",
                "--inspectors", "li.wei", "--seed", "3", "--ledger", ledger, "--json",
            )  # fmt: skip
            task = json.loads(tasks.out)[0]["task"]
            common = ["--login", "li.wei", "--password-file", secrets["li.wei"], "--ledger", ledger, "--json"]
            by_code = ["--recorder", box.recorder, "--box-url", box.recorder_url, "--recorder-token-file", secrets["recorder"]]
            paired = await _simulate(port, "inspector", *common, *by_code)
            assert [act["act"] for act in json.loads(paired.out)] == ["logged in", "took", "paired"]
            assert json.loads(paired.out)[-1]["way"] == "code"
            await port.await_paired(supervisor, task, box.recorder)
            await supervisor.unpair(task, box.recorder)
            refused = await port.programs.outcome(_command(port, "inspector", *common, "--task", task, "--end"))
            assert refused.code == 1  # ending a task is the supervisor's
            assert "portwitness-sim inspector:" in refused.err
            await supervisor.end_task(task)
            acts = [json.loads(line)["act"] for line in ledger.read_text().splitlines()]
            assert acts == ["opened", "logged in", "took", "paired", "logged in", "took"]


def _files(folder: Path, secrets: dict[str, str]) -> dict[str, Path]:
    found = {}
    for name, secret in secrets.items():
        found[name] = folder / f"{name}.secret"
        found[name].write_text(secret + "\n")
    return found


def _command(port: Port, name: str, *arguments: object) -> list[str]:
    return program("simulators", name, "--hub", port.url, *arguments)


async def _simulate(port: Port, name: str, *arguments: object) -> Outcome:
    done = await port.programs.outcome(_command(port, name, *arguments))
    assert done.code == 0, done.err
    return done
