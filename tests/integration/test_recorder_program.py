"""The recorder and the light viewers as programs, over HTTP, against an endpoint that is not ours."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from firmware_adapters.webrtc import Feed, MediaPeers
from simulators.devices import recorder, viewer
from tests.webrtc_parts import peers, small_footage, until

pytestmark = pytest.mark.timeout(60)


class Door:
    """A small WHIP and WHEP endpoint."""

    def __init__(self, rtc: MediaPeers) -> None:
        self.rtc = rtc
        self.feed = Feed()
        self.seen: list[tuple[str, str, str]] = []
        self.port = 0
        self._open: dict[str, Any] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])}
        body = (await reader.readexactly(int(fields.get("content-length", 0)))).decode()
        self.seen.append((method, path, fields.get("authorization", "")))
        answer, location = await self._do(method, path, body)
        status = "201 Created" if answer else "200 OK" if method == "DELETE" else "404 Not Found"
        writer.write(
            f"HTTP/1.1 {status}\r\nlocation: {location}\r\nconnection: close\r\ncontent-length: {len(answer)}\r\n\r\n{answer}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def _do(self, method: str, path: str, body: str) -> tuple[str, str]:
        if method == "DELETE":
            await self._open.pop(path).close()
        if path not in ("/whip", "/whep"):
            return "", ""
        peer: Any = self.rtc.ingest(self.feed) if path == "/whip" else self.rtc.viewer(self.feed)
        location = f"/session/{len(self.seen)}"
        self._open[location] = peer
        return await peer.answer(body), location


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    small_footage(folder)
    return next(folder.glob("*.mp4"))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with peers() as rtc:
        door = Door(rtc)
        server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
        door.port = server.sockets[0].getsockname()[1]
        yield door
        server.close()
        await server.wait_closed()


def arguments(module: Any, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return parser.parse_args(words)


async def test_a_recorder_publishes_is_watched_and_says_goodbye(
    door: Door, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whip, ledger = f"http://127.0.0.1:{door.port}/whip", tmp_path / "sent.jsonl"
    told = arguments(
        recorder, "--whip", whip, "--token", "482913", "--seconds", "5", "--footage", str(film), "--ledger", str(ledger), "--json"
    )
    watching = arguments(viewer, "--whep", f"http://127.0.0.1:{door.port}/whep", "--viewers", "2", "--seconds", "1", "--json")
    task = asyncio.create_task(recorder._publish(told))
    await until(lambda: len(door.feed.gop()) > 5, "pictures")
    report = await viewer._watch(watching)
    result = await task
    assert (report.receiving, report.lost) == (2, 0)
    assert report.rate_min > 20
    assert result["state"] == "connected"
    assert result["frames"] > 100
    assert door.seen[0] == ("POST", "/whip", "Bearer 482913")
    assert [method for method, _, _ in door.seen].count("DELETE") == 3
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert sum(len(line["frames"]) for line in lines) >= result["frames"]
    await until(lambda: door.rtc.open_peers == 0, "the end of all sessions")
    assert capsys.readouterr().err == ""


def test_an_endpoint_that_is_not_there_is_named(free_port: int, film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"http://127.0.0.1:{free_port}/whip"
    assert recorder.run(arguments(recorder, "--whip", address, "--footage", str(film), "--seconds", "2", "--no-audio")) == 1
    assert address in capsys.readouterr().err
    assert viewer.run(arguments(viewer, "--whep", address, "--viewers", "1")) == 1
    assert address in capsys.readouterr().err
