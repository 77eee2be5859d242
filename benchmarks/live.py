"""Measure live fan-out against Janus: CPU per viewer and lateness, both servers fed and watched the same way in one run.

Server on core 0; source and viewers on core 1; no TLS but DTLS-SRTP (AES-CM, as Chromium picks); nothing is stored. Janus gets
plain RTP, the cheapest input it has; Portwitness takes the same pictures by WHIP, decryption included. The viewers are light
ones: real ICE and DTLS, no receiver reports.

    python -m benchmarks.live --json
"""

import argparse
import asyncio
import json
import logging
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import httpx
import psutil

from firmware_adapters.abilities import MediaUnit, TrackFormat
from firmware_adapters.rtsp import RtspCamera
from firmware_adapters.webrtc import Feed, MediaPeers, WhepViewer, install_hooks
from firmware_adapters.webrtc_packets import packetize
from simulators.devices.footage import HZ, Footage, Synthetic, synthesize
from simulators.devices.ledger import LedgerWriter, Run, now
from simulators.devices.viewer import LightViewer, SwarmReport, count, gather_viewers
from storage.clock import SystemClock

CACHE = Path(tempfile.gettempdir()) / "portwitness-footage"
PLAN = Synthetic(width=1280, height=720, fps=25, seconds=10, kbit=2000, gop=50)
SERVER_CORE, LOAD_CORE = 0, 1
LINE_LIMIT = 1 << 20
SETTLE_S = 3.0
NICENESS = -15  # where allowed, for both servers: what else runs here is not what is measured
SOURCE_NICENESS = -20  # a source that waits for the viewers beside it would make its server look late
IS_QUIET = os.geteuid() == 0


# --------------------------------------------------------------------------------------------- our server, a process


async def serve() -> None:
    """Answer offers that come as JSON lines on standard input."""
    install_hooks()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    feed, viewers, clock = Feed(), list[WhepViewer](), SystemClock()
    filming: list[asyncio.Task[None]] = []
    async with MediaPeers(clock) as peers:
        while line := await reader.readline():
            request = json.loads(line)
            if request["do"] == "ingest":
                reply: dict[str, Any] = {"sdp": await peers.ingest(feed).answer(request["sdp"])}
            elif request["do"] == "camera":
                camera = RtspCamera(request["url"], clock=clock, username=request["username"], password=request["password"])
                filming.append(asyncio.create_task(camera.run(feed)))
                reply = {}
            elif request["do"] == "view":
                viewers.append(peers.viewer(feed))
                reply = {"sdp": await viewers[-1].answer(request["sdp"])}
            else:
                counts = [viewer.sender.counts() for viewer in viewers]
                reply = {"dropped": sum(each["dropped"] for each in counts), "lost_in": feed.lost, "frames": feed.frames}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()
        for task in filming:
            task.cancel()


class Server:
    """Our server as the load sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, **request: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        reply: dict[str, Any] = json.loads(line)
        return reply


@asynccontextmanager
async def process_on(
    core: int | str, *command: str, piped: bool = True, niceness: int = NICENESS
) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *(("nice", "-n", str(niceness)) if IS_QUIET else ()),
        "taskset",
        "-c",
        str(core),
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=None if piped else asyncio.subprocess.DEVNULL,
        limit=LINE_LIMIT,
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


def source(role: str, port: int) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "benchmarks.live", "--role", role, "--port", str(port))
    return process_on(LOAD_CORE, *command, piped=False, niceness=SOURCE_NICENESS)


# ------------------------------------------------------------------------------------------------------ the sources


async def send_whip(port: int) -> None:
    """Publish as a box does, by WHIP to the load process, which hands the offer on."""
    footage, clock, feed = synthesize(PLAN, CACHE), SystemClock(), Feed()
    feed.on_formats((TrackFormat(0, "h264", HZ, (footage.sps, footage.pps)),))

    async def post(offer: str) -> tuple[str, str]:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return (await client.post(f"http://127.0.0.1:{port}/", content=offer)).text, ""

    async def delete(location: str) -> None:
        return

    loop = asyncio.get_running_loop()
    async with MediaPeers(clock) as peers, peers.publisher(feed, post, delete):
        started, base = loop.time(), 0
        while True:
            for unit in footage.units:
                await asyncio.sleep(max(0.0, started + (base + unit.dts) / HZ - loop.time()))
                feed.on_unit(MediaUnit(0, unit.nals, base + unit.pts, unit.is_key, clock.monotonic_ns()))
            base += footage.duration


async def send_rtp(port: int, ledger: LedgerWriter) -> None:
    """Send plain RTP in real time, cut as our server cuts it; the ledger gets each picture's time."""
    footage: Footage = synthesize(PLAN, CACHE)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    pictures = [(packetize(unit.nals), unit.dts) for unit in footage.units]
    loop = asyncio.get_running_loop()
    started, sequence, base, n = loop.time(), 0, 0, 0
    ledger.describe(footage)
    while True:
        for payloads, dts in pictures:
            due = started + (base + dts) / HZ
            await asyncio.sleep(max(0.0, due - loop.time()))
            for number, payload in enumerate(payloads):
                marker = 0x80 if number == len(payloads) - 1 else 0
                head = struct.pack("!BBHLL", 0x80, 96 | marker, sequence, (base + dts) & 0xFFFFFFFF, 0x5057)
                out.sendto(head + payload, ("127.0.0.1", port))
                sequence = (sequence + 1) & 0xFFFF
            ledger.write(Run(0, footage.name, n, n, base + dts, 1, now(), [0], [0]))
            ledger.flush()
            n += 1
        base += footage.duration


# ----------------------------------------------------------------------------------------------------------- Janus


def janus_settings(folder: Path, http_port: int, rtp_port: int) -> None:
    library = "/usr/lib/x86_64-linux-gnu/janus"
    (folder / "janus.jcfg").write_text(
        f'general: {{ configs_folder = "{folder}" plugins_folder = "{library}/plugins" transports_folder = "{library}/transports"\n'
        f'events_folder = "{library}/events" loggers_folder = "{library}/loggers" debug_level = 2 }}\n'
        'plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,libjanus_lua.so,libjanus_nosip.so,'
        "libjanus_recordplay.so,libjanus_sip.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_videoroom.so,"
        'libjanus_voicemail.so" }\n'
        'transports: { disable = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so,libjanus_websockets.so" }\n'
        'loggers: { disable = "libjanus_jsonlog.so" }\n'
    )
    (folder / "janus.transport.http.jcfg").write_text(
        f'general: {{ json = "compact" base_path = "/janus" http = true port = {http_port} interface = "lo" https = false }}\n'
        "admin: { admin_http = false admin_https = false }\n"
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(
        'general: { }\nlive: { type = "rtp" id = 1 audio = false video = true '
        f"videoport = {rtp_port} videopt = 96 "
        'videocodec = "h264" videofmtp = "profile-level-id=42e01f;packetization-mode=1" }\n'
    )


class Answers(Protocol):
    """A viewer that connects by the server's offer."""

    async def answer(self, offer: str) -> str: ...


class Janus:
    """Janus' HTTP interface, as far as the streaming plugin needs it."""

    def __init__(self, client: httpx.AsyncClient, port: int) -> None:
        self._client = client
        self._root = f"http://127.0.0.1:{port}/janus"
        self._keeping: list[asyncio.Task[None]] = []

    async def _say(self, path: str, **message: object) -> dict[str, Any]:
        reply = await self._client.post(self._root + path, json={"transaction": os.urandom(6).hex(), **message})
        body: dict[str, Any] = reply.json()
        return body

    async def watch(self, viewer: Answers) -> None:
        session = (await self._say("", janus="create"))["data"]["id"]
        handle = (await self._say(f"/{session}", janus="attach", plugin="janus.plugin.streaming"))["data"]["id"]
        await self._say(f"/{session}/{handle}", janus="message", body={"request": "watch", "id": 1})
        event: dict[str, Any] = {}
        while "jsep" not in event:
            event = (await self._client.get(f"{self._root}/{session}?maxev=1")).json()
        answer = await viewer.answer(event["jsep"]["sdp"])
        await self._say(f"/{session}/{handle}", janus="message", body={"request": "start"}, jsep={"type": "answer", "sdp": answer})
        self._keeping.append(asyncio.create_task(self._keep(session)))

    async def _keep(self, session: int) -> None:
        while True:
            await asyncio.sleep(20)
            await self._say(f"/{session}", janus="keepalive")

    async def wait_up(self) -> None:
        for _ in range(100):
            try:
                await self._client.get(self._root + "/info")
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return
        raise SystemExit("janus did not start")

    def close(self) -> None:
        for task in self._keeping:
            task.cancel()


# ------------------------------------------------------------------------------------------------------- measuring


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def measure(
    pid: int, number: int, seconds: float, connect: Callable[[LightViewer], Awaitable[None]]
) -> tuple[SwarmReport, dict[str, float]]:
    viewers = await gather_viewers(number, connect)
    await asyncio.sleep(SETTLE_S)
    process = psutil.Process(pid)
    before = process.cpu_times()
    report = await count(viewers, seconds)
    after = process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / seconds * 100
    memory = process.memory_full_info().pss / 1e6
    await asyncio.gather(*(viewer.close() for viewer in viewers))
    return report, {"cpu_percent": round(cpu, 2), "cpu_percent_per_viewer": round(cpu / number, 4), "pss_mb": round(memory, 1)}


async def measure_ours(number: int, seconds: float) -> dict[str, Any]:
    async with process_on(SERVER_CORE, sys.executable, "-m", "benchmarks.live", "--role", "serve") as process:
        server = Server(process)

        async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            answer = (await server.ask(do="ingest", sdp=(await reader.readexactly(length)).decode()))["sdp"].encode()
            writer.write(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
            await writer.drain()
            writer.close()

        async def watch(viewer: LightViewer) -> None:
            await viewer.watch(exchange)

        async def exchange(offer: str) -> str:
            return str((await server.ask(do="view", sdp=offer))["sdp"])

        door = await asyncio.start_server(hand_on, "127.0.0.1", 0)
        port = door.sockets[0].getsockname()[1]
        async with door, source("whip", port):
            for _ in range(200):
                if (await server.ask(do="stat"))["frames"] > PLAN.gop:
                    break
                await asyncio.sleep(0.1)
            report, cost = await measure(server.pid, number, seconds, watch)
            return {**asdict(report), **cost, **await server.ask(do="stat")}


async def measure_janus(number: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        http_port, rtp_port = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
        janus_settings(Path(name), http_port, rtp_port)
        async with (
            process_on(SERVER_CORE, "janus", "-F", name, piped=False) as process,
            source("rtp", rtp_port),
            httpx.AsyncClient(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=20)) as client,
        ):
            janus = Janus(client, http_port)
            await janus.wait_up()
            try:
                report, cost = await measure(process.pid, number, seconds, janus.watch)
            finally:
                janus.close()
            return {**asdict(report), **cost}


async def compare(number: int, seconds: float, rounds: int) -> dict[str, Any]:
    synthesize(PLAN, CACHE)
    os.sched_setaffinity(0, {LOAD_CORE})
    if IS_QUIET:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS + 10)
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(await measure_ours(number, seconds))
        if shutil.which("janus"):
            theirs.append(await measure_janus(number, seconds))
    result: dict[str, Any] = {"benchmark": "live", "viewers": number, "seconds": seconds, "ours": ours, "janus": theirs}
    if theirs:
        ratios = [a["cpu_percent_per_viewer"] / b["cpu_percent_per_viewer"] for a, b in zip(ours, theirs, strict=True)]
        result["cpu_ratio"] = round(sum(ratios) / len(ratios), 3)
        result["cpu_ratio_worst"] = round(max(ratios), 3)
    result["quiet"] = IS_QUIET
    result["late_p50_ms"] = round(max(each["late_p50_ms"] for each in ours), 2)
    result["late_p99_ms"] = round(max(each["late_p99_ms"] for each in ours), 2)
    result["compared"] = bool(theirs)
    result["ok"] = (
        result["compared"] and result["cpu_ratio"] <= 0.75 and result["late_p99_ms"] <= 25 and all(each["lost"] == 0 for each in ours)
    )
    return result


async def play_role(role: str, port: int, ledger: Path | None) -> None:
    if role == "serve":
        await serve()
    elif role == "whip":
        await send_whip(port)
    else:
        with LedgerWriter(ledger) as writer:
            await send_rtp(port, writer)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.live --json")
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    parser.add_argument("--role", choices=("serve", "whip", "rtp"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--ledger", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    logging.getLogger("aiortc").setLevel(logging.ERROR)
    if args.role:
        asyncio.run(play_role(args.role, args.port, args.ledger))
        return 0
    result = asyncio.run(compare(args.viewers, args.seconds, args.rounds))
    if not args.json:
        print("server    CPU %/viewer  late p50 ms  late p99 ms  lost  receiving  PSS MB")
        for name, rows in (("ours", result["ours"]), ("janus", result["janus"])):
            for row in rows:
                print(
                    f"{name:8}  {row['cpu_percent_per_viewer']:12.3f}  {row['late_p50_ms']:11.1f}  {row['late_p99_ms']:11.1f}"
                    f"  {row['lost']:4}  {row['receiving']:9}  {row['pss_mb']:6.0f}"
                )
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
