"""Footage, its burned-in marks, its files."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, RefusedError
from simulators.devices.footage import HZ, Painter, Synthetic, load, mark, split_lengths, split_start_codes, synthesize
from simulators.devices.stamp import clock_words, read_clock, read_stamp, row_bits
from tests.rtsp_parts import PLAIN, footage


@given(st.integers(0, 0xFFFF), st.integers(0, (1 << 48) - 1), st.sampled_from([(160, 90), (320, 180), (640, 480), (1280, 720)]))
def test_marks_are_read_back_from_any_size(number: int, unix_ms: int, size: tuple[int, int]) -> None:
    width, height = size
    luma = np.full((height, width), 90, np.uint8)
    mark(luma, [number, *clock_words(unix_ms)])
    assert read_stamp(luma) == number
    assert read_clock(luma) == unix_ms
    assert read_stamp([list(row) for row in luma.tolist()]) == number


def test_layout_of_the_marks_is_as_documented() -> None:
    # 0x0001: bit 0 set; check = 1 ^ 10 = 11 = 0b1011, lowest bit first.
    assert row_bits(1, 0) == [1] + [0] * 15 + [1, 1, 0, 1]
    luma = np.zeros((180, 320), np.uint8)
    mark(luma, [1])
    assert luma[4, 4] == luma[13, 13] == 235
    assert luma[9, 4 + 10 + 5] == 16
    assert luma[0, 0] == 126


def test_no_marks_give_nothing() -> None:
    blank = np.zeros((180, 320), np.uint8)
    assert read_stamp(blank) is None  # the check of 0 is not 0
    assert read_clock(blank) is None
    assert read_stamp(np.zeros((10, 10), np.uint8)) is None
    assert read_stamp(np.zeros((180, 100), np.uint8)) is None
    damaged = np.zeros((180, 320), np.uint8)
    mark(damaged, [7])
    damaged[4:14, 4:14] = 16
    assert read_stamp(damaged) is None


def test_marks_survive_the_encoder(tmp_path: Path) -> None:
    synthesize(PLAIN, tmp_path)
    (path,) = tmp_path.iterdir()
    with av.open(str(path)) as container:
        numbers = [read_stamp(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    assert numbers == list(range(50))
    again = path.stat().st_mtime_ns
    assert synthesize(PLAIN, tmp_path).name == path.name
    assert path.stat().st_mtime_ns == again  # from the cache


def test_synthetic_footage_is_as_planned() -> None:
    source = footage(Synthetic(320, 180, 25, 2, 600, 10, "main", 2, True, 3))
    assert (source.width, source.height, source.fps, source.duration) == (320, 180, 25.0, 2 * HZ)
    assert [unit.dts for unit in source.units] == [3600 * at for at in range(50)]
    assert [at for at, unit in enumerate(source.units) if unit.is_key] == [0, 10, 20, 30, 40]
    assert source.has_reordering
    assert all({7, 8, 5} <= {nal[0] & 31 for nal in unit.nals} for unit in source.units if unit.is_key)
    assert sum(1 for nal in source.units[3].nals if nal[0] & 31 == 1) == 3
    assert source.sound is not None
    assert source.sound.frequency == 48_000
    assert not footage(PLAIN).has_reordering
    assert len(set(source.digests)) == 50


def test_footage_in_annex_b_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "copy.ts"
    source = synthesize(PLAIN, tmp_path)
    (original,) = tmp_path.glob("*.mp4")
    with av.open(str(original)) as container, av.open(str(path), "w", format="mpegts") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    found = load(path)
    assert [unit.slices_sha256 for unit in found.units] == [unit.slices_sha256 for unit in source.units]


@pytest.mark.parametrize("sample", [b"\0\0\0\5abc", b"\0\0\0\0", b"\0\0"])
def test_broken_samples_are_malformed(sample: bytes) -> None:
    with pytest.raises(MalformedError):
        list(split_lengths(sample, 4))


def test_start_codes_of_both_lengths() -> None:
    assert list(split_start_codes(b"\0\0\0\1abc\0\0\1d\0\0\0\1ef")) == [b"abc", b"d", b"ef"]


def test_footage_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(MalformedError, match=r"notes\.mp4"):
        load(path)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        container.add_stream("aac", rate=48_000, layout="stereo")
        container.start_encoding()
    with pytest.raises((MalformedError, RefusedError), match=r"sound\.mp4"):
        load(tmp_path / "sound.mp4")
    with pytest.raises(RefusedError, match="cannot carry the marks"):
        synthesize(Synthetic(64, 64), tmp_path)


def test_pictures_differ() -> None:
    painter = Painter(160, 90)
    assert (painter.paint(1).to_ndarray(format="gray") != painter.paint(2).to_ndarray(format="gray")).any()
