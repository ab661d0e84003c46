"""How often a job was asked for: one that somebody asked for again goes on, and no other."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the count; jobs of before were asked for once."""
    op.add_column("job", sa.Column("asked", sa.Integer, nullable=False, server_default="1"))
