"""Say in words, tables and one picture what a verdict found, in Chinese or English: what a bundle's HTML and PDF reports both show.

Guarantees: every figure is the verdict's own; what is not proven stands in the report as large as what is.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hub.report_words import cause, word
from protocol import bundle
from protocol.custody import custody
from protocol.examination import Exhibits
from protocol.instants import MILLISECOND_NS, Interval, iso
from protocol.reckoning import Expectation
from protocol.verdict import Report, SegmentFinding, StreamFinding

MAX_ROWS = 5000  # of one table; report.json has all
State = Literal["verified", "recovered", "failed", "gap", "idle", "unexplained"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a report is made of; `folder` is the bundle's name, `trust_note` where the reader gets the trust file."""

    report: Report
    wanted: Expectation
    exhibits: Exhibits
    folder: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the first or second level."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; `is_code` when its lines are to be typed."""

    lines: tuple[str, ...]
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `widths` are shares of the page."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a lane, from and to as shares of the whole time."""

    start: float
    end: float
    state: State
    hint: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One stream's lane in the picture."""

    stream: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The timeline: lanes over one stretch of time, and the meaning of its colours."""

    lanes: tuple[Lane, ...]
    start: str
    end: str
    legend: tuple[tuple[State, str], ...]


Block = Heading | Prose | Items | Table | Picture
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    """Give a text without what neither HTML nor PDF can hold."""
    return _CONTROL.sub("\ufffd", text)


def blocks(told: Told, *, chinese: bool) -> list[Block]:
    """Give the report in one language."""
    report = told.report

    def say(key: str) -> str:
        return word(key, chinese=chinese)

    faults = [f"{one.file}: {one.what}" for one in report.faults]
    verdict = say("no faults") if not faults else f"{say('faults')}: {len(faults)}"
    out: list[Block] = [Heading(f"{say('title')} {report.task or ''}".strip(), 1), Prose(verdict), Prose(say("derived"))]
    out += [Items(tuple(faults[:MAX_ROWS]))] if faults else []
    out += [Heading(say("facts")), _facts(told, chinese=chinese)]
    out += [Heading(say("timeline")), picture(report, chinese=chinese)]
    out += [Heading(say("coverage")), _coverage(report.streams, chinese=chinese), _gaps(report.streams, chinese=chinese)]
    out += [Heading(say("segments")), Prose(say("segments note")), _segments(report.segments, chinese=chinese)]
    if len(report.segments) > MAX_ROWS:
        out.append(Prose(f"+ {len(report.segments) - MAX_ROWS}: report.json"))
    out += [Heading(say("custody")), Prose(say("custody note")), _custody(told, chinese=chinese)]
    out += [Heading(say("unproven")), Items(tuple(word(one, chinese=chinese) for one in report.unchecked))]
    return [*out, Heading(say("verify")), Prose(say("verify note")), *_commands(told, chinese=chinese)]


def _facts(told: Told, *, chinese: bool) -> Table:
    report, wanted, trust = told.report, told.wanted, told.exhibits.trust
    facts = wanted.facts
    rows: list[tuple[str, str]] = [("task", report.task or "-")]
    if facts is not None:
        rows += [("subject", facts.title or "-"), ("bay", facts.bay or "-"), ("inspectors", ", ".join(facts.inspectors or ()) or "-")]
        rows += [(name, value) for name, value in facts.facts or ()]
    rows += [("opened", iso(wanted.span.opened)), ("ended", iso(wanted.span.ended) if wanted.span.ended is not None else "-")]
    at = iso(report.checkpoint_ns) if report.checkpoint_ns is not None else "-"
    rows += [("checkpoint", f"{report.checkpoint_size}, {at}")]
    if report.closing is not None:
        rows += [
            ("exported", f"{report.closing.by}, {iso(report.closing.at_ns)}"),
            ("signature", word(report.closing.signature, chinese=chinese)),
        ]
    rows += [("site", f"{trust.site} / {trust.hub}"), ("root", trust.root_sha256), ("log key", trust.log.vkey())]
    return Table(
        (word("fact", chinese=chinese), word("value", chinese=chinese)),
        tuple((word(name, chinese=chinese), value) for name, value in rows), (1, 4),
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- the picture


def picture(report: Report, *, chinese: bool) -> Picture:
    """Give the timeline: what became of every instant of each stream."""
    spans = [span for one in report.streams for span in one.stretches] + [Interval(one.wall_from, one.wall_to) for one in report.segments]
    start, end = min((one.start for one in spans), default=0), max((one.end for one in spans), default=1)
    lanes = tuple(Lane(one.stream, _bars(one, report.segments, Interval(start, max(end, start + 1)), chinese)) for one in report.streams)
    states: tuple[State, ...] = ("verified", "recovered", "failed", "gap", "idle", "unexplained")
    return Picture(lanes, iso(start), iso(end), tuple((state, word(state, chinese=chinese)) for state in states))


def _bars(stream: StreamFinding, segments: Sequence[SegmentFinding], whole: Interval, chinese: bool) -> tuple[Bar, ...]:
    def bar(start: int, end: int, state: State, hint: str) -> Bar:
        text = f"{hint} {iso(start)} - {iso(end)}"
        return Bar((start - whole.start) / whole.length, (end - whole.start) / whole.length, state, text)

    out = [bar(part.start, part.end, "idle", word("idle", chinese=chinese)) for part in stream.idle]
    for one in segments:
        if one.stream == stream.stream:
            state: State = "failed" if one.integrity != "ok" or one.samples == "altered" else "verified"
            if state == "verified" and one.completeness.startswith("recovered"):
                state = "recovered"
            out.append(bar(one.wall_from, one.wall_to, state, str(one.number)))
    for coverage in stream.coverage:
        out += [bar(gap.interval.start, gap.interval.end, "gap", cause(gap.cause, chinese=chinese)) for gap in coverage.gaps]
        out += [bar(hole.start, hole.end, "unexplained", word("unexplained", chinese=chinese)) for hole in coverage.unexplained]
    return tuple(out)


# ----------------------------------------------------------------------------------------------------------------- the tables


def _ms(length_ns: int) -> str:
    return f"{length_ns // MILLISECOND_NS} ms"


def _coverage(streams: Sequence[StreamFinding], *, chinese: bool) -> Table:
    heads = ("stream", "period", "recorded", "gaps", "unexplained", "share")
    rows = []
    for one in streams:
        period, lost = sum(part.period.length for part in one.coverage), sum(part.gap_ns for part in one.coverage)
        name = f"{one.stream} ({word('late', chinese=chinese)})" if one.late else one.stream
        recorded = sum(part.recorded_ns for part in one.coverage)
        rows.append((name, _ms(period), _ms(recorded), _ms(lost), _ms(one.unexplained_ns), f"{one.percent:.4f} %"))
    return Table(tuple(word(head, chinese=chinese) for head in heads), tuple(rows), (3, 2, 2, 2, 2, 2))


def _gaps(streams: Sequence[StreamFinding], *, chinese: bool) -> Table:
    found = [(one.stream, gap) for one in streams for coverage in one.coverage for gap in coverage.gaps]
    rows = [
        (name, iso(gap.interval.start), iso(gap.interval.end), _ms(gap.interval.length), cause(gap.cause, chinese=chinese))
        for name, gap in found
    ]
    heads = ("stream", "from", "to", "length", "cause")
    return Table(tuple(word(head, chinese=chinese) for head in heads), tuple(rows[:MAX_ROWS]), (3, 3, 3, 2, 3))


def _segments(segments: Sequence[SegmentFinding], *, chinese: bool) -> Table:
    def say(text: str) -> str:
        return word(text, chinese=chinese)

    rows = []
    for one in segments[:MAX_ROWS]:
        first, last = one.not_before, one.not_after
        width = "-" if first is None or last is None else _ms(last - first)
        bounds = tuple(iso(at) if at is not None else say("unknown") for at in (first, last))
        origin = one.origin.replace("live capture", say("live capture")).replace("imported", say("imported"))
        whole = say("whole") if one.completeness == "whole" else one.completeness.replace("recovered", say("recovered"))
        signer = one.signer.partition(" session key ")[2][:16]
        rows.append((f"{one.stream}/{one.number}", say(one.integrity), say(one.samples), origin, whole, *bounds, width, signer))
    heads = ("segment", "integrity", "samples", "origin", "completeness", "not before", "not after", "width", "signer")
    return Table(tuple(say(head) for head in heads), tuple(rows), (8, 4, 4, 7, 11, 9, 9, 4, 6))


def _custody(told: Told, *, chinese: bool) -> Table:
    rows = list(csv.reader(io.StringIO(custody(told.exhibits).decode())))[1:]
    heads = ("leaf", "time", "record", "act", "person", "about", "detail")
    return Table(tuple(word(head, chinese=chinese) for head in heads), tuple(tuple(row) for row in rows[:MAX_ROWS]), (2, 6, 3, 3, 3, 5, 7))


def _commands(told: Told, *, chinese: bool) -> list[Block]:
    name, says = told.folder, f"{word('readme', chinese=chinese)} {bundle.README}"
    lang = "zh" if chinese else "en"
    lines = (
        f"portwitness-verify {name} --trust trust.json --lang {lang}",
        f"cd {name} && sha256sum -c --quiet {bundle.MANIFEST} {bundle.TAG_MANIFEST}",
    )
    return [Items(lines, is_code=True), Prose(word("page", chinese=chinese)), Prose(says)]
