"""Add annotations, instructions and second looks, and find tasks by where their end stands in the log."""

import sqlalchemy as sa
from alembic import op

revision = "supervision"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and the index."""
    op.create_index("tasks_ended", "tasks", ["ended_at"])
    op.create_table(
        "annotations",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("stream", sa.String(length=65)),
        sa.Column("from_ns", sa.BigInteger(), nullable=False),
        sa.Column("to_ns", sa.BigInteger(), nullable=False),
        sa.Column("corrects", sa.BigInteger()),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("annotations_task", "annotations", ["task", "position"])
    op.create_table(
        "instructions",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("answers", sa.BigInteger()),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("instructions_task", "instructions", ["task", "position"])
    op.create_index("instructions_answers", "instructions", ["answers"])
    op.create_table(
        "second_rounds",
        sa.Column("draw", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("parts", sa.BigInteger(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("draw"),
    )
    op.create_table(
        "second_looks",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("drawn_at", sa.BigInteger(), nullable=False),
        sa.Column("drawn_ns", sa.BigInteger(), nullable=False),
        sa.Column("assigned_at", sa.BigInteger()),
        sa.Column("assigned_ns", sa.BigInteger()),
        sa.Column("assigned_sheet", sa.LargeBinary(length=32)),
        sa.Column("found_at", sa.BigInteger()),
        sa.Column("found_ns", sa.BigInteger()),
        sa.Column("found_sheet", sa.LargeBinary(length=32)),
        sa.Column("outcome", sa.String(length=12)),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_index("second_looks_open", "second_looks", ["found_at", "drawn_at"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("tasks_ended", "tasks")
    for name in ("annotations", "instructions", "second_rounds", "second_looks"):
        op.drop_table(name)
