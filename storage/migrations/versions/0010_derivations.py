"""Keep which files were derived from a task's segments."""

import sqlalchemy as sa
from alembic import op

revision = "derivations"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "derivations",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=128), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("derivations_task", "derivations", ["task", "position"])
    op.create_index("derivations_sha256", "derivations", ["sha256"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("derivations")
