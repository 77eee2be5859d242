"""Keep declarations: the sheets that records bind, every act and step, and where each declaration stands."""

import sqlalchemy as sa
from alembic import op

revision = "declarations"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "sheets",
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("commitment"),
    )
    op.create_table(
        "declaration_steps",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("act", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("authority", sa.String(length=40), nullable=True),
        sa.Column("rule", sa.String(length=80), nullable=True),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("declaration_steps_declaration", "declaration_steps", ["declaration", "position"])
    op.create_table(
        "standings",
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("holds", sa.Text(), nullable=False),
        sa.Column("lodged_ns", sa.BigInteger(), nullable=False),
        sa.Column("changed_ns", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("declaration"),
    )
    op.create_index("standings_state", "standings", ["state", "lodged_ns"])
    op.create_index("standings_lodged", "standings", ["lodged_ns"])
    op.create_table(
        "declarants",
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("enterprise", sa.String(length=40), nullable=False),
        sa.Column("reference", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("declaration"),
    )
    op.create_index("declarants_reference", "declarants", ["enterprise", "reference"], unique=True)


def downgrade() -> None:
    """Remove them."""
    for table in ("declarants", "standings", "declaration_steps", "sheets"):
        op.drop_table(table)
