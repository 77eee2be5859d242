"""A hub with a time authority: a task's end brings a token into the log, the bundle carries it, and everybody's tools agree."""

import asyncio
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.app import Hub
from hub.check import check_hub
from hub.config import TimeAuthoritySettings
from hub.history import kept_checkpoints
from hub.tasks import TaskDraft
from protocol import kinds, timestamps
from protocol.certificates import encode_pem
from protocol.instants import SECOND_NS
from protocol.notes import Checkpoint, NoteKey, SignedCheckpoint
from protocol.records import Seen, read
from protocol.trust import Trust
from simulators.partners.time_authority import TimeAuthority
from storage.clock import SystemClock
from storage.keys import create_ed25519
from storage.verify import report_json, verify
from tests.hub_parts import BOX, SITE, SiteCa, TestBox, chunks, enrol, running_hub, send, settings_for

TASK = "T-20261123-0001"
CAMERA = "box-1/cam-1"
DEADLINE_S = 60.0


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until something holds; fail after a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not (found := await holds()):  # noqa: ASYNC110 - the hub's turn
            await asyncio.sleep(0.05)
    return found


@pytest.fixture
async def authority(tmp_path: Path) -> AsyncIterator[TimeAuthority]:
    async with TimeAuthority(tmp_path / "tsa") as made:
        yield made


@pytest.fixture
async def hub(tmp_path: Path, authority: TimeAuthority) -> AsyncIterator[Hub]:
    (tmp_path / "keys").mkdir()
    settings = replace(
        settings_for(tmp_path, ""), time_authority=TimeAuthoritySettings(urls=(authority.url,), anchors=authority.root, timeout_seconds=5)
    )
    async with running_hub(settings, create_ed25519(tmp_path / "keys" / "log.key")) as running:
        yield running


async def tokens(hub: Hub) -> list[tuple[int, kinds.TimeToken]]:
    size = hub.log.published_size()
    found = [read(await hub.log.leaf(index)).record for index in range(size)]
    return [(record.position, record.body) for record in found if isinstance(record.body, kinds.TimeToken)]


async def record_a_task(hub: Hub, site: SiteCa) -> TestBox:
    """Let a box record a task in real time, name checkpoints, and seal behind the task's end."""
    box = TestBox(wall_ns=SystemClock().now().wall_ns)
    await enrol(hub, box, site)
    box.boot()
    box.recording()
    await record(hub, box, 0)
    await hub.tasks.open(TaskDraft(task=TASK, title="Container 1", bay="bay-1", cameras=(CAMERA,), inspectors=("li",)), "chen")
    await record(hub, box, 1)
    await hub.tasks.end(TASK, "chen")
    await record(hub, box, 2)
    return box


async def record(hub: Hub, box: TestBox, number: int) -> None:
    """Record one second, which passes; name the newest checkpoint, and seal."""
    await asyncio.sleep(1.0)
    first = len(box.written) if number else 0
    _, data = box.segment(seconds=1)
    head = SignedCheckpoint.parse(await hub.log.checkpoint()).checkpoint
    box.take(box.make(kinds.Heartbeat(()), str(BOX), seen=Seen(head.size, head.root)))
    box.seal("task" if number == 2 else "interval")
    await send(hub, box, first)
    await hub.blobs.put(BOX, hashlib.sha256(data).digest(), len(data), chunks(data))


async def test_a_task_ends_with_a_token_that_everybody_reads(hub: Hub, authority: TimeAuthority, tmp_path: Path) -> None:
    site = SiteCa()
    (tmp_path / "keys" / "site.pem").write_bytes(encode_pem((site.ca, site.root)))
    await record_a_task(hub, site)
    seal = await until(lambda: _sealed(hub))
    token = await until(lambda: _token_over(hub, seal))
    await until(lambda: _kept(hub, seal))
    folder = await hub.export.make(TASK, "chen")
    anchors = timestamps.parse_anchors(authority.root.read_bytes())
    trust = Trust(SITE, hub.core.hub_id, site.root.fingerprint, NoteKey.parse(hub.log.vkey), time_authorities=anchors)
    report = verify(folder, Trust.parse(trust.encode()))
    assert report.faults == ()
    shown = json.loads(json.dumps(report_json(report)))["segments"]
    assert shown
    for one in report.segments:
        assert one.start.width is not None
        assert one.start.width <= 3 * SECOND_NS
        assert one.start.is_inside
        assert one.end.is_inside
    assert not any("time-stamps of" in text for text in report.unchecked)
    stamp = timestamps.verify(token.token, _text(hub, token), anchors)
    assert abs(stamp.time_ns - SystemClock().now().wall_ns) < 60 * SECOND_NS
    (tmp_path / "checkpoint.txt").write_bytes(_text(hub, token))
    (tmp_path / "token.tsr").write_bytes(timestamps.as_response(token.token))
    command = ["openssl", "ts", "-verify", "-data", "checkpoint.txt", "-in", "token.tsr", "-CAfile", str(authority.root)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stranger = verify(folder, replace(trust, time_authorities=()))
    assert any("time-stamps of" in text for text in stranger.unchecked)
    assert stranger.valid
    answer = await check_hub(hub.core.settings)
    assert answer.problems == ()


async def test_what_an_authority_does_wrong_rings_and_holds_up_nothing(hub: Hub, authority: TimeAuthority) -> None:
    authority.mood = "other bytes"
    await hub.tasks.open(TaskDraft(task=TASK, title="Container 1"), "chen")
    await hub.tasks.end(TASK, "chen")
    alarm = await until(lambda: _alarm(hub, "imprint"))
    assert alarm.kind == "time authority"
    assert await tokens(hub) == []
    authority.mood = "honest"
    found = await until(lambda: tokens(hub))  # asked again by itself
    assert found[0][1].authority == authority.url


def _text(hub: Hub, token: kinds.TimeToken) -> bytes:
    return timestamps.stamped_bytes(Checkpoint(hub.log.origin, token.size, token.root))


async def _alarm(hub: Hub, text: str) -> Any:
    return next((one for one in await hub.alarms.list() if text in one.detail), None)


async def _kept(hub: Hub, index: int) -> bool:
    """Tell whether a checkpoint that covers a leaf is kept."""
    return bool(await hub.core.database.read(lambda connection: kept_checkpoints(connection, index + 1, 1 << 40)))


async def _sealed(hub: Hub) -> int | None:
    """Give the leaf of the seal that the box wrote for the task's end."""
    records = [(index, read(await hub.log.leaf(index)).record.body) for index in range(hub.log.published_size())]
    return next((index for index, body in records if isinstance(body, kinds.Seal) and body.reason == "task"), None)


async def _token_over(hub: Hub, index: int) -> kinds.TimeToken | None:
    return next((body for _, body in await tokens(hub) if body.size > index), None)
