"""Add tasks of inspections, keys of phones, signed acts, what systems tell, tickets."""

import sqlalchemy as sa
from alembic import op

revision = "fieldwork"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "inspection_tasks",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("procedure", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_index("inspection_tasks_declaration", "inspection_tasks", ["declaration", "position"])
    op.create_table(
        "device_keys",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("until_ns", sa.BigInteger()),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("device_keys_key", "device_keys", ["key", "position"])
    op.create_table(
        "work_acts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ahead_ms", sa.BigInteger()),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("work_acts_task", "work_acts", ["task", "position"])
    op.create_table(
        "system_notes",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("system_notes_declaration", "system_notes", ["declaration", "position"])
    op.create_table(
        "tickets",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=16), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=40), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("tickets_task", "tickets", ["task", "position"])
    op.create_table(
        "task_people",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("task", "person"),
    )
    op.create_index("task_people_person", "task_people", ["person"])
    op.create_table(
        "act_links",
        sa.Column("act", sa.LargeBinary(length=16), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("act"),
    )
    op.create_index("act_links_key", "act_links", ["key", "seq"])


def downgrade() -> None:
    """Remove them."""
    for name in ("inspection_tasks", "device_keys", "work_acts", "system_notes", "tickets", "task_people", "act_links"):
        op.drop_table(name)
