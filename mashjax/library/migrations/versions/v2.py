"""Songs have a style, where a genre network is known."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.add_column("songs", sa.Column("style", sa.LargeBinary))
