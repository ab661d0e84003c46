"""How much memory and how many cores a lab needs, where that is more than the site gives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add both; labs released before have what the site gives."""
    op.add_column("release", sa.Column("memory_mb", sa.Integer, nullable=False, server_default="0"))
    op.add_column("release", sa.Column("cpus", sa.Float, nullable=False, server_default="0"))
