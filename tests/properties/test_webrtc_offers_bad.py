"""Whatever is posted as an offer, the refusal is ours and nothing is left running."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_adapters.webrtc import Feed
from firmware_adapters.webrtc_sdp import read_offer
from protocol.errors import PortwitnessError
from tests.webrtc_parts import DecodingViewer, Memory, peers

LINE = st.sampled_from(
    [
        "v=0", "m=video 9 UDP/TLS/RTP/SAVPF 102", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtcp-mux", "a=setup:actpass",
        "a=ice-ufrag:a", "a=ice-pwd:b", "a=fingerprint:sha-256 00", "a=rtpmap:102 H264/90000", "a=rtpmap:111 opus/48000/2",
        "a=fmtp:102 packetization-mode=1", "a=sendonly", "a=fmtp:102", "a=rtpmap:x", "a=candidate:1 1 udp 1 x.local 1 typ host",
    ]
) | st.text(max_size=60)  # fmt: skip


@given(st.lists(LINE, max_size=30), st.booleans())
def test_any_text_is_read_or_refused(lines: list[str], media_from_peer: bool) -> None:
    try:
        read_offer("\r\n".join(["v=0", *lines]), media_from_peer=media_from_peer)
    except PortwitnessError as error:
        assert error.what


async def true_offer() -> str:
    watcher = DecodingViewer()
    await watcher.connection.setLocalDescription(await watcher.connection.createOffer())
    text = str(watcher.connection.localDescription.sdp)
    await watcher.connection.close()
    return text


def spoil(text: str, chance: random.Random) -> str:
    lines = text.split("\r\n")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(1, len(lines))
        kind = chance.randrange(4)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif kind == 2:
            lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
        else:
            lines[at] = "".join(chance.choice("0 :/x-") if chance.random() < 0.2 else letter for letter in lines[at])
    return "\r\n".join(lines)


@settings(max_examples=1, deadline=None)
@given(st.integers(0, 2**32))
def test_spoiled_offers_leave_no_peer_behind(seed: int) -> None:
    async def offer_many() -> None:
        chance = random.Random(seed)
        text = await true_offer()
        async with peers() as rtc:
            for number in range(60):
                spoiled = spoil(text if number % 2 else text.replace("a=recvonly", "a=sendonly"), chance)
                peer = rtc.viewer(Feed()) if number % 2 else rtc.ingest(Memory())
                try:
                    await peer.answer(spoiled)
                except PortwitnessError as error:
                    assert error.where
                else:
                    await peer.close()
                assert rtc.open_peers == 0

    asyncio.run(offer_many())
