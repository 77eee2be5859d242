"""Verify a published draw against trust from outside it: `portwitness-verify draw BUNDLE --trust FILE`.

Needs the bundle and a trust file, no network and none of our servers. Exit 0: the draw comes out alike; 1: it does not, and why;
2: unreadable input.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from protocol.drawing.judging import Judgement, judge
from protocol.drawing.policy import PARTS
from protocol.drawing.published import MAX_BYTES, DrawBundle
from protocol.errors import MalformedError, StorageError, VerificationError
from protocol.instants import iso
from protocol.trust import MAX_TRUST_BYTES, Trust

VALID, NOT_VALID, UNREADABLE = 0, 1, 2
MAX_SHOWN = 20
_EPILOG = """examples:
  portwitness-verify draw draw-000007.json --trust trust.json
  portwitness-verify draw draw-000007.json --trust trust.json --json | jq .selected
  portwitness-verify draw draw-000007.json --trust trust.json --lang zh --declaration D-20261124-0000017

exit status: 0 valid, 1 not valid (it says why), 2 unreadable input"""
_ZH = {
    "draw": "抽取",
    "closed": "抽取池关闭",
    "rules": "规则",
    "declarations": "报检单",
    "inspectors": "检务人员",
    "selected": "抽中",
    "seed": "种子",
    "answered": "已应答",
    "missing": "未应答",
    "none": "无",
    "fallen back: every declaration is selected": "按预定规则退回：全部抽中",
    "two-person acts": "双人变更",
    "excluded": "排除",
    "readmitted": "恢复",
    "refused": "检务人员回避",
    "overridden": "人工变更",
    "not checked": "未核验",
    "faults": "问题",
    "VALID": "有效",
    "NOT VALID": "无效",
    "national": "国家最低抽查率",
    "risk": "风险",
    "credit": "信用",
    "floor": "随机下限",
    "probability": "抽中概率",
    "rule": "按规则",
    "fall-back": "按预定规则退回",
    "not selected": "未抽中",
}


def parser() -> argparse.ArgumentParser:
    """Give the command line of `portwitness-verify draw`."""
    made = argparse.ArgumentParser(
        prog="portwitness-verify draw",
        description="Draw again from a published draw bundle, offline, and compare everything.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("bundle", type=Path, metavar="BUNDLE", help="the draw bundle: a JSON file")
    made.add_argument("--trust", type=Path, required=True, metavar="FILE", help="trust file (JSON) obtained from outside the bundle")
    made.add_argument("--declaration", metavar="NUMBER", help="show one declaration's probability with its parts")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    made.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the text (default: en)")
    return made


def run(arguments: Sequence[str] | None, out: TextIO, err: TextIO) -> int:
    """Run the command with these streams; give the exit status."""
    options = parser().parse_args(arguments)
    try:
        trust = Trust.parse(_read(options.trust, MAX_TRUST_BYTES))
        bundle = DrawBundle.parse(_read(options.bundle, MAX_BYTES))
    except (StorageError, MalformedError) as error:
        if options.json:
            unreadable = {"where": error.where, "what": error.what}
            out.write(json.dumps({"valid": False, "unreadable": unreadable}, ensure_ascii=False) + "\n")
        else:
            err.write(f"portwitness-verify draw: {error}\n")
        return UNREADABLE
    chinese = options.lang == "zh"
    try:
        found = judge(bundle, trust)
    except (VerificationError, MalformedError) as error:
        if options.json:
            out.write(json.dumps({"valid": False, "faults": [{"where": error.where, "what": error.what}]}, ensure_ascii=False) + "\n")
        else:
            out.write(f"{_word('faults', chinese)}:\n  {error}\n\n{_word('NOT VALID', chinese)}\n")
        return NOT_VALID
    if options.json:
        out.write(json.dumps(judgement_json(found, options.declaration), ensure_ascii=False) + "\n")
    else:
        out.write(judgement_text(found, options.declaration, chinese=chinese))
    return VALID


def judgement_json(found: Judgement, declaration: str | None = None) -> dict[str, Any]:
    """Give a judgement as plain values."""
    value: dict[str, Any] = {
        "valid": True,
        "number": found.number,
        "closed": iso(found.closed_ns),
        "rules": found.policy.rules,
        "declarations": len(found.pool.entries),
        "inspectors": len(found.pool.inspectors),
        "seed": found.seed.hex(),
        "answered": list(found.answered),
        "missing": list(found.missing),
        "fallen_back": found.fallen_back,
        "selected": {team.id: list(team.members) for team in found.final},
        "acts": [{"position": one.position, "act": one.act, **one.said} for one in found.acts],
        "checkpoint": {"size": found.checkpoint_size},
        "faults": [],
        "not_checked": list(found.unchecked),
    }
    if declaration is not None:
        value["declaration"] = _declaration(found, declaration)
    return value


def _declaration(found: Judgement, number: str) -> dict[str, Any] | None:
    for one in found.selection.drawn:
        if one.entry.id == number:
            return {"id": number, **one.parts._asdict(), "why": one.why}
    return None


def judgement_text(found: Judgement, declaration: str | None = None, *, chinese: bool) -> str:
    """Give a judgement as text."""

    def word(text: str) -> str:
        return _word(text, chinese)

    rows = [("draw", str(found.number)), ("closed", iso(found.closed_ns)), ("rules", found.policy.rules)]
    rows += [("declarations", str(len(found.pool.entries))), ("inspectors", str(len(found.pool.inspectors)))]
    rows += [("answered", ", ".join(found.answered)), ("missing", ", ".join(found.missing) or word("none")), ("seed", found.seed.hex())]
    lines = [f"{word(name)}: {text}" for name, text in rows]
    if found.fallen_back:
        lines.append(word("fallen back: every declaration is selected"))
    lines += ["", f"{word('selected')}: {len(found.final)}"]
    lines += [f"  {team.id}: {', '.join(team.members)}" for team in found.final[:MAX_SHOWN]]
    lines += ["  ..."] if len(found.final) > MAX_SHOWN else []
    if found.acts:
        lines += ["", f"{word('two-person acts')}:"]
        lines += [f"  {one.position} {word(one.act)}: {one.said['by']}, {one.said['second']}: {one.said['reason']}" for one in found.acts]
    if declaration is not None:
        lines += ["", *_parts_lines(found, declaration, chinese)]
    lines += ["", f"{word('not checked')}:", *(f"  {one}" for one in found.unchecked), "", word("VALID")]
    return "\n".join(lines) + "\n"


def _parts_lines(found: Judgement, number: str, chinese: bool) -> list[str]:
    shown = _declaration(found, number)
    if shown is None:
        return [f"{number}: {_word('none', chinese)}"]
    names = {"national": "national", "risk": "risk", "credit": "credit", "floor": "floor", "total": "probability"}
    lines = [f"{number}: {_word(shown['why'] or 'not selected', chinese)}"]
    return lines + [f"  {_word(text, chinese)}: {_percent(shown[name])}" for name, text in names.items()]


def _percent(parts: int) -> str:
    whole, rest = divmod(parts * 100, PARTS)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") + " %"


def _word(text: str, chinese: bool) -> str:
    return _ZH.get(text, text) if chinese else text


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise StorageError(f"cannot be read: {error.strerror}", where=str(path)) from error


def main() -> None:
    """Run the command by itself: `python -m storage.verify_draw`."""
    sys.exit(run(None, sys.stdout, sys.stderr))


if __name__ == "__main__":
    main()
