"""Lay out thirty days of sixteen cameras: the whole at once by spans of hours, half an hour piece by piece, and a task's whole story.

A hub's database in SQLite on this disk holds segments of 10 s, their blobs' states and a seal every 10 s for each of two boxes: 4.1
million segments, and beside it one with a tenth of that history. What is timed is all that the route does below the network: the queries
in one read transaction, the shaping and the JSON. Wall time, the median of the rounds, with the processor time beside it; the same half
hour is asked of both databases.

    python -m benchmarks.timeline --json
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from benchmarks.processes import note, scratch
from hub.inspection.story.moments import AsOf
from hub.inspection.story.stories import of_task
from hub.timeline import Wish, timeline
from protocol.instants import SECOND_NS
from storage.database import Database, insert_many
from storage.schema import blobs, recordings, seals, segments, stream_hours, streams, tasks, views
from web.api_story import shape_story
from web.timeline_json import timeline_json

CAMERAS, BOXES, DAYS = 16, 2, 30
SEGMENT_S, SEAL_S, DAY_S = 10, 10, 86_400
START_NS = 1_795_000_000 // 3600 * 3600 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
GOAL_MS, FLAT = 50.0, 1.5
ROUNDS, AT_ONCE = 15, 50_000
WHOLE, PART = "T-whole", "T-part"
Rows = Iterator[tuple[Any, ...]]


def names() -> list[str]:
    """Give the streams."""
    return [f"box-{at % BOXES + 1}/cam-{at + 1}" for at in range(CAMERAS)]


def _segments(days: int) -> Rows:
    for at, stream in enumerate(names()):
        box = stream.split("/", maxsplit=1)[0]
        for number in range(days * DAY_S // SEGMENT_S):
            start = START_NS + number * SEGMENT_S * SECOND_NS
            name = at.to_bytes(4, "big") + number.to_bytes(28, "big")
            place = (box, 1, number * CAMERAS + at)
            yield (*place, stream, number, name, 5_000_000, start, start + SEGMENT_S * SECOND_NS, 0, number * 900_000, 250, "live", None)


def _blobs(days: int) -> Rows:
    for at in range(CAMERAS):
        for number in range(days * DAY_S // SEGMENT_S):
            yield at.to_bytes(4, "big") + number.to_bytes(28, "big"), 5_000_000, f"box-{at % BOXES + 1}", "stored", START_NS, True


def _seals(days: int) -> Rows:
    for box in range(BOXES):
        for number in range(days * DAY_S // SEAL_S):
            position = (number + 1) * CAMERAS
            yield f"box-{box + 1}", 1, position, position - CAMERAS, b"", number * BOXES + box, True


def _hours(days: int) -> Rows:
    for stream in names():
        for hour in range(days * 24):
            yield stream, START_NS // HOUR_NS + hour, HOUR_NS, 0, 3600 // SEGMENT_S


def fill(database: Database, days: int) -> None:
    """Put a history into a database."""
    end = START_NS + days * DAY_S * SECOND_NS
    for table, columns, rows in (
        (segments, [column.name for column in segments.columns], _segments(days)),
        (blobs, [column.name for column in blobs.columns], _blobs(days)),
        (seals, [column.name for column in seals.columns], _seals(days)),
        (stream_hours, [column.name for column in stream_hours.columns], _hours(days)),
    ):
        note(f"  {days} days of {table.name}")
        while some := list(islice(rows, AT_ONCE)):
            database.write_now(partial(insert_many, table=table, names=columns, rows=some))

    def rest(connection: Any) -> None:  # noqa: ANN401 - a connection
        for at, stream in enumerate(names()):
            box = stream.split("/", maxsplit=1)[0]
            row = {"stream": stream, "box": box, "origin": "rtsp", "last_number": days * 8640, "longest_gap_ns": 0}
            connection.execute(insert(streams), [row | {"longest_segment_ns": SEGMENT_S * SECOND_NS}])
            begun = {
                "box": box,
                "epoch": 1,
                "position": 10**9 + at,
                "stream": stream,
                "state": "started",
                "cause": "start",
                "origin": "rtsp",
            }
            connection.execute(insert(recordings), [begun | {"wall_ns": START_NS}])
        for name, start in ((WHOLE, START_NS), (PART, end - HOUR_NS // 2)):
            facts = {"task": name, "state": "ended", "title": name, "site": "s", "by": "chen.min", "opened_ns": start, "ended_ns": end}
            lists = {"inspectors": "[]", "cameras": json.dumps(names()), "facts": "[]", "opened_at": 0, "ended_at": 1}
            connection.execute(insert(tasks), [facts | lists])
        viewed = [_view(number, start_ns) for number, start_ns in enumerate(range(START_NS, end, 60 * SECOND_NS))]
        connection.execute(insert(views), [one for pair in viewed for one in pair])
        if connection.dialect.name == "sqlite":
            connection.execute(text("ANALYZE"))

    database.write_now(rest)


def _view(number: int, at_ns: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the two rows of a live view of half a minute: one begins each minute, on one camera after the other."""
    row = {"view": f"v{number}", "viewer": "chen.min", "way": "live", "subject": names()[number % CAMERAS]}
    started = {"position": 2 * number, "state": "started", "wall_ns": at_ns, **row}
    return started, {"position": 2 * number + 1, "state": "ended", "wall_ns": at_ns + 30 * SECOND_NS, **row}


def lanes(database: Database, task: str, now_ns: int) -> tuple[int, str]:
    """Lay a task out as the route does; give the pieces or hours shown, and how detailed it is."""
    line = database.read_now(lambda connection: timeline(connection, task, now_ns, Wish()))
    timeline_json(line)
    return sum(len(lane.segments) + len(lane.spans) for lane in line.lanes), line.detail


def story(database: Database, task: str, now_ns: int) -> tuple[int, str]:
    """Tell a task's story as the route does; give its entries."""
    moment = AsOf(10**9, now_ns, None, is_now=True)
    found = database.read_now(lambda connection: of_task(connection, "hub:hub-1", task, moment))
    shape_story(found, {}).model_dump_json()
    return len(found.entries), "story"


def timed(act: Callable[[], tuple[int, str]]) -> tuple[float, float, int, str]:
    """Give the median of wall time and of processor time in ms, and what was shown."""
    act()
    spent, used = [], []
    for _ in range(ROUNDS):
        began, busy = time.perf_counter(), time.process_time()
        count, detail = act()
        spent.append((time.perf_counter() - began) * 1e3)
        used.append((time.process_time() - busy) * 1e3)
    return statistics.median(spent), statistics.median(used), count, detail


def measure(folder: Path, days: int) -> dict[str, Any]:
    """Fill a database and time what is asked of it."""
    database = Database(f"sqlite:///{folder}/{days}.db")
    database.open()
    try:
        fill(database, days)
        now_ns = START_NS + days * DAY_S * SECOND_NS + SECOND_NS
        found: dict[str, Any] = {}
        for name, act in (
            ("whole", lambda: lanes(database, WHOLE, now_ns)),
            ("part", lambda: lanes(database, PART, now_ns)),
            ("story", lambda: story(database, PART, now_ns)),
        ):
            ms, cpu, count, detail = timed(act)
            found |= {f"{name}_ms": round(ms, 1), f"{name}_cpu_ms": round(cpu, 1), f"{name}_count": count, f"{name}_detail": detail}
        return found
    finally:
        database.close()


def main() -> int:
    """Measure; give 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeline", description="Lay out thirty days of sixteen cameras.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--days", type=int, default=DAYS, help="of history (default: %(default)s)")
    args = parser.parse_args()
    with scratch("timeline") as folder:
        small, large = measure(folder, max(1, args.days // 10)), measure(folder, args.days)
    flat = {f"{name}_flat": round(large[f"{name}_cpu_ms"] / max(small[f"{name}_cpu_ms"], 0.1), 2) for name in ("part", "story")}
    held = large["whole_ms"] <= GOAL_MS and large["part_ms"] <= GOAL_MS and max(flat.values()) <= FLAT
    pieces = args.days * CAMERAS * DAY_S // SEGMENT_S
    answer = {"days": args.days, "cameras": CAMERAS, "segments": pieces, **large, **flat, "goal_ms": GOAL_MS}
    if args.json:
        print(json.dumps(answer | {"held": held}))
    else:
        tenth = "x of a tenth of the history"
        print(f"{args.days} days x {CAMERAS} cameras, {pieces} segments (goal {GOAL_MS:.0f} ms, {FLAT} x):")
        whole = f"{large['whole_ms']} ms ({large['whole_cpu_ms']} of the processor)"
        print(f"  the whole, {large['whole_count']} {large['whole_detail']}: {whole}")
        part = f"{large['part_ms']} ms ({large['part_cpu_ms']})"
        print(f"  half an hour, {large['part_count']} {large['part_detail']}: {part}, {flat['part_flat']} {tenth}")
        print(f"  its story, {large['story_count']} entries: {large['story_ms']} ms, {flat['story_flat']} {tenth}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
