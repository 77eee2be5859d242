"""Make the tables of earlier checkpoints, time-stamps and heads brought by hand."""

import sqlalchemy as sa
from alembic import op

revision = "times"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table(
        "time_tokens",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("authority", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "heads_seen",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("box", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("heads_seen_box", "heads_seen", ["box", "epoch"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("heads_seen_box", "heads_seen")
    for name in ("heads_seen", "time_tokens", "checkpoints"):
        op.drop_table(name)
