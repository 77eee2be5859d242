"""Answer add-checkpoint and answer-draw over HTTP/1.1, bounded in connections, sizes, times and requests per address.

Guarantees: a head is on disk before its cosignature leaves, and a draw's alpha before its answer; two requests for one log are
judged one after the other, and the compare-and-swap of the state decides between processes; whatever a caller sends, the answer
is one of the protocol's, and no caller can make the program grow or stop.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType

from protocol.drawing import vrf
from protocol.drawing.asking import PATH as DRAW_PATH
from protocol.drawing.asking import AskDraw, judge_ask
from protocol.errors import MalformedError, PortwitnessError, StorageError
from protocol.instants import SECOND_NS, Clock
from protocol.notes import NoteKey, cosign, cosigner
from protocol.signatures import Signer
from protocol.witnessing import MAX_REQUEST_BYTES, PATH, Accepted, AddCheckpoint, Answer, conflict, judge, origin_of, refuse, success
from storage.witness_state import WitnessState

MAX_HEAD_BYTES = 8192
MAX_ADDRESSES = 4096  # remembered for the rate; the least recent go first
DRAW_PACE_S = 0.25  # an answer for a draw leaves this long after it was asked for, however long proving took
ATTEMPTS = 3  # judgements of one request while other processes move the head
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Witness:
    """A witness: its name, keys, the logs it knows, and its memory. Use as an async context manager."""

    name: str
    signers: Sequence[Signer]
    logs: Mapping[str, Sequence[NoteKey]]
    state: WitnessState
    clock: Clock
    draw_seed: bytes | None = None  # of the key that answers for draws; None: this witness answers for none
    _thread: ThreadPoolExecutor | None = None

    async def __aenter__(self) -> "Witness":
        self._thread = ThreadPoolExecutor(1, "witness")
        await asyncio.get_running_loop().run_in_executor(self._thread, self.state.open)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self.state.close)
            self._thread.shutdown()
            self._thread = None

    def vkeys(self) -> list[str]:
        """Give the verifier keys of its cosignatures."""
        return [cosigner(self.name, signer.public).vkey() for signer in self.signers]

    async def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request; what happens to its caller meanwhile changes nothing."""
        if self._thread is None:
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "not started")
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self.answer, body))

    async def answer_draw(self, body: bytes) -> Answer:
        """Answer for a draw, once per log and number; each answer takes the same time, for proving does not."""
        if self._thread is None or self.draw_seed is None:
            return refuse(HTTPStatus.NOT_FOUND, "this witness answers for no draws")
        until_ns = self.clock.monotonic_ns() + int(DRAW_PACE_S * SECOND_NS)
        answer = await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, self.draw, body))
        await asyncio.sleep(max(0, until_ns - self.clock.monotonic_ns()) / SECOND_NS)
        return answer

    def draw(self, body: bytes) -> Answer:
        """Judge, keep, prove: in the one thread that uses the state."""
        try:
            wanted = judge_ask(AskDraw.parse(body), self.logs, [cosigner(self.name, signer.public) for signer in self.signers])
        except MalformedError as error:
            return refuse(HTTPStatus.BAD_REQUEST, str(error))
        seed = self.draw_seed
        if isinstance(wanted, Answer) or seed is None:
            return wanted if isinstance(wanted, Answer) else refuse(HTTPStatus.NOT_FOUND, "this witness answers for no draws")
        asked = wanted.origin, wanted.number, wanted.alpha
        try:
            pi = self.state.answer_draw(asked, self.clock.now().wall_ns // SECOND_NS, lambda: vrf.prove(seed, wanted.alpha).pi)
        except StorageError as error:
            _LOG.error("no draw answered: %s", error)
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the memory of this witness cannot be used now")
        if pi is None:
            _LOG.error("%s asked for draw %d with a second pool", wanted.origin, wanted.number)
            return refuse(HTTPStatus.CONFLICT, f"draw {wanted.number}, or a later one, was answered for another pool")
        return Answer(HTTPStatus.OK, f"{pi.hex()}\n".encode())

    def answer(self, body: bytes) -> Answer:
        """Judge, keep, sign: in the one thread that uses the state."""
        try:
            request = AddCheckpoint.parse(body)
            origin = origin_of(request)
        except MalformedError as error:
            return refuse(HTTPStatus.BAD_REQUEST, str(error))
        try:
            return self._decide(request, origin)
        except StorageError as error:
            _LOG.error("not cosigned: %s", error)
            return refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the memory of this witness cannot be used now")

    def _decide(self, request: AddCheckpoint, origin: str) -> Answer:
        for _ in range(ATTEMPTS):
            judged = judge(request, self.logs, self.state.head(origin))
            now_s = self.clock.now().wall_ns // SECOND_NS
            if isinstance(judged, Answer):
                if judged.fork:
                    _LOG.error("%s signed two trees of one size", origin)
                    self.state.keep_fork(origin, request.checkpoint, now_s)
                return judged
            if self.state.advance(origin, judged.before, judged.head, judged.note, now_s):
                return self._sign(judged, now_s)
        return conflict(self.state.head(origin).size)

    def _sign(self, accepted: Accepted, now_s: int) -> Answer:
        return success([cosign(accepted.text, self.name, signer, now_s) for signer in self.signers])


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on callers: connections at a time, requests per minute and address, seconds of silence."""

    connections: int = 64
    per_minute: int = 600
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Serving:
    """Where to listen, and with which certificate."""

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """Give the TLS context; raise StorageError when a file cannot be used."""
        if self.certificate is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(str(self.certificate), str(self.key) if self.key else None)
        except (OSError, ssl.SSLError) as error:
            raise StorageError(f"cannot be used for TLS: {error}", where=str(self.certificate)) from error
        return context


@asynccontextmanager
async def serve(witness: Witness, where: Serving, limits: Limits) -> AsyncIterator[str]:
    """Listen while the block runs; give the URL. Raises StorageError when the address cannot be had."""
    door = _Door(witness, limits)
    try:
        server = await asyncio.start_server(door.connected, where.host, where.port, limit=MAX_HEAD_BYTES, ssl=where.context())
    except OSError as error:
        raise StorageError(f"cannot listen: {error}", where=f"{where.host}:{where.port}") from error
    host, port = server.sockets[0].getsockname()[:2]
    scheme = "https" if where.certificate else "http"
    try:
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.close()
        await door.close()
        await server.wait_closed()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def keeps(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


@dataclass(slots=True)
class _Door:
    """The connections of one server."""

    witness: Witness
    limits: Limits
    running: "set[asyncio.Task[None]]" = field(default_factory=set)
    counts: "OrderedDict[str, tuple[int, int]]" = field(default_factory=OrderedDict)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self.running) >= self.limits.connections:
            writer.close()
            return
        self.running.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass  # the caller went, fell silent, or the server closes
        finally:
            self.running.discard(task)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def close(self) -> None:
        for task in list(self.running):
            task.cancel()
        if self.running:
            await asyncio.wait(self.running, timeout=5)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("?",))[0])
        while True:
            try:
                async with asyncio.timeout(self.limits.idle_s):
                    request = await _read(reader)
            except MalformedError as error:
                await self._write(writer, refuse(HTTPStatus.BAD_REQUEST, error.what), keeps=False)
                return
            if request is None:
                return
            await self._write(writer, await self._answer(request, peer), keeps=request.keeps)
            if not request.keeps:
                return

    async def _answer(self, request: _Request, peer: str) -> Answer:
        if self._is_too_fast(peer):
            return refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; come back in a minute")
        if request.path == "/" and request.method == "GET":
            return Answer(HTTPStatus.OK, "".join(f"{vkey}\n" for vkey in self.witness.vkeys()).encode())
        ways = {PATH: self.witness.add_checkpoint, DRAW_PATH: self.witness.answer_draw}
        if request.path not in ways:
            return refuse(HTTPStatus.NOT_FOUND, "nothing is here")
        if request.method != "POST":
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, "POST only")
        try:
            return await ways[request.path](request.body)
        except PortwitnessError as error:
            return refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    def _is_too_fast(self, peer: str) -> bool:
        """Count the requests of an address in the running minute."""
        minute = self.witness.clock.monotonic_ns() // (60 * SECOND_NS)
        known, count = self.counts.pop(peer, (minute, 0))
        count = count + 1 if known == minute else 1
        self.counts[peer] = (minute, count)
        while len(self.counts) > MAX_ADDRESSES:
            self.counts.popitem(last=False)
        return count > self.limits.per_minute

    async def _write(self, writer: asyncio.StreamWriter, answer: Answer, *, keeps: bool) -> None:
        lines = [
            f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
            f"Content-Type: {answer.kind}",
            f"Content-Length: {len(answer.body)}",
            "Cache-Control: no-store",
            f"Connection: {'keep-alive' if keeps else 'close'}",
        ]
        writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + answer.body)
        async with asyncio.timeout(self.limits.idle_s):
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> _Request | None:
    """Read one request; None at the end of the connection. Raises MalformedError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MalformedError("cut", where="request") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise MalformedError("its head is too long", where="request") from error
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise MalformedError("not HTTP/1.1", where="request")
    headers: dict[str, str] = {}
    for line in lines:
        name, cut, value = line.partition(":")
        if not cut or (name.lower() in headers and name.lower() == "content-length"):
            raise MalformedError("a header is malformed, or the length stands twice", where="request")
        headers[name.lower()] = value.strip()
    if parts[2] == "HTTP/1.0":
        headers["connection"] = "close"
    return _Request(parts[0], parts[1].partition("?")[0], headers, await _body(reader, headers))


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()) or len(length) > 9:
        raise MalformedError("give the body's length", where="request")
    if int(length) > MAX_REQUEST_BYTES:
        raise MalformedError(f"a body of {length} bytes, at most {MAX_REQUEST_BYTES}", where="request")
    return await reader.readexactly(int(length))
