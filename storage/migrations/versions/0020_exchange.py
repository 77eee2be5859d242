"""Add messages with the port, what they told, evaluations and releases."""

import sqlalchemy as sa
from alembic import op

revision = "exchange"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "exchange_messages",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("way", sa.String(length=3), nullable=False),
        sa.Column("partner", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("form", sa.String(length=8), nullable=False),
        sa.Column("about", sa.String(length=80), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cause", sa.BigInteger(), nullable=True),
        sa.Column("declaration", sa.String(length=64), nullable=True),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.Column("done_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("exchange_messages_cause", "exchange_messages", ["cause"])
    op.create_index("exchange_messages_declaration", "exchange_messages", ["declaration", "position"])
    op.create_index("exchange_messages_number", "exchange_messages", ["partner", "way", "number"], unique=True)
    op.create_index("exchange_messages_sha256", "exchange_messages", ["sha256"])
    op.create_index("exchange_messages_state", "exchange_messages", ["state", "partner", "number"])
    op.create_table(
        "exchange_units",
        sa.Column("partner", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=256), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "reference"),
    )
    op.create_table(
        "port_events",
        sa.Column("message", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("container", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=True),
        sa.Column("place", sa.String(length=64), nullable=True),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message", "number"),
    )
    op.create_index("port_events_container", "port_events", ["container", "event"])
    op.create_index("port_events_declaration", "port_events", ["declaration", "event"])
    op.create_index("port_events_outcome", "port_events", ["outcome", "position"])
    op.create_table(
        "exchange_bodies",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_ns", sa.BigInteger(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_table(
        "declared_boxes",
        sa.Column("container", sa.String(length=16), nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("container", "declaration"),
    )
    op.create_index("declared_boxes_declaration", "declared_boxes", ["declaration"])
    op.create_index("declared_boxes_position", "declared_boxes", ["position"])
    op.create_table(
        "evaluations",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=12), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("evaluations_declaration", "evaluations", ["declaration", "position"])
    op.create_table(
        "releases",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("declaration", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=12), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.String(length=80), nullable=True),
        sa.Column("sheet", sa.LargeBinary(length=32), nullable=False),
        sa.Column("wall_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index("releases_act", "releases", ["act", "position"])
    op.create_index("releases_declaration", "releases", ["declaration", "position"])
    op.create_table(
        "evidence_lists",
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("root"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("evidence_lists")
    op.drop_table("releases")
    op.drop_table("evaluations")
    op.drop_table("declared_boxes")
    op.drop_table("delivery_attempts")
    op.drop_table("exchange_bodies")
    op.drop_table("port_events")
    op.drop_table("exchange_units")
    op.drop_table("exchange_messages")
