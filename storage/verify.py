"""Verify an exported bundle against trust from outside it: the program `portwitness-verify`.

Needs the bundle and a trust file, no network and none of our servers; imports `protocol` and `storage` only, so that an outside
party can read all it runs. Exit 0: valid; 1: not valid, every fault named with its file; 2: unreadable input.
"""

import argparse
import gc
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TextIO

from protocol.closing import Closing
from protocol.errors import MalformedError, PortwitnessError, StorageError
from protocol.examination import Exhibits, Fault, Faults, examine
from protocol.instants import MILLISECOND_NS, SECOND_NS, iso
from protocol.intervals import TimeInterval
from protocol.reckoning import Expectation, expect
from protocol.standing import Covers, check_standing
from protocol.trust import MAX_TRUST_BYTES, Trust
from protocol.verdict import Report, SegmentFinding, StreamFinding, judge
from storage import verify_draw
from storage.bundles import hash_all, list_bundle, processes, read_small, threads
from storage.clips import ClipFinding, judge_clip
from storage.derivatives import derived_json, derived_text, judge_derived
from storage.manifests import Judged, check_sidecars

VALID, NOT_VALID, UNREADABLE = 0, 1, 2
_EPILOG = """example:
  portwitness-verify case-T-20261123-0001.zip --trust trust.json
  portwitness-verify case-T-20261123-0001/ --trust trust.json --json | jq .faults
  portwitness-verify case-T-20261123-0001.zip --trust trust.json --clip remuxed.mp4
  portwitness-verify case-T-20261123-0001.zip --trust trust.json --clip clip.mp4 --proof clip.samples
  portwitness-verify case-R-20261123T081500-1f2e3d4c --trust trust.json --derived derived-812.mp4
  portwitness-verify draw draw-000007.json --trust trust.json --lang zh   draw again from a published draw (see draw --help)

exit status: 0 valid, 1 not valid (each fault names its file), 2 unreadable input"""
_ZH = {
    "task": "查验任务",
    "segment": "分段",
    "integrity": "完整性",
    "samples": "样本",
    "not recorded": "未记录",
    "clip": "片段剪辑",
    "whole segment": "完整分段",
    "sub-clip": "片段剪辑",
    "single sample": "单帧样本",
    "origin": "来源",
    "completeness": "完备性",
    "box time": "盒内时间",
    "box clock": "盒内时钟",
    "not before": "不早于",
    "not after": "不晚于",
    "signer": "签名者",
    "stream": "视频流",
    "recorded": "已录",
    "gaps": "缺口",
    "unexplained": "无说明",
    "idle": "未录制",
    "late pairing": "补绑定",
    "faults": "问题",
    "not checked": "未核验",
    "VALID": "有效",
    "NOT VALID": "无效",
    "ok": "完好",
    "altered": "被改动",
    "missing": "缺失",
    "unknown": "未知",
    "checkpoint": "检查点",
    "exported": "导出",
    "signature": "签名",
    "time-stamp": "时间戳",
    "C2PA": "C2PA 清单",
    "not present": "缺少",
    "not valid": "无效",
}


def verify(path: Path, trust: Trust, progress: Callable[[int, int], None] | None = None) -> Report:
    """Verify a bundle (folder or zip); `progress` takes bytes done and in all.

    Raises StorageError or MalformedError when the bundle cannot be read at all; whatever else is wrong is in the report.
    """
    return look(path, trust, progress).report


@dataclass(frozen=True, slots=True)
class Look:
    """A verified bundle: the report, what its records demand, and what is wrong with the records alone."""

    report: Report
    wanted: Expectation
    faults: tuple[Fault, ...]
    exhibits: Exhibits


@dataclass(frozen=True, slots=True)
class Way:
    """How a bundle is looked at: what files are hashed on, and how far its C2PA manifests are judged."""

    hands: Callable[[], Executor] = threads
    c2pa: Judged = "signed"


def look(path: Path, trust: Trust, progress: Callable[[int, int], None] | None = None, way: Way | None = None) -> Look:
    """Verify a bundle as `verify` does; give what its records demand too."""
    way = way or Way()
    members = list_bundle(path)
    small = read_small(members)
    faults = Faults()
    exhibits = examine(small, trust, faults)
    wanted = expect(exhibits, faults)
    meter = _Meter(sum(member.size for name, member in members.items() if name not in small), progress)
    hashed = hash_all(members, small, wanted.marks(), meter.add, wanted.rooted(), way.hands)
    of_records = Faults(list(faults.found))
    check_standing(exhibits, Covers.of(exhibits), of_records)
    judged = judge(exhibits, wanted, small, hashed, faults)
    report = check_sidecars(judged, wanted, members, way.hands, way.c2pa)
    return Look(report, wanted, tuple(of_records.found), exhibits)


@dataclass(slots=True)
class _Meter:
    """Add up progress from several threads."""

    total: int
    show: Callable[[int, int], None] | None
    done: int = 0
    lock: Lock = field(default_factory=Lock)

    def add(self, count: int) -> None:
        """Note bytes that are done."""
        with self.lock:
            self.done += count
            if self.show is not None:
                self.show(self.done, self.total)


def report_json(report: Report) -> dict[str, Any]:
    """Give the report as plain values."""
    return {
        "task": report.task,
        "valid": report.valid,
        "checkpoint": {"size": report.checkpoint_size, "time": _time(report.checkpoint_ns)},
        "faults": [{"file": one.file, "what": one.what} for one in report.faults],
        "segments": [_segment_json(one) for one in report.segments],
        "streams": [_stream_json(one) for one in report.streams],
        "export": _closing_json(report.closing),
        "not_checked": list(report.unchecked),
    }


def _closing_json(closing: Closing | None) -> dict[str, Any] | None:
    if closing is None:
        return None
    parts = {"signature": closing.signature, "time_stamp": closing.time_stamp, "c2pa": closing.sidecars}
    return {"by": closing.by, "at": iso(closing.at_ns), **parts}


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso(at_ns)


def _segment_json(one: SegmentFinding) -> dict[str, Any]:
    return {
        "file": one.file,
        "stream": one.stream,
        "number": one.number,
        "integrity": one.integrity,
        "samples": one.samples,
        "origin": one.origin,
        "completeness": one.completeness,
        "box_time": [iso(one.wall_from), iso(one.wall_to)],
        "not_before": _time(one.not_before),
        "not_after": _time(one.not_after),
        "start": _interval_json(one.start),
        "end": _interval_json(one.end),
        "signer": one.signer,
    }


def _interval_json(one: TimeInterval) -> dict[str, Any]:
    return {
        "earliest": _time(one.earliest),
        "latest": _time(one.latest),
        "width_ms": None if one.width is None else one.width // MILLISECOND_NS,
        "claimed": iso(one.claimed),
        "inside": one.is_inside,
        "off_ms": one.error // MILLISECOND_NS,
        "reasons": list(one.reasons),
    }


def _clock_text(one: SegmentFinding) -> str:
    """Say how far the box's clock was off at least, and how exactly its true time is known."""
    widths = [part.width for part in (one.start, one.end) if part.width is not None]
    known = f"\u00b1{max(widths) / 2 / SECOND_NS:.1f} s" if len(widths) == 2 else "?"
    off = max(one.start.error, one.end.error, key=abs)
    return f"{off / SECOND_NS:+.1f} s, {known}" if off else f"ok {known}"


def _stream_json(one: StreamFinding) -> dict[str, Any]:
    gaps = [gap for coverage in one.coverage for gap in coverage.gaps]
    return {
        "stream": one.stream,
        "stretches": [[iso(part.start), iso(part.end)] for part in one.stretches],
        "recorded_ms": sum(coverage.recorded_ns for coverage in one.coverage) // MILLISECOND_NS,
        "percent": round(one.percent, 4),
        "gaps": [{"from": iso(gap.interval.start), "to": iso(gap.interval.end), "cause": gap.cause} for gap in gaps],
        "unexplained_ms": one.unexplained_ns // MILLISECOND_NS,
        "idle": [[iso(part.start), iso(part.end)] for part in one.idle],
        "late_pairing": one.late,
    }


def report_text(report: Report, *, chinese: bool) -> str:
    """Give the report as a table."""

    def word(text: str) -> str:
        return _ZH.get(text, text) if chinese else text

    def time(at_ns: int | None) -> str:
        return iso(at_ns)[:19] + "Z" if at_ns is not None else word("unknown")

    lines = [f"{word('task')}: {report.task or word('unknown')}"]
    lines.append(f"{word('checkpoint')}: {report.checkpoint_size}, {time(report.checkpoint_ns)}")
    if report.segments:
        heads = ("segment", "integrity", "samples", "completeness", "box time", "not before", "not after", "box clock", "origin", "signer")
        rows = [tuple(word(head) for head in heads)]
        for one in report.segments:
            times = (time(one.wall_from), time(one.not_before), time(one.not_after), _clock_text(one))
            rows.append(
                (f"{one.stream}/{one.number}", word(one.integrity), word(one.samples), one.completeness, *times, one.origin, one.signer)
            )
        lines += ["", *_table(rows)]
    for stream in report.streams:
        lines += ["", *_stream_lines(stream, word)]
    if (closing := report.closing) is not None:
        parts = [("exported", f"{iso(closing.at_ns)} {closing.by}"), ("signature", closing.signature)]
        parts += [("time-stamp", closing.time_stamp), ("C2PA", closing.sidecars)]
        lines += ["", *(f"{word(name)}: {word(text)}" for name, text in parts)]
    if report.faults:
        lines += ["", f"{word('faults')}:", *(f"  {fault.file}: {fault.what}" for fault in report.faults)]
    lines += ["", f"{word('not checked')}:", *(f"  {one}" for one in report.unchecked)]
    lines += ["", word("VALID") if report.valid else word("NOT VALID")]
    return "\n".join(lines) + "\n"


def _clip_json(clip: ClipFinding) -> str:
    value = {
        "clip": clip.file,
        "kind": clip.kind,
        "valid": clip.fault is None,
        "faults": [] if clip.fault is None else [{"file": clip.file, "what": clip.fault}],
        "stream": clip.stream,
        "number": clip.number,
        "box_time": [_time(clip.wall_from), _time(clip.wall_to)],
        "segment": _segment_json(clip.segment) if clip.segment is not None else None,
    }
    return json.dumps(value, ensure_ascii=False) + "\n"


def clip_text(clip: ClipFinding, *, chinese: bool) -> str:
    """Give the verdict on a clip as text."""

    def word(text: str) -> str:
        return _ZH.get(text, text) if chinese else text

    lines = [f"{word('clip')}: {clip.file}, {word(clip.kind)}"]
    if clip.wall_from is not None and clip.wall_to is not None:
        lines.append(f"{word('segment')}: {clip.stream}/{clip.number}")
        lines.append(f"{word('box time')}: {iso(clip.wall_from)} - {iso(clip.wall_to)}")
    if clip.segment is not None:
        bounds = (("not before", clip.segment.not_before), ("not after", clip.segment.not_after))
        lines += [f"{word(name)}: {_time(at) or word('unknown')}" for name, at in bounds]
        lines += [f"{word('origin')}: {clip.segment.origin}", f"{word('signer')}: {clip.segment.signer}"]
    if clip.fault is not None:
        lines += ["", f"{word('faults')}:", f"  {clip.file}: {clip.fault}"]
    unchecked = "how a player shows it: aspect, rotation, colour and which tracks it plays stand outside of the samples"
    lines += ["", f"{word('not checked')}:", f"  {unchecked}", "", word("VALID") if clip.fault is None else word("NOT VALID")]
    return "\n".join(lines) + "\n"


def _stream_lines(stream: StreamFinding, word: Callable[[str], str]) -> list[str]:
    gaps = [gap for coverage in stream.coverage for gap in coverage.gaps]
    late = f", {word('late pairing')}" if stream.late else ""
    unexplained = stream.unexplained_ns // MILLISECOND_NS
    lines = [f"{word('stream')} {stream.stream}: {word('recorded')} {stream.percent:.2f} %, {word('unexplained')} {unexplained} ms{late}"]
    lines += [f"  {iso(gap.interval.start)} - {iso(gap.interval.end)}  {word('gaps')}: {gap.cause}" for gap in gaps]
    lines += [f"  {iso(part.start)} - {iso(part.end)}  {word('idle')}" for part in stream.idle]
    return lines


def _width(text: str) -> int:
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def read_trust(path: Path) -> Trust:
    """Read a trust file; raise StorageError or MalformedError."""
    try:
        with path.open("rb") as file:
            return Trust.parse(file.read(MAX_TRUST_BYTES + 1))
    except OSError as error:
        raise StorageError(f"cannot read the trust file: {error.strerror}", where=str(path)) from error


def parser() -> argparse.ArgumentParser:
    """Give the command line of `portwitness-verify`."""
    made = argparse.ArgumentParser(
        prog="portwitness-verify",
        description="Verify an exported evidence bundle offline, against trust that comes from outside it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle: a folder or a zip file")
    made.add_argument("--trust", type=Path, required=True, metavar="FILE", help="trust file (JSON) obtained from outside the bundle")
    made.add_argument("--clip", type=Path, metavar="FILE", help="judge this by the bundle's records: a remuxed segment, sub-clip or frame")
    made.add_argument("--proof", type=Path, metavar="FILE", help="the sample proof (.samples) of a sub-clip or single frame")
    made.add_argument("--derived", type=Path, metavar="FILE", help="judge this by the bundle's records: a redacted copy")
    c2pa = made.add_mutually_exclusive_group()
    told = "check C2PA manifests by hash alone, not by a C2PA validator"
    c2pa.add_argument("--without-c2pa", dest="c2pa", action="store_const", const="by hash", default="signed", help=told)
    told = "let the C2PA validator hash the boxes of each video by its own rule too: slower, and what any other validator does"
    c2pa.add_argument("--whole-c2pa", dest="c2pa", action="store_const", const="whole", help=told)
    made.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    made.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the table (default: en)")
    made.add_argument("--quiet", action="store_true", help="show no progress")
    return made


def run(arguments: Sequence[str] | None, out: TextIO, err: TextIO, hands: Callable[[], Executor] = threads) -> int:
    """Run the program with these streams; give the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["draw"]:
        return verify_draw.run(given[1:], out, err)
    made = parser()
    options = made.parse_args(given)
    if options.proof is not None and options.clip is None:
        made.error("--proof is of a clip: give --clip too")
    if options.clip is not None and options.derived is not None:
        made.error("give --clip or --derived, not both")

    def show(done: int, total: int) -> None:
        err.write(f"\r{100 * done // max(total, 1):3d} %  {done >> 20} of {total >> 20} MiB")
        if done >= total:
            err.write("\n")

    try:
        trust = read_trust(options.trust)
        found = look(options.bundle, trust, show if err.isatty() and not options.quiet else None, Way(hands, options.c2pa))
        if options.clip is not None:
            clip = judge_clip(options.clip, options.proof, found.wanted, found.report.segments, found.faults)
            out.write(_clip_json(clip) if options.json else clip_text(clip, chinese=options.lang == "zh"))
            return VALID if clip.fault is None else NOT_VALID
        if options.derived is not None:
            return _judge_derived(options, found, out)
        report = found.report
    except (StorageError, MalformedError) as error:
        return _refuse(error, out if options.json else err, as_json=options.json)
    if options.json:
        out.write(json.dumps(report_json(report), ensure_ascii=False) + "\n")
    else:
        out.write(report_text(report, chinese=options.lang == "zh"))
    return VALID if report.valid else NOT_VALID


def _judge_derived(options: argparse.Namespace, found: Look, out: TextIO) -> int:
    derived = judge_derived(options.derived, found.wanted, found.exhibits, found.faults)
    if options.json:
        out.write(json.dumps(derived_json(derived), ensure_ascii=False) + "\n")
    else:
        out.write(derived_text(derived, chinese=options.lang == "zh"))
    return VALID if derived.fault is None else NOT_VALID


def _refuse(error: PortwitnessError, out: TextIO, *, as_json: bool) -> int:
    if as_json:
        out.write(json.dumps({"valid": False, "unreadable": {"where": error.where, "what": error.what}}, ensure_ascii=False) + "\n")
    else:
        out.write(f"portwitness-verify: {error}\n")
    return UNREADABLE


def main() -> None:
    """Run `portwitness-verify`."""
    if sys.argv[1:2] == ["draw"]:
        gc.disable()  # it ends soon, and makes many small values that stay: collecting takes a quarter of its time
    sys.exit(run(None, sys.stdout, sys.stderr, processes))


if __name__ == "__main__":
    main()
