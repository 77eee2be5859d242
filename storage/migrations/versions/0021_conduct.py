"""Add what is on record of enterprises, appeals, rule sets, and samples with their acts."""

import sqlalchemy as sa
from alembic import op

revision = "conduct"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "credit_events",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("enterprise", sa.String(length=64), nullable=False),
        sa.Column("item", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("expires", sa.String(length=10)),
        sa.Column("points", sa.Integer()),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(length=80)),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("credit_events_enterprise", "credit_events", ["enterprise", "position"])
    op.create_table(
        "credit_appeals",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.Column("enterprise", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("credit_appeals_event", "credit_appeals", ["event", "position"])
    op.create_index("credit_appeals_enterprise", "credit_appeals", ["enterprise", "position"])
    op.create_index("credit_appeals_act", "credit_appeals", ["act", "position"])
    op.create_table(
        "rule_sets",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("family", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective", sa.String(length=10), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("rule_sets_key", "rule_sets", ["family", "key", "version"], unique=True)
    op.create_table(
        "sample_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sample", sa.String(length=80), nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("sample_acts_sample", "sample_acts", ["sample", "position"])
    op.create_table(
        "samples",
        sa.Column("sample", sa.String(length=80), nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("laboratory", sa.String(length=64)),
        sa.Column("sound", sa.Boolean()),
        sa.Column("verdict", sa.String(length=8)),
        sa.Column("report", sa.LargeBinary(length=32)),
        sa.Column("drawn_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sample"),
    )
    op.create_index("samples_declaration", "samples", ["declaration", "sample"])
    op.create_index("samples_drawn", "samples", ["drawn_ns"])
    op.create_index("samples_laboratory", "samples", ["laboratory", "drawn_ns"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("samples")
    op.drop_table("sample_acts")
    op.drop_table("rule_sets")
    op.drop_table("credit_appeals")
    op.drop_table("credit_events")
