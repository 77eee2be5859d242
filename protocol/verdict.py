"""Judge the files of a bundle against what its records say it must hold, and say what was not judged.

The answer is never one word: per segment integrity, origin, completeness, time as an interval and signer; per stream what
became of every instant; every fault with its file; and what nobody could check from this bundle alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from protocol import bundle, kinds
from protocol.closing import NOT_PRESENT, Closing, check_closing
from protocol.coverage import Coverage, account, clip, subtract
from protocol.custody import clock_statement, custody, stamped_files
from protocol.dating import Times, date
from protocol.errors import VerificationError
from protocol.examination import Exhibits, Fault, Faults
from protocol.instants import MILLISECOND_NS, SECOND_NS, Interval, iso
from protocol.intervals import UNDATED, TimeInterval
from protocol.linking import merge
from protocol.reckoning import Expectation, Piece
from protocol.standing import Covers, check_standing

SLACK_NS = 250 * MILLISECOND_NS  # a few frames between the last one and the act that ended it


@dataclass(frozen=True, slots=True)
class Hashed:
    """What reading a file gave: its size, SHA-256, and the running hash at each mark.

    `samples`: sample root and track starts, or why its samples cannot be read; None when nobody asked.
    """

    size: int
    sha256: bytes
    prefixes: Mapping[int, bytes] = field(default_factory=dict)
    samples: tuple[bytes, tuple[int, ...] | None] | str | None = None


@dataclass(frozen=True, slots=True)
class SegmentFinding:
    """The verdict on one segment. Times: Unix ns, None unknown. `integrity`: ok, altered or missing; `samples` also: not recorded.

    `start` and `end`: when its first and last instants were captured, as intervals, beside what the box's clock says.
    """

    file: str
    stream: str
    number: int
    integrity: str
    origin: str
    completeness: str
    wall_from: int
    wall_to: int
    signer: str
    start: TimeInterval = UNDATED
    end: TimeInterval = UNDATED
    samples: str = "not recorded"

    @property
    def not_before(self) -> int | None:
        """Give the instant before which none of it was captured."""
        return self.start.earliest

    @property
    def not_after(self) -> int | None:
        """Give the instant after which none of it was captured."""
        return self.end.latest


@dataclass(frozen=True, slots=True)
class StreamFinding:
    """The account of one stream: `idle` is time of its stretches outside of any recording period."""

    stream: str
    stretches: tuple[Interval, ...]
    coverage: tuple[Coverage, ...]
    idle: tuple[Interval, ...]
    late: bool

    @property
    def percent(self) -> float:
        """Give the recorded share of the recording periods."""
        whole = sum(one.period.length for one in self.coverage)
        return 100.0 * sum(one.recorded_ns for one in self.coverage) / whole if whole else 0.0

    @property
    def unexplained_ns(self) -> int:
        """Give the time in neither segment nor gap."""
        return sum(one.unexplained_ns for one in self.coverage)


@dataclass(frozen=True, slots=True)
class Report:
    """All that was found; valid only without any fault."""

    task: str | None
    valid: bool
    faults: tuple[Fault, ...]
    segments: tuple[SegmentFinding, ...]
    streams: tuple[StreamFinding, ...]
    unchecked: tuple[str, ...]
    checkpoint_size: int | None
    checkpoint_ns: int | None
    closing: Closing | None = None


def judge(exhibits: Exhibits, wanted: Expectation, files: Mapping[str, bytes], hashed: Mapping[str, Hashed], faults: Faults) -> Report:
    """Judge the files against the expectation; `files` holds all but videos, `hashed` every file of the bundle."""
    _check_names(wanted, hashed, faults)
    _check_tags(files, hashed, faults)
    _check_listed(bundle.MANIFEST, {name for name in hashed if name.startswith("data/")}, files, hashed, faults)
    evidence = {name for name in hashed if bundle.is_evidence(name, wanted.export_index)}
    _check_listed(bundle.EVIDENCE, evidence, files, hashed, faults)
    _check_export(exhibits, wanted, len(evidence), hashed, faults)
    _check_derived(exhibits, wanted, files, hashed, faults)
    closing = check_closing(wanted.export_index, exhibits, files, faults)
    shown = sum(bundle.sidecar_name(name) in hashed for name in wanted.wanted)
    if closing is not None and shown:
        closing = replace(closing, sidecars=f"{shown} of {len(wanted.wanted)}, checked by hash, not by a C2PA validator")
    check_standing(exhibits, Covers.of(exhibits), faults)
    times = date(exhibits, faults)
    segments = tuple(_dated(_segment(piece, wanted, hashed, faults), piece, times) for piece in wanted.wanted.values())
    streams = tuple(account_stream(stream, wanted, faults) for stream in sorted(wanted.linked))
    found = tuple(sorted(set(faults.found), key=lambda fault: (fault.file, fault.what)))
    head = exhibits.checkpoint
    unchecked = (*_unchecked(exhibits, segments), *times.notes, *(closing.notes if closing else ()), *_lacking(len(segments) - shown))
    size = head.size if head else None
    return Report(wanted.task, not found, found, segments, streams, unchecked, size, exhibits.checkpoint_ns, closing)


def _lacking(count: int) -> tuple[str, ...]:
    return (f"C2PA manifests of {count} segments: {NOT_PRESENT}",) if count else ()


def _check_derived(
    exhibits: Exhibits, wanted: Expectation, files: Mapping[str, bytes], hashed: Mapping[str, Hashed], faults: Faults
) -> None:
    """Make anew what is derived from the records, and compare."""
    made = {bundle.SUMMARY: wanted.summary(), bundle.CUSTODY: custody(exhibits), bundle.CLOCK: clock_statement(exhibits, wanted)}
    made |= stamped_files(exhibits)
    if wanted.export_index is not None:
        record = exhibits.leaves[wanted.export_index].record
        bagging = bundle.Bagging(exhibits.trust.site, exhibits.trust.hub, record.at.wall_ns, record.subject)
        made[bundle.BAG_INFO] = bagging.encode({name: one.size for name, one in hashed.items()})
    for name in sorted(made.keys() | {name for name in files if name.startswith("data/time/")}):
        if name not in files:
            faults.add(name, "missing")
        elif files[name] != made.get(name):
            faults.add(name, "is not what the records shown give")


def _check_names(wanted: Expectation, hashed: Mapping[str, Hashed], faults: Faults) -> None:
    for name in sorted(hashed):
        if not bundle.is_member(name):
            faults.add(name, "is no file of a bundle: it was added")
        elif bundle.parse_video(name) and name not in wanted.wanted:
            faults.add(name, "is of no segment that belongs to the task: it was added, or its record is missing")
        elif (video := bundle.parse_sidecar(name)) and video not in wanted.wanted:
            faults.add(name, "stands beside no segment that belongs to the task: it was added, or the segment's record is missing")
    for name in bundle.FIXED:
        if name not in hashed:
            faults.add(name, "missing")


def _check_tags(files: Mapping[str, bytes], hashed: Mapping[str, Hashed], faults: Faults) -> None:
    if files.get(bundle.BAGIT, bundle.BAGIT_TEXT) != bundle.BAGIT_TEXT:
        faults.add(bundle.BAGIT, "was altered")
    tags = {bundle.BAGIT, bundle.BAG_INFO, bundle.MANIFEST, bundle.README, *(name for name in bundle.READABLE if name in hashed)}
    _check_listed(bundle.TAG_MANIFEST, tags, files, hashed, faults)


def _check_listed(listing: str, names: set[str], files: Mapping[str, bytes], hashed: Mapping[str, Hashed], faults: Faults) -> None:
    """Compare a manifest with the files it must list, no more and no fewer."""
    if listing not in files:
        faults.add(listing, "missing")
        return
    if not files[listing]:
        faults.add(listing, "is empty")
    # a manifest does not list itself; the evidence manifest is listed by the manifest around it
    with faults.of(listing):
        listed = bundle.parse_manifest(files[listing], listing)
        for name in sorted(names | listed.keys()):
            if name not in hashed:
                faults.add(name, f"missing: {listing} lists it")
            elif name not in listed:
                faults.add(name, f"is not listed in {listing}: it was added")
            elif name not in names:
                faults.add(listing, f"lists {name}, which does not belong there")
            elif listed[name] != hashed[name].sha256:
                faults.add(name, f"was altered: its hash is not the one in {listing}")


def _check_export(exhibits: Exhibits, wanted: Expectation, count: int, hashed: Mapping[str, Hashed], faults: Faults) -> None:
    if wanted.export_index is None:
        faults.add("data/log", "missing: no record of this export")
        return
    record = exhibits.leaves[wanted.export_index].record
    with faults.of(bundle.leaf_name(wanted.export_index)):
        if not isinstance(record.body, kinds.Export) or record.subject != wanted.task:
            raise VerificationError(f"is of task {record.subject}", where="export record")
        evidence = hashed.get(bundle.EVIDENCE)
        if evidence is not None and record.body.manifest != evidence.sha256:
            faults.add(bundle.EVIDENCE, "is not the manifest that the export record names")
        if record.body.files != count:
            raise VerificationError(f"names {record.body.files} files of evidence, {count} are here", where="export record")


def _dated(finding: SegmentFinding, piece: Piece, times: Times) -> SegmentFinding:
    body, box = piece.body, piece.range.box
    epoch = piece.range.epoch if body.epoch is None else body.epoch
    start, end = times.at(box, epoch, body.mono_from, body.wall_from), times.at(box, epoch, body.mono_to, body.wall_to)
    return replace(finding, start=start, end=end)


def _segment(piece: Piece, wanted: Expectation, hashed: Mapping[str, Hashed], faults: Faults) -> SegmentFinding:
    body, found = piece.body, hashed.get(piece.name)
    stream = wanted.streams[piece.stream]
    integrity = "ok"
    if found is None:
        integrity = "missing"
        faults.add(piece.name, "missing: its record is in the journal")
    elif (found.size, found.sha256) != (body.size, body.sha256):
        integrity = "altered"
        kept = "; its samples are those recorded, the container was changed" if _samples(body, found) == "ok" else ""
        faults.add(piece.name, f"is not the file that its record names (size or SHA-256){kept}")
    else:
        _check_samples(piece, found, faults)
        _check_bound(piece, stream.bound.get(body.number, {}), found, faults)
    identity = piece.range.identity_at(piece.signed.record.position) or b""
    return SegmentFinding(
        file=piece.name,
        stream=piece.stream,
        number=body.number,
        integrity=integrity,
        origin=f"{'imported' if piece.usage == 'import' else 'live capture'} ({stream.origin})",
        completeness=_completeness(body),
        wall_from=body.wall_from,
        wall_to=body.wall_to,
        signer=f"{piece.range.box} session key {piece.signed.envelope.key_id.hex()}, certified by identity key {identity.hex()}",
        samples=_samples(body, found),
    )


def _samples(body: kinds.Segment, found: Hashed | None) -> str:
    """Compare the sample tree made anew with the record's."""
    if found is None:
        return "missing"
    if body.sample_root is None:
        return "not recorded"
    return "ok" if found.samples == (body.sample_root, body.starts) else "altered"


def _check_samples(piece: Piece, found: Hashed, faults: Faults) -> None:
    """Name a sample tree that the bytes do not give, though they hash to the record: the box signed what it did not write."""
    if _samples(piece.body, found) != "altered":
        return
    if isinstance(found.samples, str):
        faults.add(piece.name, f"its samples cannot be read, though its record has their root: {found.samples}")
    elif found.samples is not None and found.samples[0] == piece.body.sample_root:
        faults.add(piece.name, "its tracks do not start against each other as its record says")
    else:
        faults.add(piece.name, "its samples do not give the sample root of its record")


def _completeness(body: kinds.Segment) -> str:
    lost = f", {body.lost} packets lost before the box" if body.lost else ""
    if body.state != "recovered":
        return f"whole{lost}"
    bound = body.bound or 0
    return f"recovered, {bound} of {body.size} bytes bound by a heartbeat{lost}"


def _check_bound(piece: Piece, bound: Mapping[int, bytes], found: Hashed, faults: Faults) -> None:
    """Check the file's prefixes against the running hashes that heartbeats signed while it was written."""
    body = piece.body
    for size, expected in sorted(bound.items()):
        if size > body.size:
            if body.state == "live":
                faults.add(piece.name, f"a heartbeat bound {size} bytes, the segment has {body.size}")
        elif found.prefixes.get(size) != expected:
            faults.add(piece.name, f"its first {size} bytes are not those a heartbeat bound")
    if body.state == "recovered" and body.bound and body.bound not in bound:
        faults.add(piece.name, f"is said to be bound up to byte {body.bound}, no heartbeat shown says so")


def account_stream(name: str, wanted: Expectation, faults: Faults) -> StreamFinding:
    """Account for every instant of a stream that belongs to the task; each hole is a fault that names a segment."""
    stream = next(one for one in wanted.linked if one == name)
    known = wanted.streams[stream]
    stretches, off = wanted.linked[stream], known.idle()
    pieces = [piece.interval for piece in known.pieces]
    coverage: list[Coverage] = []
    for stretch in stretches:
        for period in subtract([stretch], off):
            soft = (
                any(one.start < period.start <= one.end + SLACK_NS for one in off),
                any(one.start - SLACK_NS <= period.end < one.end for one in off),
            )
            if period.length > SLACK_NS or not any(soft):
                one = account(period, pieces, known.gaps, slack_ns=SLACK_NS)
                coverage.append(_with_edges(one, [*pieces, *(gap.interval for gap in known.gaps)], soft))
    idle = tuple(part for stretch in stretches for part in clip(off, stretch))
    for one in coverage:
        for hole in one.unexplained:
            _name_hole(stream, hole, wanted, faults)
    return StreamFinding(stream, tuple(stretches), tuple(coverage), idle, stream in wanted.late)


def _with_edges(found: Coverage, pieces: Sequence[Interval], soft: tuple[bool, bool]) -> Coverage:
    """Demand, where the task begins or ends while the stream goes on, a piece that reaches over that instant or stands just beyond.

    Otherwise a segment that overlaps the task by less than the slack could be hidden by showing a shorter journal. `soft`: that
    edge is the beginning or end of the recording itself.
    """
    period = found.period
    inside = [piece for piece in pieces if piece.overlaps(period)]
    reaches_back = any(piece.start <= period.start <= piece.end + SLACK_NS for piece in pieces)
    reaches_on = any(piece.start - SLACK_NS <= period.end <= piece.end for piece in pieces)
    holes = []
    if not (soft[0] or reaches_back):
        holes.append(Interval(period.start, min((piece.start for piece in inside), default=period.end)))
    if not (soft[1] or reaches_on):
        holes.append(Interval(max((piece.end for piece in inside), default=period.start), period.end))
    more = [hole for hole in merge(holes) if not any(hole.overlaps(known) for known in found.unexplained)]
    lost = sum(hole.length for hole in more)
    return replace(found, unexplained=tuple(sorted([*found.unexplained, *more])), recorded_ns=found.recorded_ns - lost)


def _name_hole(name: str, hole: Interval, wanted: Expectation, faults: Faults) -> None:
    """Name the segment that is missing in a hole: the one a heartbeat saw open there, or the one after the last before it."""
    stream = next(one for one in wanted.linked if one == name)
    known = wanted.streams[stream]
    closed = {piece.body.number for piece in known.pieces}
    seen = sorted(number for number, interval in known.open.items() if number not in closed and interval.overlaps(hole))
    before = [piece.body.number for piece in known.pieces if piece.interval.start < hole.start]
    number = seen[0] if seen else (before[-1] + 1 if before else 0)
    length = hole.length // MILLISECOND_NS
    what = f"missing: {length} ms from {iso(hole.start)} to {iso(hole.end)} are in neither a segment nor a signed gap"
    faults.add(bundle.video_name(stream, number), what)


def _unchecked(exhibits: Exhibits, segments: Sequence[SegmentFinding]) -> tuple[str, ...]:
    out = [
        "that the port log holds no further task, pairing or revocation record about this task or its boxes (ask an auditor of the log)",
        "what the cameras were shown: a screen filmed by a camera is a true recording of a screen",
        "the picture itself: whether it decodes, and what it shows",
        "reports and pages that lie in the bundle for people, but for their hashes: they are derived and no evidence",
    ]
    if not exhibits.trust.rule.asks:
        out.append("cosignatures of outside witnesses: the trust file asks for none, so the hub alone vouches for the log and its times")
    if any(one.samples == "not recorded" for one in segments):
        out.append("for some segments: their samples apart from their files (their records have no sample root)")
    if any(one.not_before is None for one in segments):
        out.append("for some segments: a time before which they cannot have been made (the box had seen no checkpoint that is shown)")
    if any(one.not_after is None for one in segments):
        out.append("for some segments: a time after which they cannot have been made (no time is cosigned)")
    blank = sorted(index for index, one in exhibits.leaves.items() if isinstance(one.record.body, kinds.Concealed))
    if blank:
        named = ", ".join(map(str, blank[:8])) + (" ..." if len(blank) > 8 else "")
        out.append(f"what {len(blank)} concealed records say (leaves {named}): they stand in the log, their bodies are not shown")
    off = [error for one in segments for error in (one.start.error, one.end.error) if error]
    if off:
        worst = max(off, key=abs) / SECOND_NS
        out.append(f"the box's clock, which was wrong by {worst:+.3f} s or more: the times of segments are their intervals, not its claims")
    for ranges in exhibits.ranges.values():
        for before, after in pairwise(ranges):
            boot = after.records[0].record.body if after.records else None
            known = boot.previous_size or 0 if isinstance(boot, kinds.Boot) else 0
            sealed = max([known, *(position for position, _ in before.sealed)])
            if sealed < before.end:
                out.append(f"{before.file}: records from position {sealed} on are signed, but in no tree that was sealed or booted from")
    return tuple(out)
