"""Bind traders and partners to the enterprise or partner that they act for."""

import sqlalchemy as sa
from alembic import op

revision = "people_party"
down_revision = "people"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: nobody who is known so far acts for another."""
    op.add_column("people", sa.Column("party", sa.String(length=64)))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("people", "party")
