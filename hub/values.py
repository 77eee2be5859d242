"""Hold the values that the hub's facade gives: frozen, transport-free, ready to be turned into JSON.

Times are Unix ns unless a name says otherwise; hashes are raw bytes.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from protocol.coverage import Coverage
from protocol.messages import BoxReport

SegmentState = Literal["verified", "pending", "failed", "disposed"]


@dataclass(frozen=True, slots=True)
class Code:
    """A task's short pairing code and when it ends."""

    code: str
    expires_ns: int


@dataclass(frozen=True, slots=True)
class PairingState:
    """What is known of one stream's pairing with a task.

    `pending`: ordered, the box has not confirmed. `paired`/`unpaired`: the box's record says so. `refused`: the box said no.
    """

    task: str
    stream: str
    state: Literal["pending", "paired", "unpaired", "refused"]
    by: str
    ordered_ns: int
    effective_ns: int | None = None
    ended_ns: int | None = None
    late_from: int | None = None
    second: str | None = None
    reason: str | None = None
    detail: str = ""
    ending: bool = False  # its end is ordered, the box has not confirmed it


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task as it stands."""

    task: str
    state: Literal["opened", "ended"]
    title: str
    site: str
    bay: str | None
    by: str
    opened_ns: int
    ended_ns: int | None
    inspectors: tuple[str, ...]
    cameras: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    pairings: tuple[PairingState, ...] = ()


class LaneSegment(NamedTuple):
    """One segment on a lane: a tuple, for thousands are made at once. `state` failed carries the reason in `detail`.

    `run` and `media_from` (90 kHz) let a player place it; in a run the initialisation part is one.
    """

    sha256: bytes
    number: int
    wall_from: int
    wall_to: int
    size: int
    run: int
    media_from: int
    kind: Literal["live", "recovered"]
    box: str
    epoch: int
    position: int
    bound: int | None
    state: SegmentState
    detail: str


@dataclass(frozen=True, slots=True)
class LaneGap:
    """A signed gap on a lane."""

    wall_from: int
    wall_to: int
    cause: str
    detail: str
    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class LaneSpan:
    """What a span of hours of a lane comes to, from `start_ns` on; `pieces`: segments and gaps that begin in it."""

    start_ns: int
    recorded_ns: int
    gap_ns: int
    pieces: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream of a task over time. `stretches`: [from, to) that belong to the task; `coverage` accounts for them.

    Where there are more pieces than anybody can see at once, `spans` of `span_ns` each say what they come to, and there are no pieces.
    """

    stream: str
    role: Literal["camera", "recorder"]
    stretches: tuple[tuple[int, int], ...]
    late: bool
    segments: tuple[LaneSegment, ...]
    gaps: tuple[LaneGap, ...]
    unexplained: tuple[tuple[int, int], ...]
    coverage: tuple[Coverage, ...]
    percent: float
    unexplained_ms: int
    spans: tuple[LaneSpan, ...] = ()
    span_ns: int = 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """All lanes of a task; `until_ns` is its end, or now. `detail`: whether the lanes hold pieces, spans, or nothing but stretches."""

    task: TaskFacts
    from_ns: int
    until_ns: int
    lanes: tuple[Lane, ...]
    detail: Literal["pieces", "spans", "none"] = "pieces"


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream that the hub knows: from records, and from its box's newest report."""

    stream: str
    role: Literal["camera", "recorder"]
    state: str
    detail: str
    task: str | None
    bitrate: int
    frames: int
    lost: int
    viewers: int
    live: bool
    last_number: int | None


@dataclass(frozen=True, slots=True)
class Device:
    """A box as a supervisor's page shows it.

    `offset_ms`: box clock minus hub clock, as seen when its report arrived (so delayed at most by the way); None unknown.
    """

    box: str
    enrolled: bool
    online: bool
    last_seen_ns: int | None
    offset_ms: int | None
    epoch: int | None
    journal_size: int
    receipted: int
    report: BoxReport | None


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should look at."""

    id: int
    kind: str
    subject: str
    detail: str
    first_ns: int
    last_ns: int
    count: int
    acknowledged_by: str | None
    acknowledged_ns: int | None


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record with where it stands: `covered` is the port log's leaf that covers it (None: not yet), `receipted` if published.

    For a hub record `covered` is its own leaf. A concealed record has its `opening` (salt and body), or the leaf that erased it.
    """

    issuer: str
    epoch: int
    position: int
    kind: str
    subject: str
    wall_ns: int
    data: bytes
    leaf: bytes
    covered: int | None
    receipted: bool
    opening: bytes | None = None
    erased: int | None = None
