"""What instructors tell a course, and how far its e-mail came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table of announcements."""
    op.create_table(
        "announcement",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("withdrawn_at", _MOMENT, nullable=True),
        sa.Column("mail_to", sa.Integer, nullable=True),
        sa.Column("mail_sent", sa.Integer, nullable=False),
        sa.Column("mail_told", sa.Text, nullable=False),
        sa.Column("mail_ended_at", _MOMENT, nullable=True),
    )
    op.create_index("ix_announcement_course", "announcement", ["course"])
