"""Watch a live stream as a supervisor's browser does (WHEP), and measure how long the first picture takes.

Guarantees: the time runs from sending the offer to the first picture that was decoded; nothing the hub says about itself is
believed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from protocol.errors import PortwitnessError, UnavailableError
from protocol.instants import MILLISECOND_NS, Clock
from simulators.people.api import API, HubApi, refusal

LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class FirstPicture:
    """When the first picture was there, from the sending of the offer, and its size."""

    ms: float
    width: int
    height: int


@asynccontextmanager
async def watching(api: HubApi, stream: str, clock: Clock) -> AsyncIterator[FirstPicture]:
    """Watch a stream until the block ends; raise UnavailableError when no picture comes."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
    receiver = connection.addTransceiver("video", direction="recvonly").receiver
    location: str | None = None
    drain: asyncio.Task[None] | None = None
    try:
        await connection.setLocalDescription(await connection.createOffer())
        started = clock.monotonic_ns()
        answer, location = await _offer(api, stream, connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        picture = await _first(receiver.track, stream)
        took_ms = (clock.monotonic_ns() - started) / MILLISECOND_NS
        drain = asyncio.create_task(_drain(receiver.track), name=f"watch {stream}")
        yield FirstPicture(round(took_ms, 1), picture.width, picture.height)
    finally:
        await connection.close()
        if drain is not None:
            drain.cancel()
            await asyncio.gather(drain, return_exceptions=True)
        if location is not None:
            with contextlib.suppress(PortwitnessError):  # the hub may have ended the view itself
                await api.call("DELETE", location.removeprefix(API))


async def _offer(api: HubApi, stream: str, sdp: str) -> tuple[str, str]:
    headers = {"Content-Type": "application/sdp"} | ({"X-CSRF-Token": api.csrf} if api.csrf else {})
    try:
        reply = await api.client.post(f"{API}/streams/{stream}/whep", content=sdp, headers=headers)
    except httpx.TransportError as error:
        raise UnavailableError(f"{type(error).__name__}: {error}", where=f"whep {stream}") from error
    if not reply.is_success:
        raise refusal(reply)
    return reply.text, reply.headers.get("location", "")


async def _first(track: Any, stream: str) -> Any:  # noqa: ANN401 - the library's track and frame
    try:
        return await asyncio.wait_for(track.recv(), LIMIT_S)
    except (TimeoutError, MediaStreamError) as error:
        raise UnavailableError(f"no picture within {LIMIT_S:.0f} s", where=f"whep {stream}") from error


async def _drain(track: Any) -> None:  # noqa: ANN401 - the library's track
    with contextlib.suppress(MediaStreamError):
        while True:
            await track.recv()
