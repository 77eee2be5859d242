"""Pin programs to cores and read what they cost from /proc: CPU seconds and proportional memory, children included."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

PROGRAM_CORE, LOAD_CORE = 0, 1
STATE = Path(__file__).resolve().parent.parent / ".state"  # a real disk: a temporary directory may be in memory


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes used: CPU seconds since they started, memory now."""

    cpu_s: float
    pss_mb: float


def family(pid: int) -> list[psutil.Process]:
    """Give a process and its children."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pin(pid: int, *cores: int) -> None:
    """Bind every thread of a process and its children to cores."""
    for process in family(pid):
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), set(cores))


def _resident(process: psutil.Process) -> int:
    """Give proportional memory (smaps_rollup), or the resident one of a program that keeps its memory private from this account."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def usage(*pids: int) -> Usage:
    """Read what processes and their children used so far."""
    cpu, pss = 0.0, 0.0
    for pid in pids:
        for process in family(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
                pss += _resident(process) / 1e6
    return Usage(cpu, pss)


def measure(pids: list[int], seconds: float) -> dict[str, float]:
    """Let processes run for a time; give CPU in percent of one core and memory at the end."""
    before, began = usage(*pids), time.monotonic()
    time.sleep(seconds)
    after, ended = usage(*pids), time.monotonic()
    return {"cpu_percent": round((after.cpu_s - before.cpu_s) / (ended - began) * 100, 2), "pss_mb": round(after.pss_mb, 1)}


def start_on(core: int, *command: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    """Start a program on a core, silently."""
    return subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def role_on(core: int | None, module: str, *arguments: object) -> dict[str, Any]:
    """Run a part of a benchmark as a process of its own; give the JSON object it prints last."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pinned = ["taskset", "-c", str(core), *command] if core is not None else command
    done = subprocess.run(pinned, stdout=subprocess.PIPE, timeout=600, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a directory on the project's own disk that is removed at the end."""
    STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=STATE) as folder:
        yield Path(folder)


def footage_cache() -> Path:
    """Give where encoded footage is kept between runs."""
    folder = STATE / "footage"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def has(program: str) -> bool:
    """Tell whether a program is installed."""
    return shutil.which(program) is not None


def note(text: str) -> None:
    """Tell what is being done."""
    print(text, file=sys.stderr, flush=True)


def wait_for(holds: Callable[[], bool], *, limit_s: float, what: str) -> None:
    """Wait until a condition holds; end the run when it does not in time."""
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {limit_s:.0f} s")
        time.sleep(0.1)
