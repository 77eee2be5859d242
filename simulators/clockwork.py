"""Run a box's clocks and a hub's log in virtual time, with the true time of every instant known.

Guarantees: nothing waits; the same plan gives the same world. Clocks drift, step, freeze, leap, start in 1970; the network comes
and goes; the box reboots with and without its machine. What comes out is what an exported bundle would show, chosen as the hub
chooses it, so that the intervals of `protocol.dating` can be compared with the truth.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from hub.bounding import best_seals, best_seen, covering, moments
from protocol import kinds
from protocol.examination import Exhibits, Range
from protocol.identifiers import BoxId, Issuer
from protocol.instants import MILLISECOND_NS, SECOND_NS, Instant
from protocol.intervals import STEP_NS
from protocol.merkle import leaf_hash
from protocol.notes import ED25519, Checkpoint, NoteKey, SignedCheckpoint, cosign, sign_checkpoint
from protocol.records import Record, Seen, SignedRecord
from protocol.trust import Trust, log_origin
from simulators.evidence import EPOCH_NS, HUB, SITE, fixed_ed25519

BOX = BoxId("box-1")
SIGNER = fixed_ed25519(1)
ORIGIN = log_origin(SITE, HUB)
SEAL_S = 10


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens to a clock at a second of the plan: step or freeze by `length_ns`, sync to the true time, or a boot."""

    second: int
    kind: str  # step, freeze, sync, reboot (the machine is off for length_ns), restart (only the program)
    length_ns: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens, in whole seconds from the beginning; `offline` are stretches without a network."""

    seconds: int
    drift_ppm: tuple[int, ...] = (0,)  # of the monotonic clock, in turn, a minute each
    wall_start: int | None = None  # Unix ns that the wall clock shows after each boot; None: the true time
    troubles: tuple[Trouble, ...] = ()
    offline: tuple[tuple[int, int], ...] = ()
    begins_ns: int = EPOCH_NS
    leap_at: int | None = None  # a second after which everybody's UTC repeats one second
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Truth:
    """An instant of the box that is asked about, and when it truly was (UTC, Unix ns)."""

    epoch: int
    mono_ns: int
    claimed: int
    true_ns: int


@dataclass(slots=True)
class World:
    """What a plan leaves: what a bundle would show, and the truth."""

    exhibits: Exhibits
    truths: list[Truth]
    leaves: dict[int, SignedRecord]  # all of the hub's own records, by index
    notes: dict[int, bytes]  # all checkpoints, by size


@dataclass(slots=True)
class _Clock:
    """A box's clocks: monotonic with drift, wall with whatever was done to it."""

    mono_ns: int
    offset_ns: int  # wall minus monotonic
    frozen_ns: int = 0

    def advance(self, true_ns: int, drift_ppm: int) -> None:
        length = true_ns + true_ns * drift_ppm // 1_000_000
        self.mono_ns += length
        held = min(self.frozen_ns, length)
        self.frozen_ns -= held
        self.offset_ns -= held

    @property
    def wall_ns(self) -> int:
        return self.mono_ns + self.offset_ns


@dataclass(slots=True)
class _Simulation:
    plan: Plan
    draw: random.Random
    clock: _Clock
    now_ns: int = 0  # true time since the beginning, running evenly
    epoch: int = 0
    boot: int = 0
    ranges: list[Range] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    leaves: dict[int, SignedRecord] = field(default_factory=dict)
    size: int = 1
    notes: dict[int, bytes] = field(default_factory=dict)
    arriving: list[tuple[int, Seen]] = field(default_factory=list)  # beacons under way
    unsent: list[tuple[Range, int]] = field(default_factory=list)  # seals that the log has not got
    seen: Seen | None = None
    anchor_ns: int = 0

    def utc(self) -> int:
        """Give the true time in UTC, which repeats a second at a leap."""
        leap = self.plan.leap_at
        return self.plan.begins_ns + self.now_ns - (SECOND_NS if leap is not None and self.now_ns >= (leap + 1) * SECOND_NS else 0)

    def pass_time(self, length_ns: int) -> None:
        drifts = self.plan.drift_ppm
        self.clock.advance(length_ns, drifts[self.now_ns // (60 * SECOND_NS) % len(drifts)])
        self.now_ns += length_ns

    # ---------------------------------------------------------------------------------------------------------- the box

    def start(self, before: Range | None, *, machine: bool) -> None:
        if machine:
            self.boot += 1
            wall = self.plan.wall_start if self.plan.wall_start is not None else self.utc()
            self.clock = _Clock(self.draw.randrange(1, 100) * SECOND_NS, 0)
            self.clock.offset_ns = wall - self.clock.mono_ns
        self.epoch = 0 if before is None else before.epoch + 1
        self.ranges.append(Range(BOX, self.epoch, 0, [], bytes(32), whole=True))
        previous = (None, None, None) if before is None else (before.epoch, before.end, bytes(32))
        self.write(kinds.Boot(self.boot.to_bytes(16, "big"), "virtual", *previous))
        self.anchor_ns = self.clock.offset_ns

    def write(self, body: kinds.Body) -> int:
        range_ = self.ranges[-1]
        at = Instant(self.clock.wall_ns, self.clock.mono_ns)
        record = Record(Issuer.of_box(BOX), self.epoch, range_.end, bytes(32), str(BOX), at, body, self.seen)
        range_.records.append(record.sign(SIGNER))
        self.truths.append(Truth(self.epoch, at.mono_ns, at.wall_ns, self.utc()))
        return range_.end - 1

    def beat(self, second: int) -> None:
        if abs(self.clock.offset_ns - self.anchor_ns) > STEP_NS:
            before, self.anchor_ns = self.anchor_ns, self.clock.offset_ns
            moved = self.anchor_ns - before
            self.write(kinds.ClockStep(self.clock.wall_ns - moved, self.clock.wall_ns, moved))
        self.write(kinds.Heartbeat(()))
        if second % SEAL_S == SEAL_S - 1:
            position = self.write(kinds.Seal(b"", (), "interval"))
            self.unsent.append((self.ranges[-1], position))

    def suffer(self, second: int) -> None:
        for trouble in self.plan.troubles:
            if trouble.second != second:
                continue
            if trouble.kind == "step":
                self.clock.offset_ns += trouble.length_ns
            elif trouble.kind == "freeze":
                self.clock.frozen_ns += abs(trouble.length_ns)
            elif trouble.kind == "sync":
                self.clock.offset_ns = self.utc() - self.clock.mono_ns
            else:
                machine = trouble.kind == "reboot"
                self.pass_time(abs(trouble.length_ns) if machine else 200 * MILLISECOND_NS)
                self.arriving.clear()
                self.start(self.ranges[-1], machine=machine)

    # ---------------------------------------------------------------------------------------------------------- the hub

    def is_online(self) -> bool:
        return not any(first <= self.now_ns // SECOND_NS < last for first, last in self.plan.offline)

    def hub_second(self) -> None:
        """Log what came, publish a checkpoint, send it to the box."""
        asked = self.utc()
        self.pass_time(self.draw.randrange(5, 60) * MILLISECOND_NS)
        if self.is_online():
            for range_, position in self.unsent:
                range_.sealed.append((position, self.size))
                self.size += 1
            self.unsent.clear()
        body = kinds.Stored((bytes(32),))
        at = Instant(asked, self.now_ns)
        self.leaves[self.size] = Record(Issuer.of_hub(HUB), 0, self.size, bytes(32), str(BOX), at, body).sign(SIGNER)
        self.size += 1
        head = Checkpoint(ORIGIN, self.size, leaf_hash(self.size.to_bytes(8, "big")))
        time = cosign(head.text(), f"{ORIGIN}/time", SIGNER, self.utc() // SECOND_NS)
        self.notes[self.size] = sign_checkpoint(head, SIGNER, (time,))
        if self.is_online():
            self.arriving.append((self.now_ns + self.draw.randrange(5, 900) * MILLISECOND_NS, Seen(head.size, head.root)))

    def receive(self) -> None:
        for due, seen in list(self.arriving):
            if due <= self.now_ns:
                self.arriving.remove((due, seen))
                if self.seen is None or seen.size > self.seen.size:
                    self.seen = seen

    def run(self) -> None:
        self.start(None, machine=True)
        second = 0
        while second < self.plan.seconds:
            self.suffer(second)
            self.pass_time(self.draw.randrange(50, 400) * MILLISECOND_NS)
            self.hub_second()
            due = (self.now_ns // SECOND_NS + 1) * SECOND_NS
            self.pass_time(due - self.now_ns)
            self.receive()
            self.beat(second)
            second = max(second + 1, 0)
        for _ in range(3):
            self.hub_second()


def run(plan: Plan) -> World:
    """Run a plan; give what a bundle would show of it, and the truth."""
    simulation = _Simulation(plan, random.Random(plan.seed), _Clock(0, 0))  # noqa: S311 - repeatable by seed, no secret
    simulation.run()
    exhibits = Exhibits(Trust(SITE, HUB, "0" * 64, NoteKey(ORIGIN, ED25519, SIGNER.public)))
    exhibits.ranges[BOX] = simulation.ranges
    known = moments(simulation.notes[size] for size in sorted(simulation.notes))
    for range_ in simulation.ranges:
        kept = sorted({*best_seals(range_, known), *range_.sealed[-1:]})
        seen = best_seen(range_, known)
        exhibits.seen.update(seen)
        _show(exhibits, covering((index for _, index in kept), known) | {size: simulation.notes[size] for size in seen})
        range_.sealed = kept
    for size in exhibits.seen:
        before = bisect_right(list(simulation.leaves), size - 1)
        if before:
            index = list(simulation.leaves)[before - 1]
            exhibits.leaves[index] = simulation.leaves[index]
    return World(exhibits, simulation.truths, simulation.leaves, simulation.notes)


def _show(exhibits: Exhibits, notes: dict[int, bytes]) -> None:
    for size, note in notes.items():
        exhibits.notes[size] = SignedCheckpoint.parse(note)
        exhibits.seen[size] = exhibits.notes[size].checkpoint.root


def widths(found: Sequence[int | None]) -> tuple[float, float, float]:
    """Give the median, the 99th percentile and the greatest of widths in s; an open one is endless."""
    ordered = sorted(float("inf") if one is None else one / SECOND_NS for one in found)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], ordered[-1]
