"""Make segments with real structure and invented pictures, by seed: for evidence whose samples are judged, without a camera.

Guarantees: the same seed gives the same bytes; a decoder would not like the pictures, a reader of samples cannot tell.
"""

import random
from dataclasses import dataclass

from edge.muxer import Muxer
from firmware_adapters.abilities import MediaUnit, TrackFormat

SPS = bytes.fromhex("674d400dda0507e840000003004000000ca3c50aa8")  # 320 x 240
PPS = bytes.fromhex("68ef3c80")
RATE = 25
STEP = 90_000 // RATE
SOUND_STEP = 960  # Opus, 20 ms
_REORDERED = (0, 3, 1, 2)  # shown places of four pictures in decode order


@dataclass(frozen=True, slots=True)
class Film:
    """What a segment shows: one key picture a second; `sound` adds Opus; `reorders` shows pictures in another order than decoded."""

    seconds: int = 2
    sound: bool = True
    reorders: bool = False
    picture_bytes: int = 200
    sound_late: int = 13  # ticks of 1/48000 s


def film(seed: int, plan: Film | None = None, *, number: int = 0) -> bytes:
    """Give the bytes of segment `number` of a run."""
    plan = plan or Film()
    draw = random.Random(seed * 1_000_003 + number)  # noqa: S311 - a simulation
    tracks = [TrackFormat(0, "h264", 90_000, (SPS, PPS))]
    tracks += [TrackFormat(1, "opus", 48_000, channels=2)] if plan.sound else []
    muxer = Muxer(tracks)
    out = [muxer.init]
    for second in range(plan.seconds):
        for unit in _second(plan, second, draw):
            muxer.add(unit)
        part = muxer.take(final=second == plan.seconds - 1)
        out += [part.encode()] if part is not None else []
    return b"".join(out)


def _second(plan: Film, second: int, draw: random.Random) -> list[MediaUnit]:
    units: list[MediaUnit] = []
    for at in range(RATE):
        is_key = at == 0
        shown = second * RATE + (at - at % 4 + _REORDERED[at % 4] if plan.reorders and at < RATE - RATE % 4 else at)
        body = bytes((0x65 if is_key else 0x41, 0x88)) + draw.randbytes(plan.picture_bytes + at)
        nals = (SPS, PPS, body) if is_key else (body,)
        units.append(MediaUnit(0, nals, shown * STEP, is_key, second * RATE + at))
        for sound in range(2) if plan.sound else ():
            number = 2 * (second * RATE + at) + sound
            units.append(MediaUnit(1, (b"\xfc" + draw.randbytes(40),), number * SOUND_STEP + plan.sound_late, True, number))
    return units
