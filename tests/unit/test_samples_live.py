"""What a box puts into its records: the sample root made while muxing is that of the bytes, for live and recovered segments."""

import hashlib
from pathlib import Path

import pytest

from edge.capture import Anchor, Capture, CutRules
from edge.drafts import Draft, Flushed, Lane, Piece, flush, write_ahead
from edge.muxer import Muxer
from edge.recovery import Recovery
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol import kinds
from protocol.errors import DiskFullError
from protocol.mp4 import read_tracks
from protocol.samples import FLICKS, tree_of
from storage.files import SegmentFolder
from tests.edge_parts import CAMERA, OTHER_SPS, VIDEO, Place, TestClock, unit, units

SOUND = TrackFormat(1, "opus", 48_000, channels=2)


def draft(muxer: Muxer) -> Draft:
    return Draft(CAMERA, 0, muxer.init, 0, 0, 0, None, set())


def feed(muxer: Muxer, clock: TestClock, first: int, count: int, order: tuple[int, ...] = (0,)) -> None:
    for at, each in enumerate(units(clock, first, count)):
        shown = (first + at - at % len(order) + order[at % len(order)]) * 3600
        muxer.add(MediaUnit(0, each.payloads, shown, each.is_key, each.mono_ns))
        for sound in range(2):
            number = 2 * (first + at) + sound
            muxer.add(MediaUnit(1, (bytes((0xFC, number % 251, 1, 2)),), number * 960 + 13, True, each.mono_ns))


@pytest.mark.parametrize("order", [(0,), (0, 3, 1, 2)], ids=["in-order", "b-frames"])
def test_the_root_made_while_muxing_is_that_of_the_file(tmp_path: Path, order: tuple[int, ...]) -> None:
    muxer, clock, folder = Muxer((VIDEO, SOUND)), TestClock(), SegmentFolder(tmp_path)
    one, lane = draft(muxer), Lane(CAMERA, 0)
    done: list[Flushed] = []
    for turn in range(6):
        feed(muxer, clock, 12 * turn, 12, order)
        part = muxer.take(final=turn == 5)
        if turn % 2:
            done += flush(folder, [(lane, [Piece(one, part, closes=turn == 5)])])
        else:
            write_ahead(folder, [(lane, Piece(one, part))])
    body = one.entry().body
    data = folder.path(CAMERA.source, 0).read_bytes()
    tree = tree_of(data, read_tracks(data))
    assert isinstance(body, kinds.Segment)
    assert hashlib.sha256(data).digest() == body.sha256
    assert (body.sample_root, body.starts) == (tree.root(), tree.starts())
    assert body.starts == (13 * FLICKS // 48_000,)
