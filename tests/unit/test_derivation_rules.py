"""The rules of redacted copies: where areas are over time, what may be asked, and what the redactor makes of a film."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.redactor import propose, redact
from protocol import kinds
from protocol.derivation import MAX_AREAS, MAX_POINTS, SCALE, Box, Proposal, boxes_during, check_areas, confirmed, place_at
from protocol.errors import MalformedError, RefusedError

MOVING = ((1000, 0, 0, 1000, 1000), (2000, 4000, 2000, 5000, 3000), (4000, 0, 0, 1000, 1000))


def area(points: Any = MOVING, until: int = 5000, way: Any = "black") -> kinds.Area:
    return kinds.Area(tuple(points), until, way, "drawn", "li.wei")


def test_an_area_moves_in_straight_lines_and_stays_after_its_last_point() -> None:
    assert place_at(MOVING, 1000) == Box(0, 0, 1000, 1000)
    assert place_at(MOVING, 1500) == Box(2000, 1000, 3000, 2000)
    assert place_at(MOVING, 1000.1) == Box(0, 0, 1001, 1001)  # rounded outwards
    assert place_at(MOVING, 4999) == place_at(MOVING, 4000) == Box(0, 0, 1000, 1000)


def test_a_frame_loses_every_place_that_an_area_has_while_it_is_shown() -> None:
    assert boxes_during([area()], 0, 1000) == boxes_during([area()], 5000, 6000) == []
    [(_, box)] = boxes_during([area()], 990, 1010)  # shown before the area begins, and still when it does
    assert (box.left, box.top) == (0, 0) and box.right >= 1040
    [(_, box)] = boxes_during([area()], 1900, 2100)  # over the turning point
    assert box.right >= 5000 and box.bottom >= 3000 and box.left <= 3600


@given(st.floats(0, 6000), st.floats(0.1, 500), st.floats(0, 1))
def test_no_instant_of_a_frame_escapes(start: float, length: float, share: float) -> None:
    at = start + length * share
    found = boxes_during([area()], start, start + length)
    if 1000 <= at < 5000 and (share < 1 or at > 1000):
        place = place_at(MOVING, at)
        assert found[0][1].joined(place).pixels(1920, 1080) == found[0][1].pixels(1920, 1080)


@given(st.integers(0, SCALE - 1), st.integers(0, SCALE - 1), st.integers(1, SCALE), st.integers(1, SCALE), st.integers(1, 2000))
def test_pixels_round_outwards_to_even_ones(left: int, top: int, wide: int, high: int, half: int) -> None:
    box, size = Box(left, top, min(SCALE, left + wide), min(SCALE, top + high)), 2 * half
    found = box.pixels(size, size)
    assert found.left * SCALE <= box.left * size and found.right * SCALE >= box.right * size
    assert found.top * SCALE <= box.top * size and found.bottom * SCALE >= box.bottom * size
    assert all(edge % 2 == 0 and 0 <= edge <= size for edge in (found.left, found.top, found.right, found.bottom))


def test_areas_that_cannot_be_are_named() -> None:
    check_areas([area()], 5000)
    for points, until in (((), 1), (((5, 0, 0, 1, 1), (5, 0, 0, 1, 1)), 9), (((5, 0, 0, 1, SCALE + 1),), 9), (((9, 0, 0, 1, 1),), 9)):
        with pytest.raises(MalformedError, match=r"areas\.1"):
            check_areas([area(), area(points, until)], 5000)
    with pytest.raises(MalformedError, match="times"):
        check_areas([area()], 1000)
    many = [area([(at, 0, 0, 1, 1) for at in range(MAX_POINTS)])]
    for bad in ([], [area()] * (MAX_AREAS + 1), many * 2):
        with pytest.raises(RefusedError, match="draw 1 to"):
            check_areas(bad, 5000)


def test_only_accepted_proposals_become_areas_and_none_while_one_waits() -> None:
    first, second = (Proposal(number, ((0, 0, 0, 1, 1),), 9, "face") for number in range(2))
    with pytest.raises(RefusedError, match="2 proposals wait"):
        confirmed([first, second], "black")
    yes, no = first.decided(accepted=True, by="li.wei"), second.decided(accepted=False, by="li.wei")
    assert [(one.origin, one.by, one.way) for one in confirmed([yes, no], "blur")] == [("proposed", "li.wei", "blur")]
    assert confirmed([], "black") == ()


def film(path: Path, pictures: list[Any], *, pixels: str = "yuv420p", sound: bool = False) -> Path:
    with av.open(str(path), "w") as sink:
        video = sink.add_stream("libx264", rate=25, options={"crf": "10", "bf": "2"})
        video.width, video.height, video.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], pixels
        heard = sink.add_stream("aac", rate=48_000) if sound else None
        for luma in pictures:
            sink.mux(video.encode(av.VideoFrame.from_ndarray(np.stack([luma] * 3, axis=2), format="rgb24")))
        for at in range(len(pictures) * 48_000 // 25 // 1024 if heard is not None else 0):
            wave = np.sin(np.arange(at * 1024, (at + 1) * 1024) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, at * 1024, Fraction(1, 48_000)
            assert heard is not None
            sink.mux(heard.encode(frame))
        sink.mux(video.encode(None))
        if heard is not None:
            sink.mux(heard.encode(None))
    return path


def noise(count: int, size: tuple[int, int] = (96, 128)) -> list[Any]:
    draw = np.random.default_rng(7)
    still = draw.integers(0, 255, size, dtype=np.uint8)
    return [np.roll(still, at, axis=1) for at in range(count)]


def job(source: Path, target: Path, **changes: Any) -> dict[str, Any]:
    made = {"points": [[0, 2500, 2500, 7500, 7500]], "until": 1000, "way": "black", "origin": "drawn", "by": "li.wei"}
    facts = {"pieces": [(str(source), 0)], "start_ns": 0, "end_ns": 1_000_000_000, "areas": [made], "sound": "muted", "out": str(target)}
    return facts | changes


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p"])
def test_other_pixel_formats_and_reordered_pictures_lose_their_areas_too(tmp_path: Path, pixels: str) -> None:
    source = film(tmp_path / "in.mp4", noise(25), pixels=pixels)
    told: list[int] = []
    done = redact(job(source, tmp_path / "out.mp4"), lambda at, total: told.append(at))
    assert (done["frames"], done["sound"], told[-1]) == (25, "none", 1000)
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert len(made.streams) == 1 and not {"comment", "title"} & made.metadata.keys()
        for frame in made.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            assert luma[28:68, 36:92].max() <= 24 and luma[:20].max() > 150


@pytest.mark.parametrize("start", [40_000_050, 39_999_950, 40_006_000])
def test_stretches_at_the_edge_of_a_picture_and_overlapping_segments_are_taken(tmp_path: Path, start: int) -> None:
    source = film(tmp_path / "in.mp4", noise(25))
    pieces = [(str(source), 0), (str(source), 993_000_000)]
    done = redact(job(source, tmp_path / "out.mp4", pieces=pieces, start_ns=start, end_ns=1_900_000_000), lambda at, total: None)
    with av.open(str(tmp_path / "out.mp4")) as made:
        times = [frame.pts or 0 for frame in made.decode(video=0)]
    assert len(times) == done["frames"] >= 46 and times == sorted(set(times))


def test_sound_is_kept_as_it_is_or_left_out(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", noise(50), sound=True)
    with av.open(str(source)) as made:
        before = {bytes(packet) for packet in made.demux(audio=0) if packet.size}
    done = redact(job(source, tmp_path / "kept.mp4", sound="kept", start_ns=200_000_000, end_ns=1_400_000_000), lambda at, total: None)
    with av.open(str(tmp_path / "kept.mp4")) as made:
        after = [
            (bytes(packet), float((packet.pts or 0) * Fraction(packet.time_base or 0))) for packet in made.demux(audio=0) if packet.size
        ]
    assert done["sound"] == "kept" and 50 <= len(after) <= 58
    assert {data for data, _ in after} <= before and all(0 <= at < 1.2 for _, at in after)
    assert redact(job(source, tmp_path / "muted.mp4"), lambda at, total: None)["sound"] == "none"
    with av.open(str(tmp_path / "muted.mp4")) as made:
        assert not made.streams.audio


def test_films_that_cannot_be_are_named(tmp_path: Path) -> None:
    source, other = film(tmp_path / "in.mp4", noise(25)), film(tmp_path / "other.mp4", noise(25, (48, 64)))
    target = tmp_path / "out.mp4"
    with pytest.raises(RefusedError, match="size of the pictures changes"):
        redact(job(source, target, pieces=[(str(source), 0), (str(other), 10**9)], end_ns=2 * 10**9), lambda at, total: None)
    with pytest.raises(RefusedError, match="no picture lies"):
        redact(job(source, target, start_ns=-(10**9), end_ns=0), lambda at, total: None)
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    with pytest.raises(av.FFmpegError):
        redact(job(tmp_path / "bad.mp4", target), lambda at, total: None)


def face(at: int) -> Any:
    """Draw what the cascade takes for a face: bright skin, dark brows and eyes, a nose's shadow, a mouth."""
    rows, columns = np.mgrid[0:360, 0:480]
    out = np.full((360, 480), 60, np.float64)

    def spot(x: float, y: float, wide: float, high: float, value: float) -> None:
        nonlocal out
        inside = np.exp(-((((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2) ** 3))
        out = out * (1 - inside) + value * inside

    x, y = 200 + at, 180
    spot(x, y - 10, 62, 82, 40)
    spot(x, y + 8, 52, 68, 200)
    for side in (-1, 1):
        spot(x + side * 22, y - 12, 15, 9, 70)
        spot(x + side * 24, y + 22, 12, 12, 215)
    spot(x, y - 5, 5, 24, 225)
    spot(x, y + 22, 10, 4, 120)
    spot(x, y + 42, 20, 5, 90)
    return out.astype(np.uint8)


def test_faces_are_proposed_and_followed(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed (extra `redaction`)")
    source = film(tmp_path / "in.mp4", [face(at) for at in range(25)])
    found = propose(job(source, tmp_path / "none.mp4"), lambda at, total: None)
    assert found["tools"][0][0] == "opencv"
    assert len(found["proposals"]) >= 1
    for one in found["proposals"]:
        check_areas([kinds.Area(tuple(tuple(point) for point in one["points"]), one["until"], "black", "proposed", "li.wei")], 1000)
    seen = Box(*found["proposals"][0]["points"][0][1:]).pixels(480, 360)
    assert seen.left < 200 < seen.right and seen.top < 180 < seen.bottom
    assert propose(job(film(tmp_path / "blank.mp4", noise(10)), tmp_path / "none.mp4"), lambda at, total: None)["proposals"] == []
