"""Add what was done with operating procedures and targeting rules, and the procedures themselves."""

import sqlalchemy as sa
from alembic import op

revision = "procedures_rules"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "procedure_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("effective", sa.String(length=10), nullable=False),
        sa.Column("until", sa.String(length=10)),
        sa.Column("rule", sa.String(length=80)),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("procedure_acts_key", "procedure_acts", ["key", "version"])
    op.create_index("procedure_acts_sha256", "procedure_acts", ["sha256"])
    op.create_table(
        "procedure_documents",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "rule_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("rule_acts_key", "rule_acts", ["key", "version"])


def downgrade() -> None:
    """Remove them."""
    for name in ("procedure_acts", "procedure_documents", "rule_acts"):
        op.drop_table(name)
