"""Servers that lie, stammer or say nothing: each ends in its own interruption, none in an exception or in endless memory."""

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from firmware_adapters.rtsp import RtspCamera
from tests.rtsp_parts import QUICK, Memory, SteadyClock, watching

OK = b"RTSP/1.0 200 OK\r\nCSeq: %d\r\n"
PLAIN_ANSWER = OK + b"\r\n"
SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:t\r\n"
SET_UP = OK + b"Session: 7;timeout=30\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
KEY = b"$\0\0\x10" + bytes.fromhex("80e00001000000010000000765") + b"\x80\x01\x02"

OTHER_SOURCES = b"".join(KEY[:15] + bytes([number]) + KEY[16:] for number in range(20))


def described(sdp: bytes) -> bytes:
    return OK + b"Content-Type: application/sdp\r\nContent-Length: " + str(len(sdp)).encode() + b"\r\n\r\n" + sdp


HONEST = {b"OPTIONS": PLAIN_ANSWER, b"DESCRIBE": described(SDP), b"SETUP": SET_UP, b"PLAY": PLAIN_ANSWER}


@contextlib.asynccontextmanager
async def serving(answers: dict[bytes, bytes]) -> AsyncIterator[str]:
    """Answer each request by its method; an empty answer closes the connection, a missing one is silence."""

    writers: list[asyncio.StreamWriter] = []
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        handlers.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                method = request.partition(b" ")[0]
                number = int(request.partition(b"CSeq: ")[2].partition(b"\r")[0])
                if method not in answers:
                    continue
                if not answers[method]:
                    break
                writer.write(answers[method].replace(b"%d", str(number).encode()))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"rtsp://127.0.0.1:{server.sockets[0].getsockname()[1]}/live"
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.gather(*(handler for handler in handlers if handler is not None))
        await server.wait_closed()


def but(**changes: bytes) -> dict[bytes, bytes]:
    return HONEST | {name.encode(): answer for name, answer in changes.items()}


@pytest.mark.parametrize(
    ("answers", "cause", "says"),
    [
        (but(OPTIONS=b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "protocol", "start line"),
        (but(OPTIONS=b"\x16\x03\x01\x00\xff"), "protocol", "neither"),
        (but(OPTIONS=b"RTSP/1.0 200 OK\r\n\r\n"), "protocol", "CSeq"),
        (but(OPTIONS=b""), "closed", "closed"),
        (but(DESCRIBE=OK + b"Content-Length: -1\r\n\r\n"), "protocol", "content length"),
        (but(DESCRIBE=OK + b"Content-Length: 900000\r\n\r\n"), "protocol", "exceeds"),
        (but(DESCRIBE=OK + b"X: y\r\n" * 70 + b"\r\n"), "protocol", "headers"),
        (but(DESCRIBE=OK + b"X: " + b"y" * 40_000), "protocol", "head exceeds"),
        (but(DESCRIBE=described(b"hello")), "protocol", "v="),
        (but(DESCRIBE=described(SDP.replace(b"H264", b"H265"))), "unsupported", "video codec H265 is not supported yet by this adapter"),
        (but(DESCRIBE=described(b"v=0\r\nm=audio 0 RTP/AVP 0\r\n")), "unsupported", "audio codec PCMU is not supported"),
        (but(DESCRIBE=described(b"v=0\r\n")), "unsupported", "no video"),
        (but(DESCRIBE=b"RTSP/1.0 404 Not Found\r\nCSeq: %d\r\n\r\n"), "refused", "404 to DESCRIBE"),
        (but(SETUP=b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: %d\r\n\r\n"), "unsupported", "461"),
        (but(SETUP=OK + b"Session: 1\r\nTransport: RTP/AVP;unicast;client_port=1-2\r\n\r\n"), "unsupported", "TCP"),
        (but(SETUP=PLAIN_ANSWER), "protocol", "session"),
        (but(PLAY=b"RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: %d\r\n\r\n"), "refused", "453"),
        (but(PLAY=PLAIN_ANSWER + KEY + b"garbage that is neither"), "protocol", ""),
        (but(PLAY=PLAIN_ANSWER + KEY + b"$\0\0\x05short"), "protocol", "shorter"),
        (but(PLAY=PLAIN_ANSWER + KEY + b"$\1\0\x04\x80\xc8\xff\xff"), "protocol", "cut short"),
        (but(PLAY=PLAIN_ANSWER + KEY), "stalled", "no picture"),
        (but(PLAY=PLAIN_ANSWER + OTHER_SOURCES), "protocol", ""),
        (but(PLAY=PLAIN_ANSWER + KEY + b"$\1\0\x08" + bytes.fromhex("81cb000100000007")), "closed", "goodbye"),
        ({key: value for key, value in HONEST.items() if key != b"DESCRIBE"}, "stalled", "no answer to DESCRIBE"),
    ],
)
async def test_bad_server_ends_in_its_interruption(answers: dict[bytes, bytes], cause: str, says: str) -> None:
    async with serving(answers) as url, watching(url, settings=QUICK) as memory:
        await memory.until(lambda: bool(memory.interruptions))
    assert memory.interruptions[0][0] == cause
    assert says in memory.interruptions[0][1]


async def test_endless_restarts_end_the_connection() -> None:
    async with serving(but(PLAY=PLAIN_ANSWER + OTHER_SOURCES)) as url, watching(url, settings=replace(QUICK, stall_s=30)) as memory:
        await memory.until(lambda: any("without end" in detail for _, detail in memory.interruptions))
    assert all(unit.is_key for unit in memory.units)


async def test_unanswered_keepalives_are_forgiven_while_pictures_come() -> None:
    follow = b"".join(b"$\0\0\x10" + struct.pack("!BBHII", 0x80, 0xE0, at, at * 3600, 7) + b"\x65\x80\x01\x02" for at in range(2, 61))
    short = SET_UP.replace(b"timeout=30", b"timeout=1")
    async with (
        serving(but(SETUP=short, PLAY=PLAIN_ANSWER + KEY + follow)) as url,
        watching(url, settings=replace(QUICK, stall_s=1.5)) as memory,
    ):
        await memory.until(lambda: bool(memory.interruptions))
    assert memory.interruptions[0] == ("stalled", "no picture for 1.5 s")
    assert len(memory.units) == 60


async def test_server_may_ask_and_packets_may_overtake_the_answer() -> None:
    asks = b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n"
    async with serving(but(PLAY=asks + KEY + PLAIN_ANSWER)) as url, watching(url) as memory:
        await memory.until(lambda: bool(memory.units))
    assert memory.events[:2] == ["formats", "unit"]
    assert memory.units[0].payloads == (b"\x65\x80\x01\x02",)


async def test_unsupported_sound_leaves_the_picture(caplog: pytest.LogCaptureFixture) -> None:
    sdp = SDP + b"m=audio 0 RTP/AVP 8\r\na=control:a\r\n"
    with caplog.at_level(logging.INFO):
        async with serving(but(DESCRIBE=described(sdp), PLAY=PLAIN_ANSWER + KEY)) as url, watching(url) as memory:
            await memory.until(lambda: bool(memory.units))
    assert len(memory.formats[0]) == 1
    assert "audio codec PCMA is not supported yet by this adapter" in caplog.text


async def test_nobody_listens_and_the_password_stays_unsaid(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HONEST) as url:
        pass
    with caplog.at_level(logging.DEBUG):
        async with watching(url.replace("//", "//admin:geheim@") + "?token=geheim") as memory:
            await memory.until(lambda: bool(memory.interruptions))
    assert memory.causes[0] == "refused"
    assert "geheim" not in caplog.text + str(memory.interruptions)


async def test_fault_of_the_sink_is_not_taken_for_the_cameras() -> None:
    class Broken(Memory):
        def on_unit(self, unit: object) -> None:
            raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    seen: list[str] = []
    note: Callable[[asyncio.AbstractEventLoop, dict[str, object]], None] = lambda _, context: seen.append(str(context["message"]))  # noqa: E731
    loop.set_exception_handler(note)
    async with serving(but(PLAY=PLAIN_ANSWER + KEY)) as url:
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(RtspCamera(url, clock=SteadyClock(), settings=QUICK).run(Broken()), 20)
    assert seen
