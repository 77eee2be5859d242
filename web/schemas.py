"""Describe the JSON that the API takes and gives. Instants are Unix milliseconds (`_ms`), hashes are lower-case hex."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["supervisor", "inspector", "administrator"]
EvidenceState = Literal["verified", "pending", "gap", "failed"]
ErrorKind = Literal["malformed", "refused", "forbidden", "unauthenticated", "missing", "unavailable", "verification", "storage"]
Text = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(min_length=1, max_length=40)]
Password = Annotated[str, Field(min_length=1, max_length=256)]
Stream = Annotated[str, Field(max_length=65, description="box/source, e.g. `box-1/cam-1`")]


class Shape(BaseModel):
    """A JSON object with no unknown members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorBody(Shape):
    """What went wrong, in the asker's language."""

    kind: ErrorKind
    what: str = Field(description="A sentence for people")
    where: str = Field(description="The field, thing or position it is about; may be empty")


class ErrorAnswer(Shape):
    """The body of every answer that is not a success."""

    error: ErrorBody


class RecordPlace(Shape):
    """Where a record stands: its issuer's log, epoch and position."""

    issuer: str
    epoch: int
    position: int


class LoginAsk(Shape):
    """Name and password."""

    name: Name
    password: Password


class SessionAnswer(Shape):
    """Who is logged in. Send `csrf` as header `X-CSRF-Token` with every write."""

    person: str
    name: str
    role: Role
    csrf: str
    expires_ms: float


class TaskAsk(Shape):
    """Open a task."""

    task: Annotated[str, Field(min_length=1, max_length=64, description="The task's number, e.g. `T-20261123-0001`")]
    title: Text = ""
    bay: Annotated[str, Field(max_length=32)] | None = None
    cameras: Annotated[list[Stream], Field(max_length=64)] = []
    inspectors: Annotated[list[Name], Field(max_length=16)] = []
    facts: Annotated[dict[Annotated[str, Field(max_length=64)], Text], Field(max_length=64)] = {}


class BondAnswer(Shape):
    """A recorder bound to a task. `effective` is false until the box has signed its own pairing record."""

    stream: str
    by: str
    effective: bool
    from_ms: float | None = None
    to_ms: float | None = None
    late_from_ms: float | None = None
    second: str | None = None
    reason: str | None = None
    record: RecordPlace | None = None


class TaskAnswer(Shape):
    """A task."""

    task: str
    title: str
    site: str
    bay: str | None
    state: Literal["open", "ended"]
    opened_ms: float
    ended_ms: float | None
    by: str
    inspectors: list[str]
    cameras: list[str]
    facts: dict[str, str]
    paired: list[BondAnswer]
    record: RecordPlace | None = None


class TasksAnswer(Shape):
    """Tasks, newest first."""

    tasks: list[TaskAnswer]


class SegmentPiece(Shape):
    """A segment on its lane. `media_from` is the decode time of its first sample (90 kHz) within its `run`."""

    state: EvidenceState
    from_ms: float
    to_ms: float
    sha256: str
    size: int
    number: int
    run: int
    media_from: int
    frames: int
    recovered: bool
    why: str = Field(description="What it waits for, or what failed; empty when verified")
    record: RecordPlace


class GapPiece(Shape):
    """A stretch without video; `cause` is `unexplained` when nothing signed accounts for it."""

    state: Literal["gap", "failed"]
    from_ms: float
    to_ms: float
    cause: str
    detail: str
    record: RecordPlace | None


class CoverageAnswer(Shape):
    """What became of the linked period, in milliseconds."""

    period_ms: float
    recorded_ms: float
    gap_ms: float
    unexplained_ms: float
    percent: float


class LaneAnswer(Shape):
    """One camera or recorder over the task's time."""

    stream: str
    role: Literal["camera", "recorder"]
    linked: list[tuple[float, float]] = Field(description="The stretches that belong to the task")
    segments: list[SegmentPiece]
    gaps: list[GapPiece]
    coverage: CoverageAnswer


class TimelineAnswer(Shape):
    """The lanes of a task."""

    task: str
    from_ms: float
    to_ms: float
    lanes: list[LaneAnswer]


class CodeAnswer(Shape):
    """The task's short code for pairing, and the same as a QR picture."""

    code: str
    expires_ms: float
    qr_svg: str


class PairAsk(Shape):
    """Bind a recorder to a task. A late pairing names where it reaches back to, a second person and a reason."""

    stream: Stream
    late_from_ms: float | None = None
    second: Name | None = None
    second_password: Password | None = None
    reason: Text | None = None


class ViewAnswer(Shape):
    """A view that has begun; it is a record. End it by DELETE."""

    view: str


class ExportAnswer(Shape):
    """How far an export is. `bundle` is its address once it is done."""

    export: str
    task: str
    state: Literal["running", "done", "failed"]
    done_bytes: int
    total_bytes: int
    what: str = ""
    bundle: str | None = None


class StreamAnswer(Shape):
    """A camera or recorder of a box as it is now."""

    stream: str
    box: str
    source: str
    role: Literal["camera", "recorder"]
    state: Literal["recording", "waiting", "lost", "refused", "stopped", "unknown"]
    detail: str
    last_unit_ms: float | None
    bitrate: int
    frames: int
    lost: int
    task: str | None
    online: bool


class StreamsAnswer(Shape):
    """All streams the asker may see."""

    streams: list[StreamAnswer]


class JournalPlace(Shape):
    """How far an epoch of a box's journal is at the hub."""

    epoch: int
    persisted: int
    receipted: int


class DeviceAnswer(Shape):
    """A box: its newest report and how far its journal is."""

    box: str
    online: bool
    reported_ms: float | None
    clock_offset_ms: float | None
    sync: str
    software: str
    transport: str
    journal_size: int
    unsent_records: int
    unsent_blobs: int
    unsent_bytes: int
    unreceipted: int
    free_bytes: int
    disk: str
    revoked: bool
    journal: list[JournalPlace]
    sources: list[StreamAnswer]


class DevicesAnswer(Shape):
    """All boxes."""

    devices: list[DeviceAnswer]


class AlarmAnswer(Shape):
    """Something a person must look at."""

    id: str
    kind: str
    subject: str
    what: str
    raised_ms: float
    acknowledged_ms: float | None
    acknowledged_by: str | None


class AlarmsAnswer(Shape):
    """Alarms, newest first."""

    alarms: list[AlarmAnswer]


class PersonAsk(Shape):
    """Add a person; without a password one is generated and given once."""

    name: Name
    role: Role
    display: Annotated[str, Field(max_length=80)] = ""
    password: Annotated[str, Field(min_length=10, max_length=256)] | None = None


class PersonChange(Shape):
    """Change a person's role, name or state; `new_password` gives a fresh generated one."""

    role: Role | None = None
    display: Annotated[str, Field(max_length=80)] | None = None
    disabled: bool | None = None
    new_password: bool = False


class PersonAnswer(Shape):
    """A person; `password` only where one was generated, this once."""

    name: str
    display: str
    role: Role
    disabled: bool
    created_ms: float
    password: str | None = None


class PeopleAnswer(Shape):
    """All people."""

    people: list[PersonAnswer]


class ApiTokenAsk(Shape):
    """Make an API token for a person."""

    person: Name
    label: Annotated[str, Field(min_length=1, max_length=80)]
    days: Annotated[int, Field(ge=1, le=366)] = 90


class ApiTokenAnswer(Shape):
    """An API token; `token` only where it was made, this once."""

    id: str
    person: str
    label: str
    expires_ms: float
    token: str | None = None


class ApiTokensAnswer(Shape):
    """All API tokens."""

    tokens: list[ApiTokenAnswer]


class BoxTokenAsk(Shape):
    """Make a one-time token by which a box may ask for its certificates."""

    box: Annotated[str, Field(min_length=1, max_length=32)]


class BoxTokenAnswer(Shape):
    """A one-time enrolment token, shown this once."""

    box: str
    token: str
    expires_ms: float


class EnrolmentAsk(Shape):
    """A box asks for its certificates (DER requests in base64, or PEM)."""

    token: Annotated[str, Field(max_length=200)]
    box: Annotated[str, Field(max_length=32)]
    identity_csr: Annotated[str, Field(max_length=16_384)]
    tls_csr: Annotated[str, Field(max_length=16_384)]


class IssueAsk(Shape):
    """Certificates that the site CA signed for a request (PEM, the box's two first, then the chain)."""

    certificates: Annotated[str, Field(max_length=65_536)]


class RevokeAsk(Shape):
    """Why a box's certificates stop counting."""

    reason: Annotated[str, Field(min_length=3, max_length=400)]


class RecordAnswer(Shape):
    """A record, opened: its fields, its bytes and where it is proven."""

    record: RecordPlace
    kind: str
    subject: str
    wall_ms: float
    mono_ns: str
    sync: str
    error_ms: int | None
    seen_size: int | None
    body: dict[str, object]
    data_hex: str
    leaf: str
    state: Literal["logged", "persisted"]
    log_index: int | None
    log_size: int | None
    path: list[str]
    checkpoint: str | None


class StatusAnswer(Shape):
    """Whether the hub is up; public."""

    version: str
    ready: bool
    site: str
    hub: str
