"""Keep the newest checkpoint of each port, at a national hub."""

import sqlalchemy as sa
from alembic import op

revision = "port_heads"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "port_heads",
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("origin"),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("port_heads")
