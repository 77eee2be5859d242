"""List who handled what a bundle shows - opened, paired, watched, exported, kept - and how its clocks stood, from checked leaves alone.

So are the tokens in them given as files that stock tools read. All of it is derived: whoever verifies makes it anew and compares
byte for byte, so each line is a record of the log with its proof beside it. That the log holds no further such record is for an
auditor of the whole log to say.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from protocol import bundle, kinds, timestamps
from protocol.dating import Times, date
from protocol.examination import Exhibits, Faults, Range
from protocol.instants import MILLISECOND_NS, iso
from protocol.notes import Checkpoint
from protocol.reckoning import Expectation, Piece
from protocol.records import Record

LISTED = frozenset({"task", "pairing", "view", "export", "head-seen", "keeping", "disposal", "concealed", "derived"})
COLUMNS = ("leaf", "time", "record", "act", "person", "subject", "detail")
VERSION = 1
_DETAILS = ("way", "stream", "reason", "detail", "second", "kept_as", "files")


def custody(exhibits: Exhibits) -> bytes:
    """Give data/custody.csv (RFC 4180): one line per act, in the order of the log."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    for index, signed in sorted(exhibits.leaves.items()):
        if signed.record.issuer.role == "hub" and signed.record.kind in LISTED:
            lines.writerow([_plain(cell) for cell in _row(index, signed.record)])
    return out.getvalue().encode()


def _row(index: int, record: Record) -> tuple[str, ...]:
    body: Any = record.body
    person = getattr(body, "by", None) or getattr(body, "viewer", None) or ""
    details = [f"{name}: {value}" for name in _DETAILS if (value := getattr(body, name, None))]
    if isinstance(body, kinds.Export) and body.streams is not None:
        details.append(f"streams: {' '.join(body.streams)}")
    if isinstance(body, kinds.Concealed):
        details.append(f"of: {body.of}")
    act = "not shown" if isinstance(body, kinds.Concealed) else str(getattr(body, "state", "done"))
    return str(index), iso(record.at.wall_ns), record.kind, act, person, record.subject, "; ".join(details)


def _plain(cell: str) -> str:
    """Keep a spreadsheet from taking a cell for a formula, and lines whole."""
    flat = " ".join(cell.split())
    return f"'{flat}" if flat[:1] in ("=", "+", "-", "@") else flat


def stamped_files(exhibits: Exhibits) -> dict[str, bytes]:
    """Give data/time: the time-stamp tokens that are leaves, as answers of their authorities, and what they stamp."""
    out: dict[str, bytes] = {}
    for index, signed in exhibits.leaves.items():
        body = signed.record.body
        if isinstance(body, kinds.TimeToken):
            out[bundle.token_name(index)] = timestamps.as_response(body.token)
            out[bundle.token_name(index, "txt")] = timestamps.stamped_bytes(Checkpoint(exhibits.trust.log.name, body.size, body.root))
    return out


def clock_statement(exhibits: Exhibits, wanted: Expectation) -> bytes:
    """Give data/clock.json: how the clocks of devices and boxes stood against the hub's words on time, per box and stream.

    It is made without the verifier's time authorities and witnesses, so that it is the same for everybody; intervals under those
    stand in the report. `box_minus_true_ms`: every segment's offset lies between the two.
    """
    neutral = replace(exhibits.trust, witnesses=(), quorum=0, policy=None, time_authorities=())
    times = date(replace(exhibits, trust=neutral), Faults())
    streams: dict[str, list[Piece]] = {str(stream): [] for stream in sorted(wanted.linked)}
    for piece in wanted.wanted.values():
        streams.setdefault(piece.stream, []).append(piece)
    value = {
        "version": VERSION,
        "log": exhibits.trust.log.name,
        "about": wanted.task,
        "boxes": {str(box): _box(ranges) for box, ranges in sorted(exhibits.ranges.items())},
        "streams": {stream: _stream(pieces, times) for stream, pieces in sorted(streams.items())},
    }
    return (json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _box(ranges: list[Range]) -> dict[str, Any]:
    records = [signed.record for range_ in ranges for signed in range_.records]
    errors = [record.at.error_ms for record in records if record.at.error_ms is not None]
    steps = [(record.at.wall_ns, record.body.step_ns) for record in records if isinstance(record.body, kinds.ClockStep)]
    return {
        "boots": sum(isinstance(record.body, kinds.Boot) for record in records),
        "clock_states": dict(sorted(Counter(record.at.sync for record in records).items())),
        "worst_error_bound_ms": max(errors, default=None),
        "steps": [{"at": iso(at), "step_ms": step // MILLISECOND_NS} for at, step in steps],
    }


def _stream(pieces: list[Piece], times: Times) -> dict[str, Any]:
    device = [one.body.device_from - one.body.wall_from for one in pieces if one.body.device_from is not None]
    box = list(_offsets(pieces, times))
    return {
        "segments": len(pieces),
        "device_minus_box_ms": _bounds(device, device),
        "box_minus_true_ms": _bounds([least for least, _ in box], [most for _, most in box]),
    }


def _offsets(pieces: list[Piece], times: Times) -> Iterator[tuple[int, int]]:
    for one in pieces:
        epoch = one.range.epoch if one.body.epoch is None else one.body.epoch
        found = times.at(one.range.box, epoch, one.body.mono_from, one.body.wall_from)
        if found.earliest is not None and found.latest is not None:
            yield found.claimed - found.latest, found.claimed - found.earliest


def _bounds(least: list[int], most: list[int]) -> dict[str, int] | None:
    if not least:
        return None
    return {"least": min(least) // MILLISECOND_NS, "most": -(-max(most) // MILLISECOND_NS), "known": len(least)}
