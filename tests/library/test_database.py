import contextlib
import dataclasses
import os
import pathlib
import signal
import sqlite3
import subprocess
import sys
import tempfile

import alembic.autogenerate
import alembic.migration
import numpy as np
import pytest
import sqlalchemy as sa

from mashjax.errors import UserError
from mashjax.library import database, tables
from mashjax.library.database import VERSION_TABLE, open_library
from mashjax.library.segments import SCALARS


def opened(where, **options):
    return contextlib.closing(open_library(where, **options))


def set_setting(library, name, value):
    with library.writing() as connection:
        connection.execute(sa.insert(tables.SETTINGS), {"name": name, "value": value})


def settings(library) -> dict[str, str]:
    with library.reading() as connection:
        return {row.name: row.value for row in connection.execute(sa.select(tables.SETTINGS))}


def set_version(library, version):
    with library.writing() as connection:
        connection.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'"))


def test_a_library_keeps_what_is_committed_and_nothing_else(where):
    with opened(where, create=True) as library:
        set_setting(library, "folder", "/music")
        with pytest.raises(KeyError), library.writing() as connection:
            connection.execute(sa.delete(tables.SETTINGS))
            raise KeyError
    with opened(where) as library:
        assert settings(library) == {"folder": "/music"}


def test_migrations_make_the_tables_that_the_code_knows(where):
    with opened(where, create=True) as library, library.reading() as connection:
        context = alembic.migration.MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        assert alembic.autogenerate.compare_metadata(context, tables.METADATA) == []


def test_a_newer_library_is_refused_and_left_alone(where):
    with opened(where, create=True) as library:
        set_version(library, "99")
    with pytest.raises(UserError, match=r"made by a newer mashjax.*99"):
        open_library(where, create=True)


def test_an_older_library_is_migrated_in_one_piece_after_saying_so(where, tmp_path, monkeypatch):
    """With a third version, which fails at its end at first."""
    with opened(where, create=True) as library:
        set_setting(library, "folder", "/music")
    newer = tmp_path / "migrations"
    (newer / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/v1.py", "versions/v2.py"):
        (newer / name).write_text((database._MIGRATIONS / name).read_text())
    script = (
        "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '3', '2'\n"
        "def upgrade():\n"
        "    op.add_column('settings', sa.Column('more', sa.Text))\n"
        "    op.create_table('extra', sa.Column('id', sa.Integer, primary_key=True))\n"
    )
    monkeypatch.setattr(database, "_MIGRATIONS", newer)
    (newer / "versions/v3.py").write_text(script + "    raise KeyError\n")
    with pytest.raises(KeyError):
        open_library(where)
    (newer / "versions/v3.py").write_text(script)
    said = []
    with opened(where, say=said.append) as library, library.reading() as connection:
        assert sa.inspect(connection).has_table("extra")
        assert connection.scalar(sa.text("SELECT more FROM settings")) is None
    assert len(said) == 1 and "from library version 2 to 3" in said[0]
    with opened(where, say=said.append) as library:
        assert settings(library) == {"folder": "/music"}
    assert len(said) == 1


def test_another_programs_database_is_refused_and_left_alone(where):
    with opened(where, create=True) as library:
        with library.writing() as connection:
            tables.METADATA.drop_all(connection)
            connection.execute(sa.text(f"DROP TABLE {VERSION_TABLE}"))
            connection.execute(sa.text("CREATE TABLE bills (id INTEGER)"))
        with pytest.raises(UserError, match=r"another program's database.*'bills'"):
            open_library(where, create=True)
        with library.reading() as connection:
            assert sa.inspect(connection).get_table_names() == ["bills"]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("absent.library", "absent.library: there is no library yet.*match index FOLDER"),
        (".", "is a folder"),
        ("no/folder/x.library", "the folder no/folder does not exist"),
        ("notes.txt", "notes.txt: is not a library"),
        ("empty", "there is no library in it yet"),
        ("mysql://localhost/x", "mysql:// is not supported"),
        ("postgresql://localhost:port/x", "not an address"),
        ("postgresql://nobody:secret@127.0.0.1:9/x", r"nobody:\*\*\*@127.0.0.1:9/x: .*refused"),
    ],
)
def test_what_is_no_library_is_said_in_one_line(where, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("not a database, but some lines of text\n" * 100)
    (tmp_path / "empty").touch()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=says) as error:
        open_library(where, create=where.startswith("no/"))
    assert "\n" not in str(error.value) and "secret" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_vanishes_is_noticed_and_not_made_again(tmp_path):
    path = tmp_path / "x.library"
    with opened(path, create=True) as library:
        path.unlink()
        for transaction in (library.reading, library.writing):
            with pytest.raises(UserError, match="cannot be opened; was it moved or removed"):
                transaction().__enter__()
        assert not path.exists()
        sqlite3.connect(path).close()
        path.touch()
        with pytest.raises(UserError, match="has lost its tables"):
            settings(library)


def test_a_read_only_library_is_read_and_not_written():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = pathlib.Path(name)
        user = os.geteuid()
        with opened(folder / "x.library", create=True) as library:
            set_setting(library, "folder", "/music")
            (folder / "x.library").chmod(0o444)
            folder.chmod(0o555)
            if user == 0:
                os.seteuid(65534)  # permissions are no matter to root
            try:  # each transaction opens the file again
                assert settings(library) == {"folder": "/music"}
                with pytest.raises(UserError, match="is read-only"):
                    set_setting(library, "more", "x")
                with pytest.raises(UserError, match="lock: cannot be written"):
                    library.holding().__enter__()
            finally:
                os.seteuid(user)
                folder.chmod(0o755)


HOLD = """
import sys, time
from mashjax.library.database import open_library
library = open_library(sys.argv[1])
with library.holding():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_says_who_has_it_and_ends_with_its_process(where):
    with opened(where, create=True) as library:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, where], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(UserError, match=rf"being indexed by.* {process.pid} on "):
                library.holding().__enter__()
            process.send_signal(signal.SIGKILL)
        while True:  # a server needs a moment to see that its client is gone
            with contextlib.suppress(UserError), library.holding() as writing:
                with writing() as connection:
                    connection.execute(
                        sa.insert(tables.SETTINGS), {"name": "folder", "value": "/music"}
                    )
                break
        assert settings(library) == {"folder": "/music"}
        with library.holding():  # and again, in the same process
            pass


def test_a_killed_server_session_loses_the_lock_and_the_right_to_write(where):
    if "://" not in where:
        pytest.skip("a file has no sessions")
    with opened(where, create=True) as library, library.holding() as writing:
        with library.reading() as connection:
            connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks "
                    "WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                )
            )
        with pytest.raises(UserError, match="terminating connection"), writing() as connection:
            connection.execute(sa.delete(tables.SETTINGS))


def test_segments_come_back_from_their_rows(where, segment):
    stored = dataclasses.replace(segment(0, key=3), number=5, mode="minor", start=1.5)
    text = {"path": "a", "sha256": "x", "mode": "major", "doubts": ["no beat"], "style": None}
    numbers = dict.fromkeys((c.name for c in tables.SONGS.c if c.name not in ("id", *text)), 0)
    sketch = np.arange(64, dtype=np.float32) / 3
    with opened(where, create=True) as library:
        with library.writing() as connection:
            insert = sa.insert(tables.SONGS).returning(tables.SONGS.c.id)
            id = connection.scalar(insert, {**numbers, **text})
            row = {"song_id": id, **tables.segment_row(stored, sketch=sketch)}
            connection.execute(sa.insert(tables.SEGMENTS), [row])
        with library.reading() as connection:
            row = connection.execute(sa.select(tables.SEGMENTS)).one()
            assert connection.scalar(sa.select(tables.SONGS.c.doubts)) == ["no beat"]
    back = tables.segment_of(row)
    assert {name: getattr(back, name) for name in SCALARS} == {
        name: getattr(stored, name) for name in SCALARS
    }
    assert np.abs(back.chroma - stored.chroma).max() < 0.005  # 8 bits
    assert np.array_equal(np.frombuffer(row.sketch, "<f4"), sketch)
    with opened(where) as library, library.writing() as connection:
        connection.execute(sa.delete(tables.SONGS))  # takes its segments along
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.SEGMENTS)) == 0
