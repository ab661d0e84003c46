"""When labs open and close, what lateness costs, attempts, what feedback reveals, and extensions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Releases of before are open, never cut off, free of deductions and reveal messages, as they did."""
    op.add_column("course", sa.Column("late_days", sa.Integer, nullable=False, server_default="0"))
    for column in (
        sa.Column("opens_at", _MOMENT, nullable=True),
        sa.Column("cutoff_at", _MOMENT, nullable=True),
        sa.Column("late_kind", sa.String(16), nullable=False, server_default="none"),
        sa.Column("late_percent", sa.Float, nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer, nullable=True),
        sa.Column("reveal", sa.String(16), nullable=False, server_default="messages"),
        sa.Column("source_sha256", sa.String(64), nullable=False, server_default=""),
    ):
        op.add_column("release", column)
    for table in ("report", "feedback"):
        op.add_column(table, sa.Column("late_penalty", sa.Float, nullable=False, server_default="0"))
    op.create_table(
        "extension",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("section", sa.String(64), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("cutoff_at", _MOMENT, nullable=True),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.UniqueConstraint("course", "lab", "username", "section"),
    )
