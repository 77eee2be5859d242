"""A witness as tlog-witness defines it: every answer over real HTTP, under concurrency, and over kill -9."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from protocol.errors import StorageError
from protocol.notes import Note, NoteKey, SignedCheckpoint, cosigner, parse_signatures, sign_checkpoint, sign_note, verify_note
from protocol.witnessing import MAX_REQUEST_BYTES, SIZE_TYPE, AddCheckpoint, Head
from storage.witness import initialise, open_state, signers
from storage.witness_server import Limits, Witness
from tests.witness_parts import NAME, SmallLog, post, running_witness, settings_of


@pytest.fixture
def log() -> SmallLog:
    return SmallLog().grow(10)


@pytest.fixture
async def served(tmp_path: Path, log: SmallLog) -> AsyncIterator[tuple[str, Witness]]:
    async with running_witness(settings_of(tmp_path, log.key)) as running:
        yield running


def check_cosigned(witness: Witness, request: AddCheckpoint, body: bytes) -> None:
    """Check that every key of the witness cosigned, as the specification's client does."""
    note = SignedCheckpoint.parse(request.checkpoint).note.with_signatures(parse_signatures(body))
    for vkey in witness.vkeys():
        seconds = verify_note(note, NoteKey.parse(vkey))
        assert seconds is not None and seconds > 1_700_000_000


async def test_checkpoints_that_extend_each_other_are_cosigned(served: tuple[str, Witness], log: SmallLog) -> None:
    url, witness = served
    for old, new in ((0, 3), (3, 3), (3, 4), (4, 10), (10, 10)):
        request = log.request(old, new)
        answer = await post(url, request)
        assert answer.status_code == 200, answer.text
        check_cosigned(witness, request, answer.content)


async def test_an_empty_log_is_cosigned_and_may_then_grow(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    assert (await post(url, log.request(0, 0))).status_code == 200
    assert (await post(url, log.request(0, 5))).status_code == 200


async def test_another_old_size_is_answered_with_the_size_held(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    await post(url, log.request(0, 7))
    for old, new in ((0, 10), (3, 10), (0, 5), (8, 10)):
        answer = await post(url, log.request(old, new))
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (409, SIZE_TYPE, b"7\n")


async def test_a_fork_is_refused_and_kept_as_proof(served: tuple[str, Witness], log: SmallLog, tmp_path: Path) -> None:
    url, witness = served
    await post(url, log.request(0, 7))
    other = log.fork(4).grow(6, b"other")
    same_size = await post(url, other.request(7, 7))
    assert (same_size.status_code, same_size.content) == (409, b"7\n")
    assert (await post(url, other.request(7, 10))).status_code == 422
    assert (await post(url, other.request(4, 10))).status_code == 409
    state = open_state(settings_of(tmp_path, log.key))
    state.open()
    found = state.forks()
    state.close()
    assert [SignedCheckpoint.parse(one.held).checkpoint for one in found] == [log.head(7)]
    shown = SignedCheckpoint.parse(found[0].shown)
    assert shown.verify(log.key, origin=log.origin) is None
    assert shown.checkpoint.size == 7 and shown.checkpoint.root != log.head(7).root
    assert (await post(url, log.request(7, 10))).status_code == 200
    assert witness.state.path.exists()


async def test_wrong_proofs_are_not_processed(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    await post(url, log.request(0, 7))
    good = log.request(7, 10)
    for proof in ((), good.proof[:-1], (*good.proof, bytes(32)), good.proof[::-1]):
        assert (await post(url, AddCheckpoint(7, proof, good.checkpoint))).status_code == 422
    again = log.request(7, 7)
    assert (await post(url, AddCheckpoint(7, (bytes(32),), again.checkpoint))).status_code == 422


async def test_unknown_logs_and_untrusted_keys(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    assert (await post(url, SmallLog("example.com/other").grow(2).request(0))).status_code == 404
    assert (await post(url, SmallLog(log.origin).grow(2).request(0))).status_code == 403
    text = log.head().text()
    stranger = SmallLog(log.origin)
    both = Note(text, (sign_note(text, log.origin, stranger.signer), sign_note(text, log.origin, log.signer))).encode()
    assert (await post(url, AddCheckpoint(0, (), both))).status_code == 200  # unknown keys are ignored
    spoilt = sign_checkpoint(log.head(9), log.signer).replace(b"\n9\n", b"\n8\n")
    assert (await post(url, AddCheckpoint(10, (), spoilt))).status_code == 403


async def test_what_is_no_request_is_refused(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    good = log.request(0).encode()
    bad = [
        b"", b"old 0", b"old 0\n", b"old 0\n\n", b"old 00\n\n" + good[7:], b"old -1\n\n" + good[7:], b"old  0\n\n" + good[7:],
        b"old 9223372036854775808\n\n" + good[7:], b"old 0\nAAAA\n\n" + good[7:], b"new 0\n\n" + good[7:], good[:-1], good[7:],
        b"old 11\n\n" + good[7:], b"old 0\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + good[7:], b"\xff" * 400,
    ]  # fmt: skip
    for body in bad:
        assert (await post(url, body)).status_code == 400, body[:60]
    assert (await post(url, good)).status_code == 200


async def test_hostile_connections_are_bounded(tmp_path: Path, log: SmallLog) -> None:
    settings = settings_of(tmp_path, log.key)
    async with running_witness(settings, bounds=Limits(connections=2, per_minute=8, idle_s=0.3)) as (url, _):
        port = int(url.rpartition(":")[2])

        async def say(data: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            try:
                return await asyncio.wait_for(reader.read(), 10)
            except ConnectionError:
                return b""
            finally:
                writer.close()

        head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"
        for bad in (
            b"GET\r\n\r\n", head + b"X: " + b"a" * 20_000 + b"\r\n\r\n", head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            head + f"Content-Length: {MAX_REQUEST_BYTES + 1}\r\n\r\n".encode(), head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ):  # fmt: skip
            assert (await say(bad)).startswith(b"HTTP/1.1 400 ")
        assert await say(head + b"Content-Length: 10\r\n\r\nabc") == b""  # falls silent: closed
        assert b" 405 " in await say(b"GET /add-checkpoint HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b" 404 " in await say(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
        keys = await say(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert NAME.encode() in keys
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await say(b"GET / HTTP/1.1\r\n\r\n") == b""  # the third at a time
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0)
        answers = [await say(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n") for _ in range(8)]
        assert any(b" 429 " in answer for answer in answers)


async def test_of_two_histories_at_once_one_is_cosigned(served: tuple[str, Witness], log: SmallLog) -> None:
    url, _ = served
    await post(url, log.request(0, 4))
    branches = [log.fork(4).grow(6, bytes((at,))) for at in range(12)]
    answers = await asyncio.gather(*(post(url, branch.request(4)) for branch in branches))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 11]


async def test_two_processes_on_one_memory_cosign_one_history(tmp_path: Path, log: SmallLog) -> None:
    settings = settings_of(tmp_path, log.key)
    async with running_witness(settings) as (first, _), running_witness(settings) as (second, _):
        for round_ in range(5):
            size = len(log.leaves)
            branches = [log.fork(size).grow(3, bytes((round_, at))) for at in range(6)]
            old = 0 if round_ == 0 else size
            urls = [first, second] * 3
            answers = await asyncio.gather(*(post(url, branch.request(old)) for url, branch in zip(urls, branches, strict=True)))
            won = [branch for answer, branch in zip(answers, branches, strict=True) if answer.status_code == 200]
            assert len(won) == 1
            log = won[0]


def test_a_lost_memory_stops_the_witness(tmp_path: Path, log: SmallLog) -> None:
    settings = settings_of(tmp_path, log.key)
    initialise(settings)
    with pytest.raises(StorageError, match="exists already"):
        initialise(settings)
    state = open_state(settings)
    state.open()
    assert state.advance(log.origin, Head(), Head(3, bytes(32)), b"note", 1)
    assert not state.advance(log.origin, Head(), Head(4, bytes(32)), b"note", 1)
    state.close()
    state.path.unlink()
    with pytest.raises(StorageError, match="lost its memory"):
        state.open()
    sqlite3.connect(state.path).close()
    state.path.write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    with pytest.raises(StorageError):
        state.open()


def test_the_seed_is_read_back_as_the_same_key(tmp_path: Path, log: SmallLog) -> None:
    settings = settings_of(tmp_path, log.key)
    made = initialise(settings)
    assert [cosigner(NAME, one.public).vkey() for one in signers(settings.state)] == made


def _start(config: Path) -> tuple[subprocess.Popen[str], str]:
    program = [sys.executable, "-m", "storage.witness", "serve", "--config", str(config)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, line.split('"')[3]


async def grow_until_killed(url: str, log: SmallLog, cosigned: int) -> int:
    """Let a log grow and be cosigned until nobody answers; give the newest size known to be cosigned."""
    old = cosigned
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                log.grow(1)
                answer = await client.post(f"{url}/add-checkpoint", content=log.request(old).encode())
                if answer.status_code == 409:
                    old = int(answer.content)
                    assert old >= cosigned  # it may have kept one whose answer was lost, never fewer
                else:
                    assert answer.status_code == 200
                    old = cosigned = len(log.leaves)
    return cosigned


def prepare(folder: Path, log: SmallLog) -> Path:
    """Give the settings file of a witness that `init` has made."""
    config = folder / "witness.toml"
    config.write_text(f'name = "{NAME}"\nstate = "{folder / "memory"}"\n[listen]\nport = 0\n[[logs]]\nvkey = "{log.key.vkey()}"\n')
    program = [sys.executable, "-m", "storage.witness", "init", "--config", str(config)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{NAME}+")
    return config


async def test_kill_9_never_forgets_what_was_cosigned(tmp_path: Path, log: SmallLog) -> None:
    config = await asyncio.to_thread(prepare, tmp_path, log)
    cosigned = 0
    for round_ in range(4):
        process, url = await asyncio.to_thread(_start, config)
        asyncio.get_running_loop().call_later(0.05 + 0.04 * round_, os.kill, process.pid, signal.SIGKILL)
        cosigned = await grow_until_killed(url, log, cosigned)
        await asyncio.to_thread(process.communicate)
    assert cosigned > 0
    fork = SmallLog(log.origin, log.signer).grow(len(log.leaves) + 5, b"other")
    process, url = await asyncio.to_thread(_start, config)
    try:
        for old in (0, cosigned):
            assert (await post(url, fork.request(old))).status_code in (409, 422)
    finally:
        process.terminate()
        await asyncio.to_thread(process.communicate)
    assert process.returncode == 0
