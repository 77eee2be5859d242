"""The library has the private names that live video stands on; a missing one is named at start."""

import pytest
from aiortc import RTCRtpReceiver, RTCRtpSender

from firmware_adapters.webrtc import HOOKS, MediaPeers, check_hooks, install_hooks
from protocol.errors import UnavailableError
from storage.clock import SystemClock


def test_the_installed_library_has_every_hook() -> None:
    install_hooks()
    install_hooks()
    assert len(HOOKS) >= 10


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        (
            (RTCRtpReceiver, "_handle_rtp_packet", ("_RTCRtpReceiver__jitter_bufer",)),
            "hook _RTCRtpReceiver__jitter_bufer is missing",
        ),
        ((RTCRtpSender, "_run_rtsp", ()), "RTCRtpSender._run_rtsp: hook is missing"),
    ],
)
def test_a_missing_hook_is_named(hook: tuple[type, str, tuple[str, ...]], what: str) -> None:
    with pytest.raises(UnavailableError, match=what):
        check_hooks((hook,))


async def test_peers_start_and_stop_without_a_session() -> None:
    async with MediaPeers(SystemClock()) as rtc:
        assert rtc.open_peers == 0
    await rtc.close()
