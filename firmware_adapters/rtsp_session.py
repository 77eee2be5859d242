"""One session with an RTSP camera: describe, set up, play, keep alive, report, watch for silence (RFC 2326).

Guarantees: formats before units; the session ends by exactly one exception that says why; what the camera sends decides nothing
about our memory; a camera that stops answering or sending is given up after the set time.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import NoReturn

from firmware_adapters.abilities import MediaUnit, TrackFormat, UnitSink
from firmware_adapters.rtp import SECOND_NS
from firmware_adapters.rtsp_connection import InterruptedStreamError, MonotonicClock, RtspConnection
from firmware_adapters.rtsp_messages import Message
from firmware_adapters.rtsp_tracks import Track
from firmware_adapters.sdp import Media, audio_format, read_description, video_format
from protocol.errors import MalformedError, RefusedError

DEFAULT_SESSION_S = 60  # RFC 2326 12.37
LONGEST_KEEPALIVE_S = 30.0
TICKS_PER_STALL = 5  # how finely silence is noticed
MAX_TOKEN_CHARS = 256
RESTART_PAUSE_S = 10
MAX_RESTARTS = 4  # so close upon each other; every one cuts a recording

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RtspSettings:
    """How patient the adapter is; all in seconds.

    `refusal_s`: the pause after what only a person can change (login, codec); short pauses lock accounts on many cameras.
    """

    connect_s: float = 5.0
    answer_s: float = 5.0
    stall_s: float = 5.0
    backoff_first_s: float = 0.5
    backoff_limit_s: float = 10.0
    refusal_s: float = 30.0
    report_s: float = 5.0
    allows_basic: bool = False
    takes_audio: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """A camera's description, read: the tracks that we take, and why not the rest."""

    base: str
    control: str
    formats: tuple[TrackFormat, ...]
    media: tuple[Media, ...]
    refused: tuple[str, ...]
    server: str
    methods: tuple[str, ...]


async def describe(connection: RtspConnection, url: str, *, takes_audio: bool) -> Offer:
    """Ask what the camera can do and sends; the formats are empty when nothing suits.

    Raises InterruptedStreamError or MalformedError.
    """
    options = await connection.request("OPTIONS", url)
    methods = tuple(item.strip() for item in options.header("public").split(",") if item.strip())
    answer = await connection.request("DESCRIBE", url, ("Accept: application/sdp",))
    base = answer.header("content-base") or answer.header("content-location") or url
    description = read_description(answer.body)
    formats: list[TrackFormat] = []
    media: list[Media] = []
    refused: list[str] = []
    for item in description.media:
        try:
            found = _choose(item, formats, takes_audio=takes_audio)
        except RefusedError as error:
            refused.append(error.what)
            continue
        if found is not None:
            formats.append(found)
            media.append(item)
    server = answer.header("server") or options.header("server")
    return Offer(base, description.control, tuple(formats), tuple(media), tuple(refused), server[:MAX_TOKEN_CHARS], methods)


def _choose(media: Media, taken: list[TrackFormat], *, takes_audio: bool) -> TrackFormat | None:
    """Return the format of a track that we take: the first picture and the first sound."""
    has_video = any(track.is_video for track in taken)
    if media.kind == "video" and not has_video:
        return video_format(media, len(taken))
    if media.kind == "audio" and takes_audio and not any(not track.is_video for track in taken):
        return audio_format(media, len(taken))
    return None


def control_url(base: str, control: str) -> str:
    """Return the address of a track: absolute as it stands, else appended to the base as cameras expect it.

    Raises MalformedError when it would not fit into a request line.
    """
    if control in ("", "*"):
        url = base
    elif control.lower().startswith("rtsp://"):
        url = control
    else:
        # Not RFC 3986 resolution: cameras put queries into their bases and mean plain appending.
        url = base + control if base.endswith("/") else f"{base}/{control}"
    if len(url) > 4 * MAX_TOKEN_CHARS or not url.isascii() or any(mark <= " " for mark in url):
        raise MalformedError("control address", where="sdp")
    return url


class Session:
    """Plays one camera over one connection into a sink."""

    def __init__(self, connection: RtspConnection, clock: MonotonicClock, settings: RtspSettings, sink: UnitSink) -> None:
        self._connection = connection
        self._clock = clock
        self._settings = settings
        self._sink = sink
        self._offer: Offer
        self._tracks: list[tuple[Track, int]] = []  # with the channel of its control packets
        self._url = ""
        self._id = ""
        self._timeout_s = DEFAULT_SESSION_S
        self._keepalive: asyncio.Future[Message] | None = None
        self._ssrc = secrets.randbits(32)
        self._name = f"portwitness-{secrets.token_hex(4)}".encode()
        self._began_ns = 0
        self._restarted_ns = 0
        self._restarts = 0
        self.has_started = False

    @property
    def played_s(self) -> float:
        """How long units came."""
        if not self.has_started:
            return 0.0
        return max(track.last_unit_ns - self._began_ns for track, _ in self._tracks) / SECOND_NS

    async def run(self, url: str) -> NoReturn:
        """Set up, play and watch; returns only by raising.

        Raises InterruptedStreamError with the cause, MalformedError for what does not parse, RefusedError for what we do not speak.
        """
        offer = await describe(self._connection, url, takes_audio=self._settings.takes_audio)
        if not any(track.is_video for track in offer.formats):
            raise RefusedError("; ".join(offer.refused) or "the camera offers no video")
        for reason in offer.refused:
            log.warning("left out: %s", reason)
        self._offer = offer
        self._url = control_url(offer.base, offer.control)
        for at in range(len(offer.formats)):
            await self._set_up(at)
        self._begin(self._clock.monotonic_ns())
        await self._connection.request("PLAY", self._url, (self._session_header, "Range: npt=0.000-"))
        self._start()
        await self._watch()

    def close(self) -> None:
        """Tell the camera that it is over, as far as that is possible at once."""
        if self._id and self._connection.is_open:
            self._connection.send("TEARDOWN", self._url, (self._session_header,))
        self._connection.close()

    @property
    def _session_header(self) -> str:
        return f"Session: {self._id}"

    async def _set_up(self, at: int) -> None:
        channel = 2 * at
        headers = [f"Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"]
        if self._id:
            headers.append(self._session_header)
        media, track_format = self._offer.media[at], self._offer.formats[at]
        answer = await self._connection.request("SETUP", control_url(self._offer.base, media.control), tuple(headers))
        self._read_session(answer.header("session"))
        data, control = read_channels(answer.header("transport"), channel)
        track = Track(track_format, media.payload_type, self._deliver, self._restart)
        self._tracks.append((track, control))
        takers = self._connection.reader.takers
        takers[data], takers[control] = track.take_packet, track.take_control

    def _read_session(self, value: str) -> None:
        name, *parameters = (item.strip() for item in value.split(";"))
        if not name or len(name) > MAX_TOKEN_CHARS or not name.isascii() or any(mark <= " " for mark in name):
            raise MalformedError("session without a name", where="rtsp")
        self._id = name
        for parameter in parameters:
            key, _, number = parameter.partition("=")
            if key.lower() == "timeout" and number.isascii() and number.isdigit() and len(number) < 7:
                self._timeout_s = max(int(number), 1)

    def _begin(self, now_ns: int) -> None:
        self._began_ns = now_ns
        for track, _ in self._tracks:
            track.last_unit_ns = now_ns
            track.reset(now_ns)

    def _start(self) -> None:
        if not self.has_started:
            self.has_started = True
            self._sink.on_formats(self._offer.formats)

    def _deliver(self, unit: MediaUnit) -> None:
        if not self.has_started:
            self._start()  # the first packets may overtake the answer to PLAY
        self._sink.on_unit(unit)

    def _restart(self, now_ns: int) -> None:
        if now_ns - self._restarted_ns < RESTART_PAUSE_S * SECOND_NS:
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                raise MalformedError("timestamps restart without end", where="rtp")
        else:
            self._restarts = 0
        self._restarted_ns = now_ns
        for track, _ in self._tracks:
            track.reset(now_ns)
        if self.has_started:
            self._sink.on_interruption("protocol", "timestamps restarted")
            self._sink.on_formats(self._offer.formats)

    async def _watch(self) -> NoReturn:
        settings, connection = self._settings, self._connection
        tick_s = min(1.0, settings.stall_s / TICKS_PER_STALL, self._keepalive_s)
        next_report = next_keepalive = self._clock.monotonic_ns()
        next_keepalive += int(self._keepalive_s * SECOND_NS)
        while True:
            await asyncio.wait((connection.ended,), timeout=tick_s)
            if connection.ended.done():
                raise InterruptedStreamError(*connection.ended.result())
            now = self._clock.monotonic_ns()
            self._check_silence(now)
            if now >= next_report:
                self._report(now)
                next_report = now + int(settings.report_s * SECOND_NS)
            if self._needs_login_again() or now >= next_keepalive:
                self._keep_alive()
                next_keepalive = now + int(self._keepalive_s * SECOND_NS)

    @property
    def _keepalive_s(self) -> float:
        return min(self._timeout_s / 3, LONGEST_KEEPALIVE_S)

    def _check_silence(self, now_ns: int) -> None:
        for track, _ in self._tracks:
            if track.has_ended:
                raise InterruptedStreamError("closed", "the camera said goodbye")
            if track.is_video and now_ns - track.last_unit_ns > self._settings.stall_s * SECOND_NS:
                raise InterruptedStreamError("stalled", f"no picture for {self._settings.stall_s:g} s")

    def _report(self, now_ns: int) -> None:
        for track, channel in self._tracks:
            report = track.report(self._ssrc, self._name, now_ns)
            if report:
                self._connection.send_packet(channel, report)

    def _keep_alive(self) -> None:
        method = "GET_PARAMETER" if "GET_PARAMETER" in self._offer.methods else "OPTIONS"
        self._keepalive = self._connection.send(method, self._url, (self._session_header,))

    def _needs_login_again(self) -> bool:
        """Read the answer to the last keep-alive; silence is forgiven while pictures come."""
        keepalive = self._keepalive
        if keepalive is None or not keepalive.done() or keepalive.cancelled():
            return False
        answer, self._keepalive = keepalive.result(), None
        if answer.status == 454:
            raise InterruptedStreamError("closed", "the camera forgot the session")
        if answer.status == 401:
            self._connection.learn_login(answer)
            return True
        self._connection.prove_login()
        return False


def read_channels(transport: str, asked: int) -> tuple[int, int]:
    """Return the channels of packets and control packets that the camera chose.

    Raises MalformedError when they are out of range, InterruptedStreamError when the camera chose another transport.
    """
    if "interleaved" not in transport.lower():
        if "tcp" in transport.lower():
            return asked, asked + 1
        raise InterruptedStreamError("unsupported", "camera does not offer its stream over TCP")
    for item in transport.split(";"):
        key, _, value = item.strip().partition("=")
        if key.lower() == "interleaved":
            numbers = value.split("-")
            if all(number.isascii() and number.isdigit() and len(number) < 4 for number in numbers) and len(numbers) <= 2:
                first, last = int(numbers[0]), int(numbers[-1]) if len(numbers) == 2 else int(numbers[0]) + 1
                if first < last <= 255:
                    return first, last
    raise MalformedError("channels of the transport", where="rtsp")
