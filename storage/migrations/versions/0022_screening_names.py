"""Add what screened declarations name, so that others can be compared with them."""

import sqlalchemy as sa
from alembic import op

revision = "screening_names"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "screening_names",
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("declaration", "kind", "name"),
    )
    op.create_index("screening_names_name", "screening_names", ["kind", "name"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("screening_names")
