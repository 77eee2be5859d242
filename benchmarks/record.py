"""Record many cameras: a box against FFmpeg, one process per camera and one for all, on the same cameras in one run.

The recorder under test is on core 0, the simulated cameras on core 1. The box flushes and hashes all parts once a second, signs a
heartbeat and commits it (SQLite, synchronous=FULL); its hub is away. FFmpeg copies into 10 s fragmented MP4 files and flushes,
hashes and signs nothing. The cameras' ledger says which frames were sent; every one of the box's time has to be in its files.

    python -m benchmarks.record --cameras 16 --size 1920x1080 --kbit 4000
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import LOAD_CORE, PROGRAM_CORE, footage_cache, has, measure, note, pin, scratch, start_on, wait_for
from simulators.judgement import Sent, frames_of_camera, samples_of
from simulators.port import Port, PortPlan

PLANS = ((16, "1920x1080", 4000), (32, "1280x720", 2000), (64, "1280x720", 2000))
WARM_UP_S = 12.0
SETTLE_S = 4.0
CPU_GOAL, MEMORY_GOAL = 0.75, 0.2
SEGMENTS = (
    "-c", "copy", "-f", "segment", "-segment_time", "10", "-segment_format", "mp4", "-segment_format_options",
    "movflags=frag_keyframe+empty_moov+default_base_moof", "-reset_timestamps", "0",
)  # fmt: skip
BOX = "box-1"


@dataclass(frozen=True, slots=True)
class Load:
    """How many cameras of which kind, and for how long each recorder is measured."""

    cameras: int
    size: str
    kbit: int
    seconds: float
    rounds: int


async def compare(load: Load) -> dict[str, Any]:
    """Measure all three recorders in turns."""
    width, height = (int(side) for side in load.size.split("x"))
    with scratch("record") as folder:
        plan = PortPlan(
            folder, "https", footage_folder=footage_cache(), boxes=1, cameras_per_box=load.cameras, size=(width, height), kbit=load.kbit
        )
        async with Port(plan, say=note) as port:
            async with port.supervisor() as supervisor:
                await port.await_streams(supervisor)
            for name in ("recorder", "hub"):
                await port.programs.stop(name)
            urls = camera_urls(port.boxes[0].config)
            for name, program in port.programs.running.items():
                if name.startswith("cameras") and program.process:
                    pin(program.process.pid, LOAD_CORE)
            await port.programs.stop(BOX)
            rows = []
            for _ in range(load.rounds):
                rows += await one_round(port, urls, load, folder)
            await port.stop_devices()
            lost, recorded = await asyncio.to_thread(count_lost, port, [row for row in rows if row["recorder"] == "box"])
    return summary(load, rows, lost, recorded)


async def one_round(port: Port, urls: list[str], load: Load, folder: Path) -> list[dict[str, Any]]:
    """Measure the box, then one FFmpeg per camera, then one for all."""
    rows = [await measure_box(port, load)]
    if has("ffmpeg"):
        for mode in ("ffmpeg per camera", "one ffmpeg"):
            rows.append(await asyncio.to_thread(measure_ffmpeg, mode, urls, load, folder))
    return rows


async def measure_box(port: Port, load: Load) -> dict[str, Any]:
    note(f"box, {load.cameras} cameras")
    segments = port.boxes[0].state / "segments"
    before = set(segments.rglob("*.mp4"))
    await port.programs.restart(BOX)
    process = port.programs.running[BOX].process
    assert process is not None
    pin(process.pid, PROGRAM_CORE)
    await asyncio.sleep(WARM_UP_S)
    pin(process.pid, PROGRAM_CORE)
    found = await asyncio.to_thread(measure, [process.pid], load.seconds)
    await port.programs.stop(BOX)
    files = sorted(str(path) for path in set(segments.rglob("*.mp4")) - before)
    return {"recorder": "box", **found, "files": files}


def measure_ffmpeg(mode: str, urls: list[str], load: Load, folder: Path) -> dict[str, Any]:
    note(f"{mode}, {load.cameras} cameras")
    out = folder / "ffmpeg"
    out.mkdir(exist_ok=True)
    quiet = ("ffmpeg", "-nostdin", "-v", "error")
    if mode == "one ffmpeg":
        # inputs are opened one after the other: without these the last would wait for minutes
        options = ("-rtsp_transport", "tcp", "-analyzeduration", "0", "-probesize", "32", "-thread_queue_size", "512")
        inputs = [word for url in urls for word in (*options, "-i", url)]
        outputs = [word for at in range(len(urls)) for word in ("-map", f"{at}:v", *SEGMENTS, str(out / f"one-{at}-%05d.mp4"))]
        running = [start_on(PROGRAM_CORE, *quiet, *inputs, *outputs)]
    else:
        running = [
            start_on(PROGRAM_CORE, *quiet, "-rtsp_transport", "tcp", "-i", url, *SEGMENTS, str(out / f"each-{at}-%05d.mp4"))
            for at, url in enumerate(urls)
        ]
    try:
        wait_for(lambda: len(list(out.glob("*.mp4"))) >= len(urls), limit_s=60, what=mode)
        time.sleep(SETTLE_S)
        measured = measure([each.pid for each in running], load.seconds)
        assert all(each.poll() is None for each in running), f"{mode}: a process ended"
    finally:
        stop(running)
        for path in out.iterdir():
            path.unlink()
    return {"recorder": mode, **measured}


def stop(running: list[subprocess.Popen[bytes]]) -> None:
    for each in running:
        each.terminate()
    for each in running:
        each.wait()


def camera_urls(config: Path) -> list[str]:
    """Give the cameras' addresses, login included, from the box's own settings."""
    urls = []
    for camera in tomllib.loads(config.read_text())["cameras"]:
        scheme, _, rest = camera["url"].partition("://")
        login = f"{camera['username']}:{camera['password']}@" if camera.get("username") else ""
        urls.append(f"{scheme}://{login}{rest}")
    return urls


def count_lost(port: Port, rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Compare the box's files with the ledgers, frame by frame; give frames lost between its first and last one, and kept."""
    lost = recorded = 0
    for stream in port.cameras:
        ledger, number = port.camera_ledger(stream)
        sent = frames_of_camera(ledger, number)
        for row in rows:
            source = stream.split("/")[1]
            files = sorted((Path(name) for name in row["files"] if Path(name).parent.name == source), key=lambda path: int(path.stem))
            missing, kept = walk(sent, files)
            lost, recorded = lost + missing, recorded + kept
    return lost, recorded


def walk(sent: list[Sent], files: list[Path]) -> tuple[int, int]:
    """Follow the samples of files through what was sent; give how many frames were passed over, and how many found."""
    samples = [set(sample.hashes) for path in files for sample in samples_of(path, 0)]
    if not samples:
        raise SystemExit("the box recorded nothing")
    best = min((passes(sent[start:], samples) for start in starts(sent, files, samples[0])), default=None)
    if best is None:
        raise SystemExit(f"{files[0]}: begins with a frame that no camera sent")
    return best, len(samples)


def starts(sent: list[Sent], files: list[Path], first: set[str]) -> Iterator[int]:
    """Give where the first sample may stand: near the time of its file, as the footage loops."""
    written_ns = files[0].stat().st_mtime_ns
    for at, frame in enumerate(sent):
        if first & set(frame.hashes) and -1e9 < written_ns - frame.wall_ns < 15e9:
            yield at


def passes(sent: list[Sent], samples: list[set[str]]) -> int:
    at = passed = 0
    for sample in samples:
        while at < len(sent) and not sample & set(sent[at].hashes):
            at, passed = at + 1, passed + 1
        if at == len(sent):
            return len(samples)
        at += 1
    return passed


def summary(load: Load, rows: list[dict[str, Any]], lost: int, recorded: int) -> dict[str, Any]:
    """Give the ratios of the means."""
    for row in rows:
        row.pop("files", None)

    def mean(recorder: str, what: str) -> float:
        found = [row[what] for row in rows if row["recorder"] == recorder]
        return sum(found) / len(found) if found else float("nan")

    result: dict[str, Any] = {"benchmark": "record", "cameras": load.cameras, "size": load.size, "kbit": load.kbit, "rows": rows}
    result |= {
        "frames_lost": lost,
        "frames_recorded": recorded,
        "box_cpu_percent_per_camera": round(mean("box", "cpu_percent") / load.cameras, 3),
    }
    for peer, key in (("ffmpeg per camera", "per_camera"), ("one ffmpeg", "one")):
        if any(row["recorder"] == peer for row in rows):
            result[f"cpu_ratio_{key}"] = round(mean("box", "cpu_percent") / mean(peer, "cpu_percent"), 3)
            result[f"memory_ratio_{key}"] = round(mean("box", "pss_mb") / mean(peer, "pss_mb"), 3)
    result["ok"] = (
        lost == 0 and result.get("cpu_ratio_per_camera", 0) <= CPU_GOAL and result.get("memory_ratio_per_camera", 0) <= MEMORY_GOAL
    )
    return result


def main() -> int:
    """Measure the plan that is asked for, or all three."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n", 1)[0],
        epilog="example: python -m benchmarks.record --cameras 16 --size 1920x1080 --kbit 4000",
    )
    parser.add_argument("--cameras", type=int, help="measure this many cameras only (default: 16 at 4 Mbit/s, 32 and 64 at 2 Mbit/s)")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--kbit", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON objects only")
    args = parser.parse_args()
    plans = ((args.cameras, args.size, args.kbit),) if args.cameras else PLANS
    results = []
    for cameras, size, kbit in plans:
        result = asyncio.run(compare(Load(cameras, size, kbit, args.seconds, args.rounds)))
        results.append(result)
        if not args.json:
            print(f"{cameras} cameras {size} at {kbit / 1000:g} Mbit/s")
            for row in result["rows"]:
                print(f"  {row['recorder']:18} {row['cpu_percent']:7.1f} % CPU {row['pss_mb']:8.1f} MB PSS")
        print(json.dumps(result), flush=True)
    return 0 if all(result["ok"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
