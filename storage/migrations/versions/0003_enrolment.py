"""Make the tables of enrolment: tokens, requests, TLS certificates that count."""

import sqlalchemy as sa
from alembic import op

revision = "enrolment"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "enrolment_tokens",
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("box", sa.String(length=32), nullable=False),
        sa.Column("by", sa.String(length=40), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_table(
        "enrolment_requests",
        sa.Column("request", sa.String(length=32), nullable=False),
        sa.Column("box", sa.String(length=32), nullable=False),
        sa.Column("token", sa.LargeBinary(length=32), nullable=True),
        sa.Column("identity_csr", sa.LargeBinary(), nullable=True),
        sa.Column("tls_csr", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("at_ns", sa.BigInteger(), nullable=False),
        sa.Column("certificates", sa.LargeBinary(), nullable=True),
        sa.Column("by", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request"),
    )
    op.create_index("enrolment_requests_state", "enrolment_requests", ["state", "at_ns"])
    op.create_table(
        "tls_certificates",
        sa.Column("fingerprint", sa.LargeBinary(length=32), nullable=False),
        sa.Column("box", sa.String(length=32), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
        sa.Column("until_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.create_index("tls_certificates_box", "tls_certificates", ["box"])


def downgrade() -> None:
    """Remove them."""
    for name in ("tls_certificates", "enrolment_requests", "enrolment_tokens"):
        op.drop_table(name)
