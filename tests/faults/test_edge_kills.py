"""A real box, killed without warning again and again: what is missing was never signed as there, and is signed as missing."""

import hashlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from edge.fsck import Findings, check_box
from protocol import kinds
from storage.keys import load_p256
from storage.spool import Spool
from tests.edge_parts import BOX, unit

ROOT = Path(__file__).parent.parent.parent
CAMERAS = 3
LIMIT_S = 30
SLACK_NS = 60_000_000  # one and a half pictures: a segment ends one picture behind its last


def start(state: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.edge_program", str(state), str(CAMERAS)], cwd=ROOT)


def records(state: Path) -> int:
    """Count committed records while the box runs."""
    if not (state / "spool.db").exists():
        return 0
    spool = Spool(state / "spool.db")
    spool.open()
    try:
        return sum(row.size for row in spool.epochs())
    finally:
        spool.close()


def wait_for_records(state: Path, count: int) -> None:
    end = time.monotonic() + LIMIT_S
    while records(state) < count:
        assert time.monotonic() < end, "the box commits nothing"
        time.sleep(0.05)


@dataclass(frozen=True)
class Sent:
    source: str
    number: int
    wall_ns: int
    sample: str


def ledger(state: Path) -> list[Sent]:
    out = []
    for line in (state / "ledger").read_text().splitlines():
        source, number, wall = line.split()
        for is_key in (True, False):
            payloads = unit(int(number), 0, key=is_key).payloads
            data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in payloads)
            out.append(Sent(source, int(number), int(wall), hashlib.sha256(data).hexdigest()))
    return out


def samples(path: Path) -> Iterator[str]:
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield hashlib.sha256(bytes(packet)).hexdigest()


@pytest.mark.parametrize("seed", [1])
def test_a_box_killed_at_random_moments_accounts_for_every_picture(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        before = records(tmp_path)
        box = start(tmp_path)
        try:
            wait_for_records(tmp_path, before + chance.randint(4, 12))
            time.sleep(chance.random())  # anywhere between two beats
        finally:
            box.kill()
            box.wait()
    box = start(tmp_path)
    wait_for_records(tmp_path, records(tmp_path) + 6)
    box.terminate()
    assert box.wait(LIMIT_S) == 0
    found = check_box(tmp_path, BOX, (load_p256(tmp_path / "keys" / "identity.key").public,))
    assert found.faults == []
    judge(tmp_path, found)


def judge(state: Path, found: Findings) -> None:
    """Every picture sent is in a segment, or in a gap; every segment decodes; what was bound is there."""
    recorded = {(path.parent.name, sample) for path in (state / "segments").glob("*/*.mp4") for sample in samples(path)}
    states = {body.state for *_, body in found.bodies if isinstance(body, kinds.Segment)}
    assert states == {"live", "recovered"}
    sent: dict[tuple[str, int], list[Sent]] = {}
    for each in ledger(state):
        sent.setdefault((each.source, each.number), []).append(each)
    missing = [pair[0] for key, pair in sent.items() if not any((key[0], one.sample) in recorded for one in pair)]
    for lost in missing:
        spans = [
            piece for piece in found.pieces[f"{BOX}/{lost.source}"] if piece[2] in ("restart", "starting", "bytes lost", "operator stop")
        ]
        assert any(start - SLACK_NS <= lost.wall_ns <= end + SLACK_NS for start, end, _ in spans), lost
    assert len(missing) < len(sent)
