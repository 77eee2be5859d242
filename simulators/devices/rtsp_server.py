"""The RTSP side of simulated cameras: one connection's requests, logins and sessions (RFC 2326, 7616).

Guarantees: bounded input; every request is answered in order; a session that its client no longer asks about ends. What a camera
sends and which faults it has is not decided here.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from simulators.devices.clock import monotonic_ns
from simulators.devices.rtp_sender import AUDIO_TYPE, VIDEO_TYPE, Outlet

MAX_INPUT_BYTES = 64 << 10
REALM = "camera"
METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
SECOND_NS = 1_000_000_000

_HASHES: dict[str, Callable[[bytes], str]] = {
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may watch. Without a user everybody may. `nonce_s`: how long a nonce is good."""

    user: str = ""
    password: str = field(default="", repr=False)
    algorithms: tuple[str, ...] = ("MD5",)
    offers_basic_only: bool = False
    nonce_s: float = 300.0


class Viewer:
    """A session of one client with one camera. `joins_at_key`: the first picture must be a keyframe."""

    def __init__(self, name: str, camera: "Served") -> None:
        self.name = name
        self.camera = camera
        self.video: Outlet | None = None
        self.audio: Outlet | None = None
        self.is_playing = False
        self.waits_for_key = False


class Served(Protocol):
    """What the server asks of a camera."""

    number: int
    has_sound: bool

    def description(self) -> str:
        """Return the SDP."""

    def refusal(self) -> str:
        """Return the status line of a fault that refuses everything, or ""."""

    def outlet(self, kind: int, transport: asyncio.Transport) -> Outlet:
        """Return a new way out for a track."""

    def join(self, viewer: Viewer, connection: "Connection") -> None:
        """Begin to send."""

    def leave(self, viewer: Viewer, reason: str) -> None:
        """Stop sending."""


class Host(Protocol):
    """What the server asks of the farm."""

    guard: Guard
    session_s: float
    connections: "set[Connection]"

    def camera(self, number: int) -> Served | None:
        """Return a camera by its number."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; header names in lower case."""

    method: str
    url: str
    headers: dict[str, str]

    @property
    def number(self) -> int:
        """Return the camera that the address names, -1 for none."""
        found = re.search(r"/cam/(\d{1,6})(?:/|\?|$)", self.url)
        return int(found[1]) if found else -1


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._input = bytearray()
        self._nonce = ""
        self._nonce_ns = 0
        self._seen_ns = 0
        self.viewer: Viewer | None = None
        self.transport: asyncio.Transport
        self.peer = ""
        self.control_packets: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Enter the farm's list."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        host, port, *_ = transport.get_extra_info("peername") or ("", 0)
        self.peer = f"{host}:{port}"
        self._seen_ns = monotonic_ns()
        self._host.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the farm's list."""
        self._host.connections.discard(self)
        self._end("connection lost")

    def data_received(self, data: bytes) -> None:
        """Take requests and the client's control packets."""
        buffer = self._input
        buffer += data
        while len(buffer) >= 4:
            taken = self._take_packet(buffer) if buffer[0] == 36 else self._take_request(buffer)
            if not taken:
                break
            del buffer[:taken]
        if len(buffer) > MAX_INPUT_BYTES:
            self.transport.abort()

    def expire(self, now_ns: int) -> None:
        """Close when the client has not asked anything for the session's time (TCP sessions included, as many cameras do)."""
        if self.viewer is not None and now_ns - self._seen_ns > self._host.session_s * SECOND_NS:
            self._end("session timed out")
            self.transport.close()

    def _take_packet(self, buffer: bytearray) -> int:
        size = 4 + (buffer[2] << 8 | buffer[3])
        if len(buffer) < size:
            return 0
        self.control_packets = [*self.control_packets[-7:], bytes(buffer[4:size])]
        return size

    def _take_request(self, buffer: bytearray) -> int:
        end = buffer.find(b"\r\n\r\n", 0, MAX_INPUT_BYTES)
        if end < 0:
            return 0
        lines = buffer[:end].decode("utf-8", "replace").lstrip().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = headers.get("content-length", "0")
        total = end + 4 + (int(length) if length.isdigit() and len(length) < 6 else 0)
        if len(buffer) < total:
            return 0
        parts = lines[0].split(" ")
        if len(parts) != 3:
            self._answer(headers, "400 Bad Request")
        else:
            self._seen_ns = monotonic_ns()
            self._handle(Request(parts[0], parts[1], headers))
        return total

    def _handle(self, request: Request) -> None:
        camera = self._host.camera(request.number)
        if camera is None:
            return self._answer(request.headers, "404 Not Found")
        refusal = camera.refusal()
        if refusal:
            return self._answer(request.headers, refusal, *(self._challenges(is_stale=False) if refusal.startswith("401") else ()))
        if not self._is_allowed(request):
            return None
        handler = {
            "OPTIONS": self._options, "DESCRIBE": self._describe, "SETUP": self._set_up, "PLAY": self._play,
            "GET_PARAMETER": self._alive, "SET_PARAMETER": self._alive, "TEARDOWN": self._tear_down,
        }.get(request.method)  # fmt: skip
        if handler is None:
            return self._answer(request.headers, "405 Method Not Allowed", f"Allow: {METHODS}")
        return handler(request, camera)

    def _answer(self, headers: dict[str, str], status: str, *more: str, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {headers.get('cseq', '0')}", "Server: Portwitness simulated camera", *more]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _options(self, request: Request, camera: Served) -> None:
        self._answer(request.headers, "200 OK", f"Public: {METHODS}")

    def _describe(self, request: Request, camera: Served) -> None:
        base = f"Content-Base: {request.url.rstrip('/')}/"
        self._answer(request.headers, "200 OK", base, "Content-Type: application/sdp", body=camera.description())

    def _set_up(self, request: Request, camera: Served) -> None:
        track = re.search(r"track=(\d)$", request.url)
        if track is None or track[1] not in ("0", "1") or (track[1] == "1" and not camera.has_sound):
            return self._answer(request.headers, "404 Not Found")
        kind = AUDIO_TYPE if track[1] == "1" else VIDEO_TYPE
        outlet = camera.outlet(kind, self.transport)
        agreed = _agree(request.headers.get("transport", ""), outlet, self.peer.rpartition(":")[0])
        if not agreed:
            return self._answer(request.headers, "461 Unsupported Transport")
        if self.viewer is None or self.viewer.camera is not camera:
            self._end("another camera")
            self.viewer = Viewer(secrets.token_hex(6), camera)
        if kind == AUDIO_TYPE:
            self.viewer.audio = outlet
        else:
            self.viewer.video = outlet
        return self._answer(
            request.headers, "200 OK", f"Transport: {agreed};ssrc={outlet.ssrc:08X}", f"{self._session};timeout={self._host.session_s:.0f}"
        )

    def _play(self, request: Request, camera: Served) -> None:
        if not self._has_session(request) or self.viewer is None:
            return self._answer(request.headers, "454 Session Not Found")
        self._answer(request.headers, "200 OK", self._session, "Range: npt=now-")
        return camera.join(self.viewer, self)

    def _alive(self, request: Request, camera: Served) -> None:
        if not self._has_session(request):
            return self._answer(request.headers, "454 Session Not Found")
        return self._answer(request.headers, "200 OK", self._session)

    def _tear_down(self, request: Request, camera: Served) -> None:
        self._answer(request.headers, "200 OK")
        self._end("torn down")
        self.transport.close()

    @property
    def _session(self) -> str:
        return f"Session: {self.viewer.name if self.viewer else ''}"

    def _has_session(self, request: Request) -> bool:
        return self.viewer is not None and request.headers.get("session", "").partition(";")[0].strip() == self.viewer.name

    def _end(self, reason: str) -> None:
        viewer, self.viewer = self.viewer, None
        if viewer is not None:
            viewer.camera.leave(viewer, reason)

    # ------------------------------------------------------------------ login

    def _is_allowed(self, request: Request) -> bool:
        guard = self._host.guard
        if not guard.user or request.method == "OPTIONS":
            return True
        given = request.headers.get("authorization", "")
        is_right = given.startswith("Digest ") and self._is_right(request.method, dict(re.findall(r'(\w+)="?([^",]*)"?', given)))
        is_fresh = monotonic_ns() - self._nonce_ns < guard.nonce_s * SECOND_NS
        if is_right and is_fresh:
            return True
        self._answer(request.headers, "401 Unauthorized", *self._challenges(is_stale=is_right))
        return False

    def _is_right(self, method: str, given: dict[str, str]) -> bool:
        guard = self._host.guard
        digest = _HASHES.get(given.get("algorithm", "MD5"))
        if digest is None or given.get("algorithm", "MD5") not in guard.algorithms or given.get("nonce") != self._nonce:
            return False
        secret = digest(f"{guard.user}:{REALM}:{guard.password}".encode())
        request = digest(f"{method}:{given.get('uri', '')}".encode())
        middle = f"{self._nonce}:{given['nc']}:{given.get('cnonce', '')}:auth" if "nc" in given else self._nonce
        expected = digest(f"{secret}:{middle}:{request}".encode())
        return secrets.compare_digest(expected, given.get("response", "")) and given.get("username") == guard.user

    def _challenges(self, *, is_stale: bool) -> list[str]:
        guard = self._host.guard
        if guard.offers_basic_only:
            return [f'WWW-Authenticate: Basic realm="{REALM}"']
        self._nonce, self._nonce_ns = secrets.token_hex(16), monotonic_ns()
        stale = ", stale=true" if is_stale else ""
        head = f'WWW-Authenticate: Digest realm="{REALM}", nonce="{self._nonce}", qop="auth"{stale}'
        return [f"{head}, algorithm={name}" for name in guard.algorithms]


def _agree(transport: str, outlet: Outlet, peer: str) -> str:
    """Fill in the outlet from what the client wants; return the answer, empty when it cannot be done."""
    channels = re.search(r"interleaved=(\d{1,3})", transport)
    if channels or "RTP/AVP/TCP" in transport:
        outlet.channel = min(int(channels[1]) if channels else 2 * (outlet.kind - VIDEO_TYPE), 254)
        outlet.udp = None
        return f"RTP/AVP/TCP;unicast;interleaved={outlet.channel}-{outlet.channel + 1}"
    ports = re.search(r"client_port=(\d{1,5})-(\d{1,5})", transport)
    if ports is None or outlet.udp is None or max(int(ports[1]), int(ports[2])) > 65535:
        return ""
    # Only ever back to who asked.
    outlet.address = (peer, int(ports[1]), int(ports[2]))
    own = "-".join(str(end.getsockname()[1]) for end in outlet.udp)
    return f"RTP/AVP;unicast;client_port={ports[1]}-{ports[2]};server_port={own}"
