"""Add the managed reference data: every version of each entry."""

import sqlalchemy as sa
from alembic import op

revision = "reference_entries"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reference_entries",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("reference_entries_key", "reference_entries", ["category", "key", "version"], unique=True)
    op.create_index("reference_entries_newest", "reference_entries", ["category", "newest", "key"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("reference_entries")
