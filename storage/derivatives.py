"""Judge a derived file against a bundle's records: which segments it was made of, and what was done to it.

Guarantees: it is never called an intact original; its parents are proven by their own records, its bytes by the hub's record; that the
areas named are the only ones destroyed, and that nothing else was changed, is said to be unproven, since only the parents show it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.derivation import Descent, judge_descent
from protocol.errors import StorageError, VerificationError
from protocol.examination import Exhibits, Fault
from protocol.instants import iso
from protocol.reckoning import Expectation

READ_BYTES = 1 << 20
NOT_CHECKED = (
    "that nothing but the areas was changed: the file was decoded and encoded anew; compare it with its parents, if you may see them",
    "that the areas hide all that they should",
)
_ZH = {
    "derived file": "派生文件（不是原始录像）",
    "made by": "制作",
    "from": "来源",
    "parents": "来源分段（已证实）",
    "box time": "盒内时间",
    "pixels": "像素",
    "changed by redaction": "已因遮盖而改变",
    "areas": "遮盖区域",
    "black": "涂黑",
    "blur": "模糊",
    "drawn": "人工绘制",
    "proposed": "建议并经人确认",
    "sound": "声音",
    "kept": "保留",
    "muted": "静音",
    "none": "无",
    "reason": "原因",
    "tools": "工具",
    "record": "记录",
    "port log": "港口日志",
    "faults": "问题",
    "not checked": "未核验",
    "DERIVED, PARENTS PROVEN": "派生文件，来源已证实",
    "NOT VALID": "无效",
}


@dataclass(frozen=True, slots=True)
class DerivedFinding:
    """The verdict on a derived file; `fault` names file and reason."""

    file: str
    fault: Fault | None
    descent: Descent | None = None


def judge_derived(file: Path, wanted: Expectation, exhibits: Exhibits, faults: Sequence[Fault]) -> DerivedFinding:
    """Judge a derived file; `faults` are those of the records, and spoil every proof. Raises StorageError when it cannot be read."""
    sha256, size = _hash(file)
    try:
        descent = judge_descent(sha256, size, exhibits.leaves, wanted.wanted.values())
    except VerificationError as error:
        return DerivedFinding(file.name, Fault(file.name, str(error)))
    return DerivedFinding(file.name, next(iter(faults), None), descent)


def _hash(path: Path) -> tuple[bytes, int]:
    counted, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while data := file.read(READ_BYTES):
                counted.update(data)
                size += len(data)
    except OSError as error:
        raise StorageError(error.strerror or "cannot be read", where=str(path)) from error
    return counted.digest(), size


def derived_json(found: DerivedFinding) -> dict[str, Any]:
    """Give the verdict as plain values; `original` is always false."""
    value: dict[str, Any] = {"file": found.file, "kind": "derived", "original": False, "valid": found.fault is None}
    value["faults"] = [] if found.fault is None else [{"file": found.fault.file, "what": found.fault.what}]
    if (descent := found.descent) is not None:
        body = descent.body
        value |= {
            "act": body.act,
            "pixels": "changed by redaction",
            "record": {"log_index": descent.index, "leaf": descent.record.leaf.hex(), "at": iso(descent.record.record.at.wall_ns)},
            "by": body.by,
            "stream": body.stream,
            "box_time": [iso(body.start_ns), iso(body.end_ns)],
            "parents": [
                {"segment": one.body.number, "sha256": one.body.sha256.hex(), "record": _place(descent, at)}
                for at, one in enumerate(descent.parents)
            ],
            "areas": [
                {"points": area.points, "until_ms": area.until, "way": area.way, "origin": area.origin, "by": area.by}
                for area in body.areas
            ],
            "sound": body.sound,
            "reason": body.reason,
            "tools": dict(body.tools),
        }
    return value | {"not_checked": list(NOT_CHECKED)}


def _place(descent: Descent, at: int) -> str:
    signed = descent.parents[at].signed.record
    return f"{signed.issuer}/{signed.epoch}/{signed.position}"


def derived_text(found: DerivedFinding, *, chinese: bool) -> str:
    """Give the verdict as text."""

    def word(text: str) -> str:
        return _ZH.get(text, text) if chinese else text

    lines = [f"{word('derived file')}: {found.file}"]
    if (descent := found.descent) is not None:
        body = descent.body
        lines.append(f"{word('from')}: {body.stream}, {word('box time')} {iso(body.start_ns)} - {iso(body.end_ns)}")
        lines.append(f"{word('parents')}:")
        for at, one in enumerate(descent.parents):
            lines.append(f"  {one.stream}/{one.body.number}  {word('record')} {_place(descent, at)}  SHA-256 {one.body.sha256.hex()}")
        lines.append(f"{word('made by')}: {body.by}, {iso(descent.record.record.at.wall_ns)}, {word('port log')} {descent.index}")
        lines += [f"{word('reason')}: {body.reason}"] if body.reason else []
        lines.append(f"{word('pixels')}: {word('changed by redaction')}; {word('sound')}: {word(body.sound)}")
        lines.append(f"{word('areas')}:")
        for area in body.areas:
            times = f"{area.points[0][0] / 1000:.3f} s - {area.until / 1000:.3f} s"
            box = " ".join(f"{edge / 100:.2f}%" for edge in area.points[0][1:])
            lines.append(f"  {times}  {box}  {word(area.way)}, {word(area.origin)} ({area.by}), {len(area.points)} x")
        lines.append(f"{word('tools')}: {', '.join(' '.join(one) for one in body.tools)}")
    if found.fault is not None:
        lines += ["", f"{word('faults')}:", f"  {found.fault.file}: {found.fault.what}"]
    verdict = "DERIVED, PARENTS PROVEN" if found.fault is None else "NOT VALID"
    lines += ["", f"{word('not checked')}:", *(f"  {one}" for one in NOT_CHECKED), "", word(verdict)]
    return "\n".join(lines) + "\n"
