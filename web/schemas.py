"""Describe the JSON that the API takes and gives. Instants are Unix milliseconds (`_ms`), hashes are lower-case hex."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["supervisor", "inspector", "administrator", "trader", "partner"]
EvidenceState = Literal["verified", "pending", "gap", "failed", "disposed", "unknown"]
ErrorKind = Literal["malformed", "refused", "forbidden", "unauthenticated", "missing", "unavailable", "verification", "storage"]
Text = Annotated[str, Field(max_length=400)]
Name = Annotated[str, Field(min_length=1, max_length=40)]
Party = Annotated[str, Field(min_length=1, max_length=64, description="the enterprise or partner that a trader or a partner acts for")]
Password = Annotated[str, Field(min_length=1, max_length=256)]
Stream = Annotated[str, Field(max_length=65, description="box/source, e.g. `box-1/cam-1`")]


class Shape(BaseModel):
    """A JSON object with no unknown members."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FaultShape(Shape):
    """One thing that is wrong in a form, at a path such as `goods[2].hs`: in the asker's language, and in both."""

    path: str
    code: str
    what: str
    en: str
    zh: str


class ErrorBody(Shape):
    """What went wrong, in the asker's language."""

    kind: ErrorKind
    what: str = Field(description="A sentence for people")
    where: str = Field(description="The field, thing or position it is about, as programs name it; may be empty")
    about: str = Field(default="", description="The same in the asker's language; empty when it says nothing to people")
    faults: list[FaultShape] = Field(default=[], description="All that is wrong in a form, where one was sent")


class ErrorAnswer(Shape):
    """The body of every answer that is not a success."""

    error: ErrorBody


class RecordPlace(Shape):
    """Where a record stands: its issuer's log, epoch and position."""

    issuer: str
    epoch: int
    position: int


class JournalAnswer(Shape):
    """One epoch of a box's mirrored journal: records held, and how many its newest seal covers."""

    box: str
    epoch: int
    size: int
    sealed: int


class KeepingAsk(Shape):
    """How long a task's video is kept: its class, or a legal hold on it or off it; why."""

    state: Literal["classed", "held", "freed"]
    kept_as: str | None = Field(default=None, max_length=40)
    reason: str = Field(min_length=1, max_length=400)


class RetentionClass(Shape):
    """A retention class: how many days, null for ever, and which rule says so."""

    name: str
    days: int | None
    source: str


class KeepingAnswer(Shape):
    """How long a task's video is kept, and the classes there are."""

    task: str
    kept_as: str
    held: bool
    classes: list[RetentionClass]


class ReasonAsk(Shape):
    """Why."""

    reason: str = Field(min_length=1, max_length=400)


class ReportAsk(Shape):
    """A monitor's signed report, in hex."""

    report: str = Field(pattern=r"^([0-9a-f]{2})+$", max_length=2 * 49152)


class LoginAsk(Shape):
    """Name and password."""

    name: Name
    password: Password


class HeadAsk(Shape):
    """A box's sealed head that was brought by hand: the text of its QR code or file, and which of the two it was."""

    head: Annotated[str, Field(min_length=8, max_length=4096, description="`PWH1.` and base64url")]
    way: Literal["file", "code"] = "code"


class SessionAnswer(Shape):
    """Who is logged in. Send `csrf` as header `X-CSRF-Token` with every write."""

    person: str
    name: str
    role: Role
    csrf: str
    expires_ms: float
    party: str | None = None
    time_zone: Annotated[str, Field(description="The site's zone, in which pages show all times; empty: the reader's own")] = ""


class TaskAsk(Shape):
    """Open a task."""

    task: Annotated[str, Field(min_length=1, max_length=64, description="The task's number, e.g. `T-20261123-0001`")]
    title: Text = ""
    bay: Annotated[str, Field(max_length=32)] | None = None
    cameras: Annotated[list[Stream], Field(max_length=64)] = []
    inspectors: Annotated[list[Name], Field(max_length=16)] = []
    facts: Annotated[dict[Annotated[str, Field(max_length=64)], Text], Field(max_length=64)] = {}


class BondAnswer(Shape):
    """A recorder's pairing with a task: `pending` until the box has signed its own pairing record, from which it counts."""

    stream: str
    state: Literal["pending", "paired", "unpaired", "refused"]
    by: str
    ordered_ms: float
    from_ms: float | None
    to_ms: float | None
    late_from_ms: float | None
    second: str | None
    reason: str | None
    detail: str
    ending: bool = Field(description="Its end is ordered; the box has not confirmed it")


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
    names: dict[str, str] = Field(description="Names of the people it mentions, by login")


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
    recovered: bool
    bound: int | None = Field(description="Bytes a heartbeat had signed before a crash")
    why: str = Field(description="What it waits for, or what failed; empty when verified")
    record: RecordPlace


class GapPiece(Shape):
    """A stretch without video; `cause` is `unexplained` when nothing signed accounts for it.

    `unknown`: the box is silent or has not sent all, so its records about this stretch may still come.
    """

    state: Literal["gap", "failed", "unknown"]
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
    late: bool = Field(description="Linked by a late pairing")
    linked: list[tuple[float, float]] = Field(description="The stretches that belong to the task")
    segments: list[SegmentPiece]
    gaps: list[GapPiece]
    coverage: CoverageAnswer
    spans: list[tuple[float, float, float, int]] = Field(
        description="Instead of pieces, where there are too many to see: from, recorded, gap (ms), pieces that begin in it"
    )
    span_ms: float = Field(description="How long each span is, whole hours")


class TimelineAnswer(Shape):
    """The lanes of a task. `detail`: whether they hold pieces, or spans where there are too many: ask for a shorter stretch then."""

    task: str
    from_ms: float
    to_ms: float
    lanes: list[LaneAnswer]
    detail: Literal["pieces", "spans", "none"]


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


class LiveViewAnswer(Shape):
    """How a live view does: `starting` until the first picture; `ended` with a reason in the asker's language, if the hub ended it."""

    view: str
    state: Literal["starting", "live", "ended"]
    reason: str


class ExportWish(Shape):
    """Streams over a stretch of time that has passed, at most a week."""

    streams: Annotated[list[Stream], Field(min_length=1, max_length=64)]
    from_ms: float
    to_ms: float


class ExportAnswer(Shape):
    """How far an export is. `bundle` is its address once it is done; `task` may be the name of an export by time.

    `notes` say what is not in the bundle though it could be: a signature, a time-stamp, C2PA manifests.
    """

    export: str
    task: str
    state: Literal["running", "done", "failed"]
    done_bytes: int
    total_bytes: int
    what: str = ""
    bundle: str | None = None
    notes: list[str] = []


class StreamAnswer(Shape):
    """A camera or recorder of a box as it is now."""

    stream: str
    box: str
    source: str
    role: Literal["camera", "recorder"]
    state: str = Field(description="recording, waiting, lost, refused, stopped; offline when its box is")
    detail: str
    task: str | None
    bitrate: int
    frames: int
    lost: int
    viewers: int
    live: bool
    last_number: int | None


class StreamsAnswer(Shape):
    """All streams the asker may see."""

    streams: list[StreamAnswer]


class SourceAnswer(Shape):
    """A source as its box reports it."""

    source: str
    role: Literal["camera", "recorder"]
    state: str
    detail: str
    last_unit_ms: float | None
    bitrate: int
    frames: int
    lost: int
    task: str | None


class ReportAnswer(Shape):
    """What a box last told of itself."""

    sync: str
    software: str
    transport: str
    journal_size: int
    unsent_records: int
    unsent_blobs: int
    unsent_bytes: int
    unreceipted: int
    free_bytes: int
    disk: Literal["ok", "low", "full"]
    sources: list[SourceAnswer]


class DeviceAnswer(Shape):
    """A box: how far its journal is at the hub, and its newest report."""

    box: str
    enrolled: bool
    online: bool
    last_seen_ms: float | None
    clock_offset_ms: float | None = Field(description="Box clock minus hub clock when its report arrived")
    epoch: int | None
    persisted: int
    receipted: int
    report: ReportAnswer | None


class DevicesAnswer(Shape):
    """All boxes."""

    devices: list[DeviceAnswer]


class AlarmAnswer(Shape):
    """Something a person must look at."""

    id: int
    kind: str
    subject: str
    detail: str
    first_ms: float
    last_ms: float
    count: int
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
    party: Party | None = None


class PersonChange(Shape):
    """Change a person's role (with its party), name or state; `new_password` gives a fresh generated one."""

    role: Role | None = None
    party: Party | None = None
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
    party: str | None = None
    password: str | None = None


class PeopleAnswer(Shape):
    """All people."""

    people: list[PersonAnswer]


class RightShape(Shape):
    """An act of the interface, and the roles that may ask for it."""

    group: str
    act: str
    method: str
    path: str
    roles: list[Role]


class RightsAnswer(Shape):
    """Every act that is not public."""

    rights: list[RightShape]


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


class EnrolmentAsked(Shape):
    """The name of a box's request."""

    request: str


class EnrolmentStanding(Shape):
    """How a box's request stands; the rest is null until it is issued."""

    state: Literal["waiting", "issued", "refused"]
    reason: str
    certificates: str | None
    hub_device_url: str | None
    hub_mqtt_url: str | None


class EnrolmentShape(Shape):
    """A box's request as administrators and the site CA see it. `known`: the box is enrolled already, its key changes or renews."""

    request: str
    site: str
    box: str
    identity_csr: str | None
    tls_csr: str
    state: Literal["waiting", "issued", "refused"]
    asked_ms: float
    by: str | None
    reason: str
    known: bool
    log: str = Field(description="The port log's verifier key, for the trust file the site CA signs")
    fingerprint: str = Field(description="SHA-256 of the key that will sign records (SubjectPublicKeyInfo)")


class EnrolmentsAnswer(Shape):
    """Requests, newest first."""

    enrolments: list[EnrolmentShape]


class RevokedAnswer(Shape):
    """How many identities of a box stopped counting."""

    box: str
    identities: int


class IceServer(Shape):
    """A STUN or TURN server, as browsers take it."""

    urls: str
    username: str | None
    credential: str | None


class IceAnswer(Shape):
    """The STUN and TURN servers; none unless the settings name some."""

    servers: list[IceServer]


class IssueAsk(Shape):
    """What the site CA issued for a request: PEM certificates and the signed trust file, as one text."""

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
    opening_hex: str | None = Field(None, description="Salt and body that a concealed record binds; whoever holds it can check it")
    concealed: Literal["shown", "erased", "missing"] | None = Field(None, description="What became of a concealed record's body")
    erased_by: int | None = Field(None, description="The log's record that says why the body was erased")
    leaf: str
    state: Literal["logged", "persisted"]
    log_index: int | None
    log_size: int | None
    log_leaf: str | None = Field(description="Hash of the leaf that covers it: the record itself, or the seal over it")
    path: list[str] = Field(description="Inclusion proof of that leaf in the checkpoint")
    checkpoint: str | None


class StatusAnswer(Shape):
    """Whether the hub is up; public."""

    version: str
    ready: bool
    site: str
    hub: str
