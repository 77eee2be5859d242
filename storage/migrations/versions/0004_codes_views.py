"""Make the table of pairing codes, and the index by which views without an end are found."""

import sqlalchemy as sa
from alembic import op

revision = "codes"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "pairing_codes",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("views_view", "views", ["view", "state"])


def downgrade() -> None:
    """Remove them."""
    op.drop_index("views_view", "views")
    op.drop_table("pairing_codes")
