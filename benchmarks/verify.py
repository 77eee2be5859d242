"""Verify a bundle: `portwitness-verify` against `openssl dgst -sha256` of the same bytes, warm, both free to use all cores.

A real port makes the bundle: two boxes, eight cameras at 8 Mbit/s, one task of a minute. `portwitness-verify` also checks every signature,
proof, gap, name and sample root, and has a C2PA validator judge each manifest; OpenSSL hashes only. `ratio` is the program as it is started
without an option; the others are without C2PA validator, and with one that hashes the boxes of each video too.

    python -m benchmarks.verify --json
"""

import argparse
import asyncio
import compileall
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import protocol
import storage
from benchmarks.processes import footage_cache, note, scratch
from simulators.port import Port, PortPlan
from simulators.rehearsal import Rehearsal, Script
from storage.clock import SystemClock

GOAL = 0.5


async def make_bundle(folder: Path, seconds: float) -> tuple[Path, Path]:
    """Let a port record and export; give the unpacked bundle and the trust file."""
    plan = PortPlan(folder, "https", footage_folder=footage_cache(), cameras_per_box=4, kbit=8000)
    async with Port(plan, say=note) as port:
        rehearsal = Rehearsal(port, Script(seconds=seconds, victims=(), watches=False), note, SystemClock())
        findings = await rehearsal.run()
        if not findings.is_well:
            raise SystemExit(f"the rehearsal did not go well: {findings.faults}")
        [bundle] = [path for path in (folder / "bundle").iterdir() if path.is_dir()]
        return bundle, port.trust


def timed(*command: str) -> float:
    """Run a command three times; give the best time."""
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        best = min(best, time.monotonic() - began)
    return best


def compare(bundle: Path, trust: Path) -> dict[str, Any]:
    """Time both over the same files; our modules are compiled before, as an installer leaves them."""
    for room in (protocol, storage):
        compileall.compile_dir(str(Path(room.__path__[0])), quiet=1)
    files = [str(path) for path in bundle.rglob("*") if path.is_file()]
    size = sum(Path(name).stat().st_size for name in files)
    theirs = timed("openssl", "dgst", "-sha256", *files)
    program = (sys.executable, "-m", "storage.verify", str(bundle), "--trust", str(trust))
    ours, without, whole = timed(*program), timed(*program, "--without-c2pa"), timed(*program, "--whole-c2pa")
    ratio = round(theirs / ours, 3)
    return {
        "benchmark": "verify", "mb": round(size / 1e6, 1), "files": len(files), "verify_mb_s": round(size / 1e6 / ours, 1),
        "openssl_mb_s": round(size / 1e6 / theirs, 1), "ratio": ratio,
        "ratio_without_c2pa": round(theirs / without, 3), "ratio_whole_c2pa": round(theirs / whole, 3), "ok": ratio >= GOAL,
    }  # fmt: skip


def main() -> int:
    """Make a bundle and measure, or measure a bundle that is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.verify --json")
    parser.add_argument("--bundle", type=Path, help="an unpacked bundle (default: one is made)")
    parser.add_argument("--trust", type=Path, help="its trust file")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the task that is made")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    if args.bundle:
        result = compare(args.bundle, args.trust)
    else:
        with scratch("verify") as folder:
            result = compare(*asyncio.run(make_bundle(folder, args.seconds)))
    if not args.json:
        print(f"{result['mb']} MB in {result['files']} files: {result['verify_mb_s']} MB/s, openssl {result['openssl_mb_s']} MB/s")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
