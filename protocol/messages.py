"""Define what boxes and hubs say to each other: batches of records, acknowledgements, commands, telemetry.

Each message is canonical CBOR `[name, version, {field number: value}]`, with the same field rules as record bodies, and is
the same on MQTT and HTTPS. There are exactly three acknowledgements - persisted, stored, receipt - and each names what it
acknowledges; `resend` asks for what is missing.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar, get_args

from protocol import canonical
from protocol.errors import MalformedError
from protocol.numbered import decode_fields, encode_fields

VERSION = 1
MAX_MESSAGE_BYTES = 1_048_576
MAX_BATCH_RECORDS = 256


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """Records of one box journal, positions `first` and following, in order. Box to hub."""

    KIND: ClassVar[str] = "journal"
    box: str
    epoch: int
    first: int
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Persisted:
    """Acknowledgement 1: positions below `size` of that epoch are committed at the hub; cumulative."""

    KIND: ClassVar[str] = "persisted"
    box: str
    epoch: int
    size: int


@dataclass(frozen=True, slots=True)
class StoredBlobs:
    """Acknowledgement 2: these blobs (SHA-256) are at the hub, hash to their names, and are flushed."""

    KIND: ClassVar[str] = "stored"
    box: str
    blobs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Acknowledgement 3: a published checkpoint covers the seal that covers positions [first, end).

    `left`/`right`: range proof of [first, end) in the journal tree of `seal_size` leaves, whose root the seal names.
    `seal`: the signed seal record, leaf `log_index` of the port log; `path`: its inclusion proof in `checkpoint`, a signed note.
    """

    KIND: ClassVar[str] = "receipt"
    box: str
    epoch: int
    first: int
    end: int
    left: tuple[bytes, ...]
    right: tuple[bytes, ...]
    seal: bytes
    log_index: int
    path: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Resend:
    """The hub has positions below `size` of that epoch and asks for what follows. Hub to box.

    With `verdict` the hub refuses what it got there: the text says what is wrong, and the box stops repeating it until told again.
    """

    KIND: ClassVar[str] = "resend"
    box: str
    epoch: int
    size: int
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Command: a source of the box is bound to a task (`paired`) or freed; `order` is the hub's signed pairing record."""

    KIND: ClassVar[str] = "pair"
    command: str
    task: str
    source: str
    state: Literal["paired", "unpaired"]
    by: str
    order: bytes
    token: str | None = None


@dataclass(frozen=True, slots=True)
class EndTask:
    """Command: a task ended; the box closes its open segments, seals, and frees what was paired.

    `order` is the hub's signed task record that says so.
    """

    KIND: ClassVar[str] = "end-task"
    command: str
    task: str
    order: bytes


@dataclass(frozen=True, slots=True)
class Live:
    """Command: publish a source to the hub by WHIP (`start`) or stop. `path` is below the hub's device address."""

    KIND: ClassVar[str] = "live"
    command: str
    source: str
    act: Literal["start", "stop"]
    path: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The box's answer to a command: done, or refused with a reason. Box to hub."""

    KIND: ClassVar[str] = "reply"
    command: str
    done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A recorder was given a task's short code and claims the pairing. Box to hub; answered by a `Pair` command or `Refusal`."""

    KIND: ClassVar[str] = "claim"
    claim: str
    box: str
    source: str
    code: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The hub refuses a claim, with a reason a person can read. Hub to box."""

    KIND: ClassVar[str] = "refusal"
    claim: str
    reason: str


@dataclass(frozen=True, slots=True)
class SourceState:
    """How one source of a box does."""

    source: str
    role: Literal["camera", "recorder"]
    state: Literal["recording", "waiting", "lost", "refused", "stopped"]
    detail: str
    last_unit_ns: int | None
    bitrate: int
    frames: int
    lost: int
    task: str | None = None


@dataclass(frozen=True, slots=True)
class BoxReport:
    """Telemetry of a box, retained: what a supervisor's device page shows."""

    KIND: ClassVar[str] = "report"
    box: str
    epoch: int
    wall_ns: int
    mono_ns: int
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
    sources: tuple[SourceState, ...]
    online: bool = True


@dataclass(frozen=True, slots=True)
class Beacon:
    """The newest published checkpoint of the port log and the hub's time; boxes name it in their records. Hub to box.

    `proof`: that it extends the checkpoint of `old` leaves, which the hub showed this box before (RFC 6962 §2.1.2).
    """

    KIND: ClassVar[str] = "beacon"
    checkpoint: bytes
    hub_wall_ns: int
    old: int | None = None
    proof: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Prove:
    """A box asks that the port log's tree of `new` leaves extends that of `old`: it was shown both. Box to hub."""

    KIND: ClassVar[str] = "prove"
    box: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Consistency:
    """The proof a box asked for (RFC 6962 §2.1.2). Hub to box."""

    KIND: ClassVar[str] = "consistency"
    old: int
    new: int
    proof: tuple[bytes, ...]


Message = (
    JournalBatch | Persisted | StoredBlobs | Receipt | Resend | Pair | EndTask | Live | Reply | Claim | Refusal | BoxReport | Beacon
    | Prove | Consistency
)  # fmt: skip
Command = Pair | EndTask | Live
MESSAGES: dict[str, type[Any]] = {message.KIND: message for message in get_args(Message)}
_M = TypeVar("_M")


def pair_command(order_leaf: bytes) -> str:
    """Give the command's name under which a pairing order is sent: one order is one command, so it is obeyed once."""
    return f"pair:{order_leaf.hex()[:32]}"


def encode(message: Message) -> bytes:
    """Give the bytes of a message; raise MalformedError when a field is wrong or the whole is too long."""
    data = canonical.encode([message.KIND, VERSION, encode_fields(message)])
    if len(data) > MAX_MESSAGE_BYTES:
        raise MalformedError(f"{len(data)} bytes, at most {MAX_MESSAGE_BYTES}", where=message.KIND)
    return data


def decode(data: bytes) -> Message:
    """Read a message; raise MalformedError naming the field that is wrong."""
    value = canonical.decode(data, limit=MAX_MESSAGE_BYTES)
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
        raise MalformedError("not [name, version, fields]", where="message")
    name, version, numbered = value
    if name not in MESSAGES:
        raise MalformedError(f"{name[:40]!r} is not known", where="message")
    if version != VERSION:
        raise MalformedError(f"version {version!r} is not known (known: {VERSION})", where=name)
    message: Message = decode_fields(MESSAGES[name], numbered, name)
    return message


def expect(kind: type[_M], data: bytes) -> _M:
    """Read a message of one kind; raise MalformedError when it is another."""
    message = decode(data)
    if not isinstance(message, kind):
        raise MalformedError(f"got {message.KIND!r}, expected {kind.__name__}", where="message")
    return message
