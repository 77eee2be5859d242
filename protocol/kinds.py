"""List the kinds of records and their bodies: few fields, fixed meaning.

A body is encoded by `protocol.numbered`, so its fields are only ever appended. Unknown kinds and unknown fields are refused.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from protocol.clearing_kinds import Evaluation, Release
from protocol.conduct_kinds import Appeal, CreditEvent, RuleSet, Sample
from protocol.errors import MalformedError
from protocol.exchange_kinds import Delivery, MessageIn, MessageOut, PortEvent
from protocol.inspection_kinds import Declaration, DrawAct, DrawCall, DrawClosing, DrawPolicy, DrawResult, Hold, Reference, Step
from protocol.numbered import decode_fields, encode_fields
from protocol.rule_kinds import ProcedureAct, RuleAct
from protocol.supervision_kinds import Annotation, Instruction, SecondLook, SecondRound
from protocol.work_kinds import DeviceKey, SystemNote, Ticket, Work

GapCause = Literal[
    "camera lost", "camera stalled", "recorder lost", "frames lost", "disk full", "disk slow", "restart", "bytes lost",
    "clock step", "operator stop", "unsupported", "starting",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Boot:
    """A box began an epoch; names the last head it knows of the epoch before."""

    KIND: ClassVar[str] = "boot"
    boot_id: bytes
    software: str
    previous_epoch: int | None = None
    previous_size: int | None = None
    previous_root: bytes | None = None
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """The identity key certifies a session key until a monotonic instant of this epoch. Usage: live or import."""

    KIND: ClassVar[str] = "session"
    key: bytes
    until_mono_ns: int
    usage: Literal["live", "import"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording period of a stream begins or ends; the subject is the stream. `at_mono`: that instant, monotonic ns.

    `expected_end_ns`: when a stop was to be expected, by the pairings in force (Unix ns); None: with no end in sight.
    """

    KIND: ClassVar[str] = "recording"
    state: Literal["started", "stopped"]
    cause: str
    origin: Literal["rtsp", "whip", "import"]
    next_number: int
    expected_end_ns: int | None = None
    at_mono: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment file of a stream.

    `mono_from`/`mono_to`: monotonic ns of the epoch `epoch` (None: the record's own) in which it was captured; `wall_from`: its
    start in the box's wall clock. `bound`: bytes that a heartbeat had signed before a crash (recovered ones only).
    `run`: which muxer wrote it; in a run the initialisation part (ftyp + moov) is one and media time is continuous.
    `media_from`: decode time of its first video sample in 90 kHz units. `device_from`: the device's own clock at its start.
    `sample_root`: of its sample tree. `starts`: when each further track is first shown against the first one, in 1/705600000 s.
    Of older records only: `config`, SHA-256 of the initialisation part, and `tasks`, which it was linked to when it closed. The file's
    hash and the sample root cover the former, and the pairing records decide of the latter.
    """

    KIND: ClassVar[str] = "segment"
    number: int
    sha256: bytes
    size: int
    mono_from: int
    mono_to: int
    wall_from: int
    run: int
    media_from: int
    frames: int
    config: bytes | None
    state: Literal["live", "recovered", "imported"]
    lost: int = 0
    bound: int | None = None
    epoch: int | None = None
    device_from: int | None = None
    tasks: tuple[str, ...] | None = None
    sample_root: bytes | None = None
    starts: tuple[int, ...] | None = None

    @property
    def wall_to(self) -> int:
        """Give its end in the box's wall clock: a segment is cut at a clock step, so both clocks run alike inside it."""
        return self.wall_from + self.mono_to - self.mono_from


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a recording period that is in no segment, with its cause.

    A gap that began in an epoch before has no `mono_from`; its `mono_to` is of the epoch in which it ended.
    """

    KIND: ClassVar[str] = "gap"
    cause: GapCause
    wall_from: int
    wall_to: int
    mono_from: int | None = None
    mono_to: int | None = None
    detail: str = ""
    frames: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """What a heartbeat binds of one open segment: the first `size` bytes hash to `sha256` and last until `mono_to`."""

    stream: str
    number: int
    size: int
    sha256: bytes
    mono_from: int
    mono_to: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The box lives; every open segment is bound up to its flushed bytes."""

    KIND: ClassVar[str] = "heartbeat"
    open: tuple[OpenSegment, ...]


@dataclass(frozen=True, slots=True)
class StreamHead:
    """A stream's last closed segment number at a seal (None: none yet)."""

    stream: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Seal:
    """The signed checkpoint of the journal: it covers every position below its own.

    `counter`: of a hardware counter that lives outside the box's disk; each seal takes the next value, over all epochs.
    """

    KIND: ClassVar[str] = "seal"
    note: bytes
    streams: tuple[StreamHead, ...]
    reason: Literal["interval", "task", "shutdown"]
    counter: int | None = None


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock moved against the monotonic one by `step_ns`."""

    KIND: ClassVar[str] = "clock-step"
    before_ns: int
    after_ns: int
    step_ns: int


@dataclass(frozen=True, slots=True)
class BoxState:
    """Something about the box that matters to the evidence changed: disk, configuration, transport."""

    KIND: ClassVar[str] = "box-state"
    state: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Disposal:
    """Bytes were removed, by rule and on authority; their hashes stay. `by`: who is answerable, None: the rule alone.

    `records`: leaves of the port log whose concealed bodies were erased with their salts; `blobs` is empty then.
    """

    KIND: ClassVar[str] = "disposal"
    blobs: tuple[bytes, ...]
    reason: str
    by: str | None = None
    records: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task was opened or ended; the subject is the task. `cameras` are the bay's streams."""

    KIND: ClassVar[str] = "task"
    state: Literal["opened", "ended"]
    by: str
    site: str
    bay: str | None = None
    title: str | None = None
    inspectors: tuple[str, ...] | None = None
    cameras: tuple[str, ...] | None = None
    facts: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """A recorder's stream is bound to a task or freed from it; the subject is the task.

    The hub's record is the order; the box's record repeats it with the order's leaf hash and takes effect at its position.
    A late pairing reaches back to `late_from` and names a second person and a reason. `planned_end_ns`: when the task is to end.
    """

    KIND: ClassVar[str] = "pairing"
    state: Literal["paired", "unpaired"]
    stream: str
    by: str
    order: bytes | None = None
    late_from: int | None = None
    second: str | None = None
    reason: str | None = None
    planned_end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Blobs are in the hub's store, verified and flushed; the subject is the box they came from."""

    KIND: ClassVar[str] = "stored"
    blobs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Somebody began or ended to watch; the subject is a stream (live) or a task (playback)."""

    KIND: ClassVar[str] = "view"
    state: Literal["started", "ended"]
    viewer: str
    way: Literal["live", "playback"]
    view: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Export:
    """A task was exported; `manifest` is the SHA-256 of the bundle's manifest. The subject is the task.

    With `streams` it is these from `start_ns` to `end_ns`, and the subject is the export's own name. `signer`: SHA-256 of the
    certificate whose signature stands beside the bundle; `stamped`: a time authority's token stands beside that.
    """

    KIND: ClassVar[str] = "export"
    by: str
    manifest: bytes
    files: int
    streams: tuple[str, ...] | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    signer: bytes | None = None
    stamped: bool | None = None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A box's identity certificate was issued or revoked; the subject is the box, which counts from here on."""

    KIND: ClassVar[str] = "enrolment"
    state: Literal["issued", "revoked"]
    certificate: bytes
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """An issuer signed two records for one position; the subject is the issuer. `other` is the whole second record."""

    KIND: ClassVar[str] = "equivocation"
    epoch: int
    position: int
    known: bytes
    other: bytes


@dataclass(frozen=True, slots=True)
class Rollback:
    """A box's boot denies what it had signed - its disk was set back, or its journal forked; the subject is the box.

    `boot` names `size` records of `epoch`, or skips it; `known` is a signed record of that epoch which it denies, `session` the
    session record whose key signed it. All are whole records, so that anybody can check it under the box's identity key.
    """

    KIND: ClassVar[str] = "rollback"
    epoch: int
    size: int
    held: int
    boot: bytes
    known: bytes
    session: bytes


@dataclass(frozen=True, slots=True)
class Access:
    """A person, a right or a login changed; the subject is the person."""

    KIND: ClassVar[str] = "access"
    act: str
    by: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TimeToken:
    """An outside time authority stamped the port log's checkpoint of this size and root; the subject is the log's origin.

    `token` is RFC 3161, over the checkpoint's text. Everything below `size` existed by its time; this record came after it.
    """

    KIND: ClassVar[str] = "time-token"
    size: int
    root: bytes
    token: bytes
    authority: str


@dataclass(frozen=True, slots=True)
class HeadSeen:
    """A signed head of a box's journal was brought by hand and is genuine; the subject is the box, which was out of reach.

    `note` is the checkpoint of a seal of epoch `epoch`: what it covers existed when this was written.
    """

    KIND: ClassVar[str] = "head-seen"
    epoch: int
    note: bytes
    by: str
    way: Literal["file", "code"]


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a task's video is kept was decided: its class, or a legal hold on it or off it; the subject is the task."""

    KIND: ClassVar[str] = "keeping"
    state: Literal["classed", "held", "freed"]
    by: str
    reason: str
    kept_as: str | None = None


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a box runs by, from here on: the subject is the box. `facts` are those that matter to the evidence, no secrets.

    `sha256`: of its settings in full but for secrets; `changed`: they differ from those of the run before.
    """

    KIND: ClassVar[str] = "configuration"
    sha256: bytes
    facts: tuple[tuple[str, str], ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A monitor replayed the log up to `size`; `report` is its whole report, signed by the monitor's own key (COSE_Sign1)."""

    KIND: ClassVar[str] = "audit-report"
    by: str
    size: int
    root: bytes
    findings: int
    report: bytes


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle over time whose pixels were destroyed; it counts from its first point until `until`, in ms of the derived file.

    `points`: (ms, left, top, right, bottom), edges in 1/10000 of the picture, in straight lines from one to the next. `origin`:
    drawn by a person, or proposed by a detector and accepted by `by`.
    """

    points: tuple[tuple[int, int, int, int, int], ...]
    until: int
    way: Literal["black", "blur"]
    origin: Literal["drawn", "proposed"]
    by: str


@dataclass(frozen=True, slots=True)
class Parent:
    """A segment that a derived file was made of: its bytes' SHA-256, and the leaf hash and place of its record in its box's journal."""

    number: int
    sha256: bytes
    leaf: bytes
    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class Derived:
    """A changed copy was made of parts of segments: a file of its own, never the original. The subject is the task.

    It shows `stream` from `start_ns` to `end_ns` by the box's wall clock. `tools`: names and versions of what decoded and encoded.
    """

    KIND: ClassVar[str] = "derived"
    act: Literal["redacted"]
    sha256: bytes
    size: int
    by: str
    stream: str
    start_ns: int
    end_ns: int
    parents: tuple[Parent, ...]
    areas: tuple[Area, ...]
    sound: Literal["kept", "muted", "none"]
    frames: int
    tools: tuple[tuple[str, str], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Concealed:
    """A record with personal data: its body stands beside the log and may be erased, the log holds what binds it.

    `of`: the kind within; `commitment`: SHA-256 over a salt and the body (`protocol.concealing`). The subject is the inner one
    where that names no person, else the issuer.
    """

    KIND: ClassVar[str] = "concealed"
    of: str
    commitment: bytes


@dataclass(frozen=True, slots=True)
class PortCheckpoint:
    """A port's log stood at this checkpoint: a leaf of the national log. The subject is the port log's origin.

    `note`: the signed checkpoint as the port sent it, with its cosignatures; it extends the one that was logged before.
    """

    KIND: ClassVar[str] = "port-checkpoint"
    note: bytes


@dataclass(frozen=True, slots=True)
class Fork:
    """A log signed two trees of one size; the subject is its origin. Both checkpoints are whole, so that anybody can check it."""

    KIND: ClassVar[str] = "fork"
    known: bytes
    other: bytes


Body = (
    Boot | Session | Recording | Segment | Gap | Heartbeat | Seal | ClockStep | BoxState | Disposal
    | Task | Pairing | Stored | View | Export | Enrolment | Equivocation | Access | TimeToken | HeadSeen
    | AuditReport | Keeping | Rollback | Configuration | Derived | Concealed | PortCheckpoint | Fork
    | Declaration | Step | Hold | Reference
    | DrawPolicy | DrawCall | DrawClosing | DrawResult | DrawAct
    | ProcedureAct | RuleAct
    | CreditEvent | Appeal | RuleSet | Sample
    | Annotation | Instruction | SecondRound | SecondLook
    | MessageIn | MessageOut | PortEvent | Delivery | Evaluation | Release
    | DeviceKey | Work | SystemNote | Ticket
)  # fmt: skip

KINDS: dict[str, type[Any]] = {kind.KIND: kind for kind in get_args(Body)}


def encode_body(body: Body) -> dict[int, Any]:
    """Give the numbered fields of a body; raise MalformedError when a field has the wrong type."""
    return encode_fields(body)


def decode_body(kind: Any, value: Any) -> Body:  # noqa: ANN401
    """Read the body of a kind; raise MalformedError when the kind is unknown or a field is wrong."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise MalformedError(f"kind {str(kind)[:40]!r} is not known", where="record.kind")
    body: Body = decode_fields(KINDS[kind], value, kind)
    return body
