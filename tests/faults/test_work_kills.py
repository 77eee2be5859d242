"""A hub is killed while it takes signed acts: what it answered is in the log at the place it said, and no act is there twice."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hub.app import open_hub
from hub.check import check_hub
from storage.clock import SystemClock
from storage.keys import create_ed25519, load_ed25519
from tests.fieldwork_parts import BAY, ground, lead_and_assistant, settings

ROOT = Path(__file__).parent.parent.parent
ACTS = 6


def run(state: Path, point: str, count: int) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "tests.work_child", str(state), point, str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode, [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("point", ["before the log's commit", "before publication"])
async def test_no_act_is_lost_and_none_is_twice(tmp_path: Path, point: str) -> None:
    (tmp_path / "keys").mkdir()
    async with ground(settings(tmp_path), create_ed25519(tmp_path / "keys" / "log.key")) as site:
        task = (await site.hub.dispatch.dispatch(site.number, BAY, "chen.min")).task
        lead = await site.phone((await lead_and_assistant(site))[0])
        sha256 = await lead.sha256(task)
        acts = [lead.phone.act(task, sha256, "note", {"text": f"note {number}"}) for number in range(ACTS)]
    told = {"task": task, "by": lead.person, "acts": [one.body() for one in acts]}
    (tmp_path / "acts.json").write_text(json.dumps(told))
    code, before = run(tmp_path, point, 3)
    assert code == -signal.SIGKILL and len(before) < ACTS
    code, after = run(tmp_path, "never", 0)
    assert code == 0 and [one["id"] for one in after] == [one.id for one in acts]
    places = {one["id"]: one["position"] for one in after}
    assert all(places[one["id"]] == one["position"] for one in before)
    async with open_hub(settings(tmp_path), SystemClock(), load_ed25519(tmp_path / "keys" / "log.key")) as hub:
        shown = await hub.fieldwork.acts.list(task)
        assert [one.id for one in shown] == [one.id for one in acts] and not any(one.chain for one in shown)
    assert (await check_hub(settings(tmp_path))).problems == ()
