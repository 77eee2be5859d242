"""RTSP cameras over TCP: H.264 pictures and AAC sound as live units, kept alive, counted, reconnected (RFC 2326).

Guarantees: `run` delivers until cancelled; each failure has a cause and is tried again with growing pauses; a unit with missing
packets never leaves; units carry our arrival time and, after the first sender report, the device's own; memory is bounded;
passwords appear nowhere. The presentation time 0 of a connection is the moment when playing was asked for.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass

from firmware_adapters.abilities import Interruption, TrackFormat, UnitSink
from firmware_adapters.digest import Login
from firmware_adapters.rtsp_connection import InterruptedStreamError, MonotonicClock, RtspConnection, read_address
from firmware_adapters.rtsp_session import RtspSettings, Session, describe
from protocol.errors import MalformedError, RefusedError

__all__ = ["CameraDescription", "InterruptedStreamError", "RtspCamera", "RtspSettings", "probe"]

STEADY_S = 10  # a connection that delivered this long begins its pauses anew

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameraDescription:
    """What a camera says of itself. `refused` tells of each track that cannot be recorded why."""

    formats: tuple[TrackFormat, ...]
    server: str
    asks_login: bool
    methods: tuple[str, ...]
    refused: tuple[str, ...]


class RtspCamera:
    """A camera that delivers live units: the ability `Streams`.

    A sink is told an interruption once for each cause: repeated attempts that fail alike are logged only.
    """

    def __init__(
        self, url: str, *, clock: MonotonicClock, username: str = "", password: str = "", settings: RtspSettings | None = None
    ) -> None:
        self._address = read_address(url)
        self._clock = clock
        self._username = username or self._address.username
        self._password = password if username else self._address.password
        self._settings = settings or RtspSettings()
        self._pause_s = 0.0

    async def run(self, sink: UnitSink) -> None:
        """Deliver units into the sink, reconnecting with back-off, until cancelled.

        Raises what the sink raises.
        """
        try:
            await self._run(sink)
        except asyncio.CancelledError:
            sink.on_interruption("stopped", "stopped by us")
            raise

    async def probe(self) -> CameraDescription:
        """Ask the camera what it offers, without playing.

        Raises InterruptedStreamError with its cause when it cannot be asked; MalformedError when its answers do not parse.
        """
        login = self._login()
        connection = RtspConnection(self._clock, login, self._settings.answer_s)
        try:
            await connection.open(self._address, self._settings.connect_s)
            offer = await describe(connection, self._address.url, takes_audio=self._settings.takes_audio)
        finally:
            connection.close()
        return CameraDescription(offer.formats, offer.server, login.was_asked, offer.methods, offer.refused)

    async def _run(self, sink: UnitSink) -> None:
        told = ""
        while True:
            connection = RtspConnection(self._clock, self._login(), self._settings.answer_s)
            session = Session(connection, self._clock, self._settings, sink)
            cause, detail = await self._attempt(connection, session)
            if connection.failure is not None:
                raise connection.failure
            if session.has_started or cause != told:
                told = cause
                sink.on_interruption(cause, detail)
            pause_s = self._next_pause(cause, session.played_s)
            log.info("%s: %s (%s), next attempt in %.1f s", self._address.label, cause, detail, pause_s)
            await asyncio.sleep(pause_s)

    async def _attempt(self, connection: RtspConnection, session: Session) -> tuple[Interruption, str]:
        try:
            await connection.open(self._address, self._settings.connect_s)
            await session.run(self._address.url)
        except InterruptedStreamError as error:
            return error.cause, error.what
        except MalformedError as error:
            return "protocol", str(error)
        except RefusedError as error:
            return "unsupported", error.what
        finally:
            session.close()

    def _login(self) -> Login:
        return Login(self._username, self._password, self._settings.allows_basic)

    def _next_pause(self, cause: Interruption, played_s: float) -> float:
        settings = self._settings
        if cause in ("unauthorized", "unsupported"):
            return _jittered(settings.refusal_s)
        longer_s = 0.0 if played_s >= STEADY_S else self._pause_s * 2
        self._pause_s = min(max(settings.backoff_first_s, longer_s), settings.backoff_limit_s)
        return _jittered(self._pause_s)


def _jittered(pause_s: float) -> float:
    # Cameras behind one switch come back together; their recorders should not.
    return pause_s * (0.75 + secrets.randbelow(1000) / 4000)


async def probe(
    url: str, *, clock: MonotonicClock, username: str = "", password: str = "", settings: RtspSettings | None = None
) -> CameraDescription:
    """Ask a camera what it offers, for the one who adds it.

    Raises InterruptedStreamError with its cause, RefusedError for the address, MalformedError for answers that do not parse.
    """
    return await RtspCamera(url, clock=clock, username=username, password=password, settings=settings).probe()
