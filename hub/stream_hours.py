"""Keep what the segments and gaps of each stream come to in each hour, so that weeks can be shown at once.

Guarantees: sums of what records say, whatever the order in which they come; each record is added once, with its own row.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from protocol.instants import SECOND_NS
from storage.database import add_up
from storage.schema import gaps, segments, stream_hours

HOUR_NS = 3600 * SECOND_NS
MOST_HOURS = 2400  # a gap is not laid out further than this
Row = dict[str, Any]


def project_hours(connection: Connection, rows: Mapping[Table, Sequence[Row]]) -> None:
    """Add what came to the hours of its streams: long stretches of time are shown by these."""
    sums: defaultdict[tuple[str, int], Row] = defaultdict(lambda: {"recorded_ns": 0, "gap_ns": 0, "pieces": 0})
    for table, name in ((segments, "recorded_ns"), (gaps, "gap_ns")):
        for row in rows.get(table, ()):
            sums[row["stream"], row["wall_from"] // HOUR_NS]["pieces"] += 1
            for hour, length in hours_of(row["wall_from"], row["wall_to"]):
                sums[row["stream"], hour][name] += length
    if sums:
        found = [{"stream": stream, "hour": hour, **counts} for (stream, hour), counts in sorted(sums.items())]
        add_up(connection, stream_hours, found)


def hours_of(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Give the hours (since 1970) that a stretch touches with its length in each; of more than 100 days only those."""
    first = start // HOUR_NS
    for hour in range(first, min(end // HOUR_NS, first + MOST_HOURS) + 1):
        length = min(end, (hour + 1) * HOUR_NS) - max(start, hour * HOUR_NS)
        if length > 0:
            yield hour, length
