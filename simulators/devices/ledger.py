"""The ground truth of simulated devices: what was really sent and which faults were done, as JSON lines.

Guarantees: a line is written whole; frames cost one line for each run of pictures (a run ends at a keyframe, at a change of who
gets them, at a fault); what waits in memory is bounded and at most `FLUSH_S` old. Times are Unix ns and monotonic ns of the
simulating machine, read when a picture was handed to the network.

Lines (`event`): `start` {program, unix_ns, mono_ns, cameras} · `footage` {name, fps, units: [{bytes, key, sha256, slices_sha256}]} ·
`frames` {cam, footage, n, index, mono_ns, unix_ns, at_us: [..], pts, pts_steps: [..], clients, damaged: [offsets]}: picture `n + i`
is unit `(index + i) % units` · `fault_begin` / `fault_end` {cam, kind, unix_ns, mono_ns} · `connect` / `disconnect` {cam, ...} · `end`.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol.errors import MalformedError
from simulators.devices.clock import monotonic_ns, wall_ns
from simulators.devices.footage import Footage

FLUSH_S = 1.0
MAX_BUFFER_BYTES = 1 << 18
MAX_RUN = 256  # pictures in a line
MAX_LINE_BYTES = 1 << 22

Moment = tuple[int, int]
"""Unix ns and monotonic ns, read together."""


def now() -> Moment:
    """Read both clocks."""
    return wall_ns(), monotonic_ns()


@dataclass(slots=True)
class Run:
    """Pictures sent one after the other to the same number of clients."""

    cam: int
    footage: str
    n: int
    index: int
    pts: int
    clients: int
    began: Moment
    at_us: list[int] = field(default_factory=list)
    pts_steps: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """Return the run as a line."""
        unix_ns, mono_ns = self.began
        return {
            "event": "frames", "cam": self.cam, "footage": self.footage, "n": self.n, "index": self.index, "unix_ns": unix_ns,
            "mono_ns": mono_ns, "at_us": self.at_us, "pts": self.pts, "pts_steps": self.pts_steps, "clients": self.clients,
            "damaged": self.damaged,
        }  # fmt: skip


class LedgerWriter:
    """Writes a ledger; without a path it keeps nothing. Use it as a context manager."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: io.FileIO | None = None
        self._lines: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = io.FileIO(self._path, "a")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.note("end")
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def note(self, event: str, moment: Moment | None = None, **facts: object) -> None:
        """Write an event."""
        unix_ns, mono_ns = moment or now()
        self._add({"event": event, "unix_ns": unix_ns, "mono_ns": mono_ns, **facts})

    def describe(self, footage: Footage) -> None:
        """Write what units a footage has."""
        units = [
            {"bytes": sum(map(len, unit.nals)), "key": unit.is_key, "sha256": unit.sha256, "slices_sha256": unit.slices_sha256}
            for unit in footage.units
        ]
        self.note("footage", name=footage.name, fps=footage.fps, units=units)

    def write(self, run: Run) -> None:
        """Write a run of pictures."""
        self._add(run.line())

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._lines and self._file is not None:
            self._file.write(b"".join(self._lines))
        self._lines, self._size = [], 0

    def _add(self, line: Mapping[str, object]) -> None:
        if self._file is None:
            return
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        self._lines.append(text)
        self._size += len(text)
        if self._size > MAX_BUFFER_BYTES:
            self.flush()


# ------------------------------------------------------------------ reading


@dataclass(frozen=True, slots=True)
class SentFrame:
    """One picture that was handed to the network. `sha256` is empty for footage encoded live."""

    cam: int
    n: int
    index: int
    is_key: bool
    pts: int
    unix_ns: int
    mono_ns: int
    clients: int
    is_damaged: bool
    sha256: str
    slices_sha256: str


@dataclass(frozen=True, slots=True)
class Span:
    """A fault or a connection, open at its end when the ledger stops first."""

    cam: int
    kind: str
    began_ns: int
    ended_ns: int | None


@dataclass(slots=True)
class CameraTruth:
    """What one camera did."""

    frames: list[SentFrame] = field(default_factory=list)
    faults: list[Span] = field(default_factory=list)
    connections: list[Span] = field(default_factory=list)

    def intervals(self, longest_gap_ns: int) -> list[tuple[int, int]]:
        """Return the Unix intervals in which pictures came without a pause longer than that; each picture lasts to the next."""
        found: list[tuple[int, int]] = []
        for frame in self.frames:
            if not frame.clients or frame.is_damaged:
                continue
            if found and frame.unix_ns - found[-1][1] <= longest_gap_ns:
                found[-1] = found[-1][0], frame.unix_ns
            else:
                found.append((frame.unix_ns, frame.unix_ns))
        return found


@dataclass(slots=True)
class Ledger:
    """A ledger that was read."""

    cameras: dict[int, CameraTruth] = field(default_factory=dict)
    footage: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    began_ns: int = 0
    has_ended: bool = False

    def camera(self, number: int) -> CameraTruth:
        """Return what is known of a camera."""
        return self.cameras.setdefault(number, CameraTruth())


def read_ledger(path: Path) -> Ledger:
    """Read a ledger; a last line that was cut short by a kill is left out.

    Raises MalformedError for any other line that does not parse.
    """
    ledger = Ledger()
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            _take(ledger, json.loads(line))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise MalformedError(f"not a ledger line ({error!r})", where=f"{path}:{number}") from error
    return ledger


def _take(ledger: Ledger, line: dict[str, Any]) -> None:
    event = line["event"]
    if event == "start":
        ledger.began_ns = line["unix_ns"]
    elif event == "end":
        ledger.has_ended = True
    elif event == "footage":
        ledger.footage[line["name"]] = line["units"]
    elif event == "frames":
        ledger.camera(line["cam"]).frames += _frames(ledger.footage.get(line["footage"], []), line)
    elif event in ("fault_begin", "connect"):
        _spans(ledger, line).append(Span(line["cam"], line.get("kind", line.get("peer", "")), line["unix_ns"], None))
    elif event in ("fault_end", "disconnect"):
        _end(_spans(ledger, line), line.get("kind", line.get("peer", "")), line["unix_ns"])


def _spans(ledger: Ledger, line: dict[str, Any]) -> list[Span]:
    truth = ledger.camera(line["cam"])
    return truth.faults if line["event"].startswith("fault") else truth.connections


def _end(spans: list[Span], kind: str, unix_ns: int) -> None:
    for at, span in enumerate(spans):
        if span.kind == kind and span.ended_ns is None:
            spans[at] = Span(span.cam, span.kind, span.began_ns, unix_ns)
            return


def _frames(units: Sequence[dict[str, Any]], line: dict[str, Any]) -> list[SentFrame]:
    damaged = set(line["damaged"])
    frames, pts = [], line["pts"]
    for at, (offset_us, step) in enumerate(zip(line["at_us"], line["pts_steps"], strict=True)):
        pts += step
        index = (line["index"] + at) % len(units) if units else line["index"] + at
        unit: dict[str, Any] = units[index] if units else {"key": at == 0, "sha256": "", "slices_sha256": ""}
        frames.append(
            SentFrame(
                line["cam"], line["n"] + at, index, unit["key"], pts, line["unix_ns"] + offset_us * 1000,
                line["mono_ns"] + offset_us * 1000, line["clients"], at in damaged, unit["sha256"], unit["slices_sha256"],
            )
        )  # fmt: skip
    return frames
