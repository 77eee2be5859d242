"""Run the benchmarks by name, or all of them: `python -m benchmarks [NAME] [--json]`."""

import argparse
import subprocess
import sys

NAMES = {
    "record": "many cameras against FFmpeg",
    "ingest": "blobs and records at a hub against bare loops",
    "log": "appends to the log against bare verification; one proof",
    "reingest": "ninety days of records that come at once",
    "samples": "sample trees and proofs against bare SHA-256",
    "verify": "portwitness-verify against OpenSSL",
    "draw": "a draw of 100 000 declarations x 1 000 inspectors, and its verification",
    "intake": "declarations at a hub against bare inserts of the same rows",
    "timeline": "thirty days of sixteen cameras, and a task's story among them",
    "edifact": "port messages with every count checked against pydifact",
    "live": "a hundred viewers against Janus",
    "page": "when pages are usable in Chromium at a mid phone profile",
    "canvas": "the first picture, and from camera to canvas in Chromium",
}


def main() -> int:
    """Run benchmarks one after the other; give 1 when one missed its goal."""
    listed = "\n".join(f"  {name:8} {text}" for name, text in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="./run bench",
        description="Measure speed and memory against other programs, in one run.\n\n" + listed,
        epilog="example: ./run bench ingest --json      further arguments go to the benchmark",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", choices=NAMES, help="which one (default: all, one after the other)")
    parser.add_argument("--json", action="store_true", help="print JSON objects only, one a line")
    args, rest = parser.parse_known_args()
    failed = []
    for name in [args.name] if args.name else NAMES:
        if not args.json:
            print(f"== {name}: {NAMES[name]}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--json"] if args.json else []), *rest]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    if failed and not args.json:
        print(f"goal not met: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
