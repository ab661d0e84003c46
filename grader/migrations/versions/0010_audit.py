"""The audit log: who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from grader.models import UTCDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", UTCDateTime, nullable=False, index=True),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("what", sa.String(80), nullable=False),
        sa.Column("course", sa.String(40), nullable=True),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("detail", sa.String(500), nullable=False),
    )
    op.create_index("ix_audit_course", "audit", ["course", "id"])
    op.create_index("ix_audit_who", "audit", ["who", "id"])
    op.create_index("ix_audit_what", "audit", ["what", "id"])
