"""The command `portwitness-sim day`: play a port's day in virtual time and print what came of it as one line of JSON.

Guarantees: the same seed and size print the same line; the exit code is 0 only when every invariant holds and nobody was surprised.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from protocol.errors import PortwitnessError
from simulators.port_day.day import DayPlan, play

EXAMPLE = """example:
  portwitness-sim day --seed 7
  portwitness-sim day --seed 7 --declarations 100 --state /tmp/day     keep the hub's state, for portwitness-hub fsck
"""
MEMORY = Path("/dev/shm")  # noqa: S108 - a day's state is thrown away: where there is a disk in memory, it goes there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `portwitness-sim day` understands."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    plan = DayPlan()
    parser.add_argument("--seed", type=int, default=1, help="same seed, same day (default 1)")
    parser.add_argument(
        "--declarations", type=int, default=plan.declarations, metavar="N", help=f"consignments (default {plan.declarations})"
    )
    parser.add_argument("--tricks", type=int, default=plan.tricks, help=f"terminal's messages of 100 that go wrong (default {plan.tricks})")
    parser.add_argument("--state", type=Path, metavar="DIR", help="an empty folder that keeps the day's state (default: thrown away)")


def run(args: argparse.Namespace) -> int:
    """Run `portwitness-sim day`; give the exit code."""
    plan = DayPlan(args.declarations, args.seed, tricks=args.tricks)
    try:
        if args.state is not None:
            args.state.mkdir(parents=True, exist_ok=True)
            return _play(args.state, plan)
        with tempfile.TemporaryDirectory(prefix="portwitness-day-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
            return _play(Path(folder), plan)
    except (PortwitnessError, OSError) as error:
        sys.stderr.write(f"portwitness-sim day: {error}\n")
        return 1


def _play(folder: Path, plan: DayPlan) -> int:
    summary = asyncio.run(play(folder, plan))
    sys.stdout.write(json.dumps(summary.value(), ensure_ascii=False) + "\n")
    return 0 if summary.is_well else 1
