"""Start, watch, kill and stop real programs, as a port's machine room does; nothing is left behind.

Guarantees: each program is the leader of its own process group and dies with this one, even when this one is killed; its output
goes into a file; `start` returns when the program is ready and raises when it ended or was not ready in time, with the end of
its output. `kill` is a power cut (SIGKILL to the whole group), `stop` is polite (SIGTERM, then SIGKILL).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from protocol.errors import RefusedError, UnavailableError

READY_S = 60.0
STOP_S = 20.0
POLL_S = 0.05  # between two looks at a condition; every wait has a deadline
TAIL_BYTES = 3000
_PR_SET_PDEATHSIG = 1

Ready = Callable[[], Awaitable[bool]]


def program(module: str, *arguments: object) -> list[str]:
    """Give the command that runs one of our modules with this interpreter."""
    return [sys.executable, "-m", module, *map(str, arguments)]


@dataclass(slots=True)
class Program:
    """A program that was started at least once."""

    name: str
    command: list[str]
    log: Path
    ready: Ready | None = None
    process: asyncio.subprocess.Process | None = None
    starts: int = 0

    @property
    def is_running(self) -> bool:
        """Tell whether it runs now."""
        return self.process is not None and self.process.returncode is None

    def tail(self) -> str:
        """Give the end of its output."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace") if self.log.exists() else ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a program that ran to its end left."""

    code: int
    out: str
    err: str


@dataclass(slots=True)
class Programs:
    """The programs of one machine room; use it as an async context manager."""

    logs: Path
    directory: Path
    running: dict[str, Program] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def start(self, name: str, command: Sequence[str], ready: Ready | None = None) -> Program:
        """Start a program and wait until it is ready; raise UnavailableError with the end of its output when it is not."""
        started = Program(name, list(command), self.logs / f"{name}.log", ready)
        self.running[name] = started
        await self.restart(name)
        return started

    async def restart(self, name: str) -> None:
        """Start a program that ended again, as it was started, and wait until it is ready."""
        await self.launch(name)
        await self.await_ready(name)

    async def launch(self, name: str) -> None:
        """Start a program that ended again without waiting for it."""
        found = self.running[name]
        if found.is_running:
            raise RefusedError(f"{name} is running", where="programs")
        with found.log.open("ab") as log:
            found.process = await asyncio.create_subprocess_exec(
                *found.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        found.starts += 1

    async def await_ready(self, name: str) -> None:
        """Wait until a started program is ready; raise UnavailableError when it ends first or is late."""
        found = self.running[name]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_S
        while found.ready is not None and not await found.ready():
            if not found.is_running:
                code = found.process.returncode if found.process else None
                raise UnavailableError(f"ended with code {code} before it was ready:\n{found.tail()}", where=name)
            if loop.time() > deadline:
                raise UnavailableError(f"not ready after {READY_S:.0f} s:\n{found.tail()}", where=name)
            await asyncio.sleep(POLL_S)

    async def kill(self, name: str) -> None:
        """Kill a program and all it started at once, as a power cut does."""
        await self._end(name, signal.SIGKILL)

    async def stop(self, name: str) -> int:
        """Ask a program to end and wait for it; give its exit code."""
        return await self._end(name, signal.SIGTERM)

    async def close(self) -> None:
        """Stop all programs, the newest first."""
        for name in reversed(list(self.running)):
            await self.stop(name)

    async def _end(self, name: str, how: signal.Signals) -> int:
        process = self.running[name].process
        if process is None:
            return 0
        if process.returncode is None:
            if how is signal.SIGKILL:
                _signal_group(process.pid, how)
            else:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(how)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_S)
        _signal_group(process.pid, signal.SIGKILL)  # what it started and left
        return await process.wait()

    async def outcome(self, command: Sequence[str], *, given: str | None = None, limit_s: float = 120.0) -> Outcome:
        """Run a program to its end; raise UnavailableError when it takes longer than `limit_s`."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.directory,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(given.encode() if given is not None else None), limit_s)
        except TimeoutError as error:
            raise UnavailableError(f"took longer than {limit_s:.0f} s", where=" ".join(command[:4])) from error
        finally:
            if process.returncode is None:
                _signal_group(process.pid, signal.SIGKILL)
                await process.wait()
        return Outcome(process.returncode or 0, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    async def must(self, command: Sequence[str], *, given: str | None = None) -> str:
        """Run a program to its end and give what it printed; raise RefusedError with its words when it fails."""
        done = await self.outcome(command, given=given)
        if done.code != 0:
            raise RefusedError(f"ended with code {done.code}: {done.err.strip() or done.out.strip()}", where=" ".join(command[1:5]))
        return done.out


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(group: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, how)


def answers(url: str, *, ca: Path | None = None) -> Ready:
    """Be ready when a GET of `url` succeeds."""

    async def ask() -> bool:
        verify = httpx.create_ssl_context(str(ca)) if ca else True
        async with httpx.AsyncClient(verify=verify, timeout=2.0, trust_env=False) as client:
            try:
                return (await client.get(url)).is_success
            except httpx.TransportError:
                return False

    return ask


def listens(port: int) -> Ready:
    """Be ready when something accepts connections at this port of this machine."""

    async def ask() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    return ask


async def until(holds: Ready, *, limit_s: float, what: str) -> None:
    """Wait until a condition holds; raise UnavailableError naming it when it does not in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while not await holds():
        if loop.time() > deadline:
            raise UnavailableError(f"not within {limit_s:.0f} s", where=what)
        await asyncio.sleep(POLL_S)
