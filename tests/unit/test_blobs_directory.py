"""The store of blobs in a directory: whole or not at all, by hash, by URL."""

import asyncio
import hashlib
import os
import resource
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import DiskFullError, MalformedError, StorageError, UnavailableError, VerificationError
from storage.blobs import GATHER_BYTES, DirectoryBlobs, open_blobs


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DirectoryBlobs]:
    async with open_blobs(f"dir://{tmp_path}/blobs") as opened:
        yield opened


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for part in data:
        yield part


def name_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_blob_is_read_back_whole_and_in_part(store: DirectoryBlobs) -> None:
    data = secrets.token_bytes(3 * GATHER_BYTES + 17)
    name = name_of(data)
    await store.put(name, len(data), parts(*(data[at : at + 65_536] for at in range(0, len(data), 65_536))))
    assert await store.head(name) == len(data)
    assert b"".join([part async for part in store.read(name)]) == data
    assert b"".join([part async for part in store.read(name, 5, GATHER_BYTES + 9)]) == data[5 : GATHER_BYTES + 9]
    assert b"".join([part async for part in store.read(name, len(data))]) == b""
    assert (await store.path(name)).read_bytes() == data
    assert [each async for each in store.names()] == [name]
    usage = await store.usage()
    assert (usage.blobs, usage.bytes) == (1, len(data))
    assert usage.free_bytes > 0


async def test_putting_again_changes_nothing(store: DirectoryBlobs) -> None:
    data = b"x" * 100
    for _ in range(2):
        await store.put(name_of(data), 100, parts(data))
    assert (await store.usage()).blobs == 1


async def test_the_same_blob_twice_at_once_is_there_once(store: DirectoryBlobs) -> None:
    data = secrets.token_bytes(2 * GATHER_BYTES)
    await asyncio.gather(*(store.put(name_of(data), len(data), parts(data[:1000], data[1000:])) for _ in range(8)))
    assert (await store.usage()).blobs == 1


@pytest.mark.parametrize("size", [1, GATHER_BYTES - 1, GATHER_BYTES, 2 * GATHER_BYTES + 1])
async def test_what_does_not_fit_leaves_nothing(store: DirectoryBlobs, size: int) -> None:
    data = bytes(size)
    with pytest.raises(VerificationError):
        await store.put(name_of(b"other"), size, parts(data))
    with pytest.raises(MalformedError, match="more than"):
        await store.put(name_of(data), size, parts(data, b"more"))
    with pytest.raises(MalformedError, match="cut short"):
        await store.put(name_of(data), size + 1, parts(data))
    with pytest.raises(MalformedError):
        await store.put(b"short", size, parts(data))
    assert files_in(store.root) == []


async def test_a_sender_that_fails_or_is_cancelled_leaves_nothing(store: DirectoryBlobs) -> None:
    data = bytes(2 * GATHER_BYTES)

    async def failing() -> AsyncIterator[bytes]:
        yield data
        raise UnavailableError("gone")

    with pytest.raises(UnavailableError):
        await store.put(name_of(data), 3 * GATHER_BYTES, failing())
    begun = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield data
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(store.put(name_of(data), 3 * GATHER_BYTES, hanging()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(store.root) == []


async def test_what_is_not_there_is_said(store: DirectoryBlobs) -> None:
    name = name_of(b"never")
    assert await store.head(name) is None
    assert not await store.delete(name)
    with pytest.raises(StorageError):
        await store.path(name)
    with pytest.raises(StorageError):
        [part async for part in store.read(name)]


async def test_a_deleted_blob_is_gone(store: DirectoryBlobs) -> None:
    await store.put(name_of(b"x"), 1, parts(b"x"))
    assert await store.delete(name_of(b"x"))
    assert files_in(store.root) == []


async def test_what_was_half_received_is_forgotten_at_start(tmp_path: Path) -> None:
    leftover = tmp_path / "blobs" / "incoming" / "half"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    async with open_blobs(f"dir://{tmp_path}/blobs"):
        assert not leftover.exists()


async def test_a_full_disk_is_said_and_heals(store: DirectoryBlobs) -> None:
    data = bytes(4 * GATHER_BYTES)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (GATHER_BYTES, hard))
    try:
        with pytest.raises(DiskFullError):
            await store.put(name_of(data), len(data), parts(data))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert files_in(store.root) == []
    await store.put(name_of(data), len(data), parts(data))


@pytest.mark.parametrize("url", ["", "dir:", "dir://relative", "s3://bucket", "file:///x", "/x"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(MalformedError):
        open_blobs(url)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=300), min_size=1, max_size=12))
def test_any_cutting_gives_the_same_blob(tmp_path: Path, pieces: list[bytes]) -> None:
    async def put() -> None:
        data = b"".join(pieces)
        async with open_blobs(f"dir://{tmp_path}/{os.urandom(6).hex()}") as store:
            await store.put(name_of(data), len(data), parts(*pieces))
            assert (await store.path(name_of(data))).read_bytes() == data

    asyncio.run(put())
