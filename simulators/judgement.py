"""Judge what was recorded against what the simulated devices really sent: sample by sample, by hash and time.

Guarantees: nothing of the product decides here. A frame of the ledger is *recorded* when a segment holds a sample with its hash
near its time, *in a gap* when it is not recorded and a signed gap covers its time, and *unexplained* otherwise. A sample that no
ledger knows is *foreign*; both must not happen.
"""

import bisect
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from protocol.coverage import GapSpan
from protocol.instants import MILLISECOND_NS, SECOND_NS, Interval
from simulators.devices.ledger import read_ledger

NEAR_NS = 2 * SECOND_NS  # a sample's time and its frame's may differ by so much: network, buffers, start of a stream
EDGE_NS = 100 * MILLISECOND_NS  # how far beyond its signed interval a gap still explains a frame: time on the way
SILENCE_STEP_NS = 100 * MILLISECOND_NS
SPANS_NS = 500 * MILLISECOND_NS  # longest time one frame counts for


@dataclass(frozen=True, slots=True)
class Sent:
    """One frame that a device handed to the network; `hashes` are the ways by which it may be known again."""

    wall_ns: int
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a segment file, with its place on the wall clock."""

    wall_ns: int
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the frames of one stream in one interval."""

    stream: str
    sent: int
    recorded: int
    in_gaps: int
    foreign: int
    twice: int
    unexplained: tuple[int, ...]
    unexplained_ns: int
    recorded_ns: int
    sent_ns: int

    @property
    def percent(self) -> float:
        """Give the recorded share of the time, in percent."""
        return 100.0 * self.recorded_ns / self.sent_ns if self.sent_ns else 100.0


def account(stream: str, sent: Sequence[Sent], samples: Iterable[Sample], gaps: Sequence[GapSpan], within: Interval) -> Account:
    """Match the samples of one stream with the frames that were sent, and account for each frame sent in `within`."""
    matched, foreign, twice = _match(sent, samples)
    asked = [at for at, frame in enumerate(sent) if within.start <= frame.wall_ns < within.end]
    missing = [at for at in asked if at not in matched]
    unexplained = [at for at in missing if not _is_in_gap(sent[at].wall_ns, gaps)]
    return Account(
        stream=stream,
        sent=len(asked),
        recorded=len(asked) - len(missing),
        in_gaps=len(missing) - len(unexplained),
        foreign=foreign,
        twice=twice,
        unexplained=tuple(sent[at].wall_ns for at in unexplained),
        unexplained_ns=sum(_length(sent, at) for at in unexplained),
        recorded_ns=sum(_length(sent, at) for at in asked if at in matched),
        sent_ns=sum(_length(sent, at) for at in asked),
    )


def with_silence(sent: Sequence[Sent], within: Interval) -> list[Sent]:
    """Add a frame that nothing can have recorded for each step in which the device had nobody to send to.

    So time in which a box was down must be in a signed gap just like frames that were lost.
    """
    inside = [each for each in sent if within.start <= each.wall_ns < within.end]
    filled, last = [], within.start
    for each in [*inside, Sent(within.end, ())]:
        if each.wall_ns - last > SPANS_NS:
            filled += [Sent(at, ()) for at in range(last + SILENCE_STEP_NS, each.wall_ns, SILENCE_STEP_NS)]
        last = each.wall_ns
    return sorted([*sent, *filled], key=lambda each: each.wall_ns)


def _match(sent: Sequence[Sent], samples: Iterable[Sample]) -> tuple[set[int], int, int]:
    by_hash: dict[str, list[int]] = {}
    for at, frame in enumerate(sent):
        for each in frame.hashes:
            by_hash.setdefault(each, []).append(at)
    matched: set[int] = set()
    foreign = twice = 0
    for sample in samples:
        near = _near(sent, by_hash, sample)
        free = [at for at in near if at not in matched]
        if free:
            matched.add(free[0])
        elif near:
            twice += 1
        else:
            foreign += 1
    return matched, foreign, twice


def _near(sent: Sequence[Sent], by_hash: dict[str, list[int]], sample: Sample) -> list[int]:
    found: list[int] = []
    for each in sample.hashes:
        places = by_hash.get(each, [])
        start = bisect.bisect_left(places, sample.wall_ns - NEAR_NS, key=lambda at: sent[at].wall_ns)
        for at in places[start:]:
            if sent[at].wall_ns > sample.wall_ns + NEAR_NS:
                break
            found.append(at)
    return sorted(set(found), key=lambda at: abs(sent[at].wall_ns - sample.wall_ns))


def _is_in_gap(wall_ns: int, gaps: Sequence[GapSpan]) -> bool:
    return any(gap.interval.start - EDGE_NS <= wall_ns < gap.interval.end + EDGE_NS for gap in gaps)


def _length(sent: Sequence[Sent], at: int) -> int:
    if at + 1 >= len(sent):
        return 0
    return min(sent[at + 1].wall_ns - sent[at].wall_ns, SPANS_NS)


def samples_of(path: Path, wall_from: int) -> Iterator[Sample]:
    """Give the video samples of a segment file that starts at `wall_from` on the wall clock; nothing is decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        first: int | None = None
        for packet in container.demux(stream):
            if packet.size == 0 or packet.dts is None or packet.time_base is None:
                continue
            first = packet.dts if first is None else first
            offset_ns = int((packet.dts - first) * packet.time_base * SECOND_NS)
            yield Sample(wall_from + offset_ns, sample_hashes(bytes(packet)))


def sample_hashes(data: bytes) -> tuple[str, ...]:
    """Give the hash of a whole H.264 sample and the hash of its slices alone, which no recorder moves elsewhere."""
    slices = b"".join(nal for nal in _nals(data) if 1 <= nal[4] & 0x1F <= 5)
    return hashlib.sha256(data).hexdigest(), hashlib.sha256(slices).hexdigest()


def _nals(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield data[at:end]
        at = end


def frames_of_camera(ledger: Path, number: int) -> list[Sent]:
    """Read what one camera of a farm handed to at least one client."""
    truth = read_ledger(ledger).camera(number)
    return [Sent(each.unix_ns, (each.sha256, each.slices_sha256)) for each in truth.frames if each.clients]


def frames_of_recorder(ledger: Path) -> list[Sent]:
    """Read what a recorder sent; a last line cut short by a kill is left out."""
    found: list[Sent] = []
    for line in ledger.read_bytes().split(b"\n")[:-1]:
        group = json.loads(line)
        for _pts, _size, whole, slices, offset_us in group["frames"]:
            found.append(Sent(group["unix_ns"] + offset_us * 1000, (whole, slices)))
    return found
