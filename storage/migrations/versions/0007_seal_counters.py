"""Keep the usage of a journal's session, and the counter of its newest seal."""

import sqlalchemy as sa
from alembic import op

revision = "seal_counters"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("journals") as table:
        table.add_column(sa.Column("usage", sa.String(length=8), nullable=False, server_default="live"))
        table.add_column(sa.Column("counter", sa.BigInteger()))


def downgrade() -> None:
    """Remove them."""
    with op.batch_alter_table("journals") as table:
        table.drop_column("counter")
        table.drop_column("usage")
