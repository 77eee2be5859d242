"""Make real footage fit for a simulated camera: H.264 as cameras send it for live use, without B-frames, a keyframe every 2 s.

Guarantees: a clip that is fit already is used as it is; the copy is made once and kept where the caller says.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from protocol.errors import MalformedError

KEYFRAME_S = 2
_MADE = {"preset": "veryfast", "tune": "zerolatency", "profile": "main", "bf": "0", "crf": "23"}


def fit_clip(path: Path, folder: Path) -> Path:
    """Give a clip that plays live everywhere: `path` itself or a copy in `folder`.

    Raises MalformedError when it is no readable video.
    """
    copy = folder / f"{path.stem}.mp4"
    if copy.exists():
        return copy
    try:
        if is_fit(path):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        _convert(path, copy)
    except av.FFmpegError as error:
        raise MalformedError(f"not a readable video ({error})", where=str(path)) from error
    return copy


def is_fit(path: Path) -> bool:
    """Tell whether a clip is H.264 without B-frames and with a keyframe at least every 2 s."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        if stream.codec_context.name != "h264":
            return False
        packets = [packet for packet in source.demux(stream) if packet.size]
        last_key = Fraction(0)
        for packet in packets:
            if packet.pts != packet.dts or packet.pts is None or packet.time_base is None:
                return False
            at = packet.pts * packet.time_base
            if packet.is_keyframe:
                last_key = at
            elif at - last_key >= KEYFRAME_S:
                return False
    return True


def _convert(path: Path, copy: Path) -> None:
    part = copy.with_suffix(".part.mp4")
    with av.open(str(path)) as source, av.open(str(part), "w") as target:
        seen = source.streams.video[0]
        rate = seen.average_rate or Fraction(25)
        made: Any = target.add_stream("libx264", rate=rate, options={**_MADE, "g": str(int(rate * KEYFRAME_S))})
        made.width, made.height, made.pix_fmt = seen.width, seen.height, "yuv420p"
        made.thread_count = 2
        for packet in _encoded(source, seen, made):
            target.mux(packet)
    part.rename(copy)


def _encoded(source: Any, seen: Any, made: Any) -> Iterator[Any]:  # noqa: ANN401 - the library's containers and streams
    for number, frame in enumerate(source.decode(seen)):
        frame.pts, frame.time_base, frame.pict_type = number, 1 / Fraction(seen.average_rate or 25), 0
        yield from made.encode(frame)
    yield from made.encode(None)
