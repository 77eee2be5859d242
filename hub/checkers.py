"""Keep the processes that check signatures: the hub has one interpreter, its machine more cores.

Guarantees: what they say is a prefix of what was asked, so that a process that is not there yet, is slow or dies costs time
only: the rest is judged in the hub's own process. They are started when the first large batch comes, again after they died, and
end with the hub, a killed one included. Memory is bounded by the batches that are being accepted.
"""

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeAlias

from hub.checker import LENGTH, MAX_FRAME_BYTES, Head, Question, decode_heads, encode_question, frame
from protocol.errors import MalformedError
from protocol.identifiers import BoxId, Issuer
from protocol.instants import SECOND_NS, Clock

AUTOMATIC = -1
MOST = 4  # processes, when their number is not set
SMALLEST_BATCH = 32  # records; fewer are judged sooner than they are handed over and back
BACKLOG_BATCH = 128  # records; one so large means that more are coming, which is worth starting processes for
SLICE = 64  # records in one question: four to a full batch
AHEAD = 2  # questions at one process: it has the next before it has answered the last
RESTART_S = 5.0
PATIENCE_S = 20.0  # for one batch; a process that takes longer is ended
END_S = 5.0
_LOG = logging.getLogger(__name__)
_PROGRAM = "hub.checker"
_NOTHING = frame(encode_question(Question(Issuer.of_box(BoxId("none")), 0, 0, b"", ())))  # its answer says that a process has begun
_ENDED = (asyncio.IncompleteReadError, ConnectionError, MalformedError)

Promise: TypeAlias = "asyncio.Future[list[Head] | None]"  # None: nobody answered


@dataclass(slots=True)
class _Asked:
    data: bytes
    answer: Promise


@dataclass(slots=True)
class _Checker:
    """One process that runs, with the questions it has not answered."""

    process: asyncio.subprocess.Process
    asked: deque[_Asked] = field(default_factory=deque)
    reading: asyncio.Task[None] | None = None

    def ask(self, question: _Asked) -> None:
        self.asked.append(question)
        self.write(question.data)

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    async def read(self) -> list[Head]:
        """Read one answer; raise IncompleteReadError at the end, MalformedError for what is none."""
        source = self.process.stdout
        assert source is not None
        length: int = LENGTH.unpack(await source.readexactly(LENGTH.size))[0]
        if length > MAX_FRAME_BYTES:
            raise MalformedError(f"{length} bytes", where="answer of a checker")
        return decode_heads(await source.readexactly(length))


@dataclass(slots=True)
class Checkers:
    """The processes. Use as an async context manager. `workers`: how many; 0 for none, -1 for one per core, four at most."""

    clock: Clock
    workers: int = AUTOMATIC
    restart_s: float = RESTART_S
    _running: list[_Checker] = field(default_factory=list)
    _waiting: deque[_Asked] = field(default_factory=deque)
    _starting: "asyncio.Future[list[None]] | None" = None
    _started_ns: int | None = None
    _closed: bool = False

    async def __aenter__(self) -> "Checkers":
        if self.workers == AUTOMATIC:
            cores = len(os.sched_getaffinity(0))
            self.workers = min(cores, MOST) if cores > 1 else 0
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed = True
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await asyncio.gather(*(_end(checker) for checker in list(self._running)))

    @property
    def pids(self) -> list[int]:
        """Give the processes that run."""
        return [checker.process.pid for checker in self._running]

    def busy(self, pid: int) -> bool:
        """Tell whether a process has something to answer."""
        return any(checker.asked for checker in self._running if checker.process.pid == pid)

    async def started(self) -> int:
        """Start what is not running, if it is time to; give the number of processes that run."""
        self._start()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        return len(self._running)

    async def check(self, question: Question) -> list[Head]:
        """Give the heads of the leading records that pass; fewer, or none, when there are no processes to ask."""
        if len(question.records) >= BACKLOG_BATCH:
            self._start()
        if len(question.records) < SMALLEST_BATCH or self._closed or not self._running:
            return []
        starts = range(0, len(question.records), SLICE)
        parts = [question._replace(first=question.first + at, records=question.records[at : at + SLICE]) for at in starts]
        answers = [self._put(part) for part in parts]
        self._feed()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.wait(answers)
        except TimeoutError:
            self._give_up_slow(answers)
        return _prefix(parts, answers)

    def _put(self, part: Question) -> Promise:
        answer: Promise = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(frame(encode_question(part)), answer))
        return answer

    def _feed(self) -> None:
        """Hand out what waits, the least busy process first; when none runs, tell those who ask."""
        while self._waiting:
            checker = min(self._running, key=lambda each: len(each.asked), default=None)
            if checker is None:
                _give_up(self._waiting)
            elif len(checker.asked) < AHEAD:
                checker.ask(self._waiting.popleft())
            else:
                return

    # ------------------------------------------------------------------------------------------------- the processes

    def _start(self) -> None:
        """Start what is not running, not sooner than a while after the last start."""
        now_ns = self.clock.monotonic_ns()
        too_soon = self._started_ns is not None and now_ns - self._started_ns < self.restart_s * SECOND_NS
        if self._closed or too_soon or len(self._running) >= self.workers or (self._starting and not self._starting.done()):
            return
        self._started_ns = now_ns
        missing = self.workers - len(self._running)
        self._starting = asyncio.gather(*(self._spawn() for _ in range(missing)))

    async def _spawn(self) -> None:
        """Start one process, and count on it when it has answered."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", _PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            _LOG.error("checkers: %s; signatures are checked in the hub's own process", error)
            return
        checker = _Checker(process)
        try:
            async with asyncio.timeout(PATIENCE_S):
                checker.write(_NOTHING)
                await checker.read()
        except (TimeoutError, *_ENDED) as error:
            _LOG.error("checker %d does not begin (%r); signatures are checked in the hub's own process", process.pid, error)
            await _ended(process)
            return
        checker.reading = asyncio.create_task(self._read(checker), name=f"checker {process.pid}")
        self._running.append(checker)

    async def _read(self, checker: _Checker) -> None:
        """Take the answers of one process until it ends, and give up what it leaves unanswered."""
        try:
            while True:
                heads = await checker.read()
                if not checker.asked:
                    raise MalformedError("nothing was asked", where="answer of a checker")
                _settle(checker.asked.popleft(), heads)
                self._feed()
        except _ENDED as error:
            self._running.remove(checker)
            if not self._closed:
                _LOG.error("checker %d ended (%s); what it had is judged in the hub's own process", checker.process.pid, error)
            _give_up(checker.asked)
            self._feed()
            await _ended(checker.process)

    def _give_up_slow(self, answers: Sequence[Promise]) -> None:
        """Wait no longer: end the processes that have these questions, and drop those that nobody has taken."""
        slow = {id(answer) for answer in answers if not answer.done()}
        self._waiting = deque(asked for asked in self._waiting if id(asked.answer) not in slow)
        for checker in self._running:
            if any(id(asked.answer) in slow for asked in checker.asked):
                _LOG.error("checker %d gave no answer for %.0f s", checker.process.pid, PATIENCE_S)
                _kill(checker.process)


def _prefix(parts: Sequence[Question], answers: Sequence[Promise]) -> list[Head]:
    """Put the answers together up to the first that is missing or cut short."""
    heads: list[Head] = []
    for part, answer in zip(parts, answers, strict=True):
        found = (answer.result() if answer.done() else None) or []
        heads += found
        if len(found) < len(part.records):
            break
    return heads


def _settle(asked: _Asked, heads: list[Head] | None) -> None:
    if not asked.answer.done():
        asked.answer.set_result(heads)


def _give_up(questions: deque[_Asked]) -> None:
    while questions:
        _settle(questions.popleft(), None)


def _kill(process: asyncio.subprocess.Process) -> None:
    try:
        process.kill()
    except ProcessLookupError:
        return


async def _end(checker: _Checker) -> None:
    """Close a process's input, wait for its end, and see to it if it does not come."""
    if checker.process.stdin is not None:
        checker.process.stdin.close()
    if checker.reading is not None:
        _, late = await asyncio.wait([checker.reading], timeout=END_S)
        if late:
            _kill(checker.process)
            await asyncio.wait([checker.reading])


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a process whose output has ended. It is killed only if it stays: killing one that is gone would reap it twice."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()
