"""Keep bodies of concealed records beside the log, and what became of them."""

import sqlalchemy as sa
from alembic import op

revision = "concealed"
down_revision = "custody"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "openings",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("opening", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "concealed",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("of", sa.String(length=24), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("disposal", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("concealed_kept", "concealed", ["disposal", "wall_ns"])
    op.create_index("concealed_subject", "concealed", ["subject", "wall_ns"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("concealed")
    op.drop_table("openings")
