"""Add draws, their policies, what two persons changed of them, and the documents that these name."""

import sqlalchemy as sa
from alembic import op

revision = "draws"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "draws",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("closes_ns", sa.BigInteger(), nullable=False),
        sa.Column("policy", sa.LargeBinary(length=32), nullable=False),
        sa.Column("chain", sa.LargeBinary(length=32), nullable=False),
        sa.Column("called_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("closed_ns", sa.BigInteger()),
        sa.Column("root", sa.LargeBinary(length=32)),
        sa.Column("entries", sa.Integer()),
        sa.Column("inspectors", sa.Integer()),
        sa.Column("drawn_at", sa.BigInteger()),
        sa.Column("seed", sa.LargeBinary(length=32)),
        sa.Column("selected", sa.Integer()),
        sa.Column("result", sa.LargeBinary(length=32)),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "draw_policies",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("rules", sa.String(length=128), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "draw_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("draw_acts_subject", "draw_acts", ["subject", "position"])
    op.create_table(
        "draw_documents",
        sa.Column("name", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("draws", "draw_policies", "draw_acts", "draw_documents"):
        op.drop_table(name)
