"""Real programs: ready means ready, a kill is a kill, and nothing is left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from protocol.errors import RefusedError, UnavailableError
from simulators.programs import Programs, listens, until

SERVER = """
import socket, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""


def a_free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def children(log: Path) -> list[int]:
    return [int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("child")]


async def test_kill_takes_the_children_and_restart_brings_the_program_back(tmp_path: Path) -> None:
    port = a_free_port()
    async with Programs(tmp_path / "logs", tmp_path) as programs:
        started = await programs.start("server", [sys.executable, "-c", SERVER, str(port)], listens(port))
        await programs.kill("server")
        assert started.process is not None
        assert started.process.returncode == -signal.SIGKILL
        await programs.restart("server")
        assert started.starts == 2
        with pytest.raises(RefusedError, match="is running"):
            await programs.launch("server")
        found = children(started.log)
        assert len(found) == 2

    async def gone() -> bool:
        return not any(map(is_alive, found))

    await until(gone, limit_s=5, what="children gone")
    assert not started.is_running


async def test_a_program_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    async with Programs(tmp_path / "logs", tmp_path) as programs:
        with pytest.raises(UnavailableError, match=r"code 3 before it was ready:\nno key"):
            await programs.start("bad", [sys.executable, "-c", "import sys; print('no key'); sys.exit(3)"], listens(a_free_port()))


async def test_programs_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from simulators.programs import Programs\n"
        "async def main():\n"
        "    async with Programs(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1])) as programs:\n"
        "        one = await programs.start('sleeper', [sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "        print(one.process.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    parent.kill()
    await parent.wait()

    async def gone() -> bool:
        return not is_alive(pid)

    await until(gone, limit_s=5, what="sleeper gone")


async def test_a_command_that_fails_is_named(tmp_path: Path) -> None:
    async with Programs(tmp_path / "logs", tmp_path) as programs:
        assert await programs.must([sys.executable, "-c", "print(input())"], given="word\n") == "word\n"
        with pytest.raises(RefusedError, match="ended with code 2: broken"):
            await programs.must([sys.executable, "-c", "import sys; print('broken', file=sys.stderr); sys.exit(2)"])
        with pytest.raises(UnavailableError, match="longer than"):
            await programs.outcome([sys.executable, "-c", "import time; time.sleep(60)"], limit_s=0.2)
