"""The simulated camera speaks RTSP that others understand, and our client gets from it every byte that was sent."""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from firmware_adapters.rtsp import RtspSettings, probe
from simulators.devices.camera import add_arguments, make_plan
from simulators.devices.camera_farm import Farm, FarmPlan
from simulators.devices.footage import Footage, Synthetic, load
from simulators.devices.ledger import LedgerWriter, read_ledger
from simulators.devices.rtsp_server import Guard
from simulators.devices.stamp import read_clock, read_stamp
from tests.rtsp_parts import DEADLINE_S, PLAIN, QUICK, Memory, SteadyClock, footage, watching

SOUND = replace(PLAIN, has_audio=True)
REORDERED = replace(PLAIN, b_frames=2, slices=3)
ENOUGH = 60  # pictures: the seam of the loop of 50 included


def follows(found: Sequence[Any], loop: Sequence[Any]) -> bool:
    """Tell whether `found` is a piece of the endless loop."""
    return any(all(item == loop[(start + at) % len(loop)] for at, item in enumerate(found)) for start in range(len(loop)))


def check_pictures(memory: Memory, source: Footage) -> None:
    units = memory.pictures
    assert follows([unit.payloads for unit in units], [unit.nals for unit in source.units])
    start = next(at for at, unit in enumerate(source.units) if unit.nals == units[0].payloads)
    expected = [
        source.units[(start + at) % len(source.units)].pts + (start + at) // len(source.units) * source.duration for at in range(len(units))
    ]
    assert [unit.pts - units[0].pts for unit in units] == [pts - expected[0] for pts in expected]
    assert all(unit.is_key == any(nal[0] & 31 == 5 for nal in unit.payloads) for unit in units)
    assert all(unit.lost_before == 0 for unit in units)


@pytest.mark.parametrize(
    ("plan", "guard"),
    [(PLAIN, Guard("u", "p:w")), (SOUND, Guard("u", "pw", ("SHA-256", "MD5"))), (REORDERED, Guard())],
    ids=["plain-md5", "sound-sha256", "reordered-open"],
)
async def test_every_picture_and_sound_arrives_byte_for_byte(plan: Synthetic, guard: Guard) -> None:
    source = footage(plan)
    async with (
        Farm(FarmPlan(source, guard=guard)) as farm,
        watching(farm.url(0), username=guard.user, password=guard.password) as memory,
    ):
        await memory.until(lambda: len(memory.pictures) >= ENOUGH)
    check_pictures(memory, source)
    assert memory.formats[0][0].parameter_sets == (source.sps, source.pps)
    assert memory.causes == ["stopped"]
    assert all(unit.device_ns is not None for unit in memory.pictures)
    if source.sound is not None:
        sounds = [unit for unit in memory.units if unit.track == 1]
        assert len(sounds) > 50
        assert follows([unit.payloads[0] for unit in sounds], source.sound.frames)
        assert [unit.pts - sounds[0].pts for unit in sounds] == [1024 * at for at in range(len(sounds))]
        assert memory.formats[0][1].config == source.sound.config


async def test_sound_keeps_up_with_few_pictures() -> None:
    source = footage(Synthetic(320, 180, fps=5, seconds=2, kbit=300, gop=5, has_audio=True))
    async with Farm(FarmPlan(source)) as farm, watching(farm.url(0), settings=replace(QUICK, stall_s=5)) as memory:
        await memory.until(lambda: len(memory.pictures) >= 12)
    sounds = [unit for unit in memory.units if unit.track == 1]
    assert sounds[-1].pts / 48_000 == pytest.approx(memory.pictures[-1].pts / 90_000, abs=0.5)
    assert [unit.pts - sounds[0].pts for unit in sounds] == [1024 * at for at in range(len(sounds))]


async def test_device_time_is_the_sending_time_of_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with LedgerWriter(path) as ledger:
        async with Farm(FarmPlan(footage(), cameras=2), ledger) as farm, watching(farm.url(1)) as memory:
            await memory.until(lambda: len(memory.pictures) >= ENOUGH)
    truth = read_ledger(path)
    frames = truth.camera(1).frames
    assert truth.has_ended
    assert not truth.camera(0).frames
    assert len(frames) >= len(memory.pictures)
    by_hash = {unit.sha256: unit for unit in footage().units}
    for unit, frame in zip(memory.pictures, frames, strict=False):
        assert by_hash[frame.sha256].nals == unit.payloads
        assert frame.is_key == unit.is_key
        assert unit.device_ns is not None
        assert frame.mono_ns <= unit.mono_ns + 1000  # kept in microseconds
    steps = [later.pts - frame.pts for frame, later in pairwise(frames)]
    assert steps == [3600] * len(steps)
    assert len(truth.camera(1).intervals(10**9)) == 1
    assert truth.camera(1).connections[0].ended_ns is not None


async def test_probe_names_what_a_camera_offers() -> None:
    async with Farm(FarmPlan(footage(SOUND), guard=Guard("u", "p"))) as farm:
        found = await probe(farm.url(0), clock=SteadyClock(), username="u", password="p", settings=QUICK)
        assert [track.codec for track in found.formats] == ["h264", "aac"]
        assert found.asks_login
        assert "Portwitness" in found.server
        silent = await probe(farm.url(0).replace("//", "//u:p@"), clock=SteadyClock(), settings=RtspSettings(takes_audio=False))
        assert [track.codec for track in silent.formats] == ["h264"]


async def test_session_is_kept_alive_and_reported() -> None:
    async with (
        Farm(FarmPlan(footage(), session_s=1.0, guard=Guard("u", "p", nonce_s=0.5))) as farm,
        watching(farm.url(0), username="u", password="p") as memory,
    ):
        await memory.until(lambda: len(memory.pictures) >= 75)  # three seconds: three sessions, six nonces
        (connection,) = farm.connections
        packets = connection.control_packets
    assert memory.causes == ["stopped"]
    assert packets
    assert packets[-1][1] == 201
    assert packets[-1][12] == 0  # nothing lost


async def test_live_footage_carries_the_clock_in_its_pixels() -> None:
    live = Synthetic(320, 180, fps=25, seconds=1, kbit=600, gop=10)
    async with Farm(FarmPlan(footage(live), live=live, joins_at_key=True)) as farm, watching(farm.url(0)) as memory:
        await memory.until(lambda: len(memory.pictures) >= 30)
    decoder = av.CodecContext.create("h264", "r")
    clocks, numbers = [], []
    for unit in memory.pictures:
        for frame in decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.payloads))):
            gray = frame.to_ndarray(format="gray")
            clocks.append(read_clock(gray))
            numbers.append(read_stamp(gray))
    known = [clock for clock in clocks if clock is not None]
    assert len(known) == len(clocks) >= 20
    assert known == sorted(known)
    assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers)))


def outside(farm: Farm, command: list[str]) -> "asyncio.Future[subprocess.CompletedProcess[str]]":
    return asyncio.get_running_loop().run_in_executor(
        None, lambda: subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    )


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
async def test_ffprobe_reads_the_camera() -> None:
    async with Farm(FarmPlan(footage(SOUND), guard=Guard("u", "p"), joins_at_key=True)) as farm:
        url = farm.url(0).replace("//", "//u:p@")
        done = await outside(farm, ["ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-show_streams", "-of", "json", url])
    streams = json.loads(done.stdout)["streams"]
    assert [stream["codec_name"] for stream in streams] == ["h264", "aac"]
    assert (streams[0]["width"], streams[0]["height"]) == (320, 180)
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_records_the_camera(transport: str, tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    async with Farm(FarmPlan(footage(), joins_at_key=True)) as farm:
        command = ["ffmpeg", "-v", "error", "-rtsp_transport", transport, "-i", farm.url(0), "-t", "2", "-c", "copy", str(path)]
        done = await outside(farm, command)
    assert done.returncode == 0
    kept = [[nal for nal in unit.nals if nal[0] & 31 <= 5] for unit in load(path).units]
    assert len(kept) > 30
    assert follows(kept, [[nal for nal in unit.nals if nal[0] & 31 <= 5] for unit in footage().units])


async def test_pyav_reads_the_camera() -> None:
    stop = threading.Event()

    def read(url: str) -> list[bytes]:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=(5, 5)) as container:
            found = []
            for packet in container.demux(video=0):
                found.append(bytes(packet))
                if len(found) == 30 or stop.is_set():
                    break
            return found

    async with Farm(FarmPlan(footage(), joins_at_key=True)) as farm:
        found = await asyncio.wait_for(asyncio.to_thread(read, farm.url(0)), DEADLINE_S)
    loop = [b"".join(nal for nal in unit.nals if nal[0] & 31 <= 5) for unit in footage().units]
    assert any(packet.endswith(loop[at][-50:]) for at in range(len(loop)) for packet in found[:1])
    assert len(found) == 30


def test_command_line_makes_a_farm(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert "portwitness-sim camera --cameras 4" in parser.format_help()
    sizes = ["--size", "320x180", "--loop", "1", "--kbit", "400", "--gop", "25"]
    args = parser.parse_args(["--cameras", "3", "--auth", "u:p", "--fault", "cam=1,at=2,kind=bframes,seconds=3", *sizes])
    plan = make_plan(args, tmp_path)
    assert plan.cameras == 3
    assert plan.guard.user == "u"
    assert plan.alternatives["bframes"].has_reordering
    assert not plan.footage.has_reordering


def test_program_runs_alone_and_leaves_its_ledger(tmp_path: Path) -> None:
    code = (
        "import argparse, sys\nfrom simulators.devices.camera import add_arguments, run\n"
        "parser = argparse.ArgumentParser(); add_arguments(parser); sys.exit(run(parser.parse_args()))"
    )
    arguments = ["--port", "0", "--size", "320x180", "--loop", "1", "--kbit", "400", "--seconds", "0.2", "--json", "--ledger"]
    path = tmp_path / "truth.jsonl"
    done = subprocess.run([sys.executable, "-c", code, *arguments, str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    ready, end = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["urls"] == [f"rtsp://127.0.0.1:{ready['port']}/cam/0"]
    assert end["frames_sent"] == [0]
    assert read_ledger(path).has_ended
    bad = subprocess.run([sys.executable, "-c", code, "--fault", "kind=flood"], capture_output=True, text=True, timeout=60, check=False)
    assert bad.returncode == 2
    assert "expected one of refuse" in bad.stderr
