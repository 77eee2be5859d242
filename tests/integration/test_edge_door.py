"""The box's door: recorders by token, pages for people, nothing for strangers."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
import pytest

from edge.config import DoorSettings, RecorderSettings
from edge.door import MAX_BODY_BYTES, MAX_OF_ONE, Door, Handlers
from edge.page import WORDS, render
from protocol.errors import RefusedError, UnavailableError
from protocol.identifiers import SourceId

TOKEN = "recorder-token"
STATUS: Mapping[str, object] = {
    "box": "box-1", "site": "dayaowan", "software": "test", "epoch": 3,
    "journal": {"size": 12, "root": "00", "unreceipted": 1}, "backlog": {"records": 1, "segments": 2, "bytes": 3 << 20},
    "disk": {"state": "low", "free_bytes": 5 << 30}, "hub": {"transport": "mqtt", "up": True, "reason": ""},
    "clock": {"sync": "synced", "error_ms": 1, "wall": "2026-11-23T00:00:00.000Z", "hub_offset_ms": -3}, "trust": True,
    "recovered": {"segments": 0, "unbound_bytes": 0, "lost": 0},
    "sources": [{"source": "cam-1", "role": "camera", "state": "recording", "detail": "<script>", "bitrate": 2_000_000, "frames": 9,
                 "lost": 0, "task": "T-1"}],
    "faults": ["journal: <b>slow</b>"],
}  # fmt: skip


@dataclass(slots=True)
class Told:
    """What the door led to."""

    offers: list[tuple[str, str]] = field(default_factory=list)
    codes: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None

    async def publish(self, source: SourceId, offer: str) -> str:
        if self.error is not None:
            raise self.error
        self.offers.append((source, offer))
        return "v=0 answer"

    async def release(self, source: SourceId) -> bool:
        return bool(self.offers)

    async def claim(self, source: SourceId, code: str) -> None:
        if self.error is not None:
            raise self.error
        self.codes.append((source, code))

    async def status(self) -> Mapping[str, object]:
        return STATUS

    async def page(self, language: str) -> str:
        return render(STATUS, language)


@pytest.fixture
async def door() -> AsyncIterator[tuple[httpx.AsyncClient, Told]]:
    told = Told()
    handlers = Handlers(told.publish, told.release, told.claim, told.status, told.page)
    recorders = (RecorderSettings(source=SourceId("rec-1"), token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest()),)
    async with (
        Door(DoorSettings(port=0), recorders, handlers) as opened,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{opened.port}", trust_env=False) as client,
    ):
        yield client, told


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_recorder_publishes_and_ends(door: tuple[httpx.AsyncClient, Told]) -> None:
    client, told = door
    sdp = {**bearer(), "Content-Type": "application/sdp"}
    answer = await client.post("/whip/rec-1", content="v=0 offer", headers=sdp)
    assert (answer.status_code, answer.text, answer.headers["location"]) == (201, "v=0 answer", "/whip/rec-1/session")
    assert told.offers == [("rec-1", "v=0 offer")]
    assert (await client.delete("/whip/rec-1/session", headers=bearer())).status_code == 200


async def test_a_recorder_claims_by_code(door: tuple[httpx.AsyncClient, Told]) -> None:
    client, told = door
    assert (await client.post("/whip/rec-1/pair", json={"code": "123456"}, headers=bearer())).status_code == 200
    assert told.codes == [("rec-1", "123456")]
    told.error = RefusedError("the code has ended", where="claim")
    answer = await client.post("/whip/rec-1/pair", json={"code": "1"}, headers=bearer())
    assert (answer.status_code, answer.json()["error"]["what"]) == (409, "the code has ended")
    told.error = UnavailableError("the hub is away")
    assert (await client.post("/whip/rec-1/pair", json={"code": "1"}, headers=bearer())).status_code == 503


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/whip/rec-1", {}),
        ("/whip/rec-1", bearer("wrong")),
        ("/whip/rec-2", bearer()),
        ("/whip/rec-1", {"Authorization": f"Basic {TOKEN}"}),
    ],
)
async def test_strangers_publish_nothing(door: tuple[httpx.AsyncClient, Told], path: str, headers: dict[str, str]) -> None:
    client, told = door
    answer = await client.post(path, content="v=0", headers={**headers, "Content-Type": "application/sdp"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "forbidden")
    assert told.offers == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", b"", 404),
        ("PUT", "/whip/rec-1", b"", 405),
        ("POST", "/whip/rec-1", b"no sdp", 400),
        ("POST", "/whip/rec-1/pair", b"not json", 400),
        ("POST", "/whip/rec-1/pair", b"[1]", 400),
        ("POST", "/whip/rec-1/pair", b"x" * (MAX_BODY_BYTES + 1), 400),
        ("DELETE", "/whip/rec-1/session", b"", 404),
    ],
)
async def test_what_makes_no_sense_is_named(door: tuple[httpx.AsyncClient, Told], method: str, path: str, body: bytes, status: int) -> None:
    client, _ = door
    answer = await client.request(method, path, content=body, headers=bearer())
    assert answer.status_code == status
    assert status == 404 or answer.json()["error"]["what"]


async def test_bytes_that_are_no_request_end_the_connection(door: tuple[httpx.AsyncClient, Told]) -> None:
    client, _ = door
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")
    assert b"400" in (await reader.read(1000)).split(b"\r\n")[0]
    writer.close()
    await writer.wait_closed()
    assert (await client.get("/status")).json() == json.loads(json.dumps(STATUS))


async def test_the_page_speaks_both_languages_and_escapes(door: tuple[httpx.AsyncClient, Told]) -> None:
    client, _ = door
    english = (await client.get("/")).text
    chinese = (await client.get("/", headers={"Accept-Language": "zh-CN"})).text
    assert "Edge box box-1" in english and "边缘盒 box-1" in chinese
    assert "<script>" not in english and "&lt;script&gt;" in english and "<b>slow" not in english
    assert (await client.get("/?lang=zh")).text.count("录制中") == 1
    assert all(all(pair) for pair in WORDS.values())


async def test_one_address_does_not_take_every_place(door: tuple[httpx.AsyncClient, Told]) -> None:
    client, _ = door
    port = client.base_url.port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_OF_ONE)]
    for reader, writer in held:
        writer.write(b"GET /status HTTP/1.1\r\nHost: box\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")  # taken, and kept open
    reader, refused = await asyncio.open_connection("127.0.0.1", port)
    with suppress(ConnectionError):
        refused.write(b"GET /status HTTP/1.1\r\nHost: box\r\n\r\n")
        assert await reader.readline() == b""
    other, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    writer.write(b"GET /status HTTP/1.1\r\nHost: box\r\n\r\n")
    assert (await other.readline()).startswith(b"HTTP/1.1 200")
    for _, one in (*held, (reader, refused), (other, writer)):
        one.close()
        with suppress(ConnectionError):
            await one.wait_closed()
