"""Work through a day at a port with the attacker in it: boxes whose clocks lie, and a hub that rewrites, forks, hides and re-signs.

Guarantees: the same seed gives the same day; the hub holds the log's key, never a box's; what it exports is made with care, every
manifest and every proof that can be made.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hub.gathering import Gathered, gather
from protocol import bundle, kinds
from protocol.certificates import ROOT_NS, SITE_CA_NS, Authority, Certificate, Validity, issue_root, issue_site_ca, parse_pem
from protocol.examination import Faults
from protocol.instants import SECOND_NS, Instant
from protocol.notes import SignedCheckpoint, cosign
from protocol.reckoning import expect
from protocol.records import Record, Seen, SignedRecord
from simulators.adversary.attacks import Attack, Strike, times, verify
from simulators.cases import TASK, Case, work, write_case
from simulators.evidence import EPOCH_NS, SEGMENT_NS, SITE, MemoryBox, MemoryLog, MemoryPort, fixed_ed25519, fixed_p256, sample_fields
from simulators.films import Film, film

WITNESS = "witness.customs.example/w1"
HOUR_NS = 3600 * SECOND_NS
YEAR_2000_NS = 946_684_800 * SECOND_NS
_MFRA = (24).to_bytes(4, "big") + b"mfra" + (16).to_bytes(4, "big") + b"mfro" + bytes(4) + (24).to_bytes(4, "big")

Lie = Callable[[MemoryBox, Instant], Instant]


@dataclass(slots=True)
class DayPort(MemoryPort):
    """A port with films for footage; `lie` is how boxes misread their clocks, `witnessed`: an outside party cosigns the log."""

    lie: Lie | None = None
    witnessed: bool = False
    forks: bool = False
    known: tuple[Certificate, ...] = ()  # root and CA of an earlier day

    def __post_init__(self) -> None:
        if self.witnessed:
            self.log = WitnessedLog(self.log.signer)

    def found(self) -> None:
        """Make root and CA, or take those of an earlier day."""
        if self.known:
            self.chain = self.known
        else:
            MemoryPort.found(self)

    def video(self, box: str, source: str, number: int) -> bytes:
        """Give a segment of its own for each stream, with an index behind it."""
        name = int.from_bytes(hashlib.sha256(f"{self.seed}/{box}/{source}".encode()).digest()[:4], "big")
        return film(name, Film(seconds=1, picture_bytes=40), number=number) + _MFRA

    def box_time(self, box: MemoryBox) -> Instant:
        """Read a box's clock, or its lie."""
        true = Instant(self.now_ns, self.now_ns - box.began_ns, "synced", 5)
        return self.lie(box, true) if self.lie is not None else true

    def beacon(self) -> None:
        """Publish a checkpoint and show it to every box; a hub that forks shows another log to the second."""
        self.publish()
        for name, box in self.boxes.items():
            root = self.log.frontier.root()
            box.seen = Seen(self.log.frontier.size, hashlib.sha256(root).digest() if self.forks and name == "box-2" else root)


@dataclass(slots=True)
class WitnessedLog(MemoryLog):
    """A log that an outside party cosigns, too."""

    def checkpoint(self, seconds: int) -> bytes:
        """Give the signed head with the hub's and the witness' cosignatures."""
        signed = SignedCheckpoint.parse(MemoryLog.checkpoint(self, seconds))
        return signed.note.with_signatures([cosign(signed.checkpoint.text(), WITNESS, fixed_ed25519(7), seconds)]).encode()


@dataclass(slots=True)
class ImpostorPort(DayPort):
    """A port of the same names under keys of its own."""

    def found(self) -> None:
        """Make another root and another CA."""
        root_key, self.site_key, self.log = fixed_p256(661), fixed_p256(662), MemoryLog(fixed_ed25519(663))
        root = issue_root(root_key, SITE, Validity.backdated(self.now_ns, ROOT_NS, 11))
        site_ca = issue_site_ca(self.site_key.public, SITE, Authority(root, root_key), Validity.backdated(self.now_ns, SITE_CA_NS, 12))
        self.chain = (site_ca, root)


def worked(port: MemoryPort) -> MemoryPort:
    """Let the day pass."""
    work(port, minutes=1)
    return port


def seed_of(stage: Path) -> int:
    """Give the seed of a stage's day."""
    return int((stage / "seed").read_text())


def chain_of(stage: Path) -> tuple[Certificate, ...]:
    """Give CA and root of a stage's port."""
    return tuple(parse_pem((stage / "chain.pem").read_bytes()))


def _port(strike: Strike, later: int = 0) -> DayPort:
    return DayPort(strike.folder / ".blobs", seed=seed_of(strike.stage) + later, known=chain_of(strike.stage))


def _day(strike: Strike) -> DayPort:
    port = _port(strike)
    worked(port)
    return port


def _export(strike: Strike, port: MemoryPort, gathered: Gathered | None = None) -> Case:
    if gathered is None:
        gathered = gather(port, TASK, port.trust())  # a hostile hub does not ask whether it is complete
    return write_case(port, strike.folder / f"case-{TASK}", gathered=gathered)


# ------------------------------------------------------------------------------------------------------- clocks of boxes


def _in_task(box: MemoryBox, true: Instant) -> bool:
    return box.box == "box-1" and true.wall_ns > EPOCH_NS + 95 * SECOND_NS


def _lying(strike: Strike, lie: Lie) -> None:
    port = _port(strike)
    port.lie = lie
    _export(strike, worked(port))


def clock_back(strike: Strike) -> None:
    """A box sets its clock back by an hour in the middle of the task and says nothing."""

    def lie(box: MemoryBox, true: Instant) -> Instant:
        return replace(true, wall_ns=true.wall_ns - HOUR_NS) if _in_task(box, true) else true

    _lying(strike, lie)


def clock_forward(strike: Strike) -> None:
    """A box sets its clock ahead by an hour in the middle of the task and says nothing."""

    def lie(box: MemoryBox, true: Instant) -> Instant:
        return replace(true, wall_ns=true.wall_ns + HOUR_NS) if _in_task(box, true) else true

    _lying(strike, lie)


def clock_frozen(strike: Strike) -> None:
    """A box freezes its clock in the middle of the task; pictures go on."""
    frozen: list[int] = []

    def lie(box: MemoryBox, true: Instant) -> Instant:
        if not _in_task(box, true):
            return true
        frozen.append(true.wall_ns)
        return replace(true, wall_ns=frozen[0])

    _lying(strike, lie)


def clock_year_2000(strike: Strike) -> None:
    """A box boots in the year 2000 and calls its clock synchronised."""
    _lying(strike, lambda box, true: replace(true, wall_ns=YEAR_2000_NS + true.mono_ns) if box.box == "box-1" else true)


def clock_slow_lie(strike: Strike) -> None:
    """A box runs a steady two seconds behind from its boot: old footage to be passed off as taken then."""
    _lying(strike, lambda box, true: replace(true, wall_ns=true.wall_ns - 2 * SECOND_NS) if box.box == "box-1" else true)


# ------------------------------------------------------------------------------------------------- a hub that hides


def hide_segment(strike: Strike) -> None:
    """The hub exports anew without one segment's video and says that this is all."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    del gathered.videos[sorted(gathered.videos)[1]]
    _export(strike, port, gathered)


def hide_record(strike: Strike) -> None:
    """The hub exports a journal anew without one record."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    name = bundle.journal_name("box-1", 0)
    records = bundle.parse_records(gathered.files[name])
    gathered.files[name] = bundle.encode_records([*records[:5], *records[6:]])
    _export(strike, port, gathered)


def hide_epoch(strike: Strike) -> None:
    """The hub leaves out what a box wrote before it crashed."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    dropped = next(ranges for box, ranges in gathered.exhibits.ranges.items() if box == "box-2").pop(0)
    for part in ("bin", "range"):
        del gathered.files[bundle.journal_name("box-2", dropped.epoch, part)]
    _export(strike, port, gathered)


def hide_tail(strike: Strike) -> None:
    """The hub ends a box's journal at an earlier seal and exports anew."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    box = next(box for box in gathered.exhibits.ranges if box == "box-1")
    range_ = gathered.exhibits.ranges[box][-1]
    position = [at for at, _ in port.seals(box, range_.epoch, range_.first) if at < range_.end - 1][-1]
    range_.records = range_.records[: position - range_.first + 1]
    gathered.files[bundle.journal_name(box, range_.epoch)] = bundle.encode_records(one.data for one in range_.records)
    for at, index in port.seals(box, range_.epoch, range_.first):
        if at > position:
            gathered.indices.discard(index)
            gathered.files.pop(bundle.leaf_name(index), None)
    index = next(index for at, index in port.seals(box, range_.epoch, 0) if at == position)
    gathered.indices.add(index)
    gathered.files[bundle.leaf_name(index)] = port.leaf(index)
    gathered.wanted = expect(gathered.exhibits, Faults(), TASK)
    gathered.videos = {name: video for name, video in gathered.videos.items() if name in gathered.wanted.wanted}
    _export(strike, port, gathered)


def hide_order(strike: Strike) -> None:
    """The hub leaves out the order by which a recorder was paired."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    order = next(index for index in gathered.indices if isinstance(port.log.entries[index].record.body, kinds.Pairing))
    gathered.indices.remove(order)
    del gathered.files[bundle.leaf_name(order)]
    _export(strike, port, gathered)


def end_again(strike: Strike) -> None:
    """The hub logs a second end of the task to choose which one counts."""
    port = _day(strike)
    gathered = gather(port, TASK, port.trust())
    again = port.end_task(TASK)
    gathered.indices.add(again.record.position)
    gathered.files[bundle.leaf_name(again.record.position)] = again.data
    _export(strike, port, gathered)


# ------------------------------------------------------------------------------------- a hub that rewrites what it logged


def relog(port: MemoryPort, entries: Sequence[SignedRecord]) -> None:
    """Make the log anew of these entries, as the holder of its key can: own records at their new places, every checkpoint."""
    made = type(port.log)(port.log.signer)
    seconds = dict(port.notes)
    moved: dict[tuple[str, int, int], int] = {}
    port.notes = {}
    for entry in entries:
        record = entry.record
        if record.issuer.role == "hub":
            entry = replace(record, position=len(made.entries), root=made.frontier.root()).sign(made.signer)
        moved[str(record.issuer), record.epoch, record.position] = made.append(entry)
        if made.frontier.size in seconds:
            port.notes[made.frontier.size] = made.checkpoint(_time(seconds[made.frontier.size]))
    for name, box in port.boxes.items():
        box.logged = [(epoch, at, moved[f"box:{name}", epoch, at]) for epoch, at, _ in box.logged if (f"box:{name}", epoch, at) in moved]
    port.log = made


def _time(note: bytes) -> int:
    signed = SignedCheckpoint.parse(note)
    line = next(one for one in signed.note.signatures if one.name.endswith("/time"))
    return int.from_bytes(line.data[:8], "big")


def altered(entry: SignedRecord, **changes: object) -> SignedRecord:
    """Give an entry whose body says something else; its signature is made by `relog`."""
    body = replace(entry.record.body, **changes)  # type: ignore[arg-type]  # fields of the body it has
    record: Record = replace(entry.record, body=body)
    return replace(entry, record=record)


def _with_other_facts(port: MemoryPort) -> list[SignedRecord]:
    facts = (("container", "TESU7654321"),)
    return [
        altered(one, facts=facts) if isinstance(one.record.body, kinds.Task) and one.record.body.state == "opened" else one
        for one in port.log.entries
    ]


def rewrite_log(strike: Strike) -> None:
    """The hub writes another container number into a logged record and signs the whole log anew."""
    port = _day(strike)
    relog(port, _with_other_facts(port))
    _export(strike, port)


def rewrite_log_unshown(strike: Strike) -> None:
    """The hub rewrites its log and shows none of the checkpoints that boxes named."""
    port = _day(strike)
    relog(port, _with_other_facts(port))
    gathered = gather(port, TASK, port.trust())
    for size in list(gathered.exhibits.notes):
        gathered.files.pop(bundle.note_name(size), None)
    gathered.exhibits.seen.clear()
    gathered.exhibits.notes.clear()
    _export(strike, port, gathered)


def rig_order(strike: Strike) -> None:
    """The hub logs a task's start before what came before it, and signs the whole log anew."""
    port = _day(strike)
    entries = list(port.log.entries)
    at = next(index for index, one in enumerate(entries) if isinstance(one.record.body, kinds.Task))
    entries.insert(at - 4, entries.pop(at))
    relog(port, entries)
    _export(strike, port)


def drop_leaf(strike: Strike) -> None:
    """The hub takes a record out of its log and signs the rest anew."""
    port = _day(strike)
    entries = list(port.log.entries)
    del entries[next(index for index, one in enumerate(entries) if isinstance(one.record.body, kinds.Stored))]
    relog(port, entries)
    _export(strike, port)


def split_view(strike: Strike) -> None:
    """The hub shows one log to one box and another log to the other."""
    port = _port(strike)
    port.forks = True
    _export(strike, worked(port))


def revive_key(strike: Strike) -> None:
    """The hub revokes a stolen box's certificate and enrols it again when it is needed."""
    port = _port(strike)
    port.found()
    box = port.enrol("box-1")
    enrolment = port.log.entries[0].record.body
    box.write(kinds.Recording("started", "configured", "rtsp", 0), "box-1/cam-1")
    if isinstance(enrolment, kinds.Enrolment):
        port.issue(kinds.Enrolment("revoked", enrolment.certificate, "admin", "stolen"), "box-1")
        port.issue(enrolment, "box-1")
    only = {"box-1": ["cam-1"]}
    port.record_for(20, only)
    port.open_task(TASK, ("box-1/cam-1",))
    port.record_for(60, only)
    port.end_task(TASK)
    port.record_for(20, only)
    _export(strike, port)


def remake_everything(strike: Strike) -> None:
    """Hub and boxes together make the whole day anew with other pictures, logs and seals."""
    _export(strike, worked(_port(strike, later=1)))


# ---------------------------------------------------------------------------------------------------- boxes that lie


def stretch_times(strike: Strike) -> None:
    """A box loses three seconds and moves the wall times of all later segments over the hole."""
    port = _port(strike)
    port.found()
    box = port.enrol("box-1")
    box.write(kinds.Recording("started", "configured", "rtsp", 0), "box-1/cam-1")
    lost = 0
    for number in range(12):
        if number == 3:
            port.open_task(TASK, ("box-1/cam-1",))
        elif number == 9:
            port.end_task(TASK)
        lost = 3 * SECOND_NS if number >= 5 else 0
        port.now_ns += SEGMENT_NS + (lost if number == 5 else 0)
        port.beacon()
        _misdated(port, box, lost)
    _export(strike, port)


def _misdated(port: MemoryPort, box: MemoryBox, early_ns: int) -> None:
    number, now = box.numbers.get("cam-1", 0), box.at()
    data = port.video(box.box, "cam-1", number)
    digest = hashlib.sha256(data).digest()
    port.store(digest, data)
    box.numbers["cam-1"] = number + 1
    start, wall = now.mono_ns - SEGMENT_NS, now.wall_ns - SEGMENT_NS - early_ns
    facts = sample_fields(data)
    body = kinds.Segment(number, digest, len(data), start, now.mono_ns, wall, 0, 0, 25, None, "live", **facts)
    box.write(body, "box-1/cam-1")
    box.seal()
    port.issue(kinds.Stored((digest,)), box.box)
    port.publish()


def claim_pairing(strike: Strike) -> None:
    """A box binds another camera to the task by itself, without any order of the hub."""
    port = _port(strike)

    def lie(box: MemoryBox, true: Instant) -> Instant:
        return true

    port.lie = lie
    work(port, minutes=1)
    port.boxes["box-1"].write(kinds.Pairing("paired", "box-1/cam-1", "li.wei"), TASK)
    port.record_for(10, {"box-1": ["cam-1"], "box-2": ["cam-2", "rec-1"]})
    gathered = gather(port, TASK, port.trust())
    range_ = next(ranges for box, ranges in gathered.exhibits.ranges.items() if box == "box-1")[-1]
    position, index = port.seals("box-1", 0, 0)[-1]
    data = port.records("box-1", 0, range_.first, position + 1)
    gathered.files[bundle.journal_name("box-1", 0)] = bundle.encode_records(data)
    gathered.files[bundle.leaf_name(index)] = port.leaf(index)
    gathered.indices.add(index)
    _export(strike, port, gathered)


_NO_WITNESS = "where the trust file asks for no outside witness and hub and boxes act together, nothing tells"
_STEADY = "inside the interval a clock's word is plausible, not proven"

ATTACKS = (
    Attack("clock-back", "day", "the box", clock_back, (verify("wall clock"),), _STEADY),
    Attack("clock-forward", "day", "the box", clock_forward, (verify("wall clock"),), _STEADY),
    Attack("clock-frozen", "day", "the box", clock_frozen, (verify("wall clock"),), _STEADY),
    Attack("clock-year-2000", "day", "the box", clock_year_2000, (verify("belongs to the task"),), _STEADY),
    Attack("clock-slow-lie", "day", "the box", clock_slow_lie, (times("the box's clock, which was wrong by -2.000 s or more"),), _STEADY),
    Attack("stretch-times", "day", "the box", stretch_times, (verify("by the monotonic clock", "box-1-0.bin"),)),
    Attack(
        "claim-pairing",
        "day",
        "the box",
        claim_pairing,
        (verify("names no order"),),
        "hub and box together can bind any camera to any task",
    ),
    Attack("hide-segment", "day", "the hub", hide_segment, (verify("missing: its record is in the journal"),)),
    Attack("hide-record", "day", "the hub", hide_record, (verify("expected position", "box-1-0.bin"),)),
    Attack("hide-epoch", "day", "the hub", hide_epoch, (verify("belongs to the task from"),)),
    Attack("hide-tail", "day", "the hub", hide_tail, (verify("belongs to the task until"),)),
    Attack("hide-order", "day", "the hub", hide_order, (verify("is missing from data/log"),)),
    Attack("end-again", "day", "the hub", end_again, (verify("the task is ended twice"),)),
    Attack("rewrite-log", "day", "the hub", rewrite_log, (verify("does not extend the tree of", "data/log/seen-"),), _NO_WITNESS),
    Attack(
        "rewrite-log-unshown",
        "day",
        "the hub",
        rewrite_log_unshown,
        (verify("no proof shows that what box-1 saw of the log"),),
        _NO_WITNESS,
    ),
    Attack("rig-order", "day", "the hub", rig_order, (verify("does not extend the tree of", "data/log/seen-"),), _NO_WITNESS),
    Attack("drop-leaf", "day", "the hub", drop_leaf, (verify("does not extend the tree of", "data/log/seen-"),), _NO_WITNESS),
    Attack("split-view", "day", "the hub", split_view, (verify("the log was forked"),), "witnesses that act together with the hub"),
    Attack("revive-key", "day", "the hub", revive_key, (verify("a revoked certificate cannot be enrolled again"),)),
    Attack("remake-everything", "day", "the box and the hub", remake_everything, (verify("cosigned by 0 witnesses"),), _NO_WITNESS),
)
