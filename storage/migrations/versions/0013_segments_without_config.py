"""Drop the hash of a segment's initialisation part: records no longer repeat it, and nothing asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "segments_without_config"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Remove the column."""
    op.drop_column("segments", "config")


def downgrade() -> None:
    """Add it again, empty: the records that name it are kept."""
    op.add_column("segments", sa.Column("config", sa.LargeBinary(length=32), nullable=False, server_default=sa.text("''")))
