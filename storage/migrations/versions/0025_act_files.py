"""Add which files each signed act names, so that a photograph of another inspection is found."""

import sqlalchemy as sa
from alembic import op

revision = "act_files"
down_revision = "fieldwork"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "act_files",
        sa.Column("act", sa.LargeBinary(length=16), nullable=False),
        sa.Column("file", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("act", "file"),
    )
    op.create_index("act_files_file", "act_files", ["file"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("act_files")
