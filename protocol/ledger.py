"""Keep the account of every stream of a box, record by record: what is recorded, what is in gaps, and what fits no rule (S2).

A period runs from a stream's `recording started` to its `stopped`, over restarts of the box. In it segments and gaps follow each
other without hole or overlap: by the monotonic clock inside one boot, by the wall clock over a restart, where the monotonic one
begins anew. Segment numbers have no holes. The account holds totals, not pieces: its size does not grow with history.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol import kinds
from protocol.instants import MILLISECOND_NS, SECOND_NS
from protocol.records import Record

SLACK_NS = MILLISECOND_NS
AHEAD_NS = SECOND_NS  # the last picture of a piece lasts until the next one, which has not come when the record is written


@dataclass(frozen=True, slots=True)
class Place:
    """An instant in both clocks; `epoch` and `mono_ns` None where no boot's clock knows it."""

    wall_ns: int
    epoch: int | None = None
    mono_ns: int | None = None

    def until(self, other: "Place") -> tuple[int, str]:
        """Give the ns to another place, and by which clock."""
        if self.mono_ns is not None and other.mono_ns is not None and self.epoch == other.epoch:
            return other.mono_ns - self.mono_ns, "monotonic"
        return other.wall_ns - self.wall_ns, "wall"


@dataclass(slots=True)
class Account:
    """Where one stream stands. Times in ns; `gap_ns` by cause."""

    number: int | None = None  # the next segment's; None before the first is known
    is_open: bool | None = None  # None: not known, following began in the middle
    recorded_ns: int = 0
    gap_ns: dict[str, int] = field(default_factory=dict)
    segments: int = 0
    lost_frames: int = 0
    _last: Place | None = None
    _what: str = "the period's start"
    origin: str | None = None  # of the period; None before it is known

    def take(self, record: Record, usage: str | None = None) -> Iterator[str]:
        """Take a record of this stream in the order of the journal; give what does not fit.

        `usage`: of the session that signed it, where it is known.
        """
        body = record.body
        fault = self._origin_fault(body, usage)
        if fault:
            yield fault
        if isinstance(body, kinds.Recording):
            yield from self._turn(record, body)
        elif isinstance(body, kinds.Segment):
            yield from self._segment(record, body)
        elif isinstance(body, kinds.Gap):
            yield from self._gap(record, body)

    def _origin_fault(self, body: kinds.Body, usage: str | None) -> str:
        """Say that live capture and import are mixed in one period; empty when they are not."""
        if self.origin is None or isinstance(body, kinds.Recording):
            return ""
        imports = self.origin == "import"
        if isinstance(body, kinds.Segment) and (body.state == "imported") is not imports:
            return f"segment {body.number} ({body.state}) in a period of {self.origin}"
        if usage is not None and (usage == "import") is not imports:
            return f"{body.KIND} signed for {usage} in a period of {self.origin}"
        return ""

    def _turn(self, record: Record, body: kinds.Recording) -> Iterator[str]:
        started = body.state == "started"
        if not started and self.origin is not None and body.origin != self.origin:
            yield f"recording of {body.origin} stopped, {self.origin} was started"
        self.origin = body.origin
        if self.is_open is started:
            yield f"recording {body.state} twice"
        if self.number is not None and body.next_number != self.number:
            yield f"recording {body.state} at segment {body.next_number}, expected {self.number}"
        place = Place(record.at.wall_ns, record.epoch, body.at_mono) if body.at_mono is not None else None
        if not started and place is not None and self._last is not None and self._last.epoch == place.epoch:
            yield from self._joins(self._last, place, "the period's end")
        self.number, self.is_open = body.next_number, started
        self._last, self._what = (place, "the period's start") if started else (None, "")

    def _segment(self, record: Record, body: kinds.Segment) -> Iterator[str]:
        if self.number is not None and body.number != self.number:
            yield f"segment {body.number}, expected {self.number}"
        self.number = body.number + 1
        epoch = record.epoch if body.epoch is None else body.epoch
        yield from self._piece(
            record, Place(body.wall_from, epoch, body.mono_from), Place(body.wall_to, epoch, body.mono_to), f"segment {body.number}"
        )
        self.recorded_ns += max(0, body.mono_to - body.mono_from)
        self.segments += 1
        self.lost_frames += body.lost

    def _gap(self, record: Record, body: kinds.Gap) -> Iterator[str]:
        epoch = record.epoch if body.epoch is None else body.epoch
        start, end = Place(body.wall_from, epoch, body.mono_from), Place(body.wall_to, epoch, body.mono_to)
        yield from self._piece(record, start, end, f"gap ({body.cause})")
        self.gap_ns[body.cause] = self.gap_ns.get(body.cause, 0) + max(0, start.until(end)[0])

    def _piece(self, record: Record, start: Place, end: Place, what: str) -> Iterator[str]:
        if self.is_open is False:
            yield f"{what} outside a recording period"
        if start.until(end)[0] < 0:
            yield f"{what} ends before it begins"
        if end.mono_ns is not None and end.epoch == record.epoch and end.mono_ns > record.at.mono_ns + AHEAD_NS:
            yield f"{what} ends after the record that tells of it"
        if self._last is not None:
            yield from self._joins(self._last, start, what)
        self._last, self._what = end, what

    def _joins(self, last: Place, place: Place, what: str) -> Iterator[str]:
        step, clock = last.until(place)
        if abs(step) > SLACK_NS:
            how = "after" if step > 0 else "before"
            yield f"{what} is {abs(step) / MILLISECOND_NS:.1f} ms {how} {self._end_of()} by the {clock} clock"

    def _end_of(self) -> str:
        return self._what if self._what.startswith("the period") else f"the end of {self._what}"

    def encode(self) -> list[Any]:
        """Give the account as plain values."""
        last = [self._last.wall_ns, self._last.epoch, self._last.mono_ns] if self._last is not None else None
        facts = [self.number, self.is_open, self.recorded_ns, dict(self.gap_ns), self.segments, self.lost_frames]
        return [*facts, last, self._what, self.origin]

    @classmethod
    def decode(cls, value: Any) -> "Account":  # noqa: ANN401
        """Read what `encode` gave; raises ValueError or TypeError when it is none."""
        number, is_open, recorded, gaps, count, lost, last, what, *origin = value  # a state of before origins were kept has none
        place = Place(*last) if last is not None else None
        return cls(number, is_open, recorded, dict(gaps), count, lost, place, what, origin[0] if origin else None)


@dataclass(slots=True)
class Ledger:
    """The accounts of all streams of a box, over all its epochs."""

    accounts: dict[str, Account] = field(default_factory=dict)

    def take(self, record: Record, usage: str | None = None) -> list[str]:
        """Take the journal's next record; give what does not fit, each with stream, epoch and position.

        `usage`: of the session that signed it, where it is known.
        """
        if not isinstance(record.body, kinds.Recording | kinds.Segment | kinds.Gap):
            return []
        account = self.accounts.setdefault(record.subject, Account())
        where = f"{record.subject} epoch {record.epoch} position {record.position}"
        return [f"{where}: {fault}" for fault in account.take(record, usage)]

    def encode(self) -> dict[str, Any]:
        """Give the accounts as plain values, by stream."""
        return {stream: account.encode() for stream, account in self.accounts.items()}

    @classmethod
    def decode(cls, value: Mapping[str, Any]) -> "Ledger":
        """Read what `encode` gave; raises ValueError or TypeError when it is none."""
        return cls({stream: Account.decode(account) for stream, account in value.items()})
