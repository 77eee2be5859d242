"""Take in what boxes recorded in 90 days without a hub: eight cameras, 6.2 million segments, a seal each ten seconds.

Journals are written by virtual clocks in slices, outside of the time that is measured; a real hub in this process takes each slice,
with its checkers on the other cores. The time runs while records are brought, to the last receipt: verified, durable, mirrored,
projected, and every seal a leaf of the published log. By default a part is measured and the rest is **extrapolated linearly**, which the
answer says (`is_extrapolated`); `rate_first` and `rate_last` show whether the rate falls as the tables grow. `--full` takes in all of it.
Heartbeats (7.8 million more in 90 days) are not among them.

    python -m benchmarks.reingest --json            python -m benchmarks.reingest --full
"""

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

from benchmarks.journals import DAY_NS, STEP_NS, bring, running_hub
from benchmarks.processes import note, scratch, usage

DAYS, CAMERAS = 90, 8
STEPS = DAYS * DAY_NS // STEP_NS
GOAL_MINUTES = 15.0
SLICE_STEPS = 1_000  # about 9 000 records, so that memory stays bounded
DEFAULT_RECORDS = 200_000


async def measure(records: int, boxes: int) -> dict[str, Any]:
    """Bring journals with about `records` segments; give what it took."""
    cameras = CAMERAS // boxes
    steps = min(STEPS, max(1, records // CAMERAS))
    load = os.getloadavg()[0]
    rates: list[tuple[int, float]] = []
    cpu_s = 0.0
    with scratch("reingest") as folder:
        async with running_hub(folder, boxes, DAYS) as (hub, writers):
            for writer in writers:
                writer.start(cameras)
            said = time.monotonic()
            for first in range(0, steps, SLICE_STEPS):
                for writer in writers:
                    for _ in range(min(SLICE_STEPS, steps - first)):
                        writer.step(cameras)
                count = sum(len(writer.records) for writer in writers)
                before = usage(os.getpid()).cpu_s
                rates.append((count, await bring(hub, writers)))
                cpu_s += usage(os.getpid()).cpu_s - before
                if time.monotonic() - said > 20:
                    said = time.monotonic()
                    note(f"{sum(one for one, _ in rates)} records, {rates[-1][0] / rates[-1][1]:.0f}/s")
            leaves = hub.log.published_size()
            size = (folder / "hub.db").stat().st_size
    return summary(
        rates, steps, {"leaves": leaves, "database_mb": round(size / 1e6, 1), "boxes": boxes, "load_before": round(load, 2)}, cpu_s
    )


def summary(rates: list[tuple[int, float]], steps: int, facts: dict[str, Any], cpu_s: float) -> dict[str, Any]:
    """Give rates, and the time for 90 days: measured, or extrapolated linearly."""
    count, seconds = sum(one for one, _ in rates), sum(took for _, took in rates)
    quarter = max(1, len(rates) // 4)
    minutes = seconds / 60 * STEPS / steps

    def rate(some: list[tuple[int, float]]) -> float:
        return round(sum(one for one, _ in some) / sum(took for _, took in some), 1)

    return {
        "benchmark": "reingest", "records": count, "segments": steps * CAMERAS, "seconds": round(seconds, 2), "per_second": rate(rates),
        "rate_first": rate(rates[:quarter]), "rate_last": rate(rates[-quarter:]), "cores": os.cpu_count(),
        "cores_used": round(cpu_s / seconds, 2), "cpu_us_per_record": round(cpu_s * 1e6 / count, 1),
        "virtual_days": round(steps * STEP_NS / DAY_NS, 2), "is_extrapolated": steps < STEPS,
        "minutes_for_90_days": round(minutes, 2), **facts, "ok": minutes <= GOAL_MINUTES,
    }  # fmt: skip


def main() -> int:
    """Measure; give 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0], epilog="example: python -m benchmarks.reingest --json")
    parser.add_argument("--records", type=int, default=DEFAULT_RECORDS, help="segments that are measured; the rest is extrapolated")
    parser.add_argument(
        "--full", action="store_true", help="all 6.2 million: nothing is extrapolated; needs about 8 GB of disk and an hour"
    )
    parser.add_argument("--boxes", type=int, choices=(1, 2, 4, 8), default=2, help="boxes that share the eight cameras")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    args = parser.parse_args()
    result = asyncio.run(measure(STEPS * CAMERAS if args.full else args.records, args.boxes))
    if not args.json:
        how = "extrapolated linearly from" if result["is_extrapolated"] else "measured over"
        print(f"90 days in {result['minutes_for_90_days']:.1f} min, {how} {result['records']} records at {result['per_second']:.0f}/s")
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
