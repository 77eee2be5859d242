"""Make the tables of retention: classes and holds, disposals, and retention's own time."""

import sqlalchemy as sa
from alembic import op

revision = "keeping"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "keepings",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("kept_as", sa.String(length=40)),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "disposals",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "retention_clock",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("mono_ns", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.String(length=40), nullable=False),
        sa.Column("day_ns", sa.BigInteger(), nullable=False),
        sa.Column("day_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("retention_clock", "disposals", "keepings"):
        op.drop_table(name)
