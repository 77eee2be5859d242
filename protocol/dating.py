"""Date what a bundle shows: from checked leaves, checkpoints, tokens and journals to an interval for every instant.

A hub's own word (its records, its cosignature) bounds like a witness' or a time authority's; the reasons name whose word it is,
so that who does not trust the hub can see what is left. Tokens count under the trust's time authorities only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from protocol import bundle, kinds, timestamps
from protocol.errors import PortwitnessError, VerificationError
from protocol.examination import Exhibits, Faults, Range
from protocol.identifiers import BoxId
from protocol.instants import SECOND_NS, iso
from protocol.intervals import BootTimes, Bound, Known, LogTimes, TimeInterval, WallWatch
from protocol.journals import origin
from protocol.notes import Checkpoint, SignedCheckpoint, has_signed

MAX_SECONDS = 2**34  # the year 2514: a cosignature's time beyond it says nothing


@dataclass(slots=True)
class Times:
    """When things happened, by box and epoch; `notes` say which words on time could not be judged."""

    boots: dict[tuple[BoxId, int], BootTimes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def at(self, box: BoxId, epoch: int, mono_ns: int, claimed: int) -> TimeInterval:
        """Give the interval of an instant; unbounded when nothing is known of its epoch."""
        boot = self.boots.get((box, epoch))
        return boot.at(mono_ns, claimed) if boot is not None else TimeInterval(None, None, claimed)


def date(exhibits: Exhibits, faults: Faults) -> Times:
    """Work out what bounds the epochs of all boxes; faults name clocks and words on time that contradict the records."""
    times = Times()
    log = log_times(exhibits, faults, times.notes)
    for box, ranges in sorted(exhibits.ranges.items()):
        heads = _heads(box, exhibits, log, faults)
        lines = [_Line.of(range_, exhibits, log, heads.get(range_.epoch, [])) for range_ in ranges if range_.records]
        _join(lines)
        for line in lines:
            boot = times.boots[box, line.range.epoch] = line.root.times()
            if boot.contradiction:
                times.notes.append(f"{line.range.file}: {boot.contradiction}; times are bounded by order alone")
            _watch_wall(line.range, faults)
    return times


# ------------------------------------------------------------------------------------------------------------ the log's time


def log_times(exhibits: Exhibits, faults: Faults, notes: list[str]) -> LogTimes:
    """Gather every word on when the log had which size."""
    after = [Known(index + 1, wall, f"record {index} of the hub at {iso(wall)}") for index, wall in exhibits.hub_leaves()]
    by: list[Known] = []
    for signed in exhibits.notes.values():
        with faults.of(bundle.note_name(signed.checkpoint.size)):
            for who, seconds in _cosigned(signed, exhibits):
                size, at = signed.checkpoint.size, seconds * SECOND_NS
                by.append(Known(size, at + SECOND_NS, f"checkpoint {size}, cosigned by {who} at {iso(at)}"))
                if who == _HUB:  # it cosigns what it makes at that moment; others sign later
                    after.append(Known(size, at, f"checkpoint {size}, cosigned by {who} at {iso(at)}"))
    for index, size, stamp in _stamps(exhibits, faults, notes):
        by.append(Known(size, stamp.latest_ns, f"time-stamp of checkpoint {size} by {stamp.signer} at {iso(stamp.time_ns)}"))
        after.append(Known(index + 1, stamp.earliest_ns, f"time-stamp in leaf {index} by {stamp.signer} at {iso(stamp.time_ns)}"))
    return LogTimes(after, by)


_HUB = "the hub"


def _cosigned(signed: SignedCheckpoint, exhibits: Exhibits) -> Iterator[tuple[str, int]]:
    """Give who cosigned a checkpoint at which Unix second: the hub itself, and the witnesses of the trust."""
    trust = exhibits.trust
    keys = [(_HUB, trust.clock), *((f"witness {one.key.name}", one.key) for one in trust.rule.witnesses)]
    for who, key in keys:
        if has_signed(signed.note, key):
            seconds = signed.verify(key, origin=trust.log.name)
            if seconds is not None and seconds <= MAX_SECONDS:
                yield who, seconds


def _stamps(exhibits: Exhibits, faults: Faults, notes: list[str]) -> Iterator[tuple[int, int, timestamps.Stamp]]:
    """Give (leaf, stamped size, what it says) of the tokens that count."""
    unknown: set[str] = set()
    for index, signed in sorted(exhibits.leaves.items()):
        body = signed.record.body
        if not isinstance(body, kinds.TimeToken):
            continue
        if not exhibits.trust.time_authorities:
            unknown.add(body.authority[:80])
            continue
        try:
            yield index, body.size, _stamp(index, body, exhibits)
        except PortwitnessError as error:
            if error.where == timestamps.CHAIN:
                unknown.add(body.authority[:80])
            else:
                faults.add(bundle.leaf_name(index), str(error))
    notes += [f"time-stamps of {name}: the trust file does not name this time authority" for name in sorted(unknown)]


def _stamp(index: int, body: kinds.TimeToken, exhibits: Exhibits) -> timestamps.Stamp:
    head = Checkpoint(exhibits.trust.log.name, body.size, body.root)
    if exhibits.seen.get(body.size) != body.root or body.size > index:
        raise VerificationError("the checkpoint it stamps is not shown to be of this log", where="time-token")
    return timestamps.verify(body.token, timestamps.stamped_bytes(head), exhibits.trust.time_authorities)


# --------------------------------------------------------------------------------------------------------------- the journals


@dataclass(slots=True)
class _Line:
    """The bounds of one epoch; `root` is the line it continues when both are of the same boot of the machine, else itself."""

    range: Range
    lower: list[Bound]
    upper: list[Bound]
    continues: "_Line | None" = None

    @property
    def root(self) -> "_Line":
        return self if self.continues is None else self.continues.root

    def times(self) -> BootTimes:
        return BootTimes(self.lower, self.upper)

    @classmethod
    def of(cls, range_: Range, exhibits: Exhibits, log: LogTimes, heads: list[tuple[int, Known]]) -> "_Line":
        lower: list[Bound] = []
        last = -1
        for signed in range_.records:
            seen = signed.record.seen
            if seen is None or seen.size == last or exhibits.seen.get(seen.size) != seen.root:
                continue
            last = seen.size
            known = log.not_before(seen.size)
            if known is not None:
                lower.append(Bound(signed.record.at.mono_ns, known.time_ns, f"it names checkpoint {seen.size}; {known.reason}"))
        covers = [(position, log.not_after(index)) for position, index in range_.sealed]
        upper = [_upper(range_, position, known) for position, known in [*covers, *heads] if known is not None]
        return cls(range_, lower, upper)


def _upper(range_: Range, position: int, known: Known) -> Bound:
    record = range_.records[position - range_.first].record
    return Bound(record.at.mono_ns, known.time_ns, f"position {position} is covered; {known.reason}")


def _join(lines: list[_Line]) -> None:
    """Carry bounds from epoch to epoch: a boot record comes after what it names of the epoch before, and a seal over it covers that."""
    for before, after in pairwise(lines):
        if _boot_id(before) is not None and _boot_id(before) == _boot_id(after):
            after.continues = before
            before.root.lower += after.lower
            before.root.upper += after.upper
    for before, after in pairwise(lines):
        mono = _last_named(before, after)
        found = before.root.times().at(mono, 0).earliest if mono is not None and after.continues is None else None
        if found is not None:
            why = f"it comes after epoch {before.range.epoch}, whose end is not before {iso(found)}"
            after.root.lower.append(Bound(_first(after), found, why))
    for before, after in zip(reversed(lines[:-1]), reversed(lines[1:]), strict=True):
        mono = _last_named(before, after)
        found = after.root.times().at(_first(after), 0).latest if mono is not None and after.continues is None else None
        if mono is not None and found is not None:
            why = f"epoch {after.range.epoch} follows, whose boot is not after {iso(found)}"
            before.root.upper.append(Bound(mono, found, why))


def _boot_id(line: _Line) -> bytes | None:
    body = line.range.records[0].record.body
    return body.boot_id if isinstance(body, kinds.Boot) else None


def _first(line: _Line) -> int:
    return line.range.records[0].record.at.mono_ns


def _last_named(before: _Line, after: _Line) -> int | None:
    """Give the monotonic instant of the last record that the next boot names; None when it names none that is shown."""
    boot = after.range.records[0].record.body
    size = boot.previous_size or 0 if isinstance(boot, kinds.Boot) and boot.previous_epoch == before.range.epoch else 0
    place = size - 1 - before.range.first
    return before.range.records[place].record.at.mono_ns if 0 <= place < len(before.range.records) else None


def _heads(box: BoxId, exhibits: Exhibits, log: LogTimes, faults: Faults) -> dict[int, list[tuple[int, Known]]]:
    """Give, by epoch, the last position under each head that was brought by hand, and the instant it existed by."""
    found: dict[int, list[tuple[int, Known]]] = {}
    for index, signed in sorted(exhibits.leaves.items()):
        body = signed.record.body
        if not isinstance(body, kinds.HeadSeen) or signed.record.subject != box:
            continue
        with faults.of(bundle.leaf_name(index)):
            head = SignedCheckpoint.parse(body.note).checkpoint
            range_ = next((one for one in exhibits.ranges[box] if one.epoch == body.epoch), None)
            known = log.not_after(index)
            if range_ is None or not range_.first < head.size <= range_.end or known is None:
                continue
            shown = range_.root if head.size == range_.end else range_.records[head.size - range_.first].record.root
            if head.origin != origin(box, body.epoch) or head.root != shown:
                raise VerificationError("a head brought by hand is of another journal than the one shown", where=box)
            found.setdefault(body.epoch, []).append((head.size - 1, known))
    return found


def _watch_wall(range_: Range, faults: Faults) -> None:
    """Demand a clock-step record for each move of the wall clock against the monotonic one, once the box beats."""
    watch, beats = WallWatch(), False
    for signed in range_.records:
        at, body = signed.record.at, signed.record.body
        beats = beats or isinstance(body, kinds.Heartbeat | kinds.Recording)
        if beats:
            what = watch.take(at.wall_ns, at.mono_ns, is_step=isinstance(body, kinds.ClockStep))
            if what:
                faults.add(range_.file, f"position {signed.record.position}: {what}")
