"""Courses that anybody may join, which lab a student started last, and whether feedback was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Courses there are stay closed, and feedback there is counts as not read."""
    op.add_column("course", sa.Column("open", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("feedback", sa.Column("read_at", _MOMENT, nullable=True))
    op.create_table(
        "last_start",
        sa.Column("username", sa.String(64), primary_key=True),
        sa.Column("course", sa.String(40), sa.ForeignKey("course.id"), primary_key=True),
        sa.Column("lab", sa.String(64), primary_key=True),
        sa.Column("at", _MOMENT, nullable=False),
    )
