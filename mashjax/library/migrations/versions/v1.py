"""The first library."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "settings",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "songs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.Text, nullable=False, index=True),
        sa.Column("sha256", sa.Text, nullable=False, unique=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("added", sa.Double, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("sample_rate", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("beats_per_bar", sa.Integer, nullable=False),
        sa.Column("tonic", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("key_confidence", sa.Double, nullable=False),
        sa.Column("tempo_bpm", sa.Double),
        sa.Column("doubts", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "song_id",
            sa.Integer,
            sa.ForeignKey("songs.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("start", sa.Double, nullable=False),
        sa.Column("end", sa.Double, nullable=False),
        sa.Column("bars", sa.Integer, nullable=False),
        sa.Column("beats_per_bar", sa.Integer, nullable=False),
        sa.Column("tempo_bpm", sa.Double, nullable=False),
        sa.Column("tonic", sa.Integer, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("key_confidence", sa.Double, nullable=False),
        sa.Column("tuning_cents", sa.Double, nullable=False),
        sa.Column("loudness_lufs", sa.Double, nullable=False),
        sa.Column("brightness_hz", sa.Double, nullable=False),
        sa.Column("voice", sa.Double, nullable=False),
        sa.Column("sketch", sa.LargeBinary, nullable=False),
        sa.Column("arrays", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_segments_rules",
        "segments",
        ["beats_per_bar", "tempo_bpm", "song_id", "mode", "tonic", "key_confidence"],
        postgresql_include=["id"],
    )
    op.create_table(
        "ratings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("query_sha256", sa.Text, nullable=False),
        sa.Column("query_start", sa.Double, nullable=False),
        sa.Column("query_end", sa.Double, nullable=False),
        sa.Column("partner_sha256", sa.Text, nullable=False),
        sa.Column("partner_start", sa.Double, nullable=False),
        sa.Column("partner_end", sa.Double, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
        sa.Column("rating", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "weights",
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("weights", sa.JSON, nullable=False),
        sa.Column("agreement", sa.JSON, nullable=False),
        sa.Column("in_use", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
