"""Find exports of a task, and what was said of its keeping, without reading the whole log."""

import sqlalchemy as sa
from alembic import op

revision = "custody"
down_revision = "0001"
branch_labels = None
depends_on = None

KINDS = sa.text("kind IN ('export', 'keeping')")


def upgrade() -> None:
    """Add the index."""
    op.create_index("records_custody", "records", ["subject"], sqlite_where=KINDS, postgresql_where=KINDS)


def downgrade() -> None:
    """Remove it."""
    op.drop_index("records_custody", "records")
