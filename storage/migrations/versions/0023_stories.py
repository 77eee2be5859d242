"""Find the hub's records by subject and seals by their place in the log, and keep what each hour of a stream comes to."""

from collections import defaultdict

import sqlalchemy as sa
from alembic import op

revision = "stories"
down_revision = "supervision"
branch_labels = None
depends_on = None

HOUR_NS = 3600 * 10**9
MOST_HOURS = 2400


def upgrade() -> None:
    """Add the indexes and the table, and fill it."""
    hub = sa.text("epoch = 0")
    op.create_index("records_subject", "records", ["subject", "position"], sqlite_where=hub, postgresql_where=hub)
    op.create_index("seals_logged", "seals", ["box", "epoch", "log_index"])
    op.create_table(
        "stream_hours",
        sa.Column("stream", sa.String(length=65), nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("recorded_ns", sa.BigInteger(), nullable=False),
        sa.Column("gap_ns", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "hour"),
        sqlite_with_rowid=False,
    )
    _fill()


def downgrade() -> None:
    """Remove them."""
    op.drop_table("stream_hours")
    op.drop_index("seals_logged", "seals")
    op.drop_index("records_subject", "records")


def _fill() -> None:
    connection = op.get_bind()
    sums: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for at, table in enumerate(("segments", "gaps")):
        for stream, start, end in connection.execute(sa.text(f"SELECT stream, wall_from, wall_to FROM {table}")):  # noqa: S608
            sums[stream, start // HOUR_NS][2] += 1
            for hour in range(start // HOUR_NS, min(end // HOUR_NS, start // HOUR_NS + MOST_HOURS) + 1):
                length = min(end, (hour + 1) * HOUR_NS) - max(start, hour * HOUR_NS)
                if length > 0:
                    sums[stream, hour][at] += length
    insert = sa.text("INSERT INTO stream_hours (stream, hour, recorded_ns, gap_ns, pieces) VALUES (:s, :h, :r, :g, :p)")
    for (stream, hour), (recorded, gap, pieces) in sums.items():
        connection.execute(insert, {"s": stream, "h": hour, "r": recorded, "g": gap, "p": pieces})
