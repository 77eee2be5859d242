"""Cut sub-clips and single frames out of segments with their proofs, and judge them against a bundle's records.

The program `portwitness-clip` makes a clip and, beside it, its proof; `portwitness-verify BUNDLE --clip CLIP --proof PROOF` judges
them. Needs `protocol` and `storage` only. A clip lies in one segment; a longer one is whole segments between two clips.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from protocol import bundle, clips
from protocol.errors import MalformedError, PortwitnessError, VerificationError
from protocol.examination import Fault
from protocol.identifiers import StreamId
from protocol.instants import SECOND_NS
from protocol.mp4 import read_tracks
from protocol.reckoning import Expectation, Piece
from protocol.sample_proofs import MAX_PROOF_BYTES, Anchor, Placed, SampleProof, check_clip, check_whole, prove, roots
from protocol.samples import FLICKS, tree_of
from protocol.verdict import SegmentFinding
from storage.files import read_file, replace_file

MAX_CLIP_BYTES = 1 << 30
PROOF_SUFFIX = ".samples"
_EPILOG = """examples:
  portwitness-clip case-T-1/data/video/box-1/cam-1/7.mp4 --from 2.5 --to 6 --out clip.mp4     a clip, and clip.samples
  portwitness-clip case-T-1/data/video/box-1/cam-1/7.mp4 --at 3.2 --out frame.h264            the bytes of one picture
  portwitness-verify case-T-1.zip --trust trust.json --clip clip.mp4 --proof clip.samples

Seconds count from the segment's first picture; a clip begins at the key picture before. exit status: 0 made, 2 not made"""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip's bytes and their proof."""

    data: bytes
    proof: SampleProof


def make_clip(data: bytes, stream: StreamId, number: int, start_ns: int, end_ns: int) -> Clip:
    """Cut what a segment shows from `start_ns` to `end_ns` after its first picture; raise MalformedError when that is nothing."""
    tracks = read_tracks(data)
    ranges = clips.choose(tracks, start_ns * FLICKS // SECOND_NS, end_ns * FLICKS // SECOND_NS)
    return Clip(clips.cut(data, tracks, ranges), prove(tree_of(data, tracks), stream, number, ranges))


def make_frame(data: bytes, stream: StreamId, number: int, at_ns: int) -> Clip:
    """Take the bytes of the picture that a segment shows at an instant; raise MalformedError when there is none."""
    tracks = read_tracks(data)
    index = clips.shown_at(tracks, at_ns * FLICKS // SECOND_NS)
    proof = prove(tree_of(data, tracks), stream, number, {0: (index, index + 1)}, bare=True)
    return Clip(clips.sample(data, tracks, 0, index), proof)


@dataclass(frozen=True, slots=True)
class ClipFinding:
    """The verdict on a clip. `fault` names file and reason; `wall_from`, `wall_to`: what it shows, by the box's clock, Unix ns."""

    file: str
    kind: str
    fault: str | None
    stream: str | None = None
    number: int | None = None
    wall_from: int | None = None
    wall_to: int | None = None
    segment: SegmentFinding | None = None


def judge_clip(
    clip: Path, proof: Path | None, wanted: Expectation, segments: Sequence[SegmentFinding], faults: Sequence[Fault]
) -> ClipFinding:
    """Judge a clip by its proof, or a whole segment that was remuxed, against the records of a bundle.

    `faults` are those of the records, and spoil every proof; the bundle's own videos are not needed. Raises StorageError when a file cannot
    be read.
    """
    data = read_file(clip, MAX_CLIP_BYTES)
    found = read_file(proof, MAX_PROOF_BYTES) if proof is not None else None
    kind, file = "whole segment", clip.name
    try:
        if found is None or proof is None:
            piece = _piece_of_root(data, wanted)
            placed = Placed(piece.stream, piece.body.number, 0, piece.body.mono_to - piece.body.mono_from, piece.body.frames)
        else:
            file = proof.name
            read = SampleProof.parse(found)
            piece = _piece_of_proof(read, wanted)
            kind, file = ("sub-clip" if read.key is None else "single sample"), clip.name
            placed = check_clip(data, read, _anchor(piece))
    except (MalformedError, VerificationError) as error:
        return ClipFinding(file, kind, str(error))
    fault = next(iter(faults), None)
    wall = piece.body.wall_from
    return ClipFinding(
        file=fault.file if fault is not None else clip.name,
        kind=kind,
        fault=fault.what if fault is not None else None,
        stream=piece.stream,
        number=piece.body.number,
        wall_from=wall + placed.start_ns,
        wall_to=wall + placed.end_ns,
        segment=next((one for one in segments if (one.stream, one.number) == (piece.stream, piece.body.number)), None),
    )


def _anchor(piece: Piece) -> Anchor:
    body = piece.body
    if body.sample_root is None:
        raise VerificationError("its record has no sample root", where=piece.name)
    return Anchor(body.sample_root, body.starts or (), max(0, body.mono_to - body.mono_from))


def _piece_of_proof(proof: SampleProof, wanted: Expectation) -> Piece:
    piece = wanted.wanted.get(bundle.video_name(proof.stream, proof.number))
    if piece is None:
        raise VerificationError(f"the bundle has no record of {proof.stream} segment {proof.number} in its task", where="sample proof")
    return piece


def _piece_of_root(data: bytes, wanted: Expectation) -> Piece:
    known = {one.body.sample_root: one for one in wanted.wanted.values() if one.body.sample_root is not None}
    piece = next((known[root] for root in roots(data) if root in known), None)
    if piece is None:
        what = "no record of the bundle has the sample root of this file: it is no whole segment, or was changed; a part needs its proof"
        raise VerificationError(what, where="sample tree")
    check_whole(data, _anchor(piece))
    return piece


# ------------------------------------------------------------------------------------------------------- the program


def parser() -> argparse.ArgumentParser:
    """Give the command line of `portwitness-clip`."""
    made = argparse.ArgumentParser(
        prog="portwitness-clip",
        description="Cut a sub-clip or one picture out of a segment, with the proof that it is of that segment.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("segment", type=Path, metavar="SEGMENT", help="the segment's file, .../BOX/SOURCE/NUMBER.mp4 as bundles have it")
    made.add_argument("--stream", metavar="BOX/SOURCE", help="its stream (default: by the file's path)")
    made.add_argument("--number", type=int, help="its number (default: by the file's name)")
    made.add_argument("--from", dest="start", type=float, metavar="S", help="begin at this second of the segment")
    made.add_argument("--to", dest="end", type=float, metavar="S", help="end before this second")
    made.add_argument("--at", type=float, metavar="S", help="instead: the bytes of the one picture shown at this second")
    made.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"where the clip goes; its proof beside it, {PROOF_SUFFIX}")
    return made


def run(arguments: Sequence[str] | None, out: TextIO, err: TextIO) -> int:
    """Run the program with these streams; give the exit status."""
    made = parser()
    options = made.parse_args(arguments)
    if (options.at is None) == (options.start is None or options.end is None):
        made.error("give --from and --to, or --at")
    try:
        clip = _make(options)
        proof = options.out.with_suffix(PROOF_SUFFIX)
        replace_file(options.out, clip.data)
        replace_file(proof, clip.proof.encode())
    except PortwitnessError as error:
        err.write(f"portwitness-clip: {error}\n")
        return 2
    out.write(f"{options.out} ({len(clip.data)} bytes) and {proof} ({len(clip.proof.encode())} bytes)\n")
    return 0


def _make(options: argparse.Namespace) -> Clip:
    path: Path = options.segment
    named = bundle.parse_video("data/video/" + "/".join(path.resolve().parts[-3:]))
    if named is None and (options.stream is None or options.number is None):
        raise MalformedError("is not .../BOX/SOURCE/NUMBER.mp4: give --stream and --number", where=str(path))
    stream = StreamId(options.stream) if options.stream is not None or named is None else named[0]
    number = options.number if options.number is not None or named is None else named[1]
    seconds = [value for value in (options.at, options.start, options.end) if value is not None]
    if not all(0 <= value < 1e6 for value in seconds):
        raise MalformedError("seconds count from the segment's first picture", where="--from, --to, --at")
    data = read_file(path, MAX_CLIP_BYTES)
    if options.at is not None:
        return make_frame(data, stream, number, int(options.at * SECOND_NS))
    return make_clip(data, stream, number, int(options.start * SECOND_NS), int(options.end * SECOND_NS))


def main() -> None:
    """Run `portwitness-clip`."""
    sys.exit(run(None, sys.stdout, sys.stderr))


if __name__ == "__main__":
    main()
