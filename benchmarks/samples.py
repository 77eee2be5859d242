"""Prove the samples of a segment: hash, sample tree and record of 5 MB against the bare SHA-256 of the same bytes, on one core.

A segment of ten seconds, 250 pictures and 500 sound packets in twenty parts, goes through what the box does for its record: the running
hash, the sample tree part by part, the root, the record's canonical bytes and signature. Then the sizes of proofs, and checking them.
The record is as long as a box of a port makes it after months: all that a live segment of video and sound tells, names as people give them.

    python -m benchmarks.samples --json
"""

import argparse
import hashlib
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from edge.muxer import Muxer, Part
from firmware_adapters.abilities import MediaUnit, TrackFormat
from protocol import clips, kinds
from protocol.identifiers import Issuer, StreamId
from protocol.instants import SECOND_NS, Instant
from protocol.mp4 import read_tracks
from protocol.records import Record, Seen
from protocol.sample_proofs import Anchor, SampleProof, check_clip, prove
from protocol.samples import FLICKS, SampleTree, tree_of
from simulators.evidence import fixed_ed25519
from simulators.films import PPS, RATE, SOUND_STEP, SPS, STEP

GOAL_MS = 30.0
GOAL_RECORD, GOAL_PROOF, GOAL_CHECK_MS = 400, 2048, 1.0
SECONDS = 10
STREAM = StreamId("box-12/recorder-07")
SOUND_AFTER = 10_625 * FLICKS  # a device begins each track's time where it likes
SIGNER = fixed_ed25519(7)


def make(size: int) -> tuple[bytes, list[tuple[Part, bytes]]]:
    """Give the head and the parts of a segment of about `size` bytes, as two beats a second make them."""
    muxer = Muxer([TrackFormat(0, "h264", 90_000, (SPS, PPS)), TrackFormat(1, "opus", 48_000, channels=2)])
    draw, parts = random.Random(1), []
    each = size // (SECONDS * RATE) - 2 * 160
    for number in range(SECONDS * RATE):
        body = bytes((0x65 if number % (2 * RATE) == 0 else 0x41, 0x88)) + draw.randbytes(each)
        muxer.add(MediaUnit(0, (SPS, PPS, body) if number % (2 * RATE) == 0 else (body,), number * STEP, number % (2 * RATE) == 0, number))
        for sound in (2 * number, 2 * number + 1):
            muxer.add(MediaUnit(1, (b"\xfc" + draw.randbytes(159),), sound * SOUND_STEP, True, number))
        if number % 12 == 11 or number == SECONDS * RATE - 1:
            part = muxer.take(final=number == SECONDS * RATE - 1)
            assert part is not None
            parts.append((part, part.encode()))
    return muxer.init, parts


def record(digest: bytes, size: int, root: bytes) -> bytes:
    """Give the signed record of the segment."""
    at = Instant(1_795_000_000_123_456_789, 7_776_000 * SECOND_NS, "synced", 5)
    body = kinds.Segment(
        number=777_600,
        sha256=digest,
        size=size,
        mono_from=at.mono_ns - 10 * SECOND_NS,
        mono_to=at.mono_ns,
        wall_from=at.wall_ns - 10 * SECOND_NS,
        run=3,
        media_from=7_776_000 * 90_000,
        frames=SECONDS * RATE,
        config=None,
        state="live",
        device_from=at.wall_ns - 10 * SECOND_NS,
        sample_root=root,
        starts=(SOUND_AFTER,),
    )
    return Record(Issuer.of_box(STREAM.box), 41, 12_000_000, digest, STREAM, at, body, Seen(6_200_000, digest)).sign(SIGNER).data


def box_work(head: bytes, parts: list[tuple[Part, bytes]]) -> tuple[SampleTree, bytes]:
    """Do what the box does beside writing: hash, sample tree with a copy each beat, root, record."""
    digest, tree, size = hashlib.sha256(head), SampleTree.of_head(head), len(head)
    for number, (part, data) in enumerate(parts):
        if number % 2 == 0:
            tree.copy()  # what a failed flush goes back to
        digest.update(data)
        part.sample(tree, data)
        size += len(data)
    return tree, record(digest.digest(), size, tree.root())


def cpu_ms(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Give median and 95th percentile of the CPU time of some work, in ms."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        times.append((time.process_time() - began) * 1000)
    return round(statistics.median(times), 3), round(sorted(times)[int(rounds * 0.95)], 3)


def measure(size: int, rounds: int) -> dict[str, Any]:
    """Measure all of it."""
    head, parts = make(size)
    data = b"".join([head, *(encoded for _, encoded in parts)])
    tree, signed = box_work(head, parts)
    tracks = read_tracks(data)
    whole = tree_of(data, tracks)
    if whole.root() != tree.root():
        raise SystemExit("the root made while muxing is not that of the file")
    anchor = Anchor(tree.root(), tree.starts() or (), SECONDS * SECOND_NS)
    ranges = clips.choose(tracks, 3 * FLICKS, 5 * FLICKS)
    clip, clip_proof = clips.cut(data, tracks, ranges), prove(whole, STREAM, 4711, ranges)
    frame, frame_proof = clips.sample(data, tracks, 0, 100), prove(whole, STREAM, 4711, {0: (100, 101)}, bare=True)
    encoded = frame_proof.encode()
    box, box_p95 = cpu_ms(lambda: box_work(head, parts), rounds)
    bare, _ = cpu_ms(lambda: hashlib.sha256(data).digest(), rounds)
    check, _ = cpu_ms(lambda: tree_of(data, read_tracks(data)).root(), rounds)
    one, _ = cpu_ms(lambda: [check_clip(frame, SampleProof.parse(encoded), anchor) for _ in range(20)], rounds)
    cut, _ = cpu_ms(lambda: check_clip(clip, clip_proof, anchor), rounds)
    result = {
        "benchmark": "samples",
        "mb": round(len(data) / 1e6, 2),
        "samples": sum(track.count for track in tree.tracks),
        "box_ms": box,
        "box_p95_ms": box_p95,
        "sha256_ms": bare,
        "ratio": round(box / bare, 2),
        "redo_ms": check,
        "record_bytes": len(signed),
        "frame_proof_bytes": len(encoded),
        "clip_proof_bytes": len(clip_proof.encode()),
        "frame_check_ms": round(one / 20, 3),
        "clip_check_ms": cut,
        "clip_mb": round(len(clip) / 1e6, 2),
    }
    is_small = len(signed) <= GOAL_RECORD and max(len(encoded), len(clip_proof.encode())) <= GOAL_PROOF
    return {**result, "ok": box <= GOAL_MS and is_small and one / 20 <= GOAL_CHECK_MS}


def main() -> int:
    """Measure; give 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.samples --json")
    parser.add_argument("--bytes", type=int, default=5_000_000, help="size of the segment (default: 5 MB)")
    parser.add_argument("--rounds", type=int, default=40, help="how often each is done (default: 40)")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    result = measure(args.bytes, args.rounds)
    if not args.json:
        found = dict(result)
        print("{mb} MB, {samples} samples: hash + sample tree + record {box_ms} ms CPU, bare SHA-256 {sha256_ms} ms".format(**found))
        print("record {record_bytes} B; frame proof {frame_proof_bytes} B, clip proof {clip_proof_bytes} B".format(**found))
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
