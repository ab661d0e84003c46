"""Where students are in their labs, raised hands, and servers that are open for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the three tables."""
    op.create_table(
        "presence",
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), primary_key=True),
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("lab", sa.String(64), primary_key=True),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("exercise", sa.String(200), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("failing_since", _MOMENT, nullable=True),
        sa.Column("failing", sa.JSON(), nullable=False),
        sa.Column("solved", sa.JSON(), nullable=False),
    )
    op.create_index("ix_presence_recent", "presence", ["course", "seen_at"])
    op.create_table(
        "hand",
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), primary_key=True),
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("lab", sa.String(64), nullable=False),
        sa.Column("about", sa.String(300), nullable=False),
        sa.Column("raised_at", _MOMENT, nullable=False),
        sa.Column("seen_by", sa.String(64), nullable=False),
        sa.Column("lowered_at", _MOMENT, nullable=True),
        sa.Column("lowered_by", sa.String(64), nullable=False),
    )
    op.create_table(
        "open_server",
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("server", sa.String(64), primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), nullable=False),
        sa.Column("code", sa.String(200), nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("inside", sa.JSON(), nullable=False),
    )
