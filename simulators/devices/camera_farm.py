"""Many simulated RTSP cameras in one asyncio thread, at rtsp://127.0.0.1:PORT/cam/N, over TCP and UDP, with faults on demand.

Guarantees: footage loops without a seam in its timestamps; pictures leave when they are due on the monotonic clock; what was
handed to the network, and every fault, is in the ledger. Use `Farm` as an async context manager.
"""

import asyncio
import base64
import secrets
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from protocol.errors import UnavailableError
from simulators.devices.camera_faults import Fault
from simulators.devices.clock import monotonic_ns, wall_ns
from simulators.devices.footage import HZ, AccessUnit, Footage, LiveEncoder, Synthetic
from simulators.devices.ledger import FLUSH_S, MAX_RUN, LedgerWriter, Run, now
from simulators.devices.rtp_sender import AUDIO_TYPE, VIDEO_TYPE, Outlet, picture_payloads, sound_payload
from simulators.devices.rtsp_server import Connection, Guard, Viewer

SECOND_NS = 1_000_000_000
REPORT_NS = SECOND_NS
HOUSEKEEPING_S = 0.25
GARBAGE_BYTES = 512
RESTART_TICKS = 1_000_000_007  # about three hours
MAX_SOUND_FRAMES = 4  # in one packet
LOOP_STAGGER = 0.37  # of a second between the phases of neighbours
PICTURE_STAGGER = 0.618  # of a picture, so that cameras do not send at once


@dataclass(frozen=True, slots=True)
class FarmPlan:
    """What a farm is. `alternatives`: footage for the faults `resolution` and `bframes`. `live`: encode instead of looping."""

    footage: Footage
    cameras: int = 1
    port: int = 0
    guard: Guard = field(default_factory=Guard)
    faults: tuple[Fault, ...] = ()
    alternatives: dict[str, Footage] = field(default_factory=dict)
    live: Synthetic | None = None
    session_s: float = 60.0
    joins_at_key: bool = False
    announces_sets: bool = True
    seed: int = 1


@dataclass(frozen=True)
class _Reel:
    """Footage with its packets' payloads, shared by all cameras."""

    footage: Footage
    payloads: tuple[tuple[bytes, ...], ...]


def _reel(footage: Footage) -> _Reel:
    return _Reel(footage, tuple(picture_payloads(unit.nals) for unit in footage.units))


class Camera:
    """One camera: a clock of its own, a place in its footage, its clients and its faults."""

    def __init__(self, number: int, farm: "Farm", reel: _Reel, live: LiveEncoder | None) -> None:
        self.number = number
        self.has_sound = reel.footage.sound is not None and live is None
        self.faults: dict[str, float] = {}
        self.viewers: dict[Viewer, Connection] = {}
        self.frames_sent = 0
        self._farm = farm
        self._reel = reel
        self._first = reel
        self._live = live
        self._n = 0  # pictures since the start
        self._base_n = 0  # the picture with which the reel began
        self._base_ticks = 0  # and its time in 1/90000 s
        self._offset = secrets.randbits(32)
        self._sound_offset = secrets.randbits(32)
        self._sound_n = 0
        self._start_ns = 0
        self._slow_until_ns = 0
        self._late: deque[tuple[int, int, _Reel, int]] = deque()
        self._skew_began_ns = 0
        self._run: Run | None = None
        self._last_pts = 0
        self._timer: asyncio.TimerHandle | None = None
        self._chance = np.random.default_rng((farm.plan.seed, number))

    # ------------------------------------------------------------------ what the server asks

    def description(self) -> str:
        """Return the SDP."""
        footage = self._reel.footage
        sets = ",".join(base64.b64encode(nal).decode() for nal in (footage.sps, footage.pps))
        sprop = f";sprop-parameter-sets={sets}" if self._farm.plan.announces_sets else ""
        lines = [
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", f"s=camera {self.number}", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*",
            f"m=video 0 RTP/AVP {VIDEO_TYPE}", f"a=rtpmap:{VIDEO_TYPE} H264/90000",
            f"a=fmtp:{VIDEO_TYPE} packetization-mode=1;profile-level-id={footage.sps[1:4].hex()}{sprop}",
            f"a=framerate:{footage.fps:g}", "a=control:track=0",
        ]  # fmt: skip
        sound = footage.sound
        if sound is not None and self.has_sound:
            lines += [
                f"m=audio 0 RTP/AVP {AUDIO_TYPE}", f"a=rtpmap:{AUDIO_TYPE} mpeg4-generic/{sound.frequency}/{sound.channels}",
                f"a=fmtp:{AUDIO_TYPE} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;"
                f"config={sound.config.hex()}", "a=control:track=1",
            ]  # fmt: skip
        return "\r\n".join(lines) + "\r\n"

    def refusal(self) -> str:
        """Return the status of a fault that refuses everything, or ""."""
        if "refuse" in self.faults:
            return "503 Service Unavailable"
        return "401 Unauthorized" if "unauthorized" in self.faults else ""

    def outlet(self, kind: int, transport: asyncio.Transport) -> Outlet:
        """Return a new way out for a track."""
        return Outlet(kind, secrets.randbits(32), secrets.randbits(16), transport, udp=self._farm.udp)

    def join(self, viewer: Viewer, connection: Connection) -> None:
        """Begin to send."""
        if viewer not in self.viewers:
            self._end_run()
            viewer.is_playing = True
            viewer.waits_for_key = self._farm.plan.joins_at_key
            self.viewers[viewer] = connection
            self._farm.ledger.note("connect", cam=self.number, peer=connection.peer)

    def leave(self, viewer: Viewer, reason: str) -> None:
        """Stop sending."""
        connection = self.viewers.pop(viewer, None)
        if connection is not None:
            self._end_run()
            self._farm.ledger.note("disconnect", cam=self.number, peer=connection.peer, reason=reason)

    # ------------------------------------------------------------------ sending

    def start(self, start_ns: int) -> None:
        """Begin to film; the phases of neighbours differ."""
        footage = self._reel.footage
        if self._live is None:
            self._n = int(self.number * LOOP_STAGGER * footage.fps) % len(footage.units)
            while not footage.units[self._n].is_key:
                self._n -= 1
        self._start_ns = start_ns + int(self.number * PICTURE_STAGGER % 1 * SECOND_NS / footage.fps)
        self._start_ns -= self._ticks(self._n) * SECOND_NS // HZ
        self._sound_n = self._sound_due(start_ns)
        self._schedule()

    def stop(self) -> None:
        """Stop filming."""
        if self._timer is not None:
            self._timer.cancel()
        self._late.clear()
        self._end_run()

    def begin(self, kind: str, value: float) -> None:
        """Begin a fault."""
        self._end_run()
        self._farm.ledger.note("fault_begin", cam=self.number, kind=kind)
        self.faults[kind] = value
        if kind in ("refuse", "unauthorized", "close", "offline"):
            for connection in list(self.viewers.values()):
                connection.transport.abort()
        elif kind == "restart":
            self._offset += RESTART_TICKS
            self._sound_offset += RESTART_TICKS
        elif kind in ("resolution", "bframes"):
            self._change(self._farm.alternative(kind))
        elif kind == "skew":
            self._skew_began_ns = monotonic_ns()

    def end(self, kind: str) -> None:
        """End a fault."""
        self._end_run()
        if self.faults.pop(kind, None) is not None:
            self._farm.ledger.note("fault_end", cam=self.number, kind=kind)
        if kind in ("resolution", "bframes"):
            self._change(self._first)

    def _change(self, reel: _Reel) -> None:
        # Behind everything that reordered pictures of the old reel were shown at.
        self._base_ticks = self._ticks(self._n) + max(unit.pts - unit.dts for unit in self._reel.footage.units)
        self._base_n = self._n
        self._reel = reel

    def _ticks(self, n: int) -> int:
        """Return when picture n is due, in 1/90000 s since the start."""
        footage = self._reel.footage
        loops, at = divmod(n - self._base_n, len(footage.units))
        return self._base_ticks + loops * footage.duration + footage.units[at].dts

    def _schedule(self) -> None:
        due_ns = self._start_ns + self._ticks(self._n) * SECOND_NS // HZ
        self._timer = self._farm.loop.call_later(max(0.0, (due_ns - monotonic_ns()) / SECOND_NS), self._tick)

    def _tick(self) -> None:
        n, self._n = self._n, self._n + 1
        reel, ticks = self._reel, self._ticks(n)
        index = (n - self._base_n) % len(reel.footage.units)
        at_ns = monotonic_ns()
        if self.viewers and "stall" not in self.faults:
            delay_s = self.faults.get("slow", 0.0)
            if delay_s or self._late:
                self._slow_until_ns = max(self._slow_until_ns, at_ns + int(delay_s * SECOND_NS))
                self._late.append((n, index, reel, ticks))
                self._farm.loop.call_later((self._slow_until_ns - at_ns) / SECOND_NS, self._send_late)
            else:
                self._send(n, index, reel, ticks)
        else:
            self._sound_n = self._sound_due(at_ns)
        self._schedule()

    def _send_late(self) -> None:
        # Timers of the same moment may fire in any order; pictures must not.
        if self._late:
            self._send(*self._late.popleft())

    def _send(self, n: int, index: int, reel: _Reel, due_ticks: int) -> None:
        unit, payloads = self._picture(n, index, reel)
        if not payloads:
            return
        timestamp = self._offset + due_ticks + unit.pts - unit.dts
        sounds = self._sounds(monotonic_ns())
        clients, is_whole = 0, True
        for viewer, connection in list(self.viewers.items()):
            if viewer.waits_for_key and not unit.is_key:
                continue
            viewer.waits_for_key = False
            if viewer.video is not None:
                clients += 1
                self._garble(connection)
                self._report(viewer.video, timestamp)
                is_whole &= viewer.video.send(payloads, timestamp, self._loses)
            if viewer.audio is not None:
                self._speak(viewer.audio, sounds)
        if clients:
            self.frames_sent += 1
            self._log(n, index, unit, timestamp, clients, is_whole, reel)

    def _speak(self, outlet: Outlet, sounds: list[tuple[int, tuple[bytes]]]) -> None:
        for timestamp, payloads in sounds:
            self._report(outlet, timestamp)
            outlet.send(payloads, timestamp, self._loses)

    def _picture(self, n: int, index: int, reel: _Reel) -> tuple[AccessUnit, tuple[bytes, ...]]:
        if self._live is None:
            return reel.footage.units[index], reel.payloads[index]
        unit = self._live.encode(n, wall_ns() // 1_000_000)
        return unit, picture_payloads(unit.nals)

    @property
    def _loses(self) -> Callable[[], bool] | None:
        chance = self.faults.get("loss")
        return None if chance is None else lambda: bool(self._chance.random() < chance)

    def _garble(self, connection: Connection) -> None:
        if "garbage" in self.faults:
            connection.transport.write(self._chance.bytes(GARBAGE_BYTES))

    def _sound_due(self, at_ns: int) -> int:
        sound = self._reel.footage.sound
        return 0 if sound is None else max(0, at_ns - self._start_ns) * sound.frequency // (1024 * SECOND_NS)

    def _sounds(self, at_ns: int) -> list[tuple[int, tuple[bytes]]]:
        """Return timestamps and payloads of the sound since the last picture."""
        sound = self._reel.footage.sound
        if sound is None or not self.has_sound:
            return []
        first, self._sound_n = self._sound_n, max(self._sound_n, self._sound_due(at_ns))
        packets: list[tuple[int, tuple[bytes]]] = []
        for start in range(first, self._sound_n, MAX_SOUND_FRAMES):
            numbers = range(start, min(start + MAX_SOUND_FRAMES, self._sound_n))
            payload = sound_payload([sound.frames[at % len(sound.frames)] for at in numbers])
            packets.append((self._sound_offset + start * 1024, (payload,)))
        return packets

    def _report(self, outlet: Outlet, timestamp: int) -> None:
        at_ns = monotonic_ns()
        if at_ns - outlet.reported_ns >= REPORT_NS and "no_reports" not in self.faults:
            outlet.reported_ns = at_ns
            outlet.report(self.device_ns(), timestamp)

    def device_ns(self) -> int:
        """Return the camera's own wall clock with its faults."""
        wall = wall_ns() + int(self.faults.get("step", 0.0) * SECOND_NS)
        if "skew" in self.faults:
            wall += int((monotonic_ns() - self._skew_began_ns) * self.faults["skew"] / 1e6)
        return wall

    # ------------------------------------------------------------------ the ledger

    def _log(self, n: int, index: int, unit: AccessUnit, pts: int, clients: int, is_whole: bool, reel: _Reel) -> None:  # noqa: PLR0913
        run = self._run
        if run is not None and (unit.is_key or run.clients != clients or run.n + len(run.at_us) != n or len(run.at_us) >= MAX_RUN):
            self._end_run()
            run = None
        if run is None:
            name = "live" if self._live else reel.footage.name
            run = self._run = Run(self.number, name, n, index if self._live is None else n, pts, clients, now())
            self._last_pts = pts
        run.at_us.append((monotonic_ns() - run.began[1]) // 1000)
        run.pts_steps.append(pts - self._last_pts)
        self._last_pts = pts
        if not is_whole:
            run.damaged.append(len(run.at_us) - 1)

    def _end_run(self) -> None:
        if self._run is not None:
            self._farm.ledger.write(self._run)
            self._run = None


class Farm:
    """A set of cameras behind one port."""

    def __init__(self, plan: FarmPlan, ledger: LedgerWriter | None = None) -> None:
        self.plan = plan
        self.guard = plan.guard
        self.session_s = plan.session_s
        self.connections: set[Connection] = set()
        self.ledger = ledger or LedgerWriter(None)
        self.cameras: list[Camera] = []
        self.port = plan.port
        self.udp: tuple[socket.socket, socket.socket]
        self.loop: asyncio.AbstractEventLoop
        self._reels: dict[str, _Reel] = {}
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = ExitStack()

    async def __aenter__(self) -> Self:
        self.loop = asyncio.get_running_loop()
        self.udp = self._open.enter_context(_udp_socket()), self._open.enter_context(_udp_socket())
        await self._listen()
        self.ledger.note("start", program="camera", cameras=self.plan.cameras, port=self.port)
        for footage in (self.plan.footage, *self.plan.alternatives.values()):
            self.ledger.describe(footage)
        reel = _reel(self.plan.footage)
        self._reels = {kind: _reel(footage) for kind, footage in self.plan.alternatives.items()}
        live = self.plan.live
        self.cameras = [Camera(number, self, reel, LiveEncoder(live) if live else None) for number in range(self.plan.cameras)]
        start_ns = monotonic_ns()
        for camera in self.cameras:
            camera.start(start_ns)
        for fault in self.plan.faults:
            self._timers.append(self.loop.call_later(fault.at_s, self.begin, fault))
        self._keeper = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for timer in self._timers:
            timer.cancel()
        for camera in self.cameras:
            camera.stop()
        tasks = [task for task in (self._keeper, *self._tasks) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._silence()
        self._open.close()

    def camera(self, number: int) -> Camera | None:
        """Return a camera by its number."""
        return self.cameras[number] if 0 <= number < len(self.cameras) else None

    def url(self, number: int) -> str:
        """Return a camera's address, without credentials."""
        return f"rtsp://127.0.0.1:{self.port}/cam/{number}"

    def alternative(self, kind: str) -> _Reel:
        """Return the footage for a fault.

        Raises UnavailableError when the plan has none.
        """
        if kind not in self._reels:
            raise UnavailableError(f"no footage for the fault {kind}: give it in the plan's alternatives")
        return self._reels[kind]

    def begin(self, fault: Fault) -> None:
        """Begin a fault now; it ends by itself after its time."""
        for camera in self._meant(fault):
            camera.begin(fault.kind, fault.strength)
        if fault.kind == "offline":
            self._later(self._silence())
        self._timers.append(self.loop.call_later(fault.seconds, self.end, fault))

    def end(self, fault: Fault) -> None:
        """End a fault now."""
        meant = [camera for camera in self._meant(fault) if fault.kind in camera.faults]
        for camera in meant:
            camera.end(fault.kind)
        if fault.kind == "offline" and meant:
            self._later(self._listen())

    def _meant(self, fault: Fault) -> list[Camera]:
        return [camera for camera in self.cameras if fault.cam is None or camera.number == fault.cam]

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        self._server = await self.loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _silence(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()
        self._server = None

    async def _keep(self) -> None:
        flushed_ns = 0
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            at_ns = monotonic_ns()
            for connection in list(self.connections):
                connection.expire(at_ns)
            if at_ns - flushed_ns > FLUSH_S * SECOND_NS:
                flushed_ns = at_ns
                self.ledger.flush()


def _udp_socket() -> socket.socket:
    end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    end.setblocking(False)
    end.bind(("127.0.0.1", 0))
    return end
