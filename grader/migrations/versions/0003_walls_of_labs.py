"""What the walls around a lab must allow: namespaces of its own, and time for slow cells."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add both; no lab released before could or needed it."""
    op.add_column("release", sa.Column("nested", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("release", sa.Column("cell_seconds", sa.Integer, nullable=False, server_default="0"))
