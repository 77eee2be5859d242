"""Describe the JSON about work on site; the rest stands in `web.schemas`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from web.schemas import Shape

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class KeyAsk(Shape):
    """A phone's public key (base64 of the DER of its SPKI), and how its owner calls the phone."""

    spki: Annotated[str, Field(min_length=1, max_length=400)]
    device: Annotated[str, Field(min_length=1, max_length=200)]


class KeyAnswer(Shape):
    """A certified key; `certificate`: base64 of the signed record that says so."""

    key_id: str
    certificate: str
    until_ms: float


class KnownKey(Shape):
    """A phone's key as it stands."""

    key_id: str
    device: str
    state: Literal["issued", "revoked"]
    until_ms: float
    position: int


class KeysAnswer(Shape):
    """The keys of a person, newest first."""

    keys: list[KnownKey]


class RevokeAsk(Shape):
    """Why a key ends before its time."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class DispatchAsk(Shape):
    """At which bay a held declaration is inspected."""

    bay: Annotated[str, Field(min_length=1, max_length=64)]


class DispatchAnswer(Shape):
    """The tasks that a dispatch opened, the first procedure's first."""

    task: str
    tasks: list[str]


class WorkTask(Shape):
    """A task in the list of a person's work; `have` of `want` is the completeness meter."""

    task: str
    title: str
    declaration: str
    declaration_state: str
    bay: str | None
    state: Literal["opened", "ended"]
    role: Literal["lead", "assistant", "observer"]
    have: int
    want: int
    procedure: str
    changed_ms: float


class WorkAnswer(Shape):
    """The open tasks of whoever asks, newest first; a supervisor sees everybody's."""

    tasks: list[WorkTask]


class ActShape(Shape):
    """An act as it stands; `by` and `payload` are null where its sheet was erased.

    `state`: in-hub, or verified once a published checkpoint covers it. `ahead_ms`: how far the phone's clock was ahead, where it was
    wrong; `chain`: what is odd about the phone's chain, empty: nothing.
    """

    id: str
    kind: str
    by: str | None
    key_id: str
    seq: int
    phone_ms: int | None
    hub_ms: float
    position: int
    state: Literal["in-hub", "verified"]
    ahead_ms: int | None
    chain: str
    payload: Any


class ActsAnswer(Shape):
    """Acts of all phones in the order of the log; ask again with `after` = `last`."""

    acts: list[ActShape]
    last: int


class OpenShape(Shape):
    """A box that is to be opened, with the packages (from 1) that are taken out of it; none by number where no draw chose."""

    container: str
    packages: list[int]


class PairedShape(Shape):
    """A recorder of the task."""

    stream: str
    state: Literal["pending", "paired", "unpaired", "refused"]
    by: str
    from_ms: float | None
    to_ms: float | None


class SignatureShape(Shape):
    """A signature with what speaks against it, empty: it counts."""

    act: str
    role: Literal["lead", "assistant", "owner"]
    by: str
    name: str
    drawn: str | None
    refused: str | None
    covers: list[str]
    fault: str
    counts: bool


class MissingShape(Shape):
    """What is missing: an item, a record or a signature of a step, with its reason."""

    step: str
    what: Literal["item", "record", "signature"]
    key: str
    at: str
    reason: str
    have: int
    want: int


class ToldShape(Shape):
    """An instruction of a supervisor."""

    position: int
    at_ms: float
    by: str | None
    text: str | None
    read_by: str | None
    read_ms: float | None


class PauseShape(Shape):
    """A pause that lasts."""

    act: str
    by: str
    reason: str
    hub_ms: float


class ConflictShape(Shape):
    """Answers to one question that stand and differ."""

    item: str
    at: str
    answers: list[str]


class WorkTaskAnswer(Shape):
    """All that a phone needs of a task. `declaration`: an extract; `procedure`: its canonical JSON as values.

    `files`: stored or missing, by SHA-256; `to_follow`: pieces of full video that are on a box still; `together`: the other tasks of the
    same dispatch.
    """

    task: str
    title: str
    state: Literal["opened", "ended"]
    role: Literal["lead", "assistant", "observer"]
    team: list[str]
    bay: str | None
    opened_ms: float
    declaration: dict[str, Any]
    procedure: dict[str, Any]
    procedure_sha256: str
    parts: dict[str, list[str]]
    open: list[OpenShape]
    acts: list[ActShape]
    files: dict[str, Literal["stored", "missing"]]
    pairings: list[PairedShape]
    signatures: list[SignatureShape]
    missing: list[MissingShape]
    have: int
    want: int
    instructions: list[ToldShape]
    paused: PauseShape | None
    conflicts: list[ConflictShape]
    to_follow: int
    together: list[str]


class ActAsk(Shape):
    """A signed act: its text as it was signed, the key and the signature (base64 of r||s). `sent_ms`: the phone's clock now."""

    act: Annotated[str, Field(min_length=2, max_length=3 << 20)]
    key_id: Hash
    signature: Annotated[str, Field(min_length=1, max_length=200)]
    sent_ms: Annotated[int, Field(ge=0, le=10**14)] | None = None


class TakenAnswer(Shape):
    """An act that is in the log."""

    id: str
    state: Literal["in-hub"]
    position: int
    hub_ms: float


class ProofAnswer(Shape):
    """That an act is in the log; bytes in base64. `sheet`: what the record binds, with `salt`, null where it was erased."""

    index: int
    record: str
    salt: str | None
    sheet: str | None
    path: list[str]
    checkpoint: str


class TicketAnswer(Shape):
    """A ticket for one recorder, as the text of a QR code and as its picture."""

    ticket: str
    until_ms: float
    qr_svg: str


class SystemNoteAsk(Shape):
    """What a system told of a declaration: which record of the procedure it is, and anything as JSON without fractions."""

    key: Annotated[str, Field(min_length=1, max_length=64)]
    source: Annotated[str, Field(min_length=1, max_length=200)]
    told: Any = None


class PlacedAnswer(Shape):
    """Where a record stands in the port log."""

    position: int


class MissingAnswer(Shape):
    """What is missing of a declaration's inspection; empty when nothing is."""

    missing: list[MissingShape]
    inspectors: list[str]
